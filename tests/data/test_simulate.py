from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bayes_causal.data.panel import Panel
from bayes_causal.data.simulate import inject_lift, simulate_panel
from bayes_causal.errors import DataError
from bayes_causal.estimates import compare

DESIGNS: dict[str, dict[str, Any]] = {
    "one group": {},
    "staggered": {"groups": 3, "spread": 0.5},
    "overlapping": {"groups": 4, "overlapping": True, "profile": (0.5, 1.0)},
    "reversible": {"groups": 2, "overlapping": True, "duration": 3},
    "untidy": {"groups": 2, "missing": 0.2, "weighted": True, "covariates": 2},
}


def within(values: np.ndarray) -> np.ndarray:
    return values - values.mean(0) - values.mean(1)[:, None] + values.mean()


@pytest.mark.parametrize("design", DESIGNS.values(), ids=DESIGNS)
def test_the_truth_is_what_was_added(design: dict[str, Any], seed: int) -> None:
    panel, truth = simulate_panel(seed=seed, effect=2.0, **design)
    same, none = simulate_panel(seed=seed, effect=0.0, **design | {"spread": 0.0})
    added = panel.dataset["outcome"].values - same.dataset["outcome"].values
    cells = panel.treated & panel.observed
    assert truth.value.item() == pytest.approx(added[cells].mean(), abs=1e-12)
    assert none.value.item() == 0.0
    np.testing.assert_array_equal(added[~panel.treated & panel.observed], 0.0)
    assert truth.std_error.item() == 0.0 and truth.unit == panel.outcome_name


@pytest.mark.parametrize("design", DESIGNS.values(), ids=DESIGNS)
def test_the_breakdowns_average_to_the_whole(design: dict[str, Any], seed: int) -> None:
    panel, truth = simulate_panel(seed=seed, effect=2.0, **design)
    _, by_group = simulate_panel(seed=seed, effect=2.0, by="group", **design)
    _, by_event = simulate_panel(seed=seed, effect=2.0, by="event_time", **design)
    active = panel.dataset["treatment"].values & panel.observed[:, :, None]
    total = truth.value.item() * active.any(2).sum()
    assert (by_group.value.values * active.sum((0, 1))).sum() == pytest.approx(total, rel=1e-10)
    since, counts = np.unique(panel.event_time[active], return_counts=True)
    np.testing.assert_array_equal(by_event.value["event_time"], since)
    assert (by_event.value.values * counts).sum() == pytest.approx(total, rel=1e-10)


def test_options_shape_the_panel(seed: int) -> None:
    panel, _ = simulate_panel(
        seed=seed, units=200, periods=12, groups=3, overlapping=True, duration=4, missing=0.25, weighted=True, covariates=2
    )
    assert not panel.absorbing and panel.has_groups
    assert (panel.dataset["treatment"].values.sum(2) <= 3).all() and (panel.dataset["treatment"].values.sum(2) > 1).any()
    assert panel.dataset.sizes["covariate"] == 2 and panel.dataset["weight"].values[panel.observed].std() > 0
    share = 1 - panel.observed.mean()
    assert abs(share - 0.25 * 11 / 12) < 5 * np.sqrt(0.25 * 0.75 / 2400)
    absorbing, _ = simulate_panel(seed=seed)
    assert absorbing.absorbing and absorbing.balanced and not absorbing.has_groups


def test_units_are_selected_into_treatment(seed: int) -> None:
    """With selection, treated units lie above the others before treatment: a naive difference of means is biased, two-way means
    are not."""
    panel, truth = simulate_panel(seed=seed, units=2000, selection=0.8, effect=1.0, rho=0.0, sigma=0.5)
    y, d = panel.dataset["outcome"].values, panel.treated.astype(float)
    naive = y[d == 1].mean() - y[d == 0].mean()
    assert naive - truth.value.item() > 0.5
    twfe = (within(y) * within(d)).sum() / (within(d) ** 2).sum()
    assert abs(twfe - 1.0) < 5 * 0.5 / np.sqrt((within(d) ** 2).sum())


def test_errors_are_autoregressive(seed: int) -> None:
    panel, _ = simulate_panel(seed=seed, units=3000, periods=12, rho=0.6, unit_sd=0.0, time_sd=0.0, effect=0.0, sigma=1.0)
    e = panel.dataset["outcome"].values
    assert (e[:, 1:] * e[:, :-1]).mean() / (e[:, :-1] ** 2).mean() == pytest.approx(0.6, abs=5 / np.sqrt(33_000))
    assert e.var(0)[0] == pytest.approx(1 / (1 - 0.36), rel=5 * np.sqrt(2 / 3000))


def test_lifts_are_added_to_active_cells_only(seed: int) -> None:
    base, _ = simulate_panel(seed=seed, groups=2, overlapping=True, effect=0.0)
    lifted, truth = inject_lift(base, {0: 1.0, 1: 3.0}, by="group")
    added = lifted.dataset["outcome"].values - base.dataset["outcome"].values
    np.testing.assert_allclose(added, base.dataset["treatment"].values @ np.array([1.0, 3.0]), atol=1e-12)
    assert truth.value.values.tolist() == [1.0, 3.0]
    with pytest.raises(DataError, match="every group of the panel"):
        inject_lift(base, {0: 1.0})


def test_truths_compare_with_each_other(seed: int) -> None:
    panel, truth = simulate_panel(seed=seed)
    assert isinstance(panel, Panel)
    assert len(compare([truth, truth])) == 2
