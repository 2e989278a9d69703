"""Random intercepts integrated out numerically, by adaptive Gauss-Hermite quadrature.

Each unit's integral over its intercept is taken at nodes centred at the mode and scaled by the curvature there (Liu & Pierce
1994, doi:10.1093/biomet/81.3.624; Pinheiro & Bates 1995, doi:10.1080/10618600.1995.10474663).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import logsumexp

NODES = 21
STEPS = 50
FARTHEST = 1.0
SETTLED = 1e-6

Rows = Callable[[np.ndarray], np.ndarray]
"""(S, N) linear predictors of the rows to (S, N) values."""


def unit_log_likelihood(
    log_density: Rows,
    score: Rows,
    information: Rows,
    eta: np.ndarray,
    sd: np.ndarray,
    unit: np.ndarray,
    start: np.ndarray,
    count: int = NODES,
) -> np.ndarray:
    """(S, U) log ∫ Π_t p(y_it | η_it + u) N(u | 0, sd) du.

    Parameters
    ----------
    log_density, score, information : functions of (S, N) predictors
        Log density of each row, its derivative in η, and minus the expected second derivative.
    eta : (S, N) predictors without the unit's intercept
    sd : (S,) of the intercepts
    unit : (N,) unit of each row, ascending; all U units have rows
    start : (S, U) where the search for the modes begins
    count : number of nodes; more where the integrand is far from a normal
    """
    starts = np.flatnonzero(np.r_[True, unit[1:] != unit[:-1]])
    precision = 1 / sd[:, None] ** 2

    def total(f: Rows, u: np.ndarray) -> np.ndarray:
        return np.add.reduceat(f(eta + u[:, unit]), starts, axis=1)

    u = start
    for _ in range(STEPS):
        curvature = total(information, u) + precision
        step = (total(score, u) - precision * u) / curvature
        u = u + np.clip(step, -FARTHEST, FARTHEST)
        if np.abs(step * np.sqrt(curvature)).max() < SETTLED:
            break
    scale = 1 / np.sqrt(total(information, u) + precision)
    nodes, weights = np.polynomial.hermite_e.hermegauss(count)
    terms = [
        np.log(w) + 0.5 * x**2 + total(log_density, u + x * scale) - 0.5 * precision * (u + x * scale) ** 2
        for x, w in zip(nodes, weights, strict=True)
    ]
    return logsumexp(terms, axis=0) + np.log(scale) - np.log(sd[:, None]) - 0.5 * np.log(2 * np.pi)
