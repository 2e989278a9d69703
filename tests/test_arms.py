"""Two arms of known, different effects, from a csv file to a report: each is recovered, and named as an arm everywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayes_causal.study.run import run_study

TRUTH = {"high": 1.5, "low": 0.5}
"""Effects, in units of the outcome. Arms start in different periods, and the low one stops before the end."""


def clinics(rng: np.random.Generator, units: int = 60, periods: int = 12) -> pd.DataFrame:
    unit, time = np.divmod(np.arange(units * periods), periods)
    arm = np.where((unit % 3 == 0) & (time >= 6), "high", "Control")
    arm = np.where((unit % 3 == 1) & (time >= 4) & (time < 10), "low", arm)
    effect = pd.Series(arm).map(TRUTH).fillna(0.0).to_numpy()
    y = rng.normal(size=units)[unit] + 0.2 * time + effect + 0.5 * rng.normal(size=unit.size)
    return pd.DataFrame({"clinic": unit, "month": time, "arm": arm, "y": y})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("arms")
    clinics(np.random.default_rng(20_260_101)).to_csv(folder / "clinics.csv", index=False)
    data = {"source": "clinics.csv", "kind": "panel", "unit": "clinic", "time": "month", "outcome": "y", "arms": "arm"}
    study = {"name": "arms", "data": data | {"source": str(folder / "clinics.csv")}, "model": {"name": "hierarchical_did"}}
    yield run_study(study | {"baselines": ["twfe", "did_2x2", "did2s"], "checks": ["identification"]}, out=folder / "run")


@pytest.fixture(scope="module")
def by_arm(run: Path) -> dict[tuple[str, str], dict[str, Any]]:
    rows = json.loads((run / "estimates.json").read_text())["estimates"]
    assert not any("group" in row["by"] for row in rows)
    return {(row["method"], row["by"]["arm"]): row for row in rows if set(row["by"]) == {"arm"}}


@pytest.mark.parametrize("method", ["hierarchical_did", "twfe"])
def test_each_arm_is_recovered(method: str, by_arm: dict[tuple[str, str], dict[str, Any]]) -> None:
    """Within 4 standard errors, which a right estimate leaves once in 16,000; the two differ by more than ten."""
    for arm, truth in TRUTH.items():
        row = by_arm[method, arm]
        assert abs(row["value"] - truth) < 4 * row["std_error"] and row["std_error"] < 0.12
    assert by_arm[method, "high"]["value"] - by_arm[method, "low"]["value"] > 0.5


def test_arms_are_pooled_by_default(run: Path, by_arm: dict[tuple[str, str], dict[str, Any]]) -> None:
    assert json.loads((run / "manifest.json").read_text())["study"]["model"]["options"] == {}
    assert {arm for method, arm in by_arm if method == "hierarchical_did"} == set(TRUTH)
    table = pd.read_csv(run / "comparison.csv")
    own = table[(table.method == "hierarchical_did") & table.by.str.contains("arm")]
    assert own.shrinkage.notna().all() and (own.shrinkage.abs() < 0.3).all(), "two arms this far apart are hardly pulled together"


def test_every_baseline_that_knows_groups_knows_arms(by_arm: dict[tuple[str, str], dict[str, Any]]) -> None:
    assert {method for method, _ in by_arm} == {"hierarchical_did", "twfe", "did_2x2"}


def test_checks_and_report_speak_of_arms(run: Path) -> None:
    found = {c["name"]: c for c in json.loads((run / "checks.json").read_text())}
    assert found["identification"]["passed"] and "every arm's own" in found["identification"]["text"]
    page = (run / "report.html").read_text()
    assert "Effects by arm" in page and "All arms in numbers" in page and "Forest plot of 2 arms" in page
    assert "Effects by group" not in page
