"""Effects that several series share: their mean, their spread, and each series' own, in Gaussian draws.

    y_a = X_a β_a + Z_a δ_a + e_a,   β_a = b + ω ζ_a,   ζ ~ N(0, I), b ~ N(0, s²)

δ_a, whatever else each series has, is taken out first; ω is then drawn with every coefficient integrated out, b given ω, β given
b, and δ given β.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Normal(NamedTuple):
    """Coefficients of each series, the other than shocks' integrated out of the shocks' products.

    Parameters
    ----------
    gram, right : (A, E, E), (A, E) products of the shocks' columns with themselves and with the outcomes, the rest taken out
    rest : (A, n, n) inverse of the Cholesky factor of the rest's precision; cross : (A, n, E); right_rest : (A, n)
    """

    gram: Array
    right: Array
    rest: Array
    cross: Array
    right_rest: Array


def products(x: Array, weight: Array, rest: int, sd: Array) -> Normal:
    """What weighted rows say, the first `rest` columns taken out.

    Parameters
    ----------
    x : (A, T, rest + E + 1) columns of δ, of β, and y
    weight : (T, A) precisions
    sd : (rest,) prior sds of δ
    """
    n = rest
    m = jnp.einsum("atq,ta,atr->aqr", x, weight, x)
    inverse = lower_inverse(jnp.linalg.cholesky(m[:, :n, :n] + jnp.diag(1 / sd**2)))
    half = inverse @ m[:, :n, n:]
    left = m[:, n:, n:] - jnp.swapaxes(half, 1, 2) @ half
    return Normal(left[:, :-1, :-1], left[:, :-1, -1], inverse, m[:, :n, n:-1], m[:, :n, -1])


def spread_density(p: Normal, spread: Array, sd: float) -> tuple[Array, tuple[Array, ...]]:
    """Log p(y | ω) up to a constant, every coefficient integrated out, and what draws of them take.

    Parameters
    ----------
    spread : (E,) ω of each effect
    sd : of b
    """
    e = spread.shape[0]
    chol = jnp.linalg.cholesky(jnp.eye(e) + spread[:, None] * p.gram * spread)
    both = jnp.concatenate([p.gram, p.right[..., None]], 2)
    inverse = lower_inverse(chol)
    half = inverse @ (spread[:, None] * both)
    left = both - jnp.swapaxes(half[..., :e], 1, 2) @ half
    outer = jnp.linalg.cholesky(jnp.eye(e) / sd**2 + left[..., :e].sum(0))
    right, outer_inverse = left[..., e].sum(0), lower_inverse(outer)
    w = outer_inverse @ right
    log_det = jnp.log(jnp.diagonal(chol, axis1=1, axis2=2)).sum() + jnp.log(jnp.diagonal(outer)).sum()
    return 0.5 * (half[..., e] ** 2).sum() + 0.5 * w @ w - log_det, (inverse, outer_inverse, right)


def draw_effects(p: Normal, spread: Array, parts: tuple[Array, ...], key: Array) -> tuple[Array, Array]:
    """(E,) b and (A, E) β = b + ω ζ given ω and y, from what `spread_density` leaves."""
    inverse, outer, right = parts
    keys = jax.random.split(key)
    mean = draw_normal(outer[None], right[None], keys[0])[0]
    offset = draw_normal(inverse, spread * (p.right - p.gram @ mean), keys[1])
    return mean, mean + spread * offset


def draw_normal(inverse: Array, right: Array, key: Array) -> Array:
    """(A, n) draws of N(K⁻¹ r, K⁻¹) from (A, n, n) inverses of Cholesky factors of K and (A, n) r."""
    noise = jax.random.normal(key, right.shape, right.dtype)
    return jnp.einsum("aji,aj->ai", inverse, jnp.einsum("aij,aj->ai", inverse, right) + noise)


def lower_inverse(chol: Array) -> Array:
    """(..., n, n) inverses of lower triangular matrices, row after row.

    JAX's own solution for stacks of small matrices takes seconds to compile, and longer to run than this.
    """
    n = chol.shape[-1]
    place = jnp.arange(n)

    def row(i: Array, done: Array) -> Array:
        own = jnp.take(chol, i, axis=-2)
        before = jnp.where(place < i, own, 0.0)
        new = ((place == i) - jnp.einsum("...j,...jk->...k", before, done)) / jnp.take(own, i, axis=-1)[..., None]
        return jnp.where((place == i)[:, None], new[..., None, :], done)

    return jax.lax.fori_loop(0, n, row, jnp.zeros_like(chol))
