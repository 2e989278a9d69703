from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayes_causal.data.panel import Panel
from bayes_causal.errors import BayesCausalError, DataError

Change = Callable[[pd.DataFrame], Any]


def good() -> pd.DataFrame:
    u, t = np.divmod(np.arange(6 * 5), 5)
    on = ((u < 3) & (t >= 2)).astype(int)
    return pd.DataFrame(
        {
            "shop": u,
            "week": t,
            "sales": np.cos(np.arange(30.0)),
            "on": on,
            "promo": u % 2,
            "price": np.sin(np.arange(30.0)),
            "w": 1.0 + u,
        }
    )


def at(column: str, rows: list[int], value: Any) -> Change:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        values = frame[column].astype(object)
        values.iloc[rows] = value
        return frame.assign(**{column: values if isinstance(value, str) else pd.to_numeric(values)})

    return change


def exposed(**columns: list[Any]) -> dict[str, Any]:
    table = {"shop": [0, 1], "start": [2, 2], "end": [4, 4]} | columns
    return {"exposures": pd.DataFrame(table), "treatment": None}


def same(frame: pd.DataFrame) -> pd.DataFrame:
    return frame


REFUSALS: dict[str, tuple[Change, dict[str, Any], str]] = {
    "column absent": (same, {"outcome": "sale"}, r"no column 'sale' \(declared as outcome\) \(did you mean 'sales'\?\)"),
    "covariate absent": (same, {"covariates": ["prise"]}, r"no column 'prise' .*did you mean 'price'"),
    "not a table": (lambda f: f.to_dict("list"), {}, r"`frame` is a dict, not a table.*pandas\.DataFrame"),
    "a path": (lambda f: "sales.csv", {}, r"`frame` is a str, not a table.*read the file first"),
    "columns of one name": (lambda f: pd.concat([f, f[["sales"]]], axis=1), {}, "several columns of one name: .*'sales' 2 times"),
    "unit not named": (same, {"unit": None}, "unit must name a column, as text, and is None"),
    "outcome not named": (same, {"outcome": 3}, "outcome must name a column, as text, and is 3"),
    "unit beyond integers": (
        lambda f: f.assign(shop=np.uint64(2**63) + f["shop"].astype("uint64")),
        {},
        "beyond 2.63: make them text",
    ),
    "cohort negative": (
        lambda f: f.assign(c=np.where(f["shop"] < 3, 2, -1)),
        {"treatment": None, "cohort": "c"},
        "'c' is negative",
    ),
    "no rows": (lambda f: f.iloc[:0], {}, "the table has no rows"),
    "duplicates": (
        lambda f: pd.concat([f, f.iloc[[3, 4]]]),
        {},
        r"2 rows repeat .* in 2 pairs \(first: shop 0, week 3; shop 0, week 4\)",
    ),
    "duplicates by group": (
        lambda f: pd.concat([f, f.assign(promo=9)]),
        {"group": "promo"},
        r"30 rows repeat .*layout: campaign_rows or use `exposures`",
    ),
    "outcome is text": (at("sales", [7], "n/a"), {}, r"'sales' is not numeric: 1 row \(8, counted from 1\) hold 'n/a'"),
    "outcome is numbers as text": (
        lambda f: f.assign(sales=f["sales"].astype(str)),
        {},
        r"text that looks like numbers .*pandas\.to_numeric",
    ),
    "outcome is dates": (lambda f: f.assign(sales=pd.Timestamp("2020-01-01")), {}, "'sales' holds dates, not numbers"),
    "outcome infinite": (at("sales", [0, 9], -np.inf), {}, r"infinite in 2 rows \(1, 10, .*a logarithm of zero"),
    "outcome constant": (lambda f: f.assign(sales=3.0), {}, "outcome is 3 in every untreated cell"),
    "unit without outcome": (at("sales", list(range(25, 30)), np.nan), {}, r"1 units have no outcome at all \(first: 5\)"),
    "period without outcome": (at("sales", [0, 5, 10, 15, 20, 25], np.nan), {}, r"1 periods have no outcome at all"),
    "treatment not binary": (at("on", [2], 2), {}, r"must be 0 or 1, and 1 row \(3, counted from 1\) hold 2\.0"),
    "treatment is a cohort": (lambda f: f.assign(on=2000 + f["shop"]), {}, r"must be 0 or 1.*declared as `cohort`"),
    "treatment missing": (at("on", [2], np.nan), {}, r"'on' is missing in 1 row \(3"),
    "treatment is text": (at("on", [2], "yes"), {}, r"'on' is not numeric: 1 row \(3, .* hold 'yes'"),
    "never treated": (lambda f: f.assign(on=0), {}, "no observed cell is treated"),
    "always treated": (lambda f: f.assign(on=1), {}, "nothing to compare with"),
    "ever-treated flag": (
        lambda f: f.assign(on=(f["shop"] < 3).astype(int)),
        {},
        "there is no pre-period: none of the 3 treated units",
    ),
    "one period": (lambda f: f[f["week"] == 2], {}, r"'week' has only one value \(2\)"),
    "one unit": (lambda f: f[f["shop"] == 0], {}, r"'shop' has only one value \(0\).*time_series"),
    "nobody followed": (lambda f: f.assign(shop=np.arange(30)), {}, "every 'shop' occurs in one period only"),
    "unit missing": (at("shop", [4], np.nan), {}, r"unit column 'shop' is missing in 1 row \(5"),
    "time missing": (at("week", [4], np.nan), {}, r"time column 'week' is missing in 1 row \(5"),
    "unit mixed": (at("shop", [1], "one"), {}, r"'shop' must hold labels of one type and holds int \(29 rows\), str \(1 rows\)"),
    "time is text": (
        lambda f: f.assign(week="w" + f["week"].astype(str)),
        {},
        r"'week' holds text \('w0', .*pandas\.to_datetime",
    ),
    "time is dates as numbers": (
        lambda f: f.assign(week=f["week"].map({0: 201711, 1: 201712, 2: 201801, 3: 201802, 4: 201803})),
        {},
        "format='%Y%m'",
    ),
    "unit is dates": (
        lambda f: f.assign(shop=pd.Timestamp("2020-01-01") + pd.to_timedelta(f["shop"], "D")),
        {},
        "are `unit` and `time` swapped",
    ),
    "unit infinite": (at("shop", [1], np.inf), {}, "'shop' holds infinite values"),
    "covariate missing": (
        at("price", [1], np.nan),
        {"covariates": ["price"]},
        r"'price' is missing in 1 row \(2, .*have an outcome",
    ),
    "covariate infinite": (at("price", [1], np.inf), {"covariates": ["price"]}, "'price' is infinite"),
    "covariate text": (at("price", [1], "cheap"), {"covariates": ["price"]}, "covariate column 'price' is not numeric"),
    "covariate constant": (lambda f: f.assign(price=2.0), {"covariates": ["price"]}, "'price' is 2 in every row"),
    "covariate is outcome": (same, {"covariates": ["sales"]}, "'sales' is also the outcome column"),
    "covariate is treatment": (same, {"covariates": ["on"]}, "'on' is also the treatment column"),
    "covariate is unit": (same, {"covariates": ["shop"]}, "'shop' is also the unit column"),
    "covariate twice": (same, {"covariates": ["price", "price"]}, "'price' is listed 2 times"),
    "column twice": (same, {"outcome": "on"}, "'on' is declared both as outcome and as treatment"),
    "weight zero": (at("w", [1], 0.0), {"weights": "w"}, r"'w' must be above 0, and 1 row \(2, .* hold 0\.0"),
    "weight missing": (at("w", [1], np.nan), {"weights": "w"}, "'w' is missing in 1 row"),
    "weight infinite": (at("w", [1], np.inf), {"weights": "w"}, "'w' is infinite"),
    "cluster changes": (same, {"cluster": "week"}, "'week' must be constant within a unit, and changes in 6"),
    "group missing": (
        lambda f: at("promo", [2, 3], np.nan)(f),
        {"group": "promo"},
        r"'promo' is missing in 2 rows \(3, 4.*every treated row",
    ),
    "nothing treats": (same, {"treatment": None}, "nothing says who is treated when"),
    "two things treat": (same, {"cohort": "promo"}, "treatment and cohort both say"),
    "layout unknown": (same, {"layout": "campaign_row"}, "layout 'campaign_row' does not exist .*campaign_rows"),
    "layout without group": (same, {"layout": "campaign_rows", "treatment": None}, "name the group column"),
    "cohort changes": (same, {"treatment": None, "cohort": "price"}, "'price' must be constant within a unit"),
    "cohort empty": (lambda f: f.assign(c=0), {"treatment": None, "cohort": "c"}, "nobody is treated"),
    "cohort groups": (
        lambda f: f.assign(c=2 * (f["shop"] < 3)),
        {"treatment": None, "cohort": "c", "group": "price"},
        "changes within 3 treated units",
    ),
    "window shape": (same, {"pre": [1, 2, 3]}, r"`pre` must be a pair"),
    "window type": (same, {"pre": ["2020-01-01", "2020-02-01"]}, "not in the units of time column 'week'"),
    "windows overlap": (same, {"pre": [0, 3], "post": [2, 4]}, "must end before"),
    "window empty": (same, {"pre": [70, 80], "post": [90, 99]}, "no row of the data lies in"),
    "terms malformed": (same, {"terms": "price +"}, "is not a formula"),
    "terms two-sided": (same, {"terms": "sales ~ price"}, "two sides"),
    "terms absent": (same, {"terms": "prise"}, "no column 'prise' .*part of the terms"),
    "terms missing": (at("price", [1], np.nan), {"terms": "price"}, r"missing in 1 row \(2"),
    "exposures unknown unit": (same, exposed(shop=[0, 77]), r"1 of 2 units of the exposures are not in the panel \(first: 77\)"),
    "exposures all unknown": (same, exposed(shop=[70, 77]), "ids look mismatched: none of the 2"),
    "exposures other type": (same, exposed(shop=["0", "1"]), "ids look mismatched: .*whole numbers.*text"),
    "exposures outside": (
        same,
        exposed(start=[2, 40], end=[4, 44]),
        r"1 row \(2, .*cover no period of the data, which run from 0 to 4",
    ),
    "exposures backwards": (same, exposed(end=[1, 4]), "end before they start in 1 row"),
    "exposures without start": (same, exposed(start=[np.nan, 2]), "exposures start column 'start' is missing"),
    "exposures dates": (
        same,
        exposed(start=[pd.Timestamp("2020-01-01")] * 2, end=[pd.Timestamp("2020-01-02")] * 2),
        "must be of one type",
    ),
    "exposures empty": (
        same,
        {"exposures": good().rename(columns={"week": "start", "on": "end"}).iloc[:0], "treatment": None},
        "nobody is treated",
    ),
    "exposures without column": (
        same,
        {"exposures": good()[["shop"]], "treatment": None},
        "exposures table has no column 'start'",
    ),
}


@pytest.mark.parametrize(("change", "keys", "message"), REFUSALS.values(), ids=REFUSALS)
def test_refusals_say_what_where_and_what_next(change: Change, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=f"(?s){message}"):
        Panel.from_frame(change(good()), **({"unit": "shop", "time": "week", "outcome": "sales", "treatment": "on"} | keys))


def test_what_the_refusals_start_from_is_accepted() -> None:
    panel = Panel.from_frame(
        good(),
        unit="shop",
        time="week",
        outcome="sales",
        treatment="on",
        group="promo",
        covariates=["price"],
        weights="w",
        cluster="promo",
    )
    assert panel.counts["treated_cells"] == 9


def test_all_problems_come_at_once() -> None:
    frame = pd.concat([good(), good().iloc[[0]]]).assign(w=0.0)
    frame["on"] = frame["on"] * 2
    with pytest.raises(DataError) as caught:
        Panel.from_frame(
            frame, unit="shop", time="week", outcome="sale", treatment="on", weights="w", covariates=["x", "price"], layout="wide"
        )
    problems = caught.value.problems
    for part in ("'sale'", "'x'", "'wide'", "must be 0 or 1", "repeat a (unit, time) pair"):
        assert sum(part in p for p in problems) == 1, part
    assert isinstance(caught.value, BayesCausalError) and isinstance(caught.value, ValueError)


def test_swapped_identifiers_are_questioned(rng: np.random.Generator) -> None:
    """The original system's mistake: 30 'households' and 1,584 'campaigns'."""
    household, week = (a.ravel() for a in np.meshgrid(np.arange(1584), np.arange(4), indexing="ij"))
    frame = pd.DataFrame({"household": household, "week": week, "campaign": household % 30, "sales": rng.normal(size=len(week))})
    frame["treated"] = ((frame["campaign"] < 9) & (frame["week"] > 1)).astype(int)
    keys: dict[str, Any] = {"time": "week", "outcome": "sales", "treatment": "treated"}
    with pytest.raises(DataError, match=r"'campaign' has 30 values and group column 'household' has 1,584: they look swapped"):
        Panel.from_frame(frame, unit="campaign", group="household", **keys)
    assert Panel.from_frame(frame, unit="household", group="campaign", **keys).dataset.sizes["group"] == 9


def test_units_and_years_swapped(rng: np.random.Generator) -> None:
    state, year = (a.ravel() for a in np.meshgrid(np.arange(50), np.arange(2000, 2008), indexing="ij"))
    frame = pd.DataFrame({"state": state, "year": year, "rate": rng.normal(size=400), "on": (year > 2003) & (state < 9)})
    with pytest.raises(DataError, match="are `unit` and `time` swapped"):
        Panel.from_frame(frame, unit="year", time="state", outcome="rate", treatment="on")


def test_few_units_under_many_treatments_are_no_swap() -> None:
    frame = good().assign(promo=lambda f: f["shop"] * 5 + f["week"])
    panel = Panel.from_frame(frame, unit="shop", time="week", outcome="sales", treatment="on", group="promo")
    assert panel.dataset.sizes["group"] == 9


def test_a_group_of_nearly_every_unit_is_questioned(rng: np.random.Generator) -> None:
    unit, time = (a.ravel() for a in np.meshgrid(np.arange(80), np.arange(4), indexing="ij"))
    frame = pd.DataFrame({"unit": unit, "time": time, "y": rng.normal(size=320), "on": (time > 1) & (unit < 60), "label": unit})
    with pytest.raises(DataError, match="60 values among 60 treated units"):
        Panel.from_frame(frame, unit="unit", time="time", outcome="y", treatment="on", group="label")


def test_missing_outcomes_are_cells_not_problems() -> None:
    frame = at("sales", [1, 12], np.nan)(good()).drop(index=[20])
    panel = Panel.from_frame(frame, unit="shop", time="week", outcome="sales", treatment="on")
    assert panel.counts["missing_cells"] == 3 and panel.counts["rows_kept"] == 29
