"""Student-t innovations as normal ones of varying precision: v_t ~ N(0, σ²/λ_t), λ_t ~ Gamma(ν/2, ν/2), ν ~ Gamma(2, rate).

Prior of ν: Juárez & Steel 2010, doi:10.1198/jbes.2009.07145. Given the innovations ν moves with every λ_t integrated out, and
λ_t follows exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import gammaln

from bayes_causal.numerics.random_walk import walk, walker

STEPS = 4
SHAPE = 2.0


def first_tails(rows: int, rate: float) -> dict[str, Any]:
    """ν at its prior mean, λ_t at its own; the part of a state that `draw_tails` moves."""
    log_nu = jnp.log(jnp.full(1, SHAPE / rate))
    return {"mixing": jnp.ones(rows), "log_nu": log_nu, "tail_walker": walker(log_nu)}


def draw_tails(state: Mapping[str, Any], z: Array, known: Array, rate: float, key: Array, adapting: Array) -> dict[str, Any]:
    """ν and λ given those of (T,) innovations z, in units of σ, that are known."""
    keys = jax.random.split(key)

    def density(x: Array) -> tuple[Array, None]:
        return log_density(x[0], z, known, rate), None

    log_nu, _, own, _ = walk(density, state["log_nu"], density(state["log_nu"]), state["tail_walker"], keys[0], STEPS, adapting)
    nu = jnp.exp(log_nu[0])
    gamma = jax.random.gamma(keys[1], (nu + known) / 2, z.shape, z.dtype)
    return {"mixing": 2 * gamma / (nu + known * z**2), "log_nu": log_nu, "tail_walker": own}


def log_density(log_nu: Array, z: Array, known: Array, rate: float) -> Array:
    """Log p(z, log ν) of the known z up to a constant, λ integrated out."""
    nu = jnp.exp(log_nu)
    constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * jnp.log(nu)
    return jnp.sum(known) * constant - (nu + 1) / 2 * jnp.sum(known * jnp.log1p(z**2 / nu)) + SHAPE * log_nu - rate * nu
