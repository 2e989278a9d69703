"""The realised effect of difference-in-differences: y minus draws of Y(0), averaged over treated cells, without drawing cells.

Given the parameters, an average of Y(0) over cells is Gaussian: its mean is linear in the coefficients and in the means of the
unit intercepts, its covariance that of the intercepts given y plus that of new errors, whose products at each lag are summed
once. A draw costs nothing that grows with rows.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import sparse

from bayes_causal.models.panel_design import PanelDesign
from bayes_causal.numerics.panel_sums import loading_sums, loading_weights

Named = Mapping[str, np.ndarray]
VALUES = 4_000_000


def realised(d: PanelDesign, period: np.ndarray, weights: sparse.csr_array, named: Named, rng: np.random.Generator) -> np.ndarray:
    """(S, B) draws of weighted averages of y − Y(0).

    Parameters
    ----------
    d : PanelDesign
        Rows of the units that have any weight (N rows, U units); where units are kept as means over `copies`, noise is theirs.
    period : (N,) time in periods
    weights : (B, N) sparse
    named : quantities (S, ...) in natural units, as `HierarchicalDiD.natural` gives them
    """
    columns, coefficients = _columns(d, named)
    y = d.center + d.scale * d.y
    mean = weights @ y - coefficients @ (weights @ columns[:, : coefficients.shape[1]]).T
    own = sparse.csr_array((np.ones(d.unit.size), (np.arange(d.unit.size), d.unit)), shape=(d.unit.size, d.n_units))
    c = (weights @ own).toarray()
    center, variance = _intercepts(d, np.column_stack([columns, y]), np.hstack([coefficients, named["coefficient"]]), named)
    mean -= center @ c.T
    if d.copies is not None:
        c, weights = c / np.sqrt(d.copies), weights / np.sqrt(d.copies[d.unit])
    lags = _products_by_lag(d, period, sparse.csr_array(weights))
    noise = rng.standard_normal(mean.shape)
    if len(c) == 1 or ((c != 0).sum(0) <= 1).all():  # no two labels share a unit
        spread = variance @ (c**2).T + _noise(named, lags.diagonal(axis1=1, axis2=2))
        return mean + np.sqrt(spread) * noise
    return mean + np.concatenate(_correlated(c, variance, lags, named, noise))


def _correlated(c: np.ndarray, variance: np.ndarray, lags: np.ndarray, named: Named, noise: np.ndarray) -> list[np.ndarray]:
    """(s, B) correlated noise, in blocks of draws of bounded memory."""
    b = len(c)
    pairs = (c[:, None] * c).reshape(b * b, -1).T
    step = max(1, VALUES // b**2)
    blocks = []
    for low in range(0, len(noise), step):
        part = slice(low, low + step)
        of = {k: named[k][part] for k in ("sigma", "rho") if k in named}
        covariance = (variance[part] @ pairs + _noise(of, lags.reshape(len(lags), -1))).reshape(-1, b, b)
        blocks.append(np.einsum("sij,sj->si", np.linalg.cholesky(covariance), noise[part]))
    return blocks


def _columns(d: PanelDesign, named: Named) -> tuple[np.ndarray, np.ndarray]:
    """(N, r + K) columns in natural units, effects last, and (S, r) coefficients of all but the effects."""
    draws = len(named["sigma"])
    parts = [(np.ones((d.y.size, 1)), named["intercept"].reshape(draws, 1))]
    if "delta" in named:
        parts.append((d.unit_terms[d.unit], named["delta"]))
    parts.append((np.eye(d.n_times)[d.time], named["gamma"]))
    if "beta" in named:
        parts.append((d.covariates * d.covariate_scale, named["beta"]))
    columns, coefficients = zip(*parts, strict=True)
    return np.hstack([*columns, d.effect]), np.hstack(coefficients)


def _intercepts(d: PanelDesign, columns: np.ndarray, b: np.ndarray, named: Named) -> tuple[np.ndarray, np.ndarray]:
    """(S, U) means and variances of the unit intercepts u_i given y, for (N, q + 1) columns, y last, and (S, q) coefficients."""
    gaps = tuple(int(g) for g in np.unique(d.gap[d.gap > 0])) if "rho" in named else None
    x, k = loading_sums(columns * d.sqrt_weight[:, None], d.sqrt_weight[:, None], d.gap, gaps)
    rho = named["rho"] if "rho" in named else np.zeros(len(b))
    phi = np.stack(loading_weights(rho, gaps, k.shape[1]), 1) / named["sigma"][:, None] ** 2
    residual = np.einsum("sm,um->su", phi, x[:, :, -1])
    for m in range(k.shape[1]):
        residual -= phi[:, m, None] * (b @ x[:, m, :-1].T)
    prior = named["sigma_unit"][:, None] ** 2
    variance = prior / (1 + prior * (phi @ k.T))
    return variance * residual, variance


def _products_by_lag(d: PanelDesign, period: np.ndarray, weights: sparse.csr_array) -> np.ndarray:
    """(lags, B, B) sums of products of two labels' weights at rows of one unit that many periods apart, both ways."""
    span = int(period.max() - period.min()) + 1
    w = (weights / d.sqrt_weight).tocoo()
    rows, at = w.coords
    place = 2 * span * d.unit[at] + (period[at] - period.min())
    shape = (weights.shape[0], 2 * span * d.n_units + span)
    here = sparse.csr_array((w.data, (rows, place)), shape=shape)
    sums = [(here @ sparse.csr_array((w.data, (rows, place + lag)), shape=shape).T).toarray() for lag in range(span)]
    return np.stack([sums[0], *(s + s.T for s in sums[1:])])


def _noise(named: Named, lags: np.ndarray) -> np.ndarray:
    """(S, r) variance of sums of new errors from (lags, r) products."""
    variance = named["sigma"][:, None] ** 2
    if "rho" not in named:
        return variance * lags[0]
    rho = named["rho"][:, None]
    return variance / (1 - rho**2) * (rho ** np.arange(len(lags)) @ lags)
