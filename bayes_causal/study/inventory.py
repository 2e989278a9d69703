"""Tables of what there is: models, baselines, checks and engines, and finished runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from bayes_causal.baselines.catalogue import BASELINES
from bayes_causal.checks.catalogue import CHECKS
from bayes_causal.data.kinds import KINDS
from bayes_causal.errors import RunFolderError
from bayes_causal.inference.catalogue import ENGINES
from bayes_causal.models.catalogue import MODELS
from bayes_causal.reports.content import RunContent
from bayes_causal.reports.numbers import decimals, level, number, probability
from bayes_causal.reports.tables import aligned, verdict_table


def inventory() -> str:
    """Every model, baseline, check and engine of this version, as text."""
    parts = [_methods("models", MODELS.values()), _methods("baselines", BASELINES.values())]
    checks = [(c.name, "any" if len(c.kinds) == len(KINDS) else ", ".join(c.kinds), c.line) for c in CHECKS.values()]
    return "\n\n".join([*parts, "\n".join(aligned(["checks", "data", "what it asks"], checks)), f"engines: {', '.join(ENGINES)}"])


def _methods(what: str, entries: Iterable[Any]) -> str:
    """A table of methods: below each, what it answers and what it takes for granted."""
    body = []
    for entry in entries:
        answers = ", ".join(entry.estimands) + (f" (overall, by {', '.join(entry.by)})" if entry.by else "")
        body += [(entry.name, entry.kind, entry.line), ("", "", f"answers {answers}"), ("", "", f"assumes {entry.assumes}")]
    return "\n".join(aligned([what, "data", "what it is"], body))


def runs_table(folders: Sequence[Path]) -> tuple[list[dict[str, Any]], str]:
    """The headline of every run, side by side.

    Returns
    -------
    rows : list of dict
        One a run: run, study, model, and its verdict.
    text : str
        The same as a table.

    Raises
    ------
    RunFolderError
        A folder is not a run.
    """
    rows = [_headline(folder) for folder in folders]
    body = []
    for row in rows:
        places = decimals(row["std_error"], row["value"])
        interval = f"{number(row['lower'], places)} to {number(row['upper'], places)} ({level(row['level'])})"
        asked = f"{row['estimand']} ({row['scale']})"
        state = "yes" if row["reliable"] else f"no: {', '.join(row['reasons']) or 'no value'}"
        chance = probability(row["prob_positive"])
        body.append([row["run"], row["model"], asked, row["unit"], number(row["value"], places), interval, chance, state])
    head = ["run", "model", "estimand", "unit", "value", "interval", "P(effect > 0)", "reliable"]
    text = "\n".join(aligned(head, body))
    if len({(row["estimand"], row["scale"], row["unit"]) for row in rows}) > 1:
        text += "\n\nThese runs answer different questions: their values are shown beside each other and do not compare."
    return rows, text


def verdict_text(folder: Path) -> str:
    """What the terminal shows at the end of a run: every method's answer to the study's question, and the verdict."""
    names = ("estimates.json", "manifest.json", "checks.json")
    found, record, checks = (json.loads((folder / name).read_text(encoding="utf-8")) for name in names)
    content = RunContent(
        record["study"], found["verdict"], found["estimates"], (), (), record, xr.DataTree(), answer=found.get("answer", {})
    )
    causes = [f"{c['name']}: {c['text']}" for c in checks if c["name"] in content.verdict["reasons"]]
    return verdict_table(content.name, content.verdict, content.select(), content.headline, causes, kind=content.kind)


def _headline(folder: Path) -> dict[str, Any]:
    path = folder / "estimates.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        verdict, rows = found["verdict"], found["estimates"]
    except FileNotFoundError as error:
        raise RunFolderError(f"'{folder}' is not a run folder: it has no estimates.json") from error
    except (ValueError, KeyError, TypeError) as error:
        raise RunFolderError(f"'{path}' is not what a run writes ({type(error).__name__}: {error})") from error
    own: dict[str, Any] = next((r for r in rows if r["framework"] == "bayesian" and r["value"] == verdict["value"]), {})
    model = {"run": str(folder), "study": found["study"], "model": own.get("method", ""), "unit": own.get("unit", "")}
    return model | {"std_error": own.get("std_error")} | verdict
