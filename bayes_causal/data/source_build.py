"""From files, or from a table of another engine, to a `PanelSource`, or to one error that lists every problem."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import xarray as xr

from bayes_causal.data import identifiers, treatments, validate
from bayes_causal.data.build import OUTSIDE, attributes, windows
from bayes_causal.data.calendar import periods
from bayes_causal.data.columns import Labels, open_table
from bayes_causal.data.declare import Declaration
from bayes_causal.data.engine_sums import engine_sums
from bayes_causal.data.faults import Faults
from bayes_causal.data.panel import Panel
from bayes_causal.data.panel_source import PanelSource
from bayes_causal.data.paths import PathSums, decoded
from bayes_causal.data.readers import parquet_files, silence
from bayes_causal.data.source_columns import source_columns
from bayes_causal.data.stream import Columns, NewLabelError, NotSortedError, stream_sums
from bayes_causal.errors import DataError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

BATCH = 1 << 18
HEAD = 1 << 17
SORT_MEMORY = "2GB"
STREAMED = "rows streamed in the order of the files"
SORTED = "rows sorted by DuckDB, then streamed: files in the order of unit and time are read faster"


def from_files(
    source: str | Path | Sequence[str | Path], base: str | Path | None, where: str | None, declared: Declaration
) -> PanelSource:
    """See `PanelSource.from_files`."""
    import duckdb

    files = parquet_files(source, base=base)
    with tempfile.TemporaryDirectory(prefix="bayes-causal-") as folder, duckdb.connect() as connection:
        silence(connection)
        connection.execute(f"set temp_directory = '{folder}'")
        try:
            relation = connection.read_parquet([str(f) for f in files])
            relation = relation if where is None else relation.filter(where)
            columns, found, how = _streamed(files, relation, where, declared)
            if found is None:
                columns, how = source_columns(nw.from_native(relation), declared), SORTED
                found = stream_sums(_sorted(connection, relation, columns), columns)
        except (NotSortedError, NewLabelError) as error:
            raise DataError(
                f"the rows cannot be put in the order of '{declared.unit}' and '{declared.time}': are there values that are not "
                "numbers (NaN) among them? Repair or drop these rows"
            ) from error
        except duckdb.Error as error:
            raise DataError(f"the rows cannot be read: {str(error).strip().splitlines()[0]}", source=str(source)) from error
    return _source(*found, columns, declared, how)


def _streamed(
    files: list[Path], relation: duckdb.DuckDBPyRelation, where: str | None, declared: Declaration
) -> tuple[Columns, tuple[PathSums, Faults, int] | None, str]:
    """Columns and sums of rows in the order of the files; no sums where that is not the order of unit and time.

    Labels of periods and groups are those of the first rows, and are looked for in all rows where the stream meets another one:
    a query for them costs as much as a third of the stream.
    """
    head = nw.from_native(relation.limit(HEAD))
    for table in (head, nw.from_native(relation)) if _complete(head, declared) else (nw.from_native(relation),):
        columns = source_columns(table, declared)
        try:
            return columns, stream_sums(_batches(files, relation, where, columns), columns), STREAMED
        except NewLabelError:
            continue
        except NotSortedError:
            break
    return columns, None, SORTED


def _complete(head: nw.LazyFrame[Any], declared: Declaration) -> bool:
    """Whether the first rows have labels of everything: periods, groups of treated rows, first treated times."""
    schema = head.collect_schema()
    if not {c for c in (declared.time, declared.treatment, declared.group, declared.cohort) if c} <= set(schema.names()):
        return False
    if declared.treatment is not None:
        if not (schema[declared.treatment].is_numeric() or schema[declared.treatment] == nw.Boolean):
            return False
        head = head.filter(nw.col(declared.treatment).cast(nw.Float64) == 1)
    named = [c for c in (declared.time, declared.group, declared.cohort) if c is not None]
    known = head.select(*((~nw.col(c).is_null()).cast(nw.Int64).sum().alias(c) for c in named))
    return all(known.collect("pyarrow").to_native().to_pylist()[0].values())


def from_table(table: Any, declared: Declaration) -> PanelSource:
    """See `PanelSource.from_table`."""
    lazy = open_table(table, "table").lazy()
    columns = source_columns(lazy, declared)
    sums, faults, rows = engine_sums(lazy, columns)
    return _source(sums, faults, rows, columns, declared, f"sums formed by {lazy.implementation.name.lower()}")


def _batches(
    files: list[Path], relation: duckdb.DuckDBPyRelation, where: str | None, columns: Columns
) -> Iterator[pa.RecordBatch]:
    """Record batches in the order of the files; through DuckDB where rows are filtered."""
    from pyarrow import dataset

    if where is not None:
        yield from relation.select(*columns.names).to_arrow_reader(BATCH)
        return
    table = dataset.dataset([str(f) for f in files], format="parquet")
    yield from table.to_batches(columns=columns.names, batch_size=BATCH, batch_readahead=4, fragment_readahead=1)


def _sorted(
    connection: duckdb.DuckDBPyConnection, relation: duckdb.DuckDBPyRelation, columns: Columns
) -> Iterator[pa.RecordBatch]:
    connection.execute(f"set memory_limit = '{SORT_MEMORY}'")
    yield from relation.select(*columns.names).order(f'"{columns.unit}", "{columns.time}"').to_arrow_reader(BATCH)


def _source(sums: PathSums, faults: Faults, rows: int, columns: Columns, declared: Declaration, how: str) -> PanelSource:
    """The source of checked sums, or everything wrong with the rows.

    Raises
    ------
    DataError
        What stands in the rows, or in the panel they make.
    """
    time = Labels(columns.time, columns.times, np.zeros(0, int))
    keep, problems = windows(time, declared)
    problems = faults.sentences() + problems
    if rows == 0:
        raise DataError([*problems, "there are columns and no rows"])
    if not faults:
        problems += _followed(sums, columns)
    if problems:
        raise DataError(problems)
    treatment, groups, found = _treatment(sums, columns, declared)
    dataset, spread = _dataset(sums, columns, treatment, groups, declared)
    dataset, spread = _restricted(dataset, spread, sums, keep, rows)
    problems = found + _cells(dataset, spread, columns, keep)
    if problems:
        raise DataError(problems)
    return PanelSource(Panel(dataset), spread, how)


def _followed(sums: PathSums, columns: Columns) -> list[str]:
    """More than one unit and period, and units that are seen more than once."""
    count, width = int(sums.units.sum()), len(columns.times)
    unit = Labels(columns.unit, np.arange(min(count, 2)), np.zeros(0, int))
    problems = identifiers.followed(unit, Labels(columns.time, columns.times, np.zeros(0, int))) if min(count, width) < 2 else []
    if not problems and (decoded(sums.status[:, :width])[0].sum(1) < 2).all():
        problems.append(
            f"every '{columns.unit}' occurs in one period only: no unit is followed over time; is `unit` the right column?"
        )
    return problems


def _treatment(sums: PathSums, columns: Columns, declared: Declaration) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Treatment (path, time, group), labels of the groups, and problems."""
    present, _, group = decoded(sums.status[:, : len(columns.times)])
    groups = columns.groups if len(columns.groups) else np.array([declared.single_group])
    path, time = np.nonzero(group > 0)
    at = group[path, time] - 1
    shape = (*group.shape, len(groups))
    if columns.cohort is None:
        treatment = treatments.from_rows(path, time, at, np.ones(path.size, bool), shape)
        treatment, problems = treatments.carry_forward(treatment, present), []
    else:
        onset = np.r_[len(columns.times), np.searchsorted(columns.times, columns.cohorts)][sums.status[:, -1]]
        member = np.zeros((len(group), len(groups)), bool)
        member[path, at] = True
        treatment = (np.arange(len(columns.times)) >= onset[:, None])[:, :, None] & member[:, None, :]
        several = member.sum(1) > 1
        count = int(sums.units[several].sum())
        problems = [identifiers.several_groups(np.arange(count), str(declared.group))] if count else []
    used = treatment.any(axis=(0, 1))
    if used.any():
        treatment, groups = treatment[:, :, used], groups[used]
    if columns.group is not None:
        treated = int(sums.units[treatment.any(axis=(1, 2))].sum())
        if len(groups) >= 50 and len(groups) >= 0.8 * treated:
            problems.append(identifiers.nearly_one_each(len(groups), treated, (columns.unit, columns.group)))
    return treatment, groups, problems


def _dataset(
    sums: PathSums, columns: Columns, treatment: np.ndarray, groups: np.ndarray, declared: Declaration
) -> tuple[xr.Dataset, np.ndarray]:
    """The paths' dataset and the (P, T, V, T, V) spread within them."""
    _, seen, _ = decoded(sums.status[:, : len(columns.times)])
    paths, width, values = sums.total.shape
    mean = np.where(seen[:, :, None], sums.total / sums.units[:, None, None] + sums.pivot, np.nan)
    flat = sums.total.reshape(paths, -1)
    spread = sums.products - flat[:, :, None] * (flat / sums.units[:, None])[:, None, :]
    variables: dict[str, Any] = {
        "outcome": (("unit", "time"), mean[:, :, -1]),
        "treatment": (("unit", "time", "group"), treatment),
        "weight": (("unit", "time"), np.ones((paths, width))),
        "copies": ("unit", sums.units),
    }
    coords: dict[str, Any] = {"unit": np.arange(paths), "time": columns.times, "group": groups}
    if columns.covariates:
        variables["covariates"] = (("unit", "time", "covariate"), mean[:, :, :-1])
        coords["covariate"] = list(columns.covariates)
    return xr.Dataset(variables, coords, attributes(declared, groups)), spread.reshape(paths, width, values, width, values)


def _restricted(
    dataset: xr.Dataset, spread: np.ndarray, sums: PathSums, keep: np.ndarray, rows: int
) -> tuple[xr.Dataset, np.ndarray]:
    """The paths over the times kept; those without a row there go too, and groups never active there."""
    present, _, _ = decoded(sums.status[:, : keep.size])
    outside = int(sums.units @ present[:, ~keep].sum(1))
    if not keep.all():
        paths = present[:, keep].any(1)
        dataset = dataset.isel(unit=paths, time=keep)
        spread = spread[paths][:, keep][:, :, :, keep]
        active = dataset["treatment"].values.any(axis=(0, 1))
        dataset = dataset.isel(group=active) if active.any() else dataset
    dataset["period"] = ("time", periods(dataset["time"].values))
    return dataset.assign_attrs(rows_read=rows, dropped={OUTSIDE: outside} if outside else {}), spread


def _cells(dataset: xr.Dataset, spread: np.ndarray, columns: Columns, keep: np.ndarray) -> list[str]:
    """What any comparison needs, and covariates that vary."""
    y, copies = dataset["outcome"].values, dataset["copies"].values
    problems = validate.cells(y, dataset["treatment"].values, dataset["unit"].values, dataset["time"].values, copies, spread)
    squares = np.einsum("ptvtv->v", spread)
    for k, name in enumerate(columns.covariates):
        mean = dataset["covariates"].values[..., k][np.isfinite(y)]
        if mean.size and (mean == mean[0]).all() and squares[k] <= 1e-20 * max(1.0, mean[0] ** 2) * copies.sum():
            problems.append(f"covariate column '{name}' is {mean[0]:g} in every row, so it explains nothing: leave it out")
    return problems
