"""Every source against answers of the recorded form, and against wrong ones."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayes_causal.data.macro.fred import KEY, Fred
from bayes_causal.data.macro.patience import Patience
from bayes_causal.data.macro.source import Series, Source, Unavailable
from bayes_causal.data.macro.world_bank import WorldBank
from bayes_causal.data.macro.yahoo import Yahoo
from bayes_causal.errors import DataError, MissingExtraError

from .conftest import BROKEN, HTML, Answer, Server, bank_answer, bank_error, fred_answer, fred_error, yahoo_answer, yahoo_error

DATES = (date(2000, 1, 1), date(2001, 1, 1))
CPI = Series("cpi", "fred", "CPIAUCSL", "index", "level", lag=15, vintages=True)
RATE = Series("policy_rate", "fred", "DFF", "percent", "rate", "D", "mean", lag=1)
STOCKS = Series("sp500", "yahoo", "^GSPC", "index", "price", "D", "last")
GROWTH = Series("growth", "world_bank", "USA/NY.GDP.MKTP.KD.ZG", "percent", "rate", "A", lag=200)
DAYS = pd.bdate_range("2000-01-03", periods=5)


def stocks(path: str, _: dict[str, str]) -> Answer:
    return yahoo_answer(DAYS, np.arange(100.0, 105.0)) if path.endswith("/v8/finance/chart/%5EGSPC") else (404, "text/plain", "")


@dataclass
class Case:
    """A source on a server, what it is asked for, and what it answers."""

    server: Server
    source: Source
    series: Series
    missing: Answer
    values: list[float]


@pytest.fixture(params=["fred", "yahoo", "world_bank"])
def case(
    request: pytest.FixtureRequest,
    serve: Callable[..., Server],
    needs: Callable[[str], ModuleType],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Case:
    match request.param:
        case "fred":
            needs("fredapi")
            rows = [("2000-01-01", "2000-02-15", "169.0"), ("2000-02-01", "2000-03-15", "170.5")]
            server = serve(lambda *_: fred_answer(rows))
            source: Any = Fred("key", base_url=f"{server.url}/fred", timeout=0.3)
            return Case(server, source, CPI, fred_error(400, "Bad Request.  The series does not exist."), [169.0, 170.5])
        case "yahoo":
            needs("yfinance").set_tz_cache_location(str(tmp_path))
            needs("yfinance.cache").set_cache_location(str(tmp_path))
            server = serve(stocks)
            return Case(server, Yahoo(server.url, timeout=0.3), STOCKS, yahoo_error(), [50.0, 50.5, 51.0, 51.5, 52.0])
        case _:
            needs("wbgapi")
            server = serve(lambda *_: bank_answer({2001: None, 2000: 4.1}))
            return Case(server, WorldBank(f"{server.url}/v2", timeout=0.3), GROWTH, bank_error(), [4.1])


def read(case: Case) -> pd.DataFrame:
    return case.source.observations(case.source.fetch(case.series, *DATES), case.series)


def test_an_answer_of_the_recorded_form_is_read(case: Case) -> None:
    found = read(case)
    assert found["value"].tolist() == case.values
    assert found["period"].min() == pd.Timestamp("2000-01-03" if case.series is STOCKS else "2000-01-01")
    assert list(found.dtypes.astype(str)) == ["datetime64[ns]", "datetime64[ns]", "float64"]
    assert found["published"].notna().all() == case.series.vintages
    assert case.source.library().split()[0] in ("fredapi", "yfinance", "wbgapi")


@pytest.mark.parametrize(("wrong", "said"), [(BROKEN, "500"), (HTML, "is no (XML|JSON)"), ((200, "text/plain", ""), "is no ")])
def test_wrong_answers_may_be_asked_again(case: Case, wrong: Answer, said: str, patience: Patience) -> None:
    case.server.wrong = [wrong] * 60
    text = said if case.series is not STOCKS else "is no JSON"
    with pytest.raises(Unavailable, match=text):
        read(case)
    case.server.wrong = [wrong]
    assert patience.ask(lambda: read(case), "it")["value"].tolist() == case.values


def test_a_source_that_is_slow_is_not_waited_for(case: Case) -> None:
    case.server.slow = 0.8
    with pytest.raises(Unavailable, match=r"did not answer .*(imed? ?out|Timeout)"):
        case.source.fetch(case.series, *DATES)


def test_a_source_that_is_not_there_may_be_asked_again(case: Case) -> None:
    from dataclasses import replace

    source: Any = replace(case.source, base_url="http://127.0.0.1:9")  # type: ignore[type-var]
    with pytest.raises(Unavailable, match="did not answer"):
        source.fetch(case.series, *DATES)


def test_a_series_that_does_not_exist_is_not_asked_for_again(case: Case, patience: Patience) -> None:
    case.server.answer = lambda *_: case.missing
    with pytest.raises(DataError, match=f"{case.source.name} has no series '.*' \\({case.series.name}\\)"):
        patience.ask(lambda: case.source.fetch(case.series, *DATES), "it")


@pytest.mark.parametrize(("source", "series"), [(Fred("key"), CPI), (Yahoo(), STOCKS), (WorldBank(), GROWTH)])
def test_a_missing_package_is_told_by_its_extra(source: Source, series: Series, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("fredapi", "yfinance", "wbgapi"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"is not installed.*pip install 'bayes-causal\[macro\]'"):
        source.fetch(series, *DATES)


def test_yahoo_says_so_when_it_was_asked_too_often(serve: Callable[..., Server], needs: Any, tmp_path: Path) -> None:
    needs("yfinance").set_tz_cache_location(str(tmp_path))
    server = serve(lambda *_: (429, "text/plain", "Too Many Requests"))
    with pytest.raises(Unavailable, match="too often"):
        Yahoo(server.url, timeout=0.3).fetch(STOCKS, *DATES)


def test_fred_gives_every_version_with_its_release_date(serve: Callable[..., Server], needs: Any) -> None:
    """The first vintage of the archive says nothing of when older values were published."""
    needs("fredapi")
    rows = [
        ("1990-01-01", "2000-01-14", "127.5"),
        ("1999-12-01", "2000-01-14", "168.8"),
        ("1999-12-01", "2001-02-21", "168.9"),
        ("2000-01-01", "2000-02-18", "169.3"),
        ("2000-02-01", "2000-03-17", "."),
    ]
    server = serve(lambda *_: fred_answer(rows))
    source = Fred("key", base_url=server.url)
    found = source.observations(source.fetch(CPI, *DATES), CPI)
    assert found["value"].tolist() == [127.5, 168.8, 168.9, 169.3]
    assert found["published"].dt.strftime("%Y-%m-%d").fillna("-").tolist() == ["-", "2000-01-14", "2001-02-21", "2000-02-18"]
    path, query = server.asked[0]
    assert path == "/series/observations" and query["realtime_start"] == "1776-07-04" and query["api_key"] == "key"


def test_fred_is_asked_for_dates_where_it_has_no_vintages(serve: Callable[..., Server], needs: Any) -> None:
    needs("fredapi")
    server = serve(lambda *_: fred_answer([("2000-01-03", "2026-01-01", "5.43"), ("2000-01-04", "2026-01-01", ".")]))
    source = Fred("key", base_url=server.url)
    found = source.observations(source.fetch(RATE, *DATES), RATE)
    assert found["value"].tolist() == [5.43] and found["published"].isna().all()
    assert server.asked[0][1]["observation_start"] == "2000-01-01"


def test_fred_without_a_key_says_where_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY, raising=False)
    with pytest.raises(DataError, match=r"FRED_API_KEY is not set: get one at https.*--from"):
        Fred().fetch(CPI, *DATES)
    monkeypatch.setenv(KEY, "from the environment")
    assert "environment" not in repr(Fred("from the environment"))


def test_fred_says_when_it_does_not_take_the_key(serve: Callable[..., Server], needs: Any) -> None:
    needs("fredapi")
    server = serve(lambda *_: fred_error(400, "Bad Request.  The value for variable api_key is not registered."))
    with pytest.raises(DataError, match="does not accept the API key"):
        Fred("wrong", base_url=server.url).fetch(CPI, *DATES)


def test_a_truncated_answer_of_fred_is_refused(monkeypatch: pytest.MonkeyPatch, serve: Callable[..., Server], needs: Any) -> None:
    needs("fredapi")
    monkeypatch.setattr("bayes_causal.data.macro.fred.MOST", 2)
    server = serve(lambda *_: fred_answer([("2000-01-01", "2000-02-15", "1"), ("2000-02-01", "2000-03-15", "2")]))
    with pytest.raises(DataError, match="gives no more at once"):
        Fred("key", base_url=server.url).fetch(CPI, *DATES)


def test_patience_waits_longer_each_time_and_keeps_the_pace() -> None:
    now, waited = [0.0], []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        now[0] += seconds

    def refused() -> None:
        raise Unavailable("no")

    patient = Patience(pace=0.5, attempts=4, wait=1.0, longest=3.0, sleep=sleep, clock=lambda: now[0])
    with pytest.raises(DataError, match=r"it gave no usable answer in 4 attempts; the last one: no$"):
        patient.ask(refused, "it")
    assert waited == [1.0, 2.0, 3.0]
    waited.clear()
    with pytest.raises(DataError, match="in 1 attempt;"):
        patient.ask(refused, "it")
    assert patient.ask(lambda: 7, "it") == 7 and waited == [0.5, 0.5]
    with pytest.raises(DataError, match="in 4 attempts"):
        patient.ask(refused, "it")
