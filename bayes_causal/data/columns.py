"""Columns of any table library as NumPy arrays: labels become positions, numbers become float64, anything else a problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np

from bayes_causal.errors import DataError, closest

SHOWN = 5
SAME_KIND = {"b": "i", "u": "i", "U": "U", "i": "i", "f": "f", "M": "M"}
WORDS = {"U": "text", "i": "whole numbers", "f": "decimal numbers", "M": "dates"}


@dataclass(frozen=True, eq=False)
class Labels:
    """A column of labels.

    Parameters
    ----------
    name : str
        Name of the column.
    values : (K,) array
        Sorted distinct labels: int64, float64, str or datetime64[ns].
    codes : (N,) int64 array
        Position of each row's label in `values`; -1 where it is missing.
    """

    name: str
    values: np.ndarray
    codes: np.ndarray

    @property
    def kind(self) -> str:
        """NumPy's letter for the type of the labels: i, f, U or M."""
        return self.values.dtype.kind


def open_table(frame: Any, what: str = "frame") -> nw.DataFrame[Any] | nw.LazyFrame[Any]:
    """Any table as a narwhals frame.

    Raises
    ------
    DataError
        Not a table, or one with two columns of one name.
    """
    try:
        return nw.from_native(frame)
    except nw.exceptions.DuplicateError as error:
        raise DataError(f"`{what}` has several columns of one name: {' '.join(str(error).split())}; rename or drop one") from None
    except TypeError:
        kind = type(frame).__name__
        hint = (
            "read the file first, for example with pandas.read_parquet or duckdb.read_csv, or name it as `source` in a study file"
            if isinstance(frame, str) or hasattr(frame, "__fspath__")
            else "make it a table first, for example with pandas.DataFrame(...)"
        )
        raise DataError(
            f"`{what}` is a {kind}, not a table; pandas, Polars and Arrow tables, lazy frames and DuckDB relations are read: "
            f"{hint}"
        ) from None


def missing_columns(roles: Mapping[str, str | None], columns: Sequence[str], what: str = "table") -> list[str]:
    """One problem for each declared column that the table does not have."""
    return [
        f"the {what} has no column '{name}' (declared as {role}){closest(name, columns)}"
        for role, name in roles.items()
        if name is not None and name not in columns
    ]


def collect(table: nw.DataFrame[Any] | nw.LazyFrame[Any], names: Sequence[str]) -> nw.DataFrame[Any]:
    """The named columns, in memory."""
    picked = table.select(list(dict.fromkeys(names)))
    return picked.collect("pyarrow") if isinstance(picked, nw.LazyFrame) else picked


def labels(column: nw.Series[Any], role: str) -> tuple[Labels | None, list[str]]:
    """A column of labels, or the problems that keep it from being one; missing labels get code -1."""
    import pandas as pd

    name = column.name
    values = _native(column)
    absent = np.asarray(pd.isna(values))
    plain, problem = _plain_labels(values[~absent], name, role)
    if plain is None:
        return None, [problem]
    codes = np.full(len(values), -1, np.int64)
    known, distinct = pd.factorize(plain, sort=True)
    codes[~absent] = known
    return Labels(name, np.asarray(distinct, plain.dtype), codes), []


def numbers(column: nw.Series[Any], role: str) -> tuple[np.ndarray | None, list[str]]:
    """A column as float64 with NaN where missing, or the problems that keep it from being one; text is never read as numbers."""
    import pandas as pd

    values = _native(column)
    if values.dtype.kind in "biuf":
        return values.astype(float), []
    if values.dtype.kind == "O":
        absent = np.asarray(pd.isna(values))
        kind = pd.api.types.infer_dtype(values[~absent], skipna=True)
        if kind in {"integer", "floating", "mixed-integer-float", "boolean", "decimal", "empty"}:
            numeric = np.full(len(values), np.nan)
            numeric[~absent] = values[~absent].astype(float)
            return numeric, []
    return None, [_not_numbers(values, column.name, role)]


def rows(bad: np.ndarray) -> str:
    """``"2 rows (4, 18, counted from 1)"`` for a mask of rows."""
    at = np.flatnonzero(bad)
    return counted(len(at), at[:SHOWN].tolist())


def counted(count: int, first: Sequence[int]) -> str:
    """The same for a number of rows and the first few of them, counted from 0; without the few where there are none."""
    several = f"{count:,} row{'s' if count != 1 else ''}"
    shown = ", ".join(f"{i + 1}" for i in first[:SHOWN]) + (", …" if count > len(first) else "")
    return f"{several} ({shown}, counted from 1)" if len(first) else several


def some(values: Any) -> str:
    """The first few of some values, for a message."""
    listed = list(values[: SHOWN + 1])
    return ", ".join(show(v) for v in listed[:SHOWN]) + (", …" if len(listed) > SHOWN else "")


def show(value: Any) -> str:
    """One value as it is written in a message."""
    if isinstance(value, np.datetime64):
        text = np.datetime_as_string(value, unit="s")
        return text.removesuffix("T00:00:00")
    return repr(value.item() if isinstance(value, np.generic) else value)


def _native(column: nw.Series[Any]) -> np.ndarray:
    values = np.asarray(column.to_numpy())
    if values.dtype.kind in "biuf":  # the commonest, and asking a column for its type costs more than reading it
        return values
    if isinstance(column.dtype, nw.Datetime) and column.dtype.time_zone is not None:
        return np.asarray(column.dt.replace_time_zone(None).to_numpy())
    return values


def _plain_labels(values: np.ndarray, name: str, role: str) -> tuple[np.ndarray | None, str]:
    import pandas as pd

    if values.dtype.kind in "biu":
        if values.size and values.dtype.kind == "u" and int(values.max()) > np.iinfo(np.int64).max:
            return None, f"{role} column '{name}' holds numbers beyond 2^63: make them text, for example df['{name}'].astype(str)"
        return values.astype(np.int64), ""
    if values.dtype.kind == "f":
        return _whole(values, name, role)
    if values.dtype.kind == "M":
        return values.astype("datetime64[ns]"), ""
    if values.dtype.kind == "U":
        return values, ""
    kind = pd.api.types.infer_dtype(values, skipna=False)
    if kind in {"string", "empty"}:
        return values.astype(str), ""
    if kind in {"integer", "boolean"}:
        return values.astype(np.int64), ""
    if kind in {"floating", "decimal", "mixed-integer-float"}:
        return _whole(values.astype(float), name, role)
    if kind in {"date", "datetime", "datetime64"}:
        return values.astype("datetime64[ns]"), ""
    if kind == "period":
        return np.asarray(pd.PeriodIndex(values).to_timestamp().values.astype("datetime64[ns]")), ""
    types, counts = np.unique([type(v).__name__ for v in values], return_counts=True)
    found = ", ".join(f"{t} ({n:,} rows)" for t, n in zip(types, counts, strict=True))
    return (
        None,
        f"{role} column '{name}' must hold labels of one type and holds {found}: convert it, for example "
        f"df['{name}'].astype(str)",
    )


def _whole(values: np.ndarray, name: str, role: str) -> tuple[np.ndarray | None, str]:
    if not np.isfinite(values).all():
        return None, f"{role} column '{name}' holds infinite values"
    return (values.astype(np.int64) if (values == np.round(values)).all() else values), ""


def _not_numbers(values: np.ndarray, name: str, role: str) -> str:
    import pandas as pd

    if values.dtype.kind not in "OU":
        return f"{role} column '{name}' holds {WORDS.get(values.dtype.kind, str(values.dtype))}, not numbers"
    filled = ~np.asarray(pd.isna(values))
    bad = filled & np.asarray(pd.isna(pd.to_numeric(pd.Series(values.astype(object)).astype(str), errors="coerce")))
    how = f"pandas.to_numeric(df['{name}'])"
    if not bad.any():
        return (
            f"{role} column '{name}' holds text that looks like numbers ({some(values[filled])}): nothing is converted silently, "
            f"write df['{name}'] = {how} first"
        )
    return (
        f"{role} column '{name}' is not numeric: {rows(bad)} hold {some(values[bad])}; repair them, "
        f"or make them missing with pandas.to_numeric(df['{name}'], errors='coerce')"
    )
