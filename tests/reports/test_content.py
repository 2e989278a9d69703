"""A run folder is read as it was written, and refused by name where it is not one."""

import csv
import json
import math

import numpy as np
import pytest

from bayes_causal.errors import RunFolderError
from bayes_causal.inference import tree
from bayes_causal.reports.content import ESTIMATE_COLUMNS, load, plain, save


@pytest.fixture
def folder(content, tmp_path):
    save(content, tmp_path)
    tree.save(content.tree, tmp_path / "posterior.nc")
    return tmp_path


def test_load_after_save_is_the_same_run(content, folder):
    back = load(folder)
    for part in ("study", "verdict", "rows", "comparison", "manifest"):
        assert plain(getattr(back, part)) == plain(getattr(content, part)), part
    assert [(c.name, c.passed, c.severity, c.text) for c in back.checks] == [
        (c.name, c.passed, c.severity, c.text) for c in content.checks
    ]
    assert [plain(c.numbers) for c in back.checks] == [plain(c.numbers) for c in content.checks]
    assert list(back.assumptions) == list(content.assumptions)
    assert list(back.coefficients) == list(content.coefficients)
    assert back.tree.attrs == content.tree.attrs
    assert np.array_equal(back.tree["posterior/att"].values, content.tree["posterior/att"].values)


def test_saving_what_was_loaded_changes_no_byte(folder, tmp_path_factory):
    again = tmp_path_factory.mktemp("again")
    save(load(folder), again)
    for file in sorted(p.name for p in again.iterdir()):
        assert (again / file).read_bytes() == (folder / file).read_bytes(), file


def test_files_hold_what_the_interface_says(content, folder):
    estimates = json.loads((folder / "estimates.json").read_text())
    assert list(estimates) == ["study", "verdict", "estimates"] and estimates["study"] == "campaigns"
    assert "NaN" not in "".join(p.read_text() for p in folder.glob("*.json"))
    with (folder / "estimates.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ESTIMATE_COLUMNS and len(rows) == len(content.rows)
    assert json.loads(rows[1]["by"]) == {"group": "campaign 01"}
    with (folder / "coefficients.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [{"method": "twfe", "term": "treated", "value": "0.036", "std_error": "0.014"}]
    assert (folder / "diagnostics.txt").read_text().startswith("6 checks")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(RunFolderError, match="there is no run folder"):
        load(tmp_path / "none")


def test_a_folder_that_is_no_run_says_what_it_lacks(folder):
    (folder / "checks.json").unlink()
    (folder / "posterior.nc").unlink()
    with pytest.raises(RunFolderError, match=r"lacks checks\.json, posterior\.nc"):
        load(folder)


def test_broken_files_are_named(folder):
    (folder / "checks.json").write_text("[{")
    with pytest.raises(RunFolderError, match=r"checks\.json' is not valid JSON"):
        load(folder)
    (folder / "checks.json").write_text("[]")
    (folder / "estimates.json").write_text("{}")
    with pytest.raises(RunFolderError, match="do not have the form"):
        load(folder)


def test_plain_values():
    given = {
        "a": np.float64(math.nan),
        "b": (np.int64(3), math.inf),
        "c": np.array([1.5, math.nan]),
        "d": np.datetime64("2024-02-01"),
        5: True,
    }
    assert plain(given) == {"a": None, "b": [3, None], "c": [1.5, None], "d": "2024-02-01", "5": True}


def test_selection(content):
    assert content.headline["method"] == "hierarchical_did" and content.headline["by"] == {}
    assert [r["method"] for r in content.select()] == ["hierarchical_did", "twfe", "callaway_santanna", "sun_abraham", "did_2x2"]
    assert len(content.select("group", method="twfe")) == 12
    assert content.select("time") == []


def test_a_run_with_several_outcomes_is_reported_on_the_first(make):
    run = make(groups=0, times=[])
    both = [dict(r) | {"by": {"outcome": o}, "unit": o} for o in ("sales", "units") for r in run.rows]
    run = type(run)(**{**vars(run), "rows": both})
    assert run.headline["by"] == {"outcome": "sales"} and run.unit == "sales"
    assert len(run.select()) == len(both) // 2
