"""Shocks, features and returns of every month, each made of nothing but what was known at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from bayes_causal.data.macro.rules import RULES, WIDTH, Column, Window, growth
from bayes_causal.data.macro.silver import Known, known
from bayes_causal.data.macro.source import Series

if TYPE_CHECKING:
    import pandas as pd

MONTH, YEAR, LAGS = "month", 12, (1, 3)
BEFORE = YEAR + max(LAGS)  # months that lags of rolling moments reach back
ASSETS = ("sp500", "long_bonds", "gold", "oil_fund", "oil", "usd_eur")
CORRELATED = 4  # of the assets, every pair
LAGGED = (
    "inflation unemployment policy_rate real_rate curve_slope_10y_2y curve_slope_10y_1y sp500_volatility sp500_return "
    "policy_rate_change"
).split()

Made = tuple[Column, np.ndarray]


def gold(
    observations: Mapping[str, pd.DataFrame], series: Iterable[Series], months: np.ndarray
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The gold table and what its columns are.

    Parameters
    ----------
    observations : mapping
        Of `published`, by name of the series.
    series : iterable of Series
    months : (M,) datetime64[ns]
        First days of consecutive months.

    Returns
    -------
    table
        Month, and a column each; NaN where something was not known yet, or no longer.
    table
        Name, role, unit, formula, months known, autocorrelation (of one month with the next).
    """
    import pandas as pd

    by_name = {s.name: s for s in series}
    first = months[0].astype("datetime64[M]")
    earlier = np.concatenate([np.arange(first - BEFORE, first).astype(months.dtype), months])
    windows = {name: known(observations[name], s, earlier, WIDTH[s.frequency]) for name, s in by_name.items()}
    returns = list(_returns(windows, by_name))
    made = [*returns, *_surprises(windows, by_name), *_ruled(windows, by_name), *_yearly(windows, by_name), *_moments(returns)]
    made += _lags([m for m in made if m[0].name in LAGGED])
    made = [(column, values[BEFORE:]) for column, values in made]
    table = pd.DataFrame({MONTH: months} | {column.name: values for column, values in made})
    about = [asdict(column) | {"months": int(np.isfinite(v).sum()), "autocorrelation": autocorrelation(v)} for column, v in made]
    return table, pd.DataFrame(about)


def autocorrelation(values: np.ndarray) -> float:
    """Correlation of a month with the one before; NaN where there are too few, or nothing moves."""
    pairs = np.column_stack([values[1:], values[:-1]])
    pairs = pairs[np.isfinite(pairs).all(1)]
    if len(pairs) < YEAR or (np.ptp(pairs, 0) == 0).any():
        return float("nan")
    return float(np.corrcoef(pairs.T)[0, 1])


def _returns(windows: Mapping[str, Known], series: Mapping[str, Series]) -> Iterable[Made]:
    """Of the month itself: missing where its price is."""
    for name in ASSETS:
        if name not in windows or series[name].frequency not in ("D", "M"):
            continue
        newest, own = windows[name].values, series[name]
        if own.form == "return":
            values, formula = 100 * np.log1p(newest[:, -1] / 100), "log of 1 + the return of the month"
        else:
            values, formula = growth(newest, 1), "log change of the month"
        source = "; ".join(part for part in (f"{own.source} {own.code}", own.aggregation, own.about) if part)
        yield (
            Column(f"{name}_return", "outcome", "percent", f"{formula} ({source})"),
            np.where(windows[name].current, values, np.nan),
        )


def _surprises(windows: Mapping[str, Known], series: Mapping[str, Series]) -> Iterable[Made]:
    """Shocks that the data hold as such; months without an announcement are 0 where the source says so."""
    for name, own in series.items():
        if own.form == "surprise":
            w = windows[name]
            column = Column(name, "shock", own.unit, f"{own.about or 'a surprise'}, as given ({own.source} {own.code})")
            yield column, np.where(w.current, w.values[:, -1], np.nan)


def _ruled(windows: Mapping[str, Known], series: Mapping[str, Series]) -> Iterable[Made]:
    """The columns of `RULES` whose series are there."""
    for column, needed, rule in RULES:
        if all(name in windows for name in needed):
            yield column, rule(*(Window(windows[name].values, series[name].frequency) for name in needed))


def _yearly(windows: Mapping[str, Known], series: Mapping[str, Series]) -> Iterable[Made]:
    for name, own in series.items():
        if own.frequency == "A":
            column = Column(name, "feature", own.unit, f"newest year published ({own.source} {own.code})")
            yield column, windows[name].values[:, -1]


def _moments(returns: list[Made]) -> Iterable[Made]:
    """Rolling volatilities and correlations over the 12 months up to and with this one."""
    assets = [(column.name.removesuffix("_return"), values) for column, values in returns]
    for name, values in assets:
        yield Column(f"{name}_volatility", "feature", "percent", "standard deviation of 12 monthly returns"), volatility(values)
    for (one, r), (other, q) in combinations(assets[:CORRELATED], 2):
        yield Column(f"{one}_{other}_correlation", "feature", "", "correlation of 12 monthly returns"), correlation(r, q)


def _lags(made: list[Made]) -> Iterable[Made]:
    """What was known one and three months before."""
    for column, values in made:
        for lag in LAGS:
            months = f"{lag} month{'s' if lag > 1 else ''}"
            before = np.concatenate([np.full(lag, np.nan), values])[: len(values)]
            yield Column(f"{column.name}_lag{lag}", "feature", column.unit, f"{column.name} as known {months} before"), before


def volatility(values: np.ndarray) -> np.ndarray:
    """(M,) standard deviations (ddof 1) of the 12 months up to and with each; NaN where one is missing."""
    return _rolled(lambda w: np.asarray(w.std(1, ddof=1)), values)


def correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(M,) correlations of the 12 months up to and with each; NaN where one is missing or a series stands still."""

    def of(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
        size = np.sqrt((a**2).sum(1) * (b**2).sum(1))
        return np.divide((a * b).sum(1), size, out=np.full(len(size), np.nan), where=size > 0)

    return _rolled(of, one, other)


def _rolled(moment: Callable[..., np.ndarray], *values: np.ndarray) -> np.ndarray:
    if len(values[0]) < YEAR:
        return np.full(len(values[0]), np.nan)
    windows = (np.lib.stride_tricks.sliding_window_view(v, YEAR) for v in values)
    return np.concatenate([np.full(YEAR - 1, np.nan), moment(*windows)])
