"""First-order autoregressive errors on rows of units observed with gaps.

Rows are sorted by unit, then time. `gap` (N,) is the number of periods since the unit's previous row, 0 on a unit's first row.
With η_j = ρ^d η_{j−1} + v_j and η stationary, Var η = σ²/(1 − ρ²) and Var v_j = σ²(1 − ρ^2d)/(1 − ρ²).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np


def carry(rho: np.ndarray, gap: np.ndarray) -> np.ndarray:
    """(S, N) ρ^d, and 0 on a unit's first row, for (S,) ρ."""
    gaps, code = np.unique(gap, return_inverse=True)
    return np.where(gaps > 0, rho[:, None] ** gaps, 0.0)[:, code]


def innovation_sd(rho: np.ndarray, sigma: np.ndarray, gap: np.ndarray) -> np.ndarray:
    """(S, N) sd of v_j for (S,) ρ and σ."""
    gaps, code = np.unique(gap, return_inverse=True)
    c = np.where(gaps > 0, rho[:, None] ** gaps, 0.0)
    return (sigma[:, None] * np.sqrt((1 - c**2) / (1 - rho[:, None] ** 2)))[:, code]


def simulate(rho: np.ndarray, sigma: np.ndarray, gap: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(S, N) errors drawn from the stationary process, one series a unit, for (S,) ρ and σ."""
    c = carry(rho, gap)
    eta = innovation_sd(rho, sigma, gap) * rng.standard_normal(c.shape)
    starts = np.flatnonzero(gap == 0)
    position = np.arange(gap.size) - starts[np.cumsum(gap == 0) - 1]
    order = np.argsort(position, kind="stable")
    ends = np.cumsum(np.bincount(position))
    for low, high in pairwise(ends):
        rows = order[low:high]
        eta[:, rows] += c[:, rows] * eta[:, rows - 1]
    return eta


def whiten(x: np.ndarray, c: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """(S, N) innovations over their sd of (S, N) or (N,) values: x_j − ρ^d x_{j−1}, over sd_j."""
    x = np.broadcast_to(x, c.shape)
    before = np.concatenate([np.zeros((c.shape[0], 1)), x[:, :-1]], axis=1)
    return (x - c * before) / sd


def unit_products(
    residual: np.ndarray, loading: np.ndarray, rho: np.ndarray, sigma: np.ndarray, gap: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(S, U) v'v, u'v, u'u of each unit's whitened residual v and loading u, and Σ log sd of its innovations.

    Parameters
    ----------
    residual : (S, N) √w (y − mean without the unit's own deviation)
    loading : (N,) √w, what one unit of the random intercept adds to the residual
    rho, sigma : (S,)
    gap : (N,)
    """
    starts = np.flatnonzero(gap == 0)
    c = carry(rho, gap)
    sd = innovation_sd(rho, sigma, gap)
    v, u = whiten(residual, c, sd), whiten(loading, c, sd)
    vv, uv, uu, log_sd = (np.add.reduceat(z, starts, axis=1) for z in (v * v, u * v, u * u, np.log(sd)))
    return vv, uv, uu, log_sd


def unit_log_likelihood(
    residual: np.ndarray, loading: np.ndarray, rho: np.ndarray, sigma: np.ndarray, sigma_unit: np.ndarray, gap: np.ndarray
) -> np.ndarray:
    """(S, U) log density of each unit's rows, its random intercept integrated out; arguments as in `unit_products`.

    With v, u the whitened residual and loading, v ~ N(0, I + σ_α² u u'), whose determinant and inverse are those of rank one.
    The factor Σ ½ log w makes it the density of y itself.
    """
    vv, uv, uu, log_sd = unit_products(residual, loading, rho, sigma, gap)
    variance = sigma_unit[:, None] ** 2
    constant = np.add.reduceat(np.log(loading) - 0.5 * np.log(2 * np.pi), np.flatnonzero(gap == 0))
    return constant - log_sd - 0.5 * np.log1p(variance * uu) - 0.5 * (vv - variance / (1 + variance * uu) * uv**2)


def unit_effect(
    residual: np.ndarray, loading: np.ndarray, rho: np.ndarray, sigma: np.ndarray, sigma_unit: np.ndarray, gap: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(S, U) mean and sd of the random intercepts given everything else; arguments as in `unit_products`."""
    _, uv, uu, _ = unit_products(residual, loading, rho, sigma, gap)
    variance = sigma_unit[:, None] ** 2 / (1 + sigma_unit[:, None] ** 2 * uu)
    return variance * uv, np.sqrt(variance)
