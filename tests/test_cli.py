"""The command line as a user meets it: words, exit status, what is left on disk."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from bayes_causal import __version__, cli
from bayes_causal.study import doctor
from bayes_causal.study.read import study_from
from bayes_causal.study.shipped import shipped_studies

TREES: dict[Any, Any] = {}
COMMAND = [sys.executable, "-m", "bayes_causal"]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAYES_CAUSAL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(autouse=True)
def fitted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The data are the same in all tests of this file: every engine and seed is fitted once."""
    module = import_module("bayes_causal.inference.fit")
    fit = module.fit

    def remembered(model: Any, engine: Any, *, seed: int) -> Any:
        key = (engine.name, engine.draws, engine.warmup, seed)
        if key not in TREES:
            TREES[key] = fit(model, engine, seed=seed)
        return TREES[key]

    monkeypatch.setattr(module, "fit", remembered)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A small study file, its data beside it."""
    rng = np.random.default_rng(1)
    unit, time_ = np.divmod(np.arange(200), 10)
    treated = ((unit < 10) & (time_ >= 5)).astype(int)
    y = rng.normal(size=20)[unit] + 0.6 * treated + 0.2 * rng.normal(size=200)
    pd.DataFrame({"unit": unit, "time": time_, "treated": treated, "y": y}).to_csv(tmp_path / "panel.csv", index=False)
    settings = {
        "data": {"source": "panel.csv", "unit": "unit", "time": "time", "outcome": "y", "treatment": "treated"},
        "model": {"name": "hierarchical_did", "options": {"effect": "constant", "errors": "iid"}},
        "engine": {"name": "nuts", "draws": 500, "chains": 4, "warmup": 300},
        "baselines": ["twfe"],
        "checks": "none",
        "output": "run",
    }
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def left_beside(study: Path) -> list[str]:
    """What is in the study's folder beside the study and its data."""
    return sorted(p.name for p in study.parent.iterdir() if p.name not in ("panel.csv", "small.yaml"))


def test_a_run_ends_with_status_0_and_the_verdict(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", str(study)]) == 0
    out = capsys.readouterr().out
    assert "hierarchical_did" in out
    assert "twfe" in out
    assert str(study.parent / "run" / "report.html") in out
    assert left_beside(study) == ["run"]


def test_json_is_the_verdict_and_nothing_else(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", str(study), "--json", "--out", str(study.parent / "j"), "--set", "level=0.8", "--seed", "5"]) == 0
    verdict = json.loads(capsys.readouterr().out)
    assert (verdict["level"], verdict["reliable"]) == (0.8, True)
    record = json.loads((study.parent / "j" / "manifest.json").read_text())
    assert (record["seeds"]["engine"], record["study"]["level"]) == (5, 0.8)


def test_quiet_says_nothing(study: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", str(study), "--quiet"]) == 0
    assert capfd.readouterr() == ("", "")


def test_a_failed_blocking_check_is_status_3_and_written(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", str(study), "--set", "engine.draws=10", "--set", "engine.warmup=10"]) == 3
    assert "No verdict" in capsys.readouterr().out
    assert (study.parent / "run" / "report.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "engine.drawz=5"], "did you mean 'draws'"),
        (["--set", "level=1.5"], "level cannot be 1.5"),
        (["--engine", "nutz"], "engine 'nutz' does not exist"),
        (["--seed", "-4"], "engine.seed cannot be -4"),
        (["--seed", "four"], "engine.seed cannot be 'four'"),
        (["--set", "data.unit=time"], "time"),
        (["--set", "data.outcome=absent"], "absent"),
        (["--set", "data.source=absent.csv"], "absent.csv"),
    ],
)
def test_refused_input_is_status_2_and_leaves_nothing(
    study: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert cli.main(["run", str(study), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert said in captured.err
    assert "Traceback" not in captured.err
    assert left_beside(study) == []


def test_an_existing_run_is_refused_without_force(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", str(study), "--quiet"]) == 0
    first = (study.parent / "run" / "manifest.json").read_bytes()
    assert cli.main(["run", str(study), "--quiet"]) == 2
    assert "--force" in capsys.readouterr().err
    assert (study.parent / "run" / "manifest.json").read_bytes() == first
    assert cli.main(["run", str(study), "--quiet", "--force"]) == 0
    assert (study.parent / "run" / "manifest.json").read_bytes() != first
    assert left_beside(study) == ["run"]


def test_a_fault_of_ours_is_status_1_and_leaves_nothing(
    study: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import bayes_causal.reports.html

    def broken(*_: object) -> None:
        raise ZeroDivisionError("in a figure")

    monkeypatch.delenv("BAYES_CAUSAL_TRACEBACK", raising=False)
    monkeypatch.setattr(bayes_causal.reports.html, "write", broken)
    assert cli.main(["run", str(study), "--quiet"]) == 1
    assert "ZeroDivisionError: in a figure" in capsys.readouterr().err
    assert left_beside(study) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_in_the_middle_of_sampling_is_status_130_and_leaves_nothing(study: Path, number: int) -> None:
    ours, theirs = pty.openpty()
    arguments = ["run", str(study), "--set", "engine.draws=2000000", "--set", "engine.warmup=500"]
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    said, sampling = b"", threading.Event()

    def listen() -> None:
        nonlocal said
        try:
            while heard := os.read(ours, 4096):
                said += heard
                if b"sampling" in said:
                    sampling.set()
        except OSError:
            return

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        assert sampling.wait(60), said
        time.sleep(3.0)
        assert process.poll() is None, said
        process.send_signal(number)
        assert process.wait(timeout=30) == 130
    finally:
        process.kill()
        process.wait()
        listener.join(10)
        os.close(ours)
    assert b"interrupted" in said
    assert left_beside(study) == []


def test_reports_are_rebuilt_and_runs_compared(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [str(study.parent / name) for name in ("a", "b")]
    for seed, run in zip((1, 5), runs, strict=True):
        assert cli.main(["run", str(study), "--quiet", "--out", run, "--seed", str(seed)]) == 0
    report = Path(runs[0]) / "report.html"
    report.unlink()
    assert cli.main(["report", runs[0]]) == 0
    assert report.is_file()
    capsys.readouterr()
    assert cli.main(["compare", *runs]) == 0
    table = capsys.readouterr().out
    assert all(run in table for run in runs)
    assert cli.main(["compare", *runs, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["run"] for row in rows] == runs
    assert rows[0]["value"] != rows[1]["value"]
    assert cli.main(["compare", str(study.parent)]) == 2
    assert cli.main(["report", str(study.parent)]) == 2


def test_init_prints_a_valid_study(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["init", "hierarchical_did"]) == 0
    printed = capsys.readouterr().out
    assert study_from(yaml.safe_load(printed)).model.name == "hierarchical_did"
    assert "# " in printed
    assert cli.main(["init", "hierarchical"]) == 2
    assert "did you mean 'hierarchical_did'" in capsys.readouterr().err


def test_models_lists_every_name(capsys: pytest.CaptureFixture[str]) -> None:
    from bayes_causal.baselines.catalogue import BASELINES
    from bayes_causal.checks.catalogue import CHECKS
    from bayes_causal.models.catalogue import MODELS

    assert cli.main(["models"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in (*MODELS, *BASELINES, *CHECKS, "nuts", "parallel trends", "att, cumulative, relative"))


def test_examples_lists_every_shipped_study(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["examples"]) == 0
    out = capsys.readouterr().out
    assert {line.split()[0] for line in out.splitlines()} == set(shipped_studies())
    assert "campaigns" in out
    assert cli.main(["example", "campaign"]) == 2
    assert "did you mean 'campaigns'" in capsys.readouterr().err


def test_doctor_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    status = cli.main(["doctor"])
    out = capsys.readouterr().out
    assert all(word in out for word in ("python", "device", "float64", "jax", "extras", "known-bad"))
    assert status == (3 if doctor.troubles(doctor.versions([*doctor.PACKAGES, "pip"])) else 0)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"jax": "0.10.2"}, "hangs"),
        ({"jax": "0.10.0"}, "hangs"),
        ({"jax": "0.11.0"}, "at least jax 0.11.1"),
        ({"matplotlib": "3.11.2", "arviz-plots": "0.8.0"}, "matplotlib<3.11"),
        ({"pip": "23.2.1"}, "upgrade pip"),
    ],
)
def test_known_bad_combinations_are_named(found: dict[str, str], said: str) -> None:
    assert [said in text for text in doctor.troubles(found)] == [True]


@pytest.mark.parametrize(
    "found",
    [
        {"jax": "0.9.2", "matplotlib": "3.10.9", "arviz-plots": "0.8.0", "pip": "26.3"},
        {"jax": "0.12.0.1", "matplotlib": "3.11.2", "arviz-plots": "1.3.2"},
        {"jax": "0.11.1"},
        {},
    ],
)
def test_good_combinations_are_not(found: dict[str, str]) -> None:
    assert doctor.troubles(found) == []


def test_the_extras_of_the_doctor_are_those_of_the_project() -> None:
    declared = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    del declared["all"]
    names = {extra: {re.split(r"[<>=!; ]", needed)[0] for needed in listed} for extra, listed in declared.items()}
    assert {extra: set(packages) for extra, packages in doctor.EXTRAS.items()} == names
    assert "pyfixest" not in doctor.missing("baselines")


def test_version_and_help_and_usage() -> None:
    def said(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True)

    assert said("--version").stdout == f"bayes-causal {__version__}\n"
    assert said("--help").returncode == 0
    assert said().returncode == 2
    assert said("rum").returncode == 2
