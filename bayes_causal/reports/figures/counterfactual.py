"""Observed and expected: the series with its counterfactual, the difference date by date, and its running sum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayes_causal.reports import style
from bayes_causal.reports.content import RunContent
from bayes_causal.reports.expected import Band, Expected, expected
from bayes_causal.reports.numbers import level, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CAPTION = (
    "Above, the outcome (black) and what the time before leads one to expect of it (blue, with its band); before the "
    "intervention the "
    "band is the model's fit. In the middle, the difference date by date. Below, its sum since the intervention. The grey area "
    "is the "
    "post-period; bands hold the study's level, noise included, at each date alone."
)
MOST_MARKED = 60  # observed dates beyond which they are drawn as a line alone


@style.house
def draw(content: RunContent) -> Figure | None:
    """Three panels on one time axis; None where the tree holds no counterfactual."""
    found = expected(content)
    if found is None:
        return None
    figure, (top, middle, bottom) = style.canvas(6.4, (1.45, 1, 1), share_x=True)
    for axes in (top, middle, bottom):
        _after(axes, found)
    _series(top, found)
    style.title(top, style.clip(content.unit, 60), above_legend=True)
    style.legend(top)
    _difference(middle, found, found.effect, marked=True)
    style.title(middle, "Difference, observed less expected")
    _difference(bottom, found, found.total, marked=False)
    style.title(bottom, "Difference since the intervention, summed")
    found.time.format(bottom)
    for axes in (top, middle):
        axes.tick_params(labelbottom=False)
    return figure


def alt(content: RunContent) -> str:
    """The figure in words."""
    found = expected(content)
    if found is None:
        return ""
    used = found.post & np.isfinite(found.outcome)
    first, last = found.time.ends
    return (
        f"{content.unit} from {first} to {last}: after {found.time.word(found.time.labels[found.start])} it is "
        f"{number(found.outcome[used].mean())} on average and was expected at {number(found.expected[0][used].mean())}; the sum "
        "of the "
        f"difference ends at {number(found.total[0][found.stop])}, between {number(found.total[1][found.stop])} and "
        f"{number(found.total[2][found.stop])}."
    )


def _after(axes: Axes, found: Expected) -> None:
    x = found.time.x
    step = float(np.median(np.diff(x))) / 2
    axes.axvspan(x[found.start] - step, x[found.stop] + step, color="#f3f5f7", zorder=0, linewidth=0)
    axes.axvline(x[found.start] - step, color=style.MUTED, linewidth=1.0, linestyle=(0, (3, 2)), zorder=1)
    axes.grid(axis="y")
    axes.margins(x=0.01, y=0.1)
    axes.locator_params(axis="y", nbins=5)


def _series(axes: Axes, found: Expected) -> None:
    x, (mean, low, high) = found.time.x, found.expected
    axes.fill_between(x, low, high, color=style.BLUE, alpha=0.2, linewidth=0, label=f"{level(found.level)} band")
    axes.plot(x, mean, color=style.BLUE, linewidth=1.5, linestyle=(0, (4, 1.4)), label="expected")
    marker = "o" if x.size <= MOST_MARKED else "None"
    axes.plot(x, found.outcome, color=style.BLACK, linewidth=1.1, marker=marker, markersize=2.6, label="observed", zorder=4)


def _difference(axes: Axes, found: Expected, values: Band, *, marked: bool) -> None:
    x, (mean, low, high) = found.time.x, values
    style.zero(axes)
    axes.fill_between(x, low, high, color=style.VERMILLION, alpha=0.2, linewidth=0)
    marker = "o" if marked and x.size <= MOST_MARKED else "None"
    axes.plot(x, mean, color=style.VERMILLION, linewidth=1.3, marker=marker, markersize=2.6)
