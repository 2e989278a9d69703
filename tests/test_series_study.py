"""A study of a series: refused with every problem at once, or run from file to report."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from bayes_causal.data.load import load_data
from bayes_causal.errors import DataError, StudyError
from bayes_causal.study.read import study_from
from bayes_causal.study.run import run_study
from bayes_causal.study.template import template

STUDY: dict[str, Any] = {
    "name": "shop",
    "data": {
        "source": "shop.csv",
        "kind": "time_series",
        "time": "day",
        "outcome": "sales",
        "controls": ["rivals"],
        "intervention": "2024-03-01",
    },
    "model": {"name": "structural_time_series"},
    "engine": {"name": "auto", "draws": 500, "chains": 4, "seed": 3},
}


def shop() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    x = rng.normal(size=90).cumsum()
    y = 100 + 3 * x + rng.normal(size=90) - 10 * (np.arange(90) >= 60)
    return pd.DataFrame({"day": pd.date_range("2024-01-01", periods=90), "sales": y, "visits": 2 * y, "rivals": x})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("series")
    shop().to_csv(folder / "shop.csv", index=False)
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY | {"rope": [-1, 1]}))
    return run_study(folder / "study.yaml", out=folder / "run", quiet=True)


def test_from_file_to_report(finished: Path) -> None:
    found = json.loads((finished / "estimates.json").read_text())
    verdict = found["verdict"]
    assert verdict["scale"] == "realised" and verdict["lower"] <= -10 <= verdict["upper"]
    assert verdict["sentence"].startswith("The intervention lowered sales by")
    overall = {r["method"] for r in found["estimates"] if not r["by"] and r["estimand"] == "att"}
    assert overall == {"structural_time_series", "ols_pre_period", "unobserved_components", "arima"}
    assert {r["scale"] for r in found["estimates"]} == {"realised"}
    figures = {p.stem for p in (finished / "figures").iterdir()}
    assert {"effect", "counterfactual", "controls", "components", "methods", "chains"} <= figures
    manifest = json.loads((finished / "manifest.json").read_text())
    assert manifest["data"]["pre_dates"] == 60 and manifest["data"]["rows_kept"] == 90
    names = [c["name"] for c in json.loads((finished / "checks.json").read_text())]
    assert {"placebo_time", "false_alarms", "out_of_sample", "control_drift", "leave_one_out", "mde"} <= set(names)
    assert not {"pretrend", "twfe_weights", "few_clusters"} & set(names)


def changed(**data: Any) -> dict[str, Any]:
    study = deepcopy(STUDY)
    study["data"] |= data
    return {**study, "data": {k: v for k, v in study["data"].items() if v is not ...}}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"unit": "shop"}, "data.unit is a key of panel data, and data.kind is time_series"),
        ({"intervention": ...}, "nothing says when the intervention was"),
        ({"controls": ["sales"]}, "control 'sales' is also the outcome column"),
        ({"outcome": ...}, "data.outcome is missing"),
        ({"pre": ["2024-02-01", "2024-01-01"]}, "data.pre is [first, last]"),
        ({"kind": "panel"}, "is a key of time_series and multi_series data, and data.kind is panel"),
        ({"source": "example:castle"}, "data.kind is time_series, and example:castle is panel data"),
        ({"interventoin": 3}, "did you mean 'intervention'"),
    ],
)
def test_what_cannot_be_is_refused(data: dict[str, Any], words: str) -> None:
    with pytest.raises(StudyError) as error:
        study_from(changed(**data))
    assert any(words in p for p in error.value.problems), error.value.problems


def test_names_of_another_kind_are_refused() -> None:
    with pytest.raises(StudyError) as error:
        study_from(STUDY | {"baselines": ["twfe"], "checks": ["pretrend", {"placebo_time": {"dates": 5, "shops": 1}}]})
    said = " ".join(error.value.problems)
    assert "baseline 'twfe'" in said and "check 'pretrend'" in said and "has no option 'shops'" in said


def test_what_cannot_be_integrated_out_is_refused_to_the_collapsed_engine() -> None:
    options = {"regression": "horseshoe", "errors": "student_t"}
    model = {"name": "structural_time_series", "options": options}
    with pytest.raises(StudyError) as error:
        study_from(STUDY | {"model": model, "engine": {"name": "collapsed"}})
    assert sum("use auto or gibbs" in p for p in error.value.problems) == 2
    assert study_from(STUDY | {"model": model, "engine": {"name": "gibbs"}}).engine.name == "gibbs"


def test_data_keys_reach_the_container(tmp_path: Path) -> None:
    shop().to_csv(tmp_path / "shop.csv", index=False)
    keys = STUDY["data"] | {"end": "2024-03-10", "pre": ["2024-01-11", "2024-02-20"], "where": "day < date '2024-03-25'"}
    series, provenance = load_data(keys, tmp_path, "visits")
    assert series.outcome_name == "visits" and series.n_pre == 41 and series.n_post == 10
    assert series.end == np.datetime64("2024-03-10") and provenance.rows_kept == 74
    with pytest.raises(DataError, match="has no key 'unit'"):
        load_data(keys | {"unit": "x"}, tmp_path)
    no_controls, _ = load_data({"source": "example:nile", "kind": "time_series", "intervention": 1910, "controls": []}, ".")
    assert no_controls.intervention == 1910


def test_the_template_says_what_a_series_needs() -> None:
    text = template("structural_time_series")
    keys = yaml.safe_load(text)["data"]
    assert keys["kind"] == "time_series" and {"time", "outcome", "controls", "intervention"} <= set(keys)
    assert "# end:" in text and "unit:" not in text


def test_a_test_is_planned_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without an intervention all dates but the last are the time before; sizes asked for get a row each, and a figure."""
    from bayes_causal.cli import main

    shop()[:60].to_csv(tmp_path / "shop.csv", index=False)
    data = {k: v for k, v in STUDY["data"].items() if k != "intervention"}
    options = {"name": "structural_time_series", "options": {"prior_set": "causalimpact"}}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(STUDY | {"data": data, "model": options}))
    arguments = [
        "power",
        str(tmp_path / "plan.yaml"),
        "--durations",
        "3",
        "7",
        "--effects",
        "0",
        "2",
        "--out",
        str(tmp_path / "p"),
    ]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "shop: effects on sales that would be found, from 59 dates before (one a day)" in said
    assert "shortest length" in said and "false alarms" in said and "Written:" in said
    table = pd.read_csv(tmp_path / "p" / "power.csv")
    assert set(table["duration"]) == {3, 7} and len(table) == 4
    assert (tmp_path / "p" / "power.png").stat().st_size > 5_000
    assert main([*arguments[:2], "--durations", "30"]) == 2
    assert "needs a pre-period of at least 200 dates, and there are 59" in capsys.readouterr().err
    assert main([*arguments[:2], "--power", "80"]) == 2
    assert "power lies between 0 and 1" in capsys.readouterr().err
    (tmp_path / "panel.yaml").write_text(
        "data: {source: a.csv, kind: panel, unit: u, time: t, outcome: y, treatment: d}\nmodel: {name: hierarchical_did}"
    )
    assert main(["power", str(tmp_path / "panel.yaml")]) == 2
    assert "data.kind is panel" in capsys.readouterr().err
