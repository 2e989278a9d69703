"""Sums by path from record batches sorted by unit and time, in one pass and in bounded memory.

Batches are cut and joined into blocks of whole units: a unit that a batch leaves open is carried into the next. Blocks depend on
the rows alone, never on where the stream was cut, so that every cut gives the same numbers to the last bit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.data.faults import Faults
from bayes_causal.data.paths import Part, PathSums, PathTable, part_of

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK = 1 << 18
THREADS = 2
WIDEST = 1 << 16


class NotSortedError(Exception):
    """Rows are not in the order of unit and time: they have to be sorted before they can be streamed."""


class NewLabelError(Exception):
    """A period, group or cohort that the labels do not know: they have to be looked for again."""


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
    NewLabelError
        A period, group or cohort is not among the labels.
    DataError
        So many paths that sums are no smaller than rows.
    """
    faults, rows, pivot, last = Faults(), 0, np.zeros(len(columns.numbers)), None
    cells, values = len(columns.times), len(columns.numbers)
    table = PathTable(cells + (columns.cohort is not None), cells, values)
    for found in _worked(whole_units(batches, columns.unit, block), columns):
        if last is not None and found.first_unit is not None and not last < found.first_unit:
            raise NotSortedError
        rows, last, pivot = rows + found.rows, found.last_unit, found.pivot
        faults.add(found.faults)
        if not faults:
            table.add(found.part)
    return table.sums(pivot), faults, rows


def _worked(parts: Iterable[pa.Table], columns: Columns) -> Iterator[_Worked]:
    """Blocks worked on by a few threads, in their order; BLAS keeps to the thread that calls it."""
    from threadpoolctl import threadpool_limits

    pivot, first = None, 0
    waiting: deque[Future[_Worked]] = deque()
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(THREADS) as pool:
        for part in parts:
            if pivot is None:
                pivot = _Block(part, columns, 0).mean()
            waiting.append(pool.submit(_work, part, columns, first, pivot))
            first += part.num_rows
            if len(waiting) > 2 * THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@dataclass(frozen=True, eq=False)
class _Worked:
    """What came of one block."""

    part: Part
    faults: Faults
    rows: int
    first_unit: Any
    last_unit: Any
    pivot: np.ndarray


def _work(part: pa.Table, columns: Columns, first: int, pivot: np.ndarray) -> _Worked:
    """The sums of one block whose first row is the `first` of the stream."""
    block = _Block(part, columns, first)
    ends = block.refuse_unsorted()
    sums = part_of(*block.by_unit(pivot), len(columns.numbers))
    return _Worked(sums, block.faults, part.num_rows, *ends, pivot)


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

    def __init__(self, part: pa.Table, columns: Columns, first: int):
        self.part, self.columns, self.faults, self.first = part, columns, Faults(), first
        self.starts = np.r_[0, np.flatnonzero(_changes(self._column(columns.unit))) + 1]
        self.regular = self._is_regular()
        self.numbers = [self._numbers(name) for name in columns.numbers]
        self._note_nulls()

    def refuse_unsorted(self) -> tuple[Any, Any]:
        """Labels of the first and last unit. Raise NotSortedError unless units ascend, and times within them."""
        import pyarrow.compute as pc

        heads = self._column(self.columns.unit).take(self.starts)
        ascending = pc.less(heads.slice(0, len(heads) - 1), heads.slice(1))
        if not pc.all(ascending, min_count=0).as_py() and not heads.null_count:
            raise NotSortedError
        if not self.regular and (self.time >= 0).all():
            step = np.diff(self.time)
            step[self.starts[1:] - 1] = 1
            if (step < 0).any():
                raise NotSortedError
            self._note("repeated", self.columns.time, step == 0, shift=1)
        return heads[0].as_py(), heads[len(heads) - 1].as_py()

    def mean(self) -> np.ndarray:
        """(V,) means of the finite numbers."""
        return np.array([v[np.isfinite(v)].mean() if np.isfinite(v).any() else 0.0 for v in self.numbers])

    def by_unit(self, pivot: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(U, T[+1]) status codes, (U, T·V) numbers, and what is to be taken from these: the pivot, or 0."""
        u, t, v = self.starts.size, len(self.columns.times), len(self.numbers)
        seen = self._seen()
        status, shift = self._code(seen), np.tile(pivot, t)
        if self.regular and seen is True:
            numbers = self.numbers[0] if v == 1 else np.stack(self.numbers, axis=1)
        else:
            place = np.repeat(np.arange(u) * t, np.diff(np.r_[self.starts, self.part.num_rows])) + self._time()
            numbers, code = np.zeros((u * t, v)), status
            status = np.zeros(u * t, np.int16)
            status[place] = code
            numbers[place] = np.where(np.reshape(seen, (-1, 1)), np.stack(self.numbers, axis=1) - pivot, 0.0)
            shift = 0.0 * shift
        status = status.reshape(u, t)
        if self.columns.cohort is not None:
            status = np.column_stack([status, self.cohort[self.starts]]).astype(np.int16)
        return status, numbers.reshape(u, t * v), shift

    def _time(self) -> np.ndarray:
        """(n,) position of each row's period."""
        return np.tile(np.arange(len(self.columns.times)), self.starts.size) if self.regular else self.time

    def _is_regular(self) -> bool:
        """Whether every unit has every period, in order; sets the (n,) positions of the periods where not."""
        times, n = self.columns.times, self.part.num_rows
        values = _plain(self._column(self.columns.time))
        labels = times.astype(values.dtype) if values.dtype.kind in "iu" else times
        even = n == self.starts.size * len(times) and (self.starts == np.arange(0, n, len(times))).all()
        if even and (values.reshape(-1, len(times)) == labels).all():
            return True
        self.time, known = positions(values, times)
        absent = _absent(values)
        if not (known | absent).all():
            raise NewLabelError
        self._note("null time", self.columns.time, absent)
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
            if not known.all():
                self._note_groups(values, ~known & (treated == 1))
            code = group.astype(np.int16)
            code += 1
            code *= treated
        else:
            code = treated.astype(np.int16)
        code *= 2
        code += 2 if seen is True else (1 + seen.astype(np.int16))
        return code

    def _note_groups(self, values: Any, unknown: np.ndarray) -> None:
        """Treated rows without a known group: missing ones are faults, others new labels."""
        absent = np.asarray(values.is_null(nan_is_null=True).to_numpy(zero_copy_only=False))
        if (unknown & ~absent).any():
            raise NewLabelError
        self._note("null group", str(self.columns.group), unknown)

    def _by_treatment(self) -> np.ndarray:
        """(n,) whether the row is treated, 0 or 1."""
        name = str(self.columns.treatment)
        values = _plain(self._column(name))
        if values.dtype.kind == "b":
            return values.view(np.int8)
        whole = values.dtype.kind != "f" or not (values % 1).any()
        if not (whole and values.min() >= 0 and values.max() <= 1):
            known = ~np.isnan(values) if values.dtype.kind == "f" else np.ones(values.size, bool)
            self._note("null treatment", name, ~known)
            wrong = known & (values != 0) & (values != 1)
            self._note("not binary", name, wrong, values)
            return np.where(values == 1, 1, 0).astype(np.int8)
        return values.astype(np.int8, copy=False)

    def _by_cohort(self) -> np.ndarray:
        """(n,) whether the row is at or after its unit's first treated time; sets the (n,) position of that time, from 1."""
        column = self._column(str(self.columns.cohort))
        self.cohort, known = label_positions(column, self.columns.cohorts)
        if not known.all():
            values = _plain(column)[~known]
            never = _absent(values) if values.dtype.kind == "M" else ~np.isfinite(values) | (values == 0)
            if not never.all():
                raise NewLabelError
        self.cohort = self.cohort + 1
        own = np.repeat(self.cohort[self.starts], np.diff(np.r_[self.starts, self.cohort.size]))
        self._note("changing cohort", str(self.columns.cohort), own != self.cohort)
        onset = np.r_[len(self.columns.times), np.searchsorted(self.columns.times, self.columns.cohorts)]
        return (self._time() >= onset[self.cohort]).astype(np.int8)

    def _numbers(self, name: str) -> np.ndarray:
        return np.asarray(_plain(self._column(name)), float)

    def _note_nulls(self) -> None:
        unit = self._column(self.columns.unit)
        if unit.null_count:
            self._note("null unit", self.columns.unit, np.asarray(unit.is_null().to_numpy(zero_copy_only=False)))

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


def _absent(values: np.ndarray) -> np.ndarray:
    """(n,) where a value is missing."""
    if values.dtype.kind == "M":
        return np.asarray(np.isnat(values))
    return np.asarray(np.isnan(values)) if values.dtype.kind == "f" else np.zeros(values.size, bool)


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
            place: np.ndarray = of_value[values if low == 0 else values.astype(np.int64) - low]
            return place, place >= 0
    found = np.minimum(np.searchsorted(labels, values), len(labels) - 1)
    known = labels[found] == values
    return np.where(known, found, -1), known
