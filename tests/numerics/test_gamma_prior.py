"""The Gamma prior as a hyperparameter."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from bayes_causal.numerics.gamma_prior import GammaHyper


def test_the_density_of_t_is_that_of_the_value() -> None:
    """Its integral up to any t is the probability of Gamma(2, 2/mean) up to the value there."""
    hyper, t = GammaHyper("nu", 20.0), np.linspace(-12, 5, 20_001)
    with jax.enable_x64(True):
        density, value = np.exp(hyper.log_prior(jnp.asarray(t))), np.asarray(hyper.value(jnp.asarray(t)))
    mass = np.cumsum(density) * (t[1] - t[0])
    assert mass == pytest.approx(stats.gamma(2, scale=10.0).cdf(value), abs=1e-3)
    assert stats.gamma(2, scale=10.0).mean() == hyper.mean
