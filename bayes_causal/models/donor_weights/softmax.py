"""Weights none of which is negative, together one, as shares of exponentials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import xarray as xr

from bayes_causal.models.donor_design import DonorDesign
from bayes_causal.models.donor_weights.weights import Settings, Sites, no_factors, row_sums, weighted

if TYPE_CHECKING:
    from bayes_causal.numerics.softmax import Softmax as SoftmaxBlocks
    from bayes_causal.numerics.softmax import SoftmaxSums


@dataclass(frozen=True)
class Softmax:
    """w = softmax(z), z_j ~ N(0, s), s half-normal: weights as even as s is small, and in no donor quite zero."""

    settings: Settings
    averages: ClassVar[bool] = True
    gaps: ClassVar[bool] = False
    why_gibbs: ClassVar[str] = "weights move between pairs of donors, on the line of their share"
    warmup: ClassVar[int] = 500
    names: ClassVar[tuple[str, ...]] = ("spread",)

    @classmethod
    def problems(cls, options: Mapping[str, Any]) -> list[str]:
        """A number of factors, and a scale that is none."""
        s = options["priors"].spread
        return no_factors(options) + ([] if s > 0 else [f"the prior scale spread is {s:g}: a number above 0 is needed"])

    def settled(self, d: DonorDesign) -> Softmax:
        """Itself."""
        return self

    def dims(self) -> dict[str, tuple[str, ...]]:
        """A weight a donor."""
        return {"weight": ("donor",), "z": ("donor",)}

    def numpyro(self, d: DonorDesign) -> Any:
        """The donors, weighted."""
        import jax
        import jax.numpy as jnp
        from numpyro import sample
        from numpyro.distributions import HalfNormal, Normal

        spread = sample("spread", HalfNormal(self.settings.priors.spread))
        z = sample("z", Normal(0.0, spread).expand([d.donors.size]).to_event(1))
        mean = jnp.asarray(np.nan_to_num(d.x[: d.span])) @ jax.nn.softmax(z)
        return lambda sigma: mean

    def pymc(self, d: DonorDesign) -> Any:
        """The donors, weighted."""
        import pymc as pm
        import pytensor.tensor as pt

        spread = pm.HalfNormal("spread", np.float64(self.settings.priors.spread))
        z = pm.Normal("z", np.float64(0.0), spread, dims="donor")
        mean = pt.dot(np.nan_to_num(d.x[: d.span]), pm.math.softmax(z))
        return lambda sigma: mean

    def sums(self, d: DonorDesign, outcome: np.ndarray | None = None, gaps: Sequence[int] | None = None) -> SoftmaxSums:
        """Products of donors and outcome."""
        from bayes_causal.numerics.softmax import SoftmaxSums

        return SoftmaxSums(row_sums(self.settings, d, d.x, outcome, gaps), np.asarray(float(self.settings.priors.spread)))

    def form(self, sums: SoftmaxSums) -> SoftmaxBlocks:
        """Trades between pairs of donors, their spread, σ and ρ; the intercept integrated out."""
        from bayes_causal.numerics.softmax import Softmax as SoftmaxBlocks

        return SoftmaxBlocks(self.settings.ar, self.settings.intercept, sums)

    def expected(self, d: DonorDesign, sites: Sites) -> np.ndarray:
        """The donors, weighted."""
        return np.asarray(_weights(sites) @ d.x.T)

    def named(self, d: DonorDesign, sites: Sites) -> dict[str, np.ndarray]:
        """Weights and s; the weights add to one, so that the intercept is the scaled one."""
        named = {"weight": _weights(sites), "spread": sites["spread"]}
        return named | ({"intercept": d.scale * sites["intercept"]} if self.settings.intercept else {})

    def followed(self, d: DonorDesign, posterior: xr.Dataset) -> np.ndarray:
        """The intercept and the donors, weighted."""
        return weighted(d, posterior)


def _weights(sites: Sites) -> np.ndarray:
    """(..., J) weights."""
    from scipy.special import softmax

    return np.asarray(softmax(sites["z"], -1))
