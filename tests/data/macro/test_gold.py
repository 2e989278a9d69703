"""Shocks, features and returns against closed forms, and nothing from the future in any of them."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bayes_causal.data.macro.gold import correlation, gold, volatility
from bayes_causal.data.macro.periods import ends
from bayes_causal.data.macro.rules import RULES
from bayes_causal.data.macro.silver import published
from bayes_causal.data.macro.source import Series, typed

FIRST, LAST = "1990-01", "1999-12"
MONTHS = np.arange(FIRST, "2000-01", dtype="datetime64[M]").astype("datetime64[ns]")
QUARTERS = MONTHS[::3]
DAYS = pd.bdate_range(FIRST, "1999-12-31")

SERIES = {
    s.name: s
    for s in (
        Series("cpi", "file", "cpi", "index", "level", "M", lag=15),
        Series("gdp", "file", "gdp", "dollars", "level", "Q", lag=30),
        Series("unemployment", "file", "u", "percent", "rate", "M", lag=7),
        Series("policy_rate", "file", "r", "percent", "rate", "D", "mean", lag=0),
        Series("yield_2y", "file", "y2", "percent", "rate", "M"),
        Series("yield_10y", "file", "y10", "percent", "rate", "M"),
        Series("sp500", "file", "p", "index", "price", "D", "last"),
        Series("long_bonds", "file", "b", "percent a month", "return", "M"),
        Series("gold", "file", "g", "dollars", "price", "M"),
        Series("surprise_of_fed", "file", "s", "percentage points", "surprise", "M", about="identified"),
        Series("wb_growth", "world_bank", "w", "percent", "rate", "A", lag=200),
    )
}


def values(rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Observations of every series, random."""

    def of(name: str, days: object, value: np.ndarray) -> pd.DataFrame:
        return published(typed(days, [None] * len(value), value), SERIES[name])

    def walk(n: int, scale: float) -> np.ndarray:
        return np.asarray(100 * np.exp(scale * rng.standard_normal(n).cumsum()))

    n = len(MONTHS)
    years = pd.date_range("1990", periods=10, freq="YS")
    return {
        "cpi": of("cpi", MONTHS, walk(n, 0.004)),
        "gdp": of("gdp", QUARTERS, walk(len(QUARTERS), 0.01)),
        "unemployment": of("unemployment", MONTHS, rng.uniform(3, 9, n)),
        "policy_rate": of("policy_rate", DAYS, rng.uniform(1, 6, len(DAYS))),
        "yield_2y": of("yield_2y", MONTHS, rng.uniform(1, 6, n)),
        "yield_10y": of("yield_10y", MONTHS, rng.uniform(1, 6, n)),
        "sp500": of("sp500", DAYS, walk(len(DAYS), 0.01)),
        "long_bonds": of("long_bonds", MONTHS, rng.normal(0, 2, n)),
        "gold": of("gold", MONTHS, walk(n, 0.03)),
        "surprise_of_fed": of("surprise_of_fed", MONTHS, rng.normal(0, 0.1, n)),
        "wb_growth": of("wb_growth", years, rng.normal(2, 1, 10)),
    }


@pytest.fixture
def observed(rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    return values(rng)


def by_month(observed: dict[str, pd.DataFrame], name: str, behind: int = 0) -> np.ndarray:
    """(M,) monthly values, so many months late."""
    found = observed[name].set_index("period")["value"].reindex(pd.DatetimeIndex(MONTHS)).shift(behind)
    return found.to_numpy()


def test_columns_are_what_their_formulas_say(observed: dict[str, pd.DataFrame]) -> None:
    """CPI of a month is known at the end of the next one, GDP of a quarter one month after it."""
    table, about = gold(observed, SERIES.values(), MONTHS)
    cpi, rate = pd.Series(by_month(observed, "cpi", 1)), by_month(observed, "policy_rate")
    gdp = observed["gdp"].set_index("period")["value"]
    gdp_surprise = (gdp / gdp.rolling(8).mean() - 1).reindex(pd.DatetimeIndex(MONTHS)).shift(3).ffill(limit=2)
    p, bonds = by_month(observed, "sp500"), by_month(observed, "long_bonds")
    inflation = 100 * np.log(cpi / cpi.shift(12))
    stocks = pd.Series(100 * np.log(p)).diff()
    u = pd.Series(by_month(observed, "unemployment", 1))
    wanted = {
        "policy_rate_change": np.diff(rate, prepend=np.nan),
        "cpi_surprise": cpi / cpi.rolling(12).mean() - 1,
        "gdp_surprise": gdp_surprise,
        "surprise_of_fed": by_month(observed, "surprise_of_fed"),
        "inflation": inflation,
        "gdp_growth": (100 * np.log(gdp).diff(4)).reindex(pd.DatetimeIndex(MONTHS)).shift(3).ffill(limit=2),
        "unemployment": by_month(observed, "unemployment", 1),
        "unemployment_change": u.diff(12),
        "sahm_indicator": (mean := u.rolling(3).mean()) - mean.shift().rolling(12).min(),
        "real_rate": rate - inflation,
        "curve_slope_10y_2y": by_month(observed, "yield_10y") - by_month(observed, "yield_2y"),
        "sp500_return": stocks,
        "long_bonds_return": 100 * np.log(1 + bonds / 100),
        "sp500_volatility": stocks.rolling(12).std(),
        "sp500_long_bonds_correlation": stocks.rolling(12).corr(pd.Series(100 * np.log1p(bonds / 100))),
        "inflation_lag1": inflation.shift(1),
        "sp500_return_lag3": stocks.shift(3),
    }
    for name, column in wanted.items():
        np.testing.assert_allclose(table[name], np.asarray(column), rtol=1e-8, atol=1e-9, err_msg=name)
    roles = about.set_index("name")["role"]
    assert set(roles[roles == "shock"].index) == {"policy_rate_change", "cpi_surprise", "gdp_surprise", "surprise_of_fed"}
    assert set(roles[roles == "outcome"].index) == {"sp500_return", "long_bonds_return", "gold_return"}
    assert about["formula"].str.len().min() > 10 and about["name"].tolist() == list(table.columns[1:])


def test_a_year_is_known_two_hundred_days_after_its_end(observed: dict[str, pd.DataFrame]) -> None:
    table, _ = gold(observed, SERIES.values(), MONTHS)
    year = observed["wb_growth"].set_index("period")["value"]
    column = table.set_index("month")["wb_growth"]
    assert column["1991-06-01"] != year["1990"].item() and column["1991-07-01"] == year["1990"].item()


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.dates(date(1992, 1, 1), date(1998, 12, 31)))
@example(cut=date(1993, 3, 31))
def test_the_future_changes_no_column_of_the_past(observed: dict[str, pd.DataFrame], cut: date) -> None:
    """What was published after a day is replaced by nonsense, and a late revision of everything before is added."""
    after = {}
    for name, frame in observed.items():
        late = frame["published"] > pd.Timestamp(cut)
        planted = frame.assign(value=frame["value"].where(~late, 7.0 * frame["value"]))
        again = frame[~late].assign(published=pd.Timestamp(cut) + pd.Timedelta(days=1), value=3.0 * frame["value"][~late])
        after[name] = pd.concat([planted, again], ignore_index=True)
    one, other = (gold(frames, SERIES.values(), MONTHS)[0] for frames in (observed, after))
    past = ends(MONTHS, "M") <= np.datetime64(cut)
    pd.testing.assert_frame_equal(one[past], other[past], check_exact=True)
    changed = [name for name in one.columns[1:] if not one[name][~past].equals(other[name][~past])]
    assert len(changed) > 0.9 * (len(one.columns) - 1)


def test_a_return_is_missing_where_its_month_is(observed: dict[str, pd.DataFrame]) -> None:
    gap = np.datetime64("1995-05-01")
    frame = observed["gold"]
    table, _ = gold(observed | {"gold": frame[frame["period"] != pd.Timestamp(gap)]}, SERIES.values(), MONTHS)
    column = table.set_index("month")["gold_return"]
    assert column["1995-05":"1995-06"].isna().all() and column["1995-04"].notna().all() and column["1995-07"].notna().all()


def test_rolling_moments_are_those_of_numpy(rng: np.random.Generator) -> None:
    a, b = rng.normal(size=(2, 20))
    assert volatility(a)[15] == pytest.approx(np.std(a[4:16], ddof=1), rel=1e-12)
    assert correlation(a, b)[11] == pytest.approx(np.corrcoef(a[:12], b[:12])[0, 1], rel=1e-12)
    assert np.isnan(correlation(a, np.ones(20))).all() and np.isnan(volatility(a)[:11]).all()
    assert np.isnan(volatility(a[:5])).all() and np.isnan(correlation(a[:5], b[:5])).all()


def test_quarterly_prices_grow_over_four_quarters() -> None:
    """The formulas know how many periods a year has, whatever the source."""
    cpi = Series("cpi", "file", "cpi", "index", "level", "Q", lag=15)
    values = 100 * 1.01 ** np.arange(len(QUARTERS))
    table, _ = gold({"cpi": published(typed(QUARTERS, [None] * len(values), values), cpi)}, [cpi], MONTHS)
    known = table["inflation"].dropna()
    np.testing.assert_allclose(known, 400 * np.log(1.01))
    np.testing.assert_allclose(table["cpi_surprise"].dropna(), 4 / (1 + 1 / 1.01 + 1.01**-2 + 1.01**-3) - 1)


def test_every_rule_has_a_name_of_its_own() -> None:
    names = [column.name for column, _, _ in RULES]
    assert len(names) == len(set(names))
