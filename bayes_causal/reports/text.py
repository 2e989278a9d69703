"""Results in sentences. A sentence never says more than its numbers, and two sentences never disagree."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from bayes_causal.checks.base import Check
from bayes_causal.data.kinds import KINDS, Kind
from bayes_causal.reports import glossary
from bayes_causal.reports.numbers import DASH, compact, decimals, level, number, p_value, probability
from bayes_causal.reports.tables import status

Row = Mapping[str, Any]

_LOG = re.compile(r"^(?:log(?P<base>10|2)?(?P<plus>1p)?|ln)(?=[^a-z0-9]|[A-Z]|$)")
_SHARE_OF = {"cumulative": " in total over the post period", "relative": " of what it would have been", "rd": " at the cutoff"}
SHIFT_NOTE = (
    "No per cent figure is given: the check log_shift found that the effect depends on the constant added before the logarithm."
)
DESIGN = (
    "pretrend",
    "placebo_time",
    "placebo_space",
    "selection",
    "control_drift",
    "placebo_outcome",
    "false_alarms",
)  # checks of what lets a difference be called an effect
_AVERAGE = {"late": " on average among compliers", "regime_effect": " per unit of the shock", "cate": ""}


def verdict(
    headline: Row,
    checks: Sequence[Check],
    rope: Sequence[float] | None = None,
    *,
    kind: Kind = KINDS["panel"],
    sentence: str = "",
) -> dict[str, Any]:
    """The verdict of a study, as ``estimates.json`` holds it.

    Parameters
    ----------
    headline : mapping
        The model's overall row, as `Estimate.rows` gives it.
    checks : sequence of Check
        A failed blocking one takes the verdict's place.
    rope : (low, high), optional
        Region of practical equivalence, in units of the outcome.
    kind : Kind
        Of the data: what has the effect, and what the estimand is called.
    sentence : str
        What is said of a reliable result, where somebody knows better than the row alone.
    """
    reasons = [check.name for check in checks if check.blocks]
    keys = ("estimand", "scale", "value", "lower", "upper", "level", "prob_positive", "prob_rope")
    answer = {key: headline.get(key) for key in keys}
    reliable = not reasons and headline.get("value") is not None
    told = sentence or (_sentence(headline, checks, rope, kind.subject) if reliable else "")
    sentence = told if reliable else _refusal(headline, reasons, kind)
    return answer | {"reliable": reliable, "reasons": reasons, "sentence": sentence}


def _refusal(row: Row, reasons: Sequence[str], kind: Kind) -> str:
    if not reasons:
        reason = (row.get("extra") or {}).get("reason", "no reason given")
        return f"No verdict: {row['method']} gives no value for the {kind.asked(row['estimand'])} ({reason})."
    what = f"the check {reasons[0]} failed" if len(reasons) == 1 else f"{len(reasons)} checks failed ({', '.join(reasons)})"
    shown = "" if row.get("value") is None else " The numbers are shown to help find the cause, not to be used."
    return f"No verdict: {what}, and a result that fails {'it' if len(reasons) == 1 else 'them'} cannot be relied on.{shown}"


def doubts(checks: Sequence[Check]) -> list[str]:
    """Names of failed checks that speak against calling the difference an effect of the treatment."""
    return [c.name for c in checks if c.name in DESIGN and c.passed is False]


def shift_matters(checks: Sequence[Check]) -> bool:
    """Whether an effect on log(c + x) was found to hang on c, and so has no reading in per cent."""
    return any(c.name == "log_shift" and c.passed is False for c in checks)


def _sentence(row: Row, checks: Sequence[Check], rope: Sequence[float] | None, subject: str) -> str:
    times, sign = (100, "%") if row["estimand"] == "relative" else (1, "")
    places = decimals(times * row["std_error"] if row.get("std_error") else None, times * row["value"])
    low, high = (number(times * row[k], places) + sign for k in ("lower", "upper"))
    kind = row.get("interval_kind") or "credible"
    interval = f"{level(row['level'])} {kind} interval from {low} to {high}"
    found, way = direction(row), "raised" if row["value"] > 0 else "lowered"
    change, against = "" if shift_matters(checks) else _in_per_cent(row), doubts(checks)
    size = f"{_unit(row)} by {number(times * abs(row['value']), places)}{sign}{_how(row)}{change}"
    if found == "undecided":
        lean = f"the estimate is {number(times * row['value'], places, signed=True)}{sign}{change}, with a {interval}"
        first = f"The data do not settle whether {_lower(subject)} raised or lowered {_unit(row)}{_how(row)}: {lean}."
    else:
        who = f"By this estimate, {_lower(subject)}" if against else subject
        first = f"{who} {'probably ' if found == 'likely' else ''}{way} {size}, with a {interval}."
    return " ".join(part for part in (first, _evidence(row, found), _practical(row, rope), _doubt(against, subject)) if part)


def _lower(subject: str) -> str:
    return subject[:1].lower() + subject[1:]


def _doubt(against: Sequence[str], subject: str) -> str:
    if not against:
        return ""
    names = " and ".join(filter(None, (", ".join(against[:-1]), against[-1])))
    who = f"The check {names} speaks" if len(against) == 1 else f"The checks {names} speak"
    whose = "the treatment" if subject == "Treatment" else _lower(subject)
    return f"{who} against the assumptions under which this is {whose}'s doing."


def direction(row: Row) -> str:
    """``clear``, ``likely`` or ``undecided``: whether interval, estimate and P(effect > 0) point the same way, and how surely.

    `clear` needs an interval on one side of zero with the estimate on the same side, and at least 95% of the posterior there.
    """
    if not (row["lower"] > 0 or row["upper"] < 0) or row["lower"] * row["value"] <= 0:
        return "undecided"
    chance = row.get("prob_positive")
    if chance is None:
        return "clear"
    chance = chance if row["value"] > 0 else 1 - chance
    return "clear" if chance >= 0.95 else "likely" if chance > 0.5 else "undecided"


def _evidence(row: Row, found: str) -> str:
    chance = row.get("prob_positive")
    if chance is not None:
        falls = found != "undecided" and row["value"] < 0
        sign, chance = ("negative", 1 - chance) if falls else ("positive", chance)
        return f"The probability that the effect is {sign} is {_in_words(chance)}."
    return f"The p-value is {p_value(row['p_value'])}." if row.get("p_value") is not None else ""


def _practical(row: Row, rope: Sequence[float] | None) -> str:
    if rope is None or row["estimand"] == "relative":
        return ""
    low, high = rope
    region = f"region of practical equivalence ({compact(low)} to {compact(high)})"
    inside = low <= row["lower"] and row["upper"] <= high
    outside = row["lower"] > high or row["upper"] < low
    chance = (
        f"; the probability of an effect inside it is {_in_words(row['prob_rope'])}" if row.get("prob_rope") is not None else ""
    )
    if inside:
        return f"The whole interval lies inside the {region}{chance}: whatever its sign, the effect is too small to matter."
    if outside:
        return f"The whole interval lies outside the {region}{chance}."
    return f"The interval overlaps the {region}{chance}."


def per_cent(unit: str, value: float | None) -> float | None:
    """An effect on a logarithm as a change in per cent, (e^x − 1)·100; None where the unit's name is not that of a logarithm.

    Approximate for an average of effects (Jensen), and for log1p, where it also depends on the unit of the outcome.
    """
    found = _LOG.match(unit)
    if found is None or value is None:
        return None
    base = float(found["base"]) if found["base"] else math.e
    exponent = value * math.log(base)
    return 100 * math.expm1(exponent) if exponent < 50 else math.inf


def _in_per_cent(row: Row) -> str:
    change = per_cent(row.get("unit") or "", row["value"]) if _keeps_unit(row) else None
    if change is None:
        return ""
    places = decimals(100 * row["std_error"] if row.get("std_error") else None, change)
    return f" (about {number(change, places, signed=True)}%)"


def log_note(unit: str) -> str:
    """What reading an effect on a logarithm in per cent leaves out; empty where the unit is no logarithm."""
    found = _LOG.match(unit)
    if found is None:
        return ""
    note = (
        f"Per cent figures are e to the effect on {unit}, less one: an approximation, as effects are averaged before it is taken."
    )
    if found["base"]:
        note = note.replace("e to", f"{found['base']} to")
    if found["plus"]:
        note += " With log1p it also depends on the unit in which the outcome is measured and on how many outcomes are zero."
    return note


def relative_change(row: Row) -> tuple[str, str, str] | None:
    """Value, lower and upper of a row in per cent where its unit is a logarithm, ready to print."""
    changes = [per_cent(row.get("unit") or "", row[k]) if _keeps_unit(row) else None for k in ("value", "lower", "upper")]
    if any(c is None for c in changes):
        return None
    places = decimals(100 * row["std_error"] if row.get("std_error") else None, changes[0])
    value, low, high = (number(c, places, signed=True) + "%" for c in changes)
    return value, low, high


def _keeps_unit(row: Row) -> bool:
    return row["estimand"] not in ("relative", "cumulative")


def _unit(row: Row) -> str:
    return str(row.get("unit") or "the outcome")


def _how(row: Row) -> str:
    return _SHARE_OF.get(row["estimand"], _AVERAGE.get(row["estimand"], " on average"))


def _in_words(chance: float) -> str:
    text = probability(chance)
    return text.replace(">", "more than ").replace("<", "less than ")


def badge(verdict: Row, checks: Sequence[Check]) -> tuple[str, str]:
    """Reliability as (status, words): ``pass``, ``warn`` or ``fail``, and why."""
    if not verdict["reliable"]:
        failed = ", ".join(verdict["reasons"]) or "no value"
        return "fail", f"Not reliable: {failed}"
    blocking = sum(c.severity == "blocking" and c.passed is True for c in checks)
    passed = (
        f"all {blocking} blocking checks passed"
        if blocking > 1
        else "the blocking check passed"
        if blocking
        else "no blocking check was run"
    )
    warned = [c.name for c in checks if status(c) == "warn"]
    against = doubts(checks)
    if against:
        rest = [name for name in warned if name not in against]
        also = f"; {_count(len(rest), 'more warning')}: {', '.join(rest)}" if rest else ""
        return "warn", f"An effect in doubt: {', '.join(against)} failed{also} ({passed})"
    if warned:
        return "warn", f"Reliable, with {_count(len(warned), 'warning')} to read: {', '.join(warned)} ({passed})"
    return ("pass", f"Reliable: {passed}") if blocking else ("warn", f"Unchecked: {passed}")


def disagreement(row: Row) -> str:
    """One method against the headline, from a row of the comparison: how far, and what its number is an average of."""
    label = glossary.method_label(row["method"])
    weights = glossary.WEIGHTS.get(row["method"])
    because = f" It {weights}." if weights else ""
    note = (row.get("extra") or {}).get("note")
    because += f" Here it answers another question than the headline: {note}." if note else ""
    distance = row.get("difference_in_se")
    if row.get("value") is None:
        return f"{label} does not apply here."
    if distance is None:
        reason = (row.get("extra") or {}).get("reason") or "no standard error"
        return f"{label} cannot be set against the headline ({reason}).{because}"
    words = ("agrees with", "is close to", "differs from", "disagrees with")[sum(abs(distance) >= cut for cut in (0.5, 1, 2))]
    side = "" if abs(distance) < 0.05 else " above it" if distance > 0 else " below it"
    return f"{label} {words} the headline ({number(abs(distance), 1)} standard errors{side}).{because}"


def agreement(rows: Sequence[Row]) -> str:
    """How many frequentist rows of the overall comparison lie near the headline, and which is farthest."""
    distances = {r["method"]: r["difference_in_se"] for r in rows if r.get("difference_in_se") is not None}
    if not distances:
        return "No frequentist estimate of the headline effect could be set beside it."
    near = sum(abs(d) < 1 for d in distances.values())
    farthest = max(distances, key=lambda m: abs(distances[m]))
    every = len(distances) > 1
    verb = "lies" if near == 1 else "lie"
    text = f"{near} of {_count(len(distances), 'frequentist estimate')} {verb} within one standard error of the headline"
    return text + (f"; farthest is {farthest}, at {number(distances[farthest], 1, signed=True)}." if every else ".")


def frameworks(level_: float) -> str:
    """What separates a credible from a confidence interval, in two sentences."""
    share = level(level_)
    return (
        f"A {share} credible interval holds the effect with probability {share}, given the model, its priors and these data. "
        f"A {share} confidence interval comes from a procedure that covers the true effect in {share} of repeated samples; about "
        "this one sample it gives no probability, which is why frequentist rows show a p-value in place of P(effect > 0)."
    )


def tested(model: str) -> str:
    """What a test of this design is about, and what it leaves to assumption."""
    name = glossary.TESTED_BY.get(model)
    if name is None:
        return "The handbook's table has no row for this method; the assumptions above say what the result rests on."
    what = next(row[1] for row in glossary.TESTED if row[0] == name)
    trust = glossary.TAKEN_ON_TRUST.get(name)
    left = f" No test on the outcome shows {trust}: that is assumed, and the checks can only speak against it." if trust else ""
    return (
        f"This study is a case of {name}. A classical test asks about {what}; here a posterior answers the same question.{left}"
    )


def reproduce(study: Row, manifest: Row) -> str:
    """The command that runs the study again."""
    seed = (study.get("engine") or {}).get("seed", (manifest.get("seeds") or {}).get("seed"))
    name = re.sub(r"[^\w.-]+", "-", str(study.get("name") or "study")).strip("-") or "study"
    return f"bayes-causal run {name}.yaml" + (f" --seed {seed}" if seed is not None else "")


def interval_text(row: Row, places: int | None = None) -> str:
    """``0.02 to 0.06``; a dash where there is none."""
    if row.get("lower") is None or row.get("upper") is None:
        return DASH
    return f"{number(row['lower'], places)} to {number(row['upper'], places)}"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
