"""Sums by path from record batches sorted by unit and time, in one pass and in bounded memory.

Batches are cut and joined into blocks of whole units: a unit that a batch leaves open is carried into the next. Blocks depend on
the rows alone, never on where the stream was cut, so that every cut gives the same numbers to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.data.faults import Faults
from bayes_causal.data.paths import PathSums, PathTable

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK = 1 << 19
WIDEST = 1 << 16


class NotSortedError(Exception):
    """Rows are not in the order of unit and time: they have to be sorted before they can be streamed."""


@dataclass(frozen=True, eq=False)
class Columns:
    """Which columns a source has, and the sorted labels that occur in some of them.

    Parameters
    ----------
    unit, time, outcome : str
    covariates : tuple of str
    treatment, group, cohort : str, optional
    times, groups, cohorts : sorted labels; of the groups only those of treated rows
    """

    unit: str
    time: str
    outcome: str
    covariates: tuple[str, ...]
    treatment: str | None
    group: str | None
    cohort: str | None
    times: np.ndarray
    groups: np.ndarray
    cohorts: np.ndarray

    @property
    def names(self) -> list[str]:
        """Every column that is read, once."""
        named = (self.unit, self.time, self.treatment, self.group, self.cohort, *self.covariates, self.outcome)
        return list(dict.fromkeys(n for n in named if n is not None))

    @property
    def numbers(self) -> tuple[str, ...]:
        """Columns of the numbers of a cell: covariates, then the outcome."""
        return (*self.covariates, self.outcome)


def stream_sums(batches: Iterable[pa.RecordBatch], columns: Columns, *, block: int = BLOCK) -> tuple[PathSums, Faults, int]:
    """Sums by path, faults met, and the number of rows.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch
        In the order of unit and time; they may cut units anywhere.
    block : int
        Rows that are worked on at a time, rounded up to whole units.

    Raises
    ------
    NotSortedError
        The rows are in another order.
    DataError
        So many paths that sums are no smaller than rows.
    """
    faults, rows, pivot, last = Faults(), 0, None, None
    table = PathTable(len(columns.times) + (columns.cohort is not None), len(columns.times), len(columns.numbers))
    for part in whole_units(batches, columns.unit, block):
        found = _Block(part, columns, faults, rows)
        last = found.refuse_unsorted(last)
        pivot = found.mean() if pivot is None else pivot
        if not faults:
            table.add(*found.by_unit(pivot))
        rows += part.num_rows
    return table.sums(np.zeros(len(columns.numbers)) if pivot is None else pivot), faults, rows


def whole_units(batches: Iterable[pa.RecordBatch], unit: str, rows: int) -> Iterator[pa.Table]:
    """Tables of at least `rows` rows that end where the first unit after that ends; the last one holds the rest."""
    import pyarrow as pa

    pending: list[pa.RecordBatch] = []
    waiting = 0
    for batch in batches:
        if batch.num_rows:
            pending.append(batch)
            waiting += batch.num_rows
        while waiting > rows:
            joined = pa.Table.from_batches(pending)
            end = _unit_end(joined.column(unit), rows)
            if end is None:
                pending = joined.combine_chunks().to_batches()
                break
            yield joined.slice(0, end).combine_chunks()
            pending, waiting = joined.slice(end).to_batches(), waiting - end
    if waiting:
        yield pa.Table.from_batches(pending).combine_chunks()


def _unit_end(unit: pa.ChunkedArray, rows: int) -> int | None:
    """The first position from `rows` on at which another unit begins; None where none does."""
    later = unit.slice(rows - 1)
    reach = 4096
    while True:
        changes = _changes(later.slice(0, reach + 1).combine_chunks())
        if changes.any():
            return rows + int(changes.argmax())
        if reach >= len(later):
            return None
        reach *= 8


def _changes(values: Any) -> np.ndarray:
    """(n−1,) where a column differs from its value before."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if pa.types.is_integer(values.type) and not values.null_count:
        plain = values.to_numpy()
        return np.asarray(plain[1:] != plain[:-1])
    differs = pc.not_equal(values.slice(1), values.slice(0, len(values) - 1))
    return np.asarray(pc.fill_null(differs, True).to_numpy(zero_copy_only=False))


class _Block:
    """Rows of whole units as arrays. n rows, U units, T periods, V numbers a cell, G groups."""

    def __init__(self, part: pa.Table, columns: Columns, faults: Faults, first: int):
        self.part, self.columns, self.faults, self.first = part, columns, faults, first
        self.starts = np.r_[0, np.flatnonzero(_changes(self._column(columns.unit))) + 1]
        self.regular = self._is_regular()
        self.numbers = [self._numbers(name) for name in columns.numbers]
        self._note_nulls()

    def refuse_unsorted(self, last: Any) -> Any:
        """Raise NotSortedError unless units ascend after `last`, and times within them; else the label of the last unit."""
        import pyarrow.compute as pc

        heads = self._column(self.columns.unit).take(self.starts)
        ascending = pc.less(heads.slice(0, len(heads) - 1), heads.slice(1))
        if not (pc.all(pc.fill_null(ascending, True)).as_py() in (True, None) and (last is None or last < heads[0].as_py())):
            raise NotSortedError
        if not self.regular:
            step = np.diff(self.time)
            step[self.starts[1:] - 1] = 1
            if (step < 0).any():
                raise NotSortedError
            self._note("repeated", self.columns.time, step == 0, shift=1)
        return heads[len(heads) - 1].as_py()

    def mean(self) -> np.ndarray:
        """(V,) means of the finite numbers."""
        return np.array([v[np.isfinite(v)].mean() if np.isfinite(v).any() else 0.0 for v in self.numbers])

    def by_unit(self, pivot: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(U, T[+1]) status codes and (U, T·V) numbers minus the pivot."""
        u, t, v = self.starts.size, len(self.columns.times), len(self.numbers)
        seen = self._seen()
        code = self._code(seen)
        if self.regular:
            status = code.reshape(u, t)
            cells = self.numbers[0].reshape(u, t) - pivot[0] if v == 1 else self._stacked(pivot).reshape(u, t * v)
            cells = cells if seen is True else np.where(np.repeat(seen.reshape(u, t), v, axis=1), cells, 0.0)
        else:
            place = np.repeat(np.arange(u) * t, np.diff(np.r_[self.starts, self.part.num_rows])) + self.time
            status, cells = np.zeros(u * t, np.int16), np.zeros((u * t, v))
            status[place] = code
            cells[place] = np.where(np.reshape(seen, (-1, 1)), self._stacked(pivot), 0.0)
            status, cells = status.reshape(u, t), cells.reshape(u, t * v)
        if self.columns.cohort is not None:
            status = np.column_stack([status, self.cohort[self.starts]]).astype(np.int16)
        return status, cells

    def _stacked(self, pivot: np.ndarray) -> np.ndarray:
        """(n, V) numbers minus the pivot."""
        return np.stack(self.numbers, axis=1) - pivot

    def _is_regular(self) -> bool:
        """Whether every unit has every period, in order; sets the (n,) positions of the periods where not."""
        times, n = self.columns.times, self.part.num_rows
        values = _plain(self._column(self.columns.time))
        labels = times.astype(values.dtype) if values.dtype.kind in "iu" else times
        if n == self.starts.size * len(times) and (self.starts == np.arange(0, n, len(times))).all():
            if (values.reshape(-1, len(times)) == labels).all():
                return True
        self.time, _ = positions(values, times)
        return False

    def _seen(self) -> Any:
        """Where there is an outcome: True where everywhere, else (n,) bool."""
        y = self.numbers[-1]
        totals = np.array([v.sum() for v in self.numbers])
        if np.isfinite(totals).all():
            return True
        for name, role, values in zip(
            self.columns.numbers, ["covariate"] * (len(totals) - 1) + ["outcome"], self.numbers, strict=True
        ):
            self._note("infinite", name, np.isinf(values), role=role)
        seen = ~np.isnan(y)
        for name, values in zip(self.columns.covariates, self.numbers, strict=False):
            self._note("incomplete", name, np.isnan(values) & seen)
        return seen

    def _code(self, seen: Any) -> np.ndarray:
        """(n,) status codes."""
        if self.columns.cohort is not None:
            treated = self._by_cohort()
        else:
            treated = self._by_treatment()
        if self.columns.group is not None and len(self.columns.groups):
            values = self._column(self.columns.group)
            group, known = label_positions(values, self.columns.groups)
            if values.null_count or not known.all():
                self._note("null group", self.columns.group, ~known & (treated == 1))
            group = (2 * (group + 1)).astype(np.int16)
            group *= treated
        else:
            group = 2 * treated.astype(np.int16)
        group += 2 if seen is True else (1 + seen.astype(np.int16))
        return group

    def _by_treatment(self) -> np.ndarray:
        """(n,) whether the row is treated, 0 or 1."""
        name = str(self.columns.treatment)
        values = _plain(self._column(name))
        if values.dtype.kind == "b":
            return values.view(np.int8)
        if values.size and not (values.min() >= 0 and values.max() <= 1 and (values.dtype.kind != "f" or not (values % 1).any())):
            known = ~np.isnan(values) if values.dtype.kind == "f" else np.ones(values.size, bool)
            self._note("null treatment", name, ~known)
            wrong = known & (values != 0) & (values != 1)
            self._note("not binary", name, wrong, values)
            return np.where(values == 1, 1, 0).astype(np.int8)
        return values.astype(np.int8, copy=False)

    def _by_cohort(self) -> np.ndarray:
        """(n,) whether the row is at or after its unit's first treated time; sets the (n,) position of that time, from 1."""
        column = self._column(str(self.columns.cohort))
        self.cohort, _ = label_positions(column, self.columns.cohorts)
        self.cohort = self.cohort + 1
        own = np.repeat(self.cohort[self.starts], np.diff(np.r_[self.starts, self.cohort.size]))
        self._note("changing cohort", str(self.columns.cohort), own != self.cohort)
        onset = np.r_[len(self.columns.times), np.searchsorted(self.columns.times, self.columns.cohorts)]
        time = np.tile(np.arange(len(self.columns.times)), self.starts.size) if self.regular else self.time
        return (time >= onset[self.cohort]).astype(np.int8)

    def _numbers(self, name: str) -> np.ndarray:
        return np.asarray(_plain(self._column(name)), float)

    def _note_nulls(self) -> None:
        for role in ("unit", "time"):
            name = getattr(self.columns, role)
            column = self._column(name)
            if column.null_count:
                self._note(f"null {role}", name, np.asarray(column.is_null().to_numpy(zero_copy_only=False)))

    def _note(
        self, kind: str, name: str, bad: np.ndarray, values: np.ndarray | None = None, role: str = "", shift: int = 0
    ) -> None:
        rows = np.flatnonzero(bad)
        self.faults.note(kind, name, rows + self.first + shift, None if values is None else values[rows], role)

    def _column(self, name: str) -> Any:
        column = self.part.column(name)
        return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _plain(column: Any) -> np.ndarray:
    """An Arrow column as NumPy: numbers (NaN where missing), booleans, or datetime64[ns]."""
    import pyarrow as pa

    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    elif pa.types.is_temporal(column.type):
        column = column.cast(pa.timestamp("ns"))
    elif pa.types.is_boolean(column.type) and column.null_count:
        column = column.cast(pa.int8())
    return np.asarray(column.to_numpy(zero_copy_only=False))


def label_positions(column: Any, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) positions of an Arrow column's values among sorted labels, −1 where they are not among them, and whether they are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type) or pa.types.is_dictionary(column.type):
        if pa.types.is_dictionary(column.type):
            column = column.cast(pa.string())
        found = pc.fill_null(pc.index_in(column, value_set=pa.array(labels.tolist(), column.type)), -1).to_numpy()
        return found, found >= 0
    return positions(_plain(column), labels)


def positions(values: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) positions of values among sorted labels, −1 where they are not among them, and whether they are."""
    if not len(labels):
        return np.full(values.size, -1), np.zeros(values.size, bool)
    if values.dtype.kind in "iu" and labels.dtype.kind == "i":
        low, high = min(int(values.min()), int(labels[0])), max(int(values.max()), int(labels[-1]))
        if high - low < WIDEST:
            of_value = np.full(high - low + 1, -1, np.int16 if len(labels) < 2**14 else np.int32)
            of_value[labels - low] = np.arange(len(labels))
            found = of_value[values if low == 0 else values.astype(np.int64) - low]
            return found, found >= 0
    found = np.minimum(np.searchsorted(labels, values), len(labels) - 1)
    known = labels[found] == values
    return np.where(known, found, -1), known
