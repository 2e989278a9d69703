"""statsmodels' Markov-switching models from many starts on standardised data, and what they say in natural units.

Hamilton (1989), doi:10.2307/1912559; Kim (1994), doi:10.1016/0304-4076(94)90036-1. The likelihood has many local maxima, and its
optimiser steps by absolute amounts: data are standardised, fitted from many starts, and every quantity, being affine in the
parameters given the data's means and scales, is carried back with its covariance.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bayes_causal.baselines.markov_models import Columns, Switching, carried, model_of
from bayes_causal.errors import EstimandError

SCREENED = 3  # starts that are followed to their maximum
ROUNDS = (15, 400)  # of EM from every start, of BFGS from the best
EXACT = 1e-10  # of the largest variance
STILL = 10  # dates on end


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


def maximise(data: Columns, switching: Switching, *, starts: int = 10, seed: int = 0) -> Maximum:
    """The best of many starts: a few rounds of EM from each, BFGS from the best.

    Raises
    ------
    EstimandError
        statsmodels failed from every start: its own words. Or a regime fits its dates exactly.
    """
    from threadpoolctl import threadpool_limits

    _refuse_still(data, switching)
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
    return _refuse_exact(_natural(best, data, switching, facts))


def _refuse_still(data: Columns, switching: Switching) -> None:
    """Raise EstimandError where the outcome stands still so long that a regime of those dates alone, without variance, fits."""
    changes = np.flatnonzero(np.diff(data.y) != 0)
    longest = int(np.diff(np.concatenate([[-1], changes, [data.y.size - 1]])).max())
    if "variance" in switching.switching and longest > max(STILL, 2 * (data.x.shape[1] + switching.constant)):
        raise EstimandError(
            f"the likelihood grows without bound: the outcome stands still for {longest} dates on end (was its price fixed?), "
            "and a regime of those alone has no variance; leave them out, or take a model with a prior on the variance"
        )


def _refuse_exact(best: Maximum) -> Maximum:
    """The maximum; EstimandError where a regime fits its dates exactly, so that the likelihood has no largest value."""
    variance, dates = best.values["variance"], (best.smoothed > 0.5).sum(0)
    if variance.min() < EXACT * variance.max():
        raise EstimandError(
            f"the likelihood grows without bound: a regime of {dates[variance.argmin()]} dates is fitted exactly; ask for fewer "
            "regimes, or take a model with a prior on the variance"
        )
    return best


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
