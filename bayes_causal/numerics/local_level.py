"""Draws of a random walk seen with noise, by filtering forward and sampling backward: one normal a row.

y_t = μ_t + ε_t,  ε_t ~ N(0, 1)        μ_{t+1} = μ_t + η_t,  η_t ~ N(0, q),  μ_1 = 0        variances in units of σ²
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from bayes_causal.numerics.kalman import UNROLL


def draw_level(y: Array, observed: Array, q: Array, noise: Array) -> Array:
    """(rows,) one draw of μ given the observed rows of y (T,) and (rows,) standard normals; rows after T are drawn ahead."""
    span = y.shape[0]

    def forward(carry: tuple[Array, ...], row: tuple[Array, Array]) -> tuple[tuple[Array, ...], tuple[Array, Array]]:
        mean, variance = carry
        x, seen = row
        gain = seen * variance / (variance + 1)
        mean, variance = mean + gain * (x - mean), variance * (1 - gain)
        return (mean, variance + q), (mean, variance)

    first: tuple[Array, ...] = jnp.zeros(()), jnp.zeros(())
    _, (means, variances) = jax.lax.scan(forward, first, (y, observed.astype(y.dtype)), unroll=UNROLL)
    # Given the row after it, a row is normal with these weights: μ_t = own + share μ_{t+1}.
    share = variances / (variances + q)
    own = (1 - share) * means + jnp.sqrt(variances * (1 - share)) * noise[:span]
    last = means[-1] + jnp.sqrt(variances[-1]) * noise[span - 1]

    def backward(after: Array, row: tuple[Array, Array]) -> tuple[Array, Array]:
        here = row[0] + row[1] * after
        return here, here

    _, path = jax.lax.scan(backward, last, (own[:-1], share[:-1]), reverse=True, unroll=UNROLL)
    ahead = last + jnp.sqrt(q) * jnp.cumsum(noise[span:])
    return jnp.concatenate([path, last[None], ahead])
