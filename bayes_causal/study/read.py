"""From a study file to a `Study`, or to one error that lists every problem."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from bayes_causal.data.exposures import LAST
from bayes_causal.errors import StudyError, closest
from bayes_causal.study.rules import broken_rules
from bayes_causal.study.schema import DataSection, EngineSection, ModelSection, QuestionSection, Study

SECTIONS: dict[str, type[BaseModel]] = {
    "data": DataSection,
    "model": ModelSection,
    "engine": EngineSection,
    "question": QuestionSection,
}
FREE = ("options", "priors")
PATHS = ("source", "exposures")


def read_study(path: str | Path, overrides: Iterable[str] = ()) -> Study:
    """Read a study file.

    Parameters
    ----------
    path : path of a YAML file
    overrides : iterable of str
        ``key=value`` with dotted keys and YAML values, as ``engine.draws=200``.

    Returns
    -------
    Study
        Relative paths made absolute, relative to the file.

    Raises
    ------
    StudyError
        Everything wrong with the file and the overrides, before any data are read.
    """
    path = Path(path)
    raw = {"name": path.stem} | load_yaml(path)
    return study_from(raw, overrides, folder=path.absolute().parent, source=str(path))


def study_from(
    raw: Mapping[str, Any], overrides: Iterable[str] = (), *, folder: str | Path = ".", source: str | None = None
) -> Study:
    """A study from the keys of a study file.

    Parameters
    ----------
    raw : mapping
    overrides : iterable of str
        As in `read_study`.
    folder : path
        What relative paths are relative to.
    source : str, optional
        The name an error shows.

    Raises
    ------
    StudyError
        Everything wrong with the keys, the overrides, and their combination.
    """
    settings: dict[str, Any] = deepcopy(dict(raw))
    problems = [problem for text in overrides if (problem := _override(settings, text))]
    for name in SECTIONS:
        if settings.get(name, ...) is None:
            del settings[name]
    study, found, dropped = _validated(settings)
    problems += found + broken_rules(study, dropped)
    if problems:
        raise StudyError(problems, source=source)
    return _absolute(study, Path(folder).absolute())


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    seen: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise yaml.MarkedYAMLError(problem=f"the key '{key}' is given twice", problem_mark=key_node.start_mark)
        seen[key] = loader.construct_object(value_node, deep=True)
    return seen


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def load_yaml(path: Path) -> dict[str, Any]:
    """The keys of a study file, unread; StudyError where it is no such file."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        near = closest(path.name, [p.name for p in path.absolute().parent.glob("*.y*ml")])
        raise StudyError(f"there is no study file '{path}'{near}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"'{path}' cannot be read as text: {error}") from error
    try:
        raw = yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise StudyError(f"{place}this is not valid YAML: {error.problem}", source=str(path)) from error
    except yaml.YAMLError as error:
        raise StudyError(f"this is not valid YAML: {error}", source=str(path)) from error
    if not isinstance(raw, dict):
        raise StudyError(
            "a study file holds keys and values, as `name: campaigns`; `bayes-causal init MODEL` prints one", source=str(path)
        )
    return {str(key): value for key, value in raw.items()}


def _override(settings: dict[str, Any], text: str) -> str | None:
    """Set one ``key=value``; the problem with it, if any."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        return f"'{text}' sets nothing: write key=value, as engine.draws=200"
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError:
        return f"'{text}': the value is not valid YAML; quote it, as {key}='\"...\"'"
    *parents, last = key.strip().split(".")
    inner = settings
    for parent in parents:
        if inner.get(parent) is None:
            inner[parent] = {}
        inner = inner[parent]
        if not isinstance(inner, dict):
            return f"'{text}': {parent} is a value and has no keys below it"
    inner[last] = parsed
    return None


def _validated(settings: dict[str, Any]) -> tuple[Study, list[str], set[str]]:
    """The study without what cannot be read, what is wrong with that, and the keys left out for it."""
    problems: list[str] = []
    dropped: set[str] = set()
    while True:
        try:
            return Study.model_validate(settings), problems, dropped
        except ValidationError as error:
            for entry in error.errors():
                key = _drop(settings, entry["loc"])
                if key not in dropped:
                    problems.append(_said(entry, key))
                dropped.add(key)


def _drop(settings: dict[str, Any], location: Sequence[int | str]) -> str:
    """Take the innermost key on the way to a location out of the settings; its dotted name."""
    inner, names = settings, [str(location[0])]
    for step in location[1:]:
        deeper = inner.get(names[-1])
        if not isinstance(deeper, dict) or step not in deeper:
            break
        inner = deeper
        names.append(str(step))
    inner.pop(names[-1], None)
    return ".".join(names)


def _said(entry: Any, key: str) -> str:
    """One problem of pydantic's in our words."""
    section, _, name = key.rpartition(".")
    shown = _shown(entry["input"])
    match entry["type"]:
        case "extra_forbidden":
            valid = (SECTIONS[section] if section else Study).model_fields
            return f"'{key}' is not a key of a study{closest(name, valid)}"
        case "literal_error":
            return f"{key} cannot be {shown}{closest(str(entry['input']), _literals(entry))}"
        case "value_error":
            return f"{key} cannot be {shown}: {entry['ctx']['error']}"
        case "model_type":
            return f"{key} holds keys and values, and is {shown}"
        case _:
            return f"{key} cannot be {shown}: {entry['msg'][0].lower()}{entry['msg'][1:]}"


def _shown(value: Any, most: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= most else text[: most - 1] + "…"


def _literals(entry: Any) -> list[str]:
    expected = str(entry["ctx"]["expected"]).replace(" or ", ", ")
    return [word.strip().strip("'") for word in expected.split(",")]


def _absolute(study: Study, folder: Path) -> Study:
    """The study with every relative path made absolute."""

    def place(path: Any) -> Any:
        if not isinstance(path, str) or "://" in path or path.startswith("example:"):
            return path
        return str(folder / Path(path).expanduser())

    paths = {key: place(getattr(study.data, key)) for key in PATHS}
    paths |= {"exposures": LAST} if study.data.exposures == LAST else {}
    sources = tuple(place(path) for path in study.data.sources)
    data = study.data.model_copy(update=paths | {"sources": sources})
    return study.model_copy(update={"data": data, "output": place(study.output or f"runs/{study.name}")})
