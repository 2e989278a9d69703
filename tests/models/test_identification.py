"""Identification is computed from the panel, not assumed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bayes_causal.data.panel import Panel
from bayes_causal.errors import IdentificationError
from bayes_causal.models.hierarchical_did import HierarchicalDiD
from bayes_causal.models.panel_design import in_row_space, within_gram

NEVER = 0


@pytest.mark.parametrize("starts", [[5] * 6, [3] * 6])
def test_one_cohort_without_controls_is_refused(
    starts: list[int], staggered: Callable[..., Panel], rng: np.random.Generator
) -> None:
    with pytest.raises(IdentificationError, match=r"not identified.*add units"):
        HierarchicalDiD(staggered(starts, rng))


@pytest.mark.parametrize("starts", [[5, 5, 5, 5, 5, NEVER], [5, 5, 5, 3, 3, 3]])
def test_one_control_or_another_date_is_enough(
    starts: list[int], staggered: Callable[..., Panel], rng: np.random.Generator
) -> None:
    labels, identified = HierarchicalDiD(staggered(starts, rng)).identified()
    assert identified.tolist() == [True] and labels.size == 1


def test_a_treatment_on_and_off_for_all_alike_is_refused(staggered: Callable[..., Panel], rng: np.random.Generator) -> None:
    panel = staggered([5] * 6, rng)
    active = np.zeros((6, 8, 1), bool)
    active[:, [2, 3, 6]] = True
    with pytest.raises(IdentificationError):
        HierarchicalDiD(panel.replace_treatment(active))


@pytest.mark.parametrize("errors", ["iid", "ar1"])
def test_leads_need_never_treated_units(errors: Any, staggered: Callable[..., Panel], rng: np.random.Generator) -> None:
    """Without them a linear trend in event time is a linear trend in time plus one in onset."""
    options: dict[str, Any] = {"effect": "event_time", "errors": errors}
    assert not HierarchicalDiD(staggered([3, 3, 5, 5, 6, 6], rng), **options).leads_identified()
    assert HierarchicalDiD(staggered([3, 3, 5, 5, 6, NEVER], rng), **options).leads_identified()


def test_a_model_without_leads_has_none_identified(staggered: Callable[..., Panel], rng: np.random.Generator) -> None:
    assert not HierarchicalDiD(staggered([3, 5, NEVER], rng), effect="constant").leads_identified()


def test_groups_that_always_run_together_are_not_told_apart(staggered: Callable[..., Panel], rng: np.random.Generator) -> None:
    """The sum of two groups active in the same cells is identified, neither group's own effect is, a third one's is."""
    panel = staggered([4, 4, 6, 6, NEVER, NEVER], rng)
    active = np.zeros((6, 8, 3), bool)
    active[:2, 4:, :2] = True
    active[2:4, 6:, 2] = True
    model = HierarchicalDiD(panel.replace_treatment(active, ["a", "b", "c"]), effect="group")
    labels, by_group = model.identified("group")
    assert dict(zip(labels.tolist(), by_group.tolist(), strict=True)) == {"a": False, "b": False, "c": True}
    assert model.identified()[1].tolist() == [True]


def test_a_last_cohort_is_not_identified_without_controls(staggered: Callable[..., Panel], rng: np.random.Generator) -> None:
    """With free effects by period, the last cohort has nothing left to compare with once all are treated."""
    model = HierarchicalDiD(staggered([3, 3, 6, 6], rng), effect="cohort_time")
    labels, by_time = model.identified("time")
    assert dict(zip(labels.tolist(), by_time.tolist(), strict=True)) == {3: True, 4: True, 5: True, 6: False, 7: False}


@pytest.mark.parametrize("kind", ["balanced", "everything"])
def test_within_gram_is_that_of_residuals_on_dummies(kind: str, make_panel: Callable[..., Panel]) -> None:
    d = HierarchicalDiD(make_panel(kind), effect="event_time").design
    dummies = np.hstack([d.unit[:, None] == np.arange(d.n_units), d.time[:, None] == np.arange(1, d.n_times)])
    x, z = d.sqrt_weight[:, None] * dummies, d.sqrt_weight[:, None] * d.effect
    residual = z - x @ np.linalg.lstsq(x, z, rcond=None)[0]
    assert within_gram(d, d.effect) == pytest.approx(residual.T @ residual, abs=1e-9)


def test_in_row_space_by_construction(rng: np.random.Generator) -> None:
    """Three columns, the third the sum of the others: only contrasts orthogonal to (1, 1, −1) are identified."""
    x = rng.standard_normal((20, 2))
    x = np.column_stack([x, x.sum(1)])
    contrasts = np.array([[1.0, 0.0, 1.0], [1.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    assert in_row_space(x.T @ x, contrasts, np.linalg.norm(x, axis=0)).tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"effect": "groups"}, "did you mean 'group'"),
        ({"errors": "ar2"}, "did you mean 'ar1'"),
        ({"time_effects": "walk"}, "time_effects 'walk' does not exist"),
        ({"window": (1,)}, "two counts"),
        ({"window": (-1, 2)}, "two counts"),
    ],
)
def test_options_that_do_not_exist_are_refused(options: dict[str, Any], message: str, make_panel: Callable[..., Panel]) -> None:
    with pytest.raises(ValueError, match=message):
        HierarchicalDiD(make_panel(), **options)


def test_overlapping_treatments_have_no_cohort_time(make_panel: Callable[..., Panel]) -> None:
    with pytest.raises(ValueError, match="overlap"):
        HierarchicalDiD(make_panel("overlapping"), effect="cohort_time").design.effect.sum()
