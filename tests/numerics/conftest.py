from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from bayes_causal.numerics.jitted import jitted_once

Fault = tuple[ModuleType, str, Callable[..., Any]]


def _p_values(z: np.ndarray) -> tuple[float, float]:
    """p-values of the (S, q) rows of z having mean zero, and covariance I (likelihood ratio, Bartlett's correction)."""
    n, q = z.shape
    mean = z.mean(0)
    s = (z - mean).T @ (z - mean) / n
    ratio = (n - 1) * (np.trace(s) * n / (n - 1) - np.linalg.slogdet(s * n / (n - 1))[1] - q)
    ratio *= 1 - (2 * q + 1 - 2 / (q + 1)) / (6 * (n - 1))
    return float(stats.chi2.sf(n * mean @ mean, q)), float(stats.chi2.sf(ratio, q * (q + 1) / 2))


@pytest.fixture
def p_values() -> Callable[[np.ndarray], tuple[float, float]]:
    """p-values for whitened draws: of their mean being 0, of their covariance being I."""
    return _p_values


def _started(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state, or states of forms beside each other, with the statistics that a sweep gives it."""
    if any(isinstance(v, Mapping) for v in state.values()):
        return {k: _started(v) for k, v in state.items()}
    return dict(state) | {"acceptance_rate": jnp.zeros(()), "lp": jnp.zeros(())}


def _swept(form: Any, data: Any, states: Mapping[str, Any], seed: int) -> dict[str, np.ndarray]:
    """(n, ...) sites of chains after two sweeps from (n, ...) states, each on data of its own."""

    def after(data: Any, state: Any, key: Any) -> Any:
        start = _started(state)
        swept = jax.lax.fori_loop(0, 2, lambda k, v: form.sweep(data, v, jax.random.fold_in(key, k), False), start)
        return form.sites(data, swept, key)

    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.PRNGKey(seed), len(jax.tree.leaves(states)[0]))
        found = jitted_once(jax.vmap(after))(data, jax.tree.map(jnp.asarray, dict(states)), keys)
        return {k: np.asarray(v) for k, v in found.items()}


@pytest.fixture
def swept() -> Callable[..., dict[str, np.ndarray]]:
    """Sites after two sweeps from states given, of a form without data."""
    return _swept


@pytest.fixture
def held_to_the_prior(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Hold p-values of what sweeps make of the prior to 1e-4 over all of them; or, with a fault planted, see it caught."""

    def held(p_values: Callable[[], dict[str, float]], fault: Fault | None, caught: float = 1e-5) -> None:
        if fault:
            module, name, wrong = fault
            monkeypatch.setattr(module, name, wrong(getattr(module, name)))
        found = p_values()
        least = min(found.values())
        assert least < caught if fault else least > 1e-4 / len(found), found

    return held
