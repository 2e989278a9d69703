"""Sums by path as two aggregations that any engine can run: by unit, one column a period; then by path.

Said once, in narwhals, which writes it for DuckDB, Polars, Spark, SQLFrame and Ibis (and so for what Ibis reaches). There is no
window, no join and no sort in it: windows alone cost several times a GROUP BY, and some engines have none.
"""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np

from bayes_causal.data.faults import Faults
from bayes_causal.data.paths import PathSums, refuse_many
from bayes_causal.data.stream import Columns
from bayes_causal.errors import DataError

MOST_PRODUCTS = 4_000


def engine_sums(table: nw.LazyFrame[Any], columns: Columns) -> tuple[PathSums, Faults, int]:
    """Sums by path, faults met, and the number of rows.

    Raises
    ------
    DataError
        More periods and covariates than one query should have columns for, or too many paths.
    """
    cells, values = len(columns.times), len(columns.numbers)
    size = cells * values
    if size * (size + 1) // 2 > MOST_PRODUCTS:
        raise DataError(
            f"{cells} periods × {values} columns of numbers need {size * (size + 1) // 2:,} sums of products, more than the "
            f"{MOST_PRODUCTS:,} that one query should have: export to Parquet and use PanelSource.from_files, or aggregate "
            "the periods"
        )
    rows, pivot, faults = _survey(table, columns)
    if faults or rows == 0:
        return _empty(columns, pivot), faults, rows
    unit = _by_unit(table, columns, pivot)
    present = nw.sum_horizontal(*((nw.col(f"s{t}") > 0).cast(nw.Int64) for t in range(cells)))
    path = [f"s{t}" for t in range(cells)] + (["cohort"] if columns.cohort else [])
    number = [f"x{k}" for k in range(size)]
    pairs = [(a, b) for a in range(size) for b in range(a, size)]
    unit = unit.with_columns(
        (nw.col("rows") - present).alias("extra"), *((nw.col(f"x{a}") * nw.col(f"x{b}")).alias(f"p{a}_{b}") for a, b in pairs)
    )
    result = unit.group_by(path).agg(
        nw.len().alias("units"),
        *(nw.col(c).sum() for c in number),
        *(nw.col(f"p{a}_{b}").sum() for a, b in pairs),
        nw.col("extra").sum(),
        *([nw.col("changing").sum()] if columns.cohort else []),
    )
    found = result.collect("pyarrow").to_native()
    faults.count("repeated", columns.time, int(_column(found, "extra").sum()))
    if columns.cohort:
        faults.count("changing cohort", columns.cohort, int(_column(found, "changing").sum()))
    refuse_many(found.num_rows, cells, values, int(_column(found, "units").sum()))
    products = np.zeros((found.num_rows, size, size))
    for a, b in pairs:
        products[:, a, b] = products[:, b, a] = _column(found, f"p{a}_{b}")
    status = np.stack([_column(found, c) for c in path], 1).astype(np.int16)
    total = np.stack([_column(found, c) for c in number], 1).reshape(-1, cells, values)
    return PathSums(status, _column(found, "units").astype(np.int64), total, products, pivot).sorted(), faults, rows


def _survey(table: nw.LazyFrame[Any], columns: Columns) -> tuple[int, np.ndarray, Faults]:
    """Number of rows, means of the numbers, and what is wrong in single rows."""
    seen = _seen(columns.outcome)
    finite = {name: _number(name).is_finite() for name in columns.numbers}
    asked = {
        "rows": nw.len(),
        "unit": nw.col(columns.unit).is_null().cast(nw.Int64).sum(),
        "time": nw.col(columns.time).is_null().cast(nw.Int64).sum(),
    }
    for k, name in enumerate(columns.numbers):
        asked |= {f"infinite{k}": (_seen(name) & ~finite[name]).cast(nw.Int64).sum()}
        asked |= {f"mean{k}": nw.when(_seen(name) & finite[name]).then(_number(name)).mean()}
        asked |= {f"incomplete{k}": (seen & ~_seen(name)).cast(nw.Int64).sum()}
    if columns.treatment is not None:
        on = _number(columns.treatment)
        known = _seen(columns.treatment)
        asked |= {"treatment": (~known).cast(nw.Int64).sum(), "binary": (known & (on != 0) & (on != 1)).cast(nw.Int64).sum()}
    if columns.group is not None:
        asked |= {"group": (_treated(columns) & nw.col(columns.group).is_null()).cast(nw.Int64).sum()}
    answer = table.select(**asked).collect("pyarrow").to_native().to_pylist()[0]
    faults = Faults()
    for kind in ("unit", "time", "treatment", "group"):
        faults.count(f"null {kind}", str(getattr(columns, kind)), answer.get(kind) or 0)
    faults.count("not binary", str(columns.treatment), answer.get("binary") or 0)
    for k, name in enumerate(columns.numbers):
        role = "outcome" if name == columns.outcome else "covariate"
        faults.count("infinite", name, answer[f"infinite{k}"] or 0, role)
        faults.count("incomplete", name, (answer[f"incomplete{k}"] or 0) if role == "covariate" else 0)
    return int(answer["rows"]), np.array([answer[f"mean{k}"] or 0.0 for k in range(len(columns.numbers))], float), faults


def _by_unit(table: nw.LazyFrame[Any], columns: Columns, pivot: np.ndarray) -> nw.LazyFrame[Any]:
    """One row a unit: its number of rows, a status code and V numbers minus the pivot a period, and its cohort."""
    seen, time = _seen(columns.outcome), nw.col(columns.time)
    table = table.with_columns(code=1 + seen.cast(nw.Int64) + 2 * _group(columns))
    asked: dict[str, Any] = {"rows": nw.len()}
    here = {}
    for t, label in enumerate(columns.times):
        at = time == _literal(label)
        here[f"s{t}"] = nw.when(at).then(nw.col("code")).otherwise(0)
        for v, name in enumerate(columns.numbers):
            k = t * len(columns.numbers) + v
            here[f"x{k}"] = nw.when(at & seen).then(_number(name) - float(pivot[v])).otherwise(0.0)
    asked |= {c: nw.col(c).max() if c[0] == "s" else nw.col(c).sum() for c in here}
    if columns.cohort is not None:
        here["cohort"] = _position(columns.cohort, columns.cohorts)
        asked |= {"cohort": nw.col("cohort").max(), "lowest": nw.col("cohort").min()}
    unit = table.with_columns(**here).group_by(columns.unit).agg(**asked)
    return unit.with_columns(changing=(nw.col("cohort") != nw.col("lowest")).cast(nw.Int64)) if columns.cohort else unit


def _group(columns: Columns) -> Any:
    """Position of the active group, from 1; 0 on untreated rows."""
    group = _position(columns.group, columns.groups) if columns.group is not None and len(columns.groups) else nw.lit(1)
    return nw.when(_treated(columns)).then(group).otherwise(0)


def _treated(columns: Columns) -> Any:
    """Whether a row is treated."""
    if columns.treatment is not None:
        return _number(columns.treatment) == 1
    on = nw.lit(False)
    for cohort in columns.cohorts:
        on = on | ((nw.col(str(columns.cohort)) == _literal(cohort)) & (nw.col(columns.time) >= _literal(cohort)))
    return on


def _position(name: str | None, labels: np.ndarray) -> Any:
    """Position of a column's value among labels, from 1; 0 where it is none of them."""
    place = nw.lit(0)
    for k, label in enumerate(labels, 1):
        place = nw.when(nw.col(str(name)) == _literal(label)).then(nw.lit(k)).otherwise(place)
    return place


def _seen(name: str) -> Any:
    return ~(nw.col(name).is_null() | _number(name).fill_null(0.0).is_nan())


def _number(name: str) -> Any:
    return nw.col(name).cast(nw.Float64)


def _literal(label: Any) -> Any:
    """A label as a Python value that every engine compares with its own."""
    if isinstance(label, np.datetime64):
        return label.astype("datetime64[us]").item()
    return label.item() if isinstance(label, np.generic) else label


def _column(found: Any, name: str) -> np.ndarray:
    return np.asarray(found.column(name).to_numpy(), float)


def _empty(columns: Columns, pivot: np.ndarray) -> PathSums:
    size = len(columns.times) * len(columns.numbers)
    none = np.zeros((0, len(columns.times) + (columns.cohort is not None)), np.int16)
    return PathSums(
        none, np.zeros(0, np.int64), np.zeros((0, len(columns.times), len(columns.numbers))), np.zeros((0, size, size)), pivot
    )
