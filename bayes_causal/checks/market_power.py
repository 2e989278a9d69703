"""Which market to test in, and for how long: effects of known size placed in the time before, market by market."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import xarray as xr

from bayes_causal.checks.donor_refit import SEED
from bayes_causal.checks.market_windows import MarketWindows, before, candidate, longest, periods, placed, too_short
from bayes_causal.checks.placebo_dates import most_by_chance
from bayes_causal.checks.power import GRID, wrong_settings
from bayes_causal.checks.windows import detectable, share
from bayes_causal.data.panel import Panel
from bayes_causal.errors import DataError, closest
from bayes_causal.models.donor_design import DonorDesign
from bayes_causal.models.kinds import DonorModel

WINDOWS, DRAWS = 20, 500
Fit = tuple[DonorModel, DonorDesign]


def market_power(
    panel: Panel,
    markets: Sequence[Any] | None = None,
    durations: Sequence[int] | int | None = None,
    effects: Sequence[float] | float | None = None,
    *,
    scale: Literal["relative", "absolute"] | None = None,
    power: float = 0.8,
    level: float = 0.9,
    windows: int = WINDOWS,
    draws: int = DRAWS,
    seed: int = SEED,
    options: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """How often synthetic control would have found effects of known size in each market, and in which it finds the smallest.

    Each market in turn is taken for treated, with the other units as donors, in windows of the time before the first treatment
    of any unit that are treated as if they had been the test. An effect is found where the interval of the average effect lies on
    its own side of zero; rises and drops of a size are counted together. Early windows have less to learn from than the test will
    have. Windows overlap: the errors given are those of blocks as long as the test.

    To plan a test that has not happened, read the panel with ``exposures="last"``: all periods but the last are then before it.

    Parameters
    ----------
    panel : Panel
    markets : sequence of units, optional
        Candidates. Left out, every unit that is not excluded as a donor and can be set beside the others; the rest are named in
        the attribute `left_out`, with their reasons.
    durations : int or sequence of int, optional
        Periods that the test runs. Left out: some up to the longest that the time before can tell about.
    effects : float or sequence of float, optional
        Sizes of the effect, not below 0: fractions of the market's own outcomes where the scale is relative, else units of the
        outcome. Left out: a grid up to one and a half times the largest minimum detectable effect.
    scale : {"relative", "absolute"}, optional
        Left out: relative where every outcome of the markets is above 0 and the outcome is not named as a logarithm.
    power : float
        How often the minimum detectable effect is found.
    level : float
        Probability of the equal-tailed intervals.
    windows : int
        At most so many a market, evenly spaced; all durations share their fits.
    draws : int
        Kept sweeps of each fit, after as many that are not kept.
    options : mapping, optional
        Of `SyntheticControl`: errors, intercept, donors, exclude, priors, and the like.

    Returns
    -------
    xarray.Dataset
        `power`, `power_error` (market, duration, effect), at an effect of 0 the rate of false alarms; `mde`, `mde_error`, `width`
        (mean width of the interval), `bias` (mean estimate where nothing was done), all on the scale asked for, `mde_in_units`
        of the outcome, `false_alarms`, `false_alarms_error`, `windows`, `side_by_side` (market, duration), the last one how many
        of them do not overlap; `duration_needed` (market, effect), the shortest duration asked for that finds it, NaN where none
        does; `rank`, `share` of the total of the panel, `donors`, `alarms_too_often` (market). Markets are sorted by rank: first
        those without more false alarms than chance brings, then by their minimum detectable effect beside that of the others,
        averaged over durations. Attributes name the scale, unit, step, level, power, periods before, and fits in which the halves
        of the chain disagree.

    Raises
    ------
    DataError
        Markets that the panel does not have or that cannot be set beside the others, and too few periods for a duration.
    ValueError
        Durations, effects or settings that cannot be.
    """
    options, early = dict(options or {}), before(panel)
    wrong = wrong_settings(durations, effects, power, level, windows, draws)
    if scale not in (None, "relative", "absolute"):
        wrong.append(f"scale is relative or absolute, not {scale!r}")
    total = periods(early)
    countable = not wrong_settings(durations, None, 0.5, 0.5, WINDOWS, DRAWS)
    asked = _suited(total, durations if countable else None)
    problems = too_short(total, asked)
    fits, left_out, found = _candidates(early, markets, options) if not too_short(total, [1]) else ([], {}, [])
    relative, unfit = _relative(early, fits, scale)
    if problems := [*problems, *found, *unfit]:
        raise DataError([*wrong, *problems])
    if wrong:
        raise ValueError("; ".join(wrong))
    runs = placed(early, fits, asked, windows, level, draws, seed)
    answer = _ranked(_told(runs, effects, relative, power, level), early)
    attrs = {
        "scale": "relative" if relative else "absolute",
        "unit": panel.outcome_name,
        "step": panel.dataset.attrs["time"],
        "level": level,
        "power": power,
        "periods": total,
        "fits": int(np.isfinite(runs.value).any(1).sum()),
        "not_agreed": int((~runs.agree).sum()),
        "left_out": left_out,
    }
    return answer.assign_attrs(attrs)


def _suited(total: int, durations: Sequence[int] | int | None) -> tuple[int, ...]:
    """The durations asked for, or a few up to the longest, in order."""
    if durations is not None:
        return tuple(sorted({int(h) for h in np.atleast_1d(durations)}))
    most = longest(total)
    return tuple(sorted({max(1, most // k) for k in (4, 2, 1)})) if most else (1,)


def _candidates(
    early: Panel, markets: Sequence[Any] | None, options: Mapping[str, Any]
) -> tuple[list[Fit], dict[str, str], list[str]]:
    """Models and designs, why units that were not named are no candidates, and why those that were cannot be."""
    units = early.dataset["unit"].values
    labels, excluded = [str(u) for u in units], {str(u) for u in options.get("exclude", ())}
    named = [markets] if isinstance(markets, str) else list(markets) if markets is not None else None
    problems = [
        f"markets names '{m}', which the panel does not have{closest(str(m), labels)}"
        for m in named or ()
        if str(m) not in labels
    ]
    if named is not None and not named:
        problems.append("markets is empty: name at least one, or leave it out")
    fits: list[Fit] = []
    left_out = {} if named is not None else {u: "excluded as a donor" for u in labels if u in excluded}
    for u, label in zip(units, labels, strict=True):
        if label in left_out or (named is not None and label not in {str(m) for m in named}):
            continue
        try:
            fits.append(candidate(early, u, options))
        except DataError as error:
            if named is None:
                left_out[label] = "; ".join(error.problems)
            else:
                problems += [p for p in error.problems if p not in problems]
    if named is None and not fits:
        problems += [f"no unit can be a market ({label}: {why})" for label, why in list(left_out.items())[:3]]
    return fits, left_out, problems


def _relative(early: Panel, fits: Sequence[Fit], scale: str | None) -> tuple[bool, list[str]]:
    """Whether effects are fractions of the market's own outcomes, and markets that have none above 0."""
    outcome, labels = early.dataset["outcome"].values, early.dataset["unit"].values
    low = [labels[d.unit] for _, d in fits if np.nanmin(outcome[d.unit]) <= 0]
    if scale is None:
        return not low and not early.outcome_name.lower().startswith(("log", "ln")), []
    if scale != "relative":
        return False, []
    return True, [f"{m} has outcomes at or below 0, of which no effect is a fraction: ask for scale='absolute'" for m in low]


def _told(runs: MarketWindows, effects: Any, relative: bool, power: float, level: float) -> xr.Dataset:
    """Everything by market and duration, in the order of the markets given."""
    pairs = [(m, k) for m in range(runs.markets.size) for k in range(len(runs.durations))]
    shape = runs.markets.size, len(runs.durations)
    needed = {(m, k): runs.needed(m, k, relative) for m, k in pairs}
    blocks = {(m, k): runs.blocks(m, k) for m, k in pairs}
    unit = {(m, k): runs.unit(m, k, relative) for m, k in pairs}

    def table(of: Any, *more: int) -> np.ndarray:
        """(M, D, ...) of a function of market and duration."""
        return np.array([of(at) for at in pairs]).reshape(*shape, *more)

    mde = table(lambda at: detectable(needed[at], blocks[at], power), 2)
    in_units = table(lambda at: detectable(runs.needed(at[0], at[1], False), blocks[at], power)[0])
    alarms = table(lambda at: share(np.any(needed[at] < 0, axis=1), blocks[at]), 2)
    sizes = np.linspace(0, 1.5 * mde[..., 0].max(), GRID) if effects is None else np.unique(np.atleast_1d(effects).astype(float))
    curves = table(lambda at: [share((needed[at] <= c).mean(1), blocks[at]) for c in sizes], sizes.size, 2)
    curves[:, :, sizes == 0] = alarms[:, :, None]
    enough = curves[..., 0] >= power
    shortest = np.where(enough.any(1), np.array(runs.durations, float)[enough.argmax(1)], np.nan)
    apart = table(lambda at: np.unique(blocks[at]).size)
    often = [
        [alarms[m, k, 0] * apart[m, k] > most_by_chance(int(apart[m, k]), 1 - level) for k in range(shape[1])]
        for m in range(shape[0])
    ]
    by, both = ("market", "duration"), ("market", "duration", "effect")
    return xr.Dataset(
        {
            "power": (both, curves[..., 0]),
            "power_error": (both, curves[..., 1]),
            "mde": (by, mde[..., 0]),
            "mde_error": (by, mde[..., 1]),
            "mde_in_units": (by, in_units),
            "width": (by, table(lambda at: (needed[at].sum(1)).mean())),
            "bias": (by, table(lambda at: (runs.value[at][runs.counts(*at)] / unit[at]).mean())),
            "false_alarms": (by, alarms[..., 0]),
            "false_alarms_error": (by, alarms[..., 1]),
            "windows": (by, table(lambda at: len(needed[at]))),
            "side_by_side": (by, apart),
            "duration_needed": (("market", "effect"), shortest),
            "donors": (("market",), runs.donors),
            "alarms_too_often": (("market",), np.any(often, axis=1)),
        },
        {"market": runs.markets, "duration": list(runs.durations), "effect": sizes},
    )


def _ranked(found: xr.Dataset, early: Panel) -> xr.Dataset:
    """The same sorted by rank, with each market's share of the total."""
    total = early.dataset["outcome"].sum("time")
    own = total.sel(unit=found["market"].values).values / float(total.sum())
    beside = (found["mde"] / found["mde"].mean("market").clip(min=np.finfo(float).tiny)).mean("duration").values
    order = np.lexsort([beside, found["alarms_too_often"].values])
    rank = np.empty(order.size, int)
    rank[order] = 1 + np.arange(order.size)
    return found.assign(share=("market", own), rank=("market", rank)).isel(market=order)
