"""Coefficients that wander."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.models.series_parts.part import extended, in_units, padded_rows
from bayes_causal.models.series_scales import Scale

if TYPE_CHECKING:
    from bayes_causal.numerics.state_space import Part


@dataclass(frozen=True, eq=False)
class Dynamic:
    """Coefficients that wander: d_{j,t+1} = d_jt + η_jt.

    From 0 and with one sd for all, beside the coefficients that stay; or, as in R, from a normal and each with an sd of its own,
    and nothing beside them.

    Parameters
    ----------
    scales : of every η, one for all or one a control
    controls : (T, k)
    control_scale : (k,) units of each control
    initial_sd : (k,) of d_j1, or zeros
    """

    scales: tuple[Scale, ...]
    controls: np.ndarray
    control_scale: np.ndarray
    initial_sd: np.ndarray
    name: str = "dynamic"

    @property
    def first_sd(self) -> np.ndarray:
        """(k,)."""
        return self.initial_sd

    def part(self) -> Part:
        """A state a control."""
        from bayes_causal.numerics.state_space import Part

        k = self.controls.shape[1]
        scales = self.scales if len(self.scales) == k else self.scales * k
        noises = tuple((j, s.name, s.relative) for j, s in enumerate(scales))
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
        sd = jnp.stack([scale.numpyro(sigma) for scale in self.scales])
        first = sample("dynamic_first", Normal(0.0, self.initial_sd).to_event(1)) if self.initial_sd.any() else 0.0
        step = sample("dynamic_step", Normal(0.0, 1.0).expand([rows - 1, k]).to_event(2))
        walk = first + sd * jnp.concatenate([jnp.zeros((1, k)), jnp.cumsum(step, 0)])
        return jnp.sum(walk * self.controls[:rows], 1)

    def pymc(self, rows: int, sigma: Any) -> Any:
        """Cumulative sums times controls."""
        import pymc as pm
        import pytensor.tensor as pt

        k = self.controls.shape[1]
        sd = pt.stack([scale.pymc(sigma) for scale in self.scales])
        first = pm.Normal("dynamic_first", 0.0, self.initial_sd, dims="control") if self.initial_sd.any() else 0.0
        step = pm.Normal("dynamic_step", 0.0, 1.0, dims=("step", "control"))
        walk = first + sd * pt.concatenate([pt.zeros((1, k)), pt.cumsum(step, axis=0)])
        return pt.sum(walk * self.controls[:rows], axis=1)

    def named(self, sites: Mapping[str, np.ndarray], unit: float) -> dict[str, np.ndarray]:
        """One ratio, or the sd of each coefficient per row, in units of the outcome per unit of its control."""
        if len(self.scales) == 1 and self.scales[0].relative:
            return in_units(self.scales, sites, unit)
        return {"sigma_dynamic": np.stack([sites[s.name] for s in self.scales], -1) * unit / self.control_scale}

    def path(self, sites: Mapping[str, np.ndarray], rows: int, rng: np.random.Generator) -> np.ndarray:
        """What wandering adds, innovations beyond the twin's drawn anew."""
        step = np.swapaxes(extended(np.swapaxes(sites["dynamic_step"], -1, -2), rows - 1, rng), -1, -2)
        walk = np.cumsum(step, -2)
        walk = np.concatenate([np.zeros_like(walk[..., :1, :]), walk], -2)
        sd = np.stack([scale.sd(sites) for scale in self.scales], -1)
        first = sites["dynamic_first"][..., None, :] if self.initial_sd.any() else 0.0
        return np.asarray(((first + sd[..., None, :] * walk) * self.controls[:rows]).sum(-1))
