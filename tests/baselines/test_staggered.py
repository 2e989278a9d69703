"""Staggered estimators against the libraries others use, by hand, and their refusals."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from bayes_causal.baselines import att_gt, callaway_santanna, did2s, sun_abraham
from bayes_causal.errors import EstimandError

STAGGERED = [callaway_santanna, sun_abraham, did2s]
EXACT = {"rtol": 1e-7, "atol": 1e-9}


def diff_diff(frame, covariates=None, **options):
    """diff-diff's ATT(g, t) and simple att."""
    from diff_diff import CallawaySantAnna

    given = frame.assign(time=frame["time"] + 1, start=np.where(frame["start"] > 0, frame["start"] + 1, 0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = CallawaySantAnna(**options).fit(
            given, outcome="y", unit="unit", time="time", first_treat="start", covariates=covariates
        )
    rows = [{"cohort": int(g) - 1, "time": int(t) - 1} | cell for (g, t), cell in fit.group_time_effects.items()]
    return pd.DataFrame(rows), fit


def test_doubly_robust_is_two_regressions(make_frame, to_panel):
    """One cohort, one period: logit and least squares by statsmodels, put together as Sant'Anna and Zhao's normalised estimator.

    diff-diff divides the controls' part by the number of treated units instead of by the sum of its weights.
    """
    import statsmodels.api as sm

    frame = make_frame(units=150)
    wide = frame.pivot(index="unit", columns="time")
    use = wide["start"][0].isin([0, 3]).to_numpy()
    change, d = (wide["y"][4] - wide["y"][2]).to_numpy()[use], (wide["start"][0] == 3).to_numpy()[use]
    x = sm.add_constant(wide["x"][2].to_numpy()[use])
    propensity = sm.Logit(d.astype(float), x).fit(disp=0, tol=1e-12).predict(x)
    left = change - sm.OLS(change[~d], x[~d]).fit().predict(x)
    odds = (propensity / (1 - propensity))[~d]
    ours = att_gt(to_panel(frame, covariates=["x"]))["value"].sel(cohort=3, time=4)
    np.testing.assert_allclose(ours, left[d].mean() - odds @ left[~d] / odds.sum(), rtol=1e-9)
    theirs = diff_diff(frame, ["x"], control_group="never_treated")[0].set_index(["cohort", "time"]).loc[(3, 4), "effect"]
    np.testing.assert_allclose(theirs, left[d].mean() - odds @ left[~d] / d.sum(), rtol=1e-7)


@pytest.mark.parametrize("control", ["never_treated", "not_yet_treated"])
@pytest.mark.parametrize("base", ["varying", "universal"])
@pytest.mark.parametrize("covariates", [False, True], ids=["means", "doubly robust"])
def test_group_time_effects_equal_diff_diffs(make_frame, to_panel, control, base, covariates):
    frame = make_frame(units=150, growth=0.5)
    theirs, fit = diff_diff(frame, ["x"] if covariates else None, control_group=control, base_period=base)
    panel = to_panel(frame, covariates=["x"] if covariates else [])
    table = att_gt(panel, control_group=control, base_period=base)
    known = theirs[np.isfinite(theirs["effect"])]
    near = {"atol": 1e-3} if covariates else {"rtol": 1e-7, "atol": 1e-10}  # another normalisation, see the test above
    for row in known.itertuples():
        ours = table.sel(cohort=row.cohort, time=row.time)
        np.testing.assert_allclose(ours["value"], row.effect, **near)
        if np.isfinite(row.se):
            np.testing.assert_allclose(ours["std_error"], row.se, rtol=0.02)
    att = callaway_santanna(panel, control_group=control, base_period=base)
    np.testing.assert_allclose(att.value, fit.overall_att, **near)
    np.testing.assert_allclose(att.std_error, fit.overall_se, rtol=0.02)


def test_averages_follow_their_definitions(make_frame, to_panel):
    frame = make_frame(units=120, growth=0.5)
    panel = to_panel(frame)
    table = att_gt(panel)["value"]
    size = frame[frame["start"] > 0].groupby("start")["unit"].nunique()
    cells = [(g, t, table.sel(cohort=g, time=t).item(), size[g]) for g in size.index for t in range(g, 8)]
    g, t, effect, n = map(np.array, zip(*cells, strict=True))
    np.testing.assert_allclose(callaway_santanna(panel).value, np.average(effect, weights=n))
    dynamic = callaway_santanna(panel, by="event_time")
    for e in np.unique(t - g):
        use = t - g == e
        np.testing.assert_allclose(dynamic.value.sel(event_time=e), np.average(effect[use], weights=n[use]))
    per_period = [np.average(effect[t == k], weights=n[t == k]) for k in np.unique(t)]
    np.testing.assert_allclose(callaway_santanna(panel, by="time").value, per_period)
    np.testing.assert_allclose(callaway_santanna(panel, aggregate="calendar").value, np.mean(per_period))
    per_cohort = [effect[g == k].mean() for k in size.index]
    np.testing.assert_allclose(callaway_santanna(panel, by="cohort").value, per_cohort)
    np.testing.assert_allclose(callaway_santanna(panel, aggregate="group").value, np.average(per_cohort, weights=size))


def test_influence_agrees_with_the_spread_over_samples(rng, to_panel):
    """Standard errors of 300 samples against the spread of their estimates: ratio 1 ± 0.13, three sd of a sample sd."""
    values, errors = [], []
    unit, time = np.indices((90, 6)).reshape(2, -1)
    for _ in range(300):
        start = rng.choice([0, 2, 4], 90)
        d = (start[unit] > 0) & (time >= start[unit])
        y = rng.normal(size=90)[unit] + rng.normal(size=unit.size) + d * (1.0 + (start[unit] == 2))
        answer = callaway_santanna(to_panel(pd.DataFrame({"unit": unit, "time": time, "y": y, "d": d.astype(int)})))
        values.append(answer.value.item())
        errors.append(answer.std_error.item())
    assert np.mean(errors) / np.std(values, ddof=1) == pytest.approx(1.0, abs=0.13)


@pytest.mark.parametrize("cluster", [0, 15], ids=["units", "clusters"])
def test_sun_abraham_equals_pyfixests_saturated_regression(make_frame, to_panel, cluster):
    import pyfixest

    frame = make_frame(units=90, growth=0.5, clusters=cluster)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = pyfixest.event_study(frame, "y", "unit", "time", "start", estimator="saturated", cluster="c")
        theirs = fit.aggregate()
    answer = sun_abraham(to_panel(frame, cohort="start", **({"cluster": "c"} if cluster else {})), by="event_time")
    np.testing.assert_allclose(answer.value, theirs["Estimate"].to_numpy(float), **EXACT)
    # pyfixest's factor (N − 1)/(N − k) counts the columns it dropped for collinearity; ours only those in the regression
    np.testing.assert_allclose(answer.std_error, theirs["Std. Error"].to_numpy(float), rtol=0.02)


def test_sun_abraham_equals_least_squares_with_dummies(make_frame, to_panel, dummies):
    frame = make_frame(units=40, missing=0.1)
    event = np.where(frame["start"] > 0, frame["time"] - frame["start"], -1)
    pairs = sorted({(g, e) for g, e in zip(frame["start"], event, strict=True) if e != -1})
    wide = frame.assign(**{f"g{g}e{e}": ((frame["start"] == g) & (event == e)).astype(float) for g, e in pairs})
    names = [f"g{g}e{e}" for g, e in pairs]
    beta, vcov, _ = dummies(wide, [*names, "x"], "unit")
    share = np.array([wide[n].sum() * (e >= 0) for n, (_, e) in zip(names, pairs, strict=True)])
    share = np.append(share / share.sum(), 0.0)
    answer = sun_abraham(to_panel(frame, cohort="start", covariates=["x"], weights="w"))
    np.testing.assert_allclose(answer.value, share @ beta, **EXACT)
    np.testing.assert_allclose(answer.std_error, np.sqrt(share @ vcov @ share), **EXACT)


def test_sun_abraham_equals_callaway_santanna_on_balanced_panels(make_frame, to_panel):
    panel = to_panel(make_frame(units=80, growth=0.5))
    np.testing.assert_allclose(sun_abraham(panel).value, callaway_santanna(panel).value)
    np.testing.assert_allclose(sun_abraham(panel, by="cohort").value, callaway_santanna(panel, by="cohort").value)


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("covariates", [[], ["x"]], ids=["none", "x"])
def test_did2s_equals_pyfixests(make_frame, to_panel, weights, covariates):
    import pyfixest

    frame = make_frame(units=60, growth=0.5, clusters=20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = pyfixest.did2s(
            frame.copy(),
            yname="y",
            first_stage=f"~ {' + '.join(covariates) or '0'} | unit + time",
            second_stage="~ d",
            treatment="d",
            cluster="c",
            weights=weights,
        )
    answer = did2s(to_panel(frame, cluster="c", covariates=covariates, weights=weights))
    np.testing.assert_allclose(answer.value, theirs.coef().iloc[0], rtol=1e-6)
    np.testing.assert_allclose(answer.std_error, theirs.se().iloc[0], rtol=1e-6)


def test_did2s_is_the_mean_of_what_an_untreated_regression_leaves(make_frame, to_panel, dummies):
    frame = make_frame(units=50, missing=0.1).assign(w=1.0)
    untreated = frame[frame["d"] == 0]
    units, times = np.unique(untreated["unit"]), np.unique(untreated["time"])

    def design(f):
        return np.concatenate([np.equal.outer(f["unit"].to_numpy(), units), np.equal.outer(f["time"].to_numpy(), times)], 1)

    beta = np.linalg.lstsq(design(untreated).astype(float), untreated["y"].to_numpy(), rcond=None)[0]
    treated = frame[(frame["d"] == 1) & frame["unit"].isin(units) & frame["time"].isin(times)]
    left = treated["y"].to_numpy() - design(treated) @ beta
    panel = to_panel(frame, cohort="start")
    np.testing.assert_allclose(did2s(panel).value, left.mean())
    by = did2s(panel, by="time")
    for k in by.table["time"].values:
        np.testing.assert_allclose(by.value.sel(time=k), left[treated["time"].to_numpy() == k].mean())


@pytest.mark.parametrize("method", STAGGERED)
def test_labels_do_not_matter_and_the_outcome_scales(make_frame, to_panel, rng, method):
    frame = make_frame(units=50)
    answer, names = method(to_panel(frame)), rng.permutation(50)
    other = method(to_panel(frame.assign(unit=names[frame["unit"]], y=-4 * frame["y"], time=frame["time"] + 1990)))
    np.testing.assert_allclose([other.value, other.std_error], [-4 * answer.value, 4 * answer.std_error], **EXACT)


@pytest.mark.parametrize("method", STAGGERED)
def test_reversible_treatments_are_not_their_case_unless_cut(campaigns, to_panel, method):
    frame, exposures = campaigns
    panel = to_panel(frame, exposures=exposures[exposures["group"] != "c"], group="group")
    answer = method(panel)
    assert np.isnan(answer.value) and "switches off" in answer.extra["reason"] and "first_exposure" in answer.extra["reason"]
    cut = method(panel, absorb="first_exposure")
    assert np.isfinite(cut.value) and cut.extra["cells_cut"] > 0 and "first exposure" in cut.extra["note"]


@pytest.mark.parametrize("method", STAGGERED)
def test_overlapping_treatments_are_not_their_case_even_if_they_stay(campaigns, to_panel, method):
    frame, exposures = campaigns
    panel = to_panel(frame, exposures=exposures[exposures["group"] != "c"].assign(end=15), group="group")
    assert panel.absorbing
    assert "overlap or follow each other in 10 units" in method(panel).extra["reason"]


@pytest.mark.parametrize("method", STAGGERED)
def test_units_treated_throughout_say_nothing(make_frame, to_panel, method):
    frame = make_frame(units=50)
    always = frame.assign(unit=frame["unit"] + 50, d=1, y=frame["y"] + 9)
    answer = method(to_panel(pd.concat([frame, always[always["unit"] < 55]])))
    assert answer.extra["always_treated_units"] == 5
    np.testing.assert_allclose(answer.value, method(to_panel(frame)).value, **EXACT)


def test_without_never_treated_units(make_frame, to_panel):
    frame = make_frame(units=60, never=0.0)
    panel = to_panel(frame[frame["start"] > 0])
    assert "not_yet_treated" in callaway_santanna(panel).extra["reason"]
    assert np.isfinite(callaway_santanna(panel, control_group="not_yet_treated").value)
    assert "never-treated" in sun_abraham(panel).extra["reason"]
    assert did2s(panel).extra["cells_without_counterfactual"] > 0
    one = to_panel(frame[frame["start"] == 3])
    assert "same period" in callaway_santanna(one, control_group="not_yet_treated").extra["reason"]


@pytest.mark.parametrize(
    ("method", "wrong"),
    [
        (callaway_santanna, {"control_group": "never"}),
        (callaway_santanna, {"by": "group"}),
        (callaway_santanna, {"aggregate": "mean"}),
        (sun_abraham, {"by": "time"}),
        (sun_abraham, {"absorb": "last"}),
        (did2s, {"fixed_effects": "state"}),
        (did2s, {"fixed_effects": "cluster"}),
    ],
)
def test_options_that_do_not_exist_are_refused(make_frame, to_panel, method, wrong):
    with pytest.raises(EstimandError):
        method(to_panel(make_frame()), **wrong)
