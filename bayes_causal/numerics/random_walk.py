"""Random-walk Metropolis whose proposals learn their scale and shape, for a few coordinates.

While adapting, the covariance follows that of the chain and the scale the share of accepted steps, ever more slowly (Andrieu &
Thoms 2008, algorithm 4, doi:10.1007/s11222-008-9110-y); afterwards both stand still, so that kept draws are a Markov chain's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import Array

ACCEPTED = 0.3
DECAY = 0.6
START = 0.3
Extra = TypeVar("Extra")


class Walker(NamedTuple):
    """What the proposals have learnt of n coordinates.

    Parameters
    ----------
    mean, cov : (n,) and (n, n), of the chain
    log_scale : () of proposals in units of `cov`
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
    density: Callable[[Array], tuple[Array, Extra]],
    t: Array,
    at: tuple[Array, Extra],
    own: Walker,
    key: Array,
    steps: int,
    adapting: Array,
) -> tuple[Array, tuple[Array, Extra], Walker, Array]:
    """Some Metropolis steps of (n,) t.

    Parameters
    ----------
    density : (n,) to a log density, and what comes with it
    at : of t

    Returns
    -------
    t, at, own : after the steps
    accepted : () share of accepted steps
    """
    noise = jax.random.normal(key, (steps, t.shape[0] + 1), t.dtype)

    def step(carry: tuple[Array, tuple[Array, Extra], Walker], z: Array) -> tuple[tuple[Array, tuple[Array, Extra], Walker], Array]:
        t, at, own = carry
        moved = t + jnp.exp(own.log_scale) * (jnp.linalg.cholesky(own.cov) @ z[:-1])
        tried = density(moved)
        ratio = jnp.where(jnp.isfinite(tried[0]), tried[0] - at[0], -jnp.inf)
        taken = jax.scipy.special.log_ndtr(z[-1]) < ratio
        t, at = jax.tree.map(lambda new, old: jnp.where(taken, new, old), (moved, tried), (t, at))
        learnt = _learnt(own, t, jnp.exp(jnp.minimum(ratio, 0.0)))
        own = jax.tree.map(lambda new, old: jnp.where(adapting, new, old), learnt, own)
        return (t, at, own), taken

    (t, at, own), taken = jax.lax.scan(step, (t, at, own), noise)
    return t, at, own, jnp.mean(taken.astype(t.dtype))


def _learnt(own: Walker, t: Array, chance: Array) -> Walker:
    """One step of adaptation; the covariance never falls to less than a little of its start."""
    steps = own.steps + 1
    rate = jnp.minimum(0.5, steps**-DECAY)
    away = t - own.mean
    floor = 1e-6 * START**2 * jnp.eye(t.shape[0])
    return Walker(
        own.mean + rate * away,
        own.cov + rate * (away[:, None] * away + floor - own.cov),
        own.log_scale + rate * (chance - ACCEPTED),
        steps,
    )
