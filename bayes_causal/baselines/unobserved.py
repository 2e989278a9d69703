"""An unobserved components model by maximum likelihood: the structural time series without priors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from bayes_causal.baselines.forecasts import Asked, answer, refuse
from bayes_causal.baselines.state_space import EXACT, columns, estimated, forecast, require_statsmodels
from bayes_causal.errors import EstimandError, closest

if TYPE_CHECKING:
    from bayes_causal.data.time_series import TimeSeries
    from bayes_causal.estimates import Estimate

LEVELS = {"local_level": "llevel", "local_linear_trend": "lltrend", "smooth_trend": "strend"}


def unobserved_components(
    series: TimeSeries,
    *,
    by: Literal["time"] | None = None,
    estimand: Asked = "att",
    level: float = 0.9,
    trend: Literal["local_level", "local_linear_trend", "smooth_trend"] = "local_level",
    seasonal: int | None = None,
    ar: int = 0,
) -> Estimate:
    """A local level (or trend), a season and a regression on the controls, fitted before the intervention by statsmodels.

    Parameters
    ----------
    by : {"time"}, optional
    estimand : {"att", "cumulative", "relative"}
    trend : {"local_level", "local_linear_trend", "smooth_trend"}
    seasonal : int, optional
        Length of a season in steps of the series, as 12 for months.
    ar : int
        Order of an autoregressive component.

    Returns
    -------
    Estimate
        Standard errors hold noise, states and coefficients with all their covariances; the variances are taken as known.
        ``extra``: df, log_likelihood, aic, nobs, components, coefficients (variances, on the standardised outcome).

    Raises
    ------
    EstimandError
        A question or an option that does not exist, a pre-period that is too short, a likelihood without a maximum.
    """
    state_space = require_statsmodels()
    if trend not in LEVELS:
        raise EstimandError(f"trend '{trend}' does not exist{closest(trend, LEVELS)}")
    refuse(series, "unobserved_components", by, estimand, 2 + len(series.control_names) + (seasonal or 0) + ar)
    y, x = columns(series)
    options: dict[str, Any] = {"level": LEVELS[trend], "seasonal": seasonal, "autoregressive": ar or None}
    model = state_space.UnobservedComponents(y, exog=x, **EXACT, **options)
    result = estimated(model, "unobserved_components")
    parts = [trend] + [f"season of {seasonal}"] * bool(seasonal) + [f"AR({ar})"] * bool(ar)
    parts += ["regression"] * bool(series.control_names)
    found = forecast(series, result, {"components": ", ".join(parts)})
    return answer(series, found, "unobserved_components", by=by, estimand=estimand, level=level)
