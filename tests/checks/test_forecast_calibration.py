"""Ranks of the realised effect and of the counterfactual, and wrong forecasts that they must catch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayes_causal as bc
from bayes_causal.checks.calibration import calibration
from bayes_causal.checks.forecast_calibration import of_outcome, simulate_and_forecast, simulated
from bayes_causal.inference import generate
from bayes_causal.models import series_errors, series_predictive

PRE, POST = 26, 6
SIZE: dict[str, int] = {"replicates": 200, "draws": 99, "thin": 4}


def model(prior_set: str, controls: int = 1) -> bc.StructuralTimeSeries:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"t": np.arange(PRE + POST), "y": rng.standard_normal(PRE + POST).cumsum()})
    names = [f"x{k}" for k in range(controls)]
    for name in names:
        frame[name] = rng.standard_normal(PRE + POST)
    series = bc.TimeSeries.from_frame(frame, time="t", outcome="y", controls=names, intervention=PRE)
    return bc.StructuralTimeSeries(series, prior_set=prior_set, expected_model_size=0.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("prior_set", ["calibrated", "causalimpact"])
def test_the_realised_effect_ranks_uniformly(prior_set: str, seed: int) -> None:
    """200 replicates; Holm over five quantities: a right model fails once in 1,000 seeds, and the seed is fixed."""
    found = simulate_and_forecast(model(prior_set), seed=seed, **SIZE)
    assert found["trusted"].mean() > 0.95
    assert list(found["quantity"].values)[:2] == ["att", "cumulative"]
    judged = calibration(found, error_rate=0.001)
    assert judged.passed, judged.text


def error_not_continued(
    _: Any, expected: np.ndarray, sites: Mapping[str, np.ndarray], d: Any, rng: np.random.Generator
) -> np.ndarray:
    """The planted fault: after the pre-period the AR error starts from 0."""
    noise = sites["sigma"][..., None] * rng.standard_normal(expected.shape)
    for t in range(d.span + 1, d.rows):
        noise[..., t] += sites["rho"] * noise[..., t - 1]
    return noise


def first_innovation_forgotten(
    _: Any, expected: np.ndarray, sites: Mapping[str, np.ndarray], d: Any, rng: np.random.Generator
) -> np.ndarray:
    """The planted fault: the error is carried on, and the news of the first date after the pre-period are left out."""
    noise = sites["sigma"][..., None] * rng.standard_normal(expected.shape)
    noise[..., d.span] = sites["rho"] * (d.y[d.span - 1] - expected[..., d.span - 1])
    for t in range(d.span + 1, d.rows):
        noise[..., t] += sites["rho"] * noise[..., t - 1]
    return noise


RIGHT_PATHS = series_predictive.paths


def level_stands_still(parts: Any, sites: Mapping[str, np.ndarray], d: Any, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The planted fault: the level stays what it was at the last date of the pre-period."""
    found = RIGHT_PATHS(parts, sites, d, rng)
    level = found["level"].copy()
    level[..., d.span :] = level[..., d.span - 1 : d.span]
    return found | {"level": level}


@pytest.mark.parametrize("fault", [error_not_continued, first_innovation_forgotten])
def test_a_wrong_error_in_the_forecast_is_caught(fault: Any, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the replicates: half of all ρ the prior draws are too small for an error forgotten to be seen."""
    monkeypatch.setattr(series_errors.Autoregressive, "ahead", fault)
    judged = calibration(simulate_and_forecast(model("calibrated"), seed=seed, **(SIZE | {"replicates": 400})), error_rate=0.001)
    assert judged.passed is False and judged.blocks, fault.__doc__


def test_a_level_that_stands_still_is_caught(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under priors that let the level move as much as the error; truths are simulated before the fault is planted."""
    wide = model("calibrated").variant(priors=type(model("calibrated").priors)(level_ratio=3.0), ar=0)
    rng = np.random.default_rng(seed)
    truth = simulated(wide, generate.prior_sites(wide, 200, seed), rng)
    monkeypatch.setattr("bayes_causal.checks.forecast_calibration.simulated", lambda *_: truth)
    assert calibration(simulate_and_forecast(wide, seed=seed, **SIZE), error_rate=0.001).passed
    monkeypatch.setattr(series_predictive, "paths", level_stands_still)
    judged = calibration(simulate_and_forecast(wide, seed=seed, **SIZE), error_rate=0.001)
    assert judged.passed is False, judged.text


def test_replicates_are_standardised_as_the_original(seed: int) -> None:
    """Another outcome, the same centre, scale, initial-level mean and slab; the effect is in the post-period alone."""
    base = model("calibrated")
    y = np.random.default_rng(seed).normal(100, 30, PRE + POST)
    again = of_outcome(base, y, added=5.0)
    for name in ("center", "scale", "first"):
        assert getattr(again.design, name) == getattr(base.design, name)
    assert again.design.information is base.design.information
    np.testing.assert_allclose(base.design.center + base.design.scale * again.design.y, y)
    np.testing.assert_allclose(again.series.dataset["outcome"].values - y, 5.0 * base.series.post)
    assert not np.allclose(base.design.y, again.design.y)
