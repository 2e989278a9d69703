"""Could the model have produced these data? Outcomes it simulates against outcomes observed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayes_causal.reports import draws, style
from bayes_causal.reports.content import RunContent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CAPTION = (
    "Distribution of the observed outcomes (black) against data simulated from the fitted model (blue, one line a simulation). "
    "Where the black line leaves the bundle, the model misses a feature of the data."
)
MOST_DRAWS, MOST_CELLS, DISCRETE = 40, 20_000, 15


@style.house
def draw(content: RunContent) -> Figure | None:
    """Density (cumulative shares where the outcome takes few values) of observed and simulated outcomes."""
    found = _samples(content)
    if found is None:
        return None
    observed, simulated = found
    figure, (axes,) = style.canvas(3.1)
    discrete = np.unique(observed).size <= DISCRETE or observed.std() == 0
    low, high = np.quantile(np.concatenate([observed, simulated.ravel()]), [0.001, 0.999])
    room = 0.05 * (high - low or 1.0)
    grid = np.linspace(low - room, high + room, 400)
    width = 0.0 if discrete else draws.bandwidth(observed)
    for values in simulated:
        axes.plot(grid, _curve(values[np.isfinite(values)], grid, width), color=style.BLUE, alpha=0.22, linewidth=0.9)
    axes.plot([], [], color=style.BLUE, linewidth=1.4, label="simulated from the model")
    axes.plot(grid, _curve(observed, grid, width), color=style.BLACK, linewidth=2, label="observed", zorder=4)
    axes.set_xlim(grid[0], grid[-1])
    axes.set_ylim(bottom=0)
    if not discrete:
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=6)
    outcome = str((content.study.get("data") or {}).get("outcome") or content.unit)
    axes.set_xlabel(style.clip(f"{outcome}{', cumulative share' if discrete else ''}", 60))
    style.legend(axes, 2)
    return figure


def alt(content: RunContent) -> str:
    """The figure in words."""
    found = _samples(content)
    if found is None:
        return ""
    observed, simulated = found
    return (
        f"Distribution of {observed.size:,} observed outcomes (mean {observed.mean():.4g}, sd {observed.std():.4g}) against "
        f"{len(simulated)} simulated data sets (mean {np.nanmean(simulated):.4g}, sd {np.nanstd(simulated):.4g})."
    )


def _samples(content: RunContent) -> tuple[np.ndarray, np.ndarray] | None:
    """Observed (N,) and simulated (S, N) outcomes of the same cells, thinned; None where the tree lacks either."""
    simulated, observed = content.dataset("posterior_predictive"), content.dataset("observed_data")
    shared = [name for name in simulated.data_vars if name in observed]
    if not shared:
        return None
    y = observed[shared[0]]
    y_rep = simulated[shared[0]].stack(sample=("chain", "draw")).transpose("sample", *y.dims)
    y_rep = y_rep.isel(sample=np.linspace(0, y_rep.sizes["sample"] - 1, min(MOST_DRAWS, y_rep.sizes["sample"])).astype(int))
    flat, rep = y.values.ravel().astype(float), y_rep.values.reshape(y_rep.sizes["sample"], -1).astype(float)
    cells = np.flatnonzero(np.isfinite(flat))
    cells = cells[:: max(1, -(-cells.size // MOST_CELLS))]
    return (flat[cells], rep[:, cells]) if cells.size > 1 else None


def _curve(values: np.ndarray, grid: np.ndarray, width: float) -> np.ndarray:
    if width > 0:
        return draws.density(values, grid, width)
    return np.searchsorted(np.sort(values), grid, side="right") / max(values.size, 1)
