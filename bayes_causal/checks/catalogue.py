"""Every check by the name study files use, and `check`, which runs them. Importing this loads no check."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bayes_causal.data.kinds import KINDS, model_kind
from bayes_causal.errors import StudyError, closest
from bayes_causal.models.catalogue import MODELS

if TYPE_CHECKING:
    import xarray as xr

    from bayes_causal.checks.base import Check
    from bayes_causal.models.base import Model


@dataclass(frozen=True)
class CheckEntry:
    """One check: the module it lives in for each kind of data or model it is for, and what it asks in a line.

    A model that some check names has the checks that name it and those for every kind of data, no others of its kind.
    """

    name: str
    modules: Mapping[str, str]
    line: str
    default: bool = True

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of data it is for."""
        return tuple(dict.fromkeys(MODELS[key].kind if key in MODELS else key for key in self.modules))

    def suits(self, kind: str | None, model: str) -> bool:
        """Whether it is for a model on data of a kind."""
        if kind is None or model in self.modules or set(KINDS) <= set(self.modules):
            return True
        return kind in self.modules and not any(model in entry.modules for entry in CHECKS.values())

    def load(self, kind: str | None = None, model: str = "") -> Callable[..., Check]:
        """The function: (model, tree, **options) -> Check; where it is for neither model nor kind, that of the first."""
        module = self.modules.get(model) or self.modules.get(kind or "", next(iter(self.modules.values())))
        return getattr(import_module(f"bayes_causal.checks.{module}"), self.name)


def any_kind(module: str) -> dict[str, str]:
    """One module for every kind of data."""
    return dict.fromkeys(KINDS, module)


def panels(module: str) -> dict[str, str]:
    """A module for panels."""
    return {"panel": module}


def series(module: str) -> dict[str, str]:
    """A module for series."""
    return {"time_series": module}


def several(module: str) -> dict[str, str]:
    """A module for several series that shocks hit."""
    return {"multi_series": module}


def donors(module: str) -> dict[str, str]:
    """A module for models that weight donors."""
    return dict.fromkeys(("synthetic_control", "synthetic_did"), module)


def periods(module: str) -> dict[str, str]:
    """A module for models that weight periods."""
    return {"synthetic_did": module}


CHECKS: dict[str, CheckEntry] = {
    entry.name: entry
    for entry in (
        CheckEntry("convergence", any_kind("convergence"), "did the chains agree? gates the verdict"),
        CheckEntry("posterior_predictive", any_kind("predictive"), "does the model produce data like these?"),
        CheckEntry("prior_predictive", any_kind("predictive"), "which effects did the prior hold possible?"),
        CheckEntry("prior_sensitivity", any_kind("sensitivity"), "does the answer hang on the prior?"),
        CheckEntry("identification", panels("design"), "which effects do the data alone identify?"),
        CheckEntry("pretrend", panels("before_onset"), "did treated units move differently before the treatment?"),
        CheckEntry(
            "placebo_time",
            panels("before_onset") | series("placebo_dates") | donors("donors"),
            "does a treatment too early have an effect?",
        ),
        CheckEntry("selection", panels("before_onset"), "were units chosen on their past?"),
        CheckEntry(
            "leave_one_out",
            panels("influence") | series("series_controls") | donors("donors"),
            "does the answer hang on one group, cohort, unit, control or donor?",
        ),
        CheckEntry("common_shocks", panels("common_shocks"), "did units move together without the treatment?"),
        CheckEntry("twfe_weights", panels("design"), "how does a two-way fixed effects regression weigh effects?"),
        CheckEntry("overlap", panels("design"), "how far do treatments overlap?"),
        CheckEntry("few_clusters", panels("design"), "are there enough clusters for the frequentist rows?"),
        CheckEntry("log_shift", panels("design"), "does the effect on a logarithm hang on its shift?"),
        CheckEntry("false_alarms", series("placebo_dates"), "how often are there effects where there is none?"),
        CheckEntry("out_of_sample", series("placebo_dates"), "how well does it forecast dates it has not seen?"),
        CheckEntry("control_drift", series("series_controls"), "did the controls move at the intervention?"),
        CheckEntry("placebo_outcome", series("placebo_outcomes"), "does the same model find effects where there can be none?"),
        CheckEntry("placebo_space", donors("donors"), "do donors taken for treated have an effect?"),
        CheckEntry("anticipation", donors("donor_reactions"), "had the treated unit moved before its treatment?"),
        CheckEntry("donor_contamination", donors("donor_reactions"), "did donors that carry weight move at the treatment too?"),
        CheckEntry("hull", donors("donor_pool"), "can any weighted average of donors follow the treated unit?"),
        CheckEntry("donor_concentration", donors("donor_pool"), "which donors carry the weight?"),
        CheckEntry("period_concentration", periods("weighted_periods"), "which periods before carry the weight?"),
        CheckEntry("unshared_trend", donors("donor_pool"), "does the treated unit wander off its donors?"),
        CheckEntry("shared_errors", {"synthetic_control": "shared_errors"}, "do treated units err together, all pairs alike?"),
        CheckEntry("label_switching", several("regimes"), "are regimes told apart?"),
        CheckEntry("look_ahead", several("regimes"), "do today's regimes know what came after?"),
        CheckEntry("shock_foretold", several("regimes"), "are shocks news, or could they be foretold?"),
        CheckEntry("mde", any_kind("design") | series("power"), "how large must an effect be to show?"),
    )
}


def check(
    model: Model, tree: xr.DataTree, names: str | Sequence[str | Mapping[str, Mapping[str, Any]]] = "default"
) -> list[Check]:
    """Run checks on a model and its tree.

    Parameters
    ----------
    names : "default", "none", or a list
        Names, or ``{name: {option: value}}``. Convergence always runs: it gates the verdict. "default" are those for the
        model, or else for the kind of data it holds; all of them for a model that holds none of ours.

    Raises
    ------
    StudyError
        Checks that do not exist, with the closest that do.
    """
    kind = model_kind(model)
    if names == "none":
        asked: dict[str, Mapping[str, Any]] = {}
    elif names == "default":
        asked = {e.name: {} for e in CHECKS.values() if e.default and e.suits(kind, model.name)}
    else:
        entries = [{n: {}} if isinstance(n, str) else n for n in ([names] if isinstance(names, str) else names)]
        asked = {k: v or {} for entry in entries for k, v in entry.items()}
    unknown = [f"check '{n}' does not exist{closest(n, CHECKS)}" for n in asked if n not in CHECKS]
    if unknown:
        raise StudyError(unknown)
    asked = {"convergence": {}} | asked
    return [CHECKS[n].load(kind, model.name)(model, tree, **options) for n, options in asked.items()]
