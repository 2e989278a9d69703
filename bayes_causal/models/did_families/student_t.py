"""Outcomes with heavy tails: y = η + ε, ε iid Student-t around zero. Standardised by mean and sd of the untreated cells.

ν ~ Gamma(2, 2/p.nu), by default that of Juárez & Steel 2010 (doi:10.1198/jbes.2009.07145) with mean 20. Effects are shifts of
the location, which is the mean where ν > 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy import special

from bayes_causal.data.panel import Panel
from bayes_causal.models.did_families.family import Named, Parts
from bayes_causal.models.panel_design import PanelDesign
from bayes_causal.numerics.gauss_hermite import unit_log_likelihood

if TYPE_CHECKING:
    from bayes_causal.models.did_priors import Priors
    from bayes_causal.numerics.unit_quadrature import RowDensity

NODES = 61


class StudentT:
    """√w_it ε_it ~ t_ν(0, σ), independent."""

    link: ClassVar[str] = "identity"
    linear: ClassVar[bool] = True
    normal: ClassVar[bool] = False
    errors: ClassVar[tuple[str, ...]] = ("iid",)
    why_iid: ClassVar[str] = (
        "an AR(1) process with t innovations has no closed distribution for a unit's first row, nor for rows after a gap"
    )
    flat: ClassVar[float] = 1.0
    weighted: ClassVar[bool] = True
    parts: ClassVar[tuple[str, ...]] = ("",)
    nodes: ClassVar[int] = 31
    top_level: ClassVar[tuple[str, ...]] = ("sigma", "nu")
    assumption: ClassVar[str] = "Errors are Student-t, independent within and between units given unit and time effects."

    def problems(self, panel: Panel) -> list[str]:
        """None: any number will do."""
        return []

    def designs(self, panel: Panel, design: PanelDesign) -> dict[str, PanelDesign]:
        """The design as it is."""
        return {"": design}

    def numpyro(self, d: Parts, p: Priors, eta: Parts, errors: str) -> None:
        """σ ~ HalfNormal(p.sigma), ν ~ Gamma(2, 2/p.nu)."""
        from numpyro import sample
        from numpyro.distributions import Gamma, HalfNormal, StudentT

        sigma = sample("sigma", HalfNormal(p.sigma))
        nu = sample("nu", Gamma(2.0, 2.0 / p.nu))
        sample("y", StudentT(nu, eta[""], sigma / d[""].sqrt_weight).to_event(1), obs=d[""].y)

    def pymc(self, d: Parts, p: Priors, eta: Parts, errors: str) -> None:
        """σ ~ HalfNormal(p.sigma), ν ~ Gamma(2, 2/p.nu)."""
        import pymc as pm

        sigma = pm.HalfNormal("sigma", p.sigma)
        nu = pm.Gamma("nu", np.float64(2.0), np.float64(2.0) / p.nu)
        pm.StudentT("y", nu=nu, mu=eta[""], sigma=sigma / d[""].sqrt_weight, observed=d[""].y, dims="row")

    def row_information(self, d: PanelDesign, part: str) -> np.ndarray:
        """One half of a standardised row's variance left."""
        return 2.0 * d.sqrt_weight**2

    def hypers(self, p: Priors, errors: str) -> tuple[Any, ...]:
        """σ and ν."""
        from bayes_causal.numerics.gamma_prior import GammaHyper
        from bayes_causal.numerics.linear_gaussian import Hyper

        return Hyper("sigma", "half_normal", p.sigma), GammaHyper("nu", p.nu)

    @property
    def densities(self) -> dict[str, RowDensity]:
        """Of the outcomes."""
        return {"": self}

    def normal_outcome(self, d: PanelDesign) -> np.ndarray:
        """No part of it."""
        raise TypeError("no row of this family is normal")

    def log_density(self, y: Any, weight: Any, eta: Any, theta: Any) -> Any:
        """Of a standardised outcome."""
        import jax.numpy as jnp
        from jax.scipy.special import gammaln

        nu, off = theta["nu"], weight * (y - eta) / theta["sigma"]
        constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * jnp.log(nu * jnp.pi) + jnp.log(weight / theta["sigma"])
        return constant - (nu + 1) / 2 * jnp.log1p(off**2 / nu)

    def information(self, y: Any, weight: Any, eta: Any, theta: Any) -> Any:
        """The expected one: the density is not log-concave."""
        nu = theta["nu"]
        return (nu + 1) / (nu + 3) * (weight / theta["sigma"]) ** 2 + 0.0 * eta

    def natural(self, sites: Named, scale: float) -> dict[str, np.ndarray]:
        """`sigma` and `nu`."""
        return {"sigma": sites["sigma"] * scale, "nu": sites["nu"]}

    def mean(self, eta: Parts, named: Named) -> np.ndarray:
        """η."""
        return np.asarray(eta[""])

    def simulate(self, d: PanelDesign, eta: Parts, named: Named, rng: np.random.Generator) -> np.ndarray:
        """η and new errors."""
        errors = rng.standard_t(named["nu"][:, None], np.shape(eta[""]))
        return np.asarray(eta[""] + named["sigma"][:, None] / d.sqrt_weight * errors)

    def unit_log_likelihood(self, d: Parts, eta: Parts, named: Parts) -> np.ndarray:
        """By quadrature, on the standardised scale."""
        design, own = d[""], named[""]
        scale = own["sigma"][:, None] / design.sqrt_weight / design.scale
        nu = own["nu"][:, None]
        constant = special.gammaln((nu + 1) / 2) - special.gammaln(nu / 2) - 0.5 * np.log(nu * np.pi) - np.log(scale)

        def off(x: np.ndarray) -> np.ndarray:
            return (design.y - x) / scale

        return unit_log_likelihood(
            lambda x: constant - (nu + 1) / 2 * np.log1p(off(x) ** 2 / nu),
            lambda x: (nu + 1) * off(x) / (nu + off(x) ** 2) / scale,
            lambda x: np.broadcast_to((nu + 1) / (nu + 3) / scale**2, x.shape),
            (eta[""] - design.center) / design.scale,
            own["sigma_unit"] / design.scale,
            design.unit,
            own["deviation"] / design.scale,
            count=NODES,
        )
