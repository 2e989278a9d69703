"""Errors of a structural time series with tails heavier than normal ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from bayes_causal.models.series_errors import Autoregressive, OneSeries, Sites, carried
from bayes_causal.numerics import ar1

AVERAGED = 64


@dataclass(frozen=True)
class StudentT:
    """v_t ~ t_ν(0, σ), as v_t ~ N(0, σ²/λ_t) with λ_t ~ Gamma(ν/2, ν/2); ε_t = ρ ε_{t−1} + v_t, or v_t itself.

    Every row up to the last that is fitted has a λ_t, so that an outcome after a gap is as exact as any other. ε_1 is v_1 over
    √(1 − ρ²). ν ~ Gamma(2, rate) (Juárez & Steel 2010, doi:10.1198/jbes.2009.07145).

    Parameters
    ----------
    autoregressive : whether there is a ρ
    tails : rate
    """

    autoregressive: bool
    tails: float
    order: ClassVar[int] = 1
    no_collapsed_form: ClassVar[str] = "a Student-t error has a precision for each row, which no normal integral removes"

    @property
    def names(self) -> tuple[str, ...]:
        """ν, and ρ."""
        return ("rho", "nu") if self.autoregressive else ("nu",)

    def hypers(self) -> tuple[Any, ...]:
        """ρ, uniform on (−1, 1)."""
        return Autoregressive().hypers() if self.autoregressive else ()

    def numpyro(self, mean: Any, sigma: Any, d: OneSeries) -> None:
        """Each fitted outcome given the one before it and the precisions of the rows since."""
        import jax.numpy as jnp
        from numpyro import sample
        from numpyro.distributions import Gamma, Normal, Uniform

        y, expected, since, power = d.y[d.fitted_rows], mean[d.fitted_rows], *_since(d)
        rho = sample("rho", Uniform(-1.0, 1.0)) if self.autoregressive else jnp.zeros(())
        nu = sample("nu", Gamma(2.0, self.tails))
        mixing = sample("mixing", Gamma(nu / 2, nu / 2).expand([d.span]).to_event(1))
        first = jnp.where(np.arange(d.span) == 0, 1 / (1 - rho**2), 1.0)
        variance = (
            jnp.where(since, (rho**2) ** power, 0.0) @ (first / mixing) if self.autoregressive else 1 / mixing[d.fitted_rows]
        )
        c = jnp.where(d.gap > 0, rho ** jnp.maximum(d.gap, 1), 0.0)
        expected = expected + c * jnp.concatenate([jnp.zeros(1), (y - expected)[:-1]])
        sample("y", Normal(expected, sigma * jnp.sqrt(variance)).to_event(1), obs=y)

    def pymc(self, mean: Any, sigma: Any, d: OneSeries) -> None:
        """Each fitted outcome given the one before it and the precisions of the rows since."""
        import pymc as pm
        import pytensor.tensor as pt

        y, expected, since, power = d.y[d.fitted_rows], mean[d.fitted_rows], *_since(d)
        rho = pm.Uniform("rho", np.float64(-1.0), np.float64(1.0)) if self.autoregressive else pt.zeros(())
        nu = pm.Gamma("nu", np.float64(2.0), np.float64(self.tails))
        mixing = pm.Gamma("mixing", nu / 2, nu / 2, shape=d.span)
        first = pt.where(np.arange(d.span) == 0, 1 / (1 - rho**2), 1.0)
        if self.autoregressive:
            variance = pt.dot(pt.where(since, (rho**2) ** power, 0.0), first / mixing)
        else:
            variance = 1 / mixing[d.fitted_rows]
        c = pt.where(d.gap > 0, rho ** np.maximum(d.gap, 1), 0.0)
        expected = expected + c * pt.concatenate([pt.zeros(1), (y - expected)[:-1]])
        pm.Normal("y", expected, sigma * pt.sqrt(variance), observed=y, dims="row")

    def ahead(self, expected: np.ndarray, sites: Sites, d: OneSeries, rng: np.random.Generator) -> np.ndarray:
        """As of normal ones, every innovation with tails."""
        noise = self._innovations(sites, expected.shape, rng)
        return carried(noise, expected, sites["rho"], d) if self.autoregressive else noise

    def anew(self, sites: Sites, d: OneSeries, rng: np.random.Generator) -> np.ndarray:
        """One series over all rows of the span, of which the fitted ones are kept."""
        noise = self._innovations(sites, (sites["sigma"].size, d.span), rng)
        if self.autoregressive:
            noise = carried(noise, None, sites["rho"], d)
        return noise[:, d.fitted_rows]

    def log_likelihood(self, residual: np.ndarray, sites: Sites, d: OneSeries) -> np.ndarray:
        """Of each innovation with its precision integrated out.

        Where rows are missing before an outcome, over their precisions too: an average over `AVERAGED` draws of all of them.
        """
        from scipy.stats import t as student

        rho = sites.get("rho", np.zeros_like(sites["sigma"]))
        z = ar1.whiten(residual, ar1.carry(rho, d.gap), sites["sigma"][:, None])
        scale = np.where(d.fitted_rows == 0, 1 / np.sqrt(1 - rho[:, None] ** 2), 1.0)
        value = student.logpdf(z, sites["nu"][:, None], scale=scale) - np.log(sites["sigma"])[:, None]
        if not self.autoregressive:
            return np.asarray(value)
        rng, since, power = np.random.default_rng(0), *_since(d)
        for k in np.flatnonzero(since.sum(1) > 1):
            rows = np.flatnonzero(since[k])
            shape = sites["nu"][:, None, None] / 2
            mixing = rng.gamma(shape, 1 / shape, (rho.size, AVERAGED, rows.size))
            weight = np.where(rows == 0, 1 / (1 - rho[:, None] ** 2), 1.0) * rho[:, None] ** (2 * power[k, rows])
            variance = (weight[:, None] / mixing).sum(-1)
            density = -0.5 * (np.log(2 * np.pi * variance) + z[:, k, None] ** 2 / variance)
            value[:, k] = np.logaddexp.reduce(density, 1) - np.log(AVERAGED) - np.log(sites["sigma"])
        return np.asarray(value)

    def named(self, sites: Sites) -> dict[str, np.ndarray]:
        """ν and ρ."""
        return {k: sites[k] for k in self.names}

    def _innovations(self, sites: Sites, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        return np.asarray(sites["sigma"][..., None] * rng.standard_t(sites["nu"][..., None], shape))


def _since(d: OneSeries) -> tuple[np.ndarray, np.ndarray]:
    """(N, span) whether a row lies after the fitted one before and not after this one, and how many rows before this one."""
    at, row = d.fitted_rows, np.arange(d.span)
    before = np.concatenate([[-1], at[:-1]])
    return (row > before[:, None]) & (row <= at[:, None]), np.maximum(at[:, None] - row, 0)
