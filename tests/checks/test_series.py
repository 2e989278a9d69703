"""Checks of a series: each passes where the model is right and fails where a fault is planted."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayes_causal.checks import placebo_dates, series_controls
from bayes_causal.checks.catalogue import CHECKS, check
from bayes_causal.checks.series_refit import ATT, ENGINE, SEED, masked, refit
from bayes_causal.data.kinds import KINDS, kind_of, model_kind
from bayes_causal.data.time_series import TimeSeries
from bayes_causal.errors import DataError
from bayes_causal.inference.collapsed import Collapsed
from bayes_causal.inference.fit import fit
from bayes_causal.inference.tree import dataset
from bayes_causal.models.hierarchical_did import HierarchicalDiD
from bayes_causal.models.kinds import SeriesModel
from bayes_causal.models.structural_time_series import StructuralTimeSeries

N, START = 120, 96
Make = Callable[..., TimeSeries]


def simulated(
    seed: int, *, effect: float = 0.0, persistence: float = 0.3, bump: float = 0.0, carried: bool = False
) -> TimeSeries:
    """Two controls that tell about the outcome; a bump before the intervention, or a move of the first control at it, on "
    "request."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, 2))
    error = np.zeros(N)
    for t in range(N):
        error[t] = persistence * (error[t - 1] if t else 0.0) + rng.normal()
    if carried:
        x[START:, 0] += 6.0
    y = 50 + x @ [2.0, 1.0] + error + effect * (np.arange(N) >= START)
    y[70:START] += bump
    frame = pd.DataFrame({"day": pd.date_range("2022-01-01", periods=N), "y": y, "rivals": x[:, 0], "rain": x[:, 1]})
    return TimeSeries.from_frame(frame, time="day", outcome="y", controls=["rivals", "rain"], intervention="2022-04-07")


@pytest.fixture(scope="module")
def model() -> StructuralTimeSeries:
    return StructuralTimeSeries(simulated(5, effect=4.0), expected_model_size=1)


@pytest.fixture(scope="module")
def tree(model: StructuralTimeSeries) -> xr.DataTree:
    return fit(model, Collapsed(draws=500), seed=1)


def plain(model: StructuralTimeSeries, draws: int = 1000) -> xr.Dataset:
    return dataset(model, model.natural(Collapsed(draws=draws).sample(model, seed=2).sites), ("chain", "draw"))


def test_a_model_that_is_right_passes_all(model: StructuralTimeSeries, tree: xr.DataTree) -> None:
    found = {c.name: c for c in check(model, tree)}
    assert list(found) == [e.name for e in CHECKS.values() if "time_series" in e.kinds]
    assert {name for name, c in found.items() if c.passed is False} == set()
    for c in found.values():
        assert c.text.endswith(".") and "nan" not in c.text
        json.dumps([dict(c.numbers), [dict(r) for r in c.table]])
    assert found["placebo_time"].numbers["as_large_as_the_effect"] == 0
    assert len(found["placebo_time"].table) == found["false_alarms"].numbers["dates"] >= 8


def test_a_refit_without_a_control_is_the_model_without_it(model: StructuralTimeSeries) -> None:
    """Columns of zeros against a model that never had the control: the same posterior, within its Monte Carlo error."""
    again, posterior = refit(model, without=["rivals"])
    other = model.variant(series=model.series.select_controls(["rain"]), expected_model_size=0.5)
    one, two = again.effect(posterior, ATT), other.effect(plain(other), ATT)
    assert float(one.mean()) == pytest.approx(float(two.mean()), abs=5 * float(two.std()) / np.sqrt(500))
    assert float(one.std()) == pytest.approx(float(two.std()), rel=0.15)
    assert (posterior["beta"].sel(control="rivals") == 0).all() and (posterior["inclusion"].sel(control="rivals") == 0).all()


def test_a_masked_refit_sees_nothing_after_its_date(model: StructuralTimeSeries) -> None:
    """The placebo in the shape of the first fit against the cut series: one posterior; later outcomes do not matter at all."""
    placebo = masked(model.series, 60, 10)
    assert placebo.n_pre == 60 and placebo.n_post == 10 and placebo.pre.sum() + placebo.post.sum() == 70
    again, posterior = refit(model, placebo)
    cut = model.variant(series=model.series.shift(intervention=placebo.intervention, periods=10))
    one, two = again.effect(posterior, ATT), cut.effect(plain(cut), ATT)
    assert float(one.mean()) == pytest.approx(float(two.mean()), abs=5 * float(two.std()) / np.sqrt(500))
    assert float(one.std()) == pytest.approx(float(two.std()), rel=0.15)
    y = model.series.dataset["outcome"].values.copy()
    y[75:] += 1e3
    _, changed = refit(model, masked(model.series.replace_outcome(y), 60, 10))
    np.testing.assert_array_equal(changed["counterfactual"].values, posterior["counterfactual"].values)
    assert SEED and ENGINE.draws


def test_a_break_before_the_intervention_is_noticed() -> None:
    """The planted fault: a step of eight noise sds at the 70th day, and a level that the prior holds still."""
    broken = StructuralTimeSeries(simulated(6, bump=8.0), ar=0, prior_set="causalimpact")
    tree = fit(broken, Collapsed(draws=200), seed=1)
    found = placebo_dates.placebo_time(broken, tree)
    assert found.passed is False and found.numbers["away_from_zero"] > found.numbers["by_chance_at_most"]
    alarms = placebo_dates.false_alarms(broken, tree)
    assert alarms.passed is False and alarms.numbers["rate_lower"] > 0.1
    forecast = placebo_dates.out_of_sample(broken, tree)
    assert forecast.numbers["covered"] < 0.8 and forecast.passed is False


@pytest.mark.parametrize(("events", "n"), [(0, 12), (3, 12), (12, 12)])
def test_the_interval_of_a_rate_is_exact(events: int, n: int) -> None:
    """Clopper and Pearson: at its ends, as many events or more (fewer) have a probability of 2.5 %."""
    from scipy.stats import binom

    low, high = placebo_dates.rate_interval(events, n)
    if events:
        assert binom.sf(events - 1, n, low) == pytest.approx(0.025)
    if events < n:
        assert binom.cdf(events, n, high) == pytest.approx(0.025)
    assert placebo_dates.most_by_chance(12, 0.1) == 3


def test_a_control_that_the_intervention_moved_is_noticed(model: StructuralTimeSeries, tree: xr.DataTree) -> None:
    moved = model.variant(series=simulated(7, carried=True))
    found = series_controls.control_drift(moved, tree)
    assert found.passed is False and "rivals moved as never before" in found.text
    rows = {r["control"]: r for r in found.table}
    assert rows["rivals"]["p_value"] < 0.05 < rows["rain"]["p_value"]
    assert rows["rivals"]["change"] == pytest.approx(6, abs=1.5)


def test_control_drift_cries_wolf_as_rarely_as_it_says(model: StructuralTimeSeries, tree: xr.DataTree) -> None:
    """Random walks with a trend: at a level of 90 % one in ten; 60 runs, bound at the 1e-4 quantile of a rate of .12."""
    from scipy.stats import binom

    wrong = 0
    for k in range(60):
        rng = np.random.default_rng(k)
        x = rng.normal(0.5, 1, (N, 2)).cumsum(0)
        data = model.series.dataset.assign(controls=(("time", "control"), x))
        wrong += series_controls.control_drift(model.variant(series=TimeSeries(data)), tree).passed is False
    assert wrong <= binom.ppf(1 - 1e-4, 60, 0.12)


def test_an_answer_that_hangs_on_one_control_is_noticed(tree: xr.DataTree) -> None:
    """The first control carries a move of its own at the intervention: without it, the answer is another."""
    hanging = StructuralTimeSeries(simulated(8, carried=True), expected_model_size=1)
    found = series_controls.leave_one_out(hanging, fit(hanging, Collapsed(draws=300), seed=1))
    assert found.passed is False and "without rivals" in found.text
    assert abs(found.numbers["largest_move_in_se"]) > 1


def test_checks_that_do_not_apply_say_why(model: StructuralTimeSeries, tree: xr.DataTree, good: HierarchicalDiD) -> None:
    alone = model.variant(series=model.series.select_controls([]))
    for name in ("control_drift", "leave_one_out"):
        assert "no controls" in getattr(series_controls, name)(alone, tree).text
    short = TimeSeries.from_frame(pd.DataFrame({"y": np.random.default_rng(0).normal(size=12)}), outcome="y", intervention=7)
    found = placebo_dates.placebo_time(StructuralTimeSeries(short), tree)
    assert found.passed is None and "Does not apply" in found.text
    for name in ("placebo_time", "false_alarms", "out_of_sample", "control_drift", "leave_one_out"):
        assert "has no series" in CHECKS[name].load("time_series")(good, tree).text


def test_a_check_of_two_kinds_is_the_one_of_the_models_kind(model: StructuralTimeSeries, good: HierarchicalDiD) -> None:
    assert CHECKS["placebo_time"].load("time_series").__module__.endswith("placebo_dates")
    assert CHECKS["placebo_time"].load("panel").__module__.endswith("before_onset")
    assert model_kind(model) == "time_series" == kind_of(model.series) and model_kind(good) == "panel" == kind_of(good.panel)
    assert model_kind(object()) is None and isinstance(model, SeriesModel) and not isinstance(good, SeriesModel)


def test_every_catalogue_names_kinds_that_exist() -> None:
    from bayes_causal.baselines.catalogue import BASELINES
    from bayes_causal.models.catalogue import MODELS
    from bayes_causal.reports.figures import FIGURES
    from bayes_causal.reports.page import TITLES
    from bayes_causal.study.schema import DataSection

    named: set[Any] = {e.kind for e in (*MODELS.values(), *BASELINES.values())} | {k for c in CHECKS.values() for k in c.kinds}
    assert named <= set(KINDS)
    assert {key for kind in KINDS.values() for key in kind.keys} <= set(DataSection.model_fields)
    assert {s for kind in KINDS.values() for s in kind.sections} <= set(TITLES)
    assert {f.section for f in FIGURES} <= set(TITLES)
    for kind in (k for k in KINDS.values() if k.container):
        assert kind.load_container() and kind.load_reader() and kind.load_problems() and kind.template
    with pytest.raises(DataError, match="cannot be read"):
        from bayes_causal.data.load import load_data

        load_data({"kind": "cross_section"}, ".")
