"""Hierarchical structural time series: many units, each with a course of its own, and one effect that they share.

    y_it = first_i + μ_it + x_it'β_i + effect_it + ε_it,   in units of c_i, the sd of the unit's untreated cells
    μ_i1 ~ N(0, 1),  μ_i,t+1 = μ_it + √q σ η_it            a level that wanders, one path a unit
    ε_it = ρ ε_i,t−1 + σ v_it, stationary                   σ, ρ and q are common: units differ by c_i
    β_i = b + ω_β w_i                                       coefficients of covariates, pooled
    effect_it = S/c_i (Σ_k e_itk τ_k + D_it v_i)            τ as `bayes_causal.models.did_effects` says;  v_i ~ N(0, σ_v)

Effects are alike in units of the outcome, S being the sd of untreated cells around their unit's mean, pooled: an att is an
average of effects, and pooling on each unit's own scale would shrink towards a mean that is no att. By event time, the walk of
τ_e starts at onset with τ_0 ~ N(0, S): the jump there is not penalised. D_it counts active treatments; effects stop with them.

Every row is fitted, treated ones with their effect columns. Where a unit would have gone is said by its own past, its covariates
and what all units say of σ, ρ and q, not by untreated units of the same period: shocks that units have in common are no part of
the model, and a series that carries them belongs among the covariates. That is what sets it apart from `HierarchicalDiD`.

The priors of σ, ρ, q and the first level are the calibrated ones of `StructuralTimeSeries`.
Brodersen et al. 2015, doi:10.1214/14-AOAS788; Gelman & Hill 2007 on pooling; Durbin & Koopman 2012 on state space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import xarray as xr

from bayes_causal.data.panel import Panel
from bayes_causal.data.panel_source import WITHOUT_ROWS, PanelSource
from bayes_causal.errors import IdentificationError, closest
from bayes_causal.estimates import Estimand
from bayes_causal.models import did_priors, unit_series_answers
from bayes_causal.models.base import Assumption
from bayes_causal.models.did_effects import STRUCTURES, EffectStructure
from bayes_causal.models.did_effects.event_time import DEFAULT_LAGS
from bayes_causal.models.did_estimands import contraction, panel_summary, weights_without
from bayes_causal.models.panel_design import in_row_space
from bayes_causal.models.unit_series_design import UnitSeriesDesign, unit_series_design

if TYPE_CHECKING:
    from bayes_causal.numerics.unit_series import UnitSeries

EFFECTS = ("constant", "group", "event_time")
MOST_UNITS = 60


@dataclass(frozen=True)
class Priors:
    """Scales of the priors: of effects in units of S, of all else on each unit's own scale.

    Parameters
    ----------
    tau : sd of the (population mean, or onset) effect
    omega : scale of the half-normal on the sd of effects between groups
    step : scale of the half-normals on the step sds of the walks over event time
    sigma_slope : scale of the half-normal on the sd of effects between units
    sigma : scale of the half-normal on the innovation sd of the errors
    level_ratio : scale of the half-normal on √q, the sd of the level's innovations relative to σ
    first_level : sd of the initial level around the first outcome
    beta : sd of the mean coefficient of each covariate, per sd of it within a unit
    sigma_beta : scale of the half-normal on the sd of coefficients between units
    """

    tau: float = 1.0
    omega: float = 0.5
    step: float = 0.5
    sigma_slope: float = 0.5
    sigma: float = 1.0
    level_ratio: float = 0.3
    first_level: float = 1.0
    beta: float = 1.0
    sigma_beta: float = 0.5

    @property
    def effects(self) -> did_priors.Priors:
        """Those that effect structures take, as NumPy float64."""
        return did_priors.Priors(tau=self.tau, omega=self.omega, step=self.step).doubles()


@dataclass(frozen=True, eq=False, init=False)
class HierarchicalTimeSeries:
    """Hierarchical structural time series.

    Parameters
    ----------
    panel : Panel
        Every unit needs three untreated cells with an outcome. Periods without one are missing, not skipped.
    effect : {"event_time", "constant", "group"}
        The shape that units share; "group" where groups differ (partial pooling over groups, and over units within them).
    window : (lead, lag), optional
        Event times with a coefficient of their own; beyond it, one bin on each side. (0, 24) unless given: without leads. With
        them, common movements before onset show in the check `pretrend`.
    priors : Priors

    Raises
    ------
    DataError
        Units without a scale of their own; weights.
    IdentificationError
        No treated cell has an outcome.
    ValueError
        An option that does not exist; rows that are not in memory.
    """

    panel: Panel
    effects: str
    window: tuple[int, int]
    priors: Priors

    name: ClassVar[str] = "hierarchical_time_series"
    headline: ClassVar[Estimand] = Estimand("att", "mean")

    def __init__(
        self,
        panel: Panel,
        *,
        effect: Literal["event_time", "constant", "group"] = "event_time",
        window: Sequence[int] | None = None,
        priors: Priors | None = None,
    ):
        problems = [] if effect in EFFECTS else [f"effect '{effect}' does not exist{closest(str(effect), EFFECTS)}"]
        if window is not None and (len(window) != 2 or min(window) < 0):
            problems.append(f"window is [leads, lags], two counts of periods from 0 up, not {window!r}")
        if isinstance(panel, PanelSource):
            problems.append(f"{self.name} needs single rows: {WITHOUT_ROWS}. What helps: in_memory: true, where they fit")
        if problems:
            raise ValueError("; ".join(problems))
        window = (0, DEFAULT_LAGS) if window is None else (int(window[0]), int(window[1]))
        settled = {"panel": panel, "effects": effect, "window": window, "priors": priors or Priors()}
        for key, value in settled.items():
            object.__setattr__(self, key, value)
        if not (panel.observed & panel.treated).any():
            raise IdentificationError("no treated cell has an outcome: there is no effect to tell")
        self.design  # noqa: B018  refuses units that it cannot take

    def variant(self, *, panel: Panel | PanelSource | None = None, effect: str | None = None) -> HierarchicalTimeSeries:
        """The same model with another effect structure, or on other data: what refitting checks need."""
        changed: dict[str, Any] = {"effect": effect or self.effects, "window": self.window, "priors": self.priors}
        return HierarchicalTimeSeries(panel or self.panel, **changed)  # type: ignore[arg-type]

    @cached_property
    def structure(self) -> EffectStructure:
        """The shape of the effect."""
        return STRUCTURES[self.effects](self.panel, self.window)

    @cached_property
    def design(self) -> UnitSeriesDesign:
        """Every row and column, on the scale of its unit."""
        return unit_series_design(self.panel, self.structure.columns)

    @property
    def treated(self) -> np.ndarray:
        """(V,) positions of the units ever treated."""
        return np.flatnonzero(self.panel.ever_treated)

    def coords(self) -> dict[str, Any]:
        """Labels of every dim."""
        data, d = self.panel.dataset, self.design
        coords = {
            "unit": data["unit"].values,
            "treated_unit": data["unit"].values[self.treated],
            "column": list(self.structure.column_names),
            "step": np.arange(1, d.span),
            "row": np.arange(d.y.size),
        }
        coords |= {"covariate": data["covariate"].values} if d.covariates.shape[1] else {}
        return coords | self.structure.coords()

    def dims(self) -> dict[str, tuple[str, ...]]:
        """Dims of sites and reported quantities."""
        own: dict[str, tuple[str, ...]] = {
            "level_first": ("unit",),
            "level_step": ("unit", "step"),
            "slope_offset": ("treated_unit",),
            "slope": ("treated_unit",),
            "beta_mean": ("covariate",),
            "beta_offset": ("unit", "covariate"),
            "beta": ("unit", "covariate"),
            "coefficient": ("column",),
            "y": ("row",),
        }
        return own | self.structure.dims()

    def numpyro_model(self) -> None:
        """The model in NumPyro."""
        import jax.numpy as jnp
        from numpyro import sample
        from numpyro.distributions import HalfNormal, Normal, Uniform

        d, p = self.design, self.priors
        units, steps, covariates = d.n_units, d.span - 1, d.covariates.shape[1]
        sigma, rho = sample("sigma", HalfNormal(p.sigma)), sample("rho", Uniform(-1.0, 1.0))
        sd = sigma * sample("level_ratio", HalfNormal(p.level_ratio))
        start = sample("level_first", Normal(0.0, p.first_level).expand([units]).to_event(1))
        step = sample("level_step", Normal(0.0, 1.0).expand([units, steps]).to_event(2))
        level = start[:, None] + sd * jnp.concatenate([jnp.zeros((units, 1)), jnp.cumsum(step, 1)], 1)
        tau = self.structure.numpyro(p.effects)
        sigma_slope = sample("sigma_slope", HalfNormal(p.sigma_slope))
        slope = sigma_slope * sample("slope_offset", Normal(0.0, 1.0).expand([self.treated.size]).to_event(1))
        mean = level.ravel() if d.grid else level[d.unit, d.position]
        mean = mean + d.ratio[d.unit] * (d.effect @ tau + d.active * slope[self.slope_of_row])
        if covariates:
            center = sample("beta_mean", Normal(0.0, p.beta).expand([covariates]).to_event(1))
            spread = sample("sigma_beta", HalfNormal(p.sigma_beta))
            beta = center + spread * sample("beta_offset", Normal(0.0, 1.0).expand([units, covariates]).to_event(2))
            mean = mean + jnp.sum(d.covariates * beta[d.unit], 1)
        c = jnp.where(d.gap > 0, rho ** jnp.maximum(d.gap, 1), 0.0)
        expected = mean + c * jnp.concatenate([jnp.zeros(1), (d.y - mean)[:-1]])
        sample("y", Normal(expected, sigma * jnp.sqrt((1 - c**2) / (1 - rho**2))).to_event(1), obs=d.y)

    def pymc_model(self) -> Any:
        """The model in PyMC."""
        import pymc as pm
        import pytensor.tensor as pt

        d, p = self.design, Priors(**{f.name: np.float64(getattr(self.priors, f.name)) for f in fields(self.priors)})
        units, covariates = d.n_units, d.covariates.shape[1]
        with pm.Model(coords=self.coords()) as model:
            sigma, rho = pm.HalfNormal("sigma", p.sigma), pm.Uniform("rho", np.float64(-1.0), np.float64(1.0))
            sd = sigma * pm.HalfNormal("level_ratio", p.level_ratio)
            start = pm.Normal("level_first", 0.0, p.first_level, dims="unit")
            step = pm.Normal("level_step", 0.0, 1.0, dims=("unit", "step"))
            level = start[:, None] + sd * pt.concatenate([pt.zeros((units, 1)), pt.cumsum(step, axis=1)], axis=1)
            tau = self.structure.pymc(p.effects)
            sigma_slope = pm.HalfNormal("sigma_slope", p.sigma_slope)
            slope = sigma_slope * pm.Normal("slope_offset", 0.0, 1.0, dims="treated_unit")
            mean = level.ravel() if d.grid else level[d.unit, d.position]
            mean = mean + d.ratio[d.unit] * (pt.dot(d.effect, tau) + d.active * slope[self.slope_of_row])
            if covariates:
                center = pm.Normal("beta_mean", 0.0, p.beta, dims="covariate")
                spread = pm.HalfNormal("sigma_beta", p.sigma_beta)
                beta = center + spread * pm.Normal("beta_offset", 0.0, 1.0, dims=("unit", "covariate"))
                mean = mean + pt.sum(d.covariates * beta[d.unit], axis=1)
            c = pt.where(d.gap > 0, rho ** np.maximum(d.gap, 1), 0.0)
            expected = mean + c * pt.concatenate([pt.zeros(1), (d.y - mean)[:-1]])
            pm.Normal("y", expected, sigma * pt.sqrt((1 - c**2) / (1 - rho**2)), observed=d.y, dims="row")
        return model

    @property
    def slope_of_row(self) -> np.ndarray:
        """(N,) position of each row's unit among the units ever treated; any, where it is never treated."""
        return np.asarray(np.maximum(np.cumsum(self.panel.ever_treated) - 1, 0)[self.design.unit])

    def collapsed(self, outcome: np.ndarray | None = None, without: np.ndarray | None = None) -> UnitSeries:
        """Levels, errors, effects and coefficients integrated out; what is left are the scales and ρ.

        `outcome` (N,) stands in for the standardised outcome, as a simulated one does. With `without`, (P, U) bool, the sums are
        those of the whole and without each of P sets of units, stacked.
        """
        return unit_series_answers.form(self, outcome, without)

    def natural(self, sites: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Reported quantities in units of the outcome, from the sites of either a twin or the collapsed form.

        `sigma` is that of a unit whose scale is S; `slope` is what the effect on a unit differs by; `beta_mean` is in sds of the
        outcome per sd of the covariate, as coefficients are pooled, and `beta` in units of both.
        """
        d, s = self.design, self.design.effect_scale
        named = self.structure.natural(sites, s)
        named["coefficient"] = self.structure.coefficients(sites) * s
        named |= {k: sites[k] * s for k in ("sigma", "sigma_slope")}
        named |= {k: sites[k] for k in ("rho", "level_ratio", "sigma_beta", "beta_mean") if k in sites}
        named["slope"] = named["sigma_slope"][..., None] * sites["slope_offset"]
        if "beta_mean" in sites:
            beta = sites["beta_mean"][..., None, :] + sites["sigma_beta"][..., None, None] * sites["beta_offset"]
            named["beta"] = beta * (d.scale[:, None] / d.covariate_scale)
        weights, on = (contraction(self.panel, self.structure, None, over=o)[0][0] for o in ("columns", "units"))
        return named | {"att": named["coefficient"] @ weights + named["slope"] @ on[self.treated]}

    def top_level(self) -> tuple[str, ...]:
        """Sites with top-level priors on effects and on what tells where units would have gone."""
        effects = ("tau", "omega", "lag_first", "step_lag", "step_lead", "sigma_slope")
        return (*effects, "level_ratio", "rho", "beta_mean", "sigma_beta")

    def effect(self, posterior: xr.Dataset, estimand: Estimand) -> xr.DataArray:
        """Draws of an estimand.

        `att`: mean over treated cells of the effect of the active treatments, the units' own slopes included. By `group` and
        `event_time`: mean over active (cell, group) pairs; leads, where there are any, are shown too. By `cohort`, `time`,
        `unit`: mean over treated cells. `cumulative` is the sum over treated cells, `relative` the att over the mean
        counterfactual outcome of the treated cells. `realised` sets outcomes against draws of Y(0) in treated cells given the
        parameters and the unit's untreated cells alone, level and errors continued as `StructuralTimeSeries` does.

        Raises
        ------
        EstimandError
            An estimand this model does not have.
        """
        return unit_series_answers.effect(self, posterior, estimand)

    def levels(self, posterior: xr.Dataset, *, draws: int = 200) -> xr.DataArray:
        """(sample, unit, time) draws of first_i + μ_it given everything else, evenly spaced over the posterior, in its units.

        NaN before a unit's first observed period; the noise stream is fixed.
        """
        return unit_series_answers.levels(self, posterior, draws)

    def innovations(self, posterior: xr.Dataset) -> xr.DataArray:
        """(unit, time) errors of forecasting each outcome from those before it, over their sds, at posterior means; NaN where
        there is no outcome. Standard normal, and independent between units, where the model is right.
        """
        return unit_series_answers.innovations(self, posterior)

    def simulate(self, sites: Mapping[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """(S, N) outcomes in natural units: levels of the sites, or drawn given the data where these have none; new errors."""
        return unit_series_answers.simulate(self, sites, rng)

    def observed(self) -> xr.DataArray:
        """(row,) the outcome in natural units, with the unit and time of each row."""
        data, (unit, time) = self.panel.dataset, np.nonzero(self.panel.observed)
        where = {"unit_of_row": ("row", data["unit"].values[unit]), "time_of_row": ("row", data["time"].values[time])}
        return xr.DataArray(data["outcome"].values[unit, time], dims=("row",), coords=where, name="y")

    def standardised(self, outcomes: np.ndarray) -> np.ndarray:
        """Outcomes (..., N) on the scale of their units, with first outcomes and scales of this panel."""
        d = self.design
        return np.asarray((outcomes - d.first[d.unit]) / d.scale[d.unit])

    def log_likelihood(self, sites: Mapping[str, np.ndarray]) -> xr.DataArray:
        """(sample, unit) log density of each unit's standardised rows, its level and its own coefficients integrated out."""
        return xr.DataArray(unit_series_answers.log_likelihood(self, sites), dims=("sample", "unit"), name="y")

    @property
    def unit(self) -> str:
        """Unit of the effects: the outcome's."""
        return self.panel.outcome_name

    def estimands(self) -> tuple[Estimand, ...]:
        """Overall first, then every breakdown along which effects may differ."""
        grouping = (self.panel.grouping,) if self.panel.dataset.sizes["group"] > 1 else ()
        shape = ("event_time",) if self.effects == "event_time" else ()
        units = ("unit",) if 1 < self.treated.size <= MOST_UNITS else ()
        breakdowns = (*shape, *grouping, "cohort", "time", *units)
        extra = (Estimand("att", "realised"), Estimand("cumulative", "mean"), Estimand("relative", "mean"))
        alone = (Estimand("att", "realised", b) for b in units)
        return (self.headline, *extra, *(Estimand("att", "mean", b) for b in breakdowns), *alone)

    def assumptions(self) -> tuple[Assumption, ...]:
        """What must be true for the att to be causal."""
        course = (
            "Without the treatment, each unit would have gone on as its own past and its covariates say: a wandering level and "
            "errors that persist, as lively as before."
        )
        common = (
            "Nothing else moved many units at once when they were treated: units' shocks are independent given covariates. "
            "Staggered dates help; a series that carries common shocks belongs among the covariates."
        )
        ahead = "Units do not react to a treatment before it starts, and the treatment does not change the covariates."
        alone = "The treatment of one unit does not change another unit's outcome (no spillovers)."
        shape = "Effects have one shape over units and differ in size, normally, in units of the outcome; they stop with it."
        noise = "On the scale of its untreated outcomes every unit's noise, persistence and drift are the same."
        return (
            Assumption("stable course", course, ("placebo_time", "prior_sensitivity")),
            Assumption("no common shock", common, ("common_shocks", "placebo_time", "pretrend")),
            Assumption("no anticipation", ahead, ("pretrend",)),
            Assumption("no interference", alone, ()),
            Assumption("effect structure", shape, ("leave_one_out", "posterior_predictive")),
            Assumption("one dynamics", noise, ("posterior_predictive",)),
        )

    def constant_data(self) -> xr.Dataset:
        """Aggregates for the report: raw means by status, treated cells by time, extents of groups."""
        return panel_summary(self.panel)

    def identified(self, by: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Whether levels that stand still would leave the att of each label to the data alone, without priors, leads left out.

        Returns
        -------
        labels, identified : (B,) arrays
        """
        effects = np.asarray(self.structure.pair_columns.any(0))
        weights, labels, _ = contraction(self.panel, self.structure, by, leads=False)
        return labels, self._in_data(weights[:, effects], effects)

    def leads_identified(self) -> bool:
        """Whether the data alone identify movements before onset."""
        leads = ~np.asarray(self.structure.pair_columns.any(0))
        return bool(leads.any() and self._in_data(np.eye(leads.size)[leads], np.ones(leads.size, bool)).all())

    cannot_leave_out: ClassVar[str] = ""

    def probits(self, form: UnitSeries, posterior: xr.Dataset) -> np.ndarray:
        """(S, n) probits of the hyperparameters of a collapsed form, from their flattened posterior draws in natural units."""
        s, plain = self.design.effect_scale, ("rho", "level_ratio", "sigma_beta")
        scale = {h.name: 1.0 if h.name in plain else s for h in form.hypers}
        return np.column_stack([h.probit(posterior[h.name].values.ravel() / scale[h.name]) for h in form.hypers])

    def att_without(self, sites: Mapping[str, np.ndarray], units: np.ndarray) -> np.ndarray:
        """(P, S) draws of the att over the treated cells of all but (P, U) bool sets of units, from sites (P, S, ...)."""
        weights = weights_without(self.panel, self.structure, units)
        treated = self.panel.treated & self.panel.observed
        active = (self.panel.dataset["treatment"].values.sum(2) * treated).sum(1)
        on = (~units * active / (~units @ treated.sum(1))[:, None])[:, self.treated]
        shared = np.einsum("psk,pk->ps", self.structure.coefficients(sites), weights)
        own = sites["sigma_slope"] * np.einsum("psv,pv->ps", sites["slope_offset"], on)
        return np.asarray(self.design.effect_scale * (shared + own))

    def _in_data(self, contrast: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Whether contrasts of some columns' coefficients are identified beside a constant a unit."""
        z, d = self.design.effect[:, columns], self.design
        starts = np.flatnonzero(d.gap == 0)
        total = np.add.reduceat(z, starts)
        size = np.diff(np.r_[starts, len(z)])
        return in_row_space(z.T @ z - (total / size[:, None]).T @ total, contrast, np.linalg.norm(z, axis=0))
