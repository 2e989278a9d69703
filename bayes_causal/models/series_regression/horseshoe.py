"""Coefficients each of its own scale, small but for a few."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bayes_causal.models.series_design import SeriesDesign
from bayes_causal.models.series_regression.regression import Sites, one_model

if TYPE_CHECKING:
    from bayes_causal.numerics.coefficient_priors import CoefficientPrior


@dataclass(frozen=True)
class Horseshoe:
    """β_j ~ N(0, σ τ λ_j/√N), λ_j ~ C⁺(0, 1), τ ~ C⁺(0, scale); N fitted rows (Carvalho, Polson & Scott 2010).

    σ/√N is about the standard error of a coefficient had the errors been independent, so that κ_j = 1/(1 + τ²λ_j²) is the share
    by which an estimate is shrunk to 0, and a scale of m/(p − m) expects m columns that are not (Piironen & Vehtari 2017,
    doi:10.1214/17-EJS1337SI; Carvalho et al., doi:10.1093/biomet/asq017). Their slab for the largest coefficients is left out:
    it matters where data say little of a coefficient, and it would take λ its exact conditional.
    """

    scale: float
    names: ClassVar[tuple[str, ...]] = ("horseshoe",)
    selection: ClassVar[bool] = False
    no_collapsed_form: ClassVar[str] = "a horseshoe has a scale for each coefficient, which no normal integral removes"

    def hypers(self) -> tuple[Any, ...]:
        """τ."""
        from bayes_causal.numerics.linear_gaussian import Hyper

        return (Hyper("horseshoe", "half_cauchy", self.scale),)

    def numpyro(self, sigma: Any, d: SeriesDesign) -> Any:
        """Standard normals times their scales."""
        from numpyro import sample
        from numpyro.distributions import HalfCauchy, Normal

        p = d.candidates.shape[1]
        tau = sample("horseshoe", HalfCauchy(self.scale))
        local = sample("local", HalfCauchy(1.0).expand([p]).to_event(1))
        unit = sample("beta_unit", Normal(0.0, 1.0).expand([p]).to_event(1))
        return d.candidates[: d.span] @ (sigma * tau * local * unit / np.sqrt(d.fitted_rows.size))

    def pymc(self, sigma: Any, d: SeriesDesign) -> Any:
        """Standard normals times their scales."""
        import pymc as pm
        import pytensor.tensor as pt

        tau = pm.HalfCauchy("horseshoe", np.float64(self.scale))
        local = pm.HalfCauchy("local", np.float64(1.0), dims="candidate")
        unit = pm.Normal("beta_unit", 0.0, 1.0, dims="candidate")
        return pt.dot(d.candidates[: d.span], sigma * tau * local * unit / np.sqrt(d.fitted_rows.size))

    def sums(self, d: SeriesDesign) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One model."""
        return one_model(d)

    def sweeps(self) -> CoefficientPrior:
        """β and λ."""
        from bayes_causal.numerics.coefficient_priors import Horseshoe as HorseshoePrior

        return HorseshoePrior("horseshoe")

    def coefficients(self, sites: Sites, d: SeriesDesign) -> np.ndarray | None:
        """β, drawn or made of the twin's sites."""
        if "beta" in sites:
            return np.asarray(sites["beta"])
        scale = sites["sigma"] * sites["horseshoe"] / np.sqrt(d.fitted_rows.size)
        return np.asarray(scale[..., None] * sites["local"] * sites["beta_unit"])

    def named(self, sites: Sites) -> dict[str, np.ndarray]:
        """How far each coefficient is shrunk to 0, and τ."""
        kappa = 1 / (1 + (sites["horseshoe"][..., None] * sites["local"]) ** 2)
        return {"shrinkage": kappa, "horseshoe": sites["horseshoe"]}
