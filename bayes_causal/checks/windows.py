"""Windows of the time before, each taken as if it had been the post-period: fitted once, asked at every duration.

The model is fitted to what lies before a window and asked for the average effect over its first H dates, where nothing was done.
The window's outcomes bring their own autocorrelation, drift and outliers; no noise is simulated. Adding a constant c to them adds
c to every draw of the effect and leaves the fit as it was, so that one fit a window serves every size and every duration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr

from bayes_causal.checks.placebo_dates import EARLIEST, unusable
from bayes_causal.checks.series_refit import masked, refit_many
from bayes_causal.data.time_series import TimeSeries
from bayes_causal.errors import DataError

APART = 4  # windows that must fit side by side, or a rate says nothing


@dataclass(frozen=True, eq=False)
class Windows:
    """What the model says of W windows in which nothing was done, over their first dates, for each of D durations.

    Parameters
    ----------
    durations : D
    onset : (W,) positions of their first dates in the series
    lower, upper : (D, W) ends of the interval of the average effect, in units of the outcome; NaN where a window does not count
    block : (D, W) stretch of the series, as long as the test, that each window begins in
    proved : (W,) whether importance sampling proves the fit
    """

    durations: tuple[int, ...]
    onset: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    block: np.ndarray
    proved: np.ndarray

    def needed(self, k: int) -> np.ndarray:
        """(N, 2) the sizes from which on a rise, and a drop, are found in each window that counts at the k-th duration.

        The interval moves with the effect: a rise of c is found where lower + c ≥ 0, a drop of c where upper − c ≤ 0.
        """
        counts = np.isfinite(self.lower[k])
        return np.stack([-self.lower[k], self.upper[k]], 1)[counts]

    def blocks(self, k: int) -> np.ndarray:
        """(N,) blocks of the same windows."""
        return np.asarray(self.block[k][np.isfinite(self.lower[k])])


def share(hits: np.ndarray, block: np.ndarray) -> tuple[float, float]:
    """Mean of (W,) hits and its error, from sums over blocks taken as independent (a ratio of sums); NaN with one block."""
    code = np.unique(block, return_inverse=True)[1]
    n = int(code.max()) + 1
    mean = float(np.mean(hits))
    if n < 2:
        return mean, float("nan")
    off = np.bincount(code, np.asarray(hits, float) - mean)
    return mean, float(np.sqrt(n / (n - 1) * (off**2).sum()) / hits.size)


def detectable(needed: np.ndarray, block: np.ndarray, power: float) -> tuple[float, float]:
    """The smallest size, not below 0, that this share of (W, 2) rises and drops needs at most; and its error (Woodruff 1952).

    The error is half the distance of the quantiles one standard error of the share below and above
    (doi:10.1080/01621459.1952.10483443).
    """
    ordered = np.sort(needed.ravel())
    size = quantile(ordered, power)
    error = share((needed <= size).mean(1), block)[1]
    if not np.isfinite(error):
        return max(size, 0.0), float("nan")
    low, high = (max(quantile(ordered, min(max(p, 0.0), 1.0)), 0.0) for p in (power - error, power + error))
    return max(size, 0.0), (high - low) / 2


def quantile(ordered: np.ndarray, p: float) -> float:
    """The smallest of the sorted values that at least a share of p does not exceed."""
    return float(ordered[max(int(np.ceil(p * ordered.size - 1e-9)), 1) - 1])


def placed(model: Any, durations: tuple[int, ...], windows: int, level: float, draws: int, seed: int) -> Windows:
    """The windows of a model; kept, as check and figure ask for the same ones."""
    shared: Any = _placed
    found: Windows = shared(model, durations, windows, level, draws, seed)
    return found


@lru_cache(maxsize=4)
def _placed(model: Any, durations: tuple[int, ...], windows: int, level: float, draws: int, seed: int) -> Windows:
    series: TimeSeries = model.series
    between, (start, stop) = gap(series), _ends(series)
    last = stop - between - min(durations)
    at = np.unique(np.linspace(start, last, windows).round().astype(int))
    tried = [(int(k), masked(series, int(k), between + max(durations))) for k in at]
    usable = [(k, s) for k, s in tried if not unusable(s)]
    if len(usable) < APART:
        raise DataError(
            f"of {len(tried)} stretches of the pre-period only {len(usable)} have outcomes, and moving controls, on both "
            f"sides ({APART} are needed to say what a test would find): bring more dates with outcomes"
        )
    ends = np.full((2, len(durations), len(usable)), np.nan)
    proved = np.zeros(len(usable), bool)
    for w, (again, posterior, sure) in enumerate(refit_many(model, [(s, ()) for _, s in usable], draws=draws, seed=seed)):
        proved[w] = sure
        effect = average_effects(again.series, posterior, usable[w][0] + between, durations)
        ends[..., w] = np.quantile(effect, [(1 - level) / 2, (1 + level) / 2], axis=-1)
    counted = np.isfinite(ends[0]).sum(1)
    if counted.min() < APART:
        raise DataError(
            f"only {counted.min()} windows of {durations[int(counted.argmin())]} dates have an outcome at half of their dates or "
            f"more ({APART} are needed to say what a test would find): bring more dates with outcomes, or ask for other durations"
        )
    onset = np.array([k for k, _ in usable])
    block = np.stack([(onset - onset[0]) // (h + between) for h in durations])
    return Windows(durations, onset, ends[0], ends[1], block, proved)


def average_effects(series: TimeSeries, posterior: xr.Dataset, first: int, durations: Sequence[int]) -> np.ndarray:
    """(D, S) draws of the average of outcome minus counterfactual over the first dates from a position on.

    NaN where the post-period does not hold so many dates, or fewer than half of them have an outcome.
    """
    draws = posterior["counterfactual"].transpose("chain", "draw", "time").values
    draws = draws.reshape(-1, draws.shape[-1])
    found = np.full((len(durations), len(draws)), np.nan)
    for k, h in enumerate(durations):
        inside = slice(first, first + h)
        used = np.flatnonzero(series.observed[inside]) + first
        if series.post[inside].sum() == h and used.size >= h / 2:
            found[k] = (series.dataset["outcome"].values[used] - draws[:, used]).mean(1)
    return found


def _ends(series: TimeSeries) -> tuple[int, int]:
    """Positions of the earliest onset of a window, and of the end of the pre-period."""
    rows = np.flatnonzero(series.pre)
    first, stop = int(rows[0]), int(rows[-1]) + 1
    return first + int(np.ceil(EARLIEST * (stop - first))), stop


def room(series: TimeSeries) -> int:
    """Dates that windows can lie in."""
    start, stop = _ends(series)
    return stop - start


def gap(series: TimeSeries) -> int:
    """Dates between the end of the pre-period and the start of the post-period, which every window leaves out too."""
    return int(np.flatnonzero(series.post)[0] - np.flatnonzero(series.pre)[-1] - 1)


def longest(series: TimeSeries) -> int:
    """The longest duration that the pre-period can tell about; 0 where it is too short for any."""
    return max(room(series) // APART - gap(series), 0)


def dates_needed(duration: int, between: int = 0) -> int:
    """Dates of the pre-period that a test of so many dates, after a gap, needs before anything can be said of its power."""
    needed = APART * (duration + between)
    n = int(np.floor(needed / (1 - EARLIEST)))
    while n - int(np.ceil(EARLIEST * n)) < needed:
        n += 1
    return n


def too_short(series: TimeSeries, durations: Sequence[int]) -> list[str]:
    """Why the pre-period is too short: how many windows it holds, how long it would have to be, and what it can do."""
    between, most = gap(series), longest(series)
    can = f"the longest test that it can tell about runs {most} dates" if most else "it can tell about no test at all"
    return [
        f"a test of {h} dates{f' after a gap of {between}' if between else ''} needs a pre-period of at least "
        f"{dates_needed(h, between)} dates, and there are {series.n_pre}: {room(series) // (h + between)} windows as long fit "
        f"side by side into its last {1 - EARLIEST:.0%}, and {APART} are needed to say what would be found; {can}"
        for h in durations
        if h > most
    ]
