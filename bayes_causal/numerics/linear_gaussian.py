"""Linear models with Gaussian coefficients given a few hyperparameters θ: the marginal density of θ, and exact draws of the rest.

    y = Z b + u_i + ε,   b = R(θ) z,   z ~ N(0, I),   u_i ~ N(0, σ_α),   ε iid or AR(1)

and, where slopes vary, + v_i D_it with v_i ~ N(0, σ_v).

With M = Z'Ω⁻¹Z, Ω the covariance of u and ε together, the posterior of z is N(K⁻¹R'M_y, K⁻¹) where K = I + R'MR: always well
conditioned, also where a scale in R goes to zero. θ is carried as t with F_prior(θ) = Φ(t), so that its prior is N(0, I).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import ndtr, ndtri
from scipy import special

from bayes_causal.numerics.jitted import jitted
from bayes_causal.numerics.panel_sums import PanelSums, loading_weights, log_variance, product_weights
from bayes_causal.numerics.unit_effects import BLOCK, integrated, loading_pairs

LOG_2PI = float(np.log(2 * np.pi))


@dataclass(frozen=True)
class Hyper:
    """One hyperparameter and its prior: half-normal or half-Cauchy with a scale, uniform on (−1, 1), or normal cut off there."""

    name: str
    prior: Literal["half_normal", "half_cauchy", "uniform", "cut_normal"]
    scale: float = 1.0

    def value(self, t: Array) -> Array:
        """The value at t, where F_prior(value) = Φ(t)."""
        if self.prior == "uniform":
            return 2 * ndtr(t) - 1
        if self.prior == "half_cauchy":
            low, high = jnp.tan(jnp.pi / 2 * ndtr(jnp.minimum(t, 0.0))), jnp.tan(jnp.pi / 2 * ndtr(jnp.minimum(-t, 0.0)))
            return self.scale * jnp.where(t < 0, low, 1 / high)
        if self.prior == "cut_normal":
            return self.scale * ndtri(0.5 + self._half * (2 * ndtr(t) - 1))
        return -self.scale * ndtri(0.5 * ndtr(-t))

    def probit(self, value: np.ndarray) -> np.ndarray:
        """Where `value` is this: its inverse, in NumPy."""
        if self.prior == "uniform":
            return np.asarray(special.ndtri((value + 1) / 2))
        if self.prior == "half_cauchy":
            return np.asarray(-special.ndtri(2 / np.pi * np.arctan2(self.scale, value)))
        if self.prior == "cut_normal":
            return np.asarray(special.ndtri((1 + (special.ndtr(value / self.scale) - 0.5) / self._half) / 2))
        return np.asarray(-special.ndtri(2 * special.ndtr(-value / self.scale)))

    def log_prior(self, t: Array) -> Array:
        """Log density of t: of N(0, 1)."""
        return -0.5 * (t * t + LOG_2PI)

    @property
    def _half(self) -> float:
        """Mass of the normal between 0 and 1."""
        return float(special.ndtr(1 / self.scale)) - 0.5


@dataclass(frozen=True, eq=False)
class Block:
    """One site of the coefficients and the columns it loads on: b[start:stop] gains θ[scale] · prior_sd · loading @ z.

    Parameters
    ----------
    site : name of the site
    shape : () or (n,)
    prior_sd : sd of the site's N(0, prior_sd) prior
    start, stop : the columns of Z it loads on
    loading : (stop − start, n); None is the identity
    scale : name of the hyperparameter that multiplies it; None is one
    """

    site: str
    shape: tuple[int, ...]
    prior_sd: float
    start: int
    stop: int
    loading: np.ndarray | None = None
    scale: str | None = None

    @property
    def size(self) -> int:
        """n, 1 for a scalar."""
        return self.shape[0] if self.shape else 1


def loads(blocks: Sequence[Block]) -> np.ndarray:
    """(q + 1, n + 1) how the q columns and y load on the n standard normals z of the blocks, scales at one, and on y itself."""
    q, n = max(b.stop for b in blocks), sum(b.size for b in blocks)
    load, at = np.zeros((q + 1, n + 1)), 0
    load[-1, -1] = 1.0
    for b in blocks:
        load[b.start : b.stop, at : at + b.size] = b.prior_sd * (np.eye(b.size) if b.loading is None else b.loading)
        at += b.size
    return load


def scales(blocks: Sequence[Block], theta: Mapping[str, Array]) -> Array:
    """(n,) what θ multiplies each z by."""
    one = jnp.ones(())
    return jnp.concatenate([jnp.broadcast_to(theta[b.scale] if b.scale else one, (b.size,)) for b in blocks])


def sites_of(blocks: Sequence[Block], z: Array) -> dict[str, Array]:
    """The site of each block from its (n,) standard normals."""
    sites, start = {}, 0
    for block in blocks:
        sites[block.site] = block.prior_sd * z[start : start + block.size].reshape(block.shape)
        start += block.size
    return sites


@dataclass(frozen=True, eq=False)
class LinearGaussian:
    """What can be integrated out of a model, and how. `linear_gaussian` makes one.

    Parameters
    ----------
    hypers : θ; `sigma` and `sigma_unit` are among them, and `rho` where errors are AR(1)
    blocks : the coefficients
    sums : what the data say about z at θ = 1, y last; the functions below take them beside the form, so that programs are shared
        between data
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
        """Number of standard normal coefficients z."""
        return sum(b.size for b in self.blocks)

    def theta(self, t: Array) -> dict[str, Array]:
        """θ by name from its (n_hyper,) probits."""
        return {h.name: h.value(t[k]) for k, h in enumerate(self.hypers)}

    def scales(self, theta: Mapping[str, Array]) -> Array:
        """(n,) what θ multiplies each z by."""
        return scales(self.blocks, theta)

    def bare(self) -> LinearGaussian:
        """The form without its data."""
        return replace(self, sums=None)

    def signature(self) -> tuple[Any, ...]:
        """What two forms must share to be one program: hyperparameters, gaps, and the scales of the blocks."""
        return self.gaps, self.unit_scales, self.hypers, tuple((b.site, b.shape, b.prior_sd, b.scale) for b in self.blocks)

    def log_density(self, sums: PanelSums, t: Array) -> Array:
        """`log_density` of this form."""
        return log_density(self, sums, t)

    def draw_sites(self, sums: PanelSums, t: Array, key: Array) -> dict[str, Array]:
        """`draw_sites` of this form."""
        return draw_sites(self, sums, t, key)

    @property
    def width(self) -> int:
        """Numbers held for each point: the n × n products dominate."""
        return self.columns**2

    def matrices(self, sums: PanelSums) -> int:
        """Numbers in the matrices of one density."""
        n = self.columns + 1
        return n * (n + (min(sums.units.size, BLOCK) * len(self.unit_scales) if sums.by_unit else 0))

    def said(self, sums: PanelSums) -> str:
        """What is integrated out, in words; how the effects of units are, where it is not in one class alone."""
        size, n = f"{self.columns} columns integrated out", int(sums.units.size)
        if sums.by_unit:
            return f"{size}, {n:,} units one by one, at O(units × columns²) a density"
        return f"{size}, {n} classes of units" if len(self.unit_scales) > 1 else size


def linear_gaussian(
    hypers: tuple[Hyper, ...],
    blocks: tuple[Block, ...],
    sums: PanelSums,
    gaps: tuple[int, ...] | None,
    unit_scales: tuple[str, ...] = ("sigma_unit",),
) -> LinearGaussian:
    """The form of a model from the sums of its q columns Z, y last.

    Loadings are constant, so they are applied to the sums here, once: a density then only scales rows and columns.
    """
    load = loads(blocks)
    loaded = sums.loadings @ load if sums.by_unit else load.T @ sums.loadings @ load
    loaded_sums = sums._replace(products=load.T @ sums.products @ load, loadings=loaded)
    return LinearGaussian(hypers, blocks, loaded_sums, gaps, unit_scales)


def information(model: LinearGaussian, sums: PanelSums, theta: Mapping[str, Array]) -> tuple[Array, Array]:
    """(q+1, q+1) [Z y]'Ω⁻¹[Z y], and log |Ω| without the weights."""
    rho, sigma2 = theta.get("rho", jnp.zeros(())), theta["sigma"] ** 2
    scales = [theta[name] for name in model.unit_scales]
    a = jnp.stack(product_weights(rho, model.gaps))
    phi = jnp.stack(loading_weights(rho, model.gaps, sums.unit_products.shape[1] // len(loading_pairs(len(scales)))))
    taken, added = integrated(sums, phi, scales, sigma2)
    m = jnp.tensordot(a, sums.products, 1) / sigma2 - taken
    return m, sums.rows * jnp.log(sigma2) + log_variance(rho, sums, model.gaps) + added


def _condition(model: LinearGaussian, sums: PanelSums, theta: Mapping[str, Array]) -> tuple[Array, Array, Array, Array]:
    """Cholesky factor L of K, L⁻¹R'M_y, M_yy and log |Ω|."""
    m, log_det = information(model, sums, theta)
    r = model.scales(theta)
    chol = jnp.linalg.cholesky(jnp.eye(r.size) + m[:-1, :-1] * r[:, None] * r)
    return chol, solve_triangular(chol, m[-1, :-1] * r, lower=True), m[-1, -1], log_det


def log_marginal(model: LinearGaussian, sums: PanelSums, theta: Mapping[str, Array]) -> Array:
    """Log p(y | θ), every coefficient and unit effect integrated out."""
    chol, w, yy, log_det = _condition(model, sums, theta)
    quadratic = yy - w @ w
    return sums.half_log_weight - jnp.sum(jnp.log(jnp.diag(chol))) - 0.5 * (log_det + quadratic + sums.rows * LOG_2PI)


def log_likelihood(model: LinearGaussian, sites: Mapping[str, Any]) -> np.ndarray:
    """(S,) log p(y | θ, b), unit effects integrated out, from sites (S, ...)."""

    def one(sums: PanelSums, drawn: Mapping[str, Array]) -> Array:
        theta = {h.name: drawn[h.name] for h in model.hypers}
        z = jnp.concatenate([jnp.reshape(drawn[b.site], (b.size,)) / b.prior_sd for b in model.blocks])
        m, log_det = information(model, sums, theta)
        r = jnp.append(-model.scales(theta) * z, 1.0)
        return sums.half_log_weight - 0.5 * (log_det + r @ m @ r + sums.rows * LOG_2PI)

    with jax.enable_x64(True):
        names = [h.name for h in model.hypers] + [b.site for b in model.blocks]
        drawn = {k: jnp.asarray(sites[k]) for k in names}
        sums = jax.tree.map(jnp.asarray, model.sums)
        return np.asarray(jitted(jax.vmap(one, (None, 0)))(sums, drawn))


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
    return theta | sites_of(model.blocks, z)
