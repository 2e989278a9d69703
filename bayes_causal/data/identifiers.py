"""Whether units, times and groups can be what they are declared as; each function returns the problems it found."""

from __future__ import annotations

import numpy as np

from bayes_causal.data.columns import Labels, show, some


def unique_cells(unit: Labels, time: Labels, group: Labels | None) -> list[str]:
    """One row per unit and time."""
    code = unit.codes * len(time.values) + time.codes
    order = np.argsort(code, kind="stable")
    repeated = np.zeros(len(code), bool)
    repeated[order[1:]] = code[order[1:]] == code[order[:-1]]
    if not repeated.any():
        return []
    cells = np.unique(code[repeated])
    first = "; ".join(
        f"{unit.name} {show(unit.values[c // len(time.values)])}, {time.name} {show(time.values[c % len(time.values)])}"
        for c in cells[:3]
    )
    hint = "sum or average them first"
    if group is not None and _would_be_unique(code, group):
        hint = (
            f"if each row is one '{group.name}' of a unit and time, declare layout: campaign_rows or use `exposures`; "
            f"otherwise {hint}"
        )
    return [
        f"{repeated.sum():,} rows repeat a (unit, time) pair that an earlier row has, in {len(cells):,} pairs (first: {first}): "
        f"a panel has one row per unit and time; {hint}"
    ]


def unique_campaign_rows(unit: Labels, time: Labels, group: Labels) -> list[str]:
    """One row per unit, time and group."""
    triple = (unit.codes * len(time.values) + time.codes) * (len(group.values) + 1) + group.codes + 1
    extra = len(triple) - len(np.unique(triple))
    if not extra:
        return []
    return [
        f"{extra:,} rows repeat a (unit, time, {group.name}) that an earlier row has: campaign_rows has one row for each; add "
        "them up first"
    ]


def agreeing_rows(unit: Labels, time: Labels, values: np.ndarray, name: str) -> list[str]:
    """A value of a unit and time must be the same on all its campaign rows."""
    times = len(time.values)
    code = unit.codes * times + time.codes
    cell, first, of_row = np.unique(code, return_index=True, return_inverse=True)
    leading = values[first][of_row]
    differs = (values != leading) & ~(np.isnan(values) & np.isnan(leading))
    bad = np.unique(of_row[differs])
    if not bad.size:
        return []
    shown = "; ".join(
        f"{unit.name} {show(unit.values[cell[c] // times])}, {time.name} {show(time.values[cell[c] % times])}: "
        f"{some(np.unique(values[of_row == c]))}"
        for c in bad[:3]
    )
    return [
        f"column '{name}' differs between the campaign rows of one unit and time in {len(bad):,} of them (first: {shown}): it "
        "must "
        "repeat the unit's own value on each row; if it is split by campaign, add it up first"
    ]


def _would_be_unique(code: np.ndarray, group: Labels) -> bool:
    triple = code * (len(group.values) + 1) + group.codes + 1
    return len(np.unique(triple)) == len(triple)


def swapped(unit: Labels, time: Labels, group: Labels | None) -> list[str]:
    """Identifiers whose contents or cardinalities speak against the roles they were given."""
    problems = []
    units, times = len(unit.values), len(time.values)
    if unit.kind == "M":
        problems.append(f"unit column '{unit.name}' holds dates ({some(unit.values)}): are `unit` and `time` swapped?")
    elif times > 5 * units and times > 20 and time.kind != "M" and _like_years(unit.values):
        problems.append(
            f"unit column '{unit.name}' has {units:,} values that look like years ({some(unit.values)}) and time column "
            f"'{time.name}' "
            f"has {times:,}: are `unit` and `time` swapped?"
        )
    if group is not None:
        problems += _swapped_group(unit, time, group)
    return problems


def _like_years(values: np.ndarray) -> bool:
    return values.dtype.kind == "i" and bool(((values >= 1800) & (values <= 2200)).all())


def _swapped_group(unit: Labels, time: Labels, group: Labels) -> list[str]:
    units, groups = len(unit.values), len(group.values)
    if groups <= units:
        return []
    as_unit = group.codes * len(time.values) + time.codes
    declared = unit.codes * len(time.values) + time.codes
    known = group.codes >= 0
    only_swapped_fits = len(np.unique(as_unit[known])) == known.sum() and len(np.unique(declared)) < len(declared)
    if not (only_swapped_fits or groups > 10 * units):
        return []
    return [
        f"unit column '{unit.name}' has {units:,} values and group column '{group.name}' has {groups:,}: they look swapped "
        f"(units are what is observed over time, groups are the treatments); try unit: {group.name}, group: {unit.name}"
    ]


def group_per_unit(unit_codes: np.ndarray, group_codes: np.ndarray, names: tuple[str, str]) -> list[str]:
    """Groups must hold more than one unit each on the whole; rows given are the treated ones."""
    units, groups = len(np.unique(unit_codes)), len(np.unique(group_codes))
    return [nearly_one_each(groups, units, names)] if groups >= 50 and groups >= 0.8 * units else []


def nearly_one_each(groups: int, units: int, names: tuple[str, str]) -> str:
    """What speaks against a group column with nearly as many values as there are treated units."""
    return (
        f"group column '{names[1]}' has {groups:,} values among {units:,} treated units of '{names[0]}', nearly one each: a "
        "group is a "
        "treatment that several units share (a campaign, an adoption year); leave `group` out, or name another column"
    )


def followed(unit: Labels, time: Labels) -> list[str]:
    """More than one unit and period, and units that are seen more than once."""
    problems = []
    if len(time.values) < 2:
        problems.append(
            f"time column '{time.name}' has only one value ({some(time.values)}): a panel needs periods before and after"
        )
    if len(unit.values) < 2:
        problems.append(
            f"unit column '{unit.name}' has only one value ({some(unit.values)}): a panel compares units; one series alone is "
            "kind: time_series"
        )
    if not problems and (np.bincount(unit.codes[unit.codes >= 0]) < 2).all():
        problems.append(
            f"every '{unit.name}' occurs in one period only: no unit is followed over time; is `unit` the right column?"
        )
    return problems


def constant_in_unit(column: Labels, unit: Labels, role: str) -> list[str]:
    """A unit must have one value of this column."""
    pairs = np.unique(np.stack([unit.codes, column.codes], axis=1), axis=0)
    count = np.bincount(pairs[:, 0], minlength=len(unit.values))
    if (count < 2).all():
        return []
    bad = unit.values[np.flatnonzero(count > 1)]
    return [f"{role} column '{column.name}' must be constant within a unit, and changes in {len(bad):,} (first: {some(bad)})"]


def several_groups(units: np.ndarray, name: str) -> str:
    """A unit with a cohort has one onset, so it cannot belong to several groups."""
    return (
        f"group column '{name}' changes within {len(units):,} treated units (first: {some(units)}), which have one cohort each: "
        "declare a 0/1 `treatment` column or `exposures` for several treatments of one unit"
    )
