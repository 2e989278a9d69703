"""Weights on a simplex by exchanges between pairs of donors, w ~ Dirichlet(α, …, α), the rest as in `weighted_rows`.

A pair (`numerics.exchanges`) is drawn by its joint weight, which the move leaves alone, or, every other time, about by the
product of its weights, so that those who carry the weight trade more often. Concentration and weights depend on each other
closely, so that α also moves with all weights at once (`spread`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import gammaln, logsumexp, ndtri
from scipy import special

from bayes_causal.numerics import trait_rows
from bayes_causal.numerics.exchanges import LOG_2, TINY, Walk, exchanged
from bayes_causal.numerics.line_proposals import CELLS, MIDDLES, pick
from bayes_causal.numerics.trait_rows import TraitSums
from bayes_causal.numerics.weighted_rows import (
    RowSums,
    draw_errors,
    draw_intercept,
    log_likelihood,
    log_prior,
    precision,
    residual_forms,
)

STEP = 1.5  # sd of the moves of log α with all weights
PASSES = 3  # over all blocks in a sweep: σ and the weights hang on each other as closely
ROUNDS = 2  # of exchanges in a pass, each followed by such a move
LOW = -30.0  # where log(1 − e^(−y)) is log y


class ExchangeSums(NamedTuple):
    """The data of one problem.

    Parameters
    ----------
    rows : RowSums
    log_range : (2,) ends of the uniform prior of log α
    constants : (CELLS,) log constants of the Dirichlet in the middles of even cells between them
    count : () donors there are, where the columns after them are blanks that bring problems into one shape; None: all
    traits : TraitSums, if predictors are to be reproduced beside the outcomes
    """

    rows: RowSums
    log_range: Any
    constants: Any
    count: Any = None
    traits: Any = None


def exchange_sums(
    rows: RowSums, log_range: tuple[float, float], count: int | None = None, traits: TraitSums | None = None
) -> ExchangeSums:
    """Sums of rows with the prior of the concentration; donors after the first `count` are blanks, if given."""
    constants = dirichlet_constants(count or rows.donors, log_range)
    return ExchangeSums(rows, np.array(log_range, float), constants, None if count is None else np.asarray(count), traits)


def dirichlet_constants(donors: int, log_range: tuple[float, float]) -> np.ndarray:
    """(CELLS,) log constants of the Dirichlet of so many donors, in the middles of even cells of log α."""
    alpha = np.exp(log_range[0] + (log_range[1] - log_range[0]) * MIDDLES)
    return np.asarray(special.gammaln(donors * alpha) - donors * special.gammaln(alpha))


@dataclass(frozen=True, eq=False)
class Exchange:
    """Blocks of a synthetic control on the simplex: weights pair by pair, their concentration, σ, and ρ.

    Parameters
    ----------
    ar : whether errors are autoregressive; ρ is 0 else
    intercept : whether there is one
    moves : exchanges a round
    sums : what the data say
    named : what bears the weights, for what is said of the blocks
    """

    ar: bool
    intercept: bool
    moves: int
    sums: ExchangeSums | None
    named: str = "donors"

    @property
    def width(self) -> int:
        """Numbers a draw of the sites holds."""
        return 1024

    def said(self, sums: Any) -> str:
        """What the blocks are, in words."""
        errors = "their autocorrelation" if self.ar else "no autocorrelation"
        return (
            f"{PASSES * ROUNDS * self.moves} exchanges a sweep between pairs of {sums.rows.donors} {self.named}, intercept "
            f"integrated out; concentration and size of the errors, {errors}"
        )

    def bare(self) -> Exchange:
        """The form without its data."""
        return replace(self, sums=None)

    def signature(self) -> tuple[Any, ...]:
        """All that is compiled in."""
        return self.ar, self.intercept, self.moves

    def first(self, sums: ExchangeSums, key: Array) -> dict[str, Array]:
        """Weights uniform on the simplex, the rest from its prior or around its middle."""
        keys, donors = jax.random.split(key, 4), sums.rows.donors
        log_w = jnp.log(-jnp.log(jax.random.uniform(keys[0], (donors,), float, TINY)))
        log_w = log_w if sums.count is None else jnp.where(jnp.arange(donors) < sums.count, log_w, -jnp.inf)
        low, high = sums.log_range
        rho = 0.8 * jax.random.uniform(keys[3], (), float, -1.0, 1.0) if self.ar else jnp.zeros(())
        state = {
            "log_w": log_w - logsumexp(log_w),
            "log_alpha": low + (high - low) * jax.random.uniform(keys[1], (), float),
            "log_sigma": -1.0 + 0.5 * jax.random.normal(keys[2], (), float),
            "rho": rho,
        }
        if sums.traits is not None:
            own = jax.random.normal(jax.random.fold_in(key, 4), (), float)
            state["log_sigma_predictor"] = jnp.log(sums.traits.scale) - 0.5 + 0.5 * own
        return state | dict.fromkeys(("acceptance_rate", "lp"), jnp.zeros(()))

    def sweep(self, sums: ExchangeSums, state: Mapping[str, Array], key: Array, adapting: Array) -> dict[str, Array]:
        """Passes of exchanges given the rest, then concentration, σ and ρ, each given the others."""
        # One call for all numbers of a sweep: calls, not numbers, cost time.
        sizes = ROUNDS * (5 * self.moves + 3), 2, 4, 0 if sums.traits is None else 2
        uniform = jax.random.uniform(key, (PASSES, sum(sizes)), float, TINY)

        def a_pass(state: dict[str, Array], uniform: Array) -> tuple[dict[str, Array], Array]:
            """Every block once."""
            u = jnp.split(uniform, np.cumsum(sizes)[:-1])
            m = precision(sums.rows, state["rho"], jnp.exp(state["log_sigma"]))
            if sums.traits is not None:
                m = m + trait_rows.precision(sums.traits, state["log_sigma_predictor"])
            state = state | traded(m, sums.log_range, self.moves, state, u[0].reshape(ROUNDS, -1), sums.count)
            x = draw_concentration(sums.log_range, sums.constants, state["log_alpha"], state["log_w"], u[1], sums.count)
            forms = residual_forms(sums.rows, jnp.exp(state["log_w"]))
            errors = draw_errors(sums.rows, state, forms, u[2].reshape(2, 2), self.ar)
            if sums.traits is not None:
                now = state["log_sigma_predictor"]
                errors["log_sigma_predictor"] = trait_rows.draw_log_sd(sums.traits, jnp.exp(state["log_w"]), now, u[3])
            return state | {"log_alpha": x} | errors, state["acceptance_rate"]

        found, accepted = jax.lax.scan(a_pass, dict(state), uniform)
        return found | {"acceptance_rate": accepted.mean(), "lp": self.density(sums, found)}

    def sites(self, sums: ExchangeSums, state: Mapping[str, Array], key: Array) -> dict[str, Array]:
        """The sites of the twins, the intercept drawn given the rest."""
        w, sigma = jnp.exp(state["log_w"]), jnp.exp(state["log_sigma"])
        sites = {"weight": w, "log_concentration": state["log_alpha"], "sigma": sigma}
        sites |= {"intercept": draw_intercept(sums.rows, w, state["rho"], sigma, key)} if self.intercept else {}
        sites |= {} if sums.traits is None else {"sigma_predictor": jnp.exp(state["log_sigma_predictor"])}
        return sites | ({"rho": state["rho"]} if self.ar else {})

    def stats(self, state: Mapping[str, Array]) -> dict[str, Array]:
        """Share of accepted exchanges; log p(y, w, θ) without the intercept."""
        return {k: state[k] for k in ("acceptance_rate", "lp")}

    def density(self, sums: ExchangeSums, state: Mapping[str, Array]) -> Array:
        """Log p(y, w, log α, σ, ρ), the intercept integrated out; σ and ρ on their own scale."""
        forms, sigma = residual_forms(sums.rows, jnp.exp(state["log_w"])), jnp.exp(state["log_sigma"])
        value = log_likelihood(sums.rows, forms, sigma, state["rho"])
        value += log_dirichlet(state["log_w"], state["log_alpha"], sums.count)
        if sums.traits is not None:
            value += trait_rows.log_density(sums.traits, jnp.exp(state["log_w"]), state["log_sigma_predictor"])
        return value + log_prior(sums.rows, state, self.ar) - jnp.log(sums.log_range[1] - sums.log_range[0])


def traded(
    m: Array, log_range: Array, moves: int, state: Mapping[str, Array], uniform: Array, count: Array | None = None
) -> dict[str, Array]:
    """Weights and log α after rounds of exchanges, each followed by a move of α with all weights; the share of exchanges made.

    `m` (J + 1, J + 1) are products of donors and outcome in units of their errors' variance, the intercept integrated out;
    `uniform` (rounds, 3 + 5 moves). Donors after the first `count` are blanks, if given.
    """
    donors = m.shape[0] - 1
    gram, along, upto = m[:donors, :donors], m[:donors, donors], jnp.triu(jnp.ones((donors, donors)))
    low, width = log_range[0], log_range[1] - log_range[0]

    def a_round(carry: Walk, u: Array) -> tuple[Walk, Array]:
        """Exchanges, then the concentration with all weights."""
        log_w, slope, x = carry
        start, heavy = (log_w, jnp.exp(log_w) @ upto, slope), jnp.arange(moves) % 2 == 0
        trade = partial(exchanged, gram, jnp.exp(x), count=count)
        (log_w, _, slope), taken = jax.lax.scan(trade, start, (u[3:].reshape(-1, 5), heavy))
        log_w = log_w - logsumexp(log_w)
        # Steps over an end of the range come back from it.
        step, z = ndtri(u[:2])
        stepped = jnp.abs(x - low + STEP * step) % (2 * width)
        new_x = low + jnp.minimum(stepped, 2 * width - stepped)
        new, change = spread(log_w, x, new_x - x, z, count)
        new_w = jnp.exp(new)
        new_slope = along - gram @ new_w
        # The fit w'along − ½w'Gram w, by its slope.
        change += 0.5 * (new_w @ (along + new_slope) - jnp.exp(log_w) @ (along + slope))
        better = jnp.log(u[2]) < change
        kept = jax.tree.map(partial(jnp.where, better), (new, new_slope, new_x), (log_w, slope, x))
        return kept, jnp.mean(taken.astype(float))

    first = state["log_w"], along - gram @ jnp.exp(state["log_w"]), state["log_alpha"]
    (log_w, _, x), accepted = jax.lax.scan(a_round, first, uniform)
    return {"log_w": log_w, "log_alpha": x, "acceptance_rate": accepted.mean()}


def spread(log_w: Array, x: Array, delta: Array, z: Array, count: Array | None = None) -> tuple[Array, Array]:
    """Log weights after log α went from x to x + delta, and the log of what the prior and the map make of it.

    Weights become positive variables by a sum whose logarithm lies z sds from its mean, had they been gamma variables of
    concentration α. Each is then mapped to what lies as high among those of the new α, by the distribution (1 − e^(−λg))^α, which
    is close to the gamma's, its lower tail the same (Gupta & Kundu 2003, doi:10.1016/j.jspi.2002.04.003): that is an
    approximation, and the ratio is exact for the map as it is.
    """
    donors, log_alpha = log_w.shape[0] if count is None else count, jnp.stack([x, x + delta])
    (alpha, new_alpha), log_gamma, constants = jnp.exp(log_alpha), *log_gammas(donors, log_alpha)
    (middle, new_middle), (width, new_width) = log_gamma_moments(donors * jnp.exp(log_alpha))
    scale, new_scale = -(log_gamma + log_alpha) * jnp.exp(-log_alpha)
    log_y = log_w + middle + jnp.exp(width) * z + scale
    y = jnp.exp(log_y)
    log_f = jnp.where(log_y < LOW, log_y, log_less(y))
    new_log_f = log_f * jnp.exp(-delta)
    new_y = -log_less(-new_log_f)
    new_log_y = jnp.where(new_log_f < LOW, new_log_f, jnp.log(jnp.maximum(new_y, TINY)))
    moved = new_log_y - new_scale
    new_total = logsumexp(moved)
    new, new_z = moved - new_total, (new_total - new_middle) * jnp.exp(-new_width)
    slopes = log_y - y - log_f - delta - (new_log_y - new_y - new_log_f)
    change = constants[1] - constants[0] + over(slopes, count)
    change += new_alpha * over(new, count) - alpha * over(log_w, count)  # α − 1 of the prior, and 1 of each derivative
    return new, change + 0.5 * (z**2 - new_z**2) + width - new_width


def log_less(y: Array) -> Array:
    """Log(1 − e^(−y)) for y > 0, exact at both ends."""
    return jnp.where(y < LOG_2, jnp.log(-jnp.expm1(-y)), jnp.log1p(-jnp.exp(-y)))


def log_gamma_moments(alpha: Array) -> tuple[Array, Array]:
    """Mean and log sd of the logarithm of a gamma variable, to a few per cent: right as α goes to 0 and to infinity."""
    return jnp.log(alpha + 0.56) - 1 / alpha, 0.5 * jnp.log(1 / alpha**2 + 1 / (alpha + 0.61))


def draw_concentration(log_range: Array, constants: Array, x: Array, log_w: Array, u: Array, count: Array | None = None) -> Array:
    """Log α given the weights: a cell of a grid by its density in the middle, a point in it, accepted by its own density."""
    low, width = log_range[0], (log_range[1] - log_range[0]) / CELLS
    total = over(log_w, count)
    cells = constants + (jnp.exp(low + width * CELLS * MIDDLES) - 1) * total
    cell, inside = pick(cells, u[0])
    new = low + width * (cell + inside)
    here = jnp.clip(((x - low) / width).astype(int), 0, CELLS - 1)
    densities = log_dirichlet(log_w, jnp.stack([new, x]), count)
    change = densities[0] - densities[1] - (cells[cell] - cells[here])
    return jnp.where(jnp.log(u[1]) < change, new, x)


def log_dirichlet(log_w: Array, log_alpha: Array, count: Array | None = None) -> Array:
    """Log density (..., ) of (J,) weights, or of the first `count`, under Dirichlet(α, …, α) for log α (...,)."""
    donors = log_w.shape[-1] if count is None else count
    return log_gammas(donors, log_alpha)[1] + (jnp.exp(log_alpha) - 1) * over(log_w, count)


def over(x: Array, count: Array | None) -> Array:
    """Sum of (J,) numbers, or of the first `count`."""
    return x.sum() if count is None else jnp.where(jnp.arange(x.shape[-1]) < count, x, 0.0).sum()


def log_gammas(donors: int | Array, log_alpha: Array) -> tuple[Array, Array]:
    """(...,) log Γ(α), and the log of the Dirichlet's constant, by one call, because each takes long to compile."""
    alpha = jnp.exp(log_alpha)
    one, all_ = gammaln(jnp.stack([alpha, donors * alpha]))
    return one, all_ - donors * one
