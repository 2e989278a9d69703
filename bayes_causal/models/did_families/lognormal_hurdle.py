"""Amounts with zeros: y > 0 with probability logit⁻¹ η', and then log y ~ N(η, σ); two predictors, each with its own everything.

The main predictor is that of the amount where there is one, in logs, centred on its untreated mean; sites and quantities of the
other, the log odds of any amount, carry the prefix `occurrence`. E y = logit⁻¹(η') exp(η + σ²/2) (Cragg 1971,
doi:10.2307/1909582; Duan et al. 1983, doi:10.1080/07350015.1983.10509330). Unit-level terms of the amount are means over the
rows that have one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy import special

from bayes_causal.data.panel import Panel
from bayes_causal.models.did_families import bernoulli
from bayes_causal.models.did_families.family import FLAT, Named, Parts, exponential, first_rows, outcomes, untreated
from bayes_causal.models.panel_design import PanelDesign, of_rows
from bayes_causal.numerics import ar1

if TYPE_CHECKING:
    from bayes_causal.models.did_priors import Priors
    from bayes_causal.numerics.unit_quadrature import RowDensity


class LognormalHurdle:
    """Zeros, and amounts that are normal in logs."""

    link: ClassVar[str] = "log of the amount and log odds of any"
    linear: ClassVar[bool] = False
    normal: ClassVar[bool] = False
    errors: ClassVar[tuple[str, ...]] = ("iid",)
    why_iid: ClassVar[str] = "where there is no amount there is no error to carry to the next period"
    flat: ClassVar[float] = FLAT
    weighted: ClassVar[bool] = False
    parts: ClassVar[tuple[str, ...]] = ("", "occurrence")
    top_level: ClassVar[tuple[str, ...]] = ("sigma",)
    assumption: ClassVar[str] = (
        "Whether there is an amount, and its logarithm, are independent given unit and time effects of their own; logarithms of "
        "amounts are normal with one variance."
    )

    def problems(self, panel: Panel) -> list[str]:
        """Negative amounts; no zero, or fewer than two amounts, among the untreated."""
        y, name = panel.dataset["outcome"].values, panel.outcome_name
        negative = panel.observed & (y < 0)
        if negative.any():
            return [f"family 'lognormal_hurdle' takes amounts from 0 up, and '{name}' is negative {first_rows(panel, negative)}"]
        problems = []
        if (untreated(panel) > 0).all():
            problems.append(f"no untreated cell of '{name}' is zero: take its logarithm, and family 'gaussian'")
        if (untreated(panel) > 0).sum() < 2:
            problems.append(f"fewer than two untreated cells of '{name}' are above zero: there is no amount to compare with")
        return problems

    def designs(self, panel: Panel, design: PanelDesign) -> dict[str, PanelDesign]:
        """Amounts over the rows that have one, η = 0 at the mean of the untreated logarithms; ones and zeros over all rows."""
        y, free = outcomes(panel), untreated(panel)
        some = y > 0
        amount = of_rows(design, some)
        center, odds = np.log(free[free > 0]).mean(), special.logit((free > 0).mean())
        return {
            "": replace(amount, y=y[some], center=float(center), scale=1.0),
            "occurrence": replace(design, y=some.astype(float), center=float(odds), scale=1.0),
        }

    def numpyro(self, d: Parts, p: Priors, eta: Parts, errors: str) -> None:
        """σ ~ HalfNormal(p.sigma)."""
        from numpyro import sample
        from numpyro.distributions import BernoulliLogits, HalfNormal, LogNormal

        sigma = sample("sigma", HalfNormal(p.sigma))
        odds = d["occurrence"].center + eta["occurrence"]
        sample("any", BernoulliLogits(odds).to_event(1), obs=d["occurrence"].y)
        sample("y", LogNormal(d[""].center + eta[""], sigma).to_event(1), obs=d[""].y)

    def pymc(self, d: Parts, p: Priors, eta: Parts, errors: str) -> None:
        """σ ~ HalfNormal(p.sigma)."""
        import pymc as pm

        sigma = pm.HalfNormal("sigma", p.sigma)
        odds = d["occurrence"].center + eta["occurrence"]
        pm.Bernoulli("any", logit_p=odds, observed=d["occurrence"].y, dims="row")
        pm.LogNormal("y", d[""].center + eta[""], sigma, observed=d[""].y)

    def row_information(self, d: PanelDesign, part: str) -> np.ndarray:
        """Of a logarithm with variance one half, or of a zero or one."""
        return bernoulli.Bernoulli().row_information(d, part) if part else np.full(d.y.size, 2.0)

    def hypers(self, p: Priors, errors: str) -> tuple[Any, ...]:
        """σ, of the amount."""
        from bayes_causal.numerics.linear_gaussian import Hyper

        return (Hyper("sigma", "half_normal", p.sigma),)

    @property
    def densities(self) -> dict[str, RowDensity]:
        """Of zeros and ones; logarithms of amounts are normal."""
        return {"occurrence": bernoulli.Bernoulli()}

    def normal_outcome(self, d: PanelDesign) -> np.ndarray:
        """Logarithms of the amounts, centred."""
        return np.asarray(np.log(d.y) - d.center)

    def natural(self, sites: Named, scale: float) -> dict[str, np.ndarray]:
        """`sigma`, of logarithms."""
        return {"sigma": sites["sigma"]}

    def mean(self, eta: Parts, named: Named) -> np.ndarray:
        """Probability of an amount times its mean."""
        return np.asarray(special.expit(eta["occurrence"]) * exponential(eta[""] + named["sigma"][:, None] ** 2 / 2))

    def simulate(self, d: PanelDesign, eta: Parts, named: Named, rng: np.random.Generator) -> np.ndarray:
        """Zeros and amounts."""
        some = rng.random(np.shape(eta[""])) < special.expit(eta["occurrence"])
        amount = exponential(eta[""] + named["sigma"][:, None] * rng.standard_normal(np.shape(eta[""])))
        return np.where(some, amount, 0.0)

    def unit_log_likelihood(self, d: Parts, eta: Parts, named: Parts) -> np.ndarray:
        """Zeros and ones by quadrature, amounts in closed form."""
        amount, occurrence, own = d[""], d["occurrence"], named["occurrence"]
        value = bernoulli.integrated(occurrence.y, eta["occurrence"], occurrence.unit, own["sigma_unit"], own["deviation"])
        off, one = np.log(amount.y) - eta[""], np.ones(amount.y.size)
        scales = named[""]["sigma"], named[""]["sigma_unit"]
        logs = ar1.unit_log_likelihood(off, one, np.zeros_like(scales[0]), *scales, amount.gap)
        value[:, amount.unit[amount.starts]] += logs - np.add.reduceat(np.log(amount.y), amount.starts)
        return value
