"""FRED and its archive of vintages, ALFRED, through fredapi: every published version of a series, with its release date."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from xml.etree.ElementTree import ParseError

from bayes_causal.data.macro.periods import ends, floor
from bayes_causal.data.macro.source import Series, Unavailable, no_series, not_the_form, typed, unanswered, version_of
from bayes_causal.errors import DataError, needs_extra

if TYPE_CHECKING:
    import pandas as pd

KEY = "FRED_API_KEY"
MOST = 100_000  # rows that FRED gives in one answer; fredapi does not ask for the next ones
OBSERVATION, RELEASED = "date", "realtime_start"


@dataclass(frozen=True)
class Fred:
    """Series of the Federal Reserve Bank of St. Louis.

    Parameters
    ----------
    api_key : str, optional
        By default of the environment variable ``FRED_API_KEY``.
    base_url : str
    timeout : float
        Seconds.
    pace : float
        Seconds between questions; FRED allows 120 a minute.
    """

    api_key: str | None = field(default=None, repr=False)
    base_url: str = "https://api.stlouisfed.org/fred"
    timeout: float = 30.0
    pace: float = 0.55
    name: str = "fred"

    def fetch(self, series: Series, start: date, end: date) -> pd.DataFrame:
        """Columns date, value, and realtime_start where the series is asked for with its vintages."""
        client = self._client()
        try:
            with _timeout(self.timeout):
                if series.vintages:
                    frame = client.get_series_all_releases(series.code)
                else:
                    values = client.get_series(series.code, start, end)
                    frame = values.rename("value").rename_axis(OBSERVATION).reset_index()
        except (ParseError, AttributeError, TypeError) as error:
            raise self._no_xml(series, error) from error
        except (OSError, HTTPException) as error:
            raise unanswered(series, error) from error
        except ValueError as error:
            raise _refused(series, error) from error
        return _received(frame, series)

    def observations(self, received: pd.DataFrame, series: Series) -> pd.DataFrame:
        """Observations with the release date of every version.

        What stands in the first vintage of the archive was published before, nobody says when: its release date is missing.
        """
        if not series.vintages:
            return typed(received[OBSERVATION], [None] * len(received), received["value"])
        released = received[RELEASED]
        ended = ends(floor(received[OBSERVATION], series.frequency), series.frequency)
        known = (released > released.min()) | ((released - ended).dt.days <= 2 * series.lag + 31)
        return typed(received[OBSERVATION], released.where(known), received["value"])

    def library(self) -> str:
        """The client and its version."""
        return version_of("fredapi")

    def _client(self) -> Any:
        key = self.api_key or os.environ.get(KEY)
        if not key:
            raise DataError(
                f"FRED asks for an API key and the environment variable {KEY} is not set: get one at "
                f"https://fredaccount.stlouisfed.org/apikeys (free), then `export {KEY}=...`; or build from a lake that has the "
                "series already, with --from"
            )
        try:
            from fredapi import Fred as Client
        except ImportError as error:
            raise needs_extra("macro", "fredapi") from error
        client = Client(api_key=key)
        client.root_url = self.base_url
        return client

    @staticmethod
    def _no_xml(series: Series, error: Exception) -> Unavailable:
        """The client reads the body of an error as XML too: its cause is the status."""
        cause = error.__context__
        if isinstance(cause, HTTPError):
            return Unavailable(f"fred answered '{series.code}' with status {cause.code} {cause.reason}")
        return not_the_form(series, error, "XML")


def _refused(series: Series, error: ValueError) -> Exception:
    """What FRED itself says against a question, with its status."""
    status = error.__context__.code if isinstance(error.__context__, HTTPError) else None
    if status == 429 or (status or 0) >= 500:
        return Unavailable(f"fred answered '{series.code}' with status {status}: {error}")
    if "api_key" in str(error):
        return DataError(f"FRED does not accept the API key ({error}): check {KEY}")
    if status is None:
        return not_the_form(series, error, "table of numbers")
    return no_series(series, error)


def _received(frame: pd.DataFrame, series: Series) -> pd.DataFrame:
    wanted = [OBSERVATION, RELEASED, "value"] if series.vintages else [OBSERVATION, "value"]
    if frame.empty or not set(wanted) <= set(frame.columns):
        raise not_the_form(series, "no observations", "series")
    if len(frame) >= MOST:
        raise DataError(f"fred has more than {MOST:,} rows of '{series.code}', and gives no more at once: ask for no vintages")
    number = frame["value"].notna()  # where there is none, the client has a date that is none
    frame = frame[wanted].astype({name: "datetime64[ns]" for name in wanted[:-1]})
    return frame.assign(value=frame["value"].where(number, float("nan")).astype("float64")).reset_index(drop=True)


@contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    """A time-out for sockets opened inside; fredapi takes none."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
