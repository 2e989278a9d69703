"""The frequency of a regular series: what one step is, how many of them lie between its dates, and the dates that are missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

NANOSECONDS = {"hour": 3_600_000_000_000, "minute": 60_000_000_000, "second": 1_000_000_000}
MONTHS = {1: "month", 3: "quarter", 12: "year"}
DAYS = {1: "day", 7: "week"}
TOLERANCE = 1e-3  # of decimal gaps that are multiples of the smallest
Steps = tuple[str, np.ndarray, Callable[[np.ndarray], np.ndarray]]


@dataclass(frozen=True, eq=False)
class Frequency:
    """A step, and labels counted in it.

    Parameters
    ----------
    name : str
        The step in words: day, business day, week, month, quarter, year, hour, "3 months", "step of 0.25".
    period : (T,) int64 array
        Each label in steps from the first.
    label : callable
        (K,) periods to their (K,) labels.
    """

    name: str
    period: np.ndarray
    label: Callable[[np.ndarray], np.ndarray]

    def missing(self) -> np.ndarray:
        """Periods between the first and the last that no label has."""
        return np.setdiff1d(np.arange(self.period[-1] + 1), self.period)


def frequency(labels: np.ndarray) -> Frequency | None:
    """The frequency of sorted, distinct labels (T,), or None where they have none.

    One step is the commonest gap, and every gap is a whole number of them. Dates on one day of the month, or all on month ends,
    count in months; dates that are never on a weekend and mostly a day apart count in business days; other dates in days, hours
    and so on. Labels of which most are missing have no frequency.
    """
    found = None
    if len(labels) < 3:
        return None
    if labels.dtype.kind == "M":
        found = _months(labels) or _business_days(labels) or _durations(labels)
    elif labels.dtype.kind == "f":
        found = _decimals(labels)
    elif labels.dtype.kind == "i":
        found = _whole(labels.astype(np.int64))
    if found is None or found[1][-1] + 1 > 2 * len(labels):
        return None
    name, period, label = found
    return Frequency(name, period.astype(np.int64), label)


def _months(labels: np.ndarray) -> Steps | None:
    month = labels.astype("datetime64[M]")
    within = labels - month.astype(labels.dtype)
    length = (month + 1).astype(labels.dtype) - month.astype(labels.dtype)
    to_end = length - within
    day = np.timedelta64(1, "D")
    if not (within == within[0]).all() and not ((to_end == to_end[0]).all() and to_end[0] <= day):
        return None
    count = month.astype(np.int64)
    step = _common_step(count)
    if step is None:
        return None
    same_day, first, offset = bool((within == within[0]).all()), month[0], within[0]

    def label(period: np.ndarray) -> np.ndarray:
        start = first + period * step
        return start.astype(labels.dtype) + offset if same_day else (start + 1).astype(labels.dtype) - to_end[0]

    return MONTHS.get(step, f"{step} months"), (count - count[0]) // step, label


def _business_days(labels: np.ndarray) -> Steps | None:
    day = labels.astype("datetime64[D]")
    within = labels - day.astype(labels.dtype)
    gaps = np.diff(day).astype(np.int64)
    if (within != within[0]).any() or not np.is_busday(day).all() or _commonest(gaps) != 1 or gaps.max() < 3:
        return None
    first, offset = day[0], within[0]
    period = np.busday_count(first, day)
    return "business day", period, lambda p: np.busday_offset(first, p).astype(labels.dtype) + offset


def _durations(labels: np.ndarray) -> Steps | None:
    count = labels.astype("datetime64[ns]").astype(np.int64)
    step = _common_step(count)
    if step is None:
        return None
    whole = next(((n, unit) for unit, n in NANOSECONDS.items() if step % n == 0), (1, "nanosecond"))
    in_days, rest = divmod(step, 24 * NANOSECONDS["hour"])
    name = _counted(step // whole[0], whole[1]) if rest else DAYS.get(in_days, f"{in_days} days")
    first, dtype = count[0], labels.dtype
    return name, (count - first) // step, lambda p: (first + p * step).astype("datetime64[ns]").astype(dtype)


def _whole(labels: np.ndarray) -> Steps | None:
    step = _common_step(labels)
    if step is None:
        return None
    first = labels[0]
    return "step" if step == 1 else f"step of {step}", (labels - first) // step, lambda p: first + p * step


def _decimals(labels: np.ndarray) -> Steps | None:
    gaps = np.diff(labels)
    step = gaps.min()
    multiples = np.round(gaps / step)
    if np.abs(gaps / step - multiples).max() > TOLERANCE or _commonest(multiples) != 1:
        return None
    period = np.concatenate([[0.0], np.cumsum(multiples)])
    step, first = (labels[-1] - labels[0]) / period[-1], labels[0]
    return f"step of {step:.4g}", period, lambda p: first + p * step


def _common_step(count: np.ndarray) -> int | None:
    """The commonest gap, where every gap is a whole number of them."""
    gaps = np.diff(count)
    step = int(np.gcd.reduce(gaps))
    return step if _commonest(gaps) == step else None


def _commonest(gaps: np.ndarray) -> float:
    values, counts = np.unique(gaps, return_counts=True)
    return float(values[counts.argmax()])


def _counted(n: int, unit: str) -> str:
    return unit if n == 1 else f"{n} {unit}s"
