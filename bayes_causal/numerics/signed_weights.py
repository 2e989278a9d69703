"""Weights of either sign with a scale each, small but for a few, the rest as in `weighted_rows`.

    y = a + Xw + e,   w_j ~ N(0, σ τ λ_j/√n),   λ_j ~ C⁺(0, 1),   τ ~ C⁺(0, s_τ)

With D = diag(τλ_j)²/n, the Cholesky factor of I + D^½ X'RX D^½ leaves products of y and 1 from which w is integrated out, and
then a as ever: all that σ needs are three numbers. So τ and ρ, all λ, or the λ of two donors changed for each other,
move with σ on its line and with w and a integrated out (Johndrow, Orenstein & Bhattacharya 2020,
jmlr.org/papers/v21/19-536.html, on why scales should move without w), by steps of probits that leave their priors as they are
(Cotter et al. 2013, doi:10.1214/13-STS421), accepted by the likelihood alone. Given w, λ_j² and ν_j are inverse gammas given
each other (Makalic & Schmidt 2016, doi:10.1109/LSP.2015.2503725).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import erf, ndtr, ndtri

from bayes_causal.numerics import weighted_rows
from bayes_causal.numerics.line_proposals import Density, propose, weight
from bayes_causal.numerics.weighted_rows import (
    LOG_2PI,
    TINY,
    RowSums,
    State,
    combined,
    draw_intercept,
    gaussian,
    log_det,
    log_half_normal,
    precision,
)

# Moves in a pass: 0 of τ and ρ, 1 of all λ, 2 of two λ for each other, 3 of one λ; and their steps, 1 a draw from the prior
KINDS = (0, 1, 2, 3) * 4
STEPS = (0.3, 0.05, 0.0, 1.0, 0.6, 0.1, 0.0, 1.0, 0.9, 0.2, 0.0, 1.0, 0.4, 0.35, 0.0, 0.5)
PASSES = 5  # a sweep
NEAR_ONE = 1 - 1e-9

Moving = tuple[Array, Array, Array, Array]


class HorseshoeSums(NamedTuple):
    """The data of one problem.

    Parameters
    ----------
    rows : of columns centred and of unit sd
    global_scale : () s_τ
    """

    rows: RowSums
    global_scale: Any


class Left(NamedTuple):
    """What the data say of σ once w is integrated out: y'C⁻¹y, y'C⁻¹1, 1'C⁻¹1 and log |C|, C the covariance at σ = 1."""

    yy: Array
    y1: Array
    q: Array
    log_det: Array


@dataclass(frozen=True, eq=False)
class SignedWeights:
    """Blocks of signed weights under a horseshoe.

    Parameters
    ----------
    ar : whether errors are autoregressive; ρ is 0 else
    sums : what the data say
    """

    ar: bool
    sums: HorseshoeSums | None

    @property
    def width(self) -> int:
        """Numbers a draw of the sites holds."""
        return 8192

    def said(self, sums: HorseshoeSums) -> str:
        """What the blocks are, in words."""
        errors = "their autocorrelation" if self.ar else "no autocorrelation"
        return (
            f"signed weights of {sums.rows.donors} donors and a scale of each by exact conditionals; their common "
            f"scale and size of the errors, {errors}, with weights and intercept integrated out"
        )

    def bare(self) -> SignedWeights:
        """The form without its data."""
        return replace(self, sums=None)

    def signature(self) -> tuple[Any, ...]:
        """All that is compiled in."""
        return (self.ar,)

    def first(self, sums: HorseshoeSums, key: Array) -> dict[str, Array]:
        """λ at its prior median, the rest around the middle of its prior."""
        keys, donors = jax.random.split(key), sums.rows.donors
        state = {
            "z": 0.7 * jax.random.normal(keys[0], (2,), float),
            "log_sigma": -1.0 + 0.5 * jax.random.normal(keys[1], (), float),
            "local": jnp.ones(donors),
            "acceptance_rate": jnp.zeros(()),
        }
        return state | {"lp": self.density(sums, state)}

    def sweep(self, sums: HorseshoeSums, state: State, key: Array, adapting: Array) -> dict[str, Array]:
        """Scales and σ without the weights, then weights, then λ, several times."""
        state = jax.lax.fori_loop(0, PASSES, lambda k, s: self._pass(sums, s, jax.random.fold_in(key, k)), dict(state))
        return {**state, "lp": self.density(sums, state)}

    def _pass(self, sums: HorseshoeSums, state: State, key: Array) -> dict[str, Array]:
        keys = jax.random.split(key, 3)
        line = sigma_line(sums, self._left(sums, state["local"], state["z"]))
        now = state["z"], state["local"], state["log_sigma"], weight(*line, state["log_sigma"])

        def move(now: Moving, each: tuple[Array, Array, Array]) -> tuple[Moving, Array]:
            (kind, step, key), (z, local, *_) = each, now
            own = jax.random.split(key, 3)
            z = jnp.where(kind == 0, moved(z, step, own[0]), z)
            one = jnp.arange(local.shape[0]) == jax.random.randint(own[1], (), 0, local.shape[0])
            changed = jnp.where((kind == 1) | one, rescaled(local, step, own[0]), local)
            changed = jnp.where(kind == 2, swapped(local, own[1]), changed)
            local, u = jnp.where(kind == 0, local, changed), jax.random.uniform(own[2], (2,), float, TINY)
            log_sigma, heavy = propose(*sigma_line(sums, self._left(sums, local, z)), u[0])
            moves = jnp.log(u[1]) < heavy - now[3]
            return jax.tree.map(lambda a, b: jnp.where(moves, a, b), (z, local, log_sigma, heavy), now), moves.astype(float)

        each = jnp.array(KINDS), jnp.array(STEPS), jax.random.split(keys[0], len(STEPS))
        (z, local, log_sigma, _), taken = jax.lax.scan(move, now, each)
        tau, rho = self.scales(sums, z)
        beta = draw_weights(sums, tau * local, rho, jnp.exp(log_sigma), keys[1])
        local = draw_local(sums, local, beta / (tau * jnp.exp(log_sigma)), keys[2])
        return {**state, "z": z, "local": local, "log_sigma": log_sigma, "acceptance_rate": taken.mean()}

    def sites(self, sums: HorseshoeSums, state: State, key: Array) -> dict[str, Array]:
        """The scales, and weights of the centred columns and intercept drawn given them."""
        keys, (tau, rho), sigma = jax.random.split(key), self.scales(sums, state["z"]), jnp.exp(state["log_sigma"])
        beta = draw_weights(sums, tau * state["local"], rho, sigma, keys[0])
        intercept = draw_intercept(sums.rows, beta, rho, sigma, keys[1])
        named = {"beta": beta, "local": state["local"], "horseshoe": tau, "sigma": sigma, "intercept": intercept}
        return named | ({"rho": rho} if self.ar else {})

    def stats(self, state: State) -> dict[str, Array]:
        """Share of accepted moves; log p(y, θ | λ)."""
        return {k: state[k] for k in ("acceptance_rate", "lp")}

    def scales(self, sums: HorseshoeSums, z: Array) -> tuple[Array, Array]:
        """τ and ρ of their (2,) probits."""
        tau = sums.global_scale * jnp.tan(0.5 * jnp.pi * jnp.clip(ndtr(z[0]), TINY, NEAR_ONE))
        return tau, jnp.clip(erf(z[1] / jnp.sqrt(2.0)), -NEAR_ONE, NEAR_ONE) if self.ar else jnp.zeros(())

    def density(self, sums: HorseshoeSums, state: State) -> Array:
        """Log p(y, z, σ | λ), weights and intercept integrated out; σ on its own scale."""
        left = self._left(sums, state["local"], state["z"])
        prior = log_half_normal(jnp.exp(state["log_sigma"]), sums.rows.sigma_scale)
        return log_marginal(sums, left, state["log_sigma"]) + prior - 0.5 * (state["z"] ** 2).sum() - LOG_2PI

    def _left(self, sums: HorseshoeSums, local: Array, z: Array) -> Left:
        tau, rho = self.scales(sums, z)
        return integrated(sums, tau * local, rho)


def integrated(sums: HorseshoeSums, scale: Array, rho: Array) -> Left:
    """What is left once weights of (J,) scales τλ are integrated out."""
    rows, m = sums.rows, combined(sums.rows, rho)
    n, donors = 1 + rows.counts.sum(), scale.shape[0]
    root = scale / jnp.sqrt(n)
    chol = jnp.linalg.cholesky(jnp.eye(donors) + root[:, None] * m[:donors, :donors] * root)
    half = solve_triangular(chol, root[:, None] * m[:donors, donors:], lower=True)
    rest = m[donors:, donors:] - half.T @ half
    return Left(rest[0, 0], rest[0, 1], rest[1, 1], 2 * jnp.log(jnp.diagonal(chol)).sum() - log_det(rows, rho))


def log_marginal(sums: HorseshoeSums, left: Left, log_sigma: Array) -> Array:
    """Log density of the outcomes given λ, τ, σ and ρ."""
    n = 1 + sums.rows.counts.sum()
    fit = gaussian(n, left.yy, left.y1, left.q, sums.rows.intercept_sd, jnp.exp(log_sigma))
    return fit - 0.5 * (n * LOG_2PI + left.log_det)


def sigma_line(sums: HorseshoeSums, left: Left) -> tuple[Density, Array, Array]:
    """Density of log σ given λ, τ and ρ, its middle and its scale, about."""
    density, middle, scale = weighted_rows.sigma_line(sums.rows, left.yy, left.y1, left.q)
    return lambda x: density(x) - 0.5 * left.log_det, middle, scale


def moved(z: Array, step: Array, key: Array) -> Array:
    """Standard normals after a step that leaves them such."""
    return jnp.sqrt(1 - step**2) * z + step * jax.random.normal(key, z.shape, float)


def rescaled(local: Array, step: Array, key: Array) -> Array:
    """Half-Cauchy λ after a step that leaves them such: a step of their probits."""
    share = 2 / jnp.pi * jnp.arctan(jnp.minimum(local, 1 / local))
    probit = jnp.where(local < 1, 1.0, -1.0) * ndtri(jnp.maximum(share, TINY))
    new = moved(probit, step, key)
    small = jnp.tan(0.5 * jnp.pi * jnp.maximum(ndtr(-jnp.abs(new)), TINY))
    return jnp.where(new < 0, small, 1 / small)


def swapped(local: Array, key: Array) -> Array:
    """The λ of two donors changed for each other."""
    keys, at = jax.random.split(key), jnp.arange(local.shape[0])
    i = jax.random.randint(keys[0], (), 0, local.shape[0])
    j = (i + jax.random.randint(keys[1], (), 1, local.shape[0])) % local.shape[0]
    return jnp.where(at == i, local[j], jnp.where(at == j, local[i], local))


def draw_weights(sums: HorseshoeSums, scale: Array, rho: Array, sigma: Array, key: Array) -> Array:
    """(J,) weights given everything but the intercept."""
    donors, m = scale.shape[0], sigma**2 * precision(sums.rows, rho, sigma)
    root = scale / jnp.sqrt(1 + sums.rows.counts.sum())
    chol = jnp.linalg.cholesky(jnp.eye(donors) + root[:, None] * m[:donors, :donors] * root)
    half = solve_triangular(chol, root * m[:donors, donors] / sigma, lower=True) + jax.random.normal(key, (donors,), float)
    return sigma * root * solve_triangular(chol, half, lower=True, trans=1)


def draw_local(sums: HorseshoeSums, local: Array, unit: Array, key: Array) -> Array:
    """(J,) λ given (J,) weights over τσ."""
    exponential = jax.random.exponential(key, (2, local.shape[0]), float)
    nu = (1 + local**-2.0) / exponential[0]
    return jnp.sqrt((1 / nu + 0.5 * (1 + sums.rows.counts.sum()) * unit**2) / exponential[1])
