"""Synthetic control: what a treated unit would have been, from a weighted average of units that were not treated.

    y_1t = a + Σ_j w_j y_jt + e_t,   t before the treatment;   e_t = ρ e_{t−1} + v_t, v_t ~ N(0, σ), e_1 stationary
    w ~ Dirichlet(α, …, α),  log α ~ U(log .03, log 3);   a ~ N(0, 10);  σ ~ HalfNormal(1);  (1 + ρ)/2 ~ Beta(1, 1)

Weights lie on the simplex by default: no donor counts negatively, together they count once. How many donors share them is learned
through α (a flat Dirichlet spreads them over all). The intercept lets the treated unit lie above or below all donors. Other kinds
of weights, each with its prior, are in `donor_weights`: softmax, horseshoe (of either sign) and factor (common factors in the
donors' place, a walk of the treated unit's own, donors with gaps). All outcomes are on the scale of the treated unit's
pre-period. From the treatment on the outcome without it is drawn from the predictive distribution, the last error before it
dying away, so that intervals hold what the weights leave open and the noise.

Abadie, Diamond & Hainmueller 2010, doi:10.1198/jasa.2009.ap08746; Doudchenko & Imbens 2016, arXiv:1610.07748 on the intercept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr

from bayes_causal.data.panel import Panel
from bayes_causal.estimates import Estimand
from bayes_causal.models import synthetic_assumptions, synthetic_predictive
from bayes_causal.models.base import Assumption
from bayes_causal.models.donor_design import DonorDesign, donor_design
from bayes_causal.models.donor_weights import KINDS, DonorWeights, Priors, Settings
from bayes_causal.models.forms import GibbsForm
from bayes_causal.models.series_errors import Autoregressive, Independent, SeriesErrors
from bayes_causal.models.synthetic_options import refuse_options

__all__ = ["Priors", "SyntheticControl"]

NOISE_SEED = 20_100_101


@dataclass(frozen=True, eq=False, init=False)
class SyntheticControl:
    """Synthetic control.

    Parameters
    ----------
    panel : Panel
        One unit is treated; units never treated, with an outcome wherever the treated unit has one, are its donors. With
        weights="factor" donors may have gaps and be treated later than it: such cells are left out of the likelihood. Several
        treated units under weights="simplex" make a `bayes_causal.models.several_treated.SeveralTreated`.
    weights : {"simplex", "softmax", "horseshoe", "factor"}
        How donors stand in for the treated unit: see `bayes_causal.models.donor_weights`.
    intercept : bool
        Whether the treated unit may lie above or below its donors.
    errors : {"ar1", "iid"}
    predictors : sequence of str
        Columns whose means before the treatment the weights are to reproduce too, beside the outcomes: see
        `bayes_causal.models.donor_traits`. They go with weights="simplex" and one treated unit; a placebo date keeps them.
    donors, exclude : sequences of units
        Only these may be donors; these may not.
    factors : int, optional
        Of weights="factor": how many common factors there are. Left out, leave-future-out predictive density chooses.
    priors : Priors

    Raises
    ------
    DataError, ValueError
        Everything that the panel lacks and every option that does not exist, in one message.
    """

    panel: Panel
    weights: str
    intercept: bool
    errors: str
    predictors: tuple[str, ...]
    donors: tuple[Any, ...]
    exclude: tuple[Any, ...]
    factors: int | None
    priors: Priors

    name: ClassVar[str] = "synthetic_control"
    headline: ClassVar[Estimand] = Estimand("att", "realised")

    def __new__(cls, panel: Panel | None = None, **options: Any) -> Any:
        """The model of one treated unit, or that of several where the panel has them."""
        if isinstance(panel, Panel) and panel.ever_treated.sum() > 1 and options.get("weights", "simplex") == "simplex":
            from bayes_causal.models.several_treated import SeveralTreated

            return SeveralTreated(panel, **options)
        return super().__new__(cls)

    def __init__(
        self,
        panel: Panel,
        *,
        weights: Literal["simplex", "softmax", "horseshoe", "factor"] = "simplex",
        intercept: bool = True,
        errors: Literal["ar1", "iid"] = "ar1",
        predictors: Sequence[str] = (),
        donors: Sequence[Any] | None = None,
        exclude: Sequence[Any] = (),
        factors: int | None = None,
        priors: Priors | None = None,
    ):
        settled: dict[str, Any] = {"weights": weights, "intercept": intercept, "errors": errors, "priors": priors or Priors()}
        settled |= {"donors": listed(donors), "exclude": listed(exclude), "factors": factors, "predictors": listed(predictors)}
        refuse_options(panel, settled)
        for key, value in ({"panel": panel} | settled).items():
            object.__setattr__(self, key, value)

    def variant(self, *, panel: Panel | None = None, **options: Any) -> SyntheticControl:
        """The same model on other data, or with some options changed."""
        names = ("weights", "intercept", "errors", "predictors", "exclude", "factors", "priors")
        kept = {k: getattr(self, k) for k in names} | {"donors": self.donors or None}
        return SyntheticControl(panel or self.panel, **(kept | options))

    @cached_property
    def design(self) -> DonorDesign:
        """Arrays on the standardised scale."""
        gaps = KINDS[self.weights].gaps
        return donor_design(self.panel, self.donors, self.exclude, gaps=gaps, predictors=self.predictors)

    @cached_property
    def error_structure(self) -> SeriesErrors:
        """How errors hang together."""
        return Autoregressive(self.priors.correlation) if self.errors == "ar1" else Independent()

    @cached_property
    def kind(self) -> DonorWeights:
        """How donors stand in for the treated unit."""
        kind = KINDS[self.weights](Settings(self.intercept, self.errors == "ar1", self.factors, self.priors))
        return kind.settled(self.design)

    @property
    def averages(self) -> bool:
        """Whether none of the weights is negative and together they are one."""
        return self.kind.averages

    @property
    def warmup(self) -> int:
        """Sweeps after which a chain of refits by the hundred is kept."""
        return self.kind.warmup

    @property
    def prefers_gibbs(self) -> str:
        """Why it is sampled block by block."""
        return self.kind.why_gibbs

    def coords(self) -> dict[str, Any]:
        """Labels of every dim."""
        d, data = self.design, self.panel.dataset
        time = data["time"].values[d.position[d.seen]]
        known = {"predictor": list(self.predictors)} if self.predictors else {}
        return {"time": time, "donor": data["unit"].values[d.donors], "row": np.arange(d.fitted_rows.size)} | known

    def dims(self) -> dict[str, tuple[str, ...]]:
        """Dims of sites and reported quantities."""
        return self.kind.dims() | {"counterfactual": ("time",), "y": ("row",)}

    def numpyro_model(self) -> None:
        """The model in NumPyro."""
        from numpyro import sample
        from numpyro.distributions import HalfNormal, Normal

        d, p = self.design, self.priors
        without = self.kind.numpyro(d)
        level = sample("intercept", Normal(0.0, p.intercept)) if self.intercept else 0.0
        sigma = sample("sigma", HalfNormal(p.sigma))
        self.error_structure.numpyro(without(sigma) + level, sigma, d)

    def pymc_model(self) -> Any:
        """The model in PyMC."""
        import pymc as pm

        d, p = self.design, self.priors.as_float64()
        with pm.Model(coords=self.coords()) as model:
            without = self.kind.pymc(d)
            level = pm.Normal("intercept", np.float64(0.0), p.intercept) if self.intercept else np.float64(0.0)
            sigma = pm.HalfNormal("sigma", p.sigma)
            self.error_structure.pymc(without(sigma) + level, sigma, d)
        return model

    def gibbs(self, outcome: np.ndarray | None = None) -> GibbsForm:
        """The blocks of the weights, σ and ρ."""
        return self.form(self.sums(self.design, outcome))

    def form(self, sums: Any) -> GibbsForm:
        """The blocks, for the sums of one problem or of many with as many donors."""
        return self.kind.form(sums)

    def sums(self, d: DonorDesign, outcome: np.ndarray | None = None, gaps: Sequence[int] | None = None) -> Any:
        """What the fitted rows of a design say, for another standardised (N,) outcome and a wider set of gaps if given."""
        return self.kind.sums(d, outcome, gaps)

    def natural(self, sites: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Reported quantities in units of the outcome."""
        d, rng = self.design, np.random.default_rng(NOISE_SEED)
        named = self.kind.named(d, sites) | {"sigma": d.scale * sites["sigma"]} | self.error_structure.named(sites)
        return named | {"counterfactual": synthetic_predictive.counterfactual(self, d, sites, rng)}

    def top_level(self) -> tuple[str, ...]:
        """Sites with top-level priors: what a prior sensitivity analysis scales."""
        optional = ("intercept", "sigma_predictor")
        here = [k for k, has in zip(optional, (self.intercept, bool(self.predictors)), strict=True) if has]
        return (*self.kind.names, *here, "sigma", *self.error_structure.names)

    def effect(self, posterior: xr.Dataset, estimand: Estimand) -> xr.DataArray:
        """Draws of an estimand, on the outcome that happened.

        `att`: mean over treated dates of outcome minus counterfactual; by `time` or `event_time`, at every date from the
        treatment on. `cumulative`: the sum; broken down, the running sum. `relative`: the sum over the sum of the counterfactual.

        Raises
        ------
        EstimandError
            An estimand this model does not have.
        """
        return synthetic_predictive.effect(self, posterior, estimand)

    def average(self, d: DonorDesign, sites: Mapping[str, np.ndarray], seed: int = NOISE_SEED) -> np.ndarray:
        """(...,) draws of the average effect on the unit of a design, from sites of its own posterior."""
        return synthetic_predictive.average(self, d, sites, np.random.default_rng(seed))

    def expected(self, d: DonorDesign, sites: Mapping[str, np.ndarray]) -> np.ndarray:
        """(..., O) the weighted donors at every date with an outcome, without error, natural units."""
        return d.center + d.scale * synthetic_predictive.expected(self, d, sites)[..., d.seen]

    def followed(self, posterior: xr.Dataset) -> np.ndarray:
        """(S, O) the same on the model's own design, from a posterior in natural units."""
        return self.kind.followed(self.design, posterior)

    def simulate(self, sites: Mapping[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """(S, N) outcomes of the fitted rows in natural units: the donors as they were, errors drawn anew."""
        d = self.design
        mean = synthetic_predictive.expected(self, d, sites)[:, d.fitted_rows]
        return d.center + d.scale * (mean + self.error_structure.anew(sites, d, rng))

    def observed(self) -> xr.DataArray:
        """(row,) outcomes of the treated unit that the model is fitted to, in natural units, with their dates."""
        d = self.design
        where = {"time_of_row": ("row", self.panel.dataset["time"].values[d.position[d.fitted_rows]])}
        return xr.DataArray(d.center + d.scale * d.y[d.fitted_rows], dims=("row",), coords=where, name="y")

    def standardised(self, outcomes: np.ndarray) -> np.ndarray:
        """Outcomes minus the centre, over the scale, of this pre-period."""
        return (outcomes - self.design.center) / self.design.scale

    def log_likelihood(self, sites: Mapping[str, np.ndarray]) -> xr.DataArray:
        """(sample, row) log density of each fitted outcome given those before it, standardised scale, then of each predictor."""
        value, traits = synthetic_predictive.log_likelihood(self, sites), self.design.traits
        if traits is None:
            return xr.DataArray(value, dims=("sample", "row"), name="y")
        more = traits.log_likelihood(sites["weight"], sites["sigma_predictor"])
        return xr.DataArray(np.concatenate([value, more], 1), dims=("sample", "piece"), name="y")

    @property
    def unit(self) -> str:
        """Unit of the effects: the outcome's."""
        return self.panel.outcome_name

    def estimands(self) -> tuple[Estimand, ...]:
        """The average, the sum, the fraction, date by date, and by periods since the treatment."""
        names = ("att", "cumulative", "relative")
        by_time = (Estimand(n, "realised", "time") for n in names[:2])
        return (*(Estimand(n, "realised") for n in names), *by_time, Estimand("att", "realised", "event_time"))

    def assumptions(self) -> tuple[Assumption, ...]:
        """What must be true for the att to be causal."""
        return synthetic_assumptions.OF_SYNTHETIC_CONTROL

    def constant_data(self) -> xr.Dataset:
        """The treated unit and its donors over time, which dates are which, and why other units are no donors."""
        d, coords = self.design, self.coords()
        seen = d.seen
        facts = xr.Dataset(
            {
                "outcome": ("time", d.center + d.scale * d.y[seen]),
                "donor_outcome": (("donor", "time"), d.center + d.scale * d.x[seen].T),
                "pre": ("time", d.fitted[seen]),
                "post": ("time", d.treated[seen]),
            },
            {k: coords[k] for k in ("time", "donor")},
        )
        if d.traits:
            facts = facts.assign(own_predictor=("predictor", d.traits.values[:, 0])).assign_coords(predictor=list(d.traits.names))
        for name, why in (("left_out", d.left_out), ("in_part", d.in_part)):
            if why:
                labels = {f"unit_{name}": [str(u) for u in why]}
                facts = facts.assign({name: (f"unit_{name}", list(why.values()))}).assign_coords(labels)
        return facts.assign_coords(treated_unit=str(self.panel.dataset["unit"].values[d.unit]))


def listed(units: Any) -> tuple[Any, ...]:
    """Units as given, one alone or several."""
    return (units,) if isinstance(units, str) else tuple(units or ())
