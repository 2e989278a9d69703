"""Units that move together are noticed; those that do not are left in peace, at the rate that the check states."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayes_causal as bc
from bayes_causal.checks.common_shocks import common_shocks
from bayes_causal.inference.tree import dataset
from bayes_causal.models.hierarchical_did import HierarchicalDiD

UNITS, PERIODS = 8, 20
TRUTH = {"sigma": 1.0, "rho": 0.4, "level_ratio": 0.1, "sigma_slope": 0.2, "lag_first": 0.5, "step_lag": 0.1}


@pytest.fixture(scope="module")
def model() -> bc.HierarchicalTimeSeries:
    unit, time = (v.ravel() for v in np.indices((UNITS, PERIODS)))
    on = (time >= np.array([8, 10, 12, 14, 99, 99, 99, 99])[unit]).astype(int)
    y = 3.0 * unit + np.random.default_rng(1).standard_normal(unit.size)
    table = pd.DataFrame({"unit": unit, "time": time, "y": y, "on": on})[(unit + time) % 9 != 4]
    panel = bc.Panel.from_frame(table, unit="unit", time="time", outcome="y", treatment="on")
    return bc.HierarchicalTimeSeries(panel, window=(0, 3))


def drawn(model: bc.HierarchicalTimeSeries, rng: np.random.Generator) -> tuple[bc.HierarchicalTimeSeries, xr.DataTree]:
    """The model on outcomes of its own, and a tree that knows the parameters; scales are those of the first outcomes."""
    d = model.design
    sites = {k: np.full(1, v) for k, v in TRUTH.items()}
    sites |= {"lag_offset": rng.standard_normal((1, 4)), "slope_offset": rng.standard_normal((1, 4))}
    sites |= {"level_first": rng.standard_normal((1, UNITS)), "level_step": rng.standard_normal((1, UNITS, d.span - 1))}
    posterior = dataset(model, {k: v[None] for k, v in model.natural(sites).items()}, ("chain", "draw"))
    y = np.full(model.panel.observed.shape, np.nan)
    y[model.panel.observed] = model.simulate(sites, rng)[0]
    again = model.variant(panel=model.panel.replace_outcome(y))
    again.__dict__["design"] = type(d)(**{**vars(d), "y": model.standardised(y[model.panel.observed])})
    return again, xr.DataTree.from_dict({"posterior": posterior})


def test_independent_units_pass_as_often_as_they_should(model: bc.HierarchicalTimeSeries, rng: np.random.Generator) -> None:
    """40 panels at known parameters: innovations are standard normal (5 errors), p values uniform (Kolmogorov-Smirnov, 1e-3)."""
    from scipy.stats import kstest

    found = [drawn(model, rng) for _ in range(40)]
    errors = np.concatenate([m.innovations(t["posterior"].to_dataset()).values.ravel() for m, t in found])
    errors = errors[np.isfinite(errors)]
    assert abs(errors.mean()) < 5 / np.sqrt(errors.size) and abs(errors.var() - 1) < 5 * np.sqrt(2 / errors.size)
    checks = [common_shocks(m, t) for m, t in found]
    assert kstest([c.numbers["p_value"] for c in checks], "uniform").pvalue > 1e-3
    assert all(c.passed == (c.numbers["p_value"] >= 0.01) for c in checks)


def test_shocks_in_common_are_noticed(model: bc.HierarchicalTimeSeries, rng: np.random.Generator) -> None:
    again, tree = drawn(model, rng)
    shaken = again.panel.dataset["outcome"].values + 1.5 * rng.standard_normal(PERIODS)
    found = common_shocks(model.variant(panel=again.panel.replace_outcome(shaken)), tree)
    assert found.passed is False and "move together" in found.text and found.numbers["variance_ratio"] > 1.5
    panel = bc.simulate_panel(units=8, periods=6, seed=1)[0]
    assert common_shocks(HierarchicalDiD(panel), tree).passed is None
