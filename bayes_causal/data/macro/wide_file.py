"""A table on disk with one row a date and one column a series: csv or Parquet, with a small schema that says what columns are.

The schema is ``macro.yaml`` beside the data, or given::

    time: date
    series:
      cpi: {column: CPIAUCSL, unit: index, form: level, lag: 15}
      gdp: {column: GDPC1, unit: billions of dollars, form: level, frequency: Q, lag: 30}

Without one, columns of FRED-MD and FRED-QD are known by their names.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from bayes_causal.data.macro.series import COLUMNS, of_quarters
from bayes_causal.data.macro.source import FILE, Form, Frequency, Monthly, Series, typed
from bayes_causal.errors import DataError, closest

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SCHEMA = "macro.yaml"
TIMES = ("date", "month", "quarter", "time", "sasdate")
GIVEN = {f.name: f.type for f in fields(Series) if f.name not in ("name", "source", "code", "vintages")}
WORDS: dict[str, tuple[str, ...]] = {"form": get_args(Form), "frequency": get_args(Frequency), "monthly": get_args(Monthly)}


@dataclass(frozen=True, eq=False)
class WideFile:
    """Series of one table.

    Parameters
    ----------
    path : path
        A csv or Parquet file, or a folder that holds one.
    schema : mapping, optional
        As above, instead of ``macro.yaml`` beside the data.

    Raises
    ------
    DataError
        No such file, a schema that does not fit it, or no column that is known.
    """

    path: str | Path
    schema: dict[str, Any] | None = field(default=None, repr=False)
    pace: float = 0.0
    name: str = FILE

    @cached_property
    def series(self) -> tuple[Series, ...]:
        """The series of the table, in the order of the schema."""
        schema = self.schema if self.schema is not None else _beside(Path(self.path))
        found = _declared(schema, self._table.column_names) if schema is not None else self._known()
        return tuple(replace(s, code=f"{self.label}/{s.code}") for s in found)

    @property
    def left_out(self) -> list[str]:
        """Columns that are no series here."""
        taken = {s.code.partition("/")[2] for s in self.series} | {self._time}
        return [name for name in self._table.column_names if name not in taken]

    def fetch(self, series: Series, start: date, end: date) -> pd.DataFrame:
        """Columns date and value: the whole column, whatever the dates asked for."""
        column = series.code.partition("/")[2]
        frame = self._table.select([self._time, column]).to_pandas()
        return frame.rename(columns={self._time: "date", column: "value"})

    def observations(self, received: pd.DataFrame, series: Series) -> pd.DataFrame:
        """Observations without release dates."""
        try:
            return typed(received["date"], [None] * len(received), received["value"])
        except (ValueError, TypeError) as error:
            raise DataError(f"column '{series.code}' cannot be read as dates and numbers: {error}") from error

    def library(self) -> str:
        """The file itself: its digest is that of the table read."""
        return self.label

    @property
    def label(self) -> str:
        """The name of the file or its folder, without its place."""
        return Path(self.path).resolve().name.partition(".")[0]

    @cached_property
    def _table(self) -> pa.Table:
        from bayes_causal.data.readers import read_table

        return read_table(self.path)[0]

    @property
    def _time(self) -> str:
        schema = self.schema if self.schema is not None else _beside(Path(self.path))
        names = self._table.column_names
        if schema is not None and schema.get("time") in names:
            return str(schema["time"])
        return next((n for n in names if n.lower() in TIMES), names[0])

    def _known(self) -> list[Series]:
        found = [COLUMNS[name] for name in self._table.column_names if name in COLUMNS]
        if not found:
            raise DataError(
                f"no column of '{self.path}' is known by its name ({', '.join(self._table.column_names[:8])}, …): write a schema "
                f"{SCHEMA} beside it, or give one with --schema"
            )
        months = self._table[self._time].to_pandas().astype("datetime64[ns]").diff().dt.days.median()
        return [of_quarters(s) for s in found] if months > 45 else [s for s in found if s.frequency == "M"]


def read_schema(path: str | Path) -> dict[str, Any]:
    """The schema of a wide file; DataError where it is none."""
    import yaml

    try:
        schema = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"schema '{path}' cannot be read: {error}") from error
    if not isinstance(schema, dict) or not isinstance(schema.get("series"), dict):
        raise DataError(
            f"schema '{path}' holds `time: COLUMN` and `series:`, with a line a series as cpi: {{column: CPIAUCSL, …}}"
        )
    return schema


def _beside(path: Path) -> dict[str, Any] | None:
    place = (path if path.is_dir() else path.parent) / SCHEMA
    return read_schema(place) if place.is_file() else None


def _declared(schema: dict[str, Any], columns: list[str]) -> list[Series]:
    problems: list[str] = []
    if schema.get("time") not in columns:
        problems.append(f"`time: {schema.get('time')}` names no column{closest(str(schema.get('time')), columns)}")
    found = [s for name, keys in schema["series"].items() if (s := _one(str(name), keys, columns, problems)) is not None]
    if problems:
        raise DataError(problems, source="schema of a wide file")
    return found


def _one(name: str, keys: Any, columns: list[str], problems: list[str]) -> Series | None:
    """One line of a schema; what is wrong with it is added to the problems."""
    if not isinstance(keys, dict):
        problems.append(f"series '{name}' holds keys and values, as {{column: {name.upper()}, form: level}}, and is {keys!r}")
        return None
    before = len(problems)
    column = str(keys.get("column", name))
    if column not in columns:
        problems.append(f"series '{name}' is column '{column}', which is not there{closest(column, columns)}")
    problems += [
        f"series '{name}' has no key '{key}'{closest(str(key), ['column', *GIVEN])}"
        for key in keys
        if key not in GIVEN and key != "column"
    ]
    problems += [f"series '{name}' says nothing of its {key}" for key in ("unit", "form") if key not in keys]
    problems += [
        f"{key} of series '{name}' cannot be {keys[key]!r}{closest(str(keys[key]), words)}"
        for key, words in WORDS.items()
        if key in keys and keys[key] not in words
    ]
    lag = keys.get("lag", 0)
    if not isinstance(lag, int) or isinstance(lag, bool) or lag < 0:
        problems.append(f"lag of series '{name}' is a number of days from 0, and is {lag!r}")
    if len(problems) > before:
        return None
    return Series(name, FILE, column, **{key: value for key, value in keys.items() if key in GIVEN})
