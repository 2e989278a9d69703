"""The treated unit's distance from its weighted donors, among those of donors taken for treated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayes_causal.reports import style
from bayes_causal.reports.content import RunContent
from bayes_causal.reports.numbers import number
from bayes_causal.reports.timeline import Timeline, timeline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CAPTION = (
    "Outcome less the weighted donors: the treated unit (black), and each donor as if it had been treated (grey, from the check "
    "placebo_space). Where the black line leaves the grey ones only after the treatment, chance and the method's own slack are "
    "poor explanations. Lines that are far from zero before it are of units that no donors can follow."
)
Lines = dict[str, np.ndarray]


@style.house
def draw(content: RunContent) -> Figure | None:
    """One line a unit; None where the placebos were not run."""
    lines, own = _lines(content)
    if not own or len(lines) < 2:
        return None
    time, start = _time(content)
    figure, (axes,) = style.canvas(3.4)
    step = float(np.median(np.diff(time.x))) / 2
    axes.axvline(time.x[start] - step, color=style.MUTED, linewidth=1.0, linestyle=(0, (3, 2)), zorder=1)
    style.zero(axes)
    for k, gap in enumerate(gap for name, gap in lines.items() if name != own):
        axes.plot(time.x, gap, color="#aab3bc", linewidth=0.8, alpha=0.8, zorder=2, label="donors" if k == 0 else None)
    axes.plot(time.x, lines[own], color=style.BLACK, linewidth=1.8, zorder=4, label=style.clip(own, 30))
    axes.grid(axis="y")
    axes.margins(x=0.01, y=0.06)
    style.title(axes, style.clip(f"{content.unit}, less the weighted donors", 60), above_legend=True)
    style.legend(axes)
    time.format(axes)
    return figure


def alt(content: RunContent) -> str:
    """The figure in words."""
    lines, own = _lines(content)
    if not own:
        return ""
    _, start = _time(content)
    after = {name: float(np.mean(gap[start:])) for name, gap in lines.items()}
    beyond = sum(abs(v) >= abs(after[own]) for name, v in after.items() if name != own)
    return (
        f"Distance from the weighted donors over time: {own} is at {number(after[own])} on average after the treatment; {beyond} "
        f"of {len(after) - 1} donors taken for treated are as far from theirs."
    )


def _lines(content: RunContent) -> tuple[Lines, str]:
    """Gaps by unit, and the name of the treated unit; empty where there are none."""
    facts = content.dataset("constant_data")
    found = next((c.paths for c in content.checks if c.name == "placebo_space" and c.paths), {})
    own = str(facts["treated_unit"].values) if "treated_unit" in facts.coords else ""
    return {name: np.asarray(gap, float) for name, gap in found.items()}, own if own in found else ""


def _time(content: RunContent) -> tuple[Timeline, int]:
    facts = content.dataset("constant_data")
    return timeline(facts["time"].values), int(facts["post"].values.astype(bool).argmax())
