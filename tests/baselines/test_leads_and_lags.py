"""Event study: the textbook regression, the weights of the att, the pre-trend test, overlapping and reversible treatments."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import f as fisher

from bayes_causal.baselines import event_study
from bayes_causal.baselines.leads_and_lags import event_columns
from bayes_causal.errors import EstimandError

EXACT = {"rtol": 1e-7, "atol": 1e-9}


def with_event_dummies(frame):
    """The frame with one column an event time, the reference −1 left out."""
    event = np.where(frame["start"] > 0, frame["time"] - frame["start"], np.nan)
    labels = [e for e in np.unique(event[np.isfinite(event)]).astype(int) if e != -1]
    return frame.assign(w=1.0, **{f"e{e}": (event == e).astype(float) for e in labels}), labels


def test_equals_regression_on_event_time_dummies(make_frame, to_panel, dummies):
    frame = make_frame(units=60, missing=0.1, growth=0.5)
    wide, labels = with_event_dummies(frame)
    beta, vcov, _ = dummies(wide, [f"e{e}" for e in labels], "unit")
    answer = event_study(to_panel(frame, cohort="start"), by="event_time")
    assert list(answer.table["event_time"].values) == labels
    np.testing.assert_allclose(answer.value, beta, **EXACT)
    np.testing.assert_allclose(answer.std_error, np.sqrt(np.diag(vcov)), **EXACT)
    leads = np.array(labels) < -1
    statistic = beta[leads] @ np.linalg.solve(vcov[np.ix_(leads, leads)], beta[leads]) / leads.sum()
    assert answer.extra["pretrend"]["F"] == pytest.approx(statistic)
    assert answer.extra["pretrend"]["p_value"] == pytest.approx(fisher.sf(statistic, leads.sum(), 59))


def test_att_is_the_average_of_lags_over_treated_cells(make_frame, to_panel, dummies):
    frame = make_frame(units=60, growth=0.5)
    wide, labels = with_event_dummies(frame)
    beta, vcov, _ = dummies(wide, [f"e{e}" for e in labels], "unit")
    share = np.array([wide[f"e{e}"].sum() if e >= 0 else 0.0 for e in labels]) / frame["d"].sum()
    answer = event_study(to_panel(frame))
    np.testing.assert_allclose(answer.value, share @ beta, **EXACT)
    np.testing.assert_allclose(answer.std_error, np.sqrt(share @ vcov @ share), **EXACT)


def test_overlapping_and_reversible_treatments_add_up(campaigns, to_panel):
    frame, exposures = campaigns
    panel = to_panel(frame, exposures=exposures, group="group")
    labels, columns = event_columns(panel)
    event = panel.event_time
    for label, column in zip(labels, columns, strict=True):
        np.testing.assert_array_equal(column, (event == label).sum(-1))
    lags = columns[labels >= 0].sum(0)
    np.testing.assert_array_equal(lags, panel.dataset["treatment"].values.sum(-1))


def test_a_constant_effect_is_recovered_without_noise(campaigns, to_panel):
    frame, exposures = campaigns
    panel = to_panel(frame, exposures=exposures, group="group")
    active = panel.dataset["treatment"].values.sum(-1)
    quiet = panel.replace_outcome(2.0 * active + np.arange(60)[:, None] + np.sin(np.arange(16)))
    answer = event_study(quiet, by="event_time")
    np.testing.assert_allclose(answer.value.where(answer.value["event_time"] >= 0, drop=True), 2.0, atol=1e-8)
    np.testing.assert_allclose(answer.value.where(answer.value["event_time"] < 0, drop=True), 0.0, atol=1e-8)
    np.testing.assert_allclose(event_study(quiet).value, 2.0 * active[active > 0].mean(), atol=1e-8)


def test_window_bins_the_ends(make_frame, to_panel):
    answer = event_study(to_panel(make_frame(units=60)), by="event_time", window=[2, 1])
    assert list(answer.table["event_time"].values) == [-3, -2, 0, 1, 2]
    assert answer.extra["bins"] == {"-3": "-3 and earlier", "2": "2 and later"}
    again = event_study(to_panel(make_frame(units=60)), by="event_time", window=[-2, 1])
    assert list(again.table["event_time"].values) == [-3, -2, 0, 1, 2]


def test_without_never_treated_units_a_window_is_asked_for(make_frame, to_panel):
    frame = make_frame(units=60, never=0.0)
    panel = to_panel(frame[frame["start"] > 0])
    reason = event_study(panel).extra["reason"]
    assert "straight line" in reason and "window" in reason
    assert np.isfinite(event_study(panel, window=[2, 2]).value)


@pytest.mark.parametrize("wrong", [{"by": "group"}, {"window": [3]}, {"window": [3, -1]}, {"window": [1.5, 2]}])
def test_options_that_do_not_exist_are_refused(make_frame, to_panel, wrong):
    with pytest.raises(EstimandError):
        event_study(to_panel(make_frame()), **wrong)
