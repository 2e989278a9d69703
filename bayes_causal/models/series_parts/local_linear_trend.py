"""A level that wanders with a slope that wanders too."""

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
class LocalLinearTrend:
    """μ_{t+1} = μ_t + δ_t + η_t, δ_{t+1} = δ_t + ζ_t."""

    scale: Scale
    slope_scale: Scale
    initial_sd: float
    slope_sd: float
    name: str = "level"

    @property
    def scales(self) -> tuple[Scale, ...]:
        """Of η and ζ."""
        return self.scale, self.slope_scale

    @property
    def first_sd(self) -> np.ndarray:
        """(2,)."""
        return np.array([self.initial_sd, self.slope_sd])

    def part(self) -> Part:
        """Level and slope."""
        from bayes_causal.numerics.state_space import Part

        noises = tuple((k, s.name, s.relative) for k, s in enumerate(self.scales))
        return Part(self.name, ((1.0, 1.0), (0.0, 1.0)), noises)

    def loading(self, rows: int) -> np.ndarray:
        """The level alone is seen."""
        return np.tile([1.0, 0.0], (rows, 1))

    def advance(self, rows: int) -> np.ndarray:
        """Always."""
        return np.ones(rows)

    def numpyro(self, rows: int, sigma: Any) -> Any:
        """Cumulative sums of slopes, themselves cumulative sums."""
        import jax.numpy as jnp
        from numpyro import sample
        from numpyro.distributions import Normal

        sd, slope_sd = self.scale.numpyro(sigma), self.slope_scale.numpyro(sigma)
        first = sample("level_first", Normal(0.0, self.initial_sd))
        step = sample("level_step", Normal(0.0, 1.0).expand([rows - 1]).to_event(1))
        slope_first = sample("slope_first", Normal(0.0, self.slope_sd))
        slope_step = sample("slope_step", Normal(0.0, 1.0).expand([rows - 1]).to_event(1))
        slope = slope_first + slope_sd * jnp.concatenate([jnp.zeros(1), jnp.cumsum(slope_step)[:-1]])
        return first + jnp.concatenate([jnp.zeros(1), jnp.cumsum(slope + sd * step)])

    def pymc(self, rows: int, sigma: Any) -> Any:
        """Cumulative sums of slopes, themselves cumulative sums."""
        import pymc as pm
        import pytensor.tensor as pt

        sd, slope_sd = self.scale.pymc(sigma), self.slope_scale.pymc(sigma)
        first = pm.Normal("level_first", 0.0, np.float64(self.initial_sd))
        step = pm.Normal("level_step", 0.0, 1.0, dims="step")
        slope_first = pm.Normal("slope_first", 0.0, np.float64(self.slope_sd))
        slope_step = pm.Normal("slope_step", 0.0, 1.0, dims="step")
        slope = slope_first + slope_sd * pt.concatenate([pt.zeros(1), pt.cumsum(slope_step)[:-1]])
        return first + pt.concatenate([pt.zeros(1), pt.cumsum(slope + sd * step)])

    def named(self, sites: Mapping[str, np.ndarray], unit: float) -> dict[str, np.ndarray]:
        """Sds of innovations."""
        return in_units(self.scales, sites, unit)

    def path(self, sites: Mapping[str, np.ndarray], rows: int, rng: np.random.Generator) -> np.ndarray:
        """The level, innovations beyond the twin's drawn anew."""
        step = extended(sites["level_step"], rows - 1, rng) * self.scale.sd(sites)[..., None]
        turn = extended(sites["slope_step"], rows - 1, rng) * self.slope_scale.sd(sites)[..., None]
        slope = sites["slope_first"][..., None] + from_zero(np.cumsum(turn, -1))[..., :-1]
        return sites["level_first"][..., None] + from_zero(np.cumsum(slope + step, -1))
