"""The linear predictor of difference-in-differences, said twice: η_it = α_i + γ_t + x_it'β + effect_it (+ v_i D_it).

Whatever the family of the outcome, its mean is a function of η. Site names and priors are those of `HierarchicalDiD`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.models.did_effects import EffectStructure
from bayes_causal.models.panel_design import PanelDesign

if TYPE_CHECKING:
    from bayes_causal.models.did_priors import Priors

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Predictor:
    """One linear predictor. N rows, U units, T times, K effect columns.

    Parameters
    ----------
    design : rows and columns
    structure : how the effect varies
    walk : time effects are a random walk
    ever : (U,) units ever treated, each with a slope of its own; None where slopes do not vary
    flat : share of the flat priors' sds that is used: they are stated for standardised outcomes
    terms : dim of the unit-level terms
    """

    design: PanelDesign
    structure: EffectStructure
    walk: bool
    ever: np.ndarray | None = None
    flat: float = 1.0
    terms: str = "unit_term"

    def numpyro(self, p: Priors) -> Any:
        """(N,) η, its sites sampled in NumPyro."""
        import jax.numpy as jnp
        from numpyro import sample
        from numpyro.distributions import HalfNormal, Normal

        d = self.design
        n_terms, n_covariates, n_contrasts = d.unit_terms.shape[1], d.covariates.shape[1], d.n_times - 1
        a = sample("intercept", Normal(0.0, self.flat * p.intercept))
        delta = sample("delta", Normal(0.0, p.slope).expand([n_terms]).to_event(1)) if n_terms else jnp.zeros(0)
        sigma_unit = sample("sigma_unit", HalfNormal(p.sigma_unit))
        alpha = sample("alpha", Normal(a + d.unit_terms @ delta, sigma_unit).to_event(1))
        if self.walk:
            step = sample("step_time", HalfNormal(p.step_time))
            offset = sample("time_offset", Normal(0.0, 1.0).expand([n_contrasts]).to_event(1))
            gamma = jnp.concatenate([jnp.zeros(1), step * jnp.cumsum(offset)])
        else:
            gamma = d.contrasts @ sample("time_contrast", Normal(0.0, self.flat * p.time).expand([n_contrasts]).to_event(1))
        base = (alpha[:, None] + gamma).ravel() if d.grid else alpha[d.unit] + gamma[d.time]
        eta = base + d.effect @ self.structure.numpyro(p)
        if n_covariates:
            eta = eta + d.covariates @ sample("beta", Normal(0.0, p.slope).expand([n_covariates]).to_event(1))
        if self.ever is not None:
            sigma_slope = sample("sigma_slope", HalfNormal(p.sigma_slope))
            z = sample("slope_offset", Normal(0.0, 1.0).expand([int(self.ever.sum())]).to_event(1))
            eta = eta + d.active * (sigma_slope * z)[self.slope_of_row]
        return eta

    def pymc(self, p: Priors) -> Any:
        """(N,) η, its sites sampled in PyMC."""
        import pymc as pm
        import pytensor.tensor as pt

        d = self.design
        n_terms, n_covariates, n_contrasts = d.unit_terms.shape[1], d.covariates.shape[1], d.n_times - 1
        a = pm.Normal("intercept", 0.0, self.flat * p.intercept)
        delta = pm.Normal("delta", 0.0, p.slope, dims=self.terms) if n_terms else pt.zeros(0)
        sigma_unit = pm.HalfNormal("sigma_unit", p.sigma_unit)
        alpha = pm.Normal("alpha", a + d.unit_terms @ delta, sigma_unit, dims="unit")
        if self.walk:
            step = pm.HalfNormal("step_time", p.step_time)
            offset = pm.Normal("time_offset", 0.0, 1.0, shape=n_contrasts, dims="contrast")
            gamma = pt.concatenate([pt.zeros(1), step * pt.cumsum(offset)])
        else:
            gamma = d.contrasts @ pm.Normal("time_contrast", 0.0, self.flat * p.time, shape=n_contrasts, dims="contrast")
        base = (alpha[:, None] + gamma).ravel() if d.grid else alpha[d.unit] + gamma[d.time]
        eta = base + d.effect @ self.structure.pymc(p)
        if n_covariates:
            eta = eta + d.covariates @ pm.Normal("beta", 0.0, p.slope, dims="covariate")
        if self.ever is not None:
            sigma_slope = pm.HalfNormal("sigma_slope", p.sigma_slope)
            z = pm.Normal("slope_offset", 0.0, 1.0, dims="treated_unit")
            eta = eta + d.active * (sigma_slope * z)[self.slope_of_row]
        return eta

    @property
    def slope_of_row(self) -> np.ndarray:
        """(N,) position of each row's unit among the units ever treated; any, where it is never treated."""
        assert self.ever is not None
        return np.maximum(np.cumsum(self.ever) - 1, 0)[self.design.unit]

    def natural(self, sites: Arrays) -> dict[str, np.ndarray]:
        """Reported quantities in units of η."""
        d, s = self.design, self.design.scale
        named = self.structure.natural(sites, s)
        named["coefficient"] = self.structure.coefficients(sites) * s
        named["sigma_unit"] = sites["sigma_unit"] * s
        named |= {"beta": sites["beta"] * s / d.covariate_scale} if "beta" in sites else {}
        named |= {"step_time": sites["step_time"] * s} if "step_time" in sites else {}
        named |= {"alpha": sites["alpha"] * s + d.center} if "alpha" in sites else {}
        named |= {"delta": sites["delta"] * s} if "delta" in sites else {}
        named |= {"sigma_slope": sites["sigma_slope"] * s} if "sigma_slope" in sites else {}
        named |= {"slope": sites["sigma_slope"][..., None] * sites["slope_offset"] * s} if "slope_offset" in sites else {}
        return named | {"gamma": self._gamma(sites) * s, "intercept": sites["intercept"] * s + d.center}

    def _gamma(self, sites: Arrays) -> np.ndarray:
        if "time_contrast" in sites:
            return sites["time_contrast"] @ self.design.contrasts.T
        walk = sites["step_time"][..., None] * np.cumsum(sites["time_offset"], -1)
        return np.concatenate([np.zeros_like(walk[..., :1]), walk], -1)
