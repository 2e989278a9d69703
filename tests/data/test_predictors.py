"""Predictors with gaps, and exposures that stand in the study file."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayes_causal.data.load import load_panel
from bayes_causal.data.panel import Panel
from bayes_causal.errors import DataError
from bayes_causal.study.read import study_from

ROLES = {"unit": "u", "time": "t", "outcome": "y"}


@pytest.fixture
def table(rng):
    u, t = np.indices((4, 6)).reshape(2, -1)
    census = np.where(t == 2, rng.normal(size=24), np.nan)
    return pd.DataFrame({"u": [f"unit {k}" for k in u], "t": t, "y": rng.normal(size=24), "census": census})


@pytest.fixture
def exposures():
    return [{"unit": "unit 1", "start": 4}]


def test_predictors_keep_their_gaps(table, exposures):
    panel = Panel.from_frame(table, **ROLES, exposures=pd.DataFrame(exposures).assign(end=None), predictors="census")
    held = panel.dataset["predictors"].sel(predictor="census")
    np.testing.assert_array_equal(held.values.ravel(), table["census"])
    assert "covariates" not in panel.dataset and panel.select(times=[2, 3, 4]).dataset["predictors"].shape == (4, 3, 1)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"census": np.nan}, "missing in every row"),
        ({"census": np.inf}, "infinite"),
        ({"census": "much"}, "census"),
    ],
)
def test_predictors_that_say_nothing_are_refused(table, exposures, columns, said):
    with pytest.raises(DataError, match=said):
        Panel.from_frame(table.assign(**columns), **ROLES, exposures=pd.DataFrame(exposures).assign(end=5), predictors=["census"])


def test_columns_that_play_another_part_or_do_not_exist(table, exposures):
    with pytest.raises(DataError) as error:
        Panel.from_frame(table, **ROLES, exposures=pd.DataFrame(exposures).assign(end=5), predictors=["y", "t", "sensus"])
    assert len(error.value.problems) == 3 and "'census'" in str(error.value)


def test_exposures_may_stand_in_the_study(table, exposures, tmp_path):
    table.to_csv(tmp_path / "panel.csv", index=False)
    keys = {"source": "panel.csv", **ROLES, "exposures": exposures, "predictors": ["census"]}
    panel, _ = load_panel(keys, tmp_path)
    assert panel.treated.sum() == 2 and panel.treated[1, 4:].all()
    study = study_from({"data": keys, "model": {"name": "hierarchical_did"}}, folder=tmp_path)
    assert study.data.exposures == ({"unit": "unit 1", "start": 4},) and study.data.predictors == ("census",)
    with pytest.raises(DataError, match="start"):
        load_panel(keys | {"exposures": [{"unit": "unit 1"}]}, tmp_path)
