"""Priors of a regime model, and the two densities that the libraries do not have alike, written out in both.

Regimes are interchangeable under the priors, so that each posterior stands K! times over, once for every naming. Naming them by
the order of x in the reference series keeps one: its density is K! Π p(x_k) where x ascends, zero elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from math import lgamma, log, pi
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Priors:
    """Scales of the priors, in sds of each outcome, and per sd of a shock or control.

    Parameters
    ----------
    level : sd of an intercept or mean
    shock : sd of an effect, or of its mean over series where they are pooled
    spread : scale of the half-normal on the sd of effects between series
    control : sd of a control's coefficient
    ar : sd of a lag's coefficient
    sigma : scale of the half-t on the sd of errors
    sigma_df : its degrees of freedom
    stay : how much more often than one a transition to the same regime counts
    tails : rate of the gamma (shape 2) on the degrees of freedom of Student-t errors
    """

    level: float = 1.0
    shock: float = 1.0
    spread: float = 0.5
    control: float = 1.0
    ar: float = 0.5
    sigma: float = 1.0
    sigma_df: float = 4.0
    stay: float = 8.0
    tails: float = 0.1

    def doubles(self) -> Priors:
        """As NumPy float64, which PyTensor does not round."""
        return Priors(**{f.name: np.float64(getattr(self, f.name)) for f in fields(self)})

    def rows(self, regimes: int) -> np.ndarray:
        """(K, K) concentrations of the Dirichlet rows of the transition matrix."""
        return np.ones((regimes, regimes)) + self.stay * np.eye(regimes)


def log_normal(x: Any, scale: float) -> Any:
    """Log density of N(0, scale)."""
    return -0.5 * (x / scale) ** 2 - np.float64(log(scale) + 0.5 * log(2 * pi))


def log_half_t(x: Any, scale: float, df: float, log1p: Any) -> Any:
    """Log density of a half-t at positive x."""
    constant = lgamma((df + 1) / 2) - lgamma(df / 2) - 0.5 * log(df * pi) - log(scale) + log(2.0)
    return np.float64(constant) - (df + 1) / 2 * log1p((x / scale) ** 2 / df)


@cache
def numpyro_distributions() -> tuple[Any, Any]:
    """NumPyro's `Ordered(kind, size, scale, df)` and `HalfT(scale, df)`, kind "level" (normal) or "sigma" (half-t)."""
    import jax
    import jax.numpy as jnp
    from numpyro.distributions import Distribution, constraints

    class HalfT(Distribution):
        support = constraints.positive

        def __init__(self, scale: float, df: float, batch: tuple[int, ...] = ()):
            self.scale, self.df = float(scale), float(df)
            super().__init__(batch_shape=batch, event_shape=())

        def sample(self, key: Any, sample_shape: tuple[int, ...] = ()) -> Any:
            return self.scale * jnp.abs(jax.random.t(key, self.df, sample_shape + self.batch_shape, jnp.float64))

        def log_prob(self, value: Any) -> Any:
            return log_half_t(value, self.scale, self.df, jnp.log1p)

    class Ordered(Distribution):
        def __init__(self, kind: str, size: int, scale: float, df: float):
            self.kind, self.size, self.scale, self.df = kind, size, float(scale), float(df)
            super().__init__(batch_shape=(), event_shape=(size,))

        @constraints.dependent_property(is_discrete=False, event_dim=1)
        def support(self) -> Any:
            return constraints.ordered_vector if self.kind == "level" else constraints.positive_ordered_vector

        def sample(self, key: Any, sample_shape: tuple[int, ...] = ()) -> Any:
            shape = (*sample_shape, self.size)
            if self.kind == "level":
                return jnp.sort(self.scale * jax.random.normal(key, shape, jnp.float64), -1)
            return jnp.sort(self.scale * jnp.abs(jax.random.t(key, self.df, shape, jnp.float64)), -1)

        def log_prob(self, value: Any) -> Any:
            level = self.kind == "level"
            each = log_normal(value, self.scale) if level else log_half_t(value, self.scale, self.df, jnp.log1p)
            ascending = jnp.all(value[..., 1:] > value[..., :-1], -1)
            return jnp.where(ascending, each.sum(-1) + lgamma(self.size + 1), -jnp.inf)

    return Ordered, HalfT


def pymc_ordered(name: str, kind: str, size: int, scale: float, df: float) -> Any:
    """PyMC's site of (K,) ordered values."""
    import pymc as pm
    import pytensor.tensor as pt
    from pymc.distributions.transforms import Chain, log, ordered

    def logp(value: Any, scales: Any) -> Any:
        each = log_normal(value, scale) if kind == "level" else log_half_t(value, scale, df, pt.log1p)
        return pt.switch(pt.all(value[1:] > value[:-1]), each.sum(-1) + np.float64(lgamma(size + 1)), -np.inf)

    def random(scales: Any, rng: Any = None, size: Any = None) -> Any:
        shape = (*(size or ()), scales.shape[-1])
        drawn = rng.standard_normal(shape) if kind == "level" else np.abs(rng.standard_t(df, shape))
        return np.sort(scales * drawn, -1)

    def middle(variable: Any, size: Any, scales: Any) -> Any:
        steps = np.arange(1.0, scales.type.shape[-1] + 1) / (scales.type.shape[-1] + 1)
        return scales * (steps * 2 - 1 if kind == "level" else steps * 2)

    return pm.CustomDist(
        name,
        np.full(size, scale),
        logp=logp,
        random=random,
        support_point=middle,
        signature="(k)->(k)",
        transform=ordered if kind == "level" else Chain([log, ordered]),
        dtype="float64",
        dims="regime",
    )


def pymc_half_t(name: str, scale: float, df: float, dims: tuple[str, ...]) -> Any:
    """PyMC's site of half-t values."""
    import pymc as pm
    import pytensor.tensor as pt
    from pymc.distributions.transforms import log

    return pm.CustomDist(
        name,
        scale,
        logp=lambda value, s: log_half_t(value, scale, df, pt.log1p) + 0.0 * s,
        random=lambda s, rng=None, size=None: np.abs(s * rng.standard_t(df, size)),
        support_point=lambda variable, size, s: pt.full(size, s),
        transform=log,
        dtype="float64",
        dims=dims,
    )
