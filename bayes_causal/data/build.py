"""From checked rows to the arrays of a panel, or to one error that lists every problem."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from bayes_causal.data import identifiers, treatments, validate
from bayes_causal.data.calendar import periods
from bayes_causal.data.columns import WORDS, Labels
from bayes_causal.data.declare import Declaration
from bayes_causal.data.exposures import read_exposures
from bayes_causal.data.rows import Rows, read_rows

MERGED = "merged: further campaign rows of a unit and time"
OUTSIDE = "outside the pre and post windows"
Treatment = tuple[np.ndarray, np.ndarray]


def build(frame: Any, declared: Declaration) -> xr.Dataset:
    """The dataset of a panel.

    Raises
    ------
    DataError
        Everything that keeps the table from being the panel declared, in one message.
    """
    read = read_rows(frame, declared)
    treatment, groups = _treatment(read)
    keep, found = windows(read.labels["time"], declared)
    read.problems += found
    read.refuse()
    dataset = _restricted(_dataset(read, treatment, groups), read, keep)
    read.problems += validate.cells(
        dataset["outcome"].values, dataset["treatment"].values, dataset["unit"].values, dataset["time"].values
    )
    read.refuse()
    return dataset


def _treatment(read: Rows) -> Treatment:
    """Treatment (unit, time, group) and the labels of the groups; problems go to the rows."""
    declared, unit, time = read.declared, read.labels["unit"], read.labels["time"]
    if declared.exposures is not None:
        treatment, groups, found = read_exposures(declared, unit, time)
        read.problems += found
        return treatment, groups
    if declared.cohort is not None:
        return _from_cohort(read)
    active = _under_an_arm(read) if declared.arms is not None else read.numbers["treatment"] == 1
    if declared.campaign_rows:
        active &= read.numbers["post"] == 1
    codes, groups = _row_groups(read, active)
    shape = (len(unit.values), len(time.values), len(groups))
    treatment = treatments.from_rows(unit.codes, time.codes, codes, active, shape)
    return treatments.carry_forward(treatment, _present(unit, time)), groups


def _under_an_arm(read: Rows) -> np.ndarray:
    """Rows under an arm: those without the one value that means untreated."""
    active, found = validate.under_an_arm(read.labels["arms"])
    read.problems += found
    return active


def _present(unit: Labels, time: Labels) -> np.ndarray:
    """Cells (unit, time) that have a row."""
    present = np.zeros((len(unit.values), len(time.values)), bool)
    present[unit.codes, time.codes] = True
    return present


def _row_groups(read: Rows, active: np.ndarray) -> Treatment:
    """Position of each row's group, and the labels of the groups that are ever active."""
    group, unit = read.labels.get("arms", read.labels.get("group")), read.labels["unit"]
    if group is None or not active.any():
        return np.zeros(len(active), np.int64), np.array([read.declared.single_group])
    read.problems += validate.no_nulls_where(group, active, "group", "every treated row")
    if not read.declared.campaign_rows:
        read.problems += identifiers.group_per_unit(unit.codes[active], group.codes[active], (unit.name, group.name))
    used = np.unique(group.codes[active & (group.codes >= 0)])
    if not used.size:
        return np.zeros(len(active), np.int64), np.array([read.declared.single_group])
    return np.minimum(np.searchsorted(used, group.codes), len(used) - 1), group.values[used]


def _from_cohort(read: Rows) -> Treatment:
    unit, time, cohort = read.labels["unit"], read.labels["time"], _cohorts(read)
    read.problems += identifiers.constant_in_unit(cohort, unit, "cohort")
    if cohort.kind in "if" and (cohort.values < 0).any() and time.values[0] >= 0:
        read.problems.append(f"cohort column '{cohort.name}' is negative in some rows: never treated is 0, infinite or missing")
    if not len(cohort.values):
        read.problems.append(f"cohort column '{cohort.name}' holds no first treated time: nobody is treated")
        return np.zeros((len(unit.values), len(time.values), 1), bool), np.array([cohort.name])
    never = np.array("NaT", "datetime64[ns]") if cohort.kind == "M" else np.nan
    first = np.full(len(unit.values), never)
    known = cohort.codes >= 0
    first[unit.codes[known]] = cohort.values[cohort.codes[known]]
    treatment = treatments.from_cohorts(first, time.values)
    active = treatment[unit.codes, time.codes, 0]
    codes, groups = _row_groups(read, active)
    member = np.zeros((len(unit.values), len(groups)), bool)
    member[unit.codes[active], codes[active]] = True
    if (member.sum(1) > 1).any():
        read.problems.append(identifiers.several_groups(unit.values[member.sum(1) > 1], str(read.declared.group)))
    return treatment & member[:, None, :], groups


def _cohorts(read: Rows) -> Labels:
    """First treated time of each row's unit; -1 where it is missing, infinite or 0, which all mean never."""
    if "cohort" in read.labels:
        return read.labels["cohort"]
    values = read.numbers["cohort"]
    known = np.isfinite(values) & (values != 0)
    codes = np.full(len(values), -1, np.int64)
    distinct, codes[known] = np.unique(values[known], return_inverse=True)
    return Labels(str(read.declared.cohort), distinct, codes)


def windows(time: Labels, declared: Declaration) -> tuple[np.ndarray, list[str]]:
    """Times inside the declared windows, and what is wrong with these; a window alone bounds its own side only."""
    problems: list[str] = []
    keep = np.ones(len(time.values), bool)
    ends: dict[str, np.ndarray] = {}
    for name, window in (("pre", declared.pre), ("post", declared.post)):
        if window is not None:
            try:
                ends[name] = _in_time_units(window, time)
            except (ValueError, TypeError):
                problems.append(
                    f"`{name}` {list(window)!r} is not in the units of time column '{time.name}', which holds {WORDS[time.kind]}"
                )
    if "pre" in ends and "post" in ends and ends["pre"][1] >= ends["post"][0]:
        problems.append(f"`pre` {declared.pre!r} must end before `post` {declared.post!r} starts")
    at = time.values
    if "pre" in ends:
        keep &= (at >= ends["pre"][0]) & ((at <= ends["pre"][1]) | (at >= ends["post"][0] if "post" in ends else True))
    if "post" in ends:
        keep &= (at <= ends["post"][1]) & ((at >= ends["post"][0]) | (at <= ends["pre"][1] if "pre" in ends else True))
    if not keep.any():
        problems.append(f"no row of the data lies in `pre` {declared.pre!r} or `post` {declared.post!r}")
    return keep, problems


def _in_time_units(window: Sequence[Any], time: Labels) -> np.ndarray:
    if time.kind == "M":
        if any(isinstance(v, (int, float)) for v in window):
            raise ValueError(window)
        return np.array([np.datetime64(str(v).replace(" ", "T"), "ns") for v in window])
    return np.array([float(v) for v in window])


def _dataset(read: Rows, treatment: np.ndarray, groups: np.ndarray) -> xr.Dataset:
    unit, time = read.labels["unit"], read.labels["time"]
    shape, at = (len(unit.values), len(time.values)), (unit.codes, time.codes)
    outcome, weight = np.full(shape, np.nan), np.ones(shape)
    outcome[at] = read.numbers["outcome"]
    if "weights" in read.numbers:
        weight[at] = np.where(np.isnan(read.numbers["weights"]), 1.0, read.numbers["weights"])
    variables: dict[str, Any] = {
        "outcome": (("unit", "time"), outcome),
        "treatment": (("unit", "time", "group"), treatment),
        "weight": (("unit", "time"), weight),
    }
    coords: dict[str, Any] = {"unit": unit.values, "time": time.values, "group": groups}
    if read.covariate_names:
        values = np.full((*shape, len(read.covariate_names)), np.nan)
        values[at] = read.covariates
        variables["covariates"] = (("unit", "time", "covariate"), values)
        coords["covariate"] = read.covariate_names
    if read.predictors:
        values = np.full((*shape, len(read.predictors)), np.nan)
        values[at] = np.stack(list(read.predictors.values()), axis=1)
        variables["predictors"] = (("unit", "time", "predictor"), values)
        coords["predictor"] = list(read.predictors)
    if "cluster" in read.labels:
        cluster = read.labels["cluster"]
        of_unit = np.zeros(shape[0], np.int64)
        of_unit[unit.codes] = cluster.codes
        variables["cluster"] = ("unit", cluster.values[of_unit])
    return xr.Dataset(variables, coords, attributes(read.declared, groups))


def attributes(declared: Declaration, groups: np.ndarray) -> dict[str, Any]:
    """Names of the columns, and whether groups were named."""
    return {
        "unit": declared.unit,
        "time": declared.time,
        "outcome": declared.outcome,
        "treatment": declared.roles.get("treatment") or declared.cohort,
        "arms": declared.arms,
        "group": declared.group,
        "has_groups": declared.group is not None or declared.arms is not None or groups.tolist() != [declared.single_group],
    }


def _restricted(dataset: xr.Dataset, read: Rows, keep: np.ndarray) -> xr.Dataset:
    """The dataset over the times kept, with its row counts; units without a row there go too, and groups never active there."""
    unit, time = read.labels["unit"], read.labels["time"]
    row_kept = keep[time.codes]
    cells = np.unique(unit.codes[row_kept] * len(keep) + time.codes[row_kept])
    dropped = {OUTSIDE: int((~row_kept).sum()), MERGED: int(row_kept.sum()) - len(cells)}
    if not keep.all():
        units = np.isin(np.arange(len(unit.values)), unit.codes[row_kept])
        dataset = dataset.isel(unit=units, time=keep)
        active = dataset["treatment"].values.any(axis=(0, 1))
        dataset = dataset.isel(group=active) if active.any() else dataset
    dataset["period"] = ("time", periods(dataset["time"].values))
    return dataset.assign_attrs(rows_read=len(read), dropped={reason: n for reason, n in dropped.items() if n})
