"""Forecasts of statsmodels' state space models, with the covariances that an average over dates needs."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.baselines.forecasts import Forecast, fitted, used
from bayes_causal.errors import EstimandError, needs_extra

if TYPE_CHECKING:
    from bayes_causal.data.time_series import TimeSeries

ITERATIONS = 500
EXACT = {"mle_regression": False, "use_exact_diffuse": True}
"""Coefficients are states, started exactly diffuse: the approximate start loses its digits where the noise is small."""


def require_statsmodels() -> Any:
    """The module statsmodels.tsa.api.

    Raises
    ------
    MissingExtraError
        statsmodels is not installed.
    """
    try:
        import statsmodels.tsa.api as state_space
    except ImportError:
        raise needs_extra("baselines", "statsmodels") from None
    return state_space


def columns(series: TimeSeries) -> tuple[np.ndarray, np.ndarray | None]:
    """Outcome (time,) before the intervention, missing elsewhere, and controls (time, control), all centred with unit sd "
    "there.
    """
    y = np.where(fitted(series), (series.dataset["outcome"].values - series.center) / series.scale, np.nan)
    if not series.control_names:
        return y, None
    x, before = series.dataset["controls"].values, series.pre
    return y, (x - x[before].mean(0)) / x[before].std(0, ddof=1)


def estimated(model: Any, name: str) -> Any:
    """A model of statsmodels at its maximum likelihood: quasi-Newton, and a simplex from where that stops short.

    Raises
    ------
    EstimandError
        The likelihood could not be computed, or its maximum was not found.
    """
    from threadpoolctl import threadpool_limits

    # Threads of linear algebra wait for each other over matrices this small: 3 seconds for what takes 0.2.
    with warnings.catch_warnings(), threadpool_limits(1, "blas"):
        warnings.simplefilter("ignore")
        try:
            result = model.fit(disp=False, maxiter=ITERATIONS, cov_type="none")
            if not result.mle_retvals.get("converged", False):
                again = {"start_params": result.params, "method": "nm", "maxiter": 4 * ITERATIONS}
                result = model.fit(disp=False, cov_type="none", **again)
        except np.linalg.LinAlgError as error:
            raise EstimandError(f"{name}: the likelihood could not be computed ({error})") from error
    if not result.mle_retvals.get("converged", False):
        raise EstimandError(f"{name}: the maximum of the likelihood was not found in {5 * ITERATIONS} steps")
    return result


def forecast(series: TimeSeries, result: Any, extra: dict[str, Any]) -> Forecast:
    """What a fitted model expects after the intervention, in units of the outcome.

    States are filtered to the end of the pre-period, where the outcomes it sees end; the rest are forecasts. Coefficients are
    states without noise, so that not knowing them is part of the error; the variances are taken as known.
    """
    after = np.flatnonzero(used(series))
    found, scale = result.filter_results, series.scale
    mean = series.center + scale * found.forecasts[0, after]
    variance = scale**2 * found.forecasts_error_cov[0, 0, after]
    n = int(fitted(series).sum())
    parameters = int(result.params.size + len(series.control_names))
    # The density of the outcome is that of the standardised one over its scale, but for what the diffuse start takes up.
    start = int(fitted(series)[: int(found.nobs_diffuse)].sum())
    log_likelihood = float(result.llf) - (n - start) * float(np.log(scale))
    facts = {
        "df": n - parameters,
        "nobs": n,
        "log_likelihood": log_likelihood,
        "aic": 2 * result.params.size - 2 * log_likelihood,
    }
    names = list(result.model.param_names)
    coefficients = [{"term": k, "value": float(v)} for k, v in zip(names, result.params, strict=True)]
    told = facts | extra | {"coefficients": coefficients}
    return Forecast(mean, variance, scale**2 * variance_of_mean(found, after), facts["df"], told)


def variance_of_mean(found: Any, after: np.ndarray) -> float:
    """Variance of the average of forecasts at dates (H,), from the filter's predicted states (m, time) and their covariances.

    Along time, the covariance of the running average with the state is carried by the transition: nothing of size H squared.
    """
    share = np.zeros(found.nobs)
    share[after] = 1 / after.size
    total, with_state = 0.0, np.zeros(found.transition.shape[0])
    for t in range(int(after[0]), int(after[-1]) + 1):
        loads, moves = _at(found.design, t)[0], _at(found.transition, t)
        spread = found.predicted_state_cov[:, :, t]
        own = loads @ spread @ loads + _at(found.obs_cov, t)[0, 0]
        total += 2 * share[t] * (loads @ with_state) + share[t] ** 2 * own
        with_state = moves @ (with_state + share[t] * (spread @ loads))
    return float(total)


def _at(matrices: np.ndarray, t: int) -> np.ndarray:
    return np.asarray(matrices[:, :, t if matrices.shape[-1] > 1 else 0])
