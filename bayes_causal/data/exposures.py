"""A table of exposures, rows (unit, group, start, end), as a treatment array over a panel's cells."""

from __future__ import annotations

import numpy as np

from bayes_causal.data import treatments, validate
from bayes_causal.data.columns import WORDS, Labels, collect, labels, missing_columns, open_table, rows, some
from bayes_causal.data.declare import Declaration

NOTHING = np.empty((0, 0, 0), bool)
LAST = "last"  # a test being planned: every unit may be treated from the last period on, and all before is the time before


def read_exposures(declared: Declaration, unit: Labels, time: Labels) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The exposures of a declaration, over the units and times of its panel.

    Parameters
    ----------
    declared : Declaration
        Its `exposures` has the panel's unit column or `unit`, its group column or `group` (optional), and `start` and `end`,
        inclusive and in the units of time; a missing end lasts until the end of the data. ``"last"`` treats every unit in the
        last period.
    unit, time : Labels

    Returns
    -------
    treatment : (unit, time, group) bool array, empty where there are problems
    groups : (group,) array of labels
    problems : list of str
        Among them exposures of unknown units and exposures that cover no period: neither is dropped silently.
    """
    if isinstance(declared.exposures, str) and declared.exposures == LAST:
        planned = np.zeros((len(unit.values), len(time.values), 1), bool)
        planned[:, -1:] = True
        return planned, np.array([declared.single_group]), []
    table = open_table(declared.exposures, "exposures")
    columns = table.collect_schema().names()
    named = _names(declared, columns)
    problems = missing_columns(named, columns, "exposures table")
    if problems:
        return NOTHING, np.array([]), problems
    data = collect(table, [name for name in named.values() if name is not None])
    if len(data) == 0:
        return NOTHING, np.array([]), ["the exposures table is empty: nobody is treated"]
    read: dict[str, Labels] = {}
    for role, name in named.items():
        if name is not None:
            column, found = labels(data[name], f"exposures {role}")
            problems += found
            if column is not None:
                read[role] = column
                problems += validate.no_nulls(column, f"exposures {role}") if role != "end" else []
    if problems:
        return NOTHING, np.array([]), problems
    return _over_cells(read, unit, time, declared.single_group)


def _names(declared: Declaration, columns: list[str]) -> dict[str, str | None]:
    unit = declared.unit if declared.unit in columns else "unit" if "unit" in columns else declared.unit
    group = declared.group if declared.group in columns else "group" if "group" in columns else declared.group
    return {"unit": unit, "group": group, "start": "start", "end": "end"}


def _over_cells(read: dict[str, Labels], unit: Labels, time: Labels, single: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    position, problems = _match_units(read["unit"], unit)
    for role in ("start", "end"):
        problems += validate.same_type(read[role], time, f"exposures {role}")
    if problems:
        return NOTHING, np.array([]), problems
    start = read["start"].values[read["start"].codes]
    end = _ends(read["end"], time)
    group = read.get("group")
    groups = group.values if group is not None else np.array([single])
    codes = group.codes if group is not None else np.zeros(len(start), np.int64)
    problems = _reach(start, end, time, read["start"].name)
    if problems:
        return NOTHING, groups, problems
    treatment = treatments.from_spells(position, codes, start, end, time.values, len(unit.values), len(groups))
    return treatment, groups, []


def _match_units(exposed: Labels, unit: Labels) -> tuple[np.ndarray, list[str]]:
    if exposed.kind != unit.kind:
        return np.array([]), [
            f"ids look mismatched: the panel's '{unit.name}' holds {WORDS[unit.kind]} ({some(unit.values)}) and the exposures' "
            f"'{exposed.name}' holds {WORDS[exposed.kind]} ({some(exposed.values)}): make them one type"
        ]
    at = np.minimum(np.searchsorted(unit.values, exposed.values), len(unit.values) - 1)
    unknown = unit.values[at] != exposed.values
    if unknown.all():
        return at, [
            f"ids look mismatched: none of the {len(unknown):,} units of the exposures ({some(exposed.values)}) is in the "
            "panel's "
            f"'{unit.name}' ({some(unit.values)})"
        ]
    if unknown.any():
        return at, [
            f"{unknown.sum():,} of {len(unknown):,} units of the exposures are not in the panel (first: "
            f"{some(exposed.values[unknown])}): "
            "add their rows to the panel, or leave their exposures out"
        ]
    return at[exposed.codes], []


def _ends(end: Labels, time: Labels) -> np.ndarray:
    """Ends, with the last time of the data where they are missing."""
    if not len(end.values):
        return np.full(len(end.codes), time.values[-1])
    values = end.values[np.maximum(end.codes, 0)]
    return np.where(end.codes < 0, np.maximum(time.values[-1], end.values[-1]), values)


def _reach(start: np.ndarray, end: np.ndarray, time: Labels, name: str) -> list[str]:
    backwards = end < start
    if backwards.any():
        return [f"exposures end before they start in {rows(backwards)} of the exposures table"]
    first = np.searchsorted(time.values, start, side="left")
    after = np.searchsorted(time.values, end, side="right")
    outside = first >= after
    if not outside.any():
        return []
    return [
        f"{rows(outside)} of the exposures table cover no period of the data, which run from {some(time.values[:1])} to "
        f"{some(time.values[-1:])} ({name}s found: {some(start[outside])}): leave them out"
    ]
