"""Interventions that never were, at many dates before the real one: their effects should be null, and their forecasts good."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr

from bayes_causal.checks.base import Check, needs_series
from bayes_causal.checks.series_refit import ATT, masked, refit
from bayes_causal.data.columns import show
from bayes_causal.data.series_windows import lengths, moving_controls
from bayes_causal.data.time_series import TimeSeries
from bayes_causal.estimates import from_draws
from bayes_causal.models.base import Model
from bayes_causal.models.kinds import SeriesModel

DATES = 12
EARLIEST = 0.4  # of the pre-period, before which no placebo lies
FEWEST = 3  # placebos that say anything about a rate
SURE = 0.95  # of the interval of the rate of false alarms


@dataclass(frozen=True, eq=False)
class Placebo:
    """One placebo: its date, its effect against the draws, and how its dates were forecast.

    Parameters
    ----------
    date : label
    effect : (chain, draw) draws of its average effect
    inside : (H,) whether each outcome lies in its own interval
    error, naive : mean squared errors of the forecast, and of the mean of the pre-period's last outcomes
    """

    date: Any
    effect: xr.DataArray
    inside: np.ndarray
    error: float
    naive: float


def placebo_time(model: Model, tree: xr.DataTree, *, dates: int = DATES, periods: int | None = None, level: float = 0.9) -> Check:
    """The same model with an intervention at each of several dates before the real one: none should have an effect.

    Each placebo sees what lies before its date alone, and is asked for the average over the `periods` that follow, by default as
    many as the real post-period has, fewer where the dates would overlap too much. The table sets them beside the real effect.
    """
    if not isinstance(model, SeriesModel):
        return needs_series("placebo_time")
    found = placebos(model, dates, periods, level)
    if isinstance(found, str):
        return Check("placebo_time", None, "warning", f"Does not apply: {found}.")
    length, runs = found
    answers = [from_draws(p.effect, ATT, "placebo", level=level) for p in runs]
    real = from_draws(model.effect(tree["posterior"].to_dataset(), ATT), ATT, "real", level=level)
    table: list[dict[str, Any]] = [
        {"date": show(p.date), **{k: float(a.table[k]) for k in ("value", "std_error", "lower", "upper", "prob_positive")}}
        for p, a in zip(runs, answers, strict=True)
    ]
    alarms = sum(row["lower"] > 0 or row["upper"] < 0 for row in table)
    # Each effect in its own standard errors, as forecasts from longer pre-periods are surer.
    size = abs(float(real.value) / float(real.std_error))
    larger = sum(abs(row["value"]) / row["std_error"] >= size for row in table)
    most = most_by_chance(len(table), 1 - level)
    numbers = {
        "placebos": len(table),
        "periods": length,
        "away_from_zero": int(alarms),
        "by_chance_at_most": most,
        "largest_placebo": max((r["value"] for r in table), key=abs),
        "as_large_as_the_effect": larger,
    }
    said = (
        f"Of {len(table)} interventions that never were, {alarms} have a {level:.0%} interval without zero (by chance up to "
        f"{most}); {larger} are as large as the real effect, in their own standard errors."
    )
    if alarms > most:
        text = f"{said} The model finds effects where nothing was done: its intervals are too narrow, or something else happened."
        return Check("placebo_time", False, "warning", text, numbers, table)
    return Check("placebo_time", True, "warning", said, numbers, table)


def false_alarms(model: Model, tree: xr.DataTree, *, dates: int = DATES, periods: int | None = None, level: float = 0.9) -> Check:
    """How often the model cries wolf: the share of placebo dates whose interval leaves out zero, and how sure that share is.

    At a level of 90 % it should be 10 %. The interval of the share is that of Clopper and Pearson, as if the dates were
    independent; where their post-periods overlap they are not, and the share is less sure than it says.
    """
    if not isinstance(model, SeriesModel):
        return needs_series("false_alarms")
    found = placebos(model, dates, periods, level)
    if isinstance(found, str):
        return Check("false_alarms", None, "warning", f"Does not apply: {found}.")
    length, runs = found
    ends = [from_draws(p.effect, ATT, "placebo", level=level) for p in runs]
    alarms = int(sum(float(e.lower) > 0 or float(e.upper) < 0 for e in ends))
    n, rate = len(runs), alarms / len(runs)
    low, high = rate_interval(alarms, n)
    numbers = {
        "rate": rate,
        "monte_carlo_error": float(np.sqrt(rate * (1 - rate) / n)),
        "rate_lower": low,
        "rate_upper": high,
        "nominal": 1 - level,
        "dates": n,
        "periods": length,
    }
    said = (
        f"{alarms} of {n} placebo dates raise a false alarm, {rate:.0%} ({SURE:.0%} interval {low:.0%} to {high:.0%}); "
        f"{1 - level:.0%} would by design"
    )
    if low > 1 - level:
        text = f"{said}. The model's intervals are too narrow on this series: the real one is less sure than it says."
        return Check("false_alarms", False, "warning", text, numbers)
    few = "" if high < 0.5 else " With so few dates a high rate cannot be ruled out."
    return Check("false_alarms", True, "warning", f"{said}.{few}", numbers)


def out_of_sample(
    model: Model, tree: xr.DataTree, *, dates: int = DATES, periods: int | None = None, level: float = 0.9
) -> Check:
    """How well the model forecasts dates before the intervention that it did not see: coverage of single dates, and error.

    The error is set against that of the plainest forecast, the mean of as many outcomes as are forecast, just before the date.
    """
    if not isinstance(model, SeriesModel):
        return needs_series("out_of_sample")
    found = placebos(model, dates, periods, level)
    if isinstance(found, str):
        return Check("out_of_sample", None, "warning", f"Does not apply: {found}.")
    length, runs = found
    inside = np.concatenate([p.inside for p in runs])
    error, naive = (float(np.sqrt(np.mean([getattr(p, k) for p in runs]))) for k in ("error", "naive"))
    covered, skill = float(inside.mean()), 1 - error**2 / naive**2 if naive > 0 else 0.0
    numbers = {
        "covered": covered,
        "nominal": level,
        "forecasts": int(inside.size),
        "rmse": error,
        "rmse_naive": naive,
        "skill": skill,
        "rmse_in_sd": error / model.series.scale,
    }
    said = (
        f"Forecast up to {length} steps ahead from {len(runs)} dates before the intervention, {covered:.0%} of {inside.size:,} "
        f"outcomes lie in their {level:.0%} interval; the typical error is {error:.3g} ({error / model.series.scale:.2f} sds), "
        f"against {naive:.3g} by carrying the recent mean forward"
    )
    problems = []
    if covered < 1 - 2 * (1 - level):
        problems.append("the intervals are too narrow")
    if skill < 0:
        problems.append("the model forecasts worse than the recent mean")
    if problems:
        return Check("out_of_sample", False, "warning", f"{said}: {' and '.join(problems)}.", numbers)
    return Check("out_of_sample", True, "warning", f"{said}.", numbers)


def most_by_chance(n: int, rate: float) -> int:
    """The most of n events of a probability that chance brings in 19 of 20 cases."""
    from scipy.stats import binom

    return int(binom.ppf(SURE, n, rate))


def rate_interval(events: int, n: int) -> tuple[float, float]:
    """Clopper and Pearson's interval of a probability from its events among n."""
    from scipy.stats import beta

    tail = (1 - SURE) / 2
    low = float(beta.ppf(tail, events, n - events + 1)) if events else 0.0
    return low, float(beta.ppf(1 - tail, events + 1, n - events)) if events < n else 1.0


def placebos(model: SeriesModel, dates: int, periods: int | None, level: float) -> tuple[int, list[Placebo]] | str:
    """Length of the placebos' post-periods and the placebos, or why there are none; three checks share them."""
    shared: Any = _placebos
    found: tuple[int, list[Placebo]] | str = shared(model, dates, periods, level)
    return found


@lru_cache(maxsize=4)
def _placebos(model: Any, dates: int, periods: int | None, level: float) -> tuple[int, list[Placebo]] | str:
    found = onsets(model.series, dates, periods)
    if isinstance(found, str):
        return found
    length, at = found
    return length, [_placebo(model, masked(model.series, int(k), length), level) for k in at]


def onsets(series: TimeSeries, dates: int, periods: int | None) -> tuple[int, np.ndarray] | str:
    """Length of the post-periods and positions of the placebos, evenly spaced over the later part of the pre-period."""
    rows = np.flatnonzero(series.pre)
    first, last = int(rows[0]), int(rows[-1]) + 1
    length = periods or max(1, min(series.n_post, (last - first) // 6))
    start = first + int(np.ceil(EARLIEST * (last - first)))
    if last - length < start:
        return f"the pre-period of {series.n_pre} dates is too short for a placebo of {length}"
    at = np.unique(np.linspace(start, last - length, dates).round().astype(int))
    usable = np.array([k for k in at if not unusable(masked(series, int(k), length))], int)
    if usable.size < FEWEST:
        return f"only {usable.size} dates leave enough on both sides ({FEWEST} are needed)"
    return length, usable


def unusable(series: TimeSeries) -> list[str]:
    """Why a placebo cannot be fitted; empty where it can."""
    data = series.dataset
    controls = {n: data["controls"].values[:, k] for k, n in enumerate(series.control_names)}
    problems = lengths(data["outcome"].values, series.pre, series.post, data["time"].values, series.outcome_name)
    return problems + moving_controls(controls, series.pre)


def _placebo(model: SeriesModel, series: TimeSeries, level: float) -> Placebo:
    again, posterior = refit(model, series)
    outcome, used = series.dataset["outcome"].values, series.post & series.observed
    forecast = posterior["counterfactual"].transpose("chain", "draw", "time").values[..., used].reshape(-1, used.sum())
    low, high = np.quantile(forecast, [(1 - level) / 2, (1 + level) / 2], axis=0)
    recent = outcome[series.pre & series.observed][-int(used.sum()) :].mean()
    y = outcome[used]
    error, naive = float(((y - forecast.mean(0)) ** 2).mean()), float(((y - recent) ** 2).mean())
    return Placebo(series.intervention, again.effect(posterior, ATT), (y >= low) & (y <= high), error, naive)
