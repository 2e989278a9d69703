"""Local level, static regression, independent errors, R's priors: all but one variance ratio q integrated out in closed form.

    y_t = μ_t + x_t'β + ε_t,  ε_t ~ N(0, σ²)        μ_{t+1} = μ_t + η_t,  η_t ~ N(0, q σ²)        μ_1 ~ N(first, s₀²), absolute
    1/σ² ~ Gamma(df/2, ss/2),  1/(qσ²) ~ Gamma(df_l/2, ss_l/2),  both standard deviations below a limit

For given q one filter whitens [X, 1, y] with μ_1 = 0; each sub-model leaves a 2 × 2 block [C, B; B, A] of level and outcome, with
which μ_1 goes too, and λ = 1/σ² is left:

    λ^a exp(−½ λ [A − B²/(C + 1/(λ s₀²)) + ss + ss_l/q]) (1 + C λ s₀²)^(−½) dlog λ,   a = (n + df + df_l)/2

above λ = 1/U, U = min(upper², upper_l²/q), by quadrature; and q^(−df_l/2) dlog q is what the change of variables leaves of q.

The outcomes ahead enter as one more column: given q, γ, λ their weighted sum is normal with mean c'a and variance (c'A⁻¹c + v)/λ
beyond the filter's, a = A⁻¹b the coefficients, and elimination of the matrix [A, b, c; b', y'y, −m; c', −m, −v] leaves both with
their signs turned.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import logsumexp, ndtr, ndtri

from bayes_causal.numerics.kalman import Space, filtered
from bayes_causal.numerics.local_level import draw_level, waves, whitened
from bayes_causal.numerics.sd_prior import SdPrior
from bayes_causal.numerics.state_space import LOG_2PI, Part, SeriesSums, pick
from bayes_causal.numerics.subsets import eliminate, members

GAUSS = np.polynomial.legendre.leggauss(20)
BELOW, ABOVE = 8.0, 6.0  # sds of log λ around its mode, the longer tail of a short series below
CELLS, GROUP = 96, 8
LEFT = ((0, 0), (0, 1), (1, 1), (0, 2), (1, 2), (2, 2))

Block = tuple[Array, ...]
"""C, B and A of the blocks that sub-models leave of level and outcome."""


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

    def on(self, sums: SeriesSums, span: int) -> OneRatio:
        """The form on other data of so many rows, in waves where no outcome is missing."""
        n, p = int(np.sum(sums.observed)), self.candidates
        own = None
        if sums.observed[:n].all():
            own = waves(np.insert(sums.columns[:n], p, 1.0, axis=1), span)
        return replace(self, span=span, sums=sums._replace(waves=own))

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

    def table(self, sums: SeriesSums, t: Array) -> tuple[Array, tuple[Array, ...]]:
        """Log p(y, t); and (G,) sums of the probabilities of γ, (6, G) entries of what is left, (p + 2, p + 2) products."""
        log_p, rest, products = self.sub_models(sums, self.log_ratio(t[0]))
        total = logsumexp(log_p)
        left = jnp.stack([rest[:, i, j] for i, j in LEFT])
        return total + jnp.log(2.0), (jnp.cumsum(jnp.exp(log_p - total)), left, products)

    def sub_models(self, sums: SeriesSums, log_q: Array) -> tuple[Array, Array, Array]:
        """(G,) log p(y, γ, log q), (G, 3, 3) what is left of level, outcome and sum ahead, and (p + 2, p + 2) products."""
        p = self.candidates
        products, log_f, at, variance = self._whitened(sums, log_q)
        count = jnp.sum(sums.ahead)
        later = jnp.cumsum(sums.ahead[::-1])[::-1] * (jnp.arange(sums.ahead.size) >= self._rows_seen(sums))
        spread = count**2 * variance + jnp.exp(log_q) * jnp.sum(later**2) + jnp.sum(sums.ahead**2)
        column = jnp.append(sums.ahead @ sums.columns[:, :p], jnp.array([1.0, 0.0]) * count) - count * at
        products = products.at[:p, :p].add(sums.slab)
        whole = jnp.block([[products, column[:, None]], [column, -spread]])
        rest, log_det = eliminate(whole, p, forced=not self.selection)
        value = sums.log_prior - 0.5 * (log_det + log_f) - 0.5 * self.sigma_level.df * log_q + self._constant(sums)
        return value + self._over_precision(sums, log_q, rest), rest, products

    def draw_sites(self, sums: SeriesSums, t: Array, key: Array) -> dict[str, Array]:
        """The two standard deviations, γ, β and the path of the level over all rows, the post-period ahead included."""
        log_q = self.log_ratio(t[0])
        normal = jax.random.normal(key, (self.normals(sums),), sums.columns.dtype)
        log_p, _, products = self.sub_models(sums, log_q)
        g = pick(log_p, ndtr(normal[0]))
        return self._draw(sums, log_q, g, products, normal)

    def draw_between(
        self, sums: SeriesSums, nodes: Array, tables: tuple[Array, ...], t: Array, normal: Array
    ) -> dict[str, Array]:
        """`draw_sites` at a point between evenly spaced (N,) nodes, from their tables and `normals` standard normals."""
        cumulative, _, products = tables
        near, weights = between(nodes, t[0])
        g = search(cumulative, near, weights, ndtr(normal[0]))
        return self._draw(sums, self.log_ratio(t[0]), g, jnp.tensordot(weights, products[near], 1), normal)

    def total_between(self, sums: SeriesSums, nodes: Array, tables: tuple[Array, ...], t: Array, uniform: Array) -> Array:
        """(S,) Σ of the outcomes ahead by their weights, errors and all, at (S,) points between nodes, from (3, S) uniforms.

        Of the law of `draw_sites` with independent errors, but no path is drawn.
        """
        cumulative, rest, _ = tables
        near, weights = between(nodes, t)
        g = search(cumulative, near, weights, uniform[0])
        left = tuple(jnp.sum(weights * rest[near, k, g], 0) for k in range(len(LEFT)))
        precision = self._draw_precision(sums, self.log_ratio(t), left[:3], uniform[1])
        mean, sd = self.total(sums, left, precision)
        return mean + sd * ndtri(uniform[2])

    def total(self, sums: SeriesSums, left: tuple[Array, ...], precision: Array) -> tuple[Array, Array]:
        """Mean and sd of the sum ahead given λ and what a sub-model leaves of level, outcome and that sum, any shape."""
        c, b, _, c_ahead, b_ahead, ahead = left
        own = c + 1 / (precision * sums.first_sd[0] ** 2)
        variance = (c_ahead**2 / own - ahead) / precision
        return sums.first * jnp.sum(sums.ahead) + b * c_ahead / own - b_ahead, jnp.sqrt(variance)

    def normals(self, sums: SeriesSums) -> int:
        """Standard normals a draw of the sites takes."""
        return self.candidates + 3 + int(sums.observed.shape[-1])

    def _draw(self, sums: SeriesSums, log_q: Array, g: Array, products: Array, normal: Array) -> dict[str, Array]:
        p = self.candidates
        own_noise, path_noise = normal[2 : p + 3], normal[p + 3 :]
        taken = jnp.asarray(members(p), float)[g] if self.selection else jnp.ones(p)
        chol = jnp.linalg.cholesky(taken[:, None] * taken * products[:p, :p] + jnp.diag(1 - taken)) if p else jnp.zeros((0, 0))
        right = solve_triangular(chol, taken[:, None] * products[:p, p:], lower=True) if p else jnp.zeros((0, 2))
        rest = products[p:, p:] - right.T @ right
        precision = self._draw_precision(sums, log_q, (rest[0, 0], rest[0, 1], rest[1, 1]), ndtr(normal[1]))
        sigma = 1 / jnp.sqrt(precision)
        noise = sigma * own_noise
        own = rest[0, 0] + 1 / (precision * sums.first_sd[0] ** 2)
        first = rest[0, 1] / own + noise[p] / jnp.sqrt(own)
        sites = {"sigma": sigma, "sigma_level": sigma * jnp.exp(log_q / 2)}
        sites |= {"include": taken} if self.selection else {}
        resid = sums.columns[: self.span, p] - first
        if p:
            w = right[:, 1] - right[:, 0] * first + noise[:p]
            sites["beta"] = taken * solve_triangular(chol, w, lower=True, trans="T")
            resid = resid - sums.columns[: self.span, :p] @ sites["beta"]
        path = draw_level(resid / sigma, sums.observed[: self.span], jnp.exp(log_q), path_noise)
        return sites | {self.part.name: sums.first + first + sigma * path}

    def _whitened(self, sums: SeriesSums, log_q: Array) -> tuple[Array, Array, Array, Array]:
        """Products of the whitened [X, 1, y], Σ log F, and the last filtered level of each column with its variance."""
        if sums.waves is not None:
            return whitened(sums.waves, jnp.exp(log_q))
        p, ones = self.candidates, jnp.ones((self.span, 1))
        columns = jnp.concatenate([sums.columns[: self.span, :p], ones, sums.columns[: self.span, p:]], 1)
        products, log_f, mean, cov = filtered(self._space(sums, log_q, self.span), columns, sums.observed[: self.span])
        return products, log_f, mean[0], cov[0, 0]

    def _rows_seen(self, sums: SeriesSums) -> Array:
        """Rows up to the last observed one."""
        return sums.observed.size - jnp.argmax(sums.observed[::-1])

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

    def _log_integrand(self, sums: SeriesSums, log_q: Array, left: Block, log_precision: Array) -> tuple[Array, Array]:
        """Of log λ at (..., K) values, for K entries C, B, A: its log but for a factor, and the factor."""
        c, b, a = left
        precision = jnp.exp(log_precision)
        level = precision * sums.first_sd[0] ** 2
        share = 1 / (c * level + 1)
        fit = a - b**2 * level * share + self.sigma.ss + self.sigma_level.ss * jnp.exp(-log_q)
        return self._shape(sums) * log_precision - 0.5 * precision * fit, jnp.sqrt(share)

    def _interval(self, sums: SeriesSums, log_q: Array, left: Block) -> tuple[Array, Array, Array]:
        """(K,) ends in log λ between which all but some 1e-8 of the integrand lies, and a point near its highest."""
        shape = self._shape(sums)
        c, b, a = left
        rate = (a - b**2 / c + self.sigma.ss + self.sigma_level.ss * jnp.exp(-log_q)) / 2
        center, sd = jnp.log(shape / rate), 1 / jnp.sqrt(shape)
        limit = jnp.maximum(-2 * np.log(self.sigma.upper), log_q - 2 * np.log(self.sigma_level.upper))
        low = jnp.maximum(center - BELOW * sd, limit)
        # Beyond a limit above the mode, the integrand falls at this rate at least.
        fall = jnp.maximum(rate * jnp.exp(low) - shape, 1e-3)
        high = jnp.where(limit > center, low + jnp.minimum(ABOVE * sd, 30 / fall), center + ABOVE * sd)
        return low, high, jnp.maximum(center, low)

    def _over_precision(self, sums: SeriesSums, log_q: Array, rest: Array) -> Array:
        """(G,) log of the integral over log λ, for (G, 2, 2) blocks or larger."""
        left = rest[:, 0, 0], rest[:, 0, 1], rest[:, 1, 1]
        low, high, top = self._interval(sums, log_q, left)
        half = (high - low) / 2
        height = self._log_integrand(sums, log_q, left, top)[0]
        log_f, factor = self._log_integrand(sums, log_q, left, low + half * (1 + GAUSS[0][:, None]))
        return height + jnp.log(half * jnp.sum(GAUSS[1][:, None] * jnp.exp(log_f - height) * factor, 0))

    def _draw_precision(self, sums: SeriesSums, log_q: Array, left: Block, uniform: Array) -> Array:
        """λ of blocks C, B, A, any shape, by the integral of its density between the ends, linear within cells."""
        low, high, top = self._interval(sums, log_q, left)
        step = (high - low) / CELLS
        places = jnp.arange(CELLS + 1.0).reshape(-1, *[1] * jnp.ndim(low))
        log_f, factor = self._log_integrand(sums, log_q, left, low + places * step)
        f = jnp.exp(log_f - self._log_integrand(sums, log_q, left, top)[0]) * factor
        # First which of a few groups of cells, then which of its cells: short sums in place of a long one.
        cells = (f[1:] + f[:-1]) / 2
        before = _sums(jnp.sum(cells.reshape(-1, GROUP, *f.shape[1:]), 1))
        mass = uniform * before[-1]
        group = jnp.sum(mass >= before[1:-1], 0)
        inside = jnp.take_along_axis(f, GROUP * group + places[: GROUP + 1].astype(int), 0)
        below = _entry(before, group) + _sums((inside[1:] + inside[:-1]) / 2)
        k = jnp.sum(mass >= below[1:-1], 0)
        f0, f1, over = _entry(inside, k), _entry(inside, k + 1), mass - _entry(below, k)
        share = 2 * over / jnp.maximum(f0 + jnp.sqrt(jnp.maximum(f0**2 + 2 * (f1 - f0) * over, 0.0)), 1e-300)
        return jnp.exp(low + (GROUP * group + k + jnp.clip(share, 0.0, 1.0)) * step)


def _sums(masses: Array) -> Array:
    """(K + 1, ...) running sums of (K, ...) from 0: for a short axis a product is cheaper than a scan."""
    return jnp.tensordot(np.tri(masses.shape[0] + 1, masses.shape[0], -1), masses, 1)


def _entry(values: Array, k: Array) -> Array:
    """(...) the k-th of (K, ...)."""
    return jnp.take_along_axis(values, k[None], 0)[0]


def between(nodes: Array, t: Array) -> tuple[Array, Array]:
    """The four of evenly spaced (N,) nodes around each t (...), and their weights in cubic interpolation, (4, ...)."""
    place = (t - nodes[0]) / (nodes[1] - nodes[0])
    k = jnp.clip(jnp.floor(place).astype(int), 1, nodes.shape[0] - 3)
    u = place - k
    weights = jnp.stack(
        [-u * (u - 1) * (u - 2) / 6, (u + 1) * (u - 1) * (u - 2) / 2, -(u + 1) * u * (u - 2) / 2, (u + 1) * u * (u - 1) / 6]
    )
    return jnp.stack([k - 1, k, k + 1, k + 2]), weights


def search(cumulative: Array, near: Array, weights: Array, uniform: Array) -> Array:
    """(...) sub-models drawn by (N, G) sums of their probabilities at the nodes, interpolated: bit by bit, the highest first."""
    g = jnp.zeros(uniform.shape, int)
    for bit in reversed(range(cumulative.shape[1].bit_length() - 1)):
        tried = g + 2**bit
        g = jnp.where(uniform >= jnp.sum(weights * cumulative[near, tried - 1], 0), tried, g)
    return g
