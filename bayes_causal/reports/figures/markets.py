"""Markets of a geo test: the smallest effect found in each, by how long the test runs, and in all of them at the longest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayes_causal.reports import style
from bayes_causal.reports.numbers import level

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINES = 5  # markets that can be told apart
ROWS = 25  # in the lower panel
COLOURS = (style.BLUE, style.VERMILLION, style.GREEN, style.ORANGE, style.PURPLE)


@style.house
def picture(found: xr.Dataset) -> Figure:
    """What `bayes_causal.market_power` returns: the first markets by length above, all of them at the longest below."""
    rows = min(found.sizes["market"], ROWS)
    figure, (top, bottom) = style.canvas(2.9 + 0.8 + 0.21 * rows, (2.9, 0.8 + 0.21 * rows))
    per = 100 if found.attrs["scale"] == "relative" else 1
    _by_length(top, found, per)
    _by_market(bottom, found, per, rows)
    return figure


def _unit(found: xr.Dataset) -> str:
    return f"% of {found.attrs['unit']}" if found.attrs["scale"] == "relative" else str(found.attrs["unit"])


def _by_length(axes: Axes, found: xr.Dataset, per: float) -> None:
    lengths, mde = found["duration"].values, per * found["mde"].values
    axes.plot(lengths, mde[LINES:].T, color=style.FAINT, linewidth=1.0, zorder=1)
    for m in reversed(range(min(LINES, len(mde)))):
        label = style.clip(str(found["market"].values[m]), 16)
        axes.plot(lengths, mde[m], color=COLOURS[m], marker="o", markersize=4, linewidth=1.8, label=label, zorder=3)
    axes.set_ylim(bottom=0)
    axes.set_xticks(lengths)
    axes.grid(axis="y")
    axes.locator_params(axis="y", nbins=5)
    axes.set_xlabel(f"Length of the test, {found.attrs['step']}s")
    said = f"Smallest effect found with {level(found.attrs['power'])} probability, {_unit(found)}"
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2, borderpad=0.2)
    axes.set_title(style.clip(said, 62), pad=26 if len(labels) <= 3 else 44)


def _by_market(axes: Axes, found: xr.Dataset, per: float, rows: int) -> None:
    last = found.isel(duration=-1, market=slice(0, rows))
    value, error = per * last["mde"].values, per * np.nan_to_num(last["mde_error"].values)
    at, often = np.arange(rows), last["alarms_too_often"].values
    for which, colour, label in ((~often, style.BLUE, "_"), (often, style.FAILED, "too many false alarms")):
        if which.any():
            axes.hlines(at[which], (value - error)[which], (value + error)[which], color=colour, linewidth=1.4)
            axes.plot(value[which], at[which], "o", markersize=4, color=colour, label=label)
    axes.set_yticks(at, [style.clip(str(m), 22) for m in last["market"].values])
    axes.set_ylim(rows - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.grid(axis="x")
    axes.locator_params(axis="x", nbins=6)
    h = int(found["duration"].values[-1])
    more = f", the first {rows} of {found.sizes['market']}" if rows < found.sizes["market"] else ""
    style.title(axes, style.clip(f"The same over {h} {found.attrs['step']}s, by market{more}", 62))
    if often.any():
        axes.legend(loc="upper right")
