"""The declared columns of a table larger than memory: types, and the labels that occur, found by small queries of its engine."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np

from bayes_causal.data import validate
from bayes_causal.data.columns import Labels, labels, missing_columns, some
from bayes_causal.data.declare import Declaration
from bayes_causal.data.stream import Columns
from bayes_causal.errors import DataError

MOST_CELLS = 1024
MOST_GROUPS = 1000
NOT_HERE = {
    "exposures": "exposures are joined to units in memory: make them a 0/1 `treatment` column, with `group`, in the files",
    "predictors": "they are for synthetic control, which needs the rows",
    "weights": "with precision weights every unit has sums of its own, as many as there are units",
    "cluster": "clusters are read by the baselines alone, which need the rows",
    "layout": "campaign rows are merged in memory: write one row per unit and time",
    "arms": "arms are told apart in memory: write a 0/1 `treatment` column, with the arm as `group`, into the files",
    "terms": "formulas are evaluated in memory: write their columns into the files and list them as `covariates`",
}


def declared_problems(declared: Declaration) -> list[str]:
    """Everything wrong with the declaration, and what a source cannot take."""
    unnamed = declared.name_problems()
    if unnamed:
        raise DataError(unnamed)
    beyond = [
        f"`{key}` is not taken where rows are not in memory: {why}" for key, why in NOT_HERE.items() if getattr(declared, key)
    ]
    return declared.problems() + beyond


def source_columns(table: nw.LazyFrame[Any], declared: Declaration) -> Columns:
    """Columns and labels of a lazy table.

    Raises
    ------
    DataError
        Everything wrong with the declaration, the columns, their types and their labels.
    """
    problems = declared_problems(declared)
    schema = table.collect_schema()
    problems += missing_columns(declared.roles, schema.names())
    problems += [p for c in declared.covariates for p in missing_columns({"covariate": c}, schema.names())]
    if problems:
        raise DataError(problems)
    problems += _types(schema, declared)
    time, found = _distinct(table, declared.time, "time", MOST_CELLS)
    problems += found + (validate.time_type(time) if time else [])
    group, found = _groups(table, declared)
    problems += found
    cohort, found = _cohorts(table, declared, time)
    if problems + found or time is None:
        raise DataError(problems + found)
    columns = Columns(
        declared.unit,
        declared.time,
        declared.outcome,
        declared.covariates,
        declared.treatment,
        declared.group,
        declared.cohort,
        time.values,
        group,
        cohort,
    )
    cells = len(columns.times) * len(columns.numbers)
    if cells > MOST_CELLS:
        raise DataError(
            f"{len(columns.times):,} periods × {len(columns.numbers)} columns of numbers are {cells:,} cells a unit, more than "
            f"the {MOST_CELLS:,} whose products are kept: aggregate the periods, keep fewer with `where`, or leave out covariates"
        )
    return columns


def _types(schema: Any, declared: Declaration) -> list[str]:
    numeric = {"outcome": declared.outcome, "treatment": declared.treatment} | {f"covariate {c}": c for c in declared.covariates}
    problems = [
        f"{role.split()[0]} column '{name}' holds {schema[name]}, not numbers: convert it when the files are written"
        for role, name in numeric.items()
        if name is not None and not (schema[name].is_numeric() or schema[name] == nw.Boolean)
    ]
    if schema[declared.unit].is_temporal():
        problems.append(f"unit column '{declared.unit}' holds dates: are `unit` and `time` swapped?")
    return problems


def _distinct(table: nw.LazyFrame[Any], name: str, role: str, most: int) -> tuple[Labels | None, list[str]]:
    """Sorted labels of a column, missing ones left out, or why there are too many."""
    # grouped, not `unique`, which some engines are asked for with a window
    known = table.select(name).filter(~nw.col(name).is_null()).group_by(name).agg(nw.len())
    found = known.head(most + 1).collect("pyarrow")
    if len(found) > most:
        hint = "are `unit` and `time` swapped?" if role == "time" else "a group is a treatment that several units share"
        return None, [f"{role} column '{name}' has more than {most:,} values ({some(found[name].to_list())}): {hint}"]
    if not len(found):
        return None, [f"{role} column '{name}' holds no value in any row"]
    return labels(found[name], role)


def _groups(table: nw.LazyFrame[Any], declared: Declaration) -> tuple[np.ndarray, list[str]]:
    """Labels of the groups of treated rows, or of all rows of treated units where first treated times are declared."""
    if declared.group is None:
        return np.zeros(0, int), []
    marks = declared.treatment or str(declared.cohort)
    on = table.filter(nw.col(marks) == 1 if declared.treatment else ~nw.col(marks).is_null())
    found, problems = _distinct(on, declared.group, "group", MOST_GROUPS)
    return (np.zeros(0, int) if found is None else found.values), problems


def _cohorts(table: nw.LazyFrame[Any], declared: Declaration, time: Labels | None) -> tuple[np.ndarray, list[str]]:
    """Labels of first treated times; 0, infinite and missing are never."""
    if declared.cohort is None or time is None:
        return np.zeros(0, int), []
    found, problems = _distinct(table, declared.cohort, "cohort", 2 * MOST_CELLS)
    if found is None:
        return np.zeros(0, int), problems
    values = found.values
    if found.kind in "if":
        values = values[np.isfinite(values) & (values != 0)]
        if (values < 0).any() and time.values[0] >= 0:
            problems.append(f"cohort column '{found.name}' is negative in some rows: never treated is 0, infinite or missing")
    problems += validate.same_type(Labels(found.name, values, found.codes), time, "cohort")
    return values, problems
