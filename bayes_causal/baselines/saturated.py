"""Two-way fixed effects with very many treatment columns, exactly and sparsely: for saturated event studies.

Every sum over cells is a sparse product; what is inverted is (columns + covariates + periods) square, whatever the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayes_causal.baselines.within import identified, scaled_pinv

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True, eq=False)
class SparseFit:
    """Coefficients (K,) of the sparse columns, NaN where not identified, and their clustered covariance CR1 (K, K)."""

    beta: np.ndarray
    vcov: np.ndarray
    nobs: int
    clusters: int


def sparse_two_way(
    x: csr_array, y: np.ndarray, w: np.ndarray, z: np.ndarray, unit: np.ndarray, period: np.ndarray, cluster: np.ndarray
) -> SparseFit:
    """Weighted least squares of y on x, z, unit and period effects, clustered errors.

    Parameters
    ----------
    x : (N, K) sparse columns
    y, w : (N,) outcome and weights of observed cells
    z : (N, C) covariates
    unit, period : (N,) codes
    cluster : (N,) codes; units are nested in clusters
    """
    from scipy.sparse import csr_array, hstack

    n, k = x.shape
    seen, times = np.unique(period, return_inverse=True)
    dummies = csr_array((np.ones(n), (np.arange(n), times)), shape=(n, len(seen)))
    r = hstack([x, csr_array(z), dummies], format="csr")
    by_unit = csr_array((w, (unit, np.arange(n))), shape=(int(unit.max()) + 1, n))
    per_unit = np.divide(1.0, by_unit.sum(1), out=np.zeros(by_unit.shape[0]), where=by_unit.sum(1) > 0)
    sums = by_unit @ r
    weighted = r.multiply(w[:, None]).tocsr()
    gram = (weighted.T @ r).toarray() - (sums.multiply(per_unit[:, None]).T @ sums).toarray()
    y = y - (per_unit * (by_unit @ y))[unit]
    right = weighted.T @ y
    across = gram[:k, k:] @ scaled_pinv(gram[k:, k:])
    own = gram[:k, :k] - across @ gram[k:, :k]
    inverse = scaled_pinv(own)
    beta = inverse @ (right[:k] - across @ right[k:])
    rest = scaled_pinv(gram[k:, k:]) @ (right[k:] - gram[k:, :k] @ beta)
    residual = y - r @ np.concatenate([beta, rest])
    residual = residual - (per_unit * (by_unit @ residual))[unit]
    codes, group = np.unique(cluster, return_inverse=True)
    by_cluster = csr_array((w * residual, (group, np.arange(n))), shape=(len(codes), n))
    scores = (by_cluster @ r).toarray()
    scores = (scores[:, :k] - scores[:, k:] @ across.T) @ inverse
    known = identified(own, gram.diagonal()[:k])
    factor = _small_sample(n, int(known.sum()) + z.shape[1] + len(seen), len(codes))
    vcov = factor * scores.T @ scores
    vcov[~known], vcov[:, ~known] = np.nan, np.nan
    return SparseFit(np.where(known, beta, np.nan), vcov, n, len(codes))


def _small_sample(n: int, k: int, g: int) -> float:
    """CR1's factor, unit effects not counted: they are nested in clusters."""
    return (n - 1) / max(n - k, 1) * g / max(g - 1, 1)
