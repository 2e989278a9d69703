from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from bayes_causal.numerics.gamma_draws import gammas


def test_gamma_variables_are_gamma(seed: int) -> None:
    """Of four shapes, 20,000 each, by Kolmogorov-Smirnov at 1e-4; neighbours are independent; other shapes are seen."""
    shapes = np.array([1.0, 1.7, 9.0, 400.0])
    with jax.enable_x64(True):
        drawn = np.asarray(jax.jit(gammas)(jax.random.PRNGKey(seed % 2**30), jnp.tile(shapes, (20_000, 1))))
    for values, shape in zip(drawn.T, shapes, strict=True):
        assert stats.kstest(values, stats.gamma(shape).cdf).pvalue > 1e-4
        assert stats.kstest(values, stats.gamma(1.05 * shape).cdf).pvalue < 1e-6
    assert abs(stats.spearmanr(drawn[:, 0], drawn[:, 1]).statistic) < 4 / np.sqrt(20_000)
