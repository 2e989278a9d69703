"""AR(1) errors over gaps, against covariance matrices written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from bayes_causal.numerics import ar1

GAP = np.array([0, 1, 2, 1, 0, 3, 1, 0, 0, 1])
WEIGHT = np.array([1.0, 0.5, 2.0, 1.3, 0.7, 1.0, 3.0, 0.4, 1.1, 2.5])
UNITS = np.split(np.arange(GAP.size), np.flatnonzero(GAP == 0)[1:])
RHO, SIGMA, SIGMA_UNIT = np.array([-0.6, 0.0, 0.3, 0.97]), np.array([0.5, 1.0, 2.0, 0.1]), np.array([1.0, 0.2, 3.0, 0.7])


def covariance(rho: float, sigma: float, rows: np.ndarray) -> np.ndarray:
    """Of one unit's η."""
    at = np.cumsum(GAP[rows])
    return sigma**2 / (1 - rho**2) * np.power(rho, np.abs(at[:, None] - at), where=at[:, None] != at, out=np.ones((at.size,) * 2))


@pytest.mark.parametrize("rho", [-0.6, 0.0, 0.5, 0.95])
def test_simulated_autocovariances(rho: float, rng: np.random.Generator, p_values: Any) -> None:
    """20,000 series of every unit: mean 0, and covariance σ²ρ^d/(1−ρ²); each wrong once in 100,000 names."""
    size, sigma = 20_000, 1.7
    draws = ar1.simulate(np.full(size, rho), np.full(size, sigma), GAP, rng)
    chol = np.linalg.cholesky(_blocks([covariance(rho, sigma, r) for r in UNITS]))
    white = np.linalg.solve(chol, draws.T).T
    assert min(p_values(white)) > 1e-5
    # A start that is not stationary, the commonest mistake, is seen.
    draws[:, GAP == 0] *= 0.9
    assert min(p_values(np.linalg.solve(chol, draws.T).T)) < 1e-5


def test_unit_log_likelihood_is_the_dense_normal(rng: np.random.Generator) -> None:
    """Density of y itself, not of √w y: the factor Σ ½ log w is in it."""
    loading = np.sqrt(WEIGHT)
    y = rng.standard_normal((4, GAP.size))
    value = ar1.unit_log_likelihood(loading * y, loading, RHO, SIGMA, SIGMA_UNIT, GAP)
    for s, (rho, sigma, sigma_unit) in enumerate(zip(RHO, SIGMA, SIGMA_UNIT, strict=True)):
        for u, rows in enumerate(UNITS):
            v = covariance(rho, sigma, rows) / loading[rows] / loading[rows][:, None] + sigma_unit**2
            assert value[s, u] == pytest.approx(stats.multivariate_normal.logpdf(y[s, rows], cov=v), rel=1e-9)


def test_unit_effect_is_the_dense_conditional(rng: np.random.Generator) -> None:
    loading = np.sqrt(WEIGHT)
    y = rng.standard_normal((4, GAP.size))
    mean, sd = ar1.unit_effect(loading * y, loading, RHO, SIGMA, SIGMA_UNIT, GAP)
    for s, (rho, sigma, sigma_unit) in enumerate(zip(RHO, SIGMA, SIGMA_UNIT, strict=True)):
        for u, rows in enumerate(UNITS):
            v = covariance(rho, sigma, rows) / loading[rows] / loading[rows][:, None] + sigma_unit**2
            gain = np.linalg.solve(v, np.full(rows.size, sigma_unit**2))
            assert mean[s, u] == pytest.approx(gain @ y[s, rows], rel=1e-9)
            assert sd[s, u] ** 2 == pytest.approx(sigma_unit**2 - gain.sum() * sigma_unit**2, rel=1e-8)


@pytest.mark.parametrize("length", [1, 2, 5])
def test_units_of_one_length_take_the_short_way_to_the_dense_normal(length: int, rng: np.random.Generator) -> None:
    """A grid without gaps is not whitened row by row; its density and intercepts are the same."""
    gap, units = np.tile(np.r_[0, np.ones(length - 1, int)], 3), 3
    loading = rng.uniform(0.5, 2.0, gap.size)
    y = rng.standard_normal((4, gap.size))
    value = ar1.unit_log_likelihood(loading * y, loading, RHO, SIGMA, SIGMA_UNIT, gap)
    mean, _ = ar1.unit_effect(loading * y, loading, RHO, SIGMA, SIGMA_UNIT, gap)
    for s, (rho, sigma, sigma_unit) in enumerate(zip(RHO, SIGMA, SIGMA_UNIT, strict=True)):
        for u in range(units):
            rows = np.arange(u * length, (u + 1) * length)
            lag = np.abs(rows[:, None] - rows)
            own = sigma**2 / (1 - rho**2) * np.where(lag > 0, rho ** np.maximum(lag, 1), 1.0)
            v = own / loading[rows] / loading[rows][:, None] + sigma_unit**2
            assert value[s, u] == pytest.approx(stats.multivariate_normal.logpdf(y[s, rows], cov=v), rel=1e-9)
            assert mean[s, u] == pytest.approx(np.linalg.solve(v, np.full(length, sigma_unit**2)) @ y[s, rows], rel=1e-9)


def test_whitening_undoes_the_covariance(rng: np.random.Generator) -> None:
    """Whitened rows of the Cholesky factor of the covariance are orthonormal."""
    c = ar1.carry(RHO, GAP)
    sd = ar1.innovation_sd(RHO, SIGMA, GAP)
    for s in range(RHO.size):
        chol = np.linalg.cholesky(_blocks([covariance(RHO[s], SIGMA[s], r) for r in UNITS]))
        white = np.array([ar1.whiten(column, c[s : s + 1], sd[s : s + 1])[0] for column in chol.T])
        assert white @ white.T == pytest.approx(np.eye(GAP.size), abs=1e-9)


def _blocks(parts: list[np.ndarray]) -> np.ndarray:
    full = np.zeros((GAP.size, GAP.size))
    for rows, part in zip(UNITS, parts, strict=True):
        full[np.ix_(rows, rows)] = part
    return full
