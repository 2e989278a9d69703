"""Synthetic controls and their kin: known weights found again, other units and orders, donors and reasons, errors, p-values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from bayes_causal import baselines
from bayes_causal.baselines.conformal import _p_value
from bayes_causal.baselines.donors import Choice, comparisons
from bayes_causal.baselines.simplex import simplex_weights
from bayes_causal.baselines.synthetic import Weights
from bayes_causal.data.panel import Panel
from bayes_causal.errors import EstimandError

METHODS = ("sc_classic", "sc_demeaned", "sc_ridge", "sdid", "did_simple")


def frame(
    rng: np.random.Generator, units: int = 13, periods: int = 16, start: tuple[int, ...] = (11,), noise: float = 0.3
) -> pd.DataFrame:
    """Two factors; units 0, 1, … are treated from `start` on, with an effect of 2."""
    y = rng.uniform(0, 1, (units, 2)) @ rng.normal(size=(2, periods)).cumsum(1) + noise * rng.normal(size=(units, periods))
    first = np.append(start, np.full(units - len(start), periods))
    d = np.arange(periods) >= first[:, None]
    u, t = np.indices(y.shape).reshape(2, -1)
    return pd.DataFrame({"unit": [f"u{k:02d}" for k in u], "time": t, "y": (y + 2 * d).ravel(), "d": d.astype(int).ravel()})


def panel_of(table: pd.DataFrame, **more: Any) -> Panel:
    return Panel.from_frame(table, unit="unit", time="time", outcome="y", **({"treatment": "d"} | more))


def known(rng: np.random.Generator) -> tuple[Panel, np.ndarray]:
    """Unit 0 is an exact average of the others before the treatment and 3 more after it."""
    w = np.array([0.5, 0.3, 0.2, 0, 0, 0])
    pool = rng.normal(5, 1, (6, 20))
    y = np.vstack([w @ pool + 3 * (np.arange(20) >= 14), pool])
    u, t = np.indices(y.shape).reshape(2, -1)
    return panel_of(pd.DataFrame({"unit": u, "time": t, "y": y.ravel(), "d": ((u == 0) & (t >= 14)).astype(int)})), w


@pytest.mark.parametrize("method", ["sc_classic", "sc_demeaned", "sc_ridge"])
def test_known_weights_are_found_again(method, rng):
    panel, w = known(rng)
    found = getattr(baselines, method)(panel)
    assert float(found.value) == pytest.approx(3, abs=1e-7)
    np.testing.assert_allclose([found.extra["weights"].get(str(k + 1), 0.0) for k in range(6)], w, atol=1e-7)
    assert found.extra["pre_rmspe"] < 1e-7 and found.extra["donors"] == 6


@pytest.mark.parametrize("method", METHODS)
def test_units_and_their_order_do_not_matter(method, rng):
    table = frame(rng)
    ask = getattr(baselines, method)
    first = ask(panel_of(table), by="time")
    other = table.assign(y=1e5 * table["y"], unit="v" + (99 - table["unit"].str[1:].astype(int)).astype(str))
    second = ask(panel_of(other.sample(frac=1, random_state=1)), by="time")
    for column, factor in (("value", 1e5), ("std_error", 1e5), ("lower", 1e5), ("p_value", 1)):
        np.testing.assert_allclose(second.table[column], factor * first.table[column], rtol=1e-6)
    assert {k: second.extra["weights"]["v" + str(99 - int(k[1:]))] for k in first.extra["weights"]} == pytest.approx(
        first.extra["weights"], abs=1e-7
    )


def test_differences_of_means_by_hand(rng):
    table = frame(rng, start=(11, 11))
    mean = table.assign(ever=table["unit"].isin(["u00", "u01"]), late=table["time"] >= 11).groupby(["ever", "late"])["y"].mean()
    by_hand = (mean[True, True] - mean[True, False]) - (mean[False, True] - mean[False, False])
    assert float(baselines.did_simple(panel_of(table)).value) == pytest.approx(by_hand, rel=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_breakdowns_average_to_the_whole(method, rng):
    panel = panel_of(frame(rng, start=(9, 11, 11)))
    ask = getattr(baselines, method)
    whole = float(ask(panel, inference="none").value)
    cells = panel.treated
    sizes = {"time": cells.sum(0)[9:], "unit": cells.sum(1)[:3], "event_time": [3, 3, 3, 3, 3, 1, 1]}
    for by, n in sizes.items():
        answer = ask(panel, by=by, inference="none")
        assert np.average(answer.value, weights=n) == pytest.approx(whole, rel=1e-10)
        assert answer.extra["inference_reason"] == "none was asked for" and np.isnan(answer.std_error).all()


@pytest.mark.parametrize("method", ["sdid", "did_simple"])
def test_staggered_dates_are_comparisons_of_their_own(method, rng):
    table = frame(rng, start=(9, 11, 11))
    ask = getattr(baselines, method)
    early = float(ask(panel_of(table[~table["unit"].isin(["u01", "u02"])])).value)
    late = float(ask(panel_of(table[table["unit"] != "u00"])).value)
    assert float(ask(panel_of(table)).value) == pytest.approx((7 * early + 10 * late) / 17, rel=1e-9)


def test_every_treated_unit_has_its_own_weights(rng):
    table = frame(rng, start=(9, 11))
    both = baselines.sc_classic(panel_of(table), by="unit", inference="none")
    for unit, other in (("u00", "u01"), ("u01", "u00")):
        alone = baselines.sc_classic(panel_of(table[table["unit"] != other]), inference="none")
        assert float(both.value.sel(unit=unit)) == pytest.approx(float(alone.value), rel=1e-10)
        (row,) = [r for r in both.extra["weights_by_unit"] if r["unit"] == unit]
        assert row["weights"] == pytest.approx(alone.extra["weights"])


def test_donors_that_do_not_serve_are_left_out_and_said(rng):
    table = frame(rng, start=(9, 13))
    table = table[~((table["unit"] == "u05") & (table["time"] == 3))]
    found = baselines.sc_classic(panel_of(table), exclude=["u06"], by="unit", inference="none")
    reasons = {r["unit"]: r["reason"] for r in found.extra["donors_dropped"]}
    assert reasons["u01"] == "treated itself from 13 on" and reasons["u06"] == "excluded"
    assert reasons["u05"] == "no outcome in 1 of the 16 periods needed" and found.extra["donors"] == 9
    shorter = baselines.sc_classic(panel_of(table), missing="drop_periods", by="unit", inference="none")
    assert shorter.extra["donors"] == 12 and float(shorter.extra["treated_cells"]) == 4 + 3
    named = baselines.sc_classic(panel_of(table), donors=["u07", "u08", "u09"], inference="none")
    assert named.extra["donors"] == 3 and set(named.extra["weights"]) <= {"u07", "u08", "u09"}


def test_a_treated_unit_without_a_period_before_is_left_out(rng):
    found = baselines.sdid(panel_of(frame(rng, start=(11, 1))))
    assert found.extra["left_out"] == [{"unit": "u01", "reason": "1 periods before and 15 after are left; 2 and 1 are needed"}]
    assert found.extra["treated_units"] == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"donors": ["u99"]}, "u99"),
        ({"missing": "zero"}, "drop_donors"),
        ({"inference": "bootstrap"}, "jackknife"),
        ({"predictors": ["size"]}, "size"),
        ({"special_predictors": [["y", 3, "mode"], ["y"]]}, "'mode'"),
        ({"special_predictors": [["y", 99]]}, "no period 99"),
        ({"predictors": ["y"], "predictor_weights": "best"}, "nested"),
        ({"predictors": ["y"], "predictor_weights": [1, 2]}, "1 numbers"),
        ({"exclude": [f"u{k:02d}" for k in range(1, 13)]}, "there are no donors"),
        ({"placebos": 0}, "placebos is 0"),
        ({"by": "cohort"}, "event_time"),
    ],
)
def test_what_cannot_be_answered_is_said(options, said, rng):
    with pytest.raises(EstimandError, match=said):
        baselines.sc_classic(panel_of(frame(rng)), **options)


def test_synthetic_differences_are_those_of_diff_diff(rng, needs):
    """Value, weights and jackknife error; its solver stops when the loss no longer falls by 1e-5 noise, hence the tolerances."""
    needs("diff_diff")
    from diff_diff import SyntheticDiD

    table = frame(rng, units=15, start=(11, 11, 11)).assign(ever=lambda f: f["unit"].isin(["u00", "u01", "u02"]).astype(int))
    theirs = SyntheticDiD(variance_method="jackknife").fit(
        table, outcome="y", treatment="ever", unit="unit", time="time", post_periods=list(range(11, 16))
    )
    ours = baselines.sdid(panel_of(table), inference="jackknife")
    assert float(ours.value) == pytest.approx(theirs.att, abs=2e-4)
    assert float(ours.std_error) == pytest.approx(theirs.se, rel=1e-3)
    for name, mine in (("unit_weights", ours.extra["weights"]), ("time_weights", ours.extra["time_weights"])):
        for key, weight in getattr(theirs, name).items():
            assert mine.get(str(key), 0.0) == pytest.approx(float(weight), abs=2e-3)


def test_the_jackknife_leaves_out_each_unit_once(rng):
    """By brute force: the answers without each donor, weights scaled up again, and without each treated unit."""
    table = frame(rng, units=8, start=(11, 11))
    ours = baselines.did_simple(panel_of(table), inference="jackknife")
    units = sorted(table["unit"].unique())
    without = [float(baselines.did_simple(panel_of(table[table["unit"] != u]), inference="none").value) for u in units]
    by_hand = np.sqrt(7 / 8 * np.sum((np.array(without) - np.mean(without)) ** 2))
    assert float(ours.std_error) == pytest.approx(by_hand, rel=1e-10) and ours.extra["jackknife_units"] == 8
    alone = baselines.sdid(panel_of(frame(rng)), inference="jackknife")
    assert np.isnan(alone.std_error) and "there is one" in alone.extra["inference_reason"]


def test_placebos_are_the_donors_in_place_of_the_treated(rng):
    table = frame(rng, units=10)
    found = baselines.sc_classic(panel_of(table), level=0.8)
    values = {}
    for unit in sorted(table["unit"].unique())[1:]:
        fake = table[table["unit"] != "u00"].assign(d=lambda f, u=unit: ((f["unit"] == u) & (f["time"] >= 11)).astype(int))
        values[unit] = float(baselines.sc_classic(panel_of(fake), inference="none").value)
    assert {r["unit"]: r["value"] for r in found.extra["placebo_units"]} == pytest.approx(values)
    size = np.abs(list(values.values()))
    assert float(found.std_error) == pytest.approx(np.std(list(values.values())))
    assert float(found.table["p_value"]) == (1 + (size >= abs(float(found.value))).sum()) / 10
    assert float(found.upper) == pytest.approx(float(found.value) + np.sort(size)[7])  # 8 of 9 bound 80 of 100
    few = baselines.sc_classic(panel_of(table), level=0.95)
    assert np.isnan(few.upper) and "90%" in few.extra["interval_reason"]


def test_with_several_treated_units_placebos_are_random_sets(rng):
    panel = panel_of(frame(rng, start=(9, 11)))
    one, same, other = (baselines.sc_ridge(panel, placebos=40, seed=s) for s in (1, 1, 2))
    assert float(one.std_error) == float(same.std_error) != float(other.std_error) and one.extra["placebos"] == 40
    many = baselines.sdid(panel_of(frame(rng, start=(11,) * 7)))
    assert many.extra["inference"] == "jackknife" and "7 treated" in many.extra["inference_reason"]


def test_rejecting_zero_and_an_interval_without_zero_are_one(rng):
    for _ in range(10):
        found = baselines.sc_demeaned(panel_of(frame(rng, units=12, noise=1.5)), by="time", level=0.8)
        outside = (found.lower > 0) | (found.upper < 0)
        np.testing.assert_array_equal(outside, found.table["p_value"] <= 0.2 + 1e-9)


def moved(rng: np.random.Generator, panel: Panel, noise: float = 1.0) -> Panel:
    """The panel with outcomes of two new factors and nobody affected."""
    units, periods = panel.observed.shape
    factors = rng.uniform(0, 1, (units, 2)) @ rng.normal(size=(2, periods)).cumsum(1)
    return panel.replace_outcome(factors + noise * rng.normal(size=(units, periods)))


def test_without_an_effect_placebo_p_values_are_uniform(rng):
    """250 panels with 11 donors: the counts of p ≤ 1/6 and p ≤ 1/2 leave their binomial band by chance once in 10,000 each."""
    panel = panel_of(frame(rng, units=12, periods=12, start=(8,)))
    found = [baselines.sc_classic(moved(rng, panel)).extra for _ in range(250)]
    for name in ("p_value_att", "p_value_rmspe_ratio"):
        p = np.array([extra[name] for extra in found])
        for at in (1 / 6, 1 / 2):
            low, high = binom.ppf([5e-5, 1 - 5e-5], 250, at)
            assert low <= (p <= at + 1e-9).sum() <= high


def _classic(case: Any) -> Weights:
    return Weights(simplex_weights(case.pool[:, case.fit].T, case.outcome[0, case.fit]), np.zeros(case.before.sum()))


def test_conformal_p_values_at_the_true_effect_are_uniform(rng):
    """400 panels of 20 exchangeable periods: the count of p ≤ 0.1 and p ≤ 0.5 leaves its binomial band once in 10,000 each."""
    p = []
    panel = panel_of(frame(rng, units=6, periods=20, start=(15,)))
    for _ in range(400):
        outcome = moved(rng, panel).dataset["outcome"].values[:, rng.permutation(20)]
        (case,) = comparisons(panel.replace_outcome(outcome + 2 * panel.treated), Choice(), together=False).cases
        p.append(_p_value(case, _classic, 2.0))
    for at in (0.1, 0.5):
        low, high = binom.ppf([5e-5, 1 - 5e-5], 400, at)
        assert low <= (np.array(p) <= at + 1e-9).sum() <= high


def test_conformal_intervals_end_where_the_p_value_crosses(rng):
    panel = panel_of(frame(rng, units=8, periods=22, start=(18,)))
    found = baselines.sc_classic(panel, inference="conformal", level=0.8)
    (case,) = comparisons(panel, Choice(), together=False).cases
    low, high = float(found.lower), float(found.upper)
    assert low < 2 < high and low <= float(found.value) <= high
    for end, out in ((low, -1), (high, 1)):
        assert _p_value(case, _classic, end) > 0.2 >= _p_value(case, _classic, end + out * 1e-6)
    by_time = baselines.sc_classic(panel, inference="conformal", level=0.8, by="time")
    assert (by_time.lower <= by_time.value).all() and by_time.extra["conformal_periods"] == 19
    assert "too coarse" in baselines.sc_classic(panel, inference="conformal", level=0.99).extra["inference_reason"]
    matched = baselines.sc_classic(panel, inference="conformal", special_predictors=[["y", "0:17"]])
    assert "predictors are named" in matched.extra["inference_reason"]


def test_predictors_are_summaries_over_periods(rng):
    table = frame(rng)
    table["size"] = np.where(table["time"].isin([4, 8]), rng.normal(size=len(table)) + 1, np.nan)
    panel = panel_of(table, predictors=["size"])
    found = baselines.sc_classic(
        panel,
        predictors=["size"],
        special_predictors=[["y", "0:10:2"], ["y", [3, 4], "max"]],
        predictor_weights="equal",
        inference="none",
    )
    mine = table[table["unit"] == "u00"].set_index("time")
    treated = {r["predictor"]: r["treated"] for r in found.extra["predictors"]}
    assert treated == pytest.approx(
        {
            "size (before)": mine["size"].mean(),
            "y (0:10:2)": mine["y"].loc[[0, 2, 4, 6, 8, 10]].mean(),
            "y (max 3 to 4, 2 periods)": mine["y"].loc[[3, 4]].max(),
        }
    )
    synthetic = {r["predictor"]: r["synthetic"] for r in found.extra["predictors"]}
    others = table.dropna(subset="size").groupby("unit")["size"].mean()
    assert synthetic["size (before)"] == pytest.approx(sum(w * others[u] for u, w in found.extra["weights"].items()))
    gone = table.assign(size=table["size"].where(table["unit"] != "u04"))
    dropped = baselines.sc_classic(panel_of(gone, predictors=["size"]), predictors=["size"], inference="none")
    assert dropped.extra["donors_dropped"][0] == {"unit": "u04", "reason": "no value of size (before)", "comparisons": 1}
