"""Which controls the expectation is made of: how surely each is in the model, and with what weight."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayes_causal.reports import style
from bayes_causal.reports.content import RunContent
from bayes_causal.reports.expected import flat
from bayes_causal.reports.numbers import level, probability

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CAPTION = (
    "Dots: what a move of one sd of the control (in the pre-period) does to the outcome, with its interval, averaged over models "
    "with and without it. Bars, where the model chooses among controls: the probability that it takes the control in. A control "
    "that is hardly in hardly bears on the answer; one that carries it should be beyond the reach of the intervention."
)
MOST = 25


@style.house
def draw(content: RunContent) -> Figure | None:
    """Inclusion probabilities and coefficients of the controls, surest on top; None without controls."""
    posterior, facts = content.dataset("posterior"), content.dataset("constant_data")
    if "beta" not in posterior or "control" not in posterior["beta"].dims:
        return None
    order, included = _order(posterior)
    effect = flat(posterior["beta"]) * _sds(facts, posterior)
    figure, axes = _panels(0.9 + 0.34 * len(order), included is not None)
    y = np.arange(len(order))[::-1]
    names = [style.clip(str(posterior["control"].values[k]), 22) for k in order]
    if included is not None:
        _inclusion(axes[0], included[order], y)
    _weights(axes[-1], effect[:, order], y, content)
    axes[0].set_yticks(y, names, color=style.INK)
    if len(axes) > 1:
        axes[1].tick_params(labelleft=False)
    return figure


def alt(content: RunContent) -> str:
    """The figure in words."""
    posterior = content.dataset("posterior")
    if "beta" not in posterior or "control" not in posterior["beta"].dims:
        return ""
    order, included = _order(posterior)
    names = posterior["control"].values
    if included is None:
        return f"Coefficients of {len(names)} controls with intervals."
    parts = [f"{names[k]} {probability(float(included[k]))}" for k in order]
    return f"Probability that a control is in the model: {', '.join(parts)}."


def _order(posterior: xr.Dataset) -> tuple[np.ndarray, np.ndarray | None]:
    """Positions of the controls, surest (or largest) first, and their inclusion probabilities where they are selected."""
    size = np.abs(flat(posterior["beta"]).mean(0))
    if "inclusion" not in posterior or bool((posterior["inclusion"] == 1).all()):
        return np.argsort(-size)[:MOST], None
    included = flat(posterior["inclusion"]).mean(0)
    return np.lexsort((-size, -included))[:MOST], included


def _sds(facts: xr.Dataset, posterior: xr.Dataset) -> np.ndarray:
    """(control,) sd of each control in the pre-period; 1 where the tree does not hold the controls."""
    if "controls" not in facts:
        return np.ones(posterior.sizes["control"])
    before = facts["controls"].transpose("time", "control").values[facts["pre"].values.astype(bool)]
    return np.asarray(before.std(0, ddof=1))


def _panels(height: float, both: bool) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(style.WIDTH, height), layout=ConstrainedLayoutEngine(w_pad=0.09, h_pad=0.09))
    return figure, list(figure.subplots(1, 1 + both, squeeze=False, sharey=True)[0])


def _inclusion(axes: Axes, included: np.ndarray, y: np.ndarray) -> None:
    axes.barh(y, 100 * included, height=0.55, color=style.SKY)
    axes.set_xlim(0, 100)
    axes.set_ylim(-0.6, len(y) - 0.4)
    axes.set_xticks([0, 50, 100])
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("In the model, %")


def _weights(axes: Axes, effect: np.ndarray, y: np.ndarray, content: RunContent) -> None:
    tail = (1 - float(content.verdict["level"])) / 2
    low, high = np.quantile(effect, [tail, 1 - tail], axis=0)
    style.zero(axes, vertical=True)
    axes.hlines(y, low, high, color=style.BLUE, linewidth=2.2)
    axes.plot(effect.mean(0), y, "o", color=style.BLUE, markeredgecolor=style.PAPER, markersize=6.5, zorder=4)
    axes.set_ylim(-0.6, len(y) - 0.4)
    axes.grid(axis="x")
    axes.locator_params(axis="x", nbins=4)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(f"Effect of one sd ({level(float(content.verdict['level']))})")
