"""What was received, as it was, with the time and a digest: kept for good, a revision being a further file."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from bayes_causal.data.macro.lake import Lake, parquet, sha256, table
from bayes_causal.data.macro.source import FILE, PERIOD, PUBLISHED, VALUE, Series, Source
from bayes_causal.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "bronze"


@dataclass(frozen=True)
class Retrieval:
    """One answer of a source.

    Parameters
    ----------
    series : Series
        What was asked for.
    start, end : date
        The dates asked for.
    retrieved : datetime
        When, in UTC.
    file, sha256 : str
        Its Parquet file in the lake, and the digest of that.
    rows : int
    library : str
        What asked.
    revision : str
        What changed since the answer before; empty for a first one.
    """

    series: Series
    start: date
    end: date
    retrieved: datetime
    file: str
    sha256: str
    rows: int
    library: str
    revision: str = ""

    def covers(self, series: Series, start: date, end: date) -> bool:
        """Whether it answers a question too; what lies after its retrieval it cannot know."""
        return self.same(series) and self.start <= start and self.known_until >= end

    @property
    def known_until(self) -> date:
        """The last date that it can know of; a file is all there is of it, whenever it was read."""
        return self.end if self.series.source == FILE else min(self.end, self.retrieved.date())

    def same(self, series: Series) -> bool:
        """Whether it is an answer on a series, whatever we make of it."""
        own = self.series
        return (own.source, own.code, own.vintages) == (series.source, series.code, series.vintages)

    def to_json(self) -> bytes:
        """As the file beside the table."""
        plain = asdict(self) | {name: getattr(self, name).isoformat() for name in ("start", "end", "retrieved")}
        return json.dumps(plain, indent=1, ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, content: bytes) -> Retrieval:
        """From such a file."""
        plain = json.loads(content)
        dates = {name: date.fromisoformat(plain[name]) for name in ("start", "end")}
        return cls(
            **plain | dates | {"series": Series(**plain["series"]), "retrieved": datetime.fromisoformat(plain["retrieved"])}
        )


def retrievals(lake: Lake) -> list[Retrieval]:
    """Every answer in a lake, oldest first.

    Raises
    ------
    DataError
        A record that cannot be read.
    """
    found, problems = [], []
    for name in lake.names(FOLDER, ".json"):
        try:
            found.append(Retrieval.from_json(lake.read(name)))
        except (ValueError, KeyError, TypeError) as error:
            problems.append(f"record {name} of '{lake.path}' cannot be read ({type(error).__name__}: {error}): remove it")
    if problems:
        raise DataError(problems)
    return sorted(found, key=lambda r: r.retrieved)


def newest(found: Sequence[Retrieval], series: Series) -> Retrieval | None:
    """The newest answer on a series."""
    return next((r for r in reversed(found) if r.same(series)), None)


def received(lake: Lake, retrieval: Retrieval) -> pd.DataFrame:
    """The table of an answer, proved by its digest.

    Raises
    ------
    DataError
        The file is gone, or is not what was received.
    """
    content = lake.read(retrieval.file)
    if sha256(content) != retrieval.sha256:
        raise DataError(
            f"{retrieval.file} of '{lake.path}' is not what was received on {retrieval.retrieved:%Y-%m-%d} (its digest differs): "
            "it was changed or damaged. Bring it back, or remove it with its .json and build again"
        )
    return table(content)


def keep(
    lake: Lake, source: Source, series: Series, dates: tuple[date, date], frame: pd.DataFrame, before: Retrieval | None
) -> Retrieval:
    """Put an answer into the lake, beside those before; the record is written after the table, and makes it count.

    An answer that is known already, to the same question, is not put there again.
    """
    now = datetime.now(UTC)
    content = parquet(frame)
    digest, revision = sha256(content), ""
    file = f"{FOLDER}/{series.source}/{_plain(series.code)}/{now:%Y%m%dT%H%M%S%fZ}-{digest[:12]}.parquet"
    if before is not None:
        if before.sha256 == digest and before.covers(series, *dates):
            return before
        if before.sha256 == digest:
            file = before.file
        else:
            earlier = source.observations(received(lake, before), before.series)
            revision = revised(series, earlier, source.observations(frame, series))
    lake.write(file, content)
    kept = Retrieval(series, *dates, now, file, digest, len(frame), source.library(), revision)
    lake.write(f"{FOLDER}/{series.source}/{_plain(series.code)}/{now:%Y%m%dT%H%M%S%fZ}.json", kept.to_json())
    return kept


def revised(series: Series, before: pd.DataFrame, after: pd.DataFrame) -> str:
    """What changed between two answers, in words; empty where nothing that both cover did."""
    keys = [PERIOD, PUBLISHED]
    both = before.merge(after, on=keys, how="outer", suffixes=("_before", "_after"), indicator=True)
    shared = both[both["_merge"] == "both"]
    changed = shared[shared[f"{VALUE}_before"] != shared[f"{VALUE}_after"]]
    gone = both[both["_merge"] == "left_only"]
    parts = []
    if len(changed):
        first = changed.iloc[0]
        parts.append(
            f"{len(changed):,} of {len(shared):,} values changed (first: {first[PERIOD]:%Y-%m-%d}, {first[f'{VALUE}_before']:g} "
            f"to {first[f'{VALUE}_after']:g})"
        )
    if len(gone):
        parts.append(f"{len(gone):,} values are gone (first: {gone.iloc[0][PERIOD]:%Y-%m-%d})")
    return f"{series.name}: {'; '.join(parts)}; the earlier answer is kept" if parts else ""


def _plain(code: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "_", code)
