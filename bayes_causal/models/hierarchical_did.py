"""Hierarchical difference-in-differences for panels with one or many, overlapping, reversible treatments.

    y_it = α_i + γ_t + x_it'β + effect_it (+ v_i D_it) + ε_it
    α_i  = a + m_i'δ + u_i,  u_i ~ N(0, σ_α)        m_i: unit means of every column (correlated random effects)
    γ_t  in T−1 orthonormal sum-to-zero contrasts ~ N(0, 10), or a random walk with its own scale
    √w_it ε_it is AR(1) with parameter ρ and innovation sd σ, stationary; or iid N(0, σ)
    effect: see `bayes_causal.models.did_effects`
    v_i ~ N(0, σ_v) on the number D_it of active treatments, for each unit ever treated, where slopes vary between units

Outcomes that are not normal have the same right-hand side, without ε, as predictor η of a mean on a log or logit scale: see
`bayes_causal.models.did_families`. Effects are on the scale of the outcome in every family: E[y | D] − E[y | D = 0] averaged over
treated cells, each with its own unit's intercept (g-computation).

Everything is standardised by mean and sd of the untreated cells; priors are on that scale; answers are in units of the outcome.

The unit-level terms make the posterior agree with fixed effects (Mundlak 1978, doi:10.2307/1913646; Wooldridge 2021,
doi:10.2139/ssrn.3906345). AR(1) errors: Bertrand, Duflo & Mullainathan 2004, doi:10.1162/003355304772839588.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import xarray as xr

from bayes_causal.data.panel import Panel
from bayes_causal.data.panel_source import WITHOUT_ROWS, PanelSource
from bayes_causal.errors import EstimandError, closest
from bayes_causal.estimates import Estimand
from bayes_causal.models import (
    did_answers,
    did_assumptions,
    did_collapsed,
    did_predictive,
    did_refusals,
    did_response,
    did_sampling,
)
from bayes_causal.models.base import Assumption
from bayes_causal.models.did_effects import STRUCTURES, EffectStructure
from bayes_causal.models.did_estimands import contraction, panel_summary, told, weights_without
from bayes_causal.models.did_families import FAMILIES, Family
from bayes_causal.models.did_predictor import Predictor
from bayes_causal.models.did_priors import Priors
from bayes_causal.models.panel_design import PanelDesign, column_norms, in_row_space, panel_design, within_gram
from bayes_causal.models.path_design import path_design

if TYPE_CHECKING:
    from bayes_causal.numerics.embedded_laplace import EmbeddedLaplace
    from bayes_causal.numerics.linear_gaussian import LinearGaussian
    from bayes_causal.numerics.side_by_side import SideBySide


@dataclass(frozen=True, eq=False, init=False)
class HierarchicalDiD:
    """Hierarchical difference-in-differences.

    Parameters
    ----------
    panel : Panel or PanelSource
        Rows in memory, or sums over units. The posterior is the same; what needs single rows or units is refused with the reason.
    effect : {"constant", "group", "event_time", "cohort_time"}, optional
        How effects vary; "group" (partial pooling) where the panel names several groups, else "constant".
    errors : {"ar1", "iid"}, optional
        "ar1" for normal outcomes; other families have independent errors only.
    family : {"gaussian", "student_t", "poisson", "negative_binomial", "bernoulli", "lognormal_hurdle"}
        How the outcome is distributed. For all but "gaussian" coefficients are integrated out approximately and draws weighted
        to the exact posterior; where that cannot be proven NUTS samples everything.
    time_effects : {"fixed", "random_walk"}
    unit_slopes : bool
        Each unit ever treated has a random slope of the effect of its own. Answers are about the treated units in the sample:
        the att and its breakdowns include their slopes, drawn exactly given everything else; `tau` and the like do not. Where
        many patterns of treatment differ, the cost of a density grows with the number of units. Families other than
        "gaussian" have none.
    window : (lead, lag), optional
        Event times with a coefficient of their own; beyond it, one bin on each side. At most 8 leads and 24 lags unless given.
    priors : Priors

    Raises
    ------
    DataError
        Outcomes, or weights, that the family cannot have.
    IdentificationError
        The panel holds no information on the average effect on the treated.
    ValueError
        An option that does not exist, or that the family does not have.
    """

    panel: Panel | PanelSource
    effects: str
    errors: str
    family: str
    time_effects: str
    unit_slopes: bool
    window: tuple[int, int] | None
    priors: Priors

    name: ClassVar[str] = "hierarchical_did"
    headline: ClassVar[Estimand] = Estimand("att", "mean")

    def __init__(
        self,
        panel: Panel | PanelSource,
        *,
        effect: Literal["constant", "group", "event_time", "cohort_time"] | None = None,
        errors: Literal["ar1", "iid"] | None = None,
        family: Literal["gaussian", "student_t", "poisson", "negative_binomial", "bernoulli", "lognormal_hurdle"] = "gaussian",
        time_effects: Literal["fixed", "random_walk"] = "fixed",
        unit_slopes: bool = False,
        window: Sequence[int] | None = None,
        priors: Priors | None = None,
    ):
        effect = effect or ("group" if panel.dataset.sizes["group"] > 1 else "constant")
        did_refusals.refuse_options(
            effect=effect, errors=errors, family=family, time_effects=time_effects, unit_slopes=unit_slopes, window=window
        )
        settled: dict[str, Any] = {
            "panel": panel,
            "effects": effect,
            "errors": errors or FAMILIES[family].errors[0],
            "family": family,
            "time_effects": time_effects,
            "unit_slopes": bool(unit_slopes),
            "window": None if window is None else (int(window[0]), int(window[1])),
            "priors": priors or Priors(),
        }
        for key, value in settled.items():
            object.__setattr__(self, key, value)
        did_refusals.refuse_what_the_family_has_not(self)
        did_refusals.refuse_unidentified(self)

    def variant(self, *, panel: Panel | PanelSource | None = None, effect: str | None = None) -> HierarchicalDiD:
        """The same model with another effect structure, or on other data: what refitting checks need."""
        same = ("errors", "family", "time_effects", "unit_slopes", "window", "priors")
        changed = {"effect": effect or self.effects} | {k: getattr(self, k) for k in same}
        return HierarchicalDiD(panel or self.panel, **changed)

    @cached_property
    def structure(self) -> EffectStructure:
        """How the effect varies."""
        return STRUCTURES[self.effects](self.panel.paths, self.window)

    @property
    def response(self) -> Family:
        """How the outcome is distributed."""
        return FAMILIES[self.family]

    @cached_property
    def design(self) -> PanelDesign:
        """Every row and column; the outcome on the standardised scale, or as the family takes it."""
        return self.designs[self.response.parts[-1]]

    @cached_property
    def designs(self) -> dict[str, PanelDesign]:
        """Rows and columns of each linear predictor."""
        columns, names, two = self.structure.columns, self.structure.column_names, self.errors == "ar1"
        if isinstance(self.panel, PanelSource):
            return {"": path_design(self.panel, columns, names, two_terms=two)}
        whole = panel_design(self.panel, columns, names, two_terms=two)
        return self.response.designs(self.panel, whole)

    @cached_property
    def predictors(self) -> dict[str, Predictor]:
        """Each linear predictor of the family."""
        ever = self.panel.ever_treated if self.unit_slopes else None
        common = (self.structure, self.time_effects == "random_walk", ever, self.response.flat)
        return {k: Predictor(d, *common, terms=f"{k}_unit_term" if k else "unit_term") for k, d in self.designs.items()}

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
            "row": np.arange(d.unit.size),
        }
        coords |= {p.terms: list(p.design.unit_term_names) for p in self.predictors.values()}
        coords |= {"treated_unit": data["unit"].values[self.panel.ever_treated]} if self.unit_slopes else {}
        if d.covariates.shape[1]:
            coords["covariate"] = data["covariate"].values
        return coords | self.structure.coords()

    def dims(self) -> dict[str, tuple[str, ...]]:
        """Dims of sites and reported quantities."""
        own: dict[str, tuple[str, ...]] = {
            "alpha": ("unit",),
            "gamma": ("time",),
            "time_contrast": ("contrast",),
            "time_offset": ("contrast",),
            "beta": ("covariate",),
            "coefficient": ("column",),
            "slope": ("treated_unit",),
            "slope_offset": ("treated_unit",),
        } | self.structure.dims()
        dims: dict[str, tuple[str, ...]] = {"y": ("row",)}
        for part, predictor in self.predictors.items():
            dims |= {did_response.prefixed(k, part): v for k, v in (own | {"delta": (predictor.terms,)}).items()}
        return dims

    def numpyro_model(self) -> None:
        """The model in NumPyro: one predictor, or two of them with sites of their own, and the family's likelihood."""
        from numpyro.handlers import scope

        eta = {}
        for part, predictor in self.predictors.items():
            if part:
                with scope(prefix=part, divider="::"):
                    eta[part] = predictor.numpyro(self.priors)
            else:
                eta[part] = predictor.numpyro(self.priors)
        self.response.numpyro(self.designs, self.priors, eta, self.errors)

    def pymc_model(self) -> Any:
        """The model in PyMC: one predictor, or two of them with sites of their own, and the family's likelihood."""
        import pymc as pm

        eta, p = {}, self.priors.doubles()
        with pm.Model(coords=self.coords()) as model:
            for part, predictor in self.predictors.items():
                if part:
                    with pm.Model(name=part):
                        eta[part] = predictor.pymc(p)
                else:
                    eta[part] = predictor.pymc(p)
            self.response.pymc(self.designs, p, eta, self.errors)
        return model

    @property
    def no_collapsed_form(self) -> str | None:
        """Why nothing can be integrated out exactly; None where it can."""
        return None if self.response.normal else "the family is not Gaussian"

    def start(self) -> dict[str, np.ndarray]:
        """Values of sites near the bulk of the posterior, from which a sampler starts; {} where any start will do."""
        return {} if self.response.normal else did_sampling.start(self)

    def centring(self) -> dict[str, tuple[str | None, np.ndarray]]:
        """Sites to be sampled partly centred, as `bayes_causal.inference.centring` takes them; {} where all are left alone."""
        return {} if self.response.normal else did_sampling.centring(self)

    def collapsed(self, outcome: np.ndarray | None = None, without: np.ndarray | None = None) -> LinearGaussian:
        """Everything but the scales and ρ, integrated out: columns times √w in the order of the blocks, y last.

        `outcome` (N,) stands in for the standardised outcome, as a simulated one does. With `without`, (P, U) bool, the sums are
        those of the whole and without each of P sets of units, stacked.

        Raises
        ------
        ValueError
            The family is not Gaussian; or there is another outcome and no rows to put it in.
        """
        if outcome is not None and self.without_rows:
            raise ValueError(f"no other outcome can stand in: {self.without_rows}")
        if self.no_collapsed_form:
            raise ValueError(f"{self.name} with family '{self.family}' has no collapsed form: {self.no_collapsed_form}")
        return did_collapsed.exact(self, "", outcome, without)

    def approximated(self) -> EmbeddedLaplace | SideBySide:
        """The same for families that are not Gaussian, where a Laplace approximation stands in and says how far it is off.

        Raises
        ------
        ValueError
            The family is Gaussian, and has a form that is exact.
        """
        if self.response.normal:
            raise ValueError(f"{self.name} with family '{self.family}' has an exact form: use collapsed()")
        return did_collapsed.approximated(self)

    def natural(self, sites: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Reported quantities in units of the outcome, or of η where the family has another scale; `att` always of the outcome.

        The overall intercept is fixed by its prior alone.
        """
        named = self._named(sites)
        lead = named["sigma_unit"].shape
        if self.response.linear and not self.unit_slopes:
            att = named["coefficient"] @ contraction(self.panel.paths, self.structure, None)[0][0]
        else:
            whole = {k: v.reshape(-1, *v.shape[len(lead) :]) for k, v in named.items()}
            att = did_answers.mean_effect(self, whole, None)[0][:, 0].reshape(lead)
        return named | {"att": att}

    def _named(self, sites: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Everything that is reported but the att."""
        named: dict[str, np.ndarray] = {}
        for part, predictor in self.predictors.items():
            own = predictor.natural(did_response.own(sites, part, "::"))
            named |= {did_response.prefixed(k, part): v for k, v in own.items()}
        return named | self.response.natural(sites, self.design.scale)

    def top_level(self) -> tuple[str, ...]:
        """Sites with top-level priors on effects and scales: what a prior sensitivity analysis of the effect scales."""
        own = (
            "tau",
            "omega",
            "omega_cell",
            "omega_lead",
            "lag_first",
            "step_lag",
            "step_lead",
            "sigma_unit",
            "sigma_slope",
            "beta",
            "delta",
            "step_time",
        )
        names = (f"{part}::{k}" if part else k for part in self.response.parts for k in own)
        return (*names, *self.response.top_level)

    def effect(self, posterior: xr.Dataset, estimand: Estimand) -> xr.DataArray:
        """Draws of an estimand.

        `att`: mean over treated cells of the effect of the active treatments (leads are not effects). By `group` (`arm`) and
        `event_time`: mean over active (cell, group) pairs of that group's effect; where effects vary over event time, leads
        are shown too. By `cohort`, `time`, `unit`: mean over treated cells. `cumulative` is the sum over treated cells,
        `relative` the att over the mean counterfactual outcome of the treated cells. `realised` sets the observed outcomes
        against draws of Y(0), whose errors are drawn independently of the observed ones: an assumption across worlds.

        Where η is not the mean itself, effects are differences of means: E[y | D] − E[y | D = 0] at each treated cell's own
        unit, period and covariates; by `group` and `event_time`, E[y | D] − E[y | D without that one treatment]. Where slopes
        vary between units, those of the treated units in the sample are part of every effect.

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
        _, labels, cells = contraction(self.panel.paths, self.structure, estimand.by, leads=plain)
        untreated: np.ndarray | None = None
        if estimand.scale == "realised":
            posterior, draws = did_answers.realised(self, posterior, estimand.by)
        else:
            named = did_predictive.flat(posterior, did_answers.used(self))
            draws, untreated = did_answers.mean_effect(self, named, estimand.by, leads=plain)
        return told(draws, posterior, estimand, self.panel.paths, labels, cells, untreated)

    def simulate(self, sites: Mapping[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """(S, N) outcomes in natural units from flat sites (S, ...): new errors, the units' own intercepts and slopes."""
        named = self._named(sites)
        if self.response.normal:
            everyone = np.ones(self.design.n_units, bool)
            return did_predictive.simulate(self.design, did_answers.with_slopes(self, named, everyone, rng), rng)
        return self.response.simulate(self.design, did_response.predictors(self, named, self.design), named, rng)

    def observed(self) -> xr.DataArray:
        """(row,) the outcome in natural units, with the unit and time of each row."""
        d, data = self.design, self.panel.dataset
        where = {"unit_of_row": ("row", data["unit"].values[d.unit]), "time_of_row": ("row", data["time"].values[d.time])}
        return xr.DataArray(self.outcome(), dims=("row",), coords=where, name="y")

    def outcome(self) -> np.ndarray:
        """(N,) the outcome in natural units."""
        d = self.design
        return d.center + d.scale * d.y if self.response.linear else self.panel.dataset["outcome"].values[self.panel.observed]

    def standardised(self, outcomes: np.ndarray) -> np.ndarray:
        """Outcomes minus the centre, over the scale, of this panel's untreated cells; as they are in families with a link."""
        return (outcomes - self.design.center) / self.design.scale if self.response.linear else outcomes

    def log_likelihood(self, sites: Mapping[str, np.ndarray]) -> xr.DataArray:
        """(sample, unit) log density of each unit's standardised rows, its own effects integrated out.

        Of all units together where rows are summed.
        """
        if self.without_rows:
            from bayes_causal.numerics.linear_gaussian import log_likelihood

            return xr.DataArray(log_likelihood(self.collapsed(), sites)[:, None], dims=("sample", "all_units"), name="y")
        value = did_response.unit_log_likelihood(self, self._named(sites))
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
        extra: tuple[Estimand, ...] = (Estimand("att", "realised"), Estimand("cumulative", "mean"))
        extra += () if self.response.linear else (Estimand("relative", "mean"),)
        return (self.headline, *extra, *(Estimand("att", "mean", b) for b in by[self.effects]))

    def assumptions(self) -> tuple[Assumption, ...]:
        """What must be true for the att to be causal."""
        return did_assumptions.assumptions(self.response)

    def constant_data(self) -> xr.Dataset:
        """Aggregates for the report: raw means by status, treated cells by time, extents of groups."""
        return panel_summary(self.panel.paths)

    @property
    def gaps(self) -> tuple[int, ...] | None:
        """Distinct gaps between consecutive rows under AR(1) errors; None for iid."""
        d = self.design
        return tuple(int(g) for g in np.unique(d.gap[d.gap > 0])) if self.errors == "ar1" else None

    def identified(self, by: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Whether the data alone, without priors, identify the att of each label, leads left out.

        Returns
        -------
        labels, identified : (B,) arrays
        """
        effects = self.structure.pair_columns.any(0)
        weights, labels, _ = contraction(self.panel.paths, self.structure, by, leads=False)
        gram = self._within[np.ix_(effects, effects)]
        return labels, in_row_space(gram, weights[:, effects], column_norms(self.design, self.design.effect[:, effects]))

    def leads_identified(self) -> bool:
        """Whether the data alone identify the trend before onset: they need never-treated units, or many dates of onset."""
        leads = ~self.structure.pair_columns.any(0)
        weights = np.eye(leads.size)[leads]
        return bool(leads.any() and in_row_space(self._within, weights, column_norms(self.design, self.design.effect)).all())

    @property
    def cannot_leave_out(self) -> str:
        """Why units cannot be left out by taking their sums away; empty where they can."""
        if self.without_rows or self.no_collapsed_form:
            return self.without_rows or str(self.no_collapsed_form)
        return "units have slopes of their own, which are no part of the sums" if self.unit_slopes else ""

    def probits(self, form: LinearGaussian, posterior: xr.Dataset) -> np.ndarray:
        """(S, n) probits of the hyperparameters of a collapsed form, from their flattened posterior draws in natural units."""
        scale = {h.name: 1.0 if h.prior == "uniform" else self.design.scale for h in form.hypers}
        return np.column_stack([h.probit(posterior[h.name].values.ravel() / scale[h.name]) for h in form.hypers])

    def att_without(self, sites: Mapping[str, np.ndarray], units: np.ndarray) -> np.ndarray:
        """(P, S) draws of the att over the treated cells of all but (P, U) bool sets of units, from sites (P, S, ...)."""
        weights = weights_without(self.panel.paths, self.structure, units)
        return self.design.scale * np.einsum("psk,pk->ps", self.structure.coefficients(sites), weights)

    @cached_property
    def _within(self) -> np.ndarray:
        return within_gram(self.design, self.design.effect)
