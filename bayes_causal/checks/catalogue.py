"""Every check by the name study files use, and `check`, which runs them. Importing this loads no check."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bayes_causal.errors import StudyError, closest

if TYPE_CHECKING:
    import xarray as xr

    from bayes_causal.checks.base import Check
    from bayes_causal.models.base import Model


@dataclass(frozen=True)
class CheckEntry:
    """One check: where it lives, the data kinds it is for, and what it asks in a line."""

    name: str
    module: str
    kinds: tuple[str, ...]
    line: str
    default: bool = True

    def load(self) -> Callable[..., Check]:
        """The function: (model, tree, **options) -> Check."""
        return getattr(import_module(f"bayes_causal.checks.{self.module}"), self.name)


ANY = ("panel", "time_series", "multi_series", "cross_section")
CHECKS: dict[str, CheckEntry] = {
    entry.name: entry
    for entry in (
        CheckEntry("convergence", "convergence", ANY, "did the chains agree? gates the verdict"),
        CheckEntry("posterior_predictive", "predictive", ANY, "does the model produce data like these?"),
        CheckEntry("prior_predictive", "predictive", ANY, "which effects did the prior hold possible?"),
        CheckEntry("prior_sensitivity", "sensitivity", ANY, "does the answer hang on the prior?"),
        CheckEntry("identification", "design", ("panel",), "which effects do the data alone identify?"),
        CheckEntry("pretrend", "before_onset", ("panel",), "did treated units move differently before the treatment?"),
        CheckEntry("placebo_time", "before_onset", ("panel",), "does a treatment that came too early have an effect?"),
        CheckEntry("selection", "before_onset", ("panel",), "were units chosen on their past?"),
        CheckEntry("leave_one_out", "influence", ("panel",), "does the answer hang on one group, cohort or unit?"),
        CheckEntry("twfe_weights", "design", ("panel",), "how does a two-way fixed effects regression weigh effects?"),
        CheckEntry("overlap", "design", ("panel",), "how far do treatments overlap?"),
        CheckEntry("few_clusters", "design", ("panel",), "are there enough clusters for the frequentist rows?"),
        CheckEntry("log_shift", "design", ("panel",), "does the effect on a logarithm hang on its shift?"),
        CheckEntry("mde", "design", ("panel",), "how large must an effect be to show?"),
    )
}


def check(
    model: Model, tree: xr.DataTree, names: str | Sequence[str | Mapping[str, Mapping[str, Any]]] = "default"
) -> list[Check]:
    """Run checks on a model and its tree.

    Parameters
    ----------
    names : "default", "none", or a list
        Names, or ``{name: {option: value}}``. Convergence always runs: it gates the verdict.

    Raises
    ------
    StudyError
        Checks that do not exist, with the closest that do.
    """
    if names == "none":
        asked: dict[str, Mapping[str, Any]] = {}
    elif names == "default":
        asked = {e.name: {} for e in CHECKS.values() if e.default}
    else:
        entries = [{n: {}} if isinstance(n, str) else n for n in ([names] if isinstance(names, str) else names)]
        asked = {k: v or {} for entry in entries for k, v in entry.items()}
    unknown = [f"check '{n}' does not exist{closest(n, CHECKS)}" for n in asked if n not in CHECKS]
    if unknown:
        raise StudyError(unknown)
    asked = {"convergence": {}} | asked
    return [CHECKS[n].load()(model, tree, **options) for n, options in asked.items()]
