"""Which series a lake is made of, and an answer on each: what is there already, or what files, lakes and sources give."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from bayes_causal.data.macro.bronze import FOLDER, Retrieval, keep, newest, received, retrievals
from bayes_causal.data.macro.fred import Fred
from bayes_causal.data.macro.lake import Lake
from bayes_causal.data.macro.patience import Patience
from bayes_causal.data.macro.series import ONLINE
from bayes_causal.data.macro.source import FILE, Series, Source
from bayes_causal.data.macro.wide_file import WideFile
from bayes_causal.data.macro.world_bank import WorldBank
from bayes_causal.data.macro.yahoo import Yahoo
from bayes_causal.data.readers import FORMATS
from bayes_causal.errors import DataError, closest

NETWORK = "online"  # in place of a path: the sources
EARLIEST = date(1900, 1, 1)  # all history is asked for, so that an earlier start asks nothing again


def sources() -> dict[str, Source]:
    """The sources on the network, by name."""
    return {source.name: source for source in (Fred(), Yahoo(), WorldBank())}


def place(path: str, schema: Mapping[str, Any] | None) -> Lake | WideFile:
    """What a path holds: a lake, or a wide file."""
    lake = Lake(path)
    if not path.lower().endswith(FORMATS) and lake.names(FOLDER, ".json"):
        return lake
    return WideFile(path, None if schema is None else dict(schema))


def wanted(
    lake: Lake, places: Sequence[Lake | WideFile], online: bool, without: Sequence[str], offline: bool
) -> tuple[tuple[Series, ...], list[str]]:
    """The series to build, and what is to be said of the choice.

    Those of `places`, then where asked for `online` those of the sources; without either those of the last build, else of the
    sources. Of several of one name the first.

    Raises
    ------
    DataError
        No series, or names in `without` that are none.
    """
    before = lake.manifest()
    if places or online:
        listed = [s for p in places for s in (p.series if isinstance(p, WideFile) else _in(p))]
        listed += ONLINE if online else ()
    elif before is not None:
        listed = [Series(**entry["series"]) for entry in before["series"]]
    else:
        listed = _in(lake) if offline else list(ONLINE)
    if not listed:
        raise DataError(f"'{lake.path}' holds no series, and offline none are fetched: name a lake or a file with --from")
    first: dict[str, Series] = {}
    for series in listed:
        first.setdefault(series.name, series)
    unknown = [f"there is no series '{name}' to leave out{closest(name, first)}" for name in without if name not in first]
    if unknown:
        raise DataError(unknown)
    told = [p.manifest() for p in places if isinstance(p, Lake)] if places or online else [before]
    kept = [note for manifest in told if manifest is not None for note in manifest["choice"]]
    return tuple(s for name, s in first.items() if name not in without), [
        *kept,
        *_unknown_columns(places),
        *_doubles(listed, first),
    ]


def _in(lake: Lake) -> list[Series]:
    """The series that a lake has answers on."""
    return list({r.series.name: r.series for r in retrievals(lake)}.values())


def _unknown_columns(places: Sequence[Lake | WideFile]) -> list[str]:
    files = [p for p in places if isinstance(p, WideFile) and p.left_out]
    return [f"columns of {f.label} that are no series here are left out: {', '.join(f.left_out)}" for f in files]


def _doubles(listed: Sequence[Series], first: Mapping[str, Series]) -> list[str]:
    doubles = [s for s in listed if first[s.name].code != s.code]
    return [f"{s.name} is taken from {first[s.name].code}, not from {s.code}" for s in doubles]


@dataclass(eq=False)
class Gathering:
    """Answers on series, put into a lake as they come.

    Parameters
    ----------
    lake : Lake
    places : sequence of Lake and WideFile
    network : mapping
        Sources that may be asked, by name; none of them offline.
    until : date
        What has to be known: everything before it.
    refresh : bool
        Ask again what is known.
    patience : Patience, optional
        For all sources; by default each has its own pace.
    """

    lake: Lake
    places: Sequence[Lake | WideFile]
    network: Mapping[str, Source]
    until: date
    refresh: bool = False
    patience: Patience | None = None
    fetched: int = field(default=0, init=False)

    def answers(self, series: Sequence[Series], quiet: bool) -> dict[str, Retrieval]:
        """The answer on every series, by name.

        Raises
        ------
        DataError
            Everything that could not be had; the answers that came are kept in the lake.
        """
        from tqdm import tqdm

        for given in self.places:
            if isinstance(given, Lake):
                _copy(given, self.lake)
        have = retrievals(self.lake)
        asked = {name: self.patience or Patience(source.pace) for name, source in self.network.items()}
        found: dict[str, Retrieval] = {}
        problems: list[str] = []
        for one in tqdm(series, desc="series", disable=quiet or not sys.stderr.isatty(), file=sys.stderr):
            try:
                found[one.name] = self._answer(one, newest(have, one), asked.get(one.source))
            except DataError as error:
                problems += error.problems
        if problems:
            kept = (
                "once this is repaired, or the sources answer again, build again: what was fetched is kept, the rest is asked for"
            )
            raise DataError([*dict.fromkeys(problems), kept], source="sources")
        return found

    def _answer(self, series: Series, old: Retrieval | None, patience: Patience | None) -> Retrieval:
        file = next((p for p in self.places if isinstance(p, WideFile) and series in p.series), None)
        if file is not None:
            return keep(self.lake, file, series, (date.min, date.max), file.fetch(series, EARLIEST, self.until), old)
        if old is not None and (patience is None or (old.known_until >= self.until and not self.refresh)):
            return old
        if patience is None:
            raise DataError(
                f"{series.name} ({series.source} {series.code}) is not in '{self.lake.path}', and is not fetched here"
            )
        source = self.network[series.source]
        what = f"{series.source} '{series.code}' ({series.name})"
        frame = patience.ask(lambda: source.fetch(series, EARLIEST, self.until), what)
        self.fetched += 1
        return keep(self.lake, source, series, (EARLIEST, self.until), frame, old)


def _copy(given: Lake, lake: Lake) -> None:
    """Bring the answers of another lake here, each proved by its digest."""
    for answer, name in ((Retrieval.from_json(given.read(name)), name) for name in given.names(FOLDER, ".json")):
        if not lake.has(name):
            received(given, answer)
            lake.write(answer.file, given.read(answer.file))
            lake.write(name, given.read(name))


def typed_by(series: Series) -> Source:
    """The source that reads a series' tables, without asking anything."""
    return (sources() | {FILE: WideFile("")})[series.source]
