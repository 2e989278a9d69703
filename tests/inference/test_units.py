"""The hierarchical time series through the engines: calibration and a fault it catches, NUTS on the twin, known effects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayes_causal as bc
from bayes_causal.checks.calibration import calibration, simulate_and_refit
from bayes_causal.checks.influence import leave_one_out
from bayes_causal.errors import EstimandError
from bayes_causal.estimates import Estimand
from bayes_causal.inference import programs
from bayes_causal.inference.tree import dataset
from bayes_causal.models.hierarchical_time_series import HierarchicalTimeSeries
from bayes_causal.numerics import unit_series


def panel(rng: np.random.Generator, starts: list[int], periods: int, sizes: Any = 0.0, scale: Any = 1.0) -> bc.Panel:
    """Units with AR(1) errors of .4 around levels that wander, treated from `starts` on (0 is never), their effects rising."""
    units = len(starts)
    unit, time = (v.ravel() for v in np.indices((units, periods)))
    errors = rng.standard_normal((units, periods))
    for t in range(1, periods):
        errors[:, t] += 0.4 * errors[:, t - 1]
    walk = np.cumsum(0.1 * rng.standard_normal((units, periods)), 1)
    start = np.array(starts)[unit]
    on = (start > 0) & (time >= start)
    rising = np.where(on, np.minimum(1.0, (time - start + 1) / 3), 0.0)
    y = 20.0 * unit + np.broadcast_to(scale, units)[unit] * (errors + walk).ravel()
    y += rising * np.broadcast_to(sizes, units)[unit]
    table = pd.DataFrame({"unit": unit, "time": time, "y": y, "on": on.astype(int)})
    table = table[(unit * 7 + time * 3) % 17 != 5]
    return bc.Panel.from_frame(table, unit="unit", time="time", outcome="y", treatment="on")


@pytest.fixture(scope="module")
def small() -> HierarchicalTimeSeries:
    rng = np.random.default_rng(1)
    return HierarchicalTimeSeries(panel(rng, [6, 8, 8, 10, 10, 12, 0, 0], 18), window=(0, 3))


REPLICATES = {"replicates": 200, "draws": 99, "thin": 4}


def test_posteriors_are_calibrated(small: HierarchicalTimeSeries, seed: int) -> None:
    """200 replicates; Holm over the quantities: a right model fails once in 1,000 seeds, and the seed is fixed."""
    refits = simulate_and_refit(small, seed=seed, **REPLICATES)
    assert refits["trusted"].mean() > 0.95
    assert {"att", "sigma_slope", "step_lag", "rho", "sigma", "level_ratio"} <= set(refits["quantity"].values)
    found = calibration(refits, error_rate=0.001)
    assert found.passed, found.text


@pytest.fixture
def fresh_programs() -> Iterator[None]:
    """Compile anew, before and after: compiled programs do not see what is patched underneath them."""
    programs.forget()
    yield
    programs.forget()


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_programs")
def test_a_wrong_density_is_caught(small: HierarchicalTimeSeries, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Levels whose sd is taken for the variance."""
    right = unit_series.level_and_error

    def wrong(first_sd: Any, theta: Any, rows: int) -> Any:
        return right(first_sd, {**theta, "level_ratio": jnp.sqrt(theta["level_ratio"])}, rows)

    monkeypatch.setattr(unit_series, "level_and_error", wrong)
    found = calibration(simulate_and_refit(small, seed=seed, **(REPLICATES | {"replicates": 80})))
    assert found.passed is False and found.blocks


@pytest.mark.slow
def test_collapsed_agrees_with_nuts_on_the_full_twin(rng: np.random.Generator, disagreements: Callable[..., Any]) -> None:
    """Means and sds within Monte Carlo error: scales, shape, sizes, and what is told of the outcomes."""
    model = HierarchicalTimeSeries(panel(rng, [5, 7, 7, 0, 0], 12, 1.0), window=(0, 2))
    nuts = bc.NumpyroNuts(draws=600, warmup=500, target_accept=0.95, chain_method="vectorized", progress=False)
    a, b = (
        dataset(model, model.natural(e.sample(model, seed=s).sites), ("chain", "draw"))
        for e, s in ((bc.Collapsed(draws=1000), 1), (nuts, 2))
    )
    kept = ["sigma", "rho", "level_ratio", "sigma_slope", "step_lag", "tau_event", "slope", "att"]
    assert disagreements(a[kept], b[kept]) == []
    assert disagreements(a[kept] * 1.2 + 0.05, b[kept]), "draws shifted and stretched would go unseen"


SIZES = np.array([2.0, 3.0, 2.5, 3.5, 3.0, 2.0, 0.0, 0.0, 0.0])


@pytest.fixture(scope="module")
def known() -> HierarchicalTimeSeries:
    """Nine units, the noise of some four times that of others, six of them treated at four dates."""
    rng = np.random.default_rng(2)
    scale = np.array([0.5, 1.0, 2.0, 0.5, 1.0, 2.0, 0.5, 1.0, 2.0])
    return HierarchicalTimeSeries(panel(rng, [12, 16, 16, 20, 24, 24, 0, 0, 0], 36, SIZES, scale))


@pytest.fixture(scope="module")
def tree(known: HierarchicalTimeSeries) -> xr.DataTree:
    return bc.fit(known, bc.Collapsed(draws=500), seed=3)


def test_known_effects_come_back(known: HierarchicalTimeSeries, tree: xr.DataTree) -> None:
    """Overall, unit by unit and along the shape, within four posterior sds; intervals narrow enough to tell them from none."""
    draws, since = tree["posterior"].to_dataset(), known.panel.event_time[..., 0]
    treated = known.panel.treated & known.panel.observed
    effect = np.where(treated, SIZES[:, None] * np.minimum(1, (np.nan_to_num(since) + 1) / 3), 0.0)
    expected = {None: effect[treated].mean(), "unit": effect[:6].sum(1) / treated[:6].sum(1)}
    for by, truth in expected.items():
        for scale in ("mean", "realised"):
            answer = known.effect(draws, Estimand("att", scale, by))
            off = (answer.mean(("chain", "draw")) - truth) / answer.std(("chain", "draw"))
            assert np.abs(off).max() < 4
    att = known.effect(draws, Estimand())
    assert att.mean() > 5 * att.std()
    shape = known.effect(draws, Estimand("att", "mean", "event_time")).mean(("chain", "draw"))
    assert shape.sel(event_time=0) + 0.7 < shape.sel(event_time=[3, 4, 5]).mean()
    # The realised effect is given what a unit did without the treatment: wider than the parameter.
    assert (
        known.effect(draws, Estimand("att", "realised", "unit")).std()
        > known.effect(draws, Estimand("att", "mean", "unit")).std()
    )
    with pytest.raises(EstimandError, match="event_time"):
        known.effect(draws, Estimand("att", "mean", "season"))


def test_checks_that_refit_or_leave_out(known: HierarchicalTimeSeries, tree: xr.DataTree) -> None:
    found = {
        c.name: c for c in bc.check(known, tree, ["posterior_predictive", "prior_sensitivity", "pretrend", "identification"])
    }
    assert found["convergence"].passed and found["posterior_predictive"].passed and found["identification"].passed
    assert found["prior_sensitivity"].numbers["likelihood"] > found["prior_sensitivity"].numbers["prior"]
    assert found["pretrend"].passed is None and "no lead" in found["pretrend"].text
    influence = leave_one_out(known, tree, by="unit")
    draws = tree["posterior"].to_dataset()
    by_unit = known.effect(draws, Estimand("att", "mean", "unit")).mean(("chain", "draw"))
    assert influence.numbers["left_out"] == 6
    largest, smallest = (str(by_unit["unit"].values[k]) for k in (int(by_unit.argmax()), int(by_unit.argmin())))
    without = {r["unit"]: r["att_without"] for r in influence.table}
    assert without[largest] < influence.numbers["att"] < without[smallest]
