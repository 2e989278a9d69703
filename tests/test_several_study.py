"""A study of several treated units, treated at different dates, from its file to its report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayes_causal as bc
from bayes_causal.checks import donor_refit
from bayes_causal.checks.base import Check
from bayes_causal.checks.shared_errors import FEWEST, _pairs
from bayes_causal.checks.unit_by_unit import together
from bayes_causal.inference.blocked_gibbs import BlockedGibbs

UNITS, DONORS, PERIODS, ONSETS = 2, 3, 16, (11, 12)
CHECKS = ("leave_one_out", "placebo_space", "hull", "donor_concentration", "unshared_trend", "shared_errors", "prior_sensitivity")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two units on three donors, effects 2 and 3, and a run of their study."""
    rng = np.random.default_rng(20_220_401)
    x = rng.standard_normal((PERIODS, DONORS)).cumsum(0) + rng.standard_normal(PERIODS).cumsum()[:, None]
    on = np.arange(PERIODS)[:, None] >= np.array(ONSETS)
    y = 3 + x @ np.array([[0.6, 0.3], [0.4, 0.3], [0.0, 0.4]]) + 0.15 * rng.standard_normal((PERIODS, UNITS)) + on * [2.0, 3.0]
    names = ["a", "b", "u", "v", "w"]
    place = tmp_path_factory.mktemp("study")
    frame = {"unit": np.tile(names, PERIODS), "t": np.repeat(np.arange(PERIODS), 5), "y": np.column_stack([y, x]).ravel()}
    treated = np.column_stack([on, np.zeros((PERIODS, DONORS), bool)]).astype(int)
    pd.DataFrame(frame | {"d": treated.ravel()}).to_csv(place / "data.csv", index=False)
    columns = {"unit": "unit", "time": "t", "outcome": "y", "treatment": "d"}
    study = {
        "name": "staggered",
        "data": {"source": str(place / "data.csv"), "kind": "panel"} | columns,
        "model": {"name": "synthetic_control"},
        "engine": {"name": "auto", "draws": 150, "warmup": 50, "chains": 2, "seed": 1},
        "baselines": ["sc_demeaned"],
        "checks": list(CHECKS),
        "output": str(place / "run"),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(donor_refit, "DRAWS", 50)
        return bc.run_study(study, quiet=True)


def test_every_answer_is_there_on_both_scales(folder: Path) -> None:
    told = json.loads((folder / "estimates.json").read_text())
    rows = [r for r in told["estimates"] if r["method"] == "synthetic_control"]
    kinds = {(r["estimand"], r["scale"], *r["by"]) for r in rows}
    every = {(n, "realised", *by) for n in ("att", "cumulative", "relative") for by in ((), ("unit",))}
    every |= {("att", "realised", by) for by in ("cohort", "event_time", "time")}
    every |= {("cumulative", "realised", "event_time"), ("att", "mean"), ("att", "mean", "unit")}
    assert kinds == every and told["verdict"]["scale"] == "realised"
    by_unit = {r["by"]["unit"]: r for r in rows if r["estimand"] == "att" and r["scale"] == "mean" and r["by"]}
    for unit, true in (("a", 2.0), ("b", 3.0)):  # fails once in 2,000 data sets
        assert abs(by_unit[unit]["value"] - true) < 3.5 * by_unit[unit]["std_error"] < 2.5
    peer = [r for r in told["estimates"] if r["method"] == "sc_demeaned" and "unit" in r["by"]]
    assert {r["by"]["unit"] for r in peer} == {"a", "b"}


def test_outcomes_eight_times_as_large_change_not_a_bit(folder: Path) -> None:
    """What is in units of the outcome is eight times as large, the rest is what it was."""
    frame = pd.read_csv(folder.parent / "data.csv")
    columns = {"unit": "unit", "time": "t", "outcome": "y", "treatment": "d"}
    model = bc.SyntheticControl(bc.Panel.from_frame(frame.assign(y=8.0 * frame["y"]), **columns))
    eight = model.natural(BlockedGibbs(draws=150, warmup=50, chains=2, progress=False).sample(model, seed=1).sites)
    one = bc.load_tree(folder / "posterior.nc")["posterior"]
    for name in ("tau", "omega", "tau_unit", "sigma", "intercept", "counterfactual"):
        np.testing.assert_array_equal(eight[name], 8.0 * one[name].values)
    for name in ("weight", "rho", "correlation"):
        np.testing.assert_array_equal(eight[name], one[name].values)


def test_checks_of_one_unit_are_asked_of_each(folder: Path) -> None:
    found = {c["name"]: c for c in json.loads((folder / "checks.json").read_text())}
    assert set(CHECKS) < set(found)
    for name in ("leave_one_out", "placebo_space"):
        assert {r["treated"] for r in found[name]["table"]} == {"a", "b"} and len(found[name]["table"]) == 2 * DONORS
    for name in CHECKS[:-2]:
        assert found[name]["numbers"]["units"] == 2 and "nan" not in found[name]["text"]
        assert "a: " in found[name]["text"] and "b: " in found[name]["text"]
    assert found["shared_errors"]["numbers"]["pairs"] == 1
    assert -1 <= found["shared_errors"]["numbers"]["measured"] <= 1


def test_the_report_draws_each_unit_and_what_pooling_did(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    drawn = {p.stem for p in (folder / "figures").iterdir()}
    assert {"unit_gaps", "groups", "effect"} <= drawn and not {"counterfactual", "weights", "placebo_gaps"} & drawn
    assert "Gaps of 2 treated units" in page and "Effects by unit" in page and "Shrinkage" in page
    assert "one correlation" in page and "effects resemble each other" in page


def test_a_check_of_units_fails_where_one_does() -> None:
    good, bad = (Check("hull", passed, "warning", "Said.", {"distance": 1.0}) for passed in (True, False))
    none = Check("hull", None, "info", "Said.")
    assert together([("a", good), ("b", good)]).passed is True
    assert together([("a", none), ("b", none)]).passed is None
    found = together([("a", good), ("b", bad), ("c", none)])
    assert found.passed is False and found.severity == "warning" and "1 of them fails (b)" in found.text
    assert found.numbers == {"units": 3, "failed": 1, "distance (a)": 1.0, "distance (b)": 1.0}


def test_pairs_of_errors_are_measured_on_the_dates_they_share(rng: np.random.Generator) -> None:
    import xarray as xr

    shared = rng.standard_normal(400)
    values = np.stack([shared + rng.standard_normal(400), shared + rng.standard_normal(400), rng.standard_normal(400)])
    values[2, FEWEST - 1 :] = np.nan
    rows: list[dict[str, Any]] = _pairs(xr.DataArray(values, {"unit": ["a", "b", "c"]}, ("unit", "date")))
    assert [(r["unit"], r["with"], r["dates"]) for r in rows] == [("a", "b", 400)]
    assert rows[0]["correlation"] == pytest.approx(0.5, abs=0.15)  # four errors
