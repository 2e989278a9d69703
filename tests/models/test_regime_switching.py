"""Regime switching without sampling: twins, likelihoods by hand and by simulation, responses, options."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest

from bayes_causal.data.multi_series import MultiSeries
from bayes_causal.models.regime_switching import Priors, RegimeSwitching

TOLERANCE = 1e-9
PRIORS = Priors(1.1, 0.9, 0.45, 1.2, 0.55, 0.95, 4.5, 6.0, 0.15)


def data(rng: np.random.Generator, dates: int = 40, series: int = 2, shocks: int = 2, controls: int = 0) -> MultiSeries:
    sizes = {"a": series, "s": shocks, "c": controls}
    table = pd.DataFrame({f"{n}{k}": 3 + 2 * rng.normal(size=dates) for n, size in sizes.items() for k in range(size)})
    names = {n: [f"{n}{k}" for k in range(size)] for n, size in sizes.items()}
    return MultiSeries.from_frame(table, outcomes=names["a"], shocks=names["s"], controls=names["c"])


def points(shapes: dict[str, tuple[int, ...]], rng: np.random.Generator, count: int = 4) -> list[dict[str, np.ndarray]]:
    """Values of every site, anywhere in its support."""
    drawn = []
    for _ in range(count):
        x = {k: rng.normal(size=shape) for k, shape in shapes.items()}
        positive = [k for k in x if k.startswith("sigma") or k in ("shock_spread", "nu")]
        x |= {k: 0.5 + np.abs(x[k]) for k in positive}
        x |= {k: np.sort(v, -1) for k, v in x.items() if k.endswith("_reference")}
        x["transition"] = rng.dirichlet(np.ones(x["transition"].shape[1]), x["transition"].shape[0])
        drawn.append(x)
    return drawn


def log_densities(model: RegimeSwitching, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Log densities of the NumPyro and of the PyMC twin at the same points, constrained values, no Jacobian."""
    from numpyro.infer.util import log_density
    from pymc.model.transform.conditioning import remove_value_transforms

    twin = remove_value_transforms(model.pymc_model())
    logp = twin.compile_logp(mode="FAST_COMPILE")
    x = points({k: np.shape(v) for k, v in twin.initial_point().items()}, rng)
    with jax.enable_x64(True):
        f = jax.jit(lambda v: log_density(model.numpyro_model, (), {}, v)[0])
        return np.array([float(f(v)) for v in x]), np.array([float(logp(v)) for v in x])


TWINS: dict[str, tuple[dict[str, int], dict[str, Any]]] = {
    "headline": ({}, {"regimes": 3}),
    "one series": ({"series": 1}, {"regimes": 2, "reference": "a0"}),
    "all switches, tails": (
        {"controls": 1},
        {"order": 2, "switching": ["intercept", "shock", "variance", "ar"], "errors": "student_t"},
    ),
    "by intercept": (
        {"series": 3},
        {"regimes": 3, "switching": ["intercept"], "order": 1, "reference": "a1", "shock_state": "current"},
    ),
    "by variance alone": ({"controls": 2}, {"switching": "variance", "pooling": False, "reference": "a1"}),
    "hamilton": ({"series": 2}, {"form": "hamilton", "order": 2}),
    "no shocks": ({"shocks": 0}, {"regimes": 3, "form": "hamilton", "order": 1, "switching": ["mean", "ar"]}),
}


@pytest.mark.parametrize("case", TWINS)
def test_twins_have_one_density(case: str, rng: np.random.Generator, needs: Any) -> None:
    needs("pymc")
    sizes, options = TWINS[case]
    a, b = log_densities(RegimeSwitching(data(rng, 30, **sizes), priors=PRIORS, **options), rng)
    assert np.isfinite(a).all()
    assert a == pytest.approx(b, rel=TOLERANCE)
