"""A made-up run with everything a report can hold, built from plain numbers; no model is fitted."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

from bayes_causal.checks.base import Check
from bayes_causal.data.kinds import KINDS
from bayes_causal.estimates import Estimand, Estimate, from_draws, from_normal, not_applicable
from bayes_causal.reports import tables, text
from bayes_causal.reports.content import RunContent

ATT, UNIT = Estimand("att"), "log_sales"
CHAINS, DRAWS = 4, 500


def draws(rng: np.random.Generator, mean: Any, sd: Any, dims: dict[str, Any] | None = None) -> xr.DataArray:
    mean = np.asarray(mean, float)
    values = mean + np.asarray(sd) * rng.standard_normal((CHAINS, DRAWS, *mean.shape))
    values += mean - values.mean((0, 1))
    return xr.DataArray(values, dims=("chain", "draw", *(dims or {})), coords=dict(dims or {}))


def checks(*, reliable: bool) -> list[Check]:
    table = [
        {"parameter": p, "r_hat": 1.0 + 0.001 * k, "ess_bulk": 2100.0 - 70 * k}
        for k, p in enumerate(["att", "tau", "omega", "sigma"])
    ]
    r_hat = 1.002 if reliable else 1.31
    found = "every chain tells the same story" if reliable else "chains disagree, so the draws do not represent the posterior"
    return [
        Check(
            "convergence",
            reliable,
            "blocking",
            f"R-hat is at most {r_hat}: {found}.",
            {"max_r_hat": r_hat, "min_ess": 1890, "divergences": 0},
            table,
        ),
        Check(
            "posterior_predictive",
            True,
            "warning",
            "Simulated data have the mean, spread and autocorrelation of the observed.",
            {"p_mean": 0.48},
        ),
        Check(
            "pretrend",
            True,
            "blocking",
            "Leads are near zero: no sign that treated units moved apart before onset.",
            {"max_lead": 0.011},
        ),
        Check(
            "prior_sensitivity",
            False,
            "warning",
            "The effect moves by 0.3 posterior sd when the prior scale of ω is doubled.",
            {"power_scaling": 0.12},
        ),
        Check(
            "twfe_weights",
            None,
            "info",
            "7% of the two-way weights are negative.",
            {"share_negative": 0.07},
            [{"cohort": "a", "weight": float("nan")}],
        ),
        Check("mde", None, "info", "An effect of 0.031 would be found with 80% power.", {"mde": 0.031}),
    ]


def bayesian(
    rng: np.random.Generator, groups: list[str], times: list[int], tree: dict[str, Any], shift: float, rope: Any
) -> list[Estimate]:
    def ask(values: xr.DataArray, by: str | None) -> Estimate:
        return from_draws(values, Estimand("att", "mean", by), "hierarchical_did", rope=rope, unit=UNIT)

    tree["att"] = draws(rng, 0.042 + shift, 0.0128)
    answers = [ask(tree["att"], None)]
    if groups:
        spread = np.linspace(-0.03, 0.04, len(groups))
        tree["tau_group"] = draws(rng, 0.042 + shift + spread, 0.018, {"group": groups})
        answers.append(ask(tree["tau_group"], "group"))
    times = [t for t in times if t != -1]
    if times:
        path = np.array([0.002 * t if t < 0 else 0.045 * (1 - np.exp(-0.5 * (t + 1))) for t in times]) + shift
        tree["tau_event"] = draws(rng, path, 0.012, {"event_time": times})
        answers.append(ask(tree["tau_event"], "event_time"))
    return answers


def frequentist(rng: np.random.Generator, groups: list[str], times: list[int], shift: float) -> list[Estimate]:
    coefficients = {"coefficients": [{"term": "treated", "value": 0.036, "std_error": 0.014}]}
    answers = [
        from_normal(0.036 + shift, 0.014, ATT, "twfe", unit=UNIT, extra={"clusters": 2469} | coefficients),
        from_normal(0.049 + shift, 0.017, ATT, "callaway_santanna", unit=UNIT),
        from_normal(0.071 + shift, 0.019, ATT, "sun_abraham", unit=UNIT),
        not_applicable(ATT, "did_2x2", "treatment starts at 27 different dates, and a 2×2 contrast needs one", unit=UNIT),
    ]
    if groups:
        alone = 0.042 + shift + np.linspace(-0.03, 0.04, len(groups)) * 2.2 + 0.01 * rng.standard_normal(len(groups))
        answers.append(
            from_normal(
                alone, np.full(len(groups), 0.045), Estimand("att", "mean", "group"), "twfe", coords={"group": groups}, unit=UNIT
            )
        )
    for k, method in enumerate(("event_study", "callaway_santanna")):
        if times:
            path = np.array([0.003 * t if t < 0 else 0.04 for t in times]) + 0.004 * rng.standard_normal(len(times)) + 0.004 * k
            estimand = Estimand("att", "mean", "event_time")
            answers.append(
                from_normal(path, np.full(len(times), 0.016), estimand, method, coords={"event_time": times}, unit=UNIT)
            )
    return answers


def tree_of(
    rng: np.random.Generator, posterior: dict[str, Any], groups: list[str], *, predictive: bool, dates: bool
) -> xr.DataTree:
    n = 53
    time = (
        np.arange("2023-01-02", "2024-01-08", 7, dtype="datetime64[D]").astype("datetime64[ns]")[:n]
        if dates
        else 2000 + np.arange(n)
    )
    base = 2.1 + 0.1 * np.sin(np.arange(n) / 6) + 0.02 * rng.standard_normal(n)
    starts = np.linspace(8, 40, max(len(groups), 1)).astype(int)
    active = np.array([60 * ((k >= starts) & (k < starts + 9)).sum() for k in range(n)])
    names = groups or ["treated"]
    constant = xr.Dataset(
        {
            "raw_mean": (("status", "time"), np.stack([base + 0.15 + 0.0004 * active, base])),
            "raw_count": (("status", "time"), np.full((2, n), 1200)),
            "active_cells": ("time", active),
            "group_start": ("group", time[starts]),
            "group_end": ("group", time[np.minimum(starts + 8, n - 1)]),
            "group_units": ("group", 40 + np.arange(len(names))),
            "group_cells": ("group", 360 + 9 * np.arange(len(names))),
        },
        coords={"status": ["treated", "untreated"], "time": time, "group": names},
    )
    y = rng.normal(2.1, 0.6, 800)
    prior = xr.Dataset({"att": (("chain", "draw"), rng.normal(0, 0.6, (1, 1000)))})
    observed = xr.Dataset({"y": ("row", y)})
    record = {
        "model": "hierarchical_did",
        "options": {"effect": "group", "errors": "ar1"},
        "priors": {"tau": 1.0, "omega": 0.5, "sigma": 1.0},
        "engine": {"name": "collapsed", "reason": "the model is linear and Gaussian given five numbers"},
        "seed": 1,
        "versions": {},
        "device": "cpu",
        "precision": "float64",
        "data_digest": "0" * 64,
        "seconds": {},
    }
    of = {
        "posterior": xr.Dataset(posterior),
        "sample_stats": xr.Dataset(),
        "log_prior": xr.Dataset(),
        "prior": prior,
        "observed_data": observed,
        "constant_data": constant,
    }
    if predictive:
        of["posterior_predictive"] = xr.Dataset({"y": (("chain", "draw", "row"), rng.normal(2.1, 0.6, (1, 60, 800)))})
    tree = xr.DataTree.from_dict(of)
    tree.attrs["bayes_causal"] = json.dumps(record)
    return tree


def build(
    *,
    name: str = "campaigns",
    groups: int | list[str] = 12,
    times: list[int] | None = None,
    reliable: bool = True,
    predictive: bool = True,
    dates: bool = True,
    shift: float = 0.0,
    rope: tuple[float, float] | None = (-0.01, 0.01),
) -> RunContent:
    """A run; every option takes one thing away or makes it awkward."""
    rng = np.random.default_rng(20240)
    names = [f"campaign {k + 1:02d}" for k in range(groups)] if isinstance(groups, int) else groups
    times = list(range(-6, 9)) if times is None else times
    posterior: dict[str, Any] = {}
    own = bayesian(rng, names, times, posterior, shift, rope)
    estimates = own + frequentist(rng, names, times, shift)
    rows, coefficients = tables.split_coefficients([row for e in estimates for row in e.rows()])
    study = {
        "name": name,
        "data": {
            "source": "panel.parquet",
            "kind": "panel",
            "unit": "household_id",
            "time": "week",
            "outcome": UNIT,
            "treatment": "treated",
            "group": "campaign",
        },
        "model": {"name": "hierarchical_did", "options": {"effect": "group", "errors": "ar1"}, "priors": {"omega": 0.5}},
        "engine": {"name": "auto", "draws": DRAWS, "chains": CHAINS, "warmup": 1000, "seed": 1},
        "level": 0.9,
        "interval": "eti",
        "rope": list(rope) if rope else None,
    }
    assumptions = [
        (
            "parallel_trends",
            "Without treatment, treated and untreated units would have moved in parallel.",
            ("pretrend", "placebo_time"),
        ),
        ("no_anticipation", "Nobody reacts before the treatment starts.", ("pretrend",)),
        ("no_interference", "One unit's treatment leaves the outcomes of others alone.", ()),
    ]
    manifest = {
        "study": study,
        "data": {
            "sha256": "9f2c" * 16,
            "rows_read": 130_990,
            "rows_kept": 130_857,
            "dropped": {"outcome missing": 133},
            "units": 2469,
            "periods": 53,
        },
        "versions": {"bayes-causal": "0.1.0", "numpy": "2.4.6", "jax": "0.9.2"},
        "python": "3.11.9",
        "platform": "Linux",
        "device": "cpu",
        "precision": "float64",
        "seeds": {"engine": 1},
        "engine": {"name": "collapsed", "reason": "the model is linear and Gaussian given five numbers", "path": "iid sums"},
        "seconds": {"data": 0.8, "fit.sample": 3.2, "baselines": 4.1, "report": 130.0},
        "started": "2025-06-01T10:00:00+00:00",
        "finished": "2025-06-01T10:02:18+00:00",
        "revision": None,
        "assumptions": [[a, s, list(c)] for a, s, c in assumptions],
    }
    found = checks(reliable=reliable)
    return RunContent(
        study=study,
        verdict=text.verdict(own[0].rows()[0], found, rope),
        rows=rows,
        comparison=tables.comparison(estimates, own[0]),
        checks=found,
        manifest=manifest,
        tree=tree_of(rng, posterior, names, predictive=predictive, dates=dates),
        assumptions=assumptions,
        coefficients=coefficients,
    )


ROWS, START = 60, 42
PATHS = ("chain", "draw", "time")


def build_series(
    *, unit: str = "sales", effect: float = -5.0, controls: int = 3, dates: bool = True, missing: int | None = 50
) -> RunContent:
    """A made-up run: random-walk level, controls, an effect from the 43rd of 60 dates on, the last two beyond its end."""
    rng = np.random.default_rng(1)
    months = np.arange("2019-01", "2024-01", dtype="datetime64[M]").astype("datetime64[ns]")
    time = months if dates else np.arange(ROWS)
    level = 100 + rng.normal(size=(CHAINS, DRAWS, ROWS)).cumsum(-1) * 0.1
    x = rng.normal(3, 2, (ROWS, controls))
    beta = np.linspace(1, 0, controls) + 0.05 * rng.normal(size=(CHAINS, DRAWS, controls))
    counterfactual = level + (x - x[:START].mean(0)) @ beta[..., None].mean((0, 1))[:, 0] + rng.normal(size=level.shape)
    position = np.arange(ROWS)
    post = (position >= START) & (position < ROWS - 2)
    outcome = counterfactual.mean((0, 1)) + effect * (position >= START) + 0.5 * rng.normal(size=ROWS)
    if missing is not None:
        outcome[missing] = np.nan
    posterior: dict[str, Any] = {"counterfactual": (PATHS, counterfactual), "level": (PATHS, level)}
    facts: dict[str, Any] = {"outcome": ("time", outcome), "pre": ("time", position < START), "post": ("time", post)}
    coords: dict[str, Any] = {"time": time}
    if controls:
        posterior |= {"beta": (("chain", "draw", "control"), beta)}
        chance = np.linspace(1, 0.1, controls)
        posterior["inclusion"] = (("chain", "draw", "control"), (rng.random(beta.shape) < chance).astype(float))
        facts["controls"] = (("time", "control"), x)
        coords["control"] = [f"$x_{k}$ with a name that is far too long" for k in range(controls)]
    return _series_content(xr.Dataset(posterior, coords), xr.Dataset(facts, coords), unit)


def _series_content(posterior: xr.Dataset, facts: xr.Dataset, unit: str) -> RunContent:
    used = facts["post"].values & np.isfinite(facts["outcome"].values)
    gap = (facts["outcome"] - posterior["counterfactual"]).transpose(*PATHS).isel(time=used)
    without = posterior["counterfactual"].isel(time=used)
    answers = {"att": gap.mean("time"), "cumulative": gap.sum("time"), "relative": gap.sum("time") / without.sum("time")}
    own = [from_draws(v, Estimand(k, "realised"), "structural_time_series", unit=unit) for k, v in answers.items()]
    own.append(from_draws(gap, Estimand("att", "realised", "time"), "structural_time_series", unit=unit))
    other = from_normal(float(own[0].value) + 1, 2.0, Estimand("att", "realised"), "ols_pre_period", unit=unit)
    estimates = [*own, other]
    found = [Check("convergence", True, "blocking", "The chains agree."), Check("control_drift", True, "warning", "None moved.")]
    record = {"model": "structural_time_series", "options": {"level": "local_level", "ar": 1}, "priors": {}, "engine": {}}
    record |= {"seed": 1, "versions": {}, "device": "cpu", "precision": "float64", "data_digest": "0", "seconds": {}}
    tree = xr.DataTree.from_dict({"posterior": posterior, "constant_data": facts, "prior": posterior.isel(draw=slice(20))})
    tree.attrs["bayes_causal"] = json.dumps(record)
    kind = KINDS["time_series"]
    study = {
        "name": "shop",
        "data": {"source": "a.csv", "kind": "time_series", "time": "month", "outcome": unit, "intervention": "2022-07-01"},
        "model": {"name": "structural_time_series"},
        "level": 0.9,
    }
    counts = {"rows_read": 60, "rows_kept": 60, "dates": 60, "pre_dates": 42, "post_dates": 16, "controls": 3}
    rows, _ = tables.split_coefficients([row for e in estimates for row in e.rows()])
    return RunContent(
        study=study,
        verdict=text.verdict(own[0].rows()[0], found, kind=kind),
        rows=rows,
        comparison=tables.comparison(estimates, own[0]),
        checks=found,
        manifest={"study": study, "data": counts, "engine": {}, "seconds": {}},
        tree=tree,
    )


@pytest.fixture
def make() -> Callable[..., RunContent]:
    return build


@pytest.fixture(scope="session")
def content() -> RunContent:
    return build()


@pytest.fixture(scope="session")
def make_series() -> Callable[..., RunContent]:
    return build_series


@pytest.fixture(scope="session")
def series_content() -> RunContent:
    return build_series()
