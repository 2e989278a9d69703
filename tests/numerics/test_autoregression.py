"""Autoregressive errors of any order: the map from partial autocorrelations, densities under gaps, forecasts, sums that decay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import linalg, signal, stats

from bayes_causal.numerics import autoregression

ROWS = 40


def weights(phi: np.ndarray, rows: int = 4000) -> np.ndarray:
    """(rows,) on innovations one row back, two rows back, ..."""
    return np.asarray(signal.lfilter([1.0], np.r_[1.0, -phi], np.eye(1, rows)[0]))


def covariance(partial: np.ndarray, rows: int = ROWS) -> np.ndarray:
    """(rows, rows) of errors with innovations of sd 1, from the sums that φ makes of innovations."""
    w = weights(np.array(autoregression.coefficients(list(partial))))
    return np.asarray(linalg.toeplitz([w[k:] @ w[: w.size - k] for k in range(rows)]))


def gaps(rng: np.random.Generator) -> np.ndarray:
    """(rows,) seen: a third missing, among them rows before the last, which is seen."""
    seen = rng.random(ROWS) > 0.33
    seen[[-1, -2, -3, -4]] = True, False, True, False
    return np.asarray(seen)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_partial_autocorrelations_are_those_of_the_process(order: int, rng: np.random.Generator) -> None:
    """Those of the autocovariances that φ implies, by regressions on the rows between; other orders of the recursion are not."""
    partial = rng.uniform(-0.8, 0.8, order)
    cov = covariance(partial, order + 1)
    found = [np.linalg.solve(cov[:k, :k], cov[0, 1 : k + 1])[-1] for k in range(1, order + 1)]
    assert found == pytest.approx(partial, abs=1e-10)
    phi = np.array(autoregression.coefficients(list(partial)))
    assert np.abs(np.roots(np.r_[1.0, -phi])).max() < 1
    if order == 2:
        assert phi == pytest.approx([partial[0] * (1 - partial[1]), partial[1]], abs=1e-14)
    if order > 2:
        unturned: list[float] = []
        for r in partial:
            unturned = [a - r * b for a, b in zip(unturned, unturned, strict=True)] + [r]
        assert not np.allclose(unturned, phi)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_density_under_gaps_is_that_of_the_dense_normal(order: int, rng: np.random.Generator) -> None:
    """To 1e-9: at once, and row by row; the first errors by their factor. Stretches without gaps longer than the order, too."""
    partial, sigma, seen = rng.uniform(-0.9, 0.9, order), 1.3, gaps(rng)
    seen[12:22] = True
    cov = sigma**2 * covariance(partial)
    e = rng.standard_normal(seen.sum())
    expected = stats.multivariate_normal(np.zeros(e.size), cov[np.ix_(seen, seen)]).logpdf(e)
    assert autoregression.log_density(e, seen, list(partial), sigma, np) == pytest.approx(expected, abs=1e-9)
    error = np.full((1, ROWS), np.nan)
    error[0, seen] = e
    v, sd, *_ = autoregression.filtered(error, seen, partial[None], np.array([sigma]))
    assert stats.norm(0, sd).logpdf(v).sum() == pytest.approx(expected, abs=1e-9)
    first = sigma * np.array(autoregression.first_factor(list(partial)))
    assert first @ first.T == pytest.approx(cov[:order, :order], abs=1e-9)


def test_density_is_that_of_statsmodels(rng: np.random.Generator, needs: Callable[[str], Any]) -> None:
    needs("statsmodels")
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    partial, sigma, seen = rng.uniform(-0.9, 0.9, 3), 0.7, gaps(rng)
    e = rng.standard_normal(ROWS)
    peer = SARIMAX(np.where(seen, e, np.nan), order=(3, 0, 0))
    expected = peer.loglike([*autoregression.coefficients(list(partial)), sigma**2])
    assert autoregression.log_density(e[seen], seen, list(partial), sigma, np) == pytest.approx(expected, abs=1e-8)


def test_latest_errors_are_drawn_from_what_the_seen_ones_say(rng: np.random.Generator) -> None:
    """30,000 draws of the last four errors, two of them missing: means within 5 errors, covariances within 5 % of the variance.

    Missing ones taken for zeros, as residuals that are not there would be, lie far outside.
    """
    order, draws, sigma, seen = 4, 30_000, 1.3, gaps(rng)
    partial = np.array([0.7, -0.4, 0.5, 0.3])
    cov = sigma**2 * covariance(partial)
    e = linalg.cholesky(cov, lower=True) @ rng.standard_normal(ROWS)
    last = np.arange(ROWS - order, ROWS)
    cross = cov[np.ix_(last, seen)] @ np.linalg.inv(cov[np.ix_(seen, seen)])
    mean, rest = cross @ e[seen], cov[np.ix_(last, last)] - cross @ cov[np.ix_(seen, last)]
    error, many = np.tile(np.where(seen, e, 0.0), (draws, 1)), np.tile(partial, (draws, 1))
    found = autoregression.latest(error, seen, many, np.full(draws, sigma), rng)
    assert found[:, seen[last]] == pytest.approx(np.tile(e[last][seen[last]], (draws, 1)), abs=1e-6)
    free = ~seen[last]
    z = (found.mean(0) - mean)[free] / np.sqrt(np.diag(rest)[free] / draws)
    assert np.abs(z).max() < 5
    assert np.abs(np.cov(found[:, free].T) / rest[np.ix_(free, free)] - 1).max() < 0.05
    assert (np.abs(mean[free]) > 10 * np.sqrt(np.diag(rest)[free] / draws)).all(), "zeros for missing errors would go unseen"


def test_errors_drawn_anew_have_the_covariance_of_the_process(rng: np.random.Generator) -> None:
    """100,000 draws over eight rows: every covariance within 3 % of the variance, more than six of its sds."""
    partial, draws = np.array([0.5, -0.6, 0.3]), 100_000
    found = autoregression.simulate(np.tile(partial, (draws, 1)), np.full(draws, 0.7), 8, rng)
    expected = 0.49 * covariance(partial, 8)
    assert np.abs(np.cov(found.T) - expected).max() < 0.03 * expected[0, 0]
    assert autoregression.simulate(partial[None], np.ones(1), 2, rng).shape == (1, 2)


def test_later_errors_follow_the_recursion(rng: np.random.Generator) -> None:
    phi, noise = rng.uniform(-0.5, 0.5, (2, 3)), rng.standard_normal((2, 9))
    found = autoregression.carried_on(noise.copy(), 3, phi)
    for t in range(3, 9):
        expected = noise[:, t] + sum(phi[:, k] * found[:, t - 1 - k] for k in range(3))
        assert found[:, t] == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("rows", [1, 2, 7, 8, 9])
def test_a_decaying_sum_is_the_recursion(rows: int, rng: np.random.Generator) -> None:
    x, phi = rng.standard_normal((3, rows)), rng.uniform(-1, 1, (3, 1))
    expected = np.array([signal.lfilter([1.0], [1.0, -p], row) for p, row in zip(phi[:, 0], x, strict=True)])
    assert autoregression.decaying_sum(x, phi, rows, np) == pytest.approx(expected, abs=1e-13)
