"""Two-way fixed effects equals the regression of the textbook, and behaves under relabelling and rescaling."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from bayes_causal.baselines import twfe, twfe_weights
from bayes_causal.errors import EstimandError

EXACT = {"rtol": 1e-7, "atol": 1e-9}


@pytest.mark.parametrize("full", [False, True], ids=["nonnested", "full"])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("missing", [0.0, 0.2], ids=["balanced", "unbalanced"])
def test_equals_least_squares_with_dummies(make_frame, to_panel, dummies, missing, weighted, full):
    frame = make_frame(missing=missing, clusters=12)
    options = {"cluster": "c", "covariates": ["x"]}
    if weighted:
        options["weights"] = "w"
    else:
        frame["w"] = 1.0
    beta, vcov, hc1 = dummies(frame, ["d", "x"], "c", full)
    answer = twfe(to_panel(frame, **options), vcov="CR1", k_fixef="full" if full else "nonnested", few_clusters=False)
    np.testing.assert_allclose(answer.value, beta[0], **EXACT)
    np.testing.assert_allclose(answer.std_error, np.sqrt(vcov[0, 0]), **EXACT)
    if full:
        np.testing.assert_allclose(answer.extra["std_error_hc1"], np.sqrt(hc1[0, 0]), **EXACT)
    x = next(row for row in answer.extra["coefficients"] if row["term"] == "x")
    np.testing.assert_allclose([x["value"], x["std_error"]], [beta[1], np.sqrt(vcov[1, 1])], **EXACT)


def test_interval_and_p_value_are_students_t_on_clusters_minus_one(make_frame, to_panel):
    answer = twfe(to_panel(make_frame(units=60)), level=0.95)
    df, value, se = 59, answer.value.item(), answer.std_error.item()
    assert answer.extra["df"] == df and answer.extra["vcov"] == "CR1"
    np.testing.assert_allclose(answer.upper - answer.value, student.ppf(0.975, df) * se)
    np.testing.assert_allclose(answer.table["p_value"], 2 * student.sf(abs(value / se), df))


def test_att_is_coefficient_times_mean_number_of_active_treatments(campaigns, to_panel):
    frame, exposures = campaigns
    panel = to_panel(frame, exposures=exposures, group="group")
    answer = twfe(panel)
    active = panel.dataset["treatment"].values.sum(-1)
    np.testing.assert_allclose(answer.extra["mean_active"], active[active > 0].mean())
    np.testing.assert_allclose(answer.value, answer.extra["coefficient"] * active[active > 0].mean())
    np.testing.assert_allclose(twfe(panel, estimand="cumulative").value, answer.value * (active > 0).sum())


def test_by_group_is_one_regression_without_pooling(campaigns, to_panel, dummies):
    frame, exposures = campaigns
    panel = to_panel(frame, exposures=exposures, group="group")
    active = panel.dataset["treatment"].values.reshape(-1, 3).astype(float)
    wide = frame.sort_values(["unit", "time"]).assign(a=active[:, 0], b=active[:, 1], c=active[:, 2], w=1.0)
    beta, vcov, _ = dummies(wide, ["a", "b", "c"], "unit")
    answer = twfe(panel, by="group")
    assert list(answer.table["group"].values) == ["a", "b", "c"]
    np.testing.assert_allclose(answer.value, beta, **EXACT)
    np.testing.assert_allclose(answer.std_error, np.sqrt(np.diag(vcov)), **EXACT)


def test_labels_do_not_matter_and_the_outcome_scales(make_frame, to_panel, rng):
    frame = make_frame(units=55)
    answer = twfe(to_panel(frame))
    names = rng.permutation(frame["unit"].nunique())
    other = twfe(to_panel(frame.assign(unit=[f"u{names[u]:03d}" for u in frame["unit"]]).sample(frac=1, random_state=1)))
    np.testing.assert_allclose([other.value, other.std_error], [answer.value, answer.std_error], **EXACT)
    scaled = twfe(to_panel(frame.assign(y=frame["y"] * -8.0)))
    np.testing.assert_allclose([scaled.value, scaled.std_error], [-8 * answer.value, 8 * answer.std_error], **EXACT)


def test_equal_weights_are_no_weights(make_frame, to_panel):
    frame = make_frame(units=55).assign(w=3.0)
    one, other = twfe(to_panel(frame)), twfe(to_panel(frame, weights="w"))
    np.testing.assert_allclose([one.value, one.std_error], [other.value, other.std_error], **EXACT)


def test_few_clusters_bring_cr3_bootstrap_and_randomisation(make_frame, to_panel):
    few = twfe(to_panel(make_frame(units=40, clusters=10), cluster="c"), draws=199, permutations=99)
    assert few.extra["vcov"] == "CR3" and few.extra["std_error_cr1"] > 0
    assert few.std_error.item() == pytest.approx(few.extra["std_error_cr3"])
    assert 0 < few.extra["wild_bootstrap"]["p_value"] <= 1 and 0 < few.extra["randomisation_inference"]["p_value"] <= 1
    assert any("10 clusters are few" in note for note in few.extra["notes"])
    many = twfe(to_panel(make_frame(units=60)))
    assert many.extra["vcov"] == "CR1" and "wild_bootstrap" not in many.extra


def test_fewer_clusters_than_regressors_is_said_and_no_variance_is_negative(campaigns, to_panel):
    frame, exposures = campaigns
    panel = to_panel(frame.assign(region=frame["unit"] % 4), exposures=exposures, group="group", cluster="region")
    answer = twfe(panel, by="group", vcov="CR1")
    assert any("rank 4 at most" in note for note in answer.extra["notes"])
    assert answer.extra["clusters"] < answer.extra["regressors"]
    se = answer.std_error.values
    assert (se[np.isfinite(se)] >= 0).all()


def test_a_single_treated_cluster_has_no_cr3(make_frame, to_panel):
    frame = make_frame(units=12)
    frame["d"] = ((frame["unit"] == 0) & (frame["time"] >= 4)).astype(int)
    answer = twfe(to_panel(frame), draws=99, permutations=19)
    assert answer.extra["vcov"] == "CR1" and answer.extra["std_error_cr3"] is None
    assert any("rests on one cluster" in note for note in answer.extra["notes"])


def test_singletons_are_counted(make_frame, to_panel):
    frame = make_frame(units=55)
    frame = frame[(frame["unit"] != 54) | (frame["time"] == 0)]
    assert twfe(to_panel(frame)).extra["singletons"] == 1


def test_a_treatment_that_period_effects_absorb_gives_a_reason(make_frame, to_panel):
    frame = make_frame(units=20)
    answer = twfe(to_panel(frame.assign(d=(frame["time"] >= 4).astype(int))))
    assert np.isnan(answer.value) and "does not vary" in answer.extra["reason"]


def test_same_seed_same_numbers(make_frame, to_panel, seed):
    panel = to_panel(make_frame(units=20))
    one, two = (twfe(panel, draws=199, permutations=99, seed=seed).extra for _ in range(2))
    assert one["wild_bootstrap"] == two["wild_bootstrap"] and one["randomisation_inference"] == two["randomisation_inference"]


@pytest.mark.parametrize(
    "wrong", [{"by": "cohort"}, {"estimand": "relative"}, {"vcov": "CR2"}, {"cluster": "cluster"}, {"cluster": "region"}]
)
def test_options_that_do_not_exist_are_refused(make_frame, to_panel, wrong):
    with pytest.raises(EstimandError):
        twfe(to_panel(make_frame()), **wrong)


def test_weights_of_cells_rebuild_the_coefficient(campaigns, to_panel, rng):
    frame, exposures = campaigns
    panel = to_panel(frame, exposures=exposures, group="group")
    table = twfe_weights(panel)
    np.testing.assert_allclose(table["weight"].sum(), 1.0)
    np.testing.assert_allclose(table.attrs["coefficient"], twfe(panel).extra["coefficient"], **EXACT)
    effect = rng.normal(size=panel.observed.shape)
    active = panel.dataset["treatment"].values.sum(-1)
    shifted = twfe(panel.replace_outcome(panel.dataset["outcome"].values + effect * active))
    moved = shifted.extra["coefficient"] - table.attrs["coefficient"]
    np.testing.assert_allclose(moved, np.sum(table["weight"].values * effect), rtol=1e-6)


def test_coefficients_carry_everything_a_table_needs(make_frame, to_panel):
    rows = pd.DataFrame(twfe(to_panel(make_frame(units=55), covariates=["x"])).extra["coefficients"])
    assert list(rows["term"]) == ["treatment", "x"]
    assert {"value", "std_error", "t", "p_value", "lower", "upper"} <= set(rows)
