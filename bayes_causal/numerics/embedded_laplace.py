"""Outcomes that are not normal: coefficients by a Laplace approximation given θ, and by how much it is off at every draw.

The units' intercepts are integrated out by quadrature (15 nodes, 31 for Student-t: log p of a unit is off by less than 1e-4, by
1e-3 where a unit has nothing but zeros and intercepts vary by 4 on the scale of η). The posterior of the coefficients is near a
normal then: given θ, log p(y | θ, b) is taken as a quadratic around its mode (Tierney & Kadane 1986,
doi:10.2307/2287970; Rue, Martino & Chopin 2009, doi:10.1111/j.1467-9868.2008.00700.x; embedded in the sampling of θ by Margossian
et al. 2020, arXiv:2004.12550). The prior of b enters exactly, and the quadratic hardly changes with θ: it is found at few nodes
around the mode of θ and is a polynomial of second degree in between, so that a density costs one Cholesky factor, whatever the
number of rows.

None of this is taken on trust: `correction` is the log of the joint density p(y, θ, z) at what a draw from the approximation
proposes, over what the approximation says. Weights made of it correct every error but the quadrature's, and their Pareto k̂ says
whether they can. They do while there are some five events a period and coefficient: with 12 coefficients for 20 units over 10
periods, 271 counts in all left 65 % of the draws effective, 95 left 39 %, 41 left 20 %, and 13 were refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.linalg import solve_triangular

from bayes_causal.numerics.grouped import grouped
from bayes_causal.numerics.jitted import jitted
from bayes_causal.numerics.laplace_expansion import (
    Data,
    Quadratic,
    Start,
    conditioned,
    expansion,
    half_log_det,
    predictor,
    quadratic,
)
from bayes_causal.numerics.linear_gaussian import Block, loads
from bayes_causal.numerics.modes import find_modes
from bayes_causal.numerics.unit_quadrature import RowDensity, draw, intercepts

REACH = 2.0
STARTS = 2
KEPT = 32


class Surface(NamedTuple):
    """A `Quadratic` as a polynomial in where θ stands.

    center : (n,) t; axes : (n, n) from t − center to coordinates of unit scale; origin : (q,) b from which others are
    counted; terms : the polynomial's coefficients, (P, ...) each, and the levels at the center
    """

    center: Any
    axes: Any
    origin: Any
    terms: Quadratic


class Sums(NamedTuple):
    """What the data say, exactly and approximately."""

    data: Data
    surface: Surface


@dataclass(frozen=True, eq=False)
class EmbeddedLaplace:
    """What is left of a model with outcomes that are not normal. `embedded_laplace` makes one.

    Parameters
    ----------
    hypers : θ; `sigma_unit` is among them
    blocks : the coefficients z, those the same in every row of a unit first
    density : of the rows
    sums : rows and columns, and the approximation
    """

    hypers: tuple[Any, ...]
    blocks: tuple[Block, ...]
    density: RowDensity
    sums: Any

    @property
    def columns(self) -> int:
        """Number of coefficients, q."""
        return sum(b.size for b in self.blocks)

    @property
    def noise(self) -> int:
        """Standard normals that make one draw of z."""
        return self.columns

    @property
    def width(self) -> int:
        """Numbers held for each point."""
        return self.columns**2

    def matrices(self, sums: Sums) -> int:
        """Numbers in one density: rows at the nodes, and a matrix of the coefficients."""
        return self.density.nodes * sums.data.rows.y.size + self.columns**2

    def said(self, sums: Sums) -> str:
        """What is integrated out, in words."""
        units = sums.data.of_units.shape[0]
        return f"intercepts of {units:,} units integrated out by quadrature, {self.columns} columns approximately"

    def bare(self) -> EmbeddedLaplace:
        """The form without its data."""
        return replace(self, sums=None)

    def signature(self) -> tuple[Any, ...]:
        """What two forms must share to be one program."""
        return self.hypers, self.density, tuple((b.site, b.shape, b.prior_sd, b.scale) for b in self.blocks)

    def theta(self, t: Array) -> dict[str, Array]:
        """θ by name from its (n,) coordinates."""
        return {h.name: h.value(t[k]) for k, h in enumerate(self.hypers)}

    def scales(self, theta: Mapping[str, Array]) -> Array:
        """(q,) what θ multiplies each z by: the diagonal of R."""
        one = jnp.ones(())
        return jnp.concatenate([jnp.broadcast_to(theta[b.scale] if b.scale else one, (b.size,)) for b in self.blocks])

    def log_prior(self, t: Array) -> Array:
        """Log density of t."""
        return jnp.sum(jnp.stack([h.log_prior(t[k]) for k, h in enumerate(self.hypers)]))

    def log_density(self, sums: Sums, t: Array) -> Array:
        """Log p(y, t) as the approximation has it."""
        chol, w, height = self._condition(sums.surface, t)
        value = height + 0.5 * (w @ w) - half_log_det(chol) + self.log_prior(t)
        return jnp.where(jnp.isfinite(value), value, -jnp.inf)

    def correction(self, sums: Sums, t: Array, noise: Array) -> Array:
        """Log of p(y, t, z) over what the approximation says, at the z that (q,) standard normals give."""
        chol, w, height = self._condition(sums.surface, t)
        z = solve_triangular(chol, w + noise, lower=True, trans="T")
        said = height + 0.5 * (w @ w) - 0.5 * (noise @ noise)
        value = self.log_likelihood(sums, t, z) - 0.5 * (z @ z) - said
        return jnp.where(jnp.isfinite(value), value, -jnp.inf)

    def draw_sites(self, sums: Sums, x: Array, key: Array) -> dict[str, Array]:
        """θ, the coefficients and one exact draw of the intercepts given both, for t and noise side by side in x."""
        t, noise = x[: len(self.hypers)], x[len(self.hypers) :]
        chol, w, _ = self._condition(sums.surface, t)
        z = solve_triangular(chol, w + noise, lower=True, trans="T")
        theta = self.theta(t)
        mean, eta = predictor(sums.data, self.scales(theta) * z)
        start = sums.surface.terms.level - mean
        u = draw(intercepts(self.density, sums.data.rows, eta, theta["sigma_unit"], theta, start), key)
        sites, at = theta | {"alpha": mean + u}, 0
        for block in self.blocks:
            sites[block.site] = block.prior_sd * z[at : at + block.size].reshape(block.shape)
            at += block.size
        return sites

    def log_likelihood(self, sums: Sums, t: Array, z: Array) -> Array:
        """Log p(y | t, z), intercepts integrated out: exact."""
        theta = self.theta(t)
        mean, eta = predictor(sums.data, self.scales(theta) * z)
        start = sums.surface.terms.level - mean
        return intercepts(self.density, sums.data.rows, eta, theta["sigma_unit"], theta, start).log_integral.sum()

    def _condition(self, surface: Surface, t: Array) -> tuple[Array, Array, Array]:
        """The Cholesky factor L of I + R'AR, L⁻¹R'h, and c."""
        d = surface.axes @ (t - surface.center)
        # Beyond the nodes a polynomial goes anywhere: there the quadratic is that of the edge, and its height goes on straight.
        edge = d / jnp.maximum(1.0, jnp.sqrt(d @ d) / REACH)
        share, change = jax.jvp(features, (edge,), (d - edge,))
        terms, b, r = surface.terms, surface.origin, self.scales(self.theta(t))
        a, h = jnp.tensordot(share, terms.information, 1), share @ terms.slope
        chol = conditioned(a, r)
        w = solve_triangular(chol, r * (h + a @ b), lower=True)
        return chol, w, (share + change) @ terms.height - h @ b - 0.5 * b @ a @ b


def embedded_laplace(hypers: tuple[Any, ...], blocks: tuple[Block, ...], density: RowDensity, data: Data) -> EmbeddedLaplace:
    """The form of a model from its rows and raw columns: the mode of θ is searched for, and quadratics found at nodes around it.

    Raises
    ------
    FloatingPointError
        The density is finite at none of the starts of the search.
    """
    bare, n = EmbeddedLaplace(hypers, blocks, density, None), len(hypers)
    with jax.enable_x64(True):
        data, (log_marginal, at_nodes) = jax.tree.map(jnp.asarray, loaded(blocks, data)), _programs(_Key(bare))
        start = Start(jnp.zeros(bare.columns), jnp.zeros(data.of_units.shape[0]))

        def heights(t: np.ndarray) -> np.ndarray:
            nonlocal start
            value, modes = log_marginal(data, start, t)
            # The next point is near this one, and so is its mode.
            start = jax.tree.map(lambda v: v[0], modes) if np.isfinite(value).all() else start
            return np.asarray(value)

        modes, hessians, _ = find_modes(heights, n, STARTS, np.random.default_rng(0))
        value, axes = np.linalg.eigh((hessians[0] + hessians[0].T) / 2)
        spread, d = axes / np.sqrt(np.maximum(value, 1.0)), nodes(n)
        found = jax.device_get(at_nodes(data, start, modes[0] + d @ spread.T))
        # Where a likelihood without a peak has no approximation the others stand in; what comes of it is for the proof to say.
        finite = np.isfinite(found.height)
        d, found = d[finite], jax.tree.map(lambda v: v[finite], found)
        terms, origin = fitted(d, found, np.asarray(bare.scales(bare.theta(jnp.asarray(modes[0])))))
    return replace(bare, sums=Sums(data, Surface(modes[0], np.linalg.inv(spread), origin, terms)))


def loaded(blocks: tuple[Block, ...], data: Data) -> Data:
    """The columns times what is constant in front of z: loadings and prior sds."""
    loading, m = loads(blocks)[:-1, :-1], data.of_units.shape[1]
    return data._replace(of_units=data.of_units @ loading[:m, :m], of_rows=data.of_rows @ loading[m:, m:])


def fitted(d: np.ndarray, found: Quadratic, r: np.ndarray) -> tuple[Quadratic, np.ndarray]:
    """Coefficients of the polynomial through (J, ...) quadratics at (J, n) nodes, the center first, and where b is counted from.

    Counted from its mean at the center, with (q,) scales there, a quadratic's height is a log likelihood, which changes gently.
    """
    a, h = found.information, found.slope
    origin = r * np.linalg.solve(np.eye(r.size) + a[0] * r[:, None] * r, r * h[0])
    height = found.height + h @ origin - 0.5 * (a @ origin) @ origin
    weights = np.linalg.pinv(np.asarray(features(jnp.asarray(d))))
    a, h, c = (np.tensordot(weights, v, 1) for v in (a, h - a @ origin, height))
    return Quadratic(a, h, c, found.level[0]), origin


def features(d: Array) -> Array:
    """(..., P) monomials up to the second degree of (..., n) coordinates."""
    first, second = np.triu_indices(d.shape[-1])
    return jnp.concatenate([jnp.ones((*d.shape[:-1], 1)), d, d[..., first] * d[..., second]], -1)


def nodes(n: int) -> np.ndarray:
    """(J, n) the center, two nodes on each side of every axis, one in each quarter of every pair of axes."""
    axes, pairs = np.eye(n), [(i, j) for i in range(n) for j in range(i)]
    rays = [s * axes for s in (0.5, -0.5, 1.0, -1.0)]
    corners = [np.reshape([a * axes[i] + b * axes[j] for i, j in pairs], (-1, n)) for a in (-1, 1) for b in (-1, 1)]
    return REACH * np.vstack([np.zeros((1, n)), *rays, *(c / np.sqrt(2) for c in corners)])


@dataclass(frozen=True, eq=False)
class _Key:
    """A bare form, equal to any other that compiles to the same."""

    form: EmbeddedLaplace

    def __hash__(self) -> int:
        return hash(self.form.signature())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.form.signature() == other.form.signature()


@lru_cache(KEPT)
def _programs(key: _Key) -> tuple[Any, Any]:
    """(data, start, (J, n)) to (J,) Laplace approximations of log p(y, t) and their modes, and to quadratics (J, ...).

    Compiled once a form.
    """
    form = key.form

    def log_marginal(data: Data, start: Start, t: Array) -> tuple[Array, Start]:
        theta = form.theta(t)
        found = expansion(form.density, data, theta, form.scales(theta), start)
        return found.log_marginal + form.log_prior(t), found.mode

    def at_node(data: Data, start: Start, t: Array) -> Quadratic:
        theta = form.theta(t)
        return quadratic(form.density, data, theta, form.scales(theta), start)

    def over(f: Any, data: Data, start: Start, t: Array) -> Any:
        return grouped(partial(f, data, start), form.density.nodes * data.rows.y.size + form.columns**2, t)

    return jitted(partial(over, log_marginal)), jitted(partial(over, at_node))
