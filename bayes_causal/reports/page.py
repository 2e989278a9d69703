"""What stands on the page: every section of the report as plain values, before any markup."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bayes_causal.checks.base import Check
from bayes_causal.reports import expected, glossary, numbers, regimes, shock_words, text
from bayes_causal.reports.content import RunContent, every_section, plain
from bayes_causal.reports.effects import comparison, group_table, table
from bayes_causal.reports.numbers import number
from bayes_causal.reports.tables import flat, status

ORDER = ("fail", "warn", "pass", "info")
WORDS = {"pass": "passed", "warn": "warning", "fail": "failed", "info": "for information", "missing": "not run"}
TABLED = ("groups",)  # sections that hold more than figures
TITLES = {
    "verdict": "Verdict",
    "data": "Data",
    "raw-means": "Raw means",
    "event-time": "Effect over event time",
    "groups": "Effects by group",
    "series": "Observed and expected",
    "donors": "Donors and placebos",
    "controls": "What the expectation is made of",
    "components": "Components",
    "regimes": "Regimes over time",
    "regime-effects": "Effects by regime",
    "responses": "Responses over time",
    "transitions": "How regimes change",
    "comparison": "Beside frequentist estimates",
    "diagnostics": "Diagnostics",
    "assumptions": "Assumptions",
    "tested": "What is actually tested",
    "model": "Model and engine",
    "reproduce": "How to reproduce",
}


def page(content: RunContent, drawn: Iterable[str]) -> dict[str, Any]:
    """Everything the template prints.

    Parameters
    ----------
    content : RunContent
    drawn : names of the sections that have a figure
    """
    drawn = set(drawn)
    groups, titles = group_table(content), TITLES | {"groups": f"Effects by {content.grouping}"}
    filled = drawn | ({"groups"} if groups else set())
    empty = every_section() - (set(content.sections) & filled)
    if not content.assumptions:
        empty.add("assumptions")
    return {
        "study": content.name,
        "question": question(content),
        "sections": {k: v for k, v in titles.items() if k not in empty},
        "plain": [k for k in content.sections if k not in empty and k not in TABLED],
        "verdict": verdict(content),
        "data": data(content),
        "groups": groups,
        "grouping": content.grouping,
        "leads": {"series": expected.words(content)} | regimes.words(content),
        "grids": {"series": expected.summary(content), "transitions": regimes.grid(content)},
        "comparison": comparison(content),
        "checks": [card(c) for c in sorted(content.checks, key=lambda c: ORDER.index(status(c)))],
        "tally": [
            (s, WORDS[s] + "s" * (s == "warn" and n > 1), n) for s in ORDER if (n := sum(status(c) == s for c in content.checks))
        ],
        "assumptions": assumptions(content),
        "tested": tested(content),
        "model": model(content),
        "reproduce": reproduce(content),
    }


def question(content: RunContent) -> str:
    """What was asked, in a line."""
    v = content.verdict
    scale = "as an effect parameter" if v["scale"] == "mean" else "on the outcome that happened"
    what = content.kind.asked(v["estimand"])
    if labels := content.labels:
        return (
            f"What goes with a unit of {labels['shock']}: {labels['series']}, averaged over regimes with today's probabilities, "
            f"by {glossary.method_label(content.headline['method'])}"
        )
    return f"{what[:1].upper()}{what[1:]}: {content.unit}, {scale}, by {glossary.method_label(content.headline['method'])}"


def verdict(content: RunContent) -> dict[str, Any]:
    """The verdict: sentence, three numbers, badge, a strip that shows the interval, and the failed checks in full."""
    v, row = content.verdict, content.headline
    tone, words = text.badge(v, content.checks)
    places = numbers.decimals(row.get("std_error"), v["value"])
    shifts = text.shift_matters(content.checks)
    change = text.relative_change(row) if v["value"] is not None and not shifts else None
    kind = row.get("interval_kind") or "credible"
    unit = f"{content.unit} per unit of {content.labels['shock']}" if content.labels else content.unit
    figures = [
        ("Effect", number(v["value"], places, signed=True), f"about {change[0]}" if change else unit),
        (
            f"{numbers.level(v['level'])} {kind} interval",
            text.interval_text(v, places),
            f"about {change[1]} to {change[2]}" if change else unit,
        ),
        ("P(effect > 0)", numbers.probability(v["prob_positive"]), _rope_note(content)),
    ]
    failed = [c for c in content.checks if c.name in v["reasons"]]
    return {
        "sentence": v["sentence"],
        "tone": tone,
        "badge": words,
        "numbers": figures,
        "strip": strip(v, content.study.get("rope"), places),
        "note": text.SHIFT_NOTE if shifts else text.log_note(content.unit) if change else shock_words.note(content.answer),
        "failed": [(c.name, numbers.true_minus(c.text)) for c in failed],
    }


def _rope_note(content: RunContent) -> str:
    inside = content.verdict.get("prob_rope")
    return "" if inside is None else f"{numbers.probability(inside)} within the region of practical equivalence"


def strip(v: Mapping[str, Any], rope: Sequence[float] | None, places: int) -> dict[str, Any] | None:
    """Positions, in per cent of the width, of interval, value, zero and region of practical equivalence on one line."""
    if v["value"] is None or v["lower"] is None or v["upper"] is None:
        return None
    ends = [v["lower"], v["upper"], v["value"], 0.0]
    width = max(ends) - min(ends) or 1.0
    low, high = min(ends) - 0.08 * width, max(ends) + 0.08 * width

    def at(x: float) -> float:
        return round(100 * min(max((x - low) / (high - low), 0), 1), 2)

    region = (at(rope[0]), round(at(rope[1]) - at(rope[0]), 2)) if rope else None
    span = (at(v["lower"]), round(at(v["upper"]) - at(v["lower"]), 2))
    words = f"Interval {text.interval_text(v, places)}, estimate {number(v['value'], places)}, zero marked."
    return {"zero": at(0.0), "value": at(v["value"]), "span": span, "rope": region, "alt": words}


def data(content: RunContent) -> dict[str, Any]:
    """Where the data came from, which column played which role, what was kept and what was dropped."""
    found, declared = content.manifest.get("data") or {}, content.study.get("data") or {}
    roles = [(k.replace("_", " "), flat(v)) for k, v in declared.items() if v not in (None, [], {}, "")]
    return {
        "counts": [(words, f"{found[k]:,}") for k, words in content.kind.counts.items() if isinstance(found.get(k), int)],
        "dropped": [(str(k), f"{n:,}") for k, n in (found.get("dropped") or {}).items()],
        "roles": roles,
        "digest": found.get("sha256"),
    }


def card(check: Check) -> dict[str, Any]:
    """One check."""
    names = list(dict.fromkeys(k for row in check.table for k in row))
    body = [[flat(row.get(k)) for k in names] for row in check.table]
    return {
        "name": check.name,
        "status": status(check),
        "word": WORDS[status(check)],
        "severity": check.severity,
        "text": numbers.true_minus(check.text),
        "numbers": [(k.replace("_", " "), flat(v)) for k, v in check.numbers.items()],
        "table": table(names, body, left=1) if body else None,
    }


def assumptions(content: RunContent) -> list[dict[str, Any]]:
    """Each assumption with the checks that bear on it and how they went."""
    ran = {c.name: status(c) for c in content.checks}
    return [
        {
            "name": name.replace("_", " "),
            "sentence": sentence,
            "checks": [(b, ran.get(b, "missing"), WORDS[ran.get(b, "missing")]) for b in bearing],
        }
        for name, sentence, bearing in content.assumptions
    ]


def tested(content: RunContent) -> dict[str, Any]:
    """The handbook's table with this study's row marked."""
    return {"rows": glossary.TESTED, "mine": glossary.TESTED_BY.get(content.model), "text": text.tested(content.model)}


def model(content: RunContent) -> dict[str, Any]:
    """Equations, options in words, priors, and the engine with the reason it was chosen."""
    from bayes_causal.inference.tree import info

    record = info(content.tree)
    asked = content.study.get("model") or {}
    built = {"effect" if k == "effects" else k: v for k, v in (record.get("options") or {}).items()}
    options = {k: v for k, v in (dict(asked.get("options") or {}) | built).items() if v is not None}
    priors = record.get("priors") or asked.get("priors") or {}
    engine = content.manifest.get("engine") or record.get("engine") or {}
    lines, symbols = glossary.equations(content.model, options)
    return {
        "name": glossary.method_label(content.model),
        "code": content.model,
        "equations": lines,
        "symbols": symbols,
        "options": [(k.replace("_", " "), flat(v), glossary.option(k, v)) for k, v in options.items()],
        "priors": [
            (k, flat(v), "set in the study" if k in (asked.get("priors") or {}) else "default") for k, v in priors.items()
        ],
        "sampler": glossary.ENGINES.get(str(engine.get("name")), ""),
        "engine": [
            (k, numbers.true_minus(flat(engine[k]))) for k in ("name", "reason", "path") if engine.get(k) not in (None, "")
        ],
        "settings": [(k.replace("_", " "), flat(v)) for k, v in (engine.get("settings") or {}).items() if v is not None],
    }


def reproduce(content: RunContent) -> dict[str, Any]:
    """The command, the seed, versions, timings, and the study file itself."""
    import yaml

    m = content.manifest
    keys = ("started", "finished", "python", "platform", "device", "precision", "revision")
    facts = [("seeds", flat(m["seeds"]))] if m.get("seeds") else []
    facts += [(k, flat(m[k])) for k in keys if m.get(k)]
    facts += [("data sha256", m["data"]["sha256"])] if (m.get("data") or {}).get("sha256") else []
    return {
        "command": text.reproduce(content.study, m),
        "facts": facts,
        "seconds": [(str(k), numbers.seconds(v)) for k, v in (m.get("seconds") or {}).items() if isinstance(v, (int, float))],
        "versions": [(str(k), flat(v)) for k, v in (m.get("versions") or {}).items()],
        "yaml": yaml.safe_dump(_without_none(content.study), sort_keys=False, allow_unicode=True, width=80),
    }


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _without_none(v) for k, v in value.items() if v is not None}
    return [_without_none(v) for v in value] if isinstance(value, (list, tuple)) else plain(value)
