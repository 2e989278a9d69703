"""Seasons whose effects change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.models.series_parts.part import extended, in_units
from bayes_causal.models.series_scales import Scale

if TYPE_CHECKING:
    from bayes_causal.numerics.state_space import Part


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

    def named(self, sites: Mapping[str, np.ndarray], unit: float) -> dict[str, np.ndarray]:
        """Sds of innovations."""
        return in_units(self.scales, sites, unit)

    def path(self, sites: Mapping[str, np.ndarray], rows: int, rng: np.random.Generator) -> np.ndarray:
        """The effects, innovations beyond the twin's drawn anew."""
        first_map, step_map = self.maps(rows)
        step = extended(sites[f"{self.name}_step"], step_map.shape[1], rng)
        return sites[f"{self.name}_first"] @ first_map.T + self.scale.sd(sites)[..., None] * (step @ step_map.T)
