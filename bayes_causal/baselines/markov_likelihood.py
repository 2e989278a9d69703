"""statsmodels' Markov-switching models from many starts on standardised data, and what they say in natural units.

Hamilton (1989), doi:10.2307/1912559; Kim (1994), doi:10.1016/0304-4076(94)90036-1. The likelihood has many local maxima, and its
optimiser steps by absolute amounts: data are standardised, fitted from many starts, and every quantity, being affine in the
parameters given the data's means and scales, is carried back with its covariance.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bayes_causal.errors import EstimandError, closest

FORMS = ("regression", "hamilton")
SWITCHES = ("mean", "intercept", "ar", "shock", "variance")
SCREENED = 3  # starts that are followed to their maximum
ROUNDS = (15, 400)  # of EM from every start, of BFGS from the best


@dataclass(frozen=True)
class Switching:
    """What switches.

    Parameters
    ----------
    regimes, order : int
        Number of regimes, and of lags of the outcome.
    switching : tuple of {"mean", "intercept", "ar", "shock", "variance"}
    form : {"regression", "hamilton"}
        Lags as regressors, or deviations from the regime's mean that are autoregressive.
    constant : bool
        Whether there is an intercept (or mean) at all.
    """

    regimes: int = 2
    order: int = 0
    switching: tuple[str, ...] = ("intercept", "variance")
    form: str = "regression"
    constant: bool = True

    def __post_init__(self) -> None:
        wrong = [f"switching '{s}' does not exist{closest(s, SWITCHES)}" for s in self.switching if s not in SWITCHES]
        if self.form not in FORMS:
            wrong.append(f"form '{self.form}' does not exist{closest(self.form, FORMS)}")
        if self.regimes < 2 or self.order < 0 or (self.form == "hamilton" and not self.order):
            wrong.append(f"regimes ({self.regimes}) are 2 or more, order ({self.order}) is 0 or more, 1 or more for 'hamilton'")
        if not self.switching or (set(self.switching) == {"ar"} and not self.order):
            wrong.append("nothing switches")
        if wrong:
            raise EstimandError("; ".join(wrong))


@dataclass(frozen=True, eq=False)
class Maximum:
    """The largest likelihood found, regimes numbered by the first of variance, mean or intercept, shock and ar that switches.

    Parameters
    ----------
    log_likelihood : float
        Of the outcome in its own unit.
    values, errors : mapping of str to array
        transition (K, K), rows the regime before; mean or intercept (K,), regressors (K, P), ar (K, L), variance (K,). Natural
        units.
    covariance : (P, K, K) array
        Of each regressor's coefficients across regimes.
    filtered, smoothed : (N, K) arrays
    nobs : int
        Dates that the likelihood counts.
    facts : mapping
        starts, maxima (log-likelihood of each start followed), failed_starts, converged, std_errors_missing.
    """

    log_likelihood: float
    values: Mapping[str, np.ndarray]
    errors: Mapping[str, np.ndarray]
    covariance: np.ndarray
    filtered: np.ndarray
    smoothed: np.ndarray
    nobs: int
    facts: Mapping[str, Any] = field(default_factory=dict)

    def averaged_error(self, regressor: int) -> float:
        """Standard error of a coefficient averaged with the last filtered probabilities, which are taken as known."""
        weights = self.filtered[-1]
        with np.errstate(invalid="ignore"):
            return float(np.sqrt(weights @ self.covariance[regressor] @ weights))


@dataclass(frozen=True, eq=False)
class Columns:
    """Outcome (T,), regressors (T, P) of which the first `shocks` are shocks, and what they are centred and scaled by."""

    y: np.ndarray
    x: np.ndarray
    shocks: int
    center: tuple[float, np.ndarray]
    scale: tuple[float, np.ndarray]

    def standardised(self) -> Columns:
        """The columns with their centres taken out and scales divided by."""
        y, x = (self.y - self.center[0]) / self.scale[0], (self.x - self.center[1]) / self.scale[1]
        return replace(self, y=y, x=x)


def columns(
    y: np.ndarray, shocks: np.ndarray, controls: np.ndarray, switching: Switching, *, standardise: bool = True
) -> Columns:
    """Columns of a model; in regression form lags are regressors. Without a constant, data are scaled and not centred."""
    x = np.column_stack([shocks, controls])
    lags = switching.order if switching.form == "regression" else 0
    scale, center = float(y.std(ddof=1)), float(y.mean()) * switching.constant
    scales, centers = x.std(0, ddof=1), x.mean(0) * switching.constant
    if lags:
        x = np.column_stack([x[lags:], *(y[lags - k : y.size - k] for k in range(1, lags + 1))])
        y, scales, centers = y[lags:], np.append(scales, [scale] * lags), np.append(centers, [center] * lags)
    if not standardise:
        scale, center, scales, centers = 1.0, 0.0, np.ones_like(scales), np.zeros_like(centers)
    return Columns(y, x, shocks.shape[1], (center, centers), (scale, scales))


def model_of(data: Columns, switching: Switching) -> Any:
    """The model of statsmodels for columns as they are."""
    from statsmodels.tsa.regime_switching.markov_autoregression import MarkovAutoregression
    from statsmodels.tsa.regime_switching.markov_regression import MarkovRegression

    what = switching.switching
    lags = switching.order if switching.form == "regression" else 0
    shared = {
        "k_regimes": switching.regimes,
        "trend": "c" if switching.constant else "n",
        "exog": data.x if data.x.shape[1] else None,
        "switching_trend": "mean" in what or "intercept" in what,
        "switching_variance": "variance" in what,
        "switching_exog": [k < data.shocks and "shock" in what for k in range(data.x.shape[1] - lags)] + ["ar" in what] * lags,
    }
    if switching.form == "hamilton":
        return MarkovAutoregression(data.y, order=switching.order, switching_ar="ar" in what, **shared)
    return MarkovRegression(data.y, **shared)


def maximise(data: Columns, switching: Switching, *, starts: int = 10, seed: int = 0) -> Maximum:
    """The best of many starts: a few rounds of EM from each, BFGS from the best.

    Raises
    ------
    EstimandError
        statsmodels failed from every start: its own words.
    """
    from threadpoolctl import threadpool_limits

    made = model_of(data.standardised(), switching)
    rng = np.random.default_rng(seed)
    with warnings.catch_warnings(), threadpool_limits(1, "blas"), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        first, failures = [], []
        for k, start in enumerate([made.start_params, *(_start(made, switching, rng) for _ in range(starts))]):
            better, failed = attempted(made.fit, start_params=start, em_iter=ROUNDS[0], maxiter=1, return_params=True)
            value = -np.inf if failed else float(made.loglike(better))
            failures += [failed] if failed else []
            first += [(value, k, better)] if np.isfinite(value) else []
        first.sort(key=lambda found: -found[0])
        followed = []
        # statsmodels' own start, the first, is followed in any case, so that the result is never below its own
        for _, _, start in [*first[:SCREENED], *(found for found in first[SCREENED:] if found[1] == 0)]:
            fit, failed = attempted(made.fit, start_params=start, em_iter=0, maxiter=ROUNDS[1])
            followed += [] if failed else [fit]
            failures += [failed] if failed else []
    if not followed:
        raise EstimandError(f"statsmodels failed from every one of {starts + 1} starts: {'; '.join(dict.fromkeys(failures))}")
    best = max(followed, key=lambda fit: fit.llf)
    facts = {
        "starts": starts + 1,
        "maxima": sorted((float(f.llf - best.nobs * np.log(data.scale[0])) for f in followed), reverse=True),
        "failed_starts": failures,
        "converged": bool(best.mle_retvals["converged"]),
    }
    return _natural(best, data, switching, facts)


def attempted(call: Any, **options: Any) -> tuple[Any, str]:
    """What a call of statsmodels gives, and the words it failed with."""
    try:
        return call(**options), ""
    except (np.linalg.LinAlgError, RuntimeError, ValueError, FloatingPointError) as error:
        return None, f"{type(error).__name__}: {error}"


def _start(made: Any, switching: Switching, rng: np.random.Generator) -> np.ndarray:
    """Regimes that last, levels apart, variances within a factor of a few of each other; data are standardised."""
    k, where = switching.regimes, made.parameters
    start = np.array(made.start_params, float)
    stay = rng.uniform(0.6, 0.98, k)
    moves = np.diag(stay) + (1 - np.eye(k)) * ((1 - stay) / (k - 1))
    start[where["regime_transition"]] = moves[:, :-1].T.ravel()
    for regime in range(k):
        place = where[regime, "exog"]
        start[place] += 0.7 * rng.normal(size=len(place))
        start[where[regime, "variance"]] *= np.exp(0.8 * rng.normal(size=len(where[regime, "variance"])))
        if switching.form == "hamilton":
            place = where[regime, "autoregressive"]
            start[place] = 0.2 * rng.normal(size=len(place))
    return start


def _natural(fit: Any, data: Columns, switching: Switching, facts: dict[str, Any]) -> Maximum:
    """Natural units, ordered regimes; standard errors from the inverse Hessian, carried over by the affine map."""
    made, theta = fit.model, np.asarray(fit.params)
    values = carried(made, theta, data, switching)
    order = np.argsort(values[_first(switching)].reshape(switching.regimes, -1)[:, 0], kind="stable")
    zero, unit = carried(made, np.zeros_like(theta), data, switching), np.eye(theta.size)
    turned = [carried(made, e, data, switching) for e in unit]
    cov = np.asarray(fit.cov_params())
    slopes = {name: np.stack([t[name] - base for t in turned], -1) for name, base in zero.items()}
    with np.errstate(invalid="ignore"):
        errors = {n: np.sqrt(np.einsum("...i,ij,...j->...", slope, cov, slope)) for n, slope in slopes.items()}
    across = np.einsum("kpi,ij,lpj->pkl", slopes["regressors"], cov, slopes["regressors"])[:, order][:, :, order]
    values, errors = ({k: _sorted(v, k, order) for k, v in part.items()} for part in (values, errors))
    missing = sorted(k for k, v in errors.items() if not np.isfinite(v).all())
    filtered, smoothed = (np.asarray(getattr(fit, f"{k}_marginal_probabilities"))[:, order] for k in ("filtered", "smoothed"))
    log_likelihood = float(fit.llf) - fit.nobs * float(np.log(data.scale[0]))
    facts = facts | {"std_errors_missing": missing}
    return Maximum(log_likelihood, values, errors, across, filtered, smoothed, int(fit.nobs), facts)


def carried(made: Any, theta: np.ndarray, data: Columns, switching: Switching) -> dict[str, np.ndarray]:
    """Parameters of the standardised model in natural units; affine in `theta`."""
    k, where = switching.regimes, made.parameters
    exog = np.stack([theta[where[r, "exog"]] for r in range(k)])
    (center, centers), (scale, scales) = data.center, data.scale
    slopes = exog[:, int(switching.constant) :] * (scale / scales)
    found = {"transition": made.regime_transition_matrix(theta)[:, :, 0].T}
    if switching.constant:
        found["mean" if switching.form == "hamilton" else "intercept"] = center + scale * exog[:, 0] - slopes @ centers
    lags = switching.order
    if switching.form == "hamilton":
        found["ar"] = np.stack([theta[where[r, "autoregressive"]] for r in range(k)])
    elif lags:
        found["ar"], slopes = slopes[:, -lags:], slopes[:, :-lags]
    found["regressors"] = slopes
    found["variance"] = scale**2 * np.stack([theta[where[r, "variance"]] for r in range(k)])[:, 0]
    return found


def _first(switching: Switching) -> str:
    """The quantity that numbers regimes, smallest first."""
    level = "mean" if switching.form == "hamilton" else "intercept"
    named: Sequence[tuple[bool, str]] = (
        ("variance" in switching.switching, "variance"),
        (switching.constant and bool({"mean", "intercept"} & set(switching.switching)), level),
        ("shock" in switching.switching, "regressors"),
        (True, "ar"),
    )
    return next(name for switches, name in named if switches)


def _sorted(value: np.ndarray, name: str, order: np.ndarray) -> np.ndarray:
    return value[np.ix_(order, order)] if name == "transition" else value[order]
