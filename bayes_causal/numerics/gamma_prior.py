"""A Gamma prior with shape 2 as a hyperparameter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy import special


@dataclass(frozen=True)
class GammaHyper:
    """One hyperparameter with a Gamma(2, 2/mean) prior, carried as its logarithm with the prior's mean and sd taken out."""

    name: str
    mean: float

    center: ClassVar[float] = float(special.digamma(2.0))
    spread: ClassVar[float] = float(np.sqrt(special.polygamma(1, 2.0)))

    def value(self, t: Array) -> Array:
        """The value at t."""
        return 0.5 * self.mean * jnp.exp(self.center + self.spread * t)

    def log_prior(self, t: Array) -> Array:
        """Log density of t."""
        log_x = self.center + self.spread * t
        return 2 * log_x - jnp.exp(log_x) + float(np.log(self.spread))
