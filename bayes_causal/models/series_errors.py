"""Errors of a structural time series: what the twins, the state space, a forecast and the likelihood need of each structure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from bayes_causal.models.series_design import SeriesDesign
from bayes_causal.numerics import ar1

Sites = Mapping[str, np.ndarray]
AVERAGED = 64


class SeriesErrors(Protocol):
    """How errors of one series hang together; σ is the sd of their innovations."""

    @property
    def names(self) -> tuple[str, ...]:
        """Sites of its own, all with top-level priors."""
        ...

    @property
    def order(self) -> int:
        """Errors before an error that it depends on; at 0 they are the filter's own noise, else as many of its states."""
        ...

    @property
    def tails(self) -> float | None:
        """Rate of the prior of ν; None where they are normal."""
        ...

    @property
    def no_collapsed_form(self) -> str | None:
        """Why they cannot be integrated out; None where they can."""
        ...

    def hypers(self) -> tuple[Any, ...]:
        """Its sites as hyperparameters of the collapsed form, ν aside."""
        ...

    def numpyro(self, mean: Any, sigma: Any, d: SeriesDesign) -> None:
        """The fitted outcomes given their (span,) mean, in NumPyro."""
        ...

    def pymc(self, mean: Any, sigma: Any, d: SeriesDesign) -> None:
        """The fitted outcomes given their (span,) mean, in PyMC."""
        ...

    def ahead(self, expected: np.ndarray, sites: Sites, d: SeriesDesign, rng: np.random.Generator) -> np.ndarray:
        """(..., T) errors: drawn anew up to the last fitted row, and from there on continuing those of the fitted rows."""
        ...

    def anew(self, sites: Sites, d: SeriesDesign, rng: np.random.Generator) -> np.ndarray:
        """(S, N) errors of the fitted rows, drawn anew."""
        ...

    def log_likelihood(self, residual: np.ndarray, sites: Sites, d: SeriesDesign) -> np.ndarray:
        """(S, N) log density of each fitted outcome given the outcomes before it, from its (S, N) distance to the mean."""
        ...

    def named(self, sites: Sites) -> dict[str, np.ndarray]:
        """What is reported of it."""
        ...


@dataclass(frozen=True)
class Independent:
    """ε_t ~ N(0, σ)."""

    order: ClassVar[int] = 0
    tails: ClassVar[None] = None
    no_collapsed_form: ClassVar[None] = None

    @property
    def names(self) -> tuple[str, ...]:
        """None."""
        return ()

    def hypers(self) -> tuple[Any, ...]:
        """None."""
        return ()

    def numpyro(self, mean: Any, sigma: Any, d: SeriesDesign) -> None:
        """A normal a row."""
        from numpyro import sample
        from numpyro.distributions import Normal

        sample("y", Normal(mean[d.fitted_rows], sigma).to_event(1), obs=d.y[d.fitted_rows])

    def pymc(self, mean: Any, sigma: Any, d: SeriesDesign) -> None:
        """A normal a row."""
        import pymc as pm

        pm.Normal("y", mean[d.fitted_rows], sigma, observed=d.y[d.fitted_rows], dims="row")

    def ahead(self, expected: np.ndarray, sites: Sites, d: SeriesDesign, rng: np.random.Generator) -> np.ndarray:
        """White noise."""
        return np.asarray(sites["sigma"][..., None] * rng.standard_normal(expected.shape))

    def anew(self, sites: Sites, d: SeriesDesign, rng: np.random.Generator) -> np.ndarray:
        """White noise."""
        return np.asarray(sites["sigma"][:, None] * rng.standard_normal((sites["sigma"].size, d.fitted_rows.size)))

    def log_likelihood(self, residual: np.ndarray, sites: Sites, d: SeriesDesign) -> np.ndarray:
        """Of a normal a row."""
        sd = sites["sigma"][:, None]
        return np.asarray(-0.5 * ((residual / sd) ** 2 + np.log(2 * np.pi)) - np.log(sd))

    def named(self, sites: Sites) -> dict[str, np.ndarray]:
        """Nothing."""
        return {}


@dataclass(frozen=True)
class Autoregressive:
    """ε_t = ρ ε_{t−1} + v_t, v_t ~ N(0, σ), from the stationary distribution on."""

    order: ClassVar[int] = 1
    tails: ClassVar[None] = None
    no_collapsed_form: ClassVar[None] = None

    @property
    def names(self) -> tuple[str, ...]:
        """ρ."""
        return ("rho",)

    def hypers(self) -> tuple[Any, ...]:
        """Uniform on (−1, 1)."""
        from bayes_causal.numerics.linear_gaussian import Hyper

        return (Hyper("rho", "uniform"),)

    def numpyro(self, mean: Any, sigma: Any, d: SeriesDesign) -> None:
        """Each fitted outcome given the one before it, ρ^gap apart."""
        import jax.numpy as jnp
        from numpyro import sample
        from numpyro.distributions import Normal, Uniform

        y, expected = d.y[d.fitted_rows], mean[d.fitted_rows]
        rho = sample("rho", Uniform(-1.0, 1.0))
        c = jnp.where(d.gap > 0, rho ** jnp.maximum(d.gap, 1), 0.0)
        expected = expected + c * jnp.concatenate([jnp.zeros(1), (y - expected)[:-1]])
        sample("y", Normal(expected, sigma * jnp.sqrt((1 - c**2) / (1 - rho**2))).to_event(1), obs=y)

    def pymc(self, mean: Any, sigma: Any, d: SeriesDesign) -> None:
        """Each fitted outcome given the one before it, ρ^gap apart."""
        import pymc as pm
        import pytensor.tensor as pt

        y, expected = d.y[d.fitted_rows], mean[d.fitted_rows]
        rho = pm.Uniform("rho", np.float64(-1.0), np.float64(1.0))
        c = pt.where(d.gap > 0, rho ** np.maximum(d.gap, 1), 0.0)
        expected = expected + c * pt.concatenate([pt.zeros(1), (y - expected)[:-1]])
        pm.Normal("y", expected, sigma * pt.sqrt((1 - c**2) / (1 - rho**2)), observed=y, dims="row")

    def ahead(self, expected: np.ndarray, sites: Sites, d: SeriesDesign, rng: np.random.Generator) -> np.ndarray:
        """The error of the last fitted row, dying away, and new innovations."""
        return _carried(sites["sigma"][..., None] * rng.standard_normal(expected.shape), expected, sites["rho"], d)

    def anew(self, sites: Sites, d: SeriesDesign, rng: np.random.Generator) -> np.ndarray:
        """One stationary series over the gaps."""
        return ar1.simulate(sites["rho"], sites["sigma"], d.gap, rng)

    def log_likelihood(self, residual: np.ndarray, sites: Sites, d: SeriesDesign) -> np.ndarray:
        """Of each innovation over its gap."""
        sd = ar1.innovation_sd(sites["rho"], sites["sigma"], d.gap)
        z = ar1.whiten(residual, ar1.carry(sites["rho"], d.gap), sd)
        return np.asarray(-0.5 * (z**2 + np.log(2 * np.pi)) - np.log(sd))

    def named(self, sites: Sites) -> dict[str, np.ndarray]:
        """ρ."""
        return {"rho": sites["rho"]}


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

    def numpyro(self, mean: Any, sigma: Any, d: SeriesDesign) -> None:
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

    def pymc(self, mean: Any, sigma: Any, d: SeriesDesign) -> None:
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

    def ahead(self, expected: np.ndarray, sites: Sites, d: SeriesDesign, rng: np.random.Generator) -> np.ndarray:
        """As of normal ones, every innovation with tails."""
        noise = self._innovations(sites, expected.shape, rng)
        return _carried(noise, expected, sites["rho"], d) if self.autoregressive else noise

    def anew(self, sites: Sites, d: SeriesDesign, rng: np.random.Generator) -> np.ndarray:
        """One series over all rows of the span, of which the fitted ones are kept."""
        noise = self._innovations(sites, (sites["sigma"].size, d.span), rng)
        if self.autoregressive:
            noise = _carried(noise, None, sites["rho"], d)
        return noise[:, d.fitted_rows]

    def log_likelihood(self, residual: np.ndarray, sites: Sites, d: SeriesDesign) -> np.ndarray:
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


def _carried(noise: np.ndarray, expected: np.ndarray | None, rho: np.ndarray, d: SeriesDesign) -> np.ndarray:
    """(..., T) AR(1) errors of innovations (..., T); after the last fitted row they continue its error, given an expectation."""
    last = d.span - 1
    noise[..., 0] /= np.sqrt(1 - rho**2)
    for t in range(1, noise.shape[-1]):
        known = expected is not None and t == last + 1
        before = d.y[last] - expected[..., last] if known and expected is not None else noise[..., t - 1]
        noise[..., t] += rho * before
    return noise


def _since(d: SeriesDesign) -> tuple[np.ndarray, np.ndarray]:
    """(N, span) whether a row lies after the fitted one before and not after this one, and how many rows before this one."""
    at, row = d.fitted_rows, np.arange(d.span)
    before = np.concatenate([[-1], at[:-1]])
    return (row > before[:, None]) & (row <= at[:, None]), np.maximum(at[:, None] - row, 0)
