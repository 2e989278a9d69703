"""A hierarchical time series from a file to a report: units in the forest, each pooled and on its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayes_causal as bc


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("units")
    rng = np.random.default_rng(3)
    unit, day = (v.ravel() for v in np.indices((8, 24)))
    start = np.array([10, 12, 14, 14, 99, 99, 99, 99])[unit]
    on = (day >= start).astype(int)
    y = 5.0 * unit + rng.standard_normal(unit.size) + 3.0 * on
    table = pd.DataFrame({"shop": [f"shop {u}" for u in unit], "day": day, "sales": y, "ad": on})
    table.to_csv(where / "sales.csv", index=False)
    data = {
        "source": str(where / "sales.csv"),
        "unit": "shop",
        "time": "day",
        "outcome": "sales",
        "treatment": "ad",
        "kind": "panel",
    }
    model = {"name": "hierarchical_time_series", "options": {"window": [0, 3]}}
    study: dict[str, Any] = {"name": "shops", "data": data, "model": model, "engine": {"draws": 500}, "baselines": ["twfe"]}
    return bc.run_study(study | {"checks": ["mde"]}, out=where / "run", quiet=True)


def test_the_effect_is_told(folder: Path) -> None:
    """The truth within three standard errors: one right model in 300 seeds fails, and the seed is fixed."""
    told = json.loads((folder / "estimates.json").read_text())
    head = told["estimates"][0]
    assert told["verdict"]["reliable"] and abs(head["value"] - 3.0) < 3 * head["std_error"]
    rows = [r for r in told["estimates"] if r["method"] == "hierarchical_time_series"]
    assert {tuple(r["by"]) for r in rows} == {(), ("event_time",), ("cohort",), ("time",), ("unit",)}
    assert {r["scale"] for r in rows if "unit" in r["by"]} == {"mean", "realised"}


def test_units_are_shown_pooled_and_on_their_own(folder: Path) -> None:
    from bayes_causal.reports import content
    from bayes_causal.reports.effects import group_table
    from bayes_causal.reports.figures import groups

    run = content.load(folder)
    assert {f.name for f in (folder / "figures").iterdir()} >= {"event_study.png", "groups.png"}
    assert run.grouping == "unit" and {r["by"]["unit"] for r in run.unpooled()} == {f"shop {k}" for k in range(4)}
    assert "4 units' effects" in groups.alt(run)
    table = group_table(run)
    assert table is not None and table["head"] == ["Unit", "Pooled", "Interval", "P(effect > 0)", "On its own", "Shrinkage"]
    alone = {r["by"]["unit"]: r["value"] for r in run.unpooled()}
    assert all(float(row[4].replace("−", "-")) == pytest.approx(alone[row[0]], abs=0.01) for row in table["body"])
    page = (folder / "report.html").read_text()
    assert "Hierarchical time series" in page and "Effects by unit" in page and "which wanders on its own" in page
