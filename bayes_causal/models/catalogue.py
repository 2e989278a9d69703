"""Every model by the name study files use. Importing this loads no model; `ModelEntry.load` does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from inspect import signature
from typing import Any

NOT_OPTIONS = ("self", "panel", "series", "data", "priors")


@dataclass(frozen=True)
class ModelEntry:
    """One model: where it lives, what data it takes, what it is for, what it takes for granted and answers, in a line each.

    `sections` are those of its report between the data and the comparison, in order, where they are not its kind's.
    """

    name: str
    module: str
    attribute: str
    kind: str
    line: str
    tested: str
    assumes: str
    estimands: tuple[str, ...]
    by: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()

    def load(self) -> Any:
        """The model's class."""
        return getattr(import_module(self.module), self.attribute)

    @property
    def options(self) -> tuple[str, ...]:
        """Keyword arguments of the class that a study may set."""
        return tuple(k for k in signature(self.load().__init__).parameters if k not in NOT_OPTIONS)

    @property
    def priors(self) -> Mapping[str, Any]:
        """Fields of the model's `Priors`, and their defaults."""
        return {f.name: f.default for f in fields(self.priors_class())}

    def priors_class(self) -> Any:
        """The model's `Priors`."""
        return import_module(self.module).Priors

    def build(self, data: Any, options: Mapping[str, Any], priors: Mapping[str, float]) -> Any:
        """The model on its data."""
        return self.load()(data, priors=self.priors_class()(**priors), **options)


MODELS: dict[str, ModelEntry] = {
    entry.name: entry
    for entry in (
        ModelEntry(
            "hierarchical_did",
            "bayes_causal.models.hierarchical_did",
            "HierarchicalDiD",
            "panel",
            "hierarchical difference-in-differences: many, overlapping, reversible treatments, effects partially pooled",
            "difference-in-differences",
            "parallel trends given covariates; no anticipation; no interference between units; selection on levels only",
            ("att", "cumulative", "relative"),
            ("group", "arm", "event_time", "cohort", "time", "unit"),
        ),
        ModelEntry(
            "synthetic_control",
            "bayes_causal.models.synthetic_control",
            "SyntheticControl",
            "panel",
            "synthetic control: one treated unit beside a weighted average of units never treated",
            "a weighted comparison",
            "a stable relation to the donors; donors the treatment leaves alone; no other event; no anticipation",
            ("att", "cumulative", "relative"),
            ("time", "event_time"),
            sections=("series", "donors"),
        ),
        ModelEntry(
            "structural_time_series",
            "bayes_causal.models.structural_time_series",
            "StructuralTimeSeries",
            "time_series",
            "structural time series: what one outcome would have been, from its own past and from controls",
            "an interrupted time series",
            "a stable relation to the controls; controls the intervention leaves alone; no other event at its date",
            ("att", "cumulative", "relative"),
            ("time",),
        ),
    )
}
