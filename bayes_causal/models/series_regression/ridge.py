"""Coefficients of one sd."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bayes_causal.models.series_design import SeriesDesign
from bayes_causal.models.series_regression.regression import Sites, one_model

if TYPE_CHECKING:
    from bayes_causal.numerics.coefficient_priors import CoefficientPrior


@dataclass(frozen=True)
class Ridge:
    """β_j ~ N(0, ridge), ridge ~ HalfNormal(scale)."""

    scale: float
    names: ClassVar[tuple[str, ...]] = ("ridge",)
    selection: ClassVar[bool] = False
    no_collapsed_form: ClassVar[None] = None

    def hypers(self) -> tuple[Any, ...]:
        """The common sd."""
        from bayes_causal.numerics.linear_gaussian import Hyper

        return (Hyper("ridge", "half_normal", self.scale),)

    def numpyro(self, sigma: Any, d: SeriesDesign) -> Any:
        """Coefficients of one sd."""
        from numpyro import sample
        from numpyro.distributions import HalfNormal, Normal

        ridge = sample("ridge", HalfNormal(self.scale))
        return d.candidates[: d.span] @ sample("beta", Normal(0.0, ridge).expand([d.candidates.shape[1]]).to_event(1))

    def pymc(self, sigma: Any, d: SeriesDesign) -> Any:
        """Coefficients of one sd."""
        import pymc as pm
        import pytensor.tensor as pt

        ridge = pm.HalfNormal("ridge", np.float64(self.scale))
        return pt.dot(d.candidates[: d.span], pm.Normal("beta", 0.0, ridge, dims="candidate"))

    def sums(self, d: SeriesDesign) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One model."""
        return one_model(d)

    def sweeps(self) -> CoefficientPrior:
        """Nothing but β."""
        from bayes_causal.numerics.coefficient_priors import Ridge as RidgePrior

        return RidgePrior("ridge")

    def coefficients(self, sites: Sites, d: SeriesDesign) -> np.ndarray | None:
        """β."""
        return np.asarray(sites["beta"])

    def named(self, sites: Sites) -> dict[str, np.ndarray]:
        """Every column in, and the common sd."""
        return {"inclusion": np.ones_like(sites["beta"]), "ridge": sites["ridge"]}
