from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from bayes_causal.data.examples import load_example
from bayes_causal.data.panel import Panel
from bayes_causal.data.simulate import simulate_panel
from bayes_causal.estimates import Estimand
from bayes_causal.inference.fit import fit
from bayes_causal.inference.tree import dataset
from bayes_causal.models.hierarchical_did import HierarchicalDiD

RUNS = 10_000


class NormalMean:
    """A user's model: y ~ N(μ, 1), μ ~ N(0, 2), and nothing but what the protocol asks for."""

    name = "normal_mean"
    y = 1.0 + np.random.default_rng(1).standard_normal(20)

    def coords(self) -> dict[str, Any]:
        return {"row": range(20)}

    def dims(self) -> dict[str, tuple[str, ...]]:
        return {"y": ("row",)}

    def numpyro_model(self) -> None:
        import numpyro
        from numpyro.distributions import Normal

        mu = numpyro.sample("mu", Normal(0.0, 2.0))
        numpyro.sample("y", Normal(mu, 1.0).expand([20]), obs=self.y)

    def pymc_model(self) -> Any:
        import pymc as pm

        with pm.Model(coords=self.coords()) as model:
            pm.Normal("y", pm.Normal("mu", 0.0, 2.0), 1.0, observed=self.y, dims="row")
        return model

    def effect(self, posterior: xr.Dataset, estimand: Estimand) -> xr.DataArray:
        return posterior["mu"]


@pytest.fixture(scope="session")
def normal_mean() -> NormalMean:
    return NormalMean()


@pytest.fixture(scope="session")
def did() -> HierarchicalDiD:
    """A small model with a collapsed form."""
    panel, _ = simulate_panel(units=14, periods=6, groups=2, missing=0.1, seed=11)
    return HierarchicalDiD(panel, errors="iid")


@pytest.fixture(scope="session")
def tree(did: HierarchicalDiD) -> xr.DataTree:
    """What `fit` makes of it, by the engine that `fit` chooses."""
    return fit(did, seed=7)


def _scalars(values: np.ndarray) -> np.ndarray:
    """(k, chain, draw) from (chain, draw, ...), constants left out."""
    flat = values.reshape(*values.shape[:2], -1).transpose(2, 0, 1)
    return flat[np.ptp(flat.reshape(len(flat), -1), axis=1) > 0]


def _disagreements(a: xr.Dataset, b: xr.Dataset) -> list[str]:
    """Scalars whose means or sds differ by more Monte Carlo standard errors than right engines do once in `RUNS` comparisons.

    Another processor rounds otherwise, and chains then walk otherwise: a seed does not fix what a comparison finds, so that its
    error rate must be small by itself.
    """
    from arviz_stats.base import array_stats

    names = sorted(set(a.data_vars) & set(b.data_vars))
    both = {name: [_scalars(d[name].transpose("chain", "draw", ...).values) for d in (a, b)] for name in names}
    most_errors = stats.norm.isf(1 / RUNS / (4 * sum(len(x) for x, _ in both.values())))
    found = []
    for name, (x, y) in both.items():
        if not len(x):
            continue
        means, sds = x.mean((1, 2)) - y.mean((1, 2)), x.std((1, 2)) / y.std((1, 2))
        errors = np.hypot(*(np.atleast_1d(array_stats.mcse(v, method="mean")) for v in (x, y)))
        found += [f"mean of {name}[{k}]: {z:.1f} errors" for k, z in enumerate(means / errors) if abs(z) >= most_errors]
        spread = np.hypot(*(np.atleast_1d(array_stats.mcse(v, method="sd")) / v.std((1, 2)) for v in (x, y)))
        found += [f"sd of {name}[{k}]: ratio {r:.2f}" for k, r in enumerate(sds) if abs(np.log(r)) >= most_errors * spread[k]]
    return found


@pytest.fixture(scope="session")
def disagreements() -> Callable[..., list[str]]:
    return _disagreements


@pytest.fixture
def x64_process() -> Iterator[None]:
    """The process-wide float64 flag switched on, as a user may have it."""
    import jax

    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


@pytest.fixture
def real_panel(needs: Callable[[str], Any]) -> Callable[[], Panel]:
    """Fifty states and eleven years of real outcomes."""

    def load() -> Panel:
        needs("causaldata")
        return load_example("castle")

    return load


def _donor_panel(rng: np.random.Generator, weights: list[float], periods: int = 30, post: int = 5, effect: float = 0.0) -> Panel:
    """Donors on two common factors; unit u00 is a weighted sum of them, three above it, plus noise of sd 0.3."""
    donors = len(weights)
    common = rng.standard_normal((periods, 2)).cumsum(0)
    x = common @ rng.standard_normal((2, donors)) + 0.5 * rng.standard_normal((periods, donors)).cumsum(0)
    treated = np.arange(periods) >= periods - post
    y = 3 + x @ np.array(weights) + 0.3 * rng.standard_normal(periods) + effect * treated
    values = np.column_stack([y, x])
    unit, time = np.indices(values.T.shape).reshape(2, -1)
    on = ((unit == 0) & treated[time]).astype(int)
    columns = {"unit": [f"u{k:02d}" for k in unit], "t": time, "y": values.T.ravel(), "d": on}
    return Panel.from_frame(pd.DataFrame(columns), unit="unit", time="t", outcome="y", treatment="d")


@pytest.fixture(scope="session")
def donor_panel() -> Callable[..., Panel]:
    """A panel with one treated unit beside donors."""
    return _donor_panel


def _posterior_of(model: Any, engine: Any, seed: int) -> xr.Dataset:
    return dataset(model, model.natural(engine.sample(model, seed=seed).sites), ("chain", "draw"))


@pytest.fixture(scope="session")
def posterior_of() -> Callable[..., xr.Dataset]:
    """What a model tells of an engine's draws."""
    return _posterior_of
