"""Did the chains agree? Trace and ranks of the headline effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.reports import draws, style
from bayes_causal.reports.content import RunContent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CAPTION = (
    "Above, the headline effect draw by draw, one colour a chain: level and well mixed if sampling went well. Below, how often "
    "each chain's draws fall into each twentieth of all draws: flat, inside the grey band of chance, if the chains agree."
)
MOST_POINTS, BINS = 500, 20


@style.house
def draw(content: RunContent) -> Figure | None:
    """Trace above, rank histograms below; None where the tree holds no draws of the headline."""
    values = draws.headline(content)
    if values is None or values.shape[1] < BINS:
        return None
    figure, (trace, ranks) = style.canvas(4.2, (1.1, 1))
    _trace(trace, values, content)
    _ranks(ranks, values)
    return figure


def alt(content: RunContent) -> str:
    """The figure in words."""
    values = draws.headline(content)
    if values is None:
        return ""
    means = values.mean(1)
    apart = (means.max() - means.min()) / values.std()
    chains, count = values.shape
    return f"Trace and rank plots of {chains} chains of {count:,} draws; chain means differ by at most {apart:.2f} posterior sd."


def _trace(axes: Axes, values: np.ndarray, content: RunContent) -> None:
    step = max(1, values.shape[1] // MOST_POINTS)
    x = np.arange(0, values.shape[1], step)
    for k, chain in enumerate(values):
        axes.plot(x, chain[::step], color=style.CHAINS[k % len(style.CHAINS)], linewidth=0.55, alpha=0.75)
    axes.margins(x=0)
    axes.locator_params(axis="y", nbins=5)
    axes.set_xlabel("Draw")
    style.title(axes, f"Effect on {content.unit}")


def _ranks(axes: Axes, values: np.ndarray) -> None:
    chains, count = values.shape
    order = np.empty(values.size)
    order[np.argsort(values, axis=None, kind="stable")] = np.arange(values.size)
    bins = np.linspace(0, values.size, BINS + 1)
    share = 1 / BINS
    chance = 2 * np.sqrt(share * (1 - share) * (1 - 1 / chains) / count) if chains > 1 else 0.0
    axes.axhspan(100 * (share - chance), 100 * (share + chance), color="#eceff2", linewidth=0, zorder=0)
    for k, chain in enumerate(order.reshape(values.shape)):
        heights = 100 * np.histogram(chain, bins)[0] / count
        look: dict[str, Any] = {"color": style.CHAINS[k % len(style.CHAINS)], "linewidth": 1.6, "label": f"chain {k + 1}"}
        axes.stairs(heights, np.linspace(0, 100, BINS + 1), baseline=None, **look)
    axes.set_ylim(0, None)
    axes.margins(x=0)
    axes.locator_params(axis="y", nbins=4)
    axes.set_xlabel("Rank among all draws, %")
    axes.set_title("Share of a chain’s draws, %", pad=24)
    style.legend(axes, 4)
