"""Rows of a treated unit beside its donors, from sums formed once, whatever the weights are and wherever they come from.

    y = a + Xw + e,   a ~ N(0, s_a),   e ~ AR(1) with innovation sd σ and correlation ρ;   (1 + ρ)/2 ~ Beta(b, b)

With R the precision of the errors at σ = 1 and q = 1'R1, a integrated out leaves exp(−e'Me/2σ²), M = R − g R11'R with
g = s_a²/(σ² + s_a² q). For rows apart by gaps d, R is a sum of a few matrices with weights in ρ, so that X'MX and X'My for any
ρ and σ come from products that are formed once. States hold `log_sigma`, and `rho`, which is 0 under independent errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import gammaln

from bayes_causal.numerics.line_proposals import Density, draw_on_line, log_sech2

LOG_2PI = float(np.log(2 * np.pi))
TINY = 1e-300

State = Mapping[str, Array]


class RowSums(NamedTuple):
    """The data of one problem: n rows, J donors, K = J + 2 columns [X, y, 1], D lengths of gaps.

    Parameters
    ----------
    first : (K, K) products of the first row
    products : (D, 3, K, K) sums over rows that follow a gap: of their own products, crossed with the row before (both ways), and
        of the row before
    gaps, counts : (D,) periods, and rows that follow such a gap
    intercept_sd, sigma_scale : () scales of the priors, the first 0 without an intercept
    rho_shape : () shape b of the prior of ρ
    """

    first: Any
    products: Any
    gaps: Any
    counts: Any
    intercept_sd: Any
    sigma_scale: Any
    rho_shape: Any

    @property
    def donors(self) -> int:
        """J, of one problem or of many."""
        return int(np.shape(self.first)[-1]) - 2


def row_sums(
    x: np.ndarray,
    y: np.ndarray,
    gap: np.ndarray,
    *,
    gaps: tuple[int, ...],
    intercept_sd: float,
    sigma_scale: float,
    rho_shape: float = 1.0,
) -> RowSums:
    """Sums of (n, J) donors and (n,) outcomes whose rows follow the one before by (n,) `gap` periods, 0 on the first."""
    z = np.column_stack([x, y, np.ones(y.size)])
    here, before = z[1:], z[:-1]
    products = np.zeros((len(gaps), 3, z.shape[1], z.shape[1]))
    for k, d in enumerate(gaps):
        own, last = here[gap[1:] == d], before[gap[1:] == d]
        cross = own.T @ last
        products[k] = own.T @ own, cross + cross.T, last.T @ last
    counts = np.array([(gap[1:] == d).sum() for d in gaps], float)
    scales = (np.asarray(float(v)) for v in (intercept_sd, sigma_scale, rho_shape))
    return RowSums(np.outer(z[0], z[0]), products, np.array(gaps, float), counts, *scales)


def precision(sums: RowSums, rho: Array, sigma: Array) -> Array:
    """(J + 1, J + 1) products of donors and outcome in units of the errors' variance, the intercept integrated out."""
    m, sigma2 = combined(sums, rho), sigma**2
    g = sums.intercept_sd**2 / (sigma2 + sums.intercept_sd**2 * m[-1, -1])
    return (m[:-1, :-1] - g * jnp.outer(m[:-1, -1], m[:-1, -1])) / sigma2


def draw_errors(sums: RowSums, state: State, forms: Array, u: Array, ar: bool) -> dict[str, Array]:
    """σ given the rest, then ρ, from (2, 2) uniforms."""
    log_sigma = draw_sigma(sums, state, forms, u[0])
    return {"log_sigma": log_sigma} | ({"rho": draw_rho(sums, state["rho"], jnp.exp(log_sigma), forms, u[1])} if ar else {})


def draw_sigma(sums: RowSums, state: State, forms: Array, u: Array) -> Array:
    """Log σ given the rest."""
    return draw_on_line(*sigma_line(sums, *combine(sums, forms, state["rho"])), state["log_sigma"], u)


def sigma_line(sums: RowSums, ee: Array, e1: Array, q: Array) -> tuple[Density, Array, Array]:
    """Density of log σ given e'Re, e'R1 and 1'R1 of what is left, its middle and its scale, about."""
    n = 1 + sums.counts.sum()
    middle = 0.5 * jnp.log(jnp.maximum(ee - e1**2 / q, TINY) / jnp.maximum(n - 1, 1.0))

    def density(x: Array) -> Array:
        sigma = jnp.exp(x)
        return gaussian(n, ee, e1, q, sums.intercept_sd, sigma) - 0.5 * (sigma / sums.sigma_scale) ** 2 + x

    return density, middle, 1.2 / jnp.sqrt(2 * n)


def draw_rho(sums: RowSums, rho: Array, sigma: Array, forms: Array, u: Array) -> Array:
    """ρ given the rest, on the line of its Fisher transform."""
    n = 1 + sums.counts.sum()
    own, cross, before = (forms[1 + k :: 3].sum(0) for k in range(3))
    mean = (forms[0] + own)[1] / n
    around = jnp.array([1.0, -2 * mean, mean**2])
    middle = jnp.clip(0.5 * (cross @ around) / jnp.maximum(before @ around, TINY), -0.95, 0.95)

    def density(x: Array) -> Array:
        return log_likelihood(sums, forms, sigma, jnp.tanh(x)) + sums.rho_shape * log_sech2(x)

    x = draw_on_line(density, jnp.arctanh(middle), jnp.maximum(0.75 / jnp.sqrt(n), 0.5), jnp.arctanh(rho), u)
    return jnp.clip(jnp.tanh(x), -1 + 1e-15, 1 - 1e-15)


def draw_intercept(sums: RowSums, w: Array, rho: Array, sigma: Array, key: Array) -> Array:
    """The intercept given the weights and the errors' scales."""
    _, e1, q = combine(sums, residual_forms(sums, w), rho)
    s2 = sums.intercept_sd**2
    variance = s2 * sigma**2 / (sigma**2 + s2 * q)
    return s2 * e1 / (sigma**2 + s2 * q) + jnp.sqrt(variance) * jax.random.normal(key, (), float)


def combined(sums: RowSums, rho: Array) -> Array:
    """(K, K) products Z'RZ at σ = 1."""
    parts = jnp.concatenate([sums.first[None], sums.products.reshape(-1, *sums.first.shape)])
    return jnp.tensordot(_loadings(sums, rho), parts, 1)


def residual_forms(sums: RowSums, w: Array) -> Array:
    """(1 + 3D, 3) e'We, e'W1 and 1'W1 of the residual before the intercept, for each matrix W that makes up R."""
    parts = jnp.concatenate([sums.first[None], sums.products.reshape(-1, *sums.first.shape)])
    c = jnp.concatenate([-w, jnp.ones(1), jnp.zeros(1)])
    half = parts @ c
    return jnp.stack([half @ c, half[:, -1], parts[:, -1, -1]], 1)


def combine(sums: RowSums, forms: Array, rho: Array) -> Array:
    """(3,) e'Re, e'R1 and 1'R1."""
    return _loadings(sums, rho) @ forms


def log_likelihood(sums: RowSums, forms: Array, sigma: Array, rho: Array) -> Array:
    """Log density of the outcomes given w, σ and ρ, the intercept integrated out."""
    n, (ee, e1, q) = 1 + sums.counts.sum(), combine(sums, forms, rho)
    return 0.5 * log_det(sums, rho) - 0.5 * n * LOG_2PI + gaussian(n, ee, e1, q, sums.intercept_sd, sigma)


def log_det(sums: RowSums, rho: Array) -> Array:
    """Log |R|."""
    one = jnp.log1p(-(rho**2))
    return one + (sums.counts * (one - jnp.log1p(-_power(rho, 2 * sums.gaps)))).sum()


def gaussian(n: Array, ee: Array, e1: Array, q: Array, intercept_sd: Array, sigma: Array) -> Array:
    """What of the log likelihood hangs on σ."""
    total = sigma**2 + intercept_sd**2 * q
    fit = ee / sigma**2 - intercept_sd**2 * e1**2 / (sigma**2 * total)
    return -(n - 1) * jnp.log(sigma) - 0.5 * jnp.log(total) - 0.5 * fit


def log_prior(sums: RowSums, state: State, ar: bool) -> Array:
    """Log p(σ, ρ), σ half-normal and on its own scale."""
    half = log_half_normal(jnp.exp(state["log_sigma"]), sums.sigma_scale)
    return half + (log_rho_prior(state["rho"], sums.rho_shape) if ar else 0.0)


def log_half_normal(x: Array, scale: Array) -> Array:
    """Log density of x ≥ 0."""
    return 0.5 * jnp.log(2 / jnp.pi) - jnp.log(scale) - 0.5 * (x / scale) ** 2


def log_rho_prior(rho: Array, shape: Array) -> Array:
    """Log density of ρ where (1 + ρ)/2 ~ Beta(b, b)."""
    constant = gammaln(2 * shape) - 2 * gammaln(shape) - (2 * shape - 1) * jnp.log(2.0)
    return constant + (shape - 1) * jnp.log1p(-(rho**2))


def _loadings(sums: RowSums, rho: Array) -> Array:
    """(1 + 3D,) weights of the matrices that make up R."""
    c = _power(rho, sums.gaps)
    each = (1 - rho**2) / (1 - c**2)
    return jnp.concatenate([(1 - rho**2)[None], jnp.stack([each, -c * each, c**2 * each], 1).ravel()])


def _power(rho: Array, gaps: Array) -> Array:
    """ρ^d for whole d held as numbers, ρ of either sign."""
    return jnp.where(gaps % 2 == 1, jnp.sign(rho), 1.0) * jnp.abs(rho) ** gaps
