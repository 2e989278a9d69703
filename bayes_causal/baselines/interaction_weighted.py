"""Sun and Abraham (2021), doi:10.1016/j.jeconom.2020.09.006: one effect a cohort and event time, averaged by cohort size.

    y_it = α_i + γ_t + x_it'β + Σ_g Σ_{e ≠ −1} δ_ge 1[i starts in g] 1[t − g = e] + ε_it

Controls are never-treated units. Balanced, without covariates, the δ_ge equal Callaway and Sant'Anna's with never-treated
controls. The regression is our own sparse one: dense columns of a weekly panel would not fit into memory.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from bayes_causal.baselines.cohorts import Cohorts, cohorts, why_not
from bayes_causal.baselines.saturated import SparseFit, sparse_two_way
from bayes_causal.errors import EstimandError, closest
from bayes_causal.estimates import Estimand, Estimate, from_normal, not_applicable

if TYPE_CHECKING:
    from bayes_causal.data.panel import Panel

BY = ("event_time", "cohort")


def sun_abraham(
    panel: Panel,
    *,
    by: Literal["event_time", "cohort"] | None = None,
    level: float = 0.9,
    cluster: Literal["unit", "cluster"] | None = None,
    absorb: Literal["first_exposure"] | None = None,
) -> Estimate:
    """Interaction-weighted estimate.

    Parameters
    ----------
    by : {"event_time", "cohort"}, optional
        Averages of δ_ge over cohorts or over event times ≥ 0, by observed cells; shares are taken as known.
    cluster : {"unit", "cluster"}, optional
    absorb : {"first_exposure"}, optional
        As in `callaway_santanna`.

    Raises
    ------
    EstimandError
        A `by` that does not exist.
    """
    asked = Estimand("att", by=by)
    if by is not None and by not in BY:
        raise EstimandError(f"sun_abraham answers overall, by event_time and by cohort, not by '{by}'{closest(by, BY)}")
    reason = why_not(panel, absorb)
    s = None if reason else cohorts(panel, absorb, cluster)
    if s is not None and not s.never.any():
        reason = "there are no never-treated units to compare with"
    if reason or s is None:
        return not_applicable(asked, "sun_abraham", reason, level=level, unit=panel.outcome_name)
    fit, start, event, cells = _saturated(s)
    known = np.isfinite(fit.beta)
    extra = s.extra | {"nobs": fit.nobs, "df": fit.clusters - 1}
    extra |= {"cohort_coefficients": len(fit.beta), "not_identified": int((~known).sum())}
    if not (known & (event >= 0)).any():
        reason = "no cohort-specific effect is identified"
        return not_applicable(asked, "sun_abraham", reason, level=level, unit=panel.outcome_name)
    labels, weights = _weights(s, by, start, event, np.where(known, cells, 0))
    value = weights @ np.where(known, fit.beta, 0.0)
    variance = np.einsum("kj,ji,ki->k", weights, np.where(np.isnan(fit.vcov), 0.0, fit.vcov), weights, optimize=True)
    se, coords = np.sqrt(np.maximum(variance, 0.0)), {str(by): labels} if by else {}
    value, se = (value, se) if by else (value[0], se[0])
    return from_normal(
        value, se, asked, "sun_abraham", coords=coords, level=level, df=fit.clusters - 1, unit=panel.outcome_name, extra=extra
    )


@lru_cache(maxsize=1)
def _saturated(s: Cohorts) -> tuple[SparseFit, np.ndarray, np.ndarray, np.ndarray]:
    """The regression, and of each coefficient: position of the cohort's start, event time, number of cells."""
    from scipy.sparse import csr_array

    rows = ~np.isnan(s.y) & (s.w > 0) & (s.start > 0)[:, None]
    unit, period = np.nonzero(rows)
    event = s.event[unit, period]
    own = np.isfinite(event) & (event != -1)
    key = np.stack([s.start[unit[own]], event[own].astype(int)])
    pairs, column, cells = np.unique(key, axis=1, return_inverse=True, return_counts=True)
    x = csr_array((np.ones(column.size), (np.flatnonzero(own), column.ravel())), shape=(len(unit), pairs.shape[1]))
    fit = sparse_two_way(x, s.y[rows], s.w[rows], s.z[:, rows].T, unit, period, s.cluster[unit])
    return fit, pairs[0], pairs[1], cells


def _weights(
    s: Cohorts, by: str | None, start: np.ndarray, event: np.ndarray, cells: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Labels (J,) and weights (J, K) that average coefficients by their cells."""
    post = event >= 0
    key, use = {None: (np.zeros_like(start), post), "event_time": (event, event != -1), "cohort": (start, post)}[by]
    keys = np.unique(key[use & (cells > 0)])
    weights = np.where((key == keys[:, None]) & use, cells, 0.0)
    labels = s.labels[keys] if by == "cohort" else keys
    return labels, weights / weights.sum(1, keepdims=True)
