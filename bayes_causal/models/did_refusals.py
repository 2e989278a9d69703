"""What difference-in-differences refuses: options that do not exist, outcomes a family has not, effects without controls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.data.panel_source import WITHOUT_ROWS, PanelSource
from bayes_causal.errors import DataError, IdentificationError, closest
from bayes_causal.models.did_effects import STRUCTURES, ConstantEffect
from bayes_causal.models.did_families import FAMILIES, impossible
from bayes_causal.models.panel_design import column_norms, in_row_space, within_gram

if TYPE_CHECKING:
    from bayes_causal.models.hierarchical_did import HierarchicalDiD


def refuse_options(*, effect: Any, errors: Any, family: Any, time_effects: Any, unit_slopes: Any, window: Any) -> None:
    """Raise ValueError where an option is none of those that exist."""
    for what, value, valid in (
        ("effect", effect, STRUCTURES),
        ("errors", errors or "iid", ("ar1", "iid")),
        ("family", family, FAMILIES),
        ("time_effects", time_effects, ("fixed", "random_walk")),
        ("unit_slopes", unit_slopes, (False, True)),
    ):
        if value not in valid:
            raise ValueError(f"{what} '{value}' does not exist{closest(str(value), [str(v) for v in valid])}")
    if window is not None and (len(window) != 2 or min(window) < 0):
        raise ValueError(f"window is [leads, lags], two counts of periods from 0 up, not {window!r}")


def refuse_what_the_family_has_not(model: HierarchicalDiD) -> None:
    """Raise ValueError or DataError where an option, the outcomes or the weights do not fit the family."""
    family, panel = model.response, model.panel
    if options := impossible(model.family, model.errors, model.unit_slopes):
        raise ValueError("; ".join(options))
    if isinstance(panel, PanelSource):
        if not family.normal or model.unit_slopes:
            what = f"family '{model.family}'" if not family.normal else "unit_slopes"
            raise ValueError(f"{what} needs single rows: {WITHOUT_ROWS}. What helps: in_memory: true, where they fit")
        return
    problems = family.problems(panel)
    if not family.weighted and np.ptp(panel.dataset["weight"].values[panel.observed]) > 0:
        problems.append(f"weights are precisions of additive errors, and family '{model.family}' has none: leave them out")
    if problems:
        raise DataError(problems)


def refuse_unidentified(model: HierarchicalDiD) -> None:
    """Raise where unit and time effects absorb the number of active treatments: no prior can stand in for a control."""
    active = ConstantEffect(model.panel.paths).columns
    if in_row_space(within_gram(model.design, active), np.ones((1, 1)), column_norms(model.design, active))[0]:
        return
    raise IdentificationError(
        "the average effect on the treated is not identified: after unit and time effects are removed, nothing is left that "
        "sets treated cells apart from untreated ones. Likely cause: every unit is treated over the same periods, so there "
        "are no controls. What helps: add units that are never treated, or treated at other times."
    )
