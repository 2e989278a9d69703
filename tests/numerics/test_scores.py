"""Scores: against their definitions as integrals, against scikit-learn, and proper: honesty is never the worse forecast."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import kstest, norm

from bayes_causal.numerics import scores

reals = st.floats(-5, 5)
scales = st.floats(0.1, 4)


@given(y=reals, mean=reals, sd=scales)
def test_the_gaussian_crps_is_its_integral(y: float, mean: float, sd: float) -> None:
    def below(x: float) -> float:
        return float(norm.cdf(x, mean, sd) ** 2)

    def above(x: float) -> float:
        return float(norm.sf(x, mean, sd) ** 2)

    integral = quad(below, mean - 12 * sd - 6, y)[0] + quad(above, y, mean + 12 * sd + 6)[0]
    found = scores.crps_gaussian(np.array([y]), np.array([mean]), np.array([sd]))
    assert found[0] == pytest.approx(integral, abs=1e-6)
    assert scores.log_density_gaussian(np.array([y]), np.array([mean]), np.array([sd]))[0] == pytest.approx(
        norm.logpdf(y, mean, sd)
    )
    assert scores.pit_gaussian(np.array([y]), np.array([mean]), np.array([sd]))[0] == pytest.approx(norm.cdf(y, mean, sd))


def test_the_crps_of_draws_is_its_double_sum(rng: np.random.Generator) -> None:
    draws, y = rng.normal(size=(7, 3)), rng.normal(size=3)
    pairs = np.abs(draws[:, None] - draws[None]).sum((0, 1))
    direct = np.abs(draws - y).mean(0)
    np.testing.assert_allclose(scores.crps_samples(y, draws), direct - pairs / (2 * 7 * 6), atol=1e-12)
    np.testing.assert_allclose(scores.crps_samples(y, draws, fair=False), direct - pairs / (2 * 49), atol=1e-12)


def test_the_fair_crps_of_few_draws_is_that_of_their_distribution(rng: np.random.Generator) -> None:
    """Mean of 20,000 scores from five draws each, within four standard errors: fails less than once in 10,000 runs."""
    y = np.full(20_000, 0.7)
    found = scores.crps_samples(y, rng.normal(size=(5, y.size)))
    truth = scores.crps_gaussian(y[:1], np.zeros(1), np.ones(1))[0]
    error = found.std(ddof=1) / np.sqrt(y.size)
    assert abs(found.mean() - truth) < 4 * error
    assert scores.crps_samples(y, rng.normal(size=(5, y.size)), fair=False).mean() - truth > 20 * error


def test_scores_of_classes_are_those_of_scikit_learn(needs: Any, rng: np.random.Generator) -> None:
    metrics = needs("sklearn.metrics")
    p, z = rng.dirichlet(np.ones(3), 50), rng.integers(0, 3, 50)
    assert scores.log_loss(p, z).mean() == pytest.approx(metrics.log_loss(z, p, labels=[0, 1, 2]))
    np.testing.assert_allclose(scores.brier(p, z), ((p - np.eye(3)[z]) ** 2).sum(1))
    q = rng.dirichlet(np.ones(3), 50)  # an expected score is the mean over the classes that may come true
    expected = sum(q[:, k] * scores.brier(p, np.full(50, k)) for k in range(3))
    np.testing.assert_allclose(scores.brier(p, q), expected)
    np.testing.assert_allclose(scores.log_loss(p, q), sum(q[:, k] * scores.log_loss(p, np.full(50, k)) for k in range(3)))


@given(st.data())
def test_honesty_is_the_best_policy(data: st.DataObject) -> None:
    """Whatever is believed, q, no other p has a smaller expected score."""
    weights = st.lists(st.floats(0.01, 1), min_size=3, max_size=3)
    q, p = (np.array([data.draw(weights)]) for _ in range(2))
    q, p = q / q.sum(), p / p.sum()
    for score in (scores.brier, scores.log_loss):
        assert score(q, q)[0] <= score(p, q)[0] + 1e-12


def test_a_class_that_was_impossible_costs_everything() -> None:
    p = np.array([[1.0, 0.0]])
    assert scores.log_loss(p, np.array([1]))[0] == np.inf and scores.log_loss(p, np.array([0]))[0] == 0


def test_mixtures_are_means_of_densities(rng: np.random.Generator) -> None:
    log = rng.normal(size=(9, 4)) - 800  # each of them is nothing in floating point
    np.testing.assert_allclose(scores.log_density_mixture(log), np.log(np.exp(log + 800).mean(0)) - 800)


def test_ranks_of_calibrated_forecasts_are_uniform_and_of_narrow_ones_are_not(rng: np.random.Generator) -> None:
    """Kolmogorov-Smirnov at 1e-4 on 2,000 dates."""
    y, draws = rng.normal(size=2_000), rng.normal(size=(19, 2_000))
    assert kstest(scores.pit_samples(y, draws, rng), "uniform").pvalue > 1e-4
    assert kstest(scores.pit_samples(y, 0.6 * draws, rng), "uniform").pvalue < 1e-4
    ties = scores.pit_samples(np.zeros(2_000), np.zeros((19, 2_000)), rng)
    assert kstest(ties, "uniform").pvalue > 1e-4
    assert scores.covered(y, np.full(2_000, -1.0), np.full(2_000, 1.0)).mean() == pytest.approx(((y >= -1) & (y <= 1)).mean())


def test_reliability_by_hand() -> None:
    p, z = np.array([0.05, 0.15, 0.18, 0.95, 1.0]), np.array([0.0, 1, 0, 1, 1])
    found = scores.reliability(p, z, bins=10)
    np.testing.assert_allclose(found["forecast"], [0.05, 0.165, 0.975])
    np.testing.assert_allclose(found["observed"], [0, 0.5, 1])
    np.testing.assert_array_equal(found["count"], [1, 2, 2])
    assert found["error"] == pytest.approx((0.05 + 2 * 0.335 + 2 * 0.025) / 5)
