"""Effects by group: what pooling does to each, shown against the same group on its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.reports import draws, style
from bayes_causal.reports.content import RunContent
from bayes_causal.reports.numbers import level, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CAPTION = (
    "Each group's effect: pooled with the others (dot; thick bar 50%, thin bar the study's level) and estimated on its own "
    "(hollow square, two-way fixed effects with confidence interval; for units, outcomes less what its own untreated ones, "
    "or its own donors, lead to expect, with credible interval). The line between them is what pooling did: groups with "
    "little data move most, towards the mean of all groups (band). That mean is of one treatment; where treatments overlap, the "
    "headline counts all that are active. With effects by event time the two also differ in what they compare with: the period "
    "before onset here, all periods before it there. Intervals of single groups may run beyond the panel."
)

Row = Mapping[str, Any]


@style.house
def draw(content: RunContent) -> Figure | None:
    """Forest plot of group effects, pooled against unpooled, largest on top; None with fewer than two groups."""
    pooled, alone = _rows(content)
    if len(pooled) < 2:
        return None
    n = len(pooled)
    row_height = float(np.interp(n, [2, 20, 60], [0.42, 0.31, 0.215]))
    figure, (axes,) = style.canvas(1.25 + row_height * n)
    _centre(axes, content)
    style.zero(axes, vertical=True)
    y = np.arange(n)[::-1].astype(float)
    _alone(axes, pooled, alone, y)
    _pooled(axes, content, pooled, y)
    _finish(axes, content, pooled, alone, y)
    return figure


def alt(content: RunContent) -> str:
    """The figure in words."""
    pooled, _ = _rows(content)
    top, bottom = pooled[0], pooled[-1]
    apart = sum(r["lower"] > 0 or r["upper"] < 0 for r in pooled)
    return (
        f"Forest plot of {len(pooled)} {content.grouping}s' effects on {content.unit}, from {number(bottom['value'])} "
        f"({_name(bottom)}) to {number(top['value'])} ({_name(top)}); {apart} intervals exclude zero."
    )


def _rows(content: RunContent) -> tuple[list[Row], dict[str, Row]]:
    pooled = [r for r in content.pooled() if r["value"] is not None]
    return sorted(pooled, key=lambda r: -r["value"]), {_name(r): r for r in content.unpooled() if r["value"] is not None}


def _name(row: Row) -> str:
    return str(next(row["by"][k] for k in ("group", "arm", "unit") if k in row["by"]))


def _centre(axes: Axes, content: RunContent) -> None:
    """What groups are pooled to: their mean τ where the posterior holds it, else the headline."""
    tau, row = draws.scalar(content.dataset("posterior"), "tau"), content.headline
    low, value, high = row["lower"], row["value"], row["upper"]
    if tau is not None:
        tail = (1 - content.verdict["level"]) / 2
        low, high = np.quantile(tau, [tail, 1 - tail])
        value = tau.mean()
    if value is None:
        return
    label = "overall" if tau is None else f"mean of {content.grouping}s"
    axes.axvspan(low, high, color=style.SKY, alpha=0.22, linewidth=0, zorder=0, label=label)
    axes.axvline(value, color=style.SKY, linewidth=1.4, zorder=1)


def _pooled(axes: Axes, content: RunContent, rows: Sequence[Row], y: np.ndarray) -> None:
    thin, thick, dot = (1.4, 4.0, 6.5) if len(rows) <= 30 else (1.1, 2.8, 4.8)
    inner = draws.inner(content, rows, content.grouping)
    axes.hlines(y, [r["lower"] for r in rows], [r["upper"] for r in rows], color=style.BLUE, linewidth=thin, zorder=4)
    axes.hlines(y, inner[:, 0], inner[:, 1], color=style.BLUE, linewidth=thick, zorder=4)
    look: dict[str, Any] = {"color": style.BLUE, "markeredgecolor": style.PAPER, "label": f"pooled, {level(rows[0]['level'])}"}
    axes.plot([r["value"] for r in rows], y, "o", markersize=dot, zorder=5, **look)


def _alone(axes: Axes, rows: Sequence[Row], alone: Mapping[str, Row], y: np.ndarray) -> None:
    pairs = [(row, alone[_name(row)], k) for row, k in zip(rows, y, strict=True) if _name(row) in alone]
    if not pairs:
        return
    down = 0.27
    for row, single, k in pairs:
        axes.plot([single["value"], row["value"]], [k - down, k], color=style.ORANGE, linewidth=1, alpha=0.8, zorder=2)
        if single["lower"] is not None and single["upper"] is not None:
            axes.hlines(k - down, single["lower"], single["upper"], color="#b8c0c8", linewidth=1, zorder=2)
    x, height = [p[1]["value"] for p in pairs], [p[2] - down for p in pairs]
    size = 5 if len(rows) <= 30 else 3.8
    face: dict[str, Any] = {"color": style.PAPER, "markeredgecolor": style.VERMILLION, "markeredgewidth": 1.2, "markersize": size}
    axes.plot(x, height, "s", label="on its own", zorder=3, **face)


def _finish(axes: Axes, content: RunContent, pooled: Sequence[Row], alone: Mapping[str, Row], y: np.ndarray) -> None:
    small = len(pooled) > 30
    axes.set_yticks(y, [style.clip(_name(r), 22) for r in pooled], fontsize=8.5 if small else 10, color=style.INK)
    axes.set_ylim(-0.8, len(pooled) - 0.4)
    axes.set_xlim(*_limits(pooled, list(alone.values())))
    axes.grid(axis="x")
    axes.locator_params(axis="x", nbins=6)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(style.clip(f"Effect on {content.unit}", 60))
    style.legend(axes, 3, loc="lower right", bbox_to_anchor=(1, 1))


def _limits(pooled: Sequence[Row], alone: Sequence[Row]) -> tuple[float, float]:
    """Room for every pooled interval and every point; long intervals of single groups are cut."""
    names = {_name(r) for r in pooled}
    ends = [r[k] for r in pooled for k in ("lower", "upper")] + [r["value"] for r in alone if _name(r) in names] + [0.0]
    low, high = min(ends), max(ends)
    room = 0.08 * (high - low or 1.0)
    return low - room, high + room
