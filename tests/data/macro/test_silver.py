"""What was known when: windows against a slow reading of the definition, and nothing from the future."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayes_causal.data.macro.periods import ends, floor
from bayes_causal.data.macro.silver import known, published
from bayes_causal.data.macro.source import Series, typed

MONTHS = np.arange("2000-01", "2003-01", dtype="datetime64[M]").astype("datetime64[ns]")
CPI = Series("cpi", "fred", "CPI", "index", "level", "M", lag=15, vintages=True)
GDP = Series("gdp", "fred", "GDP", "dollars", "level", "Q", lag=30, vintages=True)
RATE = Series("policy_rate", "fred", "DFF", "percent", "rate", "D", "mean", lag=1)


def versions(series: Series, rng: np.random.Generator, first: str, periods: int) -> pd.DataFrame:
    """Every period in one to four versions, the first 10 to 34 days after its end."""
    starts = pd.date_range(first, periods=periods, freq={"M": "MS", "Q": "QS", "A": "YS"}[series.frequency])
    rows = []
    for start, end in zip(starts, ends(starts.to_numpy(), series.frequency), strict=True):
        day = pd.Timestamp(end)
        for _ in range(rng.integers(1, 5)):
            day += pd.Timedelta(days=int(rng.integers(10, 35)))
            rows.append((start, day, rng.normal(100, 5)))
    period, released, value = zip(*rows, strict=True)
    return typed(list(period), list(released), list(value))


@pytest.mark.parametrize("series", [CPI, GDP])
def test_windows_are_the_newest_versions_of_the_newest_periods(series: Series, rng: np.random.Generator) -> None:
    seen = versions(series, rng, "1998-01-01", {"M": 60, "Q": 20}[series.frequency])
    found = known(published(seen, series), series, MONTHS, 5)
    step = {"M": 1, "Q": 3}[series.frequency]
    for k, end in enumerate(ends(MONTHS, "M")):
        then = seen[seen["published"] <= end].sort_values(["period", "published"]).groupby("period")["value"].last()
        newest = then.index.max()
        assert found.period[k] == newest.to_datetime64()
        wanted = [then.get(newest - pd.DateOffset(months=step * back), np.nan) for back in range(4, -1, -1)]
        np.testing.assert_array_equal(found.values[k], wanted)


def test_a_late_revision_changes_nothing_before_it(rng: np.random.Generator) -> None:
    seen = versions(CPI, rng, "1998-01-01", 60)
    cut = pd.Timestamp("2001-06-30")
    planted = seen.assign(value=seen["value"].where(seen["published"] <= cut, 1e6))
    more = typed([pd.Timestamp("1999-05-01")], [cut + pd.Timedelta(days=1)], [-1e6])
    planted = pd.concat([planted, more], ignore_index=True)
    one, other = (known(published(frame, CPI), CPI, MONTHS, 24).values for frame in (seen, planted))
    before = ends(MONTHS, "M") <= cut.to_datetime64()
    np.testing.assert_array_equal(one[before], other[before])
    assert not np.array_equal(one[~before], other[~before], equal_nan=True)


def test_a_value_is_known_from_its_release_on_and_not_a_day_before() -> None:
    for released, month in (("2000-03-31", "2000-03"), ("2000-04-01", "2000-04")):
        seen = typed(["2000-02-01"], [released], [170.0])
        found = known(published(seen, CPI), CPI, MONTHS, 1)
        assert MONTHS[np.isfinite(found.values[:, 0])][0] == np.datetime64(month)


def test_where_the_source_does_not_say_the_usual_lag_counts_and_is_marked() -> None:
    frame = published(typed(["2000-01-01", "2000-02-01"], [None, "2000-03-14"], [1.0, 2.0]), CPI)
    assert frame["published"].astype(str).tolist() == ["2000-02-15", "2000-03-14"]
    assert frame["assumed"].tolist() == [True, False]
    quarter = published(typed(["2000-03-01"], [None], [1.0]), GDP)  # quarters dated by their last month
    assert str(quarter["period"][0].date()) == "2000-01-01" and str(quarter["published"][0].date()) == "2000-04-30"


def test_what_is_too_old_is_no_longer_known() -> None:
    """CPI of March 2000 is the newest from April on, late by a month at most: at the end of June it is nobody's newest."""
    seen = typed(["2000-02-01", "2000-03-01"], [None, None], [1.0, 2.0])
    found = known(published(seen, CPI), CPI, MONTHS, 2)
    np.testing.assert_array_equal(found.values[:7, -1], [np.nan, np.nan, 1.0, 2.0, 2.0, np.nan, np.nan])
    assert np.isnat(found.period[5]) and not found.current.any()


def test_a_price_is_known_of_its_own_month_or_not_at_all() -> None:
    price = Series("gold", "file", "gold", "dollars", "price", "M")
    found = known(published(typed(["2000-01-01", "2000-03-01"], [None, None], [1.0, 3.0]), price), price, MONTHS, 1)
    np.testing.assert_array_equal(found.values[:4, 0], [1.0, np.nan, 3.0, np.nan])
    np.testing.assert_array_equal(found.current[:4], [True, False, True, False])


def test_a_period_that_was_never_published_is_missing_inside_the_window() -> None:
    seen = typed(["2000-01-01", "2000-03-01"], [None, None], [1.0, 3.0])
    found = known(published(seen, CPI), CPI, MONTHS, 3)
    np.testing.assert_array_equal(found.values[3], [1.0, np.nan, 3.0])


@pytest.mark.parametrize(
    ("monthly", "lag", "value"), [("mean", 0, 15.0), ("mean", 1, 14.5), ("last", 0, 29.0), ("last", 7, 22.0)]
)
def test_days_count_once_they_are_published(monthly: str, lag: int, value: float) -> None:
    """February 2000, its days numbered from 1; a day that is published in March is not in it."""
    days = pd.date_range("2000-02-01", "2000-03-05")
    series = Series("x", "yahoo", "X", "dollars", "price", "D", monthly, lag=lag)  # type: ignore[arg-type]
    frame = published(typed(days, [None] * len(days), [d.day for d in days]), series)
    assert frame["value"].tolist() == [value]  # March has too few days
    found = known(frame, series, MONTHS, 1)
    assert found.current[1] and found.values[1, 0] == value and np.isnan(found.values[2, 0])


def test_periods_hold_their_days() -> None:
    days = np.array(["2000-05-17", "2001-12-31"], "datetime64[ns]")
    assert floor(days, "Q").astype("datetime64[D]").astype(str).tolist() == ["2000-04-01", "2001-10-01"]
    assert ends(floor(days, "Q"), "Q").astype("datetime64[D]").astype(str).tolist() == ["2000-06-30", "2001-12-31"]
    assert ends(floor(days, "A"), "A").astype("datetime64[D]").astype(str).tolist() == ["2000-12-31", "2001-12-31"]
