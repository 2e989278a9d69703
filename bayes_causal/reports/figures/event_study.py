"""Effects by periods since onset: the posterior, and the frequentist answers beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.reports import draws, style
from bayes_causal.reports.content import RunContent
from bayes_causal.reports.glossary import method_label
from bayes_causal.reports.numbers import decimals, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CAPTION = (
    "Effect by periods since the onset of treatment. Before onset (shaded) it should be near zero if treated and untreated units "
    "moved together; the period before onset is the reference and zero by definition. Thick bars or the dark band hold 50% of "
    "the posterior, thin bars or the light band the study's level; frequentist estimates stand beside them, with confidence "
    "intervals where there is room."
)
CROWDED = 50  # marks (event times × methods) beyond which bars become ribbons
SPREAD = 0.26  # how far methods stand to either side of their event time

Row = Mapping[str, Any]


@style.house
def draw(content: RunContent) -> Figure | None:
    """Posterior and frequentist effects by event time; None where no row is broken down by it."""
    answers = _answers(content)
    if not answers:
        return None
    figure, (axes,) = style.canvas(3.9)
    times = sorted({_when(row) for rows in answers.values() for row in rows} | {-1.0})
    axes.axvspan(times[0] - 0.6, -0.5, color="#f3f5f7", zorder=0, linewidth=0)
    style.zero(axes)
    crowded = len(times) * len(answers) > CROWDED
    own = answers.pop(content.headline["method"], [])
    places = np.linspace(-SPREAD, SPREAD, len(answers) + 1) if answers else [0.0]
    _posterior(axes, content, own, 0.0 if crowded else places[0], crowded=crowded)
    for k, (method, rows) in enumerate(answers.items()):
        _frequentist(axes, method, rows, k, places[k + 1], whiskers=not crowded)
    if times[0] < -1 and not any(_when(r) == -1 for r in own):
        axes.plot(
            [-1 if crowded else -1 + places[0]], [0], "o", color=style.PAPER, markeredgecolor=style.INK, markersize=6, zorder=5
        )
    _finish(axes, content, times, legends=len(answers) + bool(own))
    return figure


def alt(content: RunContent) -> str:
    """The figure in words."""
    rows = next(iter(_answers(content).values()))
    leads = [r for r in rows if _when(r) < -1]
    lags = [r for r in rows if _when(r) >= 0]
    parts = []
    if leads:
        crossing = sum(r["lower"] <= 0 <= r["upper"] for r in leads)
        parts.append(f"{crossing} of {len(leads)} intervals before onset contain zero")
    if lags:
        ends = [number(r["value"], decimals(r["std_error"], r["value"])) for r in (lags[0], lags[-1])]
        parts.append(f"the effect is {ends[0]} at onset and {ends[1]} after {int(_when(lags[-1]))} periods")
    return f"Effects on {content.unit} by periods since onset: {'; '.join(parts)}."


def _answers(content: RunContent) -> dict[str, list[Row]]:
    """Rows by method, the model first, in the order of event time."""
    found: dict[str, list[Row]] = {}
    for row in content.select("event_time"):
        if row["value"] is not None and np.isfinite(_when(row)):
            found.setdefault(row["method"], []).append(row)
    first = content.headline["method"]
    order = [m for m in (first, *(m for m in found if m != first)) if m in found]
    return {m: sorted(found[m], key=_when) for m in order}


def _when(row: Row) -> float:
    """Event time as a number; the end bins may be written as words that hold one, as ``≤−6``."""
    label = row["by"]["event_time"]
    if isinstance(label, (int, float)):
        return float(label)
    number_ = re.search(r"[-−]?\d+(\.\d+)?", str(label))
    return float(number_[0].replace("−", "-")) if number_ else float("nan")


def _posterior(axes: Axes, content: RunContent, rows: Sequence[Row], offset: float, *, crowded: bool) -> None:
    if not rows:
        return
    label = method_label(content.headline["method"])
    x = np.array([_when(r) for r in rows]) + offset
    ends = np.array([[r[k] if r[k] is not None else r["value"] for k in ("value", "lower", "upper")] for r in rows], float)
    curves = np.hstack([ends, draws.inner(content, rows, "event_time")])
    if crowded:
        x, curves = _through_reference(x, curves)
    value, low, high, first, third = curves.T
    if crowded:
        axes.fill_between(x, low, high, color=style.BLUE, alpha=0.16, linewidth=0)
        axes.fill_between(x, first, third, color=style.BLUE, alpha=0.32, linewidth=0)
        axes.plot(x, value, color=style.BLUE, linewidth=1.8, label=label, zorder=4)
    else:
        axes.vlines(x, low, high, color=style.BLUE, linewidth=1.4, zorder=3)
        axes.vlines(x, first, third, color=style.BLUE, linewidth=4.5, zorder=3)
        axes.plot(x, value, "o", color=style.BLUE, markeredgecolor=style.PAPER, markersize=6.5, label=label, zorder=4)


def _through_reference(x: np.ndarray, curves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same curves (K, C) passing through zero at the reference period, where there are leads and no row for it."""
    at = int(np.searchsorted(x, -1))
    if -1 in x or at == 0:
        return x, curves
    return np.insert(x, at, -1.0), np.insert(curves, at, 0.0, axis=0)


def _frequentist(axes: Axes, method: str, rows: Sequence[Row], position: int, offset: float, *, whiskers: bool) -> None:
    color, marker = style.mark(method, position)
    x = np.array([_when(r) for r in rows]) + offset
    if whiskers:
        low, high = ([np.nan if r[k] is None else r[k] for r in rows] for k in ("lower", "upper"))
        axes.vlines(x, low, high, color=color, linewidth=1.1, zorder=2)
    size, layer = (5.0, 3) if whiskers else (3.6, 5)
    axes.plot(x, [r["value"] for r in rows], marker, color=color, markersize=size, label=method_label(method), zorder=layer)


def _finish(axes: Axes, content: RunContent, times: Sequence[float], *, legends: int) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlim(times[0] - 0.6, times[-1] + 0.6)
    axes.xaxis.set_major_locator(MaxNLocator(9, integer=True))
    axes.locator_params(axis="y", nbins=6)
    axes.grid(axis="y")
    axes.set_xlabel("Periods since onset")
    columns = 2 if legends > 1 else 1
    lines = -(-legends // columns)
    axes.set_title(style.clip(f"Effect on {content.unit}", 62), pad=10 + 15 * lines)
    style.legend(axes, columns)
