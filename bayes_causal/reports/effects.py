"""Tables of effects for the page: by group, by method, by whatever else a run breaks them down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bayes_causal.reports import event_time, glossary, numbers, tables, text
from bayes_causal.reports.content import RunContent
from bayes_causal.reports.numbers import DASH, number
from bayes_causal.reports.tables import flat


def group_table(content: RunContent) -> dict[str, Any] | None:
    """Every group: when, how many units, pooled and alone, shrinkage; of units, the last three."""
    by = content.grouping
    own = content.pooled()
    if not own:
        return None
    facts = content.dataset("constant_data")
    labels = [str(g) for g in facts["group"].values.tolist()] if "group" in facts.coords else []
    alone = {str(r["by"][by]): r for r in content.unpooled()}
    moved = {str(r["by"][by]): tables.shrinkage(r, alone.get(str(r["by"][by])), content.headline) for r in own}
    extent = {"start": "First", "end": "Last", "units": "Units", "cells": "Cells"} if by != "unit" else {}
    head = [by.capitalize(), *extent.values(), "Pooled", "Interval", "P(effect > 0)", "On its own", "Shrinkage"]
    body = []
    for row in sorted(own, key=lambda r: -(r["value"] if r["value"] is not None else float("inf"))):
        name, places = str(row["by"][by]), numbers.decimals(row["std_error"], row["value"])
        where = labels.index(name) if name in labels else None
        single = alone.get(name, {}).get("value")
        dates = [_fact(facts, f"group_{k}", where) for k in extent]
        pooled = [number(row["value"], places), text.interval_text(row, places), numbers.probability(row["prob_positive"])]
        body.append([name, *dates, *pooled, number(single, places), number(moved.get(name), 2)])
    return table(head, body, left=3 if extent else 1)


def _fact(facts: Any, name: str, where: int | None) -> str:
    if where is None or name not in facts:
        return DASH
    value = facts[name].values[where]
    words = str(value)[:10] if facts[name].dtype.kind == "M" else flat(value.item() if hasattr(value, "item") else value)
    return words if name in ("group_units", "group_cells") or facts[name].dtype.kind not in "iu" else str(value)


def comparison(content: RunContent) -> dict[str, Any]:
    """All methods on the headline effect, why they differ, and the same by group, event time and so on."""
    distance = {(r["method"], _by(r)): r["difference_in_se"] for r in content.comparison if _same(content, r)}
    rows = content.select()
    places = numbers.decimals(content.headline.get("std_error"), content.verdict["value"])
    body = [_answer(row, places, distance.get((row["method"], _by(row)))) for row in rows]
    own = content.headline["method"]
    others = [dict(r) | {"difference_in_se": distance.get((r["method"], _by(r)))} for r in rows if r["method"] != own]
    labels = set(content.headline["by"])
    broken_down = [r for r in content.rows if _same(content, r) and set(r["by"]) - labels]
    dims = dict.fromkeys(tuple(k for k in r["by"] if k not in labels) for r in broken_down)
    return {
        "table": table(["Method", "Effect", "Std error", "Interval", "Evidence", "Distance, se"], body, left=1),
        "summary": text.agreement(others),
        "frameworks": text.frameworks(content.verdict["level"]),
        "own": f"{glossary.method_label(own)} {glossary.WEIGHTS[own]}." if own in glossary.WEIGHTS else "",
        "why": [text.disagreement(r) for r in others if r["value"] is not None],
        "also": also(content),
        "breakdowns": [breakdown(content, dim, distance) for dim in dims],
    }


def _answer(row: Mapping[str, Any], places: int, distance: float | None) -> list[Any]:
    name = {"label": glossary.method_label(row["method"]), "code": row["method"]}
    if row["value"] is None:
        return [name, {"reason": (row.get("extra") or {}).get("reason", "no reason given")}]
    interval = text.interval_text(row, places) + (f" ({numbers.level(row['level'])})" if row["lower"] is not None else "")
    if row["framework"] == "bayesian":
        evidence, away = f"P(> 0) {numbers.probability(row['prob_positive'])}", DASH
    else:
        p = row.get("p_value")
        evidence, away = DASH if p is None else f"p {numbers.p_value(p)}", number(distance, 2, signed=True)
    return [name, number(row["value"], places), number(row["std_error"], places), interval, evidence, away]


def also(content: RunContent) -> dict[str, Any] | None:
    """Overall answers to the questions that are not the headline: other estimands, scales and outcomes; None without any."""
    labels = content.headline["by"]
    here = {id(r) for r in content.select()}
    rows = [r for r in content.rows if set(r["by"]) <= set(labels) and id(r) not in here and r["value"] is not None]
    if asked := content.labels:
        rows.sort(key=lambda r: (r["by"].get("shock") != asked["shock"], str(r["by"].get("shock")), str(r["by"].get("series"))))
    body = []
    for row in rows:
        places = numbers.decimals(row["std_error"], row["value"])
        what = row["by"].get("shock") or f"{content.kind.asked(row['estimand'])} ({row['scale']})"
        cells = _answer(row, places, None)
        body.append([what, row["unit"], row["method"], *cells[1:-1]])
    head = ["A unit of" if content.labels else "Estimand", "Outcome", "Method", "Effect", "Std error", "Interval", "Evidence"]
    return table(head, body, left=3) if body else None


def breakdown(content: RunContent, dims: tuple[str, ...], distance: Mapping[tuple[str, str], float | None]) -> dict[str, Any]:
    """Every method's rows by the same dimensions, as one table."""
    rows = [r for r in content.select(*dims) if r["value"] is not None]
    body = []
    for row in rows:
        places = numbers.decimals(row["std_error"], row["value"])
        away = distance.get((row["method"], _by(row))) if row["framework"] == "frequentist" else None
        label = ", ".join(_label(content, row, d) for d in dims)
        cells = [number(row["value"], places), number(row["std_error"], places), text.interval_text(row, places)]
        body.append([label, row["method"], *cells, number(away, 2, signed=True)])
    name = " and ".join(d.replace("_", " ") for d in dims)
    head = [name, "Method", "Effect", "Std error", "Interval", "Distance, se"]
    return {"title": f"By {name}, {len(rows)} rows", **table(head, body, left=2)}


def _label(content: RunContent, row: Mapping[str, Any], dim: str) -> str:
    value = row["by"][dim]
    if dim != "event_time" or not isinstance(value, (int, float)):
        return str(value)
    return event_time.written(value, event_time.ends(content) if row["method"] == content.headline["method"] else ())


def table(head: Sequence[str], body: Sequence[Sequence[Any]], *, left: int) -> dict[str, Any]:
    """A table for the template; the first `left` columns are words and stand to the left, the rest are numbers."""
    return {"head": list(head), "body": [list(row) for row in body], "left": left}


def _same(content: RunContent, row: Mapping[str, Any]) -> bool:
    return all(row[k] == content.verdict[k] for k in ("estimand", "scale"))


def _by(row: Mapping[str, Any]) -> str:
    return str(sorted((k, str(v)) for k, v in row["by"].items()))
