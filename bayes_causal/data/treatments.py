"""Who is under which treatment when: arrays (unit, time, group) from columns, cohorts and exposures, and the event clock."""

from __future__ import annotations

import numpy as np


def from_rows(
    unit: np.ndarray, time: np.ndarray, group: np.ndarray, active: np.ndarray, shape: tuple[int, int, int]
) -> np.ndarray:
    """Treatment of the cells that have a row.

    Parameters
    ----------
    unit, time, group : (N,) int arrays
        Positions of each row; the group of an inactive row is not read.
    active : (N,) bool array
    shape : (units, periods, groups)

    Returns
    -------
    (unit, time, group) bool array
    """
    treatment = np.zeros(shape, bool)
    treatment[unit[active], time[active], group[active]] = True
    return treatment


def carry_forward(treatment: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Cells without a row take the unit's last known status, so that a missing row does not end a spell.

    Parameters
    ----------
    treatment : (unit, time, group) bool array
    present : (unit, time) bool array
        Cells that have a row.
    """
    position = np.where(present, np.arange(present.shape[1]), -1)
    last = np.maximum.accumulate(position, axis=1)
    carried = np.take_along_axis(treatment, np.maximum(last, 0)[:, :, None], axis=1)
    return carried & (last >= 0)[:, :, None]


def from_cohorts(first: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Treatment that starts at a unit's cohort and stays on.

    Parameters
    ----------
    first : (unit,) array of the type of `labels`
        First treated time; NaN or NaT is never.
    labels : (time,) array
        Sorted time labels.

    Returns
    -------
    (unit, time, 1) bool array
    """
    return (labels[None, :] >= first[:, None])[:, :, None]


def from_spells(
    unit: np.ndarray, group: np.ndarray, start: np.ndarray, end: np.ndarray, labels: np.ndarray, units: int, groups: int
) -> np.ndarray:
    """Treatment from rows (unit, group, start, end), both ends inclusive; spells may overlap.

    Parameters
    ----------
    unit, group : (E,) int arrays
        Positions.
    start, end : (E,) arrays of the type of `labels`
    labels : (time,) array
        Sorted time labels.

    Returns
    -------
    (unit, time, group) bool array
    """
    first = np.searchsorted(labels, start, side="left")
    after = np.maximum(np.searchsorted(labels, end, side="right"), first)
    change = np.zeros((units, len(labels) + 1, groups), np.int32)
    np.add.at(change, (unit, first, group), 1)
    np.add.at(change, (unit, after, group), -1)
    return change.cumsum(axis=1)[:, :-1] > 0


def event_time(treatment: np.ndarray, period: np.ndarray) -> np.ndarray:
    """Periods since onset, spell by spell.

    Active cells count from the start of the spell that is running (0, 1, ...). Inactive cells before a coming spell of the same
    group count down to it (..., -2, -1), also between two spells. Cells after a group's last spell, and units it never treats,
    are NaN.

    Parameters
    ----------
    treatment : (unit, time, group) bool array
    period : (time,) int array

    Returns
    -------
    (unit, time, group) float32 array
    """
    periods = treatment.shape[1]
    starts = treatment.copy()
    starts[:, 1:] &= ~treatment[:, :-1]
    at = np.arange(periods, dtype=np.int32)[None, :, None]
    running = np.maximum.accumulate(np.where(starts, at, -1), axis=1)
    coming = np.minimum.accumulate(np.where(starts, at, periods)[:, ::-1], axis=1)[:, ::-1]
    onset = np.where(treatment, running, coming)
    clock = (period[None, :, None] - period[np.minimum(onset, periods - 1)]).astype(np.float32)
    return np.where(onset < periods, clock, np.float32(np.nan))
