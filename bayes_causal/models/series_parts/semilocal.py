"""A level whose slope returns to a slope of the long run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.models.series_parts.part import extended, from_zero, in_units
from bayes_causal.models.series_scales import Persistence, Scale
from bayes_causal.numerics import autoregression

if TYPE_CHECKING:
    from bayes_causal.numerics.state_space import Part


@dataclass(frozen=True)
class SemilocalTrend:
    """μ_{t+1} = μ_t + δ_t + η_t, δ_{t+1} = D + φ(δ_t − D) + ζ_t, |φ| < 1.

    R's bsts calls it the semilocal linear trend; its defaults, read from `AddSemilocalLinearTrend`, are those under
    "causalimpact", which CausalImpact itself does not offer: sds of η and ζ guessed at .01 sd(y) with df .01 and upper sd(y),
    D ~ N(0, sd(y)), δ_1 ~ N(0, sd(y)), μ_1 ~ N(y_1, sd(y)), φ ~ N(0, 1) cut off at −1 and 1.
    """

    scale: Scale
    slope_scale: Scale
    persistence: Persistence
    initial_sd: float
    slope_sd: float
    mean_sd: float
    name: str = "level"

    @property
    def scales(self) -> tuple[Scale | Persistence, ...]:
        """Of η and ζ, and φ."""
        return self.scale, self.slope_scale, self.persistence

    @property
    def first_sd(self) -> np.ndarray:
        """(3,)."""
        return np.array([self.initial_sd, self.slope_sd, self.mean_sd])

    def part(self) -> Part:
        """Level, slope, and D, which stays."""
        from bayes_causal.numerics.state_space import Part

        noises = tuple((k, s.name, s.relative) for k, s in enumerate((self.scale, self.slope_scale)))
        phi = self.persistence.name
        entries = ((1, 1, phi, 1.0), (1, 2, phi, -1.0))
        return Part(self.name, ((1.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.0, 0.0, 1.0)), noises, entries, ((2, "slope_mean"),))

    def loading(self, rows: int) -> np.ndarray:
        """The level alone is seen."""
        return np.tile([1.0, 0.0, 0.0], (rows, 1))

    def advance(self, rows: int) -> np.ndarray:
        """Always."""
        return np.ones(rows)

    def numpyro(self, rows: int, sigma: Any) -> Any:
        """Cumulative sums of slopes, themselves decaying sums."""
        import jax.numpy as jnp
        from numpyro import sample
        from numpyro.distributions import Normal

        sd, slope_sd, phi = self.scale.numpyro(sigma), self.slope_scale.numpyro(sigma), self.persistence.numpyro()
        first = sample("level_first", Normal(0.0, self.initial_sd))
        step = sample("level_step", Normal(0.0, 1.0).expand([rows - 1]).to_event(1))
        mean = sample("slope_mean", Normal(0.0, self.mean_sd))
        slope_first = sample("slope_first", Normal(0.0, self.slope_sd))
        slope_step = sample("slope_step", Normal(0.0, 1.0).expand([rows - 1]).to_event(1))
        away = jnp.concatenate([(slope_first - mean)[None], slope_sd * slope_step[:-1]])
        slope = mean + autoregression.decaying_sum(away, phi, rows - 1, jnp)
        return first + jnp.concatenate([jnp.zeros(1), jnp.cumsum(slope + sd * step)])

    def pymc(self, rows: int, sigma: Any) -> Any:
        """Cumulative sums of slopes, themselves decaying sums."""
        import pymc as pm
        import pytensor.tensor as pt

        sd, slope_sd, phi = self.scale.pymc(sigma), self.slope_scale.pymc(sigma), self.persistence.pymc()
        first = pm.Normal("level_first", 0.0, np.float64(self.initial_sd))
        step = pm.Normal("level_step", 0.0, 1.0, dims="step")
        mean = pm.Normal("slope_mean", 0.0, np.float64(self.mean_sd))
        slope_first = pm.Normal("slope_first", 0.0, np.float64(self.slope_sd))
        slope_step = pm.Normal("slope_step", 0.0, 1.0, dims="step")
        away = pt.concatenate([(slope_first - mean)[None], slope_sd * slope_step[:-1]])
        slope = mean + autoregression.decaying_sum(away, phi, rows - 1, pt)
        return first + pt.concatenate([pt.zeros(1), pt.cumsum(slope + sd * step)])

    def named(self, sites: Mapping[str, np.ndarray], unit: float) -> dict[str, np.ndarray]:
        """Sds of innovations, φ, and D per row."""
        return in_units(self.scales, sites, unit) | {"slope_mean": sites["slope_mean"] * unit}

    def path(self, sites: Mapping[str, np.ndarray], rows: int, rng: np.random.Generator) -> np.ndarray:
        """The level, innovations beyond the twin's drawn anew."""
        step = extended(sites["level_step"], rows - 1, rng) * self.scale.sd(sites)[..., None]
        turn = extended(sites["slope_step"], rows - 1, rng) * self.slope_scale.sd(sites)[..., None]
        mean, phi = (sites[k][..., None] for k in ("slope_mean", self.persistence.name))
        away = np.concatenate([sites["slope_first"][..., None] - mean, turn[..., :-1]], -1)
        slope = mean + autoregression.decaying_sum(away, phi, rows - 1, np)
        return sites["level_first"][..., None] + from_zero(np.cumsum(slope + step, -1))
