"""What shocks and features are made of: a line each, over the newest periods known at the end of every month.

The policy-rate change, the CPI surprise and the GDP surprise are as they were asked for. None of them is exogenous, and the last
two are levels over their own recent mean, so that they can be foretold; identified shocks are those of the data, where there are
some (Jarociński and Karadi, doi:10.1257/mac.20180090).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

A_YEAR = {"D": 12, "M": 12, "Q": 4, "A": 1}
WIDTH = {frequency: 2 * periods + 1 for frequency, periods in A_YEAR.items()}


@dataclass(frozen=True)
class Column:
    """One column of the gold table.

    Parameters
    ----------
    name : str
    role : {"outcome", "shock", "feature"}
    unit, formula : str
        In words; the formula says what is known when.
    """

    name: str
    role: Literal["outcome", "shock", "feature"]
    unit: str
    formula: str


@dataclass(frozen=True, eq=False)
class Window:
    """The newest periods of a series, (M, W), the newest last; two years and one period of it."""

    values: np.ndarray
    frequency: str

    @property
    def newest(self) -> np.ndarray:
        """(M,) the newest value."""
        return np.asarray(self.values[:, -1])

    @property
    def growth(self) -> np.ndarray:
        """(M,) log change over a year, in percent."""
        return growth(self.values, A_YEAR[self.frequency])

    def change(self, years: int = 1) -> np.ndarray:
        """(M,) difference over a year; over one period where `years` is 0."""
        return np.asarray(self.newest - self.values[:, -1 - (years * A_YEAR[self.frequency] or 1)])

    def risen(self) -> np.ndarray:
        """(M,) mean of the newest quarter minus the lowest such mean that ended in the year before it."""
        a_year = A_YEAR[self.frequency]
        means = np.lib.stride_tricks.sliding_window_view(self.values, max(1, a_year // 4), axis=1).mean(-1)
        return np.asarray(means[:, -1] - means[:, -1 - a_year : -1].min(1))

    def surprise(self, years: int) -> np.ndarray:
        """(M,) newest value over the mean of the newest so many years, itself included, minus 1."""
        mean = self.values[:, -years * A_YEAR[self.frequency] :].mean(1)
        return np.asarray((self.newest - mean) / mean)


def growth(window: np.ndarray, periods: int) -> np.ndarray:
    """(M,) log change in percent over so many periods, inside the version of a (M, W) window."""
    return np.asarray(100 * np.log(window[:, -1] / window[:, -1 - periods]))


def _shock(name: str, unit: str, formula: str) -> Column:
    return Column(name, "shock", unit, formula)


def _feature(name: str, unit: str, formula: str) -> Column:
    return Column(name, "feature", unit, formula)


def _growth(name: str, series: str, words: str) -> tuple[Column, tuple[str, ...], Callable[..., np.ndarray]]:
    return _feature(name, "percent", f"log change over a year of {words}, newest published"), (series,), lambda w: w.growth


Rule = tuple[Column, tuple[str, ...], Callable[..., np.ndarray]]
RULES: tuple[Rule, ...] = (
    (
        _shock("policy_rate_change", "percentage points", "policy rate minus the month before; not exogenous: it answers news"),
        ("policy_rate",),
        lambda w: w.change(years=0),
    ),
    (
        _shock(
            "cpi_surprise", "fraction", "(CPI − mean of its newest 12 months) / mean, as published; its own past foretells it"
        ),
        ("cpi",),
        lambda w: w.surprise(years=1),
    ),
    (
        _shock(
            "gdp_surprise", "fraction", "(GDP − mean of its newest 8 quarters) / mean, as published; its own past foretells it"
        ),
        ("gdp",),
        lambda w: w.surprise(years=2),
    ),
    _growth("inflation", "cpi", "CPI"),
    _growth("gdp_growth", "gdp", "GDP"),
    _growth("payroll_growth", "payrolls", "payrolls"),
    _growth("industrial_growth", "industrial_production", "industrial production"),
    _growth("oil_growth", "oil", "the oil price"),
    _growth("usd_eur_growth", "usd_eur", "dollars per euro"),
    _growth("usd_cny_growth", "usd_cny", "yuan per dollar"),
    (_feature("unemployment", "percent", "newest rate published"), ("unemployment",), lambda w: w.newest),
    (
        _feature("unemployment_change", "percentage points", "unemployment rate minus a year before"),
        ("unemployment",),
        lambda w: w.change(),
    ),
    (
        _feature(
            "sahm_indicator",
            "percentage points",
            "mean unemployment of the newest 3 months minus its lowest of the year before; from 0.5 on a recession has begun "
            "(Sahm 2019, Direct stimulus payments to individuals)",
        ),
        ("unemployment",),
        lambda w: w.risen(),
    ),
    (_feature("policy_rate", "percent", "newest policy rate"), ("policy_rate",), lambda w: w.newest),
    (
        _feature("real_rate", "percent", "policy rate minus inflation, the newest of each"),
        ("policy_rate", "cpi"),
        lambda rate, cpi: rate.newest - cpi.growth,
    ),
    (
        _feature("curve_slope_10y_2y", "percentage points", "10-year minus 2-year yield"),
        ("yield_10y", "yield_2y"),
        lambda ten, short: ten.newest - short.newest,
    ),
    (
        _feature("curve_slope_10y_1y", "percentage points", "10-year minus 1-year yield"),
        ("yield_10y", "yield_1y"),
        lambda ten, short: ten.newest - short.newest,
    ),
    (_feature("vix", "percent a year", "newest month of the VIX"), ("vix",), lambda w: w.newest),
)
