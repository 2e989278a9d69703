"""Weights none of which is negative, together one, of a concentration that is learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import xarray as xr

from bayes_causal.models.donor_design import DonorDesign
from bayes_causal.models.donor_traits import traits_numpyro, traits_pymc
from bayes_causal.models.donor_weights.weights import Settings, Sites, no_factors, row_sums, weighted

if TYPE_CHECKING:
    from bayes_causal.numerics.simplex import Exchange, ExchangeSums

FEWEST_MOVES = 2


@dataclass(frozen=True)
class Simplex:
    """w ~ Dirichlet(α, …, α), log α ~ U(log low, log high): how many donors share the weight is learned through α."""

    settings: Settings
    averages: ClassVar[bool] = True
    gaps: ClassVar[bool] = False
    why_gibbs: ClassVar[str] = "weights move between pairs of donors, whose conditional is known"
    warmup: ClassVar[int] = 100  # 16 chains of 250 draws with 38 donors: R-hat 1.005 with ar1

    @classmethod
    def problems(cls, options: Mapping[str, Any]) -> list[str]:
        """A number of factors, and ends of the concentration that are none."""
        low, high = options["priors"].concentration_low, options["priors"].concentration_high
        wrong = f"the prior of the concentration runs from {low:g} to {high:g}: two positive numbers, the lower first"
        return no_factors(options) + ([] if 0 < low < high else [wrong])

    def settled(self, d: DonorDesign) -> Simplex:
        """Itself."""
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Log α."""
        return ("log_concentration",)

    @property
    def log_range(self) -> tuple[float, float]:
        """Ends of the prior of log α."""
        return log_range(self.settings.priors)

    def dims(self) -> dict[str, tuple[str, ...]]:
        """A weight a donor; predictors of the weighted donors, where there are any."""
        return {"weight": ("donor",), "predictor_mean": ("predictor",), "predictor_y": ("predictor",)}

    def numpyro(self, d: DonorDesign) -> Any:
        """The donors, weighted."""
        mean = average_numpyro(_matched(d), self.log_range)
        if d.traits:
            traits_numpyro(mean[d.span :], d.traits, self.settings.priors.predictor)
        return lambda sigma: mean[: d.span]

    def pymc(self, d: DonorDesign) -> Any:
        """The donors, weighted."""
        mean = average_pymc(_matched(d), self.log_range, "donor")
        if d.traits:
            traits_pymc(mean[d.span :], d.traits, self.settings.priors.predictor)
        return lambda sigma: mean[: d.span]

    def sums(self, d: DonorDesign, outcome: np.ndarray | None = None, gaps: Sequence[int] | None = None) -> ExchangeSums:
        """Products of donors and outcome."""
        from bayes_causal.numerics.simplex import exchange_sums

        traits = d.traits.sums(self.settings.priors.predictor) if d.traits else None
        return exchange_sums(row_sums(self.settings, d, d.x, outcome, gaps), self.log_range, traits=traits)

    def form(self, sums: ExchangeSums) -> Exchange:
        """Exchanges between pairs of donors, then the concentration, σ and ρ; the intercept integrated out."""
        return exchange(sums, ar=self.settings.ar, intercept=self.settings.intercept)

    def expected(self, d: DonorDesign, sites: Sites) -> np.ndarray:
        """The donors, weighted."""
        return np.asarray(sites["weight"] @ d.x.T)

    def named(self, d: DonorDesign, sites: Sites) -> dict[str, np.ndarray]:
        """Weights and α; the weights add to one, so that the intercept is the scaled one."""
        named = {"weight": sites["weight"], "concentration": np.exp(sites["log_concentration"])}
        if d.traits:
            named |= {"sigma_predictor": sites["sigma_predictor"], "predictor_mean": sites["weight"] @ d.traits.values[:, 1:].T}
        return named | ({"intercept": d.scale * sites["intercept"]} if self.settings.intercept else {})

    def followed(self, d: DonorDesign, posterior: xr.Dataset) -> np.ndarray:
        """The intercept and the donors, weighted."""
        return weighted(d, posterior)


def _matched(d: DonorDesign) -> np.ndarray:
    """(span + K, J) the donors' outcomes, and their predictors where there are any."""
    x = np.nan_to_num(d.x[: d.span])
    return np.vstack([x, d.traits.standardised[:, 1:]]) if d.traits else x


def log_range(priors: Any) -> tuple[float, float]:
    """Ends of the prior of log α."""
    return float(np.log(priors.concentration_low)), float(np.log(priors.concentration_high))


def average_numpyro(x: np.ndarray, log_range: tuple[float, float], prefix: str = "") -> Any:
    """(n,) weighted average of the columns of (n, J) x, its sites after a prefix, in NumPyro."""
    import jax.numpy as jnp
    from numpyro import sample
    from numpyro.distributions import Dirichlet, Uniform

    concentration = jnp.exp(sample(f"{prefix}log_concentration", Uniform(*np.array(log_range))))
    return jnp.asarray(x) @ sample(f"{prefix}weight", Dirichlet(concentration * jnp.ones(x.shape[1])))


def average_pymc(x: np.ndarray, log_range: tuple[float, float], dim: str, prefix: str = "") -> Any:
    """(n,) weighted average of the columns of (n, J) x, its sites after a prefix, in PyMC."""
    import pymc as pm
    import pytensor.tensor as pt

    concentration = pt.exp(pm.Uniform(f"{prefix}log_concentration", *np.array(log_range)))
    return pt.dot(x, pm.Dirichlet(f"{prefix}weight", concentration * np.ones(x.shape[1]), dims=dim))


def exchange(sums: ExchangeSums, *, ar: bool, intercept: bool, named: str = "donors") -> Exchange:
    """The blocks for the sums of one problem or, stacked, of many: each weight is in some five exchanges a sweep."""
    from bayes_causal.numerics.simplex import PASSES, ROUNDS, Exchange

    return Exchange(ar, intercept, max(FEWEST_MOVES, -(-5 * sums.rows.donors // (PASSES * ROUNDS))), sums, named)
