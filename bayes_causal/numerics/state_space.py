"""Structural time series with everything but their scales integrated out: states, regression coefficients, and the sub-models.

    y_t = first + Σ_parts z_t'α_t + x_t'β + e_t        e_t ~ N(0, σ), or autoregressive with innovation sd σ
    β_γ | γ, σ ~ N(0, σ² (Ω⁻¹_γγ)⁻¹),  γ_j ~ Bernoulli(π)

Given the scales, one filter whitens the columns [X, y]; each sub-model is then a regression (`subsets`), and their marginal
likelihoods add up to that of the scales.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import logsumexp

from bayes_causal.numerics import autoregression
from bayes_causal.numerics.kalman import Space, draw_states, filtered, gram, onward
from bayes_causal.numerics.subsets import eliminate, members

LOG_2PI = float(np.log(2 * np.pi))


@dataclass(frozen=True)
class Part:
    """One component of a series: m states.

    Parameters
    ----------
    name : the site of its contribution to the outcome
    transition : m rows of the transition matrix
    noises : (state, hyperparameter, relative) of each innovation; relative ones are in units of σ
    entries : (row, column, hyperparameter, factor): what hyperparameters, times a factor, add to the transition
    constants : (state, site) of states that stay, kept beside the contribution
    """

    name: str
    transition: tuple[tuple[float, ...], ...]
    noises: tuple[tuple[int, str, bool], ...]
    entries: tuple[tuple[int, int, str, float], ...] = ()
    constants: tuple[tuple[int, str], ...] = ()

    @property
    def size(self) -> int:
        """Number of states."""
        return len(self.transition)


class SeriesSums(NamedTuple):
    """The data of one series. T rows (padded, the post-period included), p candidate columns, G sub-models, m states.

    Parameters
    ----------
    columns : (T, p + 1) candidate columns of X, and y minus `first`, 0 where not observed
    observed : (T,) rows that the likelihood holds
    loading : (T, m) of the parts' states
    advance : (T, m) 1 where a state moves on after the row
    first_sd : (m,) prior sds of the initial states, whose means are 0
    slab : (p, p) Ω⁻¹
    log_prior : (G,) log p(γ) + ½ log |Ω⁻¹_γγ|
    first : () prior mean of the initial level
    ahead : (T,) weights of the rows after the observed ones whose sum the overall answers hang on
    waves : the columns, and ones before y, in the eigenvectors of a random walk; None where no form wants them so
    """

    columns: Any
    observed: Any
    loading: Any
    advance: Any
    first_sd: Any
    slab: Any
    log_prior: Any
    first: Any
    ahead: Any
    waves: Any = None


@dataclass(frozen=True, eq=False)
class StateSpace:
    """A structural time series, its scales σ, [ρ or partial autocorrelations], and those of the parts as hyperparameters.

    Parameters
    ----------
    hypers : θ
    parts : the components, states in this order
    candidates : p
    selection : whether sub-models are summed over; else all candidates are in
    order : lags that errors depend on; at 1 without a ρ among the hyperparameters they are a state and independent
    slab_sd : hyperparameter that scales the prior of β to N(0, slab_sd²) on every column; None is Ω as given, times σ²
    span : rows that hold all observed ones
    irregular : whether some state does not move after every row
    sums : what the data say
    """

    hypers: tuple[Any, ...]
    parts: tuple[Part, ...]
    candidates: int
    selection: bool
    order: int
    slab_sd: str | None
    span: int
    irregular: bool
    sums: SeriesSums | None

    @property
    def states(self) -> int:
        """Of every part, and of the errors where they depend on earlier ones."""
        return sum(p.size for p in self.parts) + self.order

    @property
    def columns(self) -> int:
        """States and coefficients of all rows."""
        return self.candidates + self.span * self.states

    def said(self, sums: Any) -> str:
        """What is integrated out, in words."""
        return f"{self.columns} columns integrated out"

    def matrices(self, sums: Any) -> int:
        """None to speak of: a filter runs along the series, and points are best side by side."""
        return 0

    @property
    def width(self) -> int:
        """Numbers a draw holds: paths of states, gains and shocks."""
        return 8 * self.span * self.states + 4 ** (self.candidates * self.selection)

    def on(self, sums: SeriesSums, span: int) -> StateSpace:
        """The form on other data of so many rows."""
        return replace(self, span=span, sums=sums)

    def bare(self) -> StateSpace:
        """The form without its data."""
        return replace(self, sums=None)

    def signature(self) -> tuple[Any, ...]:
        """All that is compiled in."""
        return self.hypers, self.parts, self.candidates, self.selection, self.order, self.slab_sd, self.span, self.irregular

    def theta(self, t: Array) -> dict[str, Array]:
        """θ by name from its coordinates."""
        return {h.name: h.value(t[k]) for k, h in enumerate(self.hypers)}

    def log_density(self, sums: SeriesSums, t: Array) -> Array:
        """Log p(y, t), coefficients, states and sub-models integrated out."""
        theta = self.theta(t)
        value = logsumexp(self.sub_models(sums, theta)[0]) + sum(h.log_prior(t[k]) for k, h in enumerate(self.hypers))
        return jnp.where(jnp.isfinite(value), value, -jnp.inf)

    def sub_models(self, sums: SeriesSums, theta: Mapping[str, Array]) -> tuple[Array, Array]:
        """(G,) log p(y, γ | θ), and the (p + 1, p + 1) products of the whitened columns in units of σ², the slab added."""
        return self._marginal(sums, theta, *gram(*self.seen(sums, theta)))

    def seen(self, sums: SeriesSums, theta: Mapping[str, Array]) -> tuple[Space, Array, Array]:
        """What the filter runs over: the space, the columns and which rows are observed."""
        return self.space(sums, theta, self.span), sums.columns[: self.span], sums.observed[: self.span]

    def _marginal(self, sums: SeriesSums, theta: Mapping[str, Array], products: Array, log_f: Array) -> tuple[Array, Array]:
        p, sigma2 = self.candidates, theta["sigma"] ** 2
        slab, log_prior = self._slab(sums, theta)
        products = products.at[:p, :p].add(slab)
        rest, log_det = eliminate(products, p, forced=not self.selection)
        n = jnp.sum(sums.observed)
        fit = n * (LOG_2PI + jnp.log(sigma2)) + log_f + rest[:, 0, 0] / sigma2
        return log_prior - 0.5 * (log_det + fit), products

    def draw_sites(self, sums: SeriesSums, t: Array, key: Array) -> dict[str, Array]:
        """θ, γ, β and the path of every part over all rows, the post-period ahead included."""
        theta = self.theta(t)
        keys = jax.random.split(key, 3)
        p = self.candidates
        log_p, products = self.sub_models(sums, theta)
        sites = dict(theta)
        mean = jnp.zeros(sums.observed.shape)
        if p:
            taken = jnp.ones(p)
            if self.selection:
                taken = jnp.asarray(members(p), float)[pick(log_p, jax.random.uniform(keys[0], (), products.dtype))]
                sites["include"] = taken
            sites["beta"] = draw_coefficients(products, taken, theta["sigma"], keys[1])
            mean = sums.columns[:, :-1] @ sites["beta"]
        space = self.space(sums, theta, sums.observed.shape[0])
        paths = draw_states(space, (sums.columns[:, -1] - mean) / theta["sigma"], sums.observed, keys[2])
        return sites | contributions(self.parts, sums, paths * theta["sigma"])

    def draw_total(self, sums: SeriesSums, t: Array, key: Array) -> Array:
        """() Σ of the outcomes ahead by their weights, errors and all: of the law of `draw_sites` and errors carried on.

        Given θ, γ and β the sum is normal: the filter's last states, and what innovations and errors add to them.
        """
        theta, p = self.theta(t), self.candidates
        keys = jax.random.split(key, 3)
        products, log_f, *states = filtered(*self.seen(sums, theta))
        log_p, products = self._marginal(sums, theta, products, log_f)
        beta = jnp.zeros(p)
        if p:
            taken = jnp.ones(p)
            if self.selection:
                taken = jnp.asarray(members(p), float)[pick(log_p, jax.random.uniform(keys[0], (), products.dtype))]
            beta = draw_coefficients(products, taken, theta["sigma"], keys[1])
        mean, sd = self.total(sums, theta, beta, *states)
        return mean + sd * jax.random.normal(keys[2], (), products.dtype)

    def total(self, sums: SeriesSums, theta: Mapping[str, Array], beta: Array, mean: Array, cov: Array) -> tuple[Array, Array]:
        """Mean and sd of the sum ahead given θ and β, from the filter's last states (m, p + 1) and their (m, m) covariance."""
        p, rows = self.candidates, sums.observed.shape[0]
        pull, variance = onward(self.space(sums, theta, rows), sums.observed, sums.ahead)
        means = pull @ mean
        level = sums.first * jnp.sum(sums.ahead) + means[p]
        sd = theta["sigma"] * jnp.sqrt(pull @ cov @ pull + variance)
        return level + (sums.ahead @ sums.columns[:, :p] - means[:p]) @ beta, sd

    def space(self, sums: SeriesSums, theta: Mapping[str, Array], rows: int) -> Space:
        """The state space of the first rows, in units of σ².

        With (span,) `mixing` λ in θ, the innovations of errors that are one state have variances σ²/λ_t, and σ² after the span.
        """
        sigma, p = theta["sigma"], self.order
        m = self.states - p
        transition, noise, added = np.zeros((m, m)), [], []
        start = 0
        for part in self.parts:
            transition[start : start + part.size, start : start + part.size] = part.transition
            noise += [(start + k, theta[name] if relative else theta[name] / sigma) for k, name, relative in part.noises]
            added += [(start + row, start + column, factor * theta[name]) for row, column, name, factor in part.entries]
            start += part.size
        noise += [(m, jnp.ones(()))] if p else []
        which = np.zeros((self.states, len(noise)))
        which[[k for k, _ in noise], np.arange(len(noise))] = 1.0
        loads = jnp.asarray(which) * jnp.stack([sd for _, sd in noise])
        moving = jnp.zeros((self.states, self.states)).at[:m, :m].set(transition)
        for row, column, value in added:
            moving = moving.at[row, column].add(value)
        first = jnp.diag(jnp.append(sums.first_sd / sigma, jnp.zeros(p)))
        loading, advance, tails = sums.loading[:rows], sums.advance[:rows], jnp.ones(rows + 1)
        if "mixing" in theta:
            tails = tails.at[: self.span].set(theta["mixing"] ** -0.5)
        if p:
            partial = [theta.get(name, jnp.zeros(())) for name in autoregression.names(p)]
            moving = moving.at[m, m:].set(jnp.stack(autoregression.coefficients(partial)))
            moving = moving.at[m + 1 :, m:-1].set(jnp.eye(p - 1))
            factor = jnp.stack([jnp.stack(row) for row in autoregression.first_factor(partial)[::-1]])
            first = first.at[m:, m:].set(factor * tails[0])
            loading = jnp.concatenate([loading, jnp.tile(jnp.eye(p)[0], (rows, 1))], 1)
            advance = jnp.concatenate([advance, jnp.tile(tails[1:, None], (1, p))], 1)
        varies = self.irregular or "mixing" in theta
        return Space(moving, loads, loading, first, jnp.asarray(0.0 if p else 1.0), advance if varies else None)

    def _slab(self, sums: SeriesSums, theta: Mapping[str, Array]) -> tuple[Array, Array]:
        if self.slab_sd is None:
            return sums.slab, sums.log_prior
        ratio = theta["sigma"] / theta[self.slab_sd]
        return ratio**2 * jnp.eye(self.candidates), self.candidates * jnp.log(ratio) * jnp.ones(1)


def pick(log_p: Array, uniform: Array) -> Array:
    """Index drawn with probabilities proportional to exp(log_p), by inversion."""
    mass = jnp.cumsum(jnp.exp(log_p - jnp.max(log_p)))
    return jnp.clip(jnp.searchsorted(mass, uniform * mass[-1], side="right"), 0, mass.shape[0] - 1)


def draw_coefficients(products: Array, taken: Array, sigma: Array, key: Array) -> Array:
    """(p,) one draw of β, 0 where not taken in.

    Parameters
    ----------
    products : (p + 1, p + 1) precision of β in units of 1/σ², and in its last column the right-hand side
    taken : (p,) 1 where the column is in
    """
    p = taken.shape[0]
    both = taken[:, None] * taken
    precision = both * products[:p, :p] + jnp.diag(1 - taken)
    chol = jnp.linalg.cholesky(precision)
    w = solve_triangular(chol, taken * products[:p, p], lower=True)
    noise = sigma * jax.random.normal(key, (p,), products.dtype)
    return taken * solve_triangular(chol, w + noise, lower=True, trans="T")


def contributions(parts: tuple[Part, ...], sums: SeriesSums, paths: Array) -> dict[str, Array]:
    """(T,) what each part adds to the outcome, from the (T, m) states, and () states that stay.

    The first part holds the level's prior mean.
    """
    found, start = {}, 0
    for k, part in enumerate(parts):
        rows = slice(start, start + part.size)
        found[part.name] = jnp.sum(sums.loading[:, rows] * paths[:, rows], 1) + (sums.first if k == 0 else 0.0)
        found |= {site: paths[0, start + state] for state, site in part.constants}
        start += part.size
    return found
