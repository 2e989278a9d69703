"""Sums are what the docstring says they are, and add up over chunks of whole units."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayes_causal.numerics.linear_gaussian import LinearGaussian, information
from bayes_causal.numerics.panel_sums import PanelSums, loading_weights, log_variance, panel_sums, product_weights, sums_without

GAPS = {"iid": None, "gap-free": (1,), "gaps": (1, 2, 3)}


def rows(rng: np.random.Generator, kind: str, units: int, weighted: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N, 4) columns times √w, (N,) √w and (N,) gaps of units of different lengths."""
    length = rng.integers(1, 7, units)
    first = np.repeat(np.cumsum(length) - length, length) == np.arange(length.sum())
    gap = np.where(first, 0, 1 if kind == "gap-free" else rng.integers(1, 4, length.sum()))
    u = np.sqrt(rng.uniform(0.3, 3.0, gap.size)) if weighted else np.ones(gap.size)
    return rng.standard_normal((gap.size, 4)) * u[:, None], u, gap


def added(parts: Iterable[PanelSums]) -> dict[str, np.ndarray]:
    """What may be added over chunks, added."""
    parts = list(parts)
    return {k: sum(getattr(p, k) for p in parts) for k in ("products", "pairs", "rows", "firsts", "half_log_weight")}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", GAPS)
def test_sums_add_over_chunks_of_whole_units(kind: str, weighted: bool, rng: np.random.Generator) -> None:
    z, u, gap = rows(rng, kind, 90, weighted)
    starts = np.flatnonzero(gap == 0)
    cuts = [0, starts[17], starts[18], starts[60], gap.size]
    chunks = [slice(a, b) for a, b in pairwise(cuts)]
    whole = panel_sums(z, u, gap, GAPS[kind])
    for name, value in added(panel_sums(z[c], u[c], gap[c], GAPS[kind]) for c in chunks).items():
        assert value == pytest.approx(getattr(whole, name), rel=1e-12, abs=1e-12), name


def test_a_chunk_that_cuts_a_unit_open_does_not_add(rng: np.random.Generator) -> None:
    """The test above can fail: the product across the cut is lost."""
    z, u, gap = rows(rng, "gap-free", 20, False)
    inside = int(np.flatnonzero(gap > 0)[5])
    later = gap[inside:].copy()
    later[0] = 0
    parts = added([panel_sums(z[:inside], u[:inside], gap[:inside], (1,)), panel_sums(z[inside:], u[inside:], later, (1,))])
    assert np.abs(parts["products"] - panel_sums(z, u, gap, (1,)).products).max() > 0.01


def test_classes_add_where_chunks_share_them(rng: np.random.Generator) -> None:
    """Units of one length are one class, in the whole as in every chunk."""
    z, u, gap = rng.standard_normal((60, 3)), np.ones(60), np.tile([0, 1, 1, 1, 1], 12)
    whole, halves = panel_sums(z, u, gap, (1,)), [panel_sums(z[s], u[:30], gap[:30], (1,)) for s in (slice(30), slice(30, 60))]
    assert whole.loadings.shape[0] == 1
    assert halves[0].loadings + halves[1].loadings == pytest.approx(whole.loadings, rel=1e-12, abs=1e-12)
    assert (halves[0].units + halves[1].units, halves[0].unit_products) == (whole.units, pytest.approx(whole.unit_products))


def test_one_class_a_unit_concatenates(rng: np.random.Generator) -> None:
    z, u, gap = rows(rng, "gaps", 120, True)
    cut = int(np.flatnonzero(gap == 0)[60])
    whole = panel_sums(z, u, gap, (1, 2, 3))
    halves = [panel_sums(z[s], u[s], gap[s], (1, 2, 3)) for s in (slice(cut), slice(cut, None))]
    assert whole.by_unit
    assert np.concatenate([h.loadings for h in halves]) == pytest.approx(whole.loadings, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", GAPS)
@pytest.mark.parametrize("rho", [-0.7, 0.0, 0.4, 0.98])
def test_products_are_the_whitened_cross_product(kind: str, weighted: bool, rho: float, rng: np.random.Generator) -> None:
    """Σ a_k A_k = Z'V⁻¹Z, and the log variances add up to log |V|, with V written out unit by unit."""
    z, u, gap = rows(rng, kind, 12, weighted)
    sums, rho = panel_sums(z, u, gap, GAPS[kind]), 0.0 if kind == "iid" else rho
    expected, log_det, crossed = np.zeros((4, 4)), 0.0, []
    for rows_of in np.split(np.arange(gap.size), np.flatnonzero(gap == 0)[1:]):
        at = np.cumsum(gap[rows_of])
        v = rho ** np.abs(at[:, None] - at) / (1 - rho**2)
        expected += z[rows_of].T @ np.linalg.solve(v, z[rows_of])
        crossed.append(u[rows_of] @ np.linalg.solve(v, z[rows_of]))
        log_det += np.linalg.slogdet(v)[1]
    with jax.enable_x64(True):
        a = np.array(product_weights(np.float64(rho), GAPS[kind]), float)
        total = float(log_variance(np.float64(rho), sums, GAPS[kind]))
        phi = np.array(loading_weights(np.float64(rho), GAPS[kind], sums.unit_products.shape[1]), float)
    assert np.tensordot(a, sums.products, 1) == pytest.approx(expected, rel=1e-10, abs=1e-10)
    assert total == pytest.approx(log_det, rel=1e-10, abs=1e-10)
    of_units = np.einsum("m,umq->uq", phi, sums.loadings) if sums.by_unit else None
    grams = of_units.T @ of_units if sums.by_unit else np.einsum("m,n,cmnpq->pq", phi, phi, sums.loadings)
    assert grams == pytest.approx(np.array(crossed).T @ np.array(crossed), rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("units", [12, 90])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", GAPS)
def test_sums_without_are_those_of_the_rest(kind: str, weighted: bool, units: int, rng: np.random.Generator) -> None:
    """Few units and most of them, in classes, at nodes, or one by one: the information is that of the other rows alone."""
    z, u, gap = rows(rng, kind, units, weighted)
    sets = np.stack([np.arange(units) < 3, np.arange(units) > 4, np.arange(units) % 2 == 0])
    whole = panel_sums(z, u, gap, GAPS[kind])
    found = sums_without(whole, z, u, gap, GAPS[kind], sets)
    form = LinearGaussian((), (), None, GAPS[kind])
    with jax.enable_x64(True):
        theta = {"rho": jnp.asarray(0.4), "sigma": jnp.asarray(0.7), "sigma_unit": jnp.asarray(1.3)}
        for k, out in enumerate([np.zeros(units, bool), *sets]):
            stay = ~out[np.cumsum(gap == 0) - 1]
            rest = panel_sums(z[stay], u[stay], gap[stay], GAPS[kind])
            part = PanelSums(*(v[k] for v in found))
            for a, b in zip(information(form, part, theta), information(form, rest, theta), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
            for name in ("rows", "firsts", "half_log_weight"):
                assert float(getattr(part, name)) == pytest.approx(float(getattr(rest, name)), abs=1e-12), name
