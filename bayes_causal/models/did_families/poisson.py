"""Counts whose variance is their mean: y ~ Poisson(e^η). The intercept is centred on the log of the untreated mean."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy import special

from bayes_causal.data.panel import Panel
from bayes_causal.models.did_families.family import FLAT, Named, Parts, exponential, not_counts, outcomes, unit_means, untreated
from bayes_causal.models.panel_design import PanelDesign
from bayes_causal.numerics.gauss_hermite import unit_log_likelihood

if TYPE_CHECKING:
    from bayes_causal.models.did_priors import Priors
    from bayes_causal.numerics.unit_quadrature import RowDensity


class Poisson:
    """Counts with a log link; priors are on the log scale, whatever the level."""

    link: ClassVar[str] = "log"
    linear: ClassVar[bool] = False
    normal: ClassVar[bool] = False
    errors: ClassVar[tuple[str, ...]] = ("iid",)
    why_iid: ClassVar[str] = "a count has no additive error that could be carried from one period to the next"
    flat: ClassVar[float] = FLAT
    weighted: ClassVar[bool] = False
    parts: ClassVar[tuple[str, ...]] = ("",)
    nodes: ClassVar[int] = 15
    top_level: ClassVar[tuple[str, ...]] = ()
    assumption: ClassVar[str] = "Counts are Poisson and independent given unit and time effects: their variance is their mean."

    def problems(self, panel: Panel) -> list[str]:
        """Negative numbers, broken numbers, no event among the untreated."""
        return not_counts(panel, "poisson")

    def designs(self, panel: Panel, design: PanelDesign) -> dict[str, PanelDesign]:
        """Counts as they are; η = 0 is the untreated mean."""
        return {"": replace(design, y=outcomes(panel), center=float(np.log(untreated(panel).mean())), scale=1.0)}

    def numpyro(self, d: Parts, p: Priors, eta: Parts, errors: str) -> None:
        """No further parameter."""
        import jax.numpy as jnp
        from numpyro import sample
        from numpyro.distributions import Poisson

        sample("y", Poisson(jnp.exp(d[""].center + eta[""])).to_event(1), obs=d[""].y)

    def pymc(self, d: Parts, p: Priors, eta: Parts, errors: str) -> None:
        """No further parameter."""
        import pymc as pm

        pm.Poisson("y", pm.math.exp(d[""].center + eta[""]), observed=d[""].y, dims="row")

    def row_information(self, d: PanelDesign, part: str) -> np.ndarray:
        """The variance of the count: the unit's mean."""
        return unit_means(d)

    def hypers(self, p: Priors, errors: str) -> tuple[Any, ...]:
        """None."""
        return ()

    @property
    def densities(self) -> dict[str, RowDensity]:
        """Of the counts."""
        return {"": self}

    def normal_outcome(self, d: PanelDesign) -> np.ndarray:
        """No part of it."""
        raise TypeError("no row of this family is normal")

    def log_density(self, y: Any, weight: Any, eta: Any, theta: Any) -> Any:
        """Of a count."""
        import jax.numpy as jnp
        from jax.scipy.special import gammaln

        return y * eta - jnp.exp(eta) - gammaln(y + 1)

    def information(self, y: Any, weight: Any, eta: Any, theta: Any) -> Any:
        """e^η."""
        import jax.numpy as jnp

        return jnp.exp(eta)

    def natural(self, sites: Named, scale: float) -> dict[str, np.ndarray]:
        """None."""
        return {}

    def mean(self, eta: Parts, named: Named) -> np.ndarray:
        """e^η."""
        return exponential(eta[""])

    def simulate(self, d: PanelDesign, eta: Parts, named: Named, rng: np.random.Generator) -> np.ndarray:
        """Counts around e^η."""
        return rng.poisson(exponential(eta[""])).astype(float)

    def unit_log_likelihood(self, d: Parts, eta: Parts, named: Parts) -> np.ndarray:
        """By quadrature."""
        y, own = d[""].y, named[""]
        constant = special.gammaln(y + 1)
        return unit_log_likelihood(
            lambda x: y * x - exponential(x) - constant,
            lambda x: y - exponential(x),
            exponential,
            eta[""],
            own["sigma_unit"],
            d[""].unit,
            own["deviation"],
        )
