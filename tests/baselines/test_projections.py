"""Local projections: least squares by hand, impulse responses of a vector autoregression, responses that differ by state."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayes_causal import baselines
from bayes_causal.baselines.catalogue import BASELINES, run
from bayes_causal.baselines.lagged_rows import lagged_rows
from bayes_causal.baselines.projections import _projected
from bayes_causal.data.multi_series import MultiSeries
from bayes_causal.estimates import Estimand
from bayes_causal.numerics.newey_west import automatic_lags


def series(rng: np.random.Generator, n: int = 160) -> MultiSeries:
    """Response .8^h to a shock; a 0/1 state of the date before makes it three times as large."""
    state = (np.cumsum(rng.random(n) < 0.1) % 2).astype(float)
    x, z, y = rng.normal(size=n), rng.normal(size=n), np.zeros(n)
    for t in range(1, n):
        y[t] = 0.8 * y[t - 1] + (1 + 2 * state[t - 1]) * x[t] + 0.5 * z[t] + 0.3 * rng.normal()
    frame = pd.DataFrame({"y": y, "w": rng.normal(size=n), "x": x, "z": z, "state": state})
    return MultiSeries.from_frame(frame, outcomes=["y", "w"], shocks=["x", "z"], controls=["state"])


@pytest.fixture
def data(rng: np.random.Generator) -> MultiSeries:
    return series(rng)


@pytest.mark.parametrize("horizon", [0, 3])
def test_a_projection_is_least_squares_with_newey_west_errors(horizon: int, data: MultiSeries, needs: Any) -> None:
    needs("statsmodels")
    found = baselines.local_projection(data, horizon=horizon, lags=2, level=0.8, series="y", shock="x")
    y, x = data.outcomes[:, 0], data.shocks
    t = np.arange(2, 160 - horizon)
    past = [v[t - lag] for v in (y, *x.T, data.controls[:, 0]) for lag in (1, 2)]
    design = np.column_stack([x[t], np.ones(t.size), data.controls[t, 0], *past])
    beta = np.linalg.solve(design.T @ design, design.T @ y[t + horizon])
    moments = design * (y[t + horizon] - design @ beta)[:, None]
    lags = automatic_lags(t.size, horizon)
    meat = moments.T @ moments
    for lag in range(1, lags + 1):
        across = moments[lag:].T @ moments[:-lag]
        meat += (1 - lag / (lags + 1)) * (across + across.T)
    bread = np.linalg.inv(design.T @ design)
    cov = bread @ meat @ bread * t.size / (t.size - design.shape[1])
    assert found.value.item() == pytest.approx(beta[0], rel=1e-9)
    assert found.std_error.item() == pytest.approx(np.sqrt(cov[0, 0]), rel=1e-9)
    (facts,) = found.extra["each"]
    assert facts["df"] == t.size - design.shape[1] and facts["hac_lags"] == lags
    where = {"series": "y", "shock": "x"} | ({"horizon": 3} if horizon else {})
    assert found.rows()[0]["by"] == where and found.level == 0.8


def test_in_large_samples_it_is_the_response_of_a_vector_autoregression(rng: np.random.Generator, needs: Any) -> None:
    """Recursive order, shock last but one's own: at most once in 10,000 runs is one of seven horizons off by five errors."""
    api = needs("statsmodels.tsa.api")
    a = np.array([[0.5, 0.2], [0.1, 0.6]])
    root = np.array([[1.0, 0.0], [0.4, 1.0]])
    noise = rng.normal(size=(4000, 2)) @ root.T
    path = np.zeros((4000, 2))
    for t in range(1, 4000):
        path[t] = a @ path[t - 1] + noise[t]
    theirs = api.VAR(path).fit(1).irf(6).orth_irfs
    unit = theirs[:, 1, 0] / theirs[0, 0, 0]
    made = [_projected(lagged_rows(path[:, 1], path[:, 0], lags=1, horizon=h), None, None) for h in range(7)]
    truth = np.array([(np.linalg.matrix_power(a, h) @ root)[1, 0] for h in range(7)])
    for effect, response, exact in zip(made, unit, truth, strict=True):
        assert abs(effect.value - response) < 5 * effect.std_error < 0.3
        assert abs(effect.value - exact) < 5 * effect.std_error
    assert made[0].value == pytest.approx(unit[0], rel=1e-9)  # the same regression


def test_responses_by_state_are_those_of_two_samples_and_average(rng: np.random.Generator, needs: Any) -> None:
    needs("statsmodels")
    data = series(rng, 400)
    options: dict[str, Any] = {"regime": "state", "lags": 1, "horizon": 2, "series": "y", "shock": "x"}
    found = baselines.local_projection(data, by="regime", **options)
    assert found.estimand == Estimand("regime_effect", by="regime") and list(found.table["regime"].values) == [0, 1]
    value, error = found.value.values[0, 0], found.std_error.values[0, 0]
    assert np.all(np.abs(value - np.array([1, 3]) * 0.8**2) < 5 * error) and error.max() < 0.6
    y, x = data.outcomes[:, 0], data.shocks
    t = np.arange(1, 398)
    known = [y[t - 1], *x[t - 1].T, data.controls[t, 0], data.controls[t - 1, 0], x[t, 1], np.ones(t.size)]
    for k in (0, 1):
        rows = data.controls[t - 1, 0] == k
        beta = np.linalg.lstsq(np.column_stack([x[t, 0], *known])[rows], y[t + 2][rows], rcond=None)[0]
        assert float(value[k]) == pytest.approx(beta[0], rel=1e-8)
    assert found.extra["each"][0]["redundant_columns"] == 2  # the state's lag is 0 in one state, the constant in the other
    overall = baselines.local_projection(data, **options)
    share = data.controls[t - 1, 0].mean()
    assert overall.value.item() == pytest.approx(float((1 - share) * value[0] + share * value[1]), rel=1e-9)
    assert overall.extra["each"][0]["dates"] == {"0": int((1 - share) * t.size + 0.5), "1": int(share * t.size + 0.5)}


def test_it_keeps_the_contract(data: MultiSeries, needs: Any) -> None:
    needs("statsmodels")
    entry = BASELINES["local_projection"]
    assert entry.load() is baselines.local_projection
    whole = baselines.local_projection(data, by="horizon", horizons=4)
    assert whole.value.dims == ("series", "shock", "horizon") and list(whole.table["horizon"].values) == [0, 1, 2, 3, 4]
    one = baselines.local_projection(data, horizon=3)
    np.testing.assert_array_equal(whole.value.sel(horizon=3), one.value)
    assert whole.rows()[1]["by"] == {"horizon": 1, "series": "y", "shock": "x"}
    summed = baselines.local_projection(data, horizon=3, cumulative=True)
    assert float(summed.value[0, 0]) > float(whole.value[0, 0, :4].max()) and summed.unit == "summed over 4 dates"
    answers = run(data, ["local_projection"], level=0.5)
    assert [(a.estimand.by, a.value.shape) for a in answers] == [(None, (2, 2)), ("horizon", (2, 2, 13))]
    unknown = run(data, ["local_projection"], [Estimand("regime_effect", by="regime")])
    assert "that was observed" in unknown[-1].extra["reason"] and unknown[-1].value.shape == ()
    json.dumps([r for a in answers for r in a.rows()], allow_nan=False)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"regime": "stat"}, "did you mean 'state'"),
        ({"regime": "state", "lags": 0}, "lags of at least 1"),
        ({"lags": 30}, "fewer lags"),
        ({"shock": "state"}, "there is no shock 'state'"),
    ],
)
def test_what_does_not_apply_says_why(options: dict[str, Any], words: str, data: MultiSeries, needs: Any) -> None:
    needs("statsmodels")
    (answer,) = run(data, [{"local_projection": options}], [Estimand("regime_effect")])
    assert np.isnan(answer.value) and words in answer.extra["reason"]


def test_a_shock_that_the_rest_determines_has_no_effect_to_be_seen(data: MultiSeries, needs: Any) -> None:
    needs("statsmodels")
    frame = data.to_frame().assign(twice=2 * data.shocks[:, 0] - data.controls[:, 0], odd=data.controls[:, 0] + 0.5)
    made = MultiSeries.from_frame(frame, outcomes=["y"], shocks=["x"], controls=["twice", "state", "odd"])
    (answer,) = run(made, ["local_projection"])
    assert "determine the shock" in answer.extra["reason"]
    (answer,) = run(made, [{"local_projection": {"regime": "odd"}}])
    assert "must hold 0 and 1, and holds 0.5, 1.5" in answer.extra["reason"]
