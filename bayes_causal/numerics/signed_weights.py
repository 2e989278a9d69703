"""Weights of either sign with a scale each, small but for a few, from the sums of `simplex`.

    y = a + Xw + e,   w_j ~ N(0, σ τ λ_j/√n),   λ_j ~ C⁺(0, 1),   τ ~ C⁺(0, s_τ);   a and e as in `simplex`

With D = diag(τλ_j)²/n, the Cholesky factor of I + D^½ X'RX D^½ leaves products of y and 1 from which w is integrated out, and
then a is as in `simplex`: given λ all that σ needs are three numbers, and (τ, ρ) move with w and a integrated out. Both are
probits of their priors, so that a step that leaves the standard normal as it is (Cotter et al. 2013, doi:10.1214/13-STS421) is
accepted by the likelihood alone. Given w, λ_j² and ν_j are inverse gammas given each other (Makalic & Schmidt 2016,
doi:10.1109/LSP.2015.2503725); that scales move without w is of Johndrow, Orenstein & Bhattacharya 2020,
jmlr.org/papers/v21/19-536.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import erf, ndtr

from bayes_causal.numerics.simplex import LOG_2PI, ExchangeSums, combine, combined, draw_on_line, gaussian, residual_forms

STEPS = (0.2, 0.5, 1.0, 0.3)  # of the moves of τ and ρ in a sweep, 1 a draw from the prior
NEAR_ONE = 1 - 1e-9
TINY = 1e-300

State = Mapping[str, Array]


class HorseshoeSums(NamedTuple):
    """The data of one problem.

    Parameters
    ----------
    rows : of columns centred and of unit sd
    global_scale : () s_τ
    """

    rows: ExchangeSums
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
            f"signed weights of {sums.rows.first.shape[-1] - 2} donors and a scale of each by exact conditionals; their common "
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
        keys, donors = jax.random.split(key), sums.rows.first.shape[-1] - 2
        state = {
            "z": 0.7 * jax.random.normal(keys[0], (2,), float),
            "log_sigma": -1.0 + 0.5 * jax.random.normal(keys[1], (), float),
            "local": jnp.ones(donors),
            "acceptance_rate": jnp.zeros(()),
        }
        return state | {"lp": self.density(sums, state)}

    def sweep(self, sums: HorseshoeSums, state: State, key: Array, adapting: Array) -> dict[str, Array]:
        """τ, ρ and σ without the weights, then weights, then λ."""
        keys, state = jax.random.split(key, 3), dict(state)
        start = self._left(sums, state["local"], state["z"])

        def move(carry: tuple[Array, Array, Left], each: tuple[Array, Array]) -> tuple[tuple[Array, Array, Left], Array]:
            (z, log_sigma, left), (step, k) = carry, each
            own = jax.random.split(k, 3)
            new = jnp.sqrt(1 - step**2) * z + step * jax.random.normal(own[0], (2,), float)
            then = self._left(sums, state["local"], new)
            change = log_marginal(sums, then, log_sigma) - log_marginal(sums, left, log_sigma)
            moves = jnp.log(jax.random.uniform(own[1], (), float, TINY)) < change
            z, left = jax.tree.map(lambda a, b: jnp.where(moves, a, b), (new, then), (z, left))
            return (z, draw_sigma(sums, left, log_sigma, jax.random.uniform(own[2], (2,), float, TINY)), left), moves.astype(
                float
            )

        each = jnp.array(STEPS), jax.random.split(keys[0], len(STEPS))
        (z, log_sigma, _), moved = jax.lax.scan(move, (state["z"], state["log_sigma"], start), each)
        state |= {"z": z, "log_sigma": log_sigma, "acceptance_rate": moved.mean()}
        tau, rho = self.scales(sums, z)
        beta = draw_weights(sums, tau * state["local"], rho, jnp.exp(log_sigma), keys[1])
        state["local"] = draw_local(sums, state["local"], beta / (tau * jnp.exp(log_sigma)), keys[2])
        return state | {"lp": self.density(sums, state)}

    def sites(self, sums: HorseshoeSums, state: State, key: Array) -> dict[str, Array]:
        """The scales, and weights of the centred columns and intercept drawn given them."""
        keys, (tau, rho), sigma = jax.random.split(key), self.scales(sums, state["z"]), jnp.exp(state["log_sigma"])
        beta = draw_weights(sums, tau * state["local"], rho, sigma, keys[0])
        _, e1, q = combine(sums.rows, residual_forms(sums.rows, beta), rho)
        s2 = sums.rows.intercept_sd**2
        total = sigma**2 + s2 * q
        intercept = s2 * e1 / total + jnp.sqrt(s2 / total) * sigma * jax.random.normal(keys[1], (), float)
        named = {"beta": beta, "local": state["local"], "horseshoe": tau, "sigma": sigma, "intercept": intercept}
        return named | ({"rho": rho} if self.ar else {})

    def stats(self, state: State) -> dict[str, Array]:
        """Share of accepted moves of τ and ρ; log p(y, θ | λ)."""
        return {k: state[k] for k in ("acceptance_rate", "lp")}

    def scales(self, sums: HorseshoeSums, z: Array) -> tuple[Array, Array]:
        """τ and ρ of their (2,) probits."""
        tau = sums.global_scale * jnp.tan(0.5 * jnp.pi * jnp.clip(ndtr(z[0]), TINY, NEAR_ONE))
        return tau, jnp.clip(erf(z[1] / jnp.sqrt(2.0)), -NEAR_ONE, NEAR_ONE) if self.ar else jnp.zeros(())

    def density(self, sums: HorseshoeSums, state: State) -> Array:
        """Log p(y, z, σ | λ), weights and intercept integrated out; σ on its own scale."""
        left, sigma = self._left(sums, state["local"], state["z"]), jnp.exp(state["log_sigma"])
        prior = 0.5 * jnp.log(2 / jnp.pi) - jnp.log(sums.rows.sigma_scale) - 0.5 * (sigma / sums.rows.sigma_scale) ** 2
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
    one = jnp.log1p(-(rho**2))
    gap = (rows.counts * (one - jnp.log1p(-(jnp.abs(rho) ** (2 * rows.gaps))))).sum()
    return Left(rest[0, 0], rest[0, 1], rest[1, 1], 2 * jnp.log(jnp.diagonal(chol)).sum() - one - gap)


def log_marginal(sums: HorseshoeSums, left: Left, log_sigma: Array) -> Array:
    """Log density of the outcomes given λ, τ, σ and ρ."""
    n = 1 + sums.rows.counts.sum()
    fit = gaussian(n, left.yy, left.y1, left.q, sums.rows.intercept_sd, jnp.exp(log_sigma))
    return fit - 0.5 * (n * LOG_2PI + left.log_det)


def draw_sigma(sums: HorseshoeSums, left: Left, log_sigma: Array, u: Array) -> Array:
    """Log σ given λ, τ and ρ."""
    n = 1 + sums.rows.counts.sum()
    middle = 0.5 * jnp.log(jnp.maximum(left.yy - left.y1**2 / left.q, TINY) / jnp.maximum(n - 1, 1.0))

    def density(x: Array) -> Array:
        return log_marginal(sums, left, x) - 0.5 * (jnp.exp(x) / sums.rows.sigma_scale) ** 2 + x

    return draw_on_line(density, log_sigma, middle, 1.2 / jnp.sqrt(2 * n), u)


def draw_weights(sums: HorseshoeSums, scale: Array, rho: Array, sigma: Array, key: Array) -> Array:
    """(J,) weights given everything but the intercept."""
    rows, m, donors = sums.rows, combined(sums.rows, rho), scale.shape[0]
    g = rows.intercept_sd**2 / (sigma**2 + rows.intercept_sd**2 * m[-1, -1])
    m = m[:-1, :-1] - g * jnp.outer(m[:-1, -1], m[:-1, -1])
    root = scale / jnp.sqrt(1 + rows.counts.sum())
    chol = jnp.linalg.cholesky(jnp.eye(donors) + root[:, None] * m[:donors, :donors] * root)
    half = solve_triangular(chol, root * m[:donors, donors] / sigma, lower=True) + jax.random.normal(key, (donors,), float)
    return sigma * root * solve_triangular(chol, half, lower=True, trans=1)


def draw_local(sums: HorseshoeSums, local: Array, unit: Array, key: Array) -> Array:
    """(J,) λ given (J,) weights over τσ."""
    exponential = jax.random.exponential(key, (2, local.shape[0]), float)
    nu = (1 + local**-2.0) / exponential[0]
    return jnp.sqrt((1 / nu + 0.5 * (1 + sums.rows.counts.sum()) * unit**2) / exponential[1])
