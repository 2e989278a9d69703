"""From sources, files or an already built lake to bronze, silver and gold, or to one error that lists every problem."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.data.macro import quality
from bayes_causal.data.macro.bronze import Retrieval, received
from bayes_causal.data.macro.gather import NETWORK, Gathering, place, sources, typed_by, wanted
from bayes_causal.data.macro.gold import MONTH, gold
from bayes_causal.data.macro.lake import KIND, MANIFEST, Lake, parquet, sha256, table
from bayes_causal.data.macro.patience import Patience
from bayes_causal.data.macro.periods import ends
from bayes_causal.data.macro.silver import ASSUMED, known, published
from bayes_causal.data.macro.source import PERIOD, Series, Source
from bayes_causal.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

GOLD, COLUMNS = "gold/monthly.parquet", "gold/columns.parquet"
OBSERVATIONS, MONTHLY, SERIES = "silver/observations.parquet", "silver/monthly.parquet", "silver/series.parquet"
GATES, REPORT = "quality/gates.parquet", "quality/report.txt"


@dataclass(frozen=True, eq=False)
class Built:
    """What a build did.

    Parameters
    ----------
    lake : Lake
    manifest : dict
        As written: months, files with digests, series, warnings, revisions, columns.
    report : str
        The data quality report.
    fetched : int
        Answers that sources gave now; 0 where everything was there.
    """

    lake: Lake
    manifest: dict[str, Any]
    report: str
    fetched: int


def build_macro(
    out: str,
    *,
    start: str | None = None,
    end: str | None = None,
    given: Sequence[str] = (),
    schema: Mapping[str, Any] | None = None,
    without: Sequence[str] = (),
    offline: bool = False,
    refresh: bool = False,
    quiet: bool = True,
    network: Mapping[str, Source] | None = None,
    patience: Patience | None = None,
) -> Built:
    """Build a lake, or bring it up to date.

    Parameters
    ----------
    out : str
        A folder or fsspec URL. What is there already is not fetched again.
    start, end : str, optional
        First and last month, as ``1990-01``; by default the first and last that are observed. A month that is not over is not
        built.
    given : sequence of str
        Already built lakes, and wide files or their folders, instead of the sources, or beside them where ``online`` is among
        them. Of series of one name the first is taken, files and lakes before sources.
    schema : mapping, optional
        Of the wide files, as in `bayes_causal.data.macro.wide_file`.
    without : sequence of str
        Names of series to leave out.
    offline : bool
        Ask no source: take what is in the lake.
    refresh : bool
        Ask the sources again; revisions become further files.
    quiet : bool
        No progress bar.
    network : mapping, optional
        Sources by name, instead of `sources`.
    patience : Patience, optional
        How sources are asked; by default at their own pace, five times.

    Raises
    ------
    DataError
        Everything that could not be fetched, read or used; gold and silver are then as they were, and what was fetched is kept.
    """
    lake = Lake(out)
    first, last = _months(start, end)
    places, online = [place(path, schema) for path in given if path != NETWORK], NETWORK in given
    series, choice = wanted(lake, places, online, without, offline)
    asked = {} if offline or (places and not online) else (network or sources())
    until: date = (last + np.timedelta64(1, "M")).astype("datetime64[D]").item()
    gathering = Gathering(lake, places, asked, until, refresh, patience)
    answers = gathering.answers(series, quiet)
    typed = {s.name: typed_by(s).observations(received(lake, answers[s.name]), s) for s in series}
    _refuse([quality.repeats(typed[s.name], s) for s in series])
    observations = {s.name: published(typed[s.name], s) for s in series}
    months, cut = _span(first, last, end is not None, observations, answers.values())
    gates = [g for s in series for g in quality.gates(observations[s.name], s, months[0], ends(months[-1:], "M")[0])]
    _refuse(gates)
    manifest, report = _write(lake, series, answers, observations, months, gates, choice, cut)
    return Built(lake, manifest, report, gathering.fetched)


def read_gold(path: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The gold table of a lake and what its columns are, proved by the digests of its last complete build.

    Raises
    ------
    DataError
        No completely built lake, or files that are not those of the build.
    """
    lake = Lake(path)
    return table(lake.verified(GOLD)), table(lake.verified(COLUMNS))


def _months(start: str | None, end: str | None) -> tuple[np.datetime64 | None, np.datetime64]:
    """The months asked for; the last one is over."""
    over = np.datetime64(datetime.now(UTC).date(), "M") - np.timedelta64(1, "M")
    problems: list[str] = []
    found: list[np.datetime64 | None] = []
    for name, text in (("start", start), ("end", end)):
        try:
            found.append(None if text is None else np.datetime64(text, "M"))
        except ValueError:
            problems.append(f"{name} '{text}' is no month: write it as 1990-01")
    if problems:
        raise DataError(problems)
    first, last = found[0], over if found[1] is None else min(found[1], over)
    if first is not None and first > last:
        raise DataError(f"start {first} is after {last}, the end: no month is left")
    return first, last


def _span(
    first: np.datetime64 | None,
    last: np.datetime64,
    asked: bool,
    observations: Mapping[str, pd.DataFrame],
    answers: Iterable[Retrieval],
) -> tuple[np.ndarray, list[str]]:
    """The months to build, and why the last is not the one asked for, where it was."""
    periods = [frame[PERIOD] for frame in observations.values() if len(frame)]
    if not periods:
        raise DataError("no series has a single value")
    known_until = min(answer.known_until for answer in answers)
    stop = min(last, np.datetime64(known_until, "M") - np.timedelta64(1, "M"))
    if not asked:
        stop = min(stop, np.datetime64(max(p.max() for p in periods), "M"))
    start = np.datetime64(min(p.min() for p in periods), "M") if first is None else first
    if start > stop:
        raise DataError(f"nothing is known from {start} on: the series end with {stop}. Choose an earlier --start")
    cut = (
        [f"built until {stop}, not {last}: the sources were asked on {known_until} for the last time"]
        if asked and stop < last
        else []
    )
    return np.arange(start, stop + np.timedelta64(1, "M"), dtype="datetime64[M]").astype("datetime64[ns]"), cut


def _refuse(gates: Sequence[quality.Gate]) -> None:
    refused = [g for g in gates if not g.passed and g.severity == "refuse"]
    if refused:
        names = " ".join(dict.fromkeys(g.series for g in refused))
        problems = [f"{g.series}, {g.name}: {g.text}" for g in refused]
        raise DataError([*problems, f"repair these series, or build without them: --without {names}"], source="quality gates")


def _write(
    lake: Lake,
    series: Sequence[Series],
    answers: Mapping[str, Retrieval],
    observations: Mapping[str, pd.DataFrame],
    months: np.ndarray,
    gates: Sequence[quality.Gate],
    choice: Sequence[str],
    cut: Sequence[str],
) -> tuple[dict[str, Any], str]:
    """Write silver, gold, the report on quality, and last the manifest; the manifest and the report."""
    import pandas as pd

    monthly, columns = gold(observations, series, months)
    newest = {s.name: known(observations[s.name], s, months, 1).values[:, 0] for s in series}
    revised = [f"revised: {answers[s.name].revision}" for s in series if answers[s.name].revision]
    report = quality.report(months, gates, columns, [*revised, *cut, *choice])
    files = {
        OBSERVATIONS: parquet(pd.concat([observations[s.name].assign(series=s.name) for s in series], ignore_index=True)),
        MONTHLY: parquet(pd.DataFrame({MONTH: months} | newest)),
        SERIES: parquet(pd.DataFrame([_about(s, answers[s.name], observations[s.name]) for s in series])),
        GOLD: parquet(monthly),
        COLUMNS: parquet(columns),
        GATES: parquet(pd.DataFrame([asdict(g) for g in gates])),
        REPORT: f"{report}\n".encode(),
    }
    manifest = {
        "kind": KIND,
        "version": 1,
        "months": [str(m.astype("datetime64[M]")) for m in months[[0, -1]]],
        "files": {name: sha256(content) for name, content in files.items()},
        "series": [{"series": asdict(s), "file": answers[s.name].file, "sha256": answers[s.name].sha256} for s in series],
        "warnings": [f"{g.series}, {g.name}: {g.text}" for g in gates if not g.passed],
        "revised": revised,
        "choice": list(choice),
        "columns": {str(c.name): str(c.role) for c in columns.itertuples()},
    }
    for name, content in files.items():
        lake.write(name, content)
    lake.write(MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False).encode())
    return manifest, report


def _about(series: Series, answer: Retrieval, frame: pd.DataFrame) -> dict[str, Any]:
    """What silver says of a series."""
    return {
        **{name: getattr(series, name) for name in ("name", "source", "code", "unit", "form", "frequency", "about")},
        "aggregation": series.aggregation,
        "publication": series.publication,
        "values": len(frame),
        "periods": frame[PERIOD].nunique(),
        "assumed": int(frame[ASSUMED].sum()),
        "first": frame[PERIOD].min(),
        "last": frame[PERIOD].max(),
        "retrieved": answer.retrieved.isoformat(),
        "sha256": answer.sha256,
    }
