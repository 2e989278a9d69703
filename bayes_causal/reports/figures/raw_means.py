"""Raw means: what treated and untreated units did, before any model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayes_causal.reports import style
from bayes_causal.reports.content import RunContent
from bayes_causal.reports.numbers import number
from bayes_causal.reports.timeline import Timeline, timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CAPTION = (
    "Mean outcome of units that are treated at some time and of units that never are, and below it the share of all cells under "
    "treatment; ticks mark where treatments begin. Nothing is adjusted: a difference here is not yet an effect."
)
LINES = {"treated": (style.BLUE, "-", 2.2), "untreated": (style.MUTED, (0, (4, 1.6)), 1.8)}


@style.house
def draw(content: RunContent) -> Figure | None:
    """Mean outcome by status over time, with the share of treated cells and the onsets below; None without raw means."""
    data = content.dataset("constant_data")
    if not _has_means(data):
        return None
    time = timeline(data["time"].values)
    figure, (top, strip) = style.canvas(3.7, (4, 1), share_x=True)
    _means(top, data["raw_mean"], time)
    style.title(top, f"Mean {_outcome(content)}", above_legend=True)
    style.legend(top)
    _share(strip, data, time)
    _onsets(strip, data, time)
    time.format(strip)
    return figure


def alt(content: RunContent) -> str:
    """The figure in words."""
    data = content.dataset("constant_data")
    time = timeline(data["time"].values)
    first, last = time.ends
    parts = []
    for status in data["status"].values:
        values = data["raw_mean"].sel(status=status).values
        finite = values[np.isfinite(values)]
        if finite.size:
            parts.append(f"{status} units go from {number(finite[0])} to {number(finite[-1])}")
    return f"Line chart of mean {_outcome(content)} from {first} to {last}: {'; '.join(parts)}."


def _has_means(data: xr.Dataset) -> bool:
    return "raw_mean" in data and bool(np.isfinite(data["raw_mean"].values).any())


def _means(axes: Axes, means: xr.DataArray, time: Timeline) -> None:
    few = time.labels.size <= 15
    for status in means["status"].values:
        color, dash, width = LINES.get(str(status), (style.INK, ":", 1.5))
        values = means.sel(status=status).values
        if np.isfinite(values).any():
            marker = "o" if few else "None"
            look: dict[str, Any] = {"color": color, "linestyle": dash, "linewidth": width, "markersize": 4.5}
            axes.plot(time.x, values, marker=marker, label=f"{status} units", **look)
    axes.grid(axis="y")
    axes.margins(x=0.02, y=0.12)
    axes.locator_params(axis="y", nbins=6)
    axes.tick_params(labelbottom=False)


def _share(axes: Axes, data: xr.Dataset, time: Timeline) -> None:
    from matplotlib.ticker import PercentFormatter

    if "active_cells" not in data or "raw_count" not in data:
        axes.set_visible(False)
        return
    cells = data["raw_count"].sum("status").values.astype(float)
    active = data["active_cells"].values.astype(float)
    share = 100 * np.divide(active, cells, out=np.zeros_like(cells), where=cells > 0)
    axes.fill_between(time.x, share, step="mid", color=style.SKY, alpha=0.45, linewidth=0)
    axes.step(time.x, share, where="mid", color=style.BLUE, linewidth=1)
    axes.set_ylim(0, max(share.max() * 1.25, 1e-9))
    axes.yaxis.set_major_formatter(PercentFormatter(decimals=0 if share.max() > 4 else 1))
    axes.locator_params(axis="y", nbins=2)
    axes.set_title("Share of cells under treatment", fontsize=10, color=style.MUTED, pad=5)


def _onsets(axes: Axes, data: xr.Dataset, time: Timeline) -> None:
    if "group_start" not in data:
        return
    starts = np.unique(time.place(data["group_start"].values))
    starts = starts[np.isfinite(starts)]
    if starts.size:
        look: dict[str, Any] = {"color": style.VERMILLION, "markersize": 11, "markeredgewidth": 1.6, "clip_on": False}
        axes.plot(starts, np.zeros_like(starts), "|", zorder=5, **look)


def _outcome(content: RunContent) -> str:
    return str((content.study.get("data") or {}).get("outcome") or content.unit)
