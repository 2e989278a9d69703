"""Checks by name, all of them on one fit, and what a failure of each does to the verdict."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

import pytest
import xarray as xr

from bayes_causal.checks import catalogue
from bayes_causal.checks.base import Check
from bayes_causal.checks.catalogue import CHECKS, check
from bayes_causal.errors import StudyError
from bayes_causal.models.hierarchical_did import HierarchicalDiD


@pytest.fixture(scope="module")
def found(good: HierarchicalDiD, good_tree: xr.DataTree) -> list[Check]:
    return check(good, good_tree)


def test_default_runs_every_default_check_convergence_first(found: list[Check]) -> None:
    assert [c.name for c in found] == [e.name for e in CHECKS.values() if e.default and e.suits("panel", "hierarchical_did")]
    assert found[0].name == "convergence"


def test_a_model_that_is_right_passes_all(found: list[Check]) -> None:
    """40 clusters are too few, which is true; nothing else fails."""
    assert {c.name for c in found if c.passed is False} == {"few_clusters"}
    assert not any(c.blocks for c in found)


def test_every_check_says_something_and_json_can_write_it(found: list[Check]) -> None:
    for c in found:
        assert len(c.text) > 20 and c.text.endswith(".") and "nan" not in c.text
        json.dumps([dict(c.numbers), [dict(r) for r in c.table]])


def test_only_a_failed_blocking_check_blocks() -> None:
    outcomes = {
        (s, p): Check("c", p, s, "").blocks  # type: ignore[arg-type]
        for s in ("info", "warning", "blocking")
        for p in (True, False, None)
    }
    assert {k for k, blocks in outcomes.items() if blocks} == {("blocking", False)}


def test_none_is_convergence_alone(good: HierarchicalDiD, good_tree: xr.DataTree) -> None:
    assert [c.name for c in check(good, good_tree, "none")] == ["convergence"]


def test_names_with_options(good: HierarchicalDiD, good_tree: xr.DataTree) -> None:
    first, second = check(good, good_tree, [{"mde": {"level": 0.99}}, {"convergence": {"ess": 1e9}}])[::-1]
    assert {first.name, second.name} == {"convergence", "mde"}
    gate, power = (first, second) if first.name == "convergence" else (second, first)
    assert gate.blocks and power.numbers["level"] == 0.99
    assert [c.name for c in check(good, good_tree, "overlap")] == ["convergence", "overlap"]


def test_unknown_names_are_all_refused(good: HierarchicalDiD, good_tree: xr.DataTree) -> None:
    with pytest.raises(StudyError) as caught:
        check(good, good_tree, ["pre_trend", "mde", "sélection"])
    assert len(caught.value.problems) == 2 and "did you mean 'pretrend'" in str(caught.value)


def test_no_entry_hides_another() -> None:
    """A name twice would leave one kind of data without its check."""
    names = re.findall(r'CheckEntry\(\s*"(\w+)"', inspect.getsource(catalogue))
    assert sorted(names) == sorted(CHECKS)
    assert CHECKS["leave_one_out"].kinds == ("panel", "time_series")


@pytest.mark.parametrize("name", CHECKS)
def test_every_entry_is_a_function_of_model_and_tree(name: str) -> None:
    function: Any = CHECKS[name].load()
    parameters = list(inspect.signature(function).parameters.values())
    assert [p.name for p in parameters[:2]] == ["model", "tree"]
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in parameters[2:])
    assert function.__name__ == name and function.__doc__
