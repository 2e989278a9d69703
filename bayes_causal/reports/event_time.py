"""Periods since onset as labels: where the model's bins end, and how an event time is written."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from bayes_causal.reports.content import RunContent

FAR = 10**6


def ends(content: RunContent) -> tuple[int, int]:
    """Event times of the model's outermost bins, which hold all that lie beyond: its window, or the default one, and a step."""
    from bayes_causal.inference.tree import info
    from bayes_causal.models.did_effects.event_time import DEFAULT_LAGS, DEFAULT_LEADS

    options = info(content.tree).get("options") or {}
    every_lag = options.get("effects") == "cohort_time"
    lead, lag = options.get("window") or (DEFAULT_LEADS, FAR if every_lag else DEFAULT_LAGS)
    return -int(lead) - 1, int(lag) + 1


def when(row: Mapping[str, Any]) -> float:
    """Event time of a row as a number; the end bins may be written as words that hold one, as ``≤−6``."""
    label = row["by"]["event_time"]
    if isinstance(label, (int, float)):
        return float(label)
    found = re.search(r"[-−]?\d+(\.\d+)?", str(label))
    return float(found[0].replace("−", "-")) if found else float("nan")


def written(time: float, bins: Collection[float] = ()) -> str:
    """``−3``; ``≤ −9`` and ``≥ 25`` at the bins given."""
    sign = "" if time not in bins else "≤ " if time < 0 else "≥ "
    return f"{sign}{time:g}".replace("-", "−")
