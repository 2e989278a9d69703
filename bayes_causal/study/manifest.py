"""How a run came about: what was read, what computed it, how long it took."""

from __future__ import annotations

import platform
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bayes_causal import __version__
from bayes_causal.study.doctor import versions
from bayes_causal.study.schema import Study


class Stages:
    """Wall time of each stage, told to whoever watches.

    Parameters
    ----------
    progress : callable, optional
        Called with a line when a stage begins.
    """

    def __init__(self, progress: Callable[[str], None] | None = None):
        self.started = _now()
        self.seconds: dict[str, float] = {}
        self._tell = progress or (lambda line: None)

    @contextmanager
    def __call__(self, stage: str, line: str) -> Iterator[None]:
        """Time a stage; a stage entered again adds to its time."""
        self._tell(line)
        begun = time.perf_counter()
        yield
        self.seconds[stage] = round(self.seconds.get(stage, 0.0) + time.perf_counter() - begun, 3)


def manifest(study: Study, data: Mapping[str, Any], fitted: Sequence[Mapping[str, Any]], stages: Stages) -> dict[str, Any]:
    """What ``manifest.json`` holds.

    Parameters
    ----------
    study : Study
    data : mapping
        Digest and counts of the data, as `data_record` gives them.
    fitted : sequence of mappings
        What the tree of every outcome says of itself, the headline first.
    stages : Stages
    """
    parts = {f"fit.{part}": round(sum(f["seconds"].get(part, 0.0) for f in fitted), 3) for part in fitted[0]["seconds"]}
    return {
        "study": as_written(study),
        "data": dict(data),
        "versions": {"bayes-causal": __version__} | versions(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": fitted[0]["device"],
        "precision": fitted[0]["precision"],
        "seeds": {"engine": study.engine.seed},
        "engine": fitted[0]["engine"],
        "seconds": stages.seconds | parts,
        "started": stages.started,
        "finished": _now(),
        "revision": revision(),
    }


def as_written(study: Study) -> dict[str, Any]:
    """A study as a file would say it, defaults included, data keys that say nothing left out."""
    written = study.model_dump(mode="json")
    return written | {"data": {key: value for key, value in written["data"].items() if value not in (None, [])}}


def data_record(counts: Mapping[str, Any], provenance: Any) -> dict[str, Any]:
    """Digest and row counts of what was read, and the other counts of the container built from it."""
    rows = {key: getattr(provenance, key) for key in ("source", "sha256", "rows_read", "rows_kept", "dropped", "held")}
    return {**counts, **rows}


def revision() -> str | None:
    """Git revision of the checkout this package runs from, "-dirty" where it was edited; None where it is installed."""
    folder = Path(__file__).parents[2]
    if not (folder / ".git").exists():
        return None
    try:
        found = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
