"""Months, quarters and years that days belong to."""

from __future__ import annotations

from typing import Any

import numpy as np

MONTHS = {"D": 1, "M": 1, "Q": 3, "A": 12}


def floor(days: Any, frequency: str) -> np.ndarray:
    """(N,) first days of the periods that hold (N,) days; those of months where observations are daily."""
    month = np.asarray(days, "datetime64[M]").astype(np.int64)
    return (month - month % MONTHS[frequency]).astype("datetime64[M]").astype("datetime64[ns]")


def ends(first_days: Any, frequency: str) -> np.ndarray:
    """(N,) last days of the periods that begin on (N,) days."""
    after = np.asarray(first_days, "datetime64[M]") + np.timedelta64(MONTHS[frequency], "M")
    return np.asarray(after.astype("datetime64[D]") - np.timedelta64(1, "D"), "datetime64[ns]")
