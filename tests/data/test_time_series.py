from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayes_causal.data.frequency import frequency
from bayes_causal.data.time_series import TimeSeries
from bayes_causal.errors import DataError

DAYS = pd.date_range("2020-01-01", periods=40, freq="D")
START = "2020-01-29"
COLUMNS: dict[str, Any] = {"time": "date", "outcome": "sales", "controls": ["rivals", "rain"], "intervention": START}


def frame(rng: np.random.Generator, dates: Any = DAYS) -> pd.DataFrame:
    n = len(dates)
    return pd.DataFrame({"date": dates, "sales": rng.normal(50, 5, n), "rivals": rng.normal(size=n), "rain": rng.normal(size=n)})


def series(data: Any, **changes: Any) -> TimeSeries:
    return TimeSeries.from_frame(data, **(COLUMNS | changes))


def refused(data: Any, **changes: Any) -> tuple[str, ...]:
    with pytest.raises(DataError) as error:
        series(data, **changes)
    return error.value.problems


def test_every_row_is_where_it_belongs(rng: np.random.Generator) -> None:
    data = frame(rng)
    data.loc[[3, 33], "sales"] = np.nan
    found = series(data.sample(frac=1, random_state=1))
    np.testing.assert_array_equal(found.dataset["outcome"].values, data["sales"])
    np.testing.assert_array_equal(found.dataset["controls"].values, data[["rivals", "rain"]])
    np.testing.assert_array_equal(found.dataset["period"].values, np.arange(40))
    np.testing.assert_array_equal(found.pre, data["date"] < START)
    np.testing.assert_array_equal(found.post, data["date"] >= START)
    assert (found.n_pre, found.n_post, found.outcome_name, found.control_names) == (28, 12, "sales", ("rivals", "rain"))
    assert found.intervention == np.datetime64(START) and found.end is None
    before = data["sales"][:28].dropna()
    assert found.center == pytest.approx(before.mean()) and found.scale == pytest.approx(before.std(ddof=1))
    assert found.counts == {
        "rows_read": 40,
        "rows_kept": 40,
        "dropped": {},
        "dates": 40,
        "missing_outcomes": 2,
        "inserted_dates": 0,
        "pre_dates": 28,
        "post_dates": 12,
        "controls": 2,
    }
    assert {k: found.dataset.attrs[k] for k in ("outcome", "time", "frequency")} == {
        "outcome": "sales",
        "time": "date",
        "frequency": "day",
    }


@given(st.integers(0, 2**32 - 1))
def test_the_order_of_rows_says_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = frame(rng)
    data.loc[rng.random(40) < 0.2, "sales"] = np.nan
    data.loc[[0, 1, 2, 3, 4, 39], "sales"] = rng.normal(size=6)
    assert series(data).dataset.identical(series(data.sample(frac=1, random_state=2)).dataset)


@given(st.integers(5, 30), st.integers(0, 5), st.integers(1, 6), st.integers(0, 4))
def test_every_date_is_before_between_after_or_beyond(n_pre: int, gap: int, n_post: int, beyond: int) -> None:
    n = 2 + n_pre + gap + n_post + beyond
    rng = np.random.default_rng(n)
    start = 2 + n_pre
    data = pd.DataFrame({"date": np.arange(n), "sales": rng.normal(size=n)})
    pre, post = [2, start - 1], [start + gap, n - 1]
    found = series(data, controls=[], intervention=start, pre=pre, post=post, end=start + gap + n_post - 1)
    times = found.dataset["time"].values
    assert found.n_pre == n_pre and found.n_post == n_post and not (found.pre & found.post).any()
    assert times[found.pre].max() < found.intervention == start <= times[found.post].min()
    assert found.end == start + gap + n_post - 1
    assert (~found.pre & ~found.post).sum() == gap + beyond
    assert found.counts["dropped"] == {"outside the pre and post windows": 2} and found.counts["rows_kept"] == n - 2


def as_duckdb(data: pd.DataFrame) -> Any:
    return duckdb.connect().from_arrow(pa.Table.from_pandas(data, preserve_index=False))


@pytest.mark.parametrize(
    "convert",
    [
        pl.from_pandas,
        lambda f: pl.from_pandas(f).lazy(),
        lambda f: pl.from_pandas(f).with_columns(pl.col("date").cast(pl.Date)),
        lambda f: pa.Table.from_pandas(f, preserve_index=False),
        as_duckdb,
        lambda f: f.convert_dtypes(),
        lambda f: f.astype(object),
        lambda f: f.assign(date=f["date"].dt.date),
        lambda f: f.assign(date=f["date"].dt.to_period("D")),
        lambda f: f.assign(date=f["date"].dt.tz_localize("Europe/Berlin")),
    ],
    ids="polars lazy polars-date arrow duckdb nullable object date period zoned".split(),
)
def test_any_table_library_gives_the_same_series(convert: Any, rng: np.random.Generator) -> None:
    data = frame(rng)
    data.loc[7, "sales"] = np.nan
    assert series(convert(data)).dataset.identical(series(data).dataset)


@pytest.mark.parametrize(
    ("dates", "name", "step"),
    [
        (pd.date_range("2020-01-01", periods=30, freq="D"), "day", np.timedelta64(1, "D")),
        (pd.date_range("2020-01-06", periods=30, freq="7D"), "week", np.timedelta64(7, "D")),
        (pd.date_range("2020-01-01", periods=30, freq="2D"), "2 days", np.timedelta64(2, "D")),
        (pd.date_range("2020-01-31", periods=30, freq="ME"), "month", None),
        (pd.date_range("2020-01-15", periods=30, freq="MS") + pd.Timedelta(days=14), "month", None),
        (pd.date_range("2020-03-31", periods=30, freq="QE"), "quarter", None),
        (pd.date_range("1990-01-01", periods=30, freq="YS"), "year", None),
        (pd.bdate_range("2020-01-06", periods=30), "business day", None),
        (pd.date_range("2020-01-01", periods=30, freq="h"), "hour", np.timedelta64(1, "h")),
        (pd.date_range("2020-01-01", periods=30, freq="15min"), "15 minutes", None),
        (np.arange(1970, 2000), "step", 1),
        (np.arange(0, 300, 10), "step of 10", 10),
        (1960 + np.arange(30) / 4, "step of 0.25", None),
        (1960 + np.arange(30) / 12, "step of 0.08333", None),
    ],
    ids=str,
)
def test_a_date_without_a_row_is_a_missing_outcome(dates: Any, name: str, step: Any, rng: np.random.Generator) -> None:
    data = pd.DataFrame({"date": dates, "sales": rng.normal(size=30)})
    absent = [4, 11, 12]
    found = series(data.drop(index=absent), controls=[], intervention=dates[20])
    assert found.dataset.attrs["frequency"] == name
    expected = np.asarray(dates)
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(found.dataset["time"].values, expected, atol=1e-9)
    else:
        np.testing.assert_array_equal(found.dataset["time"].values, expected)
    np.testing.assert_array_equal(np.flatnonzero(~found.observed), absent)
    assert found.counts["inserted_dates"] == 3 and found.n_pre == 20
    if step is not None:
        assert (np.diff(found.dataset["time"].values) == step).all()


@given(st.lists(st.integers(1, 60), min_size=8, max_size=40, unique=True), st.sampled_from(["int", "D", "MS", "B"]))
def test_frequency_is_a_grid_that_holds_every_label(positions: list[int], kind: str) -> None:
    at = np.sort(positions)
    grid = np.arange(61) if kind == "int" else pd.date_range("2019-12-02", periods=61, freq=kind).to_numpy()
    labels = grid[at]
    found = frequency(labels)
    if found is None:
        return
    np.testing.assert_array_equal(found.label(found.period), labels)
    assert (np.diff(found.period) >= 1).all() and found.period[0] == 0
    assert len(found.missing()) + len(labels) == found.period[-1] + 1 <= 2 * len(labels)


@pytest.mark.parametrize(
    "dates",
    [
        pd.to_datetime(["2020-01-01", "2020-01-15", "2020-01-29", "2020-02-11", "2020-02-20"]),
        np.array([0.0, 1.0, 2.618, 3.1]),
        np.array([0, 10, 20, 31, 40]),
        np.array([0, 1, 50, 51, 100]),
        pd.to_datetime(["2020-01-02", "2020-02-05", "2020-03-01", "2020-04-09"]),
    ],
)
def test_dates_without_a_frequency_have_none(dates: Any) -> None:
    assert frequency(np.asarray(dates)) is None


def test_one_error_lists_everything(rng: np.random.Generator) -> None:
    data = frame(rng)
    data["rain"] = 3.0
    data.loc[2, "sales"] = -np.inf
    data.loc[5, "rivals"] = np.nan
    data = pd.concat([data, data[8:9]])
    problems = refused(data, intervention="2021-01-01", controls=["rivals", "rain", "rainn", "sales"])
    for words in (
        "no column 'rainn' (declared as control) (did you mean 'rain'?)",
        "control 'sales' is also the outcome column",
        "1 dates of time column 'date' have several rows (first: 2020-01-09 (2 rows))",
        "outcome column 'sales' is infinite in 1 row (3, counted from 1) (a logarithm of zero?)",
        "control 'rivals' is missing in 1 row (6, counted from 1)",
    ):
        assert any(words in p for p in problems), words


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"intervention": "2020-03-01"},
            "lies after the last date of time column 'date', which runs from 2020-01-01 to 2020-02-09",
        ),
        ({"intervention": "2020-01-01"}, "lies not after the first date"),
        ({"intervention": 28}, "`intervention` 28 is not in the units of time column 'date', which holds dates"),
        ({"intervention": "soon"}, "`intervention` 'soon' is not in the units"),
        (
            {"intervention": "2020-01-04"},
            "the pre-period has 3 dates with an outcome, from 2020-01-01 to 2020-01-03, and must have at least 5",
        ),
        ({"intervention": None}, "nothing says when the intervention was"),
        ({"pre": ["2020-01-20", "2020-01-10"]}, "`pre` is [first, last], and 2020-01-20 is after 2020-01-10"),
        ({"pre": ["2020-01-01", "2020-01-30"]}, "`pre` ends at 2020-01-30, and must end before the intervention at 2020-01-29"),
        ({"post": ["2020-01-20", "2020-02-09"]}, "`post` starts at 2020-01-20, before the intervention"),
        ({"end": "2020-01-10"}, "`end` 2020-01-10 is before the post-period, which starts at 2020-01-29"),
        ({"pre": "2020-01-01"}, "`pre` must be a pair [first, last]"),
        ({"outcome": "slaes"}, "no column 'slaes' (declared as outcome) (did you mean 'sales'?)"),
        ({"outcome": 3}, "outcome must name a column, as text, and is 3"),
        ({"controls": ["rain", "rain"]}, "control 'rain' is listed 2 times"),
        ({"time": "sales", "outcome": "sales"}, "column 'sales' is declared both as time and as outcome"),
    ],
)
def test_declarations_that_cannot_be(changes: dict[str, Any], words: str, rng: np.random.Generator) -> None:
    assert any(words in p for p in refused(frame(rng), **changes))


def test_columns_that_cannot_be(rng: np.random.Generator) -> None:
    good = frame(rng)
    cases: list[tuple[pd.DataFrame, str]] = [
        (good.assign(sales=[f"{v:.2f}" for v in good["sales"]]), "holds text that looks like numbers"),
        (good.assign(rain=["wet"] * 40), "control column 'rain' is not numeric"),
        (good.assign(rain=[np.inf, *good["rain"][1:]]), "control column 'rain' is infinite"),
        (good.assign(rain=np.where(good["date"] < START, 1.0, 2.0)), "control 'rain' is 1 throughout the pre-period"),
        (
            good.assign(sales=np.where(good["date"] < START, 7.0, good["sales"])),
            "the outcome 'sales' is 7 throughout the pre-period",
        ),
        (good.assign(sales=good["sales"].where(good["date"] < START)), "no date of the post-period has an outcome"),
        (good.assign(date=good["date"].astype(str)), "holds text ('2020-01-01'"),
        (good.assign(date=good["date"].where(good.index != 4)), "time column 'date' is missing in 1 row (5"),
        (good.assign(date=good["date"].dt.strftime("%Y%m%d").astype(int)), "dates written as numbers"),
        (good.drop(index=[5, 9]), "2 dates of time column 'date' are missing (first: 2020-01-06, 2020-01-10; one step is a day)"),
        (good[:0], "the table has no rows"),
    ]
    for data, words in cases:
        assert any(words in p for p in refused(data)), words


def test_irregular_dates_say_where_and_what_to_do(rng: np.random.Generator) -> None:
    moved = DAYS.to_series().reset_index(drop=True)
    moved[10] += pd.Timedelta(hours=5)
    (problem,) = refused(frame(rng, moved))
    assert "2020-01-10 is followed by 2020-01-11T05:00:00" in problem and "row numbers" in problem
    fifth = pd.Timestamp("2020-01-05")
    monthly = pd.DatetimeIndex([fifth + pd.DateOffset(months=k, days=k % 3) for k in range(40)])
    (problem,) = refused(frame(rng, monthly), intervention="2022-01-01")
    assert "df['date'].dt.to_period('M')" in problem


def test_rows_in_their_order_where_no_time_is_named(rng: np.random.Generator) -> None:
    found = series(frame(rng), time=None, intervention=28)
    np.testing.assert_array_equal(found.dataset["time"].values, np.arange(40))
    assert found.dataset.attrs["time"] == "row" and found.n_pre == 28
    assert "`intervention` '2020-01-29' is not in the units" in refused(frame(rng), time=None)[0]


def test_an_intervention_between_two_dates_starts_at_the_next(rng: np.random.Generator) -> None:
    data = frame(rng, pd.date_range("2017-01-01", periods=40, freq="MS"))
    found = series(data, intervention="2019-03-10", end="2019-08-20")
    assert found.intervention == np.datetime64("2019-04-01") and found.end == np.datetime64("2019-08-01")
    assert found.n_pre == 27 and found.n_post == 5


def test_a_placebo_in_time_sees_nothing_of_the_intervention(rng: np.random.Generator) -> None:
    data = frame(rng)
    data.loc[data["date"] >= START, "sales"] += 1e9
    placebo = series(data).shift(intervention="2020-01-20")
    assert placebo.n_pre == 19 and placebo.n_post == 9 and placebo.intervention == np.datetime64("2020-01-20")
    assert placebo.dataset["outcome"].values.max() < 1e6 and placebo.end is None
    short = series(data).shift(intervention="2020-01-20", periods=4)
    assert short.n_post == 4 and short.dataset.sizes["time"] == 23
    for date, words in (("2020-02-01", "not inside the pre-period"), ("2020-01-03", "must have at least 5"), (3, "not a date")):
        with pytest.raises(DataError, match=words):
            series(data).shift(intervention=date)


def test_other_outcomes_and_fewer_controls(rng: np.random.Generator) -> None:
    data = frame(rng)
    data.loc[2, "sales"] = np.nan
    found = series(data)
    doubled = found.replace_outcome(2 * found.dataset["outcome"].values + 1)
    assert doubled.scale == pytest.approx(2 * found.scale) and not doubled.observed[2]
    assert not found.replace_outcome(np.arange(40.0)).observed[2]
    assert found.select_controls(["rain"]).control_names == ("rain",)
    np.testing.assert_array_equal(found.select_controls(["rain", "rivals"]).dataset["controls"].values, data[["rain", "rivals"]])
    alone = found.select_controls([])
    assert alone.control_names == () and "controls" not in alone.dataset
    with pytest.raises(DataError, match="did you mean 'rain'"):
        found.select_controls(["rainn"])


def test_round_trip_through_a_frame(rng: np.random.Generator) -> None:
    data = frame(rng)
    data.loc[[3, 33], "sales"] = np.nan
    found = series(data)
    flat = found.to_frame()
    again = TimeSeries.from_frame(flat, time="time", outcome="outcome", controls=["rivals", "rain"], intervention=START)
    np.testing.assert_array_equal(again.dataset["outcome"].values, found.dataset["outcome"].values)
    np.testing.assert_array_equal(flat["post"], again.post)
    assert repr(found) == (
        "<TimeSeries 'sales': 40 dates (date, one a day), 28 before 2020-01-29 and 12 after, 2 controls, 2 outcomes missing>"
    )


def test_an_intervention_at_the_last_date_plans_a_test(rng: np.random.Generator) -> None:
    """The last date with an outcome; dates after it, for which controls are known already, belong to the test."""
    data = frame(rng)
    planned = series(data, intervention="last")
    assert planned.n_pre == 39 and planned.n_post == 1 and planned.intervention == DAYS[-1].to_datetime64()
    data.loc[35:, "sales"] = np.nan
    ahead = series(data, intervention="last")
    assert ahead.n_pre == 34 and ahead.n_post == 6
    assert any("`intervention: last` for a test" in p for p in refused(data, intervention=None))
    assert "write it as YYYY-MM-DD" in refused(data, intervention="spring")[0]


def test_a_control_that_is_the_outcome_is_refused(rng: np.random.Generator) -> None:
    """In any units, and only where it is so after the intervention too: a close relation before it is what a control is for."""
    data = frame(rng)
    (problem,) = refused(data.assign(rain=32 - 1.8 * data["sales"]))
    assert "control 'rain' is the outcome 'sales' in other units" in problem
    after = np.arange(40) >= 28
    assert series(data.assign(rain=data["sales"] + after * rng.normal(size=40))).control_names == ("rivals", "rain")


def test_placebo_outcomes_are_held_beside_the_series(rng: np.random.Generator) -> None:
    data = frame(rng).assign(elsewhere=rng.normal(size=40))
    data.loc[3, "elsewhere"] = np.nan
    found = series(data.sample(frac=1, random_state=1), placebo_outcomes="elsewhere")
    assert found.placebo_names == ("elsewhere",)
    np.testing.assert_array_equal(found.dataset["placebo_outcomes"].values[:, 0], data["elsewhere"])
    gapped = series(data.drop(index=[7]), controls=[], placebo_outcomes=["elsewhere", "rain"])
    assert np.isnan(gapped.dataset["placebo_outcomes"].values[7]).all() and gapped.placebo_names == ("elsewhere", "rain")
    problems = refused(data, placebo_outcomes=["rain", "sales", "elsewere", "elsewere"])
    for words in ("'rain' is also a control", "'sales' is also the outcome column", "listed 2 times", "did you mean 'elsewhere'"):
        assert any(words in p for p in problems), words
