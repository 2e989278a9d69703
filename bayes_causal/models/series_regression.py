"""Regressions of a series on its controls: what the twins, the collapsed form, the sweeps and the report need of each prior."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from bayes_causal.models.series_design import SeriesDesign
from bayes_causal.numerics.subsets import members

if TYPE_CHECKING:
    from bayes_causal.numerics.coefficient_priors import CoefficientPrior

Sites = Mapping[str, np.ndarray]
MOST_ENUMERATED = 12


class SeriesRegression(Protocol):
    """A prior of the (p,) coefficients β of the candidate columns."""

    @property
    def names(self) -> tuple[str, ...]:
        """Its scale among the hyperparameters, if there is one: a site with a top-level prior."""
        ...

    @property
    def selection(self) -> bool:
        """Whether columns come and go."""
        ...

    @property
    def no_collapsed_form(self) -> str | None:
        """Why β and what its prior holds cannot be integrated out; None where they can."""
        ...

    def hypers(self) -> tuple[Any, ...]:
        """Its scale as a hyperparameter."""
        ...

    def numpyro(self, sigma: Any, d: SeriesDesign) -> Any:
        """What it adds to the mean of the rows of the span, in NumPyro."""
        ...

    def pymc(self, sigma: Any, d: SeriesDesign) -> Any:
        """What it adds to the mean of the rows of the span, in PyMC."""
        ...

    def sums(self, d: SeriesDesign) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What the forms take of it.

        Returns
        -------
        slab : (p, p) precision of β in units of 1/σ², the unit matrix where its scale is not known
        log_prior : (G,) log p(γ) + ½ log |slab_γγ| of the sub-models that are summed over, or one 0
        log_odds : (p,) of the prior probability that a column is in, 0 without selection
        """
        ...

    def sweeps(self) -> CoefficientPrior:
        """Its part in a sweep."""
        ...

    def coefficients(self, sites: Sites, d: SeriesDesign) -> np.ndarray | None:
        """(..., p) β, 0 where a column is left out; None without controls."""
        ...

    def named(self, sites: Sites) -> dict[str, np.ndarray]:
        """What is reported of it besides β: (..., p) where it is of each column."""
        ...


@dataclass(frozen=True)
class NoRegression:
    """No controls."""

    names: ClassVar[tuple[str, ...]] = ()
    selection: ClassVar[bool] = False
    no_collapsed_form: ClassVar[None] = None

    def hypers(self) -> tuple[Any, ...]:
        """None."""
        return ()

    def numpyro(self, sigma: Any, d: SeriesDesign) -> Any:
        """Nothing."""
        return 0.0

    def pymc(self, sigma: Any, d: SeriesDesign) -> Any:
        """Nothing."""
        return 0.0

    def sums(self, d: SeriesDesign) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One model."""
        return _one_model(d)

    def sweeps(self) -> CoefficientPrior:
        """Nothing to draw."""
        from bayes_causal.numerics.coefficient_priors import SpikeAndSlab

        return SpikeAndSlab(False)

    def coefficients(self, sites: Sites, d: SeriesDesign) -> np.ndarray | None:
        """None."""
        return None

    def named(self, sites: Sites) -> dict[str, np.ndarray]:
        """Nothing."""
        return {}


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
        return _one_model(d)

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
        return _one_model(d)

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


def _one_model(d: SeriesDesign) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    p = d.candidates.shape[1]
    return np.eye(p), np.zeros(1), np.zeros(p)
