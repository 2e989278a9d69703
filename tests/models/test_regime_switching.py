"""Regime switching without sampling: twins, likelihoods by hand and by simulation, responses, options."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayes_causal as bc
from bayes_causal.data.multi_series import MultiSeries
from bayes_causal.errors import DataError, EstimandError
from bayes_causal.inference.tree import dataset
from bayes_causal.models.regime_switching import Priors, RegimeSwitching
from bayes_causal.numerics.jitted import jitted, jitted_once
from bayes_causal.numerics.regime_em import log_likelihood

TOLERANCE = 1e-9
PRIORS = Priors(1.1, 0.9, 0.45, 1.2, 0.55, 0.95, 4.5, 6.0, 0.15)


def data(rng: np.random.Generator, dates: int = 40, series: int = 2, shocks: int = 2, controls: int = 0) -> MultiSeries:
    sizes = {"a": series, "s": shocks, "c": controls}
    table = pd.DataFrame({f"{n}{k}": 3 + 2 * rng.normal(size=dates) for n, size in sizes.items() for k in range(size)})
    names = {n: [f"{n}{k}" for k in range(size)] for n, size in sizes.items()}
    return MultiSeries.from_frame(table, outcomes=names["a"], shocks=names["s"], controls=names["c"])


def points(shapes: dict[str, tuple[int, ...]], rng: np.random.Generator, count: int = 4) -> list[dict[str, np.ndarray]]:
    """Values of every site, anywhere in its support."""
    drawn = []
    for _ in range(count):
        x = {k: rng.normal(size=shape) for k, shape in shapes.items()}
        positive = [k for k in x if k.startswith("sigma") or k in ("shock_spread", "nu")]
        x |= {k: 0.5 + np.abs(x[k]) for k in positive}
        x |= {k: np.sort(v, -1) for k, v in x.items() if k.endswith("_reference")}
        x["transition"] = rng.dirichlet(np.ones(x["transition"].shape[1]), x["transition"].shape[0])
        drawn.append(x)
    return drawn


def log_densities(model: RegimeSwitching, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Log densities of the NumPyro and of the PyMC twin at the same points, constrained values, no Jacobian."""
    from numpyro.infer.util import log_density
    from pymc.model.transform.conditioning import remove_value_transforms

    twin = remove_value_transforms(model.pymc_model())
    logp = twin.compile_logp(mode="FAST_COMPILE")
    x = points({k: np.shape(v) for k, v in twin.initial_point().items()}, rng)
    with jax.enable_x64(True):
        f = jitted_once(lambda v: log_density(model.numpyro_model, (), {}, v)[0])
        return np.array([float(f(v)) for v in x]), np.array([float(logp(v)) for v in x])


TWINS: dict[str, tuple[dict[str, int], dict[str, Any]]] = {
    "headline": ({}, {"regimes": 3}),
    "one series": ({"series": 1}, {"regimes": 2, "reference": "a0"}),
    "all switches, tails": (
        {"controls": 1},
        {"order": 2, "switching": ["intercept", "shock", "variance", "ar"], "errors": "student_t"},
    ),
    "by intercept": (
        {"series": 3},
        {"regimes": 3, "switching": ["intercept"], "order": 1, "reference": "a1", "shock_state": "current"},
    ),
    "by variance alone": ({"controls": 2}, {"switching": "variance", "pooling": False, "reference": "a1"}),
    "hamilton": ({"series": 2}, {"form": "hamilton", "order": 2}),
    "no shocks": ({"shocks": 0}, {"regimes": 3, "form": "hamilton", "order": 1, "switching": ["mean", "ar"]}),
}


@pytest.mark.parametrize("case", TWINS)
def test_twins_have_one_density(case: str, rng: np.random.Generator, needs: Any) -> None:
    needs("pymc")
    sizes, options = TWINS[case]
    a, b = log_densities(RegimeSwitching(data(rng, 30, **sizes), priors=PRIORS, **options), rng)
    assert np.isfinite(a).all()
    assert a == pytest.approx(b, rel=TOLERANCE)


def test_a_prior_stated_differently_in_one_twin_is_seen(rng: np.random.Generator, needs: Any) -> None:
    """The stickiness of regimes off by a hundred-thousandth in the PyMC twin."""
    needs("pymc")
    model = RegimeSwitching(data(rng, 30), priors=PRIORS)
    other = model.variant(priors=replace(PRIORS, stay=PRIORS.stay * (1 + 1e-5)))
    object.__setattr__(model, "pymc_model", other.pymc_model)
    a, b = log_densities(model, rng)
    assert a != pytest.approx(b, rel=TOLERANCE) and a == pytest.approx(b, rel=1e-4)


def sites_of(model: RegimeSwitching, rng: np.random.Generator, count: int = 1) -> dict[str, np.ndarray]:
    """(count, ...) sites, all the same, at a point where series do not explode."""
    lay, k = model.layout, model.regimes
    p: dict[str, np.ndarray] = {"transition": rng.dirichlet(3 * np.ones(k), k)}
    p |= {"level": rng.normal(size=(lay.series, *lay.regime("level")))}
    p |= {"sigma": rng.uniform(0.5, 1.5, (lay.series, *lay.regime("sigma")))}
    p[lay.key] = np.sort(p[lay.key], -1)
    if lay.shocks:
        p["shock"] = rng.normal(size=(lay.series, lay.shocks, *lay.regime("shock")))
        p |= {"shock_mean": p["shock"].mean(0), "shock_spread": np.full(lay.shocks, 0.4)} if lay.pooled else {}
    p |= {"control": rng.normal(size=(lay.series, lay.controls))} if lay.controls else {}
    p |= {"ar": rng.uniform(-0.4, 0.4, (lay.series, lay.order, *lay.regime("ar")))} if lay.order else {}
    p |= {"nu": np.array(6.0)} if lay.tails else {}
    return {n: np.repeat(v[None], count, 0) for n, v in lay.sites(p, np.concatenate).items()}


NATURAL: dict[str, tuple[dict[str, int], dict[str, Any]]] = {
    "lags and a control": ({"controls": 1}, {"order": 2, "regimes": 3, "errors": "student_t"}),
    "switching lags": ({"controls": 2}, {"order": 1, "switching": ["intercept", "ar", "shock"], "shock_state": "current"}),
    "hamilton": ({}, {"form": "hamilton", "order": 2}),
}


@pytest.mark.parametrize("case", NATURAL)
def test_reported_parameters_have_the_likelihood_of_the_sites(case: str, rng: np.random.Generator) -> None:
    """In units of the outcome, at reported parameters: the standardised likelihood less log scale a date."""
    sizes, options = NATURAL[case]
    model = RegimeSwitching(data(rng, series=1, **sizes), **options)
    sites = sites_of(model, rng)
    named, lay = {k: v[0] for k, v in model.natural(sites).items()}, model.layout
    given = {"transition": named["transition"], lay.level: named[lay.level][0], "sigma": named["sigma"][0]}
    given |= {"shock": named["shock_effect"][0].T, "ar": named["ar"][0].T} | ({"nu": named["nu"]} if lay.tails else {})
    given |= {"control": named["control_effect"][0]} if lay.controls else {}
    dated = model.log_likelihood(sites)
    assert dated.dims == ("sample", "time") and dated.sizes["time"] == 40 - model.order
    natural = float(dated.sum()) - dated.sizes["time"] * np.log(model.design.scale[0])
    assert model.log_likelihood(given) == pytest.approx(natural, abs=1e-9)
    smoothed = named["smoothed"].astype(float)
    np.testing.assert_allclose(smoothed.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(smoothed[-1], named["filtered"][-1], atol=1e-5)


SIMULATED: dict[str, tuple[dict[str, int], dict[str, Any]]] = {
    "lags, tails": (
        {"series": 2, "controls": 1},
        {"order": 2, "switching": ["intercept", "ar", "shock", "variance"], "errors": "student_t"},
    ),
    "hamilton, three": ({"series": 1}, {"form": "hamilton", "order": 1, "regimes": 3, "shock_state": "current"}),
}


@pytest.mark.parametrize("case", SIMULATED)
def test_what_is_simulated_has_the_likelihood(case: str, rng: np.random.Generator) -> None:
    """The score has mean zero over 6,000 simulations at their own parameters, and not at others.

    Some thirty components at 4.5 errors: fails once in five thousand names.
    """
    sizes, options = SIMULATED[case]
    model = RegimeSwitching(data(rng, 32, **sizes), **options)
    sites = sites_of(model, rng, 6000)
    outcomes = model.standardised(model.simulate(sites, rng))
    one = {k: v[0] for k, v in sites.items()}
    rows, order, opening = model.design.rows, model.order, model.design.opening
    free, lay = model.free, model.layout

    def density(p: Any, y: Any) -> Any:
        whole = jnp.concatenate([jnp.asarray(opening), y])
        lags = jnp.stack([whole[order - lag : order - lag + y.shape[0]] for lag in range(1, order + 1)], 1)
        return log_likelihood(free, rows._replace(y=y, lags=lags), lay.canonical(p, jnp.concatenate))

    with jax.enable_x64(True):
        slopes = jitted(lambda p, y: jax.lax.map(lambda v: jax.grad(density)(p, v), y, batch_size=500))
        for p, right in ((one, True), ({k: v + 0.15 * (k in (lay.level, f"{lay.level}_others")) for k, v in one.items()}, False)):
            found = slopes({k: v.astype(float) for k, v in p.items()}, outcomes)
            found.pop("transition")  # rows that sum to one have no free slope
            flat = np.concatenate([np.asarray(v).reshape(6000, -1) for v in found.values()], 1)
            away = np.abs(flat.mean(0)) / (flat.std(0) / np.sqrt(6000))
            assert (away.max() < 4.5) == right, away


@pytest.mark.parametrize("state", ["lagged", "current"])
@pytest.mark.parametrize("form", ["regression", "hamilton"])
def test_responses_are_sums_over_all_later_regimes(state: Any, form: Any, rng: np.random.Generator) -> None:
    """Two lags that switch, four dates ahead: by every path of regimes; without lags nothing is left after the date."""
    level = {"regression": "intercept", "hamilton": "mean"}[form]
    model = RegimeSwitching(data(rng), order=2, form=form, switching=[level, "shock", "ar"], shock_state=state)
    posterior = dataset(model, {k: v[None] for k, v in model.natural(sites_of(model, rng, 2)).items()}, ("chain", "draw"))
    found = model.responses(posterior, 3)
    p, ar = posterior["transition"].values[0, 0], posterior["ar"].values[0, 0]
    beta = posterior["shock_effect"].values[0, 0]
    for a, s, k in itertools.product(range(2), range(2), range(2)):
        exact = np.zeros(4)
        for path in itertools.product(range(2), repeat=4):
            begin = p[k, path[0]] if state == "lagged" else float(path[0] == k)
            chance = begin * np.prod([p[i, j] for i, j in itertools.pairwise(path)])
            course = [0.0, beta[a, s, k]]
            for z in path[1:]:
                course.append(ar[a, 0, z] * course[-1] + ar[a, 1, z] * course[-2])
            exact += chance * np.array(course[1:])
        np.testing.assert_allclose(found[0, 0, a, s, k], exact, atol=1e-12)
    now = posterior["filtered"].values[0, 0, -1].astype(float)
    now = now if state == "lagged" else now @ p
    np.testing.assert_allclose(model.today(posterior)[0, 0], now, atol=1e-6)
    overall = model.effect(posterior, bc.Estimand("regime_effect"))
    assert overall.dims == ("chain", "draw", "series", "shock")
    np.testing.assert_allclose(overall[0, 0], beta @ now, atol=1e-6)
    over = model.effect(posterior, bc.Estimand("regime_effect", by="horizon"))
    np.testing.assert_allclose(over.isel(horizon=3)[0, 0], found[0, 0, ..., 3].values @ now, atol=1e-6)
    by_regime = model.effect(posterior, bc.Estimand("regime_effect", by="regime"))
    np.testing.assert_array_equal(by_regime, posterior["shock_effect"])
    for asked, why in ((bc.Estimand("att"), "not 'att'"), (bc.Estimand("regime_effect", "realised"), "ask for scale 'mean'")):
        with pytest.raises(EstimandError, match=why):
            model.effect(posterior, asked)
    with pytest.raises(EstimandError, match="not broken down by 'unit'"):
        model.effect(posterior, bc.Estimand("regime_effect", by="unit"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"regimes": 4}, "regimes is 2 or 3, not 4"),
        ({"form": "hamiltn"}, r"form 'hamiltn' does not exist \(did you mean 'hamilton'"),
        ({"switching": ["variance", "mean"]}, "form 'regression' has no mean: what switches there is 'intercept'"),
        ({"switching": ["ar", "variance"]}, "switching 'ar' needs lags: order is 0"),
        ({"switching": ["shock"]}, "let variance, or the mean or intercept, switch too"),
        ({"switching": []}, "nothing switches"),
        ({"errors": "correlated"}, "errors 'correlated' are not built yet"),
        ({"transitions": "time_varying"}, "transitions that vary with covariates are not built yet"),
        ({"transition_covariates": ["c0"]}, "transitions that vary with covariates are not built yet"),
        ({"order": -1}, "order is a number of lags from 0 up, not -1"),
        ({"reference": "a9"}, "reference 'a9' is no series"),
        ({"pooling": "yes"}, "pooling is true or false"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], message: str, rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match=message):
        RegimeSwitching(data(rng), **options)


def test_every_wrong_option_is_said_at_once_and_short_data_are_refused(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match=r"errors 'x' does not exist.*regimes is 2 or 3"):
        RegimeSwitching(data(rng), errors="x", regimes=5)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="20 dates are too few for 3 regimes with 2 shocks, 0 controls and 0 lags: at least 24"):
        RegimeSwitching(data(rng, 20), regimes=3)
    with pytest.raises(ValueError, match="takes a MultiSeries, not a DataFrame"):
        RegimeSwitching(pd.DataFrame())  # type: ignore[arg-type]


def test_parameters_that_do_not_fit_are_all_named(rng: np.random.Generator) -> None:
    model = RegimeSwitching(data(rng, series=1), order=1)
    with pytest.raises(ValueError, match=r"'sgma' is no parameter \(did you mean 'sigma'.*no 'mean' but.*'sigma' is missing"):
        model.log_likelihood({"transition": np.eye(2), "sgma": 1.0, "mean": [1, 2]})
    with pytest.raises(ValueError, match=r"'ar' has shape \(3,\), and must have \(2, 1\) or \(1,\)"):
        model.log_likelihood({"transition": np.full((2, 2), 0.5), "sigma": 1.0, "ar": [1, 2, 3]})
    with pytest.raises(ValueError, match="rows of 'transition' must sum to one"):
        model.log_likelihood({"transition": np.eye(2) * 0.9, "sigma": 1.0})
    with pytest.raises(ValueError, match="parameters of one series, and the model has 2"):
        RegimeSwitching(data(rng)).log_likelihood({"transition": np.eye(2), "sigma": 1.0})
    with pytest.raises(EstimandError, match="no shocks"):
        RegimeSwitching(data(rng, shocks=0)).responses(xr.Dataset(), 1)
