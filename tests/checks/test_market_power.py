"""Market selection: arithmetic by hand, effects that move intervals and no fit, a plan from file to tables, what is refused."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml

import bayes_causal as bc
from bayes_causal.checks.market_power import _told
from bayes_causal.checks.market_windows import MarketWindows, before, candidate, longest, periods
from bayes_causal.checks.windows import dates_needed
from bayes_causal.cli import main
from bayes_causal.errors import DataError

PERIODS = 61
NOISE = {"calm": 0.4, "rough": 1.6, "a": 0.8, "b": 0.8, "c": 0.8}


def table(rng: np.random.Generator, periods: int = PERIODS) -> pd.DataFrame:
    """Five markets with a common walk and independent noise of their own size, and one on a walk of its own, for none."""
    common = 100 + rng.standard_normal(periods).cumsum()
    y = {name: common + sd * rng.standard_normal(periods) for name, sd in NOISE.items()}
    y["alone"] = 100 + 3 * rng.standard_normal(periods).cumsum()
    return pd.DataFrame([(u, t, v) for u, values in y.items() for t, v in enumerate(values)], columns=["city", "t", "sales"])


def planned(frame: pd.DataFrame, **more: Any) -> bc.Panel:
    return bc.Panel.from_frame(frame, unit="city", time="t", outcome="sales", **({"exposures": "last"} | more))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan without a treatment, from its file to JSON, tables and a picture, on the command line."""
    place = tmp_path_factory.mktemp("plan")
    table(np.random.default_rng(2)).to_csv(place / "sales.csv", index=False)
    data = {"source": "sales.csv", "kind": "panel", "unit": "city", "time": "t", "outcome": "sales"}
    options = {"errors": "iid", "donors": ["a", "b", "c", "calm", "rough"]}
    study = {"name": "cities", "data": data, "model": {"name": "synthetic_control", "options": options}}
    (place / "plan.yaml").write_text(yaml.safe_dump(study))
    said = io.StringIO()
    with contextlib.redirect_stdout(said), pytest.MonkeyPatch.context() as patch:
        patch.setitem(bc.market_power.__kwdefaults__, "draws", 150)
        asked = ["--durations", "3", "6", "--effects", "0", "0.01", "0.1", "--json", "--out", str(place / "out")]
        assert main(["power", str(place / "plan.yaml"), *asked, "--markets", "calm", "rough", "a", "alone"]) == 0
    (place / "said.json").write_text(said.getvalue())
    return place


@pytest.fixture(scope="module")
def found(folder: Path) -> xr.Dataset:
    said = xr.Dataset.from_dict(json.loads((folder / "said.json").read_text()))
    return said.assign(duration_needed=said["duration_needed"].astype(float))


def test_a_plan_from_its_file_to_tables_and_a_picture(folder: Path, found: xr.Dataset) -> None:
    assert found.attrs["periods"] == PERIODS - 1 and found.attrs["scale"] == "relative" and found.attrs["fits"] == 4 * 20
    by_market = pd.read_csv(folder / "out" / "markets.csv")
    assert len(by_market) == 8 and set(by_market["market"]) == {"calm", "rough", "a", "alone"}
    np.testing.assert_allclose(by_market["mde"], found["mde"].values.ravel())
    assert len(pd.read_csv(folder / "out" / "power.csv")) == 24
    assert (folder / "out" / "markets.png").stat().st_size > 20_000
    donors = dict(zip(found["market"].values, found["donors"].values, strict=True))
    assert donors == {"calm": 4, "rough": 4, "a": 4, "alone": 5}
    assert float(found["share"].sum()) < 1


def test_the_calm_market_comes_first_and_the_lonely_one_is_no_good(found: xr.Dataset) -> None:
    assert found["market"].values[0] == "calm" and found["rank"].values.tolist() == [1, 2, 3, 4]
    mde = found["mde"].sel(duration=6)
    assert float(mde.sel(market="calm")) < float(mde.sel(market="a")) < float(mde.sel(market="rough"))
    assert float(mde.sel(market="alone")) > 1.5 * float(mde.sel(market="rough"))
    assert (found["power"].sel(effect=0.0) == found["false_alarms"]).all()
    for m in range(4):
        for j, c in enumerate((0.0, 0.01, 0.1)):
            enough = [h for h in (3, 6) if float(found["power"][m].sel(duration=h, effect=c)) >= 0.8]
            needed = float(found["duration_needed"][m, j])
            assert needed == enough[0] if enough else np.isnan(needed)


@pytest.mark.parametrize("h", [3, 6])
def test_independent_noise_gives_the_textbook_size(found: xr.Dataset, h: int) -> None:
    """Half the interval plus .84 sds of what is estimated: noise of the market and of its equal donors, over the window and the
    mean of some 40 periods before; within 4 of the stated errors, pooled over markets, as each rests on a few blocks of windows.
    """
    markets = found.sel(market=["calm", "rough", "a"], duration=h)
    error = float(np.sqrt(((markets["mde_error"] / markets["mde"]) ** 2).mean()))
    assert 0.02 < error < 0.12
    for name in ("calm", "rough", "a"):
        of = found.sel(market=name, duration=h)
        others = 1 / sum(1 / sd**2 for k, sd in NOISE.items() if k != name)
        sd = np.sqrt((NOISE[name] ** 2 + others) * (1 / h + 1 / 42)) / 100
        half = float(of["width"]) / 2
        assert half == pytest.approx(1.645 * sd, rel=0.25)
        assert abs(float(of["mde"]) / (half + 0.8416 * sd) - 1) < 4 * error, name


def test_words(found: xr.Dataset) -> None:
    from bayes_causal.study.market_plan import told

    said = told("cities", found, True)
    assert "smallest lifts of sales found with 80% probability" in said and "calm finds the least" in said
    assert "10.0%, 6" in said and "3 ts" in said and "nan" not in said
    often = found.assign(alarms_too_often=("market", [False, False, False, True]))
    assert f"4!     {found['market'].values[3]}" in told("cities", often, False)
    absolute = told("cities", found.assign_attrs(scale="absolute"), True)
    assert "smallest effects on sales found" in absolute and "an effect on sales of" in absolute and "10.0%" not in absolute
    left = told("cities", found.assign_attrs(left_out={"x": "no outcome", "y": "no outcome"}, not_agreed=2), False)
    assert "No candidates (no outcome): x, y." in left and "In 2 of 80 fits" in left


def test_a_lift_in_the_window_moves_every_draw_and_no_fit(rng: np.random.Generator) -> None:
    """What lets one fit serve all sizes: c of the market's own outcomes adds c times their mean."""
    frame = table(rng, 30)
    lifted = frame.copy()
    inside = (frame["city"] == "a") & frame["t"].between(20, 24)
    lifted.loc[inside, "sales"] *= 1.07
    draws, designs = [], []
    sites = {"weight": rng.dirichlet(np.ones(5), 50), "intercept": rng.standard_normal(50), "sigma": rng.uniform(0.1, 1, 50)}
    for each in (frame, lifted):
        model, d = candidate(before(planned(each)), "a", {"errors": "iid"})
        window = d.earlier(20, 5)
        designs.append(model.sums(window))
        draws.append(model.average(window, sites))
    for one, other in zip(*map(jax.tree.leaves, designs), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)
    np.testing.assert_allclose(draws[1] - draws[0], 0.07 * frame.loc[inside, "sales"].mean(), atol=1e-9)


def test_the_shares_are_those_of_intervals_moved_by_the_effect(rng: np.random.Generator) -> None:
    """Power, false alarms, sizes and blocks by hand, in both units; windows that do not count stay out."""
    shape = (2, 2, 12)
    middle, half = rng.standard_normal(shape), rng.uniform(0.5, 2, shape)
    middle[0, 1, 9:] = np.nan
    outcome = rng.uniform(20, 40, shape)
    labels, onset = np.array(["x", "y"]), np.arange(12) + 5
    runs = MarketWindows(
        labels, (2, 3), onset, middle, middle - half, middle + half, outcome, np.ones((2, 12), bool), np.array([4, 4])
    )
    for relative in (False, True):
        sizes = [0.0, 0.05, 0.4, 2.0]
        told = _told(runs, sizes, relative, 0.8, 0.9)
        for m in range(2):
            for k, h in enumerate((2, 3)):
                of = np.isfinite(middle[m, k])
                per = outcome[m, k][of] if relative else 1.0
                low, high = (middle - half)[m, k][of] / per, (middle + half)[m, k][of] / per
                for j, c in enumerate(sizes):
                    risen, fallen = (low + c > 0).mean(), (high - c < 0).mean()
                    expected = risen + fallen if c == 0 else (risen + fallen) / 2
                    assert told["power"].values[m, k, j] == pytest.approx(expected)
                size = float(told["mde"][m, k])
                assert np.mean([low + size >= -1e-12, high - size <= 1e-12]) >= 0.8
                assert np.mean([low + 0.999 * size > 0, high - 0.999 * size < 0]) < 0.8
                assert float(told["width"][m, k]) == pytest.approx(np.mean(high - low))
                assert float(told["bias"][m, k]) == pytest.approx(np.mean(middle[m, k][of] / per))
                assert told["windows"].values[m, k] == of.sum()
                assert told["side_by_side"].values[m, k] == len({(t - 5) // h for t in onset[of]})


def test_only_the_time_before_any_treatment_is_looked_at(rng: np.random.Generator) -> None:
    frame = table(rng, 30).assign(d=lambda f: ((f["city"] == "a") & (f["t"] >= 22)).astype(int))
    early = before(planned(frame, exposures=None, treatment="d"))
    assert early.dataset["time"].values.tolist() == list(range(22)) and not early.treated.any()
    d = candidate(early, "b", {"exclude": ["b", "c"]})[1]
    assert d.fitted.all() and not d.treated.any() and d.rows == 22 and d.donors.size == 4
    assert before(planned(frame)).dataset["time"].values.tolist() == list(range(29))
    gaps = frame[~((frame["city"] == "b") & (frame["t"].isin([0, 1, 10, 21])))]
    late = candidate(before(planned(gaps, exposures=None, treatment="d")), "b", {})[1]
    assert late.rows == 19 and late.fitted.sum() == 18 and replace(late).position[0] == 2


def test_as_long_as_it_says_is_enough_and_one_less_is_not() -> None:
    for h in (1, 4, 9):
        assert longest(dates_needed(h)) >= h > longest(dates_needed(h) - 1)
    two_years = pd.DataFrame({"city": list("ab") * 2, "t": [1, 1, 4, 4], "sales": [1.0, 2, 3, 4]})
    assert periods(planned(two_years)) == 4 or periods(planned(two_years)) == 2


def test_everything_wrong_is_said_at_once(rng: np.random.Generator) -> None:
    frame = table(rng, 31)
    frame.loc[frame["city"] == "c", "sales"] -= 200
    panel = planned(frame)
    with pytest.raises(DataError) as error:
        bc.market_power(panel, ["calmm", "c"], [3, 9], scale="relative", power=80)
    said = str(error.value)
    for part in (
        "names 'calmm'",
        "did you mean 'calm'",
        "a test of 9 periods needs at least 60",
        "at or below 0",
        "power lies between",
    ):
        assert part in said, part
    with pytest.raises(DataError, match="1 donors are left for 'b'"):
        bc.market_power(panel, "b", 3, options={"donors": ["a"]})
    with pytest.raises(ValueError, match=r"durations are whole.*effects are sizes.*scale is relative or absolute"):
        bc.market_power(panel, durations=0, effects=-1, scale="lift")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="can tell about no test at all"):
        bc.market_power(planned(table(rng, 6)))
    early = frame.assign(d=((frame["city"] == "a") | ((frame["city"] == "b") & (frame["t"] > 20))).astype(int))
    with pytest.raises(DataError, match="at least 7 before it, and there are 0"):
        bc.market_power(planned(early, exposures=None, treatment="d"))


def test_units_that_cannot_be_markets_are_named(rng: np.random.Generator) -> None:
    from bayes_causal.checks.market_power import _candidates, _relative

    frame = table(rng, 30)
    frame.loc[frame["city"] == "c", "sales"] = 7.0
    early = before(planned(frame))
    fits, left_out, problems = _candidates(early, None, {"exclude": ["rough"]})
    assert {early.dataset["unit"].values[d.unit] for _, d in fits} == {"a", "b", "calm", "alone"} and not problems
    assert left_out["rough"] == "excluded as a donor" and "never moves" in left_out["c"]
    assert _relative(early, fits, None) == (True, [])
    named = early.dataset.assign_attrs(outcome="log_sales")
    assert _relative(bc.Panel(named), fits, None) == (False, [])


def test_markets_belong_to_panels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = "data: {source: a.csv, kind: time_series, time: t, outcome: y}\nmodel: {name: structural_time_series}"
    (tmp_path / "series.yaml").write_text(keys)
    assert main(["power", str(tmp_path / "series.yaml"), "--markets", "x"]) == 2
    assert "markets are units of a panel" in capsys.readouterr().err
