"""The headline without each group, cohort or unit: what is said is what the rule found, and what was planted is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

from bayes_causal.checks import influence
from bayes_causal.checks.base import Check
from bayes_causal.checks.influence import leaning, leave_one_out, left_out
from bayes_causal.data.panel import Panel
from bayes_causal.data.simulate import inject_lift, simulate_panel
from bayes_causal.errors import StudyError
from bayes_causal.estimates import Estimand
from bayes_causal.inference.collapsed import Collapsed
from bayes_causal.inference.fit import fit
from bayes_causal.models.hierarchical_did import HierarchicalDiD

ENGINE = Collapsed(draws=500)


def checked(panel: Panel, **options: Any) -> Check:
    model = HierarchicalDiD(panel, errors="iid")
    return leave_one_out(model, fit(model, ENGINE, seed=1), **options)


@pytest.fixture(scope="module")
def alike() -> Panel:
    """Four groups with one effect."""
    return simulate_panel(units=60, periods=10, groups=4, effect=1.0, rho=0.0, sigma=0.5, seed=11)[0]


@pytest.fixture(scope="module")
def found(alike: Panel) -> Check:
    return checked(alike)


def test_effects_that_are_alike_pass(found: Check) -> None:
    assert found.passed and found.severity == "warning" and found.text.startswith("No single group carries the answer")
    assert found.numbers["left_out"] == found.numbers["possible"] == 4 == len(found.table)
    assert found.numbers["lowest"] <= found.numbers["att"] <= found.numbers["highest"]
    changes = [abs(row["change_in_sd"]) for row in found.table]
    assert changes == sorted(changes, reverse=True)


def test_a_group_that_carries_the_answer_is_named(alike: Panel) -> None:
    groups = alike.dataset["group"].values.tolist()
    panel, _ = inject_lift(alike, dict.fromkeys(groups, 0.0) | {groups[2]: 3.0})
    found = checked(panel)
    assert found.passed is False and not found.blocks
    assert found.text.startswith(f"The answer leans on group {groups[2]}. Without the ") and "farther than chance" in found.text
    worst = found.table[0]
    assert worst["group"] == str(groups[2]) and worst["att_without"] == pytest.approx(1.0, abs=0.4)
    assert found.numbers["beyond_chance"] >= 1


@pytest.mark.slow
@pytest.mark.parametrize(("errors", "options"), [("ar1", {}), ("iid", {"weighted": True, "missing": 0.2})])
def test_it_is_what_a_new_fit_without_them_says(errors: Any, options: dict[str, Any], seed: int) -> None:
    """A fit of the rest alone also learns scales anew: means agree within a quarter of an sd, sds within a third."""
    panel = simulate_panel(units=60, periods=8, groups=3, effect=1.0, spread=0.3, seed=seed, **options)[0]
    model = HierarchicalDiD(panel, errors=errors)
    found = leave_one_out(model, fit(model, ENGINE, seed=1))
    left = left_out(model, None, 30)
    for row in found.table:
        again = model.variant(panel=panel.select(units=~left.members[left.labels.index(row["group"])]))
        sites = ENGINE.sample(again, seed=2).sites
        att = again.natural(sites)["att"]
        assert abs(row["att_without"] - att.mean()) < 0.25 * att.std()
        assert row["std_error"] == pytest.approx(att.std(), rel=1 / 3)


def test_only_so_many_are_left_out_and_that_is_said(alike: Panel) -> None:
    found = checked(alike, by="unit", most=5)
    assert found.passed and found.numbers["left_out"] == 5 < found.numbers["possible"]
    assert "5 of " in found.text and "those with most treated cells, left out in turn" in found.text
    assert abs(found.numbers["largest_change_in_sd"]) < 0.7


@pytest.mark.parametrize(
    ("changes", "sds", "passed", "starts"),
    [
        ((0.5, -0.5), 1.01, True, "No single group carries the answer: the att stays inside the 90% interval"),
        ((2.0, -0.5), 3.0, None, "Without the 10 units of group 0, with 60% of the treated cells, the att is"),
        ((-0.5, 2.0), 1.01, False, "The answer leans on group 1. Without the 10 units of group 1, with 40%"),
        ((-2.5, 2.0), 1.01, False, "The answer leans on group 0. Without"),
    ],
    ids=["inside", "chance", "far", "both"],
)
def test_words_and_rule_agree(
    changes: tuple[float, float],
    sds: float,
    passed: bool | None,
    starts: str,
    good: HierarchicalDiD,
    good_tree: xr.DataTree,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Changes in sds of the whole, and the sd of what is left, set by hand."""
    draws = good.effect(good_tree["posterior"].to_dataset(), Estimand()).values.ravel()
    noise = (draws - draws.mean()) / draws.std()
    made = draws.mean() + draws.std() * np.stack([noise, *(c + sds * noise for c in changes)])
    monkeypatch.setattr(influence, "_atts", lambda *_: made)
    found = leave_one_out(good, good_tree)
    assert found.passed is passed and found.text.startswith(starts)
    assert (found.numbers["beyond_chance"] > 0) == (passed is False) and (found.numbers["outside_interval"] > 0) == (not passed)
    assert ("no farther than chance may take it" in found.text) == (passed is None)
    assert ("the same holds of 1" in found.text) == (changes == (-2.5, 2.0))


def test_equal_effects_are_called_unequal_no_more_often_than_the_level_says(rng: np.random.Generator) -> None:
    """Ten thousand answers that weigh estimates of five groups with one effect by their precision: at most one in ten."""
    precision = np.array([1.0, 2.0, 3.0, 4.0, 10.0])
    estimates = rng.standard_normal((10_000, 5)) / np.sqrt(precision)
    whole = estimates @ precision / precision.sum()
    rest = precision.sum() - precision
    change = (whole[:, None] * precision.sum() - estimates * precision) / rest - whole[:, None]
    sd = 1 / np.sqrt(precision.sum())
    alarms = [leaning(c, 1 / np.sqrt(rest), sd, (-1.645 * sd, 1.645 * sd), 0.9)[1].any() for c in change]
    assert 0.0 < np.mean(alarms) < 0.1 + 4 * np.sqrt(0.09 / 10_000)


def test_cohorts_where_there_is_one_group(cohorts: Callable[..., Panel]) -> None:
    found = checked(cohorts([3] * 6 + [5] * 6 + [0] * 12))
    assert [set(row) & {"cohort"} for row in found.table] == [{"cohort"}] * 2
    assert {row["cohort"] for row in found.table} == {"3", "5"} and {row["units"] for row in found.table} == {6}


def test_units_where_there_is_one_cohort(cohorts: Callable[..., Panel]) -> None:
    found = checked(cohorts([3] * 4 + [0] * 8))
    assert {row["unit"] for row in found.table} == {"0", "1", "2", "3"} and "each of the 4 units left out in turn" in found.text


def test_what_nothing_stands_without_is_not_left_out(cohorts: Callable[..., Panel]) -> None:
    """Two cohorts and nobody never treated: without either, the other has no controls."""
    found = checked(cohorts([3] * 6 + [5] * 6))
    assert found.passed is None and found.text == "Does not apply: without cohort 3, 5 no effect would be identified."
    three = checked(cohorts([2] * 3 + [4] * 3 + [6] * 3))
    assert three.numbers["left_out"] == 3, "two cohorts are each other's controls"


def test_one_treated_unit_does_not_apply(cohorts: Callable[..., Panel]) -> None:
    found = checked(cohorts([3] + [0] * 8))
    assert found.passed is None and "without unit 0 no effect would be identified" in found.text


def test_what_does_not_exist_is_refused(good: HierarchicalDiD, good_tree: xr.DataTree) -> None:
    with pytest.raises(StudyError, match=r"leaves out no 'untis' here .*did you mean 'unit'"):
        leave_one_out(good, good_tree, by="untis")  # type: ignore[arg-type]


def test_a_model_that_cannot_leave_out_says_so() -> None:
    found = leave_one_out(object(), xr.DataTree())  # type: ignore[arg-type]
    assert found.passed is None and "no form from which units can be left out" in found.text
