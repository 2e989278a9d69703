"""Markov-switching models as statsmodels takes them, and their parameters in the units of the data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayes_causal.errors import EstimandError, closest

FORMS = ("regression", "hamilton")
SWITCHES = ("mean", "intercept", "ar", "shock", "variance")


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
