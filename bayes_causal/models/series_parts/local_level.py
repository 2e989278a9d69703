"""A level that wanders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.models.series_parts.part import extended, from_zero, in_units
from bayes_causal.models.series_scales import Scale

if TYPE_CHECKING:
    from bayes_causal.numerics.state_space import Part


@dataclass(frozen=True)
class LocalLevel:
    """μ_{t+1} = μ_t + η_t, from μ_1 ~ N(first, sd)."""

    scale: Scale
    initial_sd: float
    name: str = "level"

    @property
    def scales(self) -> tuple[Scale, ...]:
        """Of η."""
        return (self.scale,)

    @property
    def first_sd(self) -> np.ndarray:
        """(1,)."""
        return np.array([self.initial_sd])

    def part(self) -> Part:
        """One state."""
        from bayes_causal.numerics.state_space import Part

        return Part(self.name, ((1.0,),), ((0, self.scale.name, self.scale.relative),))

    def loading(self, rows: int) -> np.ndarray:
        """Ones."""
        return np.ones((rows, 1))

    def advance(self, rows: int) -> np.ndarray:
        """Always."""
        return np.ones(rows)

    def numpyro(self, rows: int, sigma: Any) -> Any:
        """First level and a cumulative sum."""
        import jax.numpy as jnp
        from numpyro import sample
        from numpyro.distributions import Normal

        sd = self.scale.numpyro(sigma)
        first = sample("level_first", Normal(0.0, self.initial_sd))
        step = sample("level_step", Normal(0.0, 1.0).expand([rows - 1]).to_event(1))
        return first + sd * jnp.concatenate([jnp.zeros(1), jnp.cumsum(step)])

    def pymc(self, rows: int, sigma: Any) -> Any:
        """First level and a cumulative sum."""
        import pymc as pm
        import pytensor.tensor as pt

        sd = self.scale.pymc(sigma)
        first = pm.Normal("level_first", 0.0, np.float64(self.initial_sd))
        step = pm.Normal("level_step", 0.0, 1.0, dims="step")
        return first + sd * pt.concatenate([pt.zeros(1), pt.cumsum(step)])

    def named(self, sites: Mapping[str, np.ndarray], unit: float) -> dict[str, np.ndarray]:
        """Sds of innovations."""
        return in_units(self.scales, sites, unit)

    def path(self, sites: Mapping[str, np.ndarray], rows: int, rng: np.random.Generator) -> np.ndarray:
        """The level, innovations beyond the twin's drawn anew."""
        step = extended(sites["level_step"], rows - 1, rng) * self.scale.sd(sites)[..., None]
        return sites["level_first"][..., None] + from_zero(np.cumsum(step, -1))
