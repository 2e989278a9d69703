"""The prior R's `SdPrior` puts on a standard deviation: 1/σ² ~ Gamma(df/2, df guess²/2), cut off above an upper limit."""

from __future__ import annotations

from dataclasses import dataclass
from math import lgamma, log, sqrt

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import ndtr
from scipy.special import gammaincc, gammainccinv

LOG_2PI = float(np.log(2 * np.pi))
FLOOR = 1400.0


@dataclass(frozen=True)
class SdPrior:
    """A guess worth `df` observations, and a limit.

    Parameters
    ----------
    guess : the standard deviation expected
    df : observations the guess is worth
    upper : largest standard deviation possible
    """

    guess: float
    df: float
    upper: float

    @property
    def ss(self) -> float:
        """Sum of squares df guess²."""
        return self.df * self.guess**2

    @property
    def log_constant(self) -> float:
        """Log normalising constant of the density of σ, the upper limit included."""
        a, b = self.df / 2, self.ss / 2
        return log(2) + a * log(b) - lgamma(a) - float(np.log(gammaincc(a, b / self.upper**2)))

    def log_density(self, log_sd: Array) -> Array:
        """Log density of σ at log σ, below the limit."""
        return self.log_constant - (self.df + 1) * log_sd - 0.5 * self.ss * jnp.exp(-2 * log_sd)

    def sample(self, uniform: np.ndarray) -> np.ndarray:
        """σ at probabilities of the cumulative distribution."""
        a, b = self.df / 2, self.ss / 2
        precision = gammainccinv(a, uniform * gammaincc(a, b / self.upper**2)) / b
        return np.asarray(1 / np.sqrt(precision))


@dataclass(frozen=True)
class SdHyper:
    """A standard deviation under `SdPrior`, as a hyperparameter: log σ = low + (high − low) Φ(t)."""

    name: str
    prior: SdPrior

    @property
    def range(self) -> tuple[float, float]:
        """Of log σ: below, the density of σ is less than e^(−700); above, it is none."""
        return log(sqrt(self.prior.ss / FLOOR)), log(self.prior.upper)

    def value(self, t: Array) -> Array:
        """The value at t."""
        low, high = self.range
        return jnp.exp(low + (high - low) * ndtr(t))

    def log_prior(self, t: Array) -> Array:
        """Log density of t."""
        low, high = self.range
        log_sd = low + (high - low) * ndtr(t)
        return self.prior.log_density(log_sd) + log_sd + log(high - low) - 0.5 * (t * t + LOG_2PI)
