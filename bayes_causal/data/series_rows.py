"""The rows of a declared series: every column read once, every problem with them collected."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import narwhals as nw
import numpy as np

from bayes_causal.data import validate
from bayes_causal.data.columns import Labels, collect, labels, missing_columns, numbers, open_table, show
from bayes_causal.data.declare_series import ROWS, SeriesDeclaration
from bayes_causal.errors import DataError


@dataclass(eq=False)
class SeriesRows:
    """Columns read so far, one entry a row of the table, and the problems found so far."""

    data: nw.DataFrame[Any]
    declared: SeriesDeclaration
    problems: list[str]
    time: Labels | None = None
    outcome: np.ndarray | None = None
    controls: dict[str, np.ndarray] = field(default_factory=dict)
    placebos: dict[str, np.ndarray] = field(default_factory=dict)
    _dates: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.data)

    @property
    def dates(self) -> np.ndarray | None:
        """(N,) label of each row's date; None where the dates are not what a series needs."""
        if self._dates is None and self.time is not None and not (self.time.codes < 0).any():
            self._dates = self.time.values[self.time.codes]
        return self._dates

    def refuse(self) -> None:
        """Raise every problem found so far, if there are any."""
        if self.problems:
            raise DataError(self.problems)


def read_series_rows(frame: Any, declared: SeriesDeclaration) -> SeriesRows:
    """The declared columns of a table, with what is wrong with each.

    Raises
    ------
    DataError
        Where no column can be read at all.
    """
    unnamed = declared.name_problems()
    if unnamed:
        raise DataError(unnamed)
    table = open_table(frame)
    columns = table.collect_schema().names() if isinstance(table, nw.LazyFrame) else table.columns
    problems = [*declared.problems(), *missing_columns(declared.roles, columns)]
    problems += [p for c in declared.controls for p in missing_columns({"control": c}, columns)]
    problems += [p for c in declared.placebo_outcomes for p in missing_columns({"placebo outcome": c}, columns)]
    named = dict.fromkeys((*declared.roles.values(), *declared.controls, *declared.placebo_outcomes))
    wanted = [c for c in named if c is not None and c in columns]
    if not wanted:
        raise DataError(problems)
    # A frame in memory gives its columns one by one: selecting them first costs more than reading them.
    read = SeriesRows(collect(table, wanted) if isinstance(table, nw.LazyFrame) else table, declared, problems)
    if len(read) == 0:
        raise DataError([*problems, "the table has no rows"])
    _read_time(read)
    _read_numbers(read)
    return read


def _read_time(read: SeriesRows) -> None:
    name = read.declared.time
    if name is None:
        position = np.arange(len(read))
        read.time = Labels(ROWS, position, position)
        return
    if name not in read.data.columns:
        return
    time, found = labels(read.data[name], "time")
    if time is not None:
        found += validate.no_nulls(time, "time") + validate.time_type(time) + unique_dates(time)
    read.problems += found
    read.time = time if not found else None


def unique_dates(time: Labels) -> list[str]:
    """One row a date."""
    counts = np.bincount(time.codes[time.codes >= 0], minlength=len(time.values))
    if (counts < 2).all():
        return []
    repeated = np.flatnonzero(counts > 1)
    first = "; ".join(f"{show(time.values[k])} ({counts[k]} rows)" for k in repeated[:3])
    return [
        f"{len(repeated):,} dates of time column '{time.name}' have several rows (first: {first}): a series has one row a date; "
        "add "
        "the rows of a date up first, or, if they belong to several units, use kind: panel"
    ]


def _read_numbers(read: SeriesRows) -> None:
    declared, columns = read.declared, read.data.columns
    if declared.outcome in columns:
        read.outcome, found = numbers(read.data[declared.outcome], "outcome")
        if read.outcome is not None:
            found += validate.finite(read.outcome, declared.outcome, "outcome")
        read.problems += found
    for role, names, kept in (
        ("control", declared.controls, read.controls),
        ("placebo outcome", declared.placebo_outcomes, read.placebos),
    ):
        for name in dict.fromkeys(c for c in names if c in columns):
            values, found = numbers(read.data[name], role)
            if values is not None:
                found += validate.finite(values, name, role)
                kept[name] = values
            read.problems += found
