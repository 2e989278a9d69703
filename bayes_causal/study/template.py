"""A commented study file for a model, ready to be filled in."""

from __future__ import annotations

import textwrap
from inspect import signature
from typing import Any, get_type_hints

from bayes_causal.data.kinds import KINDS
from bayes_causal.errors import StudyError
from bayes_causal.models.catalogue import MODELS, ModelEntry
from bayes_causal.study.names import refuse
from bayes_causal.study.rules import words

DATA = """\
data:
  source: data.csv             # csv, csv.gz, parquet, a glob or folder of parquet, a URL, or example:NAME; relative to this file
"""
QUESTION = """\
question:                      # what the verdict is about; the first of each if left out
  shock: shock
  outcome: stocks
  magnitude: 1.0               # by how much the shock moves, in its own unit
"""
REST = """\
engine:
  name: auto                   # auto | nuts | pymc | nutpie | pymc_numpyro
  draws: 1000                  # kept draws of each chain
  chains: 4
  warmup: 1000
  seed: 1                      # the same seed gives the same numbers
level: 0.9                     # probability of the intervals
interval: eti                  # eti (equal tails) | hdi (shortest)
# rope: [-0.01, 0.01]          # region of practical equivalence, in units of the outcome
baselines: default             # default | none | a list of names: see `bayes-causal models`
checks: default                # default | none | a list of names
output: runs/study             # relative to this file
"""

SHOWN = {
    "order": "lags of each series in its own equation: 0, 1, 2, ...",
    "switching": "a list of what differs by regime: intercept (mean with form hamilton), shock, variance, ar",
    "transition_covariates": "columns that transitions hang on",
    "reference": "the series that numbers the regimes; the first if left out",
    "seasonal": "a list, as [{period: 12}] for months or [{period: 7}, {period: 52, duration: 7}] for days",
    "ar": "lags that errors depend on: 0, 1, 2, ...",
}
"""What options that are no words look like."""


def template(model: str) -> str:
    """A study file for a model that is valid as it stands.

    Raises
    ------
    StudyError
        No such model.
    """
    if problem := refuse("model", model, MODELS):
        raise StudyError(problem)
    entry = MODELS[model]
    head = "\n".join(textwrap.wrap(f"{entry.name}: {entry.line}", 120, initial_indent="# ", subsequent_indent="# "))
    data = f"{DATA}  kind: {entry.kind}\n{KINDS[entry.kind].template}"
    data += QUESTION if KINDS[entry.kind].together else ""
    return f"{head}\nname: study\n{data}model:\n  name: {entry.name}\n{_options(entry)}{_priors(entry)}{REST}"


def _options(entry: ModelEntry) -> str:
    hints, parameters = get_type_hints(entry.load().__init__), signature(entry.load().__init__).parameters
    lines = ["  options:" if entry.options else "  options: {}"]
    for option in entry.options:
        default, choices = parameters[option].default, [str(w) for w in words(hints.get(option)) if w is not None]
        said = "false | true" if isinstance(default, bool) else " | ".join(choices) or SHOWN.get(option, "")
        if default is None:
            lines.append(
                _commented(
                    f"    # {option}: {choices[0] if choices else '...'}", f"{said}; chosen by the model if left out".lstrip("; ")
                )
            )
        else:
            lines.append(_commented(f"    {option}: {_yaml(default)}", said))
    if len(lines) > 1 and all(line.lstrip().startswith("#") for line in lines[1:]):
        lines[0] = "  options: {}"
    return "\n".join(lines) + "\n"


def _priors(entry: ModelEntry) -> str:
    lines = ["  priors: {}                   # scales, on the standardised outcome; the defaults:"]
    lines += [f"    # {name}: {value:g}" for name, value in entry.priors.items()]
    return "\n".join(lines) + "\n"


def _commented(text: str, comment: str) -> str:
    return f"{text:<30} # {comment}" if comment else text


def _yaml(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_yaml, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)
