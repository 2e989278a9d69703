"""Which columns of a regression are in, one column after another, coefficients integrated out.

The columns that are in are swept into a symmetric matrix (Goodnight 1979, doi:10.1080/00031305.1979.10482685): what a column adds
or takes away is then read off its own row, and a flip is one more sweep (George & McCulloch 1997, Statistica Sinica 7, 339-373).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array


def pivot(a: Array, j: Array) -> Array:
    """Symmetric (n, n) matrix with row j swept in, or out again: its own inverse.

    With the rows S in, the block A_SS is −M_SS⁻¹, A_S· is M_SS⁻¹ M_S·, and the rest is the Schur complement.
    """
    own = jnp.arange(a.shape[0]) == j
    row = jnp.where(own[:, None], a, 0.0).sum(0)
    d = jnp.where(own, row, 0.0).sum()
    swept = jnp.where(own, -1 / d, row / jnp.abs(d))
    return jnp.where(own[:, None], swept, jnp.where(own, swept[:, None], a - row[:, None] * row / d))


def swept(m: Array, include: Array) -> Array:
    """(n, n) symmetric M with the rows swept in for which (p,) `include` is 1, p ≤ n."""

    def one(a: Array, x: tuple[Array, Array]) -> tuple[Array, None]:
        j, taken = x
        return jnp.where(taken > 0, pivot(a, j), a), None

    return jax.lax.scan(one, m, (jnp.arange(include.shape[0]), include))[0]


def draw_indicators(products: Array, slab: Array, include: Array, log_odds: Array, sigma2: Array, key: Array) -> Array:
    """(p,) γ after every γ_j, in random order, was drawn given the others, and after each an exchange was tried.

    An exchange turns over two columns of which one is in. Where columns stand in for each other, all flips on the way from one
    to the other are improbable; which two are tried hangs on how alike they are, not on γ, so that the way back is as probable.

    Parameters
    ----------
    products : (p + 1, p + 1) [X y]'V⁻¹[X y], the errors in units of σ²
    slab : (p, p) prior precision of β in units of 1/σ²
    include : (p,) γ
    log_odds : (p,) of each column's prior probability
    """
    p = include.shape[0]
    wide = jnp.zeros_like(products).at[:p, :p].set(slab)
    # One call: every call of the generator is half a second of compilation.
    rank, flips, exchanges, partner = jax.random.uniform(key, (4, p), products.dtype)
    order = jnp.argsort(rank)
    both = jax.vmap(swept, (0, None))(jnp.stack([products + wide, wide]), include)

    def one(carry: tuple[Array, Array], x: tuple[Array, Array, Array]) -> tuple[tuple[Array, Array], None]:
        """One column in or out, given the others."""
        (both, include), (j, other, u) = carry, x
        first, turned = gain(both, include, j), jax.vmap(pivot, (0, None))(both, j)
        alone = other < 0
        second, twice = gain(turned, include, other), jax.vmap(pivot, (0, None))(turned, jnp.maximum(other, 0))
        apart = alone | (include[j] != include[other])
        moves = apart & (u < jax.nn.sigmoid(first + jnp.where(alone, 0.0, second)))
        changed = (jnp.arange(p) == j) | (jnp.arange(p) == other)
        both = jnp.where(moves, jnp.where(alone, turned, twice), both)
        return (both, jnp.where(moves & changed, 1 - include, include)), None

    def gain(both: Array, include: Array, j: Array) -> Array:
        """Log odds of turning over column j."""
        own = jnp.arange(p) == j
        row = jnp.where(own[:, None], both[:, :p], 0.0).sum(1)
        d = jnp.where(own, row[:, :p], 0.0).sum(1)
        # Positive pivots come in, negative ones go out, and either way the determinant grows by |d|.
        fit = 0.5 * row[0, p] ** 2 / (d[0] * sigma2) - 0.5 * jnp.log(jnp.abs(d[0] / d[1]))
        return fit + jnp.where(own, (1 - 2 * include) * log_odds, 0.0).sum()

    pairs = order[::-1], alike(products[:p, :p] + slab, order[::-1], partner)
    steps = jnp.stack([order, pairs[0]], 1).ravel(), jnp.stack([-jnp.ones_like(order), pairs[1]], 1).ravel()
    (_, include), _ = jax.lax.scan(one, (both, include), (*steps, jnp.stack([flips, exchanges], 1).ravel()))
    return include


def alike(m: Array, columns: Array, uniform: Array) -> Array:
    """(k,) another column for each of (k,) columns, drawn in proportion to their squared correlation in (p, p) m."""
    scale = 1 / jnp.sqrt(jnp.diagonal(m))
    weight = (m * scale[:, None] * scale) ** 2 * (1 - jnp.eye(m.shape[0]))
    mass = jnp.cumsum(weight[columns], 1)
    return jnp.minimum(jnp.sum(uniform[:, None] * mass[:, -1:] >= mass, 1), m.shape[0] - 1)
