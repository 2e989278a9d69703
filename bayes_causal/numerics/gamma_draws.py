"""Gamma variables, all of an array side by side: JAX draws them one after another on a CPU, and takes seconds to compile that."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array


def gammas(key: Array, shape: Array) -> Array:
    """Gamma variables of rate one and of shapes from one up (Marsaglia & Tsang 2000, doi:10.1145/358407.358414).

    What a round rejects, one in twenty at most, the next round draws again.
    """
    d = shape - 1 / 3
    c = 1 / jnp.sqrt(9 * d)

    def open_(carry: tuple[Array, Array, Array]) -> Array:
        return ~jnp.all(carry[2])

    def again(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        key, value, done = carry
        key, of_x, of_u = jax.random.split(key, 3)
        x = jax.random.normal(of_x, shape.shape, shape.dtype)
        root = 1 + c * x
        v = jnp.where(root > 0, root, 1.0) ** 3
        u = jax.random.uniform(of_u, shape.shape, shape.dtype)
        taken = (root > 0) & (jnp.log(u) < 0.5 * x**2 + d * (1 - v + jnp.log(v)))
        return key, jnp.where(done, value, d * v), done | taken

    return jax.lax.while_loop(open_, again, (key, jnp.ones_like(shape), jnp.zeros(shape.shape, bool)))[1]
