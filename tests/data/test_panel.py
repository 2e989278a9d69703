from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayes_causal.data.panel import Panel
from bayes_causal.errors import DataError

COLUMNS: dict[str, Any] = {"unit": "shop", "time": "week", "outcome": "sales", "treatment": "on"}


def random_frame(rng: np.random.Generator, units: int = 6, weeks: int = 8, missing: float = 0.2) -> pd.DataFrame:
    """Two groups that switch on and off, a few rows absent, a few outcomes missing, rows in no order."""
    u, t = np.divmod(np.arange(units * weeks), weeks)
    on = (rng.random(units * weeks) < 0.4) & (t > 0) & (u < units - 1)
    frame = pd.DataFrame({"shop": u + 100, "week": t, "sales": rng.normal(size=len(u)), "on": on.astype(int)})
    frame["campaign"] = np.where(u % 2, "spring", "autumn")
    frame["price"] = rng.normal(size=len(u))
    frame["precision"] = rng.uniform(0.5, 2, size=len(u))
    frame["region"] = u // 2
    frame = frame[(rng.random(len(u)) > missing / 2) | (t < 2)].copy()
    frame.loc[(rng.random(len(frame)) < missing / 2) & (frame["week"] > 1), "sales"] = np.nan
    return frame.sample(frac=1, random_state=int(rng.integers(2**31)))


def everything(frame: Any, **changes: Any) -> Panel:
    options: dict[str, Any] = {"group": "campaign", "covariates": ["price"], "weights": "precision", "cluster": "region"}
    return Panel.from_frame(frame, **(COLUMNS | options | changes))


def test_every_cell_holds_its_row(rng: np.random.Generator) -> None:
    frame = random_frame(rng)
    panel = everything(frame)
    data = panel.dataset
    assert data["outcome"].dims == ("unit", "time")
    assert data["treatment"].dims == ("unit", "time", "group")
    for row in frame.itertuples():
        cell = data.sel(unit=row.shop, time=row.week)
        assert cell["outcome"].item() == row.sales or np.isnan(row.sales)
        assert cell["covariates"].sel(covariate="price").item() == row.price
        assert cell["weight"].item() == row.precision
        assert data["cluster"].sel(unit=row.shop).item() == row.region
        assert cell["treatment"].values.sum() == row.on
        if row.on:
            assert cell["treatment"].sel(group=row.campaign).item()
    absent = panel.observed.size - frame["sales"].notna().sum()
    assert panel.counts["missing_cells"] == absent
    assert panel.counts["rows_read"] == panel.counts["rows_kept"] == len(frame)


def test_round_trip_through_a_frame(rng: np.random.Generator) -> None:
    panel = everything(random_frame(rng, missing=0.3))
    flat = panel.to_frame()
    assert flat[["unit", "time"]].apply(tuple, axis=1).is_monotonic_increasing
    again = Panel.from_frame(
        flat, unit="unit", time="time", outcome="outcome", treatment="treated", weights="weight", covariates=["price"]
    )
    np.testing.assert_array_equal(again.to_frame()["outcome"], flat["outcome"])
    np.testing.assert_array_equal(again.treated[again.observed], panel.treated[panel.observed])
    assert flat["cohort_period"].isna().sum() == (~panel.ever_treated[np.nonzero(panel.observed)[0]]).sum()


@given(st.integers(0, 2**32 - 1))
def test_the_order_of_rows_says_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frame = random_frame(rng)
    one, two = everything(frame), everything(frame.sample(frac=1, random_state=1))
    assert one.dataset.identical(two.dataset)


@given(st.integers(0, 2**32 - 1), st.permutations(range(6)))
def test_the_names_of_units_say_nothing(seed: int, order: list[int]) -> None:
    frame = random_frame(np.random.default_rng(seed))
    names = np.array([f"shop {k}" for k in order])
    renamed = frame.assign(shop=names[frame["shop"].to_numpy() - 100])
    one, two = everything(frame).dataset, everything(renamed).dataset
    matched = two.sel(unit=names)
    for variable in one.data_vars:
        np.testing.assert_array_equal(one[variable].values, matched[variable].values)


def as_duckdb(frame: pd.DataFrame) -> Any:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return duckdb.connect().from_arrow(table)


@pytest.mark.parametrize(
    "convert",
    [
        pl.from_pandas,
        lambda f: pl.from_pandas(f).lazy(),
        lambda f: pa.Table.from_pandas(f, preserve_index=False),
        as_duckdb,
        lambda f: f.convert_dtypes(),
        lambda f: f.astype({"campaign": "category", "shop": "category"}),
        lambda f: f.assign(on=f["on"].astype(bool), shop=f["shop"].astype(float)),
        lambda f: f.astype(object),
    ],
    ids=["polars", "lazy", "arrow", "duckdb", "nullable", "categorical", "bool-and-float", "object"],
)
def test_every_library_gives_the_same_panel(convert: Any, rng: np.random.Generator) -> None:
    frame = random_frame(rng)
    assert everything(convert(frame)).dataset.identical(everything(frame).dataset)


@pytest.mark.parametrize(
    "library", [lambda f: f, pl.from_pandas, lambda f: f.assign(week=f["week"].dt.date)], ids=["pandas", "polars", "date"]
)
def test_dates_are_times(library: Any, rng: np.random.Generator) -> None:
    frame = random_frame(rng)
    dated = frame.assign(week=pd.Timestamp("2024-01-01") + pd.to_timedelta(7 * frame["week"], unit="D"))
    panel, numbered = everything(library(dated)), everything(frame)
    np.testing.assert_array_equal(panel.dataset["period"], numbered.dataset["period"])
    np.testing.assert_array_equal(panel.event_time, numbered.event_time)
    first = panel.cohort[panel.ever_treated][0]
    assert first == np.datetime64("2024-01-01") + 7 * np.timedelta64(numbered.cohort[panel.ever_treated][0], "D")


def test_scale_and_center_come_from_untreated_cells_only(rng: np.random.Generator) -> None:
    frame = random_frame(rng)
    moved = frame.assign(sales=frame["sales"] + 1e6 * frame["on"])
    untreated = frame.loc[(frame["on"] == 0), "sales"].dropna()
    panel = everything(moved)
    assert panel.center == pytest.approx(untreated.mean(), rel=1e-12)
    assert panel.scale == pytest.approx(untreated.std(), rel=1e-12)


def test_first_treatment(rng: np.random.Generator) -> None:
    frame = random_frame(rng, missing=0.0).assign(week=lambda f: 2 * f["week"] + 10)
    panel = everything(frame)
    first = frame[frame["on"] == 1].groupby("shop")["week"].min()
    for k, unit in enumerate(panel.dataset["unit"].values):
        expected = first.get(unit)
        assert panel.cohort[k] == expected
        assert panel.first_period[k] == (-1 if expected is None else (expected - 10) // 2)
    assert panel.counts["never_treated_units"] == 6 - len(first)


def staggered() -> pd.DataFrame:
    u, t = np.divmod(np.arange(4 * 6), 6)
    first = np.array([2, 4, 0, 0])[u]
    return pd.DataFrame(
        {"shop": u, "week": t + 1, "sales": np.sin(7.0 * np.arange(24)), "first": first, "on": (first > 0) & (t + 1 >= first)}
    )


@pytest.mark.parametrize("never", [0.0, np.nan, np.inf])
def test_a_cohort_column_says_the_same_as_a_treatment_column(never: float) -> None:
    frame = staggered()
    frame["start"] = frame["first"].astype(float).where(frame["first"] > 0, never)
    keys = {"unit": "shop", "time": "week", "outcome": "sales"}
    by_cohort = Panel.from_frame(frame, **keys, cohort="start")
    np.testing.assert_array_equal(by_cohort.treated, Panel.from_frame(frame, **keys, treatment="on").treated)
    grouped = Panel.from_frame(frame, **keys, cohort="start", group="first")
    assert grouped.dataset["group"].values.tolist() == [2, 4]
    assert grouped.has_groups and not by_cohort.has_groups
    assert by_cohort.absorbing


def test_exposures_say_the_same_as_a_treatment_column(rng: np.random.Generator) -> None:
    frame = staggered()
    exposures = pd.DataFrame({"shop": [0, 1], "start": [2, 4], "end": [None, 99]})
    keys = {"unit": "shop", "time": "week", "outcome": "sales"}
    panel = Panel.from_frame(frame.drop(columns="on"), **keys, exposures=exposures)
    np.testing.assert_array_equal(panel.treated, Panel.from_frame(frame, **keys, treatment="on").treated)
    assert not panel.has_groups


def test_exposures_overlap_and_switch_off() -> None:
    exposures = pl.DataFrame({"unit": [0, 0, 1], "group": ["a", "b", "a"], "start": [2, 3, 2], "end": [4, 5, 3]})
    panel = Panel.from_frame(staggered(), unit="shop", time="week", outcome="sales", group="promo", exposures=exposures)
    assert panel.dataset["group"].values.tolist() == ["a", "b"]
    np.testing.assert_array_equal(panel.dataset["treatment"].values[0].T, [[0, 1, 1, 1, 0, 0], [0, 0, 1, 1, 1, 0]])
    assert panel.to_frame().query("unit == 0")["n_active"].tolist() == [0, 1, 2, 2, 1, 0]
    assert not panel.absorbing and panel.has_groups


def test_groups_are_read_on_treated_rows_only() -> None:
    frame = staggered()
    frame["wave"] = frame["on"].map({True: "wave", False: None})
    panel = Panel.from_frame(frame, unit="shop", time="week", outcome="sales", treatment="on", group="wave")
    assert panel.dataset["group"].values.tolist() == ["wave"]


def test_windows_keep_a_gap_and_count_what_they_drop() -> None:
    frame = staggered()
    panel = Panel.from_frame(frame, unit="shop", time="week", outcome="sales", treatment="on", pre=[1, 2], post=[4, 5])
    assert panel.dataset["time"].values.tolist() == [1, 2, 4, 5]
    assert panel.dataset["period"].values.tolist() == [0, 1, 3, 4]
    assert panel.counts["dropped"] == {"outside the pre and post windows": 8}
    assert panel.counts["rows_kept"] == 16
    alone = Panel.from_frame(frame, unit="shop", time="week", outcome="sales", treatment="on", post=[3, 4])
    assert alone.dataset["time"].values.tolist() == [1, 2, 3, 4]


def test_terms_become_covariates(rng: np.random.Generator, needs: Any) -> None:
    needs("formulaic")
    frame = random_frame(rng).assign(size=lambda f: np.exp(f["price"]))
    panel = Panel.from_frame(frame, **COLUMNS, terms="price + np.log(size) + C(region)")
    names = panel.dataset["covariate"].values.tolist()
    assert names[:2] == ["price", "np.log(size)"] and len(names) == 4
    x = panel.dataset["covariates"].values[panel.observed]
    np.testing.assert_allclose(x[:, 0], x[:, 1], atol=1e-12)


def test_a_missing_row_does_not_end_a_spell() -> None:
    frame = staggered()
    panel = Panel.from_frame(frame[(frame["shop"] != 0) | (frame["week"] != 3)], **COLUMNS)
    np.testing.assert_array_equal(panel.event_time[0, :, 0], [-1, 0, 1, 2, 3, 4])
    assert panel.absorbing and not panel.balanced


def test_changed_copies(rng: np.random.Generator) -> None:
    panel = everything(random_frame(rng))
    hidden = panel.mask(panel.treated)
    assert not (hidden.observed & panel.treated).any() and hidden.counts["treated_cells"] == 0
    np.testing.assert_array_equal(hidden.treated, panel.treated)
    doubled = panel.replace_outcome(np.nan_to_num(2 * panel.dataset["outcome"].values))
    assert doubled.scale == pytest.approx(2 * panel.scale)
    np.testing.assert_array_equal(doubled.observed, panel.observed)
    some = panel.select(units=[101, 103, 105])
    assert some.dataset["unit"].values.tolist() == [101, 103, 105]
    assert some.dataset["group"].values.tolist() == ["spring"]
    np.testing.assert_array_equal(panel.select(units=panel.ever_treated).ever_treated, True)
    with pytest.raises(DataError, match="no unit 7"):
        panel.select(units=[7])
    off = panel.replace_treatment(np.zeros_like(panel.dataset["treatment"].values))
    assert not off.ever_treated.any() and np.isnan(off.event_time).all()


def test_it_says_what_it_is() -> None:
    text = repr(Panel.from_frame(staggered(), **COLUMNS))
    assert text == "<Panel 'sales': 4 units (shop) x 6 periods (week), 2 units treated, 8 treated cells>"


def test_a_covariate_may_be_called_as_a_column_of_the_frame(rng: np.random.Generator) -> None:
    frame = random_frame(rng).rename(columns={"price": "outcome"})
    flat = everything(frame, covariates=["outcome"]).to_frame()
    assert {"outcome", "outcome_"} <= set(flat.columns)
