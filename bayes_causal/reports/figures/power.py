"""Power: how often effects of each size are found in the time before, by how long the test runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayes_causal.reports import style
from bayes_causal.reports.content import RunContent
from bayes_causal.reports.numbers import compact, level

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CAPTION = (
    "Above, how often an effect of each size, up or down, is found when it is placed in stretches of the time before: one line "
    "for each length of the test, in dates; where a line starts, half of the false alarms. Below, the smallest effect found with "
    "the probability of the dotted line, by length, with the standard error that so many windows leave."
)
MOST = 5  # lines that can be told apart
SHADES = ("#56B4E9", "#009E73", "#E69F00", "#D55E00", "#0072B2")


@dataclass(frozen=True, eq=False)
class Curves:
    """What the figure shows, D durations.

    Parameters
    ----------
    durations : (D,)
    curves : (sizes, shares of windows) of each duration
    mde, error : (D,)
    target : share of the windows that the minimum detectable effect is found in
    unit, step : of the outcome, and of a date
    """

    durations: np.ndarray
    curves: Sequence[tuple[np.ndarray, np.ndarray]]
    mde: np.ndarray
    error: np.ndarray
    target: float
    unit: str
    step: str = "date"


def of_power(found: xr.Dataset) -> Curves:
    """What `bayes_causal.power` returns, as this figure takes it."""
    sizes = found["effect"].values
    curves = []
    for k in range(found.sizes["duration"]):
        shown = found["power"].values[k].copy()
        shown[sizes == 0] = found["false_alarms"].values[k] / 2
        curves.append((sizes, shown))
    attrs = found.attrs
    values = found["duration"].values, curves, found["mde"].values, found["mde_error"].values
    return Curves(*values, attrs["power"], attrs["unit"], attrs["step"])


def of_check(content: RunContent) -> Curves | None:
    """The table of the check `mde`, as this figure takes it; None where it placed no effects."""
    check = next((c for c in content.checks if c.name == "mde"), None)
    if check is None or not check.table or "duration" not in check.table[0]:
        return None
    target = float(check.numbers["power"])
    curves = [_curve(row, target) for row in check.table]
    column = {
        k: np.array([np.nan if row[k] is None else row[k] for row in check.table], float) for k in ("duration", "mde", "error")
    }
    return Curves(column["duration"], curves, column["mde"], column["error"], target, content.unit)


def _curve(row: Mapping[str, Any], target: float) -> tuple[np.ndarray, np.ndarray]:
    """Sizes and shares of one row of the check's table, from no effect on."""
    points = [(row["mde"], target)] + [(v, float(k[6:-1]) / 100) for k, v in row.items() if str(k).startswith("found_")]
    sizes, shares = zip((0.0, row["false_alarms"] / 2), *sorted(points), strict=True)
    return np.array(sizes), np.array(shares)


def draw(content: RunContent) -> Figure | None:
    """The figure of a run; None where its check placed no effects."""
    found = of_check(content)
    return None if found is None else picture(found)


@style.house
def picture(found: Curves) -> Figure:
    """Power against size, one line a duration, and the minimum detectable effect against duration."""
    figure, (top, bottom) = style.canvas(5.4, (1.25, 1))
    _power(top, found)
    _smallest(bottom, found)
    return figure


def alt(content: RunContent) -> str:
    """The figure in words."""
    found = of_check(content)
    if found is None:
        return ""
    parts = [f"{compact(m)} over {h:g} dates" for h, m in zip(found.durations, found.mde, strict=True)]
    return f"Smallest effect on {found.unit} found with a probability of {level(found.target)}: {', '.join(parts)}."


def _power(axes: Axes, found: Curves) -> None:
    chosen = np.unique(np.linspace(0, len(found.durations) - 1, min(MOST, len(found.durations))).round().astype(int))
    for colour, k in zip(SHADES, chosen, strict=False):
        sizes, shares = found.curves[k]
        axes.plot(sizes, 100 * shares, color=colour, linewidth=1.9, label=f"{found.durations[k]:g}")
    axes.axhline(100 * found.target, color=style.MUTED, linewidth=1.0, linestyle=(0, (1, 2)))
    axes.set_ylim(0, 102)
    axes.set_xlim(left=0)
    axes.grid(axis="y")
    axes.set_yticks([0, 20, 40, 60, 80, 100])
    axes.set_xlabel(style.clip(f"Size of the effect, {found.unit}", 60))
    style.title(axes, f"Found in so many windows, %, by length in {found.step}s", above_legend=True)
    style.legend(axes, columns=MOST)


def _smallest(axes: Axes, found: Curves) -> None:
    error = np.where(np.isfinite(found.error), found.error, 0.0)
    axes.errorbar(found.durations, found.mde, yerr=error, color=style.BLUE, marker="o", markersize=5, linewidth=1.6, capsize=3)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y")
    axes.locator_params(axis="y", nbins=5)
    axes.locator_params(axis="x", nbins=7, integer=True)
    axes.set_xlabel(f"Length of the test, {found.step}s")
    style.title(axes, style.clip(f"Smallest effect found with {level(found.target)} probability, {found.unit}", 62))
