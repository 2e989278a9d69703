"""Synthetic difference-in-differences through its engines: both kinds of weights against NUTS, and another scale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest
import xarray as xr

import bayes_causal as bc
from bayes_causal.inference.blocked_gibbs import BlockedGibbs
from bayes_causal.models.synthetic_did import Priors

PRIORS = Priors(intercept=1.5, sigma=0.7, concentration_low=0.1, concentration_high=2.0)


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
    nuts = bc.NumpyroNuts(draws=1000, warmup=500, target_accept=0.95, chain_method="vectorized", progress=False)
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
