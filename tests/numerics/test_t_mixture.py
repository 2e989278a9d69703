"""Mixtures of multivariate t distributions as importance proposals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from bayes_causal.numerics.t_mixture import DEGREES, WIDEN, TMixture, at_modes, refitted


def mixture(rng: np.random.Generator, components: int = 3, n: int = 4) -> TMixture:
    factors = np.tril(rng.standard_normal((components, n, n)), -1) + np.eye(n) * rng.uniform(0.5, 2.0, (components, 1, n))
    return TMixture(rng.dirichlet(np.ones(components)), 2 * rng.standard_normal((components, n)), factors)


def effective_fraction(log_weight: np.ndarray) -> float:
    w = np.exp(log_weight - logsumexp(log_weight))
    return float(1 / (w.size * (w**2).sum()))


def test_log_density_is_scipys(rng: np.random.Generator) -> None:
    m = mixture(rng)
    x = 3 * rng.standard_normal((50, 4))
    each = [stats.multivariate_t(c, f @ f.T, DEGREES).logpdf(x) for c, f in zip(m.centers, m.factors, strict=True)]
    assert m.log_density(x) == pytest.approx(logsumexp(np.log(m.weights)[:, None] + each, axis=0), rel=1e-10)


def test_distances_of_draws_are_f_distributed(rng: np.random.Generator) -> None:
    """Squared Mahalanobis distance over n ~ F(n, degrees), tails included: wrong once in 100,000 names."""
    q = mixture(rng, components=1)
    z = np.linalg.solve(q.factors[0], (q.draw(60_000, rng) - q.centers[0]).T)
    ratio = (z**2).mean(0)
    assert stats.kstest(ratio, stats.f(4, DEGREES).cdf).pvalue > 1e-5
    assert stats.kstest(ratio, stats.f(4, DEGREES + 1).cdf).pvalue < 1e-5


def test_draws_follow_the_density(rng: np.random.Generator) -> None:
    """E_q[r/q] = 1 for any normalised r: 40,000 weights average to one within four standard errors, once in 16,000 names not."""
    q = mixture(rng)
    r = TMixture(q.weights[::-1], q.centers + 0.3, 0.8 * q.factors)
    x = q.draw(40_000, rng)

    def off(x: np.ndarray) -> float:
        w = np.exp(r.log_density(x) - q.log_density(x))
        return abs(w.mean() - 1) / (w.std() / np.sqrt(w.size))

    assert off(x) < 4
    assert off(x + 0.1) > 4, "draws shifted by 0.1 would go unseen"


def test_at_modes_weighs_by_laplace_mass() -> None:
    """Two normal bumps of mass 0.8 and 0.2: heights and scales alone give the weights back."""
    sds, masses, centers = np.array([[0.5, 0.2], [0.1, 0.9]]), np.array([0.8, 0.2]), np.array([[0.0, 0.0], [5.0, 5.0]])
    heights = np.log(masses) - np.log(sds).sum(1) - np.log(2 * np.pi)
    found = at_modes(centers, np.array([np.diag(s**2) for s in sds]), heights)
    assert found.weights == pytest.approx(masses)
    assert found.factors == pytest.approx(np.array([WIDEN * np.diag(s) for s in sds]))


def test_at_modes_keeps_a_negligible_mode_reachable() -> None:
    found = at_modes(np.array([[0.0], [9.0]]), np.ones((2, 1, 1)), np.array([0.0, -30.0]))
    assert found.weights == pytest.approx([1 / 1.01, 0.01 / 1.01])


def test_refitting_raises_the_effective_fraction_on_a_skewed_target(rng: np.random.Generator) -> None:
    """A skew-normal ridge that one t at the mode covers badly."""

    def log_target(x: np.ndarray) -> np.ndarray:
        first = stats.skewnorm.logpdf(x[:, 0], 12)
        return first + stats.norm.logpdf(x[:, 1], np.sin(2 * x[:, 0]), 0.15) + stats.norm.logpdf(x[:, 2])

    grid = np.linspace(-1, 2, 3001)
    mode = grid[np.argmax(stats.skewnorm.logpdf(grid, 12))]
    start = TMixture(np.ones(1), np.array([[mode, np.sin(2 * mode), 0.0]]), np.diag([0.2, 0.2, 1.0])[None])
    fractions = []
    proposal = start
    for _ in range(3):
        x = proposal.draw(4000, rng)
        log_weight = log_target(x) - proposal.log_density(x)
        fractions.append(effective_fraction(log_weight))
        proposal = refitted(x, np.exp(log_weight - logsumexp(log_weight)), rng)
    assert fractions[0] < 0.15 < 0.35 < fractions[-1]
    assert proposal.weights.sum() == pytest.approx(1.0)
    assert (np.array([np.linalg.cond(f) for f in proposal.factors]) < 1e3).all()
