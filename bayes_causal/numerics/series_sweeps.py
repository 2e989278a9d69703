"""Structural time series block by block: their scales, what the regression needs beyond them, and the errors' tails.

Scales θ move by random-walk Metropolis with states and coefficients integrated out by one filter; coefficients and states are
exact draws given them. What is drawn of the regression besides coefficients is the business of its prior (`coefficient_priors`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.linalg import solve_triangular

from bayes_causal.numerics.coefficient_priors import CoefficientPrior
from bayes_causal.numerics.kalman import draw_states, gram
from bayes_causal.numerics.random_walk import walk, walker
from bayes_causal.numerics.state_space import LOG_2PI, SeriesSums, StateSpace, contributions, draw_coefficients
from bayes_causal.numerics.tails import draw_tails, first_tails

STEPS = 4
SPREAD = 0.5


class SweepSums(NamedTuple):
    """The data of one series.

    Parameters
    ----------
    series : as the collapsed form takes them, its sub-models aside
    log_odds : (p,) of the prior probability that a column is in
    """

    series: SeriesSums
    log_odds: Any


@dataclass(frozen=True, eq=False)
class SeriesSweeps:
    """Blocks of a structural time series.

    Parameters
    ----------
    space : its state space and scales, without data
    prior : of the coefficients
    tails : rate of the prior of ν where errors are Student-t, and a state; None where they are normal
    sums : what the data say
    """

    space: StateSpace
    prior: CoefficientPrior
    tails: float | None
    sums: SweepSums | None

    @property
    def width(self) -> int:
        """Numbers a draw of the states holds."""
        return self.space.width

    def said(self, sums: Any) -> str:
        """What the blocks are, in words."""
        scales = f"{len(self.space.hypers)} scales by random walk, states and coefficients integrated out"
        return f"{scales}; {self.prior.said}" + ("; states and the precision of each error" if self.tails else "")

    def bare(self) -> SeriesSweeps:
        """The form without its data."""
        return replace(self, sums=None)

    def signature(self) -> tuple[Any, ...]:
        """All that is compiled in."""
        return *self.space.signature(), self.prior, self.tails

    def first(self, sums: SweepSums, key: Array) -> dict[str, Any]:
        """Scales around their prior medians, the rest from its prior or in its middle."""
        keys = jax.random.split(key)
        t = SPREAD * jax.random.normal(keys[0], (len(self.space.hypers),), float)
        state: dict[str, Any] = {"t": t, "walker": walker(t)} | self.prior.first(sums, keys[1])
        if self.tails:
            state |= first_tails(self.space.span, self.tails)
        lp, products = self.density(sums, state, t)
        return state | {"products": products, "lp": lp, "acceptance_rate": jnp.zeros(())}

    def sweep(self, sums: SweepSums, state: Mapping[str, Any], key: Array, adapting: Array) -> dict[str, Any]:
        """Scales given the regression's own and the tails; the regression's own; the tails given all states."""
        keys = jax.random.split(key, 4)
        at = self._given(sums, state, state["t"], state["products"]), state["products"]
        t, (lp, products), own, accepted = walk(
            lambda t: self.density(sums, state, t), state["t"], at, state["walker"], keys[0], STEPS, adapting
        )
        state = dict(state) | {"t": t, "walker": own, "products": products, "lp": lp, "acceptance_rate": accepted}
        state |= self.prior.sweep(sums, state, products["columns"], self.space.theta(t), keys[1])
        if not self.tails:
            return state
        theta, _, paths = self.paths(sums, state, self.space.span, keys[2])
        state |= draw_tails(state, *self._innovations(sums, theta, paths[:, -1]), self.tails, keys[3], adapting)
        return state | {"products": self.density(sums, state, t)[1]}

    def sites(self, sums: SweepSums, state: Mapping[str, Any], key: Array) -> dict[str, Array]:
        """θ, what the regression's prior holds, β, and the path of every part over all rows, the post-period ahead included."""
        theta, beta, paths = self.paths(sums, state, sums.series.observed.shape[0], key)
        sites = self.space.theta(state["t"]) | self.prior.sites(state)
        if self.tails:
            sites |= {"nu": jnp.exp(state["log_nu"][0])}
        if self.space.candidates:
            sites |= {"beta": beta}
        return sites | contributions(self.space.parts, sums.series, paths * theta["sigma"])

    def paths(self, sums: SweepSums, state: Mapping[str, Any], rows: int, key: Array) -> tuple[Mapping[str, Array], Array, Array]:
        """θ, and given the state one draw of (p,) β and of the (rows, m) states in units of σ."""
        theta, p, keys = self._theta(state, state["t"]), self.space.candidates, jax.random.split(key)
        columns, beta = sums.series.columns[:rows], jnp.zeros(p)
        if p:
            slab, taken = self.prior.slab(sums, state, theta)
            beta = draw_coefficients(state["products"]["columns"].at[:p, :p].add(slab), taken, theta["sigma"], keys[0])
        space, rest = self.space.space(sums.series, theta, rows), columns[:, p] - columns[:, :p] @ beta
        return theta, beta, draw_states(space, rest / theta["sigma"], sums.series.observed[:rows], keys[1])

    def stats(self, state: Mapping[str, Any]) -> dict[str, Array]:
        """Share of accepted steps; log p(y, θ | the rest)."""
        return {k: state[k] for k in ("acceptance_rate", "lp")}

    def density(self, sums: SweepSums, state: Mapping[str, Any], t: Array) -> tuple[Array, dict[str, Array]]:
        """Log p(y, t | the rest) with coefficients and states integrated out, and the products that it took."""
        series, span = sums.series, self.space.span
        space = self.space.space(series, self._theta(state, t), span)
        columns, log_f = gram(space, series.columns[:span], series.observed[:span])
        products = {"columns": columns, "log_f": log_f}
        return self._given(sums, state, t, products), products

    def _given(self, sums: SweepSums, state: Mapping[str, Any], t: Array, products: Mapping[str, Array]) -> Array:
        """Log p(y, t | the rest) from products at t."""
        theta, p, m = self.space.theta(t), self.space.candidates, products["columns"]
        rest, log_det = m[p, p], jnp.zeros(())
        if p:
            slab, taken = self.prior.slab(sums, state, theta)
            both, out = taken[:, None] * taken, jnp.diag(1 - taken)
            chol = jnp.linalg.cholesky(jnp.stack([both * (m[:p, :p] + slab) + out, both * slab + out]))
            w = solve_triangular(chol[0], taken * m[:p, p], lower=True)
            log_dets = jnp.log(jnp.diagonal(chol, axis1=1, axis2=2)).sum(1)
            rest, log_det = rest - w @ w, 2 * (log_dets[0] - log_dets[1])
        n, sigma2 = jnp.sum(sums.series.observed), theta["sigma"] ** 2
        fit = log_det + n * (LOG_2PI + jnp.log(sigma2)) + products["log_f"] + rest / sigma2
        return sum(h.log_prior(t[k]) for k, h in enumerate(self.space.hypers)) - 0.5 * fit

    def _innovations(self, sums: SweepSums, theta: Mapping[str, Array], error: Array) -> tuple[Array, Array]:
        """(span,) innovations of the errors, and 1 where the data bear on them: between outcomes, those of missing rows too."""
        seen = sums.series.observed[: self.space.span].astype(error.dtype)
        if "rho" not in theta:
            return error, seen
        rho = theta["rho"]
        z = jnp.append(error[:1] * jnp.sqrt(1 - rho**2), error[1:] - rho * error[:-1])
        return z, jnp.flip(jax.lax.cummax(jnp.flip(seen)))

    def _theta(self, state: Mapping[str, Any], t: Array) -> dict[str, Array]:
        theta = self.space.theta(t)
        return theta | {"mixing": state["mixing"]} if self.tails else theta
