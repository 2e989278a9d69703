"""`random_walk` for coordinates that hang together little: proposals learn the spread of each, and no matrix is factored.

Steps near by and steps from anywhere take turns, as there; adaptation is the same, and ends with the warm-up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import log_ndtr

from bayes_causal.numerics.random_walk import ACCEPTED, DEGREES, MEMORY, START, WIDER


class Stroller(NamedTuple):
    """What the proposals have learnt of n coordinates.

    Parameters
    ----------
    mean, variance : (n,) of the chain
    log_scale : () of the walk in units of their sds
    steps : () adapted so far
    """

    mean: Array
    variance: Array
    log_scale: Array
    steps: Array


def stroller(t: Array) -> Stroller:
    """Before the first step."""
    return Stroller(t, jnp.full(t.shape, START**2), jnp.log(2.38 / jnp.sqrt(float(t.shape[0]))), jnp.zeros(()))


def stroll(
    density: Callable[[Array], tuple[Array, Any]], t: Array, own: Stroller, key: Array, steps: int, adapting: Array
) -> tuple[Array, Any, Stroller, Array]:
    """Some Metropolis steps of (n,) t under a log density, every second one of them independent of where it starts.

    Returns
    -------
    t, rest : after the steps, and what comes with the density there
    own : what the proposals have learnt
    accepted : () share of accepted steps
    """
    n = t.shape[0]
    noise = jax.random.normal(key, (steps, n + 1 + DEGREES), t.dtype)

    def step(carry: tuple[Array, Any, Stroller], x: tuple[Array, Array]) -> tuple[tuple[Array, Any, Stroller], Array]:
        """One date of the walk."""
        (t, at, own), (z, near) = carry, x
        sd = jnp.sqrt(own.variance)
        heavy = z[:n] / jnp.sqrt(jnp.mean(z[n + 1 :] ** 2))
        tried_t = jnp.where(near, t, own.mean) + sd * jnp.where(near, jnp.exp(own.log_scale) * z[:n], WIDER * heavy)
        tried = density(tried_t)
        proposed = jnp.where(near, 0.0, _log_t(own, sd, t) - _log_t(own, sd, tried_t))
        ratio = jnp.where(jnp.isfinite(tried[0]), tried[0] - at[0] + proposed, -jnp.inf)
        taken = log_ndtr(z[n]) < ratio
        t, at = jax.tree.map(lambda new, old: jnp.where(taken, new, old), (tried_t, tried), (t, at))
        learnt = _learnt(own, t, jnp.where(near, jnp.exp(jnp.minimum(ratio, 0.0)), ACCEPTED))
        own = jax.tree.map(lambda new, old: jnp.where(adapting, new, old), learnt, own)
        return (t, at, own), taken

    (t, at, own), taken = jax.lax.scan(step, (t, density(t), own), (noise, jnp.arange(steps) % 2 == 0))
    return t, at[1], own, jnp.mean(taken.astype(t.dtype))


def _log_t(own: Stroller, sd: Array, t: Array) -> Array:
    """Log density of the independent proposals, up to a constant of the stroller."""
    z = (t - own.mean) / (WIDER * sd)
    return -0.5 * (DEGREES + t.shape[0]) * jnp.log1p(z @ z / DEGREES)


def _learnt(own: Stroller, t: Array, chance: Array) -> Stroller:
    """One step of adaptation, by weights that grow as the square of the number of steps."""
    steps = own.steps + 1
    rate = MEMORY / (steps + 2 * MEMORY)
    away = t - own.mean
    variance = own.variance + rate * (away**2 + 1e-6 * START**2 - own.variance)
    return Stroller(own.mean + rate * away, variance, own.log_scale + rate * (chance - ACCEPTED), steps)
