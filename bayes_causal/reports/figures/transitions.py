"""Where regimes go and how long they last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayes_causal.reports import regimes, style
from bayes_causal.reports.content import RunContent
from bayes_causal.reports.expected import flat
from bayes_causal.reports.numbers import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CAPTION = (
    "Above, the probability of the next date's regime (columns) in each regime (rows): posterior mean, and the interval of the "
    "study's level below it. Below, how many dates a regime is expected to last."
)


@style.house
def draw(content: RunContent) -> Figure | None:
    """Matrix of transitions above, expected durations below; None without regimes."""
    numbers = regimes.regimes(content)
    if not numbers:
        return None
    k = len(numbers)
    figure, (matrix, lasting) = style.canvas(1.5 + 0.95 * k, (0.62 * k, 0.5 + 0.33 * k))
    _matrix(matrix, content, numbers)
    _durations(lasting, content, numbers)
    return figure


def alt(content: RunContent) -> str:
    """The figure in words."""
    if not regimes.regimes(content):
        return ""
    lasting = np.median(regimes.durations(content), 0)
    parts = [f"regime {k} lasts {number(d, 1)} dates" for k, d in zip(regimes.regimes(content), lasting, strict=True)]
    return f"Transition matrix and expected durations: {', '.join(parts)} (medians)."


def _matrix(axes: Axes, content: RunContent, numbers: list[int]) -> None:
    draws, tail = flat(content.dataset("posterior")["transition"]), (1 - content.verdict["level"]) / 2
    mean, (low, high) = draws.mean(0), np.quantile(draws, [tail, 1 - tail], axis=0)
    axes.imshow(mean, cmap="Blues", vmin=0, vmax=1.8, aspect="auto")
    for i, j in np.ndindex(*mean.shape):
        words = f"{number(mean[i, j], 2)}\n{number(low[i, j], 2)} to {number(high[i, j], 2)}"
        axes.text(j, i, words, ha="center", va="center", color=style.INK, fontsize=10, linespacing=1.4)
    axes.set_xticks(range(len(numbers)), [f"to regime {k}" for k in numbers], color=style.INK)
    axes.set_yticks(range(len(numbers)), [f"from {k}" for k in numbers], color=style.INK)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def _durations(axes: Axes, content: RunContent, numbers: list[int]) -> None:
    draws, tail = regimes.durations(content), (1 - content.verdict["level"]) / 2
    low, middle, high = np.quantile(draws, [tail, 0.5, 1 - tail], axis=0)
    for y, (i, k) in zip(range(len(numbers))[::-1], enumerate(numbers), strict=True):
        axes.hlines(y, low[i], high[i], color=regimes.color(content, k), linewidth=3)
        axes.plot([middle[i]], [y], "o", color=regimes.color(content, k), markeredgecolor=style.PAPER, markersize=8, zorder=4)
    axes.set_yticks(range(len(numbers))[::-1], [f"regime {k}" for k in numbers], color=style.INK)
    axes.set_ylim(-0.6, len(numbers) - 0.4)
    axes.set_xlim(left=0)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("Dates it lasts")
