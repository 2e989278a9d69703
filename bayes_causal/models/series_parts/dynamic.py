"""Coefficients that wander."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.models.series_parts.part import extended, padded_rows
from bayes_causal.models.series_scales import Scale

if TYPE_CHECKING:
    from bayes_causal.numerics.state_space import Part


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
        return padded_rows(self.controls, rows)

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
        step = np.swapaxes(extended(np.swapaxes(sites["dynamic_step"], -1, -2), rows - 1, rng), -1, -2)
        walk = np.cumsum(step, -2)
        walk = np.concatenate([np.zeros_like(walk[..., :1, :]), walk], -2)
        return self.scale.sd(sites)[..., None] * (walk * self.controls[:rows]).sum(-1)
