"""The rows of a declared table: every column read once, every problem with them collected."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import narwhals as nw
import numpy as np

from bayes_causal.data import covariates, identifiers, validate
from bayes_causal.data.columns import Labels, collect, labels, missing_columns, numbers, open_table
from bayes_causal.data.declare import Declaration
from bayes_causal.errors import DataError


@dataclass(eq=False)
class Rows:
    """Columns read so far, one entry a row of the table, and the problems found so far."""

    data: nw.DataFrame[Any]
    declared: Declaration
    problems: list[str]
    labels: dict[str, Labels] = field(default_factory=dict)
    numbers: dict[str, np.ndarray] = field(default_factory=dict)
    covariate_names: list[str] = field(default_factory=list)
    covariates: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    predictors: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.data)

    def refuse(self) -> None:
        """Raise every problem found so far, if there are any."""
        if self.problems:
            raise DataError(self.problems)


def read_rows(frame: Any, declared: Declaration) -> Rows:
    """The declared columns of a table, checked.

    Raises
    ------
    DataError
        Everything wrong with the declaration, the columns and the rows, in one message.
    """
    unnamed = declared.name_problems()
    if unnamed:
        raise DataError(unnamed)
    table = open_table(frame)
    columns = table.collect_schema().names()
    variables, problems = covariates.formula_variables(declared.terms) if declared.terms else ([], [])
    problems = [*declared.problems(), *_missing(declared, variables, columns), *problems]
    named = (*declared.roles.values(), *declared.covariates, *declared.predictors, *variables)
    wanted = [c for c in dict.fromkeys(named) if c is not None and c in columns]
    if not wanted:
        raise DataError(problems)
    read = Rows(collect(table, wanted), declared, problems)
    if len(read) == 0:
        raise DataError([*problems, "the table has no rows"])
    for role, name in declared.roles.items():
        if name is not None and name in columns:
            _read_role(read, role, name)
    _read_covariates(read)
    _read_predictors(read)
    _check_columns(read)
    if {"unit", "time"} <= set(read.labels):
        _check_identifiers(read)
    read.refuse()
    return read


def _missing(declared: Declaration, variables: list[str], columns: list[str]) -> list[str]:
    return [
        *missing_columns(declared.roles, columns),
        *(p for c in declared.covariates for p in missing_columns({"covariate": c}, columns)),
        *(p for c in declared.predictors for p in missing_columns({"predictor": c}, columns)),
        *(p for v in variables for p in missing_columns({"part of the terms": v}, columns)),
    ]


def _read_role(read: Rows, role: str, name: str) -> None:
    column = read.data[name]
    dated = role == "cohort" and "time" in read.labels and read.labels["time"].kind == "M"
    if role in ("unit", "time", "arms", "group", "cluster") or dated:
        labelled, found = labels(column, role)
        if labelled is not None:
            read.labels[role] = labelled
    else:
        values, found = numbers(column, role)
        if values is not None:
            read.numbers[role] = values
    read.problems += found


def _read_covariates(read: Rows) -> None:
    declared = read.declared
    needed = ~np.isnan(read.numbers["outcome"]) if "outcome" in read.numbers else np.zeros(len(read), bool)
    names = [c for c in dict.fromkeys(declared.covariates) if c in read.data.columns]
    values, found = covariates.named_covariates(read.data, tuple(names), needed)
    read.problems += found
    if declared.terms and not read.problems:
        more, columns, found = covariates.formula_covariates(read.data, declared.terms, needed)
        read.problems += found
        names += more
        values = np.concatenate([values, columns], axis=1)
    read.covariate_names, read.covariates = names, values


def _read_predictors(read: Rows) -> None:
    """Columns of numbers with gaps: a predictor is an average over the periods in which it was measured."""
    for name in dict.fromkeys(read.declared.predictors):
        if name not in read.data.columns:
            continue
        values, found = numbers(read.data[name], "predictor")
        if values is not None:
            found += validate.finite(values, name, "predictor")
            found += [] if np.isfinite(values).any() else [f"predictor column '{name}' is missing in every row"]
            read.predictors[name] = values
        read.problems += found


def _check_columns(read: Rows) -> None:
    found, values, roles = read.problems, read.numbers, read.declared.roles
    for role in ("unit", "time", "cluster"):
        if role in read.labels:
            found += validate.no_nulls(read.labels[role], role)
    if "time" in read.labels:
        found += validate.time_type(read.labels["time"])
        if "cohort" in read.labels:
            found += validate.same_type(read.labels["cohort"], read.labels["time"], "cohort")
    for role in ("treatment", "post"):
        if role in values:
            found += validate.binary(values[role], str(roles[role]), role)
    for role in ("outcome", "weights"):
        if role in values:
            found += validate.finite(values[role], str(roles[role]), role)
    if "weights" in values and "outcome" in values:
        needed = ~np.isnan(values["outcome"])
        found += validate.complete(values["weights"], needed, str(roles["weights"]), "weights")
        found += validate.positive(values["weights"], needed, str(roles["weights"]))


def _check_identifiers(read: Rows) -> None:
    unit, time, group = read.labels["unit"], read.labels["time"], read.labels.get("group")
    if (unit.codes < 0).any() or (time.codes < 0).any():
        return
    suspicious = identifiers.swapped(unit, time, group) + identifiers.followed(unit, time)
    read.problems += suspicious
    if "cluster" in read.labels:
        read.problems += identifiers.constant_in_unit(read.labels["cluster"], unit, "cluster")
    if suspicious:
        return
    if not read.declared.campaign_rows:
        read.problems += identifiers.unique_cells(unit, time, group)
    elif group is not None:
        read.problems += identifiers.unique_campaign_rows(unit, time, group)
        for name, values in _repeated_columns(read).items():
            read.problems += identifiers.agreeing_rows(unit, time, values, name)


def _repeated_columns(read: Rows) -> dict[str, np.ndarray]:
    """Columns that repeat a value of a unit and time on each of its campaign rows."""
    roles = read.declared.roles
    columns = {str(roles[r]): read.numbers[r] for r in ("outcome", "weights") if r in read.numbers}
    if read.covariates.shape[1] != len(read.covariate_names):
        return columns
    return columns | {name: read.covariates[:, k] for k, name in enumerate(read.covariate_names)}
