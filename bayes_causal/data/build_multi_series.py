"""From a table to the arrays of several series and the shocks that hit them, or to one error that lists every problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import xarray as xr

from bayes_causal.data import validate
from bayes_causal.data.build_series import irregular
from bayes_causal.data.columns import Labels, collect, labels, missing_columns, numbers, open_table, rows, show, some
from bayes_causal.data.declare_series import ROWS
from bayes_causal.data.frequency import Frequency, frequency
from bayes_causal.data.series_rows import unique_dates
from bayes_causal.errors import DataError

FEWEST = 12
DIMS = {"outcomes": "series", "shocks": "shock", "controls": "control"}


@dataclass(frozen=True, eq=False)
class MultiSeriesDeclaration:
    """The parts of several series, as `MultiSeries.from_frame` takes them.

    Parameters
    ----------
    outcomes, shocks, controls : tuple of str
        Names of columns.
    time : str, optional
        Name of a column; left out, rows are taken in their order.
    """

    outcomes: tuple[str, ...]
    shocks: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    time: str | None = None

    @property
    def parts(self) -> dict[str, tuple[str, ...]]:
        """Names of columns by the part they play, the time apart."""
        return {part: getattr(self, part) for part in DIMS}

    def problems(self) -> list[str]:
        """Everything wrong with the declaration itself."""
        named = [(dim, name) for part, dim in DIMS.items() for name in getattr(self, part)]
        named = [("outcome" if dim == "series" else dim, name) for dim, name in named]
        named += [("time", self.time)] if self.time is not None else []
        found = [f"{role} must name a column, as text, and is {name!r}" for role, name in named if not isinstance(name, str)]
        found += [] if self.outcomes else ["no outcome is named: give `outcomes`, the columns of the series"]
        for name in dict.fromkeys(n for _, n in named if isinstance(n, str)):
            played = [role for role, other in named if other == name]
            if len(set(played)) > 1:
                found.append(f"column '{name}' is declared as {' and as '.join(dict.fromkeys(played))}: let it play one part")
            found += [f"{r} '{name}' is listed {played.count(r)} times" for r in dict.fromkeys(played) if played.count(r) > 1]
        return found


def build_multi_series(frame: Any, declared: MultiSeriesDeclaration) -> xr.Dataset:
    """The dataset of several series.

    Raises
    ------
    DataError
        Everything that keeps the table from being the series declared, in one message.
    """
    problems = declared.problems()
    if any("must name a column" in p for p in problems):
        raise DataError(problems)
    table = open_table(frame)
    columns = table.collect_schema().names() if isinstance(table, nw.LazyFrame) else table.columns
    problems += missing_columns({"time": declared.time}, columns)
    named = [(("outcome" if d == "series" else d), n) for p, d in DIMS.items() for n in dict.fromkeys(declared.parts[p])]
    problems += [p for role, name in named for p in missing_columns({role: name}, columns)]
    wanted = [c for c in (declared.time, *(n for _, n in named)) if c is not None and c in columns]
    if not wanted:
        raise DataError(problems)
    data = collect(table, wanted)
    if len(data) == 0:
        raise DataError([*problems, "the table has no rows"])
    time, step, found = _dates(data, declared.time)
    problems += found
    values, found = _values(data, named)
    problems += found
    if len(data) < FEWEST:
        problems.append(f"the table has {len(data)} rows, and regimes need at least {FEWEST} dates to be seen at all")
    if problems:
        raise DataError(problems)
    assert time is not None and step is not None  # each is there, or has said why not
    return _dataset(declared, time, step, values)


def _dates(data: nw.DataFrame[Any], name: str | None) -> tuple[Labels | None, Frequency | None, list[str]]:
    """The date of every row and what one step is; every date between the first and the last must be there, once."""
    if name is None:
        position = np.arange(len(data))
        return Labels(ROWS, position, position), frequency(position), []
    if name not in data.columns:
        return None, None, []
    time, found = labels(data[name], "time")
    if time is not None:
        found += validate.no_nulls(time, "time") + validate.time_type(time) + unique_dates(time)
    if time is None or found:
        return None, None, found
    step = frequency(time.values)
    if step is None:
        return None, None, irregular(time.values, name) if len(time.values) >= FEWEST else []
    if step.missing().size:
        absent = step.label(step.missing())
        found = [
            f"{absent.size:,} dates of time column '{name}' are missing (first: {some(absent)}; one step is a {step.name}): a "
            "regime passes from each date to the next, so every date must be there; add these rows, or cut the table to a span "
            "without gaps"
        ]
    return time, step, found


def _values(data: nw.DataFrame[Any], named: Sequence[tuple[str, str]]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Columns of numbers, complete, finite and moving."""
    kept: dict[str, np.ndarray] = {}
    problems: list[str] = []
    for role, name in named:
        if name not in data.columns:
            continue
        values, found = numbers(data[name], role)
        if values is not None:
            found += validate.finite(values, name, role) + _complete(values, name, role) + _moves(values, name, role)
            kept[name] = values
        problems += found
    complete = np.isfinite(np.column_stack(list(kept.values()))).all(1) if kept else np.ones(len(data), bool)
    if problems and not complete.all() and complete.any():
        at = np.flatnonzero(complete)
        if at[-1] - at[0] + 1 == at.size:
            problems.append(f"rows {at[0] + 1:,} to {at[-1] + 1:,} are complete in every column: keep those to go on")
    return kept, problems


def _complete(values: np.ndarray, name: str, role: str) -> list[str]:
    absent = np.isnan(values)
    if not absent.any():
        return []
    return [
        f"{role} column '{name}' is missing in {rows(absent)}: the probability of a regime is carried from date to date, so each "
        "is needed at every date; fill it deliberately, leave the column out, or cut the table to where it is known"
    ]


def _moves(values: np.ndarray, name: str, role: str) -> list[str]:
    known = values[np.isfinite(values)]
    if not known.size or (known != known[0]).any():
        return []
    why = "it has no scale to measure an effect on" if role == "outcome" else "its effect cannot be learned; leave it out"
    return [f"{role} column '{name}' is {known[0]:g} in every row: {why}"]


def _dataset(declared: MultiSeriesDeclaration, time: Labels, step: Frequency, values: dict[str, np.ndarray]) -> xr.Dataset:
    order = np.argsort(time.codes, kind="stable")
    variables: dict[str, Any] = {"period": ("time", step.period)}
    coords: dict[str, Any] = {"time": time.values}
    for part, dim in DIMS.items():
        names = declared.parts[part]
        if names:
            variables[part] = (("time", dim), np.stack([values[n][order] for n in names], axis=1))
            coords[dim] = list(names)
    attrs = {"time": declared.time or ROWS, "frequency": step.name, "rows_read": len(order)}
    return xr.Dataset(variables, coords, attrs)


def span(dates: np.ndarray) -> str:
    """``"1959-01-01 to 2024-01-01"``."""
    return f"{show(dates[0])} to {show(dates[-1])}"
