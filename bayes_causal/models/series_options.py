"""Which options of a structural time series exist and go together, all problems in one message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bayes_causal.errors import closest

VALID = {
    "level": ("local_level", "local_linear_trend", "semilocal"),
    "regression": ("spike_slab", "horseshoe", "ridge", "none"),
    "errors": ("gaussian", "student_t"),
    "prior_set": ("calibrated", "causalimpact"),
}


def refuse_options(options: Mapping[str, Any], regression: str, controls: int) -> None:
    """Raise ValueError, all problems at once, where options do not exist or do not go together."""
    problems = []
    for key, valid in VALID.items():
        value = regression if key == "regression" else options[key]
        if value not in valid:
            problems.append(f"{key} '{value}' does not exist{closest(str(value), valid)}")
    problems += _seasons(options["seasonal"]) + _counts(options)
    if options["errors"] == "student_t" and isinstance(options["ar"], int) and options["ar"] > 1:
        problems.append(f"errors 'student_t' depend on one error before at most, not on {options['ar']}: use ar=1 or ar=0")
    if options["prior_set"] == "causalimpact":
        problems += _of_r(options, regression if controls else "none")
    if options["dynamic"]:
        problems += _dynamic(options, regression, controls)
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
    wrong, ar, series = [], options["ar"], options["series"]
    fitted = int((series.pre & np.isfinite(series.dataset["outcome"].values)).sum())
    if isinstance(ar, bool) or not isinstance(ar, int | np.integer) or ar < 0:
        wrong.append(f"ar is a number of lags, 0 or more, not {ar!r}")
    elif ar >= fitted:
        wrong.append(f"ar={ar} needs more outcomes before the intervention than there are lags, and there are {fitted}")
    if not options["expected_model_size"] > 0:
        wrong.append(f"expected_model_size is above 0, not {options['expected_model_size']!r}")
    return wrong


def _of_r(options: Mapping[str, Any], regression: str) -> list[str]:
    wrong = []
    if options["ar"]:
        wrong.append("prior_set 'causalimpact' has independent errors: leave ar out, or use prior_set='calibrated'")
    if regression in ("ridge", "horseshoe"):
        wrong.append("prior_set 'causalimpact' is spike and slab: leave regression out, or use prior_set='calibrated'")
    if options["errors"] == "student_t":
        wrong.append("prior_set 'causalimpact' has normal errors: leave errors out, or use prior_set='calibrated'")
    return wrong


def _dynamic(options: Mapping[str, Any], regression: str, controls: int) -> list[str]:
    if not controls:
        return ["dynamic coefficients need controls, and the series has none"]
    beside = "dynamic coefficients wander beside constant ones, and regression 'none' has none: leave it out, or use 'ridge'"
    return [beside] if regression == "none" and options["prior_set"] != "causalimpact" else []
