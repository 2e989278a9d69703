"""Every method's answer to the headline question, in one column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bayes_causal.reports import style
from bayes_causal.reports.content import RunContent
from bayes_causal.reports.glossary import method_label
from bayes_causal.reports.numbers import decimals, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CAPTION = (
    "The same overall effect by every method: the posterior (blue, its interval carried down as a band) and the frequentist "
    "estimates with confidence intervals. Methods that do not apply are named all the same."
)


@style.house
def draw(content: RunContent) -> Figure | None:
    """Dot and whisker of every method on the overall effect, the model on top; None where the model stands alone."""
    rows = _rows(content)
    if len(rows) < 2 or all(r["value"] is None for r in rows):
        return None
    figure, (axes,) = style.canvas(0.95 + 0.4 * len(rows))
    own = content.headline
    if own["value"] is not None:
        axes.axvspan(own["lower"], own["upper"], color=style.BLUE, alpha=0.1, linewidth=0, zorder=0)
    style.zero(axes, vertical=True)
    for k, row in enumerate(rows):
        _row(axes, row, len(rows) - 1 - k, own["method"])
    axes.set_yticks(range(len(rows))[::-1], [style.clip(method_label(r["method"]), 26) for r in rows], color=style.INK)
    axes.set_ylim(-0.6, len(rows) - 0.3)
    axes.margins(x=0.06)
    axes.grid(axis="x")
    axes.locator_params(axis="x", nbins=5)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(style.clip(f"Effect on {content.unit}", 60))
    return figure


def alt(content: RunContent) -> str:
    """The figure in words."""
    parts = []
    for row in _rows(content):
        value = "does not apply" if row["value"] is None else number(row["value"], decimals(row["std_error"], row["value"]))
        parts.append(f"{method_label(row['method'])} {value}")
    return f"Effect on {content.unit} by method: {'; '.join(parts)}."


def _rows(content: RunContent) -> list[Mapping[str, Any]]:
    first = content.headline["method"]
    return sorted(content.select(), key=lambda r: r["method"] != first)


def _row(axes: Axes, row: Mapping[str, Any], y: int, model: str) -> None:
    if row["value"] is None:
        words: dict[str, Any] = {"color": style.MUTED, "fontsize": 9.5, "style": "italic", "va": "center"}
        words |= {"bbox": {"facecolor": style.PAPER, "edgecolor": "none", "pad": 2}}
        axes.text(0.02, y, "does not apply here", transform=axes.get_yaxis_transform(), **words)
        return
    own = row["method"] == model
    color = style.BLUE if own else style.INK
    if row["lower"] is not None and row["upper"] is not None:
        axes.hlines(y, row["lower"], row["upper"], color=color, linewidth=3 if own else 1.4, zorder=3)
    marker, size = ("o", 9.0) if own else ("s", 6.5)
    axes.plot([row["value"]], [y], marker, color=color, markeredgecolor=style.PAPER, markersize=size, zorder=4)
