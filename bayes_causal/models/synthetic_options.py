"""Which options of a synthetic control exist, all problems in one message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bayes_causal.data.panel import Panel
from bayes_causal.errors import DataError, closest
from bayes_causal.models.donor_design import donor_problems

VALID = {"weights": ("simplex",), "errors": ("ar1", "iid"), "intercept": (True, False)}
NOT_YET = {
    "weights": {
        name: "use weights='simplex', which with its intercept also follows a unit above or below all donors"
        for name in ("softmax", "horseshoe", "factor")
    }
}


def refuse_options(panel: Any, options: Mapping[str, Any]) -> None:
    """Raise, all problems at once: DataError where the panel cannot be used, ValueError where only options do not exist."""
    problems = []
    for key, valid in VALID.items():
        value = options[key]
        if value in NOT_YET.get(key, {}):
            problems.append(f"{key} '{value}' is not part of this version: {NOT_YET[key][value]}")
        elif value not in valid:
            problems.append(f"{key} '{value}' does not exist{closest(str(value), [str(v) for v in valid])}")
    if options["predictors"]:
        problems.append("predictors are not part of this version of the model: the baselines sc_classic and sc_ridge match them")
    if options["factors"]:
        problems.append("factors belong to weights='factor', which is not part of this version: leave them out")
    low, high = options["priors"].concentration_low, options["priors"].concentration_high
    if not 0 < low < high:
        problems.append(f"the prior of the concentration runs from {low:g} to {high:g}: two positive numbers, the lower first")
    if not isinstance(panel, Panel):
        raise DataError(
            [*problems, "synthetic control needs the rows of a Panel in memory: set in_memory: true, or select units"]
        )
    if found := donor_problems(panel, options["donors"], options["exclude"]):
        raise DataError([*problems, *found])
    if problems:
        raise ValueError("; ".join(problems))
