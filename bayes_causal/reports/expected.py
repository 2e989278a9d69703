"""One series observed and expected: pointwise, in sum, and in words. Reads the tree's posterior and constant data, nothing "
"else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from bayes_causal.reports import numbers, text
from bayes_causal.reports.content import RunContent
from bayes_causal.reports.numbers import number
from bayes_causal.reports.timeline import Timeline, timeline

DRAWS = 2000  # of the posterior that bands are computed from, evenly spaced
Band = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Expected:
    """A series beside what was expected of it, T dates.

    Parameters
    ----------
    time : Timeline
    outcome : (T,) observed, NaN where missing
    pre, post : (T,) bool
    expected, effect, total : mean, lower and upper end, (T,) each, in units of the outcome
        The effect is the outcome less what was expected; its sum runs over the post-period and is NaN elsewhere.
    level : float
        Probability of the bands, with equal tails.
    """

    time: Timeline
    outcome: np.ndarray
    pre: np.ndarray
    post: np.ndarray
    expected: Band
    effect: Band
    total: Band
    level: float

    @property
    def start(self) -> int:
        """Position of the first date of the post-period."""
        return int(self.post.argmax())

    @property
    def stop(self) -> int:
        """Position of the last date of the post-period."""
        return int(np.flatnonzero(self.post)[-1])


def expected(content: RunContent) -> Expected | None:
    """The series of a run; None where the tree holds none."""
    facts, posterior = content.dataset("constant_data"), content.dataset("posterior")
    if not has_counterfactual(posterior, facts):
        return None
    level = float(content.verdict["level"])
    draws = flat(posterior["counterfactual"])
    outcome, post = facts["outcome"].values.astype(float), facts["post"].values.astype(bool)
    gap = outcome - draws
    counted = np.where(post & np.isfinite(gap), gap, 0.0)
    running = np.where(post, counted.cumsum(1), np.nan)
    time = timeline(facts["time"].values)
    before = facts["pre"].values.astype(bool)
    return Expected(time, outcome, before, post, band(draws, level), band(gap, level), band(running, level), level)


def has_counterfactual(draws: xr.Dataset, facts: xr.Dataset) -> bool:
    """Whether a group of the tree holds what would have been, date by date, and the facts what was."""
    return (
        "counterfactual" in draws
        and "time" in draws["counterfactual"].dims
        and {"outcome", "pre", "post"} <= set(facts.data_vars)
        and bool(facts["post"].any())
    )


def flat(draws: xr.DataArray) -> np.ndarray:
    """(S, ...) draws, thinned to at most `DRAWS`, evenly."""
    values = draws.transpose("chain", "draw", ...).values.astype(float)
    values = values.reshape(-1, *values.shape[2:])
    return np.asarray(values[np.unique(np.linspace(0, len(values) - 1, min(DRAWS, len(values))).astype(int))])


def band(draws: np.ndarray, level: float) -> Band:
    """Mean and ends of the central interval of (S, T) draws; NaN where there are none."""
    empty = ~np.isfinite(draws).all(0)
    filled = np.where(empty, 0.0, draws)
    low, high = np.quantile(filled, [(1 - level) / 2, (1 + level) / 2], axis=0)
    mean, low, high = (np.where(empty, np.nan, v) for v in (filled.mean(0), low, high))
    return mean, low, high


def summary(content: RunContent) -> dict[str, Any] | None:
    """Observed, expected and the difference, on average and in sum over the post-period, as a table; None without a series."""
    found = expected(content)
    rows = overall(content)
    if found is None or "att" not in rows or "cumulative" not in rows:
        return None
    used = found.post & np.isfinite(found.outcome)
    body = []
    for what, row, observed in (
        ("On average", rows["att"], found.outcome[used].mean()),
        ("In total", rows["cumulative"], found.outcome[used].sum()),
    ):
        places = numbers.decimals(row["std_error"], row["value"])
        said = [number(observed, places), _with_ends(*_expected(observed, row), places)]
        body.append([what, *said, _with_ends(row["value"], row["lower"], row["upper"], places)])
    body += _in_per_cent(content, rows)
    head = ["Post-period", "Observed", "Expected without it", "Difference"]
    return {"head": head, "body": body, "left": 1}


def _in_per_cent(content: RunContent, rows: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """The difference as a share of the expectation; of an outcome that is a logarithm, the change of what it is the logarithm "
    "of.
    """
    change = text.relative_change(rows["att"])
    if change is not None:
        return [["In per cent, about", "", "", f"{change[0]} ({change[1]} to {change[2]})"]]
    share = rows.get("relative")
    if share is None:
        return []
    places = numbers.decimals(100 * share["std_error"], 100 * share["value"])
    value, low, high = (number(100 * share[k], places, signed=True) + "%" for k in ("value", "lower", "upper"))
    return [["In per cent", "", "", f"{value} ({low} to {high})"]]


def words(content: RunContent) -> list[str]:
    """What happened, what was expected, and what the difference does and does not say, in sentences; empty without a series."""
    found, rows = expected(content), overall(content)
    if found is None or "att" not in rows:
        return []
    row = rows["att"]
    used = found.post & np.isfinite(found.outcome)
    others = "donors" if "donor" in content.dataset("constant_data").coords else "controls"
    observed, places = found.outcome[used].mean(), numbers.decimals(row["std_error"], row["value"])
    value, low, high = _expected(observed, row)
    first, last = (found.time.word(found.time.labels[k]) for k in (found.start, found.stop))
    n, sure = int(used.sum()), numbers.level(row["level"])
    said = [
        f"From {first} to {last} ({n:,} dates), {content.unit} was {number(observed, places)} on average. From the time before, "
        f"the model expected {number(value, places)}, and gives {sure} to the range from {number(low, places)} to "
        f"{number(high, places)}. The difference is {number(row['value'], places, signed=True)} ({number(row['lower'], places)} "
        f"to {number(row['upper'], places)})."
    ]
    if "time_weight" in content.dataset("posterior"):
        said.append(
            f"What is expected are the weighted donors, moved by their distance in the weighted periods before. Elsewhere before "
            f"{first} they may lie off: it is the distance in those periods that is taken to last."
        )
    outside = (found.outcome < found.expected[1]) | (found.outcome > found.expected[2])
    before = found.pre & np.isfinite(found.outcome)
    said.append(
        f"Of single dates, {int((outside & used).sum())} of {n:,} lie outside their own {sure} band after the intervention, and "
        f"{int((outside & before).sum())} of {int(before.sum()):,} before it, where {number(100 * (1 - row['level']), 0)}% would "
        "by chance."
    )
    said.append(
        "The intervals hold the noise and the drift that the model saw before. They do not hold the chance that something else "
        f"happened at the same time, that the {others} were moved too, or that they stopped telling about this outcome: the "
        "difference is an effect of the intervention only under the assumptions below."
    )
    return [numbers.true_minus(s) for s in said]


def overall(content: RunContent) -> dict[str, Mapping[str, Any]]:
    """The model's overall rows on the headline's scale and labels, by estimand."""
    head = content.headline
    return {
        str(row["estimand"]): row
        for row in reversed(content.rows)
        if all(row[k] == head.get(k) for k in ("method", "scale", "by")) and row["value"] is not None
    }


def _expected(observed: float, row: Mapping[str, Any]) -> tuple[float, float, float]:
    return observed - row["value"], observed - row["upper"], observed - row["lower"]


def _with_ends(value: float, low: float, high: float, places: int) -> str:
    return f"{number(value, places)} ({number(low, places)} to {number(high, places)})"
