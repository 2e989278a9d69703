"""Files and URLs to Arrow tables, with where every row came from and what became of it."""

from __future__ import annotations

import glob
import hashlib
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayes_causal.errors import DataError, closest

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

DELIMITED = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
FORMATS = (*DELIMITED, ".parquet", ".pq")
SOURCE_COLUMN = "source_file"
CHUNK = 1 << 20
RELATIVE = "relative paths start from the study file's folder"


@dataclass(frozen=True)
class Provenance:
    """Where data came from, and what became of its rows.

    Parameters
    ----------
    source : str
        File, folder, glob, URL or example; several joined by commas.
    sha256 : str
        Digest of the content; of several files, the digest of their digests in sorted order.
    rows_read, rows_kept : int
    dropped : dict of str to int
        Rows left out on request, by reason.
    held : str
        Whether rows were held in memory or summed, and why.
    """

    source: str
    sha256: str
    rows_read: int
    rows_kept: int
    dropped: dict[str, int] = field(default_factory=dict)
    held: str = ""

    def minus(self, dropped: Mapping[str, int]) -> Provenance:
        """The same after a further step dropped rows."""
        return replace(
            self,
            rows_kept=self.rows_kept - sum(dropped.values()),
            dropped={**self.dropped, **{k: n for k, n in dropped.items() if n}},
        )


def read_table(
    source: str | Path | Sequence[str | Path], *, base: str | Path | None = None, where: str | None = None
) -> tuple[pa.Table, Provenance]:
    """One table from a file, a folder, a glob, a URL, or a list of these.

    Parameters
    ----------
    source : str, path, or list of them
        csv, csv.gz, tsv or parquet. Several files are set one below the other, with a column ``source_file`` that names each
        row's file.
    base : path, optional
        Folder that relative paths start from.
    where : str, optional
        Rows to keep, as a DuckDB SQL expression (``"week < 40 and region = 'north'"``); the others are counted.

    Returns
    -------
    table : pyarrow.Table
    provenance : Provenance

    Raises
    ------
    DataError
        Missing, empty, unreadable or unknown files, or a `where` that cannot be evaluated.
    """
    several = not isinstance(source, (str, Path))
    sources: list[str | Path] = [source] if isinstance(source, (str, Path)) else list(source)
    if not sources:
        raise DataError("the list of sources is empty")
    name = ", ".join(str(s) for s in sources)
    with tempfile.TemporaryDirectory(prefix="bayes-causal-") as folder:
        files = [pair for s in sources for pair in _files(str(s), Path(base or "."), Path(folder))]
        relation, connection = _relation(files, several or len(files) > 1, name)
        try:
            return _filtered(relation, connection, where, files, name)
        finally:
            connection.close()


def parquet_files(source: str | Path | Sequence[str | Path], *, base: str | Path | None = None) -> list[Path]:
    """The Parquet files that a file, a folder, a glob, or a list of these means, in sorted order.

    Raises
    ------
    DataError
        Missing or empty files, files of another format, and URLs: what is streamed must be at hand.
    """
    sources = [source] if isinstance(source, (str, Path)) else list(source)
    remote = [str(s) for s in sources if "://" in str(s)]
    if remote:
        raise DataError(
            f"'{remote[0]}' is not streamed: copy the files here first, or open them with an engine (duckdb.read_parquet, "
            "polars.scan_parquet, spark.read.parquet) and give that to PanelSource.from_table"
        )
    files = [path for s in sources for _, path in _files(str(s), Path(base or "."), Path("."))]
    other = [p.name for p in files if _format(p.name) != "parquet"]
    if other or not files:
        what = f"'{other[0]}' is no Parquet file" if other else "the list of sources is empty"
        raise DataError(f"{what}: rows are streamed from Parquet only; convert with DuckDB's COPY … TO 'x.parquet'")
    return files


def digest(paths: Iterable[Path]) -> str:
    """sha256 of a file's content, or of several files' digests in sorted order."""
    digests = [_digest(p) for p in paths]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(source: str, base: Path, downloads: Path) -> list[tuple[str, Path]]:
    """(shown name, local path) of every file that a source means."""
    if "://" in source:
        return _downloaded(source, downloads)
    path = base / Path(source).expanduser()
    if any(c in source for c in "*?[") and not path.exists():
        found = sorted(Path(p) for p in glob.glob(str(path), recursive=True) if Path(p).is_file())
        if not found:
            raise DataError(f"no file matches '{source}' in {path.parent}{_listing(path.parent)}")
    elif path.is_dir():
        found = sorted(p for p in path.iterdir() if _format(p.name))
        if not found:
            raise DataError(f"folder '{source}' holds no {' or '.join(FORMATS)} file{_listing(path)}")
    elif path.is_file():
        found = [path]
    else:
        raise DataError(_not_found(source, path))
    for p in found:
        _check_file(p.name, p)
    return [(p.name, p) for p in found]


def _check_file(name: str, path: Path) -> None:
    if _format(name) is None:
        raise DataError(f"'{name}' is of a format that is not read{closest(path.suffix, FORMATS)}: convert it to csv or parquet")
    if path.stat().st_size == 0:
        raise DataError(f"file '{name}' is empty (0 bytes): was it written completely?")


def _format(name: str) -> str | None:
    low = name.lower()
    if low.endswith((".parquet", ".pq")):
        return "parquet"
    return "delimited" if low.endswith(DELIMITED) else None


def _not_found(source: str, path: Path) -> str:
    if not path.parent.is_dir():
        return f"there is no file '{source}': the folder {path.parent} does not exist; {RELATIVE}"
    names = [p.name for p in path.parent.iterdir()]
    return f"there is no file '{source}' in {path.parent}{closest(path.name, sorted(names))}; {RELATIVE}"


def _listing(folder: Path) -> str:
    if not folder.is_dir():
        return " (the folder does not exist)"
    names = sorted(p.name for p in folder.iterdir())
    return f" (it holds {', '.join(names[:8])}{', …' if len(names) > 8 else ''})" if names else " (it is empty)"


def _downloaded(url: str, folder: Path) -> list[tuple[str, Path]]:
    """Copies of what a URL means, a glob included, streamed into a folder."""
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(url)
        paths = sorted(system.glob(path)) if any(c in path for c in "*?[") else [path]
        if system.isdir(path):
            paths = sorted(p for p in system.ls(path, detail=False) if _format(p))
        if not paths:
            raise DataError(f"nothing at '{url}': check the address")
        return [(p.rsplit("/", 1)[-1], _download(system, p, folder)) for p in paths]
    except ImportError as error:
        raise DataError(f"'{url}' needs a further package: {error}") from error
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"'{url}' cannot be read ({type(error).__name__}: {error}): check the address and the credentials"
        ) from error


def _download(system: Any, path: str, folder: Path) -> Path:
    name = path.rsplit("/", 1)[-1]
    target = folder / f"{len(list(folder.iterdir()))}" / name
    target.parent.mkdir()
    with system.open(path, "rb") as remote, target.open("wb") as local:
        while chunk := remote.read(CHUNK):
            local.write(chunk)
    _check_file(name, target)
    return target


def _relation(
    files: list[tuple[str, Path]], named: bool, source: str
) -> tuple[duckdb.DuckDBPyRelation, duckdb.DuckDBPyConnection]:
    import duckdb

    connection = duckdb.connect()
    silence(connection)
    parts = []
    for shown, path in files:
        reader = "read_parquet(?)" if _format(path.name) == "parquet" else "read_csv_auto(?, sample_size=-1)"
        try:
            part = connection.sql(f"select * from {reader}", params=[_literal_path(path)])
            parts.append(part.project(f"*, '{shown.replace(chr(39), chr(39) * 2)}' as {SOURCE_COLUMN}") if named else part)
        except duckdb.Error as error:
            connection.close()
            raise DataError(
                f"file '{shown}' cannot be read as {path.suffix.lstrip('.')}: {_first_line(error)}", source=source
            ) from error
    return _stacked(parts, connection, files, source), connection


def silence(connection: duckdb.DuckDBPyConnection) -> None:
    """No progress bar on the terminal; in a notebook DuckDB refuses the setting where ipywidgets are missing, and shows none."""
    if "ipykernel" not in sys.modules:
        connection.execute("set enable_progress_bar = false")


def _literal_path(path: Path) -> str:
    """A path that DuckDB does not take for a glob."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in str(path))


def _stacked(
    parts: list[duckdb.DuckDBPyRelation], connection: duckdb.DuckDBPyConnection, files: list[tuple[str, Path]], source: str
) -> duckdb.DuckDBPyRelation:
    first = parts[0]
    for part, (shown, _) in zip(parts[1:], files[1:], strict=True):
        if set(part.columns) != set(first.columns):
            odd = sorted(set(part.columns) ^ set(first.columns))
            connection.close()
            raise DataError(
                f"files '{files[0][0]}' and '{shown}' do not have the same columns (they differ in {', '.join(odd)})",
                source=source,
            )
    stacked = first
    for part in parts[1:]:
        stacked = stacked.union(part.project(", ".join(f'"{c}"' for c in first.columns)))
    return stacked


def _filtered(
    relation: duckdb.DuckDBPyRelation,
    connection: duckdb.DuckDBPyConnection,
    where: str | None,
    files: list[tuple[str, Path]],
    name: str,
) -> tuple[pa.Table, Provenance]:
    import duckdb

    try:
        table = relation.to_arrow_table()
    except duckdb.Error as error:
        raise DataError(f"the rows cannot be read: {_first_line(error)}", source=name) from error
    if table.num_rows == 0:
        raise DataError("there are columns and no rows", source=name)
    provenance = Provenance(name, digest(p for _, p in files), table.num_rows, table.num_rows)
    if where is None:
        return table, provenance
    kept = filter_rows(table, where, name)
    return kept, provenance.minus({f"where: {where}": table.num_rows - kept.num_rows})


def filter_rows(table: pa.Table, where: str, source: str) -> pa.Table:
    """The rows of a table for which a DuckDB SQL expression is true.

    Raises
    ------
    DataError
        The expression cannot be evaluated, or keeps no row.
    """
    import duckdb

    with duckdb.connect() as connection:
        try:
            kept = connection.from_arrow(table).filter(where).to_arrow_table()
        except duckdb.Error as error:
            raise DataError(
                f"where '{where}' cannot be evaluated: {_first_line(error)} (it is a DuckDB SQL expression over "
                f"{', '.join(table.column_names)})",
                source=source,
            ) from error
    if kept.num_rows == 0:
        raise DataError(f"where '{where}' keeps none of the {table.num_rows:,} rows", source=source)
    return kept


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
