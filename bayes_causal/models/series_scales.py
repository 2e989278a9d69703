"""Standard deviations of a structural time series under either prior set, said in both languages and as hyperparameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bayes_causal.numerics.sd_prior import SdPrior


@dataclass(frozen=True)
class Scale:
    """The sd of one innovation.

    Parameters
    ----------
    name : its site
    prior : scale of a half-normal on its ratio to σ, or R's prior on the sd itself
    """

    name: str
    prior: float | SdPrior

    @property
    def relative(self) -> bool:
        """Whether the site is a ratio to σ."""
        return isinstance(self.prior, float)

    def hyper(self) -> Any:
        """As a hyperparameter of the collapsed form."""
        if isinstance(self.prior, float):
            from bayes_causal.numerics.linear_gaussian import Hyper

            return Hyper(self.name, "half_normal", self.prior)
        from bayes_causal.numerics.sd_prior import SdHyper

        return SdHyper(self.name, self.prior)

    def numpyro(self, sigma: Any = 1.0) -> Any:
        """The sd, sampled in the NumPyro twin."""
        import numpyro
        from numpyro.distributions import HalfNormal

        from bayes_causal.models.truncated_sd import TruncatedSd

        if isinstance(self.prior, float):
            return sigma * numpyro.sample(self.name, HalfNormal(self.prior))
        return numpyro.sample(self.name, TruncatedSd(self.prior))

    def pymc(self, sigma: Any = 1.0) -> Any:
        """The sd, sampled in the PyMC twin."""
        import pymc as pm

        if isinstance(self.prior, float):
            return sigma * pm.HalfNormal(self.name, np.float64(self.prior))
        return pymc_truncated_sd(self.name, self.prior)

    def sd(self, sites: Mapping[str, np.ndarray]) -> np.ndarray:
        """The sd from sites, any leading dims."""
        return sites[self.name] * (sites["sigma"] if self.relative else 1.0)


@dataclass(frozen=True)
class Persistence:
    """How much of a deviation is left a row later: normal around 0, cut off at −1 and 1.

    Parameters
    ----------
    name : its site
    sd : of the normal
    """

    name: str
    sd: float

    @property
    def relative(self) -> bool:
        """It has no unit."""
        return True

    def hyper(self) -> Any:
        """As a hyperparameter of the collapsed form."""
        from bayes_causal.numerics.linear_gaussian import Hyper

        return Hyper(self.name, "cut_normal", self.sd)

    def numpyro(self) -> Any:
        """Sampled in the NumPyro twin."""
        import numpyro
        from numpyro.distributions import TruncatedNormal

        return numpyro.sample(self.name, TruncatedNormal(0.0, self.sd, low=-1.0, high=1.0))

    def pymc(self) -> Any:
        """Sampled in the PyMC twin."""
        import pymc as pm

        zero, one = np.float64(0.0), np.float64(1.0)
        return pm.TruncatedNormal(self.name, mu=zero, sigma=np.float64(self.sd), lower=-one, upper=one)


def pymc_truncated_sd(name: str, prior: SdPrior) -> Any:
    """R's prior on a standard deviation as a PyMC variable."""
    import pymc as pm
    import pytensor.tensor as pt

    constant, ss, df, upper = (np.float64(v) for v in (prior.log_constant, prior.ss, prior.df, prior.upper))

    def logp(value: Any) -> Any:
        density = constant - (df + 1) * pt.log(value) - 0.5 * ss / value**2
        return pt.switch(pt.and_(value > 0, value < upper), density, -np.inf)

    def random(rng: np.random.Generator | None = None, size: Any = None) -> np.ndarray:
        return prior.sample((rng or np.random.default_rng()).random(size))

    return pm.CustomDist(
        name,
        logp=logp,
        random=random,
        signature="->()",
        transform=pm.distributions.transforms.Interval(0.0, float(upper)),
        support_point=lambda *_: pt.constant(min(prior.guess, prior.upper / 2)),
    )
