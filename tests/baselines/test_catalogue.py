"""One contract for every baseline, and what `run` does with names, options and failures."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

import bayes_causal.baselines as baselines
from bayes_causal.baselines.catalogue import BASELINES, resolve, run
from bayes_causal.errors import MissingExtraError, StudyError
from bayes_causal.estimates import DIMS, ESTIMANDS, Estimand, compare

ENTRIES = [e for e in BASELINES.values() if e.kind == "panel" and e.default]
WITH_DONORS = [e for e in BASELINES.values() if "synthetic_control" in e.beside]


@pytest.fixture
def panel(make_frame, to_panel):
    return to_panel(make_frame(units=55, growth=0.3))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.name)
def test_every_baseline_keeps_the_contract(entry, panel):
    assert entry.line and entry.assumes and entry.tested and entry.kind == "panel"
    assert set(entry.by) <= set(DIMS) and set(entry.estimands) <= set(ESTIMANDS)
    function = entry.load()
    assert function is getattr(baselines, entry.name)
    for by in (None, *(b for b in entry.by if b != "arm")):  # a panel calls its groups groups, or arms
        answer = function(panel, by=by, level=0.8)
        assert answer.method == entry.name and answer.framework == "frequentist" and answer.interval_kind == "confidence"
        assert answer.estimand == Estimand("att", by=by) and answer.level == 0.8 and answer.unit == "y"
        assert answer.value.dims == (() if by is None else (by,))
        for row in answer.rows():
            assert row["lower"] < row["value"] < row["upper"] and row["std_error"] > 0 and 0 <= row["p_value"] <= 1
        json.dumps(answer.rows(), allow_nan=False)
        assert answer.extra["df"] >= 1 if by is None else True


@pytest.mark.parametrize("entry", WITH_DONORS, ids=lambda e: e.name)
def test_every_baseline_with_donors_keeps_the_contract(entry, make_frame, to_panel):
    assert entry.line and entry.assumes and entry.tested and entry.kind == "panel"
    function, panel = entry.load(), to_panel(make_frame(units=22, never=1.0, periods=9))
    assert function is getattr(baselines, entry.name)
    for by in (None, *entry.by):
        answer = function(panel, by=by, level=0.8)
        assert answer.method == entry.name and answer.framework == "frequentist" and answer.interval_kind == "confidence"
        assert answer.estimand == Estimand("att", "realised", by) and answer.level == 0.8 and answer.unit == "y"
        assert answer.value.dims == (() if by is None else (by,))
        for row in answer.rows():
            assert row["lower"] < row["value"] < row["upper"] and row["std_error"] > 0 and 0 < row["p_value"] <= 1
        json.dumps(answer.rows(), allow_nan=False)
        told = answer.extra
        assert sum(told["weights"].values()) == pytest.approx(1) and told["donors"] == 20 and told["inference"] == "placebo"
        assert told["pre_rmspe"] >= 0 and 0 < told["p_value_rmspe_ratio"] <= 1
    (answer,) = run(panel.mask(panel.treated), entry.name)
    assert answer.value.isnull() and "treated" in answer.extra["reason"]
    assert run(panel, entry.name, Estimand("att"))[0].estimand == Estimand("att")


def test_what_stands_beside_a_model_is_for_that_model():
    did = ["twfe", "event_study", "did_2x2", "callaway_santanna", "sun_abraham", "did2s"]
    assert [n for n, _ in resolve("default", "panel", "hierarchical_did")] == did == [n for n, _ in resolve("default", "panel")]
    synthetic = ["sc_classic", "sc_demeaned", "sc_ridge", "sdid", "did_simple"]
    assert [n for n, _ in resolve("default", "panel", "synthetic_control")] == synthetic
    series = ["ols_pre_period", "unobserved_components", "arima"]
    assert [n for n, _ in resolve("default", "time_series", "structural_time_series")] == series


def test_donors_of_the_model_are_those_of_its_baselines(make_frame, to_panel):
    panel = to_panel(make_frame(units=14, never=1.0, periods=9))
    model = {"exclude": [9, 10], "errors": "ar1", "donors": None}
    found = run(panel, ["did_simple", {"sdid": {"exclude": [11]}}], [Estimand()], beside="synthetic_control", options=model)
    dropped = [[r["unit"] for r in a.extra["donors_dropped"] if r["reason"] == "excluded"] for a in found]
    assert dropped == [["9", "10"], ["11"]]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.name)
def test_no_treated_cell_is_a_reason_everywhere(entry, panel):
    treated = panel.mask(panel.treated)
    answer = entry.load()(treated)
    assert np.isnan(answer.value) and "treated" in answer.extra["reason"]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.name)
def test_unbalanced_panels_are_answered(entry, make_frame, to_panel):
    answer = entry.load()(to_panel(make_frame(units=60, missing=0.2, effect=1.5), cohort="start"))
    assert abs(answer.value - 1.5) < 5 * answer.std_error


def test_default_asks_everything_once(panel):
    answers = run(panel)
    assert list(dict.fromkeys(a.method for a in answers)) == [e.name for e in ENTRIES if e.default]
    asked = [(a.method, a.estimand.by) for a in answers]
    assert len(set(asked)) == len(asked)
    assert ("twfe", "group") not in asked and ("callaway_santanna", "cohort") in asked
    compare([a for a in answers if a.estimand == Estimand("att")])


def test_groups_are_broken_down_where_there_are_groups(campaigns, to_panel):
    frame, exposures = campaigns
    answers = run(to_panel(frame, exposures=exposures, group="group"), level=0.8)
    asked = {(a.method, a.estimand.by) for a in answers}
    assert {("twfe", "group"), ("did_2x2", "group"), ("event_study", "event_time")} <= asked
    reasons = {a.method for a in answers if "reason" in a.extra}
    assert reasons == {"callaway_santanna", "sun_abraham", "did2s"}
    assert all(a.level == 0.8 for a in answers)


def test_names_options_and_estimands(panel):
    assert run(panel, "none") == []
    (answer,) = run(panel, [{"callaway_santanna": {"control_group": "not_yet_treated"}}], [Estimand("att", by="time")])
    assert answer.extra["control_group"] == "not_yet_treated" and answer.estimand.by == "time"
    (answer,) = run(panel, ["twfe"], [Estimand("cumulative")])
    assert answer.estimand.name == "cumulative"
    (answer,) = run(panel, ["did2s"], [Estimand("relative")])
    assert "did2s answers att" in answer.extra["reason"]
    assert run(panel, "twfe", Estimand("att", "realised"))[0].estimand.scale == "realised"


def test_everything_wrong_is_said_at_once(panel):
    with pytest.raises(StudyError) as error:
        run(panel, ["twef", {"twfe": {"clusters": "unit"}}, {"did2s": {"level": 0.5}}])
    assert len(error.value.problems) == 3
    assert "'twfe'" in error.value.problems[0] and "'cluster'" in error.value.problems[1]


def test_a_value_of_an_option_that_does_not_exist_is_a_row(panel):
    (answer,) = run(panel, [{"twfe": {"vcov": "CR9"}}])
    assert "CR9" in answer.extra["reason"]


def test_a_failing_library_is_a_row_with_its_message(panel, monkeypatch):
    import pyfixest

    def fail(*args, **options):
        raise ValueError("numbers everywhere")

    monkeypatch.setattr(pyfixest, "feols", fail)
    for name in ("twfe", "event_study"):
        (answer,) = run(panel, name)
        assert answer.extra["reason"] == "pyfixest failed: ValueError: numbers everywhere"


def test_a_missing_package_is_named(panel, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyfixest", None)
    with pytest.raises(MissingExtraError, match=r"bayes-causal\[baselines\]"):
        run(panel, ["twfe"])
    rows = {a.method: a for a in run(panel)}
    assert "pip install" in rows["twfe"].extra["reason"]
    assert np.isfinite(rows["did2s"].value).all()


def test_functions_stay_functions_after_their_modules_are_loaded():
    code = (
        "import bayes_causal.baselines as b\n"
        "from bayes_causal.baselines.catalogue import BASELINES\n"
        "for e in BASELINES.values(): e.load()\n"
        "assert all(callable(getattr(b, n)) or n == 'BASELINES' for n in b.__all__)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_the_room_loads_no_library():
    code = "import bayes_causal.baselines.catalogue, sys; print({'pyfixest', 'diff_diff', 'jax'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"
