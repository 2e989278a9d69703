"""What the expectation is made of over time: level, seasons, regression."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayes_causal.reports import style
from bayes_causal.reports.content import RunContent
from bayes_causal.reports.expected import Band, Expected, band, expected, flat

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CAPTION = (
    "The parts that add up to the expectation, each with its band, in units of the outcome. After the intervention they go on as "
    "the "
    "model says: the level stays where it was, less and less surely, the seasons repeat, and the regression follows the controls."
)
MOST = 4


@style.house
def draw(content: RunContent) -> Figure | None:
    """One panel a part; None where the expectation has fewer than two."""
    found, parts = expected(content), _parts(content)
    if found is None or len(parts) < 2:
        return None
    figure, panels = style.canvas(0.6 + 1.25 * len(parts), (1,) * len(parts), share_x=True)
    for axes, (name, values) in zip(panels, parts.items(), strict=True):
        _panel(axes, found, values)
        style.title(axes, _words(name))
        axes.tick_params(labelbottom=axes is panels[-1])
    found.time.format(panels[-1])
    return figure


def alt(content: RunContent) -> str:
    """The figure in words."""
    spans = {name: np.nanmax(mean) - np.nanmin(mean) for name, (mean, _, _) in _parts(content).items()}
    return (
        "Parts of the expectation over time: "
        + "; ".join(f"{_words(n)} moves over a range of {v:.3g}" for n, v in spans.items())
        + "."
    )


def _parts(content: RunContent) -> dict[str, Band]:
    """Band of each part (T dates), by name: every posterior variable over time but the counterfactual, and the regression."""
    posterior, facts = content.dataset("posterior"), content.dataset("constant_data")
    level = float(content.verdict["level"])
    own = [str(n) for n, v in posterior.data_vars.items() if set(v.dims) == {"chain", "draw", "time"} and n != "counterfactual"]
    found = {name: band(flat(posterior[name]), level) for name in own[:MOST]}
    if "controls" in facts and "beta" in posterior:
        found["regression"] = band(flat(posterior["beta"]) @ _centred(facts).T, level)
    return found


def _centred(facts: xr.Dataset) -> np.ndarray:
    """(time, control) controls less their mean in the pre-period: the level holds the rest."""
    controls = facts["controls"].transpose("time", "control").values
    return np.asarray(controls - controls[facts["pre"].values.astype(bool)].mean(0))


def _panel(axes: Axes, found: Expected, values: Band) -> None:
    mean, low, high = values
    x = found.time.x
    step = float(np.median(np.diff(x))) / 2
    axes.axvspan(x[found.start] - step, x[found.stop] + step, color="#f3f5f7", zorder=0, linewidth=0)
    axes.fill_between(x, low, high, color=style.GREEN, alpha=0.2, linewidth=0)
    axes.plot(x, mean, color=style.GREEN, linewidth=1.3)
    axes.grid(axis="y")
    axes.margins(x=0.01, y=0.1)
    axes.locator_params(axis="y", nbins=4)


def _words(name: str) -> str:
    period, _, duration = name.removeprefix("seasonal_").partition("x")
    if not name.startswith("seasonal_"):
        return name.replace("_", " ").capitalize()
    return f"Season of {period}" + (f", each lasting {duration}" if duration else "")
