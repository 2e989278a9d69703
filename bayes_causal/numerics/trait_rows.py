"""Rows beside the outcomes that weights are to reproduce: K predictors, standardised, each with error of sd σ_x."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from bayes_causal.numerics.line_proposals import draw_on_line
from bayes_causal.numerics.weighted_rows import LOG_2PI, TINY, log_half_normal


class TraitSums(NamedTuple):
    """Of K predictors and J donors.

    Parameters
    ----------
    products : (J + 1, J + 1) products of donors and, last, the treated unit, over predictors
    count : () K
    scale : () of the half-normal on σ_x
    """

    products: Any
    count: Any
    scale: Any


def precision(traits: TraitSums, log_sd: Array) -> Array:
    """(J + 1, J + 1) products in units of the errors' variance."""
    return traits.products * jnp.exp(-2 * log_sd)


def log_density(traits: TraitSums, w: Array, log_sd: Array) -> Array:
    """Log p(x_1, σ_x | w), σ_x on its own scale."""
    fit = -traits.count * (0.5 * LOG_2PI + log_sd) - 0.5 * squares(traits, w) * jnp.exp(-2 * log_sd)
    return fit + log_half_normal(jnp.exp(log_sd), traits.scale)


def draw_log_sd(traits: TraitSums, w: Array, log_sd: Array, u: Array) -> Array:
    """Log σ_x given the weights, from (2,) uniforms."""
    middle = 0.5 * jnp.log(jnp.maximum(squares(traits, w), TINY) / jnp.maximum(traits.count, 1.0))
    middle = jnp.clip(middle, jnp.log(0.01 * traits.scale), jnp.log(2 * traits.scale))
    return draw_on_line(lambda x: log_density(traits, w, x) + x, middle, 1.2 / jnp.sqrt(2 * traits.count), log_sd, u)


def squares(traits: TraitSums, w: Array) -> Array:
    """Sum over predictors of squared distances of the treated unit from its weighted donors."""
    c = jnp.append(-w, 1.0)
    return jnp.maximum(c @ traits.products @ c, 0.0)
