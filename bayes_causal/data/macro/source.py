"""What every source of series is: something that fetches a table, and reads observations from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Literal, Protocol

from bayes_causal.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

Frequency = Literal["D", "M", "Q", "A"]
Monthly = Literal["mean", "last", "newest"]
Form = Literal["price", "level", "rate", "return", "surprise"]

FILE = "file"
PERIOD, PUBLISHED, VALUE = "period", "published", "value"


@dataclass(frozen=True)
class Series:
    """One series: where it is, what it measures, and how it becomes monthly.

    Parameters
    ----------
    name : str
        What it is called here, whatever the source.
    source, code : str
        The source, and the source's own name.
    unit : str
    form : {"price", "level", "rate", "return", "surprise"}
        A price or level is positive and changes by factors; a rate, in percent, by differences; a return, in percent of a month,
        and a surprise, zero where nothing happened, are changes already.
    frequency : {"D", "M", "Q", "A"}
        Of the source: days, months, quarters, years.
    monthly : {"mean", "last", "newest"}
        How it becomes monthly: the mean or the last of the days of a month, or the newest period that was published.
    lag : int
        Days from the end of a period until it is published, where the source does not say when that was.
    vintages : bool
        Whether the source is asked for every published version.
    about : str
        What else a reader has to know.
    """

    name: str
    source: str
    code: str
    unit: str
    form: Form
    frequency: Frequency = "M"
    monthly: Monthly = "newest"
    lag: int = 0
    vintages: bool = False
    about: str = ""

    @property
    def aggregation(self) -> str:
        """How it becomes monthly, in words."""
        if self.frequency == "D":
            return {"mean": "mean of the days of a month", "last": "last day of a month", "newest": "last day of a month"}[
                self.monthly
            ]
        return {"M": "monthly at the source", "Q": "newest quarter published", "A": "newest year published"}[self.frequency]

    @property
    def publication(self) -> str:
        """When a value counts as known, in words."""
        days = (
            f"{self.lag} day{'s' if self.lag != 1 else ''} after the end of its period"
            if self.lag
            else "at the end of its period"
        )
        return f"release dates of the source; {days} (assumed) where it has none" if self.vintages else f"{days} (assumed)"


class Source(Protocol):
    """Where series come from.

    Attributes
    ----------
    name : str
        As `Series.source` writes it.
    pace : float
        Seconds between two questions, at least.
    """

    @property
    def name(self) -> str:
        """As `Series.source` writes it."""
        ...

    @property
    def pace(self) -> float:
        """Seconds between two questions, at least."""
        ...

    def fetch(self, series: Series, start: date, end: date) -> pd.DataFrame:
        """The table that the source gives, unchanged.

        Raises
        ------
        Unavailable
            No usable answer now; asking again may help.
        DataError
            Asking again does not help: no such series, no key.
        """

    def observations(self, received: pd.DataFrame, series: Series) -> pd.DataFrame:
        """Typed rows of such a table: period (first day), published (NaT where the source does not say), value (no NaN)."""

    def library(self) -> str:
        """The package that asked, and its version."""


class Unavailable(Exception):
    """A source gave no usable answer; asking again may help."""


def no_series(series: Series, said: object) -> DataError:
    """The error of a source that has no such series."""
    return DataError(f"{series.source} has no series '{series.code}' ({series.name}): {said}. Check the code, or leave it out")


def not_the_form(series: Series, found: object, wanted: str) -> Unavailable:
    """The error of an answer that is not what the source documents."""
    return Unavailable(
        f"{series.source} answered '{series.code}' with something that is no {wanted} ({found}): an error page or a login page "
        "of the network is the usual cause"
    )


def unanswered(series: Series, error: Exception, most: int = 120) -> Unavailable:
    """The error of a source that was not reached, or did not answer in time."""
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return Unavailable(
        f"{series.source} did not answer '{series.code}' ({said if len(said) <= most else said[: most - 1] + '…'})"
    )


def typed(period: Any, published: Any, value: Any) -> pd.DataFrame:
    """Observations in the common form, sorted; rows without a value, which say that there is none, are left out.

    Raises
    ------
    ValueError
        Dates or numbers that are none.
    """
    import pandas as pd

    frame = pd.DataFrame(
        {
            PERIOD: pd.to_datetime(pd.Series(period)).astype("datetime64[ns]").array,
            PUBLISHED: pd.to_datetime(pd.Series(published)).astype("datetime64[ns]").array,
            VALUE: pd.to_numeric(pd.Series(value)).astype("float64").array,
        }
    )
    frame = frame[frame[VALUE].notna()]
    return frame.sort_values([PERIOD, PUBLISHED], kind="stable").reset_index(drop=True)


def version_of(package: str) -> str:
    """A package and its version, for the record."""
    from importlib.metadata import version

    return f"{package} {version(package)}"
