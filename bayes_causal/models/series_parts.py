"""The components of a structural time series: what a state space, both twins and a forecast need of each.

Twins write states as cumulative sums of scaled innovations, never as a recursion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from bayes_causal.models.series_scales import Scale

if TYPE_CHECKING:
    from bayes_causal.numerics.state_space import Part


class SeriesPart(Protocol):
    """One component over n rows."""

    @property
    def name(self) -> str:
        """Its site in the posterior: what it adds to the outcome."""
        ...

    @property
    def scales(self) -> tuple[Scale, ...]:
        """Sds of its innovations."""
        ...

    @property
    def first_sd(self) -> np.ndarray:
        """(m,) prior sds of its initial states, of mean 0."""
        ...

    def part(self) -> Part:
        """Its transition, for the filter."""
        ...

    def loading(self, rows: int) -> np.ndarray:
        """(rows, m) of its states."""
        ...

    def advance(self, rows: int) -> np.ndarray:
        """(rows,) whether its states move on after the row."""
        ...

    def numpyro(self, rows: int, sigma: Any) -> Any:
        """(rows,) what it adds, in NumPyro."""
        ...

    def pymc(self, rows: int, sigma: Any) -> Any:
        """(rows,) what it adds, in PyMC."""
        ...

    def path(self, sites: Mapping[str, np.ndarray], rows: int, rng: np.random.Generator) -> np.ndarray:
        """(..., rows) what it adds, from the sites of a twin with fewer rows; later innovations are drawn."""
        ...


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

    def path(self, sites: Mapping[str, np.ndarray], rows: int, rng: np.random.Generator) -> np.ndarray:
        """The level, innovations beyond the twin's drawn anew."""
        step = _extended(sites["level_step"], rows - 1, rng) * self.scale.sd(sites)[..., None]
        return sites["level_first"][..., None] + _from_zero(np.cumsum(step, -1))


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

    def path(self, sites: Mapping[str, np.ndarray], rows: int, rng: np.random.Generator) -> np.ndarray:
        """The level, innovations beyond the twin's drawn anew."""
        step = _extended(sites["level_step"], rows - 1, rng) * self.scale.sd(sites)[..., None]
        turn = _extended(sites["slope_step"], rows - 1, rng) * self.slope_scale.sd(sites)[..., None]
        slope = sites["slope_first"][..., None] + _from_zero(np.cumsum(turn, -1))[..., :-1]
        return sites["level_first"][..., None] + _from_zero(np.cumsum(slope + step, -1))


@dataclass(frozen=True)
class Seasonal:
    """The effects of `period` seasons sum to a N(0, sd) innovation; a season lasts `duration` rows."""

    scale: Scale
    period: int
    duration: int
    initial_sd: float

    @property
    def name(self) -> str:
        """Seasons and their length."""
        return f"seasonal_{self.period}" + (f"x{self.duration}" if self.duration > 1 else "")

    @property
    def scales(self) -> tuple[Scale, ...]:
        """Of the innovation."""
        return (self.scale,)

    @property
    def first_sd(self) -> np.ndarray:
        """(period − 1,)."""
        return np.full(self.period - 1, self.initial_sd)

    def part(self) -> Part:
        """The latest period − 1 effects."""
        from bayes_causal.numerics.state_space import Part

        m = self.period - 1
        rows = np.vstack([-np.ones(m), np.eye(m)[:-1]])
        return Part(self.name, tuple(map(tuple, rows.tolist())), ((0, self.scale.name, self.scale.relative),))

    def loading(self, rows: int) -> np.ndarray:
        """The current effect."""
        return np.tile(np.eye(self.period - 1)[0], (rows, 1))

    def advance(self, rows: int) -> np.ndarray:
        """After the last row of a season."""
        return ((np.arange(rows) + 1) % self.duration == 0).astype(float)

    def maps(self, rows: int) -> tuple[np.ndarray, np.ndarray]:
        """(rows, period − 1) and (rows, seasons − 1): the effects as sums of initial states and of innovations."""
        m, seasons = self.period - 1, -(-rows // self.duration)
        states = np.zeros((m, m + seasons - 1))
        states[:, :m] = np.eye(m)
        found = np.zeros((seasons, m + seasons - 1))
        for j in range(seasons):
            found[j] = states[0]
            states = np.vstack([-states.sum(0), states[:-1]])
            if j < seasons - 1:
                states[0, m + j] += 1.0
        by_row = np.repeat(found, self.duration, axis=0)[:rows]
        return by_row[:, :m], by_row[:, m:]

    def numpyro(self, rows: int, sigma: Any) -> Any:
        """Sums of initial effects and innovations."""
        from numpyro import sample
        from numpyro.distributions import Normal

        first_map, step_map = self.maps(rows)
        sd = self.scale.numpyro(sigma)
        first = sample(f"{self.name}_first", Normal(0.0, self.initial_sd).expand([self.period - 1]).to_event(1))
        step = sample(f"{self.name}_step", Normal(0.0, 1.0).expand([step_map.shape[1]]).to_event(1))
        return first_map @ first + sd * (step_map @ step)

    def pymc(self, rows: int, sigma: Any) -> Any:
        """Sums of initial effects and innovations."""
        import pymc as pm
        import pytensor.tensor as pt

        first_map, step_map = self.maps(rows)
        sd = self.scale.pymc(sigma)
        first = pm.Normal(f"{self.name}_first", 0.0, np.float64(self.initial_sd), shape=self.period - 1)
        step = pm.Normal(f"{self.name}_step", 0.0, 1.0, shape=step_map.shape[1])
        return pt.dot(first_map, first) + sd * pt.dot(step_map, step)

    def path(self, sites: Mapping[str, np.ndarray], rows: int, rng: np.random.Generator) -> np.ndarray:
        """The effects, innovations beyond the twin's drawn anew."""
        first_map, step_map = self.maps(rows)
        step = _extended(sites[f"{self.name}_step"], step_map.shape[1], rng)
        return sites[f"{self.name}_first"] @ first_map.T + self.scale.sd(sites)[..., None] * (step @ step_map.T)


@dataclass(frozen=True, eq=False)
class Dynamic:
    """Coefficients that wander: d_{j,t+1} = d_jt + η_jt from 0, one sd for all, beside the coefficients that stay."""

    scale: Scale
    controls: np.ndarray
    name: str = "dynamic"

    @property
    def scales(self) -> tuple[Scale, ...]:
        """Of every η."""
        return (self.scale,)

    @property
    def first_sd(self) -> np.ndarray:
        """(k,) zeros."""
        return np.zeros(self.controls.shape[1])

    def part(self) -> Part:
        """A state a control."""
        from bayes_causal.numerics.state_space import Part

        k = self.controls.shape[1]
        noises = tuple((j, self.scale.name, self.scale.relative) for j in range(k))
        return Part(self.name, tuple(map(tuple, np.eye(k).tolist())), noises)

    def loading(self, rows: int) -> np.ndarray:
        """The controls."""
        return _padded(self.controls, rows)

    def advance(self, rows: int) -> np.ndarray:
        """Always."""
        return np.ones(rows)

    def numpyro(self, rows: int, sigma: Any) -> Any:
        """Cumulative sums times controls."""
        import jax.numpy as jnp
        from numpyro import sample
        from numpyro.distributions import Normal

        k = self.controls.shape[1]
        sd = self.scale.numpyro(sigma)
        step = sample("dynamic_step", Normal(0.0, 1.0).expand([rows - 1, k]).to_event(2))
        walk = jnp.concatenate([jnp.zeros((1, k)), jnp.cumsum(step, 0)])
        return sd * jnp.sum(walk * self.controls[:rows], 1)

    def pymc(self, rows: int, sigma: Any) -> Any:
        """Cumulative sums times controls."""
        import pymc as pm
        import pytensor.tensor as pt

        k = self.controls.shape[1]
        sd = self.scale.pymc(sigma)
        step = pm.Normal("dynamic_step", 0.0, 1.0, dims=("step", "control"))
        walk = pt.concatenate([pt.zeros((1, k)), pt.cumsum(step, axis=0)])
        return sd * pt.sum(walk * self.controls[:rows], axis=1)

    def path(self, sites: Mapping[str, np.ndarray], rows: int, rng: np.random.Generator) -> np.ndarray:
        """What wandering adds, innovations beyond the twin's drawn anew."""
        step = np.swapaxes(_extended(np.swapaxes(sites["dynamic_step"], -1, -2), rows - 1, rng), -1, -2)
        walk = np.cumsum(step, -2)
        walk = np.concatenate([np.zeros_like(walk[..., :1, :]), walk], -2)
        return self.scale.sd(sites)[..., None] * (walk * self.controls[:rows]).sum(-1)


def _extended(step: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """(..., size) innovations: those given, and fresh ones after them."""
    fresh = rng.standard_normal((*step.shape[:-1], max(0, size - step.shape[-1])))
    return np.concatenate([step[..., :size], fresh], -1)


def _from_zero(x: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros_like(x[..., :1]), x], -1)


def _padded(x: np.ndarray, rows: int) -> np.ndarray:
    return np.concatenate([x, np.zeros((max(0, rows - len(x)), x.shape[1]))])[:rows]
