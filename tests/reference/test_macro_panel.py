"""The monthly panel of the United States, 1959 to 2024, as a lake: what is published late is known late."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayes_causal.data.macro.build import MONTHLY, build_macro, read_gold
from bayes_causal.data.macro.lake import Lake, table
from bayes_causal.data.multi_series import MultiSeries


@pytest.fixture(scope="module")
def lake(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    data: Path = request.getfixturevalue("reference_data")
    folders = [data / "macro_monthly_panel", data / "macro_quarterly_fredqd"]
    if not all(folder.is_dir() for folder in folders):
        pytest.skip("no monthly panel among the reference data")
    out = str(tmp_path_factory.mktemp("macro") / "lake")
    build_macro(out, given=[str(folder) for folder in folders])
    return out


@pytest.mark.parametrize(
    ("series", "known", "published", "tolerance"),
    [
        ("unemployment", "2008-11", 6.5, 0.11),
        ("policy_rate", "2008-10", 0.97, 0.01),
        ("yield_10y", "2008-10", 3.81, 0.01),
        ("vix", "2008-10", 61.177, 2.0),
    ],
)
def test_october_2008(lake: str, series: str, known: str, published: float, tolerance: float) -> None:
    """FRED's values of October 2008; its unemployment rate came out in November."""
    column = table(Lake(lake).read(MONTHLY)).set_index("month")[series]
    assert column[f"{known}-01"] == pytest.approx(published, abs=tolerance)


@pytest.mark.parametrize("start", ["1959-01", "1970-01", "1985-06", "1999-02", "2008-01", "2015-01"])
def test_no_gate_refuses_what_happened(start: str, lake: str, tmp_path: Path) -> None:
    build_macro(str(tmp_path / "lake"), given=[lake], start=start, end="2023-12")


def test_gdp_of_a_quarter_is_known_a_month_after_it(lake: str) -> None:
    column = table(Lake(lake).read(MONTHLY)).set_index("month")["gdp"]
    assert column["2009-04-01"] != column["2009-03-01"] and column["2009-04-01"] == column["2009-06-01"]


def test_recessions_are_seen_when_unemployment_has_risen(lake: str) -> None:
    """FRED's SAHMREALTIME is 0.5 or more from mid 2008 until 2009, and from May 2020 on, and is not in 1995 or 2005."""
    column = read_gold(lake)[0].set_index("month")["sahm_indicator"]
    assert (column["2008-07":"2009-12"] >= 0.5).all() and (column["2020-05":"2021-01"] >= 0.5).all()
    assert (column["1995"] < 0.5).all() and (column["2005"] < 0.5).all()


def test_stocks_fall_on_a_monetary_surprise(lake: str) -> None:
    """Bernanke and Kuttner 2005 (doi:10.1111/j.1540-6261.2005.00760.x): 4 to 5 percent a point, within a day."""
    gold, _ = read_gold(lake)
    both = gold[["monetary_surprise", "sp500_return"]].dropna()
    assert len(both) == 414 and np.polyfit(both["monetary_surprise"], both["sp500_return"], 1)[0] < 0


def test_the_panel_is_what_a_model_takes(lake: str) -> None:
    gold, columns = read_gold(lake)
    assert (gold["month"].min(), gold["month"].max()) == (pd.Timestamp("1959-01-01"), pd.Timestamp("2024-07-01"))
    outcomes = columns["name"][columns["role"] == "outcome"].tolist()
    series = MultiSeries.from_frame(
        gold[gold["month"] >= "1999-02-01"],
        time="month",
        outcomes=outcomes,
        shocks=["monetary_surprise", "policy_rate_change", "cpi_surprise"],
        controls=["real_rate", "curve_slope_10y_1y", "unemployment"],
    )
    assert len(series.series_names) == 5 and series.n_dates == 306
