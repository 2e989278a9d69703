"""Series of many units with everything but their scales integrated out: levels, errors, what units have alone, what they share.

    y_it = first_i + μ_it + x_it'β_i + a_i (e_it'τ + D_it v_i) + ε_it
    μ_i1 ~ N(0, s),  μ_it = μ_i,t−1 + √q σ η_it;   ε_it = ρ ε_i,t−1 + σ v_it, stationary;   β_i ~ N(b, ω_β),  v_i ~ N(0, σ_v)

Given the scales, a unit's level and errors are a state space whose gains hang on the rows observed alone: units that share rows
and effect columns (a path) are whitened together. Of the whitened columns V of a unit nothing is needed but products, so that a
density is one filter for each path and for each unit's own columns, and linear algebra in the q shared coefficients. Those of a
unit are taken out one unit at a time, W_i being their columns times their sds:

    M = Σ_i V_i'V_i − V_i'W_i (I + W_i'W_i)⁻¹ W_i'V_i,      log |Ω| gains log |I + W_i'W_i|

what is left is a linear model in the shared coefficients, factored as in `linear_gaussian`: exact where an sd goes to zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.linalg import solve_triangular

from bayes_causal.numerics.kalman import Space, draw_states, gains, whiten
from bayes_causal.numerics.linear_gaussian import LOG_2PI, Block, Hyper, scales, sites_of

AT_ONCE = 16


class UnitSums(NamedTuple):
    """The data of U units over T rows (padded), row 0 the first that a unit was observed in; P paths, K effects, C covariates.

    Parameters
    ----------
    columns : (P, T, K + 1) effect columns of a path, and its number of active treatments
    observed : (P, T) rows with an outcome
    path : (U,) each unit's path
    own : (U, T, C + 1) covariates, and y minus `first`, 0 where not observed
    ratio : (U,) a_i, the scale of effects over the unit's own
    kept : (U,) 1, or 0 for units left out
    rows : () observed rows of the units kept
    treated : (V,) positions of the units that have v_i
    load : (K + C + 1, n + 1) how shared columns and y load on the n standard normals of the blocks, and on y
    """

    columns: Any
    observed: Any
    path: Any
    own: Any
    ratio: Any
    kept: Any
    rows: Any
    treated: Any
    load: Any


class Products(NamedTuple):
    """Products of whitened columns in units of σ²; columns [e, x, y] of K + C + 1, and C + 1 = r that units have alone.

    Parameters
    ----------
    shared : (K + C + 1, K + C + 1) summed over the units kept
    crossed : (U, r, K + C + 1) a unit's own columns [x, a D] times its shared ones
    own : (U, r, r)
    log_f : (U,) Σ log F_t
    """

    shared: Array
    crossed: Array
    own: Array
    log_f: Array


def level_and_error(first_sd: Any, theta: Mapping[str, Array], rows: int) -> Space:
    """The state space of a unit, in units of σ²."""
    rho, one = theta["rho"], jnp.ones(())
    first = jnp.diag(jnp.stack([first_sd / theta["sigma"], 1 / jnp.sqrt(1 - rho**2)]))
    noise, transition = jnp.diag(jnp.stack([theta["level_ratio"], one])), jnp.diag(jnp.stack([one, rho]))
    return Space(transition, noise, jnp.ones((rows, 2)), first, jnp.zeros(()), None)


def filtered(first_sd: Any, sums: UnitSums, theta: Mapping[str, Array]) -> tuple[Array, Array, Array]:
    """(P, T, K + 1) whitened columns of the paths, (U, T, C + 1) of the units, and (U,) Σ log F, in units of σ²."""
    space = level_and_error(first_sd, theta, sums.observed.shape[1])
    gain, f = jax.vmap(gains, (None, 0))(space, sums.observed)
    run = jax.vmap(whiten, (None, 0, 0, 0, 0))
    e = run(space, gain, f, sums.observed, sums.columns)
    own = run(space, gain[sums.path], f[sums.path], sums.observed[sums.path], sums.own)
    return e, own, jnp.sum(sums.observed * jnp.log(f), 1)[sums.path]


@jax.jit
def innovations(first_sd: Any, sums: UnitSums, theta: Mapping[str, Array], tau: Array, own: Array) -> Array:
    """(U, T) one-step errors over their sds, 0 on rows not observed, given (K,) τ and (U, C + 1) coefficients [β_i, v_i]."""
    e, columns, _ = filtered(first_sd, sums, theta)
    each = e[sums.path]
    effects = sums.ratio[:, None] * (each[..., :-1] @ tau + each[..., -1] * own[:, -1:])
    return (columns[..., -1] - jnp.sum(columns[..., :-1] * own[:, None, :-1], -1) - effects) / theta["sigma"]


@jax.jit
def draw_levels_and_errors(first_sd: Any, sums: UnitSums, seen: Array, known: Any, keys: Array) -> Array:
    """(S, U, T, 2) draws of each unit's level and error given the (U, T) rows seen and everything else.

    Parameters
    ----------
    known : θ (mapping of (S,)), τ (S, K), v (S, U) and β (S, U, C)
    keys : (S, key)
    """

    def one(given: Any) -> Array:
        (theta, tau, slope, beta), key = given
        columns = sums.columns[sums.path]
        mean = sums.ratio[:, None] * (columns[..., :-1] @ tau + columns[..., -1] * slope[:, None])
        mean = mean + jnp.sum(sums.own[..., :-1] * beta[:, None], -1)
        y = jnp.where(seen, (sums.own[..., -1] - mean) / theta["sigma"], 0.0)
        space, own_keys = level_and_error(first_sd, theta, seen.shape[1]), jax.random.split(key, seen.shape[0])
        return theta["sigma"] * jax.vmap(draw_states, (None, 0, 0, 0))(space, y, seen, own_keys)

    return jax.lax.map(one, (known, keys), batch_size=AT_ONCE)


@dataclass(frozen=True, eq=False)
class UnitSeries:
    """The collapsed form of a hierarchical time series.

    Parameters
    ----------
    hypers : θ: sigma, rho, level_ratio (√q), sigma_slope, sigma_beta where there are covariates, and the scales of the blocks
    blocks : the shared coefficients, effects first
    covariates : C
    first_sd : s
    sums : what the data say
    """

    hypers: tuple[Hyper, ...]
    blocks: tuple[Block, ...]
    covariates: int
    first_sd: float
    sums: Any

    @property
    def columns(self) -> int:
        """Shared coefficients."""
        return sum(b.size for b in self.blocks)

    @property
    def width(self) -> int:
        """Numbers held for each point: the whitened columns of paths dominate."""
        return 4096 if self.sums is None else int(2 * (self.sums.columns.size + self.sums.own.size))

    def matrices(self, sums: UnitSums) -> int:
        """Numbers that a row of the filter moves."""
        return 3 * (sums.columns[:, 0].size + sums.own[:, 0].size)

    def said(self, sums: UnitSums) -> str:
        """What is integrated out, in words."""
        units, paths = int(sums.path.size), int(sums.columns.shape[0])
        return f"{self.columns} shared columns and {units:,} units' own and levels integrated out, {paths:,} paths filtered"

    def bare(self) -> UnitSeries:
        """The form without its data."""
        return replace(self, sums=None)

    def signature(self) -> tuple[Any, ...]:
        """All that is compiled in."""
        return self.hypers, tuple((b.site, b.shape, b.prior_sd, b.scale) for b in self.blocks), self.covariates, self.first_sd

    def theta(self, t: Array) -> dict[str, Array]:
        """θ by name from its (n_hyper,) probits."""
        return {h.name: h.value(t[k]) for k, h in enumerate(self.hypers)}

    def log_density(self, sums: UnitSums, t: Array) -> Array:
        """Log p(y, t), all but θ integrated out."""
        value = self.log_marginal(sums, self.theta(t)) - 0.5 * (t @ t + t.size * LOG_2PI)
        return jnp.where(jnp.isfinite(value), value, -jnp.inf)

    def log_marginal(self, sums: UnitSums, theta: Mapping[str, Array]) -> Array:
        """Log p(y | θ)."""
        chol, w, yy, log_det, _ = self._condition(sums, theta)
        return -jnp.sum(jnp.log(jnp.diag(chol))) - 0.5 * (log_det + yy - w @ w + sums.rows * LOG_2PI)

    def draw_sites(self, sums: UnitSums, t: Array, key: Array) -> dict[str, Array]:
        """θ, the shared coefficients, and each unit's own given them; levels are drawn on demand."""
        theta = self.theta(t)
        chol, w, _, _, (products, sd, chol_own) = self._condition(sums, theta)
        units, r = products.crossed.shape[:2]
        noise = jax.random.normal(key, (w.size + units * r,), w.dtype)
        z = solve_triangular(chol, w + noise[: w.size], lower=True, trans="T")
        shared = sums.load[:-1, :-1] @ (scales(self.blocks, theta) * z)
        left = sd * (products.crossed @ jnp.append(-shared, 1.0))
        half = solve_triangular(chol_own, left[..., None], lower=True) + noise[w.size :].reshape(units, r, 1)
        own = solve_triangular(chol_own, half, lower=True, trans="T")[..., 0]
        found = {"slope_offset": own[:, -1][sums.treated]} | ({"beta_offset": own[:, :-1]} if self.covariates else {})
        return theta | sites_of(self.blocks, z) | found

    def log_likelihood(self, sums: UnitSums, theta: Mapping[str, Array], shared: Array) -> Array:
        """(U,) log density of each unit's rows given θ and the (K + C,) shared coefficients, its own ones integrated out."""
        e, own, log_f = filtered(self.first_sd, sums, theta)
        each = e[sums.path]
        k = each.shape[-1] - 1
        v = own[..., -1] - own[..., :-1] @ shared[k:] - sums.ratio[:, None] * (each[..., :k] @ shared[:k])
        columns = jnp.concatenate([own[..., :-1], sums.ratio[:, None, None] * each[..., k:]], -1)
        sigma, sd = theta["sigma"], self._unit_sd(theta)
        scaled = columns * (sd / sigma)
        eye = jnp.eye(sd.size)
        chol = jnp.linalg.cholesky(eye + jnp.einsum("utr,uts->urs", scaled, scaled))
        w = solve_triangular(chol, jnp.einsum("utr,ut->ur", scaled, v / sigma)[..., None], lower=True)[..., 0]
        n = jnp.sum(sums.observed, 1)[sums.path]
        log_det = log_f + 2 * n * jnp.log(sigma) + 2 * jnp.sum(jnp.log(jnp.diagonal(chol, axis1=1, axis2=2)), 1)
        return -0.5 * (log_det + jnp.sum((v / sigma) ** 2, 1) - jnp.sum(w**2, 1) + n * LOG_2PI)

    def _unit_sd(self, theta: Mapping[str, Array]) -> Array:
        """(r,) sds of what units have alone."""
        return jnp.stack([*(theta["sigma_beta"] for _ in range(self.covariates)), theta["sigma_slope"]])

    def _products(self, sums: UnitSums, theta: Mapping[str, Array]) -> Products:
        e, own, log_f = filtered(self.first_sd, sums, theta)
        k, c, a, sigma2 = e.shape[-1] - 1, self.covariates, sums.ratio[:, None, None], theta["sigma"] ** 2
        ee = jnp.einsum("ptk,ptl->pkl", e, e)
        eo = a * jnp.einsum("utk,utc->ukc", e[sums.path], own)
        oo = jnp.einsum("utc,utd->ucd", own, own)
        of_path = (sums.path == jnp.arange(e.shape[0])[:, None]) @ (sums.kept * sums.ratio**2)
        among = jnp.tensordot(of_path, ee[:, :k, :k], 1)
        between, alone = jnp.tensordot(sums.kept, eo[:, :k], 1), jnp.tensordot(sums.kept, oo, 1)
        active = a * a * ee[sums.path, k:]
        rows = jnp.concatenate([active[..., :k], eo[:, k:]], -1)
        if c:
            rows = jnp.concatenate([jnp.concatenate([eo[:, :k, :c].swapaxes(1, 2), oo[:, :c]], -1), rows], 1)
        across = jnp.concatenate([oo[:, :c, :c], eo[:, k:, :c]], 1)
        last = jnp.concatenate([eo[:, k:, :c].swapaxes(1, 2), active[..., k:]], 1)
        square = jnp.concatenate([across, last], -1)
        return Products(jnp.block([[among, between], [between.T, alone]]) / sigma2, rows / sigma2, square / sigma2, log_f)

    def _condition(self, sums: UnitSums, theta: Mapping[str, Array]) -> tuple[Array, Array, Array, Array, Any]:
        """Cholesky factor L of K, L⁻¹R'M_y, M_yy, log |Ω|, and what draws of units need: products, sds, their factors."""
        products, sd = self._products(sums, theta), self._unit_sd(theta)
        chol_own = jnp.linalg.cholesky(jnp.eye(sd.size) + sd[:, None] * sd * products.own)
        v = solve_triangular(chol_own, sd[:, None] * products.crossed, lower=True) * sums.kept[:, None, None]
        v = v.reshape(-1, v.shape[-1])
        m = sums.load.T @ (products.shared - v.T @ v) @ sums.load
        log_own = 2 * jnp.sum(jnp.log(jnp.diagonal(chol_own, axis1=1, axis2=2)), 1)
        log_det = sums.rows * jnp.log(theta["sigma"] ** 2) + sums.kept @ (products.log_f + log_own)
        r = scales(self.blocks, theta)
        chol = jnp.linalg.cholesky(jnp.eye(r.size) + m[:-1, :-1] * r[:, None] * r)
        w = solve_triangular(chol, m[-1, :-1] * r, lower=True)
        return chol, w, m[-1, -1], log_det, (products, sd, chol_own)
