"""Rows of a time series as learners take them: an outcome, a shock, and what was known when the shock came."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayes_causal.errors import EstimandError


@dataclass(frozen=True, eq=False)
class LaggedRows:
    """Dates with all their lags and an outcome at the horizon.

    Parameters
    ----------
    outcome : (N,) array
        At `horizon` dates after the row's own, or summed until then.
    shock : (N,) array
    known : (N, P) array
        Other shocks and controls of the date; lags of outcome, shocks and controls.
    names : tuple of str
        Of the P columns.
    dates : (N,) array of int
        Positions in the series.
    lags, horizon : int
    """

    outcome: np.ndarray
    shock: np.ndarray
    known: np.ndarray
    names: tuple[str, ...]
    dates: np.ndarray
    lags: int
    horizon: int

    @property
    def reach(self) -> int:
        """How many rows apart two rows must be to share nothing: the longest lag, or the horizon where that is longer."""
        return max(self.lags, self.horizon)


def lagged_rows(
    outcome: np.ndarray,
    shock: np.ndarray,
    others: np.ndarray | None = None,
    controls: np.ndarray | None = None,
    *,
    lags: int = 3,
    horizon: int = 0,
    cumulative: bool = False,
) -> LaggedRows:
    """Rows for the effect of a shock (T,) on an outcome (T,).

    Parameters
    ----------
    others : (T, S) array, optional
        Other shocks.
    controls : (T, C) array, optional
        Known when the shock comes.
    lags : int
        Of outcome, shocks and controls.
    horizon : int
        Dates from the shock to the outcome.
    cumulative : bool
        The outcome summed from the shock's date to the horizon.

    Raises
    ------
    EstimandError
        Negative lags or horizon, or fewer dates than columns.
    """
    if lags < 0 or horizon < 0:
        raise EstimandError(f"lags ({lags}) and horizon ({horizon}) must be whole numbers from 0 up")
    dates = np.arange(lags, outcome.size - horizon)
    blocks = {"outcome": outcome[:, None], "shock": shock[:, None]}
    blocks |= {k: v for k, v in (("other shock", others), ("control", controls)) if v is not None and v.shape[1]}
    columns, names = [], []
    for part, block in blocks.items():
        for k in range(block.shape[1]):
            label = part if part in ("outcome", "shock") else f"{part} {k}"
            first = 1 if part in ("outcome", "shock") else 0
            columns += [block[dates - lag, k] for lag in range(first, lags + 1)]
            names += [f"{label} lag {lag}" if lag else label for lag in range(first, lags + 1)]
    if dates.size < len(columns) + 10:
        raise EstimandError(
            f"{outcome.size} dates leave {max(dates.size, 0)} rows for {len(columns)} columns of lags, shocks and controls, at "
            f"least {len(columns) + 10} are needed: fewer lags, a nearer horizon or a longer series"
        )
    ahead = outcome[dates + horizon]
    if cumulative:
        ahead = np.sum([outcome[dates + h] for h in range(horizon + 1)], axis=0)
    known = np.column_stack(columns) if columns else np.empty((dates.size, 0))
    return LaggedRows(ahead, shock[dates], known, tuple(names), dates, lags, horizon)
