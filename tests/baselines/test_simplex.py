"""Weights on a simplex against every possible set of donors, their ridge-bent kin against regression, predictors by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bayes_causal.baselines.simplex import determined, ridge_weights, simplex_weights
from bayes_causal.baselines.synthetic_controls import _penalty
from bayes_causal.baselines.traits import nested_weights


def enumerated(a: np.ndarray, b: np.ndarray, ridge: float) -> np.ndarray:
    """The best of the equality-constrained solutions of all sets of donors whose weights are positive."""
    best, smallest = np.zeros(a.shape[1]), np.inf
    for size in range(1, a.shape[1] + 1):
        for own in itertools.combinations(range(a.shape[1]), size):
            s = a[:, own]
            kkt = np.block([[s.T @ s + ridge * np.eye(size), np.ones((size, 1))], [np.ones((1, size)), np.zeros((1, 1))]])
            w = np.linalg.lstsq(kkt, np.append(s.T @ b, 1.0), rcond=None)[0][:-1]
            loss = np.sum((b - s @ w) ** 2) + ridge * w @ w
            if (w >= -1e-12).all() and loss < smallest:
                best, smallest = np.zeros(a.shape[1]), loss
                best[list(own)] = w
    return best


@pytest.mark.parametrize("ridge", [0.0, 3.0])
@pytest.mark.parametrize("level", [0.0, 100.0])
def test_weights_are_the_best_of_all_active_sets(ridge, level, rng):
    for _ in range(12):
        a, b = rng.normal(level, 1.0, (9, 6)), rng.normal(level, 1.5, 9)
        w = simplex_weights(a, b, ridge)
        np.testing.assert_allclose(w, enumerated(a, b, ridge), atol=1e-8)
        assert w.sum() == pytest.approx(1, abs=1e-12) and (w >= 0).all() and determined(a, b, w, ridge)


@pytest.mark.parametrize("scale", [1e-7, 1e9])
def test_weights_know_no_unit(scale, rng):
    a, b = rng.normal(3, 1, (12, 20)), rng.normal(3, 1, 12)
    np.testing.assert_allclose(simplex_weights(scale * a, scale * b), simplex_weights(a, b), atol=1e-9)


def test_more_donors_than_periods_meet_the_optimality_conditions(rng):
    a, b = rng.normal(size=(15, 60)), rng.normal(2, 1, 15)  # outside the hull, so that no combination is exact
    w = simplex_weights(a, b)
    gradient = a.T @ (a @ w - b)
    assert np.ptp(gradient[w > 0]) < 1e-9 and gradient.min() > gradient[w > 0].min() - 1e-9


def test_weights_that_others_equal_are_said_to_be_so(rng):
    a = rng.normal(size=(4, 12))
    inside = a @ np.full(12, 1 / 12)
    assert not determined(a, inside, simplex_weights(a, inside))
    b = rng.normal(2, 1, 4)
    w = simplex_weights(a, b)
    assert determined(a, b, w)
    twice = np.column_stack([a, a[:, np.argmax(w)]])
    assert not determined(twice, b, simplex_weights(twice, b))


def test_one_donor_and_an_exact_match(rng):
    a = rng.normal(size=(5, 1))
    assert simplex_weights(a, rng.normal(size=5)).tolist() == [1.0]
    np.testing.assert_allclose(simplex_weights(np.column_stack([a, a + 1]), a[:, 0]), [1, 0], atol=1e-12)


def test_bent_weights_are_a_regression_added(rng):
    """Ben-Michael et al. (2021), lemma 1: the weights give the ridge regression's prediction of what imbalance is left."""
    a, b, after = rng.normal(size=(8, 11)), rng.normal(size=8), rng.normal(size=11)
    w = simplex_weights(a, b)
    centred, mean = a - a.mean(1, keepdims=True), a.mean(1)
    beta = np.linalg.solve(centred @ centred.T + 0.7 * np.eye(8), centred @ (after - after.mean()))
    augmented = after @ w + beta @ ((b - mean) - (a @ w - mean))
    assert after @ ridge_weights(a, b, w, 0.7) == pytest.approx(augmented, rel=1e-10)
    assert ridge_weights(a, b, w, 0.7).sum() == pytest.approx(1)
    np.testing.assert_allclose(ridge_weights(a, b, w, 1e12), w, atol=1e-9)
    np.testing.assert_allclose(a @ ridge_weights(a, b, w, 1e-10), b, atol=1e-6)


def test_the_penalty_is_that_of_periods_left_out_one_by_one(rng):
    a, b = rng.normal(size=(7, 9)), rng.normal(0.5, 1, 7)
    grid = np.linalg.norm(a - a.mean(1, keepdims=True), 2) ** 2 * 1e-8 ** (np.arange(21) / 20)
    errors = np.zeros((7, 21))
    for t, k in itertools.product(range(7), range(21)):
        rest = np.arange(7) != t
        w = ridge_weights(a[rest], b[rest], simplex_weights(a[rest], b[rest]), grid[k])
        errors[t, k] = (b[t] - a[t] @ w) ** 2
    at = errors.mean(0).argmin()
    allowed = errors.mean(0) <= errors.mean(0)[at] + errors[:, at].std(ddof=1) / np.sqrt(7)
    assert _penalty(a, b) == pytest.approx(grid[allowed].max(), rel=1e-9)


def test_predictor_weights_found_are_better_than_their_starts(rng):
    pool, outcomes = rng.normal(size=(10, 3)), rng.normal(size=(10, 8)).cumsum(1)
    w = rng.dirichlet(np.ones(10))
    traits, y = w @ pool + 0.1 * rng.normal(size=3), w @ outcomes
    loss = {}
    for how in ("equal", "regression", "nested"):
        found, v = nested_weights(traits, pool, y, outcomes, how)
        loss[how] = np.mean((y - found @ outcomes) ** 2)
        assert v.sum() == pytest.approx(1) and (v >= 0).all()
    assert loss["nested"] <= min(loss.values()) + 1e-12
    given, _ = nested_weights(traits, pool, y, outcomes, [1, 0, 0])
    alone, _ = nested_weights(traits[:1], pool[:, :1], y, outcomes, "equal")
    assert (given @ pool)[0] == pytest.approx((alone @ pool)[0])
