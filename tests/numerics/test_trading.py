"""Worth of forecasts: by hand, with the cost that eats it, and nothing from the future."""

from __future__ import annotations

import numpy as np
import pytest

from bayes_causal.numerics.newey_west import automatic_lags, ratio_of_means
from bayes_causal.numerics.trading import net_returns, position, worth


def test_returns_after_costs_by_hand() -> None:
    held, returns = np.array([1.0, 1.0, -0.5, 0.0]), np.array([0.02, -0.01, 0.04, 0.5])
    net, turnover = net_returns(held, returns, 0.01)
    np.testing.assert_allclose(turnover, [1, 0, 1.5, 0.5])
    np.testing.assert_allclose(net, [0.02 - 0.01, -0.01, -0.02 - 0.015, -0.005])
    found = worth(held, returns, 0.01)
    assert found["gross"] == pytest.approx(12 * -0.01 / 4) and found["net"] == pytest.approx(12 * net.mean())
    assert found["turnover"] == pytest.approx(12 * 0.75) and found["break_even"] == pytest.approx(-0.0025 / 0.75)
    assert found["sharpe"] == pytest.approx(np.sqrt(12) * net.mean() / net.std(ddof=1))
    mean, error = ratio_of_means(net, np.ones(4), automatic_lags(4))
    assert found["t"] == pytest.approx(mean / error) and found["error"] == pytest.approx(12 * error)


def test_at_the_break_even_cost_nothing_is_left(rng: np.random.Generator) -> None:
    returns = 0.04 * rng.normal(size=300)
    held = position(0.5 * returns + 0.01 * rng.normal(size=300), np.full(300, 0.04))
    assert np.abs(held).max() <= 1
    free = worth(held, returns, 0.0)
    assert free["net"] == free["gross"] > 0 and free["t"] > 3
    assert worth(held, returns, free["break_even"])["net"] == pytest.approx(0, abs=1e-12)
    assert worth(held, returns, 2 * free["break_even"])["net"] < 0


def test_nothing_held_costs_nothing() -> None:
    found = worth(np.zeros(50), np.full(50, 0.01), 0.01)
    assert found["net"] == found["t"] == found["sharpe"] == 0 and found["break_even"] == np.inf


def test_a_return_of_the_future_changes_no_earlier_one(rng: np.random.Generator) -> None:
    mean, returns = 0.01 * rng.normal(size=60), 0.04 * rng.normal(size=60)
    planted_mean, planted = mean.copy(), returns.copy()
    planted_mean[40:] += 1
    planted[40:] += 1
    sd = np.full(60, 0.04)
    before, _ = net_returns(position(mean, sd), returns, 0.001)
    after, _ = net_returns(position(planted_mean, sd), planted, 0.001)
    np.testing.assert_array_equal(before[:40], after[:40])
    assert after[40] != before[40]
