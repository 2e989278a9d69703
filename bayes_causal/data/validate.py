"""What a panel must be: small pure functions, each returning the problems it found as sentences."""

from __future__ import annotations

import numpy as np

from bayes_causal.data.calendar import looks_like_dates
from bayes_causal.data.columns import WORDS, Labels, rows, show, some

SHARED = ({"unit", "group"}, {"cohort", "group"})
UNTREATED = ("0", "none", "control", "untreated")


def no_nulls(column: Labels, role: str) -> list[str]:
    """Labels must not be missing."""
    absent = column.codes < 0
    if not absent.any():
        return []
    return [f"{role} column '{column.name}' is missing in {rows(absent)}: every row needs one; drop or repair these rows"]


def no_nulls_where(column: Labels, needed: np.ndarray, role: str, where: str) -> list[str]:
    """Labels must not be missing in some of the rows."""
    absent = (column.codes < 0) & needed
    return [f"{role} column '{column.name}' is missing in {rows(absent)}: {where} needs one"] if absent.any() else []


def time_type(time: Labels) -> list[str]:
    """Times must be numbers or dates, and dates must not be written as numbers across a year's end."""
    if time.kind == "U":
        return [
            f"time column '{time.name}' holds text ({some(time.values)}), which sorts by letters: make it numbers, or dates with "
            f"pandas.to_datetime(df['{time.name}'])"
        ]
    form = looks_like_dates(time.values)
    if form is None:
        return []
    return [
        f"time column '{time.name}' holds dates written as numbers ({some(time.values)}), so a year's end would count as many "
        f"periods: convert it with pandas.to_datetime(df['{time.name}'].astype(str), format='{form}')"
    ]


def finite(values: np.ndarray, name: str, role: str) -> list[str]:
    """Numbers must not be infinite."""
    bad = np.isinf(values)
    if not bad.any():
        return []
    hint = " (a logarithm of zero?)" if (values[bad] < 0).all() else ""
    return [f"{role} column '{name}' is infinite in {rows(bad)}{hint}"]


def complete(values: np.ndarray, needed: np.ndarray, name: str, role: str) -> list[str]:
    """Numbers must be there wherever there is an outcome."""
    bad = np.isnan(values) & needed
    if not bad.any():
        return []
    return [
        f"{role} column '{name}' is missing in {rows(bad)} that have an outcome: fill it deliberately, or leave these rows out"
    ]


def binary(values: np.ndarray, name: str, role: str) -> list[str]:
    """A treatment must be 0 or 1, and known."""
    problems = []
    absent = np.isnan(values)
    if absent.any():
        problems.append(f"{role} column '{name}' is missing in {rows(absent)}: it must be 0 or 1 in every row")
    known = values[~absent]
    other = np.setdiff1d(known, [0.0, 1.0])
    if other.size:
        bad = ~absent & (values != 0) & (values != 1)
        hint = "; a column of first treated times is declared as `cohort`" if (other > 1).all() and other.size > 1 else ""
        problems.append(f"{role} column '{name}' must be 0 or 1, and {rows(bad)} hold {some(other)}{hint}")
    return problems


def under_an_arm(column: Labels) -> tuple[np.ndarray, list[str]]:
    """(N,) bool: rows of an arms column under an arm; and a problem unless exactly one value means untreated.

    Missing and empty text count as one value.
    """
    if column.kind == "M":
        return np.zeros(len(column.codes), bool), [
            f"arms column '{column.name}' holds dates: a column of first treated times is declared as `cohort`"
        ]
    text = np.array([str(v).strip().lower() for v in column.values] + [""])
    zero = column.values == 0 if column.kind in "if" else np.isin(text[:-1], UNTREATED)
    absent, named = text[column.codes] == "", np.flatnonzero(zero)
    found = [f"{show(column.values[k])} in {rows(column.codes == k)}" for k in named]
    found += [f"missing in {rows(absent)}"] if absent.any() else []
    if len(found) == 1:
        return ~absent & ~np.isin(column.codes, named), []
    what = "; ".join(found) if found else f"none, but {some(column.values)}"
    return np.zeros(len(column.codes), bool), [
        f"arms column '{column.name}' must have exactly one value that means untreated (missing, {', '.join(UNTREATED)}), and "
        f"has {what}: write all untreated rows in one way, and leave out rows whose arm is unknown"
    ]


def positive(values: np.ndarray, needed: np.ndarray, name: str) -> list[str]:
    """Precision weights must be above zero."""
    bad = needed & (values <= 0)
    if not bad.any():
        return []
    return [f"weights column '{name}' must be above 0, and {rows(bad)} hold {some(values[bad])}: leave these rows out instead"]


def varies(values: np.ndarray, needed: np.ndarray, name: str) -> list[str]:
    """A covariate must not be one constant."""
    used = values[needed & np.isfinite(values)]
    if used.size and (used == used[0]).all():
        return [f"covariate column '{name}' is {used[0]:g} in every row, so it explains nothing: leave it out"]
    return []


def distinct_roles(roles: dict[str, str | None], covariates: tuple[str, ...]) -> list[str]:
    """No column may play two parts that exclude each other."""
    problems = []
    named = [(role, name) for role, name in roles.items() if name is not None]
    for k, (role, name) in enumerate(named):
        for other, same in named[k + 1 :]:
            if name == same and "cluster" not in (role, other) and {role, other} not in SHARED:
                problems.append(f"column '{name}' is declared both as {role} and as {other}")
    for name in dict.fromkeys(covariates):
        taken = [role for role, other in named if other == name and role not in ("cluster", "weights", "group")]
        if taken:
            problems.append(f"covariate '{name}' is also the {taken[0]} column: leave it out of `covariates`")
        if covariates.count(name) > 1:
            problems.append(f"covariate '{name}' is listed {covariates.count(name)} times")
    return problems


def same_type(column: Labels, time: Labels, role: str) -> list[str]:
    """Times named elsewhere must be of the type of the time column."""
    numeric = {"i", "f"}
    if not len(column.values) or column.kind == time.kind or {column.kind, time.kind} <= numeric:
        return []
    return [
        f"{role} '{column.name}' holds {WORDS[column.kind]} and time column '{time.name}' holds {WORDS[time.kind]}: they must "
        "be of one type"
    ]


def cells(
    outcome: np.ndarray,
    treatment: np.ndarray,
    units: np.ndarray,
    times: np.ndarray,
    copies: np.ndarray | None = None,
    spread: np.ndarray | None = None,
) -> list[str]:
    """What any comparison needs: outcomes everywhere, treated and untreated cells, and a period before.

    Parameters
    ----------
    outcome : (unit, time) array
    treatment : (unit, time, group) bool array
    units, times : label arrays
    copies : (unit,) array, optional
        How many units each one stands for, where `outcome` is their mean.
    spread : (unit, time, V, time, V) array, optional
        What these differ by, the outcome last among V.
    """
    observed = np.isfinite(outcome)
    many = np.ones(len(units), np.int64) if copies is None else copies
    problems = []
    silent = ~observed.any(1)
    if silent.any():
        first = f" (first: {some(units[silent])})" if copies is None else ""
        problems.append(f"{many[silent].sum():,} units have no outcome at all{first}: leave them out")
    silent = ~observed.any(0)
    if silent.any():
        problems.append(f"{silent.sum():,} periods have no outcome at all (first: {some(times[silent])}): leave them out")
    treated = np.asarray(treatment.any(axis=-1))
    if not (treated & observed).any():
        return [*problems, "no observed cell is treated: the treatment never switches on where there is an outcome"]
    untreated = outcome[~treated & observed]
    count = int(many @ (~treated & observed).sum(1))
    if count < 2:
        return [
            *problems,
            f"{count} observed cells are untreated: nothing to compare with; is the treatment column an 'ever treated' flag?",
        ]
    alike = spread is None or not np.einsum("ptt->pt", spread[:, :, -1, :, -1])[~treated & observed].any()
    if (untreated == untreated[0]).all() and alike:
        problems.append(f"the outcome is {untreated[0]:g} in every untreated cell: it has no scale to measure an effect on")
    ever = np.asarray(treated.any(axis=1))
    before = ~np.maximum.accumulate(treated, axis=1) & observed & ever[:, None]
    if not before.any():
        problems.append(
            f"there is no pre-period: none of the {many[ever].sum():,} treated units has an outcome before its first "
            "treated period; a treatment "
            "column must be 0 before the start and 1 from then on (an 'ever treated' flag is not enough)"
        )
    return problems
