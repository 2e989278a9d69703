"""What happened before the treatment: trends, anticipation, a dip. Each is planted, and each is seen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from bayes_causal.checks import before_onset
from bayes_causal.checks.before_onset import placebo_panel, placebo_time, pretrend, selection
from bayes_causal.data.panel import Panel
from bayes_causal.estimates import Estimand
from bayes_causal.models.hierarchical_did import HierarchicalDiD

TREE = xr.DataTree()
"""These checks fit their own models."""


def event(panel: Panel) -> np.ndarray:
    """(unit, time) periods since first treatment, NaN for units never treated."""
    first = np.where(panel.ever_treated, panel.first_period, np.nan)
    return panel.dataset["period"].values - first[:, None]


def with_trend(panel: Panel) -> Panel:
    """Treated units drift upwards by 0.4 a period, all the time."""
    return panel.replace_outcome(panel.dataset["outcome"].values + np.nan_to_num(0.4 * event(panel)))


def with_anticipation(panel: Panel) -> Panel:
    """Treated units rise by 1.5 two periods before the treatment, and stay there."""
    return panel.replace_outcome(panel.dataset["outcome"].values + 1.5 * (event(panel) >= -2))


def with_dip(panel: Panel) -> Panel:
    """Treated units are low in the three periods before the treatment."""
    e = event(panel)
    return panel.replace_outcome(panel.dataset["outcome"].values - 1.5 * ((e >= -3) & (e < 0)))


def noise_tree(model: HierarchicalDiD, rng: np.random.Generator) -> xr.DataTree:
    """A posterior of small independent coefficients."""
    draws = 0.1 * rng.standard_normal((2, 500, len(model.structure.column_names)))
    posterior = xr.Dataset({"coefficient": (("chain", "draw", "column"), draws)}, {"chain": range(2), "draw": range(500)})
    return xr.DataTree.from_dict({"posterior": posterior})


def test_parallel_trends_pass_and_a_trend_fails(good: HierarchicalDiD, good_panel: Panel) -> None:
    fine = pretrend(good, TREE, bound=0.5)
    assert fine.passed and fine.numbers["prob_all_within_bound"] > 0.8
    assert fine.numbers["leads"] == len(fine.table) > 3
    found = pretrend(good.variant(panel=with_trend(good_panel)), TREE, bound=0.5)
    assert found.passed is False and not found.blocks and found.severity == "warning"
    assert "moved differently" in found.text
    assert found.numbers["prob_all_within_bound"] < 0.001
    # Relative to −1, a drift of 0.4 a period is −0.4 (−e − 1) at event time e: the farthest lead is the largest.
    assert found.numbers["largest_lead_at"] < -2 and found.numbers["largest_lead"] < -0.6


def test_no_lead_away_from_zero_is_not_yet_equivalence(good: HierarchicalDiD) -> None:
    """Leads known to ± 0.2 cannot rule out trends of 0.1: neither passed nor failed."""
    found = pretrend(good, TREE, bound=0.1)
    assert found.passed is None and not found.blocks and "cannot be ruled out" in found.text
    assert found.numbers["prob_all_within_bound"] < 0.8


def test_the_bound_is_half_the_effect_unless_given(
    good: HierarchicalDiD, good_tree: xr.DataTree, rng: np.random.Generator
) -> None:
    """Half the effect that the verdict is on, also where the leads come from another fit."""
    for model, tree in ((good, good_tree), (event := good.variant(effect="event_time"), noise_tree(event, rng))):
        half = 0.5 * abs(float(model.effect(tree["posterior"].to_dataset(), Estimand()).mean()))
        found = pretrend(model, tree)
        assert found.numbers["bound"] == pytest.approx(half) and ", half the effect, is" in found.text
    assert "half the effect" not in pretrend(good, good_tree, bound=0.3).text


def test_a_model_with_leads_answers_from_its_own_posterior(good: HierarchicalDiD, rng: np.random.Generator) -> None:
    """No refit: the probability is that of the draws in the tree, and two leads in five away from zero fail."""
    model = good.variant(effect="event_time")
    tree = noise_tree(model, rng)
    draws = tree["posterior"]["coefficient"].values
    leads = [k for k, name in enumerate(model.structure.column_names) if "event time -" in name]
    found = pretrend(model, tree, bound=0.25)
    assert found.numbers["prob_all_within_bound"] == pytest.approx((np.abs(draws[..., leads]) < 0.25).all(-1).mean())
    draws[..., leads[:2]] += 1.0
    found = pretrend(model, tree)
    assert found.passed is False and found.numbers["leads_away_from_zero"] >= 2


def test_pretrend_without_never_treated_units_is_not_identified(cohorts: Callable[..., Panel], rng: np.random.Generator) -> None:
    model = HierarchicalDiD(cohorts([3, 3, 4, 4, 5, 5, 6, 6]), effect="event_time", errors="iid")
    found = pretrend(model, noise_tree(model, rng))
    assert found.passed is None and "Not identified" in found.text and not found.blocks


def test_pretrend_without_periods_before_does_not_apply(cohorts: Callable[..., Panel], monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen before anything is fitted."""
    monkeypatch.setattr(before_onset, "_refit", lambda model: pytest.fail("fitted again for leads that do not exist"))
    for effect in ("constant", "event_time"):
        model = HierarchicalDiD(cohorts([1, 1, 1, 0, 0, 0], periods=3), effect=effect, errors="iid")
        found = pretrend(model, TREE)
        assert found.passed is None and "no treated unit is observed two periods before" in found.text


def test_pretrend_of_a_window_without_leads_says_so(cohorts: Callable[..., Panel], rng: np.random.Generator) -> None:
    model = HierarchicalDiD(cohorts([4, 4, 0, 0]), effect="event_time", errors="iid", window=(0, 3))
    found = pretrend(model, noise_tree(model, rng))
    assert found.passed is None and "window of event times leaves no lead" in found.text


def test_no_anticipation_passes_and_anticipation_fails(good: HierarchicalDiD, good_panel: Panel) -> None:
    fine = placebo_time(good, TREE, periods=2)
    assert fine.passed and fine.numbers["lower"] < 0 < fine.numbers["upper"]
    found = placebo_time(good.variant(panel=with_anticipation(good_panel)), TREE, periods=2)
    assert found.passed is False and not found.blocks
    assert found.numbers["placebo_effect"] == pytest.approx(1.5, abs=4 * found.numbers["std_error"])
    assert "something else than the treatment" in found.text


def test_an_effect_after_onset_is_no_anticipation(good: HierarchicalDiD, good_panel: Panel) -> None:
    """Treated cells are set aside: any effect whatever leaves the placebo as it is."""
    lifted = good_panel.replace_outcome(good_panel.dataset["outcome"].values + 50.0 * good_panel.treated)
    a, b = (placebo_time(good.variant(panel=p), TREE, periods=2) for p in (good_panel, lifted))
    assert a.numbers == b.numbers


def test_the_placebo_panel_by_loops(cohorts: Callable[..., Panel]) -> None:
    starts = [5, 5, 3, 1, 0, 0]
    panel = cohorts(starts)
    placebo, length = placebo_panel(panel, 2)  # type: ignore[misc]
    assert length == 2
    treated = placebo.dataset["treatment"].values[..., 0]
    for k, u in enumerate(placebo.dataset["unit"].values):
        for j, t in enumerate(placebo.dataset["time"].values):
            start = starts[u] or 99
            assert placebo.observed[k, j] == (t < start)
            if t < start:
                assert treated[k, j] == (start - 2 <= t and 3 <= start < 99)


def test_placebo_without_periods_before_does_not_apply(cohorts: Callable[..., Panel]) -> None:
    found = placebo_time(HierarchicalDiD(cohorts([1, 1, 0, 0]), errors="iid"), TREE)
    assert found.passed is None and "no treated unit is observed for two periods" in found.text
    found = placebo_time(HierarchicalDiD(cohorts([5, 5, 5, 0, 0, 0]), errors="iid"), TREE, periods=6)
    assert found.passed is None and "more than 6 periods" in found.text


def test_no_dip_passes_and_a_dip_fails(good: HierarchicalDiD, good_panel: Panel) -> None:
    fine = selection(good, TREE)
    assert fine.passed and abs(fine.numbers["change_in_se"]) < 2
    found = selection(good.variant(panel=with_dip(good_panel)), TREE)
    assert found.passed is False and not found.blocks and "a dip just before the treatment" in found.text
    assert found.numbers["change_before_onset"] == pytest.approx(fine.numbers["change_before_onset"] - 1.5)


def test_a_level_gap_alone_is_no_failure(good: HierarchicalDiD, good_panel: Panel) -> None:
    """Unit effects take levels out: treated units two higher throughout change the gap and nothing else."""
    raised = good_panel.replace_outcome(good_panel.dataset["outcome"].values + 2.0 * good_panel.ever_treated[:, None])
    fine, found = selection(good, TREE), selection(good.variant(panel=raised), TREE)
    assert found.passed
    assert found.numbers["level_gap"] == pytest.approx(fine.numbers["level_gap"] + 2.0)
    assert found.numbers["change_before_onset"] == pytest.approx(fine.numbers["change_before_onset"])


def test_the_level_gap_by_hand(good: HierarchicalDiD, good_panel: Panel) -> None:
    y, never = good_panel.dataset["outcome"].values, ~good_panel.ever_treated
    off = y - y[never].mean(0)
    own = [off[u, : int(good_panel.first_period[u])].mean() for u in np.flatnonzero(good_panel.ever_treated)]
    assert selection(good, TREE).numbers["level_gap"] == pytest.approx(np.mean(own))
    assert selection(good, TREE).numbers["level_gap_se"] == pytest.approx(np.std(own, ddof=1) / np.sqrt(len(own)))


def test_selection_needs_never_treated_units_and_a_past(cohorts: Callable[..., Panel]) -> None:
    few = selection(HierarchicalDiD(cohorts([5, 5, 5, 0, 0, 0, 0])), TREE)
    assert few.passed is None and "only 4 units are never treated" in few.text
    short = selection(HierarchicalDiD(cohorts([2, 2, 2, 0, 0, 0, 0, 0])), TREE)
    assert short.passed is None and "Too few treated units" in short.text
