"""What a run folder holds, read and written in one place. ``posterior.nc`` is written by `bayes_causal.inference.tree`."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from bayes_causal.checks.base import Check
from bayes_causal.data.kinds import KINDS, Kind
from bayes_causal.errors import RunFolderError
from bayes_causal.models.catalogue import MODELS, ModelEntry
from bayes_causal.reports import tables

NEEDED = ("estimates.json", "comparison.csv", "checks.json", "manifest.json", "posterior.nc")
LABELS = ("outcome",)
ESTIMATE_COLUMNS = (
    "method framework estimand scale by value std_error lower upper level interval_kind "
    "prob_positive prob_rope p_value unit extra"
).split()
_TEXT_COLUMNS = ("estimand", "scale", "method", "framework", "term", "outcome")


@dataclass(frozen=True, eq=False)
class RunContent:
    """One finished run, as its folder holds it.

    Parameters
    ----------
    study : mapping
        The study as resolved: name, data, model, engine, level, interval, rope.
    verdict : mapping
        estimand, scale, value, lower, upper, level, prob_positive, prob_rope, reliable, reasons, sentence.
    rows : sequence of mappings
        The "estimates" of ``estimates.json``, as `Estimate.rows` gives them.
    comparison : sequence of mappings
        Rows of ``comparison.csv``, as `bayes_causal.reports.tables.comparison` gives them.
    checks : sequence of Check
    manifest : mapping
        What ``manifest.json`` holds: data, versions, device, seeds, engine, seconds, and so on.
    tree : xarray.DataTree
        What `fit` returned; the report draws from posterior, prior, posterior_predictive, observed_data and constant_data.
    assumptions : sequence of (name, sentence, names of the checks that bear on it)
    coefficients : sequence of mappings
        Regression coefficients of the frequentist rows: method, term, value, std_error and what else there is.
    answer : mapping
        The answer to the study's question, where it asks for one of several shocks and outcomes; empty elsewhere.
    """

    study: Mapping[str, Any]
    verdict: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    comparison: Sequence[Mapping[str, Any]]
    checks: Sequence[Check]
    manifest: Mapping[str, Any]
    tree: xr.DataTree
    assumptions: Sequence[tuple[str, str, tuple[str, ...]]] = ()
    coefficients: Sequence[Mapping[str, Any]] = ()
    answer: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the study."""
        return str(self.study.get("name") or "study")

    @property
    def model(self) -> str:
        """Name of the model, as study files write it."""
        return str((self.study.get("model") or {}).get("name") or "model")

    @property
    def kind(self) -> Kind:
        """The kind of the data."""
        return KINDS[str((self.study.get("data") or {}).get("kind") or "panel")]

    @property
    def sections(self) -> tuple[str, ...]:
        """Sections of the report between the data and the comparison: the model's own, or those of its kind of data."""
        entry = MODELS.get(self.model)
        return entry.sections if entry and entry.sections else self.kind.sections

    @property
    def headline(self) -> Mapping[str, Any]:
        """The row that answers the study's question: the model's overall effect on the headline estimand and scale."""
        question = self.labels
        for row in self.rows:
            if row["framework"] == "bayesian" and self._asked(row) and (row["by"] == question or set(row["by"]) <= set(LABELS)):
                return row
        empty = dict.fromkeys(ESTIMATE_COLUMNS)
        return empty | {"method": self.model, "framework": "bayesian", "by": {}, "unit": "", "extra": {}} | dict(self.verdict)

    @property
    def labels(self) -> dict[str, str]:
        """Series and shock that the study asks for; empty where there is only one question."""
        asked = self.answer.get("question")
        return {"series": asked["outcome"], "shock": asked["shock"]} if asked else {}

    @property
    def unit(self) -> str:
        """Unit of the effects: the outcome's name, unless the data say better."""
        return str(self.headline.get("unit") or (self.study.get("data") or {}).get("outcome") or "outcome")

    @property
    def grouping(self) -> str:
        """What effects are told apart by in the rows: arm, group, or unit where the model pools units and there are no groups."""
        named = {key for row in self.rows for key in row["by"]}
        return next((key for key in ("arm", "group", "unit") if key in named), "group")

    def select(self, *by: str, method: str | None = None) -> list[Mapping[str, Any]]:
        """Rows on the headline's estimand, scale and labels, broken down by exactly these dimensions (none: overall)."""
        labels = self.headline["by"]
        return [
            row
            for row in self.rows
            if self._asked(row)
            and set(row["by"]) - set(labels) == set(by)
            and all(row["by"].get(k, v) == v for k, v in labels.items())
            and method in (None, row["method"])
        ]

    def pooled(self) -> list[Mapping[str, Any]]:
        """The model's rows by `grouping`; of units that it pools, their effect parameters."""
        found = self._of_units("mean") if self.grouping == "unit" else []
        return found or self.select(self.grouping, method=self.headline["method"])

    def unpooled(self) -> list[Mapping[str, Any]]:
        """Rows by `grouping` without pooling: those of two-way fixed effects; for units, the model's realised effects, each of
        which sets a unit against its own course, or its own donors.
        """
        if self.grouping != "unit":
            return self.select(self.grouping, method="twfe")
        return self._of_units("realised") if self._of_units("mean") else []

    def _of_units(self, scale: str) -> list[Mapping[str, Any]]:
        """The model's rows by unit on a scale."""
        own, labels = self.headline, self.headline["by"]
        rows = [r for r in self.rows if r["method"] == own["method"] and r["estimand"] == own["estimand"]]
        rows = [r for r in rows if r["scale"] == scale and set(r["by"]) - set(labels) == {"unit"}]
        return [r for r in rows if all(r["by"].get(k, v) == v for k, v in labels.items())]

    def dataset(self, group: str) -> xr.Dataset:
        """One group of the tree; an empty Dataset where it does not exist."""
        return self.tree[group].to_dataset() if group in self.tree.children else xr.Dataset()

    def _asked(self, row: Mapping[str, Any]) -> bool:
        return all(row[k] == self.verdict[k] for k in ("estimand", "scale"))


def every_section() -> set[str]:
    """Sections that hang on the model or on the kind of the data."""
    own: list[Kind | ModelEntry] = [*KINDS.values(), *MODELS.values()]
    return {section for of in own for section in of.sections}


def load(folder: str | Path) -> RunContent:
    """Read a run folder.

    Raises
    ------
    RunFolderError
        The folder does not exist, lacks files that every run has, or holds one that cannot be read; says which.
    """
    from bayes_causal.inference import tree

    folder = Path(folder)
    if not folder.is_dir():
        raise RunFolderError(f"there is no run folder '{folder}'. `bayes-causal run STUDY.yaml --out {folder}` writes one")
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise RunFolderError(
            f"'{folder}' is not a run folder: it lacks {', '.join(missing)}. Give the folder that `bayes-causal run` wrote, whole"
        )
    estimates, checks, manifest = (_read_json(folder / f"{name}.json") for name in ("estimates", "checks", "manifest"))
    try:
        return RunContent(
            study=manifest["study"],
            verdict=estimates["verdict"],
            rows=estimates["estimates"],
            comparison=_read_csv(folder / "comparison.csv"),
            checks=[Check(**check) for check in checks],
            manifest=manifest,
            answer=estimates.get("answer", {}),
            tree=tree.load(folder / "posterior.nc"),
            assumptions=[(a, sentence, tuple(bearing)) for a, sentence, bearing in manifest.get("assumptions", [])],
            coefficients=_read_csv(folder / "coefficients.csv") if (folder / "coefficients.csv").is_file() else [],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RunFolderError(
            f"the files in '{folder}' do not have the form this version writes ({type(error).__name__}: {error}). "
            "Run the study again"
        ) from error


def save(content: RunContent, folder: str | Path) -> None:
    """Write everything of a run but ``posterior.nc``, figures and report into an existing folder; the counterpart of `load`."""
    folder = Path(folder)
    assumptions = [[name, sentence, list(bearing)] for name, sentence, bearing in content.assumptions]
    manifest = dict(content.manifest) | {"study": content.study, "assumptions": assumptions}
    estimates = {"study": content.name, "verdict": content.verdict, "estimates": content.rows}
    estimates |= {"answer": content.answer} if content.answer else {}
    _write_json(folder / "estimates.json", estimates)
    _write_json(folder / "checks.json", [asdict(c) for c in content.checks])
    _write_json(folder / "manifest.json", manifest)
    _write_csv(folder / "estimates.csv", content.rows, ESTIMATE_COLUMNS)
    _write_csv(folder / "comparison.csv", content.comparison, tables.COMPARISON_COLUMNS)
    _write_csv(folder / "coefficients.csv", content.coefficients, ("method", "term", "value", "std_error"))
    (folder / "diagnostics.txt").write_text(tables.diagnostics(content.checks), encoding="utf-8")


def plain(value: Any) -> Any:
    """The same value in what JSON can write: NumPy scalars and arrays unpacked, dates as ISO text, NaN and infinities as None."""
    if isinstance(value, Mapping):
        return {str(plain(k)): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(v) for v in value]
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else np.datetime_as_string(value, unit="auto")
    if isinstance(value, np.ndarray):
        return [plain(v) for v in value] if value.ndim else plain(value[()])
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunFolderError(f"'{path}' is not valid JSON ({error}). Was it edited by hand? Run the study again") from error


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def _read_csv(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [{k: _cell(k, v) for k, v in row.items()} for row in csv.DictReader(file)]


def _cell(column: str, text: str) -> Any:
    if text == "" or column in _TEXT_COLUMNS:
        return text or None
    try:
        return json.loads(text)
    except ValueError:
        return text


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Rows under the columns given and whatever else they hold; mappings and lists are written as JSON."""
    names = list(dict.fromkeys([*columns, *(key for row in rows for key in row)]))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        for row in rows:
            writer.writerow([_written(plain(row.get(name))) for name in names])


def _written(value: Any) -> Any:
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value) if isinstance(value, bool) else value
