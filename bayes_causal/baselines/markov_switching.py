"""Regime-dependent effects by maximum likelihood, one series at a time: statsmodels' Markov-switching models, from many starts.

Beside the Bayesian model: no pooling over series, each with regimes of its own; effects load on the regime of the shock's own
date (statsmodels knows no other). Regimes are numbered as there.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from bayes_causal.baselines.markov_likelihood import Maximum, attempted, maximise
from bayes_causal.baselines.markov_models import Columns, Switching, columns, model_of
from bayes_causal.baselines.series_effects import Asked, Effect, Names, Pair, over_pairs, picked
from bayes_causal.baselines.state_space import require_statsmodels

if TYPE_CHECKING:
    from bayes_causal.data.multi_series import MultiSeries
    from bayes_causal.estimates import Estimate

DIMS = {
    "transition": ("regime", "regime_to"),
    "regressors": ("regime", "regressor"),
    "ar": ("regime", "lag"),
    "mean": ("regime",),
    "intercept": ("regime",),
    "variance": ("regime",),
}


def markov_mle(
    data: MultiSeries,
    *,
    by: Literal["regime"] | None = None,
    level: float = 0.9,
    series: Names = None,
    shock: Names = None,
    regimes: int = 2,
    order: int = 0,
    switching: Sequence[str] | None = None,
    form: Literal["regression", "hamilton"] = "regression",
    standardise: bool = True,
    starts: int = 10,
    seed: int = 0,
) -> Estimate:
    """Effect of a unit of each shock by regime, by maximum likelihood (statsmodels, standardised data, many starts).

    Parameters
    ----------
    by : {"regime"}, optional
        Left out, effects are averaged with the filtered probabilities of the last date, taken as known.
    series, shock : str or sequence of str, optional
        Which ones the answer is about; all if left out. Every shock is in the regression of every series.
    regimes, order : int
        Number of regimes, and of lags of the outcome.
    switching : sequence of {"mean", "intercept", "ar", "shock", "variance"}, optional
        Level, shocks and variance if left out.
    form : {"regression", "hamilton"}
        Lags as regressors, or autoregressive deviations from the regime's mean.
    standardise : bool
        Off, statsmodels is given the data as they are, from its own start, and where it fails the row says so.
    starts, seed : int
        Random starts beside statsmodels' own.

    Returns
    -------
    Estimate
        Dims (series, shock[, regime]): units of the outcome per unit of the shock. Regimes are numbered ascending by the first of
        variance, mean or intercept, shock, ar that switches. ``extra["each"]``, by pair: log_likelihood, nobs, starts, maxima,
        failed_starts, converged, std_errors_missing, probabilities (filtered, last date), transition, variance; as_they_are, what
        statsmodels makes of the data unstandardised.

    Raises
    ------
    EstimandError
        No shock, options that do not exist, a likelihood that statsmodels could not maximise.
    MissingExtraError
        statsmodels is not installed.
    """
    require_statsmodels()
    what = _switching(data, regimes, order, switching, form, True)

    def effect(pair: Pair) -> Effect:
        """The effect on one series: by regime, or averaged with the probabilities of the last date."""
        best, facts = _fitted(data, pair.series, what, standardise, starts, seed)
        j = data.shock_names.index(pair.shock_name)
        value, error = best.values["regressors"][:, j], best.errors["regressors"][:, j]
        extra = _told(best) | facts
        if by == "regime":
            return Effect(value, error, labels=list(range(regimes)), extra=extra)
        return Effect(float(best.filtered[-1] @ value), best.averaged_error(j), extra=extra)

    return over_pairs(data, "markov_mle", effect, Asked(by, level, series, shock), ("regime",))


def markov_parameters(
    data: MultiSeries,
    *,
    series: str | None = None,
    regimes: int = 2,
    order: int = 0,
    switching: Sequence[str] | None = None,
    form: Literal["regression", "hamilton"] = "regression",
    constant: bool = True,
    starts: int = 10,
    seed: int = 0,
) -> xr.Dataset:
    """All that `markov_mle` estimates for one series, with or without shocks, as a table.

    Parameters are those of `markov_mle`, for one series (the first if left out); `constant` off leaves the intercept out.

    Returns
    -------
    xarray.Dataset
        ``transition`` (regime, regime_to; rows the regime before), ``mean`` or ``intercept`` (regime), ``regressors`` (regime,
        regressor: shocks, then controls), ``ar`` (regime, lag), ``variance`` (regime), each with ``…_std_error``; ``filtered``
        and ``smoothed`` (time, regime) probabilities. Attributes log_likelihood, nobs, converged, starts. Natural units.
    """
    require_statsmodels()
    what = _switching(data, regimes, order, switching, form, constant)
    name = data.series_names[0] if series is None else picked(data.series_names, series, "series", "markov_parameters")[0]
    made = columns(data.outcomes[:, data.series_names.index(name)], data.shocks, data.controls, what)
    best = maximise(made, what, starts=starts, seed=seed)
    table: dict[str, Any] = {}
    for quantity, value in best.values.items():
        table[quantity] = (DIMS[quantity], value)
        table[f"{quantity}_std_error"] = (DIMS[quantity], best.errors[quantity])
    table |= {k: (("time", "regime"), getattr(best, k)) for k in ("filtered", "smoothed")}
    coords = {
        "regime": np.arange(regimes),
        "regime_to": np.arange(regimes),
        "lag": np.arange(1, order + 1),
        "regressor": [*data.shock_names, *data.control_names],
        "time": data.time[-best.nobs :],
    }
    attrs = {"log_likelihood": best.log_likelihood, "nobs": best.nobs, "converged": int(best.facts["converged"])}
    return xr.Dataset(table, coords, attrs | {"starts": best.facts["starts"], "series": name})


@lru_cache(maxsize=8)
def _fitted(
    data: MultiSeries, series: str, what: Switching, standardise: bool, starts: int, seed: int
) -> tuple[Maximum, dict[str, Any]]:
    """The maximum for one series, and what statsmodels makes of the data as they are; one fit answers for every shock."""
    y = data.outcomes[:, data.series_names.index(series)]
    raw = columns(y, data.shocks, data.controls, what, standardise=False)
    if not standardise:
        return maximise(raw, what, starts=0, seed=seed), {}
    made = columns(y, data.shocks, data.controls, what)
    return maximise(made, what, starts=starts, seed=seed), {"as_they_are": _as_they_are(raw, what)}


def _switching(
    data: MultiSeries, regimes: int, order: int, switching: Sequence[str] | None, form: str, constant: bool
) -> Switching:
    default = (["mean" if form == "hamilton" else "intercept"] * constant) + ["shock"] * bool(data.shock_names) + ["variance"]
    named = default if switching is None else [switching] if isinstance(switching, str) else switching
    return Switching(regimes, order, tuple(named), form, constant)


def _as_they_are(raw: Columns, switching: Switching) -> dict[str, Any]:
    """What statsmodels, left to its own start and units, makes of the data; its failure in its own words."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        fit, failed = attempted(lambda: model_of(raw, switching).fit(disp=False))
        if failed:
            return {"reason": f"statsmodels failed: {failed}"}
        missing = int((~np.isfinite(np.asarray(fit.bse))).sum())
    told = {"log_likelihood": float(fit.llf), "converged": bool(fit.mle_retvals["converged"]), "std_errors_missing": missing}
    return {k: v for k, v in told.items() if k != "log_likelihood" or np.isfinite(v)}


def _told(best: Maximum) -> dict[str, Any]:
    return {
        "log_likelihood": best.log_likelihood,
        "nobs": best.nobs,
        **best.facts,
        "probabilities": best.filtered[-1].tolist(),
        "transition": best.values["transition"].tolist(),
        "variance": best.values["variance"].tolist(),
        "shock_state": "current",
    }
