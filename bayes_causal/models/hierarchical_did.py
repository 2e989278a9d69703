"""Hierarchical difference-in-differences for panels with one or many, overlapping, reversible treatments.

    y_it = α_i + γ_t + x_it'β + effect_it + ε_it
    α_i  = a + m_i'δ + u_i,  u_i ~ N(0, σ_α)        m_i: unit means of every column (correlated random effects)
    γ_t  in T−1 orthonormal sum-to-zero contrasts ~ N(0, 10), or a random walk with its own scale
    √w_it ε_it is AR(1) with parameter ρ and innovation sd σ, stationary; or iid N(0, σ)
    effect: see `bayes_causal.models.did_effects`

Everything is standardised by mean and sd of the untreated cells; priors are on that scale; answers are in units of the outcome.

The unit-level terms make the posterior agree with fixed effects (Mundlak 1978, doi:10.2307/1913646; Wooldridge 2021,
doi:10.2139/ssrn.3906345). AR(1) errors: Bertrand, Duflo & Mullainathan 2004, doi:10.1162/003355304772839588.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import xarray as xr

from bayes_causal.data.panel import Panel
from bayes_causal.data.panel_source import PanelSource
from bayes_causal.errors import EstimandError, IdentificationError, closest
from bayes_causal.estimates import Estimand
from bayes_causal.models import did_predictive
from bayes_causal.models.base import Assumption
from bayes_causal.models.did_effects import STRUCTURES, ConstantEffect, EffectStructure
from bayes_causal.models.did_estimands import contraction, panel_summary, treated_mean, weights_without
from bayes_causal.models.did_realised import realised
from bayes_causal.models.panel_design import PanelDesign, in_row_space, panel_design, within_gram
from bayes_causal.models.path_design import path_design

if TYPE_CHECKING:
    from bayes_causal.numerics.linear_gaussian import LinearGaussian

NOISE_SEED = 20_040_101
WITHOUT_ROWS = "rows are not in memory, only their sums over units of one path (data.in_memory)"


@dataclass(frozen=True)
class Priors:
    """Scales of the priors, on the outcome divided by the sd of its untreated cells.

    Parameters
    ----------
    tau : sd of the (population mean, or onset) effect
    omega : scale of the half-normal on the sd of effects between groups, or cohorts
    cell : scale of the half-normals on the sd of effects between cohorts at one event time
    step : scale of the half-normal on the step sd of the walks over event time
    sigma, sigma_unit : scales of the half-normals on the innovation sd and on the sd between units
    intercept, time : sds, as good as flat
    slope : sd of the coefficients of covariates and unit-level terms, per sd of the column
    step_time : scale of the half-normal on the step sd of random-walk time effects
    """

    tau: float = 1.0
    omega: float = 0.5
    cell: float = 0.5
    step: float = 0.5
    sigma: float = 1.0
    sigma_unit: float = 1.0
    intercept: float = 10.0
    time: float = 10.0
    slope: float = 2.5
    step_time: float = 0.5

    def doubles(self) -> Priors:
        """The same numbers as NumPy float64: PyTensor takes the logarithm of a Python float in float32."""
        return Priors(**{f.name: np.float64(getattr(self, f.name)) for f in fields(self)})


@dataclass(frozen=True, eq=False, init=False)
class HierarchicalDiD:
    """Hierarchical difference-in-differences.

    Parameters
    ----------
    panel : Panel or PanelSource
        Rows in memory, or sums over units. The posterior is the same; what needs single rows or units is refused with the reason.
    effect : {"constant", "group", "event_time", "cohort_time"}, optional
        How effects vary; "group" (partial pooling) where the panel names several groups, else "constant".
    errors : {"ar1", "iid"}
    time_effects : {"fixed", "random_walk"}
    window : (lead, lag), optional
        Event times with a coefficient of their own; beyond it, one bin on each side. At most 8 leads and 24 lags unless given.
    priors : Priors

    Raises
    ------
    IdentificationError
        The panel holds no information on the average effect on the treated.
    ValueError
        An option that does not exist.
    """

    panel: Panel | PanelSource
    effects: str
    errors: str
    time_effects: str
    window: tuple[int, int] | None
    priors: Priors

    name: ClassVar[str] = "hierarchical_did"
    headline: ClassVar[Estimand] = Estimand("att", "mean")

    def __init__(
        self,
        panel: Panel | PanelSource,
        *,
        effect: Literal["constant", "group", "event_time", "cohort_time"] | None = None,
        errors: Literal["ar1", "iid"] = "ar1",
        time_effects: Literal["fixed", "random_walk"] = "fixed",
        window: Sequence[int] | None = None,
        priors: Priors | None = None,
    ):
        effect = effect or ("group" if panel.dataset.sizes["group"] > 1 else "constant")
        for what, value, valid in (
            ("effect", effect, STRUCTURES),
            ("errors", errors, ("ar1", "iid")),
            ("time_effects", time_effects, ("fixed", "random_walk")),
        ):
            if value not in valid:
                raise ValueError(f"{what} '{value}' does not exist{closest(str(value), valid)}")
        if window is not None and (len(window) != 2 or min(window) < 0):
            raise ValueError(f"window is [leads, lags], two counts of periods from 0 up, not {window!r}")
        settled: dict[str, Any] = {
            "panel": panel,
            "effects": effect,
            "errors": errors,
            "time_effects": time_effects,
            "window": None if window is None else (int(window[0]), int(window[1])),
            "priors": priors or Priors(),
        }
        for key, value in settled.items():
            object.__setattr__(self, key, value)
        self._refuse_unidentified()

    def variant(self, *, panel: Panel | PanelSource | None = None, effect: str | None = None) -> HierarchicalDiD:
        """The same model with another effect structure, or on other data: what refitting checks need."""
        changed = {"effect": effect or self.effects, "errors": self.errors, "time_effects": self.time_effects}
        return HierarchicalDiD(panel or self.panel, window=self.window, priors=self.priors, **changed)  # type: ignore[arg-type]

    @cached_property
    def structure(self) -> EffectStructure:
        """How the effect varies."""
        return STRUCTURES[self.effects](self.panel.paths, self.window)

    @cached_property
    def design(self) -> PanelDesign:
        """Rows and columns on the standardised scale."""
        columns, names, two = self.structure.columns, self.structure.column_names, self.errors == "ar1"
        if isinstance(self.panel, PanelSource):
            return path_design(self.panel, columns, names, two_terms=two)
        return panel_design(self.panel, columns, names, two_terms=two)

    @property
    def without_rows(self) -> str:
        """Why nothing is said of single rows and units; empty where they are in memory."""
        return WITHOUT_ROWS if isinstance(self.panel, PanelSource) else ""

    def coords(self) -> dict[str, Any]:
        """Labels of every dim."""
        d, data = self.design, self.panel.dataset
        coords = {
            "unit": data["unit"].values,
            "time": data["time"].values,
            "contrast": np.arange(1, d.n_times),
            "column": list(self.structure.column_names),
            "unit_term": list(d.unit_term_names),
            "row": np.arange(d.y.size),
        }
        if d.covariates.shape[1]:
            coords["covariate"] = data["covariate"].values
        return coords | self.structure.coords()

    def dims(self) -> dict[str, tuple[str, ...]]:
        """Dims of sites and reported quantities."""
        return {
            "alpha": ("unit",),
            "gamma": ("time",),
            "time_contrast": ("contrast",),
            "time_offset": ("contrast",),
            "delta": ("unit_term",),
            "beta": ("covariate",),
            "coefficient": ("column",),
            "y": ("row",),
        } | self.structure.dims()

    def numpyro_model(self) -> None:
        """The model in NumPyro."""
        import jax.numpy as jnp
        from numpyro import sample
        from numpyro.distributions import HalfNormal, Normal, Uniform

        d, p = self.design, self.priors
        n_terms, n_covariates, n_contrasts = d.unit_terms.shape[1], d.covariates.shape[1], d.n_times - 1
        a = sample("intercept", Normal(0.0, p.intercept))
        delta = sample("delta", Normal(0.0, p.slope).expand([n_terms]).to_event(1)) if n_terms else jnp.zeros(0)
        sigma_unit = sample("sigma_unit", HalfNormal(p.sigma_unit))
        alpha = sample("alpha", Normal(a + d.unit_terms @ delta, sigma_unit).to_event(1))
        if self.time_effects == "fixed":
            gamma = d.contrasts @ sample("time_contrast", Normal(0.0, p.time).expand([n_contrasts]).to_event(1))
        else:
            step = sample("step_time", HalfNormal(p.step_time))
            walk = sample("time_offset", Normal(0.0, 1.0).expand([n_contrasts]).to_event(1))
            gamma = jnp.concatenate([jnp.zeros(1), step * jnp.cumsum(walk)])
        base = (alpha[:, None] + gamma).ravel() if d.grid else alpha[d.unit] + gamma[d.time]
        mean = base + d.effect @ self.structure.numpyro(p)
        if n_covariates:
            mean = mean + d.covariates @ sample("beta", Normal(0.0, p.slope).expand([n_covariates]).to_event(1))
        sigma = sample("sigma", HalfNormal(p.sigma))
        sd, expected = sigma / d.sqrt_weight, mean
        if self.errors == "ar1":
            rho = sample("rho", Uniform(-1.0, 1.0))
            c = jnp.where(d.gap > 0, rho ** jnp.maximum(d.gap, 1), 0.0)
            eta = d.sqrt_weight * (d.y - mean)
            expected = mean + c * jnp.concatenate([jnp.zeros(1), eta[:-1]]) / d.sqrt_weight
            sd = sd * jnp.sqrt((1 - c**2) / (1 - rho**2))
        sample("y", Normal(expected, sd).to_event(1), obs=d.y)

    def pymc_model(self) -> Any:
        """The model in PyMC."""
        import pymc as pm
        import pytensor.tensor as pt

        d, p = self.design, self.priors.doubles()
        n_terms, n_covariates, n_contrasts = d.unit_terms.shape[1], d.covariates.shape[1], d.n_times - 1
        with pm.Model(coords=self.coords()) as model:
            a = pm.Normal("intercept", 0.0, p.intercept)
            delta = pm.Normal("delta", 0.0, p.slope, dims="unit_term") if n_terms else pt.zeros(0)
            sigma_unit = pm.HalfNormal("sigma_unit", p.sigma_unit)
            alpha = pm.Normal("alpha", a + d.unit_terms @ delta, sigma_unit, dims="unit")
            if self.time_effects == "fixed":
                gamma = d.contrasts @ pm.Normal("time_contrast", 0.0, p.time, shape=n_contrasts, dims="contrast")
            else:
                step = pm.HalfNormal("step_time", p.step_time)
                walk = pm.Normal("time_offset", 0.0, 1.0, shape=n_contrasts, dims="contrast")
                gamma = pt.concatenate([pt.zeros(1), step * pt.cumsum(walk)])
            base = (alpha[:, None] + gamma).ravel() if d.grid else alpha[d.unit] + gamma[d.time]
            mean = base + d.effect @ self.structure.pymc(p)
            if n_covariates:
                mean = mean + d.covariates @ pm.Normal("beta", 0.0, p.slope, dims="covariate")
            sigma = pm.HalfNormal("sigma", p.sigma)
            sd, expected = sigma / d.sqrt_weight, mean
            if self.errors == "ar1":
                rho = pm.Uniform("rho", np.float64(-1.0), np.float64(1.0))
                c = pt.where(d.gap > 0, rho ** np.maximum(d.gap, 1), 0.0)
                eta = d.sqrt_weight * (d.y - mean)
                expected = mean + c * pt.concatenate([pt.zeros(1), eta[:-1]]) / d.sqrt_weight
                sd = sd * pt.sqrt((1 - c**2) / (1 - rho**2))
            pm.Normal("y", expected, sd, observed=d.y, dims="row")
        return model

    def collapsed(self, outcome: np.ndarray | None = None, without: np.ndarray | None = None) -> LinearGaussian:
        """Everything but the scales and ρ, integrated out: columns times √w in the order of the blocks, y last.

        `outcome` (N,) stands in for the standardised outcome, as a simulated one does. With `without`, (P, U) bool, the sums are
        those of the whole and without each of P sets of units, stacked.
        """
        from bayes_causal.numerics.linear_gaussian import Block, Hyper, linear_gaussian
        from bayes_causal.numerics.panel_sums import Within, panel_sums, path_sums, sums_without

        if outcome is not None and self.without_rows:
            raise ValueError(f"no other outcome can stand in: {self.without_rows}")
        d, p = self.design, self.priors
        n_terms, n_contrasts, n_effects, n_covariates = (
            d.unit_terms.shape[1],
            d.n_times - 1,
            d.effect.shape[1],
            d.covariates.shape[1],
        )
        ends = np.cumsum([1, n_terms, n_contrasts, n_effects, n_covariates])
        walk = self.time_effects == "random_walk"
        times = np.vstack([np.zeros(n_contrasts), np.tril(np.ones((n_contrasts, n_contrasts)))]) if walk else d.contrasts
        columns = [
            np.ones((d.y.size, 1)),
            d.unit_terms[d.unit],
            times[d.time],
            d.effect,
            d.covariates,
            (d.y if outcome is None else outcome)[:, None],
        ]
        z = np.hstack(columns) * d.sqrt_weight[:, None]
        blocks = [Block("intercept", (), p.intercept, 0, 1)]
        if n_terms:
            blocks.append(Block("delta", (n_terms,), p.slope, ends[0], ends[1]))
        if walk:
            blocks.append(Block("time_offset", (n_contrasts,), 1.0, ends[1], ends[2], scale="step_time"))
        else:
            blocks.append(Block("time_contrast", (n_contrasts,), p.time, ends[1], ends[2]))
        blocks += self.structure.blocks(p, int(ends[2]))
        if n_covariates:
            blocks.append(Block("beta", (n_covariates,), p.slope, ends[3], ends[4]))
        hypers = [Hyper("sigma", "half_normal", p.sigma), Hyper("sigma_unit", "half_normal", p.sigma_unit)]
        hypers += [Hyper("rho", "uniform")] if self.errors == "ar1" else []
        hypers += [Hyper("step_time", "half_normal", p.step_time)] if walk else []
        gaps = tuple(int(g) for g in np.unique(d.gap[d.gap > 0])) if self.errors == "ar1" else None
        if d.copies is None or d.within is None:
            sums = panel_sums(z, d.sqrt_weight, d.gap, gaps)
        else:
            differ = np.r_[1 + d.within.terms, np.arange(ends[3], ends[4] + 1)]
            sums = path_sums(z, d.gap, gaps, d.copies, Within(differ, d.within.spread, d.time))
        if without is not None:
            sums = sums_without(sums, z, d.sqrt_weight, d.gap, gaps, without)
        return linear_gaussian((*hypers, *self.structure.hypers(p)), tuple(blocks), sums, gaps)

    def natural(self, sites: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Reported quantities in units of the outcome; the overall intercept, fixed by its prior alone, is not among them."""
        d, s = self.design, self.design.scale
        named = self.structure.natural(sites, s)
        named["coefficient"] = self.structure.coefficients(sites) * s
        weights, _, _ = contraction(self.panel.paths, self.structure, None)
        named["att"] = named["coefficient"] @ weights[0]
        named |= {"sigma": sites["sigma"] * s, "sigma_unit": sites["sigma_unit"] * s}
        named |= {"rho": sites["rho"]} if "rho" in sites else {}
        named |= {"beta": sites["beta"] * s / d.covariate_scale} if "beta" in sites else {}
        named |= {"step_time": sites["step_time"] * s} if "step_time" in sites else {}
        named |= {"alpha": sites["alpha"] * s + d.center} if "alpha" in sites else {}
        named |= {"delta": sites["delta"] * s} if "delta" in sites else {}
        return named | {"gamma": self._gamma(sites) * s, "intercept": sites["intercept"] * s + d.center}

    def top_level(self) -> tuple[str, ...]:
        """Sites with top-level priors on effects and scales: what a prior sensitivity analysis of the effect scales."""
        return (
            "tau",
            "omega",
            "omega_cell",
            "omega_lead",
            "lag_first",
            "step_lag",
            "step_lead",
            "sigma",
            "sigma_unit",
            "rho",
            "beta",
            "delta",
            "step_time",
        )

    def effect(self, posterior: xr.Dataset, estimand: Estimand) -> xr.DataArray:
        """Draws of an estimand.

        `att`: mean over treated cells of the effect of the active treatments (leads are not effects). By `group` (`arm`) and
        `event_time`: mean over active (cell, group) pairs of that group's effect; where effects vary over event time, leads
        are shown too. By `cohort`, `time`, `unit`: mean over treated cells. `cumulative` is the sum over treated cells,
        `relative` the att over the mean counterfactual outcome of the treated cells. `realised` sets the observed outcomes
        against draws of Y(0), whose errors are drawn independently of the observed ones: an assumption across worlds.

        Raises
        ------
        EstimandError
            An estimand this model does not have.
        """
        if estimand.name not in ("att", "cumulative", "relative"):
            raise EstimandError(
                f"{self.name} has no '{estimand.name}'{closest(estimand.name, ('att', 'cumulative', 'relative'))}"
            )
        plain = estimand.name == "att" and estimand.scale == "mean"
        weights, labels, cells = contraction(self.panel.paths, self.structure, estimand.by, leads=plain)
        if estimand.scale == "realised":
            draws = self._realised(posterior, estimand.by)
        else:
            draws = np.asarray(posterior["coefficient"].transpose("chain", "draw", "column").values @ weights.T)
        if estimand.name == "cumulative":
            draws = draws * cells
        elif estimand.name == "relative":
            draws = draws / (treated_mean(self.panel.paths, estimand.by, labels) - draws)
        sample = {d: posterior[d] for d in ("chain", "draw")}
        if estimand.by is None:
            return xr.DataArray(draws[..., 0], sample, ("chain", "draw"), name=estimand.name)
        return xr.DataArray(draws, sample | {estimand.by: labels}, ("chain", "draw", estimand.by), name=estimand.name)

    def simulate(self, sites: Mapping[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """(S, N) outcomes in natural units from flat sites (S, ...): new errors, the units' own intercepts."""
        return did_predictive.simulate(self.design, self.natural(sites), rng)

    def observed(self) -> xr.DataArray:
        """(row,) the outcome in natural units, with the unit and time of each row."""
        d, data = self.design, self.panel.dataset
        where = {"unit_of_row": ("row", data["unit"].values[d.unit]), "time_of_row": ("row", data["time"].values[d.time])}
        return xr.DataArray(d.center + d.scale * d.y, dims=("row",), coords=where, name="y")

    def standardised(self, outcomes: np.ndarray) -> np.ndarray:
        """Outcomes minus the centre, over the scale, of this panel's untreated cells."""
        return (outcomes - self.design.center) / self.design.scale

    def log_likelihood(self, sites: Mapping[str, np.ndarray]) -> xr.DataArray:
        """(sample, unit) log density of each unit's standardised rows, u_i integrated out; of all units where rows are summed."""
        if self.without_rows:
            from bayes_causal.numerics.linear_gaussian import log_likelihood

            return xr.DataArray(log_likelihood(self.collapsed(), sites)[:, None], dims=("sample", "all_units"), name="y")
        value = did_predictive.unit_log_likelihood(self.design, self.natural(sites))
        return xr.DataArray(value, dims=("sample", "unit"), name="y")

    @property
    def unit(self) -> str:
        """Unit of the effects: the outcome's."""
        return self.panel.outcome_name

    def estimands(self) -> tuple[Estimand, ...]:
        """Overall first, then every breakdown along which this structure lets effects differ."""
        grouping: tuple[str, ...] = (self.panel.grouping,) if self.panel.dataset.sizes["group"] > 1 else ()
        by: dict[str, tuple[str, ...]] = {
            "constant": (),
            "group": (self.panel.grouping, "time"),
            "event_time": ("event_time", *grouping, "cohort", "time"),
            "cohort_time": ("event_time", "cohort", *grouping, "time"),
        }
        extra = (Estimand("att", "realised"), Estimand("cumulative", "mean"))
        return (self.headline, *extra, *(Estimand("att", "mean", b) for b in by[self.effects]))

    def assumptions(self) -> tuple[Assumption, ...]:
        """What must be true for the att to be causal."""
        trends = "Without the treatment, treated and untreated units would have moved in parallel, given covariates."
        ahead = "Units do not react to a treatment before it starts."
        alone = "The treatment of one unit does not change another unit's outcome (no spillovers)."
        chosen = "Units are not selected into treatment because of a temporary high or low just before it."
        shape = "Effects add up where treatments overlap, stop when a treatment stops, and vary only as the structure lets them."
        noise = (
            "Errors are normal, AR(1) within a unit or independent as chosen, and independent between units given time effects."
        )
        return (
            Assumption("parallel trends", trends, ("pretrend", "placebo_time")),
            Assumption("no anticipation", ahead, ("pretrend",)),
            Assumption("no interference", alone, ()),
            Assumption("selection on levels only", chosen, ("selection", "placebo_time")),
            Assumption("effect structure", shape, ("twfe_weights", "leave_one_out", "posterior_predictive")),
            Assumption("error model", noise, ("posterior_predictive", "few_clusters", "log_shift")),
        )

    def constant_data(self) -> xr.Dataset:
        """Aggregates for the report: raw means by status, treated cells by time, extents of groups."""
        return panel_summary(self.panel.paths)

    def _gamma(self, sites: Mapping[str, np.ndarray]) -> np.ndarray:
        if "time_contrast" in sites:
            return sites["time_contrast"] @ self.design.contrasts.T
        walk = sites["step_time"][..., None] * np.cumsum(sites["time_offset"], -1)
        return np.concatenate([np.zeros_like(walk[..., :1]), walk], -1)

    def _realised(self, posterior: xr.Dataset, by: str | None) -> np.ndarray:
        """(chain, draw, by) mean over treated cells of y − Y(0); the noise stream is fixed, so that a tree gives one answer."""
        weights, _, _ = contraction(self.panel.paths, self.structure, by, over="rows")
        treated = self.panel.ever_treated
        d = self.design.of_units(treated)
        period = self.panel.dataset["period"].values[d.time]
        rng = np.random.default_rng(NOISE_SEED)
        draws = realised(d, period, weights[:, treated[self.design.unit]], did_predictive.flat(posterior), rng)
        return draws.reshape(*posterior["sigma"].shape, -1)

    def identified(self, by: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Whether the data alone, without priors, identify the att of each label, leads left out.

        Returns
        -------
        labels, identified : (B,) arrays
        """
        effects = self.structure.pair_columns.any(0)
        weights, labels, _ = contraction(self.panel.paths, self.structure, by, leads=False)
        gram = self._within[np.ix_(effects, effects)]
        return labels, in_row_space(gram, weights[:, effects], self._norms(self.design.effect[:, effects]))

    def leads_identified(self) -> bool:
        """Whether the data alone identify the trend before onset: they need never-treated units, or many dates of onset."""
        leads = ~self.structure.pair_columns.any(0)
        weights = np.eye(leads.size)[leads]
        return bool(leads.any() and in_row_space(self._within, weights, self._norms(self.design.effect)).all())

    def probits(self, form: LinearGaussian, posterior: xr.Dataset) -> np.ndarray:
        """(S, n) probits of the hyperparameters of a collapsed form, from their flattened posterior draws in natural units."""
        scale = {h.name: 1.0 if h.prior == "uniform" else self.design.scale for h in form.hypers}
        return np.column_stack([h.probit(posterior[h.name].values.ravel() / scale[h.name]) for h in form.hypers])

    def att_without(self, sites: Mapping[str, np.ndarray], units: np.ndarray) -> np.ndarray:
        """(P, S) draws of the att over the treated cells of all but (P, U) bool sets of units, from sites (P, S, ...)."""
        weights = weights_without(self.panel, self.structure, units)
        return self.design.scale * np.einsum("psk,pk->ps", self.structure.coefficients(sites), weights)

    @cached_property
    def _within(self) -> np.ndarray:
        return within_gram(self.design, self.design.effect)

    def _norms(self, columns: np.ndarray) -> np.ndarray:
        return np.linalg.norm(np.sqrt(self.design.mass)[:, None] * columns, axis=0)

    def _refuse_unidentified(self) -> None:
        """Raise where unit and time effects absorb the number of active treatments: no prior can stand in for a control."""
        active = ConstantEffect(self.panel.paths).columns
        if in_row_space(within_gram(self.design, active), np.ones((1, 1)), self._norms(active))[0]:
            return
        raise IdentificationError(
            "the average effect on the treated is not identified: after unit and time effects are removed, nothing is left that "
            "sets treated cells apart from untreated ones. Likely cause: every unit is treated over the same periods, so there "
            "are no controls. What helps: add units that are never treated, or treated at other times."
        )
