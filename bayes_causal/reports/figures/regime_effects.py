"""Effects of shocks by regime: one panel a shock, one row a series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.reports import regimes, style
from bayes_causal.reports.content import RunContent
from bayes_causal.reports.numbers import decimals, level, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CAPTION = (
    "Effect of a unit of each shock at its own date, in sds of the series so that series compare: by regime (dots, the interval "
    "of the study's level) and averaged with today's probabilities of the regimes (hollow diamond). Where dots of one series lie "
    "apart, the regime matters."
)
MOST = 12

Row = Mapping[str, Any]


@style.house
def draw(content: RunContent) -> Figure | None:
    """Forest of effects by series and regime; None without regimes or effects."""
    found = regimes.rows(content, "regime", "series", "shock")
    if not regimes.regimes(content) or not found:
        return None
    shocks = list(dict.fromkeys(r["by"]["shock"] for r in found))
    shocks.sort(key=lambda s: s != content.labels["shock"])
    names = list(dict.fromkeys(r["by"]["series"] for r in found))[:MOST]
    height = 0.35 + 0.42 * len(names)
    figure, panels = style.canvas(0.7 + (height + 0.35) * len(shocks), (1,) * len(shocks))
    for axes, shock in zip(panels, shocks, strict=True):
        _panel(axes, content, shock, names)
        style.title(axes, f"{shock}, effect of a unit", above_legend=axes is panels[0])
    style.legend(panels[0], 4)
    panels[-1].set_xlabel("Effect, in sds of each series")
    return figure


def alt(content: RunContent) -> str:
    """The figure in words."""
    if not regimes.regimes(content):
        return ""
    asked = content.labels
    parts = []
    for row in regimes.rows(content, "regime", "series", "shock"):
        if all(row["by"][k] == v for k, v in asked.items()):
            places = decimals(row["std_error"], row["value"])
            span = f"{number(row['lower'], places)} to {number(row['upper'], places)}"
            parts.append(f"{number(row['value'], places)} ({span}) in regime {row['by']['regime']}")
    sure = level(content.verdict["level"])
    return f"Effects by regime, {sure} intervals; {asked['shock']} on {asked['series']}: {', '.join(parts)}."


def _panel(axes: Axes, content: RunContent, shock: str, names: list[str]) -> None:
    style.zero(axes, vertical=True)
    facts, numbers = content.dataset("constant_data")["outcomes"], regimes.regimes(content)
    scale = {n: float(facts.sel(series=n).std("time", ddof=1)) for n in names}
    place = {n: float(k) for k, n in enumerate(reversed(names))}
    offsets = np.linspace(0.26, -0.26, len(numbers) + 1)
    for k, down in zip(numbers, offsets[:-1], strict=True):
        some = [r for r in regimes.rows(content, "regime", "series", "shock") if r["by"]["regime"] == k]
        look = {"color": regimes.color(content, k), "label": f"regime {k}", "marker": "o", "markersize": 6}
        _dots(axes, [r for r in some if r["by"]["shock"] == shock], scale, place, down, look)
    average = [r for r in regimes.rows(content, "series", "shock") if r["by"]["shock"] == shock]
    look = {"color": style.INK, "label": "today", "marker": "D", "markersize": 5, "markerfacecolor": style.PAPER}
    _dots(axes, average, scale, place, offsets[-1], look)
    axes.set_yticks(list(place.values()), [style.clip(n, 22) for n in place], color=style.INK)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.grid(axis="x")
    axes.locator_params(axis="x", nbins=6)
    axes.spines["left"].set_visible(False)


def _dots(
    axes: Axes, found: list[Row], scale: Mapping[str, float], place: Mapping[str, float], down: float, look: dict[str, Any]
) -> None:
    kept = [r for r in found if r["by"]["series"] in place]
    y = [place[r["by"]["series"]] + down for r in kept]
    low, value, high = ([r[k] / scale[r["by"]["series"]] for r in kept] for k in ("lower", "value", "upper"))
    axes.hlines(y, low, high, color=look["color"], linewidth=1.8, zorder=3)
    axes.plot(value, y, linestyle="none", zorder=4, **look)
