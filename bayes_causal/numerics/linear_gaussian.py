"""Linear models with Gaussian coefficients given a few hyperparameters θ: the marginal density of θ, and exact draws of the rest.

    y = Z b + u_i + ε,   b = R(θ) z,   z ~ N(0, I),   u_i ~ N(0, σ_α),   ε iid or AR(1)

and, where slopes vary, + v_i D_it with v_i ~ N(0, σ_v).

With M = Z'Ω⁻¹Z, Ω the covariance of u and ε together, the posterior of z is N(K⁻¹R'M_y, K⁻¹) where K = I + R'MR: always well
conditioned, also where a scale in R goes to zero. θ is carried as t with F_prior(θ) = Φ(t), so that its prior is N(0, I).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import ndtr, ndtri

from bayes_causal.numerics.panel_sums import PanelSums, loading_weights, log_variance, product_weights
from bayes_causal.numerics.unit_effects import integrated, loading_pairs

LOG_2PI = float(np.log(2 * np.pi))


@dataclass(frozen=True)
class Hyper:
    """One hyperparameter and its prior: half-normal with a scale, or uniform on (−1, 1)."""

    name: str
    prior: Literal["half_normal", "uniform"]
    scale: float = 1.0

    def value(self, t: Array) -> Array:
        """The value at t, where F_prior(value) = Φ(t)."""
        if self.prior == "uniform":
            return 2 * ndtr(t) - 1
        return -self.scale * ndtri(0.5 * ndtr(-t))


@dataclass(frozen=True)
class Block:
    """One site of the coefficients and the columns it loads on.

    Parameters
    ----------
    site : name of the site
    shape : () or (n,)
    prior_sd : sd of the site's N(0, prior_sd) prior
    start, stop : the columns of Z it loads on
    factor : (stop − start, n) loading as a function of θ; None is the identity
    """

    site: str
    shape: tuple[int, ...]
    prior_sd: float
    start: int
    stop: int
    factor: Callable[[Mapping[str, Array]], Array | np.ndarray] | None = None

    @property
    def size(self) -> int:
        """n, 1 for a scalar."""
        return self.shape[0] if self.shape else 1


@dataclass(frozen=True, eq=False)
class LinearGaussian:
    """What can be integrated out of a model, and how.

    Parameters
    ----------
    hypers : θ; `sigma` and `sigma_unit` are among them, and `rho` where errors are AR(1)
    blocks : the coefficients
    sums : what the data say; the functions below take them beside the form, so that programs are shared between data
    gaps : distinct gaps between consecutive rows under AR(1) errors; None for iid
    unit_scales : names of the sds of a unit's own effects, in the order of the loadings in the sums
    """

    hypers: tuple[Hyper, ...]
    blocks: tuple[Block, ...]
    sums: Any
    gaps: tuple[int, ...] | None
    unit_scales: tuple[str, ...] = ("sigma_unit",)

    @property
    def columns(self) -> int:
        """q, without y."""
        return max(b.stop for b in self.blocks)

    def theta(self, t: Array) -> dict[str, Array]:
        """θ by name from its (n_hyper,) probits."""
        return {h.name: h.value(t[k]) for k, h in enumerate(self.hypers)}


def information(model: LinearGaussian, sums: PanelSums, theta: Mapping[str, Array]) -> tuple[Array, Array]:
    """(q+1, q+1) [Z y]'Ω⁻¹[Z y], and log |Ω| without the weights."""
    rho, sigma2 = theta.get("rho", jnp.zeros(())), theta["sigma"] ** 2
    scales = [theta[name] for name in model.unit_scales]
    a = jnp.stack(product_weights(rho, model.gaps))
    phi = jnp.stack(loading_weights(rho, model.gaps, sums.unit_products.shape[1] // len(loading_pairs(len(scales)))))
    taken, added = integrated(sums, phi, scales, sigma2)
    m = jnp.tensordot(a, sums.products, 1) / sigma2 - taken
    return m, sums.rows * jnp.log(sigma2) + log_variance(rho, sums, model.gaps) + added


def times_factor(model: LinearGaussian, theta: Mapping[str, Array], x: Array) -> Array:
    """(n, r) x R(θ) for (n, q) x, block by block."""
    parts = []
    for block in model.blocks:
        own = block.prior_sd * x[:, block.start : block.stop]
        parts.append(own if block.factor is None else own @ block.factor(theta))
    return jnp.concatenate(parts, 1)


def _condition(model: LinearGaussian, sums: PanelSums, theta: Mapping[str, Array]) -> tuple[Array, Array, Array, Array]:
    """Cholesky factor L of K, L⁻¹R'M_y, M_yy and log |Ω|."""
    m, log_det = information(model, sums, theta)
    inner = times_factor(model, theta, times_factor(model, theta, m[:-1, :-1]).T)
    chol = jnp.linalg.cholesky(jnp.eye(inner.shape[0]) + inner)
    right = times_factor(model, theta, m[-1:, :-1])[0]
    return chol, solve_triangular(chol, right, lower=True), m[-1, -1], log_det


def log_marginal(model: LinearGaussian, sums: PanelSums, theta: Mapping[str, Array]) -> Array:
    """Log p(y | θ), every coefficient and unit effect integrated out."""
    chol, w, yy, log_det = _condition(model, sums, theta)
    quadratic = yy - w @ w
    return sums.half_log_weight - jnp.sum(jnp.log(jnp.diag(chol))) - 0.5 * (log_det + quadratic + sums.rows * LOG_2PI)


def log_density(model: LinearGaussian, sums: PanelSums, t: Array) -> Array:
    """Log p(y, t) for the (n_hyper,) probits t of θ."""
    value = log_marginal(model, sums, model.theta(t)) - 0.5 * (t @ t + t.size * LOG_2PI)
    return jnp.where(jnp.isfinite(value), value, -jnp.inf)


def draw_sites(model: LinearGaussian, sums: PanelSums, t: Array, key: Array) -> dict[str, Array]:
    """θ and one exact draw of every coefficient site given it."""
    theta = model.theta(t)
    chol, w, _, _ = _condition(model, sums, theta)
    noise = jax.random.normal(key, w.shape, w.dtype)
    z = solve_triangular(chol, w + noise, lower=True, trans="T")
    sites, start = dict(theta), 0
    for block in model.blocks:
        sites[block.site] = block.prior_sd * z[start : start + block.size].reshape(block.shape)
        start += block.size
    return sites
