"""Every model by the name study files use. Importing this loads no model; `ModelEntry.load` does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from inspect import signature
from typing import Any

NOT_OPTIONS = ("self", "panel", "series", "data", "priors")


@dataclass(frozen=True)
class ModelEntry:
    """One model: where it lives, what data it takes, what it is for, what it takes for granted and answers, in a line each.

    Parameters
    ----------
    label : its name for people
    handbook : the row of the handbook's table of tests that it is a case of
    weighs : how its headline weighs cells, after "This model"
    equations, symbols : lines, and (symbol, meaning) pairs, as a report shows them
    sections : those of its report between the data and the comparison, in order, where they are not its kind's
    """

    name: str
    module: str
    attribute: str
    kind: str
    line: str
    tested: str
    assumes: str
    estimands: tuple[str, ...]
    by: tuple[str, ...] = ()
    label: str = ""
    handbook: str = ""
    weighs: str = ""
    equations: tuple[str, ...] = ()
    symbols: tuple[tuple[str, str], ...] = ()
    sections: tuple[str, ...] = ()

    def load(self) -> Any:
        """The model's class."""
        return getattr(import_module(self.module), self.attribute)

    @property
    def options(self) -> tuple[str, ...]:
        """Keyword arguments of the class that a study may set."""
        return tuple(k for k in signature(self.load().__init__).parameters if k not in NOT_OPTIONS)

    @property
    def priors(self) -> Mapping[str, Any]:
        """Fields of the model's `Priors`, and their defaults."""
        return {f.name: f.default for f in fields(self.priors_class())}

    def priors_class(self) -> Any:
        """The model's `Priors`."""
        return import_module(self.module).Priors

    def build(self, data: Any, options: Mapping[str, Any], priors: Mapping[str, float]) -> Any:
        """The model on its data."""
        return self.load()(data, priors=self.priors_class()(**priors), **options)


MODELS: dict[str, ModelEntry] = {
    entry.name: entry
    for entry in (
        ModelEntry(
            "hierarchical_did",
            "bayes_causal.models.hierarchical_did",
            "HierarchicalDiD",
            "panel",
            "hierarchical difference-in-differences: many, overlapping, reversible treatments, effects partially pooled",
            "difference-in-differences",
            "parallel trends given covariates; no anticipation; no interference between units; selection on levels only",
            ("att", "cumulative", "relative"),
            ("group", "arm", "event_time", "cohort", "time", "unit"),
            label="Hierarchical Bayesian DiD",
            handbook="difference-in-differences",
            weighs=(
                "weights every treated cell equally; the prior pulls groups towards each other and, weakly, effects towards zero"
            ),
            equations=(
                "y_it = α_i + γ_t + x_it′β + effect_it + ε_it",
                "ε_it = ρ ε_i,t−1 + v_it,   v_it ~ N(0, σ²)",
            ),
            symbols=(
                (
                    "α_i",
                    "level of unit i: a common level, terms in the unit's own means (correlated random effects), a random rest",
                ),
                ("γ_t", "period effects, as good as fixed unless a random walk is asked for"),
                ("effect_it", "zero on untreated cells; on treated cells what the option “effect” says"),
                ("ρ, σ", "persistence and size of the errors; ρ is 0 with iid errors"),
            ),
        ),
        ModelEntry(
            "hierarchical_time_series",
            "bayes_causal.models.hierarchical_time_series",
            "HierarchicalTimeSeries",
            "panel",
            "hierarchical time series: units with courses of their own, staggered dates, one effect shape, sizes pooled",
            "an interrupted time series in many units",
            "each unit goes on as its own past and covariates say; no shock common to many units at their dates; no anticipation",
            ("att", "cumulative", "relative"),
            ("group", "arm", "event_time", "cohort", "time", "unit"),
            label="Hierarchical time series",
            handbook="CausalImpact",
            weighs=(
                "weights every treated cell equally; each unit is compared with its own course, and the prior pulls sizes of "
                "units towards each other, neighbouring event times too, and, weakly, effects towards zero"
            ),
            equations=(
                "y_it = μ_it + x_it′β_i + effect_it + ε_it   in units of c_i",
                "μ_it = μ_i,t−1 + η_it,   ε_it = ρ ε_i,t−1 + v_it",
                "effect_it = (shape of the event time + v_i) while treated,   v_i ~ N(0, σ_v²)",
            ),
            symbols=(
                ("c_i", "spread of unit i's untreated outcomes: noise, persistence and drift are common on that scale"),
                ("μ_it", "the level of unit i, which wanders on its own"),
                ("x_it, β_i", "covariates, and coefficients that resemble each other between units"),
                (
                    "shape, v_i",
                    "one path over periods since onset, in units of the outcome, and how far unit i lies above it",
                ),
                ("ρ, v_it", "persistence of what is left, and its news"),
            ),
        ),
        ModelEntry(
            "synthetic_control",
            "bayes_causal.models.synthetic_control",
            "SyntheticControl",
            "panel",
            "synthetic control: each treated unit beside a weighted average of untreated ones; effects of several are pooled",
            "a weighted comparison",
            "a stable relation to the donors; donors the treatment leaves alone; no other event; no anticipation",
            ("att", "cumulative", "relative"),
            ("time", "event_time", "unit", "cohort"),
            label="Bayesian synthetic control",
            handbook="CausalImpact",
            weighs=(
                "counts every observed treated date equally; the donors' weights are uncertain and so is what they leave over, "
                "and the interval holds both"
            ),
            equations=(
                "y_1t = a + Σ_j w_j y_jt + e_t   before the treatment; after it, the same without the outcome",
                "e_t = ρ e_t−1 + v_t,   v_t ~ N(0, σ²);   weights: simplex   w ~ Dirichlet(α, …, α)",
                "weights: softmax   w = softmax(z),   z_j ~ N(0, s²)",
                "weights: horseshoe   w_j s_j ~ N(0, σ²τ²λ_j²/N),   λ_j, τ half-Cauchy",
                "weights: factor   y_it = a_i + λ_i'f_t + e_it, the treated unit besides with a walk m_t = m_t−1 + N(0, q²σ²)",
                "predictors   x_1k = Σ_j w_j x_jk + ν_k,   ν_k ~ N(0, σ_x²), means before the treatment over their sd",
                "several treated units: v of one date have correlation c; effects τ_i ~ N(τ, ω²), averages over treated dates",
            ),
            symbols=(
                ("w_j", "weight of donor j: none is negative and together they are one, but with horseshoe and factor"),
                ("α", "concentration of the weights, learned: low where few donors carry them"),
                ("s_j, N", "sd of donor j over the N dates before the treatment: weights of a horseshoe are small but for a few"),
                ("f_t, λ_i", "factors common to all, and what they do to unit i; gaps of donors are left out, cell by cell"),
                ("a", "by how much the treated unit lies above or below its weighted donors"),
                ("ρ, v_t", "how much of a gap remains a period later, and its news; ρ is 0 with iid errors"),
                ("τ_i, c", "average effect on unit i, whatever its course, and how far treated units err together"),
            ),
            sections=("series", "groups", "donors"),
        ),
        ModelEntry(
            "synthetic_did",
            "bayes_causal.models.synthetic_did",
            "SyntheticDiD",
            "panel",
            "synthetic difference-in-differences: donors weighed to move like the treated unit, periods to resemble those after",
            "a weighted difference-in-differences",
            "a gap to the weighted donors that stays what it was in the weighted periods; donors left alone; no other event",
            ("att", "cumulative", "relative"),
            ("time", "event_time"),
            label="Bayesian synthetic DiD",
            handbook="difference-in-differences",
            weighs=(
                "counts every observed treated date equally and sets it against a weighted average of the dates before; weights "
                "of donors and of dates are uncertain, and the interval holds that and the noise of the contrast"
            ),
            equations=(
                "y_1t = a + Σ_j ω_j y_jt + e_t   before the treatment,   e_t = ρ e_t−1 + v_t,   v_t ~ N(0, σ²)",
                "ȳ_j = b + Σ_s λ_s y_js + u_j   for every donor,   u_j ~ N(0, σ_λ²)",
                "y_1t − Σ_j ω_j y_jt = Σ_s λ_s (y_1s − Σ_j ω_j y_js) + e′_t − Σ_s λ_s e′_s   after it, without the treatment",
            ),
            symbols=(
                ("ω_j", "weight of donor j (named weight): none is negative and together they are one"),
                ("λ_s", "weight of period s before the treatment (time_weight), likewise"),
                ("ȳ_j", "mean of donor j over the treated dates"),
                ("a, b", "differences in level that the weights leave (intercept, time_intercept); the effect hangs on neither"),
                ("σ, ρ", "size and persistence of what the donors' weights leave over (sigma, rho); ρ is 0 with iid errors"),
                ("σ_λ", "what the periods' weights leave over between donors (time_sigma)"),
                ("e′", "errors drawn anew: the contrast errs as much as one with these weights does between dates before"),
            ),
            sections=("series", "donors"),
        ),
        ModelEntry(
            "structural_time_series",
            "bayes_causal.models.structural_time_series",
            "StructuralTimeSeries",
            "time_series",
            "structural time series: what one outcome would have been, from its own past and from controls",
            "an interrupted time series",
            "a stable relation to the controls; controls the intervention leaves alone; no other event at its date",
            ("att", "cumulative", "relative"),
            ("time",),
            label="Structural time series",
            handbook="CausalImpact",
            weighs=(
                "counts every observed date of the post-period equally; the expectation carries the level, the seasons and the "
                "controls forward, and its interval grows with the horizon as the level did before"
            ),
            equations=(
                "y_t = μ_t + s_t + x_t′β + ε_t   before the intervention; after it, the same without the outcome",
                "μ_t = μ_t−1 + η_t,   ε_t = φ_1 ε_t−1 + … + φ_p ε_t−p + v_t",
            ),
            symbols=(
                ("μ_t", "the level, which wanders; with a slope of its own under local_linear_trend and semilocal"),
                ("s_t", "the seasons, if any, which change slowly"),
                ("x_t", "the controls; β is exactly zero for those that the data do not ask for (spike and slab)"),
                ("φ, v_t", "how what is left depends on the p dates before (one: φ is ρ; none under R's priors), and its news"),
            ),
        ),
        ModelEntry(
            "regime_switching",
            "bayes_causal.models.regime_switching",
            "RegimeSwitching",
            "multi_series",
            "regime switching: what shocks do to several series, in each of a few hidden regimes that all are in together",
            "a regression by regime",
            "shocks as good as random given controls, lags and the regime; few lasting regimes; effects stable within them",
            ("regime_effect",),
            ("regime", "series", "shock", "horizon"),
            label="Regime switching",
            handbook="regression",
            weighs=(
                "averages the effects of the regimes with the probabilities that they have today; the prior pulls effects of one "
                "shock on several series towards each other and, weakly, towards zero"
            ),
            equations=(
                "r_at = α_a,z + Σ_s β_as,z′ x_st + γ_a′c_t + Σ_l φ_a,l r_a,t−l + σ_a,z ε_at   z the regime of date t",
                "form: hamilton   the same of deviations from the means of the regimes: r_a,t−l − μ of the regime of date t−l",
                "z follows a Markov chain:   P(z_t = k, given z_t−1 = j) = p_jk",
                "β_as,k = b_s,k + ω_s ζ_as,k,   b ~ N(0, 1),   ζ ~ N(0, 1)",
            ),
            symbols=(
                ("r_at", "series a at date t; all series are in the same regime"),
                (
                    "z′",
                    "the regime that an effect loads on: that of the date before the shock, which the shock cannot have moved",
                ),
                ("β_as,k", "effect of a unit of shock s on series a in regime k: what this study asks for"),
                ("c_t", "controls, known at the date they stand at"),
                ("b_s,k, ω_s", "what series have in common in their response to a shock, and how far they differ"),
                ("p_jk", "how often regime j is followed by k; regimes are sticky a priori, and numbered from the calmest"),
            ),
        ),
    )
}
