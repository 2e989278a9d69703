"""Markov-switching by maximum likelihood: natural units against a filter by hand, units and starts, failures told as they are."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayes_causal import baselines
from bayes_causal.baselines import markov_switching
from bayes_causal.baselines.catalogue import BASELINES, run
from bayes_causal.baselines.markov_likelihood import _refuse_exact, _start, maximise
from bayes_causal.baselines.markov_models import Switching, columns, model_of
from bayes_causal.data.multi_series import MultiSeries
from bayes_causal.errors import EstimandError
from bayes_causal.estimates import Estimand

CALM = np.array([[0.95, 0.05], [0.1, 0.9]])


def switching_series(rng: np.random.Generator, n: int = 200, scale: float = 1.0) -> MultiSeries:
    """Two series in the same two regimes: calm, effect −1, and wild, effect 2; the second shock moves nothing."""
    z = np.zeros(n, int)
    for t in range(1, n):
        z[t] = rng.random() < CALM[z[t - 1], 1]
    x, c = rng.normal(size=(n, 2)) * [1, 5], rng.normal(size=n)
    y = np.array([0.2, -0.5])[z] + np.array([-1.0, 2.0])[z] * x[:, 0] + 0.3 * c + np.array([0.5, 1.5])[z] * rng.normal(size=n)
    frame = pd.DataFrame(
        {"a": scale * y, "b": 3 + rng.normal(size=n) * np.array([0.5, 1.5])[z], "x": x[:, 0], "u": x[:, 1], "c": c}
    )
    return MultiSeries.from_frame(frame, outcomes=["a", "b"], shocks=["x", "u"], controls=["c"])


@pytest.fixture
def data(rng: np.random.Generator) -> MultiSeries:
    return switching_series(rng)


def filtered(y: np.ndarray, mean: np.ndarray, variance: np.ndarray, transition: np.ndarray) -> tuple[float, np.ndarray]:
    """Log-likelihood and last filtered probabilities, from the stationary law: (N,), (N, K), (K,), (K, K)."""
    k = variance.size
    p = np.linalg.lstsq(np.vstack([transition.T - np.eye(k), np.ones(k)]), np.append(np.zeros(k), 1), rcond=None)[0]
    total = 0.0
    for value, m in zip(y, mean, strict=True):
        joint = p * np.exp(-((value - m) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
        total += np.log(joint.sum())
        now = joint / joint.sum()
        p = now @ transition
    return float(total), now


@pytest.mark.parametrize("order", [0, 2])
def test_parameters_in_natural_units_have_the_likelihood_reported(order: int, data: MultiSeries, needs: Any) -> None:
    needs("statsmodels")
    table = baselines.markov_parameters(data, order=order, starts=1)
    y, x = data.outcomes[:, 0], np.column_stack([data.shocks, data.controls])
    mean = table["intercept"].values + x @ table["regressors"].values.T
    for k in range(order):
        mean[order:] += np.outer(y[order - k - 1 : y.size - k - 1], table["ar"].values[:, k])
    total, last = filtered(y[order:], mean[order:], table["variance"].values, table["transition"].values)
    assert table.attrs["log_likelihood"] == pytest.approx(total, abs=1e-7) and table.attrs["nobs"] == y.size - order
    np.testing.assert_allclose(table["filtered"][-1], last, atol=1e-9)
    assert list(table["regressor"].values) == ["x", "u", "c"] and table["variance"][0] < table["variance"][1]
    np.testing.assert_allclose(table["transition"].sum("regime_to"), 1)
    np.testing.assert_array_equal(table["time"], data.time[order:])


def test_deviations_from_means_in_natural_units_have_the_likelihood_reported(data: MultiSeries, needs: Any) -> None:
    needs("statsmodels")
    what = Switching(2, 1, ("mean", "variance"), "hamilton")
    y = 5 + 0.1 * data.outcomes[:, 1]
    best = maximise(columns(y, data.shocks, data.controls, what), what, starts=1)
    made = model_of(columns(y, data.shocks, data.controls, what, standardise=False), what)
    theta = np.empty(made.k_params)
    theta[made.parameters["regime_transition"]] = best.values["transition"][:, 0]
    for k in range(2):
        theta[made.parameters[k, "exog"]] = [best.values["mean"][k], *best.values["regressors"][k]]
        theta[made.parameters[k, "autoregressive"]] = best.values["ar"][k]
        theta[made.parameters[k, "variance"]] = best.values["variance"][k]
    assert made.loglike(theta) == pytest.approx(best.log_likelihood, abs=1e-8)


def test_standard_errors_are_those_of_statsmodels_in_natural_units(data: MultiSeries, needs: Any) -> None:
    """At the same maximum, the inverse Hessian of the data as they are gives the errors that were carried over."""
    needs("statsmodels")
    what = Switching(2, 0, ("intercept", "shock", "variance"))
    made = columns(data.outcomes[:, 0], data.shocks, data.controls, what)
    best = maximise(made, what, starts=1)
    raw = model_of(columns(data.outcomes[:, 0], data.shocks, data.controls, what, standardise=False), what)
    theta = np.empty(raw.k_params)
    theta[raw.parameters["regime_transition"]] = best.values["transition"][:, 0]
    for k in range(2):
        theta[raw.parameters[k, "exog"]] = [best.values["intercept"][k], *best.values["regressors"][k]]
        theta[raw.parameters[k, "variance"]] = best.values["variance"][k]
    errors = np.asarray(raw.smooth(theta, cov_type="approx").bse)
    for k in range(2):
        np.testing.assert_allclose(
            errors[raw.parameters[k, "exog"]], [best.errors["intercept"][k], *best.errors["regressors"][k]], rtol=1e-5
        )
        np.testing.assert_allclose(errors[raw.parameters[k, "variance"]], best.errors["variance"][k], rtol=1e-5)
    np.testing.assert_allclose(errors[raw.parameters["regime_transition"]], best.errors["transition"][:, 0], rtol=1e-5)
    weights = best.filtered[-1]
    cov = np.asarray(raw.smooth(theta, cov_type="approx").cov_params())
    place = [raw.parameters[k, "exog"][1] for k in range(2)]
    assert best.averaged_error(0) == pytest.approx(np.sqrt(weights @ cov[np.ix_(place, place)] @ weights), rel=1e-5)


def test_units_change_nothing_but_units(rng: np.random.Generator, needs: Any) -> None:
    needs("statsmodels")
    seed = rng.integers(2**31)
    natural, small = (switching_series(np.random.default_rng(seed), 200, scale) for scale in (1.0, 1e-6))
    one, two = (baselines.markov_mle(d, by="regime", series="a", starts=1) for d in (natural, small))
    np.testing.assert_allclose(two.value, 1e-6 * one.value, rtol=1e-6)
    np.testing.assert_allclose(two.std_error, 1e-6 * one.std_error, rtol=1e-4)
    first, second = one.extra["each"][0], two.extra["each"][0]
    assert second["log_likelihood"] == pytest.approx(first["log_likelihood"] + 200 * np.log(1e6), abs=1e-6)
    # and what statsmodels makes of returns of this size is told: it stops short
    assert first["as_they_are"]["converged"] and not second["as_they_are"]["converged"]


def test_many_starts_find_more_than_one(rng: np.random.Generator, needs: Any) -> None:
    """Three regimes of Student errors: local maxima. The best of many starts is never below statsmodels' own."""
    needs("statsmodels")
    y = np.repeat([0.0, 2.0, 0.5, 1.0], 20) + rng.standard_t(4, 80) * np.repeat([1, 0.3, 2, 0.3], 20)
    what = Switching(3, 0, ("intercept", "variance"))
    none = np.empty((80, 0))
    made = columns(y, none, none, what)
    one, many = (maximise(made, what, starts=s, seed=1) for s in (0, 3))
    assert many.log_likelihood >= one.log_likelihood and many.facts["starts"] == 4
    assert many.facts["maxima"][0] == pytest.approx(many.log_likelihood) and len(many.facts["maxima"]) in (3, 4)
    np.testing.assert_array_equal(np.argsort(many.values["variance"]), [0, 1, 2])


def test_random_starts_are_regimes_that_last(rng: np.random.Generator, needs: Any) -> None:
    needs("statsmodels")
    what, none = Switching(3, 1, ("mean", "variance"), "hamilton"), np.empty((60, 0))
    made = model_of(columns(rng.normal(size=60), none, none, what), what)
    start = _start(made, what, rng)
    moves = made.regime_transition_matrix(start)[:, :, 0].T
    np.testing.assert_allclose(moves.sum(1), 1)
    assert np.diag(moves).min() >= 0.6 and moves.min() > 0 and np.isfinite(made.loglike(start))


def test_effects_by_regime_are_found_and_keep_the_contract(data: MultiSeries, needs: Any) -> None:
    """Four effects in each of two regimes; at five standard errors right answers fail once in 100,000 runs."""
    needs("statsmodels")
    entry = BASELINES["markov_mle"]
    assert entry.load() is baselines.markov_mle and "regimes" in entry.shares
    answers = run(data, [{"markov_mle": {"starts": 1}}], beside="regime_switching", options={"regimes": 2, "pooling": True})
    assert [a.estimand for a in answers] == [Estimand("regime_effect"), Estimand("regime_effect", by="regime")]
    overall, by = answers
    assert by.value.dims == ("series", "shock", "regime") and list(by.table["regime"].values) == [0, 1]
    truth = np.array([[[-1.0, 2.0], [0, 0]], [[0, 0], [0, 0]]])
    assert np.all(np.abs(by.value - truth) < 5 * by.std_error) and by.std_error.max() < 1
    today = np.array(overall.extra["each"][0]["probabilities"])
    markov_switching._fitted.cache_clear()
    again = baselines.markov_mle(data, starts=1, series="a")
    assert again.value[0, 0] == overall.value[0, 0]
    assert float(overall.value[0, 0]) == pytest.approx(float(today @ by.value.values[0, 0]), rel=1e-9)
    json.dumps([r for a in answers for r in a.rows()], allow_nan=False)


def test_a_failure_of_statsmodels_is_told_as_theirs(data: MultiSeries, needs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("statsmodels")
    from statsmodels.tsa.regime_switching import markov_regression

    fit = markov_regression.MarkovRegression.fit

    def on_small_numbers(self: Any, *args: Any, **options: Any) -> Any:
        if np.std(self.endog) < 0.5:
            raise np.linalg.LinAlgError("SVD did not converge")
        return fit(self, *args, **options)

    monkeypatch.setattr(markov_regression.MarkovRegression, "fit", on_small_numbers)
    small = data.replace_outcomes(0.01 * data.outcomes)
    (answer, _) = run(small, [{"markov_mle": {"starts": 1, "series": "a"}}])
    assert np.isfinite(answer.value).all()
    assert answer.extra["each"][0]["as_they_are"] == {"reason": "statsmodels failed: LinAlgError: SVD did not converge"}
    (answer,) = run(small, [{"markov_mle": {"standardise": False, "series": "a"}}])
    assert "statsmodels failed from every one of 1 starts: LinAlgError: SVD did not converge" in answer.extra["reason"]


def test_a_price_that_was_fixed_has_no_maximum_and_says_so(data: MultiSeries, needs: Any) -> None:
    needs("statsmodels")
    y = data.outcomes.copy()
    y[:60, 1] = 3.0
    (answer, _) = run(data.replace_outcomes(y), [{"markov_mle": {"starts": 1, "switching": ["intercept", "variance"]}}])
    assert np.isfinite(answer.value.sel(series="a")).all() and np.isnan(answer.value.sel(series="b")).all()
    assert "stands still for 60 dates on end" in answer.extra["without_value"]
    best = maximise(columns(y[:, 0], data.shocks, data.controls, Switching()), Switching(), starts=0)
    assert _refuse_exact(best) is best
    with pytest.raises(EstimandError, match="is fitted exactly"):
        _refuse_exact(replace(best, values={**best.values, "variance": np.array([1e-30, 1.0])}))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"switching": ["variances"]}, "did you mean 'variance'"),
        ({"switching": ["ar"]}, "nothing switches"),
        ({"form": "hamilton"}, "1 or more for 'hamilton'"),
        ({"form": "regresion"}, "did you mean 'regression'"),
        ({"regimes": 1}, "2 or more"),
    ],
)
def test_what_does_not_exist_is_refused(options: dict[str, Any], words: str, data: MultiSeries, needs: Any) -> None:
    needs("statsmodels")
    (answer,) = run(data, [{"markov_mle": options}], [Estimand("regime_effect")])
    assert np.isnan(answer.value) and words in answer.extra["reason"]
    with pytest.raises(EstimandError, match="there is no series"):
        baselines.markov_parameters(data, series="z")
