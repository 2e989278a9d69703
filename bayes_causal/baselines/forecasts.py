"""From a forecast of what would have been to an answer: the arithmetic that all series baselines share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bayes_causal.errors import EstimandError, closest
from bayes_causal.estimates import Estimand, Estimate, from_normal

if TYPE_CHECKING:
    from bayes_causal.data.time_series import TimeSeries

ESTIMANDS = ("att", "cumulative", "relative")
Asked = Literal["att", "cumulative", "relative"]


@dataclass(frozen=True, eq=False)
class Forecast:
    """The outcome that the pre-period leads one to expect, at the H dates of the post-period that have an outcome.

    Parameters
    ----------
    mean : (H,) array, in units of the outcome
    variance : (H,) array
        Of the forecast error at each date: coefficients, states and noise.
    variance_of_mean : float
        Of the average forecast error over the H dates, with all its covariances.
    df : float
        Degrees of freedom of the t reference distribution; infinite is the normal.
    extra : mapping
        What the method says beside the numbers.
    """

    mean: np.ndarray
    variance: np.ndarray
    variance_of_mean: float
    df: float
    extra: Mapping[str, Any] = field(default_factory=dict)


def used(series: TimeSeries) -> np.ndarray:
    """(time,) bool: dates of the post-period with an outcome."""
    return series.post & series.observed


def fitted(series: TimeSeries) -> np.ndarray:
    """(time,) bool: dates of the pre-period with an outcome."""
    return series.pre & series.observed


def season(series: TimeSeries, length: int | None) -> np.ndarray:
    """(time, length - 1) dummies of the place in a season of that many steps, summing to zero; no columns without one."""
    if length is None:
        return np.empty((series.dataset.sizes["time"], 0))
    place = series.dataset["period"].values % length
    return np.eye(length)[place][:, 1:] - np.eye(length)[place][:, :1]


def refuse(series: TimeSeries, method: str, by: str | None, estimand: str, coefficients: int) -> None:
    """Raise EstimandError where a question does not exist, or the pre-period is too short for the coefficients."""
    if by not in (None, "time"):
        raise EstimandError(f"{method} answers overall and by time, not by '{by}'{closest(str(by), ['time'])}")
    if estimand not in ESTIMANDS:
        raise EstimandError(f"{method} does not answer '{estimand}'{closest(estimand, ESTIMANDS)}")
    if by == "time" and estimand != "att":
        raise EstimandError(f"{method} breaks the att down by time, not the {estimand} effect")
    have = int(fitted(series).sum())
    if have < coefficients + 2:
        raise EstimandError(
            f"{have} outcomes before the intervention are too few for {coefficients} coefficients without a prior (at least "
            f"{coefficients + 2} are needed)"
        )


def answer(
    series: TimeSeries, forecast: Forecast, method: str, *, by: Literal["time"] | None, estimand: Asked, level: float
) -> Estimate:
    """The observed outcome less the forecast, as an estimate on the scale of the outcome that happened."""
    rows = used(series)
    outcome = series.dataset["outcome"].values[rows]
    asked = Estimand(estimand, "realised", by)
    shared: dict[str, Any] = {"level": level, "df": forecast.df, "unit": series.outcome_name, "extra": dict(forecast.extra)}
    if by == "time":
        coords = {"time": series.dataset["time"].values[rows]}
        return from_normal(outcome - forecast.mean, np.sqrt(forecast.variance), asked, method, coords=coords, **shared)
    effect, error, observed = outcome.mean() - forecast.mean.mean(), np.sqrt(forecast.variance_of_mean), outcome.mean()
    if estimand == "relative":
        return _relative(from_normal(effect, error, asked, method, **shared), observed)
    times = rows.sum() if estimand == "cumulative" else 1
    return from_normal(times * effect, times * error, asked, method, **shared)


def _relative(att: Estimate, observed: float) -> Estimate:
    """Effect over expectation: the ends of the interval carried over one by one, the standard error by the delta method.

    Raises
    ------
    EstimandError
        The interval of the expectation holds zero, so that a fraction of it means nothing.
    """
    value, low, high = (float(att.table[k]) for k in ("value", "lower", "upper"))
    if (observed - low) * (observed - high) <= 0:
        raise EstimandError(
            f"the expected outcome lies between {observed - high:.4g} and {observed - low:.4g}, so that an effect is no fraction "
            "of it"
        )
    ends = sorted(v / (observed - v) for v in (low, high))
    error = float(att.table["std_error"]) * abs(observed) / (observed - value) ** 2
    table = att.table.assign(value=value / (observed - value), std_error=error, lower=ends[0], upper=ends[1])
    return Estimate(att.estimand, att.method, "frequentist", table, att.level, "confidence", "fraction", None, att.extra)
