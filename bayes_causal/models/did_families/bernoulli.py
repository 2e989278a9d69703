"""Outcomes that are yes or no: y ~ Bernoulli(logit⁻¹ η). The intercept is centred on the log odds of the untreated mean."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy import special

from bayes_causal.data.panel import Panel
from bayes_causal.models.did_families.family import FLAT, Named, Parts, first_rows, outcomes, untreated
from bayes_causal.models.panel_design import PanelDesign
from bayes_causal.numerics.gauss_hermite import unit_log_likelihood

if TYPE_CHECKING:
    from bayes_causal.models.did_priors import Priors
    from bayes_causal.numerics.unit_quadrature import RowDensity


class Bernoulli:
    """Zeros and ones with a logit link; priors are on the scale of log odds. Effects are differences of probabilities."""

    link: ClassVar[str] = "logit"
    linear: ClassVar[bool] = False
    normal: ClassVar[bool] = False
    errors: ClassVar[tuple[str, ...]] = ("iid",)
    why_iid: ClassVar[str] = "a 0 or 1 has no additive error that could be carried from one period to the next"
    flat: ClassVar[float] = FLAT
    weighted: ClassVar[bool] = False
    parts: ClassVar[tuple[str, ...]] = ("",)
    nodes: ClassVar[int] = 15
    top_level: ClassVar[tuple[str, ...]] = ()
    assumption: ClassVar[str] = "Outcomes are independent draws given unit and time effects, which add up in log odds."

    def problems(self, panel: Panel) -> list[str]:
        """Numbers that are neither 0 nor 1; nothing but one of them among the untreated."""
        y, name = panel.dataset["outcome"].values, panel.outcome_name
        wrong = panel.observed & (y != 0) & (y != 1)
        if wrong.any():
            return [f"family 'bernoulli' takes 0 and 1, and '{name}' is neither {first_rows(panel, wrong)}"]
        if np.ptp(untreated(panel)) == 0:
            return [f"'{name}' is {untreated(panel)[0]:g} in every untreated cell: its odds there are not finite"]
        return []

    def designs(self, panel: Panel, design: PanelDesign) -> dict[str, PanelDesign]:
        """Outcomes as they are; η = 0 is the untreated mean."""
        return {"": replace(design, y=outcomes(panel), center=float(special.logit(untreated(panel).mean())), scale=1.0)}

    def numpyro(self, d: Parts, p: Priors, eta: Parts, errors: str) -> None:
        """No further parameter."""
        from numpyro import sample
        from numpyro.distributions import BernoulliLogits

        sample("y", BernoulliLogits(d[""].center + eta[""]).to_event(1), obs=d[""].y)

    def pymc(self, d: Parts, p: Priors, eta: Parts, errors: str) -> None:
        """No further parameter."""
        import pymc as pm

        pm.Bernoulli("y", logit_p=d[""].center + eta[""], observed=d[""].y, dims="row")

    def row_information(self, d: PanelDesign, part: str) -> np.ndarray:
        """The variance at the untreated mean."""
        return np.full(d.y.size, special.expit(d.center) * special.expit(-d.center))

    def hypers(self, p: Priors, errors: str) -> tuple[Any, ...]:
        """None."""
        return ()

    @property
    def densities(self) -> dict[str, RowDensity]:
        """Of the zeros and ones."""
        return {"": self}

    def normal_outcome(self, d: PanelDesign) -> np.ndarray:
        """No part of it."""
        raise TypeError("no row of this family is normal")

    def log_density(self, y: Any, weight: Any, eta: Any, theta: Any) -> Any:
        """Of a zero or one."""
        import jax

        return jax.nn.log_sigmoid((2 * y - 1) * eta)

    def information(self, y: Any, weight: Any, eta: Any, theta: Any) -> Any:
        """P (1 − p)."""
        import jax

        return jax.nn.sigmoid(eta) * jax.nn.sigmoid(-eta)

    def natural(self, sites: Named, scale: float) -> dict[str, np.ndarray]:
        """None."""
        return {}

    def mean(self, eta: Parts, named: Named) -> np.ndarray:
        """The probability of a one."""
        return np.asarray(special.expit(eta[""]))

    def simulate(self, d: PanelDesign, eta: Parts, named: Named, rng: np.random.Generator) -> np.ndarray:
        """Zeros and ones."""
        return (rng.random(np.shape(eta[""])) < special.expit(eta[""])).astype(float)

    def unit_log_likelihood(self, d: Parts, eta: Parts, named: Parts) -> np.ndarray:
        """By quadrature."""
        return integrated(d[""].y, eta[""], d[""].unit, named[""]["sigma_unit"], named[""]["deviation"])


def integrated(y: np.ndarray, eta: np.ndarray, unit: np.ndarray, sd: np.ndarray, start: np.ndarray) -> np.ndarray:
    """(S, U) log probability of each unit's (N,) zeros and ones."""
    sign = 2 * y - 1
    return unit_log_likelihood(
        lambda x: special.log_expit(sign * x),
        lambda x: y - special.expit(x),
        lambda x: special.expit(x) * special.expit(-x),
        eta,
        sd,
        unit,
        start,
    )
