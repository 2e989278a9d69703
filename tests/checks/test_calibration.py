"""Simulation-based calibration of the model, and of wrong ones that it must catch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import bayes_causal as bc
from bayes_causal.checks.calibration import calibration, simulate_and_refit
from bayes_causal.inference import programs
from bayes_causal.numerics import linear_gaussian, panel_sums


@pytest.fixture(scope="module")
def panel() -> bc.Panel:
    return bc.simulate_panel(units=24, periods=8, groups=3, effect=0.5, rho=0.4, seed=1)[0]


@pytest.mark.parametrize("effect", ["group", "event_time"])
def test_posteriors_are_calibrated(panel: bc.Panel, effect: str, seed: int) -> None:
    """200 replicates; Holm over the quantities: a right model fails once in 1,000 seeds, and the seed is fixed."""
    refits = simulate_and_refit(bc.HierarchicalDiD(panel, effect=effect), replicates=200, seed=seed)
    assert refits["trusted"].mean() > 0.97
    assert {"att", "omega", "rho", "sigma"} <= set(refits["quantity"].values)
    found = calibration(refits, error_rate=0.001)
    assert found.passed, found.text


@pytest.mark.slow
def test_posteriors_are_calibrated_over_many_replicates(panel: bc.Panel, seed: int) -> None:
    """2,000 replicates, error rate 0.001."""
    refits = simulate_and_refit(bc.HierarchicalDiD(panel, effect="group"), replicates=2000, seed=seed)
    found = calibration(refits, error_rate=0.001)
    assert found.passed, found.text


@pytest.fixture
def fresh_programs() -> Iterator[None]:
    """Compile anew, before and after: compiled programs do not see what is patched underneath them."""
    programs.forget()
    yield
    programs.forget()


FAULTS = {
    "the determinant of the AR(1) covariance is left out": ("log_variance", lambda rho, sums, gaps: 0.0 * rho),
    "the first row of a unit is not drawn from the stationary distribution": (
        "product_weights",
        lambda rho, gaps: [1.0 + 0.0 * rho, *panel_sums.product_weights(rho, gaps)[1:]],
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.usefixtures("fresh_programs")
def test_a_wrong_density_is_caught(panel: bc.Panel, fault: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    name, wrong = FAULTS[fault]
    monkeypatch.setattr(linear_gaussian, name, wrong)
    found = calibration(simulate_and_refit(bc.HierarchicalDiD(panel, effect="group"), replicates=200, seed=seed))
    assert found.passed is False, fault
    assert found.blocks


def test_uniform_ranks_pass_and_shifted_ranks_fail(rng: np.random.Generator) -> None:
    import xarray as xr

    def refits(rank: np.ndarray) -> xr.Dataset:
        both = ("quantity", "replicate")
        zeros = np.zeros(rank.shape)
        quantile = ((*both, "level"), np.stack([zeros - 1, zeros - 1, zeros + 1, zeros + 1], -1))
        variables = {
            "truth": (both, zeros),
            "rank": (both, rank),
            "quantile": quantile,
            "trusted": ("replicate", np.ones(rank.shape[1], bool)),
        }
        return xr.Dataset(variables, {"quantity": ["a", "b"], "level": [0.05, 0.25, 0.75, 0.95]}, {"draws": 99})

    even = rng.integers(0, 100, (2, 500))
    assert calibration(refits(even), error_rate=0.001).passed
    narrow = np.clip((even - 50) * 2 + 50, 0, 99)
    assert not calibration(refits(narrow), error_rate=0.001).passed
