"""A study file is refused with every problem in one message, or runs; a run folder is whole or absent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from bayes_causal.errors import DataError, RunFolderError, StudyError
from bayes_causal.models.catalogue import MODELS
from bayes_causal.study import folder as run_folder
from bayes_causal.study.read import read_study, study_from
from bayes_causal.study.run import resolve, run_study
from bayes_causal.study.schema import Study
from bayes_causal.study.shipped import shipped_studies
from bayes_causal.study.template import template

STUDY: dict[str, Any] = {
    "name": "small",
    "data": {"source": "panel.csv", "kind": "panel", "unit": "unit", "time": "time", "outcome": "y", "treatment": "treated"},
    "model": {"name": "hierarchical_did", "options": {"effect": "constant", "errors": "iid"}},
    "engine": {"name": "nuts", "draws": 300, "chains": 2, "warmup": 150, "seed": 3},
    "baselines": ["twfe"],
    "checks": "none",
    "output": "runs/small",
}


def changed(**changes: Any) -> dict[str, Any]:
    """The valid study with dotted keys (dots as double underscores) set, or removed by `...`."""
    study = deepcopy(STUDY)
    for key, value in changes.items():
        *parents, last = key.split("__")
        inner = study
        for parent in parents:
            inner = inner.setdefault(parent, {})
        if value is ...:
            del inner[last]
        else:
            inner[last] = value
    return study


def problems(study: dict[str, Any], *overrides: str) -> tuple[str, ...]:
    with pytest.raises(StudyError) as caught:
        study_from(study, overrides)
    return caught.value.problems


def small_panel(units: int = 24, periods: int = 10) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    unit, time = np.divmod(np.arange(units * periods), periods)
    treated = ((unit < units // 2) & (time >= periods // 2)).astype(int)
    y = rng.normal(size=units)[unit] + 0.1 * time + 0.8 * treated + 0.3 * rng.normal(size=unit.size)
    return pd.DataFrame({"unit": unit, "time": time, "treated": treated, "y": y, "z": y + 1.0})


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a small panel and a study file beside it."""
    small_panel().to_csv(tmp_path / "panel.csv", index=False)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY))
    return tmp_path


def test_the_valid_study_is_valid() -> None:
    assert study_from(STUDY).model.name == "hierarchical_did"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"nmae": "x"}, "'nmae' is not a key of a study (did you mean 'name'?)"),
        ({"data__oucome": "y"}, "'data.oucome' is not a key of a study (did you mean 'outcome'"),
        ({"model__option": {}}, "(did you mean 'options'?)"),
        ({"engine__chain": 2}, "(did you mean 'chains'?)"),
        (
            {"model__name": "hierarchical_dit"},
            "model 'hierarchical_dit' does not exist (did you mean 'hierarchical_did' or 'hierarchical_time_series'?)",
        ),
        ({"model__name": "instrumental_variable"}, "model 'instrumental_variable' is not available yet"),
        ({"model__options__error": "ar1"}, "model option 'error' does not exist in hierarchical_did (did you mean 'errors'?)"),
        ({"model__options__errors": "ar2"}, "model.options.errors cannot be 'ar2' (did you mean 'ar1'"),
        ({"model__options__family": "poison"}, "model.options.family cannot be 'poison' (did you mean 'poisson'?)"),
        ({"model__options": {"family": "poisson", "errors": "ar1"}}, "model.options: family 'poisson' has errors 'iid' only"),
        ({"model__options": {"family": "poisson", "unit_slopes": True}}, "unit_slopes need family 'gaussian'"),
        ({"model__priors": {"tua": 1.0}}, "prior 'tua' does not exist in hierarchical_did (did you mean 'tau'?)"),
        ({"model__priors": {"tau": -1.0}}, "model.priors.tau is a scale, a positive number, and is -1"),
        ({"model__priors": {"tau": "wide"}}, "model.priors.tau cannot be 'wide'"),
        ({"model__name": ...}, "model.name is missing"),
        ({"engine__name": "nutz"}, "engine 'nutz' does not exist (did you mean 'nuts' or"),
        ({"engine__name": "variational"}, "engine 'variational' is not available yet for hierarchical_did"),
        ({"engine__draws": 0}, "engine.draws cannot be 0"),
        ({"engine__chains": -1}, "engine.chains cannot be -1"),
        ({"engine__warmup": 0}, "engine.warmup cannot be 0"),
        ({"engine__draws": "many"}, "engine.draws cannot be 'many'"),
        ({"engine__seed": -1}, "engine.seed cannot be -1"),
        ({"level": 1.0}, "level cannot be 1.0"),
        ({"level": 0}, "level cannot be 0"),
        ({"level": 95}, "level cannot be 95"),
        ({"interval": "hpd"}, "interval cannot be 'hpd' (did you mean 'hdi'"),
        ({"rope": [0.1, -0.1]}, "the lower end must be below the upper end, as [-0.1, 0.1]"),
        ({"rope": [0.1]}, "rope cannot be [0.1]"),
        ({"baselines": ["twef"]}, "baseline 'twef' does not exist (did you mean 'twfe'?)"),
        ({"baselines": ["rdrobust"]}, "baseline 'rdrobust' is not available yet"),
        ({"baselines": [{"twfe": {"clutser": "unit"}}]}, "baseline 'twfe' has no option 'clutser' (did you mean 'cluster'"),
        ({"baselines": ["twfe", "twfe"]}, "baselines names 'twfe' twice"),
        ({"baselines": "twfe"}, "baselines cannot be 'twfe': default, none, or a list of names"),
        ({"checks": ["convergense"]}, "check 'convergense' does not exist (did you mean 'convergence'?)"),
        ({"checks": ["density"]}, "check 'density' is not available yet"),
        ({"checks": [{"convergence": {"rath": 1.1}}]}, "check 'convergence' has no option 'rath' (did you mean 'rhat'"),
        ({"checks": True}, "checks cannot be True: default, none, or a list of names"),
        ({"data__kind": "panle"}, "data.kind cannot be 'panle' (did you mean 'panel'?)"),
        ({"data__kind": "cross_section"}, "data.kind 'cross_section' is not available yet"),
        ({"question": {"shock": "x"}}, "question is a key of studies on multi_series data, and data.kind is panel"),
        ({"data__intervention": 5}, "data.intervention is a key of time_series data, and data.kind is panel"),
        ({"data__unit": ...}, "data.unit is missing"),
        ({"data__time": ...}, "data.time is missing"),
        ({"data__outcome": ...}, "data.outcome is missing"),
        ({"data__source": ...}, "data.source is missing"),
        ({"data__sources": ["a.csv", "b.csv"]}, "data.source and data.sources are both given"),
        ({"data__treatment": ...}, "nothing says who is treated when"),
        ({"data__cohort": "first"}, "treatment and cohort both say who is treated when"),
        ({"data__exposures": "e.csv"}, "both say who is treated when"),
        (
            {"data__exposures": "e.csv", "data__treatment": ..., "data__group": "g"},
            "data.group and data.exposures are both given",
        ),
        ({"data__layout": "wide"}, "data.layout cannot be 'wide'"),
        ({"data__layout": "campaign_rows"}, "name the group column"),
        ({"data__unit": "time"}, "time"),
        ({"data__pre": [5, 1]}, "data.pre is [first, last], and 5 is after 1"),
        ({"data__post": 7}, "data.post cannot be 7"),
        ({"data__arms": "arm"}, "treatment and arms both say who is treated when: give one of them; what treated rows are"),
        ({"data__arms": "arm", "data__treatment": ..., "data__group": "g"}, "arms and group both say which treatment it is"),
        ({"data__arms": "arm", "data__layout": "campaign_rows", "data__group": "g"}, "so arms is not taken beside it"),
        ({"model__options__effect": "group"}, "model.options.effect is group, and nothing names the groups"),
        ({"data": 3}, "data holds keys and values, and is 3"),
    ],
    ids=lambda value: "" if isinstance(value, str) else ",".join(value),
)
def test_one_problem_is_one_sentence(changes: dict[str, Any], said: str) -> None:
    found = problems(changed(**changes))
    assert any(said in p for p in found), found


def test_all_problems_are_in_one_message() -> None:
    study = changed(
        nmae="x",
        level=2,
        rope=[1, 0],
        interval="hpd",
        data__oucome="y",
        model__name="hierarchical_dit",
        engine__name="nutz",
        engine__draws=0,
    )
    found = problems(study, "engine.chains=zero", "nonsense")
    for word in (
        "nmae",
        "level",
        "rope",
        "hpd",
        "oucome",
        "hierarchical_dit",
        "nutz",
        "draws cannot",
        "engine.chains",
        "nonsense",
    ):
        assert sum(word in p for p in found) == 1, word
    assert len(found) == 10


def test_problems_are_found_before_the_data_are_read(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="level"):
        run_study(changed(data__source=str(tmp_path / "absent.csv"), level=7))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: x\ndata: [1,\n", "line 3"),
        ("name: x\n\tlevel: 1\n", "line 2"),
        ("level: 0.9\nlevel: 0.8\n", "line 2, column 1: this is not valid YAML: the key 'level' is given twice"),
        ("- a\n- b\n", "keys and values"),
        ("", "keys and values"),
    ],
)
def test_yaml_that_is_none_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(StudyError) as caught:
        read_study(tmp_path / "s.yaml")
    assert said in str(caught.value)


def test_a_study_file_that_is_not_there_names_its_neighbour(place: Path) -> None:
    with pytest.raises(StudyError, match=r"did you mean 'study.yaml'"):
        read_study(place / "studdy.yaml")


def test_paths_are_relative_to_the_study_file(place: Path) -> None:
    study = read_study(place / "study.yaml")
    assert study.data.source == str(place / "panel.csv")
    assert study.output == str(place / "runs/small")
    assert read_study(place / "study.yaml", ["data.source=https://x.org/a.csv"]).data.source == "https://x.org/a.csv"


def test_overrides_are_dotted_keys_with_yaml_values(place: Path) -> None:
    study = read_study(
        place / "study.yaml", ["engine.draws=7", "model.options.errors=ar1", "rope=[-0.1, 0.1]", "model.priors.tau=1e-1"]
    )
    assert (study.engine.draws, study.model.options["errors"], study.rope) == (7, "ar1", (-0.1, 0.1))
    assert study.model.priors == {"tau": 0.1}


def test_arguments_come_before_the_file(place: Path) -> None:
    study = resolve(place / "study.yaml", out=place / "elsewhere", seed=9, engine="pymc")
    assert (study.output, study.engine.seed, study.engine.name) == (str(place / "elsewhere"), 9, "pymc")
    again = resolve(study, seed=10)
    assert isinstance(again, Study)
    assert (again.engine.seed, again.output, again.data) == (10, study.output, study.data)


def test_a_study_is_frozen(place: Path) -> None:
    study = read_study(place / "study.yaml")
    with pytest.raises(ValueError, match="frozen"):
        study.level = 0.5  # type: ignore[misc]


@pytest.mark.parametrize("model", MODELS)
def test_the_template_of_every_model_is_valid(model: str) -> None:
    assert study_from(yaml.safe_load(template(model))).model.name == model


@pytest.mark.parametrize("name", shipped_studies())
def test_every_shipped_study_is_valid(name: str) -> None:
    path = shipped_studies()[name]
    assert read_study(path).name == name
    assert path.read_text().startswith("# ")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A finished run of the small study on two outcomes."""
    folder = tmp_path_factory.mktemp("study")
    small_panel().to_csv(folder / "panel.csv", index=False)
    study = changed(data__outcomes=["y", "z"], data__source=str(folder / "panel.csv"), rope=[-0.1, 0.1], baselines="default")
    yield run_study(study, out=folder / "run")


def test_a_run_folder_is_whole(finished: Path) -> None:
    expected = (
        "estimates.json estimates.csv comparison.csv checks.json diagnostics.txt posterior.nc report.html manifest.json".split()
    )
    assert {*expected, "figures"} <= {p.name for p in finished.iterdir()}
    assert [p.name for p in finished.parent.iterdir() if p.name.startswith(".")] == []


def test_the_verdict_is_the_headline(finished: Path) -> None:
    found = json.loads((finished / "estimates.json").read_text())
    verdict = found["verdict"]
    assert set(verdict) == set("estimand scale value lower upper level prob_positive prob_rope reliable reasons sentence".split())
    head = found["estimates"][0]
    assert (head["method"], head["by"], head["unit"]) == ("hierarchical_did", {"outcome": "y"}, "y")
    assert head["value"] == verdict["value"]
    assert 0.5 < verdict["value"] < 1.1
    assert verdict["prob_rope"] is not None


def test_every_outcome_has_its_rows(finished: Path) -> None:
    rows = json.loads((finished / "estimates.json").read_text())["estimates"]
    values = {
        (r["by"]["outcome"], r["method"]): r["value"] for r in rows if set(r["by"]) == {"outcome"} and r["estimand"] == "att"
    }
    assert values["z", "twfe"] == pytest.approx(values["y", "twfe"])
    assert {outcome for outcome, _ in values} == {"y", "z"}
    assert (finished / "posterior_z.nc").is_file()


def test_the_comparison_is_against_the_headline(finished: Path) -> None:
    table = pd.read_csv(finished / "comparison.csv")
    names = "estimand scale by method framework value std_error lower upper level difference_in_se shrinkage".split()
    assert list(table.columns) == names
    assert (table[table.method == "hierarchical_did"].difference_in_se.dropna() == 0).all()
    assert {"hierarchical_did", "twfe"} <= set(table.method)


def test_the_manifest_says_how_it_came_about(finished: Path) -> None:
    record = json.loads((finished / "manifest.json").read_text())
    assert set(
        "study data versions python platform device precision seeds engine seconds started finished revision".split()
    ) <= set(record)
    assert (record["data"]["rows_read"], record["data"]["rows_kept"], record["data"]["dropped"]) == (240, 240, {})
    assert len(record["data"]["sha256"]) == 64
    assert record["study"]["model"]["name"] == "hierarchical_did"
    assert {"name", "reason", "path"} <= set(record["engine"])
    assert {"data", "fit", "baselines", "checks", "report"} <= set(record["seconds"])
    assert record["seeds"] == {"engine": 3}


def test_the_same_seed_gives_the_same_run(finished: Path, tmp_path: Path) -> None:
    again = run_study(
        json.loads((finished / "manifest.json").read_text())["study"], out=tmp_path / "again", overrides=["data.outcomes=[]"]
    )
    first, second = (json.loads((f / "estimates.json").read_text())["verdict"] for f in (finished, again))
    assert second["value"] == first["value"]


def test_an_existing_folder_is_refused_and_kept(finished: Path) -> None:
    before = (finished / "estimates.json").read_bytes()
    with pytest.raises(RunFolderError, match=r"exists already.*--force"):
        run_study(STUDY, out=finished)
    assert (finished / "estimates.json").read_bytes() == before


def test_data_problems_leave_nothing(place: Path) -> None:
    with pytest.raises(DataError):
        run_study(place / "study.yaml", overrides=["data.outcome=absent"])
    assert sorted(p.name for p in place.iterdir()) == ["panel.csv", "study.yaml"]


def test_force_replaces_runs_and_nothing_else(tmp_path: Path) -> None:
    other = tmp_path / "papers"
    other.mkdir()
    (other / "thesis.tex").write_text("years of work")
    with pytest.raises(RunFolderError, match="does not replace"):
        run_folder.claim(other, force=True)
    run = tmp_path / "run"
    for text in ("first", "second"):
        with run_folder.whole(run, force=True) as folder:
            for name in ("manifest.json", "estimates.json"):
                (folder / name).write_text(text)
    assert (run / "manifest.json").read_text() == "second"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["papers", "run"]


def test_a_failure_while_writing_leaves_the_old_run(tmp_path: Path) -> None:
    run = tmp_path / "deep" / "run"

    def write(fail: bool) -> None:
        with run_folder.whole(run, force=True) as folder:
            for name in ("manifest.json", "estimates.json"):
                (folder / name).write_text(str(fail))
            if fail:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(True)
    assert list(tmp_path.iterdir()) == []
    write(False)
    with pytest.raises(KeyboardInterrupt):
        write(True)
    assert (run / "manifest.json").read_text() == "False"
    assert [p.name for p in run.parent.iterdir()] == ["run"]


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(RunFolderError, match="not a folder"):
        run_folder.claim(tmp_path / "run", force=True)
    with pytest.raises(RunFolderError, match="nothing can be written"):
        run_folder.claim(tmp_path / "run" / "below", force=False)
