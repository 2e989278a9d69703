"""Two-stage difference-in-differences (Gardner 2022, arXiv:2207.05943): unit and period effects from untreated cells only,
then the mean of what is left in treated cells.

Standard errors account for the first stage (Butts and Gardner 2022, doi:10.32614/RJ-2022-048), as the R package did2s.
pyfixest's version expands the fixed effects to dense dummies (several GB on a weekly household panel), so both stages are
solved here; tests hold it against pyfixest and the published numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bayes_causal.baselines.cohorts import Cohorts, cohorts, why_not
from bayes_causal.baselines.within import cluster_codes, scaled_pinv
from bayes_causal.errors import EstimandError, closest
from bayes_causal.estimates import Estimand, Estimate, from_normal, not_applicable

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from bayes_causal.data.panel import Panel

BY = ("event_time", "cohort", "time")
REFERENCE = -1


def did2s(
    panel: Panel,
    *,
    by: Literal["event_time", "cohort", "time"] | None = None,
    level: float = 0.9,
    fixed_effects: Literal["unit", "cluster"] = "unit",
    cluster: Literal["unit", "cluster"] | None = None,
    absorb: Literal["first_exposure"] | None = None,
) -> Estimate:
    """Two-stage estimate.

    Parameters
    ----------
    by : {"event_time", "cohort", "time"}, optional
        By event time leads are listed too (reference −1).
    fixed_effects : {"unit", "cluster"}
        Effects of the first stage beside the periods': of units, or of the panel's clusters (states, say).
    cluster : {"unit", "cluster"}, optional
    absorb : {"first_exposure"}, optional
        As in `callaway_santanna`.

    Returns
    -------
    Estimate
        ``extra["cells_without_counterfactual"]`` counts treated cells whose unit or period has no untreated cell.

    Raises
    ------
    EstimandError
        An option that does not exist.
    """
    asked = Estimand("att", by=by)
    _refuse(panel, by, fixed_effects)
    reason = why_not(panel, absorb)
    if reason:
        return not_applicable(asked, "did2s", reason, level=level, unit=panel.outcome_name)
    s = cohorts(panel, absorb, cluster)
    first = _first_stage(s, panel, fixed_effects)
    if not first.treated.any() or not first.connected:
        reason = "no treated cell has a counterfactual"
        reason = reason if first.connected else "untreated cells fall into blocks without a common period"
        return not_applicable(asked, "did2s", reason, level=level, unit=panel.outcome_name)
    labels, x = _columns(s, first, by)
    value, vcov = _second_stage(first, x)
    n = int(np.unique(first.cluster).size)
    lost = int(s.treated.sum() - first.treated.sum())
    extra = s.extra | {"df": n - 1, "nobs": len(first.y), "fixed_effects": fixed_effects, "cells_without_counterfactual": lost}
    se, coords = np.sqrt(vcov.diagonal()), {str(by): labels} if by else {}
    value, se = (value, se) if by else (value[0], se[0])
    return from_normal(value, se, asked, "did2s", coords=coords, level=level, df=n - 1, unit=panel.outcome_name, extra=extra)


@dataclass(frozen=True, eq=False)
class FirstStage:
    """Cells with an identified counterfactual, in rows, and the solver of the untreated regression.

    Attributes
    ----------
    y, w, treated, unit, period, cluster : (N,) arrays
    fixed : (N, F) sparse dummies of units (or clusters); rest : (N, Q) sparse dummies of periods, with covariates
    residual : (N,) outcome minus its predicted untreated value
    connected : bool
        Whether all fixed effects are determined up to one constant.
    """

    y: np.ndarray
    w: np.ndarray
    treated: np.ndarray
    unit: np.ndarray
    period: np.ndarray
    cluster: np.ndarray
    fixed: csr_array
    rest: csr_array
    residual: np.ndarray
    connected: bool

    def solve(self, right_fixed: np.ndarray, right_rest: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
        """Coefficients (F, M), (Q, M) of the untreated normal equations for right-hand sides, and the rank deficit."""
        w0 = self.w * ~self.treated
        weighted = self.rest.multiply(w0[:, None]).tocsr()
        sums = self.fixed.T @ weighted
        total = self.fixed.T @ w0
        per = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)
        normal = (weighted.T @ self.rest).toarray() - (sums.multiply(per[:, None]).T @ sums).toarray()
        inverse = scaled_pinv(normal)
        rest = inverse @ (right_rest - sums.T @ (per[:, None] * right_fixed))
        fixed = per[:, None] * (right_fixed - sums @ rest)
        return fixed, rest, normal.shape[0] - round(float(np.trace(inverse @ normal)))


@lru_cache(maxsize=1)
def _first_stage(s: Cohorts, panel: Panel, fixed_effects: str) -> FirstStage:
    from scipy.sparse import csr_array, hstack

    levels = cluster_codes(panel, fixed_effects)[1]
    seen = ~np.isnan(s.y) & (s.w > 0)
    untreated = seen & ~s.treated
    has_level = np.isin(levels, levels[untreated.any(1)])
    rows = seen & has_level[:, None] & untreated.any(0)[None, :]
    unit, period = np.nonzero(rows)
    n = np.arange(len(unit))
    level, t = (np.unique(v, return_inverse=True)[1] for v in (levels[unit], period))
    fixed = csr_array((np.ones(n.size), (n, level)), shape=(n.size, int(level.max(initial=0)) + 1))
    dummies = csr_array((np.ones(n.size), (n, t)), shape=(n.size, int(t.max(initial=0)) + 1))
    rest = hstack([dummies, csr_array(s.z[:, rows].T)], format="csr") if len(s.z) else dummies
    y, w, treated = s.y[rows], s.w[rows], s.treated[rows]
    draft = FirstStage(y, w, treated, unit, period, s.cluster[unit], fixed, rest, y, True)
    own = (w * ~treated * y)[:, None]
    a, b, deficit = draft.solve(fixed.T @ own, rest.T @ own)
    residual = y - (fixed @ a + rest @ b)[:, 0]
    return FirstStage(y, w, treated, unit, period, s.cluster[unit], fixed, rest, residual, deficit <= 1)


def _columns(s: Cohorts, first: FirstStage, by: str | None) -> tuple[np.ndarray, csr_array]:
    """Labels (K,) and the second stage's dummies (N, K)."""
    from scipy.sparse import csr_array

    start, event = s.start[first.unit], s.event[first.unit, first.period]
    key, use = {
        None: (np.zeros_like(start), first.treated),
        "event_time": (np.nan_to_num(event).astype(int), np.isfinite(event) & (event != REFERENCE)),
        "cohort": (start, first.treated),
        "time": (first.period, first.treated),
    }[by]
    keys, column = np.unique(key[use], return_inverse=True)
    x = csr_array((np.ones(column.size), (np.flatnonzero(use), column)), shape=(len(use), len(keys)))
    return (s.labels[keys] if by in ("cohort", "time") else keys), x


def _second_stage(first: FirstStage, x: csr_array) -> tuple[np.ndarray, np.ndarray]:
    """Weighted means (K,) of the first stage's residual, and their covariance (K, K), both stages together."""
    from scipy.sparse import csr_array

    weighted = x.multiply(first.w[:, None]).tocsr()
    total = weighted.sum(0)
    value = (weighted.T @ first.residual) / total
    last = first.residual - x @ value
    a, b, _ = first.solve((first.fixed.T @ weighted).toarray(), (first.rest.T @ weighted).toarray())
    codes, group = np.unique(first.cluster, return_inverse=True)
    n = np.arange(len(group))
    by_cluster = csr_array((first.w * ~first.treated * first.residual, (group, n)), shape=(len(codes), len(n)))
    own = csr_array((first.w * last, (group, n)), shape=(len(codes), len(n))) @ x
    scores = (own.toarray() - (by_cluster @ first.fixed) @ a - (by_cluster @ first.rest) @ b) / total
    return value, scores.T @ scores


def _refuse(panel: Panel, by: str | None, fixed_effects: str) -> None:
    valid: Any
    for value, valid, what in ((by, BY, "by"), (fixed_effects, ("unit", "cluster"), "fixed_effects")):
        if value is not None and value not in valid:
            raise EstimandError(f"did2s: {what} '{value}' does not exist{closest(value, valid)}")
    if fixed_effects == "cluster" and "cluster" not in panel.dataset:
        raise EstimandError("did2s: fixed_effects='cluster' needs clusters: build the panel with cluster='<column>'")
