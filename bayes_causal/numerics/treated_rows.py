"""What several treated units say, and what ties them together: densities of `bayes_causal.numerics.treated_units`, whose letters
these are.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.linalg import solve_triangular

from bayes_causal.numerics.weighted_rows import LOG_2PI


class UnitRows(NamedTuple):
    """Treated units of a group, each on its own scale; V units lead, left out below. T dates, J donors, K = J + 2 columns.

    Parameters
    ----------
    z : (T, K) columns [X, y, 1], zero on dates that are not used
    fitted : (T,) 1 on rows the likelihood holds
    before : (T,) the fitted row before, itself on the first
    code : (T,) 0 on the first fitted row, else 1 + which of the gaps lies before it
    counted : (T,) 1/H on the H treated rows
    ahead : (T,) 1 after the last fitted row
    last : () that row
    ratio : () scale of effects over the unit's own
    """

    z: Any
    fitted: Any
    before: Any
    code: Any
    counted: Any
    ahead: Any
    last: Any
    ratio: Any


class TreatedSums(NamedTuple):
    """The data. G groups of units, V units in all, T dates, D lengths of gaps.

    Parameters
    ----------
    groups : G times `UnitRows`
    constants : G times (CELLS,) log constants of the Dirichlet, see `ExchangeSums`
    gaps : (D,) whole numbers
    intercept_sd, sigma_scale, tau_sd, omega_scale : () scales of the priors, those of effects in units of effects
    log_range : (2,) ends of the uniform prior of log α
    """

    groups: Any
    constants: Any
    gaps: Any
    intercept_sd: Any
    sigma_scale: Any
    tau_sd: Any
    omega_scale: Any
    log_range: Any


class Given(NamedTuple):
    """What ties units together: mean τ and sd ω of effects, correlation c, (T,) shocks."""

    tau: Any
    omega: Any
    c: Any
    shock: Any


class Told(NamedTuple):
    """What units say of it: (V, T) innovations and which are fitted, (V, T) weights q, (V,) mean gaps and σ on one scale."""

    innovation: Any
    fitted: Any
    q: Any
    gap: Any
    sigma: Any


def over_gaps(gaps: Array, unit: UnitRows, rho: Array, columns: Array) -> tuple[Array, Array]:
    """(T, K) innovations of columns in units of σ, zero off the fitted rows; and the log determinant of the map."""
    c = jnp.concatenate([jnp.zeros(1), rho**gaps])[unit.code]
    scale = jnp.sqrt((1 - rho**2) / (1 - c**2))
    rows = (unit.fitted * scale)[:, None] * (columns - c[:, None] * columns[unit.before])
    return rows, unit.fitted @ jnp.log(scale)


def forecast(unit: UnitRows, rho: Array) -> tuple[Array, Array]:
    """(T,) weights of the innovations after the last fitted row in the mean error of treated rows, over σ; and of its error."""

    def back(q: Array, counted: Array) -> tuple[Array, Array]:
        q = counted + rho * q
        return q, q

    _, q = jax.lax.scan(back, jnp.zeros(()), unit.counted, reverse=True)
    return q * unit.ahead, q[unit.last]


def whitened(
    sums: TreatedSums, unit: UnitRows, given: Given, sigma: Array, rho: Array, columns: Array
) -> tuple[Array, Array, Array]:
    """(T + 1, K) rows and (T + 1,) means with unit variance, τ_i integrated out, the last for treated rows; log determinant."""
    own = 1 - given.c
    rows, log_det = over_gaps(sums.gaps, unit, rho, columns)
    q, b = forecast(unit, rho)
    sd = jnp.sqrt(own * sigma**2 * (q @ q) + (given.omega * unit.ratio) ** 2)
    mean = (unit.counted @ columns - b * columns[unit.last]) / sd
    shift = (unit.ratio * given.tau + sigma * jnp.sqrt(given.c) * (q @ given.shock)) / sd
    shifts = jnp.sqrt(given.c / own) * unit.fitted * given.shock
    n = unit.fitted.sum()
    log_det = log_det - n * jnp.log(sigma) - 0.5 * n * jnp.log(own) - jnp.log(sd)
    return jnp.vstack([rows / (sigma * jnp.sqrt(own)), mean]), jnp.append(shifts, shift), log_det


def log_unit(sums: TreatedSums, unit: UnitRows, given: Given, sigma: Array, rho: Array, columns: Array) -> Array:
    """Log density of a unit given what ties it to others, for (T, 2) residuals and ones, the intercept integrated out."""
    a, v, log_det = whitened(sums, unit, given, sigma, rho, columns)
    e, one = a[:, 0] - v, a[:, 1]
    inflated = 1 + sums.intercept_sd**2 * (one @ one)
    return log_det - 0.5 * jnp.log(inflated) - 0.5 * (e @ e - sums.intercept_sd**2 * (e @ one) ** 2 / inflated)


def moments(sums: TreatedSums, told: Told, omega: Array, c: Array) -> tuple[Array, Array, Array, Array, Array]:
    """What is known of shocks from fitted rows, and of mean gaps from both.

    Returns
    -------
    mean, precision : (T,) of the shocks
    loading : (V, T) of mean gaps on shocks; noise : (V,) sd of their own part
    root : (V, V) Cholesky factor of their covariance, effects and shocks integrated out
    """
    own, n = 1 - c, told.fitted.sum(0)
    precision = 1 + n * c / own
    mean = jnp.sqrt(c) / own * told.innovation.sum(0) / precision
    loading = jnp.sqrt(c) * told.sigma[:, None] * told.q
    noise = jnp.sqrt(own) * told.sigma * jnp.sqrt((told.q**2).sum(1))
    covariance = (loading / precision) @ loading.T + jnp.diag(noise**2 + omega**2) + sums.tau_sd**2
    return mean, precision, loading, noise, jnp.linalg.cholesky(covariance)


def log_shared(sums: TreatedSums, told: Told, omega: Array, c: Array) -> Array:
    """Log density of the innovations and the mean gaps, effects and shocks integrated out."""
    mean, precision, loading, _, root = moments(sums, told, omega, c)
    n, own = told.fitted.sum(), 1 - c
    fit = (told.innovation**2).sum() / own - (precision * mean**2).sum()
    value = -0.5 * (n * (jnp.log(own) + LOG_2PI) + jnp.log(precision).sum() + fit)
    z = solve_triangular(root, told.gap - loading @ mean, lower=True)
    return value - jnp.log(jnp.diagonal(root)).sum() - 0.5 * (z @ z + z.size * LOG_2PI)
