"""What two-way fixed effects average: Goodman-Bacon's comparisons, and the weight of every treated cell.

These answer no estimand; they say how far to trust `twfe`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.baselines.cohorts import cohorts, why_not
from bayes_causal.baselines.within import TwoWay, cells
from bayes_causal.errors import EstimandError, needs_extra

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from bayes_causal.data.panel import Panel


def twfe_weights(panel: Panel) -> xr.Dataset:
    """Weight of every treated cell in the two-way fixed effects coefficient, for any panel.

    With ε the residual of D = Σ_g D_itg on unit and period effects (and covariates), the coefficient is Σ ω_it τ_it over treated
    cells with ω_it = w_it ε_it D_it / Σ w ε D: effects with a negative ω count with the wrong sign. de Chaisemartin and
    D'Haultfœuille (2020), doi:10.1257/aer.20181169.

    Returns
    -------
    xarray.Dataset
        `weight` (unit, time), zero in untreated cells, adding up to one. Attributes: coefficient, treated_cells,
        negative_cells, negative_share (of treated cells), negative_weight (their sum), breakdown (smallest standard
        deviation of effects over cells at which all of them could average to zero), by_event_time (sum of weights).

    Raises
    ------
    EstimandError
        The treatment does not vary beside the fixed effects.
    """
    import xarray as xr

    c = cells(panel)
    active = np.where(panel.observed, panel.dataset["treatment"].values.sum(-1), 0).astype(float)
    project = TwoWay.of(c.w, c.z)
    residual, y = project.residualise(np.stack([active, c.y]))
    below = np.sum(c.w * residual * active)
    if below <= 1e-10 * max(np.sum(c.w * active**2), 1e-300):
        raise EstimandError("the treatment does not vary beside the unit and period effects: two-way fixed effects weigh nothing")
    weight = c.w * residual * active / below
    treated = active > 0
    own, beta = weight[treated], float(np.sum(c.w * residual * y) / below)
    table = xr.Dataset({"weight": (("unit", "time"), weight)}, coords={k: panel.dataset[k] for k in ("unit", "time")})
    spread = float(np.std(own * own.size))
    return table.assign_attrs(
        coefficient=beta,
        treated_cells=int(own.size),
        negative_cells=int((own < 0).sum()),
        negative_share=float((own < 0).mean()),
        negative_weight=float(own[own < 0].sum()),
        breakdown=abs(beta) / spread if spread > 0 else float("inf"),
        by_event_time=_by_event_time(panel, weight, active),
    )


def bacon(panel: Panel) -> pd.DataFrame:
    """Goodman-Bacon decomposition, by diff-diff: every two-by-two comparison inside two-way fixed effects.

    Goodman-Bacon (2021), doi:10.1016/j.jeconom.2021.03.014.

    Returns
    -------
    pandas.DataFrame
        One row a comparison: kind (treated_vs_never, earlier_vs_later, later_vs_earlier), treated, control (cohort
        labels, "never"), weight, estimate. Weights add up to one; weight · estimate adds up to the twfe coefficient.

    Raises
    ------
    EstimandError
        Not an absorbing, balanced, unweighted panel without covariates; the message says which.
    MissingExtraError
        diff-diff is not installed.
    """
    import pandas as pd

    reason = _why_no_bacon(panel)
    if reason:
        raise EstimandError(f"the Goodman-Bacon decomposition does not exist here: {reason}; `twfe_weights` exists for any panel")
    try:
        from diff_diff import BaconDecomposition
    except ImportError as error:
        raise needs_extra("baselines", "diff-diff") from error
    s = cohorts(panel, None, "unit")
    unit, time = np.indices(s.y.shape).reshape(2, -1)
    never = len(s.period)
    first = np.where(s.start == never, 0, s.start + 1)[unit]
    frame = pd.DataFrame({"unit": unit, "time": time + 1, "y": s.y.ravel(), "first": first})
    try:
        result = BaconDecomposition().fit(frame, outcome="y", unit="unit", time="time", first_treat="first")
    except (ValueError, np.linalg.LinAlgError) as error:
        raise EstimandError(f"diff-diff could not decompose the panel: {type(error).__name__}: {error}") from error
    return pd.DataFrame([_comparison(c, s.labels) for c in result.comparisons])


def bacon_summary(panel: Panel) -> dict[str, dict[str, float]]:
    """Total weight and mean estimate of each kind of comparison, and of the largest single one."""
    table = bacon(panel)
    kinds, weight, estimate = (table[c].to_numpy() for c in ("kind", "weight", "estimate"))
    rows = {str(k): kinds == k for k in np.unique(kinds.astype(str))} | {"largest": weight == weight.max()}
    return {
        k: {"weight": float(weight[r].sum()), "estimate": float(np.average(estimate[r], weights=weight[r]))}
        for k, r in rows.items()
    }


def _comparison(c: Any, labels: np.ndarray) -> dict[str, Any]:
    def name(group: Any) -> Any:
        return "never" if group == "never_treated" else labels[int(group) - 1]

    return {
        "kind": c.comparison_type.replace("never_treated", "never"),
        "treated": name(c.treated_group),
        "control": name(c.control_group),
        "weight": float(c.weight),
        "estimate": float(c.estimate),
    }


def _why_no_bacon(panel: Panel) -> str:
    reason = why_not(panel, None)
    if reason:
        return reason
    if not panel.balanced:
        return f"{panel.counts['missing_cells']} cells are missing"
    if "covariates" in panel.dataset:
        return "the panel has covariates"
    return "" if (panel.dataset["weight"].values == 1).all() else "the panel has weights"


def _by_event_time(panel: Panel, weight: np.ndarray, active: np.ndarray) -> dict[str, float]:
    """Sum of the weights at each event time; a cell's weight is split evenly over its active groups."""
    event = panel.event_time
    known = np.isfinite(event) & (event >= 0) & panel.observed[:, :, None]
    share = np.divide(weight, active, out=np.zeros_like(weight), where=active > 0)
    labels, column = np.unique(event[known].astype(int), return_inverse=True)
    sums = np.bincount(column, np.broadcast_to(share[:, :, None], event.shape)[known])
    return {str(label): float(v) for label, v in zip(labels, sums, strict=True)}
