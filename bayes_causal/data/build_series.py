"""From checked rows to the arrays of a series, or to one error that lists every problem."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from bayes_causal.data.columns import rows, show, some
from bayes_causal.data.declare_series import LAST, SeriesDeclaration
from bayes_causal.data.frequency import Frequency, frequency
from bayes_causal.data.series_rows import SeriesRows, read_series_rows
from bayes_causal.data.series_windows import Windows, copies_of_the_outcome, lengths, moving_controls, windows

OUTSIDE = "outside the pre and post windows"
NUMBERED = "if only the order counts, name a column of row numbers as `time`"


def build_series(frame: Any, declared: SeriesDeclaration) -> xr.Dataset:
    """The dataset of a series.

    Raises
    ------
    DataError
        Everything that keeps the table from being the series declared, in one message.
    """
    read = read_series_rows(frame, declared)
    spans = _windows(read)
    step = _regular(read, spans)
    _check_rows(read, spans)
    read.refuse()
    assert spans is not None and step is not None  # each is there, or has said why not
    return _dataset(read, spans, step)


def _windows(read: SeriesRows) -> Windows | None:
    if read.time is None or read.dates is None:
        return None
    declared = read.declared
    if isinstance(declared.intervention, str) and declared.intervention == LAST and read.outcome is not None:
        known = read.dates[np.isfinite(read.outcome)]
        declared = replace(declared, intervention=known.max() if known.size else read.time.values[-1])
    spans, found = windows(read.time, declared)
    read.problems += found
    return spans


def _kept(read: SeriesRows, spans: Windows | None) -> np.ndarray:
    """(N,) rows inside the windows; all of them where there are no windows to speak of."""
    return np.ones(len(read), bool) if spans is None or read.dates is None else spans.kept(read.dates)


def _regular(read: SeriesRows, spans: Windows | None) -> Frequency | None:
    """The frequency of the dates kept, which with controls must leave no date out."""
    if read.time is None or read.dates is None:
        return None
    dates = np.unique(read.dates[_kept(read, spans)])
    step = frequency(dates)
    if step is None:
        read.problems += irregular(dates, read.time.name)
    elif read.declared.controls and step.missing().size:
        absent = step.label(step.missing())
        read.problems.append(
            f"{absent.size:,} dates of time column '{read.time.name}' are missing (first: {some(absent)}; one step is a "
            f"{step.name}), and "
            "controls are needed at every date: add these rows with their controls, the outcome may be empty; or leave the "
            "controls out; "
            f"{NUMBERED}"
        )
    return step


def irregular(dates: np.ndarray, name: str) -> list[str]:
    """Why sorted, distinct dates have no frequency."""
    if len(dates) < 3:
        return [
            f"time column '{name}' has only {len(dates)} dates ({some(dates)}): a series needs dates before and after its "
            "intervention"
        ]
    gaps = np.diff(dates)
    values, counts = np.unique(gaps, return_counts=True)
    usual = values[counts.argmax()]
    odd = int(np.flatnonzero(gaps != usual)[0]) if (gaps != usual).any() else 0
    hint = NUMBERED
    if dates.dtype.kind == "M" and len(np.unique(dates.astype("datetime64[M]"))) == len(dates):
        hint = f"one date a month is regular once the days agree, as after df['{name}'].dt.to_period('M'); {hint}"
    return [
        f"the dates of time column '{name}' are not regular: the commonest gap is {_gap(usual)}, in {counts.max():,} of "
        f"{len(gaps):,}, and "
        f"{show(dates[odd])} is followed by {show(dates[odd + 1])}; gaps must be whole numbers of one step, with at most half of "
        "the dates "
        f"missing; {hint}"
    ]


def _gap(gap: Any) -> str:
    if not isinstance(gap, np.timedelta64):
        return f"{gap:g}"
    days = gap / np.timedelta64(1, "D")
    return f"{days:g} day{'s' if days != 1 else ''}"


def _check_rows(read: SeriesRows, spans: Windows | None) -> None:
    """Controls complete and moving, periods long enough."""
    keep = _kept(read, spans)
    for name, values in read.controls.items():
        absent = np.isnan(values) & keep
        if absent.any():
            read.problems.append(
                f"control '{name}' is missing in {rows(absent)}: the counterfactual is computed from the controls, so each is "
                "needed at "
                "every date; fill it deliberately, leave the control out, or cut the series to where it is known with `pre` and "
                "`post`"
            )
    if spans is None or read.dates is None:
        return
    pre, post = spans.pre(read.dates), spans.post(read.dates)
    read.problems += moving_controls(read.controls, pre)
    if read.outcome is not None:
        read.problems += copies_of_the_outcome(read.controls, read.outcome, pre, post, read.declared.outcome)
        read.problems += lengths(read.outcome, pre, post, read.dates, read.declared.outcome)


def _dataset(read: SeriesRows, spans: Windows, step: Frequency) -> xr.Dataset:
    assert read.dates is not None and read.outcome is not None
    keep = np.flatnonzero(_kept(read, spans))
    keep = keep[np.argsort(read.dates[keep], kind="stable")]
    size = int(step.period[-1]) + 1
    dates = step.label(np.arange(size)).astype(read.dates.dtype)
    dates[step.period] = read.dates[keep]
    outcome = np.full(size, np.nan)
    outcome[step.period] = read.outcome[keep]
    variables: dict[str, Any] = {
        "outcome": ("time", outcome),
        "period": ("time", np.arange(size)),
        "pre": ("time", spans.pre(dates)),
        "post": ("time", spans.post(dates)),
    }
    coords: dict[str, Any] = {"time": dates}
    if read.controls:
        variables["controls"] = (("time", "control"), np.stack([v[keep] for v in read.controls.values()], axis=1))
        coords["control"] = list(read.controls)
    if read.placebos:
        placebos = np.full((size, len(read.placebos)), np.nan)
        placebos[step.period] = np.stack([v[keep] for v in read.placebos.values()], axis=1)
        variables["placebo_outcomes"] = (("time", "placebo"), placebos)
        coords["placebo"] = list(read.placebos)
    dropped = len(read) - len(keep)
    attrs = {
        "outcome": read.declared.outcome,
        "time": read.declared.time or "row",
        "frequency": step.name,
        "onset": int((dates < spans.intervention).sum()),
        "ends": read.declared.end is not None,
        "rows_read": len(read),
        "dropped": {OUTSIDE: dropped} if dropped else {},
        "inserted": size - len(keep),
    }
    return xr.Dataset(variables, coords, attrs)
