"""Callaway and Sant'Anna (2021), doi:10.1016/j.jeconom.2020.12.001: effects of each cohort in each period, then averaged.

Only clean comparisons: a cohort's change since just before its start against units without treatment. Standard errors
come from influence functions (also of the estimated cohort shares), summed within clusters, as in the R package did
without its bootstrap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bayes_causal.baselines.cohorts import Cohorts, cohorts, why_not
from bayes_causal.baselines.group_time import GroupTime, group_time
from bayes_causal.errors import EstimandError, closest
from bayes_causal.estimates import Estimand, Estimate, from_normal, not_applicable

if TYPE_CHECKING:
    import xarray as xr

    from bayes_causal.data.panel import Panel

CONTROLS = ("never_treated", "not_yet_treated")
BASES = ("varying", "universal")
AGGREGATES = ("simple", "dynamic", "group", "calendar")
BY = ("event_time", "cohort", "time")


def callaway_santanna(
    panel: Panel,
    *,
    by: Literal["event_time", "cohort", "time"] | None = None,
    level: float = 0.9,
    control_group: Literal["never_treated", "not_yet_treated"] = "never_treated",
    base_period: Literal["varying", "universal"] = "varying",
    aggregate: Literal["simple", "dynamic", "group", "calendar"] = "simple",
    balance: int | None = None,
    covariates: bool = True,
    cluster: Literal["unit", "cluster"] | None = None,
    absorb: Literal["first_exposure"] | None = None,
) -> Estimate:
    """Callaway-Sant'Anna estimate.

    Parameters
    ----------
    by : {"event_time", "cohort", "time"}, optional
        Averages by steps since the start, by cohort (over its treated periods), by period.
    control_group : {"never_treated", "not_yet_treated"}
    base_period : {"varying", "universal"}
        Reference of the pre-treatment effects.
    aggregate : {"simple", "dynamic", "group", "calendar"}
        The overall att: over all treated unit-periods (simple), or the plain mean over event times ≥ 0 or periods, or
        the mean over cohorts weighted by size.
    balance : int, optional
        Event times up to this one, over cohorts that are seen that long (did's ``balance_e``).
    covariates : bool
        Doubly robust on the panel's covariates, where it has any.
    cluster : {"unit", "cluster"}, optional
    absorb : {"first_exposure"}, optional
        Applies the method to reversible or overlapping treatments by cutting each unit at the first change of its
        treatment; the estimand is then the effect of the first exposure.

    Returns
    -------
    Estimate
        ``extra["pretrend"]``: Wald test that all pre-treatment ATT(g, t) are zero.

    Raises
    ------
    EstimandError
        An option that does not exist.
    """
    asked = Estimand("att", by=by)
    _refuse(by, control_group, base_period, aggregate)
    reason = why_not(panel, absorb)
    s = None if reason else cohorts(panel, absorb, cluster)
    reason = reason or _no_controls(s, control_group)
    if reason or s is None:
        return not_applicable(asked, "callaway_santanna", reason, level=level, unit=panel.outcome_name)
    gt = group_time(s, control_group=control_group, base_period=base_period, covariates=covariates and len(s.z) > 0)
    parts = averages(s, gt, by or aggregate, balance)
    df = s.extra["clusters"] - 1
    extra = s.extra | _facts(s, gt, control_group, base_period, covariates and len(s.z) > 0) | {"df": df, "aggregate": aggregate}
    if not parts.value.size:
        reason = "no cohort has both a treated period and a comparison"
        return not_applicable(asked, "callaway_santanna", reason, level=level, unit=panel.outcome_name)
    coords = {str(by): parts.labels} if by else {}
    value, influence = (parts.value, parts.influence) if by else (parts.overall, parts.overall_influence)
    se, unit = std_error(influence, s.cluster), panel.outcome_name
    return from_normal(value, se, asked, "callaway_santanna", coords=coords, level=level, df=df, unit=unit, extra=extra)


def att_gt(
    panel: Panel,
    *,
    control_group: Literal["never_treated", "not_yet_treated"] = "never_treated",
    base_period: Literal["varying", "universal"] = "varying",
    covariates: bool = True,
    cluster: Literal["unit", "cluster"] | None = None,
    absorb: Literal["first_exposure"] | None = None,
) -> xr.Dataset:
    """Every ATT(g, t), options as in `callaway_santanna`.

    Returns
    -------
    xarray.Dataset
        `value` and `std_error` (cohort, time) in units of the outcome, NaN where there is no comparison; attributes
        pretrend_wald, pretrend_df, pretrend_p_value.

    Raises
    ------
    EstimandError
        The method does not apply; the message says why.
    """
    import xarray as xr

    _refuse(None, control_group, base_period, "simple")
    reason = why_not(panel, absorb)
    if reason:
        raise EstimandError(f"Callaway-Sant'Anna does not apply: {reason}")
    s = cohorts(panel, absorb, cluster)
    gt = group_time(s, control_group=control_group, base_period=base_period, covariates=covariates and len(s.z) > 0)
    cells = {"value": gt.value, "std_error": std_error(gt.influence, s.cluster)}
    tables = {name: np.full((len(s.starts), len(s.labels)), np.nan) for name in cells}
    row = np.searchsorted(s.starts, gt.g)
    for name, values in cells.items():
        tables[name][row[gt.known], gt.t[gt.known]] = values[gt.known]
    coords = {"cohort": s.labels[s.starts], "time": s.labels}
    attrs = {f"pretrend_{k}": v for k, v in (_pretrend(s, gt) or {}).items()}
    return xr.Dataset({k: (("cohort", "time"), v) for k, v in tables.items()}, coords=coords, attrs=attrs)


@dataclass(frozen=True, eq=False)
class Averages:
    """Averages of ATT(g, t): (K,) values with (U, K) influence, and one overall."""

    labels: np.ndarray
    value: np.ndarray
    influence: np.ndarray
    overall: float
    overall_influence: np.ndarray


def averages(s: Cohorts, gt: GroupTime, kind: str, balance: int | None = None) -> Averages:
    """Average ATT(g, t) as `kind` says: an aggregate or a `by`."""
    keep = gt.known.copy()
    if balance is not None:
        long = s.period[-1] - s.period[gt.g] >= balance
        keep &= long & (gt.event <= balance) & (gt.event >= balance - s.period[-1] + s.period[0])
    post = keep & (gt.event >= 0)
    if kind == "simple":
        one, own = _weighted(gt, post)
        return Averages(np.empty(0), np.atleast_1d(one), own[:, None], one, own)
    table: dict[str, tuple[np.ndarray, np.ndarray, Callable[[Any], Any]]] = {
        "dynamic": (gt.event, keep, lambda v: v),
        "group": (gt.g, post, lambda v: s.labels[v]),
        "calendar": (gt.t, post, lambda v: s.labels[v]),
    }
    kind = {"event_time": "dynamic", "cohort": "group", "time": "calendar"}.get(kind, kind)
    key, use, label = table[kind]
    keys = np.unique(key[use])
    found = [_weighted(gt, use & (key == k), even=kind == "group") for k in keys]
    value, influence = np.array([v for v, _ in found]), np.array([i for _, i in found]).T.reshape(len(s.start), len(keys))
    return Averages(label(keys), value, influence, *_overall(gt, kind, keys, value, influence))


def _overall(gt: GroupTime, kind: str, keys: np.ndarray, value: np.ndarray, influence: np.ndarray) -> tuple[float, np.ndarray]:
    if not keys.size:
        return np.nan, np.zeros(gt.influence.shape[0])
    if kind == "group":
        first = np.array([np.flatnonzero(gt.g == k)[0] for k in keys])
        cohort = GroupTime(keys, keys, keys, value, influence, gt.share[first], gt.share_influence[:, first])
        return _weighted(cohort, np.ones(len(keys), bool))
    use = keys >= 0 if kind == "dynamic" else np.ones(len(keys), bool)
    return float(value[use].mean()), influence[:, use].mean(1)


def _weighted(gt: GroupTime, use: np.ndarray, even: bool = False) -> tuple[float, np.ndarray]:
    """Average of the pairs in `use` by cohort share (or evenly), with the influence of the estimated shares."""
    if not use.any():
        return np.nan, np.zeros(gt.influence.shape[0])
    if even:
        return float(gt.value[use].mean()), gt.influence[:, use].mean(1)
    share = gt.share[use] / gt.share[use].sum()
    value = float(share @ gt.value[use])
    from_shares = gt.share_influence[:, use] @ (gt.value[use] - value) / gt.share[use].sum()
    return value, gt.influence[:, use] @ share + from_shares


def std_error(influence: np.ndarray, cluster: np.ndarray) -> np.ndarray:
    """Root of the summed squares of influence (U[, K]) within clusters."""
    order = np.argsort(cluster, kind="stable")
    first = np.unique(cluster[order], return_index=True)[1]
    summed = np.add.reduceat(influence[order], first, axis=0)
    return np.sqrt(np.sum(summed**2, axis=0))


def _pretrend(s: Cohorts, gt: GroupTime) -> dict[str, Any] | None:
    """Wald test that the pre-treatment effects are all zero, chi-square."""
    from scipy.stats import chi2

    pre = gt.known & (gt.event < 0) & (np.abs(gt.influence).max(0) > 0)
    if not pre.any():
        return None
    order = np.argsort(s.cluster, kind="stable")
    first = np.unique(s.cluster[order], return_index=True)[1]
    summed = np.add.reduceat(gt.influence[order][:, pre], first, axis=0)
    rank = int(np.linalg.matrix_rank(summed))
    if rank < pre.sum():
        return {
            "wald": None,
            "df": rank,
            "p_value": None,
            "note": f"{pre.sum()} effects, but units tell only {rank} of them apart",
        }
    wald = float(gt.value[pre] @ np.linalg.solve(summed.T @ summed, gt.value[pre]))
    return {"wald": wald, "df": rank, "p_value": float(chi2.sf(wald, rank))}


def _facts(s: Cohorts, gt: GroupTime, control_group: str, base_period: str, covariates: bool) -> dict[str, Any]:
    return {
        "control_group": control_group,
        "base_period": base_period,
        "method": "doubly robust" if covariates else "means",
        "pairs": len(gt.value),
        "pairs_without_comparison": int((~gt.known).sum()),
        "units": int((s.start > 0).sum()),
        "missing_cells": int(np.isnan(s.y).sum()),
        "smallest_cohort": min(int((s.start == g).sum()) for g in s.starts),
        "pretrend": _pretrend(s, gt),
    }


def _no_controls(s: Cohorts | None, control_group: str) -> str:
    if s is None or s.never.any():
        return ""
    if control_group == "never_treated":
        return "there are no never-treated units; control_group='not_yet_treated' compares with units that start later"
    return "" if len(s.starts) > 1 else "all units start in the same period: there is nothing to compare with"


def _refuse(by: str | None, control_group: str, base_period: str, aggregate: str) -> None:
    for value, valid, what in (
        (by, BY, "by"),
        (control_group, CONTROLS, "control_group"),
        (base_period, BASES, "base_period"),
        (aggregate, AGGREGATES, "aggregate"),
    ):
        if value is not None and value not in valid:
            raise EstimandError(f"callaway_santanna: {what} '{value}' does not exist{closest(value, valid)}")
