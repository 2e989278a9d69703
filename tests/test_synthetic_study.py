"""A study of synthetic control from its file to its report, and what its checks say of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayes_causal as bc
from bayes_causal.checks import donor_refit
from bayes_causal.checks.catalogue import CHECKS
from bayes_causal.checks.donor_pool import closest_average
from bayes_causal.study.read import read_study
from bayes_causal.study.template import template

DONORS, PERIODS, ONSET = 5, 24, 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A unit that is 60 % of one donor and 40 % of another, three above them and then five, on a run of its own."""
    rng = np.random.default_rng(20_100_101)
    x = 0.7 * rng.standard_normal((PERIODS, DONORS)).cumsum(0) + rng.standard_normal(PERIODS).cumsum()[:, None]
    after = np.arange(PERIODS) >= ONSET
    y = 3 + x @ np.array([0.6, 0.4, 0, 0, 0]) + 0.15 * rng.standard_normal(PERIODS) + 2 * after
    values = np.column_stack([y, x]).T
    unit, time = np.indices(values.shape).reshape(2, -1)
    frame = pd.DataFrame(
        {"unit": [f"u{k}" for k in unit], "t": time, "y": values.ravel(), "d": ((unit == 0) & after[time]).astype(int)}
    )
    place = tmp_path_factory.mktemp("study")
    frame.to_csv(place / "data.csv", index=False)
    study = {
        "name": "donors",
        "data": {
            "source": str(place / "data.csv"),
            "kind": "panel",
            "unit": "unit",
            "time": "t",
            "outcome": "y",
            "treatment": "d",
        },
        "model": {"name": "synthetic_control"},
        "engine": {"name": "auto", "draws": 200, "warmup": 100, "chains": 4, "seed": 1},
        "baselines": "none",
        "output": str(place / "run"),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(donor_refit, "DRAWS", 100)
        return bc.run_study(study, quiet=True)


@pytest.fixture(scope="module")
def checks(folder: Path) -> dict[str, dict[str, Any]]:
    return {c["name"]: c for c in json.loads((folder / "checks.json").read_text())}


def test_the_effect_is_found_and_every_answer_is_there(folder: Path) -> None:
    told = json.loads((folder / "estimates.json").read_text())
    v, rows = told["verdict"], told["estimates"]
    error = next(r["std_error"] for r in rows if r["estimand"] == "att" and not r["by"])
    assert v["scale"] == "realised" and v["prob_positive"] > 0.99
    assert v["value"] == pytest.approx(2, abs=3.5 * error) and error < 0.5  # fails once in 2,000 data sets
    kinds = {(r["estimand"], *r["by"]) for r in rows}
    assert kinds == {("att",), ("cumulative",), ("relative",), ("att", "time"), ("cumulative", "time"), ("att", "event_time")}
    assert [r["by"]["event_time"] for r in rows if "event_time" in r["by"]] == [0, 1, 2, 3]


def test_the_checks_are_those_of_the_model(checks: dict[str, dict[str, Any]]) -> None:
    own = {e.name for e in CHECKS.values() if "synthetic_control" in e.modules}
    assert own == {
        "placebo_time",
        "placebo_space",
        "leave_one_out",
        "anticipation",
        "donor_contamination",
        "hull",
        "donor_concentration",
        "unshared_trend",
        "shared_errors",
    }
    assert own < set(checks) and not {"pretrend", "twfe_weights", "overlap", "few_clusters", "identification"} & set(checks)
    assert all(len(c["text"]) > 20 and "nan" not in c["text"] for c in checks.values())


def test_placebos_and_donors_left_out_say_what_they_should(checks: dict[str, dict[str, Any]]) -> None:
    space = checks["placebo_space"]
    assert {r["unit"] for r in space["table"]} == {"u1", "u2", "u3", "u4", "u5"}
    p = (1 + space["numbers"]["as_large_as_the_effect"]) / 6
    assert space["numbers"]["p_value"] == pytest.approx(p)
    assert set(space["paths"]) == {"u0", "u1", "u2", "u3", "u4", "u5"}
    assert np.mean(space["paths"]["u0"][ONSET:]) == pytest.approx(2, abs=0.5)
    assert abs(np.mean(space["paths"]["u0"][:ONSET])) < 0.2
    without = {r["without"]: r for r in checks["leave_one_out"]["table"]}
    assert without["u1"]["weight"] > without["u3"]["weight"]
    assert checks["leave_one_out"]["numbers"]["lowest"] <= min(r["value"] for r in without.values())
    assert checks["placebo_time"]["numbers"]["placebos"] >= 3
    assert 1 <= checks["donor_concentration"]["numbers"]["effective_donors"] <= DONORS
    assert checks["hull"]["passed"] is True


def test_the_report_has_the_model_s_own_sections(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    assert "Observed and expected" in page and "Donors and placebos" in page and "Raw means" not in page
    drawn = {p.stem for p in (folder / "figures").iterdir()}
    assert {"counterfactual", "placebo_gaps", "weights"} <= drawn and "raw_means" not in drawn
    assert "that the donors were moved too" in page


def test_the_template_is_a_study(tmp_path: Path) -> None:
    text = template("synthetic_control")
    assert "weights: simplex" in text and "# ar1 | iid" in text
    (tmp_path / "study.yaml").write_text(text)

    assert read_study(tmp_path / "study.yaml").model.name == "synthetic_control"


@pytest.mark.parametrize("inside", [True, False])
def test_distance_to_the_hull(inside: bool, rng: np.random.Generator) -> None:
    """Zero for a weighted average; for a point beyond a corner, the distance to that corner's face by brute force."""
    x = rng.standard_normal((6, 3))
    y = x @ np.array([0.2, 0.3, 0.5]) if inside else 3 * x[:, 0] - 2 * x[:, 1]
    grid = np.array([(a, b, 1 - a - b) for a in np.linspace(0, 1, 401) for b in np.linspace(0, 1 - a, 401)])
    brute = np.sqrt(((y - grid @ x.T) ** 2).mean(1)).min()
    assert closest_average(x, y) == pytest.approx(0.0 if inside else brute, abs=1e-4 if inside else 1e-3)
    assert closest_average(x, y) <= brute + 1e-9
