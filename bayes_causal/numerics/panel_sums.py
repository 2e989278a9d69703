"""Sufficient statistics of a linear panel model with a random intercept and iid or AR(1) errors.

Everything the data say about the coefficients, given (ρ, σ, σ_α), lies in sums over units; their size depends on neither rows nor
units. y rides along as the last of q columns. With V the correlation structure of a unit's errors (innovation variance one),
u = √w its loading on the random intercept and d the gap between consecutive rows,

    Z'V⁻¹Z = Σ_k a_k(ρ) A_k      A: first rows; and per gap, own, previous and crossed products of consecutive rows
    u'V⁻¹Z = Σ_m φ_m(ρ) x_m      x: the same sums weighted by the loading, one (M, q) array a unit; without weights and gaps
                                 they are two, the sum of all rows and the sum of first and last
    u'V⁻¹u = Σ_m φ_m(ρ) k_m      the same of the loading itself

Where a unit's slope is random too there are r = 2 loadings, x is (rM, q) and k holds the products of each pair of loadings.

Sums are additive over units. Units with equal k share a class, in which only Σ x x' is kept. Where k is one number (a total
weight under iid errors, a length without weights and gaps) and there are many of it, functions of it are interpolated at
Chebyshev nodes in its logarithm, which makes 24 classes of any number. Else every unit is its own class and a density costs
O(U q²).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jax import Array

from bayes_causal.errors import DataError
from bayes_causal.numerics.unit_effects import loading_pairs

MAX_CLASSES = 48
CLASS_BYTES = 2**28
NODES = 24


class PanelSums(NamedTuple):
    """The sums. K products, M loadings, q columns (y last), C classes, D gaps. A pytree of arrays.

    Parameters
    ----------
    products : (K, q, q) A_k
    loadings : (C, M, M, q, q) Σ_i x_i x_i' by class, or (U, M, q) x_i where every unit is its own class
    unit_products : (C, M) k of the class, or of the unit
    units : (C,) units in the class
    pairs : (D,) consecutive rows at each gap
    rows : () number of rows
    firsts : () number of units
    half_log_weight : () Σ ½ log w

    NumPy arrays when formed, JAX arrays inside a density.
    """

    products: Any
    loadings: Any
    unit_products: Any
    units: Any
    pairs: Any
    rows: Any
    firsts: Any
    half_log_weight: Any

    @property
    def by_unit(self) -> bool:
        """Every unit its own class, also where a leading axis runs over problems."""
        return bool(self.loadings.ndim < 5)


def panel_sums(z: np.ndarray, loading: np.ndarray, gap: np.ndarray, gaps: tuple[int, ...] | None) -> PanelSums:
    """The sums of (N, q) columns.

    Parameters
    ----------
    z : (N, q) columns times √w, y last, rows sorted by unit and time
    loading : (N,) √w, or (N, r) with a column for each of a unit's effects, √w the first
    gap : (N,) periods since the unit's previous row, 0 on its first
    gaps : distinct gaps under AR(1) errors; None for iid errors
    """
    starts = np.flatnonzero(gap == 0)
    products = _products(z, gap, gaps)
    u = loading.reshape(gap.size, -1)
    x, k = loading_sums(z, u, gap, gaps)
    room = CLASS_BYTES // (8 * (x.shape[1] * z.shape[1]) ** 2)
    units, classes, weights = _classes(k, most=min(MAX_CLASSES, room))
    if weights is None:
        loadings, unit_products = x, k
    else:
        loadings, unit_products = _grams(x, weights), classes
    pairs = np.array([(gap == d).sum() for d in gaps or ()], float)
    half = float(np.log(u[:, 0]).sum())
    counts = (np.asarray(float(v)) for v in (gap.size, starts.size, half))
    return PanelSums(products, loadings, unit_products, units, pairs, *counts)


def sums_without(
    total: PanelSums, z: np.ndarray, loading: np.ndarray, gap: np.ndarray, gaps: tuple[int, ...] | None, sets: np.ndarray
) -> PanelSums:
    """The sums of all rows and those without each set of units, stacked: a leading axis of P + 1 on every array.

    Formed from the rows of the units that go, or of those that stay where these are fewer; classes are those of the whole.

    Parameters
    ----------
    total : PanelSums
        Of all rows, by `panel_sums` from the same arguments.
    sets : (P, U) bool
        Units to leave out.
    """
    unit = np.cumsum(gap == 0) - 1
    x, k = loading_sums(z, loading.reshape(gap.size, -1), gap, gaps)
    weights = None if total.by_unit else _classes(k, most=total.units.size)[2]
    parts = [total]
    for out in sets:
        fewer = out if 2 * out[unit].sum() <= unit.size else ~out
        part = _of_units(fewer, z, loading, gap, gaps, unit, x, k, weights)
        parts.append(part if fewer is not out else PanelSums(*(np.asarray(a) - b for a, b in zip(total, part, strict=True))))
    stacked = PanelSums(*(np.stack([np.asarray(v) for v in field]) for field in zip(*parts, strict=True)))
    return stacked if weights is None else stacked._replace(unit_products=np.stack([total.unit_products] * len(parts)))


def _of_units(
    units: np.ndarray,
    z: np.ndarray,
    loading: np.ndarray,
    gap: np.ndarray,
    gaps: tuple[int, ...] | None,
    unit: np.ndarray,
    x: np.ndarray,
    k: np.ndarray,
    weights: np.ndarray | None,
) -> PanelSums:
    """The sums of some (U,) units alone, in the classes of the whole; where each unit is its own, zeros for the others."""
    rows = units[unit]
    zs, gs = z[rows], gap[rows]
    pairs = np.array([(gs == d).sum() for d in gaps or ()], float)
    counts = (np.asarray(float(v)) for v in (gs.size, units.sum(), np.log(loading.reshape(gap.size, -1)[rows, 0]).sum()))
    if weights is None:
        own = units.astype(float)
        return PanelSums(_products(zs, gs, gaps), x * own[:, None, None], k * own[:, None], own, pairs, *counts)
    stacked = x[units].reshape(int(units.sum()), -1)
    grams = np.stack([(stacked * w[:, None]).T @ stacked for w in weights[units].T])
    loadings = grams.reshape(-1, x.shape[1], x.shape[2], x.shape[1], x.shape[2]).transpose(0, 1, 3, 2, 4)
    return PanelSums(
        _products(zs, gs, gaps), loadings, np.zeros((loadings.shape[0], k.shape[1])), weights[units].sum(0), pairs, *counts
    )


@dataclass(frozen=True, eq=False)
class Within:
    """How units that share a row of columns differ. P such paths of units, T periods, k columns that differ.

    Parameters
    ----------
    columns : (k,) positions among the q columns
    spread : (P, T, k, T, k) sums over the units of a path of products of two deviations from its mean
    time : (N,) period of each row
    """

    columns: np.ndarray
    spread: np.ndarray
    time: np.ndarray


def path_sums(z: np.ndarray, gap: np.ndarray, gaps: tuple[int, ...] | None, copies: np.ndarray, within: Within) -> PanelSums:
    """The sums of (N, q) columns, each row the mean over the units of a path: the sums of all units, from what is between paths
    and what is within.

    Parameters
    ----------
    z : (N, q) means of the columns, y last, rows sorted by path and time; weights are one
    gap : (N,) periods since the path's previous row, 0 on its first
    gaps : distinct gaps under AR(1) errors; None for iid errors
    copies : (P,) units of each path
    within : Within
    """
    starts = np.flatnonzero(gap == 0)
    path = np.cumsum(gap == 0) - 1
    loadings_of = _ends_and_sums if gaps == (1,) else _loadings
    one = np.ones(gap.size)
    x, k = (loadings_of(c, one, gap, starts, gaps) for c in (z, one[:, None]))
    room = CLASS_BYTES // (8 * (x.shape[1] * z.shape[1]) ** 2)
    _, classes, member = _classes(k[:, :, 0], most=room)
    if member is None:
        raise DataError(
            f"the {copies.size:,} paths of the panel have more than {room:,} patterns of gaps, too many for sums under AR(1) "
            "errors. What helps: errors: iid, or periods without gaps (`pre`, `post`, `where`)"
        )
    periods = np.eye(within.spread.shape[1])[within.time]
    loadings = _grams(x, member * copies[:, None])
    rows, columns = within.columns[:, None], within.columns
    loadings[..., rows, columns] += _grams_within(loadings_of(periods, one, gap, starts, gaps), within.spread, member)
    products = _products(z * np.sqrt(copies[path])[:, None], gap, gaps)
    products[:, rows, columns] += _products_within(path, gap, gaps, within)
    pairs = np.array([copies[path[gap == d]].sum() for d in gaps or ()], float)
    counts = (np.asarray(float(v)) for v in (copies[path].sum(), copies.sum(), 0.0))
    return PanelSums(products, loadings, classes, copies @ member, pairs, *counts)


def _grams(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(C, M, M, q, q) weighted sums of products of (U, M, q) loadings, weights (U, C)."""
    n, m, q = x.shape
    stacked = x.reshape(n, m * q)
    grams = np.stack([(stacked * w[:, None]).T @ stacked for w in weights.T])
    return grams.reshape(-1, m, q, m, q).transpose(0, 1, 3, 2, 4)


def _grams_within(of_period: np.ndarray, spread: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(C, M, M, k, k) what deviations add to the loadings' products, from the (P, M, T) weight of each period in a loading."""
    total = np.zeros((weights.shape[1], *of_period.shape[1:2] * 2, *spread.shape[2:3] * 2))
    for p, (c, d) in enumerate(zip(of_period, spread, strict=True)):
        once = np.tensordot(c, d, 1)
        both = np.tensordot(once, c, (2, 1))
        total += weights[p, :, None, None, None, None] * both.transpose(0, 3, 1, 2)
    return total


def _products_within(path: np.ndarray, gap: np.ndarray, gaps: tuple[int, ...] | None, within: Within) -> np.ndarray:
    """(K, k, k) what deviations add to the products."""
    time, spread = within.time, within.spread

    def own(rows: np.ndarray) -> np.ndarray:
        return np.asarray(spread[path[rows], time[rows], :, time[rows], :].sum(0))

    if gaps is None:
        return own(np.arange(gap.size))[None]
    sums = [own(np.flatnonzero(gap == 0))]
    for d in gaps:
        now = np.flatnonzero(gap == d)
        cross = spread[path[now], time[now], :, time[now - 1], :].sum(0)
        sums += [own(now), own(now - 1), cross + cross.T]
    return np.stack(sums)


def loading_sums(z: np.ndarray, u: np.ndarray, gap: np.ndarray, gaps: tuple[int, ...] | None) -> tuple[np.ndarray, np.ndarray]:
    """(U, rM, q) x of (N, q) columns and (U, PM) k of the P pairs of (N, r) loadings."""
    starts = np.flatnonzero(gap == 0)
    of = _ends_and_sums if gaps == (1,) and u.shape[1] == 1 and np.ptp(u) == 0 else _loadings
    x = np.concatenate([of(z, own, gap, starts, gaps) for own in u.T], axis=1)
    k = [of(u[:, [a]], u[:, b], gap, starts, gaps)[:, :, 0] for a, b in loading_pairs(u.shape[1])]
    return x, np.concatenate(k, axis=1)


def product_weights(rho: Any, gaps: tuple[int, ...] | None) -> list[Any]:
    """a_k(ρ): first rows, then per gap own, previous and crossed products."""
    if gaps is None:
        return [1.0 + 0.0 * rho]
    weights = [1 - rho**2]
    for d in gaps:
        r, c = _ratio(rho, d), rho**d
        weights += [r, r * c**2, -r * c]
    return weights


def loading_weights(rho: Any, gaps: tuple[int, ...] | None, count: int) -> list[Any]:
    """φ_m(ρ) for `count` loadings: two without weights and gaps, else as many as products."""
    if gaps is not None and count == 2:
        return [(1 - rho) ** 2, rho * (1 - rho)]
    return product_weights(rho, gaps)


def log_variance(rho: Array, sums: PanelSums, gaps: tuple[int, ...] | None) -> Array:
    """Σ log of the innovation variances over σ²."""
    import jax.numpy as jnp

    if gaps is None:
        return 0.0 * rho
    total = -sums.firsts * jnp.log1p(-(rho**2))
    for k, d in enumerate(gaps):
        total = total - sums.pairs[k] * jnp.log(_ratio(rho, d))
    return total


def _ratio(rho: Any, d: int) -> Any:
    """(1 − ρ²)/(1 − ρ^2d), written without cancellation near |ρ| = 1."""
    total = 1.0 + 0.0 * rho
    for j in range(1, d):
        total = total + rho ** (2 * j)
    return 1.0 / total


def _products(z: np.ndarray, gap: np.ndarray, gaps: tuple[int, ...] | None) -> np.ndarray:
    if gaps is None:
        return (z.T @ z)[None]
    first = z[gap == 0]
    sums = [first.T @ first]
    for d in gaps:
        now = np.flatnonzero(gap == d)
        a, b = z[now], z[now - 1]
        cross = a.T @ b
        sums += [a.T @ a, b.T @ b, cross + cross.T]
    return np.stack(sums)


def _loadings(z: np.ndarray, u: np.ndarray, gap: np.ndarray, starts: np.ndarray, gaps: tuple[int, ...] | None) -> np.ndarray:
    """(U, M, q) sums over each unit's rows in the order of `product_weights`."""
    if gaps is None:
        return np.add.reduceat(z * u[:, None], starts)[:, None]
    before = np.r_[0, np.arange(gap.size - 1)]
    parts = [(z * u[:, None])[starts]]
    for d in gaps:
        on = (gap == d)[:, None]
        own, previous = np.where(on, z * u[:, None], 0.0), np.where(on, (z * u[:, None])[before], 0.0)
        crossed = np.where(on, z * u[before][:, None] + z[before] * u[:, None], 0.0)
        parts += [np.add.reduceat(p, starts) for p in (own, previous, crossed)]
    return np.stack(parts, 1)


def _ends_and_sums(z: np.ndarray, u: np.ndarray, gap: np.ndarray, starts: np.ndarray, gaps: object) -> np.ndarray:
    """(U, 2, q) sum of each unit's rows, and sum of its first and last, times the common loading."""
    ends = np.r_[starts[1:], gap.size] - 1
    return np.stack([np.add.reduceat(z, starts), z[starts] + z[ends]], 1) * u[0]


def _classes(k: np.ndarray, *, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """(C,) units, (C, M) products and (U, C) membership of the classes of (U, M) unit products.

    No membership: one unit a class.
    """
    values, member = np.unique(np.round(k, 12), axis=0, return_inverse=True)
    member = member.reshape(-1)
    one_number = not np.ptp(k[:, 1:], axis=0).any()
    if values.shape[0] <= (min(most, NODES) if one_number else most):
        weights = (member[:, None] == np.arange(values.shape[0])).astype(float)
        return weights.sum(0), values, weights
    if one_number:
        nodes, weights = _chebyshev(np.log(k[:, 0]))
        return weights.sum(0), np.column_stack([np.exp(nodes), np.repeat(k[:1, 1:], NODES, 0)]), weights
    return np.ones(k.shape[0]), k, None


def _chebyshev(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Chebyshev nodes on the range of (U,) x, and the (U, NODES) weights that interpolate any smooth function there."""
    low, high = x.min(), x.max()
    j = np.arange(NODES)
    t = np.cos((2 * j + 1) * np.pi / (2 * NODES))
    nodes = (low + high) / 2 + (high - low) / 2 * t
    difference = x[:, None] - nodes
    exact = np.abs(difference) < 1e-14
    terms = (-1.0) ** j * np.sin((2 * j + 1) * np.pi / (2 * NODES)) / np.where(exact, 1.0, difference)
    weights = terms / terms.sum(1, keepdims=True)
    hit = exact.any(1)
    weights[hit] = exact[hit].astype(float)
    return nodes, weights
