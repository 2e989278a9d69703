"""Coefficients that are there or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bayes_causal.models.series_design import SeriesDesign
from bayes_causal.models.series_regression.regression import Sites
from bayes_causal.numerics.subsets import members

if TYPE_CHECKING:
    from bayes_causal.numerics.coefficient_priors import CoefficientPrior

MOST_ENUMERATED = 12


@dataclass(frozen=True)
class SpikeSlab:
    """γ_j ~ Bernoulli(inclusion), β_γ ~ N(0, σ² (Ω⁻¹_γγ)⁻¹), Ω⁻¹ = observations · information; all in at inclusion 1.

    Parameters
    ----------
    columns : p
    observations : what the slab is worth
    inclusion : prior probability of each column
    """

    columns: int
    observations: float
    inclusion: float
    names: ClassVar[tuple[str, ...]] = ()

    @property
    def selection(self) -> bool:
        """Whether there is more than one sub-model."""
        return self.inclusion < 1.0

    @property
    def no_collapsed_form(self) -> str | None:
        """Their number."""
        many = self.selection and self.columns > MOST_ENUMERATED
        return f"2^{self.columns} sub-models are too many to sum over" if many else None

    def hypers(self) -> tuple[Any, ...]:
        """None."""
        return ()

    def numpyro(self, sigma: Any, d: SeriesDesign) -> Any:
        """Columns left out keep a normal of their own, which no data inform: the dimension stays the same."""
        import jax.numpy as jnp
        from numpyro import sample
        from numpyro.distributions import Bernoulli, MultivariateNormal

        p = d.candidates.shape[1]
        taken = sample("include", Bernoulli(self.inclusion).expand([p]).to_event(1)) if self.selection else jnp.ones(p)
        both = taken[:, None] * taken + jnp.diag(1 - taken)
        beta = sample("beta", MultivariateNormal(jnp.zeros(p), precision_matrix=self.slab(d) * both / sigma**2))
        return d.candidates[: d.span] @ (taken * beta)

    def pymc(self, sigma: Any, d: SeriesDesign) -> Any:
        """Columns left out keep a normal of their own, which no data inform: the dimension stays the same."""
        import pymc as pm
        import pytensor.tensor as pt

        p = d.candidates.shape[1]
        taken = pm.Bernoulli("include", np.float64(self.inclusion), dims="candidate") if self.selection else pt.ones(p)
        both = taken[:, None] * taken + pt.diag(1 - taken)
        beta = pm.MvNormal("beta", pt.zeros(p), tau=self.slab(d) * both / sigma**2, dims="candidate")
        return pt.dot(d.candidates[: d.span], taken * beta)

    def sums(self, d: SeriesDesign) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ω⁻¹; every sub-model where they are few enough; the same odds for all."""
        p, slab = self.columns, self.slab(d)
        log_in, log_out = (np.log(self.inclusion), np.log1p(-self.inclusion)) if self.selection else (0.0, 0.0)
        if self.no_collapsed_form:
            return slab, np.zeros(1), np.full(p, log_in - log_out)
        chosen = members(p) if self.selection else np.ones((1, p), int)
        # A column left out stands as one of the unit matrix.
        blocks = slab * chosen[:, :, None] * chosen[:, None, :] + np.eye(p) * (1 - chosen[:, None, :])
        size = chosen.sum(1)
        return slab, np.linalg.slogdet(blocks)[1] / 2 + size * log_in + (p - size) * log_out, np.full(p, log_in - log_out)

    def slab(self, d: SeriesDesign) -> np.ndarray:
        """Ω⁻¹."""
        return np.asarray(self.observations * d.information)

    def sweeps(self) -> CoefficientPrior:
        """Columns one after another."""
        from bayes_causal.numerics.coefficient_priors import SpikeAndSlab

        return SpikeAndSlab(self.selection)

    def coefficients(self, sites: Sites, d: SeriesDesign) -> np.ndarray | None:
        """β γ."""
        return np.asarray(sites["beta"] * sites["include"] if self.selection else sites["beta"])

    def named(self, sites: Sites) -> dict[str, np.ndarray]:
        """Which columns are in."""
        return {"inclusion": np.asarray(sites["include"] if self.selection else np.ones_like(sites["beta"]), float)}
