"""Markets in windows of the time before, each taken for treated beside the others: fitted once, asked at every duration.

Nothing was done in these windows, and their outcomes bring their own autocorrelation, seasons and shocks; no noise is simulated.
An effect of c in a window adds c to every draw of its average effect and leaves the fit to the time before as it was; so does a
lift of c in per cent of the market's own outcomes, by c times their mean. One fit a market and window serves every size and every
duration. All fits with equally many donors run in lockstep.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayes_causal.checks.donor_refit import drawn
from bayes_causal.checks.placebo_dates import EARLIEST
from bayes_causal.checks.windows import APART, dates_needed
from bayes_causal.data.panel import Panel
from bayes_causal.errors import DataError
from bayes_causal.models.donor_design import DonorDesign
from bayes_causal.models.kinds import DonorModel
from bayes_causal.models.synthetic_control import SyntheticControl

FEWEST_ROWS = 5  # before a window
BLOCK = 128  # fits in lockstep
MOST_RHAT = 1.1


@dataclass(frozen=True, eq=False)
class MarketWindows:
    """What the model says of M markets in W windows in which nothing was done, over their first periods, for each of D durations.

    Parameters
    ----------
    markets : (M,) labels
    durations : D
    onset : (W,) periods of their first dates
    value, lower, upper : (M, D, W) mean and ends of the interval of the average effect, in units of the outcome; NaN where a
        window does not count
    outcome : (M, D, W) mean outcome in the window, the same unit
    agree : (M, W) whether both halves of the chain say the same of the weighted donors in the window
    donors : (M,) how many donors each market has
    """

    markets: np.ndarray
    durations: tuple[int, ...]
    onset: np.ndarray
    value: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    outcome: np.ndarray
    agree: np.ndarray
    donors: np.ndarray

    def counts(self, m: int, k: int) -> np.ndarray:
        """(W,) windows of the m-th market that count at the k-th duration."""
        return np.isfinite(self.lower[m, k])

    def unit(self, m: int, k: int, relative: bool) -> np.ndarray:
        """(N,) what one unit of an effect is, in those that count: the mean outcome for lifts, else 1."""
        own = self.outcome[m, k][self.counts(m, k)]
        return own if relative else np.ones(own.size)

    def needed(self, m: int, k: int, relative: bool) -> np.ndarray:
        """(N, 2) the sizes from which on a rise, and a drop, are found in each window that counts."""
        ends = np.stack([-self.lower[m, k], self.upper[m, k]], 1)[self.counts(m, k)]
        return np.asarray(ends / self.unit(m, k, relative)[:, None])

    def blocks(self, m: int, k: int) -> np.ndarray:
        """(N,) stretch of the panel, as long as the test, that each of them begins in."""
        return np.asarray(((self.onset - self.onset[0]) // self.durations[k])[self.counts(m, k)])


def before(panel: Panel) -> Panel:
    """The periods before the first treatment of any unit."""
    first = int(panel.treated.any(0).argmax())
    return panel.select(times=np.arange(panel.dataset.sizes["time"]) < first)


def periods(panel: Panel) -> int:
    """Steps of the panel's frequency from its first period to its last."""
    at = panel.dataset["period"].values
    return int(at[-1] - at[0]) + 1 if at.size else 0


def longest(total: int) -> int:
    """The longest duration that so many periods can tell about; 0 where there are too few for any."""
    return (total - int(np.ceil(EARLIEST * total))) // APART


def too_short(total: int, durations: Sequence[int]) -> list[str]:
    """Why there are too few periods, how many it would take, and what these can do."""
    most = longest(total)
    can = f"the longest test that they can tell about runs {most}" if most else "they can tell about no test at all"
    return [
        f"a test of {h} periods needs at least {dates_needed(h)} before it, and there are {total}: {APART} windows as long must "
        f"fit side by side into the last {1 - EARLIEST:.0%} of them; {can}"
        for h in durations
        if h > most
    ]


def candidate(panel: Panel, market: Any, options: Mapping[str, Any]) -> tuple[DonorModel, DonorDesign]:
    """The model with a market of a `before` panel taken for treated, and its design with every period fitted.

    Raises
    ------
    DataError, ValueError
        What keeps this market from being set beside the others.
    """
    unit = panel.dataset["unit"].values == market
    cells = np.zeros((*panel.observed.shape, 1), bool)
    seen = np.flatnonzero(panel.observed[unit][0])
    if seen.size:
        cells[unit, seen[-1]] = True
    own = {k: [u for u in options[k] if str(u) != str(market)] for k in ("donors", "exclude") if options.get(k)}
    model: Any = SyntheticControl(panel.replace_treatment(cells, ["test"]), **(dict(options) | own))
    d = model.design
    return model, replace(d, fitted=d.fitted | d.treated, treated=np.zeros(d.rows, bool))


def placed(
    panel: Panel,
    fits: Sequence[tuple[DonorModel, DonorDesign]],
    durations: tuple[int, ...],
    windows: int,
    level: float,
    draws: int,
    seed: int,
) -> MarketWindows:
    """The windows of `candidate` markets.

    Raises
    ------
    DataError
        Markets with too few windows that hold outcomes.
    """
    start = int(np.ceil(EARLIEST * periods(panel)))
    onset = np.unique(np.linspace(start, periods(panel) - min(durations), windows).round().astype(int))
    period = panel.dataset["period"].values - panel.dataset["period"].values[0]
    jobs = []
    for m, (_, d) in enumerate(fits):
        first = int(period[d.position[0]])
        jobs += [(m, w, d.earlier(int(k) - first, max(durations))) for w, k in enumerate(onset) if _usable(d, int(k) - first)]
    shape = len(fits), len(durations), onset.size
    numbers = {name: np.full(shape, np.nan) for name in ("value", "lower", "upper", "outcome")}
    agree = np.ones((shape[0], shape[2]), bool)
    for m, w, d, sites in _fitted(fits[0][0], jobs, draws, seed):
        agree[m, w] = _halves_agree(fits[m][0], d, sites)
        for k, h in enumerate(durations):
            counted = d.treated & (np.arange(d.rows) < d.onset + h)
            if d.onset + h > d.rows or counted.sum() < h / 2:
                continue
            effect = fits[m][0].average(replace(d, treated=counted), sites)
            numbers["value"][m, k, w] = effect.mean()
            numbers["lower"][m, k, w], numbers["upper"][m, k, w] = np.quantile(effect, [(1 - level) / 2, (1 + level) / 2])
            numbers["outcome"][m, k, w] = d.center + d.scale * d.y[counted].mean()
    labels = np.array([panel.dataset["unit"].values[d.unit] for _, d in fits])
    found = MarketWindows(labels, durations, onset, **numbers, agree=agree, donors=np.array([d.donors.size for _, d in fits]))
    _refuse_few(found)
    return found


def _usable(d: DonorDesign, onset: int) -> bool:
    """Whether a design has enough before a row, and anything from it on."""
    rows = d.fitted_rows
    return bool((rows < onset).sum() >= FEWEST_ROWS and (rows >= onset).any() and np.ptp(d.y[rows[rows < onset]]) > 0)


def _fitted(
    model: DonorModel, jobs: list[tuple[int, int, DonorDesign]], draws: int, seed: int
) -> Iterator[tuple[int, int, DonorDesign, dict[str, np.ndarray]]]:
    """Market, window, design and sites of every job, in blocks of one shape: equally many donors and rows."""
    for shape in sorted({(d.donors.size, d.rows) for _, _, d in jobs}):
        alike = [job for job in jobs if (job[2].donors.size, job[2].rows) == shape]
        size = -(-len(alike) // -(-len(alike) // BLOCK))  # blocks of one shape, as even as can be
        for low in range(0, len(alike), size):
            block = alike[low : low + size]
            filled = [d for _, _, d in block] + [block[0][2]] * (size - len(block))
            sites = drawn(model, filled, draws=draws, warmup=draws, seed=seed + low)
            yield from ((m, w, d, own) for (m, w, d), own in zip(block, sites, strict=False))


def _halves_agree(model: DonorModel, d: DonorDesign, sites: dict[str, np.ndarray]) -> bool:
    """Whether both halves of the chain say the same of what the weighted donors average in the window."""
    from arviz_stats.base import array_stats

    path = model.expected(d, sites)[:, d.treated[d.seen]].mean(1)
    half = path.size // 2
    return bool(array_stats.rhat(path[: 2 * half].reshape(2, half), method="rank") < MOST_RHAT)


def _refuse_few(found: MarketWindows) -> None:
    counted = np.isfinite(found.lower).sum(2)
    few = [
        f"{label} has outcomes at half of the periods or more in {counted[m].min()} windows of "
        f"{found.durations[int(counted[m].argmin())]} periods only ({APART} are needed to say what a test there would find): "
        "leave it out, bring more outcomes, or ask for other durations"
        for m, label in enumerate(found.markets)
        if counted[m].min() < APART
    ]
    if few:
        raise DataError(few)
