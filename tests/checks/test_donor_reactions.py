"""Units that react before their treatment, and donors that it reaches, are found; where nothing is planted nothing is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayes_causal as bc
from bayes_causal.checks import donor_refit
from bayes_causal.checks.donor_reactions import anticipation, donor_contamination
from bayes_causal.inference.blocked_gibbs import BlockedGibbs

PERIODS, POST, DONORS, EFFECT, SIGMA = 30, 5, 8, 3.0, 0.2
SURE = 0.9999  # of the intervals: one of a right model leaves out zero once in 10,000 runs
Fitted = Callable[..., tuple[bc.SyntheticControl, xr.DataTree]]


@pytest.fixture
def fitted(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> Fitted:
    """A unit that is half donor 0 and half donor 1, with outcomes shifted as a function of (T, 1 + J) says."""
    monkeypatch.setattr(donor_refit, "DRAWS", 200)

    def make(planted: Callable[[np.ndarray], None] = lambda values: None) -> tuple[bc.SyntheticControl, xr.DataTree]:
        common = rng.standard_normal((PERIODS, 2)).cumsum(0)
        x = common @ np.array([[1.0, 0.0, 0.5] * 3, [0.0, 1.0, 0.5] * 3])[:, :DONORS] + SIGMA * rng.standard_normal(
            (PERIODS, DONORS)
        )
        y = 0.5 * x[:, 0] + 0.5 * x[:, 1] + SIGMA * rng.standard_normal(PERIODS)
        values = np.column_stack([y, x])
        values[-POST:, 0] += EFFECT
        planted(values)
        unit, time = np.indices(values.T.shape).reshape(2, -1)
        columns = {
            "u": [f"u{k}" for k in unit],
            "t": time,
            "y": values.T.ravel(),
            "d": ((unit == 0) & (time >= PERIODS - POST)).astype(int),
        }
        panel = bc.Panel.from_frame(pd.DataFrame(columns), unit="u", time="t", outcome="y", treatment="d")
        model = bc.SyntheticControl(panel, errors="iid")
        return model, bc.fit(model, BlockedGibbs(draws=300, warmup=100, progress=False), seed=1)

    return make


def test_a_unit_that_reacts_two_periods_early_is_found(fitted: Fitted) -> None:
    def early(values: np.ndarray) -> None:
        values[-POST - 2 : -POST, 0] += 2.0

    found = anticipation(*fitted(early), level=SURE)
    assert found.passed is False and f"From {PERIODS - POST - 2} on" in found.text
    assert [r["periods"] for r in found.table] == [1, 2, 3]
    two = found.table[1]
    assert two["value"] == pytest.approx(2.0, abs=6 * SIGMA) and two["effect_without"] == pytest.approx(EFFECT, abs=6 * SIGMA)


def test_where_nothing_is_planted_nothing_is_found(fitted: Fitted) -> None:
    model, tree = fitted()
    early, donors = anticipation(model, tree, level=SURE), donor_contamination(model, tree, level=SURE)
    assert early.passed and donors.passed, (early.text, donors.text)
    assert early.numbers["lowest_without"] == pytest.approx(EFFECT, abs=6 * SIGMA)
    assert donors.numbers["taken_from_the_effect"] == pytest.approx(0, abs=6 * SIGMA)


def test_donors_that_the_treatment_reaches_are_found_and_what_they_take_is_told(fitted: Fitted) -> None:
    """Donors 0 and 1 move by 2 each; the others, in their place, stay: the estimate lacks 2 times their weight."""

    def reached(values: np.ndarray) -> None:
        values[-POST:, 1:3] += 2.0

    model, tree = fitted(reached)
    found = donor_contamination(model, tree, level=SURE)
    assert found.passed is False and "u1" in found.text and "u2" in found.text
    assert {"u1", "u2"} <= {r["donor"] for r in found.table if r["lower"] > 0}
    moved = {r["donor"]: r for r in found.table}
    assert found.numbers["taken_from_the_effect"] == pytest.approx(sum(r["weight"] * r["value"] for r in moved.values()))
    estimate = float(bc.estimate(model, tree, "att").value)
    assert estimate < EFFECT - 1 < found.numbers["effect_if_all_of_it_is_the_treatment"]


def test_too_short_a_time_before_is_said(fitted: Fitted) -> None:
    model, tree = fitted()
    assert anticipation(model, tree, periods=0).passed is None
    short = model.panel.select(times=model.panel.dataset["time"].values >= PERIODS - POST - 5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(donor_refit, "DRAWS", 50)
        found = anticipation(bc.SyntheticControl(short, errors="iid"), tree)
    assert found.passed is None and "5 dates" in found.text
