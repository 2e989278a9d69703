"""Synthetic difference-in-differences through its engines: both kinds of weights against NUTS, and another scale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest
import xarray as xr
from scipy import stats

import bayes_causal as bc
from bayes_causal.inference.blocked_gibbs import BlockedGibbs
from bayes_causal.inference.gibbs_problems import sample_problems, stacked
from bayes_causal.models import period_weights
from bayes_causal.models.donor_design import DonorDesign
from bayes_causal.models.synthetic_did import UNITS, Priors
from bayes_causal.models.synthetic_did_predictive import in_weighted_periods

PRIORS = Priors(intercept=1.5, sigma=0.7, concentration_low=0.1, concentration_high=2.0)
TRIALS = 300


@pytest.mark.slow
def test_exchanges_agree_with_nuts_on_the_twin(
    rng: np.random.Generator,
    disagreements: Callable[..., Any],
    donor_panel: Callable[..., bc.Panel],
    posterior_of: Callable[..., xr.Dataset],
) -> None:
    """Four donors, nine dates before, one of them missing: means and sds within Monte Carlo error."""
    whole = donor_panel(rng, [0.6, 0.4, 0.0, 0.0], periods=12, post=3)
    cells = np.zeros(whole.observed.shape, bool)
    cells[0, 5] = True
    model = bc.SyntheticDiD(whole.mask(cells), priors=replace(PRIORS, concentration_low=0.3))
    nuts = bc.NumpyroNuts(draws=600, warmup=400, target_accept=0.95, chain_method="vectorized", progress=False)
    names = ["weight", "concentration", "sigma", "rho", "time_weight", "time_concentration", "time_sigma", "counterfactual"]
    late = {"time": slice(-4, None)}
    a = posterior_of(model, BlockedGibbs(draws=2000, warmup=200, progress=False), 1)[names].isel(late)
    b = posterior_of(model, nuts, 2)[names].isel(late)
    assert disagreements(a, b) == []
    assert disagreements(a * 1.2 + 0.05, b), "draws shifted and stretched would go unseen"


def test_a_scale_of_a_power_of_two_changes_not_a_bit(rng: np.random.Generator, donor_panel: Callable[..., bc.Panel]) -> None:
    """What the engine is given is the same, bit for bit, and what it draws is told eight times as large."""
    whole = donor_panel(rng, [0.5, 0.5, 0.0, 0.0])
    one, eight = bc.SyntheticDiD(whole), bc.SyntheticDiD(whole.replace_outcome(8.0 * whole.dataset["outcome"].values))
    for a, b in zip(*(jax.tree.leaves(m.gibbs().sums) for m in (one, eight)), strict=True):
        np.testing.assert_array_equal(a, b)
    periods = one.design.fitted_rows.size
    sites = {"weight": rng.dirichlet(np.ones(4), 3), "time_weight": rng.dirichlet(np.ones(periods), 3), "rho": np.full(3, 0.3)}
    rest = ("log_concentration", "intercept", "sigma", "time_log_concentration", "time_intercept", "time_sigma")
    sites |= {k: rng.random(3) for k in rest}
    told, larger = one.natural(sites), eight.natural(sites)
    for name in ("intercept", "sigma", "counterfactual", "time_intercept", "time_sigma"):
        np.testing.assert_array_equal(larger[name], 8.0 * told[name])
    for name in ("weight", "rho", "time_weight", "concentration", "time_concentration"):
        np.testing.assert_array_equal(larger[name], told[name])


def drawn_from_the_model(model: bc.SyntheticDiD, rng: np.random.Generator) -> DonorDesign:
    """The donors before as they are; the rest from the three lines of the model, parameters from the prior."""
    d, p = model.design, model.priors
    before, after, (rows, donors) = d.fitted, d.treated, d.x.shape
    alpha = np.exp(rng.uniform(np.log(p.concentration_low), np.log(p.concentration_high), 2))
    w, lam = (rng.dirichlet(np.full(n, a)) for n, a in zip((donors, before.sum()), alpha, strict=True))
    (sigma, spread), (a, b), rho = (
        np.abs(p.sigma * rng.standard_normal(2)),
        p.intercept * rng.standard_normal(2),
        rng.uniform(-1, 1),
    )
    law = sigma**2 / (1 - rho**2) * rho ** np.abs(np.subtract.outer(np.arange(rows), np.arange(rows)))
    e, anew = (np.linalg.cholesky(law + 1e-12 * np.eye(rows)) @ rng.standard_normal((rows, 2))).T
    x = d.x.copy()
    x[after] += b + lam @ x[before] + spread * rng.standard_normal(donors) - x[after].mean(0)
    y = a + x @ w + e
    y[after] = x[after] @ w + lam @ (y - x @ w)[before] + anew[after] - lam @ anew[before]
    return replace(d, y=y, x=x, center=0.0, scale=1.0)


@pytest.mark.slow
def test_effects_of_panels_drawn_from_the_model_are_held_as_often_as_intervals_say(
    rng: np.random.Generator, donor_panel: Callable[..., bc.Panel]
) -> None:
    """No effect in 300 panels, parameters and all from the prior: its rank is uniform (KS; fails once in 10,000 runs).

    Contrasts without their noise are caught.
    """
    model = bc.SyntheticDiD(donor_panel(rng, [0.6, 0.4, 0.0, 0.0], periods=10, post=3), priors=PRIORS)
    designs = [drawn_from_the_model(model, rng) for _ in range(TRIALS)]
    sums = [{UNITS: model.units.sums(d), period_weights.PREFIX: _period_sums(d)} for d in designs]
    sites = sample_problems(model.form(stacked(sums)), draws=300, warmup=150, seed=3)
    found = []
    for k, d in enumerate(designs):
        own = {name: v[k, 0] for name, v in sites.items()}
        gap = d.y - own["weight"] @ d.x.T
        bare = (gap - in_weighted_periods(d, own, gap))[:, d.treated].mean(1)
        found.append([(v < 0).mean() for v in (model.average(d, own, seed=k), bare)])
    rank, without_noise = np.array(found).T
    assert stats.kstest(rank, "uniform").pvalue > 1e-4
    assert stats.kstest(without_noise, "uniform").pvalue < 1e-4


def _period_sums(d: DonorDesign) -> Any:
    """Those of a design that has its own scale already."""
    p = period_weights.PeriodDesign(d.x[d.treated].mean(0), d.x[d.fitted].T, 0.0, 1.0)
    return period_weights.period_sums(p, PRIORS, int(d.fitted.sum()))
