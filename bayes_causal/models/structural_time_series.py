"""Structural time series: what an outcome would have been from an intervention on, had it gone on as before.

    y_t = μ_t + s_t + x_t'β + ε_t,   fitted to the pre-period only
    μ: local level, local linear trend, or semilocal trend;  s: seasons, several;  ε: independent, or autoregressive
    β: spike and slab, horseshoe, ridge;  wandering coefficients as an option

Two sets of priors. "calibrated": ε is AR(1) with innovation sd σ ~ HalfNormal, ρ ~ Uniform(−1, 1), and every other sd is a ratio
to σ, half-normal. "causalimpact": R's defaults, ε independent, for comparison: they cover a null series far too seldom where the
level moves or errors are autocorrelated. Everything is standardised by the pre-period; answers are in units of the outcome.

Brodersen et al. 2015, doi:10.1214/14-AOAS788; George & McCulloch 1997 on spike and slab; Durbin & Koopman 2012 on state space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import xarray as xr

from bayes_causal.data.time_series import TimeSeries
from bayes_causal.estimates import Estimand
from bayes_causal.models import series_components, series_predictive
from bayes_causal.models.base import Assumption
from bayes_causal.models.series_autoregression import HigherOrder
from bayes_causal.models.series_design import SeriesDesign, series_design
from bayes_causal.models.series_errors import Autoregressive, Independent, SeriesErrors
from bayes_causal.models.series_options import refuse_options
from bayes_causal.models.series_parts import LocalLevel, SeriesPart
from bayes_causal.models.series_regression import Horseshoe, NoRegression, Ridge, SeriesRegression, SpikeSlab
from bayes_causal.models.series_student_t import StudentT

if TYPE_CHECKING:
    from bayes_causal.models.forms import CollapsedForm, GibbsForm
    from bayes_causal.numerics.sd_prior import SdPrior
    from bayes_causal.numerics.state_space import StateSpace

NOISE_SEED = 20_150_101


@dataclass(frozen=True)
class Priors:
    """Scales of the priors, on the outcome divided by the sd of its pre-period.

    Parameters
    ----------
    sigma : scale of the half-normal on the innovation sd σ of the error
    level_ratio, trend_ratio, seasonal_ratio, dynamic_ratio : scales of the half-normals on the sds of the innovations of level,
        slope, seasons and wandering coefficients, relative to σ
    first_level : sd of the initial level around the first outcome
    first_slope : sd of the initial slope, per row
    first_season : sd of the initial seasonal effects
    slab : information of the slab, in observations
    slab_diagonal : share of the diagonal in it
    ridge : scale of the half-normal on the common sd of ridge coefficients, per sd of a control
    horseshoe : multiplies the scale m/(p − m) of the half-Cauchy on the common scale of a horseshoe, m of p columns expected
    nu : mean of the prior Gamma(2, 2/nu) on the degrees of freedom of Student-t errors
    level_sd : guess of the level's sd under "causalimpact" (R's `prior.level.sd`), which uses no other of these but `slab`,
        `slab_diagonal`; with wandering coefficients it is the guess of σ as well
    slope_mean : sd of the slope of the long run under "semilocal", per row
    slope_ar : sd of the normal, cut off at −1 and 1, on how much of a slope's deviation from it is left a row later
    """

    sigma: float = 1.0
    level_ratio: float = 0.3
    trend_ratio: float = 0.03
    seasonal_ratio: float = 0.1
    dynamic_ratio: float = 0.1
    first_level: float = 1.0
    first_slope: float = 0.1
    first_season: float = 1.0
    slab: float = 0.01
    slab_diagonal: float = 0.5
    ridge: float = 1.0
    horseshoe: float = 1.0
    nu: float = 20.0
    level_sd: float = 0.01
    slope_mean: float = 0.1
    slope_ar: float = 1.0


@dataclass(frozen=True, eq=False, init=False)
class StructuralTimeSeries:
    """Structural time series.

    Parameters
    ----------
    series : TimeSeries
    level : {"local_level", "local_linear_trend", "semilocal"}
        A random walk; with a slope that is one too; with a slope that returns to a slope of the long run.
    seasonal : sequence of {"period": int, "duration": int}
        Seasons, and rows that each lasts (1 if left out).
    ar : int, optional
        Lags that errors depend on. 1: errors are AR(1), the default of the calibrated priors; 0: they are independent, as in R;
        more: partial autocorrelations are uniform on (−1, 1), each by itself.
    regression : {"spike_slab", "horseshoe", "ridge", "none"}
        Of the outcome on the controls; "none" where there are none.
    expected_model_size : float
        Expected number of columns in the regression, the intercept counted under "causalimpact" as in R. Under a horseshoe, of
        columns that are not shrunk to nothing, at most half of them.
    dynamic : bool
        Whether coefficients wander beside their constant parts; under "causalimpact" they wander and have none, as in R.
    errors : {"gaussian", "student_t"}
        Of the innovations; Student-t ones, with at most one lag, let single rows lie far off.
    standardise : bool
        Whether controls are centred and scaled by the pre-period.
    prior_set : {"calibrated", "causalimpact"}
    priors : Priors

    Raises
    ------
    ValueError
        Every option that does not exist, or does not go with another, in one message.
    """

    series: TimeSeries
    level: str
    seasonal: tuple[tuple[int, int], ...]
    ar: int
    regression: str
    expected_model_size: float
    dynamic: bool
    errors: str
    standardise: bool
    prior_set: str
    priors: Priors

    name: ClassVar[str] = "structural_time_series"
    headline: ClassVar[Estimand] = Estimand("att", "realised")

    def __init__(
        self,
        series: TimeSeries,
        *,
        level: Literal["local_level", "local_linear_trend", "semilocal"] = "local_level",
        seasonal: Sequence[Mapping[str, int]] = (),
        ar: int | None = None,
        regression: Literal["spike_slab", "horseshoe", "ridge", "none"] = "spike_slab",
        expected_model_size: float = 3.0,
        dynamic: bool = False,
        errors: Literal["gaussian", "student_t"] = "gaussian",
        standardise: bool = True,
        prior_set: Literal["calibrated", "causalimpact"] = "calibrated",
        priors: Priors | None = None,
    ):
        settled: dict[str, Any] = {
            "series": series,
            "level": level,
            "seasonal": seasonal,
            "ar": int(prior_set == "calibrated") if ar is None else ar,
            "regression": "none" if not series.control_names or (dynamic and prior_set == "causalimpact") else regression,
            "expected_model_size": expected_model_size,
            "dynamic": dynamic,
            "errors": errors,
            "standardise": standardise,
            "prior_set": prior_set,
            "priors": priors or Priors(),
        }
        refuse_options(settled, regression, len(series.control_names))
        settled["seasonal"] = tuple((int(s["period"]), int(s.get("duration", 1))) for s in seasonal)
        for key, value in settled.items():
            object.__setattr__(self, key, value)

    def variant(self, *, series: TimeSeries | None = None, **options: Any) -> StructuralTimeSeries:
        """The same model on other data, or with some options changed: what refitting checks need."""
        names = ("level", "ar", "expected_model_size", "dynamic", "errors", "standardise", "prior_set", "priors", "regression")
        kept = {k: getattr(self, k) for k in names} | {"seasonal": [{"period": p, "duration": d} for p, d in self.seasonal]}
        if self.dynamic and self.prior_set == "causalimpact":
            del kept["regression"]
        return StructuralTimeSeries(series or self.series, **(kept | options))

    @cached_property
    def design(self) -> SeriesDesign:
        """Arrays on the standardised scale."""
        used = self.series if self.regression != "none" or self.dynamic else self.series.select_controls(())
        return series_design(
            used,
            regression=self.regression != "none",
            intercept=self.prior_set == "causalimpact" and self.regression == "spike_slab",
            diagonal=self.priors.slab_diagonal,
            standardise=self.standardise,
        )

    @cached_property
    def parts(self) -> tuple[SeriesPart, ...]:
        """The components, the level first."""
        return series_components.parts(self)

    @cached_property
    def error_structure(self) -> SeriesErrors:
        """How errors hang together."""
        if self.errors == "student_t":
            return StudentT(bool(self.ar), 2 / self.priors.nu)
        if self.ar > 1:
            return HigherOrder(self.ar)
        return Autoregressive() if self.ar else Independent()

    @cached_property
    def regression_prior(self) -> SeriesRegression:
        """What is believed of the coefficients."""
        p, k = self.priors, self.design.candidates.shape[1]
        if not k:
            return NoRegression()
        if self.regression == "horseshoe":
            expected = min(self.expected_model_size, k / 2)
            return Horseshoe(p.horseshoe * expected / (k - expected))
        return Ridge(p.ridge) if self.regression == "ridge" else SpikeSlab(k, p.slab, self.inclusion)

    @cached_property
    def sigma(self) -> SdPrior | None:
        """R's prior on σ; None where it is half-normal."""
        from bayes_causal.numerics.sd_prior import SdPrior

        if self.prior_set == "calibrated":
            return None
        if self.dynamic:
            return SdPrior(self.priors.level_sd, 32.0, 0.1)
        return SdPrior(float(np.sqrt(0.2)), 50.0, 1.2) if self.regression != "none" else SdPrior(1.0, 0.01, 1.2)

    @property
    def inclusion(self) -> float:
        """Prior probability of each candidate column, 1 where all are in."""
        p = self.design.candidates.shape[1]
        return min(1.0, self.expected_model_size / p) if p and self.regression == "spike_slab" else 1.0

    @property
    def selection(self) -> bool:
        """Whether there is more than one sub-model."""
        return self.inclusion < 1.0

    def coords(self) -> dict[str, Any]:
        """Labels of every dim."""
        d, time = self.design, self.series.dataset["time"].values
        coords: dict[str, Any] = {"time": time, "row": np.arange(d.fitted_rows.size), "step": np.arange(1, d.span)}
        names = list(self.series.control_names)
        if d.controls.shape[1]:
            coords["control"] = names
        if d.candidates.shape[1]:
            coords["candidate"] = [*(["intercept"] if d.intercept else []), *names]
        if self.ar > 1:
            coords["lag"] = np.arange(1, self.ar + 1)
        return coords

    def dims(self) -> dict[str, tuple[str, ...]]:
        """Dims of reported quantities."""
        names: dict[str, tuple[str, ...]] = {p.name: ("time",) for p in self.parts}
        of_controls = dict.fromkeys(("beta", "inclusion", "shrinkage", "sigma_dynamic"), ("control",))
        return names | of_controls | {"counterfactual": ("time",), "ar": ("lag",), "y": ("row",)}

    def numpyro_model(self) -> None:
        """The model in NumPyro."""
        from numpyro import sample
        from numpyro.distributions import HalfNormal

        from bayes_causal.models.truncated_sd import TruncatedSd

        d = self.design
        sigma = sample("sigma", HalfNormal(self.priors.sigma) if self.sigma is None else TruncatedSd(self.sigma))
        mean = d.first + sum(part.numpyro(d.span, sigma) for part in self.parts) + self.regression_prior.numpyro(sigma, d)
        self.error_structure.numpyro(mean, sigma, d)

    def pymc_model(self) -> Any:
        """The model in PyMC."""
        import pymc as pm

        from bayes_causal.models.series_scales import pymc_truncated_sd

        d = self.design
        with pm.Model(coords=self.coords()) as model:
            r, scale = self.sigma, np.float64(self.priors.sigma)
            sigma = pm.HalfNormal("sigma", scale) if r is None else pymc_truncated_sd("sigma", r)
            mean = d.first + sum(part.pymc(d.span, sigma) for part in self.parts) + self.regression_prior.pymc(sigma, d)
            self.error_structure.pymc(mean, sigma, d)
        return model

    def collapsed(self, outcome: np.ndarray | None = None) -> CollapsedForm:
        """States, coefficients and sub-models integrated out; R's local level leaves one variance ratio, others their scales.

        `outcome` (N,) stands in for the standardised outcomes of the fitted rows, as simulated ones do.
        """
        from bayes_causal.numerics.one_ratio import OneRatio

        if why := self.no_collapsed_form:
            raise ValueError(f"{self.name} has no collapsed form: {why}")
        if self.sigma is not None and len(self.parts) == 1 and isinstance(self.parts[0], LocalLevel):
            span, sums = self._sums(outcome)
            level = self.parts[0].scale.prior
            assert not isinstance(level, float)
            p = self.design.candidates.shape[1]
            return OneRatio(self.parts[0].part(), p, self.selection, self.sigma, level, span, None).on(sums, span)
        return self.all_scales(outcome)

    def all_scales(self, outcome: np.ndarray | None = None) -> StateSpace:
        """The collapsed form that leaves every standard deviation, where `collapsed` may integrate more of them out."""
        from bayes_causal.numerics.linear_gaussian import Hyper
        from bayes_causal.numerics.sd_prior import SdHyper
        from bayes_causal.numerics.state_space import StateSpace

        span, sums = self._sums(outcome)
        hypers: list[Any] = [
            Hyper("sigma", "half_normal", self.priors.sigma) if self.sigma is None else SdHyper("sigma", self.sigma)
        ]
        hypers += self.error_structure.hypers()
        hypers += [scale.hyper() for part in self.parts for scale in part.scales]
        hypers += self.regression_prior.hypers()
        irregular = any(duration > 1 for _, duration in self.seasonal)
        parts = tuple(p.part() for p in self.parts)
        p = self.design.candidates.shape[1]
        slab_sd = "ridge" if self.regression == "ridge" else None
        return StateSpace(tuple(hypers), parts, p, self.selection, self.error_structure.order, slab_sd, span, irregular, sums)

    @property
    def no_collapsed_form(self) -> str | None:
        """Why not everything but the scales can be integrated out; None where it can."""
        reasons = self.regression_prior.no_collapsed_form, self.error_structure.no_collapsed_form
        return "; ".join(r for r in reasons if r) or None

    @property
    def prefers_gibbs(self) -> str | None:
        """Why sweeps are the better way; None where they are not."""
        return self.no_collapsed_form

    def gibbs(self, outcome: np.ndarray | None = None) -> GibbsForm:
        """Scales with states and coefficients integrated out, and what regression and errors have beyond them."""
        from bayes_causal.numerics.series_sweeps import SeriesSweeps, SweepSums

        form, prior = self.all_scales(outcome), self.regression_prior
        assert form.sums is not None
        sums = SweepSums(form.sums, prior.sums(self.design)[2])
        return SeriesSweeps(replace(form.bare(), selection=False), prior.sweeps(), self.error_structure.tails, sums)

    def natural(self, sites: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Reported quantities in units of the outcome, from the sites of either a twin or the collapsed form."""
        lead = sites["sigma"].shape
        flat = {k: v.reshape(-1, *v.shape[len(lead) :]) for k, v in sites.items()}
        found = series_predictive.in_blocks(self._natural, flat, self.design.rows, NOISE_SEED)
        return {k: v.reshape(*lead, *v.shape[1:]) for k, v in found.items()}

    def _natural(self, sites: Mapping[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
        d, s = self.design, self.design.scale
        paths = series_predictive.paths(self.parts, sites, d, rng)
        beta = self.regression_prior.coefficients(sites, d)
        expected = series_predictive.expected(paths, beta, d)
        outcome = self.error_structure.ahead(expected, sites, d, rng)
        outcome += expected
        named = {k: v * s for k, v in paths.items()}
        named["level"] += d.center + (s * beta[..., :1] if d.intercept and beta is not None else 0.0)
        outcome *= s
        outcome += d.center
        named["counterfactual"] = outcome
        if beta is not None:
            named["beta"] = beta[..., int(d.intercept) :] * s / d.control_scale
            own = self.regression_prior.named(sites)
            named |= {k: v[..., int(d.intercept) :] if v.ndim == beta.ndim else v for k, v in own.items()}
        for part in self.parts:
            named |= part.named(sites, s)
        return named | self.error_structure.named(sites) | {"sigma": sites["sigma"] * s}

    def top_level(self) -> tuple[str, ...]:
        """Sites with top-level priors on scales: what a prior sensitivity analysis scales."""
        own = (*self.error_structure.names, *self.regression_prior.names)
        return ("sigma", *own, *(scale.name for part in self.parts for scale in part.scales))

    def effect(self, posterior: xr.Dataset, estimand: Estimand) -> xr.DataArray:
        """Draws of an estimand, on the outcome that happened.

        `att`: mean over the observed dates of the post-period of outcome minus counterfactual; by `time`, at every observed date
        from the intervention on. `cumulative`: the sum; by `time`, the running sum. `relative`: the sum over the sum of the
        counterfactual.

        Raises
        ------
        EstimandError
            An estimand this model does not have.
        """
        return series_predictive.effect(self, posterior, estimand)

    def answers(self, totals: np.ndarray, estimand: Estimand) -> np.ndarray:
        """Draws of an overall estimand from the form's draws of the sum of the counterfactual, which is all it hangs on."""
        series_predictive.refuse(self, estimand)
        used = series_predictive.counted(self)
        return series_predictive.answer(self, used.size * self.design.center + self.design.scale * totals, estimand)

    def components(self, posterior: xr.Dataset) -> xr.Dataset:
        """Draws (chain, draw, time) of what makes up the expected outcome: level, seasons, regression, in its units."""
        d = self.design
        found = {p.name: posterior[p.name] for p in self.parts}
        if "beta" in posterior:
            controls = xr.DataArray(
                d.controls * d.control_scale, {"time": self.coords()["time"], "control": self.coords()["control"]}
            )
            found["regression"] = (posterior["beta"] * controls).sum("control")
        return xr.Dataset(found)

    def simulate(self, sites: Mapping[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """(S, N) outcomes of the fitted rows in natural units: the states of the sites, errors drawn anew."""
        d = self.design
        paths = series_predictive.paths(self.parts, sites, d, rng)
        expected = series_predictive.expected(paths, self.regression_prior.coefficients(sites, d), d)[:, d.fitted_rows]
        return d.center + d.scale * (expected + self.error_structure.anew(sites, d, rng))

    def observed(self) -> xr.DataArray:
        """(row,) the outcomes the model is fitted to, in natural units, with their dates."""
        d = self.design
        where = {"time_of_row": ("row", self.series.dataset["time"].values[d.fitted_rows])}
        return xr.DataArray(d.center + d.scale * d.y[d.fitted_rows], dims=("row",), coords=where, name="y")

    def standardised(self, outcomes: np.ndarray) -> np.ndarray:
        """Outcomes minus the centre, over the scale, of this pre-period."""
        return (outcomes - self.design.center) / self.design.scale

    def log_likelihood(self, sites: Mapping[str, np.ndarray]) -> xr.DataArray:
        """(sample, row) log density of each fitted outcome given the states and the outcomes before it, standardised scale."""
        value = series_predictive.log_likelihood(self, sites)
        return xr.DataArray(value, dims=("sample", "row"), name="y")

    @property
    def unit(self) -> str:
        """Unit of the effects: the outcome's."""
        return self.series.outcome_name

    def estimands(self) -> tuple[Estimand, ...]:
        """The average, the sum, the fraction, and date by date."""
        names = ("att", "cumulative", "relative")
        return (*(Estimand(n, "realised") for n in names), *(Estimand(n, "realised", "time") for n in names[:2]))

    def assumptions(self) -> tuple[Assumption, ...]:
        """What must be true for the att to be causal."""
        stable = "Without the intervention the outcome would have kept its relation to the controls and its own dynamics."
        alone = "The intervention does not change the controls."
        nothing = "Nothing else that moves the outcome alone happened on or after the date of the intervention."
        ahead = "The outcome does not react before the date of the intervention."
        noise = (
            "Level, seasons and errors are normal, with constant variances, as the options say; the error of the counterfactual "
            "continues that of the pre-period."
        )
        return (
            Assumption("stable relation", stable, ("placebo_time", "false_alarms", "leave_one_out")),
            Assumption("unaffected controls", alone, ("control_drift", "leave_one_out")),
            Assumption("no other event", nothing, ("false_alarms",)),
            Assumption("no anticipation", ahead, ("placebo_time",)),
            Assumption("model of the series", noise, ("posterior_predictive", "prior_sensitivity", "false_alarms")),
        )

    def constant_data(self) -> xr.Dataset:
        """The series itself, and which dates are which: all a report needs."""
        data = self.series.dataset
        kept = ["outcome", *(["controls"] if "controls" in data else [])]
        flags = {"pre": ("time", self.series.pre), "post": ("time", self.series.post)}
        return xr.Dataset({k: data[k] for k in kept}, attrs={}).assign(flags)

    def _sums(self, outcome: np.ndarray | None) -> tuple[int, Any]:
        """Rows that hold all fitted ones, padded, and the data as the collapsed forms take them."""
        return series_predictive.sums(self, outcome)
