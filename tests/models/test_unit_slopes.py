"""Effects that differ between units: drawn from the right distribution, found where they are, part of every answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from bayes_causal.data.panel import Panel
from bayes_causal.data.simulate import simulate_panel
from bayes_causal.estimates import Estimand, from_draws
from bayes_causal.inference.collapsed import Collapsed
from bayes_causal.inference.generate import prior_sites
from bayes_causal.inference.numpyro_nuts import NumpyroNuts
from bayes_causal.inference.tree import dataset
from bayes_causal.models.did_slopes import SlopeSums
from bayes_causal.models.hierarchical_did import HierarchicalDiD

MOST = 4.0


def named_draws(model: HierarchicalDiD, size: int, seed: int) -> dict[str, np.ndarray]:
    """Reported quantities of prior draws as a collapsed fit has them: no unit's own."""
    sites = {k: v for k, v in prior_sites(model, size, seed).items() if k not in ("alpha", "slope_offset")}
    return model.natural(sites)


def textbook(model: HierarchicalDiD, q: dict[str, np.ndarray], unit: int) -> tuple[float, float, float]:
    """Mean and sd of one unit's slope, and the log density of its standardised rows, from covariances written out."""
    d = model.design
    rows = d.unit == unit
    at = model.panel.dataset["period"].values[d.time[rows]]
    active = model.panel.dataset["treatment"].values[model.panel.observed].sum(1)[rows]
    rho = q.get("rho", 0.0)
    root = d.sqrt_weight[rows]
    apart = np.abs(at[:, None] - at)
    noise = q["sigma"] ** 2 / (1 - rho**2) * np.where(apart == 0, 1.0, np.power(rho, np.maximum(apart, 1))) / root / root[:, None]
    covariance = noise + q["sigma_unit"] ** 2 + q["sigma_slope"] ** 2 * active[:, None] * active
    expected = q["intercept"] + d.unit_terms[unit] @ q["delta"] + q["gamma"][d.time[rows]] + d.effect[rows] @ q["coefficient"]
    expected = expected + (d.covariates[rows] @ (q["beta"] * d.covariate_scale) if "beta" in q else 0.0)
    y = d.center + d.scale * d.y[rows]
    gain = q["sigma_slope"] ** 2 * np.linalg.solve(covariance, active)
    density = stats.multivariate_normal.logpdf(y, expected, covariance) + rows.sum() * np.log(d.scale)
    return gain @ (y - expected), np.sqrt(q["sigma_slope"] ** 2 * (1 - gain @ active)), density


@pytest.mark.parametrize(("kind", "errors"), [("everything", "ar1"), ("unbalanced", "iid"), ("weighted", "ar1")])
def test_slopes_and_likelihood_are_those_of_the_dense_normal(
    kind: str, errors: Any, make_panel: Callable[..., Panel], seed: int
) -> None:
    """2,000 draws of every slope at one θ, whitened by mean and sd of the textbook: standard normal, wrong once in 10,000."""
    model = HierarchicalDiD(make_panel(kind), effect="group", errors=errors, unit_slopes=True)
    named = named_draws(model, 3, seed)
    units = np.flatnonzero(model.panel.ever_treated)
    likelihood = model.log_likelihood({k: v for k, v in prior_sites(model, 3, seed).items()}).values
    for s in range(3):
        q = {k: v[s] for k, v in named.items()}
        expected = [textbook(model, q, u) for u in range(model.design.n_units)]
        assert likelihood[s] == pytest.approx([e[2] for e in expected], rel=1e-8)
    mean, sd, _ = np.array(expected)[units].T
    sums = SlopeSums(model.design.of_units(model.panel.ever_treated), model.gaps)
    many = {k: np.repeat(v[2:3], 2000, 0) for k, v in named.items()}
    z = (sums.draw(many, np.random.default_rng(seed)) - mean) / sd
    assert stats.kstest(z.ravel(), "norm").pvalue > 1e-4
    assert stats.kstest(z.ravel() * 1.1, "norm").pvalue < 1e-4, "draws 10 % too wide would go unseen"
    assert np.abs(z.mean(0)).max() < 5 / np.sqrt(2000) and np.abs(z.mean(0) + 0.2).min() > 5 / np.sqrt(2000)


@pytest.fixture(scope="module")
def differing() -> tuple[Panel, np.ndarray]:
    """60 units under two treatments that overlap, effect 1 with a spread of 0.8 between units; and the slope of each."""
    panel, _ = simulate_panel(units=60, periods=14, groups=2, overlapping=True, share=0.3, duration=6, sigma=0.5, seed=77)
    slope = np.where(panel.ever_treated, 0.8 * np.random.default_rng(5).standard_normal(60), 0.0)
    active = panel.dataset["treatment"].values.sum(2)
    return panel.replace_outcome(panel.dataset["outcome"].values + slope[:, None] * active), slope


@pytest.fixture(scope="module")
def fitted(differing: tuple[Panel, np.ndarray]) -> tuple[HierarchicalDiD, xr.Dataset]:
    model = HierarchicalDiD(differing[0], effect="constant", unit_slopes=True)
    draws = Collapsed(draws=1000).sample(model, seed=1)
    return model, dataset(model, model.natural(draws.sites), ("chain", "draw"))


def test_slopes_of_units_are_found(differing: tuple[Panel, np.ndarray], fitted: tuple[HierarchicalDiD, xr.Dataset]) -> None:
    """Effects by unit, overall and realised within four posterior sds of the truth, 0.8 within four of σ_v; once in 500 seeds."""
    (panel, slope), (model, posterior) = differing, fitted
    active = panel.dataset["treatment"].values.sum(2) * panel.observed
    effect = (1 + slope)[:, None] * active
    by_unit = effect.sum(1)[panel.ever_treated] / (active > 0).sum(1)[panel.ever_treated]
    answer = from_draws(model.effect(posterior, Estimand("att", "mean", "unit")), Estimand("att", "mean", "unit"), "posterior")
    assert (np.abs(answer.value.values - by_unit) < MOST * answer.std_error.values).all()
    assert np.corrcoef(answer.value.values, by_unit)[0, 1] > 0.9
    for scale in ("mean", "realised"):
        draws = model.effect(posterior, Estimand("att", scale))
        assert abs(draws.mean() - effect[active > 0].mean()) < MOST * draws.std()
    assert abs(posterior["sigma_slope"].mean() - 0.8) < MOST * posterior["sigma_slope"].std() < 0.8


def test_the_att_in_the_tree_is_the_effect(fitted: tuple[HierarchicalDiD, xr.Dataset]) -> None:
    """Slopes are drawn anew each time, always the same ones; breakdowns by time and by unit average to the whole."""
    model, posterior = fitted
    whole = model.effect(posterior, Estimand())
    assert whole.values == pytest.approx(posterior["att"].values, rel=1e-12)
    assert not np.allclose(whole.values, posterior["tau"].values, atol=0.01)
    cells = model.panel.treated & model.panel.observed
    for by, count in (("time", cells.sum(0)), ("unit", cells.sum(1))):
        parts = model.effect(posterior, Estimand("att", "mean", by))
        share = count[count > 0] / count.sum()
        assert (parts.values @ share) == pytest.approx(whole.values, rel=1e-9)


def test_intervals_are_wider_than_without_slopes(differing: tuple[Panel, np.ndarray], fitted: tuple[Any, xr.Dataset]) -> None:
    """The population mean τ is known less well than a model thinks that takes all units for alike."""
    alike = HierarchicalDiD(differing[0], effect="constant")
    draws = alike.natural(Collapsed(draws=500).sample(alike, seed=1).sites)
    assert fitted[1]["tau"].std() > 1.15 * draws["tau"].std()


@pytest.mark.slow
@pytest.mark.parametrize(("effect", "errors"), [("constant", "ar1")])
def test_agrees_with_nuts_on_the_full_twin(effect: Any, errors: Any, differing: Any) -> None:
    """Means within four Monte Carlo errors, sds within 10 %, effects by unit among them."""
    from arviz_stats.base import array_stats

    panel = differing[0].select(units=np.arange(24))
    model = HierarchicalDiD(panel, effect=effect, errors=errors, unit_slopes=True)
    engines = Collapsed(draws=1000), NumpyroNuts(draws=700, warmup=400, chain_method="vectorized", progress=False)
    found = [dataset(model, model.natural(e.sample(model, seed=k).sites), ("chain", "draw")) for k, e in enumerate(engines)]
    pairs = [[d[k].values for d in found] for k in ("att", "tau", "sigma", "sigma_unit", "sigma_slope")]
    pairs += np.moveaxis([model.effect(d, Estimand("att", "mean", "unit")).values[:, :700] for d in found], -1, 0).tolist()
    for pair in pairs:
        a, b = (np.asarray(x) for x in pair)
        errors_of = np.hypot(*(array_stats.mcse(x, method="mean") for x in (a, b)))
        assert abs(a.mean() - b.mean()) < 4 * errors_of
        assert abs(np.log(a.std() / b.std())) < 0.1


def test_scaling_by_a_power_of_two_is_exact_to_the_bit(make_panel: Callable[..., Panel]) -> None:
    panel, engine = make_panel("overlapping"), Collapsed(draws=100)
    found = []
    for factor in (1, 4):
        model = HierarchicalDiD(
            panel.replace_outcome(factor * panel.dataset["outcome"].values), effect="constant", errors="iid", unit_slopes=True
        )
        found.append(model.natural(engine.sample(model, seed=3).sites)["att"] / factor)
    assert (found[0] == found[1]).all()


def test_where_every_unit_is_its_own_class_the_path_says_what_it_costs(make_panel: Callable[..., Panel]) -> None:
    one = HierarchicalDiD(make_panel("balanced"), effect="constant", errors="iid", unit_slopes=True)
    many = HierarchicalDiD(make_panel("everything", units=120), effect="constant", unit_slopes=True)
    few, each = (Collapsed(draws=50, chains=2).sample(m, seed=1).path for m in (one, many))
    assert "classes of units" in few
    assert "120 units one by one, at O(units × columns²) a density" in each
