"""The filter against the dense normal, against statsmodels, and against its own other order; draws against exact moments."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import linalg

from bayes_causal.numerics.kalman import Space, draw_states, gains, gram, whiten

ROWS = 40
KINDS = ("level", "level and ar1", "trend", "seasons of three rows", "known start", "wandering coefficient", "semilocal and ar3")


def space(kind: str, rng: np.random.Generator) -> Space:
    """Every feature somewhere: no observation noise, several noises a state, states that stay, loadings that change."""
    one, ones = np.ones((1, 1)), np.ones((ROWS, 1))
    built: dict[str, tuple[Any, ...]] = {
        "level": (one, 0.3 * one, ones, 1.2 * one, 1.0, None),
        "known start": (one, 0.3 * one, ones, 0 * one, 1.0, None),
        "level and ar1": (np.diag([1, 0.6]), np.diag([0.3, 1.0]), np.ones((ROWS, 2)), np.diag([1.2, 1.25]), 0.0, None),
        "trend": (np.triu(np.ones((2, 2))), np.diag([0.3, 0.1]), np.tile([1.0, 0], (ROWS, 1)), np.diag([1.2, 0.5]), 1.0, None),
        "wandering coefficient": (one, 0.3 * one, rng.standard_normal((ROWS, 1)), 0 * one, 1.0, None),
    }
    if kind == "semilocal and ar3":
        transition = linalg.block_diag([[1.0, 1, 0], [0, 0.7, 0.3], [0, 0, 1]], [[0.5, -0.4, 0.3], [1, 0, 0], [0, 1, 0]])
        noise = np.zeros((6, 3))
        noise[[0, 1, 3], [0, 1, 2]] = 0.3, 0.1, 1.0
        stationary = linalg.solve_discrete_lyapunov(transition[3:, 3:], np.diag([1.0, 0, 0]))
        first = linalg.block_diag(np.diag([1.2, 0.3, 0.2]), linalg.cholesky(stationary, lower=True))
        loading = np.tile([1.0, 0, 0, 1, 0, 0], (ROWS, 1))
        return Space(*map(jnp.asarray, (transition, noise, loading, first, 0.0)), None)
    if kind in built:
        return Space(*(None if v is None else jnp.asarray(v) for v in built[kind]))
    transition, noise = np.zeros((8, 8)), np.zeros((8, 2))
    transition[0, 0], transition[1, 1:] = 1.0, -1.0
    transition[np.arange(2, 8), np.arange(1, 7)] = 1.0
    noise[0, 0], noise[1, 1] = 0.3, 0.2
    advance = np.ones((ROWS, 8))
    advance[:, 1:] = ((np.arange(ROWS) + 1) % 3 == 0)[:, None]
    loading = np.tile([1.0, 1, 0, 0, 0, 0, 0, 0], (ROWS, 1))
    return Space(*map(jnp.asarray, (transition, noise, loading, np.diag([1.2, *7 * [0.9]]), 1.0, advance)))


def shocks(s: Space) -> np.ndarray:
    """(T, m, K) how the states of every row load on K independent standard normals, by plain recursion."""
    m, r = s.noise.shape
    k = s.first.shape[1]
    found, state = np.zeros((ROWS, m, k + ROWS * r)), np.zeros((m, k + ROWS * r))
    state[:, :k] = s.first
    for t in range(ROWS):
        found[t] = state
        own = np.ones(m) if s.advance is None else np.asarray(s.advance[t])
        state = own[:, None] * (np.asarray(s.transition) @ state) + (1 - own)[:, None] * state
        state[:, k + t * r : k + (t + 1) * r] += own[:, None] * np.asarray(s.noise)
    return found


@pytest.mark.parametrize("method", ["scan", "associative"])
@pytest.mark.parametrize("kind", KINDS)
def test_products_are_those_of_the_dense_normal(kind: str, method: Any, rng: np.random.Generator) -> None:
    """Four columns, a fifth of the rows missing: V'V and the log determinant to 1e-10, far inside the 1e-8 asked for."""
    with jax.enable_x64(True):
        s = space(kind, rng)
        columns, seen = rng.standard_normal((ROWS, 4)), rng.random(ROWS) > 0.2
        found, log_f = jax.jit(partial(gram, method=method))(s, jnp.asarray(columns), jnp.asarray(seen))
    loads = np.einsum("tm,tmk->tk", s.loading, shocks(s))
    omega = (loads @ loads.T + float(s.observation) * np.eye(ROWS))[np.ix_(seen, seen)]
    assert np.allclose(found, columns[seen].T @ np.linalg.solve(omega, columns[seen]), rtol=1e-10, atol=1e-10)
    assert float(log_f) == pytest.approx(np.linalg.slogdet(omega)[1], abs=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_gains_and_columns_apart_are_the_filter(kind: str, rng: np.random.Generator) -> None:
    """V'V and Σ log F of `gains` and `whiten` are those of `gram`, rows not observed left out whatever stands in them."""

    def apart(s: Space, columns: jax.Array, seen: jax.Array) -> tuple[jax.Array, jax.Array]:
        gain, f = gains(s, seen)
        v = whiten(s, gain, f, seen, columns)
        return v.T @ v, jnp.sum(seen * jnp.log(f))

    with jax.enable_x64(True):
        s = space(kind, rng)
        columns, seen = jnp.asarray(rng.standard_normal((ROWS, 3))), jnp.asarray(rng.random(ROWS) > 0.2)
        for one, two in zip(jax.jit(apart)(s, columns, seen), jax.jit(gram)(s, columns, seen), strict=True):
            assert np.allclose(one, two, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["level", "trend"])
def test_likelihood_is_that_of_statsmodels(kind: str, rng: np.random.Generator, needs: Callable[[str], Any]) -> None:
    needs("statsmodels")
    from statsmodels.tsa.statespace.structural import UnobservedComponents

    with jax.enable_x64(True):
        s = space(kind, rng)
        y, seen = np.cumsum(rng.standard_normal(ROWS)), rng.random(ROWS) > 0.2
        total, log_f = gram(s, jnp.asarray(y[:, None]), jnp.asarray(seen))
    ours = -0.5 * (float(total[0, 0]) + float(log_f) + seen.sum() * np.log(2 * np.pi))
    peer = UnobservedComponents(np.where(seen, y, np.nan), level="llevel" if kind == "level" else "lltrend")
    m = s.transition.shape[0]
    first = np.asarray(s.first)
    peer.ssm.initialize_known(np.zeros(m), first @ first.T)
    peer.ssm.loglikelihood_burn = 0
    variances = [1.0, *(np.diag(s.noise) ** 2)]
    assert ours == pytest.approx(peer.loglike(variances), abs=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_states_are_drawn_from_their_posterior(kind: str, rng: np.random.Generator) -> None:
    """20,000 draws, the last ten rows unseen. Means within 5 standard errors and variances within 6 %, of up to 320 states.

    The sd of a variance is 1 %: a right smoother fails once in a million names. States without any variance are exact.
    """
    draws = 20_000
    with jax.enable_x64(True):
        s = space(kind, rng)
        seen = (rng.random(ROWS) > 0.2) & (np.arange(ROWS) < ROWS - 10)
        y = np.where(seen, rng.standard_normal(ROWS), 0.0)
        sample = jax.jit(jax.vmap(lambda k: draw_states(s, jnp.asarray(y), jnp.asarray(seen), k)))
        found = np.asarray(sample(jax.random.split(jax.random.PRNGKey(int(rng.integers(2**31))), draws)))
    states = shocks(s)
    loads = np.einsum("tm,tmk->tk", s.loading, states)[seen]
    omega = loads @ loads.T + float(s.observation) * np.eye(seen.sum())
    cross = np.einsum("tmk,sk->tms", states, loads)
    mean = cross @ np.linalg.solve(omega, y[seen])
    variance = np.einsum("tmk,tmk->tm", states, states) - np.einsum("tms,su,tmu->tm", cross, np.linalg.inv(omega), cross)
    free = variance > 1e-9
    z = (found.mean(0) - mean)[free] / np.sqrt(variance[free] / draws)
    assert np.abs(z).max() < 5
    assert np.abs(found.var(0)[free] / variance[free] - 1).max() < 0.06
    assert np.allclose(found[:, ~free], mean[~free], atol=1e-4)


def test_rows_that_were_not_seen_do_not_count(rng: np.random.Generator) -> None:
    """Whatever stands in them, and a row that was seen does count."""
    with jax.enable_x64(True):
        s, seen = space("trend", rng), jnp.arange(ROWS) % 3 > 0
        x = jnp.asarray(rng.standard_normal((ROWS, 2)))
        first = gram(s, x, seen)
        assert all(np.array_equal(a, b) for a, b in zip(first, gram(s, jnp.where(seen[:, None], x, 1e3), seen), strict=True))
        assert not np.allclose(first[0], gram(s, x.at[1].add(0.1), seen)[0])
