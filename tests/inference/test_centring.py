"""Other coordinates, the same posterior: densities differ by the Jacobian and by nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from bayes_causal.data.simulate import simulate_panel
from bayes_causal.inference.centring import PartlyCentred, dense_sites
from bayes_causal.inference.generate import latent_sites, prior_sites
from bayes_causal.inference.numpyro_nuts import NumpyroNuts
from bayes_causal.models.did_sampling import share
from bayes_causal.models.hierarchical_did import HierarchicalDiD


@pytest.fixture(scope="module")
def counts() -> HierarchicalDiD:
    panel, _ = simulate_panel(units=12, periods=8, groups=3, seed=2, sigma=0.3)
    mean = np.exp(2 + panel.dataset["outcome"].values)
    return HierarchicalDiD(panel.replace_outcome(np.random.default_rng(1).poisson(mean)), effect="group", family="poisson")


def density(program: Callable[[], None], sites: dict[str, Any]) -> float:
    from numpyro.infer.util import log_density

    with jax.enable_x64(True):
        return float(log_density(program, (), {}, sites)[0])


def test_densities_differ_by_the_jacobian(counts: HierarchicalDiD) -> None:
    """α = m + s^(1−λ) (a − λ m) and z = w / ω^λ, written out; λ between 0 and 1 for units and groups alike."""
    x = {k: v[0] for k, v in prior_sites(counts, 1, 3).items()}
    found = counts.centring()
    (_, unit), (scale, group) = found["alpha"], found["group_offset"]
    assert scale == "omega" and 0 < group.max() < 1 and 0 < unit.max() < 1
    m, s, omega = x["intercept"] + counts.design.unit_terms @ x["delta"], x["sigma_unit"], x["omega"]
    moved = {k: v for k, v in x.items() if k not in ("alpha", "group_offset")}
    moved["alpha_decentered"] = (x["alpha"] - m) / s ** (1 - unit) + unit * m
    moved["group_offset_stretched"] = x["group_offset"] * omega**group
    jacobian = ((1 - unit) * np.log(s)).sum() - (group * np.log(omega)).sum()
    plain = density(counts.numpyro_model, x)
    assert density(PartlyCentred(counts.numpyro_model, found), moved) == pytest.approx(plain + jacobian, rel=1e-9)
    assert abs(jacobian) > 1e-6 * abs(plain), "a forgotten Jacobian would go unseen"


def test_draws_are_of_the_sites_of_the_model(counts: HierarchicalDiD) -> None:
    draws = NumpyroNuts(draws=5, warmup=5, chains=1, progress=False, max_tree_depth=3).sample(counts, seed=1)
    assert set(draws.sites) == set(latent_sites(counts.numpyro_model))


def test_the_smallest_sites_are_adapted_together(counts: HierarchicalDiD) -> None:
    names = dense_sites(PartlyCentred(counts.numpyro_model, counts.centring()))
    assert {"tau", "omega", "group_offset_stretched", "alpha_decentered"} <= set(names) and "alpha" not in names


def test_what_data_say_little_of_is_not_centred() -> None:
    """Nothing below two units of information a unit of prior precision; ever more above."""
    assert share(np.array([0.0, 7.9, 8.1, 400.0]), 0.5) == pytest.approx([0.0, 0.0, 8.1 / 12.1, 100 / 101])
