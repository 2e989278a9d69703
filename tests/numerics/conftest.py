from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats


def _p_values(z: np.ndarray) -> tuple[float, float]:
    """p-values of the (S, q) rows of z having mean zero, and covariance I (likelihood ratio, Bartlett's correction)."""
    n, q = z.shape
    mean = z.mean(0)
    s = (z - mean).T @ (z - mean) / n
    ratio = (n - 1) * (np.trace(s) * n / (n - 1) - np.linalg.slogdet(s * n / (n - 1))[1] - q)
    ratio *= 1 - (2 * q + 1 - 2 / (q + 1)) / (6 * (n - 1))
    return float(stats.chi2.sf(n * mean @ mean, q)), float(stats.chi2.sf(ratio, q * (q + 1) / 2))


@pytest.fixture
def p_values() -> Callable[[np.ndarray], tuple[float, float]]:
    """p-values for whitened draws: of their mean being 0, of their covariance being I."""
    return _p_values
