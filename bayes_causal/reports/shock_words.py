"""The answer to the question of a study on shocks, in sentences: what goes with a shock, in which regime, and what it is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bayes_causal.checks.base import Check
from bayes_causal.reports.numbers import compact, decimals, level, number, probability

FORETOLD = "shock_foretold"
ONLY_IF = "This is what goes with the shock, and its doing only if the shock is as good as random given controls, lags, regime."
IS_NOT = (
    "A series that reacts to the outcomes, or to news about them, as a policy rate or a price index does, is no such shock: what "
    "goes with it is not what would follow if somebody moved it."
)


def told(answer: Mapping[str, Any], checks: Sequence[Check]) -> dict[str, Any]:
    """The answer with `sentence`, `regimes` and `shock` (what it is, and is not) in words, and `reliable`: false where a blocking
    check failed.
    """
    failed = [c.name for c in checks if c.blocks]
    found = next((c for c in checks if c.name == FORETOLD), None)
    said = f"{_effect(answer)} {_now(answer)} {ONLY_IF}"
    if failed:
        said = f"Not to be used, as {' and '.join(failed)} failed. {said}"
    words = {"sentence": said, "regimes": _regimes(answer), "shock": " ".join(filter(None, (_foretold(answer, found), IS_NOT)))}
    return dict(answer) | {"reliable": not failed} | words


def note(answer: Mapping[str, Any]) -> str:
    """What stands below the sentence of an answer; empty without one."""
    return f"{answer['regimes']} {answer['shock']}" if answer else ""


def _effect(answer: Mapping[str, Any]) -> str:
    asked, row = answer["question"], answer["effect"]
    where = row["lower"] > 0 or row["upper"] < 0
    way = "higher" if row["value"] > 0 else "lower"
    who, size = f"With {asked['shock']} {_by(asked['magnitude'])}", _size(row)
    if not where:
        return (
            f"{who}, the data do not settle whether {asked['outcome']} is higher or lower at the same date: "
            f"{_signed(row)} {_interval(row, answer)}."
        )
    return f"{who}, {asked['outcome']} is {way} by {size} at the same date {_interval(row, answer)}."


def _by(magnitude: float) -> str:
    return f"{'higher' if magnitude > 0 else 'lower'} by {compact(abs(magnitude))}"


def _size(row: Mapping[str, Any]) -> str:
    return number(abs(row["value"]), decimals(row["std_error"], row["value"]))


def _signed(row: Mapping[str, Any]) -> str:
    return number(row["value"], decimals(row["std_error"], row["value"]), signed=True)


def _interval(row: Mapping[str, Any], answer: Mapping[str, Any]) -> str:
    places = decimals(row["std_error"], row["value"])
    return f"({level(answer['effect']['level'])}: {number(row['lower'], places)} to {number(row['upper'], places)})"


def _now(answer: Mapping[str, Any]) -> str:
    rows = sorted(answer["regime_probabilities"], key=lambda r: -r["probability"])
    likely = rows[0]
    calm = {0: ", the calmest", len(rows) - 1: ", the least calm"}.get(likely["regime"], "")
    return (
        f"Regimes count as they are likely after {answer['as_of']}: what was known by then gives "
        f"{probability(likely['probability'])} to regime {likely['regime']}{calm}."
    )


def _regimes(answer: Mapping[str, Any]) -> str:
    parts = [f"{_signed(row)} {_interval(row, answer)} in regime {row['regime']}" for row in answer["regime_effects"]]
    asked = answer["question"]
    return f"{asked['outcome']} by regime, with {asked['shock']} {_by(asked['magnitude'])}: {'; '.join(parts)}."


def _foretold(answer: Mapping[str, Any], found: Check | None) -> str:
    """What the data say against the shock being news."""
    name = answer["question"]["shock"]
    row = next((r for r in found.table if r["shock"] == name), None) if found else None
    if row is None:
        return ""
    share = f"{number(100 * max(0.0, row['r2_adjusted']), 0)}%"
    if row["p_value"] < row["limit"]:
        return f"{name} is not all news: {share} of its variance could be foretold from the date before and the controls."
    return (
        f"The date before and the controls do not foretell {name}, which does not show that it reacts to nothing of its own date."
    )
