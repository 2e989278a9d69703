"""Normal outcomes, errors independent or AR(1): y = η + ε. Standardised by mean and sd of the untreated cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bayes_causal.data.panel import Panel
from bayes_causal.models import did_predictive
from bayes_causal.models.did_families.family import Named, Parts
from bayes_causal.models.panel_design import PanelDesign

if TYPE_CHECKING:
    from bayes_causal.models.did_priors import Priors
    from bayes_causal.numerics.unit_quadrature import RowDensity


class Gaussian:
    """√w_it ε_it is AR(1) with parameter ρ and innovation sd σ, stationary; or iid N(0, σ)."""

    link: ClassVar[str] = "identity"
    linear: ClassVar[bool] = True
    normal: ClassVar[bool] = True
    errors: ClassVar[tuple[str, ...]] = ("ar1", "iid")
    why_iid: ClassVar[str] = ""
    flat: ClassVar[float] = 1.0
    weighted: ClassVar[bool] = True
    parts: ClassVar[tuple[str, ...]] = ("",)
    top_level: ClassVar[tuple[str, ...]] = ("sigma", "rho")
    assumption: ClassVar[str] = (
        "Errors are normal, AR(1) within a unit or independent as chosen, and independent between units given time effects."
    )

    def problems(self, panel: Panel) -> list[str]:
        """None: any number will do."""
        return []

    def designs(self, panel: Panel, design: PanelDesign) -> dict[str, PanelDesign]:
        """The design as it is."""
        return {"": design}

    def numpyro(self, d: Parts, p: Priors, eta: Parts, errors: str) -> None:
        """σ ~ HalfNormal(p.sigma), ρ ~ Uniform(−1, 1)."""
        import jax.numpy as jnp
        from numpyro import sample
        from numpyro.distributions import HalfNormal, Normal, Uniform

        rows, mean = d[""], eta[""]
        sigma = sample("sigma", HalfNormal(p.sigma))
        sd, expected = sigma / rows.sqrt_weight, mean
        if errors == "ar1":
            rho = sample("rho", Uniform(-1.0, 1.0))
            c = jnp.where(rows.gap > 0, rho ** jnp.maximum(rows.gap, 1), 0.0)
            residual = rows.sqrt_weight * (rows.y - mean)
            expected = mean + c * jnp.concatenate([jnp.zeros(1), residual[:-1]]) / rows.sqrt_weight
            sd = sd * jnp.sqrt((1 - c**2) / (1 - rho**2))
        sample("y", Normal(expected, sd).to_event(1), obs=rows.y)

    def pymc(self, d: Parts, p: Priors, eta: Parts, errors: str) -> None:
        """σ ~ HalfNormal(p.sigma), ρ ~ Uniform(−1, 1)."""
        import pymc as pm
        import pytensor.tensor as pt

        rows, mean = d[""], eta[""]
        sigma = pm.HalfNormal("sigma", p.sigma)
        sd, expected = sigma / rows.sqrt_weight, mean
        if errors == "ar1":
            rho = pm.Uniform("rho", np.float64(-1.0), np.float64(1.0))
            c = pt.where(rows.gap > 0, rho ** np.maximum(rows.gap, 1), 0.0)
            residual = rows.sqrt_weight * (rows.y - mean)
            expected = mean + c * pt.concatenate([pt.zeros(1), residual[:-1]]) / rows.sqrt_weight
            sd = sd * pt.sqrt((1 - c**2) / (1 - rho**2))
        pm.Normal("y", expected, sd, observed=rows.y, dims="row")

    def row_information(self, d: PanelDesign, part: str) -> np.ndarray:
        """One half of a standardised row's variance left."""
        return 2.0 * d.sqrt_weight**2

    def hypers(self, p: Priors, errors: str) -> tuple[Any, ...]:
        """σ, and ρ under AR(1) errors."""
        from bayes_causal.numerics.linear_gaussian import Hyper

        rho = (Hyper("rho", "uniform"),) if errors == "ar1" else ()
        return Hyper("sigma", "half_normal", p.sigma), *rho

    @property
    def densities(self) -> dict[str, RowDensity]:
        """None: rows are normal."""
        return {}

    def normal_outcome(self, d: PanelDesign) -> np.ndarray:
        """The standardised outcome."""
        return d.y

    def natural(self, sites: Named, scale: float) -> dict[str, np.ndarray]:
        """`sigma`, and `rho` under AR(1) errors."""
        return {"sigma": sites["sigma"] * scale} | ({"rho": sites["rho"]} if "rho" in sites else {})

    def mean(self, eta: Parts, named: Named) -> np.ndarray:
        """η."""
        return np.asarray(eta[""])

    def simulate(self, d: PanelDesign, eta: Parts, named: Named, rng: np.random.Generator) -> np.ndarray:
        """η and new errors."""
        return np.asarray(eta[""] + did_predictive.errors(d, named, rng))

    def unit_log_likelihood(self, d: Parts, eta: Parts, named: Parts) -> np.ndarray:
        """In closed form, on the standardised scale, slopes of units integrated out too."""
        return did_predictive.unit_log_likelihood(d[""], named[""])
