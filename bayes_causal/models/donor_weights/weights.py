"""What a kind of donor weights is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import xarray as xr

from bayes_causal.models.donor_design import DonorDesign

if TYPE_CHECKING:
    from bayes_causal.models.forms import GibbsForm
    from bayes_causal.numerics.weighted_rows import RowSums

Sites = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Priors:
    """Scales of the priors, on outcomes divided by the sd of the treated unit's pre-period.

    Parameters
    ----------
    intercept : sd of the normal on the intercept
    sigma : scale of the half-normal on the innovation sd of the errors
    predictor : scale of the half-normal on the sd of what weights leave over of standardised predictors
    concentration_low, concentration_high : ends of the uniform prior on the logarithm of the concentration of simplex weights
    spread : scale of the half-normal on the sd of the logarithms of softmax weights
    donors : how many donors a horseshoe expects to have a weight of their own
    loading : sd of the normal on loadings of factors, on outcomes over each unit's own sd
    trend : scale of the half-normal on the sd of the steps of the treated unit's own walk, over sigma, beside factors
    tau, omega : where several units are treated, sd of the normal on their mean effect, and scale of the half-normal on the sd of
        effects between them, in units of the sd of their pre-periods, pooled
    correlation : shape b of the Beta(b, b) prior of (1 + ρ)/2, beside simplex weights. At 1 ρ is uniform on (−1, 1), and a short
        time before hardly rules out errors near a unit root; at 2 these are unlikely, and intervals narrower
    """

    intercept: float = 10.0
    sigma: float = 1.0
    concentration_low: float = 0.03
    concentration_high: float = 3.0
    spread: float = 2.0
    donors: float = 3.0
    loading: float = 1.0
    trend: float = 0.5
    tau: float = 1.0
    omega: float = 0.5
    correlation: float = 1.0
    predictor: float = 0.5

    def as_float64(self) -> Priors:
        """The same as NumPy numbers, which PyTensor takes in double precision."""
        return Priors(**{f.name: np.float64(getattr(self, f.name)) for f in fields(self)})


@dataclass(frozen=True)
class Settings:
    """What all kinds are told: the model's options and priors.

    Parameters
    ----------
    intercept : whether there is one
    ar : whether errors are autoregressive
    factors : how many common factors were asked for, None where the data choose
    priors : Priors
    """

    intercept: bool
    ar: bool
    factors: int | None
    priors: Priors


class DonorWeights(Protocol):
    """How the treated unit's outcome without treatment hangs on its donors.

    Parameters
    ----------
    settings : Settings
    """

    averages: ClassVar[bool]
    """Whether none of the weights is negative and together they are one."""
    gaps: ClassVar[bool]
    """Whether donors may lack outcomes that are needed, and be treated themselves later: such cells are left out."""
    why_gibbs: ClassVar[str]
    """Why it is sampled block by block."""
    warmup: ClassVar[int]
    """Sweeps after which a chain of refits by the hundred is kept."""

    def __init__(self, settings: Settings): ...

    @property
    def settings(self) -> Settings:
        """Options and priors."""
        ...

    @classmethod
    def problems(cls, options: Mapping[str, Any]) -> list[str]:
        """What of the options it cannot use."""
        ...

    def settled(self, d: DonorDesign) -> DonorWeights:
        """The same, with what data choose for the model's own design."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Sites of its own with top-level priors."""
        ...

    def dims(self) -> dict[str, tuple[str, ...]]:
        """Dims of its sites and reported quantities, `donor` among them."""
        ...

    def numpyro(self, d: DonorDesign) -> Any:
        """A function of σ: (span,) the outcome without intercept and error, in NumPyro."""
        ...

    def pymc(self, d: DonorDesign) -> Any:
        """A function of σ: (span,) the outcome without intercept and error, in PyMC."""
        ...

    def sums(self, d: DonorDesign, outcome: np.ndarray | None = None, gaps: Sequence[int] | None = None) -> Any:
        """What the fitted rows of a design say, for another standardised (N,) outcome and a wider set of gaps if given."""
        ...

    def form(self, sums: Any) -> GibbsForm:
        """The blocks, for the sums of one problem or, stacked, of many with as many donors."""
        ...

    def expected(self, d: DonorDesign, sites: Sites) -> np.ndarray:
        """(..., T) the outcome without treatment, intercept and error, standardised; NaN only in rows without an outcome."""
        ...

    def named(self, d: DonorDesign, sites: Sites) -> dict[str, np.ndarray]:
        """What is reported of it in natural units, `weight` (..., J) and the intercept among it."""
        ...

    def followed(self, d: DonorDesign, posterior: xr.Dataset) -> np.ndarray:
        """(S, O) the outcome without treatment and error in rows with an outcome, natural units, from what is reported."""
        ...


def row_sums(
    settings: Settings, d: DonorDesign, x: np.ndarray, outcome: np.ndarray | None, gaps: Sequence[int] | None
) -> RowSums:
    """What the fitted rows of a design say, of (T, J) columns for its donors."""
    from bayes_causal.numerics import weighted_rows

    rows, p = d.fitted_rows, settings.priors
    return weighted_rows.row_sums(
        x[rows],
        d.y[rows] if outcome is None else outcome,
        d.gap,
        gaps=tuple(gaps or np.unique(d.gap[1:]).tolist()),
        intercept_sd=p.intercept if settings.intercept else 0.0,
        sigma_scale=p.sigma,
        rho_shape=p.correlation,
    )


def weighted(d: DonorDesign, posterior: xr.Dataset) -> np.ndarray:
    """`DonorWeights.followed` where the outcome is the intercept and a weighted sum of the donors' outcomes."""
    posterior = posterior.stack(sample=("chain", "draw"))
    total = posterior["weight"].transpose("sample", "donor").values @ (d.center + d.scale * d.x[d.seen].T)
    return np.asarray(total + posterior["intercept"].values[:, None] if "intercept" in posterior else total)


def no_factors(options: Mapping[str, Any]) -> list[str]:
    """The problem of a number of factors where there are none."""
    wrong = f"factors belong to weights='factor', not to weights='{options['weights']}': leave them out"
    return [wrong] if options["factors"] is not None else []


def needs_intercept(options: Mapping[str, Any]) -> list[str]:
    """The problem of no intercept where weights need not add to one."""
    wrong = f"weights='{options['weights']}' need not add to one, so that a level of its own is needed: leave intercept at true"
    return [] if options["intercept"] else [wrong]
