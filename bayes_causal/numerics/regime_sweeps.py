"""Regime switching block by block.

    z        as whole paths, forwards and back, with the precisions of Student-t errors summed out
    ν, λ     where errors are Student-t
    ω        by random walk with every coefficient integrated out
    b, β, …  all coefficients of all series in one Gaussian draw given ω: b, then β of each series, then the rest
    φ        with them, but in the Hamilton form, where lags multiply means, in a Gaussian draw of its own
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
from bayes_causal.numerics.regime_errors import Form, Shape, errors, log_densities
from bayes_causal.numerics.regime_rows import Rows
from bayes_causal.numerics.regimes import draw_path, forward, opening, quick_path, stationary
from bayes_causal.numerics.shared_effects import Normal, draw_effects, draw_normal, lower_inverse, products, spread_density
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


@dataclass(frozen=True, eq=False)
class RegimeSweeps:
    """Blocks of a regime model.

    Parameters
    ----------
    layout : counts, what switches, what orders, how parameters are cut into sites (`models.regime_design.Layout`)
    form : "regression" or "hamilton"
    lagged : whether effects load on the regime before
    scales : of the priors
    sums : what the data say
    """

    layout: Any
    form: Form
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
        return Free(Shape(self.layout.regimes, self.layout.order, self.form, self.lagged), self.layout.switching)

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
        return self.layout, self.form, self.lagged, self.scales

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
        state["z"] = jnp.zeros(sums.y.shape[0] + self._before, int)
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
        """Regimes of every date and of the m before the first."""
        p, shape, transition = self.free.expand(state, sums.data), self.free.shape, state["transition"]
        nu = jnp.exp(state["log_nu"][0]) if self.layout.tails else None
        log_b, law = log_densities(shape, errors(shape, sums.data, p), p["sigma"], nu), stationary(transition)
        if shape.memory == 1:
            return dict(state) | {"z": quick_path(log_b, transition, law, key)}
        log_p = jnp.log(transition)
        joint = forward(log_b, log_p, opening(jnp.log(law), log_p, shape.memory)).joint
        return dict(state) | {"z": draw_path(joint, key)}

    def _hot(self, state: State, lag: int = 0) -> Array:
        """(T, K) 1 where z_{t−lag} is k."""
        m = self.free.shape.memory
        return self._regimes(state["z"][m - lag : state["z"].shape[0] - lag])

    def _regimes(self, z: Array) -> Array:
        return (z[:, None] == jnp.arange(self.layout.regimes)).astype(float)

    def _sd(self, state: State) -> Array:
        """(T, A) σ of each date's regime."""
        sigma = state["sigma"]
        dates = state["z"].size - self._before
        return self._hot(state) @ sigma.T if sigma.ndim == 2 else jnp.broadcast_to(sigma, (dates, sigma.size))

    @property
    def _before(self) -> int:
        return self.free.shape.memory

    @property
    def _rest(self) -> tuple[str, ...]:
        """Coefficients drawn together with those of shocks: all but lags, where these multiply means."""
        names = ("level", "control") if self.form == "hamilton" else ("level", "control", "ar")
        return tuple(n for n in names if self._count(n))

    def _columns(self, sums: RegimeSums, state: State) -> tuple[Array, Array, Array]:
        """(A, T, 1) outcomes, (A, T, n) columns of level, control and lags, and (T, E) columns of shocks, given z.

        In the Hamilton form outcomes and levels have their lags taken off, as φ weighs them.
        """
        lay, now = self.layout, self._hot(state)
        then, (dates, a) = self._hot(state, 1) if self.lagged else now, sums.y.shape
        shocks = (sums.x[:, :, None] * then[:, None] if lay.regime("shock") else sums.x).reshape(dates, -1)
        lags, y = jnp.moveaxis(sums.lags, 2, 0), sums.y.T[..., None]
        level = jnp.broadcast_to(now if lay.regime("level") else jnp.ones((dates, 1)), (a, dates, self._count("level")))
        rest = [jnp.broadcast_to(sums.c, (a, *sums.c.shape))]
        if self.form == "hamilton":
            phi = self._phi(state, now)
            for lag in range(lay.order):
                before = self._hot(state, lag + 1) if lay.regime("level") else jnp.ones((dates, 1))
                level, y = level - phi[:, :, lag, None] * before, y - phi[:, :, lag, None] * lags[:, :, lag, None]
        elif lay.order:
            rest.append((lags[..., None] * now[:, None] if lay.regime("ar") else lags).reshape(a, dates, -1))
        return y, jnp.concatenate([level, *rest], 2), shocks

    def _phi(self, state: State, now: Array) -> Array:
        """(A, T, L) φ of each date's regime."""
        ar = state["ar"]
        return jnp.einsum("alk,tk->atl", ar, now) if ar.ndim == 3 else jnp.repeat(ar[:, None], now.shape[0], 1)

    def _left(self, sums: RegimeSums, state: State) -> Array:
        """(T, A) errors given z."""
        y, rest, shocks = self._columns(sums, state)
        left = y[..., 0] - jnp.einsum("atn,an->at", rest, self._rest_of(state))
        return (left - self._effects_of(state) @ shocks.T if self.layout.shocks else left).T

    def _rest_of(self, state: State) -> Array:
        """(A, n) coefficients other than those of shocks."""
        return jnp.concatenate([state[n].reshape(self.layout.series, -1) for n in self._rest], 1)

    def _effects_of(self, state: State) -> Array:
        """(A, E) effects of shocks."""
        return state["shock"].reshape(self.layout.series, -1)

    def _weight(self, sums: RegimeSums, state: State) -> Array:
        """(T, A) precisions of errors."""
        weight = 1 / self._sd(state) ** 2
        return weight * state["mixing"].reshape(sums.y.shape) if self.layout.tails else weight

    def _products(self, sums: RegimeSums, state: State) -> Normal:
        """What z, σ and λ make of the data."""
        y, rest, shocks = self._columns(sums, state)
        x = jnp.concatenate([rest, jnp.broadcast_to(shocks, (sums.y.shape[1], *shocks.shape)), y], 2)
        sd = jnp.concatenate([jnp.full(self._count(n), getattr(self.scales, n)) for n in self._rest])
        return products(x, self._weight(sums, state), rest.shape[2], sd)

    def _count(self, name: str) -> int:
        """Coefficients of a kind, a series."""
        lay = self.layout
        k = lay.regimes if lay.regime(name) else 1
        return {"level": k, "control": lay.controls, "ar": lay.order * k}[name]

    def _lags(self, sums: RegimeSums, state: State, key: Array) -> dict[str, Any]:
        """φ of the Hamilton form given all else: deviations on the deviations before them."""
        lay, now = self.layout, self._hot(state)
        none = dict(state) | {"ar": jnp.zeros_like(state["ar"])}
        deviation, level = self._left(sums, none).T[..., None], state["level"]
        means = [self._hot(state, k + 1) @ level.T if lay.regime("level") else level[None] for k in range(lay.order)]
        before = jnp.moveaxis(sums.lags - jnp.stack([jnp.broadcast_to(v, sums.y.shape) for v in means], 1), 2, 0)
        columns = before[..., None] * now[:, None] if lay.regime("ar") else before
        x = jnp.concatenate([columns.reshape(*deviation.shape[:2], -1), deviation], 2)
        m = jnp.einsum("atq,ta,atr->aqr", x, self._weight(sums, state), x)
        chol = jnp.linalg.cholesky(m[:, :-1, :-1] + jnp.eye(m.shape[1] - 1) / self.scales.ar**2)
        return dict(state) | {"ar": draw_normal(lower_inverse(chol), m[:, :-1, -1], key).reshape(state["ar"].shape)}

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
            new["shock"] = draw_normal(lower_inverse(chol), p.right, keys[1]).reshape(state["shock"].shape)
        right = p.right_rest - jnp.einsum("ane,ae->an", p.cross, self._effects_of(new)) if lay.shocks else p.right_rest
        rest, at = draw_normal(p.rest, right, keys[2]), 0
        for name in self._rest:
            new[name] = rest[:, at : at + self._count(name)].reshape(state[name].shape)
            at += self._count(name)
        return self._lags(sums, new, keys[3]) if self.form == "hamilton" and lay.order else new

    def _gammas(self, sums: RegimeSums, state: State, key: Array) -> tuple[Array, ...]:
        """Every gamma variable that scales and transitions take: their shapes hang on z alone."""
        now, sigma, df = self._hot(state), state["sigma"], self.scales.sigma_df
        count = now.sum(0) if sigma.ndim == 2 else jnp.asarray(float(now.shape[0]))
        rows = sums.rows + self._regimes(state["z"][:-1]).T @ self._regimes(state["z"][1:])
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
