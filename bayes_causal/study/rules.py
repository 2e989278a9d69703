"""What must hold between the keys of a study. Every rule returns the sentences it has to say, and reads no data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from functools import partial
from inspect import signature
from math import isfinite
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from bayes_causal.baselines.catalogue import BASELINES
from bayes_causal.checks.catalogue import CHECKS
from bayes_causal.data.examples import EXAMPLES, PREFIX
from bayes_causal.data.kinds import KINDS, SHARED_KEYS
from bayes_causal.data.source_columns import NOT_HERE
from bayes_causal.errors import closest
from bayes_causal.inference.catalogue import ENGINES
from bayes_causal.models.catalogue import MODELS
from bayes_causal.study.names import PLANNED, refuse
from bayes_causal.study.schema import DataSection, Study

NOT_OPTIONS = ("panel", "series", "by", "estimand", "level", "model", "tree")


def broken_rules(study: Study, dropped: Set[str] = frozenset()) -> list[str]:
    """Everything impossible about a study.

    Parameters
    ----------
    study : Study
    dropped : set of str
        Keys that were given but could not be read; they are not said to be missing.
    """
    return [
        *_source(study.data, dropped),
        *_kind(study.data),
        *_columns(study.data, dropped),
        *_question(study, dropped),
        *_model(study, dropped),
        *_engine(study),
        *_listed(study),
    ]


def _source(data: DataSection, dropped: Set[str]) -> Iterator[str]:
    if data.source and data.sources:
        yield "data.source and data.sources are both given: give one of them"
    elif not data.source and not data.sources and not {"data.source", "data.sources", "data"} & dropped:
        yield "data.source is missing: a file, a glob, a folder of parquet, a URL, or example:NAME"


def _kind(data: DataSection) -> Iterator[str]:
    """Keys of other kinds of data, and kinds that no model takes yet."""
    available = sorted({entry.kind for entry in MODELS.values()})
    if data.kind not in available:
        yield f"data.kind '{data.kind}' is not available yet in this version (available: {', '.join(available)})"
        return
    given = {key for key in data.model_fields_set if getattr(data, key) not in (None, ())}
    for key in sorted(given - set(SHARED_KEYS) - set(KINDS[data.kind].keys)):
        kinds = " and ".join(kind.name for kind in KINDS.values() if key in kind.keys)
        yield f"data.{key} is a key of {kinds} data, and data.kind is {data.kind}"


def _columns(data: DataSection, dropped: Set[str]) -> Iterator[str]:
    """Columns that must be named, windows the right way round, and what the container itself says of its declaration."""
    kind = KINDS[data.kind]
    if not kind.problems or "data" in dropped:
        return
    example = (data.source or "").startswith(PREFIX)  # an example knows its own columns
    for key in () if example else kind.required:
        if getattr(data, key) is None and f"data.{key}" not in dropped:
            yield f"data.{key} is missing: {DataSection.model_fields[key].description}"
    if "outcome" in kind.keys and not example and not data.all_outcomes and not {"data.outcome", "data.outcomes"} & dropped:
        yield "data.outcome is missing: column of the outcome (or data.outcomes, a list of several)"
    if data.exposures and data.group:
        yield "data.group and data.exposures are both given: an exposures file names the group of every row itself"
    if example:
        yield from _example(data)
    yield from _declared(data, dropped, example)
    yield from _streamed(data)
    for key in ("pre", "post"):
        window = getattr(data, key)
        if window is not None and type(window[0]) is type(window[1]) and window[0] > window[1]:
            yield f"data.{key} is [first, last], and {window[0]} is after {window[1]}"


def _question(study: Study, dropped: Set[str]) -> Iterator[str]:
    """Which shock, outcome and size are asked for, where a study has several; columns of an example are known."""
    asked, data = study.question, study.data
    if not KINDS[data.kind].together:
        if asked is not None:
            kinds = " and ".join(kind.name for kind in KINDS.values() if kind.together)
            yield f"question is a key of studies on {kinds} data, and data.kind is {data.kind}"
        return
    example = EXAMPLES.get((data.source or "").removeprefix(PREFIX).partition("?")[0])
    known = example.columns if example and (data.source or "").startswith(PREFIX) else {}
    shocks, outcomes = data.shocks or known.get("shocks", ()), data.all_outcomes or known.get("outcomes", ())
    if not shocks and not {"data", "data.shocks"} & dropped:
        yield "data.shocks is missing: columns whose effects on every series are asked for"
    if asked is None:
        return
    for key, name, names in (("shock", asked.shock, shocks), ("outcome", asked.outcome, outcomes)):
        if name is not None and names and name not in names:
            yield f"question.{key} '{name}' is none of data.{key}s{closest(name, names)}"
    if not isfinite(asked.magnitude) or asked.magnitude == 0:
        yield f"question.magnitude is by how much the shock moves, a number other than 0, and is {asked.magnitude:g}"


def _example(data: DataSection) -> Iterator[str]:
    name = (data.source or "").removeprefix(PREFIX).partition("?")[0]
    if name in EXAMPLES and EXAMPLES[name].kind != data.kind:
        yield f"data.kind is {data.kind}, and {PREFIX}{name} is {EXAMPLES[name].kind} data"


def _streamed(data: DataSection) -> Iterator[str]:
    """What cannot be had where rows are not held in memory."""
    if data.in_memory is not False:
        return
    sources = [s for s in (data.source, *data.sources) if s]
    other = [s for s in sources if "://" in s or s.startswith(PREFIX) or Path(s).suffix not in ("", ".parquet", ".pq")]
    if other:
        yield f"data.in_memory is false, and '{other[0]}' is no Parquet file, folder or glob: only Parquet is streamed"
    for key, why in NOT_HERE.items():
        if getattr(data, key):
            yield f"data.in_memory is false, and data.{key} is given: {why}"


def _declared(data: DataSection, dropped: Set[str], example: bool) -> list[str]:
    """What the container says of its declaration, but for what is missing because it could not be read."""
    keys = {key: getattr(data, key) for key in KINDS[data.kind].keys} | {"outcome": next(iter(data.all_outcomes), None)}
    unread = any(f"data.{key}" in dropped for key in keys)
    found = KINDS[data.kind].load_problems()(keys, example)
    return [p for p in found if not (unread and p.startswith("nothing says"))]


def _model(study: Study, dropped: Set[str]) -> Iterator[str]:
    name = study.model.name
    if not name:
        if not {"model", "model.name"} & dropped:
            yield f"model.name is missing (available: {', '.join(MODELS)})"
        return
    if problem := refuse("model", name, MODELS):
        yield problem
        return
    entry = MODELS[name]
    if entry.kind != study.data.kind:
        yield f"model '{name}' takes {entry.kind} data, and data.kind is {study.data.kind}"
    for option, value in study.model.options.items():
        problem = refuse("model option", option, entry.options, of=name) or _choice(entry, option, value)
        if problem:
            yield problem
    for prior, number in study.model.priors.items():
        if problem := refuse("prior", prior, entry.priors, of=name):
            yield problem
        elif not 0 < number < float("inf"):
            yield f"model.priors.{prior} is a scale, a positive number, and is {number:g}"
    given = study.model.options
    if "family" in given and "family" in entry.options:
        yield from _family(str(given["family"]), given)
    if name == "structural_time_series" and study.engine.name == "collapsed":
        yield from _integrable(given)
    if study.engine.name == "gibbs" and "family" in entry.options:
        yield f"engine 'gibbs' needs a model with blocks of its own, which {name} has not: use auto"
    if given.get("effect") == "group" and not study.data.names_groups:
        yield (
            "model.options.effect is group, and nothing names the groups: give data.group, data.arms or data.exposures, or "
            "another effect"
        )


def _family(family: str, given: Mapping[str, Any]) -> Iterator[str]:
    """What a family of outcomes does not have."""
    from bayes_causal.models.did_families import impossible

    for problem in impossible(family, given.get("errors"), bool(given.get("unit_slopes"))):
        yield f"model.options: {problem}"


def _integrable(given: Mapping[str, Any]) -> Iterator[str]:
    """Options of a series that leave more than scales when all that is normal is integrated out."""
    for option, value in (("regression", "horseshoe"), ("errors", "student_t")):
        if given.get(option) == value:
            yield f"engine 'collapsed' integrates out what is normal, and model.options.{option} is {value}: use auto or gibbs"


def _choice(entry: Any, option: str, value: Any) -> str | None:
    """Why a value is none of those an option takes, where the option takes a few words only."""
    valid = list(words(get_type_hints(entry.load().__init__).get(option)))
    if not valid or value in valid:
        return None
    return f"model.options.{option} cannot be {value!r}{closest(str(value), [str(v) for v in valid if v is not None])}"


def words(hint: Any) -> Iterator[Any]:
    """The values of an annotation made of `Literal` and None; nothing for any other."""
    parts = [hint] if get_origin(hint) is Literal else list(get_args(hint))
    if any(get_origin(part) is not Literal and part is not type(None) for part in parts):
        return
    for part in parts:
        yield from [None] if part is type(None) else get_args(part)


def _engine(study: Study) -> Iterator[str]:
    name = study.engine.name
    if study.data.in_memory is False and name in ENGINES and name not in ("auto", "collapsed"):
        yield f"data.in_memory is false, and engine '{name}' needs the rows: use collapsed"
    if problem := refuse("engine", name, ENGINES, of=study.model.name if name in PLANNED["engine"] else ""):
        yield problem


def _listed(study: Study) -> Iterator[str]:
    """Names and options under `baselines` and `checks`."""
    baselines = {name: entry for name, entry in BASELINES.items() if entry.kind == study.data.kind}
    checks = {name: entry for name, entry in CHECKS.items() if study.data.kind in entry.kinds}
    functions = {name: entry.load for name, entry in baselines.items()}
    functions |= {name: partial(entry.load, study.data.kind, study.model.name or "") for name, entry in checks.items()}
    for what, listed, available in (("baseline", study.baselines, baselines), ("check", study.checks, checks)):
        pairs = [] if isinstance(listed, str) else [pair for entry in listed for pair in entry.items()]
        for name, options in pairs:
            if problem := refuse(what, name, available):
                yield problem
                continue
            valid = [key for key in signature(functions[name]()).parameters if key not in NOT_OPTIONS]
            for option in options:
                if option not in valid:
                    yield f"{what} '{name}' has no option '{option}'{closest(option, valid)}"
        names = [name for name, _ in pairs]
        for name in sorted({n for n in names if names.count(n) > 1}):
            yield f"{what}s names '{name}' twice"
