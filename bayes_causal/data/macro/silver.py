"""What was known at the end of every month: typed observations with the day each was published, and windows of the newest ones.

Nothing counts as known before it was published. At the end of a month the newest periods are read in the version that was the
latest then, so that a growth rate never sets two versions side by side. What is too old to be the newest is no longer known:
nothing is carried on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayes_causal.data.macro.periods import MONTHS, ends, floor
from bayes_causal.data.macro.source import PERIOD, PUBLISHED, VALUE, Series

if TYPE_CHECKING:
    import pandas as pd

ASSUMED, DAYS = "assumed", "days"
DELAY = 31  # days that a publication may be late beyond its usual lag before what is there is too old to count as known
LENGTH = {"M": 31, "Q": 92, "A": 366}
FEWEST_DAYS = 10  # of a month, for a mean or a last day of daily values


@dataclass(frozen=True, eq=False)
class Known:
    """The newest periods of a series at the end of every month. M months, W periods, the newest last.

    Parameters
    ----------
    values : (M, W) float64
        NaN where a period was never published, not yet, or is too old.
    period : (M,) datetime64[ns]
        First day of the newest period; NaT where none is known.
    current : (M,) bool
        Whether the newest period is the month itself.
    """

    values: np.ndarray
    period: np.ndarray
    current: np.ndarray


def published(observations: pd.DataFrame, series: Series) -> pd.DataFrame:
    """Observations of a series by period (days made months), each with the day it was published.

    Parameters
    ----------
    observations : table
        Columns period, published (NaT where the source does not say), value.

    Returns
    -------
    table
        The same columns, and assumed: whether the day is that of the usual lag.
    """
    import pandas as pd

    frame = observations.assign(**{ASSUMED: observations[PUBLISHED].isna()})
    daily = series.frequency == "D"
    ended = frame[PERIOD].to_numpy() if daily else ends(floor(frame[PERIOD], series.frequency), series.frequency)
    usual = pd.Series(ended, frame.index) + pd.Timedelta(days=series.lag)
    frame[PUBLISHED] = frame[PUBLISHED].fillna(usual)
    if daily:
        return _monthly(frame, series)
    frame[PERIOD] = floor(frame[PERIOD], series.frequency)
    return frame.sort_values([PUBLISHED, PERIOD], kind="stable").reset_index(drop=True)


def known(frame: pd.DataFrame, series: Series, months: np.ndarray, width: int) -> Known:
    """The newest `width` periods of a series at the end of every month, as they were published by then.

    Parameters
    ----------
    frame : table
        Of `published`.
    months : (M,) datetime64[ns]
        First days of months.
    width : int
        In periods of the series.
    """
    last_days, step = ends(months, "M"), MONTHS[series.frequency]
    values = np.full((len(months), width), np.nan)
    newest = np.full(len(months), np.datetime64("NaT"), "datetime64[ns]")
    ordered = frame.sort_values([PUBLISHED, PERIOD], kind="stable")
    month = ordered[PERIOD].to_numpy().astype("datetime64[M]").astype(np.int64)
    if len(month):
        first = month.min()
        place = (month - first) // step
        value = ordered[VALUE].to_numpy()
        until = np.searchsorted(ordered[PUBLISHED].to_numpy(), last_days, side="right")
        latest = np.full(place.max() + width, np.nan)  # padded in front, so that every window has its full width
        top, done = -1, 0
        for k, stop in enumerate(until):
            if stop > done:
                latest[place[done:stop] + width - 1] = value[done:stop]  # sorted: of several versions the last one stays
                top, done = max(top, place[done:stop].max()), stop
            if top >= 0:
                values[k] = latest[top : top + width]
                newest[k] = np.datetime64(int(first + top * step), "M")
    age = (last_days - ends(newest, series.frequency)) / np.timedelta64(1, "D")
    fresh = age <= oldest(series)
    values[~fresh] = np.nan
    newest[~fresh] = np.datetime64("NaT")
    return Known(values, newest, newest == months)


def oldest(series: Series) -> int:
    """Days after which the newest period is too old; what needs no publishing is known of the month itself, or not at all."""
    if series.frequency == "D" or (series.frequency == "M" and series.lag == 0):
        return 0
    return LENGTH[series.frequency] + series.lag + DELAY


def _monthly(frame: pd.DataFrame, series: Series) -> pd.DataFrame:
    """Months of daily observations: of the days that were published by the end of the month, and not of fewer than ten."""
    month = floor(frame[PERIOD], "D")
    seen = frame.assign(month=month)[frame[PUBLISHED].to_numpy() <= ends(month, "M")].sort_values(PERIOD, kind="stable")
    made = {
        PUBLISHED: (PUBLISHED, "max"),
        VALUE: (VALUE, "mean" if series.monthly == "mean" else "last"),
        ASSUMED: (ASSUMED, "any"),
        DAYS: (VALUE, "size"),
    }
    months = seen.groupby("month").agg(**made)
    months = months[months[DAYS] >= FEWEST_DAYS].drop(columns=DAYS)
    return months.rename_axis(PERIOD).reset_index()
