"""Dates that the likelihood of a regime model counts, and what they hang on. Loads no jax."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Rows(NamedTuple):
    """T dates with an outcome that the likelihood counts, and what they hang on, as arrays of any library.

    Parameters
    ----------
    y : (T, A) outcomes
    lags : (T, L, A) outcomes one, two, … dates before
    x : (T, S) shocks
    c : (T, C) controls
    """

    y: Any
    lags: Any
    x: Any
    c: Any


def rows_of(outcomes: np.ndarray, shocks: np.ndarray, controls: np.ndarray, order: int) -> Rows:
    """Rows from (N, A) outcomes, (N, S) shocks and (N, C) controls: the first `order` dates are only hung on."""
    return Rows(outcomes[order:], lags_of(outcomes, order), shocks[order:], controls[order:])


def lags_of(outcomes: np.ndarray, order: int) -> np.ndarray:
    """(N − L, L, A) outcomes one, two, … dates before each date after the first L."""
    dates = outcomes.shape[0] - order
    lags = [outcomes[order - lag : order - lag + dates] for lag in range(1, order + 1)]
    return np.stack(lags, 1) if lags else np.zeros((dates, 0, outcomes.shape[1]))
