"""When a series is before its intervention, when after, and when neither; and whether each part is long enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayes_causal.data.columns import WORDS, Labels, show
from bayes_causal.data.declare_series import SeriesDeclaration

COPY = 1e-9  # of the outcome's largest deviation, by which a copy of it may be off
FEWEST = 5  # observed outcomes before the intervention: level, noise, persistence, and two to spare


@dataclass(frozen=True, eq=False)
class Windows:
    """Spans of time of a series, in the type of its dates; both ends inclusive.

    Parameters
    ----------
    first, last : dates that rows are kept between
    before : last date of the pre-period
    intervention : date from which the outcome may be changed
    after, end : first and last date of the post-period
    """

    first: Any
    before: Any
    intervention: Any
    after: Any
    end: Any
    last: Any

    def kept(self, dates: np.ndarray) -> np.ndarray:
        """Dates (N,) that belong to the series."""
        return (dates >= self.first) & (dates <= self.last)

    def pre(self, dates: np.ndarray) -> np.ndarray:
        """Dates (N,) before the intervention, in the pre-period."""
        return self.kept(dates) & (dates < self.intervention) & (dates <= self.before)

    def post(self, dates: np.ndarray) -> np.ndarray:
        """Dates (N,) in the post-period."""
        return self.kept(dates) & (dates >= self.after) & (dates <= self.end)


def windows(time: Labels, declared: SeriesDeclaration) -> tuple[Windows | None, list[str]]:
    """The windows that a declaration means on these dates, or what is wrong with them."""
    if declared.problems():
        return None, []
    found: dict[str, np.ndarray] = {}
    problems: list[str] = []
    given = {"intervention": [declared.intervention], "end": [declared.end], "pre": declared.pre, "post": declared.post}
    for name, values in given.items():
        if values is None or values[0] is None:
            continue
        try:
            found[name] = in_units_of(values, time)
        except (ValueError, TypeError):
            shown = values[0] if name in ("intervention", "end") else list(values)
            written = "YYYY-MM-DD" if time.kind == "M" else f"a number, as {_said(time.values[len(time.values) // 2])}"
            problems.append(
                f"`{name}` {shown!r} is not in the units of {_column(time)}, which holds {WORDS[time.kind]}: write it as "
                f"{written}"
            )
    if problems:
        return None, problems
    low, high = time.values[0], time.values[-1]
    pre, post = found.get("pre", np.array([low, high])), found.get("post")
    start = found["intervention"][0] if "intervention" in found else post[0] if post is not None else low
    after, last = (start, high) if post is None else (post[0], post[1])
    end = min(found["end"][0], last) if "end" in found else last
    spans = Windows(max(pre[0], low), pre[1], start, after, end, last)
    problems = _order(spans, found, declared) or _inside(spans, time)
    return (spans if not problems else None), problems


def in_units_of(values: Sequence[Any] | np.ndarray, time: Labels) -> np.ndarray:
    """Times as a study or a user writes them, in the type of a time column.

    Raises
    ------
    ValueError, TypeError
        They are of another type.
    """
    if time.kind == "M":
        if any(isinstance(v, (bool, int, float, np.integer, np.floating)) for v in values):
            raise ValueError(values)
        dates = np.array([np.datetime64(str(v).replace(" ", "T"), "ns") for v in values])
        if np.isnat(dates).any():
            raise ValueError(values)
        return dates
    numbers = np.array([float(v) for v in values])
    if not np.isfinite(numbers).all():
        raise ValueError(values)
    return numbers


def _order(spans: Windows, found: dict[str, np.ndarray], declared: SeriesDeclaration) -> list[str]:
    problems = []
    for name in ("pre", "post"):
        if name in found and found[name][0] > found[name][1]:
            problems.append(f"`{name}` is [first, last], and {_said(found[name][0])} is after {_said(found[name][1])}")
    if "pre" in found and spans.before >= spans.intervention:
        problems.append(
            f"`pre` ends at {_said(spans.before)}, and must end before the intervention at {_said(spans.intervention)}"
        )
    if spans.after < spans.intervention:
        problems.append(f"`post` starts at {_said(spans.after)}, before the intervention at {_said(spans.intervention)}")
    if "end" in found and found["end"][0] < spans.after:
        problems.append(f"`end` {_said(found['end'][0])} is before the post-period, which starts at {_said(spans.after)}")
    return problems


def _inside(spans: Windows, time: Labels) -> list[str]:
    low, high = time.values[0], time.values[-1]
    if low < spans.intervention <= high:
        return []
    where = "after the last date" if spans.intervention > high else "not after the first date"
    return [
        f"the intervention at {_said(spans.intervention)} lies {where} of {_column(time)}, which runs from {show(low)} to "
        f"{show(high)}: "
        "there must be dates before it and from it on"
    ]


def lengths(outcome: np.ndarray, pre: np.ndarray, post: np.ndarray, dates: np.ndarray, name: str) -> list[str]:
    """Whether the pre-period can teach a model anything, and the post-period hold an effect.

    Parameters
    ----------
    outcome : (N,) array, NaN where missing
    pre, post : (N,) bool arrays
    dates : (N,) labels
    name : name of the outcome column
    """
    problems = []
    seen = np.isfinite(outcome)
    known = outcome[pre & seen]
    if known.size < FEWEST:
        span = f", from {show(dates[pre].min())} to {show(dates[pre].max())}" if pre.any() else ""
        problems.append(
            f"the pre-period has {known.size} dates with an outcome{span}, and must have at least {FEWEST}: what would have been "
            "is "
            "learned from it; bring earlier dates, or check `intervention` and `pre`"
        )
    elif (known == known[0]).all():
        problems.append(
            f"the outcome '{name}' is {known[0]:g} throughout the pre-period: it has no scale to measure an effect on"
        )
    if not (post & seen).any():
        problems.append(
            "no date of the post-period has an outcome: there is nothing to compare with what would have been; check "
            "`intervention`, "
            "`end` and `post`"
        )
    return problems


def moving_controls(controls: dict[str, np.ndarray], pre: np.ndarray) -> list[str]:
    """Controls must move before the intervention, or nothing can be learned about them."""
    problems = []
    for name, values in controls.items():
        known = values[pre & np.isfinite(values)]
        if known.size and (known == known[0]).all():
            problems.append(
                f"control '{name}' is {known[0]:g} throughout the pre-period: its relation to the outcome cannot be learned, and "
                "any later "
                "move would be read as an effect; leave it out"
            )
    return problems


def copies_of_the_outcome(
    controls: dict[str, np.ndarray], outcome: np.ndarray, pre: np.ndarray, post: np.ndarray, name: str
) -> list[str]:
    """Controls must not be the outcome in other units: it would explain itself, after the intervention too."""
    problems = []
    used = (pre | post) & np.isfinite(outcome)
    y = outcome[used] - outcome[used].mean() if used.any() else outcome[used]
    for control, values in controls.items():
        x = values[used]
        if used.sum() < FEWEST or not np.isfinite(x).all() or np.ptp(x) == 0 or np.ptp(y) == 0:
            continue
        x = x - x.mean()
        if np.abs(y - x * (x @ y) / (x @ x)).max() <= COPY * np.abs(y).max():
            problems.append(
                f"control '{control}' is the outcome '{name}' in other units, before and after the intervention: it would "
                "explain the effect away; leave it out"
            )
    return problems


def _column(time: Labels) -> str:
    return f"time column '{time.name}'"


def _said(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else show(value)
