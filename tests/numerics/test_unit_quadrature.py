"""Intercepts integrated out: derivatives against automatic ones, draws against their distribution on a grid."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from bayes_causal.models.did_families import FAMILIES
from bayes_causal.numerics.unit_quadrature import UnitRows, derivatives, draw, intercepts

THETA = {"dispersion": 0.7, "sigma": 0.6, "nu": 5.0}
THERE = np.array([[True, True, True, True], [True, True, True, False], [True, False, False, False]])


def rows_of(family: str, rng: np.random.Generator) -> tuple[Any, UnitRows, np.ndarray]:
    """Three units with four, three and one rows."""
    eta = rng.standard_normal(THERE.shape)
    y = (
        rng.standard_t(3, THERE.shape)
        if family == "student_t"
        else rng.integers(0, 2 if family == "bernoulli" else 6, THERE.shape)
    )
    return FAMILIES[family], UnitRows(y.astype(float), np.ones(THERE.shape), THERE), eta


@pytest.mark.parametrize("family", ["poisson", "negative_binomial", "bernoulli", "student_t"])
def test_derivatives_are_those_of_the_integral(family: str, rng: np.random.Generator) -> None:
    """Gradient, and Hessian by Louis' identity, against automatic differentiation through fixed nodes, to 1e-8."""
    density, rows, eta = rows_of(family, rng)
    with jax.enable_x64(True):
        rows = jax.tree.map(jnp.asarray, rows)

        def total(eta: Any) -> Any:
            return intercepts(density, rows, eta, 0.8, THETA, jnp.zeros(3)).log_integral.sum()

        def by_louis(eta: Any) -> Any:
            return derivatives(density, rows, eta, THETA, intercepts(density, rows, eta, 0.8, THETA, jnp.zeros(3)))

        x = jnp.asarray(eta)
        gradient, hessian = jax.jit(lambda x: (jax.grad(total)(x), jax.hessian(total)(x)))(x)
        score, curvature, information, spread = jax.jit(by_louis)(x)
    expected = -np.asarray(hessian).reshape(12, 12)
    loss = np.zeros((3, 4, 3, 4))
    for u in range(3):
        loss[u, :, u, :] = np.diag(curvature[u]) - np.einsum("kt,ks->ts", spread[:, u], spread[:, u])
    assert np.asarray(score) == pytest.approx(np.asarray(gradient), abs=1e-8)
    assert loss.reshape(12, 12) == pytest.approx(expected, abs=1e-8)
    assert (np.asarray(information)[THERE] > 0).all() and (np.asarray(information)[~THERE] == 0).all()


def test_intercepts_are_drawn_from_their_distribution(rng: np.random.Generator, seed: int) -> None:
    """20,000 draws, zeros alone in one unit: Kolmogorov-Smirnov against the distribution on a grid, at 1e-4 over three units."""
    density, rows, eta = rows_of("bernoulli", rng)
    rows = rows._replace(y=np.where(np.arange(3)[:, None] == 0, 0.0, rows.y))
    with jax.enable_x64(True):
        found = intercepts(density, jax.tree.map(jnp.asarray, rows), jnp.asarray(eta), 2.5, THETA, jnp.zeros(3))
        u = np.asarray(jax.jit(jax.vmap(draw, (None, 0)))(found, jax.random.split(jax.random.PRNGKey(seed), 20_000)))
    grid = 2.5 * np.linspace(-9, 9, 8001)
    for unit in range(3):
        y, x = (v[unit][THERE[unit]][:, None] for v in (rows.y, eta))
        log_f = special.log_expit((2 * y - 1) * (x + grid)).sum(0) + stats.norm.logpdf(grid, 0, 2.5)
        mass = np.cumsum(np.exp(log_f))
        uniform = np.interp(u[:, unit], grid, mass / mass[-1])
        assert stats.kstest(uniform, "uniform").pvalue > 1e-4 / 3
        assert stats.kstest(uniform**1.1, "uniform").pvalue < 1e-4, "draws a tenth off would go unseen"
