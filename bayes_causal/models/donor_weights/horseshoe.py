"""Weights of either sign, small but for a few."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import xarray as xr

from bayes_causal.models.donor_design import DonorDesign
from bayes_causal.models.donor_weights.weights import Settings, Sites, needs_intercept, no_factors, row_sums, weighted

if TYPE_CHECKING:
    from bayes_causal.numerics.signed_weights import HorseshoeSums, SignedWeights


@dataclass(frozen=True)
class Horseshoe:
    """w_j s_j ~ N(0, σ τ λ_j/√N), λ_j ~ C⁺(0, 1), τ ~ C⁺(0, m/(J − m)); s_j the sd of donor j over the N fitted rows.

    σ/√N is about the standard error of a coefficient, so that 1/(1 + τ²λ_j²) is the share by which a weight is shrunk to 0, and
    `donors` = m of J are expected not to be (Carvalho, Polson & Scott 2010, doi:10.1093/biomet/asq017; Piironen & Vehtari 2017,
    doi:10.1214/17-EJS1337SI). Donors are centred, so that the intercept is the treated unit's level where they are at theirs.
    """

    settings: Settings
    averages: ClassVar[bool] = False
    gaps: ClassVar[bool] = False
    why_gibbs: ClassVar[str] = "weights are normal given their scales, and integrated out where scales move"
    warmup: ClassVar[int] = 500
    names: ClassVar[tuple[str, ...]] = ("horseshoe",)

    @classmethod
    def problems(cls, options: Mapping[str, Any]) -> list[str]:
        """A number of factors, a model without intercept, and a number of donors that is none."""
        m = options["priors"].donors
        wrong = f"the prior expects {m:g} donors with a weight of their own: a number above 0 is needed"
        return [*no_factors(options), *needs_intercept(options), *([] if m > 0 else [wrong])]

    def settled(self, d: DonorDesign) -> Horseshoe:
        """Itself."""
        return self

    def dims(self) -> dict[str, tuple[str, ...]]:
        """A weight a donor, and how far it is shrunk."""
        return {"weight": ("donor",), "shrinkage": ("donor",), "local": ("donor",), "beta_unit": ("donor",)}

    def scale(self, d: DonorDesign) -> float:
        """Of τ."""
        m = self.settings.priors.donors
        return float(m / max(d.donors.size - m, 1.0))

    def numpyro(self, d: DonorDesign) -> Any:
        """The donors, each over its own sd, times weights of their scales."""
        from numpyro import sample
        from numpyro.distributions import HalfCauchy, Normal

        (z, _, _), donors = columns(d), d.donors.size
        tau = sample("horseshoe", HalfCauchy(self.scale(d)))
        local = sample("local", HalfCauchy(1.0).expand([donors]).to_event(1))
        unit = sample("beta_unit", Normal(0.0, 1.0).expand([donors]).to_event(1))
        return lambda sigma: np.nan_to_num(z[: d.span]) @ (sigma * tau * local * unit / np.sqrt(d.fitted_rows.size))

    def pymc(self, d: DonorDesign) -> Any:
        """The donors, each over its own sd, times weights of their scales."""
        import pymc as pm
        import pytensor.tensor as pt

        z, _, _ = columns(d)
        tau = pm.HalfCauchy("horseshoe", np.float64(self.scale(d)))
        local = pm.HalfCauchy("local", np.float64(1.0), dims="donor")
        unit = pm.Normal("beta_unit", np.float64(0.0), np.float64(1.0), dims="donor")
        return lambda sigma: pt.dot(np.nan_to_num(z[: d.span]), sigma * tau * local * unit / np.sqrt(d.fitted_rows.size))

    def sums(self, d: DonorDesign, outcome: np.ndarray | None = None, gaps: Sequence[int] | None = None) -> HorseshoeSums:
        """Products of donors and outcome."""
        from bayes_causal.numerics.signed_weights import HorseshoeSums

        return HorseshoeSums(row_sums(self.settings, d, columns(d)[0], outcome, gaps), np.asarray(self.scale(d)))

    def form(self, sums: HorseshoeSums) -> SignedWeights:
        """Weights, their scales, σ and ρ."""
        from bayes_causal.numerics.signed_weights import SignedWeights

        return SignedWeights(self.settings.ar, sums)

    def expected(self, d: DonorDesign, sites: Sites) -> np.ndarray:
        """The centred donors, weighted."""
        return np.asarray(_beta(d, sites) @ columns(d)[0].T)

    def named(self, d: DonorDesign, sites: Sites) -> dict[str, np.ndarray]:
        """Weights of the donors' outcomes and the intercept beside them, and how far each weight is shrunk to 0."""
        _, mean, sd = columns(d)
        weight = _beta(d, sites) / sd
        intercept = d.center * (1 - weight.sum(-1)) + d.scale * (sites["intercept"] - weight @ mean)
        kappa = 1 / (1 + (sites["horseshoe"][..., None] * sites["local"]) ** 2)
        return {"weight": weight, "intercept": intercept, "shrinkage": kappa}

    def followed(self, d: DonorDesign, posterior: xr.Dataset) -> np.ndarray:
        """The intercept and the donors, weighted."""
        return weighted(d, posterior)


def columns(d: DonorDesign) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(T, J) donors centred and over their sds in the fitted rows, and those (J,) means and sds."""
    mean, sd = d.x[d.fitted].mean(0), d.x[d.fitted].std(0)
    sd = np.where(sd > 0, sd, 1.0)
    return (d.x - mean) / sd, mean, sd


def _beta(d: DonorDesign, sites: Sites) -> np.ndarray:
    """(..., J) weights of the columns, drawn or made of the twin's sites."""
    if "beta" in sites:
        return np.asarray(sites["beta"])
    scale = sites["sigma"] * sites["horseshoe"] / np.sqrt(d.fitted_rows.size)
    return np.asarray(scale[..., None] * sites["local"] * sites["beta_unit"])
