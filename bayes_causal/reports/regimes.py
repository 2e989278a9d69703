"""What a run says of hidden regimes: how likely they were and are, how long they last, what shocks do in each.

Reads the tree and the rows of a run, nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bayes_causal.reports import style
from bayes_causal.reports.content import RunContent
from bayes_causal.reports.expected import flat
from bayes_causal.reports.numbers import decimals, level, number, probability
from bayes_causal.reports.timeline import Timeline, timeline

COLORS = {2: (style.SKY, style.VERMILLION), 3: (style.SKY, style.ORANGE, style.VERMILLION)}
RECESSION = "recession"


def regimes(content: RunContent) -> list[int]:
    """Numbers of the regimes, the calmest first; none where the tree holds no regimes."""
    posterior = content.dataset("posterior")
    return [int(k) for k in posterior["regime"].values] if "smoothed" in posterior and content.answer else []


def color(content: RunContent, regime: int) -> str:
    """The colour of a regime, the same in every figure."""
    numbers = regimes(content)
    return COLORS[len(numbers)][numbers.index(regime)]


def dates(content: RunContent) -> Timeline:
    """The dates that the likelihood counts."""
    return timeline(content.dataset("posterior")["time"].values)


def series(content: RunContent) -> np.ndarray:
    """(T,) the outcome asked for over `dates`."""
    facts, time = content.dataset("constant_data"), content.dataset("posterior")["time"].values
    return np.asarray(facts["outcomes"].sel(series=content.labels["series"], time=time).values, float)


def probable(content: RunContent, name: str) -> np.ndarray:
    """(T, K) posterior mean of "filtered" or "smoothed" probabilities."""
    values = content.dataset("posterior")[name].mean(("chain", "draw")).transpose("time", "regime").values
    return np.asarray(values, float)


def recessions(content: RunContent) -> np.ndarray | None:
    """(T,) bool: dates in a recession, by a column of zeros and ones among the controls whose name says so; None without one."""
    facts = content.dataset("constant_data")
    if "controls" not in facts:
        return None
    name = next((str(c) for c in facts["control"].values if RECESSION in str(c).lower()), None)
    if name is None:
        return None
    values = facts["controls"].sel(control=name, time=content.dataset("posterior")["time"].values).values
    return values == 1 if set(np.unique(values)) <= {0.0, 1.0} else None


def rows(content: RunContent, *by: str) -> list[Mapping[str, Any]]:
    """The model's rows broken down by exactly these dimensions."""
    own = content.headline["method"]
    return [r for r in content.rows if r["method"] == own and set(r["by"]) == set(by) and r["value"] is not None]


def words(content: RunContent) -> dict[str, list[str]]:
    """What the sections on regimes say before and after their figures."""
    if not regimes(content):
        return {}
    return {
        "regimes": _now(content),
        "regime-effects": [
            "The effect of a unit of each shock at its own date, by the regime that the series were in the date before, and "
            "averaged over regimes with the probabilities that they have today."
        ],
        "responses": [
            f"What follows a unit of {content.labels['shock']}: expected outcomes with it, less those without it. Lags carry the "
            "effect on, and from then on regimes change as they usually do."
        ],
        "transitions": ["Where the series go from each regime, and how long they stay."],
    }


def _now(content: RunContent) -> list[str]:
    asked, found = content.answer, []
    shares = [
        f"regime {r['regime']} {probability(r['probability'])} ({number(100 * r['lower'], 0)} to {number(100 * r['upper'], 0)}%)"
        for r in asked["regime_probabilities"]
    ]
    found.append(
        f"After {asked['as_of']}, with what was known by then, probabilities are: {', '.join(shares)}; the ranges are "
        f"{level(content.verdict['level'])} intervals, as parameters are uncertain too."
    )
    if recessions(content) is not None:
        found.append(_agreement(content))
    return found


def _agreement(content: RunContent) -> str:
    """How regimes and recessions go together, in a sentence."""
    hit, last = recessions(content), probable(content, "smoothed")[:, -1] >= 0.5
    assert hit is not None
    inside, outside = (float(last[m].mean()) if m.any() else float("nan") for m in (hit, ~hit))
    return (
        f"Of the {int(hit.sum())} dates in a recession, {number(100 * inside, 0)}% are more likely than not in regime "
        f"{regimes(content)[-1]}, the least calm; of the other {int((~hit).sum())}, {number(100 * outside, 0)}%."
    )


def grid(content: RunContent) -> dict[str, Any] | None:
    """A table with one row a regime: how often, how likely today, how long, how much the outcome asked for scatters."""
    numbers = regimes(content)
    if not numbers:
        return None
    posterior, tail = content.dataset("posterior"), (1 - content.verdict["level"]) / 2
    stays, lasting = flat(posterior["transition"]), durations(content)
    sigma = flat(posterior["sigma"].sel(series=content.labels["series"])) if "sigma" in posterior else None
    now = {r["regime"]: r["probability"] for r in content.answer["regime_probabilities"]}
    share, body = probable(content, "smoothed").mean(0), []
    for i, k in enumerate(numbers):
        low, middle, high = np.quantile(lasting[:, i], [tail, 0.5, 1 - tail])
        size = "" if sigma is None else number(sigma[:, i].mean(), decimals(sigma.std(0).max()))
        remains = probability(float(stays[:, i, i].mean()))
        many = f"{number(middle, 1)} ({number(low, 1)} to {number(high, 1)})"
        body.append([f"{k}", f"{number(100 * share[i], 0)}%", probability(now[k]), remains, many, size])
    head = ["Regime", "Share of dates", "Probability today", "Stays", "Dates it lasts", f"Sd of {content.labels['series']}"]
    return {"head": head, "body": body, "left": 1}


def durations(content: RunContent) -> np.ndarray:
    """(S, K) expected number of dates that a regime lasts, draw by draw."""
    stays = np.einsum("skk->sk", flat(content.dataset("posterior")["transition"]))
    return np.asarray(1 / np.maximum(1 - stays, 1e-12))
