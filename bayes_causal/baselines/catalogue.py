"""`run` asks baselines by the names that study files use: everything is answered, by a row or by a reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from inspect import signature
from typing import TYPE_CHECKING, Any

from bayes_causal.baselines.entries import BASELINES, BaselineEntry
from bayes_causal.data.kinds import kind_of
from bayes_causal.data.panel_source import WITHOUT_ROWS, PanelSource
from bayes_causal.errors import EstimandError, MissingExtraError, StudyError, closest
from bayes_causal.estimates import Estimand, Estimate, not_applicable

if TYPE_CHECKING:
    from bayes_causal.data.multi_series import MultiSeries
    from bayes_causal.data.panel import Panel
    from bayes_causal.data.time_series import TimeSeries

    Data = Panel | TimeSeries | MultiSeries

HEADLINES = {"multi_series": "regime_effect"}
Entries = str | Sequence[str | Mapping[str, Any]]


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
