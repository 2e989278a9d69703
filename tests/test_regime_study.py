"""A study of shocks to several series from its file to its report, the answer to its question, and what its checks see."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayes_causal as bc
from bayes_causal.checks import regimes as checks_of_regimes
from bayes_causal.checks.predictive import posterior_predictive
from bayes_causal.checks.regimes import look_ahead, shock_foretold
from bayes_causal.cli import _tell
from bayes_causal.data.multi_series import MultiSeries
from bayes_causal.errors import StudyError
from bayes_causal.inference import tree as trees
from bayes_causal.models.regime_switching import RegimeSwitching
from bayes_causal.reports import content, html
from bayes_causal.study.read import read_study, study_from
from bayes_causal.study.run import model_of
from bayes_causal.study.template import template

DATES, MAGNITUDE = 160, -0.5
EFFECT = {0: 0.2, 1: 2.0}


def frame() -> pd.DataFrame:
    """Two series that a shock moves little in calm dates and much in rough ones; the last 25 dates are rough."""
    rng = np.random.default_rng(19_890_357)
    rough = (np.arange(DATES) // 40 % 2).astype(bool)
    rough[-25:] = True
    x, calm = rng.standard_normal(DATES), ~np.r_[rough[0], rough[:-1]]
    noise = np.where(rough, 1.5, 0.4)[:, None] * rng.standard_normal((DATES, 2))
    y = np.where(calm, EFFECT[0], EFFECT[1])[:, None] * x[:, None] + noise
    return pd.DataFrame({"t": np.arange(DATES), "stocks": y[:, 0], "bonds": y[:, 1], "shock": x, "recession": 1.0 * rough})


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    place = tmp_path_factory.mktemp("study")
    frame().to_csv(place / "data.csv", index=False)
    data = {"source": str(place / "data.csv"), "kind": "multi_series", "time": "t"}
    return {
        "name": "shocks",
        "data": data | {"outcomes": ["stocks", "bonds"], "shocks": ["shock"], "controls": ["recession"]},
        "question": {"shock": "shock", "outcome": "bonds", "magnitude": MAGNITUDE},
        "model": {"name": "regime_switching", "options": {"order": 1}},
        "engine": {"name": "auto", "draws": 500, "warmup": 200, "chains": 4, "seed": 1},
        "baselines": ["local_projection"],
        "output": str(place / "run"),
    }


@pytest.fixture(scope="module")
def folder(study: dict[str, Any]) -> Path:
    return bc.run_study(study, quiet=True)


@pytest.fixture(scope="module")
def told(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "estimates.json").read_text()))


def test_the_question_is_answered(told: dict[str, Any]) -> None:
    """The rough regime is on, and what half a unit less of the shock does is minus half its effect there."""
    found, rows = told["answer"], told["estimates"]
    assert found["question"] == {"shock": "shock", "outcome": "bonds", "magnitude": MAGNITUDE}
    now = {r["regime"]: r["probability"] for r in found["regime_probabilities"]}
    assert now[1] > 0.9 and sum(now.values()) == pytest.approx(1, abs=1e-6)
    effect = found["effect"]
    error = effect["std_error"]
    assert effect["value"] == pytest.approx(MAGNITUDE * EFFECT[1], abs=4 * error) and error < 0.15
    assert effect["lower"] < effect["value"] < effect["upper"] < 0 and effect["prob_positive"] < 0.01
    own = [r for r in rows if r["method"] == "regime_switching" and r["by"].get("series") == "bonds"]
    head = next(r for r in own if set(r["by"]) == {"series", "shock"})
    assert effect["value"] == pytest.approx(MAGNITUDE * head["value"], rel=1e-9)
    assert effect["lower"] == pytest.approx(MAGNITUDE * head["upper"], rel=1e-9)
    assert (told["verdict"]["value"], head["unit"]) == (head["value"], "bonds")
    for row in found["regime_effects"]:
        same = next(r for r in own if set(r["by"]) == {"series", "shock", "regime"} and r["by"]["regime"] == row["regime"])
        assert row["value"] == pytest.approx(MAGNITUDE * same["value"], rel=1e-9)
    assert found["regime_effects"][0]["value"] == pytest.approx(MAGNITUDE * EFFECT[0], abs=0.15)
    mixed = found["uncertainty"]
    assert mixed["std_error"] == error and mixed["lower_in_an_unknown_regime"] <= effect["lower"] + 0.05
    assert mixed["over_regimes"] == pytest.approx(
        abs(MAGNITUDE) * 1.8 * np.sqrt(now[1] * (1 - now[1])), abs=0.15
    )  # the sd of a draw of one of the two


def test_the_sentence_says_what_a_shock_is_not(told: dict[str, Any]) -> None:
    said = told["answer"]["sentence"]
    assert "With shock lower by 0.5, bonds is lower by" in said and "only if the shock is as good as random" in said
    assert "not what would follow if somebody moved it" in told["answer"]["shock"]
    assert "regime 1, the least calm" in said
    assert told["verdict"]["sentence"] == said if told["answer"]["reliable"] else told["verdict"]["reasons"]


def test_the_answer_is_in_the_json_of_the_command(folder: Path, told: dict[str, Any], capsys: Any) -> None:
    status = _tell(folder, Namespace(json=True, quiet=False))
    printed = json.loads(capsys.readouterr().out)
    assert printed["answer"] == told["answer"] and printed["value"] == told["verdict"]["value"]
    assert status == (0 if told["verdict"]["reliable"] else 3)
    _tell(folder, Namespace(json=False, quiet=False))
    assert "local_projection" in capsys.readouterr().out


def test_rows_are_by_series_shock_regime_and_horizon(told: dict[str, Any]) -> None:
    own = [tuple(sorted(r["by"])) for r in told["estimates"] if r["method"] == "regime_switching"]
    pairs = ("series", "shock")
    assert {k: own.count(k) for k in set(own)} == {
        pairs: 2,
        ("regime", *pairs): 4,
        ("horizon", *pairs): 26,
        ("horizon", "regime", *pairs): 52,
    }
    asked = [r for r in told["estimates"] if r["by"] == {"series": "bonds", "shock": "shock"}]
    assert {r["method"] for r in asked} == {"regime_switching", "local_projection"} and asked[1]["value"] is not None


def test_the_checks_are_those_of_several_series(folder: Path) -> None:
    checks = {c["name"]: c for c in json.loads((folder / "checks.json").read_text())}
    assert {"convergence", "label_switching", "look_ahead", "shock_foretold", "posterior_predictive"} <= set(checks)
    assert not {"pretrend", "placebo_time", "hull"} & set(checks)
    assert checks["look_ahead"]["passed"] and checks["look_ahead"]["numbers"]["filtered_moved"] < 1e-6
    assert checks["look_ahead"]["numbers"]["smoothed_moved"] > 0.01
    assert "taken from the data as they are" in checks["look_ahead"]["text"]
    assert checks["label_switching"]["passed"] and [r["regime"] for r in checks["label_switching"]["table"]] == [0, 1]
    assert {r["series"] for r in checks["posterior_predictive"]["table"]} == {"stocks", "bonds"}
    assert len(checks["mde"]["table"]) == len(checks["prior_sensitivity"]["table"]) == 2
    assert all(len(c["text"]) > 20 and "nan" not in c["text"] for c in checks.values())


def test_the_report_is_drawn_and_rebuilt_from_the_folder(folder: Path) -> None:
    drawn = {p.stem for p in (folder / "figures").iterdir()}
    assert {"regime_bands", "regime_effects", "responses", "transitions", "methods"} <= drawn and "raw_means" not in drawn
    found = content.load(folder)
    page, figures = html.render(found)
    assert set(figures) == drawn and found.answer["sentence"] in (folder / "estimates.json").read_text()
    for words in ("Regimes over time", "How regimes change", "in a recession", "Effects by regime", "Dates it lasts"):
        assert words in page


def test_a_filter_that_looks_ahead_is_seen(folder: Path, study: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model, tree = model_of(study_from(study)), trees.load(folder / "posterior.nc")
    honest = checks_of_regimes._probabilities

    def smoothed(*given: Any) -> tuple[np.ndarray, np.ndarray]:
        return honest(*given)[1], honest(*given)[1]

    assert look_ahead(model, tree).passed
    monkeypatch.setattr(checks_of_regimes, "_probabilities", smoothed)
    fault = look_ahead(model, tree)
    assert fault.blocks and fault.numbers["filtered_moved"] > 0.01 and "know what came after" in fault.text


def series_with(shock: np.ndarray, rng: np.random.Generator) -> RegimeSwitching:
    values = pd.DataFrame({"y": rng.standard_normal(len(shock)), "x": shock, "c": rng.standard_normal(len(shock))})
    return RegimeSwitching(MultiSeries.from_frame(values, outcomes=["y"], shocks=["x"], controls=["c"]))


def test_a_shock_that_its_past_foretells_is_no_news(rng: np.random.Generator, needs: Callable[[str], ModuleType]) -> None:
    """Against another library's regression; the news pass but once in 100 data sets, the rest once in a million."""
    sm = needs("statsmodels.api")
    x = rng.standard_normal(200)
    for shock in (x, x + 0.8 * np.r_[0, x[:-1]]):
        model = series_with(shock, rng)
        data = model.data
        known = np.column_stack([data.controls[1:], data.outcomes[:-1], data.shocks[:-1]])
        other = sm.OLS(shock[1:], sm.add_constant(known)).fit()
        found = shock_foretold(model, xr.DataTree())
        row = found.table[0]
        assert (row["f"], row["p_value"]) == pytest.approx((other.fvalue, other.f_pvalue), rel=1e-6)
        assert (row["r2"], row["r2_adjusted"]) == pytest.approx((other.rsquared, other.rsquared_adj), rel=1e-6)
        assert found.passed is bool(shock is x)


def test_replicates_of_one_series_that_scatter_too_little_are_seen(rng: np.random.Generator) -> None:
    """200 replicates: each of ten statistics of honest ones is outside all of them once in 100 times; three may be."""
    dims, labels = ("chain", "draw", "time", "series"), {"series": ["a", "b"]}
    seen = xr.DataArray(rng.standard_normal((300, 2)) * [1, 50], labels, ("time", "series"))
    drawn = rng.standard_normal((1, 200, 300, 2)) * [1, 50]

    def off(scale: float) -> list[str]:
        y = xr.Dataset({"y": (dims, drawn * [1, scale])})
        tree = xr.DataTree.from_dict({"observed_data": seen.to_dataset(name="y"), "posterior_predictive": y})
        found = posterior_predictive(object(), tree)  # type: ignore[arg-type]
        return [f"{r['series']} {r['statistic']}" for r in found.table if r["p_value"] < 0.01]

    assert len(off(1.0)) <= 3 and "b sd" not in off(1.0)
    assert "b sd" in off(0.7) and "a sd" not in off(0.7)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"question": {"shock": "shok"}}, "question.shock 'shok' is none of data.shocks (did you mean 'shock'"),
        ({"question": {"outcome": "bond"}}, "question.outcome 'bond' is none of data.outcomes (did you mean 'bonds'"),
        ({"question": {"magnitude": 0}}, "question.magnitude is by how much the shock moves, a number other than 0"),
        ({"question": {"magnitude": float("inf")}}, "question.magnitude is by how much the shock moves"),
        ({"question": {"magnitude": "much"}}, "question.magnitude cannot be 'much'"),
        ({"question": {"shocks": "shock"}}, "'question.shocks' is not a key of a study (did you mean 'shock'"),
        ({"question": "shock"}, "question holds keys and values"),
        ({"model": {"name": "structural_time_series"}}, "takes time_series data, and data.kind is multi_series"),
        ({"model": {"name": "regime_switching", "options": {"form": "hamiltn"}}}, "(did you mean 'hamilton'"),
        ({"checks": ["label_swiching"]}, "check 'label_swiching' does not exist (did you mean 'label_switching'"),
    ],
)
def test_a_wrong_question_is_refused(study: dict[str, Any], change: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyError) as refused:
        study_from(study | change)
    assert said in str(refused.value)


def test_a_study_without_shocks_asks_nothing(study: dict[str, Any]) -> None:
    data = {k: v for k, v in study["data"].items() if k != "shocks"}
    with pytest.raises(StudyError, match=r"data\.shocks is missing"):
        study_from(study | {"data": data})


def test_the_template_is_a_study_and_the_shipped_one_reads(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(template("regime_switching"))
    assert read_study(tmp_path / "study.yaml").question.magnitude == 1.0  # type: ignore[union-attr]
    from bayes_causal.study.shipped import shipped_study

    shipped = read_study(shipped_study("macro"))
    assert shipped.question is not None and shipped.question.shock in shipped.data.shocks
