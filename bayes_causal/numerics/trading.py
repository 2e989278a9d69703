"""What forecasts of returns are worth after the costs of acting on them. NumPy alone.

A position is decided on the date before, from what was known then, and held over the date of its return.
"""

from __future__ import annotations

import numpy as np

from bayes_causal.numerics.newey_west import automatic_lags, ratio_of_means


def position(mean: np.ndarray, sd: np.ndarray, *, aversion: float = 5.0, limit: float = 1.0) -> np.ndarray:
    """(T,) shares of wealth of an investor with mean-variance preferences: mean / (aversion × variance), within ± `limit`.

    Parameters
    ----------
    mean, sd : (T,) arrays
        Of forecasts of each date's return made before it, in fractions (0.01 is one percent).
    """
    return np.asarray(np.clip(mean / (aversion * sd**2), -limit, limit))


def net_returns(held: np.ndarray, returns: np.ndarray, cost: float) -> tuple[np.ndarray, np.ndarray]:
    """(T,) returns after costs of positions held (T,), and their turnover (T,); the first position is bought from nothing.

    Parameters
    ----------
    held : (T,) shares of wealth, each decided before the date
    returns : (T,) fractions
    cost : float
        Of trading one unit of wealth, as a fraction (0.001 is ten basis points).
    """
    turnover = np.abs(np.diff(held, prepend=0.0))
    return np.asarray(held * returns - cost * turnover), turnover


def worth(held: np.ndarray, returns: np.ndarray, cost: float, *, periods: float = 12) -> dict[str, float]:
    """Whether acting on forecasts paid, with errors that know dates are correlated.

    Parameters
    ----------
    periods : float
        Dates a year.

    Returns
    -------
    dict
        gross and net, mean returns a year; error of net (Newey-West), t its ratio; sharpe, of net returns a year; turnover a
        year; break_even, the cost at which nothing is left (infinite where nothing is traded, negative where gross returns are).
    """
    net, turnover = net_returns(held, returns, cost)
    gross = held * returns
    mean, error = ratio_of_means(net, np.ones_like(net), automatic_lags(net.size))
    spread, traded = float(net.std(ddof=1)), float(turnover.mean())
    return {
        "gross": periods * float(gross.mean()),
        "net": periods * mean,
        "error": periods * error,
        "t": mean / error if error > 0 else 0.0,
        "sharpe": float(np.sqrt(periods)) * mean / spread if spread > 0 else 0.0,
        "turnover": periods * traded,
        "break_even": float(gross.mean()) / traded if traded > 0 else float("inf"),
    }
