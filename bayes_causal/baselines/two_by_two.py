"""One two-by-two comparison a group, with a gate: which groups have all four cells, and why the others have not.

Each unit is collapsed to its mean before and its mean during the group's treatment (Bertrand, Duflo and Mullainathan 2004,
doi:10.1162/003355304772839588); the change of treated units is set against that of controls, with Welch's standard error.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bayes_causal.baselines.within import cluster_codes
from bayes_causal.errors import EstimandError, closest
from bayes_causal.estimates import Estimand, Estimate, from_normal, not_applicable

if TYPE_CHECKING:
    from bayes_causal.data.panel import Panel

CONTROLS = ("never", "not_in_window")


@dataclass(frozen=True, eq=False)
class Comparison:
    """The two-by-two comparison of one group, or of the units of a group that start together.

    Attributes
    ----------
    value : float
        Change of treated units minus change of controls; NaN where a cell is empty.
    influence : (U,) array
        Each unit's contribution; its squares add up to the variance (before the small-sample factor).
    own : (U,) array
        Of treated units, their own change minus the mean change of controls; `share` (U,) is their weight in the value.
    variance, df : float
        Welch's variance and degrees of freedom.
    cells : int
        Treated cells used.
    facts : dict
        Row of the validity table.
    """

    value: float
    influence: np.ndarray
    own: np.ndarray
    share: np.ndarray
    variance: float
    df: float
    cells: int
    facts: dict[str, Any] = field(default_factory=dict)


def did_2x2(
    panel: Panel,
    *,
    by: Literal["group", "arm"] | None = None,
    level: float = 0.9,
    control: Literal["never", "not_in_window"] = "never",
    pre_periods: int | None = None,
    cluster: Literal["unit", "cluster"] | None = None,
) -> Estimate:
    """Two-by-two difference-in-differences of each group, and their average over treated cells.

    Parameters
    ----------
    by : {"group", "arm"}, optional
        What the panel calls its groups. One value a group, None for groups that fail the gate.
    control : {"never", "not_in_window"}
        Units never treated by anything, or units without treatment from the first pre-period to the group's end.
    pre_periods : int, optional
        Periods before the group's start that count as "before"; default all.
    cluster : {"unit", "cluster"}, optional
        Default: the panel's cluster column where it has one, else the unit, with Welch's degrees of freedom.

    Returns
    -------
    Estimate
        ``extra["groups"]``: the validity table, one row a group: valid, reason, units and cells of each of the four
        cells, share of treated cells that another group treats too.

    Raises
    ------
    EstimandError
        A `by`, `control` or `pre_periods` that does not exist.
    """
    asked = Estimand("att", by=by)
    _refuse(panel, by, control, pre_periods)
    name, codes = cluster_codes(panel, cluster)
    found = [_compare(panel, j, control, pre_periods) for j in range(panel.dataset.sizes["group"])]
    found = [_clustered(c, codes) if name == "cluster" else c for c in found]
    extra: dict[str, Any] = {"control": control, "cluster_by": name, "groups": [c.facts for c in found]}
    valid = [c for c in found if c.facts["valid"]]
    extra |= {"valid_groups": len(valid), "invalid_groups": len(found) - len(valid)}
    if not valid:
        reason = f"no group has all four cells: {found[0].facts['group']}: {found[0].facts['reason']}"
        return not_applicable(asked, "did_2x2", reason, level=level, unit=panel.outcome_name)
    if by:
        return _by_group(panel, asked, found, level, extra)
    cells = np.array([c.cells for c in valid], float)
    share = cells / cells.sum()
    combined = np.stack([c.influence for c in valid], 1) @ share
    summed = np.bincount(codes, combined)
    n = int(np.count_nonzero(summed))
    variance = n / (n - 1) * summed @ summed if n > 1 and np.isfinite([c.variance for c in valid]).all() else np.nan
    extra |= {"clusters": n, "df": n - 1, "treated_cells": int(cells.sum())}
    if not np.isfinite(variance):
        alone = ", ".join(c.facts["group"] for c in valid if not np.isfinite(c.variance))
        extra["reason"] = f"no standard error, with one unit on a side in group {alone}" if alone else "no standard error"
    value = float(share @ [c.value for c in valid])
    return from_normal(value, np.sqrt(variance), asked, "did_2x2", level=level, df=n - 1, unit=panel.outcome_name, extra=extra)


def _by_group(panel: Panel, asked: Estimand, found: list[Comparison], level: float, extra: dict[str, Any]) -> Estimate:
    from scipy.stats import t

    value, se, df = (np.array(x, float) for x in zip(*((c.value, np.sqrt(c.variance), c.df) for c in found), strict=True))
    q = t.ppf((1 + level) / 2, df)
    ends: dict[str, Any] = {"lower": value - q * se, "upper": value + q * se, "p_value": 2 * t.sf(np.abs(value / se), df)}
    coords = {str(asked.by): panel.dataset["group"].values}
    return from_normal(value, se, asked, "did_2x2", coords=coords, level=level, unit=panel.outcome_name, extra=extra, **ends)


def _compare(panel: Panel, j: int, control: str, pre_periods: int | None) -> Comparison:
    """The comparison of group number j: one a start where its units start at different times, averaged over treated cells."""
    active = panel.dataset["treatment"].values[:, :, j] & panel.observed
    label = str(panel.dataset["group"].values[j])
    if not active.any():
        return _empty(panel, {"group": label}, "no observed cell of the group is treated")
    ever = panel.dataset["treatment"].values[:, :, j]
    start = np.where(active.any(1), ever.argmax(1), -1)
    parts = [_one_start(panel, active, start == at, control, pre_periods) for at in np.unique(start[start >= 0])]
    facts: dict[str, Any] = {"group": label} | {k: _fact(parts, k) for k in parts[0].facts if k not in ("valid", "reason")}
    facts["overlap_share"] = float((panel.dataset["treatment"].values.sum(-1)[active] > 1).mean())
    valid = [c for c in parts if c.facts["valid"]]
    if not valid:
        return _empty(panel, facts, parts[0].facts["reason"])
    left_out = len(parts) - len(valid)
    reasons = [c.facts["reason"] for c in valid if c.facts["reason"] and len(valid) == 1]
    reasons += [f"{left_out} of {len(parts)} starts left out: {_first_reason(parts)}"] if left_out else []
    return _combine(valid, facts | {"starts": len(parts), "valid": True, "reason": "; ".join(dict.fromkeys(reasons))})


def _first_reason(parts: list[Comparison]) -> str:
    return str(next(c.facts["reason"] for c in parts if not c.facts["valid"]))


def _combine(parts: list[Comparison], facts: dict[str, Any]) -> Comparison:
    """The average of comparisons over treated cells; a single one keeps Welch's variance and degrees of freedom.

    With several, treated units deviate from the common average, so that starts with one unit have a variance too.
    """
    cells = np.array([c.cells for c in parts])
    weight = cells / cells.sum()
    value = float(weight @ [c.value for c in parts])
    if len(parts) == 1:
        return replace(parts[0], facts=facts)
    own, share = (np.stack([getattr(c, name) for c in parts], 1) for name in ("own", "share"))
    controls = np.stack([np.where(c.share > 0, 0.0, c.influence) for c in parts], 1) @ weight
    influence = (share * (own - value)) @ weight + controls
    n, enough = np.count_nonzero(influence), (share > 0).any(1).sum() > 1 and np.count_nonzero(controls) > 1
    variance = float(n / (n - 1) * influence @ influence) if enough else np.nan
    return Comparison(value, influence, own.sum(1), share @ weight, variance, n - 1.0, int(cells.sum()), facts)


def _fact(parts: list[Comparison], key: str) -> Any:
    """One entry of a group's row: first start, last period, the same controls, the sum of everything else."""
    values = [c.facts[key] for c in parts]
    if key in ("first", "last"):
        return values[0] if key == "first" else values[-1]
    return max(values) if key.startswith("control") else sum(values)


def _one_start(panel: Panel, active: np.ndarray, units: np.ndarray, control: str, pre_periods: int | None) -> Comparison:
    """Units of a group that start together, against controls over the same periods."""
    observed, treated = panel.observed, panel.treated & panel.observed
    own = active & units[:, None]
    when = np.flatnonzero(own.any(0))
    position = np.arange(observed.shape[1])
    before = (position < when[0]) & (position >= when[0] - (pre_periods or len(position)))
    during = (position >= when[0]) & (position <= when[-1])
    clean = ~panel.ever_treated if control == "never" else ~treated[:, before | during].any(1)
    controls = clean & ~active.any(1)
    pre = observed & before & ~treated & (units | controls)[:, None]
    post = own | (observed & during & controls[:, None])
    labels = panel.dataset["time"].values
    facts: dict[str, Any] = {"first": _label(labels[when[0]]), "last": _label(labels[when[-1]])}
    for who, side in (("treated", units), ("control", controls)):
        for name, used in (("pre", pre), ("post", post)):
            facts[f"{who}_{name}_cells"] = int(used[side].sum())
            facts[f"{who}_{name}_units"] = int(used[side].any(1).sum())
    return _welch(panel, pre, post, units, facts)


def _welch(panel: Panel, pre: np.ndarray, post: np.ndarray, in_group: np.ndarray, facts: dict[str, Any]) -> Comparison:
    usable = pre.any(1) & post.any(1)
    sides = (usable & in_group, usable & ~in_group)
    facts |= {"treated_units": int(sides[0].sum()), "control_units": int(sides[1].sum())}
    empty = [name.removesuffix("_cells").replace("_", " ") for name in facts if name.endswith("_cells") and facts[name] == 0]
    if empty or not all(s.any() for s in sides):
        reason = "empty: " + ", ".join(empty) if empty else "no unit of one side is seen both before and during the treatment"
        return _empty(panel, facts, reason)
    change = _mean(panel, post) - _mean(panel, pre)
    influence, value, parts = np.zeros(len(change)), 0.0, []
    for sign, side in zip((1, -1), sides, strict=True):
        n, mean = side.sum(), change[side].mean()
        influence[side] = sign * (change[side] - mean) / n
        value += sign * mean
        parts.append((np.sum(influence[side] ** 2) * n / (n - 1), n - 1) if n > 1 else (np.nan, 0))
    variance = float(sum(v for v, _ in parts))
    below = sum(v**2 / n for v, n in parts if n)
    reason = "" if np.isfinite(variance) else "one unit on a side: a value, but no standard error"
    df = variance**2 / below if below else np.nan
    own = np.where(sides[0], change - change[sides[1]].mean(), 0.0)
    facts |= {"valid": True, "reason": reason}
    return Comparison(float(value), influence, own, sides[0] / sides[0].sum(), variance, df, int(post[sides[0]].sum()), facts)


def _clustered(c: Comparison, codes: np.ndarray) -> Comparison:
    """The same comparison, its variance by cluster."""
    summed = np.bincount(codes, c.influence)
    n = np.count_nonzero(summed)
    variance = float(n / (n - 1) * summed @ summed) if n > 1 and np.isfinite(c.variance) else np.nan
    return replace(c, variance=variance, df=float(n - 1), facts=c.facts | {"clusters": int(n)})


def _mean(panel: Panel, used: np.ndarray) -> np.ndarray:
    """(U,) weighted mean outcome over the used cells, NaN where there are none."""
    w = np.where(used, panel.dataset["weight"].values, 0.0)
    total = np.where(used, panel.dataset["outcome"].values, 0.0) * w
    return np.divide(total.sum(1), w.sum(1), out=np.full(len(w), np.nan), where=w.sum(1) > 0)


def _empty(panel: Panel, facts: dict[str, Any], reason: str) -> Comparison:
    none = np.zeros(panel.observed.shape[0])
    return Comparison(np.nan, none, none, none, np.nan, np.nan, 0, facts | {"valid": False, "reason": reason})


def _label(value: Any) -> str:
    return str(value)[:10] if isinstance(value, np.datetime64) else str(value)


def _refuse(panel: Panel, by: str | None, control: str, pre_periods: int | None) -> None:
    if by not in (None, panel.grouping):
        raise EstimandError(f"did_2x2 answers overall and by {panel.grouping}, not by '{by}'{closest(str(by), [panel.grouping])}")
    if control not in CONTROLS:
        raise EstimandError(f"control '{control}' does not exist{closest(control, CONTROLS)}")
    if pre_periods is not None and pre_periods < 1:
        raise EstimandError(f"pre_periods is {pre_periods}: at least one period before the start is needed")
