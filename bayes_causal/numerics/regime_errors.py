"""What is left of each outcome under every combination of regimes that it may hang on.

    regression   e_t = y_t − α_{z_t} − Σ_l φ_{l,z_t} y_{t−l} − β_{z'}'x_t − γ'c_t
    hamilton     e_t = (y_t − μ_{z_t}) − Σ_l φ_{l,z_t} (y_{t−l} − μ_{z_{t−l}}) − β_{z'}'x_t − γ'c_t

z' is z_{t−1} where effects load on the regime before, else z_t. Parameters by name, with a regime axis each but γ, for A series:
`level` (A, K) α or μ, `ar` (A, L, K), `shock` (A, S, K), `control` (A, C), `sigma` (A, K).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
from jax import Array
from jax.scipy.special import gammaln

from bayes_causal.numerics.regime_rows import Rows

LOG_2PI = 1.8378770664093453
Form = Literal["regression", "hamilton"]


@dataclass(frozen=True)
class Shape:
    """How errors hang on regimes.

    Parameters
    ----------
    regimes : K
    order : L
    form : "regression" or "hamilton"
    lagged : whether effects of shocks load on the regime before
    """

    regimes: int
    order: int = 0
    form: Form = "regression"
    lagged: bool = True

    @property
    def memory(self) -> int:
        """m: how many past regimes an outcome hangs on, 1 at least."""
        return max(1, self.order if self.form == "hamilton" else 0)


def errors(shape: Shape, rows: Rows, p: Mapping[str, Array]) -> Array:
    """(T, A, K, …, K) errors by z_t, z_{t−1}, …, z_{t−m}; axes they do not hang on are of length 1."""
    level, ar = p["level"], p["ar"]
    rest = rows.y - rows.c @ p["control"].T
    left = _along(shape, rest[..., None] - level, 0)
    effect = jnp.einsum("ts,ask->tak", rows.x, p["shock"])
    left = left - _along(shape, effect, 1 if shape.lagged else 0)
    for lag in range(shape.order):
        before = rows.lags[:, lag, :, None]
        if shape.form == "regression":
            left = left - _along(shape, ar[:, lag] * before, 0)
        else:
            left = left - _along(shape, jnp.broadcast_to(ar[:, lag], (1, *level.shape)), 0) * _along(
                shape, before - level, lag + 1
            )
    return left


def log_densities(shape: Shape, error: Array, sigma: Array, nu: Array | None = None) -> Array:
    """(T, K, …, K) log density of each date's outcomes: independent errors, normal or t, of (A, K) scales by z_t."""
    scale = _along(shape, sigma[None], 0)
    u = (error / scale) ** 2
    if nu is None:
        each = -0.5 * (LOG_2PI + u) - jnp.log(scale)
    else:
        constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * jnp.log(nu * jnp.pi)
        each = constant - (nu + 1) / 2 * jnp.log1p(u / nu) - jnp.log(scale)
    return jnp.broadcast_to(each.sum(1), (error.shape[0], *[shape.regimes] * (shape.memory + 1)))


def _along(shape: Shape, by_regime: Array, axis: int) -> Array:
    """(T, A, K) values laid along the axis of z_{t−axis}."""
    own = [1] * (shape.memory + 1)
    own[axis] = shape.regimes
    return by_regime.reshape(*by_regime.shape[:2], *own)
