"""Least squares on the pre-period, and what it predicts for the time after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bayes_causal.baselines.forecasts import Asked, Forecast, answer, fitted, refuse, season, used
from bayes_causal.errors import EstimandError, closest

if TYPE_CHECKING:
    from bayes_causal.data.time_series import TimeSeries
    from bayes_causal.estimates import Estimate

ERRORS = ("ar1", "iid")
LARGEST = 0.99  # of the persistence, where residuals look like a random walk


def ols_pre_period(
    series: TimeSeries,
    *,
    by: Literal["time"] | None = None,
    estimand: Asked = "att",
    level: float = 0.9,
    errors: Literal["ar1", "iid"] = "ar1",
    trend: bool = False,
    seasonal: int | None = None,
) -> Estimate:
    """The outcome regressed on its controls before the intervention; the effect is what is observed less what that predicts.

    Parameters
    ----------
    by : {"time"}, optional
    estimand : {"att", "cumulative", "relative"}
    errors : {"ar1", "iid"}
        What standard errors take errors to be: the value is that of least squares either way. With "ar1" the persistence is that
        of the residuals, and errors before and after the intervention are correlated.
    trend : bool
        A straight line in time too.
    seasonal : int, optional
        Length of a season in steps of the series, as 12 for months: dummies of the place in it.

    Returns
    -------
    Estimate
        ``extra``: df, r_squared, sigma, rho, log_likelihood (iid normal), nobs, coefficients.

    Raises
    ------
    EstimandError
        A question or an option that does not exist, or more coefficients than the pre-period can tell apart.
    """
    if errors not in ERRORS:
        raise EstimandError(f"errors '{errors}' do not exist{closest(errors, ERRORS)}")
    x, names = _columns(series, trend, seasonal)
    refuse(series, "ols_pre_period", by, estimand, x.shape[1])
    forecast = _forecast(series, x, names, errors)
    return answer(series, forecast, "ols_pre_period", by=by, estimand=estimand, level=level)


def _columns(series: TimeSeries, trend: bool, seasonal: int | None) -> tuple[np.ndarray, list[str]]:
    """(time, K) regressors at all dates, and their names."""
    data = series.dataset
    period = data["period"].values.astype(float)
    blocks, names = [np.ones((period.size, 1))], ["intercept"]
    if series.control_names:
        blocks.append(data["controls"].values)
        names += series.control_names
    if trend:
        blocks.append(period[:, None])
        names.append("trend")
    dummies = season(series, seasonal)
    names += [f"season {k + 2} of {seasonal}" for k in range(dummies.shape[1])]
    return np.hstack([*blocks, dummies]), names


def _forecast(series: TimeSeries, x: np.ndarray, names: list[str], errors: str) -> Forecast:
    y, before, after = series.dataset["outcome"].values, fitted(series), used(series)
    inverse = np.linalg.pinv(x[before])
    rank = int(np.linalg.matrix_rank(x[before] / np.abs(x[before]).max(0)))
    if rank < x.shape[1]:
        raise EstimandError(
            f"the {x.shape[1]} columns of the regression say the same thing in part (rank {rank}): leave some out"
        )
    beta = inverse @ y[before]
    residual = y[before] - x[before] @ beta
    df = int(before.sum()) - x.shape[1]
    variance = float(residual @ residual / df)
    rho = persistence(residual, series.dataset["period"].values[before]) if errors == "ar1" else 0.0
    # The forecast error is a weighted sum of the errors at all dates: 1 on its own, minus the leverage on those before.
    weights = np.eye(y.size)[after]
    weights[:, before] -= x[after] @ inverse
    together = weights.mean(0, keepdims=True)
    spread = variance * np.einsum("ht,ht->h", weights, correlated(weights, rho))
    total = variance * float((together * correlated(together, rho)).sum())
    n, squares = residual.size, float(residual @ residual)
    extra: dict[str, Any] = {
        "df": df - (errors == "ar1"),
        "nobs": n,
        "r_squared": 1 - squares / float(((y[before] - y[before].mean()) ** 2).sum()),
        "sigma": float(np.sqrt(variance)),
        "rho": rho,
        "errors": errors,
        "log_likelihood": float(-n / 2 * (np.log(2 * np.pi * squares / n) + 1)),
        "coefficients": _table(names, beta, x[before], variance, rho, series.dataset["period"].values[before]),
    }
    return Forecast(x[after] @ beta, spread, total, extra["df"], extra)


def _table(
    names: list[str], beta: np.ndarray, x: np.ndarray, variance: float, rho: float, period: np.ndarray
) -> list[dict[str, Any]]:
    inverse = np.linalg.pinv(x)
    full = np.zeros((len(names), int(period[-1] - period[0]) + 1))
    full[:, period - period[0]] = inverse
    error = np.sqrt(variance * np.einsum("kt,kt->k", full, correlated(full, rho)))
    return [{"term": n, "value": float(b), "std_error": float(s)} for n, b, s in zip(names, beta, error, strict=True)]


def persistence(residual: np.ndarray, period: np.ndarray) -> float:
    """First autocorrelation of residuals (N,) at periods (N,): over pairs one step apart, kept off one."""
    pairs = np.flatnonzero(np.diff(period) == 1)
    below = float(residual[pairs] @ residual[pairs])
    rho = float(residual[pairs] @ residual[pairs + 1]) / below if below > 0 else 0.0
    return float(np.clip(rho, -LARGEST, LARGEST))


def correlated(weights: np.ndarray, rho: float) -> np.ndarray:
    """(R, T) rows times the correlation matrix rho^|s - t|, in two passes over time."""
    from scipy.signal import lfilter

    if rho == 0:
        return weights
    forward = lfilter([1.0], [1.0, -rho], weights, axis=1)
    backward = lfilter([1.0], [1.0, -rho], weights[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(forward + backward - weights)
