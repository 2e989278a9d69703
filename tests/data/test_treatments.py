from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bayes_causal.data import treatments


def slow_event_time(active: list[bool], period: list[int]) -> list[float]:
    """The definition, one cell at a time: one unit, one group."""
    onsets = [t for t in range(len(active)) if active[t] and (t == 0 or not active[t - 1])]
    clock = []
    for t in range(len(active)):
        if active[t]:
            clock.append(period[t] - period[max(o for o in onsets if o <= t)])
        else:
            coming = [o for o in onsets if o > t]
            clock.append(period[t] - period[min(coming)] if coming else np.nan)
    return clock


@given(
    arrays(bool, st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 3))),
    st.lists(st.integers(1, 4), min_size=9, max_size=9),
)
def test_event_time_is_its_definition(treatment: np.ndarray, gaps: list[int]) -> None:
    period = np.cumsum(gaps)[: treatment.shape[1]]
    clock = treatments.event_time(treatment, period)
    for u, g in np.ndindex(treatment.shape[0], treatment.shape[2]):
        expected = slow_event_time(treatment[u, :, g].tolist(), period.tolist())
        np.testing.assert_array_equal(clock[u, :, g], np.array(expected, np.float32))


def test_event_time_between_two_spells_counts_down_to_the_second() -> None:
    treatment = np.array([0, 1, 1, 0, 0, 1, 0], bool)[None, :, None]
    clock = treatments.event_time(treatment, np.arange(7))[0, :, 0]
    np.testing.assert_array_equal(clock, [-1, 0, 1, -2, -1, 0, np.nan])


def test_event_time_uses_periods_not_positions() -> None:
    clock = treatments.event_time(np.array([0, 0, 1, 1], bool)[None, :, None], np.array([0, 1, 3, 7]))
    np.testing.assert_array_equal(clock[0, :, 0], [-3, -2, 0, 4])


def test_a_missing_row_carries_the_last_status() -> None:
    treatment = np.array([0, 1, 0, 1, 0, 0], bool)[None, :, None]
    present = np.array([0, 1, 0, 1, 0, 1], bool)[None, :]
    carried = treatments.carry_forward(treatment, present)[0, :, 0]
    np.testing.assert_array_equal(carried, [False, True, True, True, True, False])


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(-3, 12), st.integers(0, 12)), max_size=12))
def test_spells_are_the_union_of_their_intervals(spells: list[tuple[int, int, int, int]]) -> None:
    labels = np.array([0, 1, 2, 4, 5, 8, 9])
    expected = np.zeros((4, 7, 3), bool)
    for unit, group, start, length in spells:
        for k, label in enumerate(labels):
            expected[unit, k, group] |= start <= label <= start + length
    unit, group, start, length = np.array(spells, np.int64).reshape(-1, 4).T
    found = treatments.from_spells(unit, group, start, start + length, labels, 4, 3)
    np.testing.assert_array_equal(found, expected)


def test_cohorts_stay_treated_from_their_first_period() -> None:
    found = treatments.from_cohorts(np.array([2004, np.nan, 2001]), np.array([2003, 2004, 2006]))[:, :, 0]
    np.testing.assert_array_equal(found, [[False, True, True], [False] * 3, [True] * 3])
