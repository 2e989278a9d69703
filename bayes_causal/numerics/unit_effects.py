"""Random effects of units, integrated out one after the other.

A unit's rows load on r independent effects: an intercept, and where slopes vary, a slope. With Ω the covariance of its errors,
adding an effect of sd s on the loading l turns the inner product a'Ω⁻¹b into

    a'Ω⁻¹b − (a'Ω⁻¹l) g (l'Ω⁻¹b),   g = s²/(1 + s² l'Ω⁻¹l),      and log |Ω| into log |Ω| + log(1 + s² l'Ω⁻¹l),

so r effects are r such steps, without an inverse of s: exact where an sd goes to zero. Functions take NumPy or JAX arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.numerics import ar1

if TYPE_CHECKING:
    from jax import Array

    from bayes_causal.numerics.panel_sums import PanelSums

BLOCK = 128


def loading_pairs(r: int) -> list[tuple[int, int]]:
    """The r(r+1)/2 pairs of loadings, in the order in which their products are kept."""
    return list(combinations_with_replacement(range(r), 2))


def steps(products: Sequence[Any], scales: Sequence[Any]) -> tuple[list[list[Any]], list[Any], list[Any]]:
    """What each step takes away.

    Parameters
    ----------
    products : l_j'Ω⁻¹l_k of the errors alone, arrays (...), in the order of `loading_pairs`
    scales : r sds

    Returns
    -------
    coefficients : r lists of r arrays (...)
        Row j combines the loadings into the one of step j, what earlier effects explain taken out; entries after j are zero.
    gains : r arrays g (...)
    stretch : r arrays 1 + s² l'Ω⁻¹l (...), the factors of the determinant
    """
    r = len(scales)
    inner = dict(zip(loading_pairs(r), products, strict=True))
    rows = [[1.0 + 0.0 * products[0] if j == k else 0.0 * products[0] for k in range(r)] for j in range(r)]
    gains, factors = [], []
    for j, s in enumerate(scales):
        stretch = 1 + s**2 * inner[j, j]
        gains.append(s**2 / stretch)
        factors.append(stretch)
        for k in range(j + 1, r):
            share = inner[j, k] * gains[j]
            rows[k] = [b - share * a for a, b in zip(rows[j], rows[k], strict=True)]
            for m in range(k, r):
                inner[k, m] = inner[k, m] - share * inner[j, m]
    return rows, gains, factors


def integrated(sums: PanelSums, phi: Array, scales: Sequence[Array], sigma2: Array) -> tuple[Array, Array]:
    """(q, q) what the unit effects take from Z'V⁻¹Z/σ², and what they add to log |Ω|.

    One class at a time where units share classes; else unit by unit, in blocks of bounded memory, at O(U q²).
    """
    import jax.numpy as jnp
    from jax import lax

    r, m = len(scales), phi.size
    k = sums.unit_products.reshape(-1, len(loading_pairs(r)), m) @ phi / sigma2

    def combined(k: Array) -> tuple[Array, Array, Array]:
        """(n, r, r·M) weights on the loadings of each step, (n, r) gains, (n,) log determinants, of n classes."""
        rows, gains, stretch = steps(list(k.T), scales)
        b = jnp.stack([jnp.stack(row, -1) for row in rows], -2)
        w = (b[..., None] * phi).reshape(*b.shape[:-1], r * m) / sigma2
        return w, jnp.stack(gains, -1), jnp.log(jnp.stack(stretch)).sum(0)

    if not sums.by_unit:
        w, g, log_det = combined(k)
        return jnp.tensordot(jnp.einsum("cj,cja,cjb->cab", g, w, w), sums.loadings, 3), sums.units @ log_det
    n, q = sums.loadings.shape[0], sums.loadings.shape[2]
    fill = -n % BLOCK
    x = jnp.pad(sums.loadings, ((0, fill), (0, 0), (0, 0))).reshape(-1, BLOCK, r * m, q)
    k = jnp.pad(k, ((0, fill), (0, 0))).reshape(-1, BLOCK, k.shape[1])

    def add(total: tuple[Array, Array], block: tuple[Array, Array]) -> tuple[tuple[Array, Array], None]:
        w, g, log_det = combined(block[1])
        v = jnp.einsum("uja,uaq->ujq", w, block[0]).reshape(-1, q)
        return (total[0] + (v * g.reshape(-1, 1)).T @ v, total[1] + log_det.sum()), None

    return lax.scan(add, (jnp.zeros((q, q)), jnp.zeros(())), (x, k))[0]


def unit_log_likelihood(
    residual: np.ndarray, loadings: np.ndarray, rho: np.ndarray, sigma: np.ndarray, scales: Sequence[np.ndarray], gap: np.ndarray
) -> np.ndarray:
    """(S, U) log density of each unit's rows, its r effects integrated out.

    Parameters
    ----------
    residual : (S, N) √w (y − mean without the unit's own effects)
    loadings : (r, N) what one unit of each effect adds to the residual; the first, the intercept's, is √w
    rho, sigma : (S,); scales : r arrays (S,)
    gap : (N,) periods since the unit's previous row, 0 on its first
    """
    starts = np.flatnonzero(gap == 0)
    c, sd = ar1.carry(rho, gap), ar1.innovation_sd(rho, sigma, gap)
    v, *u = (ar1.whiten(x, c, sd) for x in (residual, *loadings))
    products = [np.add.reduceat(u[a] * u[b], starts, axis=1) for a, b in loading_pairs(len(u))]
    crossed = [np.add.reduceat(x * v, starts, axis=1) for x in u]
    rows, gains, stretch = steps(products, [s[:, None] for s in scales])
    value = np.add.reduceat(np.log(loadings[0]) - 0.5 * np.log(2 * np.pi), starts)
    value = value - np.add.reduceat(np.log(sd) + 0.5 * v * v, starts, axis=1)
    for row, gain, wide in zip(rows, gains, stretch, strict=True):
        value = value - 0.5 * np.log(wide) + 0.5 * gain * sum(b * x for b, x in zip(row, crossed, strict=True)) ** 2
    return value


def last_effect(
    products: Sequence[np.ndarray], crossed: Sequence[np.ndarray], scales: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd of the last of a unit's effects given its rows, the others integrated out.

    Parameters
    ----------
    products : l_j'Ω⁻¹l_k in the order of `loading_pairs`, and crossed : l_j'Ω⁻¹e, e the residual, arrays (S, U)
    scales : r arrays that broadcast with them
    """
    rows, gains, _ = steps(products, scales)
    return gains[-1] * sum(b * x for b, x in zip(rows[-1], crossed, strict=True)), np.sqrt(gains[-1])
