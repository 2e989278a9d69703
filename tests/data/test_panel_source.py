"""Sums over paths are those of the rows, whoever forms them and wherever a stream is cut; bad data are refused, all at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from bayes_causal.data import load, memory, paths, source_build, stream
from bayes_causal.data.panel import Panel
from bayes_causal.data.panel_source import PanelSource
from bayes_causal.data.source_columns import source_columns
from bayes_causal.errors import DataError, StudyError
from bayes_causal.study.read import study_from

KEYS: dict[str, Any] = {"unit": "unit", "time": "time", "outcome": "y", "treatment": "treated", "group": "campaign"}


def rows(rng: np.random.Generator, units: int = 60, periods: int = 6, kind: str = "balanced") -> pd.DataFrame:
    """Units on a dozen paths, far from zero, with a covariate; `kind` leaves out early rows, rows in between, or outcomes."""
    unit, time = np.divmod(np.arange(units * periods), periods)
    group = rng.integers(0, 3, units)
    onset = 2 + group + rng.integers(0, 2, units)
    treated = (group > 0)[unit] & (time >= onset[unit])
    x = rng.standard_normal(unit.size) + rng.standard_normal(units)[unit]
    y = 1e4 + 3 * rng.standard_normal(units)[unit] + 0.5 * treated + x + rng.standard_normal(unit.size)
    cohort = np.where(group > 0, onset, 0)[unit]
    frame = pd.DataFrame({"unit": 7 * unit, "time": 2000 + time, "y": y, "x": x, "treated": treated.astype(np.int8)})
    frame["campaign"] = np.where(group > 0, group, -1)[unit]
    frame["cohort"] = np.where(cohort > 0, 2000 + cohort, 0)
    late, hole = (rng.random(units) < 0.3)[unit] & (time < 2), (rng.random(units) < 0.3)[unit] & (time == 3)
    if kind == "no outcome":
        frame.loc[hole, "y"] = np.nan
    return frame[~{"late": late, "holes": late | hole}.get(kind, np.zeros(unit.size, bool))].reset_index(drop=True)


@pytest.fixture
def parquet(tmp_path: Path) -> Callable[[pd.DataFrame], Path]:
    def write(frame: pd.DataFrame) -> Path:
        frame.to_parquet(tmp_path / "panel.parquet", index=False)
        return tmp_path / "panel.parquet"

    return write


def sums_of_rows(panel: Panel) -> tuple[dict[bytes, tuple[int, np.ndarray, np.ndarray]], list[bytes]]:
    """Number, means and spread of each path, by plain loops over the units of a panel in memory."""
    data, found = panel.dataset, {}
    numbers = np.concatenate([data["covariates"].values, data["outcome"].values[..., None]], 2)
    numbers = np.where(panel.observed[..., None], numbers, 0.0)
    keys = [panel.observed[u].tobytes() + data["treatment"].values[u].tobytes() for u in range(data.sizes["unit"])]
    for key in dict.fromkeys(keys):
        own = numbers[[k == key for k in keys]]
        off = (own - own.mean(0)).reshape(len(own), -1)
        found[key] = len(own), own.mean(0), off.T @ off
    return found, keys


@pytest.mark.parametrize("kind", ["balanced", "late", "holes", "no outcome"])
def test_sums_are_those_of_the_rows(kind: str, rng: np.random.Generator, parquet: Callable[..., Path]) -> None:
    frame = rows(rng, kind=kind)
    panel, source = (
        Panel.from_frame(frame, **KEYS, covariates=["x"]),
        PanelSource.from_files(parquet(frame), **KEYS, covariates=["x"]),
    )
    expected, _ = sums_of_rows(panel)
    data = source.dataset
    for p in range(source.copies.size):
        n, mean, spread = expected.pop(source.observed[p].tobytes() + data["treatment"].values[p].tobytes())
        own = np.concatenate([data["covariates"].values[p], data["outcome"].values[p][:, None]], 1)
        assert source.copies[p] == n
        assert np.nan_to_num(own) == pytest.approx(mean, rel=1e-12)
        assert source.spread[p].reshape(spread.shape) == pytest.approx(spread, rel=1e-9, abs=1e-9)
    assert not expected
    assert (source.center, source.scale) == pytest.approx((panel.center, panel.scale), rel=1e-12)
    assert {k: v for k, v in source.counts.items() if k != "paths"} == panel.counts
    assert data["period"].values.tolist() == panel.dataset["period"].values.tolist()


def streamed(frame: pd.DataFrame, cuts: list[int], block: int = 40) -> paths.PathSums:
    """Sums of the rows in record batches cut at the given rows."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    columns = source_columns(
        source_build.open_table(pl.from_arrow(table), "table").lazy(), source_build.Declaration(**KEYS, covariates=("x",))
    )
    ends = [0, *sorted(cuts), len(frame)]
    batches = [b for a, e in pairwise(ends) for b in table.slice(a, e - a).to_batches()]
    sums, faults, count = stream.stream_sums(iter(batches), columns, block=block)
    assert (count, bool(faults)) == (len(frame), False)
    return sums


@pytest.mark.parametrize("kind", ["balanced", "holes"])
def test_a_stream_cut_anywhere_gives_the_same_to_the_last_bit(kind: str, rng: np.random.Generator) -> None:
    frame = rows(rng, kind=kind)
    whole = streamed(frame, [])
    for count in (1, 7, 100):
        cut = streamed(frame, rng.integers(0, len(frame), count).tolist())
        for name in ("status", "units", "total", "products", "pivot"):
            assert (getattr(cut, name) == getattr(whole, name)).all(), name
    assert centred(streamed(frame, [], block=1)) == pytest.approx(centred(whole), rel=1e-9, abs=1e-9)


def centred(sums: paths.PathSums) -> np.ndarray:
    """Products of deviations from the paths' means, whatever the pivot."""
    total = sums.total.reshape(len(sums.units), -1)
    return sums.products - total[:, :, None] * (total / sums.units[:, None])[:, None, :]


def test_a_unit_that_is_not_carried_over_a_cut_is_noticed(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail: with every batch a block of its own, a cut unit comes twice."""
    monkeypatch.setattr(stream, "whole_units", lambda batches, unit, rows: (pa.Table.from_batches([b]) for b in batches))
    frame = rows(rng)
    streamed(frame, [60, 120])
    with pytest.raises(stream.NotSortedError):
        streamed(frame, [60, 123])


def test_a_stream_holds_a_block_and_a_batch(rng: np.random.Generator) -> None:
    """Parts are no longer than a block and a unit, and no batch is taken before it is needed."""
    frame, taken = rows(rng, units=400), 0
    table = pa.Table.from_pandas(frame, preserve_index=False)

    def batches() -> Any:
        nonlocal taken
        for batch in table.to_batches(max_chunksize=50):
            taken += batch.num_rows
            yield batch

    given = 0
    for part in stream.whole_units(batches(), "unit", 100):
        given += part.num_rows
        assert part.num_rows <= 100 + 6
        assert taken - given <= 100 + 2 * 50
    assert given == len(frame)


def test_rows_in_any_order_are_sorted_first(rng: np.random.Generator, parquet: Callable[..., Path]) -> None:
    frame = rows(rng, kind="holes")
    ordered = PanelSource.from_files(parquet(frame), **KEYS)
    shuffled = PanelSource.from_files(parquet(frame.sample(frac=1, random_state=1)), **KEYS)
    assert (ordered.how, shuffled.how) == (source_build.STREAMED, source_build.SORTED)
    assert shuffled.spread == pytest.approx(ordered.spread, rel=1e-9, abs=1e-9)


def test_labels_that_come_late_are_found(
    rng: np.random.Generator, parquet: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first rows know one group and half of the periods; the stream meets the others and asks again."""
    frame = rows(rng, kind="late").sort_values(["campaign", "unit", "time"])
    frame["unit"] = frame.groupby("unit", sort=False).ngroup()
    expected = PanelSource.from_files(parquet(frame), **KEYS)
    monkeypatch.setattr(source_build, "HEAD", 40)
    found = PanelSource.from_files(parquet(frame), **KEYS)
    assert found.how == source_build.STREAMED
    assert found.dataset.identical(expected.dataset)


@pytest.mark.parametrize("kind", ["balanced", "holes", "no outcome"])
@pytest.mark.parametrize("engine", ["duckdb", "polars", "spark"])
def test_every_engine_forms_the_same_sums(kind: str, engine: str, rng: np.random.Generator, parquet: Callable[..., Path]) -> None:
    """One query, said once, on the user's engine."""
    file = parquet(rows(rng, kind=kind))
    declared = KEYS | {"covariates": ["x"]}
    streamed_here, theirs = PanelSource.from_files(file, **declared), PanelSource.from_table(opened(engine, file), **declared)
    assert theirs.dataset.drop_vars(["outcome", "covariates"]).equals(streamed_here.dataset.drop_vars(["outcome", "covariates"]))
    assert theirs.spread == pytest.approx(streamed_here.spread, rel=1e-9, abs=1e-9)
    assert (theirs.center, theirs.scale) == pytest.approx((streamed_here.center, streamed_here.scale), rel=1e-12)


def opened(engine: str, file: Path) -> Any:
    if engine == "duckdb":
        return duckdb.read_parquet(str(file))
    if engine == "polars":
        return pl.scan_parquet(file)
    pyspark = pytest.importorskip("pyspark.sql", reason="pyspark is not installed (extra 'distributed')")
    if not (os.environ.get("JAVA_HOME") or any((Path(p) / "java").exists() for p in os.environ["PATH"].split(os.pathsep))):
        pytest.skip("pyspark needs a JDK, and there is no java here")
    session = pyspark.SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    return session.config("spark.sql.shuffle.partitions", "2").getOrCreate().read.parquet(str(file))


@pytest.mark.parametrize("engine", ["duckdb", "polars"])
def test_first_treated_times_say_who_is_treated_when(engine: str, rng: np.random.Generator, parquet: Callable[..., Path]) -> None:
    """Also where the row of the first treated period is missing."""
    frame = rows(rng, kind="holes")
    declared = {k: v for k, v in KEYS.items() if k != "treatment"} | {"cohort": "cohort"}
    panel, file = Panel.from_frame(frame, **declared), parquet(frame)
    for source in (PanelSource.from_files(file, **declared), PanelSource.from_table(opened(engine, file), **declared)):
        assert {k: v for k, v in source.counts.items() if k != "paths"} == panel.counts
        first, many = np.unique(panel.first_period, return_counts=True)
        of_paths = np.bincount(np.searchsorted(first, source.first_period), source.copies)
        assert of_paths.tolist() == many.tolist()


def test_text_dates_and_windows_are_those_of_a_panel(rng: np.random.Generator, parquet: Callable[..., Path]) -> None:
    frame = rows(rng, kind="late")
    frame["unit"] = "u" + frame["unit"].astype(str).str.zfill(5)
    frame["time"] = pd.to_datetime(frame["time"].astype(str) + "-01-01")
    frame["campaign"] = frame["campaign"].map({-1: None, 1: "spring", 2: "autumn"})
    frame["treated"] = frame["treated"] == 1
    declared = KEYS | {"pre": ["2000-01-01", "2002-01-01"], "post": ["2003-01-01", "2004-01-01"]}
    panel, source = Panel.from_frame(frame, **declared), PanelSource.from_files(parquet(frame), **declared)
    assert {k: v for k, v in source.counts.items() if k != "paths"} == panel.counts
    assert (source.center, source.scale) == pytest.approx((panel.center, panel.scale), rel=1e-12)
    for name in ("time", "group", "period"):
        assert (source.dataset[name].values == panel.dataset[name].values).all()


def test_where_keeps_rows(rng: np.random.Generator, parquet: Callable[..., Path]) -> None:
    frame = rows(rng)
    source = PanelSource.from_files(parquet(frame), where="unit < 280", **KEYS)
    assert source.counts["units"] == 40


def broken(frame: pd.DataFrame, what: str) -> pd.DataFrame:
    if what == "several":
        frame["y"] = frame["y"].where(frame.index != 5, np.inf)
        frame["x"] = frame["x"].where(frame.index != 9, np.nan)
        frame["treated"] = frame["treated"].where(frame.index != 3, 2)
    elif what == "repeated":
        frame = pd.concat([frame, frame.iloc[[4, 8]]]).sort_values(["unit", "time"])
    elif what == "null":
        frame["treated"] = frame["treated"].astype("Int8").where(frame.index != 7)
    elif what in ("null unit", "null time"):
        frame[what[5:]] = frame[what[5:]].astype("Int64").where(frame.index != 11)
    elif what == "null group":
        at = frame.index[frame["treated"] == 1][0]
        frame["campaign"] = frame["campaign"].astype("Int64").where(frame.index != at)
    elif what == "text":
        frame["y"] = frame["y"].astype(str)
    elif what == "never":
        frame["treated"] = 0 * frame["treated"]
    elif what == "always":
        frame["treated"] = (frame["campaign"] > 0).astype(int)
    elif what == "constant":
        frame["x"] = 2.5
    elif what == "one period":
        frame = frame[frame["time"] == 2004]
    elif what == "text times":
        frame["time"] = frame["time"].astype(str)
    return frame


REFUSED = {
    "several": [
        "outcome column 'y' is infinite in 1 row",
        "covariate column 'x' is missing in 1 row",
        "must be 0 or 1, and 1 row",
    ],
    "repeated": ["2 rows", "repeat a (unit, time) pair"],
    "null": ["treatment column 'treated' is missing in 1 row"],
    "null unit": ["unit column 'unit' is missing in 1 row"],
    "null time": ["time column 'time' is missing in 1 row"],
    "null group": ["group column 'campaign' is missing in 1 row"],
    "text": ["outcome column 'y' holds String, not numbers"],
    "never": ["group column 'campaign' holds no value"],
    "always": ["there is no pre-period: none of the"],
    "constant": ["covariate column 'x' is 2.5 in every row"],
    "one period": ["time column 'time' has only one value"],
    "text times": ["time column 'time' holds text"],
}


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("how", ["stream", "engine"])
def test_bad_data_are_refused_with_every_problem(
    what: str, how: str, rng: np.random.Generator, parquet: Callable[..., Path]
) -> None:
    file = parquet(broken(rows(rng), what))
    declared = KEYS | {"covariates": ["x"]}
    with pytest.raises(DataError) as caught:
        PanelSource.from_files(file, **declared) if how == "stream" else PanelSource.from_table(pl.scan_parquet(file), **declared)
    assert len(caught.value.problems) >= len(REFUSED[what]) - (what == "repeated")
    for said in REFUSED[what]:
        assert said in str(caught.value)


def test_the_first_faulty_rows_are_named(rng: np.random.Generator, parquet: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match=r"outcome column 'y' is infinite in 1 row \(6, counted from 1\)"):
        PanelSource.from_files(parquet(broken(rows(rng), "several")), **KEYS)


def test_what_a_source_cannot_take_is_said_with_the_reason(rng: np.random.Generator, parquet: Callable[..., Path]) -> None:
    file = parquet(rows(rng))
    with pytest.raises(DataError) as caught:
        PanelSource.from_files(file, **(KEYS | {"outcome": "yy"}), weights="x", terms="log(x)")
    assert [p[:9] for p in caught.value.problems] == ["`weights`", "`terms` i", "the table"]
    with pytest.raises(DataError, match="is no Parquet file"):
        PanelSource.from_files(file.with_name("panel.csv") if file.rename(file.with_name("panel.csv")) else file, **KEYS)


def test_paths_that_are_no_fewer_than_units_are_refused(
    rng: np.random.Generator, parquet: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "most_paths", lambda cells, values: 20)
    frame = rows(rng)
    assert PanelSource.from_files(parquet(frame), **KEYS).copies.size <= 20
    scattered = frame[rng.random(len(frame)) < 0.7]
    for form in (
        lambda: PanelSource.from_files(parquet(scattered), **KEYS),
        lambda: PanelSource.from_table(pl.from_pandas(scattered), **KEYS),
    ):
        with pytest.raises(DataError, match="more than 20 distinct paths"):
            form()


def test_rows_are_held_where_they_fit(
    rng: np.random.Generator, parquet: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rule of a study without `in_memory`: 5 kB a row against half of the memory, Parquet only, and the reason said."""
    file = parquet(rows(rng))
    keys = KEYS | {"source": file.name}
    held, why = load.load_data(keys, file.parent)
    assert isinstance(held, Panel) and why.held.startswith("rows in memory: 360 rows at 5 kB")
    monkeypatch.setattr(memory, "memory", lambda: 2**20)
    source, why = load.load_data(keys | {"where": "unit < 280"}, file.parent)
    assert isinstance(source, PanelSource) and why.held.startswith("sums over ")
    assert (why.rows_read, why.rows_kept, why.dropped) == (360, 240, {"where: unit < 280": 120})
    held, why = load.load_data(keys | {"weights": "x", "where": "x > 0"}, file.parent)
    assert isinstance(held, Panel) and "`weights` needs them in memory" in why.held
    assert isinstance(load.load_data(keys | {"in_memory": True}, file.parent)[0], Panel)


def test_studies_say_what_a_stream_cannot_take() -> None:
    study = {"data": {k: v for k, v in KEYS.items()} | {"source": "panel.csv", "weights": "w", "in_memory": False}}
    with pytest.raises(StudyError) as caught:
        study_from(study | {"model": {"name": "hierarchical_did"}, "engine": {"name": "nuts"}})
    said = " ".join(caught.value.problems)
    assert all(
        words in said for words in ("'panel.csv' is no Parquet file", "data.weights is given", "engine 'nuts' needs the rows")
    )
