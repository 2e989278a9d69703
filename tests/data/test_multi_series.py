from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import bayes_causal as bc
from bayes_causal.data.multi_series import MultiSeries
from bayes_causal.errors import DataError

MONTHS = pd.date_range("2000-01-01", periods=30, freq="MS")
COLUMNS: dict[str, Any] = {"time": "month", "outcomes": ["stocks", "bonds"], "shocks": ["policy"], "controls": ["slope"]}


@pytest.fixture
def frame(rng: np.random.Generator) -> pd.DataFrame:
    names = ["stocks", "bonds", "policy", "slope"]
    return pd.DataFrame({"month": MONTHS, **{n: rng.normal(size=30) for n in names}})


def refused(data: Any, **changes: Any) -> tuple[str, ...]:
    with pytest.raises(DataError) as error:
        MultiSeries.from_frame(data, **(COLUMNS | changes))
    return error.value.problems


def test_every_row_is_where_it_belongs(frame: pd.DataFrame) -> None:
    found = MultiSeries.from_frame(frame.sample(frac=1, random_state=1), **COLUMNS)
    np.testing.assert_array_equal(found.outcomes, frame[["stocks", "bonds"]])
    np.testing.assert_array_equal(found.shocks, frame[["policy"]])
    np.testing.assert_array_equal(found.controls, frame[["slope"]])
    np.testing.assert_array_equal(found.time, MONTHS)
    assert found.dataset["outcomes"].dims == ("time", "series") and found.dataset["shocks"].dims == ("time", "shock")
    assert found.dataset["controls"].dims == ("time", "control") and found.dataset.attrs["frequency"] == "month"
    np.testing.assert_allclose(found.scale, frame[["stocks", "bonds"]].std())
    np.testing.assert_allclose(found.center, frame[["stocks", "bonds"]].mean())
    pd.testing.assert_frame_equal(found.to_frame(), frame, check_dtype=False)
    assert bc.MultiSeries is MultiSeries
    assert repr(found) == (
        "<MultiSeries: 2 series, 1 shock, 1 control over 30 dates (month, one a month), 2000-01-01 to 2002-06-01>"
    )


@pytest.mark.parametrize("library", ["polars", "lazy", "arrow", "duckdb"])
def test_any_table_library_gives_the_same(frame: pd.DataFrame, library: str) -> None:
    ways: dict[str, Any] = {
        "polars": lambda: pl.from_pandas(frame),
        "lazy": lambda: pl.from_pandas(frame).lazy(),
        "arrow": lambda: pa.Table.from_pandas(frame),
        "duckdb": lambda: duckdb.from_df(frame),
    }
    assert MultiSeries.from_frame(ways[library](), **COLUMNS).dataset.identical(MultiSeries.from_frame(frame, **COLUMNS).dataset)


def test_every_problem_is_said_at_once(frame: pd.DataFrame) -> None:
    bad = frame.assign(bonds=3.0, slope=["x"] * 30)
    bad.loc[[4, 7], "stocks"] = np.nan
    bad.loc[9, "policy"] = -np.inf
    problems = refused(bad.drop(index=12), shocks=["policy", "polcy"])
    said = "\n".join(problems)
    assert len(problems) == 6
    assert "no column 'polcy' (declared as shock) (did you mean 'policy'?)" in said
    assert "outcome column 'stocks' is missing in 2 rows (5, 8, counted from 1)" in said
    assert "outcome column 'bonds' is 3 in every row" in said
    assert "shock column 'policy' is infinite in 1 row (10, counted from 1) (a logarithm of zero?)" in said
    assert "control column 'slope' is not numeric" in said
    assert "1 dates of time column 'month' are missing (first: 2001-01-01; one step is a month)" in said


def test_dates_must_be_there_once_and_regular(frame: pd.DataFrame) -> None:
    (twice,) = refused(pd.concat([frame, frame.iloc[[3]]]))
    assert "1 dates of time column 'month' have several rows (first: 2000-04-01 (2 rows))" in twice
    moved = frame.assign(month=frame["month"].where(frame.index != 5, pd.Timestamp("2000-06-14")))
    assert "the dates of time column 'month' are not regular" in refused(moved)[0]
    (few,) = refused(frame.head(8))
    assert few == "the table has 8 rows, and regimes need at least 12 dates to be seen at all"
    assert refused(frame.assign(month=frame["month"].astype(str)))[0].startswith("time column 'month' holds text")


def test_a_hole_at_an_end_names_the_rows_to_keep(frame: pd.DataFrame) -> None:
    frame.loc[:3, "policy"] = np.nan
    frame.loc[28:, "slope"] = np.nan
    assert refused(frame)[-1] == "rows 5 to 28 are complete in every column: keep those to go on"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outcomes": []}, "no outcome is named"),
        ({"outcomes": ["stocks", "stocks"]}, "outcome 'stocks' is listed 2 times"),
        ({"shocks": ["stocks"]}, "column 'stocks' is declared as outcome and as shock"),
        ({"controls": [3]}, "control must name a column, as text, and is 3"),
        ({"time": "mnth"}, "no column 'mnth' (declared as time) (did you mean 'month'?)"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(frame: pd.DataFrame, changes: dict[str, Any], message: str) -> None:
    assert any(message in p for p in refused(frame, **changes))


def test_parts_and_spans_of_it(frame: pd.DataFrame) -> None:
    whole = MultiSeries.from_frame(frame, **COLUMNS)
    train = whole.between(None, "2001-12-01")
    np.testing.assert_array_equal(train.outcomes, whole.outcomes[:24])
    assert whole.between("2001-01-01").dataset["period"].values[0] == 0
    assert whole.select(series=["bonds"], controls=[]).series_names == ("bonds",)
    assert whole.select(controls=[]).controls.shape == (30, 0) and whole.select(controls=[]).control_names == ()
    with pytest.raises(DataError, match="there is no shock 'polcy'"):
        whole.select(shocks=["polcy"])
    with pytest.raises(DataError, match="no date lies from"):
        whole.between("2010-01-01")
    with pytest.raises(DataError, match="at least one series must stay"):
        whole.select(series=[])
    doubled = whole.replace_outcomes(2 * whole.outcomes)
    np.testing.assert_array_equal(doubled.scale, 2 * whole.scale)


def test_rows_without_a_time_are_counted(frame: pd.DataFrame) -> None:
    found = MultiSeries.from_frame(frame, outcomes="stocks")
    np.testing.assert_array_equal(found.time, np.arange(30))
    assert found.series_names == ("stocks",) and found.shocks.shape == (30, 0)
