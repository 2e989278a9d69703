"""Errors of one series: what the twins, the state space, a forecast and the likelihood need of each structure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from bayes_causal.numerics import ar1

Sites = Mapping[str, np.ndarray]


class OneSeries(Protocol):
    """One outcome over T rows at regular steps: (T,) `y`, (N,) positions of the rows fitted, and rows between them."""

    @property
    def y(self) -> np.ndarray:
        """(T,) standardised outcome, NaN where missing."""
        ...

    @property
    def rows(self) -> int:
        """T."""
        ...

    @property
    def fitted(self) -> np.ndarray:
        """(T,) rows the likelihood holds."""
        ...

    @property
    def fitted_rows(self) -> np.ndarray:
        """(N,) their positions."""
        ...

    @property
    def span(self) -> int:
        """Rows up to the last that the likelihood holds."""
        ...

    @property
    def gap(self) -> np.ndarray:
        """(N,) rows since the previous fitted one, 0 for the first."""
        ...


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

    def numpyro(self, mean: Any, sigma: Any, d: OneSeries) -> None:
        """The fitted outcomes given their (span,) mean, in NumPyro."""
        ...

    def pymc(self, mean: Any, sigma: Any, d: OneSeries) -> None:
        """The fitted outcomes given their (span,) mean, in PyMC."""
        ...

    def ahead(self, expected: np.ndarray, sites: Sites, d: OneSeries, rng: np.random.Generator) -> np.ndarray:
        """(..., T) errors: drawn anew up to the last fitted row, and from there on continuing those of the fitted rows."""
        ...

    def anew(self, sites: Sites, d: OneSeries, rng: np.random.Generator) -> np.ndarray:
        """(S, N) errors of the fitted rows, drawn anew."""
        ...

    def log_likelihood(self, residual: np.ndarray, sites: Sites, d: OneSeries) -> np.ndarray:
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

    def numpyro(self, mean: Any, sigma: Any, d: OneSeries) -> None:
        """A normal a row."""
        from numpyro import sample
        from numpyro.distributions import Normal

        sample("y", Normal(mean[d.fitted_rows], sigma).to_event(1), obs=d.y[d.fitted_rows])

    def pymc(self, mean: Any, sigma: Any, d: OneSeries) -> None:
        """A normal a row."""
        import pymc as pm

        pm.Normal("y", mean[d.fitted_rows], sigma, observed=d.y[d.fitted_rows], dims="row")

    def ahead(self, expected: np.ndarray, sites: Sites, d: OneSeries, rng: np.random.Generator) -> np.ndarray:
        """White noise."""
        return np.asarray(sites["sigma"][..., None] * rng.standard_normal(expected.shape))

    def anew(self, sites: Sites, d: OneSeries, rng: np.random.Generator) -> np.ndarray:
        """White noise."""
        return np.asarray(sites["sigma"][:, None] * rng.standard_normal((sites["sigma"].size, d.fitted_rows.size)))

    def log_likelihood(self, residual: np.ndarray, sites: Sites, d: OneSeries) -> np.ndarray:
        """Of a normal a row."""
        sd = sites["sigma"][:, None]
        return np.asarray(-0.5 * ((residual / sd) ** 2 + np.log(2 * np.pi)) - np.log(sd))

    def named(self, sites: Sites) -> dict[str, np.ndarray]:
        """Nothing."""
        return {}


@dataclass(frozen=True)
class Autoregressive:
    """ε_t = ρ ε_{t−1} + v_t, v_t ~ N(0, σ), from the stationary distribution on; (1 + ρ)/2 ~ Beta(b, b), b the `shape`."""

    shape: float = 1.0

    order: ClassVar[int] = 1
    tails: ClassVar[None] = None
    no_collapsed_form: ClassVar[None] = None

    @property
    def names(self) -> tuple[str, ...]:
        """ρ."""
        return ("rho",)

    def hypers(self) -> tuple[Any, ...]:
        """Uniform on (−1, 1), the one prior that has a collapsed form."""
        if self.shape != 1:
            raise ValueError(f"ρ is uniform in the collapsed form, and has a beta prior of shape {self.shape:g}")
        from bayes_causal.numerics.linear_gaussian import Hyper

        return (Hyper("rho", "uniform"),)

    def numpyro(self, mean: Any, sigma: Any, d: OneSeries) -> None:
        """Each fitted outcome given the one before it, ρ^gap apart."""
        import jax.numpy as jnp
        from numpyro import sample
        from numpyro.distributions import Beta, Normal, TransformedDistribution, Uniform, constraints, transforms

        y, expected = d.y[d.fitted_rows], mean[d.fitted_rows]
        wide = transforms.AffineTransform(-1.0, 2.0, domain=constraints.unit_interval)
        beta = TransformedDistribution(Beta(self.shape, self.shape), wide)
        rho = sample("rho", Uniform(-1.0, 1.0) if self.shape == 1 else beta)
        c = jnp.where(d.gap > 0, rho ** jnp.maximum(d.gap, 1), 0.0)
        expected = expected + c * jnp.concatenate([jnp.zeros(1), (y - expected)[:-1]])
        sample("y", Normal(expected, sigma * jnp.sqrt((1 - c**2) / (1 - rho**2))).to_event(1), obs=y)

    def pymc(self, mean: Any, sigma: Any, d: OneSeries) -> None:
        """Each fitted outcome given the one before it, ρ^gap apart."""
        import pymc as pm
        import pytensor.tensor as pt

        y, expected = d.y[d.fitted_rows], mean[d.fitted_rows]
        ends, shape = (np.float64(-1.0), np.float64(1.0)), np.float64(self.shape)
        if self.shape == 1:
            rho = pm.Uniform("rho", *ends)
        else:
            interval = pm.distributions.transforms.Interval(*ends)
            rho = pm.CustomDist("rho", shape, dist=lambda b, size: 2 * pm.Beta.dist(b, b, size=size) - 1, transform=interval)
        c = pt.where(d.gap > 0, rho ** np.maximum(d.gap, 1), 0.0)
        expected = expected + c * pt.concatenate([pt.zeros(1), (y - expected)[:-1]])
        pm.Normal("y", expected, sigma * pt.sqrt((1 - c**2) / (1 - rho**2)), observed=y, dims="row")

    def ahead(self, expected: np.ndarray, sites: Sites, d: OneSeries, rng: np.random.Generator) -> np.ndarray:
        """The error of the last fitted row, dying away, and new innovations."""
        return carried(sites["sigma"][..., None] * rng.standard_normal(expected.shape), expected, sites["rho"], d)

    def anew(self, sites: Sites, d: OneSeries, rng: np.random.Generator) -> np.ndarray:
        """One stationary series over the gaps."""
        return ar1.simulate(sites["rho"], sites["sigma"], d.gap, rng)

    def log_likelihood(self, residual: np.ndarray, sites: Sites, d: OneSeries) -> np.ndarray:
        """Of each innovation over its gap."""
        sd = ar1.innovation_sd(sites["rho"], sites["sigma"], d.gap)
        z = ar1.whiten(residual, ar1.carry(sites["rho"], d.gap), sd)
        return np.asarray(-0.5 * (z**2 + np.log(2 * np.pi)) - np.log(sd))

    def named(self, sites: Sites) -> dict[str, np.ndarray]:
        """ρ."""
        return {"rho": sites["rho"]}


def carried(noise: np.ndarray, expected: np.ndarray | None, rho: np.ndarray, d: OneSeries) -> np.ndarray:
    """(..., T) AR(1) errors of innovations (..., T); after the last fitted row they continue its error, given an expectation."""
    last = d.span - 1
    noise[..., 0] /= np.sqrt(1 - rho**2)
    for t in range(1, noise.shape[-1]):
        known = expected is not None and t == last + 1
        before = d.y[last] - expected[..., last] if known and expected is not None else noise[..., t - 1]
        noise[..., t] += rho * before
    return noise
