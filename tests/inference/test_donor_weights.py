"""Kinds of donor weights through their engines: blocks against NUTS on the twin, recovery, scale, many problems at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

import bayes_causal as bc
from bayes_causal.checks import donor_refit
from bayes_causal.checks.donor_pool import donor_concentration, hull, unshared_trend
from bayes_causal.checks.donors import placebo_space
from bayes_causal.inference.blocked_gibbs import BlockedGibbs
from bayes_causal.models.synthetic_control import Priors

ENGINE = BlockedGibbs(draws=300, warmup=200, progress=False)
PRIORS = Priors(intercept=2.0, spread=1.0, donors=1.5)
NEW: dict[str, dict[str, Any]] = {"softmax": {}, "horseshoe": {}, "factor": {"factors": 1}}


@pytest.mark.slow
@pytest.mark.parametrize("weights", NEW)
def test_blocks_agree_with_nuts_on_the_twin(
    weights: Any,
    rng: np.random.Generator,
    disagreements: Callable[..., Any],
    donor_panel: Callable[..., bc.Panel],
    posterior_of: Callable[..., xr.Dataset],
) -> None:
    """Three donors, five of a factor and with gaps, a date missing: means and sds within Monte Carlo error.

    The intercept's tails take far more draws to agree: at ρ near 1 no data fix it.
    """
    whole = donor_panel(rng, [0.6, 0.4, 0.0] + [0.0, 0.0] * (weights == "factor"), periods=16, post=3)
    cells = np.zeros(whole.observed.shape, bool)
    cells[0, 5] = True
    cells[2, [3, 14]] = weights == "factor"
    model = bc.SyntheticControl(whole.mask(cells), weights=weights, priors=PRIORS, **NEW[weights])
    nuts = bc.NumpyroNuts(draws=2000, warmup=1000, target_accept=0.95, chain_method="vectorized", progress=False)
    names = ["weight", "sigma", "rho", "counterfactual"]
    late = {"time": slice(-4, None)}
    a = posterior_of(model, BlockedGibbs(draws=4000, warmup=500, progress=False), 1)[names].isel(late)
    b = posterior_of(model, nuts, 2)[names].isel(late)
    assert disagreements(a, b) == []
    assert disagreements(a * 1.25 + 0.05, b), "draws shifted and stretched would go unseen"


@pytest.mark.parametrize("weights", ["horseshoe", pytest.param("factor", marks=pytest.mark.slow)])
def test_the_effect_is_found_and_scale_changes_not_a_bit(
    weights: Any, rng: np.random.Generator, donor_panel: Callable[..., bc.Panel], posterior_of: Callable[..., xr.Dataset]
) -> None:
    """Two of six donors are true, an effect of three, 40 periods before: inside its 99.9 % interval, which leaves out zero."""
    whole = donor_panel(rng, [0.6, 0.4, 0.0, 0.0, 0.0, 0.0], periods=44, post=4, effect=3.0)
    own = NEW[weights] | ({"factors": 3} if weights == "factor" else {})
    model = bc.SyntheticControl(whole, weights=weights, errors="iid", **own)
    one = posterior_of(model, ENGINE, 3)
    att = model.effect(one, bc.Estimand("att", "realised"))
    low, high = att.quantile([0.0005, 0.9995], ("chain", "draw")).values
    assert low < 3.0 < high and low > 0.0
    scaled = bc.SyntheticControl(
        whole.replace_outcome(8.0 * whole.dataset["outcome"].values), weights=weights, errors="iid", **own
    )
    eight = posterior_of(scaled, ENGINE, 3)
    for name in ("sigma", "counterfactual"):
        np.testing.assert_array_equal(eight[name].values, 8.0 * one[name].values)
    np.testing.assert_array_equal(eight["weight"].values, one["weight"].values)


@pytest.mark.slow
def test_checks_know_weights_of_either_sign_and_donors_with_gaps(
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
    donor_panel: Callable[..., bc.Panel],
    posterior_of: Callable[..., xr.Dataset],
) -> None:
    """A donor with a gap takes no turn as a placebo; every design that checks ask for fits the program of the first."""
    monkeypatch.setattr(donor_refit, "DRAWS", 50)
    whole = donor_panel(rng, [0.6, 0.4, 0.0, 0.0], periods=24, post=4, effect=2.0)
    cells = np.zeros(whole.observed.shape, bool)
    cells[3, 7] = True
    model = bc.SyntheticControl(whole.mask(cells), weights="factor", factors=1)
    tree = xr.DataTree.from_dict({"posterior": posterior_of(model, BlockedGibbs(draws=50, warmup=50, progress=False), 1)})
    space = placebo_space(model, tree)
    assert {r["unit"] for r in space.table} == {"u01", "u02", "u04"} and "the 3 donors without gaps" in space.text
    assert all(np.isfinite(r["value"]) for r in space.table) and len({len(v) for v in space.paths.values()}) == 1
    assert hull(model, tree).passed is None
    assert 1 <= donor_concentration(model, tree).numbers["effective_donors"] <= 4
    assert "walk of its own" in unshared_trend(model, tree).text
    d = model.design
    shapes = [[v.shape for v in model.sums(e)] for e in (d, d.earlier(12, 3), d.instead(0), d.without(2))]
    assert shapes[0] == shapes[1] and shapes[2] == shapes[3]


def test_a_trend_that_donors_do_not_share_is_told_and_factors_offered(
    rng: np.random.Generator, donor_panel: Callable[..., bc.Panel]
) -> None:
    """Draws of ρ near one stand in for a fit: the check fails, and names what to try."""
    model = bc.SyntheticControl(donor_panel(rng, [0.5, 0.5]))
    draws = xr.Dataset({"rho": (("chain", "draw"), np.full((2, 50), 0.97))})
    found = unshared_trend(model, xr.DataTree.from_dict({"posterior": draws}))
    assert found.passed is False and "weights: factor" in found.text
