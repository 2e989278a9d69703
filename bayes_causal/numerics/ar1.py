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
    length = gap.size // starts.size
    if length * starts.size == gap.size and (starts[1:] - starts[:-1] == length).all() and gap.max(initial=0) <= 1:
        return _grid_products(residual.reshape(-1, starts.size, length), loading.reshape(-1, length), rho, sigma)
    c = carry(rho, gap)
    sd = innovation_sd(rho, sigma, gap)
    v, u = whiten(residual, c, sd), whiten(loading, c, sd)
    vv, uv, uu, log_sd = (np.add.reduceat(z, starts, axis=1) for z in (v * v, u * v, u * u, np.log(sd)))
    return vv, uv, uu, log_sd


def _grid_products(
    r: np.ndarray, u: np.ndarray, rho: np.ndarray, sigma: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """`unit_products` of (S, U, T) residuals and (U, T) loadings without gaps, by r'V⁻¹r written out: nothing is whitened."""
    rho, sigma = rho[:, None], sigma[:, None]
    ends = np.zeros_like(u)
    ends[:, 0], ends[:, -1] = u[:, 0], u[:, -1] if u.shape[1] > 1 else 2 * u[:, -1]
    beside = np.zeros_like(u)
    beside[:, :-1] += u[:, 1:]
    beside[:, 1:] += u[:, :-1]

    def form(own: np.ndarray, at_ends: np.ndarray, next_to: np.ndarray) -> np.ndarray:
        return ((1 + rho**2) * own - rho**2 * at_ends - rho * next_to) / sigma**2

    squares, crossed = np.einsum("sut,sut->su", r, r), np.einsum("sut,sut->su", r[..., 1:], r[..., :-1])
    vv = form(squares, r[..., 0] ** 2 + r[..., -1] ** 2, 2 * crossed)
    uv = form(*(np.einsum("sut,ut->su", r, w) for w in (u, ends, beside)))
    uu = form(*(np.einsum("ut,ut->u", u, w) for w in (u, ends, beside)))
    log_sd = u.shape[1] * np.log(sigma) - 0.5 * np.log1p(-(rho**2))
    return vv, uv, uu, np.broadcast_to(log_sd, vv.shape)


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
