"""Synthetic difference-in-differences: donors weighed to move like the treated unit, periods weighed to resemble those after.

    y_1t = a + Σ_j ω_j y_jt + e_t,   t before the treatment;   e_t = ρ e_{t−1} + v_t, v_t ~ N(0, σ), e_1 stationary
    ȳ_j = b + Σ_s λ_s y_js + u_j,   ȳ_j mean of donor j over the treated dates,   u_j ~ N(0, σ_λ)
    y_1t without the treatment = Σ_j ω_j y_jt + Σ_s λ_s (y_1s − Σ_j ω_j y_js) + e′_t − Σ_s λ_s e′_s,   t from the treatment on

Weights of donors ω and of periods λ lie on the simplex, the concentration of each is learned. The three lines are one model, each
given what stands before it: the treated unit before given the donors before, the donors after given the same, the treated unit
after given everything. So ω and λ are independent a posteriori, and each has the likelihood of `SyntheticControl`, that of λ
turned over (`period_weights`). Of the third line nothing is observed. It says what synthetic difference-in-differences says: the
gap to the weighted donors stays what it was in the weighted periods. How closely, no data tell; e′ is drawn anew from the law of
e, so that the contrast errs as much as one of these weights does between dates before: by variance c′Vc with c = 1/H on the
treated dates and −λ before, V the covariance of e. Averages of the effect are thus the contrast of Arkhangelsky et al.,
Σ_t y_1t/H − Σ_s λ_s y_1s less the same of the weighted donors, less that noise.

Why it is a model of its own and no option of `SyntheticControl`: were e′ to continue the errors before, as there, λ would drop
out, and what is left is `SyntheticControl` to the letter. There the whole time before fixes the level and errors die back to it;
here the weighted periods do, and a shift before the treatment need not die back. The price is a wider interval where nothing
shifts; with even λ and independent errors the two are the same but for the prior of a. Draws of λ weigh different periods, and
how the gap differs between those is counted beside the noise in each: where errors are independent intervals cover more often
than they say.

Arkhangelsky, Athey, Hirshberg, Imbens & Wager 2021, doi:10.1257/aer.20190159; its point estimate is `baselines.sdid`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr

from bayes_causal.data.panel import Panel
from bayes_causal.errors import DataError
from bayes_causal.estimates import Estimand
from bayes_causal.models import donor_weights, period_weights, synthetic_assumptions, synthetic_predictive
from bayes_causal.models.base import Assumption
from bayes_causal.models.donor_design import DonorDesign
from bayes_causal.models.forms import GibbsForm
from bayes_causal.models.period_weights import PeriodDesign, period_design
from bayes_causal.models.synthetic_control import SyntheticControl, listed
from bayes_causal.models.synthetic_did_predictive import counterfactual, expected
from bayes_causal.models.synthetic_options import refuse_options
from bayes_causal.models.treated_average import can_be_averaged, treated_average

NOISE_SEED = 20_210_101
FEWEST_DONORS = 3
UNITS = ""
"""Prefix of the sites of the donors' weights."""

Sites = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Priors:
    """Scales of the priors; each holds for weights of donors and for weights of periods, each on its own scale.

    The scales are the sd of the treated unit's outcomes before, and the sd of the donors' means after.

    Parameters
    ----------
    intercept : sd of the normals on both intercepts
    sigma : scale of the half-normals on σ and σ_λ
    concentration_low, concentration_high : ends of the uniform priors on the logarithms of both concentrations
    correlation : shape b of the Beta(b, b) prior of (1 + ρ)/2, at 1 uniform
    """

    intercept: float = 10.0
    sigma: float = 1.0
    concentration_low: float = 0.03
    concentration_high: float = 3.0
    correlation: float = 1.0


@dataclass(frozen=True, eq=False, init=False)
class SyntheticDiD:
    """Synthetic difference-in-differences.

    Parameters
    ----------
    panel : Panel
        One unit is treated; units never treated, with an outcome wherever the treated unit has one, are its donors: three at
        least. Several units treated on the same dates are averaged, and all answers are about their average, sums over dates too;
        with different dates see `SyntheticControl`. Attribute `panel` holds the average.
    errors : {"ar1", "iid"}
        Of the gap between the treated unit and its weighted donors.
    donors, exclude : sequences of units
        Only these may be donors; these may not.
    priors : Priors

    Raises
    ------
    DataError, ValueError
        Everything that the panel lacks and every option that does not exist, in one message.
    """

    panel: Panel
    errors: str
    donors: tuple[Any, ...]
    exclude: tuple[Any, ...]
    priors: Priors

    name: ClassVar[str] = "synthetic_did"
    headline: ClassVar[Estimand] = Estimand("att", "realised")
    averages: ClassVar[bool] = True
    prefers_gibbs: ClassVar[str] = "weights move between pairs of donors, and of periods, whose conditional is known"

    def __init__(
        self,
        panel: Panel,
        *,
        errors: Literal["ar1", "iid"] = "ar1",
        donors: Sequence[Any] | None = None,
        exclude: Sequence[Any] = (),
        priors: Priors | None = None,
    ):
        settled = {"errors": errors, "donors": listed(donors), "exclude": listed(exclude), "priors": priors or Priors()}
        if isinstance(panel, Panel) and can_be_averaged(panel):
            panel = treated_average(panel)
        refuse_options(panel, settled | UNIT_OPTIONS | {"predictors": (), "factors": None, "several": SEVERAL})
        for key, value in ({"panel": panel} | settled).items():
            object.__setattr__(self, key, value)
        if problems := period_weights.period_problems(self.design, FEWEST_DONORS):
            raise DataError(problems)

    def variant(self, *, panel: Panel | None = None, **options: Any) -> SyntheticDiD:
        """The same model on other data, or with some options changed."""
        kept = {k: getattr(self, k) for k in ("errors", "exclude", "priors")} | {"donors": self.donors or None}
        return SyntheticDiD(panel or self.panel, **(kept | options))

    @cached_property
    def units(self) -> SyntheticControl:
        """The first line: the treated unit before, from its donors."""
        options: dict[str, Any] = {"errors": self.errors, "donors": self.donors or None, "exclude": self.exclude} | UNIT_OPTIONS
        return SyntheticControl(self.panel, priors=donor_weights.Priors(**asdict(self.priors)), **options)

    @property
    def design(self) -> DonorDesign:
        """The treated unit and its donors."""
        return self.units.design

    @cached_property
    def periods(self) -> PeriodDesign:
        """The second line: the donors after, from the time before."""
        return period_design(self.design)

    @property
    def warmup(self) -> int:
        """Sweeps after which a chain of refits by the hundred is kept."""
        return self.units.warmup

    def coords(self) -> dict[str, Any]:
        """Labels of every dim; `period` are the dates before, as far as the treated unit has an outcome."""
        d = self.design
        return self.units.coords() | {"period": self.panel.dataset["time"].values[d.position[d.fitted_rows]]}

    def dims(self) -> dict[str, tuple[str, ...]]:
        """Dims of sites and reported quantities."""
        return self.units.dims() | {"time_weight": ("period",), "time_y": ("donor",)}

    def numpyro_model(self) -> None:
        """The model in NumPyro."""
        self.units.numpyro_model()
        period_weights.numpyro_sites(self.periods, self.priors)

    def pymc_model(self) -> Any:
        """The model in PyMC."""
        with self.units.pymc_model() as model:
            model.add_coord("period", self.coords()["period"])
            period_weights.pymc_sites(self.periods, self.priors)
        return model

    def gibbs(self, outcome: np.ndarray | None = None) -> GibbsForm:
        """The blocks of both kinds of weights, beside each other."""
        return self.form(self.sums(self.design, outcome))

    def form(self, sums: Any) -> GibbsForm:
        """The blocks, for the sums of one problem or of many with as many donors."""
        from bayes_causal.numerics.side_by_side import SweptSideBySide

        units, periods = self.units.form(sums[UNITS]), period_weights.period_form(sums[period_weights.PREFIX])
        return SweptSideBySide({UNITS: units, period_weights.PREFIX: periods})

    def sums(self, d: DonorDesign, outcome: np.ndarray | None = None, gaps: Sequence[int] | None = None) -> dict[str, Any]:
        """What a design says, for another standardised (N,) outcome before and a wider set of gaps if given.

        A design with fewer periods before than the model's own has blanks in their place.
        """
        most = max(self.design.fitted_rows.size, d.fitted_rows.size)
        periods = period_weights.period_sums(period_design(d), self.priors, most)
        return {UNITS: self.units.sums(d, outcome, gaps), period_weights.PREFIX: periods}

    def natural(self, sites: Sites) -> dict[str, np.ndarray]:
        """Reported quantities in units of the outcome."""
        d, rng = self.design, np.random.default_rng(NOISE_SEED)
        named = self.units.kind.named(d, sites) | {"sigma": d.scale * sites["sigma"]} | self.units.error_structure.named(sites)
        return named | period_weights.period_named(self.periods, sites) | {"counterfactual": counterfactual(d, sites, rng)}

    def top_level(self) -> tuple[str, ...]:
        """Sites with top-level priors: what a prior sensitivity analysis scales."""
        return (*self.units.top_level(), *period_weights.NAMES)

    def effect(self, posterior: xr.Dataset, estimand: Estimand) -> xr.DataArray:
        """Draws of an estimand, on the outcome that happened: those of `SyntheticControl.effect`.

        Raises
        ------
        EstimandError
            An estimand this model does not have.
        """
        return synthetic_predictive.effect(self, posterior, estimand)

    def average(self, d: DonorDesign, sites: Sites, seed: int = NOISE_SEED) -> np.ndarray:
        """(...,) draws of the average effect on the unit of a design, from sites of its own posterior."""
        gap = d.center + d.scale * d.y[d.seen] - counterfactual(d, sites, np.random.default_rng(seed))
        return np.asarray(gap[..., d.treated[d.seen]].mean(-1))

    def expected(self, d: DonorDesign, sites: Sites) -> np.ndarray:
        """(..., O) the weighted donors, moved by their gap in the weighted periods, at every date with an outcome; no error."""
        return d.center + d.scale * expected(d, sites)[..., d.seen]

    def followed(self, posterior: xr.Dataset) -> np.ndarray:
        """(S, O) the same on the model's own design, from a posterior in natural units."""
        draws = posterior.stack(sample=("chain", "draw"))
        weights = {"weight": "donor", "time_weight": "period"}
        return self.expected(self.design, {k: draws[k].transpose("sample", dim).values for k, dim in weights.items()})

    def simulate(self, sites: Sites, rng: np.random.Generator) -> np.ndarray:
        """(S, N) outcomes of the treated unit before, in natural units: the donors as they were, errors drawn anew."""
        return self.units.simulate(sites, rng)

    def observed(self) -> xr.DataArray:
        """(row,) outcomes of the treated unit before, in natural units, with their dates."""
        return self.units.observed()

    def standardised(self, outcomes: np.ndarray) -> np.ndarray:
        """Outcomes minus the centre, over the scale, of this pre-period."""
        return self.units.standardised(outcomes)

    def log_likelihood(self, sites: Sites) -> xr.DataArray:
        """(sample, piece) log density of each outcome of the treated unit before, then of each donor's mean after."""
        before = self.units.log_likelihood(sites).values
        value = np.concatenate([before, period_weights.period_log_likelihood(self.periods, sites)], 1)
        return xr.DataArray(value, dims=("sample", "piece"), name="y")

    @property
    def unit(self) -> str:
        """Unit of the effects: the outcome's."""
        return self.units.unit

    def estimands(self) -> tuple[Estimand, ...]:
        """The average, the sum, the fraction, date by date, and by periods since the treatment."""
        return self.units.estimands()

    def assumptions(self) -> tuple[Assumption, ...]:
        """What must be true for the att to be causal."""
        return synthetic_assumptions.OF_SYNTHETIC_DID

    def constant_data(self) -> xr.Dataset:
        """The treated unit and its donors over time, which dates are which, and why other units are no donors."""
        return self.units.constant_data()


SEVERAL = "treatment and outcomes on the same dates, or synthetic_control"
UNIT_OPTIONS: dict[str, Any] = {"weights": "simplex", "intercept": True}
"""What the first line is as a synthetic control."""
