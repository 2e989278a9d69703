"""Interactive fixed effects by blocks: common factors of many donors and one treated unit, whose own errors hang together.

    x_tj = a_j + λ_j'f_t + e_tj,   e_tj ~ N(0, σ_j),   f_t ~ N(0, I),   λ_j ~ N(0, s_λ),   a_j ~ N(0, s_a)
    y_t  = a + λ'f_t + m_t + e_t,   e ~ AR(1) with innovation sd σ and correlation ρ,   m_t = m_t−1 + N(0, qσ),   m_0 = 0

Cells that are not seen are in no sum. Given factors, σ, ρ and q the errors, the walk m, a and λ are one normal: with C the
covariance of errors and walk at σ = 1, all that σ needs is in the eigenvalues of the products of [1, f] whitened by C, so that
(ρ, q) move with σ on its line and a, λ and m integrated out. ρ and q are probits of their priors, so that a step that leaves
the standard normal as it is (Cotter et al. 2013, doi:10.1214/13-STS421) is accepted by the likelihood alone. Factors are
drawn date by date from the donors and then, all dates together, conditioned on the treated unit with a and m integrated out: a
draw from the joint law plus the gain times what it is off (Matheron's rule).

Factors and loadings can be turned and mirrored together and nothing changes: only λ'f, and what else that leaves alone, means
anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.linalg import cho_solve, solve_triangular
from jax.scipy.special import erf, ndtr, ndtri

from bayes_causal.numerics.line_proposals import Density, draw_on_line, propose, weight
from bayes_causal.numerics.weighted_rows import LOG_2PI, TINY

WITHOUT = (0.3, 0.6, 0.15, 0.4, 0.3, 0.6, 0.2, 0.5, 0.3)  # of those with factors integrated out
STEPS = (0.5, 0.8, 1.0, 0.8)  # of the moves of ρ and q in a sweep, 1 a draw from the prior
NEAR_ONE = 1 - 1e-9

State = Mapping[str, Array]


class FactorSums(NamedTuple):
    """The data of one problem: T dates, J donors; 0 where a cell is not in the likelihood.

    Parameters
    ----------
    y, fitted : (T,) the treated unit, and 1 where the likelihood holds it
    x, seen : (T, J) donors, each on its own scale, and 1 where the likelihood holds them
    intercept_sd, loading_sd, sigma_scale, trend_scale : () scales of the priors
    """

    y: Any
    fitted: Any
    x: Any
    seen: Any
    intercept_sd: Any
    loading_sd: Any
    sigma_scale: Any
    trend_scale: Any


class Treated(NamedTuple):
    """What the treated unit says given factors, ρ and q, at σ = 1 and with a, λ and m integrated out.

    Parameters
    ----------
    root : (T, T) Cholesky factor of C, the unit matrix in rows not fitted
    log_det : () of C
    yy : () sum of squares of the whitened outcome
    value, vector : (R + 1,), (R + 1, R + 1) of the products of [1, f], whitened and times their prior sds
    along : (R + 1,) their products with the outcome, in those coordinates
    """

    root: Array
    log_det: Array
    yy: Array
    value: Array
    vector: Array
    along: Array


class FromDonors(NamedTuple):
    """What donors say of factors, given loadings and scales.

    Parameters
    ----------
    root : (T, R, R) Cholesky factors of the precisions
    mean : (T, R)
    gain : (T, R) covariance times the treated unit's loading
    variance : (T,) of factors times that loading
    """

    root: Array
    mean: Array
    gain: Array
    variance: Array


Scales = tuple[Array, Array, Treated, Array]


@dataclass(frozen=True, eq=False)
class Factors:
    """Blocks of the interactive fixed effects.

    Parameters
    ----------
    ar : whether the treated unit's errors are autoregressive; ρ is 0 else
    factors, dates : R, T
    chosen : how R came about, in words
    sums : what the data say
    """

    ar: bool
    factors: int
    dates: int
    chosen: str
    sums: FactorSums | None

    @property
    def width(self) -> int:
        """Numbers a draw of the sites holds."""
        return 6 * self.dates**2

    def said(self, sums: FactorSums) -> str:
        """What the blocks are, in words."""
        errors = "their autocorrelation" if self.ar else "no autocorrelation"
        many = "1 common factor" if self.factors == 1 else f"{self.factors} common factors"
        return (
            f"{many} ({self.chosen}) given loadings, and loadings of {sums.x.shape[-1]} donors given factors; size of the errors "
            f"of the treated unit, {errors}, and the size of its own walk, with level, loadings and walk integrated out"
        )

    def bare(self) -> Factors:
        """The form without its data."""
        return replace(self, sums=None, chosen="")

    def signature(self) -> tuple[Any, ...]:
        """All that is compiled in."""
        return self.ar, self.factors, self.dates

    def first(self, sums: FactorSums, key: Array) -> dict[str, Array]:
        """Factors from their prior, loadings given them."""
        keys, (dates, donors), r = jax.random.split(key, 5), sums.x.shape, self.factors
        state = {
            "factor": jax.random.normal(keys[0], (dates, r), float),
            "loading": jnp.zeros(r),
            "log_donor_sigma": -0.5 + 0.5 * jax.random.normal(keys[1], (donors,), float),
            "z": 0.7 * jax.random.normal(keys[2], (2,), float),
            "log_sigma": -1.0 + 0.5 * jax.random.normal(keys[3], (), float),
            "acceptance_rate": jnp.zeros(()),
        }
        state["donor"] = draw_donors(sums, state["factor"], state["log_donor_sigma"], keys[4])
        return state | {"lp": self.density(sums, state)}

    def sweep(self, sums: FactorSums, state: State, key: Array, adapting: Array) -> dict[str, Array]:
        """The treated unit's scales and loadings given the factors, factors given loadings, donors given factors."""
        keys, state = jax.random.split(key, 6), dict(state)
        z, log_sigma, told, moved = self._scales(sums, state, keys[0])
        state |= {"z": z, "log_sigma": log_sigma, "acceptance_rate": moved}
        state["loading"] = draw_loading(sums, told, jnp.exp(log_sigma), keys[1])
        from_donors = donors_say(sums, state)
        state["z"], state["log_sigma"] = self._without_factors(sums, state, from_donors, keys[5])
        state["factor"] = draw_factors(sums, state, from_donors, *self.persistence(sums, state["z"]), keys[2])
        state["donor"] = draw_donors(sums, state["factor"], state["log_donor_sigma"], keys[3])
        state["log_donor_sigma"] = draw_donor_sigma(sums, state, keys[4])
        return state | {"lp": self.density(sums, state)}

    def sites(self, sums: FactorSums, state: State, key: Array) -> dict[str, Array]:
        """The sites of the twins, the level and the walk of the treated unit drawn given the rest."""
        rho, ratio = self.persistence(sums, state["z"])
        sigma, keys = jnp.exp(state["log_sigma"]), jax.random.split(key, 3)
        dates = sums.y.shape[0]
        lag = jnp.arange(dates)
        level = sums.intercept_sd * jax.random.normal(keys[0], (), float)
        walk = ratio * sigma * jnp.cumsum(jax.random.normal(keys[1], (dates,), float).at[0].set(0.0))
        error = sigma * ar1_root(rho, dates) @ jax.random.normal(keys[2], (dates,), float)
        root = jnp.linalg.cholesky(with_level(sums, sigma**2 * covariance(sums, rho, ratio)))
        left = sums.fitted * (sums.y - state["factor"] @ state["loading"] - level - walk - error)
        gain = sums.fitted * cho_solve((root, True), left)
        walk = walk + (ratio * sigma) ** 2 * jnp.minimum(lag[:, None], lag) @ gain
        named = {
            "factor": state["factor"],
            "loading": state["loading"],
            "donor_intercept": state["donor"][:, 0],
            "donor_loading": state["donor"][:, 1:],
            "donor_sigma": jnp.exp(state["log_donor_sigma"]),
            "intercept": level + sums.intercept_sd**2 * gain.sum(),
            "sigma": sigma,
            "trend": ratio,
            "walk": walk,
        }
        return named | ({"rho": rho} if self.ar else {})

    def stats(self, state: State) -> dict[str, Array]:
        """Share of accepted moves of ρ and q; log p(y, x, state) with the treated unit's own coefficients integrated out."""
        return {k: state[k] for k in ("acceptance_rate", "lp")}

    def persistence(self, sums: FactorSums, z: Array) -> tuple[Array, Array]:
        """ρ and q of their (2,) probits."""
        rho = jnp.clip(erf(z[0] / jnp.sqrt(2.0)), -NEAR_ONE, NEAR_ONE) if self.ar else jnp.zeros(())
        return rho, -sums.trend_scale * ndtri(0.5 * ndtr(-z[1]))

    def density(self, sums: FactorSums, state: State) -> Array:
        """Log p(y, x, factors, donors, σ, σ_j, z), the treated unit's coefficients integrated out; σ, σ_j on their own scale."""
        told = treated(sums, state["factor"], *self.persistence(sums, state["z"]))
        sigma_j, left = jnp.exp(state["log_donor_sigma"]), donor_errors(sums, state["factor"], state["donor"])
        fit = -0.5 * (sums.seen * ((left / sigma_j) ** 2 + LOG_2PI) + 2 * sums.seen * state["log_donor_sigma"]).sum()
        fit += log_treated(sums, told, state["log_sigma"])
        fit += log_normal(state["factor"], 1.0) + log_normal(state["z"], 1.0)
        fit += log_normal(state["donor"][:, 0], sums.intercept_sd) + log_normal(state["donor"][:, 1:], sums.loading_sd)
        scales = jnp.append(sigma_j, jnp.exp(state["log_sigma"]))
        return fit + log_normal(scales, sums.sigma_scale) + scales.size * jnp.log(2.0)

    def _scales(self, sums: FactorSums, state: State, key: Array) -> tuple[Array, Array, Treated, Array]:
        """Probits of ρ and q, log σ, what the treated unit says at them, and the share of moves accepted."""
        told = treated(sums, state["factor"], *self.persistence(sums, state["z"]))
        now = state["z"], state["log_sigma"], told, weight(*sigma_line(sums, told), state["log_sigma"])

        def move(now: Scales, each: tuple[Array, Array]) -> tuple[Scales, Array]:
            """One scale after another, each on a line."""
            step, keys = each[0], jax.random.split(each[1])
            z = jnp.sqrt(1 - step**2) * now[0] + step * jax.random.normal(keys[0], (2,), float)
            told, u = treated(sums, state["factor"], *self.persistence(sums, z)), jax.random.uniform(keys[1], (2,), float, TINY)
            log_sigma, heavy = propose(*sigma_line(sums, told), u[0])
            moves = jnp.log(u[1]) < heavy - now[3]
            return jax.tree.map(lambda a, b: jnp.where(moves, a, b), (z, log_sigma, told, heavy), now), moves.astype(float)

        (z, log_sigma, told, _), moved = jax.lax.scan(move, now, (jnp.array(STEPS), jax.random.split(key, len(STEPS))))
        return z, log_sigma, told, moved.mean()

    def _without_factors(self, sums: FactorSums, state: State, donors: FromDonors, key: Array) -> tuple[Array, Array]:
        """Probits of ρ and q, and log σ, given loadings, with factors integrated out as level and walk are."""
        left = sums.fitted * (sums.y - donors.mean @ state["loading"])

        def log_density(z: Array, x: Array) -> Array:
            total = with_level(sums, jnp.exp(2 * x) * covariance(sums, *self.persistence(sums, z)))
            root = jnp.linalg.cholesky(total + jnp.diag(sums.fitted * donors.variance))
            fit = 0.5 * (solve_triangular(root, left, lower=True) ** 2).sum() + jnp.log(jnp.diagonal(root)).sum()
            # Rows not fitted hold σ² on the diagonal, which says nothing.
            return (1 - sums.fitted).sum() * x - fit - 0.5 * jnp.exp(2 * x) / sums.sigma_scale**2 + x

        def move(now: tuple[Array, Array, Array], each: tuple[Array, Array]) -> tuple[tuple[Array, Array, Array], None]:
            """One scale after another, each on a line."""
            step, keys = each[0], jax.random.split(each[1], 3)
            z = jnp.sqrt(1 - step**2) * now[0] + step * jax.random.normal(keys[0], (2,), float)
            x = now[1] + step * jax.random.normal(keys[1], (), float)
            new = z, x, log_density(z, x)
            moves = jnp.log(jax.random.uniform(keys[2], (), float, TINY)) < new[2] - now[2]
            return jax.tree.map(lambda a, b: jnp.where(moves, a, b), new, now), None

        now = state["z"], state["log_sigma"], log_density(state["z"], state["log_sigma"])
        return jax.lax.scan(move, now, (jnp.array(WITHOUT), jax.random.split(key, len(WITHOUT))))[0][:2]


def covariance(sums: FactorSums, rho: Array, ratio: Array) -> Array:
    """(T, T) of AR(1) errors and walk at σ = 1; the unit matrix in rows not fitted."""
    at = jnp.arange(sums.y.shape[0])
    lag = jnp.abs(at[:, None] - at)
    both = _power(rho, lag) / (1 - rho**2) + ratio**2 * jnp.minimum(at[:, None], at)
    return jnp.where(sums.fitted[:, None] * sums.fitted > 0, both, jnp.eye(at.size))


def with_level(sums: FactorSums, covariance: Array) -> Array:
    """(T, T) covariance with the level integrated out."""
    return covariance + sums.intercept_sd**2 * sums.fitted[:, None] * sums.fitted


def ar1_root(rho: Array, dates: int) -> Array:
    """(T, T) lower triangular root of the covariance of AR(1) errors with innovation sd 1."""
    at = jnp.arange(dates)
    lag = at[:, None] - at
    root = jnp.where(lag >= 0, _power(rho, jnp.maximum(lag, 0)), 0.0)
    return root.at[:, 0].divide(jnp.sqrt(1 - rho**2))


def treated(sums: FactorSums, factor: Array, rho: Array, ratio: Array) -> Treated:
    """What the treated unit says of (T, R) factors, σ and its own coefficients."""
    root = jnp.linalg.cholesky(covariance(sums, rho, ratio))
    sds = jnp.append(sums.intercept_sd, jnp.full(factor.shape[1], sums.loading_sd))
    columns = sums.fitted[:, None] * jnp.column_stack([jnp.ones(factor.shape[0]), factor]) * sds
    white = solve_triangular(root, jnp.column_stack([columns, sums.fitted * sums.y]), lower=True)
    products = white.T @ white
    value, vector = jnp.linalg.eigh(products[:-1, :-1])
    log_det = 2 * jnp.log(jnp.diagonal(root)).sum()
    return Treated(root, log_det, products[-1, -1], jnp.maximum(value, 0.0), vector, vector.T @ products[:-1, -1])


def log_treated(sums: FactorSums, told: Treated, log_sigma: Array) -> Array:
    """Log density of the treated unit's outcomes given factors, σ, ρ and q, its coefficients integrated out."""
    variance, n = jnp.exp(2 * log_sigma), sums.fitted.sum()
    fit = told.yy / variance - (told.along**2 / (variance * (variance + told.value))).sum()
    return -0.5 * (n * (LOG_2PI + 2 * log_sigma) + told.log_det + jnp.log1p(told.value / variance).sum() + fit)


def sigma_line(sums: FactorSums, told: Treated) -> tuple[Density, Array, Array]:
    """Density of log σ given factors, ρ and q, its middle and its scale, about."""
    n = sums.fitted.sum()
    left = told.yy - (told.along**2 / (told.value + 1e-6 * told.yy)).sum()
    middle = 0.5 * jnp.log(jnp.maximum(left, 1e-6 * told.yy) / jnp.maximum(n - 2, 1.0))

    def density(x: Array) -> Array:
        return log_treated(sums, told, x) - 0.5 * jnp.exp(2 * x) / sums.sigma_scale**2 + x

    return density, middle, 1.5 / jnp.sqrt(2 * n)


def draw_loading(sums: FactorSums, told: Treated, sigma: Array, key: Array) -> Array:
    """(R,) loadings of the treated unit given factors, σ, ρ and q, its level and walk integrated out."""
    total = sigma**2 + told.value
    unit = told.along / total + sigma / jnp.sqrt(total) * jax.random.normal(key, total.shape, float)
    return sums.loading_sd * (told.vector @ unit)[1:]


def donors_say(sums: FactorSums, state: State) -> FromDonors:
    """What donors say of factors, date by date."""
    slopes, loading, r = state["donor"][:, 1:], state["loading"], state["loading"].shape[0]
    weighed = sums.seen * jnp.exp(-2 * state["log_donor_sigma"])
    root = jnp.linalg.cholesky(jnp.eye(r) + jnp.einsum("tj,jk,jl->tkl", weighed, slopes, slopes))
    along = jnp.einsum("tj,jk->tk", weighed * (sums.x - state["donor"][:, 0]), slopes)
    half = solve_triangular(root, jnp.stack([along, jnp.broadcast_to(loading, along.shape)], -1), lower=True)
    full = solve_triangular(root, half, lower=True, trans=1)
    return FromDonors(root, full[..., 0], full[..., 1], (half[..., 1] ** 2).sum(-1))


def draw_factors(sums: FactorSums, state: State, donors: FromDonors, rho: Array, ratio: Array, key: Array) -> Array:
    """(T, R) factors given loadings and scales: each date from its donors, then all given the treated unit."""
    keys, loading, sigma = jax.random.split(key, 3), state["loading"], jnp.exp(state["log_sigma"])
    normal = jax.random.normal(keys[0], (*donors.mean.shape, 1), float)
    factor = donors.mean + solve_triangular(donors.root, normal, lower=True, trans=1)[..., 0]
    own = covariance(sums, rho, ratio)
    noise = sigma * jnp.linalg.cholesky(own) @ jax.random.normal(keys[1], sums.y.shape, float)
    noise += sums.intercept_sd * jax.random.normal(keys[2], (), float)
    left = sums.fitted * (sums.y - factor @ loading - noise)
    total = with_level(sums, sigma**2 * own) + jnp.diag(sums.fitted * donors.variance)
    back = sums.fitted * cho_solve((jnp.linalg.cholesky(total), True), left)
    return factor + donors.gain * back[:, None]


def draw_donors(sums: FactorSums, factor: Array, log_sigma: Array, key: Array) -> Array:
    """(J, R + 1) intercepts and loadings of the donors given factors and (J,) log σ_j."""
    columns = jnp.column_stack([jnp.ones(factor.shape[0]), factor])
    sds = jnp.append(sums.intercept_sd, jnp.full(factor.shape[1], sums.loading_sd))
    weighed = sums.seen * jnp.exp(-2 * log_sigma)
    precision = jnp.diag(sds**-2.0) + jnp.einsum("tj,tk,tl->jkl", weighed, columns, columns)
    chol = jnp.linalg.cholesky(precision)
    along = jnp.einsum("tj,tk->jk", weighed * sums.x, columns)[..., None]
    half = solve_triangular(chol, along, lower=True) + jax.random.normal(key, along.shape, float)
    return solve_triangular(chol, half, lower=True, trans=1)[..., 0]


def donor_errors(sums: FactorSums, factor: Array, donor: Array) -> Array:
    """(T, J) what donors are off their factors, 0 where not seen."""
    return sums.seen * (sums.x - donor[:, 0] - factor @ donor[:, 1:].T)


def draw_donor_sigma(sums: FactorSums, state: State, key: Array) -> Array:
    """(J,) log σ_j given the rest."""
    squares, n = (donor_errors(sums, state["factor"], state["donor"]) ** 2).sum(0), sums.seen.sum(0)

    def one(x: Array, squares: Array, n: Array, u: Array) -> Array:
        def density(x: Array) -> Array:
            return -(n - 1) * x - 0.5 * squares * jnp.exp(-2 * x) - 0.5 * jnp.exp(2 * x) / sums.sigma_scale**2

        middle = 0.5 * jnp.log(jnp.maximum(squares, TINY) / jnp.maximum(n, 1.0))
        return draw_on_line(density, middle, 1.2 / jnp.sqrt(2 * jnp.maximum(n, 1.0)), x, u)

    u = jax.random.uniform(key, (n.shape[0], 2), float, TINY)
    return jax.vmap(one)(state["log_donor_sigma"], squares, n, u)


def log_normal(x: Array, sd: Array | float) -> Array:
    """Sum of log densities of N(0, sd)."""
    return -0.5 * ((x / sd) ** 2).sum() - x.size * (0.5 * LOG_2PI + jnp.log(sd))


def _power(rho: Array, lag: Array) -> Array:
    """ρ^d for whole d, ρ of either sign."""
    return jnp.where(lag % 2 == 1, jnp.sign(rho), 1.0) * jnp.where(lag > 0, jnp.abs(rho), 1.0) ** lag
