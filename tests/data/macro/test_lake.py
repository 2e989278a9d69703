"""Files whole or not there, on a folder, in memory and on a local S3 server."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayes_causal.data.macro.bronze import Retrieval, keep, newest, received, retrievals, revised
from bayes_causal.data.macro.lake import MANIFEST, Lake, parquet, sha256, table
from bayes_causal.data.macro.series import COLUMNS
from bayes_causal.data.macro.source import typed
from bayes_causal.data.macro.wide_file import WideFile
from bayes_causal.errors import DataError, MissingExtraError

CSV = "date,CPIAUCSL,MYSTERY\n2000-01-01,168.8,1\n2000-02-01,169.8,2\n2000-03-01,{last},3\n"
ALWAYS = (date.min, date.max)


@pytest.fixture(params=["folder", "memory", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path, needs: Any) -> Lake:
    if request.param == "s3":
        needs("s3fs")
        needs("moto.server")
        return Lake(f"{request.getfixturevalue('bucket')}/{request.node.name}")
    return Lake(str(tmp_path / "lake") if request.param == "folder" else f"memory://{request.node.name}")


@pytest.fixture
def file(tmp_path: Path) -> WideFile:
    (tmp_path / "panel.csv").write_text(CSV.format(last="171.2"))
    return WideFile(tmp_path / "panel.csv")


def test_a_file_is_written_and_read(lake: Lake) -> None:
    assert not lake.has("gold/x") and lake.names("gold", "") == []
    assert lake.write("gold/x", b"one") == sha256(b"one")
    assert lake.read("gold/x") == b"one" and lake.has("gold/x") and lake.names("gold", "x") == ["gold/x"]
    lake.write("gold/x", b"two")
    assert lake.read("gold/x") == b"two" and lake.names("gold", "") == ["gold/x"]
    with pytest.raises(DataError, match="there is no gold/y"):
        lake.read("gold/y")
    assert lake.manifest() is None


def test_answers_are_kept_for_good_and_a_revision_is_a_further_file(lake: Lake, file: WideFile, tmp_path: Path) -> None:
    series = file.series[0]
    first = keep(lake, file, series, ALWAYS, file.fetch(series, *ALWAYS), None)
    assert retrievals(lake) == [first] and first.revision == "" and first.rows == 3
    assert keep(lake, file, series, ALWAYS, file.fetch(series, *ALWAYS), first) is first
    (tmp_path / "panel.csv").write_text(CSV.format(last="171.3"))
    again = WideFile(tmp_path / "panel.csv")
    second = keep(lake, again, series, ALWAYS, again.fetch(series, *ALWAYS), first)
    assert second.revision == "cpi: 1 of 3 values changed (first: 2000-03-01, 171.2 to 171.3); the earlier answer is kept"
    assert retrievals(lake) == [first, second] and newest(retrievals(lake), series) == second
    assert received(lake, first)["value"].tolist() == [168.8, 169.8, 171.2]
    assert received(lake, second)["value"].tolist() == [168.8, 169.8, 171.3]


def test_the_same_answer_to_a_wider_question_is_recorded_and_not_stored_twice(lake: Lake, file: WideFile) -> None:
    series = file.series[0]
    frame = file.fetch(series, *ALWAYS)
    first = keep(lake, file, series, (date(2000, 1, 1), date(2000, 6, 1)), frame, None)
    second = keep(lake, file, series, (date(2000, 1, 1), date(2001, 6, 1)), frame, first)
    assert second.file == first.file and second.revision == "" and len(lake.names("bronze", ".parquet")) == 1
    assert not first.covers(series, date(2000, 1, 1), date(2001, 1, 1)) and second.covers(
        series, date(2000, 1, 1), date(2001, 1, 1)
    )


def test_an_answer_that_was_changed_is_not_read(lake: Lake, file: WideFile) -> None:
    series = file.series[0]
    kept = keep(lake, file, series, ALWAYS, file.fetch(series, *ALWAYS), None)
    lake.write(kept.file, parquet(pd.DataFrame({"date": ["2000-01-01"], "value": [1.0]})))
    with pytest.raises(DataError, match=r"is not what was received on .* \(its digest differs\)"):
        received(lake, kept)


def test_a_record_says_everything_and_is_read_back(lake: Lake, file: WideFile) -> None:
    kept = keep(lake, file, file.series[0], ALWAYS, file.fetch(file.series[0], *ALWAYS), None)
    assert Retrieval.from_json(kept.to_json()) == kept and kept.retrieved.tzinfo is not None
    lake.write("bronze/file/panel_CPIAUCSL/broken.json", b'{"series": 1}')
    with pytest.raises(DataError, match=r"record bronze/file/panel_CPIAUCSL/broken\.json .* cannot be read"):
        retrievals(lake)


def test_an_answer_cannot_know_what_came_after_it(file: WideFile) -> None:
    kept = Retrieval(file.series[0], *ALWAYS, datetime(2001, 2, 3, tzinfo=UTC), "", "", 0, "")
    assert kept.known_until == date.max and kept.covers(file.series[0], date(2000, 1, 1), date(2002, 1, 1))
    asked = replace(kept, series=replace(kept.series, source="fred"))
    assert asked.known_until == date(2001, 2, 3) and not asked.covers(asked.series, date(2000, 1, 1), date(2002, 1, 1))


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake(str(tmp_path))
    lake.write("x", b"old")

    def interrupted(self: Path, target: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        lake.write("x", b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["x"] and lake.read("x") == b"old"


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(DataError, match="check the address, the credentials and the rights"):
        Lake(str(tmp_path / "taken")).write("x", b"")
    with pytest.raises(DataError, match="nowhere://x"):
        Lake("nowhere://x/y").has("z")
    import fsspec

    def without(*_: Any) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", without)
    with pytest.raises(MissingExtraError, match=r"s3fs is not installed.*bayes-causal\[macro\]"):
        Lake("s3://x/y").has("z")


def test_a_bucket_that_is_not_there_is_told(request: pytest.FixtureRequest, needs: Any) -> None:
    needs("s3fs")
    needs("moto.server")
    request.getfixturevalue("bucket")
    with pytest.raises(DataError, match="s3://macro-of-nobody"):
        Lake("s3://macro-of-nobody/lake").write("x", b"")


def test_a_manifest_of_something_else_is_left_alone(lake: Lake) -> None:
    lake.write(MANIFEST, b'{"study": 1}')
    with pytest.raises(DataError, match="of something else"):
        lake.manifest()
    lake.write(MANIFEST, b"nothing")
    with pytest.raises(DataError, match="is no JSON"):
        lake.manifest()


def test_the_same_table_is_the_same_bytes(rng: np.random.Generator) -> None:
    frame = pd.DataFrame({"x": rng.normal(size=5), "t": pd.date_range("2000", periods=5)})
    assert parquet(frame) == parquet(frame.copy())
    pd.testing.assert_frame_equal(table(parquet(frame)), frame, check_dtype=False)


def test_values_that_are_gone_are_told() -> None:
    cpi, two = COLUMNS["CPIAUCSL"], typed(["2000-01-01", "2000-02-01"], [None, None], [1.0, 2.0])
    assert revised(cpi, two, two[:1]) == "cpi: 1 values are gone (first: 2000-02-01); the earlier answer is kept"
    assert revised(cpi, two[:1], two) == ""
