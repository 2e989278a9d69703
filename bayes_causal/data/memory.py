"""Whether rows are held in memory or read as a stream: one rule, decided before the rows are read, and said in the manifest."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bayes_causal.data.examples import PREFIX
from bayes_causal.data.readers import parquet_files
from bayes_causal.data.source_columns import NOT_HERE
from bayes_causal.errors import DataError

BYTES_A_ROW = 5_000
SHARE = 0.5
ASSUMED = 8 * 2**30


def held_in_memory(keys: Mapping[str, Any], base: Path) -> tuple[bool, str]:
    """Whether the rows of a study's `data` are held in memory, and why.

    `in_memory` decides where it is true or false. Where it is left out, rows are held unless they are Parquet files whose number
    of rows, at 5 kB for each (what a fit needs at its peak), is more than half of the machine's memory.
    """
    asked = keys.get("in_memory")
    if asked is not None:
        return bool(asked), f"in_memory: {str(asked).lower()}"
    source = keys.get("source", keys.get("sources"))
    if str(source).startswith(PREFIX) or "://" in str(source):
        return True, "an example or a URL is read into memory"
    try:
        rows = parquet_rows(source, base)
    except DataError:
        return True, "only Parquet files are streamed"
    need, have = rows * BYTES_A_ROW, memory()
    sizes = f"{rows:,} rows at 5 kB are {need / 2**30:.1f} GiB; half of this machine's memory is {SHARE * have / 2**30:.1f} GiB"
    if need <= SHARE * have:
        return True, sizes
    barred = [key for key in NOT_HERE if keys.get(key)]
    if barred:
        return True, f"{sizes}; `{barred[0]}` needs them in memory all the same"
    return False, sizes


def parquet_rows(source: Any, base: Path) -> int:
    """Rows of Parquet files, from their footers.

    Raises
    ------
    DataError
        Files that are missing, of another format, or unreadable.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return sum(pq.read_metadata(path).num_rows for path in parquet_files(source, base=base))
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"a Parquet file cannot be read: {str(error).splitlines()[0]}", source=str(source)) from error


def memory() -> int:
    """Bytes of memory of this machine, or of the container where it has a limit; 8 GiB where the system does not say."""
    sizes = [_limit(Path("/sys/fs/cgroup/memory.max"))]
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" in names and "SC_PAGE_SIZE" in names:
        sizes.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min((s for s in sizes if s), default=ASSUMED)


def _limit(path: Path) -> int | None:
    text = path.read_text().strip() if path.is_file() else "max"
    return int(text) if text.isdigit() else None
