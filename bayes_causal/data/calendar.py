"""Time labels to whole periods, so that "three periods later" means the same in every panel."""

from __future__ import annotations

import numpy as np


def periods(labels: np.ndarray) -> np.ndarray:
    """Time labels in steps of their own frequency.

    The step is the greatest common divisor of the gaps: years 2003, 2004, 2006 give 0, 1, 3, and 2001, 2003, 2005 give 0, 1, 2.
    Dates on one day of the month, or all on month ends, count in months; other dates in days. Dates and decimal numbers whose
    commonest gap is not their greatest common divisor have no frequency, and count by position.

    Parameters
    ----------
    labels : (T,) array
        Sorted, distinct; whole numbers, decimal numbers, or datetime64.

    Returns
    -------
    (T,) int64 array
        Starts at 0.
    """
    if len(labels) < 2:
        return np.zeros(len(labels), np.int64)
    if labels.dtype.kind == "M":
        return _date_periods(labels.astype("datetime64[ns]"))
    if labels.dtype.kind == "f":
        return _decimal_periods(labels)
    return _by_step(labels.astype(np.int64))


def looks_like_dates(labels: np.ndarray) -> str | None:
    """``"%Y%m"`` or ``"%Y%m%d"`` where whole numbers are dates that cross a year (201712, 201801), else None."""
    if labels.dtype.kind != "i" or len(labels) < 2:
        return None
    for form, month, year, day in (
        ("%Y%m", labels % 100, labels // 100, np.ones_like(labels)),
        ("%Y%m%d", labels // 100 % 100, labels // 10_000, labels % 100),
    ):
        plausible = (year >= 1900) & (year <= 2100) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
        if plausible.all() and (form == "%Y%m%d" or year[0] < year[-1]):
            return form
    return None


def _by_step(steps: np.ndarray) -> np.ndarray:
    offset = steps - steps[0]
    return offset // np.gcd.reduce(np.diff(offset))


def _date_periods(labels: np.ndarray) -> np.ndarray:
    months = labels.astype("datetime64[M]")
    whole_days = labels.astype("datetime64[D]")
    day = (whole_days - months.astype("datetime64[D]")).astype(np.int64)
    last_day = ((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64) - 1
    time_of_day = (labels - whole_days).astype(np.int64)
    distinct = len(np.unique(months)) == len(labels)
    if distinct and (time_of_day == time_of_day[0]).all() and ((day == day[0]).all() or (day == last_day).all()):
        return _by_step(months.astype(np.int64))
    return _by_common_gap(labels.astype(np.int64))


def _by_common_gap(steps: np.ndarray) -> np.ndarray:
    gaps, counts = np.unique(np.diff(steps), return_counts=True)
    if gaps[counts.argmax()] == np.gcd.reduce(gaps):
        return _by_step(steps)
    return np.arange(len(steps), dtype=np.int64)


def _decimal_periods(labels: np.ndarray) -> np.ndarray:
    gaps = np.diff(labels)
    multiples = gaps / gaps.min()
    if np.abs(multiples - np.round(multiples)).max() > 1e-3:
        return np.arange(len(labels), dtype=np.int64)
    return np.concatenate([[0], np.cumsum(np.round(multiples))]).astype(np.int64)
