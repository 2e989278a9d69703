"""Regime switching block by block.

    z        as whole paths, forwards and back, with the precisions of Student-t errors summed out
    ν, λ     where errors are Student-t
    ω        by random walk with every coefficient integrated out
    b, β, …  all coefficients of all series in one Gaussian draw given ω: b, then β of each series, then the rest
    σ        as a scale mixture of inverse gammas (Wand et al. 2011, doi:10.1214/11-BA631)
    P        by Dirichlet rows, taken with min(1, π_{z_0}(P′)/π_{z_0}(P))

Regimes are interchangeable under the priors, so that naming them anew in order after each sweep leaves the ordered posterior as
it is; how often that changes a name is the rate of label switching (Frühwirth-Schnatter 2001, doi:10.1198/016214501750333063).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from bayes_causal.numerics.diagonal_walk import stroll, stroller
from bayes_causal.numerics.gamma_draws import gammas
from bayes_causal.numerics.linear_gaussian import Hyper
from bayes_causal.numerics.regime_em import Free
from bayes_causal.numerics.regime_errors import Shape, errors, log_densities
from bayes_causal.numerics.regime_rows import Rows
from bayes_causal.numerics.regimes import quick_path, stationary
from bayes_causal.numerics.tails import draw_tails, first_tails

STEPS = 4
APART = 0.2
State = Mapping[str, Any]


class RegimeSums(NamedTuple):
    """The data, the prior of transitions, and where chains start.

    Parameters
    ----------
    y, lags, x, c : as `Rows`
    rows : (K, K) concentrations of the rows of P
    mode : parameters by name
    """

    y: Any
    lags: Any
    x: Any
    c: Any
    rows: Any
    mode: Any

    @property
    def data(self) -> Rows:
        """The data alone."""
        return Rows(self.y, self.lags, self.x, self.c)


@dataclass(frozen=True)
class Scales:
    """Scales of the priors, as the model's."""

    level: float
    shock: float
    spread: float
    control: float
    ar: float
    sigma: float
    sigma_df: float
    tails: float


class Normal(NamedTuple):
    """Coefficients of each series, the other than shocks' integrated out of the shocks' products.

    Parameters
    ----------
    gram, right : (A, E, E), (A, E) products of the shocks' columns with themselves and with the outcomes, the rest taken out
    rest : (A, n, n) inverse of the Cholesky factor of the rest's precision; cross : (A, n, E); right_rest : (A, n)
    """

    gram: Array
    right: Array
    rest: Array
    cross: Array
    right_rest: Array


@dataclass(frozen=True, eq=False)
class RegimeSweeps:
    """Blocks of a regime model in the regression form.

    Parameters
    ----------
    layout : counts, what switches, what orders, how parameters are cut into sites (`models.regime_design.Layout`)
    lagged : whether effects load on the regime before
    scales : of the priors
    sums : what the data say
    """

    layout: Any
    lagged: bool
    scales: Scales
    sums: RegimeSums | None

    @property
    def width(self) -> int:
        """Numbers that the sites of a sweep take."""
        return 1000

    @property
    def free(self) -> Free:
        """How errors hang on regimes, and which parameters switch."""
        return Free(Shape(self.layout.regimes, self.layout.order, "regression", self.lagged), self.layout.switching)

    @property
    def hyper(self) -> Hyper:
        """Of each ω."""
        return Hyper("shock_spread", "half_normal", self.scales.spread)

    def said(self, sums: Any) -> str:
        """What the blocks are, in words."""
        spread = "spreads with all coefficients integrated out; " if self.layout.pooled and self.layout.shocks else ""
        tails = "; the precision of each error" if self.layout.tails else ""
        return f"regimes as whole paths; {spread}all coefficients at once; scales; transitions{tails}; regimes named in order"

    def bare(self) -> RegimeSweeps:
        """The form without its data."""
        return replace(self, sums=None)

    def signature(self) -> tuple[Any, ...]:
        """All that is compiled in."""
        return self.layout, self.lagged, self.scales

    def first(self, sums: RegimeSums, key: Array) -> dict[str, Any]:
        """Around the best of many starts of EM, scattered."""
        lay, keys = self.layout, jax.random.split(key, 8)
        state: dict[str, Any] = {}
        for i, name in enumerate(("level", "shock", "control", "ar", "sigma")):
            if name in sums.mode:
                value = jnp.asarray(sums.mode[name], float)
                noise = APART * jax.random.normal(keys[i], value.shape, value.dtype)
                state[name] = value * jnp.exp(noise) if name == "sigma" else value + noise * (0.3 if name == "ar" else 1.0)
        noise = APART * jax.random.normal(keys[5], sums.rows.shape, sums.rows.dtype)
        state["transition"] = jax.nn.softmax(jnp.log(jnp.asarray(sums.mode["transition"])) + noise, 1)
        if lay.shocks and lay.pooled:
            spread = jnp.asarray(sums.mode["shock_spread"], float)
            t = APART * jax.random.normal(keys[6], spread.shape, spread.dtype) - 0.3
            state |= {"t": t, "walker": stroller(t), "shock_mean": jnp.asarray(sums.mode["shock_mean"], float)}
        if lay.tails:
            state |= first_tails(sums.y.size, self.scales.tails)
        state["z"] = jnp.zeros(sums.y.shape[0] + 1, int)
        zero = jnp.zeros(())
        return self._ordered(state) | {"taken": zero, "acceptance_rate": zero, "label_switched": zero}

    def sweep(self, sums: RegimeSums, state: State, key: Array, adapting: Array) -> dict[str, Any]:
        """Every block once, then regimes named in order."""
        keys = jax.random.split(key, 5)
        state = self._path(sums, state, keys[0])
        if self.layout.tails:
            z = self._left(sums, state) / self._sd(state)
            state |= draw_tails(state, z.ravel(), jnp.ones(z.size), self.scales.tails, keys[1], adapting)
        state = jax.lax.optimization_barrier(state)
        state = jax.lax.optimization_barrier(self._coefficients(sums, state, keys[2], adapting))
        gammas = self._gammas(sums, state, keys[3])
        state = self._scales_of(sums, state, gammas)
        state = self._transitions(state, gammas[2], keys[4])
        return self._ordered(state)

    def sites(self, sums: RegimeSums, state: State, key: Array) -> dict[str, Array]:
        """Parameters by the names of the sites."""
        p = {k: state[k] for k in ("level", "shock", "control", "ar", "sigma", "transition", "shock_mean") if k in state}
        if "t" in state:
            p["shock_spread"] = self.hyper.value(state["t"])
        if self.layout.tails:
            p["nu"] = jnp.exp(state["log_nu"][0])
        found: dict[str, Array] = self.layout.sites(p, jnp.concatenate)
        return found

    def stats(self, state: State) -> dict[str, Array]:
        """Share of accepted steps; whether the sweep's regimes had to be named anew."""
        return {k: state[k] for k in ("acceptance_rate", "label_switched")}

    def _path(self, sums: RegimeSums, state: State, key: Array) -> dict[str, Any]:
        """z_0, …, z_T."""
        p = self.free.expand(state, sums.data)
        nu = jnp.exp(state["log_nu"][0]) if self.layout.tails else None
        log_b = log_densities(self.free.shape, errors(self.free.shape, sums.data, p), p["sigma"], nu)
        transition = state["transition"]
        return dict(state) | {"z": quick_path(log_b, transition, stationary(transition), key)}

    def _hot(self, state: State, lag: int = 0) -> Array:
        """(T, K) 1 where z_{t−lag} is k."""
        z = state["z"][1 - lag : state["z"].shape[0] - lag]
        return (z[:, None] == jnp.arange(self.layout.regimes)).astype(float)

    def _sd(self, state: State) -> Array:
        """(T, A) σ of each date's regime."""
        sigma = state["sigma"]
        return self._hot(state) @ sigma.T if sigma.ndim == 2 else sigma[None]

    def _columns(self, sums: RegimeSums, state: State) -> tuple[Array, Array]:
        """(A or 1, T, n) columns of level, control and lags, and (T, E) columns of shocks, given z."""
        lay, now = self.layout, self._hot(state)
        then = self._hot(state, 1) if self.lagged else now
        dates, a = sums.y.shape
        rest = [now if lay.regime("level") else jnp.ones((dates, 1)), sums.c]
        shocks = (sums.x[:, :, None] * then[:, None] if lay.regime("shock") else sums.x).reshape(dates, -1)
        common = jnp.concatenate(rest, 1)[None]
        if not lay.order:
            return common, shocks
        lags = jnp.moveaxis(sums.lags, 2, 0)
        lags = (lags[..., None] * now[:, None] if lay.regime("ar") else lags).reshape(a, dates, -1)
        return jnp.concatenate([jnp.broadcast_to(common, (a, *common.shape[1:])), lags], 2), shocks

    def _left(self, sums: RegimeSums, state: State) -> Array:
        """(T, A) errors given z."""
        rest, shocks = self._columns(sums, state)
        fitted = jnp.einsum("atn,an->ta", jnp.broadcast_to(rest, (sums.y.shape[1], *rest.shape[1:])), self._rest_of(state))
        return sums.y - fitted - (shocks @ self._effects_of(state).T if self.layout.shocks else 0.0)

    def _rest_of(self, state: State) -> Array:
        """(A, n) coefficients other than those of shocks."""
        a = self.layout.series
        return jnp.concatenate([state[n].reshape(a, -1) for n in ("level", "control", "ar") if n in state], 1)

    def _effects_of(self, state: State) -> Array:
        """(A, E) effects of shocks."""
        return state["shock"].reshape(self.layout.series, -1)

    def _products(self, sums: RegimeSums, state: State) -> Normal:
        """What z, σ and λ make of the data."""
        lay, s = self.layout, self.scales
        rest, shocks = self._columns(sums, state)
        weight = 1 / self._sd(state) ** 2
        weight = weight * state["mixing"].reshape(sums.y.shape) if lay.tails else weight
        dates, a = sums.y.shape
        weight = jnp.broadcast_to(weight, (dates, a))
        x = jnp.concatenate(
            [jnp.broadcast_to(rest, (a, *rest.shape[1:])), jnp.broadcast_to(shocks, (a, *shocks.shape)), sums.y.T[..., None]], 2
        )
        m = jnp.einsum("atq,ta,atr->aqr", x, weight, x)
        n, e = rest.shape[2], shocks.shape[1]
        size = {"level": s.level, "control": s.control, "ar": s.ar}
        sd = [jnp.full(self._count(k), v) for k, v in size.items()]
        chol = jnp.linalg.cholesky(m[:, :n, :n] + jnp.diag(1 / jnp.concatenate(sd) ** 2))
        inverse = lower_inverse(chol)
        half = inverse @ m[:, :n, n:]
        left = m[:, n:, n:] - jnp.swapaxes(half, 1, 2) @ half
        return Normal(left[:, :e, :e], left[:, :e, e], inverse, m[:, :n, n : n + e], m[:, :n, n + e])

    def _count(self, name: str) -> int:
        """Coefficients of a kind, a series."""
        lay = self.layout
        k = lay.regimes if lay.regime(name) else 1
        return {"level": k, "control": lay.controls, "ar": lay.order * k}[name]

    def _coefficients(self, sums: RegimeSums, state: State, key: Array, adapting: Array) -> dict[str, Any]:
        """ω, b, β and all other coefficients given z, σ and λ."""
        lay, keys = self.layout, jax.random.split(key, 4)
        p, new = self._products(sums, state), dict(state)
        e = p.gram.shape[1]
        if lay.shocks and lay.pooled:
            per = e // lay.shocks

            def density(t: Array) -> tuple[Array, Any]:
                value, draws = spread_density(p, jnp.repeat(self.hyper.value(t), per), self.scales.shock)
                return value - 0.5 * t @ t, draws

            t, parts, own, taken = stroll(density, state["t"], state["walker"], keys[0], STEPS, adapting)
            mean, effects = draw_effects(p, jnp.repeat(self.hyper.value(t), per), parts, keys[1])
            new |= {"t": t, "walker": own, "taken": taken, "shock_mean": mean.reshape(state["shock_mean"].shape)}
            new["shock"] = effects.reshape(state["shock"].shape)
        elif lay.shocks:
            chol = jnp.linalg.cholesky(p.gram + jnp.eye(e) / self.scales.shock**2)
            new["shock"] = _normal(lower_inverse(chol), p.right, keys[1]).reshape(state["shock"].shape)
        right = p.right_rest - jnp.einsum("ane,ae->an", p.cross, self._effects_of(new)) if lay.shocks else p.right_rest
        rest, at = _normal(p.rest, right, keys[2]), 0
        for name in ("level", "control", "ar"):
            if name in state:
                new[name] = rest[:, at : at + self._count(name)].reshape(state[name].shape)
            at += self._count(name)
        return new

    def _gammas(self, sums: RegimeSums, state: State, key: Array) -> tuple[Array, ...]:
        """Every gamma variable that scales and transitions take: their shapes hang on z alone."""
        now, sigma, df = self._hot(state), state["sigma"], self.scales.sigma_df
        count = now.sum(0) if sigma.ndim == 2 else jnp.asarray(float(now.shape[0]))
        rows = sums.rows + self._hot(state, 1).T @ now
        shapes = (jnp.full(sigma.shape, (df + 1) / 2), jnp.broadcast_to((df + count) / 2, sigma.shape), rows)
        drawn = gammas(key, jnp.concatenate([v.ravel() for v in shapes]))
        cut = (sigma.size, 2 * sigma.size)
        return tuple(v.reshape(s.shape) for v, s in zip(jnp.split(drawn, cut), shapes, strict=True))

    def _scales_of(self, sums: RegimeSums, state: State, gammas: tuple[Array, ...]) -> dict[str, Any]:
        """σ: 1/σ² given its mixing variable is gamma, and so is that given σ."""
        df, scale, sigma = self.scales.sigma_df, self.scales.sigma, state["sigma"]
        square = self._left(sums, state) ** 2
        square = square * state["mixing"].reshape(square.shape) if self.layout.tails else square
        total = square.T @ self._hot(state) if sigma.ndim == 2 else square.sum(0)
        mixing = gammas[0] / (df / sigma**2 + 1 / scale**2)
        return dict(state) | {"sigma": jnp.sqrt((df * mixing + total / 2) / gammas[1])}

    def _transitions(self, state: State, gamma: Array, key: Array) -> dict[str, Any]:
        """P from (K, K) gamma variables of its Dirichlet rows."""
        tried, now = gamma / gamma.sum(1, keepdims=True), state["transition"]
        law = jnp.log(stationary(jnp.stack([tried, now])))[:, state["z"][0]]
        taken = jnp.log(jax.random.uniform(key, (), now.dtype)) < law[0] - law[1]
        rate = (taken + state["taken"]) / 2 if "t" in state else taken.astype(float)
        return dict(state) | {"transition": jnp.where(taken, tried, now), "acceptance_rate": rate}

    def _ordered(self, state: State) -> dict[str, Any]:
        """Every object with a regime axis, in the order of the reference series."""
        lay = self.layout
        order = jnp.argsort(state[lay.key][lay.reference])
        new = dict(state) | {n: state[n][..., order] for n in ("level", "sigma", "shock", "ar") if n in state and lay.regime(n)}
        if "shock_mean" in state and lay.regime("shock"):
            new["shock_mean"] = state["shock_mean"][..., order]
        new["transition"] = state["transition"][order][:, order]
        new["z"] = jnp.argsort(order)[state["z"]]
        new["label_switched"] = jnp.any(order != jnp.arange(lay.regimes)).astype(float)
        return new


def spread_density(p: Normal, spread: Array, sd: float) -> tuple[Array, tuple[Array, ...]]:
    """Log p(y | ω) up to a constant, every coefficient integrated out, and what draws of them take.

    Parameters
    ----------
    spread : (E,) ω of each effect
    sd : of b
    """
    e = spread.shape[0]
    chol = jnp.linalg.cholesky(jnp.eye(e) + spread[:, None] * p.gram * spread)
    both = jnp.concatenate([p.gram, p.right[..., None]], 2)
    inverse = lower_inverse(chol)
    half = inverse @ (spread[:, None] * both)
    left = both - jnp.swapaxes(half[..., :e], 1, 2) @ half
    outer = jnp.linalg.cholesky(jnp.eye(e) / sd**2 + left[..., :e].sum(0))
    right, outer_inverse = left[..., e].sum(0), lower_inverse(outer)
    w = outer_inverse @ right
    log_det = jnp.log(jnp.diagonal(chol, axis1=1, axis2=2)).sum() + jnp.log(jnp.diagonal(outer)).sum()
    return 0.5 * (half[..., e] ** 2).sum() + 0.5 * w @ w - log_det, (inverse, outer_inverse, right)


def draw_effects(p: Normal, spread: Array, parts: tuple[Array, ...], key: Array) -> tuple[Array, Array]:
    """(E,) b and (A, E) β = b + ω ζ given ω and y, from what `spread_density` leaves."""
    inverse, outer, right = parts
    keys = jax.random.split(key)
    mean = _normal(outer[None], right[None], keys[0])[0]
    offset = _normal(inverse, spread * (p.right - p.gram @ mean), keys[1])
    return mean, mean + spread * offset


def _normal(inverse: Array, right: Array, key: Array) -> Array:
    """(A, n) draws of N(K⁻¹ r, K⁻¹) from (A, n, n) inverses of Cholesky factors of K and (A, n) r."""
    noise = jax.random.normal(key, right.shape, right.dtype)
    return jnp.einsum("aji,aj->ai", inverse, jnp.einsum("aij,aj->ai", inverse, right) + noise)


def lower_inverse(chol: Array) -> Array:
    """(..., n, n) inverses of lower triangular matrices, row after row.

    JAX's own solution for stacks of small matrices takes seconds to compile, and longer to run than this.
    """
    n = chol.shape[-1]
    place = jnp.arange(n)

    def row(i: Array, done: Array) -> Array:
        own = jnp.take(chol, i, axis=-2)
        before = jnp.where(place < i, own, 0.0)
        new = ((place == i) - jnp.einsum("...j,...jk->...k", before, done)) / jnp.take(own, i, axis=-1)[..., None]
        return jnp.where((place == i)[:, None], new[..., None, :], done)

    return jax.lax.fori_loop(0, n, row, jnp.zeros_like(chol))
