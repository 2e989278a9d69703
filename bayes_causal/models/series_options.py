"""Which options of a structural time series exist and go together, all problems in one message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bayes_causal.errors import closest

VALID = {
    "level": ("local_level", "local_linear_trend"),
    "regression": ("spike_slab", "horseshoe", "ridge", "none"),
    "errors": ("gaussian", "student_t"),
    "prior_set": ("calibrated", "causalimpact"),
}
NOT_YET = {
    "level": {"semilocal": "use level='local_linear_trend'"},
}


def refuse_options(options: Mapping[str, Any], regression: str, controls: int) -> None:
    """Raise ValueError, all problems at once, where options do not exist or do not go together."""
    problems = []
    for key, valid in VALID.items():
        value = regression if key == "regression" else options[key]
        if value in NOT_YET.get(key, {}):
            problems.append(f"{key} '{value}' is not part of this version: {NOT_YET[key][value]}")
        elif value not in valid:
            problems.append(f"{key} '{value}' does not exist{closest(str(value), valid)}")
    problems += _seasons(options["seasonal"]) + _counts(options)
    if options["prior_set"] == "causalimpact":
        problems += _of_r(options)
    if options["dynamic"] and not controls:
        problems.append("dynamic coefficients need controls, and the series has none")
    if problems:
        raise ValueError("; ".join(problems))


def _seasons(seasonal: Any) -> list[str]:
    wrong = []
    for s in seasonal:
        known = isinstance(s, Mapping) and "period" in s and set(s) <= {"period", "duration"}
        if not known or int(s["period"]) < 2 or int(s.get("duration", 1)) < 1:
            wrong.append(f"seasonal is a list of {{period: 2 or more, duration: 1 or more}}, not {s!r}")
    names = [(int(s["period"]), int(s.get("duration", 1))) for s in seasonal] if not wrong else []
    return wrong + [f"seasonal {n} is there twice" for n in sorted({n for n in names if names.count(n) > 1})]


def _counts(options: Mapping[str, Any]) -> list[str]:
    wrong = [] if options["ar"] in (0, 1) else [f"ar is 0 or 1 in this version, not {options['ar']!r}"]
    if not options["expected_model_size"] > 0:
        wrong.append(f"expected_model_size is above 0, not {options['expected_model_size']!r}")
    return wrong


def _of_r(options: Mapping[str, Any]) -> list[str]:
    wrong = []
    if options["ar"]:
        wrong.append("prior_set 'causalimpact' has independent errors: leave ar out, or use prior_set='calibrated'")
    if options["regression"] in ("ridge", "horseshoe"):
        wrong.append("prior_set 'causalimpact' is spike and slab: leave regression out, or use prior_set='calibrated'")
    if options["errors"] == "student_t":
        wrong.append("prior_set 'causalimpact' has normal errors: leave errors out, or use prior_set='calibrated'")
    if options["dynamic"]:
        wrong.append("R's dynamic regression is not part of this version: use prior_set='calibrated' with dynamic=True")
    return wrong
