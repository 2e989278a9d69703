"""Regression with ARIMA errors by maximum likelihood, its orders chosen before the intervention."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bayes_causal.baselines.forecasts import Asked, answer, fitted, refuse
from bayes_causal.baselines.state_space import EXACT, columns, estimated, forecast, require_statsmodels
from bayes_causal.errors import EstimandError

if TYPE_CHECKING:
    from bayes_causal.data.time_series import TimeSeries
    from bayes_causal.estimates import Estimate

Order = tuple[int, int, int]
LARGEST = 2  # of p and q where the order is chosen
STATIONARY = 0.05  # level of the KPSS test that decides on differences


def arima(
    series: TimeSeries,
    *,
    by: Literal["time"] | None = None,
    estimand: Asked = "att",
    level: float = 0.9,
    order: Sequence[int] | None = None,
    seasonal_order: Sequence[int] | None = None,
) -> Estimate:
    """A regression on the controls whose errors are ARIMA, fitted before the intervention by statsmodels.

    Parameters
    ----------
    by : {"time"}, optional
    estimand : {"att", "cumulative", "relative"}
    order : (p, d, q), optional
        Left out, d is 1 where the KPSS test rejects that the regression's residuals are stationary, and p, q of at most 2 have
        the smallest corrected Akaike criterion (Hyndman and Khandakar 2008, doi:10.18637/jss.v027.i03).
    seasonal_order : (P, D, Q, s), optional

    Returns
    -------
    Estimate
        Standard errors hold noise, states and coefficients with all their covariances; orders, persistence and variance are taken
        as known. ``extra``: df, log_likelihood, aic, nobs, order, seasonal_order, coefficients.

    Raises
    ------
    EstimandError
        A question that does not exist, orders that are none, a pre-period that is too short, a likelihood without a maximum.
    """
    state_space = require_statsmodels()
    seasons = _orders(seasonal_order, 4, "seasonal_order (P, D, Q, s)") or (0, 0, 0, 0)
    given = _orders(order, 3, "order (p, d, q)")
    free = 2 + len(series.control_names) + sum(given or (1, 1, 1)) + sum(seasons[:3])
    refuse(series, "arima", by, estimand, free)
    y, x = columns(series)
    failed: list[list[int]] = []
    if given:
        result = _fitted(state_space, y, x, (given[0], given[1], given[2]), seasons)
    else:
        result, failed = _chosen(state_space, y, x, fitted(series), seasons)
    told: dict[str, Any] = {"order": list(result.model.order), "order_chosen": given is None, "orders_without_a_maximum": failed}
    if any(seasons):
        told["seasonal_order"] = list(seasons)
    found = forecast(series, result, told)
    return answer(series, found, "arima", by=by, estimand=estimand, level=level)


def _orders(value: Sequence[int] | None, length: int, name: str) -> tuple[int, ...] | None:
    if value is None:
        return None
    numbers = tuple(value)
    if len(numbers) != length or any(not isinstance(v, (int, np.integer)) or v < 0 for v in numbers):
        raise EstimandError(f"{name} must be {length} whole numbers from 0 up, and is {value!r}")
    return numbers


def _fitted(state_space: Any, y: np.ndarray, x: np.ndarray | None, order: Order, seasons: tuple[int, ...]) -> Any:
    """One order at its maximum; an intercept is a regressor where nothing is differenced, so that not knowing it counts."""
    if order[1] == 0 and seasons[1] == 0:
        x = np.ones((y.size, 1)) if x is None else np.column_stack([np.ones(y.size), x])
    model = state_space.SARIMAX(y, exog=x, order=order, seasonal_order=seasons, **EXACT)
    return estimated(model, f"arima{order}")


def _chosen(
    state_space: Any, y: np.ndarray, x: np.ndarray | None, before: np.ndarray, seasons: tuple[int, ...]
) -> tuple[Any, list[list[int]]]:
    """The order of p, q of at most 2 with the smallest corrected criterion, and the orders whose maximum was not found."""
    d = int(_needs_difference(y[before], None if x is None else x[before]))
    n = int(before.sum())
    best, smallest = None, np.inf
    failed: list[list[int]] = []
    for p, q in itertools.product(range(LARGEST + 1), repeat=2):
        try:
            result = _fitted(state_space, y, x, (p, d, q), seasons)
        except EstimandError:
            failed.append([p, d, q])
            continue
        k = result.params.size + (0 if x is None else x.shape[1])
        criterion = result.aic + 2 * k * (k + 1) / (n - k - 1) if n > k + 1 else np.inf
        if criterion < smallest:
            best, smallest = result, criterion
    if best is None:
        raise EstimandError(f"arima: no order (p, {d}, q) with p and q of at most {LARGEST} has a likelihood with a maximum")
    return best, failed


def _needs_difference(y: np.ndarray, x: np.ndarray | None) -> bool:
    """Whether residuals of the regression are no stationary series, by the KPSS test."""
    from statsmodels.tsa.stattools import kpss

    columns_ = np.ones((y.size, 1)) if x is None else np.column_stack([np.ones(y.size), x])
    residual = y - columns_ @ np.linalg.lstsq(columns_, y, rcond=None)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # p-values beyond its table are reported at the table's end
        return bool(kpss(residual, regression="c", nlags="auto")[1] < STATIONARY)
