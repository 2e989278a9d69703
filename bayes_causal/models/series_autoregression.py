"""Errors of a structural time series that depend on more than the one before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from bayes_causal.models.series_errors import OneSeries, Sites
from bayes_causal.numerics import autoregression


@dataclass(frozen=True)
class HigherOrder:
    """ε_t = Σ_k φ_k ε_{t−k} + v_t, v_t ~ N(0, σ), k up to `order`, from the stationary distribution on.

    Partial autocorrelations are uniform on (−1, 1), each by itself.
    """

    order: int
    tails: ClassVar[None] = None
    no_collapsed_form: ClassVar[None] = None

    @property
    def names(self) -> tuple[str, ...]:
        """Partial autocorrelations."""
        return autoregression.names(self.order)

    def hypers(self) -> tuple[Any, ...]:
        """Uniform on (−1, 1)."""
        from bayes_causal.numerics.linear_gaussian import Hyper

        return tuple(Hyper(name, "uniform") for name in self.names)

    def numpyro(self, mean: Any, sigma: Any, d: OneSeries) -> None:
        """The fitted outcomes at once, the errors of missing ones integrated out."""
        from numpyro import sample
        from numpyro.distributions import Uniform

        from bayes_causal.models.autoregressive_normal import AutoregressiveNormal

        partial = [sample(name, Uniform(-1.0, 1.0)) for name in self.names]
        seen = d.fitted[: d.span]
        sample("y", AutoregressiveNormal(mean[d.fitted_rows], seen, partial, sigma), obs=d.y[d.fitted_rows])

    def pymc(self, mean: Any, sigma: Any, d: OneSeries) -> None:
        """The fitted outcomes at once, the errors of missing ones integrated out."""
        import pymc as pm
        import pytensor.tensor as pt

        partial = [pm.Uniform(name, np.float64(-1.0), np.float64(1.0)) for name in self.names]
        seen = d.fitted[: d.span]

        def logp(y: Any, mean: Any, sigma: Any, *partial: Any) -> Any:
            return autoregression.log_density(y - mean, seen, partial, sigma, pt)

        at = d.fitted_rows
        signature = f"(n),{','.join(['()'] * (1 + self.order))}->(n)"
        pm.CustomDist("y", mean[at], sigma, *partial, logp=logp, signature=signature, observed=d.y[at], dims="row")

    def ahead(self, expected: np.ndarray, sites: Sites, d: OneSeries, rng: np.random.Generator) -> np.ndarray:
        """The latest errors, those of missing outcomes drawn given all others, dying away; and new innovations."""
        partial, sigma = self._partial(sites), sites["sigma"].reshape(-1)
        flat = expected.reshape(-1, expected.shape[-1])
        before = autoregression.simulate(partial, sigma, d.span, rng)
        after = sigma[:, None] * rng.standard_normal((sigma.size, d.rows - d.span))
        seen = d.fitted[: d.span]
        error = np.where(seen, np.where(seen, d.y[: d.span], 0.0) - flat[:, : d.span], 0.0)
        state = autoregression.latest(error, seen, partial, sigma, rng)
        phi = np.array(autoregression.coefficients(list(partial.T))).T
        later = autoregression.carried_on(np.concatenate([state, after], 1), self.order, phi)[:, self.order :]
        return np.concatenate([before, later], 1).reshape(expected.shape)

    def anew(self, sites: Sites, d: OneSeries, rng: np.random.Generator) -> np.ndarray:
        """One stationary series, seen where outcomes are."""
        return autoregression.simulate(self._partial(sites), sites["sigma"], d.span, rng)[:, d.fitted_rows]

    def log_likelihood(self, residual: np.ndarray, sites: Sites, d: OneSeries) -> np.ndarray:
        """Of each innovation given all errors seen before it."""
        error = np.zeros((residual.shape[0], d.span))
        error[:, d.fitted_rows] = residual
        v, sd, *_ = autoregression.filtered(error, d.fitted[: d.span], self._partial(sites), sites["sigma"])
        return np.asarray(-0.5 * ((v / sd) ** 2 + np.log(2 * np.pi)) - np.log(sd))

    def named(self, sites: Sites) -> dict[str, np.ndarray]:
        """φ, over lags."""
        return {"ar": np.stack(autoregression.coefficients([sites[name] for name in self.names]), -1)}

    def _partial(self, sites: Sites) -> np.ndarray:
        return np.stack([sites[name].reshape(-1) for name in self.names], -1)
