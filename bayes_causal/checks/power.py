"""What a test of this length would have found: effects of known size, placed in windows of the time before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from bayes_causal.checks import design
from bayes_causal.checks.base import Check
from bayes_causal.checks.series_refit import SEED
from bayes_causal.checks.windows import APART, Windows, detectable, gap, longest, placed, quantile, share, too_short
from bayes_causal.data.time_series import TimeSeries
from bayes_causal.errors import DataError
from bayes_causal.models.base import Model
from bayes_causal.models.kinds import SeriesModel

WINDOWS, DRAWS = 40, 500
IN_CHECK = 300  # draws a window
SHARES = (0.2, 0.4, 0.6, 0.9)  # of windows, at which the check's table says which size is found so often
GRID = 41


def power(
    model: SeriesModel,
    durations: Sequence[int] | int | None = None,
    effects: Sequence[float] | float | None = None,
    *,
    power: float = 0.8,
    level: float = 0.9,
    windows: int = WINDOWS,
    draws: int = DRAWS,
    seed: int = SEED,
) -> xr.Dataset:
    """How often effects of known size would have been found, by size and by how long the test runs; and the smallest one found.

    An effect is found where the interval of the average effect lies on the effect's own side of zero. Rises and drops of a size
    are counted together, in windows of the pre-period that are treated as if they had been the post-period. Early windows have
    less to learn from than the real one will have. Windows overlap: the errors given are those of blocks as long as the test.

    To plan a test that has not happened, give the series ``intervention="last"``: all dates but the last are then its pre-period.

    Parameters
    ----------
    model : StructuralTimeSeries, or any other model of a series with a collapsed form
    durations : int or sequence of int, optional
        Dates that the test runs, in steps of the series. Left out: that of the post-period, and some up to the longest that the
        pre-period can tell about.
    effects : float or sequence of float, optional
        Sizes of a constant effect, in units of the outcome, not below 0. Left out: a grid up to one and a half times the largest
        minimum detectable effect.
    power : float
        How often the minimum detectable effect is found.
    level : float
        Probability of the equal-tailed intervals.
    windows : int
        At most so many, evenly spaced; all durations share their fits.

    Returns
    -------
    xarray.Dataset
        `power`, `power_error` (duration, effect), at an effect of 0 the rate of false alarms; `mde`, `mde_error`, in units of the
        outcome, `mde_in_sd`, `false_alarms`, `false_alarms_error`, `windows`, `side_by_side` (duration), the last one how many of
        them do not overlap; `duration_needed` (effect), the shortest duration asked for that finds it with this power, NaN where
        none does. Attributes name the unit, the step, the level and the power.

    Raises
    ------
    DataError
        The pre-period is too short for a duration; says how long it must be.
    ValueError
        Durations, effects or settings that cannot be.
    """
    series = model.series
    _refuse(durations, effects, power, level, windows, draws)
    asked = suited(series, durations)
    found = placed(model, asked, windows, level, draws, seed)
    pairs = [(found.needed(k), found.blocks(k)) for k in range(len(asked))]
    mde, mde_error = np.array([detectable(*pair, power) for pair in pairs]).T
    alarms, alarms_error = np.array([share(np.any(needed < 0, axis=1), block) for needed, block in pairs]).T
    sizes = np.linspace(0, 1.5 * mde.max(), GRID) if effects is None else np.unique(np.atleast_1d(effects).astype(float))
    curves = np.array([[share((needed <= c).mean(1), block) for c in sizes] for needed, block in pairs])
    curves[:, sizes == 0] = np.stack([alarms, alarms_error], 1)[:, None]
    enough = curves[..., 0] >= power
    shortest = np.where(enough.any(0), np.array(asked, float)[enough.argmax(0)], np.nan)
    by, both = ("duration",), ("duration", "effect")
    return xr.Dataset(
        {
            "power": (both, curves[..., 0]),
            "power_error": (both, curves[..., 1]),
            "mde": (by, mde),
            "mde_error": (by, mde_error),
            "mde_in_sd": (by, mde / series.scale),
            "false_alarms": (by, alarms),
            "false_alarms_error": (by, alarms_error),
            "windows": (by, [len(block) for _, block in pairs]),
            "side_by_side": (by, [len(np.unique(block)) for _, block in pairs]),
            "duration_needed": (("effect",), shortest),
        },
        {"duration": list(asked), "effect": sizes},
        {
            "unit": series.outcome_name,
            "step": str(series.dataset.attrs["frequency"]),
            "level": level,
            "power": power,
            "dates": series.n_pre,
            "gap": gap(series),
            "not_proved": int((~found.proved).sum()),
        },
    )


def suited(series: TimeSeries, durations: Sequence[int] | int | None) -> tuple[int, ...]:
    """The durations asked for, or those that suit the series, in order."""
    if durations is not None:
        asked = tuple(sorted({int(h) for h in np.atleast_1d(durations)}))
    else:
        most = longest(series)
        own = {series.n_post} if 1 < series.n_post <= most else set()
        asked = tuple(sorted({max(1, most // k) for k in (8, 4, 2, 1)} | own))
    if problems := too_short(series, asked):
        raise DataError(problems)
    return asked


def _refuse(durations: Any, effects: Any, power: float, level: float, windows: int, draws: int) -> None:
    """Raise ValueError, all problems at once."""
    if wrong := wrong_settings(durations, effects, power, level, windows, draws):
        raise ValueError("; ".join(wrong))


def wrong_settings(durations: Any, effects: Any, power: float, level: float, windows: int, draws: int) -> list[str]:
    """Every setting that cannot be, in words."""
    wrong = []
    if durations is not None and (
        np.size(durations) == 0 or (np.asarray(durations) < 1).any() or (np.mod(durations, 1) != 0).any()
    ):
        wrong.append(f"durations are whole numbers of dates, 1 or more, not {durations!r}")
    if effects is not None and (np.size(effects) == 0 or not (np.asarray(effects, float) >= 0).all()):
        wrong.append(
            f"effects are sizes, 0 or more, in units of the outcome (rises and drops are counted together), not {effects!r}"
        )
    wrong += [f"{name} lies between 0 and 1, and is {v!r}" for name, v in (("power", power), ("level", level)) if not 0 < v < 1]
    wrong += [
        f"{name} is {v!r}, and must be at least {least}"
        for name, v, least in (("windows", windows, APART), ("draws", draws, 100))
        if v < least
    ]
    return wrong


def mde(model: Model, tree: xr.DataTree, *, level: float = 0.9, power: float = 0.8, windows: int = 0) -> Check:
    """The smallest effect that this design finds four times in five; and, in so many `windows`, by how long the test runs.

    Without windows the spread of the posterior is all that is asked, as a fit for each of them takes longer than the study's own.
    """
    by_spread = design.mde(model, tree, level=level)
    if not isinstance(model, SeriesModel):
        return by_spread
    if not windows:
        asks = "bayes-causal power, or mde: {windows: 20} among the checks, asks the time before"
        return Check("mde", None, "info", f"{by_spread.text} This takes the model at its word; {asks}.", by_spread.numbers)
    _refuse(None, None, power, level, windows, IN_CHECK)
    try:
        asked = suited(model.series, None)
        found = placed(model, asked, windows, level, IN_CHECK, SEED)
    except DataError as reason:
        why = f"This takes the model at its word: nothing can be placed in the time before, as {reason.problems[0]}."
        return Check("mde", None, "info", f"{by_spread.text} {why}", by_spread.numbers)
    return _told(model.series, found, by_spread, power)


def _told(series: TimeSeries, found: Windows, by_spread: Check, power: float) -> Check:
    """The check in words, for the duration of the post-period where the time before can say, and a table of others."""
    level, spread = by_spread.numbers["level"], by_spread.numbers["mde"]
    table = [_row(found, k, power) for k in range(len(found.durations))]
    numbers = {"mde_by_posterior": spread, "level": level, "power": power, "not_proved": int((~found.proved).sum())}
    proof = f" {numbers['not_proved']} of {found.proved.size} fits are not proved." if numbers["not_proved"] else ""
    notes = f"Windows overlap; the errors in the table are those of blocks as long as the test.{proof}"
    own = next((row for row in table if row["duration"] == series.n_post), None)
    if own is None:
        why = (too_short(series, [series.n_post]) or ["the post-period is a single date"])[0]
        text = f"{by_spread.text} This takes the model at its word, as {why}. The table has what such tests would find. {notes}"
        return Check("mde", None, "info", text, {"mde": spread} | numbers, table)
    numbers = {"mde": own["mde"], "mde_error": own["error"], "mde_in_sd": own["mde"] / series.scale} | numbers
    numbers |= {k: own[k] for k in ("false_alarms", "windows", "side_by_side")}
    text = (
        f"An effect of ±{own['mde']:.3g} {series.outcome_name} over {series.n_post} dates would be found with {power:.0%} "
        f"probability at the {level:.0%} level ({numbers['mde_in_sd']:.2f} sds of the outcome): so often was it found when "
        f"placed in {own['windows']} windows of the time before. The spread of the posterior alone says ±{spread:.3g}. Without "
        f"an effect, {own['false_alarms']:.0%} of the windows raise an alarm; {1 - level:.0%} would by design. Smaller effects "
        f"can be there and not show. {notes}"
    )
    return Check("mde", None, "info", text, numbers, table)


def _row(found: Windows, k: int, power: float) -> dict[str, Any]:
    """One duration: its windows, its minimum detectable effect, and the sizes found in other shares of the windows."""
    needed, block = found.needed(k), found.blocks(k)
    size, error = detectable(needed, block, power)
    ordered = np.sort(needed.ravel())
    return {
        "duration": found.durations[k],
        "windows": len(block),
        "side_by_side": len(np.unique(block)),
        "false_alarms": share(np.any(needed < 0, axis=1), block)[0],
        "mde": size,
        "error": error,
    } | {f"found_{p:.0%}": max(quantile(ordered, p), 0.0) for p in SHARES}
