"""Which donors carry the weight, and what the effect would be without each of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.reports import style
from bayes_causal.reports.content import RunContent
from bayes_causal.reports.expected import flat
from bayes_causal.reports.numbers import level

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CAPTION = (
    "Above, the weight of the donors that carry most of it (dot; bar at the study's level). Below, the effect fitted anew "
    "without each of them (from the check leave_one_out); the band is the effect with all donors."
)
MOST = 12


@style.house
def draw(content: RunContent) -> Figure | None:
    """Two panels, one row a donor; the second only where donors were left out. None without weights."""
    names, weights = _weights(content)
    if not names:
        return None
    without = _without(content, names)
    height = 0.27 * len(names) + 0.75
    figure, panels = style.canvas(height * (2 if without else 1) + 0.3, (1, 1) if without else (1,))
    y = np.arange(len(names))[::-1].astype(float)
    low, mean, high = weights
    _rows(panels[0], names, y, low, mean, high, style.BLUE)
    if low.min() >= 0:
        panels[0].set_xlim(left=0)
    else:
        style.zero(panels[0], vertical=True)
    style.title(panels[0], f"Weight, with its {level(content.verdict['level'])} interval")
    if without:
        _effects(panels[1], content, names, without, y)
    return figure


def alt(content: RunContent) -> str:
    """The figure in words."""
    names, (_, mean, _) = _weights(content)
    if not names:
        return ""
    heaviest = ", ".join(f"{n} {m:.0%}" for n, m in zip(names[:4], mean[:4], strict=True))
    return f"Weights of donors, the heaviest first: {heaviest}."


def _weights(content: RunContent) -> tuple[list[str], tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Names and lower end, mean, upper end of the weights, the heaviest first."""
    posterior = content.dataset("posterior")
    if "weight" not in posterior or set(posterior["weight"].dims) != {"chain", "draw", "donor"}:
        return [], (np.empty(0),) * 3
    draws, tail = flat(posterior["weight"]), (1 - float(content.verdict["level"])) / 2
    order = np.argsort(-np.abs(draws.mean(0)))[:MOST]
    low, high = np.quantile(draws[:, order], [tail, 1 - tail], axis=0)
    return [str(posterior["donor"].values[k]) for k in order], (low, draws[:, order].mean(0), high)


def _without(content: RunContent, names: list[str]) -> dict[str, Mapping[str, Any]]:
    table = next((c.table for c in content.checks if c.name == "leave_one_out"), ())
    return {str(r["without"]): r for r in table if str(r.get("without")) in names}


def _effects(axes: Axes, content: RunContent, names: list[str], without: Mapping[str, Mapping[str, Any]], y: np.ndarray) -> None:
    v = content.verdict
    if v["lower"] is not None:
        axes.axvspan(v["lower"], v["upper"], color=style.SKY, alpha=0.22, linewidth=0, zorder=0)
        axes.axvline(v["value"], color=style.SKY, linewidth=1.4, zorder=1)
    style.zero(axes, vertical=True)
    low, value, high = (np.array([without[n][k] for n in names]) for k in ("lower", "value", "upper"))
    _rows(axes, names, y, low, value, high, style.VERMILLION)
    style.title(axes, style.clip(f"Effect on {content.unit} without the donor", 60))


def _rows(axes: Axes, names: list[str], y: np.ndarray, low: np.ndarray, mean: np.ndarray, high: np.ndarray, color: str) -> None:
    axes.hlines(y, low, high, color=color, linewidth=1.6, zorder=3)
    axes.plot(mean, y, "o", color=color, markersize=5.5, markeredgecolor=style.PAPER, zorder=4)
    axes.set_yticks(y, [style.clip(n, 22) for n in names], color=style.INK)
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=6)
