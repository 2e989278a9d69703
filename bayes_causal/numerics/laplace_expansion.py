"""Given θ, log p(y | θ, b) of coefficients b as a quadratic around its mode, the units' intercepts integrated out.

    y_it ~ p(· | η_it + u_i, θ),   η = Z b,   b = R z,   z ~ N(0, I),   u_i ~ N(0, σ_unit)

U units of at most T rows, q coefficients of which the first M load on columns that are the same in every row of a unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.linalg import cho_solve, solve_triangular

from bayes_causal.numerics.unit_quadrature import RowDensity, UnitRows, derivatives, intercepts

STEPS, SETTLED, FARTHEST = 60, 1e-9, 2.0

Theta = Mapping[str, Array]


class Data(NamedTuple):
    """Rows; () what is added to every η; columns (U, M) of units and (U, T, q − M) of rows."""

    rows: UnitRows
    offset: Any
    of_units: Any
    of_rows: Any


class Start(NamedTuple):
    """Where searches for modes begin: (q,) z and (U,) intercepts."""

    z: Any
    level: Any


class Expansion(NamedTuple):
    """The Laplace approximation of log p(y | θ), and what it rests on.

    log_marginal : (); information : (q, q) minus the Hessian of log p(y | θ, b) at the mode, score : (q,) its gradient; mode : of
    z and the intercepts
    """

    log_marginal: Array
    information: Array
    score: Array
    mode: Start


class Quadratic(NamedTuple):
    """−½ b'Ab + h'b + c in place of log p(y | θ, b), with (U,) intercepts from which searches start."""

    information: Any
    slope: Any
    height: Any
    level: Any


def predictor(data: Data, b: Array) -> tuple[Array, Array]:
    """(U,) expected intercepts and (U, T) predictors η, those included."""
    m = data.of_units.shape[1]
    mean = data.of_units @ b[:m]
    return mean, data.offset + mean[:, None] + data.of_rows @ b[m:]


def crossed(data: Data, x: Array) -> Array:
    """(..., U, q) sums over each unit's rows of its columns times (..., U, T)."""
    of_units = x.sum(-1)[..., None] * data.of_units
    return jnp.concatenate([of_units, jnp.einsum("...ut,utq->...uq", x, data.of_rows)], -1)


def weighted_gram(data: Data, w: Array) -> Array:
    """(q, q) Z'WZ for (U, T) weights."""
    weighted, q = w[..., None] * data.of_rows, data.of_rows.shape[2]
    unit = (data.of_units * w.sum(1)[:, None]).T @ data.of_units
    both = data.of_units.T @ weighted.sum(1)
    rows = weighted.reshape(-1, q).T @ data.of_rows.reshape(-1, q)
    return jnp.block([[unit, both], [both.T, rows]])


def conditioned(a: Array, r: Array) -> Array:
    """(q, q) Cholesky factor of I + R'AR, the precision of z."""
    return jnp.linalg.cholesky(jnp.eye(r.size) + a * r[:, None] * r)


def half_log_det(chol: Array) -> Array:
    """Half the log determinant of a matrix, from its Cholesky factor."""
    return jnp.sum(jnp.log(jnp.diag(chol)))


def expansion(density: RowDensity, data: Data, theta: Theta, r: Array, start: Start) -> Expansion:
    """The mode by scoring, each step limited by how far it moves a predictor; then the curvature there."""
    sd = theta["sigma_unit"]

    def step(state: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        z, level, _, k = state
        mean, eta = predictor(data, r * z)
        u = intercepts(density, data.rows, eta, sd, theta, level - mean)
        score, _, known, _ = derivatives(density, data.rows, eta, theta, u)
        # What an intercept takes away, as if rows were normal: never negative definite, and close.
        v = crossed(data, known) / jnp.sqrt(jnp.sum(known, 1) + 1 / sd**2)[:, None]
        g = r * crossed(data, score).sum(0) - z
        move = cho_solve((conditioned(weighted_gram(data, known) - v.T @ v, r), True), g)
        farthest = jnp.max(jnp.abs(jnp.where(data.rows.there, predictor(data, r * move)[1] - data.offset, 0.0)))
        return z + move * jnp.minimum(1.0, FARTHEST / farthest), mean + u.center, g @ move, k + 1

    def unsettled(state: tuple[Array, Array, Array, Array]) -> Array:
        return (state[2] > SETTLED) & (state[3] < STEPS)

    z, level, _, _ = jax.lax.while_loop(unsettled, step, (*start, jnp.array(jnp.inf), jnp.array(0)))
    a, score, value = curvature(density, data, theta, r * z, level)
    return Expansion(value - 0.5 * z @ z - half_log_det(conditioned(a, r)), a, score, Start(z, level))


def curvature(density: RowDensity, data: Data, theta: Theta, b: Array, level: Array) -> tuple[Array, Array, Array]:
    """(q, q) minus the Hessian of log p(y | θ, b) in b, its (q,) gradient, and its value; searches start at (U,) levels."""
    mean, eta = predictor(data, b)
    u = intercepts(density, data.rows, eta, theta["sigma_unit"], theta, level - mean)
    score, w, _, spread = derivatives(density, data.rows, eta, theta, u)
    v = crossed(data, spread).reshape(-1, b.size)
    return weighted_gram(data, w) - v.T @ v, crossed(data, score).sum(0), u.log_integral.sum()


def quadratic(density: RowDensity, data: Data, theta: Theta, r: Array, start: Start) -> Quadratic:
    """The quadratic whose integral is Laplace's and whose peak is, to first order, the mean of z in place of its mode."""
    found = expansion(density, data, theta, r, start)
    level, mode = found.mode.level, r * found.mode.z

    def volume(b: Array) -> Array:
        return half_log_det(conditioned(curvature(density, data, theta, b, level)[0], r))

    # The mean of z is off its mode by −K⁻¹ R' ∇ ½ log|K|, K = I + R'AR.
    h = found.information @ mode + found.score - jax.grad(volume)(mode)
    chol = conditioned(found.information, r)
    w = solve_triangular(chol, r * h, lower=True)
    return Quadratic(found.information, h, found.log_marginal - 0.5 * w @ w + half_log_det(chol), level)
