"""Synthetic difference-in-differences: twins, the law of the contrast, its two limits, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from bayes_causal.data.panel import Panel
from bayes_causal.errors import DataError, EstimandError
from bayes_causal.estimates import Estimand
from bayes_causal.inference.tree import dataset
from bayes_causal.models import period_weights, synthetic_predictive
from bayes_causal.models.synthetic_did import Priors, SyntheticDiD
from bayes_causal.models.synthetic_did_predictive import in_weighted_periods

# Scales all different, so that no two priors can be swapped unseen.
PRIORS = Priors(intercept=4.0, sigma=0.8, concentration_low=0.1, concentration_high=2.0, correlation=1.7)
DRAWS = 20_000


@pytest.fixture
def gaps(several: Callable[..., Any]) -> Panel:
    """The treated unit has no outcome in periods 3, 4 and 8, nor in 13; it is treated from 12 on."""
    panel: Panel = several((12,), donors=5, periods=16, without=[("t00", t) for t in (3, 4, 8, 13)])[0]
    return panel


def inside(model: SyntheticDiD, n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """n values of every site."""
    donors, periods = model.design.donors.size, model.design.fitted_rows.size
    sites = {
        "log_concentration": rng.uniform(np.log(0.1), np.log(2.0), n),
        "weight": rng.dirichlet(np.ones(donors), n),
        "intercept": rng.standard_normal(n),
        "sigma": 0.1 + np.abs(rng.standard_normal(n)),
        "rho": rng.uniform(-0.9, 0.9, n),
        "time_log_concentration": rng.uniform(np.log(0.1), np.log(2.0), n),
        "time_weight": rng.dirichlet(np.ones(periods), n),
        "time_intercept": rng.standard_normal(n),
        "time_sigma": 0.1 + np.abs(rng.standard_normal(n)),
    }
    return {k: v for k, v in sites.items() if k != "rho" or model.errors == "ar1"}


@pytest.mark.parametrize("errors", ["ar1", "iid"])
def test_twins_have_one_density(errors: Any, gaps: Panel, rng: np.random.Generator, one_density: Any) -> None:
    """At three points; and the likelihood of each piece adds up to that of the twin."""
    model = SyntheticDiD(gaps, errors=errors, priors=PRIORS)
    points = inside(model, 3, rng)
    pieces = model.log_likelihood(points)
    assert pieces.shape == (3, 9 + 5)
    one_density(model, points, pieces.values)


def test_periods_are_the_columns_of_the_donors_means_after(gaps: Panel) -> None:
    model = SyntheticDiD(gaps)
    y = gaps.dataset["outcome"].values[:-1]
    before, after = [0, 1, 2, 5, 6, 7, 9, 10, 11], [12, 14, 15]
    p = model.periods
    assert list(model.coords()["period"]) == before
    np.testing.assert_allclose(p.center + p.scale * p.y, y[:, after].mean(1))
    np.testing.assert_allclose(p.center + p.scale * p.x, y[:, before])
    assert (p.y.mean(), p.y.std(ddof=1)) == (pytest.approx(0.0, abs=1e-12), pytest.approx(1.0))


def fixed(model: SyntheticDiD, rng: np.random.Generator) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """One value of every site, and the same many times over."""
    site = {k: v[0] for k, v in inside(model, 1, rng).items()} | {"sigma": 0.5, "rho": 0.7, "intercept": 0.4}
    return site, {k: np.broadcast_to(v, (DRAWS, *np.shape(v))) for k, v in site.items()}


def law(model: SyntheticDiD, site: dict[str, Any], counted: np.ndarray) -> Any:
    """Normal law of a (O,) combination of outcome less counterfactual: the dense covariance of the gap's errors at all rows."""
    d = model.design
    at, rows, lam = d.seen_rows, d.fitted_rows, site["time_weight"]
    contrast = np.zeros((at.size, d.rows))
    contrast[np.arange(at.size), at] = 1
    contrast[:, rows] -= lam
    covariance = site["sigma"] ** 2 / (1 - site["rho"] ** 2) * site["rho"] ** np.abs(np.subtract.outer(*2 * [np.arange(d.rows)]))
    gap = np.nan_to_num(d.y - d.x @ site["weight"])
    sd = np.sqrt(counted @ contrast @ covariance @ contrast.T @ counted)
    return stats.norm(d.scale * counted @ contrast @ gap, d.scale * sd)


def test_the_effect_is_the_contrast_less_noise_of_the_dense_normal(gaps: Panel, rng: np.random.Generator) -> None:
    """20,000 draws at fixed parameters (KS; each fails once in 10,000 runs), dates before and after missing.

    The average is the published contrast in closed form. Errors that continue those before, or that leave out the weighted
    periods, are caught; with the former λ drops out, and what is left is the law of a synthetic control.
    """
    model = SyntheticDiD(gaps)
    d, (site, sites) = model.design, fixed(model, rng)
    posterior = dataset(model, {k: v[None] for k, v in model.natural(sites).items()}, ("chain", "draw"))
    att, mean = model.effect(posterior, Estimand("att", "realised")).values.ravel(), d.treated[d.seen] / 3
    right = law(model, site, mean)
    y, x = d.center + d.scale * d.y, d.center + d.scale * d.x
    change = y[d.treated].mean() - site["time_weight"] @ y[d.fitted]
    change -= site["weight"] @ (x[d.treated].mean(0) - site["time_weight"] @ x[d.fitted])
    assert right.mean() == pytest.approx(change, abs=1e-9)
    assert stats.kstest(att, right.cdf).pvalue > 1e-4
    assert stats.kstest(model.average(d, sites, 3), right.cdf).pvalue > 1e-4
    path = (d.center + d.scale * d.y[d.seen] - model.natural(sites)["counterfactual"])[:DRAWS]
    combination = rng.standard_normal(d.seen_rows.size)
    assert stats.kstest(path @ combination, law(model, site, combination).cdf).pvalue > 1e-4

    ahead = model.units.error_structure.ahead(synthetic_predictive.expected(model.units, d, sites), sites, d, rng)
    donors = sites["weight"] @ d.x.T
    known = d.y - donors - site["intercept"]
    level = in_weighted_periods(d, sites, d.y - donors)
    continued = d.scale * (d.y - donors - level - ahead + in_weighted_periods(d, sites, known))[:, d.treated].mean(1)
    assert stats.kstest(continued, right.cdf).pvalue < 1e-4
    assert stats.ks_2samp(continued, model.units.average(d, sites, 5)).pvalue > 1e-4
    anew = d.scale * (d.y - donors - level - 0.5 * rng.standard_normal((DRAWS, d.rows)))[:, d.treated].mean(1)
    assert stats.kstest(anew, right.cdf).pvalue < 1e-4


def test_even_periods_and_independent_errors_are_a_synthetic_control_with_a_flat_level(
    gaps: Panel, rng: np.random.Generator
) -> None:
    """Given weights and σ, a has the mean gap for mean and σ/√N for sd under a flat prior: in closed form, and so is ours."""
    model = SyntheticDiD(gaps, errors="iid")
    d, (site, _) = model.design, fixed(model, rng)
    n, h = d.fitted_rows.size, int(d.treated.sum())
    site |= {"time_weight": np.full(n, 1 / n), "rho": 0.0}
    ours = law(model, site, d.treated[d.seen] / h)
    gap = d.y - d.x @ site["weight"]
    assert ours.mean() == pytest.approx(d.scale * (gap[d.treated].mean() - gap[d.fitted].mean()), abs=1e-9)
    assert ours.std() == pytest.approx(d.scale * site["sigma"] * np.sqrt(1 / h + 1 / n), abs=1e-9)
    draws = model.average(d, {k: np.broadcast_to(v, (DRAWS, *np.shape(v))) for k, v in site.items() if k != "rho"})
    assert stats.kstest(draws, ours.cdf).pvalue > 1e-4


def test_designs_with_fewer_periods_have_blanks_in_their_place(gaps: Panel, rng: np.random.Generator) -> None:
    """An earlier date has as many columns as the model's own, and its answers look at its own periods alone."""
    model = SyntheticDiD(gaps)
    earlier = model.design.earlier(9, 2)
    sums = model.sums(earlier)[period_weights.PREFIX]
    assert sums.rows.donors == 9 and int(sums.count) == 6
    own = period_weights.period_sums(period_weights.period_design(earlier), model.priors, 6)
    kept = [0, 1, 2, 3, 4, 5, 9, 10]
    np.testing.assert_array_equal(sums.rows.products[..., kept, :][..., kept], own.rows.products)
    np.testing.assert_array_equal(sums.constants, own.constants)
    site = {"weight": rng.dirichlet(np.ones(5)), "time_weight": np.append(rng.dirichlet(np.ones(6)), [0.0, 0.0, 0.0])}
    by_hand = earlier.x @ site["weight"]
    by_hand = by_hand + site["time_weight"][:6] @ (earlier.y - by_hand)[earlier.fitted_rows]
    np.testing.assert_allclose(model.expected(earlier, site), earlier.center + earlier.scale * by_hand[earlier.seen])


def test_what_is_followed_is_the_mean_of_what_is_expected(gaps: Panel, rng: np.random.Generator) -> None:
    model = SyntheticDiD(gaps)
    sites = inside(model, 40, rng)
    posterior = dataset(model, {k: v.reshape(2, 20, *v.shape[1:]) for k, v in model.natural(sites).items()}, ("chain", "draw"))
    np.testing.assert_allclose(model.followed(posterior), model.expected(model.design, sites))
    d = model.design
    gap = d.center + d.scale * d.y[d.seen] - model.followed(posterior)
    weighted = np.einsum("sn,sn->s", sites["time_weight"], gap[:, d.fitted[d.seen]])
    np.testing.assert_allclose(weighted, 0, atol=1e-9)


def test_answers_and_what_is_no_answer(gaps: Panel, rng: np.random.Generator) -> None:
    model = SyntheticDiD(gaps)
    posterior = dataset(model, {k: v[None] for k, v in model.natural(inside(model, 50, rng)).items()}, ("chain", "draw"))
    by_time = model.effect(posterior, Estimand("att", "realised", "time"))
    assert list(by_time["time"].values) == [12, 14, 15]
    xr.testing.assert_allclose(model.effect(posterior, Estimand("att", "realised")), by_time.mean("time"))
    assert {e.name for e in model.estimands()} == {"att", "cumulative", "relative"}
    with pytest.raises(EstimandError, match="synthetic_did of one treated unit has no effect parameter"):
        model.effect(posterior, Estimand("att", "mean"))


def test_units_treated_on_the_same_dates_are_their_average(several: Callable[..., Any], rng: np.random.Generator) -> None:
    """The model is that of a panel in which the average stands for them; what they are like is averaged too."""
    whole = several((12, 12, 12), donors=5, periods=16)[0]
    values = rng.standard_normal((8, 16, 1))
    whole = Panel(whole.dataset.assign(covariates=(("unit", "time", "covariate"), values)).assign_coords(covariate=["x"]))
    model = SyntheticDiD(whole)
    d, y = model.design, whole.dataset["outcome"].values
    np.testing.assert_allclose(d.center + d.scale * d.y, y[5:].mean(0))
    np.testing.assert_allclose(d.center + d.scale * d.x.T, y[:5])
    assert list(d.seen_rows[d.treated]) == [12, 13, 14, 15]
    assert str(model.constant_data()["treated_unit"].values) == "mean of 3 treated"
    own = model.panel.dataset.sel(unit="mean of 3 treated")
    np.testing.assert_allclose(own["covariates"][:, 0], values[5:, :, 0].mean(0))
    assert model.panel.outcome_name == whole.outcome_name and model.variant().design.donors.size == 5
    assert list(model.panel.dataset["unit"].values) == sorted(model.panel.dataset["unit"].values)


def test_what_cannot_be_used_is_refused(several: Callable[..., Any]) -> None:
    whole = several((12,), donors=5, periods=16)[0]
    with pytest.raises(DataError, match="2 donors are left, and weights of periods need 3"):
        SyntheticDiD(whole, donors=["d00", "d01"])
    level = whole.dataset["outcome"].values.copy()
    level[:-1, 12:] = 3.0
    with pytest.raises(DataError, match="all donors have the same mean outcome"):
        SyntheticDiD(whole.replace_outcome(level))
    with pytest.raises(
        DataError, match=r"2 units are treated .*take treatment and outcomes on the same dates, or synthetic_control"
    ):
        SyntheticDiD(several((12, 13), donors=5, periods=16)[0])
    with pytest.raises(DataError, match="2 units are treated"):
        SyntheticDiD(several((12, 12), donors=5, periods=16, without=[("t01", 3)])[0])
    with pytest.raises(ValueError, match=r"errors 'ar2' does not exist.*two positive numbers"):
        SyntheticDiD(whole, errors="ar2", priors=replace(PRIORS, concentration_low=3.0))  # type: ignore[arg-type]
