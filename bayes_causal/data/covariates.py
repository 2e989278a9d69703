"""Covariates of a panel: named columns, and the columns of a formula."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np

from bayes_causal.data import validate
from bayes_causal.data.columns import numbers, rows
from bayes_causal.errors import needs_extra


def named_covariates(data: nw.DataFrame[Any], names: tuple[str, ...], needed: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Columns of numbers, complete wherever they are needed.

    Returns
    -------
    values : (row, covariate) float64 array
        Only of the columns without problems.
    problems : list of str
    """
    columns, problems = [], []
    for name in dict.fromkeys(names):
        values, found = numbers(data[name], "covariate")
        if values is not None:
            found += validate.finite(values, name, "covariate")
            found += validate.complete(values, needed, name, "covariate") + validate.varies(values, needed, name)
            columns.append(values)
        problems += found
    return np.stack(columns, axis=1) if columns else np.empty((len(data), 0)), problems


def formula_variables(terms: str) -> tuple[list[str], list[str]]:
    """Columns that a formula's right-hand side needs, and what is wrong with the formula."""
    formula, problems = _parse(terms)
    return (sorted(str(v) for v in formula.required_variables) if formula is not None else []), problems


def formula_covariates(data: nw.DataFrame[Any], terms: str, needed: np.ndarray) -> tuple[list[str], np.ndarray, list[str]]:
    """Columns of a formula's model matrix, without its intercept.

    Returns
    -------
    names : list of str
    values : (row, covariate) float64 array
        NaN in the rows without an outcome, which the formula does not see.
    problems : list of str
    """
    formula, problems = _parse(terms)
    if formula is None:
        return [], np.empty((len(data), 0)), problems
    frame = data.select(sorted(formula.required_variables)).to_pandas().loc[needed]
    absent = frame.isna().any(axis=1).to_numpy()
    if absent.any():
        bad = np.zeros(len(data), bool)
        bad[np.flatnonzero(needed)[absent]] = True
        return (
            [],
            np.empty((len(data), 0)),
            [f"terms '{terms}' need columns that are missing in {rows(bad)} that have an outcome"],
        )
    try:
        matrix = formula.get_model_matrix(frame)
    except Exception as error:
        return [], np.empty((len(data), 0)), [f"terms '{terms}' cannot be computed: {error}"]
    names = [name for name in matrix.columns if name != "Intercept"]
    values = np.full((len(data), len(names)), np.nan)
    values[needed] = matrix[names].to_numpy(float)
    for k, name in enumerate(names):
        problems += validate.finite(values[:, k], name, "term") + validate.varies(values[:, k], needed, name)
    return names, values, problems


def _parse(terms: str) -> tuple[Any, list[str]]:
    try:
        from formulaic import Formula
        from formulaic.errors import FormulaicError
    except ImportError:
        raise needs_extra("baselines", "formulaic") from None
    try:
        formula = Formula(terms)
    except FormulaicError as error:
        return None, [f"terms '{terms}' is not a formula: {str(error).splitlines()[0]}"]
    if hasattr(formula, "lhs"):
        return None, [f"terms '{terms}' has two sides: write the right-hand side only, the outcome is declared apart"]
    return formula, []
