"""Unit and period effects projected off exactly, on (unit, time) arrays with weights and missing cells.

Missing cells carry weight zero. Notation: U units, T periods, P columns, C covariates, G clusters; a leading axis B holds
columns or draws. The projection is solved, not iterated: units are demeaned, periods and covariates are a (T + C) normal matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayes_causal.errors import EstimandError

if TYPE_CHECKING:
    from bayes_causal.data.panel import Panel

CHUNK = 4_000_000


@dataclass(frozen=True, eq=False)
class Cells:
    """A panel as plain arrays.

    Attributes
    ----------
    y : (U, T) outcome, 0 where missing
    w : (U, T) precision weights, 0 where missing
    z : (C, U, T) covariates, 0 where missing
    cluster : (U,) codes 0 … G−1
    cluster_name : str
        Column that defines the clusters.
    """

    y: np.ndarray
    w: np.ndarray
    z: np.ndarray
    cluster: np.ndarray
    cluster_name: str

    @property
    def n_clusters(self) -> int:
        """Number of clusters with at least one observed cell."""
        return int(np.unique(self.cluster[self.w.any(1)]).size)

    @property
    def singletons(self) -> int:
        """Units observed once: their own effect fits them perfectly, so they say nothing."""
        return int(((self.w > 0).sum(1) == 1).sum())


def cells(panel: Panel, cluster: str | None = None) -> Cells:
    """The arrays of a panel.

    Parameters
    ----------
    cluster : {"unit", "cluster"}, optional
        What the observations are independent across; the panel's own cluster column where there is one, else the unit.

    Raises
    ------
    EstimandError
        Clusters were asked for and the panel has none.
    """
    data, observed = panel.dataset, panel.observed
    name, codes = cluster_codes(panel, cluster)
    y = np.where(observed, data["outcome"].values, 0.0)
    w = np.where(observed, data["weight"].values, 0.0)
    z = np.zeros((0, *y.shape))
    if "covariates" in data:
        z = np.where(observed, np.moveaxis(data["covariates"].values, -1, 0), 0.0)
    return Cells(y, w, z, codes, name)


def cluster_codes(panel: Panel, cluster: str | None) -> tuple[str, np.ndarray]:
    """Name of the cluster level and its (U,) codes."""
    has = "cluster" in panel.dataset
    if cluster not in (None, "unit", "cluster"):
        raise EstimandError(f"cluster='{cluster}' does not exist (valid: 'unit', 'cluster'); it is named when the panel is built")
    if cluster == "cluster" and not has:
        raise EstimandError("cluster='cluster' was asked for, but the panel has no clusters: build it with cluster='<column>'")
    if has and cluster != "unit":
        return "cluster", np.unique(panel.dataset["cluster"].values, return_inverse=True)[1]
    return "unit", np.arange(panel.dataset.sizes["unit"])


@dataclass(frozen=True, eq=False)
class TwoWay:
    """Weighted least-squares projection off unit effects, period effects and covariates.

    Attributes
    ----------
    w : (U, T) weights
    z : (C, U, T) covariates, unit-demeaned and scaled
    inverse : (T + C, T + C) pseudo-inverse of the normal matrix that is left when units are demeaned
    """

    w: np.ndarray
    z: np.ndarray
    inverse: np.ndarray

    @classmethod
    def of(cls, w: np.ndarray, z: np.ndarray) -> TwoWay:
        """The projection of weights (U, T) and covariates (C, U, T)."""
        z = _demean(z, w)
        norm = np.sqrt(np.einsum("cut,ut->c", z**2, w))
        z = z / np.where(norm > 0, norm, 1.0)[:, None, None]
        per_unit = _reciprocal(w.sum(1))
        periods = np.diag(w.sum(0)) - (w * per_unit[:, None]).T @ w
        cross = np.einsum("cut,ut->ct", z, w)
        normal = np.block([[periods, cross.T], [cross, np.einsum("cut,dut,ut->cd", z, z, w, optimize=True)]])
        return cls(w, z, scaled_pinv(normal))

    def residualise(self, a: np.ndarray) -> np.ndarray:
        """What is left of columns a (B, U, T), same shape, 0 where the weight is 0."""
        a = _demean(a, self.w)
        on_covariates = np.einsum("but,cut,ut->bc", a, self.z, self.w, optimize=True)
        right = np.concatenate([np.einsum("but,ut->bt", a, self.w), on_covariates], 1)
        effects = right @ self.inverse
        n_periods = self.w.shape[1]
        fitted = _demean(np.broadcast_to(effects[:, None, :n_periods], a.shape), self.w)
        fitted = fitted + np.einsum("bc,cut->but", effects[:, n_periods:], self.z)
        return np.where(self.w > 0, a - fitted, 0.0)


def cluster_grams(columns: np.ndarray, c: Cells) -> np.ndarray:
    """Cross products of unit-demeaned columns and period dummies, one matrix a cluster.

    Unit effects are nested in clusters, so that matrices of left-out clusters are differences of these.

    Parameters
    ----------
    columns : (P, U, T)

    Returns
    -------
    (G, P + T, P + T) array
    """
    p, (n_units, n_periods) = columns.shape[0], c.w.shape
    q, n = p + n_periods, int(c.cluster.max()) + 1
    order = np.argsort(c.cluster, kind="stable")
    total = np.zeros((n, q, q))
    step = max(1, CHUNK // (q * q))
    for start in range(0, n_units, step):
        rows = order[start : start + step]
        grams = _unit_grams(columns[:, rows], c.w[rows])
        codes, first = np.unique(c.cluster[rows], return_index=True)
        total[codes] += np.add.reduceat(grams, first, axis=0)
    return total


def scaled_pinv(a: np.ndarray, tolerance: float = 1e-9) -> np.ndarray:
    """Pseudo-inverse of symmetric matrices (…, Q, Q), judged on unit diagonals."""
    d = np.sqrt(np.maximum(np.einsum("...ii->...i", a), 0.0))
    d = _reciprocal(d)
    scale = d[..., :, None] * d[..., None, :]
    return scale * np.linalg.pinv(a * scale, rcond=tolerance, hermitian=True)


def identified(a: np.ndarray, reference: np.ndarray, tolerance: float = 1e-8) -> np.ndarray:
    """Which coefficients a partialled-out cross product (…, K, K) determines.

    A coefficient counts where its own direction lies in the row space, and its column kept more than `tolerance` of the
    variation it had before partialling out, `reference` (K,).
    """
    diagonal = np.einsum("...ii->...i", a)
    kept = diagonal > tolerance * reference
    a = a * (kept[..., :, None] & kept[..., None, :])
    own = np.einsum("...ij,...ji->...i", scaled_pinv(a), a)
    return kept & (own > 1 - 1e-6)


def _unit_grams(columns: np.ndarray, w: np.ndarray) -> np.ndarray:
    """(U, P + T, P + T) cross products of [columns, period dummies], each unit demeaned."""
    p, n_periods = columns.shape[0], w.shape[1]
    weighted = np.moveaxis(columns * w, 0, 1)
    out = np.zeros((w.shape[0], p + n_periods, p + n_periods))
    out[:, :p, :p] = np.einsum("upt,qut->upq", weighted, columns, optimize=True)
    out[:, :p, p:] = weighted
    out[:, p:, :p] = np.moveaxis(weighted, 1, 2)
    diagonal = np.arange(p, p + n_periods)
    out[:, diagonal, diagonal] = w
    sums = np.concatenate([weighted.sum(2), w], 1)
    out -= (sums * _reciprocal(w.sum(1))[:, None])[:, :, None] * sums[:, None, :]
    return out


def _demean(a: np.ndarray, w: np.ndarray) -> np.ndarray:
    return a - (np.einsum("but,ut->bu", a, w) * _reciprocal(w.sum(1)))[:, :, None]


def _reciprocal(x: np.ndarray) -> np.ndarray:
    return np.divide(1.0, x, out=np.zeros_like(x, dtype=float), where=x > 0)
