"""The table of baselines: what each is, takes for granted and tests. Importing this loads none of them; an entry does."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from inspect import signature
from typing import Any

NOT_OPTIONS = ("by", "estimand", "level")


@dataclass(frozen=True)
class BaselineEntry:
    """One baseline.

    Attributes
    ----------
    name, module : str
        The function, and the module it lives in.
    kind : str
        Kind of data it takes.
    line, assumes, tested : str
        What it is, what it takes for granted, and what its p-value tests, in a line each.
    estimands : names of estimands it answers
    by : dimensions it breaks an answer down by
    packages : optional packages it needs, from the extra 'baselines'
    beside : names of models
        Part of ``baselines: default`` beside these models.
    shares : names of options
        Taken over from the model beside, where it has them and the study does not set them for the baseline.
    default : bool
        Part of it beside models that no entry names, and where no model is.
    sums : bool
        Takes a `PanelSource` too.
    """

    name: str
    module: str
    kind: str
    line: str
    assumes: str
    tested: str
    estimands: tuple[str, ...] = ("att",)
    by: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    shares: tuple[str, ...] = ()
    default: bool = True
    sums: bool = False

    def load(self) -> Any:
        """The function."""
        return getattr(import_module(f"bayes_causal.baselines.{self.module}"), self.name)

    @property
    def options(self) -> tuple[str, ...]:
        """Keyword arguments that a study may set."""
        return tuple(k for k in list(signature(self.load()).parameters)[1:] if k not in NOT_OPTIONS)


PARALLEL = "without treatment, treated and untreated units would have moved in parallel; no anticipation"
HULL = "the treated unit, without treatment, would have kept its relation to an average of the donors; donors are not affected"
RANKED = "no effect: rank of the effect's size among those of donors given the treatment (placebo in space)"
WITH_DONORS: dict[str, Any] = {
    "by": ("time", "event_time", "unit"),
    "beside": ("synthetic_control", "synthetic_did"),
    "shares": ("donors", "exclude"),
    "default": False,
}
KNOWN = "given lags, controls and other shocks, the shock is as good as random: a change in a policy rate is not, by itself"
LEARNT: dict[str, Any] = {"estimands": ("regime_effect",), "packages": ("econml",)}
UNMOVED = "the intervention left the controls alone, and they keep their relation to the outcome"
BASELINES: dict[str, BaselineEntry] = {
    entry.name: entry
    for entry in (
        BaselineEntry(
            "twfe",
            "fixed_effects",
            "panel",
            "two-way fixed effects: one coefficient on the number of active treatments, or one a group without pooling",
            f"{PARALLEL}; one effect for all cells",
            "the coefficient is zero (t, clusters − 1 degrees of freedom)",
            ("att", "cumulative"),
            ("group", "arm"),
            ("pyfixest",),
            sums=True,
        ),
        BaselineEntry(
            "event_study",
            "leads_and_lags",
            "panel",
            "two-way fixed effects with leads and lags of each treatment, the period before onset as reference",
            f"{PARALLEL}; one effect an event time for all cohorts",
            "the coefficients of the lags are zero (t); those of the leads jointly (F)",
            by=("event_time",),
            packages=("pyfixest",),
        ),
        BaselineEntry(
            "did_2x2",
            "two_by_two",
            "panel",
            "one two-by-two comparison a group, for groups with all four cells",
            f"{PARALLEL}; no other treatment of the same units meanwhile",
            "pre-post changes of treated and controls are equal (Welch's t)",
            by=("group", "arm"),
        ),
        BaselineEntry(
            "callaway_santanna",
            "cohort_averages",
            "panel",
            "Callaway-Sant'Anna: effects of each cohort in each period against units without treatment, averaged",
            f"{PARALLEL}, given covariates where there are any; treatment stays on",
            "the average of cohort-period effects is zero (t); all pre-treatment ones jointly (chi-square)",
            by=("event_time", "cohort", "time"),
        ),
        BaselineEntry(
            "sun_abraham",
            "interaction_weighted",
            "panel",
            "Sun-Abraham: fixed effects with one effect a cohort and event time, averaged by cohort size",
            f"{PARALLEL}; treatment stays on; there are never-treated units",
            "the weighted average of cohort-specific coefficients is zero (t)",
            by=("event_time", "cohort"),
        ),
        BaselineEntry(
            "did2s",
            "two_stage",
            "panel",
            "two-stage (Gardner): fixed effects from untreated cells, then the mean of what is left in treated cells",
            f"{PARALLEL} in all periods; treatment stays on",
            "the mean of outcome minus predicted untreated outcome is zero (t, both stages in the error)",
            by=("event_time", "cohort", "time"),
        ),
        BaselineEntry(
            "sc_classic",
            "synthetic_controls",
            "panel",
            "synthetic control: the average of donors, with weights from 0 up, that comes closest before the treatment",
            f"{HULL}; it lies among them",
            RANKED,
            **WITH_DONORS,
        ),
        BaselineEntry(
            "sc_demeaned",
            "synthetic_controls",
            "panel",
            "synthetic control of deviations from each unit's own level before the treatment",
            HULL,
            RANKED,
            **WITH_DONORS,
        ),
        BaselineEntry(
            "sc_ridge",
            "synthetic_controls",
            "panel",
            "ridge-augmented synthetic control: weights bent to a closer fit, some of them negative",
            f"{HULL}, or to a ridge regression on them",
            RANKED,
            **WITH_DONORS,
        ),
        BaselineEntry(
            "sdid",
            "synthetic_did",
            "panel",
            "synthetic differences-in-differences: donors and periods weighed to resemble the treated ones, then two by two",
            "without treatment, treated units and weighed donors would have moved in parallel since the weighed periods",
            "no effect (normal, standard error from placebos in space or the jackknife)",
            **WITH_DONORS,
        ),
        BaselineEntry(
            "did_simple",
            "synthetic_did",
            "panel",
            "two-by-two difference of means: change of the treated less change of all donors, every period alike",
            PARALLEL,
            "no effect (normal, standard error from placebos in space or the jackknife)",
            **WITH_DONORS,
        ),
        BaselineEntry(
            "ols_pre_period",
            "pre_period",
            "time_series",
            "least squares on the pre-period: outcome on controls, the effect is what is left afterwards",
            f"{UNMOVED}; one level throughout",
            "the mean forecast error after the intervention is zero (t, errors autoregressive)",
            ("att", "cumulative", "relative"),
            ("time",),
        ),
        BaselineEntry(
            "unobserved_components",
            "unobserved",
            "time_series",
            "a local level and a regression on the controls by maximum likelihood (statsmodels)",
            f"{UNMOVED}; the level moves as it did before",
            "the mean forecast error after the intervention is zero (t, states and coefficients in the error)",
            ("att", "cumulative", "relative"),
            ("time",),
            ("statsmodels",),
        ),
        BaselineEntry(
            "arima",
            "arima_errors",
            "time_series",
            "a regression on the controls with ARIMA errors, orders chosen before the intervention (statsmodels)",
            f"{UNMOVED}; errors persist as they did before",
            "the mean forecast error after the intervention is zero (t, states and coefficients in the error)",
            ("att", "cumulative", "relative"),
            ("time",),
            ("statsmodels",),
        ),
        BaselineEntry(
            "markov_mle",
            "markov_switching",
            "multi_series",
            "Markov-switching regression of each series alone, by maximum likelihood from many starts (statsmodels)",
            f"{KNOWN}; regimes of each series' own, known number, effects of the shock's own date",
            "the effect of a unit of the shock, averaged over regimes with today's probabilities, is zero (normal)",
            ("regime_effect",),
            ("regime",),
            ("statsmodels",),
            shares=("regimes", "order", "switching", "form"),
        ),
        BaselineEntry(
            "local_projection",
            "projections",
            "multi_series",
            "local projections: the outcome some dates later on the shock and what was known, horizon by horizon (statsmodels)",
            f"{KNOWN}; linear in all of it",
            "the effect of a unit of the shock is zero (t, Newey-West)",
            ("regime_effect",),
            ("horizon", "regime"),
            ("statsmodels",),
        ),
        BaselineEntry(
            "linear_dml",
            "learners",
            "multi_series",
            "double machine learning: residuals of the outcome on residuals of the shock, from earlier blocks of time (econml)",
            f"{KNOWN}; one effect, linear in the shock",
            "the effect of a unit of the shock is zero (normal, Newey-West)",
            **LEARNT,
        ),
        BaselineEntry(
            "causal_forest_dml",
            "learners",
            "multi_series",
            "a causal forest on such residuals: effects that vary with lags and controls, averaged (econml)",
            f"{KNOWN}; linear in the shock",
            "the average effect of a unit of the shock is zero (normal, Newey-West)",
            **LEARNT,
        ),
        BaselineEntry(
            "dr_learner",
            "learners",
            "multi_series",
            "doubly robust: the shock above a threshold or not, nuisances from earlier blocks of time (econml)",
            f"{KNOWN}; both sides of the threshold are possible everywhere",
            "crossing the threshold has no effect on average (normal, Newey-West)",
            **LEARNT,
        ),
        BaselineEntry(
            "x_learner",
            "learners",
            "multi_series",
            "X-learner: the shock above a threshold or not, learnt from earlier blocks of time (econml)",
            f"{KNOWN}; both sides of the threshold are possible everywhere",
            "crossing the threshold has no effect on average (normal, bootstrap of blocks of time)",
            **LEARNT,
        ),
        BaselineEntry(
            "torch_effect",
            "network_effect",
            "multi_series",
            "a network of shock, effect and outcome with a Gaussian likelihood, from earlier blocks of time, averaged (torch)",
            f"{KNOWN}; linear in the shock",
            "the average effect of a unit of the shock is zero (normal, Newey-West)",
            ("regime_effect",),
            packages=("torch",),
        ),
    )
}
