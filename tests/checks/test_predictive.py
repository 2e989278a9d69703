"""Does the model make such data, and did its prior hold such effects possible?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from bayes_causal.checks.predictive import posterior_predictive, prior_predictive
from bayes_causal.data.panel import Panel
from bayes_causal.inference.collapsed import Collapsed
from bayes_causal.inference.fit import fit
from bayes_causal.inference.generate import REPLICATES
from bayes_causal.models.hierarchical_did import HierarchicalDiD


def replicated(y: np.ndarray, unit: np.ndarray, replicates: np.ndarray) -> xr.DataTree:
    """A tree with observed (N,) and replicated (S, N) data alone."""
    observed = xr.Dataset({"y": ("row", y)}, {"unit_of_row": ("row", unit)})
    drawn = xr.Dataset({"y": (("chain", "draw", "row"), replicates[None])})
    return xr.DataTree.from_dict({"observed_data": observed, "posterior_predictive": drawn})


def ar1(rng: np.random.Generator, rho: float, size: tuple[int, ...]) -> np.ndarray:
    x = rng.standard_normal(size)
    for t in range(1, size[-1]):
        x[..., t] = rho * x[..., t - 1] + np.sqrt(1 - rho**2) * x[..., t]
    return x


def test_data_like_the_models_own_pass(good: HierarchicalDiD, good_tree: xr.DataTree) -> None:
    found = posterior_predictive(good, good_tree)
    assert found.passed and not found.blocks
    assert {r["statistic"] for r in found.table} >= {"sd", "skewness", "minimum", "maximum", "autocorrelation within units"}
    assert good_tree["posterior_predictive"]["y"].sizes["draw"] == REPLICATES


def test_a_spike_of_zeros_is_seen(good: HierarchicalDiD, good_panel: Panel) -> None:
    """Two outcomes in five are zero: a normal model has no such spike."""
    y = good_panel.dataset["outcome"].values
    spiked = good.variant(panel=good_panel.replace_outcome(np.maximum(y - np.quantile(y, 0.4), 0.0)))
    found = posterior_predictive(spiked, fit(spiked, Collapsed(draws=250), seed=2))
    assert found.passed is False and found.severity == "warning"
    assert found.numbers["p_share_at_the_lowest_value"] < 0.01 and "share at the lowest value" in found.text


FAULTS = {
    "autocorrelation within units": lambda y, rng: ar1(rng, 0.6, y.shape),
    "sd": lambda y, rng: 1.5 * y,
    "skewness": lambda y, rng: np.where(y > 0, 1.4 * y, 0.6 * y),
    "maximum": lambda y, rng: np.where(np.arange(y.size).reshape(y.shape) == 17, 8.0, y),
    "minimum": lambda y, rng: np.where(np.arange(y.size).reshape(y.shape) == 17, -8.0, y),
}


@pytest.mark.parametrize("statistic", FAULTS)
def test_every_statistic_sees_its_fault(statistic: str, rng: np.random.Generator) -> None:
    model: Any = None
    units, periods = 40, 10
    y, replicates = rng.standard_normal((units, periods)), rng.standard_normal((300, units * periods))
    unit = np.repeat(np.arange(units), periods)
    assert posterior_predictive(model, replicated(y.ravel(), unit, replicates)).passed
    found = posterior_predictive(model, replicated(FAULTS[statistic](y, rng).ravel(), unit, replicates))
    assert found.passed is False and statistic in found.text
    row = next(r for r in found.table if r["statistic"] == statistic)
    assert not row["replicated_low"] <= row["observed"] <= row["replicated_high"]


def test_autocorrelation_by_loops(rng: np.random.Generator) -> None:
    """Lagged products of deviations from the unit's mean over their squares, units of different lengths."""
    model: Any = None
    lengths = [3, 5, 2, 7]
    unit, y = np.repeat(np.arange(4), lengths), rng.standard_normal(17)
    table = posterior_predictive(model, replicated(y, unit, rng.standard_normal((20, 17)))).table
    products = squares = 0.0
    for u in range(4):
        own = y[unit == u] - y[unit == u].mean()
        products += sum(own[t] * own[t - 1] for t in range(1, own.size))
        squares += sum(own**2)
    row = next(r for r in table if r["statistic"] == "autocorrelation within units")
    assert row["observed"] == pytest.approx(products / squares)


def test_no_replicates_does_not_apply() -> None:
    model: Any = None
    found = posterior_predictive(model, xr.DataTree.from_dict({"observed_data": xr.Dataset()}))
    assert found.passed is None and "Does not apply" in found.text


def test_a_prior_that_allows_the_answer_passes(good: HierarchicalDiD, good_tree: xr.DataTree) -> None:
    found = prior_predictive(good, good_tree)
    assert found.passed and found.severity == "info"
    scale, posterior = good.panel.scale, good_tree["posterior"]["att"].values
    assert found.numbers["prior_sd"] == pytest.approx(scale * good.priors.tau, rel=0.08)
    assert found.numbers["posterior_sd"] == pytest.approx(posterior.std(ddof=1))
    assert found.numbers["shrinkage_of_sd"] == pytest.approx(1 - found.numbers["posterior_sd"] / found.numbers["prior_sd"])


def test_an_answer_the_prior_ruled_out_fails(good: HierarchicalDiD, good_tree: xr.DataTree) -> None:
    far = good_tree.copy(deep=True)
    far["prior"]["coefficient"].values[:] *= 0.01
    found = prior_predictive(good, far)
    assert found.passed is False and "disagree" in found.text and not found.blocks
    distance = abs(far["posterior"]["att"].mean() - far["prior"]["att"].mean() * 0.01) / (0.01 * far["prior"]["att"].std(ddof=1))
    assert found.numbers["distance_in_prior_sd"] == pytest.approx(float(distance), rel=1e-6)
