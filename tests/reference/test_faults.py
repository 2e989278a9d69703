"""Faults planted into a method: the published numbers must catch them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bayes_causal.baselines import synthetic_did
from bayes_causal.baselines.donors import Case
from bayes_causal.baselines.simplex import simplex_weights
from bayes_causal.baselines.synthetic import Weights
from bayes_causal.data.load import load_panel

KEYS = {"unit": "State", "time": "Year", "outcome": "PacksPerCapita", "treatment": "treated"}
PUBLISHED, TOLERANCE = -15.60382787, 0.05
RIGHT = synthetic_did._synthetic_did


def no_time_weights(case: Case) -> Weights:
    n = int(case.before.sum())
    return replace(RIGHT(case), time=np.full(n, 1 / n))


def no_ridge(case: Case) -> Weights:
    before, y = case.pool[:, case.before], case.outcome[0, case.before]
    return replace(RIGHT(case), unit=simplex_weights((before - before.mean(1, keepdims=True)).T, y - y.mean()))


def levels_kept(case: Case) -> Weights:
    return replace(RIGHT(case), time=np.zeros(int(case.before.sum())))


@pytest.mark.parametrize("fault", [no_time_weights, no_ridge, levels_kept])
def test_a_wrong_weight_misses_the_published_effect(
    fault: Callable[[Case], Weights], reference_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel, _ = load_panel({"source": "sc_prop99_synthdid/data.csv"} | KEYS, reference_data)
    assert abs(float(synthetic_did.sdid(panel, inference="none").value) - PUBLISHED) <= TOLERANCE
    monkeypatch.setattr(synthetic_did, "_synthetic_did", fault)
    fresh = panel.select()  # fits are kept by panel
    assert abs(float(synthetic_did.sdid(fresh, inference="none").value) - PUBLISHED) > 5 * TOLERANCE
