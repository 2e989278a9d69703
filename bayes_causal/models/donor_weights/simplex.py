"""Weights none of which is negative, together one, of a concentration that is learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import xarray as xr

from bayes_causal.models.donor_design import DonorDesign
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
        p = self.settings.priors
        return float(np.log(p.concentration_low)), float(np.log(p.concentration_high))

    def dims(self) -> dict[str, tuple[str, ...]]:
        """A weight a donor."""
        return {"weight": ("donor",)}

    def numpyro(self, d: DonorDesign) -> Any:
        """The donors, weighted."""
        import jax.numpy as jnp
        from numpyro import sample
        from numpyro.distributions import Dirichlet, Uniform

        x = jnp.asarray(np.nan_to_num(d.x[: d.span]))
        concentration = jnp.exp(sample("log_concentration", Uniform(*np.array(self.log_range))))
        mean = x @ sample("weight", Dirichlet(concentration * jnp.ones(d.donors.size)))
        return lambda sigma: mean

    def pymc(self, d: DonorDesign) -> Any:
        """The donors, weighted."""
        import pymc as pm
        import pytensor.tensor as pt

        x = np.nan_to_num(d.x[: d.span])
        concentration = pt.exp(pm.Uniform("log_concentration", *np.array(self.log_range)))
        mean = pt.dot(x, pm.Dirichlet("weight", concentration * np.ones(d.donors.size), dims="donor"))
        return lambda sigma: mean

    def sums(self, d: DonorDesign, outcome: np.ndarray | None = None, gaps: Sequence[int] | None = None) -> ExchangeSums:
        """Products of donors and outcome."""
        from bayes_causal.numerics.simplex import exchange_sums

        return exchange_sums(row_sums(self.settings, d, d.x, outcome, gaps), self.log_range)

    def form(self, sums: ExchangeSums) -> Exchange:
        """Exchanges between pairs of donors, then the concentration, σ and ρ; the intercept integrated out."""
        from bayes_causal.numerics.simplex import PASSES, ROUNDS, Exchange

        moves = max(FEWEST_MOVES, -(-5 * sums.rows.donors // (PASSES * ROUNDS)))
        return Exchange(self.settings.ar, self.settings.intercept, moves, sums)

    def expected(self, d: DonorDesign, sites: Sites) -> np.ndarray:
        """The donors, weighted."""
        return np.asarray(sites["weight"] @ d.x.T)

    def named(self, d: DonorDesign, sites: Sites) -> dict[str, np.ndarray]:
        """Weights and α; the weights add to one, so that the intercept is the scaled one."""
        named = {"weight": sites["weight"], "concentration": np.exp(sites["log_concentration"])}
        return named | ({"intercept": d.scale * sites["intercept"]} if self.settings.intercept else {})

    def followed(self, d: DonorDesign, posterior: xr.Dataset) -> np.ndarray:
        """The intercept and the donors, weighted."""
        return weighted(d, posterior)
