"""A lake from sources and files: the same again without asking, resumed after a fault, whole or as it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from bayes_causal import cli
from bayes_causal.data.macro import gather
from bayes_causal.data.macro.build import GOLD, OBSERVATIONS, REPORT, SERIES, Built, build_macro, read_gold
from bayes_causal.data.macro.fred import KEY, Fred
from bayes_causal.data.macro.lake import MANIFEST, Lake, table
from bayes_causal.data.macro.patience import Patience
from bayes_causal.data.macro.source import Series, Source
from bayes_causal.data.macro.wide_file import WideFile
from bayes_causal.data.macro.world_bank import WorldBank
from bayes_causal.data.macro.yahoo import Yahoo
from bayes_causal.data.multi_series import MultiSeries
from bayes_causal.errors import DataError

from .conftest import BROKEN, Answer, Server, bank_answer, fred_answer, fred_error, yahoo_answer

MONTHS = pd.date_range("1990-01-01", "1999-12-01", freq="MS")
DAYS = pd.bdate_range("1990-01-01", "1999-12-31")
SCHEMA = {
    "time": "date",
    "series": {
        "policy_rate": {"column": "rate", "unit": "percent", "form": "rate"},
        "cpi": {"unit": "index", "form": "level", "lag": 15},
        "sp500": {"column": "stocks", "unit": "index", "form": "price"},
        "gold": {"unit": "dollars", "form": "price"},
    },
}


@pytest.fixture
def folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    """A wide file with its schema."""
    n, place = len(MONTHS), tmp_path / "wide"
    place.mkdir()
    columns = {
        "date": MONTHS,
        "rate": 5 + 0.1 * rng.standard_normal(n).cumsum(),
        "cpi": 100 * np.exp(0.003 * rng.standard_normal(n).cumsum()),
        "stocks": 100 * np.exp(0.03 * rng.standard_normal(n).cumsum()),
        "gold": 100 * np.exp(0.03 * rng.standard_normal(n).cumsum()),
        "other": 1.0,
    }
    pd.DataFrame(columns).to_csv(place / "data.csv", index=False)
    (place / "macro.yaml").write_text(yaml.safe_dump(SCHEMA))
    return place


def files(lake: Path) -> dict[str, bytes]:
    return {str(p.relative_to(lake)): p.read_bytes() for p in sorted(lake.rglob("*")) if p.is_file()}


def test_a_second_build_writes_the_same_bytes_and_no_others(folder: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    first = build_macro(str(lake), given=[str(folder)])
    before = files(lake)
    for given in ([str(folder)], [], [str(lake)]):
        again = build_macro(str(lake), given=given)
        assert files(lake) == before and again.manifest == first.manifest and again.fetched == 0
    other = tmp_path / "other"
    build_macro(str(other), given=[str(lake)])
    assert files(other) == before


def test_gold_is_what_a_model_takes(folder: Path, tmp_path: Path) -> None:
    build_macro(str(tmp_path / "lake"), given=[str(folder)], start="1992-01", end="1998-12")
    gold, columns = read_gold(str(tmp_path / "lake"))
    names = {role: columns["name"][columns["role"] == role].tolist() for role in ("outcome", "shock", "feature")}
    assert names["outcome"] == ["sp500_return", "gold_return"] and names["shock"] == ["policy_rate_change", "cpi_surprise"]
    series = MultiSeries.from_frame(
        gold, time="month", outcomes=names["outcome"], shocks=names["shock"], controls=["real_rate", "inflation_lag1"]
    )
    assert series.n_dates == 84 and str(series.time[0])[:7] == "1992-01"


def test_silver_says_how_and_when(folder: Path, tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    build_macro(lake.path, given=[str(folder)])
    about = table(lake.read(SERIES)).set_index("name")
    assert about.loc["cpi", "aggregation"] == "monthly at the source"
    assert about.loc["cpi", "publication"] == "15 days after the end of its period (assumed)"
    assert about.loc["cpi", "assumed"] == 120 and len(about.loc["cpi", "sha256"]) == 64
    seen = table(lake.read(OBSERVATIONS))
    assert (
        set(seen.columns) == {"series", "period", "published", "assumed", "value"} and (seen["published"] > seen["period"]).all()
    )
    assert "cpi_surprise: 0.9" in lake.read(REPORT).decode()
    assert "columns of wide that are no series here are left out: other" in lake.read(REPORT).decode()


@pytest.mark.parametrize("changed", [GOLD, MANIFEST])
def test_gold_that_is_not_of_the_last_build_is_not_read(changed: str, folder: Path, tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    with pytest.raises(DataError, match="holds no completely built lake"):
        read_gold(lake.path)
    build_macro(lake.path, given=[str(folder)])
    content = lake.read(changed)
    other = content + b" " if changed == GOLD else content.replace(json.loads(content)["files"][GOLD].encode(), b"0" * 64)
    lake.write(changed, other)
    with pytest.raises(DataError, match=r"is not what the last complete build wrote.*nothing is fetched twice"):
        read_gold(lake.path)
    build_macro(lake.path)
    assert len(read_gold(lake.path)[0]) == 120


def test_a_build_that_is_interrupted_anywhere_leaves_whole_files(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped at the first, second, … writing; every file is the old or the new one, and the next build completes."""
    lake = tmp_path / "lake"
    build_macro(str(lake), given=[str(folder)], end="1998-12")
    old = files(lake)
    build_macro(str(tmp_path / "new"), given=[str(lake)])
    new = files(tmp_path / "new")
    write, stops = Lake.write, 0
    for stop in range(100):
        left = stop

        def interrupted(self: Lake, name: str, content: bytes) -> str:
            nonlocal left
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
            return write(self, name, content)

        monkeypatch.setattr(Lake, "write", interrupted)
        try:
            build_macro(str(lake))
        except KeyboardInterrupt:
            stops += 1
        else:
            break
        for name, content in files(lake).items():
            assert content in (old[name], new[name]), name
        monkeypatch.setattr(Lake, "write", write)
        assert (lake / MANIFEST).read_bytes() == old[MANIFEST]  # it is written last
        if (lake / MANIFEST).read_bytes() == old[MANIFEST] and (lake / GOLD).read_bytes() != old[GOLD]:
            with pytest.raises(DataError, match="interrupted"):
                read_gold(str(lake))
    assert stops == 8 and files(lake) == new


def test_what_is_refused_leaves_silver_and_gold_as_they_were(folder: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    build_macro(str(lake), given=[str(folder)])
    before = files(lake)
    data = pd.read_csv(folder / "data.csv")
    data.loc[60:, "stocks"] *= 1000
    data.loc[30:80, "gold"] = np.nan
    data.to_csv(folder / "data.csv", index=False)
    with pytest.raises(DataError, match=r"(?s)gold, gaps: .*51 periods missing.*sp500, units: .*--without gold sp500"):
        build_macro(str(lake), given=[str(folder)])
    after = files(lake)
    assert {k: v for k, v in after.items() if not k.startswith("bronze")} == {
        k: v for k, v in before.items() if not k.startswith("bronze")
    }
    assert set(before) < set(after)
    built = build_macro(str(lake), given=[str(folder)], without=["sp500", "gold"])
    assert "sp500_return" not in built.manifest["columns"]


def test_a_lake_on_s3_is_the_one_in_a_folder(folder: Path, tmp_path: Path, request: pytest.FixtureRequest, needs: Any) -> None:
    needs("s3fs")
    needs("moto.server")
    remote = f"{request.getfixturevalue('bucket')}/lakes/one"
    here = build_macro(str(tmp_path / "lake"), given=[str(folder)])
    there = build_macro(remote, given=[str(tmp_path / "lake")])
    assert there.manifest == here.manifest
    pd.testing.assert_frame_equal(read_gold(remote)[0], read_gold(str(tmp_path / "lake"))[0], check_exact=True)
    assert build_macro(remote).manifest == here.manifest


def test_a_revised_file_is_said_and_kept_beside(folder: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    build_macro(str(lake), given=[str(folder)])
    data = pd.read_csv(folder / "data.csv")
    data.loc[100, "cpi"] += 0.5
    data.to_csv(folder / "data.csv", index=False)
    built = build_macro(str(lake), given=[str(folder)])
    assert len(built.manifest["revised"]) == 1 and "revised: cpi: 1 of 120 values changed (first: 1998-05-01" in built.report
    assert len(list((lake / "bronze/file/wide_cpi").glob("*.parquet"))) == 2


# --- on the network -------------------------------------------------------------------------------------------------------------

ONLINE = (
    Series("cpi", "fred", "CPIAUCSL", "index", "level", "M", lag=15, vintages=True),
    Series("policy_rate", "fred", "DFF", "percent", "rate", "D", "mean", lag=1),
    Series("wb_growth", "world_bank", "USA/NY", "percent", "rate", "A", lag=200),
)


@dataclass
class World:
    """FRED and the World Bank on localhost."""

    fred: Server
    bank: Server
    cpi: list[tuple[str, str, str]]
    rate: list[tuple[str, str, str]]

    @property
    def network(self) -> dict[str, Source]:
        return {"fred": Fred("key", base_url=self.fred.url, timeout=2), "world_bank": WorldBank(self.bank.url, timeout=2)}

    @property
    def asked(self) -> int:
        return len(self.fred.asked) + len(self.bank.asked)


@pytest.fixture
def world(serve: Callable[..., Server], needs: Any, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> World:
    needs("fredapi")
    needs("wbgapi")
    monkeypatch.setattr(gather, "ONLINE", ONLINE)
    levels = 100 * np.exp(0.003 * rng.standard_normal(len(MONTHS)).cumsum())
    cpi = [(f"{m:%Y-%m-%d}", f"{m + pd.Timedelta(days=45):%Y-%m-%d}", f"{v:.3f}") for m, v in zip(MONTHS, levels, strict=True)]
    rates = 5 + 0.01 * rng.standard_normal(len(DAYS)).cumsum()
    rate = [(f"{d:%Y-%m-%d}", "2026-01-01", f"{v:.2f}") for d, v in zip(DAYS, rates, strict=True)]

    def answer(_: str, query: dict[str, str]) -> Answer:
        found = {"CPIAUCSL": world.cpi, "DFF": world.rate}.get(query["series_id"])
        return fred_answer(found) if found else fred_error(400, "Bad Request.  The series does not exist.")

    world = World(serve(answer), serve(lambda *_: bank_answer({y: float(y % 7) for y in range(1985, 2000)})), cpi, rate)
    return world


def build(world: World, lake: Path, patience: Patience, **options: Any) -> Built:
    return build_macro(str(lake), end="1999-12", network=world.network, patience=patience, **options)


def test_a_second_build_fetches_nothing(world: World, tmp_path: Path, patience: Patience) -> None:
    first = build(world, tmp_path / "lake", patience)
    before, asked = files(tmp_path / "lake"), world.asked
    assert first.fetched == 3 == asked
    again = build(world, tmp_path / "lake", patience)
    assert world.asked == asked and again.fetched == 0 and files(tmp_path / "lake") == before
    build(world, tmp_path / "lake", patience, start="1995-01")
    build_macro(str(tmp_path / "copy"), given=[str(tmp_path / "lake")], end="1999-12")
    assert world.asked == asked
    assert files(tmp_path / "copy") == before


def test_a_build_goes_on_where_it_was_stopped(world: World, tmp_path: Path, patience: Patience) -> None:
    rate, world.rate = world.rate, []
    world.bank.wrong = [BROKEN] * 3
    with pytest.raises(DataError) as refused:
        build(world, tmp_path / "lake", patience)
    assert len(refused.value.problems) == 3 and "what was fetched is kept" in refused.value.problems[2]
    assert "fred has no series 'DFF' (policy_rate)" in refused.value.problems[0]
    assert "world_bank 'USA/NY' (wb_growth) gave no usable answer in 3 attempts" in refused.value.problems[1]
    assert not (tmp_path / "lake" / MANIFEST).exists()
    world.rate, asked = rate, world.asked
    assert build(world, tmp_path / "lake", patience).fetched == 2 == world.asked - asked


def test_revised_values_are_asked_for_on_request_and_change_no_past(world: World, tmp_path: Path, patience: Patience) -> None:
    """A level that is revised in May 1998 is another one from then on; a corrected daily rate changes what was thought known."""
    build(world, tmp_path / "lake", patience)
    before = read_gold(str(tmp_path / "lake"))[0]
    period, _, value = world.cpi[90]
    world.cpi.append((period, "1998-05-10", f"{float(value) + 1:.3f}"))
    asked = world.asked
    built = build(world, tmp_path / "lake", patience, refresh=True)
    after = read_gold(str(tmp_path / "lake"))[0]
    assert world.asked - asked == 3 and built.manifest["revised"] == []  # a new version revises no earlier one
    past = before["month"] < "1998-05-01"
    pd.testing.assert_frame_equal(before[past], after[past], check_exact=True)
    assert not before["inflation"].equals(after["inflation"])
    world.rate[5] = (*world.rate[5][:2], "9.99")
    built = build(world, tmp_path / "lake", patience, refresh=True)
    assert "policy_rate: 1 of 2,610 values changed" in built.manifest["revised"][0]
    assert len(list((tmp_path / "lake/bronze/fred/DFF").glob("*.parquet"))) == 2


def test_a_file_may_stand_beside_the_sources(world: World, folder: Path, tmp_path: Path, patience: Patience) -> None:
    built = build(world, tmp_path / "lake", patience, given=[str(folder), "online"])
    where = {entry["series"]["name"]: entry["series"]["source"] for entry in built.manifest["series"]}
    assert where == {"policy_rate": "file", "cpi": "file", "sp500": "file", "gold": "file", "wb_growth": "world_bank"}
    assert built.fetched == 1 and "cpi is taken from wide/cpi, not from CPIAUCSL" in built.report
    before, asked = files(tmp_path / "lake"), world.asked
    build(world, tmp_path / "lake", patience)
    assert files(tmp_path / "lake") == before and world.asked == asked


def test_prices_of_yahoo_become_returns(
    serve: Callable[..., Server], needs: Any, rng: np.random.Generator, tmp_path: Path, patience: Patience, monkeypatch: Any
) -> None:
    needs("yfinance").set_tz_cache_location(str(tmp_path))
    monkeypatch.setattr(gather, "ONLINE", (Series("sp500", "yahoo", "^GSPC", "index", "price", "D", "last"),))
    prices = 100 * np.exp(0.01 * rng.standard_normal(len(DAYS)).cumsum())
    server = serve(lambda path, _: yahoo_answer(DAYS, prices) if "/chart/" in path else (404, "text/plain", ""))
    options: dict[str, Any] = {"end": "1999-12", "network": {"yahoo": Yahoo(server.url, timeout=2)}, "patience": patience}
    assert build_macro(str(tmp_path / "lake"), **options).fetched == 1
    last = pd.Series(prices, DAYS).groupby(DAYS.to_period("M")).last()
    found = read_gold(str(tmp_path / "lake"))[0]["sp500_return"]
    np.testing.assert_allclose(found[1:], 100 * np.diff(np.log(last)), rtol=1e-9)
    asked = len(server.asked)
    assert build_macro(str(tmp_path / "lake"), **options).fetched == 0 and len(server.asked) == asked


def test_offline_no_source_is_asked(world: World, tmp_path: Path, patience: Patience) -> None:
    with pytest.raises(DataError, match="holds no series, and offline none are fetched"):
        build(world, tmp_path / "lake", patience, offline=True)
    build(world, tmp_path / "lake", patience)
    asked = world.asked
    later = build_macro(str(tmp_path / "lake"), offline=True, network=world.network, end="2020-12")
    assert world.asked == asked and later.manifest["months"] == ["1985-01", "1999-12"]
    assert "built until 1999-12, not 2020-12" in later.report


def test_a_missing_key_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY, raising=False)
    monkeypatch.setattr(gather, "ONLINE", ONLINE[:2])
    with pytest.raises(DataError) as refused:
        build_macro(str(tmp_path / "lake"))
    assert len(refused.value.problems) == 2 and KEY in refused.value.problems[0]


# --- what is refused ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"start": "soon"}, "start 'soon' is no month: write it as 1990-01"),
        ({"start": "1999-01", "end": "1998-01"}, "start 1999-01 is after 1998-01"),
        ({"start": "2010-01"}, "nothing is known from 2010-01 on"),
        ({"without": ["cpy"]}, "no series 'cpy' to leave out .did you mean 'cpi'"),
    ],
)
def test_impossible_requests_are_refused(options: dict[str, Any], said: str, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said):
        build_macro(str(tmp_path / "lake"), given=[str(folder)], **options)
    assert not (tmp_path / "lake" / MANIFEST).exists()


def test_a_period_that_stands_twice_is_refused(folder: Path, tmp_path: Path) -> None:
    data = pd.read_csv(folder / "data.csv")
    pd.concat([data, data[:1].assign(gold=7.0)]).to_csv(folder / "data.csv", index=False)
    with pytest.raises(DataError, match=r"gold, repeats: 1 period \(1990-01-01\) stand more than once"):
        build_macro(str(tmp_path / "lake"), given=[str(folder)])


def test_a_schema_is_read_strictly(folder: Path) -> None:
    wrong = {
        "time": "day",
        "series": {
            "cpi": {"unit": "index", "form": "levels", "lag": -1},
            "sp500": {"column": "stock", "unit": "index", "form": "price", "colour": "red"},
            "gold": "dollars",
            "policy_rate": {"column": "rate"},
        },
    }
    with pytest.raises(DataError) as refused:
        _ = WideFile(folder, wrong).series
    for said in (
        "`time: day` names no column",
        "form of series 'cpi' cannot be 'levels' (did you mean 'level'?)",
        "lag of series 'cpi' is a number of days from 0, and is -1",
        "series 'sp500' is column 'stock', which is not there (did you mean 'stocks'?)",
        "series 'sp500' has no key 'colour'",
        "series 'gold' holds keys and values",
        "series 'policy_rate' says nothing of its unit",
    ):
        assert any(p.startswith(said) for p in refused.value.problems), said


def test_columns_of_public_files_are_known_by_name(tmp_path: Path, rng: np.random.Generator) -> None:
    frame = pd.DataFrame({"date": MONTHS, "CPIAUCSL": np.exp(rng.normal(size=120)), "MYSTERY": 1.0})
    frame.to_csv(tmp_path / "md.csv", index=False)
    frame[::3].rename(columns={"CPIAUCSL": "GDPC1"}).to_parquet(tmp_path / "qd.parquet")
    monthly, quarterly = WideFile(tmp_path / "md.csv"), WideFile(tmp_path / "qd.parquet")
    assert [(s.name, s.frequency, s.code) for s in monthly.series] == [("cpi", "M", "md/CPIAUCSL")]
    assert [(s.name, s.frequency, s.code) for s in quarterly.series] == [("gdp", "Q", "qd/GDPC1")]
    assert monthly.left_out == ["MYSTERY"]
    frame[["date", "MYSTERY"]].to_csv(tmp_path / "none.csv", index=False)
    with pytest.raises(DataError, match=r"no column of .* is known by its name"):
        _ = WideFile(tmp_path / "none.csv").series


# --- the command ----------------------------------------------------------------------------------------------------------------


def test_the_command_builds_and_reports(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["macro", "build", "--from", str(folder), "--out", str(tmp_path / "lake"), "--start", "1991-01", "--end", "1998-12"]
    assert cli.main(command) == 0
    out = capsys.readouterr().out
    assert "96 months, 1991-01 to 1998-12: 2 outcomes, 2 shocks" in out and "series passed every gate" in out
    assert cli.main([*command, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["months"] == ["1991-01", "1998-12"] and said["fetched"] == 0 and said["columns"]["sp500_return"] == "outcome"
    assert cli.main([*command, "--quiet"]) == 0 and capsys.readouterr().out == ""
    assert cli.main(["macro", "build", "--out", str(tmp_path / "lake"), "--without", "policy_rates"]) == 2
    assert "did you mean" in capsys.readouterr().err
    (tmp_path / "schema.yaml").write_text("series: 3")
    assert cli.main([*command, "--schema", str(tmp_path / "schema.yaml")]) == 2


def test_an_interrupt_is_status_130(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(gather.Gathering, "answers", interrupted)
    assert cli.main(["macro", "build", "--from", str(folder), "--out", str(tmp_path / "lake")]) == 130
    assert "the next run goes on from there" in capsys.readouterr().err and not (tmp_path / "lake").exists()
