"""Synthetic control: what a treated unit would have been, from a weighted average of units that were not treated.

    y_1t = a + Σ_j w_j y_jt + e_t,   t before the treatment;   e_t = ρ e_{t−1} + v_t, v_t ~ N(0, σ), e_1 stationary
    w ~ Dirichlet(α, …, α),  log α ~ U(log .03, log 3);   a ~ N(0, 10);  σ ~ HalfNormal(1);  ρ ~ U(−1, 1)

Weights lie on the simplex: no donor counts negatively, together they count once. How many donors share them is learned through α
(a flat Dirichlet spreads them over all). The intercept lets the treated unit lie above or below all donors. All outcomes are on
the scale of the treated unit's pre-period. From the treatment on the outcome without it is drawn from the predictive
distribution, the last error before it dying away, so that intervals hold what the weights leave open and the noise.

Abadie, Diamond & Hainmueller 2010, doi:10.1198/jasa.2009.ap08746; Doudchenko & Imbens 2016, arXiv:1610.07748 on the intercept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import xarray as xr

from bayes_causal.data.panel import Panel
from bayes_causal.estimates import Estimand
from bayes_causal.models import synthetic_predictive
from bayes_causal.models.base import Assumption
from bayes_causal.models.donor_design import DonorDesign, donor_design
from bayes_causal.models.series_errors import Autoregressive, Independent, SeriesErrors
from bayes_causal.models.synthetic_options import refuse_options

if TYPE_CHECKING:
    from bayes_causal.numerics.simplex import Exchange, ExchangeSums

NOISE_SEED = 20_100_101
FEWEST_MOVES = 2


@dataclass(frozen=True)
class Priors:
    """Scales of the priors, on outcomes divided by the sd of the treated unit's pre-period.

    Parameters
    ----------
    intercept : sd of the normal on the intercept
    sigma : scale of the half-normal on the innovation sd of the errors
    concentration_low, concentration_high : ends of the uniform prior on the logarithm of the concentration of the weights
    """

    intercept: float = 10.0
    sigma: float = 1.0
    concentration_low: float = 0.03
    concentration_high: float = 3.0


@dataclass(frozen=True, eq=False, init=False)
class SyntheticControl:
    """Synthetic control.

    Parameters
    ----------
    panel : Panel
        One unit is treated; units never treated, with an outcome wherever the treated unit has one, are its donors.
    weights : {"simplex"}
        softmax, horseshoe and factor are not part of this version.
    intercept : bool
        Whether the treated unit may lie above or below its donors.
    errors : {"ar1", "iid"}
    predictors : sequence of str
        Not part of this version.
    donors, exclude : sequences of units
        Only these may be donors; these may not.
    factors : int, optional
        Not part of this version.
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
    donors: tuple[Any, ...]
    exclude: tuple[Any, ...]
    priors: Priors

    name: ClassVar[str] = "synthetic_control"
    headline: ClassVar[Estimand] = Estimand("att", "realised")
    prefers_gibbs: ClassVar[str] = "weights move between pairs of donors, whose conditional is known"

    def __init__(
        self,
        panel: Panel,
        *,
        weights: Literal["simplex"] = "simplex",
        intercept: bool = True,
        errors: Literal["ar1", "iid"] = "ar1",
        predictors: Sequence[str] = (),
        donors: Sequence[Any] | None = None,
        exclude: Sequence[Any] = (),
        factors: int | None = None,
        priors: Priors | None = None,
    ):
        settled: dict[str, Any] = {"weights": weights, "intercept": intercept, "errors": errors, "priors": priors or Priors()}
        settled |= {"donors": _listed(donors), "exclude": _listed(exclude)}
        refuse_options(panel, settled | {"predictors": predictors, "factors": factors})
        for key, value in ({"panel": panel} | settled).items():
            object.__setattr__(self, key, value)

    def variant(self, *, panel: Panel | None = None, **options: Any) -> SyntheticControl:
        """The same model on other data, or with some options changed."""
        names = ("weights", "intercept", "errors", "exclude", "priors")
        kept = {k: getattr(self, k) for k in names} | {"donors": self.donors or None}
        return SyntheticControl(panel or self.panel, **(kept | options))

    @cached_property
    def design(self) -> DonorDesign:
        """Arrays on the standardised scale."""
        return donor_design(self.panel, self.donors, self.exclude)

    @cached_property
    def error_structure(self) -> SeriesErrors:
        """How errors hang together."""
        return Autoregressive() if self.errors == "ar1" else Independent()

    def coords(self) -> dict[str, Any]:
        """Labels of every dim."""
        d, data = self.design, self.panel.dataset
        time = data["time"].values[d.position[d.seen]]
        return {"time": time, "donor": data["unit"].values[d.donors], "row": np.arange(d.fitted_rows.size)}

    def dims(self) -> dict[str, tuple[str, ...]]:
        """Dims of sites and reported quantities."""
        return {"weight": ("donor",), "counterfactual": ("time",), "y": ("row",)}

    def numpyro_model(self) -> None:
        """The model in NumPyro."""
        import jax.numpy as jnp
        from numpyro import sample
        from numpyro.distributions import Dirichlet, HalfNormal, Normal, Uniform

        d, p = self.design, self.priors
        x = jnp.asarray(np.nan_to_num(d.x[: d.span]))
        concentration = jnp.exp(sample("log_concentration", Uniform(*np.log([p.concentration_low, p.concentration_high]))))
        mean = x @ sample("weight", Dirichlet(concentration * jnp.ones(d.donors.size)))
        if self.intercept:
            mean = mean + sample("intercept", Normal(0.0, p.intercept))
        sigma = sample("sigma", HalfNormal(p.sigma))
        self.error_structure.numpyro(mean, sigma, d)

    def pymc_model(self) -> Any:
        """The model in PyMC."""
        import pymc as pm
        import pytensor.tensor as pt

        d, p = self.design, Priors(**{f.name: np.float64(getattr(self.priors, f.name)) for f in fields(self.priors)})
        x = np.nan_to_num(d.x[: d.span])
        with pm.Model(coords=self.coords()) as model:
            concentration = pt.exp(pm.Uniform("log_concentration", *np.log([p.concentration_low, p.concentration_high])))
            mean = pt.dot(x, pm.Dirichlet("weight", concentration * np.ones(d.donors.size), dims="donor"))
            if self.intercept:
                mean = mean + pm.Normal("intercept", np.float64(0.0), p.intercept)
            sigma = pm.HalfNormal("sigma", p.sigma)
            self.error_structure.pymc(mean, sigma, d)
        return model

    def gibbs(self, outcome: np.ndarray | None = None) -> Exchange:
        """Weights by exchanges between pairs of donors, then their concentration, σ and ρ; the intercept integrated out."""
        return self.form(self.sums(self.design, outcome))

    def form(self, sums: ExchangeSums) -> Exchange:
        """The blocks, for the sums of one problem or of many with the same donors."""
        from bayes_causal.numerics.simplex import ROUNDS, Exchange

        donors = int(np.shape(sums.first)[-1]) - 2
        return Exchange(self.errors == "ar1", self.intercept, max(FEWEST_MOVES, -(-3 * donors // ROUNDS)), sums)

    def sums(self, d: DonorDesign, outcome: np.ndarray | None = None, gaps: Sequence[int] | None = None) -> ExchangeSums:
        """What the fitted rows of a design say, for another standardised (N,) outcome and a wider set of gaps if given."""
        from bayes_causal.numerics.simplex import exchange_sums

        rows, p = d.fitted_rows, self.priors
        return exchange_sums(
            d.x[rows],
            d.y[rows] if outcome is None else outcome,
            d.gap,
            gaps=tuple(gaps or np.unique(d.gap[1:]).tolist()),
            intercept_sd=p.intercept if self.intercept else 0.0,
            sigma_scale=p.sigma,
            log_range=(float(np.log(p.concentration_low)), float(np.log(p.concentration_high))),
        )

    def natural(self, sites: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Reported quantities in units of the outcome: weights add to one, so that the intercept is the scaled one."""
        d, s = self.design, self.design.scale
        rng = np.random.default_rng(NOISE_SEED)
        named = {"weight": sites["weight"], "concentration": np.exp(sites["log_concentration"]), "sigma": s * sites["sigma"]}
        named |= {"intercept": s * sites["intercept"]} if self.intercept else {}
        named |= self.error_structure.named(sites)
        return named | {"counterfactual": synthetic_predictive.counterfactual(d, self.error_structure, sites, rng)}

    def top_level(self) -> tuple[str, ...]:
        """Sites with top-level priors: what a prior sensitivity analysis scales."""
        return ("log_concentration", *(["intercept"] if self.intercept else []), "sigma", *self.error_structure.names)

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
        return synthetic_predictive.average(d, self.error_structure, sites, np.random.default_rng(seed))

    def expected(self, d: DonorDesign, sites: Mapping[str, np.ndarray]) -> np.ndarray:
        """(..., O) the weighted donors at every date with an outcome, without error, natural units."""
        return d.center + d.scale * synthetic_predictive.expected(d, sites)[..., d.seen]

    def simulate(self, sites: Mapping[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """(S, N) outcomes of the fitted rows in natural units: the donors as they were, errors drawn anew."""
        d = self.design
        mean = synthetic_predictive.expected(d, sites)[:, d.fitted_rows]
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
        """(sample, row) log density of each fitted outcome given those before it, standardised scale."""
        value = synthetic_predictive.log_likelihood(self.design, self.error_structure, sites)
        return xr.DataArray(value, dims=("sample", "row"), name="y")

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
        return ASSUMPTIONS

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
        left_out = {str(u): why for u, why in d.left_out.items()}
        told = {"left_out": ("unit_left_out", list(left_out.values()))} if left_out else {}
        facts = facts.assign(told).assign_coords({"unit_left_out": list(left_out)} if left_out else {})
        return facts.assign_coords(treated_unit=str(self.panel.dataset["unit"].values[d.unit]))


ASSUMPTIONS = (
    Assumption(
        "stable relation",
        "Without the treatment the treated unit would have kept its relation to the weighted donors: what moves it and them is "
        "shared, and stays so.",
        ("placebo_time", "placebo_space", "hull"),
    ),
    Assumption("unaffected donors", "The treatment of the one unit leaves the donors alone.", ("leave_one_out",)),
    Assumption(
        "no other event",
        "Nothing else that moves the treated unit alone, or a donor with much weight alone, happened from the treatment on.",
        ("placebo_space", "leave_one_out"),
    ),
    Assumption("no anticipation", "The treated unit does not react before its treatment.", ("placebo_time",)),
    Assumption(
        "model of the gap",
        "What the weights leave over is normal with constant variance, as autocorrelated after the treatment as before it; a "
        "common trend that donors do not share would make it wander.",
        ("posterior_predictive", "prior_sensitivity", "placebo_space"),
    ),
)


def _listed(units: Any) -> tuple[Any, ...]:
    return (units,) if isinstance(units, str) else tuple(units or ())
