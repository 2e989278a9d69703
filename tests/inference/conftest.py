from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import xarray as xr

from bayes_causal.data.examples import load_example
from bayes_causal.data.panel import Panel
from bayes_causal.data.simulate import simulate_panel
from bayes_causal.estimates import Estimand
from bayes_causal.inference.fit import fit
from bayes_causal.models.hierarchical_did import HierarchicalDiD


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


def _disagreements(a: xr.Dataset, b: xr.Dataset, sd_tolerance: float | None) -> list[str]:
    """Scalars whose means differ by four Monte Carlo standard errors or more, or whose sds differ by more than the tolerance.

    Without one, sds are held to four of their own Monte Carlo errors: those of heavy tails are known far less well than means.
    """
    from arviz_stats.base import array_stats

    found = []
    for name in sorted(set(a.data_vars) & set(b.data_vars)):
        x, y = (_scalars(d[name].transpose("chain", "draw", ...).values) for d in (a, b))
        if not len(x):
            continue
        means, sds = x.mean((1, 2)) - y.mean((1, 2)), x.std((1, 2)) / y.std((1, 2))
        errors = np.hypot(*(np.atleast_1d(array_stats.mcse(v, method="mean")) for v in (x, y)))
        found += [f"mean of {name}[{k}]: {z:.1f} errors" for k, z in enumerate(means / errors) if abs(z) >= 4]
        spread = np.hypot(*(np.atleast_1d(array_stats.mcse(v, method="sd")) / v.std((1, 2)) for v in (x, y)))
        most = 4 * spread if sd_tolerance is None else np.full(len(x), sd_tolerance)
        found += [f"sd of {name}[{k}]: ratio {r:.2f}" for k, r in enumerate(sds) if abs(np.log(r)) >= most[k]]
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
