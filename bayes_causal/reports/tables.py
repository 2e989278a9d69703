"""Tables from rows: the comparison of methods, the verdict for a terminal, the diagnostics as text."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bayes_causal.checks.base import Check
from bayes_causal.data.kinds import KINDS, Kind
from bayes_causal.estimates import Estimate, difference_in_se
from bayes_causal.reports import numbers

COMPARISON_COLUMNS = ("estimand scale by method framework value std_error lower upper level difference_in_se shrinkage").split()
WIDTH = 96
GROUPINGS = {"group", "arm"}

Row = Mapping[str, Any]


def comparison(estimates: Iterable[Estimate], headline: Estimate, *, unpooled: str = "twfe") -> list[dict[str, Any]]:
    """Every method's answers side by side, set against the model's answer to the same question.

    Parameters
    ----------
    estimates : iterable of Estimate
        Everything a run produced; questions may be mixed, a row is only ever set against a row that answers the same one.
    headline : Estimate
        The model's overall effect: its method is the reference of every row, its value the point groups are shrunk to.
    unpooled : str
        The method whose by-group rows are estimates without pooling.

    Returns
    -------
    list of dict
        Keys `COMPARISON_COLUMNS`. ``difference_in_se`` is in the larger of the two standard errors, None on the model's own rows'
        missing counterparts; ``shrinkage`` is on the model's by-group rows, 1 − |pooled − overall| / |unpooled − overall|.
    """
    rows = [row for estimate in estimates for row in estimate.rows()]
    own = {_question(row): row for row in rows if row["method"] == headline.method}
    alone = {_question(row): row for row in rows if row["method"] == unpooled and GROUPINGS & set(row["by"])}
    overall = headline.rows()[0]
    answers = []
    for row in rows:
        kept = {c: row[c] for c in COMPARISON_COLUMNS if c in row}
        kept["difference_in_se"] = difference_in_se(row, own.get(_question(row)))
        pooled = row["method"] == headline.method and _asks_of_group(row, overall)
        kept["shrinkage"] = shrinkage(row, alone.get(_question(row)), overall) if pooled else None
        answers.append(kept)
    return answers


def shrinkage(pooled: Row, unpooled: Row | None, overall: Row) -> float | None:
    """How far pooling moved a group towards the overall effect: 0 not at all, 1 all the way, negative away from it.

    None where a value is missing or the group alone equals the overall effect.
    """
    if unpooled is None or None in (pooled["value"], unpooled["value"], overall["value"]):
        return None
    distance = abs(unpooled["value"] - overall["value"])
    return 1 - abs(pooled["value"] - overall["value"]) / distance if distance > 0 else None


def split_coefficients(rows: Sequence[Row]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Take ``extra["coefficients"]`` (rows with a `term`, or a mapping term: value) out of result rows.

    Returns
    -------
    rows, coefficients
        The rows without them, and one dict a coefficient: method, term, value and what else it holds; once for each regression,
        that is each method, breakdown and outcome.
    """
    slim, coefficients, seen = [], [], set()
    for row in rows:
        extra = dict(row.get("extra") or {})
        found = extra.pop("coefficients", None)
        slim.append(dict(row) | {"extra": extra})
        by = dict(row.get("by") or {})
        fit = {"method": row["method"], "outcome": by.pop("outcome", None), "by": next(iter(by), None)}
        if found is None or tuple(fit.values()) in seen:
            continue
        seen.add(tuple(fit.values()))
        entries = [{"term": k, "value": v} for k, v in found.items()] if isinstance(found, Mapping) else found
        coefficients += [{k: v for k, v in fit.items() if v is not None} | dict(entry) for entry in entries]
    return slim, coefficients


def verdict_table(
    study: str, verdict: Row, rows: Sequence[Row], headline: Row, causes: Sequence[str] = (), *, kind: Kind = KINDS["panel"]
) -> str:
    """What a terminal shows at the end of a run: every method's overall effect, the verdict below, and why there is none."""
    unit = headline.get("unit") or "outcome"
    asked = f"{kind.asked(verdict['estimand'])}, {unit} ({verdict['scale']} scale)"
    places = numbers.decimals(headline.get("std_error"), headline.get("value"))
    head = ["method", "value", "std error", f"{numbers.level(verdict['level'])} interval", "evidence"]
    body, notes = [], []
    for row in rows:
        body.append(_verdict_row(row, places, numbers.level(verdict["level"])))
        reason = (row.get("extra") or {}).get("reason")
        if row["value"] is None or (row["std_error"] is None and reason):
            notes.append(f"{row['method']}: {reason or 'no reason given'}")
    lines = [f"{study}: {asked}", "", *aligned(head, body), ""]
    lines += [line for note in notes for line in textwrap.wrap(note, WIDTH, subsequent_indent="  ")] + [""] * bool(notes)
    lines += textwrap.wrap(str(verdict["sentence"]), WIDTH)
    lines += [line for cause in causes for line in ("", *textwrap.wrap(cause, WIDTH, subsequent_indent="  "))]
    return "\n".join(lines) + "\n"


def _verdict_row(row: Row, places: int, level: str) -> list[str]:
    if row["value"] is None:
        return [row["method"], numbers.DASH, "", "", "not applicable, see below"]
    interval = numbers.DASH
    if row["lower"] is not None and row["upper"] is not None:
        interval = f"{numbers.number(row['lower'], places)} to {numbers.number(row['upper'], places)}"
    if row["framework"] == "bayesian":
        evidence = f"P(effect > 0) {numbers.probability(row['prob_positive'])}"
    else:
        bare = "no standard error" if row["std_error"] is None else ""
        evidence = bare if row.get("p_value") is None else f"p-value {numbers.p_value(row['p_value'])}"
    if numbers.level(row["level"]) != level:
        interval += f" ({numbers.level(row['level'])})"
    return [row["method"], numbers.number(row["value"], places), numbers.number(row["std_error"], places), interval, evidence]


def aligned(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a plain-text table: first and last column to the left, what is between to the right."""
    table = [list(head), *map(list, body)]
    widths = [max(len(row[k]) for row in table) for k in range(len(head))]
    last = len(head) - 1
    cells = [
        [c.ljust(w) if k in (0, last) else c.rjust(w) for k, (c, w) in enumerate(zip(row, widths, strict=True))] for row in table
    ]
    lines = ["  ".join(row).rstrip() for row in cells]
    return [lines[0], "─" * (sum(widths) + 2 * last), *lines[1:]]


def status(check: Check) -> str:
    """``pass``, ``info`` (nothing to pass), ``warn`` (failed, the verdict stands) or ``fail`` (failed, no verdict)."""
    if check.passed is None:
        return "info"
    if check.passed:
        return "pass"
    return "fail" if check.severity == "blocking" else "warn"


def diagnostics(checks: Sequence[Check]) -> str:
    """Every check as text: status, what was found, numbers, and the first rows of its table."""
    counts = [f"{sum(status(c) == s for c in checks)} {s}" for s in ("pass", "info", "warn", "fail")]
    parts = [f"{len(checks)} checks: {', '.join(counts)}"]
    for check in checks:
        lines = [f"[{status(check).upper()}] {check.name} ({check.severity})"]
        lines += textwrap.wrap(check.text, WIDTH, initial_indent="  ", subsequent_indent="  ")
        lines += [f"  {name} = {numbers.compact(value)}" for name, value in check.numbers.items()]
        if check.table:
            lines += ["", *("  " + line for line in _table_lines(check.table))]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _table_lines(rows: Sequence[Row], most: int = 60) -> list[str]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    body = [[flat(row.get(name)) for name in names] for row in rows[:most]]
    return aligned(names, body) + [f"… {len(rows) - most} more rows"] * (len(rows) > most)


def flat(value: Any) -> str:
    """One table cell as text; mappings and lists are written out."""
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {flat(v)}" for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(flat(v) for v in value)
    return numbers.compact(value)


def _asks_of_group(row: Row, overall: Row) -> bool:
    same = all(row[k] == overall[k] for k in ("estimand", "scale"))
    added = set(row["by"]) - set(overall["by"])
    return same and len(added) == 1 and added <= GROUPINGS


def _question(row: Row) -> str:
    return json.dumps([row["estimand"], row["scale"], sorted((k, str(v)) for k, v in row["by"].items()), row["unit"]])
