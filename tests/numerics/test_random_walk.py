"""Metropolis steps that learn: the right distribution, and nothing learnt once warm-up is over."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayes_causal.numerics.random_walk import walk, walker


def test_a_narrow_ridge_is_walked_in_its_own_shape(rng: np.random.Generator, seed: int) -> None:
    """A normal with sds 0.02 and 2 and correlation 0.9: means within four Monte Carlo errors, its volume learnt."""
    from arviz_stats.base import array_stats

    factor = np.array([[0.02, 0.0], [1.8, 2 * np.sqrt(0.19)]])
    center = np.array([1.0, -3.0])

    def density(t: Any) -> tuple[Any, None]:
        z = jax.scipy.linalg.solve_triangular(jnp.asarray(factor), t - center, lower=True)
        return -0.5 * z @ z, None

    def chain(key: Any) -> tuple[Any, Any]:
        def sweep(carry: Any, x: Any) -> Any:
            (t, own), (key, adapting) = carry, x
            t, _, own, accepted = walk(density, t, density(t), own, key, 2, adapting)
            return (t, own), (t, own, accepted)

        first = jnp.zeros(2)
        keys = jax.random.split(key, 6000)
        return jax.lax.scan(sweep, (first, walker(first)), (keys, jnp.arange(6000) < 2000))[1]

    with jax.enable_x64(True):
        t, own, accepted = jax.jit(jax.vmap(chain))(jax.random.split(jax.random.PRNGKey(seed % 2**30), 4))
        t, cov, accepted = np.asarray(t)[:, 2000:], np.asarray(own.cov), np.asarray(accepted)[:, 2000:]
    for k in range(2):
        assert abs(t[..., k].mean() - center[k]) < 4 * float(array_stats.mcse(t[..., k], method="mean"))
        assert t[..., k].std() == pytest.approx(np.linalg.norm(factor[k]), rel=0.08)
    assert float(array_stats.ess(t[..., 0], method="bulk")) > 0.2 * t[..., 0].size
    assert accepted.mean() > 0.3
    assert (cov[:, 2000:] == cov[:, 2000:2001]).all() and (cov[:, 1999] != cov[:, 1000]).any()
    assert np.abs(np.log(np.linalg.det(cov[:, -1]) / np.linalg.det(factor @ factor.T))).max() < 1.0
