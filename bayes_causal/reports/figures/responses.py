"""Responses to the shock asked for, date after date, by the regime that it hits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayes_causal.reports import regimes, style
from bayes_causal.reports.content import RunContent
from bayes_causal.reports.numbers import compact

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CAPTION = (
    "Impulse responses: what a unit of the shock at date 0 adds to each outcome at that date and later ones, by the regime it "
    "hits, with bands of the study's level. Not summed: the sum over dates is what a level of the outcome moves by."
)
MOST, FEWEST, NOTABLE = 4, 4, 0.01


@style.house
def draw(content: RunContent) -> Figure | None:
    """One panel a series, the one asked for first; None without regimes, or where nothing lasts beyond the date of the shock."""
    names = _names(content)
    if not names:
        return None
    figure, panels = style.canvas(0.8 + 1.55 * len(names), (1,) * len(names), share_x=True)
    for axes, name in zip(panels, names, strict=True):
        _panel(axes, content, name)
        style.title(axes, name, above_legend=axes is panels[0])
        axes.tick_params(labelbottom=axes is panels[-1])
    style.legend(panels[0], 3)
    panels[-1].set_xlabel(f"Dates after a unit of {style.clip(content.labels['shock'], 30)}")
    panels[-1].locator_params(axis="x", integer=True, nbins=7)
    return figure


def alt(content: RunContent) -> str:
    """The figure in words."""
    if not regimes.regimes(content):
        return ""
    parts = []
    for name in _names(content):
        for k in regimes.regimes(content):
            values = [v for _, v, _, _ in _path(content, name, k)]
            parts.append(f"{name} in regime {k}: {compact(values[0])} at once, {compact(sum(values))} in sum")
    return f"Responses to a unit of {content.labels['shock']}. " + "; ".join(parts) + "."


def _names(content: RunContent) -> list[str]:
    if not regimes.regimes(content):
        return []
    found = [r for r in regimes.rows(content, "regime", "series", "shock", "horizon") if r["by"]["horizon"] > 0]
    if not any(r["value"] for r in found):
        return []
    names = list(dict.fromkeys(r["by"]["series"] for r in found))
    return sorted(names, key=lambda n: n != content.labels["series"])[:MOST]


def _last(content: RunContent) -> int:
    """The last horizon at which some interval is wider than a hundredth of the widest; a few at least."""
    found = regimes.rows(content, "regime", "series", "shock", "horizon")
    found = [r for r in found if r["by"]["shock"] == content.labels["shock"]]
    reach: dict[str, dict[int, float]] = {}
    for r in found:
        most, name, h = max(abs(r["lower"]), abs(r["upper"])), r["by"]["series"], r["by"]["horizon"]
        reach.setdefault(name, {})[h] = max(most, reach.get(name, {}).get(h, 0.0))
    return max(h for own in reach.values() for h, v in own.items() if h <= FEWEST or v > NOTABLE * max(own.values()))


def _path(content: RunContent, name: str, regime: int) -> list[tuple[int, float, float, float]]:
    """Horizon, value, lower and upper end of one series in one regime."""
    last = _last(content)
    asked = {"series": name, "shock": content.labels["shock"], "regime": regime}
    found = regimes.rows(content, "regime", "series", "shock", "horizon")
    kept = [r for r in found if r["by"]["horizon"] <= last and all(r["by"][k] == v for k, v in asked.items())]
    return [(r["by"]["horizon"], r["value"], r["lower"], r["upper"]) for r in sorted(kept, key=lambda r: r["by"]["horizon"])]


def _panel(axes: Axes, content: RunContent, name: str) -> None:
    style.zero(axes)
    for k in regimes.regimes(content):
        x, value, low, high = zip(*_path(content, name, k), strict=True)
        tone = regimes.color(content, k)
        axes.fill_between(x, low, high, color=tone, alpha=0.2, linewidth=0)
        axes.plot(x, value, "o-", color=tone, linewidth=1.6, markersize=3.5, label=f"regime {k}")
    axes.grid(axis="y")
    axes.margins(x=0.02, y=0.1)
    axes.locator_params(axis="y", nbins=4)
