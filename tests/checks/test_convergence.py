"""The gate: chains that disagree, or are too few draws, or were broken off, take the verdict's place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from bayes_causal.checks.convergence import SHOWN, convergence, parameter_table

MODEL: Any = None
"""The check looks at the tree alone."""


def tree_of(draws: np.ndarray, **stats: np.ndarray) -> xr.DataTree:
    """A tree with one vector parameter (chain, draw, k) and one constant."""
    chains, n, k = draws.shape
    coords = {"chain": range(chains), "draw": range(n), "group": [f"g{j}" for j in range(k)]}
    posterior = xr.Dataset(
        {"tau_group": (("chain", "draw", "group"), draws), "fixed": (("chain", "draw"), np.ones((chains, n)))}, coords
    )
    return xr.DataTree.from_dict(
        {"posterior": posterior, "sample_stats": xr.Dataset({k: (("chain", "draw"), v) for k, v in stats.items()})}
    )


def autocorrelated(rng: np.random.Generator, rho: float, shape: tuple[int, int]) -> np.ndarray:
    x = rng.standard_normal(shape)
    for t in range(1, shape[1]):
        x[:, t] = rho * x[:, t - 1] + np.sqrt(1 - rho**2) * x[:, t]
    return x


def test_independent_draws_pass(rng: np.random.Generator) -> None:
    found = convergence(MODEL, tree_of(rng.standard_normal((4, 1000, 3)), diverging=np.zeros((4, 1000), bool)))
    assert found.passed and not found.blocks and found.severity == "blocking"
    assert 3000 < found.numbers["min_ess_bulk"] < 5500 and found.numbers["max_rhat"] < 1.01
    assert found.numbers["divergences"] == 0
    assert {r["parameter"] for r in found.table} == {"tau_group[g0]", "tau_group[g1]", "tau_group[g2]"}, "constants are left out"


def stuck(rng: np.random.Generator) -> xr.DataTree:
    draws = rng.standard_normal((4, 1000, 3))
    draws[2, :, 1] = 0.3 + 1e-9 * rng.standard_normal(1000)
    return tree_of(draws)


def apart(rng: np.random.Generator) -> xr.DataTree:
    draws = rng.standard_normal((4, 1000, 3))
    draws[0, :, 1] += 0.4
    return tree_of(draws)


def wider(rng: np.random.Generator) -> xr.DataTree:
    """Same mean, another sd: folded R-hat sees it, plain R-hat does not."""
    draws = rng.standard_normal((4, 1000, 3))
    draws[3, :, 1] *= 2
    return tree_of(draws)


def few(rng: np.random.Generator) -> xr.DataTree:
    return tree_of(rng.standard_normal((4, 60, 3)))


def slow(rng: np.random.Generator) -> xr.DataTree:
    draws = rng.standard_normal((4, 1000, 3))
    draws[..., 1] = autocorrelated(rng, 0.95, (4, 1000))
    return tree_of(draws)


def drifting(rng: np.random.Generator) -> xr.DataTree:
    draws = rng.standard_normal((4, 1000, 3))
    draws[..., 1] += np.linspace(-0.7, 0.7, 1000)
    return tree_of(draws)


@pytest.mark.parametrize("fault", [stuck, apart, wider, few, slow, drifting])
def test_bad_chains_block_the_verdict(fault: Any, rng: np.random.Generator) -> None:
    found = convergence(MODEL, fault(rng))
    assert found.passed is False and found.blocks
    assert "Worst parameter: tau_group[" in found.text
    if fault is not few:
        assert found.table[0]["parameter"] == "tau_group[g1]"


def test_one_chain_agrees_with_none(rng: np.random.Generator) -> None:
    """R-hat needs two: a single chain, however good, does not pass the gate; and nothing is said of chains that do not mix."""
    found = convergence(MODEL, tree_of(rng.standard_normal((1, 4000, 3))))
    assert found.blocks and found.text.startswith("There is one chain, and R-hat compares chains")
    assert "not mixed" not in found.text and "nan" not in found.text
    short = convergence(MODEL, tree_of(rng.standard_normal((1, 100, 3))))
    assert "one chain" in short.text and "effective draws for the worst parameter" in short.text


def test_draws_that_are_no_numbers_block(rng: np.random.Generator) -> None:
    draws = rng.standard_normal((4, 1000, 3))
    draws[1, 500:, 1] = np.nan
    found = convergence(MODEL, tree_of(draws))
    assert found.blocks and "Draws of tau_group[g1] are not numbers" in found.text


def test_divergences_block_above_one_in_a_thousand(rng: np.random.Generator) -> None:
    draws = rng.standard_normal((4, 1000, 3))
    for count, passed in ((4, True), (5, False)):
        diverging = np.zeros((4, 1000), bool)
        diverging[0, :count] = True
        found = convergence(MODEL, tree_of(draws, diverging=diverging))
        assert (found.passed, found.numbers["divergences"]) == (passed, count)
    assert "5 divergent draws" in found.text


def test_energy_that_does_not_mix_blocks(rng: np.random.Generator) -> None:
    draws = rng.standard_normal((4, 1000, 3))
    assert convergence(MODEL, tree_of(draws, energy=rng.standard_normal((4, 1000)))).passed
    energy = rng.standard_normal((4, 1000))
    energy[2] = autocorrelated(rng, 0.95, (1, 1000))
    found = convergence(MODEL, tree_of(draws, energy=energy))
    assert found.blocks and found.numbers["min_ebfmi"] < 0.3 and "E-BFMI" in found.text


def test_thresholds_can_be_set(rng: np.random.Generator) -> None:
    tree = tree_of(rng.standard_normal((4, 60, 3)))
    assert convergence(MODEL, tree, ess=100, rhat=1.05).passed
    assert convergence(MODEL, tree, ess=100, rhat=1.0001).blocks


def test_the_table_shows_the_worst_first(rng: np.random.Generator) -> None:
    found = convergence(MODEL, tree_of(rng.standard_normal((4, 500, 30))))
    assert len(found.table) == SHOWN
    rhats = [r["rhat"] for r in found.table]
    assert rhats == sorted(rhats, reverse=True)


def test_parameter_table_by_hand(rng: np.random.Generator) -> None:
    draws = rng.standard_normal((2, 200, 1))
    (row,) = parameter_table(tree_of(draws))
    assert row["mean"] == pytest.approx(draws.mean()) and row["sd"] == pytest.approx(draws.std(ddof=1))
    assert row["mcse_mean"] == pytest.approx(row["sd"] / np.sqrt(row["ess_bulk"]), rel=0.1)


def test_a_posterior_of_constants_alone_is_not_convergence() -> None:
    found = convergence(MODEL, tree_of(np.ones((4, 100, 2))))
    assert found.blocks and found.text == "Every draw is the same: no parameter was sampled."
