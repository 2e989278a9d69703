"""Intercepts of units integrated out by adaptive Gauss-Hermite quadrature, where rows are not normal: JAX, one point at a time.

ℓ_i(η) = log ∫ Π_t p(y_it | η_it + u) N(u | 0, s) du at nodes around the mode, scaled by the curvature there (Liu & Pierce 1994,
doi:10.1093/biomet/81.3.624). Its gradient in η is the posterior mean over u of each row's score, and minus its Hessian the mean
of the rows' curvatures less the covariance of their scores (Louis 1982, doi:10.1111/j.2517-6161.1982.tb01203.x).

U units of at most T rows, each array (U, T); a unit with fewer has rows that do not count. K nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.interpolate import CubicSpline

LOG_2PI = float(np.log(2 * np.pi))
STEPS = 50
FARTHEST = 1.0
SETTLED = 1e-2
FINE, WIDEST = 121, 7.0

Theta = Mapping[str, Any]


class RowDensity(Protocol):
    """How one row is distributed around its predictor η, given θ; `nodes` of the quadrature are enough for it."""

    nodes: ClassVar[int]

    def log_density(self, y: Any, weight: Any, eta: Any, theta: Theta) -> Any:
        """Log p(y | η, θ), element by element."""
        ...

    def information(self, y: Any, weight: Any, eta: Any, theta: Theta) -> Any:
        """About minus its second derivative in η, and positive: what the search for a mode steps by."""
        ...


class UnitRows(NamedTuple):
    """Rows by unit: (U, T) outcomes, square roots of weights, and whether there is a row."""

    y: Any
    weight: Any
    there: Any


class Intercepts(NamedTuple):
    """What is known of the units' intercepts u given everything else.

    center, scale : (U,) where the nodes are; log_integral : (U,) ℓ_i; log_terms : (K, U) log of the integrand at the nodes, in
    units of `scale`, over the standard normal's; share : (K, U) posterior probability of each node; u : (K, U) the nodes
    """

    center: Array
    scale: Array
    log_integral: Array
    log_terms: Array
    share: Array
    u: Array


def intercepts(density: RowDensity, rows: UnitRows, eta: Array, sd: Array, theta: Theta, start: Array) -> Intercepts:
    """The integrals over u of N(0, sd), for (U, T) predictors without it; the search for modes begins at `start` (U,)."""
    # Where the nodes are is no part of the integral: derivatives pass the search by.
    center, scale = modes(density, rows, *jax.lax.stop_gradient((eta, sd, dict(theta), start)))

    def total(u: Array) -> Array:
        return jnp.sum(jnp.where(rows.there, density.log_density(rows.y, rows.weight, eta + u[:, None], theta), 0.0), 1)

    x, log_weight = nodes(density.nodes)
    u = center + x[:, None] * scale
    log_terms = jax.vmap(total)(u) - 0.5 * (u / sd) ** 2 + 0.5 * x[:, None] ** 2
    whole = jax.nn.logsumexp(log_terms + log_weight[:, None], axis=0)
    share = jnp.exp(log_terms + log_weight[:, None] - whole)
    return Intercepts(center, scale, whole + jnp.log(scale) - jnp.log(sd) - 0.5 * LOG_2PI, log_terms, share, u)


def modes(density: RowDensity, rows: UnitRows, eta: Array, sd: Array, theta: Theta, start: Array) -> tuple[Array, Array]:
    """(U,) modes of the intercepts, and one over the square roots of the informations there."""
    precision = 1 / sd**2

    def total(f: Callable[[Array], Array], u: Array) -> Array:
        return jnp.sum(jnp.where(rows.there, f(eta + u[:, None]), 0.0), 1)

    def slope(x: Array) -> Array:
        return jax.jvp(lambda v: density.log_density(rows.y, rows.weight, v, theta), (x,), (jnp.ones_like(x),))[1]

    def curvature(x: Array) -> Array:
        return jnp.asarray(density.information(rows.y, rows.weight, x, theta))

    def step(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        u, _, k = state
        steep = total(curvature, u) + precision
        move = (total(slope, u) - precision * u) / steep
        return u + jnp.clip(move, -FARTHEST, FARTHEST), jnp.max(jnp.abs(move) * jnp.sqrt(steep)), k + 1

    def unsettled(state: tuple[Array, Array, Array]) -> Array:
        return (state[1] > SETTLED) & (state[2] < STEPS)

    center, _, _ = jax.lax.while_loop(unsettled, step, (start, jnp.array(jnp.inf), jnp.array(0)))
    return center, 1 / jnp.sqrt(total(curvature, center) + precision)


def derivatives(
    density: RowDensity, rows: UnitRows, eta: Array, theta: Theta, u: Intercepts
) -> tuple[Array, Array, Array, Array]:
    """Of the ℓ_i in η: the gradient (U, T), and what minus the Hessian is made of.

    Returns
    -------
    score : (U, T) mean over u of the rows' scores
    curvature : (U, T) mean of minus their second derivatives
    information : (U, T) mean of their informations
    spread : (K, U, T) scores less their mean, times the square roots of the shares: the Hessian loses Σ_k spread spread'
    """

    def value(x: Array) -> Array:
        return jnp.asarray(density.log_density(rows.y, rows.weight, x, theta))

    def slope(x: Array) -> Array:
        return jax.jvp(value, (x,), (jnp.ones_like(x),))[1]

    def at(v: Array) -> tuple[Array, Array, Array]:
        x = eta + v[:, None]
        first, second = jax.jvp(slope, (x,), (jnp.ones_like(x),))
        known = density.information(rows.y, rows.weight, x, theta)
        a, b, c = (jnp.where(rows.there, k, 0.0) for k in (first, -second, known))
        return a, b, c

    first, second, known = jax.vmap(at)(u.u)
    mean = [jnp.einsum("ku,kut->ut", u.share, k) for k in (first, second, known)]
    return mean[0], mean[1], mean[2], jnp.sqrt(u.share)[..., None] * (first - mean[0])


def draw(u: Intercepts, key: Array) -> Array:
    """(U,) one exact draw of the intercepts: by inversion, the integrand between nodes a cubic spline in logs."""
    x, between = (jnp.asarray(v) for v in fine(u.log_terms.shape[0]))
    log_f = between @ u.log_terms - 0.5 * x[:, None] ** 2
    f = jnp.exp(log_f - log_f.max(0))
    # XLA's own cumulative sum takes time quadratic in the length on a CPU.
    mass = jax.lax.associative_scan(jnp.add, (f[1:] + f[:-1]) / 2)
    wanted = jax.random.uniform(key, u.center.shape, mass.dtype) * mass[-1]
    cell = jnp.sum(mass < wanted, 0)
    units = jnp.arange(wanted.size)
    f0, f1 = f[cell, units], f[cell + 1, units]
    rest = wanted - jnp.where(cell > 0, mass[cell - 1, units], 0.0)
    root = jnp.sqrt(jnp.maximum(f0**2 + 2 * (f1 - f0) * rest, 0.0))
    inside = jnp.clip(2 * rest / jnp.maximum(f0 + root, 1e-300), 0.0, 1.0)
    return u.center + u.scale * (x[cell] + (x[1] - x[0]) * inside)


def nodes(count: int) -> tuple[np.ndarray, np.ndarray]:
    """(K,) nodes, and logs of their weights for the integral of what the standard normal's exponent is taken off."""
    x, weight = np.polynomial.hermite_e.hermegauss(count)
    return x, np.log(weight)


def fine(count: int) -> tuple[np.ndarray, np.ndarray]:
    """(F,) evenly spaced points, and the (F, K) spline from values at nodes to values there."""
    x = nodes(count)[0]
    far = min(WIDEST, float(x[-1]))
    points = np.linspace(-far, far, FINE)
    return points, CubicSpline(x, np.eye(count))(points)
