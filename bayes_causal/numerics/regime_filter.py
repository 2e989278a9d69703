"""Probabilities of regimes and likelihoods of dates for many draws of the parameters."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from bayes_causal.numerics.jitted import jitted
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


def probabilities(free: Free, rows: Rows, p: Mapping[str, Array]) -> Probabilities:
    """Of (S, ...) parameters by name."""
    found: Probabilities = _programs(free)[0](rows, dict(p))
    return found


def increments(free: Free, rows: Rows, p: Mapping[str, Array]) -> Array:
    """(S, T) log p(y_t | y before t) of (S, ...) parameters."""
    found: Array = _programs(free)[1](rows, dict(p))
    return found


@cache
def _programs(free: Free) -> tuple[Any, Any]:
    def one(rows: Rows, p: Mapping[str, Array]) -> Probabilities:
        ahead = forward(*chain(free, rows, p))
        back = smoothed(ahead.joint)
        back = back.sum(tuple(range(2, back.ndim)))
        return Probabilities(filtered(ahead.joint).astype(jnp.float32), back.astype(jnp.float32), ahead.increments)

    def short(rows: Rows, p: Mapping[str, Array]) -> Array:
        return forward(*chain(free, rows, p)).increments

    def over(f: Any) -> Any:
        return jitted(lambda rows, p: jax.lax.map(partial(f, rows), p, batch_size=SIDE_BY_SIDE))

    return over(one), over(short)
