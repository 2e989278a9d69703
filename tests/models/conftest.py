from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayes_causal.data.panel import Panel
from bayes_causal.data.simulate import simulate_panel

PANELS: dict[str, dict[str, Any]] = {
    "balanced": {},
    "unbalanced": {"missing": 0.2},
    "weighted": {"weighted": True, "missing": 0.1},
    "covariates": {"covariates": 2},
    "overlapping": {"overlapping": True, "duration": 2},
    "everything": {"overlapping": True, "duration": 2, "covariates": 1, "missing": 0.2, "weighted": True},
    "one group": {"groups": 1},
}


@pytest.fixture
def make_panel(seed: int) -> Callable[..., Panel]:
    """A simulated panel of 16 units, 7 periods and 3 groups, by kind, seeded by the test's name."""

    def make(kind: str = "balanced", **options: Any) -> Panel:
        return simulate_panel(**({"units": 16, "periods": 7, "groups": 3, "seed": seed} | PANELS[kind] | options))[0]

    return make


def outcomes_of(family: str, eta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Outcomes of a family around a predictor."""
    p = 1 / (1 + np.exp(-eta))
    if family == "poisson":
        return rng.poisson(np.exp(0.5 + eta)).astype(float)
    if family == "negative_binomial":
        return rng.poisson(np.exp(0.5 + eta) * rng.gamma(4.0, 0.25, eta.shape)).astype(float)
    if family == "bernoulli":
        return (rng.random(eta.shape) < p).astype(float)
    if family == "student_t":
        return eta + 0.5 * rng.standard_t(3, eta.shape)
    return np.where(rng.random(eta.shape) < p, np.exp(eta + 0.5 * rng.standard_normal(eta.shape)), 0.0)


@pytest.fixture
def make_outcomes(make_panel: Callable[..., Panel], rng: np.random.Generator) -> Callable[..., Panel]:
    """The same panels with outcomes of a family: their own outcomes are its predictor."""

    def make(family: str, kind: str = "balanced", **options: Any) -> Panel:
        panel = make_panel(kind, **options)
        eta = np.nan_to_num(panel.dataset["outcome"].values)
        return panel.replace_outcome(outcomes_of(family, np.clip(eta, -3, 3), rng))

    return make


@pytest.fixture
def staggered() -> Callable[..., Panel]:
    """A panel of noise in which unit k is treated from `starts[k]` on, 0 for never."""

    def make(starts: list[int], rng: np.random.Generator, periods: int = 8) -> Panel:
        unit, time = np.indices((len(starts), periods)).reshape(2, -1)
        start = np.array(starts)[unit]
        frame = pd.DataFrame({"unit": unit, "time": time, "y": rng.standard_normal(unit.size), "start": start})
        return Panel.from_frame(frame, unit="unit", time="time", outcome="y", cohort="start")

    return make


@pytest.fixture
def one_density(needs: Callable[[str], Any]) -> Callable[[Any, dict[str, np.ndarray], np.ndarray], None]:
    """Both twins at points (n, ...) to 1e-9; and the likelihood of (n, P) pieces adds up to that of the twin."""
    needs("pymc")

    def held(model: Any, points: dict[str, np.ndarray], pieces: np.ndarray) -> None:
        import jax
        from numpyro.infer import log_likelihood
        from numpyro.infer.util import log_density
        from pymc.model.transform.conditioning import remove_value_transforms

        logp = remove_value_transforms(model.pymc_model()).compile_logp(mode="FAST_COMPILE")
        for k in range(len(pieces)):
            x = {name: values[k] for name, values in points.items()}
            with jax.enable_x64(True):
                ours = float(log_density(model.numpyro_model, (), {}, x)[0])
                told = log_likelihood(model.numpyro_model, {name: v[None] for name, v in x.items()})
                whole = float(sum(np.asarray(v).sum() for v in told.values()))
            assert ours == pytest.approx(float(logp(x)), abs=1e-9)
            assert float(pieces[k].sum()) == pytest.approx(whole, abs=1e-9)

    return held
