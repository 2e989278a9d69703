"""Power-scaling sensitivity on a conjugate normal, where every power of the prior has a closed form, and on a real model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from bayes_causal.checks.sensitivity import THRESHOLD, prior_sensitivity
from bayes_causal.data.panel import Panel
from bayes_causal.estimates import Estimand
from bayes_causal.inference.collapsed import Collapsed
from bayes_causal.inference.fit import fit
from bayes_causal.models.hierarchical_did import HierarchicalDiD, Priors


class Conjugate:
    """μ ~ N(0, prior_sd), one observation y ~ N(μ, sd)."""

    name = "conjugate"

    def effect(self, posterior: xr.Dataset, estimand: Estimand) -> xr.DataArray:
        return posterior["mu"]


def conjugate_tree(rng: np.random.Generator, *, prior_sd: float, y: float, sd: float, thinned: int = 1000) -> xr.DataTree:
    """4 × 1,000 exact posterior draws, log densities kept for `thinned` of each chain's."""
    precision = prior_sd**-2 + sd**-2
    mu = y / sd**2 / precision + rng.standard_normal((4, 1000)) / np.sqrt(precision)
    kept = mu[:, np.unique(np.linspace(999, 0, thinned).round().astype(int))]
    sample = ("chain", "draw")
    groups = {
        "posterior": xr.Dataset({"mu": (sample, mu)}),
        "log_prior": xr.Dataset({"mu": (sample, stats.norm.logpdf(kept, 0, prior_sd))}),
        "log_likelihood": xr.Dataset({"y": ((*sample, "piece"), stats.norm.logpdf(y, kept, sd)[..., None])}),
    }
    return xr.DataTree.from_dict(groups)


MODEL: Any = Conjugate()


def test_a_vague_prior_passes(rng: np.random.Generator) -> None:
    found = prior_sensitivity(MODEL, conjugate_tree(rng, prior_sd=20.0, y=1.0, sd=0.5))
    assert found.passed and found.numbers["prior"] < THRESHOLD < found.numbers["likelihood"]


def test_a_strong_prior_against_the_data_disagrees(rng: np.random.Generator) -> None:
    found = prior_sensitivity(MODEL, conjugate_tree(rng, prior_sd=0.5, y=3.0, sd=0.5))
    assert found.passed is False and not found.blocks and "disagree" in found.text
    assert found.numbers["likelihood"] > THRESHOLD


def test_where_the_data_say_little_the_prior_fills_in(rng: np.random.Generator) -> None:
    found = prior_sensitivity(MODEL, conjugate_tree(rng, prior_sd=1.0, y=0.0, sd=8.0))
    assert found.passed is False and "say little" in found.text
    assert found.numbers["likelihood"] < THRESHOLD < found.numbers["prior"]


def test_a_tighter_prior_matters_more(rng: np.random.Generator) -> None:
    found = [
        prior_sensitivity(MODEL, conjugate_tree(rng, prior_sd=s, y=2.0, sd=1.0)).numbers["prior"] for s in (10.0, 2.0, 1.0, 0.5)
    ]
    assert found == sorted(found)


def test_thinned_densities_meet_their_own_draws(rng: np.random.Generator) -> None:
    """Log densities of 250 draws a chain are matched to those draws; matched to others they would show nothing."""
    tree = conjugate_tree(rng, prior_sd=0.5, y=3.0, sd=0.5, thinned=250)
    assert prior_sensitivity(MODEL, tree).passed is False
    shuffled = tree.copy(deep=True)
    shuffled["log_prior"]["mu"].values[:] = rng.permutation(shuffled["log_prior"]["mu"].values.ravel()).reshape(4, 250)
    assert prior_sensitivity(MODEL, shuffled).numbers["prior"] < prior_sensitivity(MODEL, tree).numbers["prior"] / 2


def test_no_likelihood_does_not_apply() -> None:
    assert prior_sensitivity(MODEL, xr.DataTree()).passed is None


def test_the_default_priors_pass(good: HierarchicalDiD, good_tree: xr.DataTree) -> None:
    found = prior_sensitivity(good, good_tree)
    assert found.passed, found.text


def test_a_prior_that_denies_the_effect_is_seen(good_panel: Panel) -> None:
    """An effect of one, and a prior that holds it below a tenth."""
    model = HierarchicalDiD(good_panel, effect="constant", errors="iid", priors=Priors(tau=0.05))
    found = prior_sensitivity(model, fit(model, Collapsed(draws=500), seed=3))
    assert found.passed is False and found.numbers["prior"] > THRESHOLD


@pytest.mark.parametrize("extra", [0.0, -300.0])
def test_constants_in_a_log_density_do_not_matter(extra: float, rng: np.random.Generator) -> None:
    tree = conjugate_tree(rng, prior_sd=0.5, y=3.0, sd=0.5)
    moved = tree.copy(deep=True)
    moved["log_likelihood"]["y"].values[:] += extra
    assert prior_sensitivity(MODEL, moved).numbers == pytest.approx(prior_sensitivity(MODEL, tree).numbers)
