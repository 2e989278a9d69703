"""How many common factors: the log predictive density of one unit's later dates given its earlier ones, for each number of them.

Factors are the means, given the donors alone, of a factor model fitted by expectation and maximisation (Rubin & Thayer 1982,
doi:10.1007/BF02293851), cells that are not seen left out. Given them the unit's outcomes are normal with level, loadings and
walk integrated out (see `interactive`), and σ, ρ and q are summed over a grid under their priors: log p(later | earlier) is the
leave-future-out log predictive density, one date after the other.
"""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp, ndtri

ITERATIONS = 60
LEAST_VARIANCE = 1e-4
RHO = np.array([-0.8, -0.4, 0.0, 0.3, 0.6, 0.8, 0.9, 0.97])
SIGMA = np.geomspace(0.02, 3.0, 24)
CELLS = 5


def factor_means(x: np.ndarray, seen: np.ndarray, factors: int, loading_sd: float, intercept_sd: float) -> np.ndarray:
    """(T, R) factors given (T, J) donors on their own scales, 0 and False in `seen` where a cell is left out."""
    u, s, v = np.linalg.svd(x, full_matrices=False)
    size = np.sqrt(x.shape[0])
    factor, slopes = size * u[:, :factors], (s[:factors, None] * v[:factors]).T / size
    level, variance, r = np.zeros(x.shape[1]), np.full(x.shape[1], 0.5), np.eye(factors)
    ridge = np.diag(np.append(intercept_sd, np.full(factors, loading_sd)) ** -2.0)
    count = np.maximum(seen.sum(0), 1)
    for _ in range(ITERATIONS):
        weighed = seen / variance
        cov = np.linalg.inv(r + np.einsum("tj,jk,jl->tkl", weighed, slopes, slopes))
        factor = np.einsum("tkl,tl->tk", cov, (weighed * (x - level)) @ slopes)
        columns = np.column_stack([np.ones(x.shape[0]), factor])
        both = np.einsum("tk,tl->tkl", columns, columns)
        both[:, 1:, 1:] += cov
        products = np.einsum("tj,tkl->jkl", seen.astype(float), both) + variance[:, None, None] * ridge
        beta = np.linalg.solve(products, ((seen * x).T @ columns)[..., None])[..., 0]
        level, slopes = beta[:, 0], beta[:, 1:]
        spread = np.einsum("jk,tkl,jl->tj", slopes, cov, slopes)
        left = seen * ((x - columns @ beta.T) ** 2 + spread)
        variance = np.maximum(left.sum(0) / count, LEAST_VARIANCE)
    return factor


def later_given_earlier(
    y: np.ndarray,
    at: np.ndarray,
    factor: np.ndarray,
    earlier: int,
    *,
    ar: bool,
    intercept_sd: float,
    loading_sd: float,
    sigma_scale: float,
    trend_scale: float,
) -> float:
    """Log p(y_later | y_earlier) of (N,) outcomes at (N,) positions given their (N, R) factors; `earlier` of them come first."""
    rho = RHO if ar else np.zeros(1)
    ends = np.concatenate([[-1.0], (rho[1:] + rho[:-1]) / 2, [1.0]])
    ratio = trend_scale * ndtri(0.5 + (np.arange(CELLS) + 0.5) / (2 * CELLS))
    lag, since = np.abs(at[:, None] - at), np.minimum(at[:, None], at)
    c = (rho[:, None, None] ** lag / (1 - rho[:, None, None] ** 2))[:, None] + ratio[:, None, None] ** 2 * since
    root = np.linalg.cholesky(c)
    sds = np.append(intercept_sd, np.full(factor.shape[1], loading_sd))
    white = np.linalg.solve(root, np.column_stack([np.column_stack([np.ones(at.size), factor]) * sds, y])[None, None])
    log_root = np.log(np.diagonal(root, axis1=-2, axis2=-1))
    prior = np.log(np.diff(ends) / 2)[:, None, None] - np.log(CELLS) + np.log(SIGMA) - 0.5 * (SIGMA / sigma_scale) ** 2

    def total(n: int) -> float:
        """Log density of the first n outcomes, up to what all numbers of factors share."""
        part = white[..., :n, :]
        products = np.swapaxes(part, -1, -2) @ part
        value, vector = np.linalg.eigh(products[..., :-1, :-1])
        along = np.einsum("...kl,...k->...l", vector, products[..., :-1, -1])[..., None]
        value, variance = np.maximum(value, 0.0)[..., None], SIGMA**2
        fit = products[..., -1, -1, None] / variance - (along**2 / (variance * (variance + value))).sum(-2)
        log_det = 2 * log_root[..., :n].sum(-1)[..., None] + np.log1p(value / variance).sum(-2)
        return float(logsumexp(prior - n * np.log(SIGMA) - 0.5 * (n * np.log(2 * np.pi) + log_det + fit)))

    return total(at.size) - total(earlier)
