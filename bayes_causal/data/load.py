"""The `data` mapping of a study file to the container of its kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayes_causal.data.examples import EXPOSURES, PREFIX, example_source, example_table
from bayes_causal.data.exposures import LAST
from bayes_causal.data.kinds import KINDS, SHARED_KEYS
from bayes_causal.data.memory import held_in_memory, parquet_rows
from bayes_causal.data.panel import Panel
from bayes_causal.data.panel_source import PanelSource
from bayes_causal.data.readers import Provenance, digest, filter_rows, parquet_files, read_table
from bayes_causal.data.source_columns import NOT_HERE
from bayes_causal.data.time_series import TimeSeries
from bayes_causal.errors import DataError, closest

if TYPE_CHECKING:
    import pyarrow as pa

NOT_COLUMNS = ("outcome", "outcomes", "exposures", "in_memory")

_REACHED = """
select * from exposed where "{exposed}" in (select "{unit}" from kept) and exists (
    select 1 from (select distinct "{time}" as t from kept) where t >= start and ("end" is null or t <= "end")
)
"""


def load_data(keys: Mapping[str, Any], base: str | Path, outcome: str | None = None) -> tuple[Any, Provenance]:
    """The container of whatever kind the `data` mapping of a study names, and where its rows came from.

    Arguments and errors are those of `load_panel`.
    """
    kind = keys.get("kind") or "panel"
    if kind not in KINDS or not KINDS[kind].reader:
        raise DataError(f"kind '{kind}' cannot be read{closest(str(kind), [k.name for k in KINDS.values() if k.reader])}")
    loaded: tuple[Any, Provenance] = KINDS[kind].load_reader()(keys, base, outcome)
    return loaded


def load_units(keys: Mapping[str, Any], base: str | Path, outcome: str | None = None) -> tuple[Panel | PanelSource, Provenance]:
    """A panel, or a source where its rows are not held in memory: `bayes_causal.data.memory` has the rule.

    Parameters, returns and errors are those of `load_panel`.
    """
    given = {k: v for k, v in keys.items() if v is not None}
    refuse_keys(given, "panel")
    held, why = held_in_memory(given, Path(base))
    if held:
        panel, provenance = load_panel(given, base, outcome)
        return panel, replace(provenance, held=f"rows in memory: {why}")
    declared = _declared(given, {}, outcome, "panel") | {key: given[key] for key in NOT_HERE if key in given}
    files: str | list[str] = given.get("source") or list(given["sources"])
    source = PanelSource.from_files(files, base=base, where=given.get("where"), **declared)
    read, kept = parquet_rows(files, Path(base)), source.counts["rows_read"]
    name = files if isinstance(files, str) else ", ".join(files)
    held_as = f"sums over {source.counts['paths']:,} paths, {source.how}: {why}"
    provenance = Provenance(name, digest(parquet_files(files, base=base)), read, read, held=held_as)
    filtered = {f"where: {given['where']}": read - kept} if "where" in given else {}
    return source, provenance.minus(filtered).minus(source.counts["dropped"])


def load_panel(keys: Mapping[str, Any], base: str | Path, outcome: str | None = None) -> tuple[Panel, Provenance]:
    """A panel from the `data` mapping of a study.

    Parameters
    ----------
    keys : mapping
        As in a study file: source or sources, where, and the arguments of `Panel.from_frame`; `exposures` is a path,
        ``example:NAME``, or a list of rows. An example brings its own columns and exposures, which `keys` may override.
    base : path
        Folder that relative paths start from.
    outcome : str, optional
        One of the `outcomes`, where there are several.

    Returns
    -------
    panel : Panel
    provenance : Provenance

    Raises
    ------
    DataError
        Keys that do not exist or contradict each other, files that cannot be read, data that are no panel.
    """
    given = {k: v for k, v in keys.items() if v is not None}
    refuse_keys(given, "panel")
    table, tables, columns, provenance = read_source(given, Path(base), "panel")
    exposures = tables.get(EXPOSURES)
    declared = _declared(given, columns, outcome, "panel")
    for other in ("arms", "cohort", "exposures", "layout"):
        if other in given and "treatment" not in given:
            declared.pop("treatment", None)
    if "arms" in given and "group" not in given:
        declared.pop("group", None)
    if "exposures" in given:
        exposures = _exposures(given["exposures"], Path(base))
    if (exposures is not None and not {"treatment", "arms", "cohort", "layout"} & set(declared)) or "exposures" in given:
        declared["exposures"] = exposures
        if "where" in given and exposures != LAST:
            declared["exposures"] = _reached(exposures, table, declared)
    panel = Panel.from_frame(table, **declared)
    return panel, provenance.minus(panel.counts["dropped"])


def load_series(keys: Mapping[str, Any], base: str | Path, outcome: str | None = None) -> tuple[TimeSeries, Provenance]:
    """A series from the `data` mapping of a study; arguments and errors are those of `load_panel`."""
    given = {k: v for k, v in keys.items() if v is not None}
    refuse_keys(given, "time_series")
    table, _, columns, provenance = read_source(given, Path(base), "time_series")
    series = TimeSeries.from_frame(table, **_declared(given, columns, outcome, "time_series"))
    return series, provenance.minus(series.counts["dropped"])


def refuse_keys(given: Mapping[str, Any], kind: str) -> None:
    """Raise DataError where keys are unknown, of another kind, or name no source or two."""
    valid = [*SHARED_KEYS, *KINDS[kind].keys]
    problems = [f"`data` has no key '{key}'{closest(key, valid)}" for key in given if key not in valid]
    if given.get("kind", "panel") != kind:
        problems.append(f"kind '{given.get('kind', 'panel')}' is not a {kind}")
    if ("source" in given) == ("sources" in given):
        problems.append("`data` needs one of `source` (a file, folder, glob, URL or example:NAME) and `sources` (a list of them)")
    if problems:
        raise DataError(problems)


def read_source(
    given: Mapping[str, Any], base: Path, kind: str
) -> tuple[pa.Table, Mapping[str, pa.Table], dict[str, Any], Provenance]:
    """The table of a source, and what an example brings: all its tables and its columns; and provenance."""
    source = given.get("source", given.get("sources"))
    if not str(source).startswith(PREFIX):
        table, provenance = read_table(source, base=base, where=given.get("where"))
        return table, {}, {}, provenance
    tables, columns, provenance = example_source(str(source), kind)
    table = tables[kind]
    if "where" in given:
        kept = filter_rows(table, given["where"], str(source))
        provenance = provenance.minus({f"where: {given['where']}": table.num_rows - kept.num_rows})
        table = kept
    return table, tables, columns, provenance


def _declared(given: Mapping[str, Any], columns: dict[str, Any], outcome: str | None, kind: str) -> dict[str, Any]:
    """Arguments of the container's `from_frame`: those of the study over those of the example."""
    declared = columns | {key: given[key] for key in KINDS[kind].keys if key in given and key not in NOT_COLUMNS}
    for key in ("covariates", "predictors", "controls", "placebo_outcomes"):
        if isinstance(declared.get(key), str):
            declared[key] = [declared[key]]
    several = given.get("outcomes", ())
    declared["outcome"] = outcome or given.get("outcome") or (several[0] if several else columns.get("outcome"))
    missing = [key for key in (*KINDS[kind].required, "outcome") if not declared.get(key)]
    if missing:
        raise DataError([f"`data` does not say which column is the {key}: add `{key}: NAME`" for key in missing])
    return declared


def _exposures(source: str | Sequence[Mapping[str, Any]], base: Path) -> pa.Table | str:
    if not isinstance(source, str):
        return _exposure_rows(source)
    if source == LAST:
        return LAST
    if not str(source).startswith(PREFIX):
        return read_table(source, base=base)[0]
    tables = example_table(str(source).removeprefix(PREFIX))
    if EXPOSURES not in tables:
        raise DataError(f"example '{source}' has no exposures")
    return tables[EXPOSURES]


def _exposure_rows(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Exposures written out in a study file; an end that is left out lasts until the end of the data."""
    import pandas as pd
    import pyarrow as pa

    columns = list(dict.fromkeys([*(key for row in rows for key in row), "end"]))
    frame = pd.DataFrame({c: [row.get(c) for row in rows] for c in columns})
    return pa.Table.from_pandas(frame, preserve_index=False)


def _reached(exposures: pa.Table, table: pa.Table, declared: Mapping[str, Any]) -> pa.Table:
    """Exposures of units and times that a `where` has left in the data; `where` asked for the others to go."""
    import duckdb

    unit = declared["unit"] if declared["unit"] in exposures.column_names else "unit"
    if not {unit, "start", "end"} <= set(exposures.column_names) or not {declared["unit"], declared["time"]} <= set(
        table.column_names
    ):
        return exposures
    with duckdb.connect() as connection:
        connection.register("exposed", exposures)
        connection.register("kept", table)
        try:
            return connection.sql(_REACHED.format(unit=declared["unit"], exposed=unit, time=declared["time"])).to_arrow_table()
        except duckdb.ConversionException:
            return exposures  # ids or times of another type: the panel says so, with examples
