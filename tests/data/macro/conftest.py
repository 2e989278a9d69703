from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pandas as pd
import pytest

from bayes_causal.data.macro.patience import Patience

Answer = tuple[int, str, str]
HTML: Answer = (200, "text/html", "<!DOCTYPE html><html><head><title>Sign in<br></head><body>to the network</body></html>")
BROKEN: Answer = (500, "text/html", "<html><head><title>Internal error<br></head></html>")


@dataclass
class Server:
    """A server on localhost: answers by path and query, and what it was asked."""

    url: str
    answer: Callable[[str, dict[str, str]], Answer]
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    wrong: list[Answer] = field(default_factory=list)
    slow: float = 0.0

    def next(self, path: str, query: dict[str, str]) -> Answer:
        """The next of the wrong answers, then the right one."""
        time.sleep(self.slow)
        return self.wrong.pop(0) if self.wrong else self.answer(path, query)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    running: list[ThreadingHTTPServer] = []

    def start(answer: Callable[[str, dict[str, str]], Answer]) -> Server:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = urlsplit(self.path)
                query = {k: v[0] for k, v in parse_qs(asked.query).items()}
                server.asked.append((asked.path, query))
                status, kind, body = server.next(asked.path, query)
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", kind)
                    self.end_headers()
                    self.wfile.write(body.encode())
                except OSError:
                    return  # the client has gone

            def log_message(self, *_: Any) -> None:
                return

        http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        http.daemon_threads = True
        server = Server(f"http://127.0.0.1:{http.server_port}", answer)
        threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        running.append(http)
        return server

    yield start
    for http in running:
        http.shutdown()
        http.server_close()


@pytest.fixture
def patience() -> Patience:
    """Three attempts without waiting."""
    return Patience(attempts=3, sleep=lambda _: None)


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    """A bucket on a server of moto's."""
    import boto3
    from moto.server import ThreadedMotoServer

    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    given = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in given.items():
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="macro")
        yield "s3://macro"
    running.stop()


Rows = list[tuple[str, str, str]]


def fred_answer(rows: Rows) -> Answer:
    """As api.stlouisfed.org/fred/series/observations: (date, released, value)."""
    lines = "".join(f'<observation realtime_start="{r}" realtime_end="9999-12-31" date="{d}" value="{v}"/>' for d, r, v in rows)
    return 200, "text/xml", f'<?xml version="1.0" encoding="utf-8" ?><observations count="{len(rows)}">{lines}</observations>'


def fred_error(status: int, message: str) -> Answer:
    return status, "text/xml", f'<?xml version="1.0" encoding="utf-8" ?><error code="{status}" message="{message}"/>'


def bank_answer(years: dict[int, float | None]) -> Answer:
    """As api.worldbank.org/v2/country/USA/indicator/CODE?format=json."""
    rows = [
        {
            "indicator": {"id": "NY", "value": "growth"},
            "country": {"id": "US", "value": "United States"},
            "countryiso3code": "USA",
            "date": str(year),
            "value": value,
            "unit": "",
            "obs_status": "",
            "decimal": 1,
        }
        for year, value in years.items()
    ]
    head = {"page": 1, "pages": 1, "per_page": 1000, "total": len(rows), "sourceid": "2", "lastupdated": "2026-10-01"}
    return 200, "application/json", json.dumps([head, rows or None])


def bank_error() -> Answer:
    said = {"id": "120", "key": "Invalid value", "value": "The provided parameter value is not valid"}
    return 200, "application/json", json.dumps([{"message": [said]}])


def yahoo_answer(days: pd.DatetimeIndex, prices: np.ndarray) -> Answer:
    """As query2.finance.yahoo.com/v8/finance/chart/TICKER: closes, and adjusted closes at half of them."""
    stamps = [int(day.tz_localize("America/New_York").timestamp()) + 9 * 3600 + 1800 for day in days]
    close = [float(p) for p in prices]
    meta = {
        "currency": "USD",
        "symbol": "TEST",
        "instrumentType": "INDEX",
        "firstTradeDate": stamps[0] if stamps else None,
        "exchangeTimezoneName": "America/New_York",
        "timezone": "EST",
        "gmtoffset": -18000,
        "priceHint": 2,
        "dataGranularity": "1d",
        "range": "",
        "validRanges": ["1d", "max"],
        "currentTradingPeriod": {
            k: {"timezone": "EST", "start": 0, "end": 0, "gmtoffset": -18000} for k in ("pre", "regular", "post")
        },
    }
    quote = {k: close for k in ("open", "high", "low", "close")} | {"volume": [0] * len(close)}
    adjusted = {"adjclose": [p / 2 for p in close]}
    result = {"meta": meta, "timestamp": stamps, "indicators": {"quote": [quote], "adjclose": [adjusted]}}
    return 200, "application/json", json.dumps({"chart": {"result": [result], "error": None}})


def yahoo_error() -> Answer:
    error = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
    return 404, "application/json", json.dumps({"chart": {"result": None, "error": error}})
