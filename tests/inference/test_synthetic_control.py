"""Synthetic control through its engines: exchanges against NUTS on the twin, recovery, scale, many problems at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import bayes_causal as bc
from bayes_causal.inference import gibbs_problems
from bayes_causal.inference.blocked_gibbs import BLOCK, BlockedGibbs, programs
from bayes_causal.inference.gibbs_problems import sample_problems, stacked
from bayes_causal.models.synthetic_control import Priors

ENGINE = BlockedGibbs(draws=500, warmup=200, progress=False)


@pytest.mark.slow
def test_exchanges_agree_with_nuts_on_the_twin(
    rng: np.random.Generator,
    disagreements: Callable[..., Any],
    donor_panel: Callable[..., bc.Panel],
    posterior_of: Callable[..., xr.Dataset],
) -> None:
    """Three donors, a date missing: means and sds within Monte Carlo error.

    Under its default prior the intercept has tails whose sd takes far more draws to agree: at ρ near 1 no data fix it.
    """
    whole = donor_panel(rng, [0.6, 0.4, 0.0], periods=16, post=3)
    cells = np.zeros(whole.observed.shape, bool)
    cells[0, 5] = True
    model = bc.SyntheticControl(whole.mask(cells), priors=Priors(intercept=2.0, concentration_low=0.3, concentration_high=2.0))
    nuts = bc.NumpyroNuts(draws=800, warmup=500, target_accept=0.95, chain_method="vectorized", progress=False)
    names = ["weight", "concentration", "intercept", "sigma", "rho", "counterfactual"]
    late = {"time": slice(-4, None)}
    a = posterior_of(model, BlockedGibbs(draws=2000, warmup=200, progress=False), 1)[names].isel(late)
    b = posterior_of(model, nuts, 2)[names].isel(late)
    assert disagreements(a, b) == []
    assert disagreements(a * 1.2 + 0.05, b), "draws shifted and stretched would go unseen"


def test_auto_chooses_exchanges_finds_true_donors_and_the_effect(
    rng: np.random.Generator, donor_panel: Callable[..., bc.Panel]
) -> None:
    """Three of eight donors are true, 40 periods before: each true weight inside its 99 % interval, and the effect too."""
    weights = [0.5, 0.3, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0]
    model = bc.SyntheticControl(donor_panel(rng, weights, periods=45, effect=2.0), errors="iid")
    tree = bc.fit(model, bc.Auto(draws=500, warmup=200, progress=False), seed=1)
    assert "exchanges" in str(tree.attrs) and "block by block" in str(tree.attrs)
    low, high = tree["posterior"].to_dataset()["weight"].quantile([0.005, 0.995], ("chain", "draw")).values
    assert ((low[:3] <= weights[:3]) & (weights[:3] <= high[:3])).all()
    att = bc.estimate(model, tree, level=0.99)
    assert att.estimand == bc.Estimand("att", "realised") and float(att.lower) < 2.0 < float(att.upper)
    assert float(att.upper) < 4.0 and float(att.lower) > 0.0


def test_a_scale_of_a_power_of_two_changes_not_a_bit(
    rng: np.random.Generator, donor_panel: Callable[..., bc.Panel], posterior_of: Callable[..., xr.Dataset]
) -> None:
    whole = donor_panel(rng, [0.5, 0.5, 0.0, 0.0])
    one = posterior_of(bc.SyntheticControl(whole), ENGINE, 3)
    scaled = bc.SyntheticControl(whole.replace_outcome(8.0 * whole.dataset["outcome"].values))
    eight = posterior_of(scaled, ENGINE, 3)
    for name in ("intercept", "sigma", "counterfactual"):
        np.testing.assert_array_equal(eight[name].values, 8.0 * one[name].values)
    for name in ("weight", "rho", "concentration"):
        np.testing.assert_array_equal(eight[name].values, one[name].values)


def test_many_designs_at_once_say_what_each_says_alone(
    rng: np.random.Generator, donor_panel: Callable[..., bc.Panel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first sweeps of three placebos, two side by side, are those of each in a program of its own, given the same keys."""
    monkeypatch.setattr(gibbs_problems, "LANES", 2)
    model = bc.SyntheticControl(donor_panel(rng, [0.5, 0.5, 0.0, 0.0]))
    sums = [model.sums(model.design.instead(k)) for k in (0, 2, 3)]
    many = sample_problems(model.form(stacked(sums)), draws=5, warmup=0, seed=7)
    alone = programs(model.form(sums[0]))
    number = np.arange(BLOCK)
    with jax.enable_x64(True):
        keys = [jax.random.split(k, (3, 1)) for k in jax.random.split(jax.random.PRNGKey(7), 3)]
        for p, own in enumerate(jax.tree.map(jnp.asarray, sums)):
            _, passed = alone.sweeps(own, alone.first(own, keys[0][p]), keys[1][p], number, number < 0)
            rows = np.resize(np.arange(5), BLOCK)
            sites, _ = alone.sites(own, passed, keys[2][p], rows, number[rows])
            for name, values in sites.items():
                np.testing.assert_allclose(many[name][p], values[:, :5], rtol=1e-7)
    assert len(many["weight"]) == 3
    assert np.abs(many["weight"][0] - many["weight"][1]).max() > 0.01, "two problems that are one would go unseen"
