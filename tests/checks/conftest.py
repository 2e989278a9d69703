from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayes_causal.data.panel import Panel
from bayes_causal.data.simulate import simulate_panel
from bayes_causal.inference.collapsed import Collapsed
from bayes_causal.inference.fit import fit
from bayes_causal.models.hierarchical_did import HierarchicalDiD


@pytest.fixture(scope="session")
def good_panel() -> Panel:
    """Two groups staggered over 40 units and 10 periods, half of the units never treated, everything as the model says."""
    return simulate_panel(units=40, periods=10, groups=2, rho=0.0, sigma=0.5, seed=41)[0]


@pytest.fixture(scope="session")
def good(good_panel: Panel) -> HierarchicalDiD:
    return HierarchicalDiD(good_panel, effect="constant", errors="iid")


@pytest.fixture(scope="session")
def good_tree(good: HierarchicalDiD) -> xr.DataTree:
    return fit(good, Collapsed(draws=500), seed=1)


@pytest.fixture
def cohorts(rng: np.random.Generator) -> Callable[..., Panel]:
    """A panel of noise from starts, 0 for never: unit k is treated from `starts[k]` on; optionally clustered and renamed."""

    def make(starts: list[int], *, periods: int = 8, name: str = "y", clusters: int = 0, effect: float = 0.0) -> Panel:
        unit, time = np.indices((len(starts), periods)).reshape(2, -1)
        start = np.array(starts)[unit]
        y = rng.standard_normal(unit.size) + effect * ((start > 0) & (time >= start))
        frame = pd.DataFrame({"unit": unit, "time": time, name: y, "start": start, "cluster": unit % max(clusters, 1)})
        declared: dict[str, Any] = {"cluster": "cluster"} if clusters else {}
        return Panel.from_frame(frame, unit="unit", time="time", outcome=name, cohort="start", **declared)

    return make
