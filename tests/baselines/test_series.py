"""Baselines of a series: against closed forms, against statsmodels' own forecasts, and by their coverage."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import toeplitz
from scipy.stats import binom

from bayes_causal import baselines
from bayes_causal.baselines.catalogue import BASELINES
from bayes_causal.baselines.pre_period import correlated, persistence
from bayes_causal.baselines.state_space import EXACT, columns, estimated, forecast
from bayes_causal.data.time_series import TimeSeries
from bayes_causal.errors import EstimandError, StudyError
from bayes_causal.estimates import Estimand

METHODS = ("ols_pre_period", "unobserved_components", "arima")


def simulated(
    rng: np.random.Generator, n: int = 90, start: int = 60, *, controls: int = 2, rho: float = 0.0, effect: float = 0.0
) -> TimeSeries:
    """Controls that are random walks, errors AR(1), an effect from `start` on."""
    x = rng.normal(size=(n, controls)).cumsum(0)
    error = np.zeros(n)
    shock = rng.normal(size=n) * np.sqrt(1 - rho**2)
    error[0] = rng.normal()
    for t in range(1, n):
        error[t] = rho * error[t - 1] + shock[t]
    y = 20 + x.sum(1) + error + effect * (np.arange(n) >= start)
    frame = pd.DataFrame(x, columns=[f"x{k}" for k in range(controls)]).assign(t=np.arange(n), y=y)
    return TimeSeries.from_frame(frame, time="t", outcome="y", controls=[f"x{k}" for k in range(controls)], intervention=start)


def masked(series: TimeSeries, missing: list[int]) -> TimeSeries:
    y = series.dataset["outcome"].values.copy()
    y[missing] = np.nan
    return TimeSeries(series.dataset.assign(outcome=("time", y)))


def test_least_squares_is_the_textbook_forecast(rng: np.random.Generator) -> None:
    series = masked(simulated(rng, effect=3.0), [4, 30, 70, 71])
    data = series.dataset
    x = np.column_stack([np.ones(90), data["controls"].values])
    y, seen = data["outcome"].values, series.observed
    before, after = series.pre & seen, series.post & seen
    beta = np.linalg.solve(x[before].T @ x[before], x[before].T @ y[before])
    s2 = ((y[before] - x[before] @ beta) ** 2).sum() / (before.sum() - 3)
    mean = x[after].mean(0)
    error = np.sqrt(s2 * (mean @ np.linalg.solve(x[before].T @ x[before], mean) + 1 / after.sum()))
    found = baselines.ols_pre_period(series, errors="iid")
    assert float(found.value) == pytest.approx((y[after] - x[after] @ beta).mean(), rel=1e-12)
    assert float(found.std_error) == pytest.approx(error, rel=1e-10)
    assert found.extra["df"] == before.sum() - 3 and found.estimand == Estimand("att", "realised")
    pointwise = baselines.ols_pre_period(series, by="time", errors="iid")
    np.testing.assert_allclose(pointwise.value, y[after] - x[after] @ beta, rtol=1e-10)
    each = s2 * (1 + np.einsum("hk,kl,hl->h", x[after], np.linalg.inv(x[before].T @ x[before]), x[after]))
    np.testing.assert_allclose(pointwise.std_error, np.sqrt(each), rtol=1e-9)
    np.testing.assert_array_equal(pointwise.table["time"], data["time"].values[after])


@pytest.mark.parametrize("rho", [-0.7, 0.0, 0.4, 0.95])
def test_correlated_is_a_product_with_the_correlation_matrix(rho: float, rng: np.random.Generator) -> None:
    weights = rng.normal(size=(3, 40))
    np.testing.assert_allclose(correlated(weights, rho), weights @ toeplitz(rho ** np.arange(40)), atol=1e-10)


def test_autoregressive_errors_are_those_of_the_whole_covariance(rng: np.random.Generator) -> None:
    """The forecast error is linear in all errors; its variance by the dense matrix is the one reported, gaps included."""
    series = masked(simulated(rng, rho=0.6), [10, 11, 80])
    found = baselines.ols_pre_period(series)
    data, seen = series.dataset, series.observed
    x = np.column_stack([np.ones(90), data["controls"].values])
    before, after = series.pre & seen, series.post & seen
    residual = data["outcome"].values[before] - x[before] @ np.linalg.pinv(x[before]) @ data["outcome"].values[before]
    rho = persistence(residual, data["period"].values[before])
    assert rho == pytest.approx(found.extra["rho"], rel=1e-9) and 0.2 < rho < 0.9
    weights = np.where(after, 1 / after.sum(), 0.0)
    weights[before] -= np.linalg.pinv(x[before]).T @ x[after].mean(0)
    dense = found.extra["sigma"] ** 2 * weights @ toeplitz(rho ** np.arange(90)) @ weights
    assert float(found.std_error) == pytest.approx(np.sqrt(dense), rel=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_cumulative_and_relative_are_the_same_answer_in_other_units(method: str, rng: np.random.Generator) -> None:
    series = masked(simulated(rng, effect=4.0), [70])
    ask = getattr(baselines, method)
    att, total, share = (ask(series, estimand=e) for e in ("att", "cumulative", "relative"))
    assert float(total.value) == pytest.approx(29 * float(att.value))
    assert float(total.lower) == pytest.approx(29 * float(att.lower))
    observed = float(series.dataset["outcome"].values[series.post & series.observed].mean())
    for end in ("value", "lower", "upper"):
        assert float(share.table[end]) == pytest.approx(float(att.table[end]) / (observed - float(att.table[end])))
    assert share.unit == "fraction" and att.unit == "y"
    step = 1e-5
    slope = ((float(att.value) + step) / (observed - float(att.value) - step) - float(share.value)) / step
    assert float(share.std_error) == pytest.approx(slope * float(att.std_error), rel=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_other_units_give_the_same_answer(method: str, rng: np.random.Generator) -> None:
    series = simulated(rng, effect=2.0)
    ask = getattr(baselines, method)
    small, large = ask(series), ask(series.replace_outcome(1e6 * series.dataset["outcome"].values + 1e8))
    assert float(large.value) == pytest.approx(1e6 * float(small.value), rel=1e-4)
    assert float(large.std_error) == pytest.approx(1e6 * float(small.std_error), rel=1e-4)


def test_state_space_forecasts_are_those_of_statsmodels(rng: np.random.Generator, needs: Any) -> None:
    """Mean and pointwise error from `get_forecast` on the pre-period alone; the error of the average from simulated futures."""
    state_space = needs("statsmodels.tsa.api")
    series = simulated(rng, n=80, start=60, rho=0.5)
    y, x = columns(series)
    whole = estimated(state_space.SARIMAX(y, exog=x, order=(1, 0, 1), **EXACT), "arima")
    found = forecast(series, whole, {})
    alone = state_space.SARIMAX(y[:60], exog=x[:60], order=(1, 0, 1), **EXACT).smooth(whole.params)
    ahead = alone.get_forecast(20, exog=x[60:])
    np.testing.assert_allclose(found.mean, series.center + series.scale * ahead.predicted_mean, rtol=1e-8)
    np.testing.assert_allclose(np.sqrt(found.variance), series.scale * ahead.se_mean, rtol=1e-6)
    futures = _futures(whole, 60, 4000, rng)
    np.testing.assert_allclose(futures.var(1), found.variance / series.scale**2, rtol=0.15)
    ratio = futures.mean(0).var() / (found.variance_of_mean / series.scale**2)
    assert abs(ratio - 1) < 4 * np.sqrt(2 / 4000), "four standard errors of a variance: fails by chance once in 16,000"


def _futures(result: Any, start: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """(H, n) futures drawn step by step from the state at `start`."""
    found = result.filter_results
    at = lambda m, t: m[:, :, t if m.shape[-1] > 1 else 0]  # noqa: E731
    state = rng.multivariate_normal(found.predicted_state[:, start], found.predicted_state_cov[:, :, start], n, method="eigh")
    rows = []
    for t in range(start, found.nobs):
        rows.append(state @ at(found.design, t)[0] + np.sqrt(at(found.obs_cov, t)[0, 0]) * rng.normal(size=n))
        noise = at(found.selection, t) @ at(found.state_cov, t) @ at(found.selection, t).T
        state = state @ at(found.transition, t).T + rng.multivariate_normal(np.zeros(len(noise)), noise, n, method="eigh")
    return np.array(rows)


def test_the_nile_is_a_constant_level_as_published(needs: Any) -> None:
    """Before 1899 its level does not move; Durbin and Koopman's local level of all 100 years has variances 15099 and 1469.1."""
    state_space = needs("statsmodels.tsa.api")
    from bayes_causal.data.examples import load_example

    series = load_example("nile")
    y = series.dataset["outcome"].values
    found = baselines.unobserved_components(series)
    assert float(found.value) == pytest.approx(y[28:].mean() - y[:28].mean(), abs=1e-2) == pytest.approx(-247.78, abs=0.01)
    assert float(found.std_error) == pytest.approx(y[:28].std(ddof=0) * np.sqrt(1 / 28 + 1 / 72), rel=0.02)
    whole = estimated(state_space.UnobservedComponents((y - y.mean()) / y.std(), "llevel", use_exact_diffuse=True), "nile")
    np.testing.assert_allclose(y.var() * whole.params, [15099, 1469.1], rtol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "rho"), [("ols_pre_period", 0.0), ("ols_pre_period", 0.5), ("arima", 0.5)])
def test_intervals_hold_what_they_say(method: str, rho: float, rng: np.random.Generator) -> None:
    """90 % intervals on null series, a little short where the persistence is estimated from 60 dates.

    The bound is the 1e-4 quantile of the count at a coverage of .84; iid errors under "iid" are exact and sit inside both bounds.
    """
    runs = 200 if method == "ols_pre_period" else 60
    options = {"errors": "iid"} if (method, rho) == ("ols_pre_period", 0.0) else {}
    held = 0
    for _ in range(runs):
        found = getattr(baselines, method)(simulated(rng, rho=rho), **options)
        held += float(found.lower) <= 0 <= float(found.upper)
    nominal = 0.9 if options else 0.84
    assert binom.ppf(1e-4, runs, nominal) <= held
    if options:
        assert held <= binom.ppf(1 - 1e-4, runs, 0.9)


def test_errors_taken_as_independent_are_too_small_where_they_persist(rng: np.random.Generator) -> None:
    """The planted fault: with persistence .8 the iid interval misses far more often than the autoregressive one."""
    missed = {"iid": 0, "ar1": 0}
    for _ in range(200):
        series = simulated(rng, rho=0.8)
        for errors in missed:
            found = baselines.ols_pre_period(series, errors=errors)  # type: ignore[arg-type]
            missed[errors] += not float(found.lower) <= 0 <= float(found.upper)
    assert missed["iid"] > 70 > 60 > missed["ar1"]


def test_seasons_and_trends_are_taken_out(rng: np.random.Generator) -> None:
    n = 96
    wave = np.tile(rng.normal(size=12) * 5, n // 12)
    y = wave + 0.3 * np.arange(n) + 0.1 * rng.normal(size=n)
    series = TimeSeries.from_frame(pd.DataFrame({"y": y}), outcome="y", intervention=70)
    found = baselines.ols_pre_period(series, trend=True, seasonal=12)
    assert abs(float(found.value)) < 0.2 and found.extra["r_squared"] > 0.99
    structural = baselines.unobserved_components(series, trend="local_linear_trend", seasonal=12)
    assert abs(float(structural.value)) < 1.0


def test_baselines_that_do_not_apply_say_why(rng: np.random.Generator) -> None:
    short = simulated(rng, n=20, start=7, controls=6)
    rows = baselines.run(short, "default", Estimand("att", "realised"))
    assert [r.method for r in rows] == list(METHODS)
    assert all("too few for" in r.extra["reason"] and np.isnan(r.value) for r in rows)
    (row,) = baselines.run(simulated(rng), ["twfe"], [Estimand("att")])
    assert row.extra["reason"] == "twfe takes data of kind 'panel'"
    copied = simulated(rng).dataset
    copied["controls"].values[:, 1] = 2 * copied["controls"].values[:, 0]
    (row,) = baselines.run(TimeSeries(copied), ["ols_pre_period"], [Estimand("att", "realised")])
    assert "say the same thing in part (rank 2)" in row.extra["reason"]
    around_zero = simulated(rng).replace_outcome(rng.normal(size=90))
    (row,) = baselines.run(around_zero, ["ols_pre_period"], [Estimand("relative", "realised")])
    assert "is no fraction of it" in row.extra["reason"]


def test_the_headline_brings_every_breakdown(rng: np.random.Generator) -> None:
    rows = baselines.run(simulated(rng), "default", Estimand("att", "realised"))
    assert [(r.method, r.estimand.by) for r in rows] == [(m, by) for m in METHODS for by in (None, "time")]
    assert {r.estimand.scale for r in rows} == {"realised"}
    assert all({"df", "log_likelihood", "coefficients"} <= set(r.extra) for r in rows)


@pytest.mark.parametrize(
    ("method", "options", "words"),
    [
        ("ols_pre_period", {"errors": "ar2"}, "did you mean 'ar1'"),
        ("ols_pre_period", {"by": "group"}, "answers overall and by time"),
        ("arima", {"estimand": "late"}, "does not answer 'late'"),
        ("arima", {"order": [1, 0]}, "must be 3 whole numbers"),
        ("arima", {"seasonal_order": [1, 0, 0, -12]}, "must be 4 whole numbers"),
        ("unobserved_components", {"trend": "local"}, "did you mean 'local_level'"),
        ("unobserved_components", {"estimand": "relative", "by": "time"}, "breaks the att down by time"),
    ],
)
def test_questions_and_options_that_do_not_exist(method: str, options: Any, words: str, rng: np.random.Generator) -> None:
    with pytest.raises(EstimandError, match=words):
        getattr(baselines, method)(simulated(rng), **options)


def test_unknown_options_are_refused_by_name(rng: np.random.Generator) -> None:
    with pytest.raises(StudyError, match="did you mean 'seasonal'"):
        baselines.run(simulated(rng), [{"unobserved_components": {"seasnal": 12}}])
    assert BASELINES["arima"].options == ("order", "seasonal_order")
