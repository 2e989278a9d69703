"""Priors of `HierarchicalDiD`, as plain numbers: every family and effect structure takes its own from here."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True)
class Priors:
    """Scales of the priors, on the outcome divided by the sd of its untreated cells.

    Parameters
    ----------
    tau : sd of the (population mean, or onset) effect
    omega : scale of the half-normal on the sd of effects between groups, or cohorts
    cell : scale of the half-normals on the sd of effects between cohorts at one event time
    step : scale of the half-normal on the step sd of the walks over event time
    sigma, sigma_unit : scales of the half-normals on the innovation sd and on the sd between units
    intercept, time : sds, as good as flat; families with a log or logit scale take a quarter of them
    slope : sd of the coefficients of covariates and unit-level terms, per sd of the column
    step_time : scale of the half-normal on the step sd of random-walk time effects
    sigma_slope : scale of the half-normal on the sd of the effect between units
    nu : mean of the Gamma(2, 2/nu) prior on the degrees of freedom of Student-t errors
    dispersion : scale of the half-normal on κ, with which negative binomial counts have variance μ + κ² μ²
    """

    tau: float = 1.0
    omega: float = 0.5
    cell: float = 0.5
    step: float = 0.5
    sigma: float = 1.0
    sigma_unit: float = 1.0
    intercept: float = 10.0
    time: float = 10.0
    slope: float = 2.5
    step_time: float = 0.5
    sigma_slope: float = 0.5
    nu: float = 20.0
    dispersion: float = 1.0

    def doubles(self) -> Priors:
        """The same numbers as NumPy float64: PyTensor takes the logarithm of a Python float in float32."""
        return Priors(**{f.name: np.float64(getattr(self, f.name)) for f in fields(self)})
