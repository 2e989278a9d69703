"""The layout of the original system: one row per household, week and campaign, the outcome repeated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayes_causal.data.panel import Panel
from bayes_causal.errors import DataError

KEYS: dict[str, Any] = {"unit": "household", "time": "week", "outcome": "sales", "group": "campaign", "layout": "campaign_rows"}
STARTS = {"a": 3, "b": 5, "c": 4}
TARGETED = {"a": (0, 1), "b": (1, 2), "c": ()}


def campaign_rows(rng: np.random.Generator) -> pd.DataFrame:
    """Four households, eight weeks, three campaigns, the last of which targets nobody."""
    sales = rng.normal(size=(4, 8))
    rows = [
        {
            "household": h,
            "week": w,
            "campaign": c,
            "sales": sales[h, w],
            "income": float(h),
            "treated": int(h in TARGETED[c]),
            "post": int(w >= start),
        }
        for h in range(4)
        for w in range(8)
        for c, start in STARTS.items()
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=3)


def test_rows_become_a_panel_and_exposures(rng: np.random.Generator) -> None:
    frame = campaign_rows(rng)
    panel = Panel.from_frame(frame, **KEYS, covariates=["income"])
    assert panel.dataset["group"].values.tolist() == ["a", "b"]
    expected = np.zeros((4, 8, 2), bool)
    expected[0:2, 3:, 0] = True
    expected[1:3, 5:, 1] = True
    np.testing.assert_array_equal(panel.dataset["treatment"], expected)
    sales = frame.drop_duplicates(["household", "week"]).pivot(index="household", columns="week", values="sales")
    np.testing.assert_array_equal(panel.dataset["outcome"], sales)
    counts = panel.counts
    assert counts["rows_read"] == 96 and counts["rows_kept"] == 32 == counts["cells"]
    assert counts["dropped"] == {"merged: further campaign rows of a unit and time": 64}


def test_it_equals_the_same_data_as_exposures(rng: np.random.Generator) -> None:
    frame = campaign_rows(rng)
    plain = frame.drop_duplicates(["household", "week"])[["household", "week", "sales"]]
    exposures = pd.DataFrame(
        [{"household": h, "campaign": c, "start": STARTS[c], "end": None} for c in "ab" for h in TARGETED[c]]
    )
    by_exposures = Panel.from_frame(plain, unit="household", time="week", outcome="sales", group="campaign", exposures=exposures)
    np.testing.assert_array_equal(Panel.from_frame(frame, **KEYS).event_time, by_exposures.event_time)


def test_the_treated_column_may_be_called_otherwise(rng: np.random.Generator) -> None:
    frame = campaign_rows(rng)
    renamed = Panel.from_frame(frame.rename(columns={"treated": "mailed"}), **KEYS, treatment="mailed")
    np.testing.assert_array_equal(renamed.treated, Panel.from_frame(frame, **KEYS).treated)


def test_rows_of_one_cell_must_agree(rng: np.random.Generator) -> None:
    frame = campaign_rows(rng).sort_values(["household", "week", "campaign"]).reset_index(drop=True)
    frame.loc[[1, 25], "sales"] = 50.0
    with pytest.raises(
        DataError, match=r"(?s)'sales' differs between the campaign rows .* in 2 of them \(first: household 0, week 0: .*50\.0"
    ):
        Panel.from_frame(frame, **KEYS)
    with pytest.raises(DataError, match="'income' differs"):
        Panel.from_frame(campaign_rows(rng).assign(income=np.arange(96.0)), **KEYS, covariates=["income"])


def test_a_row_said_twice_is_refused(rng: np.random.Generator) -> None:
    frame = campaign_rows(rng)
    with pytest.raises(DataError, match=r"1 rows repeat a \(unit, time, campaign\)"):
        Panel.from_frame(pd.concat([frame, frame.iloc[[0]]]), **KEYS)


def test_windows_count_every_row_once(rng: np.random.Generator) -> None:
    counts = Panel.from_frame(campaign_rows(rng), **KEYS, pre=[0, 2], post=[4, 7]).counts
    assert counts["rows_kept"] == counts["cells"] == 28
    assert counts["dropped"]["outside the pre and post windows"] == 12
    assert counts["rows_read"] == counts["rows_kept"] + sum(counts["dropped"].values())


def test_post_must_be_there_and_binary(rng: np.random.Generator) -> None:
    with pytest.raises(DataError, match="no column 'post'"):
        Panel.from_frame(campaign_rows(rng).drop(columns="post"), **KEYS)
    with pytest.raises(DataError, match="post column 'post' must be 0 or 1"):
        Panel.from_frame(campaign_rows(rng).assign(post=5), **KEYS)
