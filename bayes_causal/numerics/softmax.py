"""Weights w = softmax(z), z_j ~ N(0, s), s half-normal, the rest as in `weighted_rows`.

Two donors trade along a curve on which w_i + w_j stays as it is: with t = z_i − z_j and log(e^z_i + e^z_j) fixed, a map of
(z_i, z_j) of unit Jacobian, t has a prior of two normals and the likelihood of a share, and is drawn on its line. Trades leave
Σ e^z as it is; what all z have in common leaves the weights as they are and is drawn from its prior. s moves given z, and with
all z at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.nn import sigmoid, softmax, softplus

from bayes_causal.numerics.line_proposals import draw_on_line
from bayes_causal.numerics.weighted_rows import (
    LOG_2PI,
    TINY,
    RowSums,
    State,
    draw_errors,
    draw_intercept,
    log_half_normal,
    log_likelihood,
    log_prior,
    precision,
    residual_forms,
)

PASSES = 5  # a sweep
TRADES = 1  # a donor and pass
STRETCH = (0.1, 0.3, 0.8)  # sds of the moves of log s with all z


class SoftmaxSums(NamedTuple):
    """The data of one problem.

    Parameters
    ----------
    rows : RowSums
    spread_scale : () scale of the half-normal on s
    """

    rows: RowSums
    spread_scale: Any


@dataclass(frozen=True, eq=False)
class Softmax:
    """Blocks of softmax weights.

    Parameters
    ----------
    ar : whether errors are autoregressive; ρ is 0 else
    intercept : whether there is one
    sums : what the data say
    """

    ar: bool
    intercept: bool
    sums: SoftmaxSums | None

    @property
    def width(self) -> int:
        """Numbers a draw of the sites holds."""
        return 1024

    def said(self, sums: SoftmaxSums) -> str:
        """What the blocks are, in words."""
        errors = "their autocorrelation" if self.ar else "no autocorrelation"
        return (
            f"trades between pairs of {sums.rows.donors} donors on the line of their share, and their spread with "
            f"all at once, intercept integrated out; size of the errors, {errors}"
        )

    def bare(self) -> Softmax:
        """The form without its data."""
        return replace(self, sums=None)

    def signature(self) -> tuple[Any, ...]:
        """All that is compiled in."""
        return self.ar, self.intercept

    def first(self, sums: SoftmaxSums, key: Array) -> dict[str, Array]:
        """A z of sd one, the rest around the middle of its prior."""
        keys, donors = jax.random.split(key, 3), sums.rows.donors
        rho = 0.8 * jax.random.uniform(keys[2], (), float, -1.0, 1.0) if self.ar else jnp.zeros(())
        state = {
            "z": jax.random.normal(keys[0], (donors,), float),
            "log_spread": jnp.log(0.7 * sums.spread_scale),
            "log_sigma": -1.0 + 0.5 * jax.random.normal(keys[1], (), float),
            "rho": rho,
            "acceptance_rate": jnp.zeros(()),
        }
        return state | {"lp": self.density(sums, state)}

    def sweep(self, sums: SoftmaxSums, state: State, key: Array, adapting: Array) -> dict[str, Array]:
        """Trades, what all z share and their spread, several times, then σ and ρ."""
        keys, m = jax.random.split(key), precision(sums.rows, state["rho"], jnp.exp(state["log_sigma"]))
        state = dict(jax.lax.fori_loop(0, PASSES, lambda k, s: a_pass(m, sums, s, jax.random.fold_in(keys[0], k)), dict(state)))
        forms = residual_forms(sums.rows, softmax(state["z"]))
        state |= draw_errors(sums.rows, state, forms, jax.random.uniform(keys[1], (2, 2), float, TINY), self.ar)
        return state | {"lp": self.density(sums, state)}

    def sites(self, sums: SoftmaxSums, state: State, key: Array) -> dict[str, Array]:
        """The sites of the twins, the intercept drawn given the rest."""
        sigma, w = jnp.exp(state["log_sigma"]), softmax(state["z"])
        sites = {"z": state["z"], "spread": jnp.exp(state["log_spread"]), "sigma": sigma}
        sites |= {"intercept": draw_intercept(sums.rows, w, state["rho"], sigma, key)} if self.intercept else {}
        return sites | ({"rho": state["rho"]} if self.ar else {})

    def stats(self, state: State) -> dict[str, Array]:
        """Share of accepted moves of s with all z; log p(y, z, θ) without the intercept."""
        return {k: state[k] for k in ("acceptance_rate", "lp")}

    def density(self, sums: SoftmaxSums, state: State) -> Array:
        """Log p(y, z, s, σ, ρ), the intercept integrated out; s, σ and ρ on their own scale."""
        sigma, spread, z = jnp.exp(state["log_sigma"]), jnp.exp(state["log_spread"]), state["z"]
        prior = -0.5 * ((z / spread) ** 2).sum() - z.size * (0.5 * LOG_2PI + state["log_spread"])
        prior += log_half_normal(spread, sums.spread_scale) + log_prior(sums.rows, state, self.ar)
        return log_likelihood(sums.rows, residual_forms(sums.rows, softmax(z)), sigma, state["rho"]) + prior


def a_pass(m: Array, sums: SoftmaxSums, state: State, key: Array) -> dict[str, Array]:
    """Trades, z and their spread together, what all z share, their spread."""
    keys, donors, spread = jax.random.split(key, 4), state["z"].shape[0], jnp.exp(state["log_spread"])
    found = stretched(m, sums.spread_scale, traded(m, state["z"], spread, keys[0]), state["log_spread"], keys[1])
    common = jnp.exp(found["log_spread"]) * jax.random.normal(keys[2], (), float) / jnp.sqrt(donors)
    z = found["z"] - found["z"].mean() + common
    return {**state, **found, "z": z, "log_spread": draw_spread(sums.spread_scale, z, found["log_spread"], keys[3])}


def traded(m: Array, z: Array, spread: Array, key: Array) -> Array:
    """(J,) z after trades between pairs, from (J + 1, J + 1) products of donors and outcome.

    A pair is drawn with probability proportional to its joint weight, which a trade leaves alone, or evenly; the line is cut into
    cells around the middle of the prior, or around the share that fits best.
    """
    donors, at = z.shape[0], jnp.arange(z.shape[0])
    gram, along = m[:donors, :donors], m[:donors, donors]

    def trade(z: Array, each: tuple[Array, Array]) -> tuple[Array, None]:
        """Two donors, one line between them."""
        u, kind = each
        w = softmax(z)
        by_weight = jnp.minimum((jnp.cumsum(w) < u[0]).sum(), donors - 1)
        i = jnp.where(kind % 2 == 0, by_weight, jnp.minimum((u[0] * donors).astype(int), donors - 1))
        j = jnp.minimum((u[1] * (donors - 1)).astype(int), donors - 2)
        j += j >= i
        total, level = w[i] + w[j], jnp.logaddexp(z[i], z[j])
        now, t = sigmoid(z[i] - z[j]), z[i] - z[j]
        slope = total * (along[i] - along[j] - (gram[i] - gram[j]) @ w)
        curvature = jnp.maximum(total**2 * (gram[i, i] + gram[j, j] - 2 * gram[i, j]), 0.0)

        def density(t: Array) -> Array:
            d = sigmoid(t) - now
            prior = (level - softplus(-t)) ** 2 + (level - softplus(t)) ** 2
            return slope * d - 0.5 * curvature * d**2 - 0.5 * prior / spread**2

        precision = curvature + 1.0
        best = jnp.clip(now + (slope + 0.5 - now) / precision, 0.02, 0.98)
        near = jnp.log(best) - jnp.log1p(-best), jnp.minimum(0.8 / (jnp.sqrt(precision) * best * (1 - best)), 3.0)
        wide = jnp.zeros(()), jnp.maximum(spread, 0.5)
        middle, scale = (jnp.where(kind % 4 < 2, a, b) for a, b in zip(near, wide, strict=True))
        t = draw_on_line(density, middle, scale, t, u[2:])
        return jnp.where(at == i, level - softplus(-t), jnp.where(at == j, level - softplus(t), z)), None

    count = TRADES * donors
    each = jax.random.uniform(key, (count, 4), float, TINY), jnp.arange(count)
    return jax.lax.scan(trade, z, each)[0]


def stretched(m: Array, scale: Array, z: Array, log_spread: Array, key: Array) -> dict[str, Array]:
    """The z and log s after moves of both by one factor, and the share of them accepted."""
    donors = z.shape[0]

    def fit(z: Array) -> Array:
        w = softmax(z)
        return w @ m[:donors, donors] - 0.5 * w @ m[:donors, :donors] @ w

    def stretch(carry: tuple[Array, Array], each: tuple[Array, Array]) -> tuple[tuple[Array, Array], Array]:
        (z, x), (step, k) = carry, each
        keys = jax.random.split(k)
        delta = step * jax.random.normal(keys[0], (), float)
        change = fit(z * jnp.exp(delta)) - fit(z) + delta - 0.5 * (jnp.exp(2 * (x + delta)) - jnp.exp(2 * x)) / scale**2
        moves = jnp.log(jax.random.uniform(keys[1], (), float, TINY)) < change
        return (jnp.where(moves, z * jnp.exp(delta), z), jnp.where(moves, x + delta, x)), moves.astype(float)

    each = jnp.array(STRETCH), jax.random.split(key, len(STRETCH))
    (z, log_spread), moved = jax.lax.scan(stretch, (z, log_spread), each)
    return {"z": z, "log_spread": log_spread, "acceptance_rate": moved.mean()}


def draw_spread(scale: Array, z: Array, log_spread: Array, key: Array) -> Array:
    """Log s given z."""
    donors, squares = z.shape[0], (z**2).sum()

    def density(x: Array) -> Array:
        return (1 - donors) * x - 0.5 * squares * jnp.exp(-2 * x) - 0.5 * jnp.exp(2 * x) / scale**2

    u = jax.random.uniform(key, (2,), float, TINY)
    middle = 0.5 * jnp.log(jnp.maximum(squares, TINY) / donors)
    return draw_on_line(density, middle, 1.2 / jnp.sqrt(2.0 * donors), log_spread, u)
