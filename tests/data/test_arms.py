"""A column of several treatments: the same panel as a 0/1 column with groups, once one value is known to mean untreated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from bayes_causal.data.panel import Panel
from bayes_causal.errors import DataError

COLUMNS: dict[str, Any] = {"unit": "shop", "time": "week", "outcome": "sales"}
UNTREATED, LOW, HIGH = 0, 1, 2


def shops(rng: np.random.Generator, values: tuple[Any, Any, Any]) -> tuple[pd.DataFrame, np.ndarray]:
    """Ten shops over eight weeks that change arms as they like, and the (N,) positions of their arms among `values`."""
    shop, week = np.divmod(np.arange(80), 8)
    which = np.where((week < 2) | (shop > 7), UNTREATED, rng.integers(0, 3, 80))
    arm = pd.Series([values[k] for k in which], dtype=None if None not in values else object)
    return pd.DataFrame({"shop": shop, "week": week, "sales": rng.normal(size=80), "arm": arm}), which


@pytest.mark.parametrize(
    "values",
    [
        ("control", "low", "high"),
        ("None", "low", "high"),
        (" Untreated", "low", "high"),
        ("", "low", "high"),
        (None, "low", "high"),
        ("0", "1", "2"),
        (0, 1, 2),
        (0.0, 0.5, 1.5),
        (np.nan, 5.0, 10.0),
    ],
    ids=repr,
)
def test_arms_are_groups_of_treated_rows(values: tuple[Any, Any, Any], rng: np.random.Generator) -> None:
    frame, which = shops(rng, values)
    panel = Panel.from_frame(frame, arms="arm", **COLUMNS)
    frame = frame.assign(on=(which > 0).astype(int), group=[str(v) for v in frame["arm"]])
    twin = Panel.from_frame(frame, treatment="on", group="group", **COLUMNS)
    of_twin = {g: twin.dataset["treatment"].sel(group=g).values for g in twin.dataset["group"].values}
    assert panel.dataset.sizes["group"] == 2 == len(of_twin)
    for label in panel.dataset["group"].values:
        same = of_twin[str(float(label))] if isinstance(values[1], float) else of_twin[str(label)]
        np.testing.assert_array_equal(panel.dataset["treatment"].sel(group=label).values, same)
    assert (panel.grouping, twin.grouping, panel.has_groups) == ("arm", "group", True)
    assert "in 2 arms" in repr(panel)


def test_nulls_of_polars_are_untreated(rng: np.random.Generator) -> None:
    frame, which = shops(rng, ("control", "low", "high"))
    nulls = pl.DataFrame(frame.drop(columns="arm")).with_columns(arm=pl.Series([None if k == 0 else f"arm {k}" for k in which]))
    panel = Panel.from_frame(nulls, arms="arm", **COLUMNS)
    assert panel.dataset["group"].values.tolist() == ["arm 1", "arm 2"]
    assert panel.counts["treated_cells"] == (which > 0).sum()


def test_labels_survive_a_selection_of_units(rng: np.random.Generator) -> None:
    frame, _ = shops(rng, (None, "low", "high"))
    panel = Panel.from_frame(frame, arms="arm", **COLUMNS)
    assert panel.select(units=[0, 1, 2, 9]).grouping == "arm"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (("placebo", "low", "high"), "and has none, but 'high', 'low', 'placebo'"),
        ((3, 1, 2), "and has none, but 1, 2, 3"),
        ((None, "control", "high"), "missing in"),
        (("control", "none", "high"), "'none' in"),
        (("Control", "control", "high"), "'Control' in"),
        (("0", "", "high"), "missing in"),
        ((pd.NaT, pd.Timestamp("2020-01-01"), pd.Timestamp("2021-01-01")), "a column of first treated times is declared as"),
    ],
    ids=repr,
)
def test_what_is_untreated_is_never_guessed(values: tuple[Any, Any, Any], said: str, rng: np.random.Generator) -> None:
    frame, _ = shops(rng, values)
    with pytest.raises(DataError) as caught:
        Panel.from_frame(frame, arms="arm", **COLUMNS)
    (problem,) = caught.value.problems
    assert said in problem and "arms column 'arm'" in problem


def test_every_problem_is_in_one_message(rng: np.random.Generator) -> None:
    frame, _ = shops(rng, ("placebo", "low", "high"))
    frame.loc[3, "sales"] = np.inf
    with pytest.raises(DataError) as caught:
        Panel.from_frame(frame, arms="arm", group="arm", treatment="week", **COLUMNS)
    text = str(caught.value)
    for words in ("treatment and arms both say who", "is `group`", "arms and group both say which", "infinite in 1 row"):
        assert words in text, words


def test_a_missing_arms_column_offers_the_closest(rng: np.random.Generator) -> None:
    frame, _ = shops(rng, ("control", "low", "high"))
    with pytest.raises(DataError, match=r"no column 'arms' .*did you mean 'arm'"):
        Panel.from_frame(frame, arms="arms", **COLUMNS)
