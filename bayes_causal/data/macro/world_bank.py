"""The World Bank's indicators through wbgapi: yearly, the newest version of every year."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from bayes_causal.data.macro.source import Series, Unavailable, no_series, not_the_form, typed, unanswered, version_of
from bayes_causal.errors import DataError, needs_extra

if TYPE_CHECKING:
    import pandas as pd

FIRST = 1960  # the first year of the World Bank's indicators


@dataclass(frozen=True)
class WorldBank:
    """Indicators of an economy; a code is both, as ``USA/NY.GDP.MKTP.KD.ZG``.

    Parameters
    ----------
    base_url : str
    timeout : float
        Seconds.
    pace : float
        Seconds between questions.
    """

    base_url: str = "https://api.worldbank.org/v2"
    timeout: float = 30.0
    pace: float = 0.5
    name: str = "world_bank"

    def fetch(self, series: Series, start: date, end: date) -> pd.DataFrame:
        """Columns date (the year) and value."""
        import pandas as pd

        client = _client()
        economy, _, indicator = series.code.partition("/")
        rows = self._rows(client, series, f"country/{economy}/indicator/{indicator}", f"{max(start.year, FIRST)}:{end.year}")
        if not rows:
            raise no_series(series, f"no year from {start.year} to {end.year}")
        try:
            return pd.DataFrame({"date": [str(r["date"]) for r in rows], "value": [_number(r["value"]) for r in rows]})
        except (KeyError, TypeError, ValueError) as error:
            raise not_the_form(series, f"{type(error).__name__}: {error}", "table of years") from error

    def observations(self, received: pd.DataFrame, series: Series) -> pd.DataFrame:
        """Observations without release dates: the World Bank gives the newest version only."""
        return typed([f"{year}-01-01" for year in received["date"]], [None] * len(received), received["value"])

    def library(self) -> str:
        """The client and its version."""
        return version_of("wbgapi")

    def _rows(self, client: Any, series: Series, url: str, years: str) -> list[dict[str, Any]]:
        before = client.endpoint, client.get_options
        client.endpoint, client.get_options = self.base_url, {**client.get_options, "timeout": self.timeout}
        try:
            return list(client.fetch(url, {"date": years}))
        except client.APIResponseError as error:
            raise not_the_form(series, error.msg, "JSON") from error
        except client.APIError as error:
            raise _refused(series, error) from error
        except OSError as error:
            raise unanswered(series, error) from error
        except (TypeError, KeyError, IndexError, AttributeError) as error:
            raise not_the_form(series, f"{type(error).__name__}: {error}", "answer of its documented form") from error
        finally:
            client.endpoint, client.get_options = before


def _refused(series: Series, error: Any) -> Exception:
    if error.code is None:
        return no_series(series, error.msg)
    if error.code == 429 or error.code >= 500:
        return Unavailable(f"world_bank answered '{series.code}' with status {error.code} {error.msg}")
    return DataError(f"world_bank refuses '{series.code}' with status {error.code} {error.msg}")


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _client() -> Any:
    try:
        import wbgapi
    except ImportError as error:
        raise needs_extra("macro", "wbgapi") from error
    return wbgapi
