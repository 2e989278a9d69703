"""R's prior on a standard deviation as a NumPyro distribution."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import Distribution, constraints

from bayes_causal.numerics.sd_prior import SdPrior

TABLE = 8192


class TruncatedSd(Distribution):
    """σ with 1/σ² ~ Gamma, cut off above a limit; samples come from a table of its quantiles."""

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(self, prior: SdPrior):
        self.prior = prior
        super().__init__(batch_shape=(), event_shape=(), validate_args=False)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        """Between 0 and the limit."""
        return constraints.interval(0.0, self.prior.upper)

    def sample(self, key: Any, sample_shape: tuple[int, ...] = ()) -> Any:
        """Draws, by linear interpolation of log σ between quantiles."""
        p = (np.arange(TABLE) + 0.5) / TABLE
        log_sd = np.log(self.prior.sample(p[::-1]))
        return jnp.exp(jnp.interp(jax.random.uniform(key, sample_shape), 1 - p[::-1], log_sd))

    def log_prob(self, value: Any) -> Any:
        """Log density, the limit included."""
        return jnp.where(value < self.prior.upper, self.prior.log_density(jnp.log(value)), -jnp.inf)
