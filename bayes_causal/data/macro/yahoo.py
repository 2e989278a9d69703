"""Yahoo Finance through yfinance: daily prices, adjusted for splits and dividends."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from bayes_causal.data.macro.source import Series, Unavailable, no_series, not_the_form, typed, unanswered, version_of
from bayes_causal.errors import needs_extra

if TYPE_CHECKING:
    import pandas as pd

DAY, PRICE = "Date", "Adj Close"


@dataclass(frozen=True)
class Yahoo:
    """Daily prices of exchanges.

    Parameters
    ----------
    base_url : str, optional
        Another server than Yahoo's, as ``http://localhost:8000``; everything yfinance asks for is asked for there.
    timeout : float
        Seconds.
    pace : float
        Seconds between questions.
    """

    base_url: str | None = None
    timeout: float = 30.0
    pace: float = 1.0
    name: str = "yahoo"

    def fetch(self, series: Series, start: date, end: date) -> pd.DataFrame:
        """Columns Date, Open, High, Low, Close, Adj Close, Volume, and what else Yahoo has of a day."""
        client = _client()
        with _outspoken(client):
            try:
                ticker = client.Ticker(series.code, session=self._session())
                frame = ticker.history(
                    start=start, end=end + timedelta(days=1), interval="1d", auto_adjust=False, timeout=self.timeout
                )
            except client.exceptions.YFRateLimitError as error:
                raise Unavailable(f"yahoo says of '{series.code}' that it was asked too often") from error
            except client.exceptions.YFTickerMissingError as error:
                raise no_series(series, error.rationale) from error
            except (ValueError, KeyError, TypeError, AttributeError, client.exceptions.YFException) as error:
                raise not_the_form(series, f"{type(error).__name__}: {error}", "JSON of prices") from error
            except OSError as error:
                raise unanswered(series, error) from error
        if frame.empty or PRICE not in frame.columns:
            raise no_series(series, f"no prices from {start} to {end}")
        frame.index = frame.index.tz_localize(None).astype("datetime64[ns]").rename(DAY)
        return frame.reset_index()

    def observations(self, received: pd.DataFrame, series: Series) -> pd.DataFrame:
        """Adjusted closing prices; a day is known at its end."""
        return typed(received[DAY], [None] * len(received), received[PRICE])

    def library(self) -> str:
        """The client and its version."""
        return version_of("yfinance")

    def _session(self) -> Any:
        """None for yfinance's own; requests' otherwise, with every address moved to the other server."""
        return None if self.base_url is None else _redirected(self.base_url)


def _redirected(base_url: str) -> Any:
    import requests
    from requests.adapters import HTTPAdapter

    class Redirect(HTTPAdapter):
        def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
            asked, there = urlsplit(request.url), urlsplit(base_url)
            request.url = urlunsplit((there.scheme, there.netloc, there.path + asked.path, asked.query, ""))
            return super().send(request, *args, **kwargs)

    session = requests.Session()
    session.mount("https://", Redirect())
    session.mount("http://", Redirect())
    return session


@contextmanager
def _outspoken(client: Any) -> Iterator[None]:
    """The client raising what it would log, and without the answers it remembers: it remembers refusals too."""
    from yfinance.data import YfData

    before, log = client.config.debug.hide_exceptions, logging.getLogger("yfinance")
    level, log.level = log.level, logging.CRITICAL
    client.config.debug.hide_exceptions = False
    YfData.cache_get.cache_clear()
    try:
        yield
    finally:
        client.config.debug.hide_exceptions = before
        log.level = level


def _client() -> Any:
    try:
        import yfinance
    except ImportError as error:
        raise needs_extra("macro", "yfinance") from error
    return yfinance
