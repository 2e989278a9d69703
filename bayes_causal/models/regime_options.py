"""What a regime model may be asked for: options that do not exist, or that this version has not built, are refused together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bayes_causal.data.multi_series import MultiSeries
from bayes_causal.errors import DataError, closest

FORMS = ("regression", "hamilton")
LEVELS = {"regression": "intercept", "hamilton": "mean"}
SWITCHES = ("variance", "mean", "intercept", "shock", "ar")
ERRORS = ("gaussian", "student_t", "correlated")
CHOICES = {"form": FORMS, "shock_state": ("lagged", "current"), "transitions": ("constant", "time_varying"), "errors": ERRORS}
ROWS_A_REGIME = 5


def default_switching(form: str, shocks: int) -> tuple[str, ...]:
    """What differs by regime unless said."""
    return (LEVELS.get(form, "intercept"), *(["shock"] if shocks else []), "variance")


def refuse_options(data: Any, options: Mapping[str, Any]) -> None:
    """Raise what is wrong with the options, and then with the data under them, all at once.

    Raises
    ------
    ValueError
        Options that do not exist, contradict each other, or are not part of this version.
    DataError
        Too few dates for so many regimes and lags.
    """
    if not isinstance(data, MultiSeries):
        raise ValueError(f"regime_switching takes a MultiSeries, not a {type(data).__name__}: MultiSeries.from_frame makes one")
    problems = [*_choices(options), *_switching(data, options), *_not_built(options)]
    if options["regimes"] not in (2, 3):
        problems.append(f"regimes is 2 or 3, not {options['regimes']!r}")
    order = options["order"]
    if not isinstance(order, int) or isinstance(order, bool) or order < 0:
        problems.append(f"order is a number of lags from 0 up, not {order!r}")
    if options["reference"] is not None and options["reference"] not in data.series_names:
        problems.append(f"reference '{options['reference']}' is no series{closest(str(options['reference']), data.series_names)}")
    if problems:
        raise ValueError("; ".join(problems))
    _long_enough(data, options)


def _choices(options: Mapping[str, Any]) -> list[str]:
    found = [
        f"{name} '{options[name]}' does not exist{closest(str(options[name]), valid)}"
        for name, valid in CHOICES.items()
        if options[name] not in valid
    ]
    return found + [
        f"{name} is true or false, not {options[name]!r}" for name in ("pooling",) if not isinstance(options[name], bool)
    ]


def _switching(data: MultiSeries, options: Mapping[str, Any]) -> list[str]:
    named, form = options["switching"], options["form"]
    found = [f"switching '{s}' does not exist{closest(str(s), SWITCHES)}" for s in named if s not in SWITCHES]
    other = {"regression": "mean", "hamilton": "intercept"}.get(form)
    if other in named:
        found.append(f"form '{form}' has no {other}: what switches there is '{LEVELS[form]}'")
    if "shock" in named and not data.shock_names:
        found.append("switching 'shock' needs shocks, and the data name none")
    if "ar" in named and not options["order"]:
        found.append("switching 'ar' needs lags: order is 0")
    if not named:
        found.append("nothing switches, so there are no regimes: name some of variance, mean or intercept, shock, ar")
    elif not found and not {"variance", "mean", "intercept"} & set(named):
        found.append(
            "regimes that differ in effects or lags alone are not built yet: let variance, or the mean or intercept, switch too"
        )
    return found


def _not_built(options: Mapping[str, Any]) -> list[str]:
    found = []
    if options["errors"] == "correlated":
        found.append("errors 'correlated' are not built yet: use gaussian or student_t, which take series as independent")
    if options["transitions"] == "time_varying" or options["transition_covariates"]:
        found.append("transitions that vary with covariates are not built yet: leave transitions constant")
    return found


def _long_enough(data: MultiSeries, options: Mapping[str, Any]) -> None:
    """As many dates in each regime, were they of one length, as there are coefficients of a series in it, and a few more."""
    shocks, controls, order = len(data.shock_names), len(data.control_names), options["order"]
    need = order + options["regimes"] * (1 + shocks + controls + order + ROWS_A_REGIME)
    if data.n_dates < need:
        raise DataError(
            f"{data.n_dates} dates are too few for {options['regimes']} regimes with {shocks} shocks, {controls} controls and "
            f"{order} lags: at least {need} are needed; bring earlier dates, or take fewer regimes, lags or columns"
        )


def listed(names: str | Sequence[str]) -> tuple[str, ...]:
    """Names as given, one alone or several."""
    return (names,) if isinstance(names, str) else tuple(names)
