"""Probabilities of regimes and likelihoods of dates for many draws of the parameters."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from bayes_causal.numerics.regime_em import Free, chain
from bayes_causal.numerics.regime_rows import Rows
from bayes_causal.numerics.regimes import filtered, forward, smoothed

SIDE_BY_SIDE = 64


class Probabilities(NamedTuple):
    """Of S draws.

    Parameters
    ----------
    filtered, smoothed : (S, T, K) float32 p(z_t | y up to t), p(z_t | all y)
    increments : (S, T) log p(y_t | y before t)
    """

    filtered: Array
    smoothed: Array
    increments: Array


@partial(jax.jit, static_argnums=0)
def probabilities(free: Free, rows: Rows, p: Mapping[str, Array]) -> Probabilities:
    """Of (S, ...) parameters by name."""

    def one(p: Mapping[str, Array]) -> Probabilities:
        ahead = forward(*chain(free, rows, p))
        back = smoothed(ahead.joint)
        back = back.sum(tuple(range(2, back.ndim)))
        return Probabilities(filtered(ahead.joint).astype(jnp.float32), back.astype(jnp.float32), ahead.increments)

    return jax.lax.map(one, dict(p), batch_size=SIDE_BY_SIDE)


@partial(jax.jit, static_argnums=0)
def increments(free: Free, rows: Rows, p: Mapping[str, Array]) -> Array:
    """(S, T) log p(y_t | y before t) of (S, ...) parameters."""
    return jax.lax.map(lambda q: forward(*chain(free, rows, q)).increments, dict(p), batch_size=SIDE_BY_SIDE)
