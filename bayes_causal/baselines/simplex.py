"""Least squares over weights that are positive and add up to one, exactly, and what bends such weights."""

from __future__ import annotations

import numpy as np

from bayes_causal.errors import EstimandError

SLACK = 1e-9  # of a gradient, relative to its size, that still counts as zero


def simplex_weights(a: np.ndarray, b: np.ndarray, ridge: float = 0.0) -> np.ndarray:
    """Weights w ≥ 0 with Σw = 1 that minimise ‖a w − b‖² + ridge ‖w‖².

    With z = a − b1' the objective is ‖z w‖² on the simplex. Without Σw = 1 and with (Σu − 1)² added, the best u ≥ 0 is the best w
    times a number, whatever the units of z: for u = c w the sum is c²q(w) + (c − 1)², smallest over c at q/(1 + q), which grows
    with q. So one non-negative least squares (Lawson and Hanson 1974, ch. 23) has the exact answer.

    Parameters
    ----------
    a : (N, J) array
    b : (N,) array
    ridge : float, in squared units of a

    Raises
    ------
    EstimandError
        The active set does not settle.
    """
    from scipy.optimize import nnls

    z = a - b[:, None]
    if ridge > 0:
        z = np.vstack([z, np.sqrt(ridge) * np.eye(a.shape[1])])
    size = np.sqrt(np.median(np.einsum("nj,nj->j", z, z)))
    stacked = np.vstack([z / (size if size > 0 else 1.0), np.ones(a.shape[1])])
    target = np.zeros(len(stacked))
    target[-1] = 1.0
    try:
        u = nnls(stacked, target, maxiter=20 * a.shape[1])[0]
    except RuntimeError as error:
        raise EstimandError(f"weights of {a.shape[1]} donors did not settle: {error}") from error
    return np.asarray(u / u.sum())


def determined(a: np.ndarray, b: np.ndarray, w: np.ndarray, ridge: float = 0.0) -> bool:
    """Whether the data leave no other weights as good: donors that could share the optimum differ in independent ways."""
    if ridge > 0:
        return True
    z = a - b[:, None]
    gradient = z.T @ (z @ w)
    size = np.sqrt(np.einsum("nj,nj->j", z, z) * max(float((z @ w) @ (z @ w)), np.finfo(float).tiny))
    best = gradient - gradient[w > 0].mean() <= np.maximum(SLACK * size, SLACK * np.abs(gradient).max())
    face = z[:, best | (w > 0)]
    return bool(np.linalg.matrix_rank(face[:, 1:] - face[:, :1]) == face.shape[1] - 1)


def ridge_weights(a: np.ndarray, b: np.ndarray, w: np.ndarray, penalty: float) -> np.ndarray:
    """Weights w bent to fit better, with a penalty on how far (Ben-Michael, Feller and Rothstein 2021, eq. 10); may be negative.

    Parameters
    ----------
    a : (N, J) array of donors, b : (N,) array of the treated unit, w : (J,) simplex weights
    penalty : float, in squared units of a
    """
    centred = a - a.mean(1, keepdims=True)
    return w + centred.T @ np.linalg.solve(centred @ centred.T + penalty * np.eye(len(b)), b - a @ w)
