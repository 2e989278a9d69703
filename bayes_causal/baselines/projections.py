"""Local projections: the outcome some dates later regressed on the shock and on what was known when it came.

Jordà (2005), doi:10.1257/0002828053828518; with states, Auerbach and Gorodnichenko (2012), doi:10.1257/pol.4.2.1, and Ramey and
Zubairy (2018), doi:10.1086/696277: the state is that of the date before the shock, which the shock cannot have moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bayes_causal.baselines.lagged_rows import LaggedRows, lagged_rows
from bayes_causal.baselines.series_effects import Asked, Effect, Names, Pair, over_pairs, picked
from bayes_causal.baselines.state_space import require_statsmodels
from bayes_causal.errors import EstimandError
from bayes_causal.numerics.newey_west import automatic_lags

if TYPE_CHECKING:
    from bayes_causal.data.multi_series import MultiSeries
    from bayes_causal.estimates import Estimate


def local_projection(
    data: MultiSeries,
    *,
    by: Literal["horizon", "regime"] | None = None,
    level: float = 0.9,
    series: Names = None,
    shock: Names = None,
    lags: int = 3,
    horizon: int = 0,
    horizons: int = 12,
    cumulative: bool = False,
    regime: str | None = None,
    hac_lags: int | None = None,
) -> Estimate:
    """Response of an outcome to a unit of a shock, one regression a horizon (statsmodels' least squares, Newey-West errors).

    Parameters
    ----------
    by : {"horizon", "regime"}, optional
        "horizon": 0 to `horizons`; "regime": the two values of the control named by `regime`.
    series, shock : str or sequence of str, optional
        Which ones the answer is about; all if left out.
    lags : int
        Of outcome, shocks and controls.
    horizon : int
        Dates from shock to outcome, but for an answer by horizon.
    cumulative : bool
        The outcome summed from the shock's date to the horizon.
    regime : str, optional
        A control of 0 and 1. Its value on the date before the shock splits every coefficient in two; an overall answer or one by
        horizon is then the average over the dates of the sample.
    hac_lags : int, optional
        Of the Newey-West kernel; left out, the automatic choice, the horizon at least.

    Returns
    -------
    Estimate
        Dims (series, shock[, by]): units of the outcome per unit of the shock. ``extra["each"]``, by pair: df, nobs, hac_lags (of
        the farthest horizon), lags, r_squared, redundant_columns (left out, as others say the same), with regimes their dates, or
        the reason why there is no value.

    Raises
    ------
    EstimandError
        No shock, names that do not exist, a regime that is not 0 and 1, too few dates, a shock that the rest determines.
    MissingExtraError
        statsmodels is not installed.
    """
    require_statsmodels()
    state = None if regime is None else _indicator(data, regime)
    if by == "regime" and state is None:
        raise EstimandError("by regime, local_projection needs a `regime` that was observed: name a control of 0 and 1")

    def effect(pair: Pair) -> Effect:
        """The effect of one shock on one series, of every horizon or regime asked for."""
        ahead = range(horizons + 1) if by == "horizon" else [horizon]
        made = [
            lagged_rows(pair.outcome, pair.shock, pair.others, pair.controls, lags=lags, horizon=h, cumulative=cumulative)
            for h in ahead
        ]
        if by == "regime":
            return _projected(made[0], state, hac_lags, apart=True)
        found = [_projected(rows, state, hac_lags) for rows in made]
        values, errors = ([getattr(e, k) for e in found] for k in ("value", "std_error"))
        if by != "horizon":
            return found[0]
        return Effect(values, errors, min(e.df for e in found), list(ahead), found[-1].extra)

    asked = Asked(by, level, series, shock, horizon, cumulative)
    return over_pairs(data, "local_projection", effect, asked, ("horizon", "regime"))


def _projected(rows: LaggedRows, state: np.ndarray | None, hac_lags: int | None, *, apart: bool = False) -> Effect:
    """One regression: the coefficient of the shock, of both states (`apart`), or their average over the sample."""
    import statsmodels.api as sm

    constant = np.ones((rows.shock.size, 1))
    design = np.column_stack([rows.shock, constant, rows.known])
    before, weights = None, np.eye(1)
    if state is not None:
        if rows.lags < 1:
            raise EstimandError("the state before the shock is a lag: local projections by state need lags of at least 1")
        before = state[rows.dates - 1][:, None]
        design = np.column_stack([rows.shock[:, None] * (1 - before), rows.shock[:, None] * before])
        rest = np.column_stack([constant, rows.known])
        design = np.column_stack([design, rest * (1 - before), rest * before])
        share = before.mean()
        weights = np.eye(2) if apart else np.array([[1 - share, share]])
    shocks = weights.shape[1]
    kept = _independent(design, shocks)
    used = automatic_lags(rows.shock.size, rows.horizon) if hac_lags is None else hac_lags
    options = {"maxlags": used, "use_correction": True}
    result = sm.OLS(rows.outcome, design[:, kept]).fit(cov_type="HAC", cov_kwds=options, use_t=True)
    value = weights @ result.params[:shocks]
    error = np.sqrt(np.diag(weights @ result.cov_params()[:shocks, :shocks] @ weights.T))
    extra: dict[str, Any] = {
        "df": float(result.df_resid),
        "nobs": int(result.nobs),
        "hac_lags": used,
        "lags": rows.lags,
        "redundant_columns": design.shape[1] - kept.size,
        "r_squared": float(result.rsquared),
    }
    if before is not None:
        extra["dates"] = {"0": int((before == 0).sum()), "1": int((before == 1).sum())}
    if apart:
        return Effect(value, error, extra["df"], [0, 1], extra)
    return Effect(float(value[0]), float(error[0]), extra["df"], extra=extra)


def _independent(design: np.ndarray, shocks: int) -> np.ndarray:
    """Positions of columns that say something of their own: all of the shocks', and of the rest (a lag of a state, split by that
    lag, is a constant) as many as it takes.

    Raises
    ------
    EstimandError
        What is known leaves no movement of the shock, or no degree of freedom.
    """
    from scipy.linalg import qr

    n = design.shape[0]
    scaled = design / np.maximum(np.abs(design).max(0), np.finfo(float).tiny)
    triangle, order = qr(scaled[:, shocks:], mode="r", pivoting=True)
    size = np.abs(np.diag(triangle))
    rest = order[: int((size > size[0] * n * np.finfo(float).eps).sum())]
    kept = np.concatenate([np.arange(shocks), shocks + np.sort(rest)])
    if np.linalg.matrix_rank(scaled[:, kept]) < kept.size:
        raise EstimandError("lags, controls and other shocks determine the shock: no movement is left whose effect could be seen")
    if kept.size >= n:
        raise EstimandError(f"{n} rows are too few for {kept.size} coefficients: fewer lags or a nearer horizon")
    return kept


def _indicator(data: MultiSeries, regime: str) -> np.ndarray:
    """(T,) the control of 0 and 1."""
    (name,) = picked(data.control_names, regime, "control", "local_projection")
    values = data.controls[:, data.control_names.index(name)]
    found: Sequence[Any] = np.unique(values).tolist()
    if found != [0.0, 1.0]:
        shown = ", ".join(f"{v:g}" for v in found[:4]) + (", …" if len(found) > 4 else "")
        raise EstimandError(f"the regime '{name}' must hold 0 and 1, and holds {shown}")
    return values
