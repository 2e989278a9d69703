"""The headline effect: what was believed before the data, and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayes_causal.reports import draws, style
from bayes_causal.reports.content import RunContent
from bayes_causal.reports.numbers import decimals, level, number, probability

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CAPTION = (
    "Posterior density of the headline effect, its interval shaded, and the prior as a dashed line. Where the two look alike, "
    "the data said little. The grey band, if there is one, is the region of practical equivalence."
)


@style.house
def draw(content: RunContent) -> Figure | None:
    """Posterior and prior density of the headline estimand with interval, zero line and region of practical equivalence."""
    posterior = draws.headline(content)
    if posterior is None or posterior.std() == 0:
        return None
    sample = posterior[np.isfinite(posterior)]
    figure, (axes,) = style.canvas(3.4)
    grid = _grid(content, sample)
    _region(axes, content)
    height = _posterior(axes, content, sample, grid)
    _prior(axes, content, grid)
    axes.axvline(0, color=style.INK, linewidth=0.9)
    _finish(axes, content, grid, height)
    return figure


def alt(content: RunContent) -> str:
    """The figure in words."""
    row = content.headline
    places = decimals(row["std_error"], row["value"])
    return (
        f"Posterior density of the effect on {content.unit}: mean {number(row['value'], places)}, {level(row['level'])} interval "
        f"{number(row['lower'], places)} to {number(row['upper'], places)}; {probability(row['prob_positive'])} above zero."
    )


def _grid(content: RunContent, sample: np.ndarray) -> np.ndarray:
    """512 points over the posterior and zero, and over the region of practical equivalence unless that dwarfs them."""
    low, high = np.quantile(sample, [0.001, 0.999])
    width = high - low
    ends = [low - 0.15 * width, high + 0.15 * width]
    if min(abs(low), abs(high)) < 3 * width:
        ends += [-0.05 * width, 0.05 * width]
    ends += [end for end in content.study.get("rope") or () if low - width < end < high + width]
    return np.linspace(min(ends), max(ends), 512)


def _region(axes: Axes, content: RunContent) -> None:
    rope = content.study.get("rope")
    if rope:
        axes.axvspan(*rope, color="#e9ecef", zorder=0, linewidth=0, label="practically zero")


def _posterior(axes: Axes, content: RunContent, sample: np.ndarray, grid: np.ndarray) -> float:
    row = content.headline
    curve = draws.density(sample, grid, draws.bandwidth(sample))
    inside = (grid >= row["lower"]) & (grid <= row["upper"])
    label = f"{level(row['level'])} interval"
    axes.fill_between(grid, curve, where=inside, color=style.BLUE, alpha=0.25, linewidth=0, label=label)
    axes.plot(grid, curve, color=style.BLUE, linewidth=2.2, label="posterior")
    axes.plot([row["value"]], [0], "o", color=style.BLUE, markersize=7, clip_on=False, zorder=5)
    return float(curve.max())


def _prior(axes: Axes, content: RunContent, grid: np.ndarray) -> None:
    prior = draws.headline(content, "prior")
    if prior is None:
        return
    sample = prior[np.isfinite(prior)]
    width = draws.bandwidth(sample) if sample.size > 1 else 0.0
    if width > 0:
        wide = np.linspace(sample.min() - 3 * width, sample.max() + 3 * width, 1024)
        curve = np.interp(grid, wide, draws.density(sample, wide, width), left=0, right=0)
        axes.plot(grid, curve, color=style.MUTED, linewidth=1.6, linestyle=(0, (4, 2)), label="prior")


def _finish(axes: Axes, content: RunContent, grid: np.ndarray, height: float) -> None:
    axes.set_xlim(grid[0], grid[-1])
    axes.set_ylim(0, height * 1.12)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=6)
    axes.set_xlabel(style.clip(f"Effect on {content.unit}", 60))
    row = content.headline
    places = decimals(row["std_error"], row["value"])
    words = f"Mean {number(row['value'], places)}, P(effect > 0) {probability(row['prob_positive'])}"
    style.title(axes, words, above_legend=True)
    style.legend(axes, 4)
