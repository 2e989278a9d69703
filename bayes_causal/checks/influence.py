"""Does the answer hang on a few? The headline without each group, cohort or treated unit in turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr

from bayes_causal.checks.base import Check
from bayes_causal.errors import IdentificationError, StudyError, closest
from bayes_causal.estimates import Estimand, from_draws
from bayes_causal.inference.many import draw_many
from bayes_causal.models.base import Describes, Model
from bayes_causal.models.kinds import LeavesOut

DRAWS = 200
SEED = 19_770_201


@dataclass(frozen=True, eq=False)
class LeftOut:
    """P sets of units to leave out in turn.

    Parameters
    ----------
    what : group, arm, cohort or unit
    labels, members, shares : P labels, (P, U) units, (P,) shares of the treated cells, largest first
    possible : number of sets there are
    needed : labels of sets without which no effect is identified
    """

    what: str
    labels: list[str]
    members: np.ndarray
    shares: np.ndarray
    possible: int
    needed: list[str]


def leave_one_out(
    model: Model,
    tree: xr.DataTree,
    *,
    by: Literal["group", "arm", "cohort", "unit"] | None = None,
    most: int = 30,
    level: float = 0.9,
) -> Check:
    """The att without the units of each group; without groups, of each cohort; with one cohort, without each treated unit.

    The `most` with most treated cells are left out in turn. The posterior without them is exact given noise and pooling scales,
    which keep their posterior of the whole sample: Cook's deletion (1977, doi:10.1080/00401706.1977.10489493) at given scales.

    Fails where an att leaves the interval of the whole by more than chance would take it if effects were alike: the sd of that
    change is the root of the difference of the posterior variances (Hausman 1978, doi:10.2307/1913827), times a normal quantile
    for as many comparisons as there are.

    Raises
    ------
    StudyError
        A `by` that does not exist, or a `most` below one.
    """
    if not isinstance(model, LeavesOut):
        return Check("leave_one_out", None, "info", "Does not apply: the model has no form from which units can be left out.")
    if model.cannot_leave_out:
        return Check("leave_one_out", None, "info", f"Does not apply: {model.cannot_leave_out}.")
    left = left_out(model, by, most)
    if not left.labels:
        text = f"Does not apply: without {left.what} {', '.join(left.needed[:5])} no effect would be identified."
        return Check("leave_one_out", None, "warning", text)
    answer = from_draws(model.effect(tree["posterior"].to_dataset(), Estimand()), Estimand(), "whole", level=level)
    value, low, high = (float(v) for v in (answer.value, answer.lower, answer.upper))
    draws = _atts(model, tree, left.members)
    change, sd = draws[1:].mean(1) - draws[0].mean(), draws[1:].std(1, ddof=1)
    without = value + change
    outside, far = leaning(change, sd, draws[0].std(ddof=1), (low - value, high - value), level)
    order = np.argsort(-np.abs(change), kind="stable")
    speaking = order[far[order]] if far.any() else order[outside[order]]
    numbers: dict[str, Any] = {
        "att": value,
        "lowest": float(without.min()),
        "highest": float(without.max()),
        "largest_change": float(change[order[0]]),
        "largest_change_in_sd": float(change[order[0]] / answer.std_error),
        "left_out": change.size,
        "possible": left.possible,
        "outside_interval": int(outside.sum()),
        "beyond_chance": int(far.sum()),
    }
    table = [
        {left.what: left.labels[j], "units": int(left.members[j].sum()), "share_of_treated_cells": float(left.shares[j])}
        | {"att_without": float(without[j]), "std_error": float(sd[j]), "change_in_sd": float(change[j] / answer.std_error)}
        for j in order
    ]
    passed = False if far.any() else None if outside.any() else True
    unit = f" {model.unit}" if isinstance(model, Describes) else ""
    interval = f"the {level:.0%} interval of the whole, {low:.3g} to {high:.3g}"
    text = f"{_found(passed, left, speaking, without, interval, unit)} {_range(left, without)}"
    return Check("leave_one_out", passed, "warning", text, numbers, table)


def left_out(model: LeavesOut, by: str | None, most: int) -> LeftOut:
    """The sets of units to leave out, largest first; those without which nothing is identified are named, not left out."""
    panel = model.panel.paths
    data, first, cells = panel.dataset, panel.first_period, (panel.treated & panel.observed).sum(1)
    cohorts = np.unique(first[panel.ever_treated])
    by = by or (panel.grouping if data.sizes["group"] > 1 else "cohort" if cohorts.size > 1 else "unit")
    if by not in (panel.grouping, "cohort", "unit"):
        raise StudyError(f"leave_one_out leaves out no '{by}' here{closest(by, [panel.grouping, 'cohort', 'unit'])}")
    if by == panel.grouping:
        what, labels = str(by), data["group"].values
        possible, members = labels.size, np.asarray(data["treatment"].values.any(1)).T
    elif by == "cohort":
        what, labels = "cohort", data["time"].values[np.searchsorted(data["period"].values, cohorts)]
        possible, members = labels.size, (first == cohorts[:, None]) & panel.ever_treated
    else:
        what, treated = "unit", np.flatnonzero(panel.ever_treated)
        largest = treated[np.argsort(-cells[treated], kind="stable")[:most]]
        labels, possible, members = data["unit"].values[largest], treated.size, np.arange(first.size) == largest[:, None]
    if most < 1:
        raise StudyError(f"leave_one_out needs at least one {what} to leave out, and `most` is {most}")
    size = members @ cells
    order = [int(j) for j in np.argsort(-size, kind="stable")[:most]]
    kept = [j for j in order if _identified(model, ~members[j])]
    needed = [_label(labels[j]) for j in order if j not in kept]
    return LeftOut(what, [_label(labels[j]) for j in kept], members[kept], size[kept] / cells.sum(), possible, needed)


def _label(value: Any) -> str:
    return str(value)[:10] if isinstance(value, np.datetime64) else str(value)


def _identified(model: LeavesOut, kept: np.ndarray) -> bool:
    """Whether the att is identified from some (U,) units alone."""
    panel = model.panel.paths
    treated, seen = panel.treated[kept], panel.observed[kept]
    if not (treated & seen).any():
        return False
    switches = (treated & seen).any(1) & (~treated & seen).any(1)
    if switches.any() and (seen.all(1) & ~treated.any(1)).any():
        return True
    try:
        model.variant(panel=panel.select(units=kept), effect="constant")
    except IdentificationError:
        return False
    return True


def _atts(model: LeavesOut, tree: xr.DataTree, members: np.ndarray) -> np.ndarray:
    """(P + 1, S) draws of the att: of the whole, then without each set; random numbers are shared."""
    form = model.collapsed(without=members)
    posterior = tree["posterior"].to_dataset().stack(sample=("chain", "draw"))
    at = np.unique(np.linspace(0, posterior.sizes["sample"] - 1, DRAWS).round().astype(int))
    sites = draw_many(form, model.probits(form, posterior.isel(sample=at)), seed=SEED)
    return model.att_without(sites, np.vstack([np.zeros_like(members[:1]), members]))


def leaning(
    change: np.ndarray, sd: np.ndarray, whole: float, interval: tuple[float, float], level: float
) -> tuple[np.ndarray, np.ndarray]:
    """The rule: which (P,) changes of the att leave its interval, and which of these do so by more than chance explains.

    Parameters
    ----------
    change, sd : (P,) changes of the att, and posterior sds without each set
    whole : posterior sd of the whole
    interval : ends of the interval of the whole, less its att
    """
    from scipy.special import ndtri

    outside = (change < interval[0]) | (change > interval[1])
    quantile = ndtri((1 + level ** (1 / change.size)) / 2)
    chance = quantile * np.sqrt(np.maximum(sd**2 - whole**2, 0.0))
    return outside, outside & (np.abs(change) > chance)


def _found(passed: bool | None, left: LeftOut, speaking: np.ndarray, without: np.ndarray, interval: str, unit: str) -> str:
    """What the rule says, of the first of those that speak, which come with the largest change first."""
    if passed:
        return f"No single {left.what} carries the answer: the att stays inside {interval}, whichever is left out."
    k = speaking[0]
    more = f"; the same holds of {', '.join(left.labels[j] for j in speaking[1:4])}" if speaking.size > 1 else ""
    more += ", …" if speaking.size > 4 else ""
    who = f"Without {_units(left, k)}, with {left.shares[k]:.0%} of the treated cells, the att is {without[k]:.3g}{unit}"
    if passed is None:
        return f"{who}. That is outside {interval}, yet no farther than chance may take it when so many cells go{more}."
    far = f"outside {interval}, and farther than chance would take it if effects were alike"
    return f"The answer leans on {left.what} {left.labels[k]}. {who}, {far}{more}."


def _range(left: LeftOut, without: np.ndarray) -> str:
    n, possible = len(left.labels), left.possible
    what = f"each of the {n} {left.what}s" if n == possible else f"{n} of {possible:,} {left.what}s"
    least, greatest = left.labels[int(without.argmin())], left.labels[int(without.argmax())]
    which = "" if n + len(left.needed) == possible else ", those with most treated cells,"
    needed = (
        f" {left.what.capitalize()} {', '.join(left.needed[:5])} cannot go: no effect would be identified." if left.needed else ""
    )
    return (
        f"With {what}{which} left out in turn, the att runs from {without.min():.3g} (without {least}) to {without.max():.3g} "
        f"(without {greatest}).{needed} Scales of noise and of pooling are held at what the whole sample says."
    )


def _units(left: LeftOut, k: int) -> str:
    return (
        f"{left.what} {left.labels[k]}"
        if left.what == "unit"
        else f"the {left.members[k].sum():,} units of {left.what} {left.labels[k]}"
    )
