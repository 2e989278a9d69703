from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayes_causal.data.panel import Panel


def _frame(
    rng: np.random.Generator,
    *,
    units: int = 30,
    periods: int = 8,
    starts: tuple[int, ...] = (3, 5),
    never: float = 0.4,
    effect: float = 1.0,
    growth: float = 0.0,
    missing: float = 0.0,
    clusters: int = 0,
) -> pd.DataFrame:
    """Staggered, absorbing panel with unit and period effects, one covariate, weights; period 0 is never missing."""
    unit, time = np.indices((units, periods)).reshape(2, -1)
    start = np.where(rng.random(units) < never, 0, rng.choice(starts, units))
    start[: len(starts)], start[len(starts) : len(starts) + 3] = starts, 0
    treated = (start[unit] > 0) & (time >= start[unit])
    x = rng.normal(size=unit.size)
    y = rng.normal(size=units)[unit] + rng.normal(size=periods)[time] + 0.5 * x + rng.normal(size=unit.size)
    y += treated * (effect + growth * (time - start[unit]))
    frame = pd.DataFrame({"unit": unit, "time": time, "y": y, "d": treated.astype(int), "x": x, "start": start[unit]})
    frame["w"] = rng.uniform(0.5, 2.0, unit.size)
    frame["c"] = unit % clusters if clusters else unit
    return frame[(rng.random(unit.size) >= missing) | (time == 0)].reset_index(drop=True)


@pytest.fixture
def make_frame(rng: np.random.Generator) -> Callable[..., pd.DataFrame]:
    return lambda **options: _frame(rng, **options)


@pytest.fixture
def to_panel() -> Callable[..., Panel]:
    def build(frame: pd.DataFrame, **options: Any) -> Panel:
        declared = {"unit": "unit", "time": "time", "outcome": "y"} | options
        if not {"treatment", "exposures", "cohort"} & set(options):
            declared["treatment"] = "d"
        return Panel.from_frame(frame, **declared)

    return build


@pytest.fixture
def campaigns(rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A panel with overlapping, reversible treatments by three groups: table of outcomes, table of exposures."""
    units, periods = 60, 16
    unit, time = np.indices((units, periods)).reshape(2, -1)
    y = rng.normal(size=units)[unit] + rng.normal(size=periods)[time] + rng.normal(size=unit.size)
    spells = {"a": (5, 8, range(0, 25)), "b": (7, 11, range(15, 40)), "c": (0, 3, range(36, 42))}
    exposures = pd.DataFrame(
        [(u, g, s, e) for g, (s, e, who) in spells.items() for u in who], columns=["unit", "group", "start", "end"]
    )
    return pd.DataFrame({"unit": unit, "time": time, "y": y}), exposures


@pytest.fixture
def dummies() -> Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Textbook weighted least squares with unit and period dummies, clustered covariance written out in sums."""

    def fit(
        frame: pd.DataFrame, columns: list[str], cluster: str, full: bool = False
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        units = np.equal.outer(frame["unit"].to_numpy(), np.unique(frame["unit"]))
        times = np.equal.outer(frame["time"].to_numpy(), np.unique(frame["time"])[1:])
        x = np.concatenate([frame[columns].to_numpy(float), units, times], axis=1).astype(float)
        w, y = frame["w"].to_numpy(), frame["y"].to_numpy()
        bread = np.linalg.inv(x.T @ (w[:, None] * x))
        beta = bread @ (x.T @ (w * y))
        u, meat = y - x @ beta, np.zeros_like(bread)
        codes = frame[cluster].to_numpy()
        for g in np.unique(codes):
            score = x[codes == g].T @ (w * u)[codes == g]
            meat += np.outer(score, score)
        n, g = len(y), len(np.unique(codes))
        k = x.shape[1] if full else x.shape[1] - units.shape[1] + 1
        vcov = (n - 1) / (n - k) * g / (g - 1) * bread @ meat @ bread
        hc1 = n / (n - x.shape[1]) * bread @ (x.T @ ((w * u)[:, None] ** 2 * x)) @ bread
        p = len(columns)
        return beta[:p], vcov[:p, :p], hc1[:p, :p]

    return fit
