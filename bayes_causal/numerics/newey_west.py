"""Standard errors of averages over time whose terms are correlated (Newey and West 1987, doi:10.2307/1913610)."""

from __future__ import annotations

import numpy as np


def automatic_lags(rows: int, horizon: int = 0) -> int:
    """Lags of the kernel: 4 (n/100)^(2/9), rounded down (Newey and West 1994, doi:10.2307/2297912), the horizon at least.

    Outcomes that reach `horizon` rows ahead overlap that far.
    """
    return min(max(int(4 * (rows / 100) ** (2 / 9)), horizon), max(rows - 1, 0))


def long_run_covariance(moments: np.ndarray, lags: int) -> np.ndarray:
    """(K, K) Bartlett-weighted sum of autocovariances of (N, K) moments about zero, over N."""
    n = moments.shape[0]
    total = moments.T @ moments
    for lag in range(1, lags + 1):
        across = moments[lag:].T @ moments[:-lag]
        total += (1 - lag / (lags + 1)) * (across + across.T)
    return np.asarray(total / n)


def ratio_of_means(numerator: np.ndarray, denominator: np.ndarray, lags: int) -> tuple[float, float]:
    """Ratio of the means of two (N,) series, and its standard error with N / (N − 1) degrees of freedom.

    The ratio θ solves Σ (a_t − θ b_t) = 0, so that its variance is that of the moment's mean over the squared mean of b. With
    residuals a = ỹ t̃ and b = t̃² it is the effect of residuals on residuals; with b = 1 it is a mean.
    """
    n = numerator.size
    value = numerator.mean() / denominator.mean()
    moment = (numerator - value * denominator)[:, None]
    variance = long_run_covariance(moment, lags)[0, 0] / (n - 1)
    return float(value), float(np.sqrt(variance) / abs(denominator.mean()))
