"""Outcomes with autoregressive errors, some of them missing, as a NumPyro distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import Distribution, constraints

from bayes_causal.numerics import autoregression


class AutoregressiveNormal(Distribution):
    """(N,) outcomes at the seen ones of T rows, their (N,) mean, and errors of innovation sd σ; see `numerics.autoregression`."""

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.real_vector

    def __init__(self, center: Any, seen: np.ndarray, partial: Sequence[Any], sigma: Any):
        self.center, self.seen, self.partial, self.sigma = center, seen, partial, sigma
        super().__init__(batch_shape=(), event_shape=(int(seen.sum()),), validate_args=False)

    def sample(self, key: Any, sample_shape: tuple[int, ...] = ()) -> Any:
        """Draws, by solving the whitening."""
        rows = self.seen.size
        z = jax.random.normal(key, (*sample_shape, rows))
        whitening = autoregression.whitened(jnp.eye(rows), rows, self.partial, jnp)
        error = self.sigma * jnp.linalg.solve(whitening, z[..., None])[..., 0]
        return self.center + error[..., np.flatnonzero(self.seen)]

    def log_prob(self, value: Any) -> Any:
        """Log density."""
        return autoregression.log_density(value - self.center, self.seen, self.partial, self.sigma, jnp)
