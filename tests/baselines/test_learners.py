"""Learners of the effect of a shock: against the same arithmetic by hand, against statsmodels, and on simulated truth."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from bayes_causal import baselines
from bayes_causal.baselines import learners
from bayes_causal.baselines.catalogue import BASELINES, run
from bayes_causal.baselines.crossed_x import _resampled, x_effect
from bayes_causal.baselines.lagged_rows import LaggedRows, lagged_rows
from bayes_causal.baselines.orthogonal import Settings, doubly_robust_effect, forest_effect, linear_effect
from bayes_causal.baselines.series_effects import Effect
from bayes_causal.baselines.time_folds import ForwardFolds
from bayes_causal.data.multi_series import MultiSeries
from bayes_causal.errors import StudyError
from bayes_causal.estimates import Estimand
from bayes_causal.numerics.newey_west import automatic_lags, long_run_covariance, ratio_of_means

NAMES = ("linear_dml", "causal_forest_dml", "dr_learner", "x_learner")


def autoregressive(rng: np.random.Generator, n: int, rho: float) -> np.ndarray:
    from scipy.signal import lfilter

    return np.asarray(lfilter([np.sqrt(1 - rho**2)], [1, -rho], rng.normal(size=n + 100))[100:])


def confounded(rng: np.random.Generator, n: int = 300, effect: float = 1.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcome, shock and the persistent control that moves both, (n,) each."""
    c = autoregressive(rng, n, 0.7)
    x = 0.6 * c + rng.normal(size=n)
    return effect * x + c + rng.normal(size=n), x, c


@pytest.fixture
def rows(rng: np.random.Generator) -> LaggedRows:
    y, x, c = confounded(rng)
    return lagged_rows(y, x, None, c[:, None], lags=1)


@pytest.fixture
def splits(rows: LaggedRows) -> list[Any]:
    return list(ForwardFolds(3, 1).split(rows.outcome.size))


@pytest.fixture
def data(rng: np.random.Generator) -> MultiSeries:
    y, x, c = confounded(rng, 200)
    z = rng.normal(size=200)
    frame = pd.DataFrame({"a": y, "b": 10 - x + 2 * z + rng.normal(size=200), "rate": x, "price": z, "slope": c})
    return MultiSeries.from_frame(frame, outcomes=["a", "b"], shocks=["rate", "price"], controls=["slope"])


def test_rows_hold_the_past_and_nothing_of_the_future() -> None:
    t = np.arange(40.0)
    made = lagged_rows(t, 100 + t, (200 + t)[:, None], (300 + t)[:, None], lags=2, horizon=3)
    assert made.names[:4] == ("outcome lag 1", "outcome lag 2", "shock lag 1", "shock lag 2")
    assert made.names[4:] == tuple(f"{p} 0{k}" for p in ("other shock", "control") for k in ("", " lag 1", " lag 2"))
    first = [1, 0, 101, 100, 202, 201, 200, 302, 301, 300]
    np.testing.assert_array_equal(made.known, np.arange(35.0)[:, None] + first)
    np.testing.assert_array_equal(made.outcome, made.dates + 3)
    np.testing.assert_array_equal(made.shock, 100 + made.dates)
    assert made.reach == 3
    summed = lagged_rows(t, t, lags=2, horizon=3, cumulative=True)
    np.testing.assert_array_equal(summed.outcome, 4 * summed.dates + 6)


def test_a_future_value_leaves_the_past_alone(rng: np.random.Generator, needs: Any) -> None:
    """Values planted from date 150 on change no training row and no residual of a block tested before."""
    linear = needs("sklearn.linear_model")
    y, x, c = confounded(rng)
    planted = [v + 1e3 * (np.arange(300) >= 150) * rng.normal(size=300) for v in (y, x, c)]
    found = []
    for one, two, three in ((y, x, c), planted):
        made = lagged_rows(one, two, None, three[:, None], lags=2, horizon=1)
        splits = [s for s in ForwardFolds(5, made.reach).split(made.outcome) if made.dates[s[1][-1]] + 1 < 150]
        fits = [linear.LinearRegression().fit(made.known[a], made.outcome[a]).predict(made.known[b]) for a, b in splits]
        found.append(np.concatenate(fits))
    assert found[0].size > 40
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("lags", [0, 1, 6])
def test_newey_west_is_that_of_statsmodels(lags: int, needs: Any, rng: np.random.Generator) -> None:
    sm = needs("statsmodels.api")
    t = rng.normal(size=120)
    y = 2 * t + autoregressive(rng, 120, 0.6)
    options = {"maxlags": lags, "use_correction": True}
    theirs = sm.OLS(y, t).fit(cov_type="HAC", cov_kwds=options)
    value, error = ratio_of_means(y * t, t * t, lags)
    assert value == pytest.approx(theirs.params[0], rel=1e-12) and error == pytest.approx(theirs.bse[0], rel=1e-12)
    mean = sm.OLS(y, np.ones(120)).fit(cov_type="HAC", cov_kwds=options)
    assert ratio_of_means(y, np.ones(120), lags) == pytest.approx((mean.params[0], mean.bse[0]), rel=1e-12)
    several = rng.normal(size=(50, 3))
    assert np.linalg.eigvalsh(long_run_covariance(several, 7)).min() > 0
    assert automatic_lags(400) == 5 and automatic_lags(400, 12) == 12 and automatic_lags(3, 12) == 2


def test_newey_west_covers_where_errors_of_independent_rows_do_not(rng: np.random.Generator) -> None:
    """90 % intervals of 400 simulations, residuals of AR(0.7): at most once in 10,000 runs is the right one below .82.

    The kernel of few lags is known to cover a little less than it says (about .87 here); errors without lags cover about .73.
    """
    covered = np.zeros(2)
    for _ in range(400):
        t, u = autoregressive(rng, 400, 0.7), autoregressive(rng, 400, 0.7)
        for k, lags in enumerate((automatic_lags(400), 0)):
            value, error = ratio_of_means(t * (t + u), t * t, lags)
            covered[k] += abs(value - 1) < 1.645 * error
    assert binom.cdf(0.82 * 400, 400, 0.87) < 0.01 and covered[0] >= 0.82 * 400 > covered[1]


def test_linear_dml_is_residuals_on_residuals(rows: LaggedRows, splits: list[Any], needs: Any) -> None:
    needs("econml")
    found = linear_effect(rows, Settings(splits, "linear", hac_lags=4))
    design = np.column_stack([np.ones(rows.shock.size), rows.known])
    y, t = [], []
    for train, test in splits:
        fit = np.linalg.lstsq(design[train], np.column_stack([rows.outcome, rows.shock])[train], rcond=None)[0]
        left = np.column_stack([rows.outcome, rows.shock])[test] - design[test] @ fit
        y.append(left[:, 0]), t.append(left[:, 1])
    y, t = np.concatenate(y), np.concatenate(t)
    assert found.value == pytest.approx(y @ t / (t @ t), rel=1e-9)
    assert found.std_error == pytest.approx(ratio_of_means(y * t, t * t, 4)[1], rel=1e-9)
    assert found.extra["econml"]["value"] == pytest.approx(found.value, rel=1e-9)
    independent = np.sqrt(((y - found.value * t) ** 2 * t**2).sum()) / (t @ t)
    assert found.extra["econml"]["std_error"] == pytest.approx(independent, rel=0.02)  # theirs counts degrees of freedom
    assert found.extra["nobs"] == y.size and 0 < found.extra["r_squared_shock"] < found.extra["r_squared_outcome"] < 1


def test_the_doubly_robust_effect_is_its_scores_by_hand(rows: LaggedRows, splits: list[Any], needs: Any) -> None:
    needs("econml")
    linear, pre = needs("sklearn.linear_model"), needs("sklearn.preprocessing")
    threshold = 0.3
    found = doubly_robust_effect(rows, Settings(splits, "linear", hac_lags=3), threshold)
    above = (rows.shock > threshold).astype(int)
    scores: list[np.ndarray] = []
    for z in (rows.outcome, rows.shock):
        score = []
        for train, test in splits:
            scaler = pre.StandardScaler().fit(rows.known[train])
            logit = linear.LogisticRegression(max_iter=1000).fit(scaler.transform(rows.known[train]), above[train])
            p = np.clip(logit.predict_proba(scaler.transform(rows.known[test]))[:, 1], 0.05, 0.95)
            design = np.column_stack([np.ones(above.size), rows.known, above])
            beta = np.linalg.lstsq(design[train], z[train], rcond=None)[0]
            base = design[test, :-1] @ beta[:-1]
            d = above[test]
            high, low = base + beta[-1], base
            score.append(high - low + d * (z[test] - high) / p - (1 - d) * (z[test] - low) / (1 - p))
        scores.append(np.concatenate(score))
    assert found.value == pytest.approx(scores[0].mean() / scores[1].mean(), rel=1e-7)
    assert found.std_error == pytest.approx(ratio_of_means(scores[0], scores[1], 3)[1], rel=1e-6)
    assert found.extra["contrast"] == pytest.approx(scores[0].mean(), rel=1e-7)
    assert found.extra["econml"]["contrast"] == pytest.approx(scores[0].mean(), rel=1e-7)
    assert found.extra["dose"] == pytest.approx(scores[1].mean(), rel=1e-7) and found.extra["above"] == above.sum()


def test_the_x_learner_is_its_stages_by_hand(rows: LaggedRows, splits: list[Any], needs: Any) -> None:
    needs("econml")
    linear, pre = needs("sklearn.linear_model"), needs("sklearn.preprocessing")
    found = x_effect(rows, Settings(splits, "linear", seed=3), 0.0, replicates=8)
    above = rows.shock > 0
    design = np.column_stack([np.ones(above.size), rows.known])

    def fit(which: np.ndarray, z: np.ndarray) -> np.ndarray:
        return np.linalg.lstsq(design[which], z, rcond=None)[0]

    effects = []
    for train, test in splits:
        one, none = train[above[train]], train[~above[train]]
        scaler = pre.StandardScaler().fit(rows.known[train])
        logit = linear.LogisticRegression(max_iter=1000).fit(scaler.transform(rows.known[train]), above[train])
        p = logit.predict_proba(scaler.transform(rows.known[test]))[:, 1]
        both = []
        for z in (rows.outcome, rows.shock):
            treated = fit(one, z[one] - design[one] @ fit(none, z[none]))
            control = fit(none, design[none] @ fit(one, z[one]) - z[none])
            both.append(p * (design[test] @ control) + (1 - p) * (design[test] @ treated))
        effects.append(np.column_stack(both))
    moved, dose = np.concatenate(effects).mean(0)
    assert found.value == pytest.approx(moved / dose, rel=1e-7) and found.extra["dose"] == pytest.approx(dose, rel=1e-7)
    again = x_effect(rows, Settings(splits, "linear", seed=3), 0.0, replicates=8)
    assert again.std_error == found.std_error
    assert x_effect(rows, Settings(splits, "linear", seed=4), 0.0, replicates=8).std_error != found.std_error


def test_fits_that_stopped_early_are_counted_and_other_warnings_passed_on(needs: Any) -> None:
    needs("econml")
    from sklearn.exceptions import ConvergenceWarning

    effect = Effect(1.0, 0.1)

    def learn(*_: Any) -> Effect:
        for _repeat in range(3):
            warnings.warn("not converged", ConvergenceWarning, stacklevel=1)
        warnings.warn("something else", UserWarning, stacklevel=1)
        return effect

    with pytest.warns(UserWarning, match="something else") as seen:
        rows: Any = None
        found = learners._counted(learn)(rows, ())
    assert (found.value, dict(found.extra)) == (1.0, {"fits_not_converged": 3})
    assert len(seen) == 1


def test_bootstrap_blocks_stay_in_their_fold(rng: np.random.Generator) -> None:
    splits = list(ForwardFolds(3, 2).split(83))
    take = _resampled(Settings(splits), 83, 5, rng)
    stretches = [np.arange(splits[0][1][0]), *(test for _, test in splits)]
    for stretch in stretches:
        assert set(take[stretch]) <= set(stretch)
        steps = np.diff(take[stretch])
        assert (steps == 1).mean() > 0.6 and not (steps == 1).all()


def test_the_forest_averages_by_the_orthogonal_score(rows: LaggedRows, splits: list[Any], needs: Any) -> None:
    """One effect for all: the forest agrees with plain DML to a twentieth, whatever its trees, and by its seed to the bit."""
    needs("econml")
    settings = Settings(splits, "linear", trees=24, seed=5)
    found, again = forest_effect(rows, settings), forest_effect(rows, settings)
    assert found.value == again.value and found.std_error == again.std_error
    assert forest_effect(rows, Settings(splits, "linear", trees=24, seed=6)).value != found.value
    plain = linear_effect(rows, settings)
    assert found.value == pytest.approx(plain.value, rel=0.05) and found.std_error == pytest.approx(plain.std_error, rel=0.25)
    assert {r["column"] for r in found.extra["varies_with"]} <= set(rows.names)


@pytest.mark.parametrize("name", NAMES)
def test_learners_keep_the_contract_and_find_the_effect(name: str, data: MultiSeries, needs: Any) -> None:
    """Four effects; at five standard errors right answers fail once in a hundred thousand runs."""
    needs("econml")
    function: Callable[..., Any] = getattr(baselines, name)
    assert function is BASELINES[name].load() and BASELINES[name].estimands == ("regime_effect",)
    options: dict[str, Any] = {"folds": 3, "lags": 1, "nuisance": "ridge"}
    options |= {"replicates": 12} if name == "x_learner" else {"trees": 24} if "forest" in name else {}
    answer = function(data, level=0.8, **options)
    assert answer.estimand == Estimand("regime_effect") and answer.level == 0.8 and answer.value.dims == ("series", "shock")
    truth = np.array([[1.5, 0.0], [-1.0, 2.0]])
    assert np.all(np.abs(answer.value - truth) < 5 * answer.std_error) and np.all(answer.std_error < 0.8)
    assert [r["by"] for r in answer.rows()] == [{"series": s, "shock": x} for s in ("a", "b") for x in ("rate", "price")]
    assert [(e["series"], e["shock"], e["purge"], e["folds"]) for e in answer.extra["each"]][1] == ("a", "price", 1, 3)
    one = function(data, series="b", shock=["price"], **options)
    assert one.value.item() == answer.value.sel(series="b", shock="price").item()
    json.dumps(answer.rows(), allow_nan=False)


def test_what_does_not_apply_is_a_row_with_a_reason(data: MultiSeries, needs: Any) -> None:
    needs("econml")
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"linear_dml": {"shock": "rates"}}, "did you mean 'rate'"),
        ({"linear_dml": {"nuisance": "laso"}}, "did you mean 'lasso'"),
        ({"linear_dml": {"lags": 60}}, "fewer lags"),
        ({"dr_learner": {"threshold": 9.0, "shock": "rate"}}, "above the threshold of 9"),
        ({"x_learner": {"nuisance": "lasso"}}, "share one regression"),
    ]
    for entry, words in wrong:
        (answer,) = run(data, [entry])
        assert np.isnan(answer.value) and words in answer.extra["reason"] and answer.method in entry
    high = data.to_frame().assign(rate=lambda f: f["rate"] - 9)
    high = MultiSeries.from_frame(high, outcomes=["a"], shocks=["rate", "price"], controls=["slope"])
    (answer,) = run(high, [{"dr_learner": {"nuisance": "ridge", "lags": 1, "folds": 3}}])
    assert answer.rows()[0]["value"] is None and answer.rows()[1]["value"] is not None
    assert answer.extra["without_value"].startswith("a on rate: 0 of 199 shocks are above")
    (answer,) = run(data.select(shocks=[]), ["linear_dml"])
    assert "needs a shock" in answer.extra["reason"]
    (answer,) = run(data, ["twfe"])
    assert "takes data of kind 'panel'" in answer.extra["reason"]
    with pytest.raises(StudyError, match="'folds'"):
        run(data, [{"linear_dml": {"fold": 3}}])
    assert "series" in BASELINES["linear_dml"].options and "data" not in BASELINES["linear_dml"].options


def test_the_lasso_is_tuned_inside_the_training_rows(rows: LaggedRows, splits: list[Any], needs: Any) -> None:
    """Outcomes of the last block, changed beyond recognition, change no residual of earlier blocks: not by a penalty either."""
    needs("econml")
    from econml.dml import LinearDML

    from bayes_causal.baselines.orthogonal import regressor

    last = splits[-1][1]
    changed = rows.outcome.copy()
    changed[last] = 50 * np.sin(np.arange(last.size)) * rows.known[last, 0]
    left = []
    for y in (rows.outcome, changed):
        models = {k: regressor(Settings(splits), 1) for k in ("model_y", "model_t")}
        learner = LinearDML(**models, cv=splits).fit(y, rows.shock, X=None, W=rows.known, cache_values=True)
        left.append(learner.residuals_[0][: -last.size])
    np.testing.assert_array_equal(*left)


def overlapping(rng: np.random.Generator, n: int = 300, horizon: int = 5) -> LaggedRows:
    """Effect 1 on a sum over six months; a persistent 0/1 state confounds, dummies of years are known and matter to nothing."""
    m = n + horizon
    state = np.cumsum(rng.random(m) < 0.1) % 2
    x = state + rng.normal(size=m)
    y = x - state + rng.normal(size=m)
    years = np.repeat(np.eye(-(-m // 12)), 12, axis=0)[:m]
    made = lagged_rows(y, x, None, np.column_stack([state, years]), lags=0, horizon=horizon, cumulative=True)
    assert made.known.shape == (n, 1 + years.shape[1])
    return made


def test_random_folds_are_biased_where_blocks_of_time_are_not(rng: np.random.Generator, needs: Any) -> None:
    """A row's sum of outcomes is, in part, that of its neighbours: random folds predict it from them, and the effect shrinks.

    60 series of 300. In 100 others the mean errors were −.35 and .05, their spreads .15 and .24: random folds are ten standard
    errors below the bound, forward ones five, their difference as many: fails by chance less than once in 10,000 runs.
    """
    needs("econml")
    folds = needs("sklearn.model_selection")
    errors = np.empty((60, 2))
    for k in range(60):
        made = overlapping(rng)
        random = list(folds.KFold(5, shuffle=True, random_state=k).split(made.known))
        forward = list(ForwardFolds(5, made.reach).split(made.known))
        errors[k] = [linear_effect(made, Settings(splits, "ridge")).value - 1 for splits in (random, forward)]
    bias = errors.mean(0)
    assert bias[0] < -0.15 and abs(bias[1]) < 0.2 and abs(bias[0]) > abs(bias[1]) + 0.1
