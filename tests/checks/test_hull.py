"""The hull of the donors: what the check advises where no weights reproduce the treated unit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayes_causal as bc
from bayes_causal.checks.donor_pool import hull


@pytest.mark.parametrize(("outcome", "advised"), [("sales", True), ("log_sales", False), ("change", False)])
def test_a_large_market_is_told_to_take_logarithms(outcome: str, advised: bool, rng: np.random.Generator) -> None:
    """Three times as large as any donor, with three times their season: no shift takes that up, in levels.

    Not where outcomes below 0 rule a logarithm out, nor where there is one already.
    """
    days = np.arange(40)
    shape = 1 + 0.3 * np.sin(days / 2)
    values = np.array([900.0, 300, 250, 200, 150])[:, None] * shape + rng.standard_normal((5, 40))
    values -= values.mean() * (outcome == "change")
    unit, day = np.indices(values.shape).reshape(2, -1)
    frame = pd.DataFrame({"unit": unit, "day": day, outcome: values.ravel(), "d": ((unit == 0) & (day >= 30)).astype(int)})
    model = bc.SyntheticControl(bc.Panel.from_frame(frame, unit="unit", time="day", outcome=outcome, treatment="d"))
    posterior = xr.Dataset({"intercept": (("chain", "draw"), np.zeros((1, 2)))})
    check = hull(model, xr.DataTree.from_dict({"posterior": posterior}))
    assert check.passed is False and ("logarithm" in check.text) == advised
