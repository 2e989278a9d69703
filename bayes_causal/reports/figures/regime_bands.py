"""In which regime the series were: the outcome asked for above, probabilities of the regimes below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.reports import regimes, style
from bayes_causal.reports.content import RunContent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CAPTION = (
    "Above, the outcome asked for, its background in the colour of the regime that is most likely given all dates. Below, the "
    "probability of each regime given all dates (areas), and of the least calm one given the outcomes up to each date alone "
    "(black line): what could be known at the time. Hatched bars at the foot are recessions, where the data mark them."
)


@style.house
def draw(content: RunContent) -> Figure | None:
    """Outcome and probabilities over time; None without regimes."""
    if not regimes.regimes(content):
        return None
    figure, (above, below) = style.canvas(4.3, (1.25, 1), share_x=True)
    x = regimes.dates(content).x
    edges = np.r_[x[0], (x[1:] + x[:-1]) / 2, x[-1]]
    _bands(above, content, edges)
    above.plot(x, regimes.series(content), color=style.INK, linewidth=1.1)
    style.title(above, content.labels["series"], above_legend=True)
    style.legend(above, 4)
    above.grid(axis="y")
    above.tick_params(labelbottom=False)
    _areas(below, content, x)
    style.title(below, "Probability of the regimes", above_legend=True)
    style.legend(below, 3)
    below.set_ylim(0, 1)
    below.set_yticks([0, 0.5, 1])
    below.set_xlim(x[0], x[-1])
    regimes.dates(content).format(below)
    return figure


def alt(content: RunContent) -> str:
    """The figure in words."""
    if not regimes.regimes(content):
        return ""
    share = regimes.probable(content, "smoothed").mean(0)
    parts = [f"regime {k} on {100 * s:.0f}% of dates" for k, s in zip(regimes.regimes(content), share, strict=True)]
    first, last = regimes.dates(content).ends
    return f"Probabilities of regimes from {first} to {last}: {', '.join(parts)}."


def _bands(axes: Axes, content: RunContent, edges: np.ndarray) -> None:
    likely = regimes.probable(content, "smoothed").argmax(1)
    for i, k in enumerate(regimes.regimes(content)):
        for n, (low, high) in enumerate(spells(likely == i)):
            look: dict[str, Any] = {"color": regimes.color(content, k), "alpha": 0.28, "linewidth": 0, "zorder": 0}
            axes.axvspan(edges[low], edges[high + 1], label=None if n else f"regime {k}", **look)
    hit = regimes.recessions(content)
    for n, (low, high) in enumerate([] if hit is None else spells(hit)):
        look = {"facecolor": "none", "edgecolor": style.MUTED, "hatch": "//////", "linewidth": 0, "zorder": 1}
        axes.axvspan(edges[low], edges[high + 1], 0, 0.07, label=None if n else "recession", **look)


def _areas(axes: Axes, content: RunContent, x: np.ndarray) -> None:
    smoothed, numbers = regimes.probable(content, "smoothed"), regimes.regimes(content)
    # The least calm regime stands at the foot, so that its height is read off the axis.
    colors = [regimes.color(content, k) for k in reversed(numbers)]
    axes.stackplot(x, smoothed[:, ::-1].T, colors=colors, alpha=0.55, linewidth=0)
    now = regimes.probable(content, "filtered")[:, -1]
    axes.plot(x, now, color=style.BLACK, linewidth=0.9, label=f"regime {numbers[-1]}, known at the time")


def spells(hit: np.ndarray) -> list[tuple[int, int]]:
    """First and last positions of every run of True."""
    edges = np.diff(np.r_[0, hit.astype(int), 0])
    return list(zip(np.flatnonzero(edges == 1).tolist(), (np.flatnonzero(edges == -1) - 1).tolist(), strict=True))
