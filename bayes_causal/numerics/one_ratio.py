"""Local level, static regression, independent errors, R's priors: all but one variance ratio q integrated out in closed form.

    y_t = μ_t + x_t'β + ε_t,  ε_t ~ N(0, σ²)        μ_{t+1} = μ_t + η_t,  η_t ~ N(0, q σ²)        μ_1 ~ N(first, s₀²), absolute
    1/σ² ~ Gamma(df/2, ss/2),  1/(qσ²) ~ Gamma(df_l/2, ss_l/2),  both standard deviations below a limit

For given q one filter whitens [X, 1, y] with μ_1 = 0; each sub-model leaves a 2 × 2 block [C, B; B, A] of level and outcome, with
which μ_1 goes too, and λ = 1/σ² is left:

    λ^a exp(−½ λ [A − B²/(C + 1/(λ s₀²)) + ss + ss_l/q]) (1 + C λ s₀²)^(−½) dlog λ,   a = (n + df + df_l)/2

above λ = 1/U, U = min(upper², upper_l²/q), by quadrature; and q^(−df_l/2) dlog q is what the change of variables leaves of q.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import logsumexp

from bayes_causal.numerics.kalman import Space, gram
from bayes_causal.numerics.local_level import draw_level
from bayes_causal.numerics.sd_prior import SdPrior
from bayes_causal.numerics.state_space import LOG_2PI, Part, SeriesSums, pick
from bayes_causal.numerics.subsets import eliminate, members

GAUSS = np.polynomial.legendre.leggauss(24)
WIDTH = 7.0
CELLS = 96


@dataclass(frozen=True, eq=False)
class OneRatio:
    """A local level with R's priors.

    Parameters
    ----------
    part : the level
    candidates : p
    selection : whether sub-models are summed over
    sigma, sigma_level : priors of the two standard deviations
    span : rows that hold all observed ones
    sums : what the data say
    """

    part: Part
    candidates: int
    selection: bool
    sigma: SdPrior
    sigma_level: SdPrior
    span: int
    sums: SeriesSums | None

    @property
    def hypers(self) -> tuple[Any, ...]:
        """The ratio alone."""
        return ("ratio",)

    @property
    def columns(self) -> int:
        """States, coefficients and σ."""
        return self.candidates + self.span + 1

    def said(self, sums: Any) -> str:
        """What is integrated out, in words."""
        return f"{self.columns} columns integrated out"

    def matrices(self, sums: Any) -> int:
        """None to speak of: a filter runs along the series, and points are best side by side."""
        return 0

    @property
    def width(self) -> int:
        """Numbers a draw holds."""
        return 8 * self.span + 24 * 2 ** (self.candidates * self.selection)

    def bare(self) -> OneRatio:
        """The form without its data."""
        return replace(self, sums=None)

    def signature(self) -> tuple[Any, ...]:
        """All that is compiled in."""
        return self.part, self.candidates, self.selection, self.sigma, self.sigma_level, self.span

    def log_ratio(self, t: Array) -> Array:
        """Log q at t, 0 at the guess of the level's sd under a residual sd of a third."""
        return 2 * t + 2 * float(np.log(3 * self.sigma_level.guess))

    def log_density(self, sums: SeriesSums, t: Array) -> Array:
        """Log p(y, t)."""
        return logsumexp(self.sub_models(sums, self.log_ratio(t[0]))[0]) + jnp.log(2.0)

    def sub_models(self, sums: SeriesSums, log_q: Array) -> tuple[Array, Array, Array]:
        """(G,) log p(y, γ, log q), (G, 2, 2) what sub-models leave of level and outcome, and (p + 2, p + 2) products."""
        p = self.candidates
        ones = jnp.ones((self.span, 1))
        columns = jnp.concatenate([sums.columns[: self.span, :p], ones, sums.columns[: self.span, p:]], 1)
        products, log_f = gram(self._space(sums, log_q, self.span), columns, sums.observed[: self.span])
        products = products.at[:p, :p].add(sums.slab)
        rest, log_det = eliminate(products, p, forced=not self.selection)
        value = sums.log_prior - 0.5 * (log_det + log_f) - 0.5 * self.sigma_level.df * log_q + self._constant(sums)
        return value + self._over_precision(sums, log_q, rest), rest, products

    def draw_sites(self, sums: SeriesSums, t: Array, key: Array) -> dict[str, Array]:
        """The two standard deviations, γ, β and the path of the level over all rows, the post-period ahead included."""
        log_q = self.log_ratio(t[0])
        log_p, _, products = self.sub_models(sums, log_q)
        return self._draw(sums, log_q, log_p, products, key)

    def table(self, sums: SeriesSums, t: Array) -> tuple[Array, Array]:
        """(G,) log p(y, γ, log q) and (p + 2, p + 2) products at one node, for `draw_between`."""
        log_p, _, products = self.sub_models(sums, self.log_ratio(t[0]))
        return log_p, products

    def draw_between(self, sums: SeriesSums, nodes: Array, tables: tuple[Array, Array], t: Array, key: Array) -> dict[str, Array]:
        """`draw_sites` at a point between evenly spaced (N,) nodes, from their tables by cubic interpolation."""
        place = (t[0] - nodes[0]) / (nodes[1] - nodes[0])
        k = jnp.clip(jnp.floor(place).astype(int), 1, nodes.shape[0] - 3)
        u = place - k
        weights = jnp.stack(
            [-u * (u - 1) * (u - 2) / 6, (u + 1) * (u - 1) * (u - 2) / 2, -(u + 1) * u * (u - 2) / 2, (u + 1) * u * (u - 1) / 6]
        )
        log_p, products = (jnp.tensordot(weights, jax.lax.dynamic_slice_in_dim(v, k - 1, 4), 1) for v in tables)
        return self._draw(sums, self.log_ratio(t[0]), log_p, products, key)

    def _draw(self, sums: SeriesSums, log_q: Array, log_p: Array, products: Array, key: Array) -> dict[str, Array]:
        p = self.candidates
        rows = sums.observed.shape[0]
        keys = jax.random.split(key)
        uniform = jax.random.uniform(keys[0], (2,), products.dtype)
        normal = jax.random.normal(keys[1], (p + 1 + rows,), products.dtype)
        taken = jnp.ones(p)
        if self.selection:
            taken = jnp.asarray(members(p), float)[pick(log_p, uniform[0])]
        chol = jnp.linalg.cholesky(taken[:, None] * taken * products[:p, :p] + jnp.diag(1 - taken)) if p else jnp.zeros((0, 0))
        right = solve_triangular(chol, taken[:, None] * products[:p, p:], lower=True) if p else jnp.zeros((0, 2))
        rest = products[p:, p:] - right.T @ right
        precision = self._draw_precision(sums, log_q, rest, uniform[1])
        sigma = 1 / jnp.sqrt(precision)
        noise = sigma * normal[: p + 1]
        own = rest[0, 0] + 1 / (precision * sums.first_sd[0] ** 2)
        first = rest[0, 1] / own + noise[p] / jnp.sqrt(own)
        sites = {"sigma": sigma, "sigma_level": sigma * jnp.exp(log_q / 2)}
        sites |= {"include": taken} if self.selection else {}
        resid = sums.columns[: self.span, p] - first
        if p:
            w = right[:, 1] - right[:, 0] * first + noise[:p]
            sites["beta"] = taken * solve_triangular(chol, w, lower=True, trans="T")
            resid = resid - sums.columns[: self.span, :p] @ sites["beta"]
        path = draw_level(resid / sigma, sums.observed[: self.span], jnp.exp(log_q), normal[p + 1 :])
        return sites | {self.part.name: sums.first + first + sigma * path}

    def _space(self, sums: SeriesSums, log_q: Array, rows: int) -> Space:
        """The level from 0, in units of σ²."""
        one = jnp.ones((1, 1))
        return Space(one, one * jnp.exp(log_q / 2), sums.loading[:rows], 0 * one, jnp.ones(()), None)

    def _constant(self, sums: SeriesSums) -> Array:
        """Log constants of likelihood and priors; with λ = 1/σ², σ²-densities are half those of σ."""
        both = (self.sigma, self.sigma_level)
        return -0.5 * jnp.sum(sums.observed) * LOG_2PI + sum(p.log_constant - float(np.log(2)) for p in both)

    def _shape(self, sums: SeriesSums) -> Array:
        return (jnp.sum(sums.observed) + self.sigma.df + self.sigma_level.df) / 2

    def _log_integrand(self, sums: SeriesSums, log_q: Array, rest: Array, log_precision: Array) -> Array:
        """Of log λ, (..., L), for (..., 2, 2) blocks."""
        c, b, a = rest[..., 0, 0, None], rest[..., 0, 1, None], rest[..., 1, 1, None]
        precision, s2 = jnp.exp(log_precision), sums.first_sd[0] ** 2
        fit = a - b**2 / (c + 1 / (precision * s2)) + self.sigma.ss + self.sigma_level.ss * jnp.exp(-log_q)
        return self._shape(sums) * log_precision - 0.5 * precision * fit - 0.5 * jnp.log1p(c * precision * s2)

    def _interval(self, sums: SeriesSums, log_q: Array, rest: Array) -> tuple[Array, Array]:
        """(...,) ends in log λ between which the integrand lies, all but e^(−24) of it."""
        shape = self._shape(sums)
        c, b, a = rest[..., 0, 0], rest[..., 0, 1], rest[..., 1, 1]
        rate = (a - b**2 / c + self.sigma.ss + self.sigma_level.ss * jnp.exp(-log_q)) / 2
        center, sd = jnp.log(shape / rate), 1 / jnp.sqrt(shape)
        limit = jnp.maximum(-2 * np.log(self.sigma.upper), log_q - 2 * np.log(self.sigma_level.upper))
        low = jnp.maximum(center - WIDTH * sd, limit)
        # Beyond a limit above the mode, the integrand falls at this rate at least.
        fall = jnp.maximum(rate * jnp.exp(low) - shape, 1e-3)
        high = jnp.where(limit > center, low + jnp.minimum(WIDTH * sd, 30 / fall), center + WIDTH * sd)
        return low, high

    def _over_precision(self, sums: SeriesSums, log_q: Array, rest: Array) -> Array:
        low, high = self._interval(sums, log_q, rest)
        x = (low + high)[..., None] / 2 + (high - low)[..., None] / 2 * GAUSS[0]
        weight = jnp.log((high - low)[..., None] / 2 * GAUSS[1])
        return logsumexp(self._log_integrand(sums, log_q, rest, x) + weight, -1)

    def _draw_precision(self, sums: SeriesSums, log_q: Array, rest: Array, uniform: Array) -> Array:
        """λ of one (2, 2) block, by the integral of its density between the ends, linear within cells."""
        low, high = self._interval(sums, log_q, rest)
        x = jnp.linspace(low, high, CELLS + 1)
        log_f = self._log_integrand(sums, log_q, rest, x)
        f = jnp.exp(log_f - jnp.max(log_f))
        mass = jnp.concatenate([jnp.zeros(1), jnp.cumsum((f[1:] + f[:-1]) / 2)])
        u = uniform * mass[-1]
        k = jnp.clip(jnp.searchsorted(mass, u, side="right") - 1, 0, CELLS - 1)
        f0, slope, left = f[k], f[k + 1] - f[k], u - mass[k]
        share = 2 * left / jnp.maximum(f0 + jnp.sqrt(jnp.maximum(f0**2 + 2 * slope * left, 0.0)), 1e-300)
        return jnp.exp(x[k] + jnp.clip(share, 0.0, 1.0) * (x[1] - x[0]))
