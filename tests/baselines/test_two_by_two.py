"""Two-by-two comparisons: Welch's test on collapsed units, and a gate that says which cells are empty."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_ind

from bayes_causal.baselines import did_2x2
from bayes_causal.errors import EstimandError


def two_groups(frame, first=4):
    """Everyone treated starts at `first`."""
    treated = frame["start"] > 0
    return frame.assign(d=(treated & (frame["time"] >= first)).astype(int))


def test_one_start_is_welchs_t_test_of_changes(make_frame, to_panel, rng):
    frame = two_groups(make_frame(units=50))
    frame = frame[(rng.random(len(frame)) > 0.15) | (frame["time"] == 4)]
    sides = frame.groupby(["unit", frame["time"] >= 4])["y"].mean().unstack().dropna()
    change, treated = sides[True] - sides[False], frame.groupby("unit")["start"].max().reindex(sides.index) > 0
    welch = ttest_ind(change[treated], change[~treated], equal_var=False)
    answer = did_2x2(to_panel(frame), by="group", level=0.9)
    ci = welch.confidence_interval(0.9)
    np.testing.assert_allclose(answer.value, [change[treated].mean() - change[~treated].mean()])
    np.testing.assert_allclose([answer.lower.item(), answer.upper.item()], [ci.low, ci.high])
    np.testing.assert_allclose(answer.table["p_value"], [welch.pvalue])


def test_gate_names_the_empty_cells(campaigns, to_panel):
    frame, exposures = campaigns
    table = pd.DataFrame(did_2x2(to_panel(frame, exposures=exposures, group="group"), by="group").extra["groups"]).set_index(
        "group"
    )
    assert list(table["valid"]) == [True, True, False]
    assert table.loc["c", "reason"] == "empty: treated pre, control pre"
    never = 60 - 42
    assert table.loc["a", ["treated_pre_cells", "treated_post_cells"]].tolist() == [25 * 5, 25 * 4]
    assert table.loc["a", ["control_pre_cells", "control_post_cells"]].tolist() == [never * 5, never * 4]
    assert table.loc["a", "overlap_share"] == pytest.approx(10 * 2 / (25 * 4))


def test_no_controls_is_a_reason(make_frame, to_panel):
    frame = make_frame(never=0.0, units=40)
    answer = did_2x2(to_panel(two_groups(frame[frame["start"] > 0])))
    assert np.isnan(answer.value) and "control" in answer.extra["reason"]


def test_controls_outside_the_window_serve_when_asked(campaigns, to_panel):
    frame, exposures = campaigns
    panel = to_panel(frame, exposures=exposures, group="group")
    table = did_2x2(panel, by="group", control="not_in_window", pre_periods=1).extra["groups"]
    assert table[0]["control_post_units"] == 60 - 42 + 2
    assert table[0]["treated_pre_cells"] == 25


def test_overall_is_the_average_over_treated_cells(campaigns, to_panel):
    frame, exposures = campaigns
    panel = to_panel(frame, exposures=exposures, group="group")
    by, overall = did_2x2(panel, by="group"), did_2x2(panel)
    assert overall.value.item() == pytest.approx(np.average(by.value.values[:2], weights=[25 * 4, 25 * 5]))


def test_clusters_replace_units(make_frame, to_panel):
    frame = make_frame(units=48, clusters=12)
    frame["d"] = ((frame["c"] % 2 == 0) & (frame["time"] >= 4)).astype(int)
    frame["y"] += (frame["c"] * 0.7) * (frame["time"] >= 4)
    one, two = did_2x2(to_panel(frame, cluster="c")), did_2x2(to_panel(frame, cluster="c"), cluster="unit")
    assert one.value.item() == pytest.approx(two.value.item())
    assert one.extra["clusters"] == 12 and two.extra["clusters"] == 48
    assert one.std_error > 1.2 * two.std_error


def test_starts_within_a_group_are_compared_over_their_own_periods(make_frame, to_panel):
    """A common trend in time must not leak into the effect where units of a group start at different times."""
    frame = make_frame(units=40)
    frame["y"] = 5.0 * frame["time"] ** 2 + 1.5 * frame["d"] + frame["unit"]
    answer = did_2x2(to_panel(frame))
    np.testing.assert_allclose(answer.value, 1.5)
    assert answer.extra["groups"][0]["starts"] == 2


def test_a_start_with_one_unit_keeps_its_group(make_frame, to_panel):
    frame = two_groups(make_frame(units=40))
    late = frame.loc[frame["d"] == 1, "unit"].iloc[0]
    frame.loc[(frame["unit"] == late) & (frame["time"] < 6), "d"] = 0
    answer, without = did_2x2(to_panel(frame)), did_2x2(to_panel(frame[frame["unit"] != late]))
    assert answer.extra["groups"][0]["starts"] == 2
    assert answer.std_error.item() == pytest.approx(without.std_error.item(), rel=0.25)


@pytest.mark.parametrize("wrong", [{"by": "time"}, {"control": "nobody"}, {"pre_periods": 0}])
def test_options_that_do_not_exist_are_refused(make_frame, to_panel, wrong):
    with pytest.raises(EstimandError):
        did_2x2(to_panel(make_frame()), **wrong)
