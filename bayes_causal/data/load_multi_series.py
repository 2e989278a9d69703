"""The `data` mapping of a study on several series to their container: from files, an example, or a lake."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayes_causal.data.build_multi_series import DIMS
from bayes_causal.data.examples import PREFIX
from bayes_causal.data.load import read_source, refuse_keys
from bayes_causal.data.multi_series import MultiSeries
from bayes_causal.data.readers import FORMATS, Provenance, filter_rows
from bayes_causal.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

KIND = "multi_series"
KNOWN = "the table comes from a lake of `bayes-causal macro build`, in which nothing is known before its release date"


def load_multi_series(keys: Mapping[str, Any], base: str | Path, outcome: str | None = None) -> tuple[MultiSeries, Provenance]:
    """Several series from the `data` mapping of a study.

    Parameters
    ----------
    keys : mapping
        As in a study file: source or sources, where, time, outcomes, shocks and controls. A source may be a lake that
        ``bayes-causal macro build`` wrote: its gold table is read, proved by its digest. An example brings its own columns, which
        `keys` may override.
    base : path
        Folder that relative paths start from.
    outcome : str, optional
        Not asked for here: all series are read together.

    Raises
    ------
    DataError
        Keys that do not exist or contradict each other, files that cannot be read, data that are no such series.
    """
    given = {k: v for k, v in keys.items() if v is not None}
    refuse_keys(given, KIND)
    read = _lake(given, Path(base))
    if read is None:
        table, _, columns, provenance = read_source(given, Path(base), KIND)
    else:
        (table, provenance), columns = read, {}
    declared = columns | {key: given[key] for key in (*DIMS, "time") if key in given}
    if not declared.get("outcomes"):
        raise DataError("`data` does not say which columns are the series: add `outcomes: [NAME, …]`")
    found = MultiSeries.from_frame(table, **declared)
    if read is None:
        return found, provenance
    return MultiSeries(found.dataset.assign_attrs(known=KNOWN)), provenance


def _lake(given: Mapping[str, Any], base: Path) -> tuple[pa.Table, Provenance] | None:
    """The gold table of a lake, and where it came from; None where the source is none."""
    from bayes_causal.data.macro.build import GOLD
    from bayes_causal.data.macro.lake import MANIFEST, Lake, sha256

    source = str(given.get("source", ""))
    if not source or source.startswith(PREFIX) or source.lower().endswith(FORMATS) or "*" in source:
        return None
    lake = Lake(source if "://" in source else str(base / Path(source).expanduser()))
    if not lake.has(MANIFEST):
        return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = lake.verified(GOLD)
    table = pq.read_table(pa.BufferReader(content))
    provenance = Provenance(source, sha256(content), table.num_rows, table.num_rows)
    if "where" not in given:
        return table, provenance
    kept = filter_rows(table, given["where"], source)
    return kept, provenance.minus({f"where: {given['where']}": table.num_rows - kept.num_rows})
