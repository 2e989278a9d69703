"""Regimes against every path there is; the tree against the scan; draws against the smoother."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from bayes_causal.numerics import regimes
from bayes_causal.numerics.jitted import jitted_once
from bayes_causal.numerics.regime_errors import Shape, errors, log_densities
from bayes_causal.numerics.regime_rows import Rows


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def chain(rng: np.random.Generator, k: int) -> np.ndarray:
    return rng.dirichlet(np.ones(k), k)


def setting(rng: np.random.Generator, k: int, m: int, dates: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log densities of outcomes, a transition matrix and a first law."""
    return rng.normal(size=(dates, *[k] * (m + 1))), chain(rng, k), rng.dirichlet(np.ones(k))


def every_path(log_b: np.ndarray, p: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, T + m) paths and the (N,) log probability of each together with the outcomes."""
    dates, k, m = log_b.shape[0], log_b.shape[1], log_b.ndim - 2
    paths = np.array(list(itertools.product(range(k), repeat=dates + m)))
    p = np.broadcast_to(p, (dates, k, k)) if p.ndim == 2 else p
    value = np.log(first)[paths[:, 0]]
    for t in range(1, m):
        value = value + np.log(p[0])[paths[:, t - 1], paths[:, t]]
    for t in range(dates):
        now = tuple(paths[:, t + m - lag] for lag in range(m + 1))
        value = value + np.log(p[t])[now[1], now[0]] + log_b[(t, *now)]
    return paths, value


def run(log_b: np.ndarray, p: np.ndarray, first: np.ndarray, method: Any = "scan") -> regimes.Forward:
    return compiled(method)(log_b, p, first)


@cache
def compiled(method: Any) -> Any:
    """The filter as one program: operation by operation each would be compiled by itself."""

    def whole(log_b: Any, p: Any, first: Any) -> regimes.Forward:
        log_p = jnp.log(p)
        start = regimes.opening(jnp.log(first), log_p[0] if p.ndim == 3 else log_p, log_b.ndim - 2)
        return regimes.forward(log_b, log_p, start, method)

    return jitted_once(whole)


@pytest.mark.parametrize(("k", "m", "dates"), [(3, 1, 5), (2, 3, 5)])
def test_filter_and_smoother_are_sums_over_all_paths(k: int, m: int, dates: int, rng: np.random.Generator) -> None:
    log_b, p, first = setting(rng, k, m, dates)
    paths, value = every_path(log_b, p, first)
    ours = run(log_b, p, first)
    assert float(ours.increments.sum()) == pytest.approx(logsumexp(value), abs=1e-10)
    weight = np.exp(value - logsumexp(value))
    exact = np.zeros(log_b.shape)
    for t in range(dates):
        np.add.at(exact[t], tuple(paths[:, t + m - lag] for lag in range(m + 1)), weight)
    np.testing.assert_allclose(jitted_once(regimes.smoothed)(ours.joint), exact, atol=1e-12)
    short = every_path(log_b[: dates - 1], p, first)
    late = np.bincount(short[0][:, -1], np.exp(short[1] - logsumexp(short[1])), k)
    np.testing.assert_allclose(regimes.filtered(ours.joint)[dates - 2], late, atol=1e-12)


def test_transitions_may_differ_by_date(rng: np.random.Generator) -> None:
    log_b, _, first = setting(rng, 2, 1, 6)
    p = np.stack([chain(rng, 2) for _ in range(6)])
    assert float(run(log_b, p, first).increments.sum()) == pytest.approx(logsumexp(every_path(log_b, p, first)[1]), abs=1e-10)


def test_the_tree_gives_what_the_scan_gives(rng: np.random.Generator) -> None:
    """Over 150 dates, some with outcomes that no regime explains well, and under transitions close to never."""
    k = 3
    log_b, p, first = setting(rng, k, 1, 150)
    log_b[::50] *= 300
    p = 1e-8 * p + (1 - 1e-8) * np.eye(k)
    a, b = (run(log_b, p, first, way) for way in ("scan", "associative"))
    np.testing.assert_allclose(a.increments, b.increments, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(np.exp(a.joint), np.exp(b.joint), atol=1e-10)
    key = jax.random.PRNGKey(1)
    draw = jax.jit(regimes.draw_path, static_argnums=2)
    np.testing.assert_array_equal(*(draw(a.joint, key, way) for way in ("scan", "associative")))


@pytest.mark.parametrize(("k", "m"), [(3, 1), (2, 2)])
def test_drawn_paths_have_the_law_of_all_paths(k: int, m: int, rng: np.random.Generator, seed: int) -> None:
    """20,000 paths of four dates, chi-squared over all paths, at 1e-4."""
    log_b, p, first = setting(rng, k, m, 4)
    paths, value = every_path(log_b, p, first)
    joint = run(log_b, p, first).joint
    for method in ("scan", "associative", "quick")[: 3 if m == 1 else 1]:
        quick = method == "quick"
        way = partial(regimes.quick_path, log_b, p, first) if quick else lambda key, m=method: regimes.draw_path(joint, key, m)
        draw = jitted_once(jax.vmap(way))
        drawn = np.asarray(draw(jax.random.split(jax.random.PRNGKey(seed % 2**30), 20_000)))
        code, power = drawn @ k ** np.arange(4 + m), paths @ k ** np.arange(4 + m)
        counts = np.bincount(code, minlength=k ** (4 + m))[power]
        expected = 20_000 * np.exp(value - logsumexp(value))
        common = expected > 5
        counts = np.append(counts[common], counts[~common].sum())
        expected = np.append(expected[common], expected[~common].sum())
        assert stats.chisquare(counts, expected).pvalue > 1e-4
        assert stats.chisquare(np.roll(counts, 1), expected).pvalue < 1e-8, "paths by other names would go unseen"


@pytest.mark.parametrize("k", [2, 3])
def test_the_stationary_law_stays(k: int, rng: np.random.Generator) -> None:
    p = np.stack([chain(rng, k), 1e-12 * chain(rng, k) + (1 - 1e-12) * np.eye(k)])
    law = np.asarray(regimes.stationary(jnp.asarray(p)))
    np.testing.assert_allclose(np.einsum("nk,nkj->nj", law, p), law, rtol=1e-12)
    np.testing.assert_allclose(law.sum(1), 1.0)
    values, vectors = np.linalg.eig(p[0].T)
    eigen = np.real(vectors[:, np.argmin(abs(values - 1))])
    np.testing.assert_allclose(law[0], eigen / eigen.sum(), rtol=1e-10)


@pytest.mark.parametrize("form", ["regression", "hamilton"])
@pytest.mark.parametrize("lagged", [True, False])
def test_errors_are_those_of_the_equations(form: Any, lagged: bool, rng: np.random.Generator) -> None:
    """Two lags, two series, two shocks, a control: every combination of regimes by hand."""
    k, dates, shape = 2, 3, Shape(2, 2, form, lagged)
    rows = Rows(
        rng.normal(size=(dates, 2)), rng.normal(size=(dates, 2, 2)), rng.normal(size=(dates, 2)), rng.normal(size=(dates, 1))
    )
    p = {"level": rng.normal(size=(2, k)), "ar": rng.normal(size=(2, 2, k)), "shock": rng.normal(size=(2, 2, k))}
    p |= {"control": rng.normal(size=(2, 1)), "sigma": rng.uniform(0.5, 2, (2, k))}
    full = (dates, 2, *[k] * (shape.memory + 1))
    found = np.broadcast_to(errors(shape, rows, {n: jnp.asarray(v) for n, v in p.items()}), full)
    density = np.asarray(log_densities(shape, jnp.asarray(found), jnp.asarray(p["sigma"])))
    tails = np.asarray(log_densities(shape, jnp.asarray(found), jnp.asarray(p["sigma"]), jnp.asarray(5.0)))
    for t, *z in itertools.product(range(dates), *[range(k)] * (shape.memory + 1)):
        e = rows.y[t] - rows.c[t] @ p["control"].T - p["level"][:, z[0]]
        e = e - np.einsum("s,as->a", rows.x[t], p["shock"][:, :, z[1 if lagged else 0]])
        for lag in range(2):
            before = rows.lags[t, lag] - (p["level"][:, z[lag + 1]] if form == "hamilton" else 0.0)
            e = e - p["ar"][:, lag, z[0]] * before
        np.testing.assert_allclose(found[(t, slice(None), *z)], e, atol=1e-12)
        scale = p["sigma"][:, z[0]]
        assert density[(t, *z)] == pytest.approx(stats.norm.logpdf(e, scale=scale).sum(), abs=1e-12)
        assert tails[(t, *z)] == pytest.approx(stats.t.logpdf(e, 5.0, scale=scale).sum(), abs=1e-12)


def test_a_quick_path_finds_what_only_an_unlikely_regime_explains(rng: np.random.Generator) -> None:
    """Outcomes a thousand log units apart, one of them against all that came before."""
    log_b, p, first = setting(rng, 2, 1, 60)
    calm = np.array([[0.0, 0.0], [-1e3, -1e3]])
    log_b += calm
    log_b[30] -= 2 * calm
    drawn = np.asarray(jitted_once(regimes.quick_path)(log_b, p, first, jax.random.PRNGKey(0)))
    np.testing.assert_array_equal(drawn[1:], np.arange(60) == 30)
