"""Every treated unit's outcome less its own weighted donors, one small panel a unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayes_causal.reports import style
from bayes_causal.reports.content import RunContent
from bayes_causal.reports.expected import Band, band, flat
from bayes_causal.reports.numbers import level, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS, MOST = 3, 12
CAPTION = (
    "Outcome less what was expected without treatment, by periods since each unit's own treatment (dashed), with its interval. "
    "Before it every date is expected from the one before, after it from the weighted donors and the last gap alone: bands "
    f"widen. Units in the order of their dates; at most {MOST} are drawn, all are in the tables."
)


@style.house
def draw(content: RunContent) -> Figure | None:
    """A grid of units; None where the run has one or none."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    gaps = _gaps(content)
    if len(gaps) < 2:
        return None
    shown = dict(list(gaps.items())[:MOST])
    rows = -(-len(shown) // COLUMNS)
    figure = Figure(figsize=(style.WIDTH, 0.55 + 1.75 * rows), layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06))
    panels = figure.subplots(rows, COLUMNS, squeeze=False, sharex=True, sharey=True)
    for axes, (unit, (when, found)) in zip(panels.ravel(), shown.items(), strict=False):
        _panel(axes, unit, when, found)
    for axes in panels.ravel()[len(shown) :]:
        axes.set_visible(False)
    figure.supxlabel("Periods since the treatment", fontsize=10, color=style.MUTED)
    sure = level(content.verdict["level"])
    figure.supylabel(style.clip(f"{content.unit} less expected, {sure}", 40), fontsize=10, color=style.MUTED)
    return figure


def alt(content: RunContent) -> str:
    """The figure in words."""
    gaps = _gaps(content)
    if not gaps:
        return ""
    after = {unit: float(found[0][when >= 0].mean()) for unit, (when, found) in gaps.items()}
    ends = sorted(after, key=lambda unit: after[unit])
    return (
        f"Gaps of {len(gaps)} treated units: on average after the treatment from {number(after[ends[0]])} ({ends[0]}) to "
        f"{number(after[ends[-1]])} ({ends[-1]})."
    )


def _panel(axes: Axes, unit: str, when: np.ndarray, found: Band) -> None:
    mean, low, high = found
    style.zero(axes)
    axes.axvline(-0.5, color=style.MUTED, linewidth=1.0, linestyle=(0, (3, 2)), zorder=1)
    axes.fill_between(when, low, high, color=style.BLUE, alpha=0.18, linewidth=0)
    axes.plot(when, mean, color=style.BLUE, linewidth=1.6, zorder=3)
    axes.grid(axis="y")
    axes.locator_params(axis="both", nbins=4)
    axes.set_title(style.clip(unit, 22), fontsize=10, pad=4)


def _gaps(content: RunContent) -> dict[str, tuple[np.ndarray, Band]]:
    """Event times and gaps of every unit, the first treated first; empty for a run without units of its own."""
    facts, posterior = content.dataset("constant_data"), content.dataset("posterior")
    if "unit_of_cell" not in facts.coords or "counterfactual" not in posterior:
        return {}
    gap = facts["outcome"].values - flat(posterior["counterfactual"])
    of_cell = facts["unit_of_cell"].values
    found = {}
    for unit in _by_date(facts):
        here = np.flatnonzero((of_cell == unit) & (facts["pre"].values | facts["post"].values))
        found[str(unit)] = (facts["event_time"].values[here], band(gap[:, here], float(content.verdict["level"])))
    return found


def _by_date(facts: xr.Dataset) -> np.ndarray:
    """Labels of the units in the order of their treatments."""
    return np.asarray(facts["unit"].values[np.argsort(facts["cohort"].values, kind="stable")])
