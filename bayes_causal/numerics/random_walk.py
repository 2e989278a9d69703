"""Metropolis steps for a few coordinates whose proposals learn where the chain has been.

Steps near by and steps from anywhere take turns: a random walk, and independent draws from a multivariate t at the chain's mean
and covariance, far quicker where they fit. While adapting, both follow the chain, ever more slowly, and the scale of the walk the
share of its steps accepted (Andrieu & Thoms 2008, doi:10.1007/s11222-008-9110-y); afterwards all stand still, so that kept draws
are a Markov chain's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import log_ndtr

ACCEPTED = 0.3
START = 0.3
WIDER = 1.2
DEGREES = 5
MEMORY = 3.0


class Walker(NamedTuple):
    """What the proposals have learnt of n coordinates.

    Parameters
    ----------
    mean, cov : (n,) and (n, n), of the chain
    log_scale : () of the walk in units of `cov`
    steps : () adapted so far
    """

    mean: Array
    cov: Array
    log_scale: Array
    steps: Array


def walker(t: Array) -> Walker:
    """Before the first step."""
    n = t.shape[0]
    return Walker(t, START**2 * jnp.eye(n), jnp.log(2.38 / jnp.sqrt(float(n))), jnp.zeros(()))


def walk(
    density: Callable[[Array], tuple[Array, Any]],
    t: Array,
    at: tuple[Array, Any],
    own: Walker,
    key: Array,
    steps: int,
    adapting: Array,
) -> tuple[Array, tuple[Array, Any], Walker, Array]:
    """Some Metropolis steps of (n,) t, every second one of them independent of where it starts.

    Parameters
    ----------
    density : (n,) to a log density, and what comes with it
    at : of t

    Returns
    -------
    t, at, own : after the steps
    accepted : () share of accepted steps
    """
    n = t.shape[0]
    noise = jax.random.normal(key, (steps, n + 1 + DEGREES), t.dtype)

    def step(carry: tuple[Array, Any, Walker], x: tuple[Array, Array]) -> tuple[tuple[Array, Any, Walker], Array]:
        """One date of the walk."""
        (t, at, own), (z, near) = carry, x
        chol = jnp.linalg.cholesky(own.cov)
        heavy = z[:n] / jnp.sqrt(jnp.mean(z[n + 1 :] ** 2))
        move = chol @ jnp.where(near, jnp.exp(own.log_scale) * z[:n], WIDER * heavy)
        tried_t = jnp.where(near, t, own.mean) + move
        tried = density(tried_t)
        proposed = jnp.where(near, 0.0, _log_t(own, chol, t) - _log_t(own, chol, tried_t))
        ratio = jnp.where(jnp.isfinite(tried[0]), tried[0] - at[0] + proposed, -jnp.inf)
        taken = log_ndtr(z[n]) < ratio
        t, at = jax.tree.map(lambda new, old: jnp.where(taken, new, old), (tried_t, tried), (t, at))
        learnt = _learnt(own, t, jnp.where(near, jnp.exp(jnp.minimum(ratio, 0.0)), ACCEPTED))
        own = jax.tree.map(lambda new, old: jnp.where(adapting, new, old), learnt, own)
        return (t, at, own), taken

    (t, at, own), taken = jax.lax.scan(step, (t, at, own), (noise, jnp.arange(steps) % 2 == 0))
    return t, at, own, jnp.mean(taken.astype(t.dtype))


def _log_t(own: Walker, chol: Array, t: Array) -> Array:
    """Log density of the independent proposals, up to a constant of the walker."""
    z = solve_triangular(chol, t - own.mean, lower=True) / WIDER
    return -0.5 * (DEGREES + t.shape[0]) * jnp.log1p(z @ z / DEGREES)


def _learnt(own: Walker, t: Array, chance: Array) -> Walker:
    """One step of adaptation, by weights that grow as the square of the number of steps.

    The covariance never falls to less than a little of its start.
    """
    steps = own.steps + 1
    rate = MEMORY / (steps + 2 * MEMORY)
    away = t - own.mean
    floor = 1e-6 * START**2 * jnp.eye(t.shape[0])
    return Walker(
        own.mean + rate * away,
        own.cov + rate * (away[:, None] * away + floor - own.cov),
        own.log_scale + rate * (chance - ACCEPTED),
        steps,
    )
