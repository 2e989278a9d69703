"""The structural time series as a model: what it answers, what it refuses, and what must not matter to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayes_causal as bc
from bayes_causal.errors import EstimandError
from bayes_causal.estimates import Estimand
from bayes_causal.inference.tree import dataset

ROWS, ONSET = 60, 45


def frame(rng: np.random.Generator, lift: float = 0.0, missing: bool = False) -> pd.DataFrame:
    x = np.cumsum(rng.standard_normal((ROWS, 2)), 0)
    y = 50 + 2 * x[:, 0] + np.cumsum(0.2 * rng.standard_normal(ROWS)) + rng.standard_normal(ROWS)
    y[ONSET:] += lift
    if missing:
        y[[7, 30, 31, ONSET - 1, ONSET + 3]] = np.nan
    return pd.DataFrame({"t": np.arange(ROWS), "y": y, "a": x[:, 0], "b": x[:, 1]})


def model(table: pd.DataFrame, *, end: int | None = None, controls: Any = ("a", "b"), **options: Any) -> bc.StructuralTimeSeries:
    series = bc.TimeSeries.from_frame(table, time="t", outcome="y", controls=list(controls), intervention=ONSET, end=end)
    return bc.StructuralTimeSeries(series, **options)


def posterior(built: bc.StructuralTimeSeries, seed: int = 1, draws: int = 500) -> xr.Dataset:
    sites = bc.Collapsed(draws=draws, chains=4).sample(built, seed=seed).sites
    return dataset(built, built.natural(sites), ("chain", "draw"))


OPTIONS: dict[str, dict[str, Any]] = {
    "calibrated": {},
    "R": {"prior_set": "causalimpact"},
    "trend, seasons": {"level": "local_linear_trend", "seasonal": [{"period": 4, "duration": 2}]},
    "ridge, wandering": {"regression": "ridge", "dynamic": True},
    "semilocal, two lags": {"level": "semilocal", "ar": 2},
    "R, wandering": {"prior_set": "causalimpact", "dynamic": True},
}


@pytest.mark.parametrize("case", OPTIONS)
def test_a_lift_is_found(case: str, rng: np.random.Generator) -> None:
    """A lift of 15 residual sds is inside the 99.9 % interval and the interval is away from zero; missing dates and all."""
    built = model(frame(rng, lift=15.0, missing=True), **OPTIONS[case])
    draws = built.effect(posterior(built), Estimand("att", "realised")).values.ravel()
    low, high = np.quantile(draws, [0.0005, 0.9995])
    assert low < 15 < high and np.quantile(draws, 0.05) > 0


def test_estimands_are_averages_sums_and_fractions_of_one_counterfactual(rng: np.random.Generator) -> None:
    """Dates without an outcome, and after the end of the treatment, are in none of them."""
    built = model(frame(rng, missing=True), end=ONSET + 9)
    draws = posterior(built)
    outcome = built.series.dataset["outcome"].values
    used = built.series.post & np.isfinite(outcome)
    assert used.sum() == 9
    gap = outcome[used] - draws["counterfactual"].values[..., used]
    ask = {n: built.effect(draws, Estimand(n, "realised")).values for n in ("att", "cumulative", "relative")}
    assert np.allclose(ask["att"], gap.mean(-1)) and np.allclose(ask["cumulative"], gap.sum(-1))
    assert np.allclose(ask["relative"], gap.sum(-1) / draws["counterfactual"].values[..., used].sum(-1))
    by_date = built.effect(draws, Estimand("att", "realised", "time"))
    after = np.isfinite(outcome) & (np.arange(ROWS) >= ONSET)
    assert (by_date["time"].values == np.flatnonzero(after)).all()
    assert np.allclose(by_date.sel(time=used.nonzero()[0]).values, gap)
    running = built.effect(draws, Estimand("cumulative", "realised", "time"))
    assert np.allclose(running.isel(time=-1).values, ask["cumulative"])


def test_an_effect_parameter_is_refused_with_the_reason(rng: np.random.Generator) -> None:
    built = model(frame(rng))
    draws = posterior(built, draws=10)
    with pytest.raises(EstimandError, match=r"no effect parameter.*scale='realised'"):
        built.effect(draws, Estimand("att", "mean"))
    with pytest.raises(EstimandError, match="no 'late'"):
        built.effect(draws, Estimand("late", "realised"))
    with pytest.raises(EstimandError, match="by time"):
        built.effect(draws, Estimand("att", "realised", "unit"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"level": "semi_local"}, "did you mean 'semilocal'"),
        ({"dynamic": True, "regression": "none"}, "wander beside constant ones"),
        (
            {"ar": 60, "level": "semilocal", "expected_model_size": 0},
            "ar=60 needs more outcomes.*are 45.*expected_model_size",
        ),
        ({"regression": "horseshoe", "errors": "student_t", "prior_set": "causalimpact"}, "has normal errors"),
        ({"regression": "horseshoe", "prior_set": "causalimpact"}, "is spike and slab"),
        ({"errors": "student_t", "ar": 2}, "one error before at most"),
        ({"level": "local", "prior_set": "r"}, "did you mean .* 'local_level'.*prior_set"),
        ({"seasonal": [{"period": 1}], "ar": -1}, "period: 2 or more.*ar is a number of lags"),
        ({"seasonal": [{"period": 7}, {"period": 7}]}, "twice"),
        ({"prior_set": "causalimpact", "ar": 2, "dynamic": True, "regression": "ridge"}, "independent errors.*spike and slab"),
        ({"expected_model_size": 0}, "expected_model_size"),
    ],
)
def test_options_that_do_not_exist_are_refused_all_at_once(options: dict[str, Any], words: str, rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match=words):
        model(frame(rng), **options)


def test_what_cannot_be_integrated_out_is_swept(rng: np.random.Generator) -> None:
    table = frame(rng).assign(**{f"x{k}": rng.standard_normal(ROWS) for k in range(13)})
    names = [f"x{k}" for k in range(13)]
    assert model(table, controls=names).prefers_gibbs == "2^13 sub-models are too many to sum over"
    assert model(table, controls=names[:12]).prefers_gibbs is None
    assert not model(table, controls=names, expected_model_size=13).selection
    assert model(table, controls=names, prior_set="causalimpact", dynamic=True).regression == "none"
    both = model(table, regression="horseshoe", errors="student_t")
    assert both.no_collapsed_form is not None and "each coefficient" in both.no_collapsed_form
    assert bc.Auto().choose(both)[0].name == "gibbs" and "each row" in bc.Auto().choose(both)[1]
    with pytest.raises(ValueError, match=r"needs? controls"):
        model(table, controls=(), dynamic=True)


@pytest.mark.parametrize("case", ["calibrated", "R", "trend, seasons", "semilocal, two lags", "R, wandering"])
def test_scaling_by_a_power_of_two_is_exact_to_the_bit(case: str, rng: np.random.Generator) -> None:
    table = frame(rng, missing=True)
    one, eight = (model(table.assign(y=c * table["y"]), **OPTIONS[case]) for c in (1, 8))
    a, b = (m.effect(posterior(m, draws=50), m.headline).values for m in (one, eight))
    assert (b == 8 * a).all()


def test_other_scales_and_units_of_controls_change_no_answer(rng: np.random.Generator) -> None:
    """An outcome in other units, controls shifted and scaled: the effect to 1e-6 of its sd."""
    table = frame(rng)
    base = model(table)
    moved = model(table.assign(y=3.7 * table["y"] - 20, a=table["a"] * 100 + 5, b=-table["b"]))
    a, b = (m.effect(posterior(m, draws=50), m.headline).values for m in (base, moved))
    assert np.allclose(b / 3.7, a, atol=1e-6 * a.std(), rtol=0) or abs(b.mean() / 3.7 - a.mean()) < 4 * a.std() / np.sqrt(200)


def test_what_happens_after_the_intervention_does_not_touch_the_fit(rng: np.random.Generator) -> None:
    table = frame(rng)
    later = table.assign(y=np.where(table["t"] >= ONSET, 1e3, table["y"]))
    a, b = (posterior(model(t), draws=50) for t in (table, later))
    assert np.array_equal(a["counterfactual"], b["counterfactual"])
    earlier = table.assign(y=np.where(table["t"] == 3, table["y"] + 1, table["y"]))
    assert not np.array_equal(a["counterfactual"], posterior(model(earlier), draws=50)["counterfactual"])


def test_components_add_up_to_the_counterfactual_without_its_error(rng: np.random.Generator) -> None:
    """Level, seasons and regression: over the rows the model is fitted to, their sum leaves residuals of the size of σ."""
    built = model(frame(rng), level="local_linear_trend", seasonal=[{"period": 3}])
    draws = posterior(built)
    parts = built.components(draws)
    assert set(parts) == {"level", "seasonal_3", "regression"}
    residual = built.series.dataset["outcome"] - sum(parts[k] for k in parts)
    inside = residual.isel(time=slice(0, ONSET))
    innovation = (inside - draws["rho"] * inside.shift(time=1)).std("time")
    assert abs(float((innovation / draws["sigma"]).mean()) - 1) < 0.15


def test_the_tree_holds_what_the_contract_names(rng: np.random.Generator) -> None:
    built = model(frame(rng), expected_model_size=1.0)
    tree = bc.fit(built, bc.Auto(draws=50, chains=2), seed=1)
    posterior = tree["posterior"].to_dataset()
    assert posterior["counterfactual"].dims == posterior["level"].dims == ("chain", "draw", "time")
    assert posterior["beta"].dims == posterior["inclusion"].dims == ("chain", "draw", "control")
    assert set(np.unique(posterior["inclusion"])) <= {0.0, 1.0}
    assert (posterior["beta"].values[posterior["inclusion"].values == 0] == 0).all()
    assert float(posterior["inclusion"].mean(("chain", "draw")).sel(control="a")) > 0.95
    assert {"sigma", "rho", "level_ratio"} <= set(posterior)
    assert {"sigma", "rho", "level_ratio"} == set(tree["log_prior"].data_vars)
    assert bc.estimate(built, tree).estimand == Estimand("att", "realised")
