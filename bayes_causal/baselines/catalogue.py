"""Every baseline by the name study files use, and `run`, which asks them all. Importing this loads no baseline; an entry does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, Any

from bayes_causal.data.kinds import kind_of
from bayes_causal.data.panel_source import WITHOUT_ROWS, PanelSource
from bayes_causal.errors import EstimandError, MissingExtraError, StudyError, closest
from bayes_causal.estimates import Estimand, Estimate, not_applicable

if TYPE_CHECKING:
    from bayes_causal.data.multi_series import MultiSeries
    from bayes_causal.data.panel import Panel
    from bayes_causal.data.time_series import TimeSeries

    Data = Panel | TimeSeries | MultiSeries

NOT_OPTIONS = ("by", "estimand", "level")
HEADLINES = {"multi_series": "regime_effect"}
Entries = str | Sequence[str | Mapping[str, Any]]


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


def run(
    data: Data,
    names: Entries = "default",
    estimands: Estimand | Sequence[Estimand] | None = None,
    *,
    level: float = 0.9,
    beside: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> list[Estimate]:
    """Ask baselines.

    Parameters
    ----------
    data : Panel, TimeSeries or MultiSeries
    names : "default", "none", a name, or a list of names and ``{name: {option: value}}``
        "default" are those for the kind of the data and the model beside them.
    estimands : Estimand or sequence, optional
        What is asked. One estimand means the overall answer and every breakdown a baseline has; a list means exactly its
        members. The rows take over its scale. Default: the overall att (regime_effect of several series) with every breakdown.
    level : float
        Nominal probability of the intervals.
    beside, options : str and mapping, optional
        The model whose answer they stand beside, and its options, some of which a baseline shares (``donors``, say).

    Returns
    -------
    list of Estimate
        Per baseline the overall answer first. One that does not apply, or whose library failed, gives one row without a
        value and with ``extra["reason"]``; so does, under "default", one whose package is missing.

    Raises
    ------
    StudyError
        Baselines or options that do not exist, all in one message.
    MissingExtraError
        A baseline was asked for by name and its package is not installed.
    """
    entries = resolve(names, kind_of(data), beside)
    problems = list(refused(entries))
    if problems:
        raise StudyError(problems)
    headline = Estimand(HEADLINES.get(kind_of(data), "att"))
    asked = [estimands] if isinstance(estimands, Estimand) else list(estimands or [headline])
    alone = estimands is None or isinstance(estimands, Estimand)
    answers: list[Estimate] = []
    for name, own in entries:
        shared = {k: v for k, v in (options or {}).items() if k in BASELINES[name].shares and v is not None}
        try:
            answers += _ask(BASELINES[name], data, shared | own, asked, alone, level)
        except MissingExtraError as missing:
            if names != "default":
                raise
            answers.append(_none(data, name, asked[0], str(missing), level))
    return answers


def resolve(names: Entries, kind: str, beside: str | None = None) -> list[tuple[str, dict[str, Any]]]:
    """Names and options that a study's `baselines` stands for, on data of a kind, beside a model."""
    if names == "default":
        own = [entry for entry in BASELINES.values() if entry.kind == kind]
        named = [entry for entry in own if beside in entry.beside]
        return [(entry.name, {}) for entry in named or own if entry.default or named]
    if isinstance(names, str):
        return [] if names == "none" else [(names, {})]
    pairs = [{entry: {}} if isinstance(entry, str) else entry for entry in names]
    return [(name, dict(options or {})) for pair in pairs for name, options in pair.items()]


def refused(entries: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[str]:
    """What is wrong with names and options, one sentence each."""
    for name, options in entries:
        if name not in BASELINES:
            yield f"baseline '{name}' does not exist{closest(name, BASELINES)}"
            continue
        valid = BASELINES[name].options
        for option in options:
            if option not in valid:
                yield f"baseline '{name}' has no option '{option}'{closest(option, valid)}"


def _ask(
    entry: BaselineEntry, data: Data, options: Mapping[str, Any], asked: Sequence[Estimand], alone: bool, level: float
) -> list[Estimate]:
    if isinstance(data, PanelSource) and not entry.sums:
        reason = f"{entry.name} needs the rows: {WITHOUT_ROWS}"
        return [_none(data, entry.name, asked[0], reason, level)]
    if kind_of(data) != entry.kind:
        return [_none(data, entry.name, asked[0], f"{entry.name} takes data of kind '{entry.kind}'", level)]
    known = [e for e in asked if e.name in entry.estimands and (e.by is None or e.by in entry.by)]
    if not known:
        reports = f"{' and '.join(entry.estimands)}, overall" + (f" and by {', '.join(entry.by)}" if entry.by else "")
        reason = f"{entry.name} answers {reports}; asked was {', '.join(map(str, asked))}"
        return [_none(data, entry.name, asked[0], reason, level)]
    if alone:
        grouping = getattr(data, "grouping", None) if getattr(data, "has_groups", False) else None
        other = {"group", "arm"} - {grouping}
        unset = {k for k, p in signature(entry.load()).parameters.items() if p.default is None and options.get(k) is None}
        breakdowns = [by for by in entry.by if by not in other | (unset - {"by"})]  # some need an option of their own name
        known = [replace(known[0], by=by) for by in dict.fromkeys([known[0].by, *breakdowns])]
    answers: list[Estimate] = []
    for estimand in known:
        answers.append(_answer(entry, data, options, estimand, level))
        if "reason" in answers[-1].extra and answers[-1].value.ndim == 0:
            return answers[-1:] if len(answers) == 1 else answers
    return answers


def _answer(entry: BaselineEntry, data: Data, options: Mapping[str, Any], estimand: Estimand, level: float) -> Estimate:
    function = entry.load()
    kind = {"estimand": estimand.name} if "estimand" in signature(function).parameters else {}
    try:
        answer: Estimate = function(data, by=estimand.by, level=level, **kind, **options)
    except EstimandError as error:
        return _none(data, entry.name, estimand, str(error), level)
    return replace(answer, estimand=replace(answer.estimand, scale=estimand.scale))


def _none(data: Data, name: str, estimand: Estimand, reason: str, level: float) -> Estimate:
    unit = getattr(data, "outcome_name", "")  # of several series, each has its own
    return not_applicable(estimand, name, reason, level=level, unit=unit)
