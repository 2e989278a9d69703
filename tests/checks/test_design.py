"""What the design can carry, each number by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from bayes_causal.checks.design import SHIFTS, few_clusters, identification, log_shift, mde, overlap, twfe_weights
from bayes_causal.data.panel import Panel
from bayes_causal.data.simulate import simulate_panel
from bayes_causal.models.hierarchical_did import HierarchicalDiD

TREE = xr.DataTree()
"""These checks look at the model alone."""


def twfe(panel: Panel, y: np.ndarray | None = None) -> tuple[float, np.ndarray]:
    """Coefficient on the number of active treatments, and the (unit, time) weights of cells in it, on dummies written out."""
    unit, time = np.nonzero(panel.observed)
    active = panel.dataset["treatment"].values[unit, time].sum(1).astype(float)
    x = np.hstack([unit[:, None] == np.unique(unit), time[:, None] == np.arange(1, panel.observed.shape[1])]).astype(float)
    residual = active - x @ np.linalg.lstsq(x, active, rcond=None)[0]
    weight = np.zeros(panel.observed.shape)
    weight[unit, time] = residual * active / (residual @ active)
    y = panel.dataset["outcome"].values if y is None else y
    return float(residual @ y[unit, time] / (residual @ active)), weight


def test_identified_groups_pass(good: HierarchicalDiD) -> None:
    found = identification(good, TREE)
    assert found.passed and found.numbers == {"overall": 1.0, "groups": 2, "groups_not_identified": 0}


def test_groups_that_cannot_be_told_apart_are_named(cohorts: Callable[..., Panel]) -> None:
    panel = cohorts([4, 4, 6, 6, 0, 0])
    active = np.zeros((6, 8, 3), bool)
    active[:2, 4:, :2] = True
    active[2:4, 6:, 2] = True
    found = identification(HierarchicalDiD(panel.replace_treatment(active, ["spring", "summer", "autumn"]), effect="group"), TREE)
    assert found.passed is False and not found.blocks
    assert found.numbers["groups_not_identified"] == 2
    assert "spring, summer" in found.text and "autumn" not in found.text


def posterior_tree(model: HierarchicalDiD, sd: float, rng: np.random.Generator) -> xr.DataTree:
    draws = 0.4 + sd * rng.standard_normal((4, 500, len(model.structure.column_names)))
    posterior = xr.Dataset({"coefficient": (("chain", "draw", "column"), draws)}, {"chain": range(4), "draw": range(500)})
    return xr.DataTree.from_dict({"posterior": posterior})


def test_mde_by_hand(good: HierarchicalDiD, rng: np.random.Generator) -> None:
    """z of 95 % plus z of 80 % times the posterior sd; information, never a failure."""
    tree = posterior_tree(good, 0.25, rng)
    found = mde(good, tree)
    sd = tree["posterior"]["coefficient"].values.std(ddof=1)
    assert found.passed is None and found.severity == "info"
    assert found.numbers["mde"] == pytest.approx((1.6448536 + 0.8416212) * sd)
    assert found.numbers["mde_in_sd"] == pytest.approx(found.numbers["mde"] / good.panel.scale)
    assert found.numbers["treated_share"] == pytest.approx(good.panel.treated.mean())
    assert mde(good, tree, level=0.95).numbers["mde"] == pytest.approx((1.9599640 + 0.8416212) * sd)


def test_an_effect_of_that_size_is_found_four_times_in_five(rng: np.random.Generator) -> None:
    """What the number promises: 200,000 normal estimates, error of the share 0.0009; five of those allowed."""
    sd = 0.3
    smallest = (stats.norm.ppf(0.95) + 0.8416212335729143) * sd
    found = np.abs(smallest + sd * rng.standard_normal(200_000)) > stats.norm.ppf(0.95) * sd
    assert abs(found.mean() - 0.8) < 0.0045


@pytest.mark.parametrize(
    ("starts", "clusters", "passed"),
    [
        ([4] * 20 + [0] * 40, 0, True),
        ([4] * 8 + [0] * 52, 0, False),
        ([4] * 10 + [0] * 20, 0, False),
        ([4] * 20 + [0] * 40, 6, False),
    ],
)
def test_few_clusters(starts: list[int], clusters: int, passed: bool, cohorts: Callable[..., Panel]) -> None:
    found = few_clusters(HierarchicalDiD(cohorts(starts, clusters=clusters)), TREE)
    assert found.passed is passed and not found.blocks
    assert found.numbers["clusters"] == (clusters or len(starts))
    assert found.numbers["treated_clusters"] == (clusters or sum(s > 0 for s in starts))
    assert ("rank at most 6" in found.text) == (clusters == 6)


def test_overlap_by_loops() -> None:
    panel, _ = simulate_panel(units=20, periods=8, groups=3, overlapping=True, duration=3, missing=0.2, seed=3)
    active = panel.dataset["treatment"].values.sum(2)
    counts = [active[u, t] for u, t in np.argwhere(panel.observed) if active[u, t]]
    found = overlap(HierarchicalDiD(panel), TREE)
    assert found.passed is None and found.severity == "info"
    assert found.numbers["overlapping_share"] == pytest.approx(np.mean(np.array(counts) > 1))
    assert (found.numbers["most_at_once"], found.numbers["mean_active"]) == (max(counts), pytest.approx(np.mean(counts)))


def test_no_overlap_passes(good: HierarchicalDiD) -> None:
    assert overlap(good, TREE).passed


def test_one_date_has_no_negative_weights(cohorts: Callable[..., Panel]) -> None:
    found = twfe_weights(HierarchicalDiD(cohorts([4] * 6 + [0] * 6)), TREE)
    assert found.passed and found.numbers["negative_cells"] == 0


def test_negative_weights_are_found_and_weighed(cohorts: Callable[..., Panel]) -> None:
    """Early adopters late on are controls for late ones: with few never treated, their weights turn negative."""
    panel = cohorts([1] * 8 + [6] * 6 + [0])
    found = twfe_weights(HierarchicalDiD(panel), TREE)
    coefficient, weight = twfe(panel)
    assert found.passed is False and found.severity == "warning" and not found.blocks
    assert found.numbers["negative_weight"] == pytest.approx(weight[weight < 0].sum())
    assert found.numbers["negative_cells"] == (weight < 0).sum()
    assert found.numbers["coefficient"] == pytest.approx(coefficient)
    assert sum(r["sum_of_weights"] for r in found.table) == pytest.approx(1.0)


def logged(
    cohorts: Callable[..., Panel], rng: np.random.Generator, zeros: float, name: str = "log_sales", effect: float = 0.2
) -> Panel:
    """log(1 + x) where x is zero in a share of the cells, less often under treatment."""
    panel = cohorts([4] * 30 + [0] * 30, name=name)
    y = 4.0 + 0.2 * panel.dataset["outcome"].values + effect * panel.treated
    bought = rng.random(y.shape) >= zeros * np.where(panel.treated, 0.5, 1.0)
    return panel.replace_outcome(np.where(bought, y, 0.0))


def test_an_effect_on_the_extensive_margin_hangs_on_the_shift(cohorts: Callable[..., Panel], rng: np.random.Generator) -> None:
    panel = logged(cohorts, rng, 0.4)
    found = log_shift(HierarchicalDiD(panel), TREE)
    assert found.passed is False and not found.blocks and "no percentage" in found.text
    x = np.expm1(panel.dataset["outcome"].values)
    for c in SHIFTS:
        assert found.numbers[f"effect_with_shift_{c:g}"] == pytest.approx(twfe(panel, np.log(c + x))[0])
    assert found.numbers["share_of_zeros"] == pytest.approx((x == 0).mean())


def test_one_zero_in_a_thousand_hardly_matters(cohorts: Callable[..., Panel], rng: np.random.Generator) -> None:
    panel = logged(cohorts, rng, 0.0, effect=1.0)
    y = panel.dataset["outcome"].values.copy()
    y[0, 0] = 0.0
    found = log_shift(HierarchicalDiD(panel.replace_outcome(y)), TREE)
    assert found.passed and "hardly depends" in found.text


def test_no_zeros_no_shift(cohorts: Callable[..., Panel], rng: np.random.Generator) -> None:
    found = log_shift(HierarchicalDiD(logged(cohorts, rng, 0.0)), TREE)
    assert found.passed and found.numbers == {"share_of_zeros": 0.0}


def test_an_outcome_that_is_no_logarithm(cohorts: Callable[..., Panel], rng: np.random.Generator) -> None:
    assert log_shift(HierarchicalDiD(logged(cohorts, rng, 0.4, name="sales")), TREE).passed is None


@pytest.mark.parametrize("check", [identification, few_clusters, overlap, twfe_weights, log_shift])
def test_models_without_a_panel(check: Any) -> None:
    found = check(object(), TREE)
    assert found.passed is None and found.text.startswith("Does not apply")
