"""Outcomes that the intervention cannot have moved, asked for its effect by the same model: there should be none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from bayes_causal.checks.base import Check, needs_series
from bayes_causal.checks.placebo_dates import unusable
from bayes_causal.checks.series_controls import COLUMNS
from bayes_causal.checks.series_refit import ATT, refit_many
from bayes_causal.data.time_series import TimeSeries
from bayes_causal.errors import StudyError, closest
from bayes_causal.estimates import from_draws
from bayes_causal.models.base import Model
from bayes_causal.models.kinds import SeriesModel

DRAWS = 2000
MOST = 24


def placebo_outcome(
    model: Model, tree: xr.DataTree, *, outcomes: Sequence[str] | str | None = None, level: float = 0.99, draws: int = DRAWS
) -> Check:
    """The same model with another outcome, one that the intervention cannot have moved: its effect should include zero.

    Outcomes are the series' `placebo_outcomes`, each explained by all controls, and every control, explained by the others; or
    those of them that `outcomes` names. The level is shared over them (Bonferroni), and high: the check speaks against the
    design, and a right one is to be doubted once in a hundred studies. All are fitted in one vectorised program.

    Raises
    ------
    StudyError
        `outcomes` that are neither.
    """
    if not isinstance(model, SeriesModel):
        return needs_series("placebo_outcome")
    held = [*model.series.placebo_names, *model.series.control_names]
    asked = held if outcomes is None else [outcomes] if isinstance(outcomes, str) else list(outcomes)
    unknown = [
        f"placebo_outcome knows no outcome '{n}': name it under data.placebo_outcomes, or among the controls{closest(n, held)}"
        for n in asked
        if n not in held
    ]
    if unknown:
        raise StudyError(unknown)
    series = {name: in_place_of_the_outcome(model.series, name) for name in asked[:MOST]}
    cannot = {name: found[0] for name, s in series.items() if (found := unusable(s))}
    series = {name: s for name, s in series.items() if name not in cannot}
    if not series:
        why = "; ".join(cannot.values()) if cannot else "the series has no controls, and no data.placebo_outcomes"
        return Check("placebo_outcome", None, "info", f"Does not apply: {why}.")
    shared = 1 - (1 - level) / len(series)
    own = model.series.control_names
    changed = [(s, [name] if name in own else []) for name, s in series.items()]
    table: list[dict[str, Any]] = []
    for name, (again, posterior, sure) in zip(series, refit_many(model, changed, draws=draws), strict=True):
        answer = from_draws(again.effect(posterior, ATT), ATT, "placebo", level=shared)
        row: dict[str, Any] = {"outcome": name, "explained_by": "the other controls" if name in own else "all controls"}
        row |= {k: float(answer.table[k]) for k in COLUMNS} | {"in_sd": float(answer.value) / again.series.scale}
        table.append(row | {"proved": sure})
    return _found(table, cannot, asked, level, shared)


def _found(table: list[dict[str, Any]], cannot: dict[str, str], asked: Sequence[str], level: float, shared: float) -> Check:
    moved = [row["outcome"] for row in table if row["lower"] > 0 or row["upper"] < 0]
    numbers = {
        "outcomes": len(table),
        "away_from_zero": len(moved),
        "level_of_each": shared,
        "largest_in_sd": max((row["in_sd"] for row in table), key=abs),
        "not_proved": sum(not row["proved"] for row in table),
    }
    each = f"{level:.0%} interval" if len(table) == 1 else f"{shared:.1%} interval, {level:.0%} for all together"
    left = f" Not asked: {'; '.join(f'{n} ({why})' for n, why in cannot.items())}." if cannot else ""
    left += f" Beyond the first {MOST}, {len(asked) - MOST} were not asked." if len(asked) > MOST else ""
    if moved:
        verb = "has" if len(moved) == 1 else "have"
        text = (
            f"Of {len(table)} outcomes that the intervention should not move, {', '.join(moved)} {verb} an effect away from zero "
            f"({each}). Either it moved them after all, or something else happened at the same time, or the model sees effects "
            f"where there are none; a control that moved takes part of the effect with it.{left}"
        )
        return Check("placebo_outcome", False, "warning", text, numbers, table)
    text = (
        f"The same model finds no effect on {len(table)} outcome{'s' if len(table) > 1 else ''} that the intervention should not "
        f"move ({each}): {', '.join(str(row['outcome']) for row in table)}.{left}"
    )
    return Check("placebo_outcome", True, "warning", text, numbers, table)


def in_place_of_the_outcome(series: TimeSeries, name: str) -> TimeSeries:
    """The series with a control, or a placebo outcome, as its outcome."""
    data = series.dataset
    among = "controls" if name in series.control_names else "placebo_outcomes"
    values = data[among].sel({data[among].dims[1]: name}).values
    return TimeSeries(data.assign(outcome=("time", np.array(values, float))).assign_attrs(outcome=name))
