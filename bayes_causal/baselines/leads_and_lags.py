"""Event study by two-way fixed effects: leads and lags of every spell, the period before onset as reference.

    y_it = α_i + γ_t + x_it'β + Σ_{e ≠ −1} τ_e Σ_g 1[e_itg = e] + ε_it

Overlapping and reversible treatments are allowed: columns add up over groups, lags run only while treated. With cohorts
whose effects differ, τ_e mixes effects of other event times (Sun and Abraham 2021, doi:10.1016/j.jeconom.2020.09.006).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bayes_causal.baselines.regression import Regression, RegressionFailed, regress
from bayes_causal.errors import EstimandError, closest
from bayes_causal.estimates import Estimand, Estimate, from_normal, not_applicable

if TYPE_CHECKING:
    from bayes_causal.data.panel import Panel

REFERENCE = -1


def event_study(
    panel: Panel,
    *,
    by: Literal["event_time"] | None = None,
    level: float = 0.9,
    window: Sequence[int] | None = None,
    cluster: Literal["unit", "cluster"] | None = None,
    vcov: Literal["CR1", "CR3", "HC1"] | None = None,
    k_fixef: Literal["nonnested", "full", "none"] = "nonnested",
) -> Estimate:
    """Dynamic two-way fixed effects estimate.

    Parameters
    ----------
    by : {"event_time"}, optional
        One value an event time, in steps of the panel; the reference −1 is zero by construction and not listed. Without
        it the att: the average of the lags over treated cells, with its delta-method standard error.
    window : [lead, lag], optional
        Event times −lead … lag get their own coefficient, those beyond share one at each end (labelled −lead − 1 and
        lag + 1, named in ``extra["bins"]``). Default: every event time.
    cluster, vcov, k_fixef
        As in `twfe`.

    Returns
    -------
    Estimate
        ``extra["pretrend"]`` holds the joint Wald test of the leads: F, df, p_value.

    Raises
    ------
    EstimandError
        A `by` or a window that does not exist.
    MissingExtraError
        pyfixest is not installed.
    """
    asked = Estimand("att", by=by)
    if by not in (None, "event_time"):
        raise EstimandError(f"event_study answers overall and by event_time, not by '{by}'{closest(str(by), ['event_time'])}")
    if not (panel.treated & panel.observed).any():
        return not_applicable(asked, "event_study", "no observed cell is treated", level=level, unit=panel.outcome_name)
    try:
        labels, cells, fit = _fitted(panel, None if window is None else tuple(window), cluster, vcov, k_fixef)
    except RegressionFailed as failed:
        return not_applicable(asked, "event_study", str(failed), level=level, unit=panel.outcome_name)
    fit.extra["coefficients"] = fit.coefficients(level)
    extra = fit.extra | {"reference": REFERENCE, "pretrend": pretrend(labels, fit)} | _bins(labels, window)
    shared: dict[str, Any] = {"level": level, "df": fit.df, "unit": panel.outcome_name, "extra": extra}
    if by == "event_time":
        return from_normal(fit.beta, fit.std_error, asked, "event_study", coords={"event_time": labels}, **shared)
    share = np.where(labels >= 0, cells, 0.0) / (panel.treated & panel.observed).sum()
    return from_normal(*fit.combination(share), asked, "event_study", **shared)


@lru_cache(maxsize=1)
def _fitted(
    panel: Panel, window: tuple[int, ...] | None, cluster: str | None, vcov: str | None, k_fixef: str
) -> tuple[np.ndarray, np.ndarray, Regression]:
    """Event times, their cells, and the regression, which the overall answer and the one by event time share."""
    labels, columns = event_columns(panel, window)
    fit = regress(panel, columns, [f"event_time {e}" for e in labels], cluster=cluster, vcov=vcov, k_fixef=k_fixef)
    _identified_or_fail(panel, labels, fit)
    return labels, columns.sum((1, 2)), fit


def event_columns(panel: Panel, window: Sequence[int] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Design columns of an event study.

    Returns
    -------
    labels : (K,) int64 event times without the reference, sorted
    columns : (K, U, T) float64
        Number of groups whose spell is at that event time in the cell.
    """
    event = panel.event_time
    known = ~np.isnan(event) & panel.observed[:, :, None]
    lead, lag = _window(window)
    binned = np.clip(event[known], -lead - 1, lag + 1).astype(np.int64)
    labels = np.unique(binned)
    cell = np.broadcast_to(np.arange(panel.observed.size).reshape(*panel.observed.shape, 1), event.shape)[known]
    flat = np.searchsorted(labels, binned) * panel.observed.size + cell
    columns = np.bincount(flat, minlength=labels.size * panel.observed.size).reshape(labels.size, *panel.observed.shape)
    keep = labels != REFERENCE
    return labels[keep], columns[keep].astype(float)


def pretrend(labels: np.ndarray, fit: Regression) -> dict[str, Any] | None:
    """Joint Wald test that all leads are zero; None without leads."""
    from scipy.stats import f

    leads = (labels < REFERENCE) & np.isfinite(fit.beta) & np.isfinite(fit.vcov.diagonal())
    if not leads.any():
        return None
    b, v = fit.beta[leads], fit.vcov[np.ix_(leads, leads)]
    rank = int(min(np.linalg.matrix_rank(v, hermitian=True), fit.df))
    statistic = float(b @ np.linalg.pinv(v, hermitian=True) @ b) / rank if rank else np.nan
    full = rank == leads.sum()
    return {
        "F": statistic if full else None,
        "df": [rank, float(fit.df)],
        "leads": int(leads.sum()),
        "p_value": float(f.sf(statistic, rank, fit.df)) if full else None,
        "note": "" if full else "more leads than the clusters can test jointly: give a window",
    }


def _window(window: Sequence[int] | None) -> tuple[int, int]:
    if window is None:
        return 10**9, 10**9
    values = list(window)
    if len(values) != 2 or any(int(v) != v for v in values) or values[1] < 0:
        raise EstimandError(f"window {values} is not [lead, lag]: two whole numbers of periods, as [4, 8]")
    return max(abs(int(values[0])), 1), int(values[1])


def _bins(labels: np.ndarray, window: Sequence[int] | None) -> dict[str, Any]:
    if window is None:
        return {}
    lead, lag = _window(window)
    names = {-lead - 1: f"{-lead - 1} and earlier", lag + 1: f"{lag + 1} and later"}
    return {"bins": {str(e): name for e, name in names.items() if e in labels}}


def _identified_or_fail(panel: Panel, labels: np.ndarray, fit: Regression) -> None:
    """Raise where leads and lags are only known up to a line, or a lag is not known at all."""
    lost = np.isnan(fit.beta)
    if lost.any() and panel.ever_treated.all():
        raise RegressionFailed(
            "without never-treated units leads and lags are identified only up to a straight line; "
            "give a window, as [4, 8], so that the ends share one coefficient each"
        )
    if (lost & (labels >= 0)).any():
        shown = ", ".join(str(e) for e in labels[lost & (labels >= 0)][:8])
        raise RegressionFailed(
            f"the effect at event times {shown} cannot be told from the fixed effects and the other event times; "
            "give a shorter window"
        )
