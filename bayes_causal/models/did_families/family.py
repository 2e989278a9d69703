"""What a family is: how an outcome is distributed around the linear predictor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from bayes_causal.data.panel import Panel
from bayes_causal.models.panel_design import PanelDesign

if TYPE_CHECKING:
    from bayes_causal.models.did_priors import Priors
    from bayes_causal.numerics.unit_quadrature import RowDensity

Parts = Mapping[str, Any]
"""One entry a linear predictor: "" the main one, others by the prefix of their sites."""
Named = Mapping[str, np.ndarray]

LARGEST = 36.0
"""e^36 is the largest mean: beyond it, float64 no longer tells neighbouring counts apart."""
FLAT = 0.25
"""On a log or logit scale an intercept of 2.5 is as good as flat as 10 standard deviations of an outcome are."""


class Family(Protocol):
    """What `HierarchicalDiD` asks of a family. N rows, S draws, U units.

    Attributes
    ----------
    link : what η is, in a word
    linear : E y is η, so that effects are combinations of coefficients
    normal : given the scales everything is Gaussian, so that there is a collapsed form
    errors : the errors it can have, the default first
    why_iid : why it has no others
    flat : share of the flat priors' sds that is used
    weighted : precision weights have a meaning
    parts : linear predictors, the main one "" first; the last has a row for every observed cell
    top_level : sites of the family's own parameters
    assumption : the error model in a sentence
    """

    link: ClassVar[str]
    linear: ClassVar[bool]
    normal: ClassVar[bool]
    errors: ClassVar[tuple[str, ...]]
    why_iid: ClassVar[str]
    flat: ClassVar[float]
    weighted: ClassVar[bool]
    parts: ClassVar[tuple[str, ...]]
    top_level: ClassVar[tuple[str, ...]]
    assumption: ClassVar[str]

    def problems(self, panel: Panel) -> list[str]:
        """Why these outcomes cannot be of this family, all reasons."""
        ...

    def designs(self, panel: Panel, design: PanelDesign) -> dict[str, PanelDesign]:
        """The rows of each linear predictor, from the design on the standardised outcome: what y, centre and scale are."""
        ...

    def numpyro(self, d: Parts, p: Priors, eta: Parts, errors: str) -> None:
        """The likelihood in NumPyro, given (N,) predictors."""
        ...

    def pymc(self, d: Parts, p: Priors, eta: Parts, errors: str) -> None:
        """The likelihood in PyMC."""
        ...

    def row_information(self, d: PanelDesign, part: str) -> np.ndarray:
        """(N,) about how much each row says of its η, at the outset: what decides how units are best sampled."""
        ...

    @property
    def densities(self) -> Mapping[str, RowDensity]:
        """Those of the parts whose rows are not normal; the rest have a `normal_outcome`."""
        ...

    def normal_outcome(self, d: PanelDesign) -> np.ndarray:
        """(N,) what is normal around η, in a part whose rows are; η centred and scaled as it is."""
        ...

    def hypers(self, p: Priors, errors: str) -> tuple[Any, ...]:
        """Scales and shapes of the rows of the main part, as forms keep them."""
        ...

    def natural(self, sites: Named, scale: float) -> dict[str, np.ndarray]:
        """The family's own parameters, in units of the outcome."""
        ...

    def mean(self, eta: Parts, named: Named) -> np.ndarray:
        """(S, N) E y in units of the outcome, from (S, N) predictors in units of η."""
        ...

    def simulate(self, d: PanelDesign, eta: Parts, named: Named, rng: np.random.Generator) -> np.ndarray:
        """(S, N) outcomes in units of the outcome, errors drawn anew."""
        ...

    def unit_log_likelihood(self, d: Parts, eta: Parts, named: Parts) -> np.ndarray:
        """(S, U) log density of each unit's rows, its intercepts integrated out; predictors without them."""
        ...


def first_rows(panel: Panel, wrong: np.ndarray, shown: int = 3) -> str:
    """How many (unit, time) cells are wrong, and which come first."""
    unit, time = np.nonzero(wrong)
    data = panel.dataset
    y = data["outcome"].values
    cells = [
        f"{data['unit'].values[u]} at {str(data['time'].values[t])[:10]}: {y[u, t]:g}"
        for u, t in zip(unit[:shown], time[:shown], strict=True)
    ]
    return f"in {unit.size:,} cell{'' if unit.size == 1 else 's'} ({', '.join(cells)}{', …' if unit.size > shown else ''})"


def untreated(panel: Panel) -> np.ndarray:
    """Outcomes of the observed untreated cells."""
    return np.asarray(panel.dataset["outcome"].values[panel.observed & ~panel.treated])


def outcomes(panel: Panel) -> np.ndarray:
    """(N,) outcomes of the observed cells in unit-major order."""
    return np.asarray(panel.dataset["outcome"].values[panel.observed])


def exponential(eta: np.ndarray) -> np.ndarray:
    """e^η, at most e^36."""
    return np.exp(np.minimum(eta, LARGEST))


def unit_means(d: PanelDesign) -> np.ndarray:
    """(N,) mean count of the row's unit, as if it had one more row at the untreated mean."""
    count = np.bincount(d.unit, minlength=d.n_units)
    means = (np.bincount(d.unit, d.y, d.n_units) + np.exp(d.center)) / (count + 1)
    return np.asarray(means[d.unit])


def not_counts(panel: Panel, family: str) -> list[str]:
    """What keeps outcomes from being counts."""
    y, name = panel.dataset["outcome"].values, panel.outcome_name
    negative, broken = panel.observed & (y < 0), panel.observed & (y >= 0) & (y != np.floor(y))
    problems = []
    if negative.any():
        problems.append(f"family '{family}' takes counts, and '{name}' is negative {first_rows(panel, negative)}")
    if broken.any():
        problems.append(f"family '{family}' takes counts, and '{name}' is no whole number {first_rows(panel, broken)}")
    if not problems and not untreated(panel).sum() > 0:
        problems.append(f"'{name}' is zero in every untreated cell: there is no level to compare treated cells with")
    return problems
