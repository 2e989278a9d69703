"""Which periods before the treatment carry the weight."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayes_causal.reports import style
from bayes_causal.reports.content import RunContent
from bayes_causal.reports.expected import flat
from bayes_causal.reports.numbers import level
from bayes_causal.reports.timeline import timeline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CAPTION = (
    "Weight of each period before the treatment (dot; bar at the study's level). The gap to the weighted donors in these "
    "periods is what the time after is set against: a period without weight does not matter for the effect, but for choosing "
    "donors."
)


@style.house
def draw(content: RunContent) -> Figure | None:
    """One dot a period; None where periods have no weights."""
    weights = content.dataset("posterior").get("time_weight")
    if weights is None:
        return None
    draws, tail = flat(weights.transpose("chain", "draw", "period")), (1 - float(content.verdict["level"])) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    time = timeline(weights["period"].values)
    figure, (axes,) = style.canvas(2.6)
    axes.vlines(time.x, low, high, color=style.BLUE, linewidth=1.6, zorder=3)
    axes.plot(time.x, draws.mean(0), "o", color=style.BLUE, markersize=5.5, markeredgecolor=style.PAPER, zorder=4)
    axes.set_ylim(bottom=0)
    axes.margins(x=0.03)
    axes.grid(axis="y")
    style.title(axes, f"Weight of periods before, with its {level(content.verdict['level'])} interval")
    time.format(axes)
    return figure


def alt(content: RunContent) -> str:
    """The figure in words."""
    weights = content.dataset("posterior").get("time_weight")
    if weights is None:
        return ""
    mean, time = flat(weights.transpose("chain", "draw", "period")).mean(0), timeline(weights["period"].values)
    heaviest = ", ".join(f"{time.word(time.labels[k])} {mean[k]:.0%}" for k in np.argsort(-mean)[:4])
    return f"Weights of periods before the treatment, the heaviest first: {heaviest}."
