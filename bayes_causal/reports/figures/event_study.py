"""Effects by periods since onset: the posterior, and the frequentist answers beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.reports import draws, event_time, style
from bayes_causal.reports.content import RunContent
from bayes_causal.reports.event_time import when
from bayes_causal.reports.glossary import method_label
from bayes_causal.reports.numbers import decimals, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CAPTION = (
    "Effect by periods since the onset of treatment. Before onset (shaded) it should be near zero if treated and untreated units "
    "moved together; the period before onset is the reference and zero by definition. Thick bars or the dark band hold 50% of "
    "the posterior, thin bars or the light band the study's level; frequentist estimates stand beside them, with confidence "
    "intervals where there is room. An end marked ≤ or ≥ holds all event times beyond it for the posterior, its own alone for "
    "the others, whose further event times are in the table by event time. Where the model's effects do not vary over event "
    "time, its leads are those of the check pretrend."
)
CROWDED = 100  # marks (event times × methods) beyond which bars become ribbons
SMALL = 50  # marks beyond which they are drawn small
SPREAD = 0.26  # how far methods stand to either side of their event time

Row = Mapping[str, Any]


@style.house
def draw(content: RunContent) -> Figure | None:
    """Posterior and frequentist effects by event time; None where no row is broken down by it."""
    answers = _answers(content)
    if not answers:
        return None
    figure, (axes,) = style.canvas(3.9)
    times = sorted({when(row) for rows in answers.values() for row in rows} | {-1.0})
    axes.axvspan(times[0] - 0.6, -0.5, color="#f3f5f7", zorder=0, linewidth=0)
    style.zero(axes)
    marks = len(times) * len(answers)
    crowded, small = marks > CROWDED, marks > SMALL
    own = answers.pop(content.headline["method"], [])
    places = np.linspace(-SPREAD, SPREAD, len(answers) + 1) if answers else [0.0]
    _posterior(axes, content, own, 0.0 if crowded else places[0], crowded=crowded, small=small)
    for k, (method, rows) in enumerate(answers.items()):
        _frequentist(axes, method, rows, k, places[k + 1], whiskers=not crowded, small=small)
    if times[0] < -1 and not any(when(r) == -1 for r in own):
        at, size = -1 if crowded else -1 + places[0], 4.5 if small else 6
        axes.plot([at], [0], "o", color=style.PAPER, markeredgecolor=style.INK, markersize=size, zorder=5)
    bins = [float(end) for end in event_time.ends(content) if any(when(r) == end for r in own)]
    _finish(axes, content, _ticks(times, bins), legends=len(answers) + bool(own))
    axes.set_xlim(times[0] - 0.6, times[-1] + 0.6)
    return figure


def alt(content: RunContent) -> str:
    """The figure in words."""
    rows = next(iter(_answers(content).values()))
    leads = [r for r in rows if when(r) < -1]
    lags = [r for r in rows if when(r) >= 0]
    parts = []
    if leads:
        crossing = sum(r["lower"] is not None and r["lower"] <= 0 <= r["upper"] for r in leads)
        parts.append(f"{crossing} of {len(leads)} intervals before onset contain zero")
    if lags:
        ends = [number(r["value"], decimals(r["std_error"], r["value"])) for r in (lags[0], lags[-1])]
        parts.append(f"the effect is {ends[0]} at onset and {ends[1]} after {int(when(lags[-1]))} periods")
    return f"Effects on {content.unit} by periods since onset: {'; '.join(parts)}."


def _answers(content: RunContent) -> dict[str, list[Row]]:
    """Rows by method, the model first, in the order of event time and no further out than the model's window."""
    found: dict[str, list[Row]] = {}
    first, (low, high) = content.headline["method"], event_time.ends(content)
    rows = content.select("event_time")
    if not any(row["method"] == first for row in rows):
        rows = [*_refitted_leads(content), *rows]
    for row in rows:
        if row["value"] is not None and low <= when(row) <= high:
            found.setdefault(row["method"], []).append(row)
    order = [m for m in (first, *(m for m in found if m != first)) if m in found]
    return {m: sorted(found[m], key=when) for m in order}


def _refitted_leads(content: RunContent) -> list[Row]:
    """The leads that the check `pretrend` fitted where the data identify them."""
    tables = [c.table for c in content.checks if c.name == "pretrend" and c.passed is not None]
    keys = ("value", "std_error", "lower", "upper")
    leads = [row for table in tables for row in table if {"event_time", *keys} <= set(row)]
    method = content.headline["method"]
    return [{k: row[k] for k in keys} | {"method": method, "by": {"event_time": row["event_time"]}} for row in leads]


def _posterior(axes: Axes, content: RunContent, rows: Sequence[Row], offset: float, *, crowded: bool, small: bool) -> None:
    if not rows:
        return
    label = method_label(content.headline["method"])
    thin, thick, dot = (1.2, 3.0, 4.6) if small else (1.4, 4.5, 6.5)
    x = np.array([when(r) for r in rows]) + offset
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
        axes.vlines(x, low, high, color=style.BLUE, linewidth=thin, zorder=3)
        axes.vlines(x, first, third, color=style.BLUE, linewidth=thick, zorder=3)
        look: dict[str, Any] = {"markeredgecolor": style.PAPER, "markeredgewidth": 0.5 if small else 1.0, "markersize": dot}
        axes.plot(x, value, "o", color=style.BLUE, label=label, zorder=4, **look)


def _through_reference(x: np.ndarray, curves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same curves (K, C) passing through zero at the reference period, where there are leads and no row for it."""
    at = int(np.searchsorted(x, -1))
    if -1 in x or at == 0:
        return x, curves
    return np.insert(x, at, -1.0), np.insert(curves, at, 0.0, axis=0)


def _frequentist(
    axes: Axes, method: str, rows: Sequence[Row], position: int, offset: float, *, whiskers: bool, small: bool
) -> None:
    color, marker = style.mark(method, position)
    x = np.array([when(r) for r in rows]) + offset
    if whiskers:
        low, high = ([np.nan if r[k] is None else r[k] for r in rows] for k in ("lower", "upper"))
        axes.vlines(x, low, high, color=color, linewidth=0.8 if small else 1.1, zorder=2)
    size, layer = (3.4 if small else 5.0, 3) if whiskers else (3.6, 5)
    axes.plot(x, [r["value"] for r in rows], marker, color=color, markersize=size, label=method_label(method), zorder=layer)


def _finish(axes: Axes, content: RunContent, ticks: dict[float, str], *, legends: int) -> None:
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.locator_params(axis="y", nbins=6)
    axes.grid(axis="y")
    axes.set_xlabel("Periods since onset")
    columns = 2 if legends > 1 else 1
    lines = -(-legends // columns)
    axes.set_title(style.clip(f"Effect on {content.unit}", 62), pad=10 + 15 * lines)
    style.legend(axes, columns)


def _ticks(times: Sequence[float], bins: Sequence[float]) -> dict[float, str]:
    """Labels of at most about nine event times; the bins at both ends say that they hold what lies beyond."""
    from matplotlib.ticker import MaxNLocator

    every = MaxNLocator(9, integer=True).tick_values(times[0], times[-1])
    near = 0.7 * (every[1] - every[0])
    shown = [t for t in every if times[0] <= t <= times[-1] and all(abs(t - end) >= near for end in bins)]
    return {t: event_time.written(t, bins) for t in sorted([*shown, *bins])}
