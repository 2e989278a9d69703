"""Which options of a synthetic control exist, all problems in one message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bayes_causal.data.panel import Panel
from bayes_causal.errors import DataError, closest
from bayes_causal.models.donor_design import SEVERAL, donor_problems
from bayes_causal.models.donor_weights import KINDS

VALID = {"weights": tuple(KINDS), "errors": ("ar1", "iid"), "intercept": (True, False)}


def refuse_options(panel: Any, options: Mapping[str, Any]) -> None:
    """Raise, all problems at once: DataError where the panel cannot be used, ValueError where only options do not exist."""
    problems = [
        f"{key} '{options[key]}' does not exist{closest(str(options[key]), [str(v) for v in valid])}"
        for key, valid in VALID.items()
        if options[key] not in valid
    ]
    if options["predictors"] and options["weights"] != "simplex":
        problems.append(f"predictors go with weights='simplex', not with weights='{options['weights']}': leave them out")
    kind = KINDS.get(options["weights"])
    if kind:
        problems += kind.problems({**options, "panel": panel})
    shape = options["priors"].correlation
    if not shape > 0:
        problems.append(f"the shape of the prior of ρ is {shape:g}: a positive number, 1 for uniform")
    elif shape != 1 and options["weights"] != "simplex":
        problems.append(f"the prior of ρ has a shape, {shape:g}, with weights='simplex' only: leave correlation at 1")
    if not isinstance(panel, Panel):
        raise DataError(
            [*problems, "synthetic control needs the rows of a Panel in memory: set in_memory: true, or select units"]
        )
    several = options.get("several", SEVERAL)
    gaps = kind is not None and kind.gaps
    more: dict[str, Any] = {"gaps": gaps, "several": several, "predictors": options["predictors"]}
    if found := donor_problems(panel, options["donors"], options["exclude"], **more):
        raise DataError([*problems, *found])
    if problems:
        raise ValueError("; ".join(problems))
