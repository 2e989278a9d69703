"""Several treated units on weighted donors, with pooled effects and errors that move together, in exact blocks.

    y_it = a_i + x_it'w_i + e_it,   e_it − ρ_i^d e_i,t−d = σ_i √((1 − ρ_i^2d)/(1 − ρ_i²)) z_it   over gaps d of unit i
    z_it = √c u_t + √(1−c) η_it,   u, η ~ N(0, 1)                               innovations of one date have correlation c
    ȳ_i = a_i + x̄_i'w_i + τ_i + ē_i,   τ_i = τ + ω ζ_i                          means over the unit's treated rows

Of treated rows only the mean enters: how an effect runs over its dates is free, and integrated out under a flat prior. With L the
last fitted row, q_t = Σ_{h ≥ t} ρ^(h−t)/H over the H treated rows and b = ρ q_{L+1}, the mean error is b e_L + σ Σ_t q_t z_t.

Given the shocks u, τ and ω units are independent, τ_i is integrated out, and what each says of its weights are whitened rows: the
fitted ones and one for the mean. Given the units, u, τ and ζ are one Gaussian block, and ω and c are drawn with that block
integrated out. Units with as many donors stand side by side; units of all such groups follow each other in what they share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import logsumexp

from bayes_causal.numerics.line_proposals import draw_on_line, log_sech2
from bayes_causal.numerics.simplex import draw_concentration, log_dirichlet, traded
from bayes_causal.numerics.treated_rows import (
    Given,
    Told,
    TreatedSums,
    UnitRows,
    forecast,
    log_shared,
    log_unit,
    moments,
    over_gaps,
    whitened,
)
from bayes_causal.numerics.weighted_rows import LOG_2PI, TINY, log_half_normal

State = Mapping[str, Any]
PASSES = 3  # over units and what ties them together, a sweep: each knows the other only as it was
TRADES = 8  # rounds of exchanges in a pass
OMEGA = -1.2  # where log ω is looked for first, in units of its prior's scale


@dataclass(frozen=True, eq=False)
class TreatedUnits:
    """Blocks of several synthetic controls.

    Parameters
    ----------
    ar : whether errors are autoregressive; ρ is 0 else
    intercept : whether there is one
    names : G sites of the weights
    moves : G numbers of exchanges a round
    sums : what the data say
    """

    ar: bool
    intercept: bool
    names: tuple[str, ...]
    moves: tuple[int, ...]
    sums: TreatedSums | None

    @property
    def width(self) -> int:
        """Numbers a draw of the sites holds."""
        return 4096

    def said(self, sums: TreatedSums) -> str:
        """What the blocks are, in words."""
        units, donors = sum(g.last.shape[0] for g in sums.groups), [g.z.shape[-1] - 2 for g in sums.groups]
        errors = "autocorrelation" if self.ar else "no autocorrelation"
        return (
            f"{units} units side by side, weights of {' and '.join(map(str, donors))} donors by exchanges between pairs, size of "
            f"errors, {errors}; the spread of effects and the correlation of errors with effects and shocks integrated out"
        )

    def bare(self) -> TreatedUnits:
        """The form without its data."""
        return replace(self, sums=None)

    def signature(self) -> tuple[Any, ...]:
        """All that is compiled in."""
        return self.ar, self.intercept, self.names, self.moves

    def first(self, sums: TreatedSums, key: Array) -> dict[str, Any]:
        """Weights uniform on the simplex, the rest from its prior or around its middle."""
        keys = jax.random.split(key, len(sums.groups) + 1)
        units = tuple(self._first(sums, group, k) for group, k in zip(sums.groups, keys[:-1], strict=True))
        n, dates = sum(group.last.shape[0] for group in sums.groups), sums.groups[0].z.shape[-2]
        normal = jnp.split(jax.random.normal(keys[-1], (3 + n + dates,), float), [1, 2, 3, 3 + n])
        return {
            "units": units,
            "log_omega": jnp.log(sums.omega_scale) + OMEGA + 0.5 * normal[0][0],
            "logit_c": normal[1][0],
            "tau": sums.tau_sd * normal[2][0],
            "offset": normal[3],
            "shock": normal[4],
            "lp": jnp.zeros(()),
        }

    def sweep(self, sums: TreatedSums, state: State, key: Array, adapting: Array) -> dict[str, Any]:
        """All units given what ties them together, then that given all units, a few times over."""
        state, _ = jax.lax.scan(lambda state, key: (self._pass(sums, state, key), None), state, jax.random.split(key, PASSES))
        return dict(state) | {"lp": self.density(sums, state)}

    def sites(self, sums: TreatedSums, state: State, key: Array) -> dict[str, Array]:
        """The sites of the twins."""
        units = state["units"]
        sites = {name: jnp.exp(u["log_w"]) for name, u in zip(self.names, units, strict=True)}
        sites |= {"log_concentration": _joined(units, "log_alpha"), "sigma": jnp.exp(_joined(units, "log_sigma"))}
        sites |= {"intercept": _joined(units, "intercept")} if self.intercept else {}
        sites |= {"rho": _joined(units, "rho")} if self.ar else {}
        sites |= {"omega": jnp.exp(state["log_omega"]), "correlation": jax.nn.sigmoid(state["logit_c"])}
        return sites | {"tau": state["tau"], "tau_offset": state["offset"], "shock": state["shock"]}

    def stats(self, state: State) -> dict[str, Array]:
        """Share of accepted exchanges; log p of all but effects and shocks, which are integrated out."""
        return {"acceptance_rate": _joined(state["units"], "acceptance_rate").mean(), "lp": state["lp"]}

    def density(self, sums: TreatedSums, state: State) -> Array:
        """Log p(y, ȳ, w, log α, a, σ, ρ, ω, c), effects and shocks integrated out; all but log α on their own scale."""
        return self._lp(sums, state, self.told(sums, state["units"]))

    def _pass(self, sums: TreatedSums, state: State, key: Array) -> dict[str, Any]:
        """Every block once."""
        keys = jax.random.split(key, len(sums.groups) + 2)
        given = Given(state["tau"], jnp.exp(state["log_omega"]), jax.nn.sigmoid(state["logit_c"]), state["shock"])
        each = zip(sums.groups, sums.constants, self.moves, state["units"], keys[:-2], strict=True)
        units = tuple(self._group(sums, given, *one) for one in each)
        told = self.told(sums, units)

        def density(x: Array) -> Array:
            omega, c = jnp.exp(x[0]), jax.nn.sigmoid(x[1])
            return log_shared(sums, told, omega, c) - 0.5 * (omega / sums.omega_scale) ** 2 + x[0] + log_sech2(x[1] / 2)

        # A uniform c is logistic as log c/(1 − c).
        middle = jnp.stack([jnp.log(sums.omega_scale) + OMEGA, jnp.zeros(())])
        now = jnp.stack([state["log_omega"], state["logit_c"]])
        log_omega, logit_c = one_by_one(density, now, middle, jnp.ones(2), jax.random.uniform(keys[-2], (2, 2), float, TINY))
        state = dict(state) | {"units": units, "log_omega": log_omega, "logit_c": logit_c}
        return state | self.drawn(sums, state, told, keys[-1])

    def _first(self, sums: TreatedSums, group: UnitRows, key: Array) -> dict[str, Array]:
        """(V, ...) states of the units of a group."""
        keys, units, donors = jax.random.split(key, 5), group.last.shape[0], group.z.shape[-1] - 2
        log_w = jnp.log(-jnp.log(jax.random.uniform(keys[0], (units, donors), float, TINY)))
        low, high = sums.log_range
        return {
            "log_w": log_w - logsumexp(log_w, 1, keepdims=True),
            "log_alpha": low + (high - low) * jax.random.uniform(keys[1], (units,), float),
            "log_sigma": -1.0 + 0.5 * jax.random.normal(keys[2], (units,), float),
            "rho": 0.8 * jax.random.uniform(keys[3], (units,), float, -1.0, 1.0) if self.ar else jnp.zeros(units),
            "intercept": jnp.minimum(1.0, sums.intercept_sd) * jax.random.normal(keys[4], (units,), float),
            "acceptance_rate": jnp.zeros(units),
        }

    def _group(
        self, sums: TreatedSums, given: Given, group: UnitRows, constants: Array, moves: int, units: State, key: Array
    ) -> dict[str, Array]:
        """The units of a group side by side."""
        keys = jax.random.split(key, 2)
        uniform = jax.random.uniform(keys[0], (group.last.shape[0], TRADES * (5 * moves + 3) + 6), float, TINY)
        normal = jax.random.normal(keys[1], (group.last.shape[0],), float)

        def one(unit: UnitRows, state: State, uniform: Array, normal: Array) -> dict[str, Array]:
            return self._unit(sums, given, unit, constants, moves, state, uniform, normal)

        return jax.vmap(one)(group, units, uniform, normal)

    def _unit(
        self, sums: TreatedSums, given: Given, unit: UnitRows, constants: Array, moves: int, state: State, u: Array, n: Array
    ) -> dict[str, Array]:
        """One unit: weights with their concentration, σ and ρ with the intercept integrated out, and then the intercept."""
        trades, rest = u[:-6].reshape(TRADES, -1), u[-6:].reshape(3, 2)
        a, v, _ = whitened(sums, unit, given, jnp.exp(state["log_sigma"]), state["rho"], unit.z)
        products = a.at[:, -2].add(-v).T @ a.at[:, -2].add(-v)
        g = sums.intercept_sd**2 / (1 + sums.intercept_sd**2 * products[-1, -1])
        m = products[:-1, :-1] - g * jnp.outer(products[:-1, -1], products[:-1, -1])
        state = dict(state) | traded(m, sums.log_range, moves, state, trades)
        state["log_alpha"] = draw_concentration(sums.log_range, constants, state["log_alpha"], state["log_w"], rest[0])
        columns = jnp.stack([unit.z[:, -2] - unit.z[:, :-2] @ jnp.exp(state["log_w"]), unit.z[:, -1]], 1)
        state |= self._errors(sums, unit, given, state, columns, rest[1:])
        a, v, _ = whitened(sums, unit, given, jnp.exp(state["log_sigma"]), state["rho"], columns)
        variance = sums.intercept_sd**2 / (1 + sums.intercept_sd**2 * (a[:, 1] @ a[:, 1]))
        state["intercept"] = variance * (a[:, 1] @ (a[:, 0] - v)) + jnp.sqrt(variance) * n
        return state

    def _errors(
        self, sums: TreatedSums, unit: UnitRows, given: Given, state: State, columns: Array, u: Array
    ) -> dict[str, Array]:
        """σ given the rest, then ρ, as its Fisher transform."""

        def density(x: Array) -> Array:
            sigma, rho = jnp.exp(x[0]), jnp.tanh(x[1]) if self.ar else state["rho"]
            value = log_unit(sums, unit, given, sigma, rho, columns) - 0.5 * (sigma / sums.sigma_scale) ** 2 + x[0]
            return value + log_sech2(x[1]) if self.ar else value

        n, follows = unit.fitted.sum(), (unit.code > 0).astype(float)
        e, one = over_gaps(sums.gaps, unit, state["rho"], columns)[0].T
        square = e @ e - (e @ one) ** 2 / jnp.maximum(one @ one, TINY) * (sums.intercept_sd > 0)
        centred = unit.fitted * (columns[:, 0] - (unit.fitted @ columns[:, 0]) / n)
        last = follows * centred[unit.before]
        rho = jnp.clip((centred @ last) / jnp.maximum(last @ last, TINY), -0.95, 0.95)
        middle = jnp.stack([0.5 * jnp.log(jnp.maximum(square, TINY) / jnp.maximum(n - 1, 1.0)), jnp.arctanh(rho)])
        scale = jnp.stack([1.2 / jnp.sqrt(2 * n), jnp.maximum(0.75 / jnp.sqrt(n), 0.5)])
        now, k = jnp.stack([state["log_sigma"], jnp.arctanh(state["rho"])]), 2 if self.ar else 1
        x = one_by_one(density, now[:k], middle[:k], scale[:k], u[:k])
        return {"log_sigma": x[0], "rho": jnp.clip(jnp.tanh(x[1]), -1 + 1e-15, 1 - 1e-15) if self.ar else state["rho"]}

    def told(self, sums: TreatedSums, units: tuple[State, ...]) -> Told:
        """What all units say of what ties them together."""

        def one(unit: UnitRows, state: State) -> Told:
            coefficient = jnp.concatenate([-jnp.exp(state["log_w"]), jnp.ones(1), -state["intercept"][None]])
            e, sigma = unit.z @ coefficient, jnp.exp(state["log_sigma"])
            q, b = forecast(unit, state["rho"])
            innovation = over_gaps(sums.gaps, unit, state["rho"], e[:, None])[0][:, 0] / sigma
            gap = (unit.counted @ e - b * e[unit.last]) / unit.ratio
            return Told(innovation, unit.fitted, q, gap, sigma / unit.ratio)

        each = [jax.vmap(one)(group, state) for group, state in zip(sums.groups, units, strict=True)]
        return jax.tree.map(lambda *v: jnp.concatenate(v), *each)

    def drawn(self, sums: TreatedSums, state: State, told: Told, key: Array) -> dict[str, Array]:
        """Effects and shocks given all else, exactly: draws from before the mean gaps, moved by what those are off."""
        omega, c = jnp.exp(state["log_omega"]), jax.nn.sigmoid(state["logit_c"])
        mean, precision, loading, noise, root = moments(sums, told, omega, c)
        units, dates = told.q.shape
        n = jnp.split(jax.random.normal(key, (dates + 2 * units + 1,), float), [dates, dates + units, dates + 2 * units])
        shock, offset, tau = mean + n[0] / jnp.sqrt(precision), n[1], sums.tau_sd * n[3][0]
        off = told.gap - tau - omega * offset - loading @ shock - noise * n[2]
        half = solve_triangular(root, off, lower=True)
        moved = solve_triangular(root.T, half, lower=False)
        return {
            "shock": shock + (loading / precision).T @ moved,
            "tau": tau + sums.tau_sd**2 * moved.sum(),
            "offset": offset + omega * moved,
        }

    def _lp(self, sums: TreatedSums, state: State, told: Told) -> Array:
        """Density of the data and the priors of all that is not integrated out."""
        omega, c, units = jnp.exp(state["log_omega"]), jax.nn.sigmoid(state["logit_c"]), state["units"]
        value = log_shared(sums, told, omega, c) + log_half_normal(omega, sums.omega_scale)
        for group, own in zip(sums.groups, units, strict=True):
            value += jax.vmap(lambda unit, state: self._own(sums, unit, state))(group, own).sum()
        return value

    def _own(self, sums: TreatedSums, unit: UnitRows, state: State) -> Array:
        """Priors of a unit, and what takes its innovations to its outcomes."""
        sigma, n = jnp.exp(state["log_sigma"]), unit.fitted.sum()
        value = over_gaps(sums.gaps, unit, state["rho"], unit.z[:, -1:])[1] - n * jnp.log(sigma) - jnp.log(unit.ratio)
        value += log_half_normal(sigma, sums.sigma_scale) + log_dirichlet(state["log_w"], state["log_alpha"])
        value -= jnp.log(sums.log_range[1] - sums.log_range[0]) + (jnp.log(2.0) if self.ar else 0.0)
        if not self.intercept:
            return value
        return value - 0.5 * ((state["intercept"] / sums.intercept_sd) ** 2 + LOG_2PI) - jnp.log(sums.intercept_sd)


def one_by_one(density: Callable[[Array], Array], x: Array, middle: Array, scale: Array, u: Array) -> Array:
    """(K,) numbers, each drawn given the others by `draw_on_line`, from (K, 2) uniforms; a loop, as that is compiled once."""

    def draw(x: Array, each: tuple[Array, ...]) -> tuple[Array, None]:
        k, middle, scale, u = each
        return x.at[k].set(draw_on_line(lambda v: density(x.at[k].set(v)), middle, scale, x[k], u)), None

    return jax.lax.scan(draw, x, (jnp.arange(x.size), middle, scale, u))[0]


def _joined(units: tuple[State, ...], name: str) -> Array:
    return jnp.concatenate([u[name] for u in units])
