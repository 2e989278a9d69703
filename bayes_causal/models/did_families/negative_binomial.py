"""Counts that vary more than their mean: y ~ NegativeBinomial with mean e^η and variance e^η + κ² e^2η.

κ ~ HalfNormal(p.dispersion) is the coefficient of variation of the level behind the counts; at κ = 0 they are Poisson. The
intercept is centred on the log of the untreated mean.
"""

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


class NegativeBinomial:
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
    top_level: ClassVar[tuple[str, ...]] = ("dispersion",)
    assumption: ClassVar[str] = "Counts are negative binomial, with one dispersion, and independent given unit and time effects."

    def problems(self, panel: Panel) -> list[str]:
        """Negative numbers, broken numbers, no event among the untreated."""
        return not_counts(panel, "negative_binomial")

    def designs(self, panel: Panel, design: PanelDesign) -> dict[str, PanelDesign]:
        """Counts as they are; η = 0 is the untreated mean."""
        return {"": replace(design, y=outcomes(panel), center=float(np.log(untreated(panel).mean())), scale=1.0)}

    def numpyro(self, d: Parts, p: Priors, eta: Parts, errors: str) -> None:
        """κ ~ HalfNormal(p.dispersion)."""
        import jax.numpy as jnp
        from jax.scipy.special import gammaln
        from numpyro import factor, sample
        from numpyro.distributions import HalfNormal

        dispersion = sample("dispersion", HalfNormal(p.dispersion))
        log_mean, y, shape = d[""].center + eta[""], d[""].y, dispersion**-2
        # NumPyro's own density rests on jax's betaln, which is off in the seventh digit.
        constant = gammaln(y + shape) - gammaln(shape) - gammaln(y + 1)
        ratio = log_mean - jnp.log(shape)
        factor("y", jnp.sum(constant + y * ratio - (y + shape) * jnp.logaddexp(0.0, ratio)))

    def pymc(self, d: Parts, p: Priors, eta: Parts, errors: str) -> None:
        """κ ~ HalfNormal(p.dispersion)."""
        import pymc as pm

        dispersion = pm.HalfNormal("dispersion", p.dispersion)
        mean = pm.math.exp(d[""].center + eta[""])
        pm.NegativeBinomial("y", mu=mean, alpha=dispersion**-2, observed=d[""].y, dims="row")

    def row_information(self, d: PanelDesign, part: str) -> np.ndarray:
        """That of a count whose level varies by a half."""
        return unit_means(d) / (1 + 0.25 * unit_means(d))

    def hypers(self, p: Priors, errors: str) -> tuple[Any, ...]:
        """κ."""
        from bayes_causal.numerics.linear_gaussian import Hyper

        return (Hyper("dispersion", "half_normal", p.dispersion),)

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

        shape = theta["dispersion"] ** -2
        ratio = eta - jnp.log(shape)
        return gammaln(y + shape) - gammaln(shape) - gammaln(y + 1) + y * ratio - (y + shape) * jnp.logaddexp(0.0, ratio)

    def information(self, y: Any, weight: Any, eta: Any, theta: Any) -> Any:
        """The mean over one plus κ² times it."""
        import jax.numpy as jnp

        mean = jnp.exp(eta)
        return mean / (1 + theta["dispersion"] ** 2 * mean)

    def natural(self, sites: Named, scale: float) -> dict[str, np.ndarray]:
        """`dispersion`."""
        return {"dispersion": sites["dispersion"]}

    def mean(self, eta: Parts, named: Named) -> np.ndarray:
        """e^η."""
        return exponential(eta[""])

    def simulate(self, d: PanelDesign, eta: Parts, named: Named, rng: np.random.Generator) -> np.ndarray:
        """Poisson counts around gamma levels."""
        shape = named["dispersion"][:, None] ** -2
        level = exponential(eta[""]) * rng.gamma(shape, 1 / shape, np.shape(eta[""]))
        return rng.poisson(np.minimum(level, 2.0**62)).astype(float)

    def unit_log_likelihood(self, d: Parts, eta: Parts, named: Parts) -> np.ndarray:
        """By quadrature."""
        y, own = d[""].y, named[""]
        shape = own["dispersion"][:, None] ** -2
        constant = special.gammaln(y + shape) - special.gammaln(shape) - special.gammaln(y + 1)

        def share(x: np.ndarray) -> np.ndarray:
            return 1 / (1 + exponential(x) / shape)

        return unit_log_likelihood(
            lambda x: constant + y * (x - np.log(shape)) - (y + shape) * np.log1p(exponential(x) / shape),
            lambda x: (y - exponential(x)) * share(x),
            lambda x: exponential(x) * share(x),
            eta[""],
            own["sigma_unit"],
            d[""].unit,
            own["deviation"],
        )
