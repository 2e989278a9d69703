"""Draws behind the rows: found in the tree by what they are, and trusted only where they agree with the row they stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from bayes_causal.reports.content import RunContent
from bayes_causal.reports.expected import has_counterfactual

QUARTILE = 0.6744897501960817  # of the standard normal


def headline(content: RunContent, group: str = "posterior") -> np.ndarray | None:
    """(chain, draw) draws of the headline estimand from one group of the tree; None where the tree does not hold them."""
    data = content.dataset(group)
    values = scalar(data, content.verdict["estimand"])
    if values is None and content.verdict["scale"] == "realised":
        values = of_what_happened(data, content.dataset("constant_data"), content.verdict["estimand"])
    if values is None or not np.isfinite(values).any():
        return None
    if group == "posterior" and not _same(values, content.headline):
        return None
    return values


def inner(content: RunContent, rows: Sequence[Mapping[str, Any]], dim: str) -> np.ndarray:
    """(K, 2) ends of the central 50% interval of K rows broken down by `dim`.

    Quartiles of the draws where the posterior holds draws with the row's mean and standard deviation; else the normal's. Arms
    are the posterior's groups.
    """
    held = "group" if dim == "arm" else dim
    array = _array(content.dataset("posterior"), str(content.verdict["estimand"]), held)
    ends = []
    for row in rows:
        draws = _at(array, held, row["by"][dim])
        if draws is not None and _same(draws, row):
            ends.append(np.nanquantile(draws, [0.25, 0.75]))
        else:
            half = QUARTILE * (row["std_error"] or 0.0)
            ends.append(np.array([row["value"] - half, row["value"] + half]))
    return np.array(ends).reshape(-1, 2)


def density(values: np.ndarray, grid: np.ndarray, bandwidth: float) -> np.ndarray:
    """Gaussian kernel density of `values` (N,) on an even `grid` (G,), by smoothing a fine histogram; integrates to at most 1.

    Values beyond the grid count in the total, so that a part of a wide distribution is drawn at its true height.
    """
    step = grid[1] - grid[0]
    edges = np.append(grid - step / 2, grid[-1] + step / 2)
    counts = np.histogram(values, edges)[0] / (max(values.size, 1) * step)
    reach = int(np.ceil(4 * bandwidth / step))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / bandwidth) ** 2)
    return np.convolve(counts, kernel / kernel.sum(), mode="full")[reach : reach + grid.size]


def bandwidth(values: np.ndarray) -> float:
    """Silverman's rule of thumb with the smaller of sd and scaled interquartile range; positive unless all values are equal."""
    spread = values.std()
    quartiles = np.quantile(values, [0.25, 0.75])
    robust = (quartiles[1] - quartiles[0]) / (2 * QUARTILE)
    return 0.9 * (min(spread, robust) if robust > 0 else spread) * values.size**-0.2


def scalar(data: xr.Dataset, name: str) -> np.ndarray | None:
    """(chain, draw) draws of a variable; None where the group does not hold it, or it has other dims."""
    if name not in data or set(data[name].dims) != {"chain", "draw"}:
        return None
    return data[name].transpose("chain", "draw").values.astype(float)


def of_what_happened(data: xr.Dataset, facts: xr.Dataset, estimand: str) -> np.ndarray | None:
    """(chain, draw) draws of the observed outcome less the counterfactual over the post-period; None where they are not there."""
    if not has_counterfactual(data, facts) or estimand not in ("att", "cumulative", "relative"):
        return None
    used = facts["post"].values.astype(bool) & np.isfinite(facts["outcome"].values)
    total = facts["outcome"].values[used].sum()
    without = data["counterfactual"].transpose("chain", "draw", "time").values[..., used].sum(-1)
    divisor = {"att": used.sum(), "cumulative": 1, "relative": without}[estimand]
    return np.asarray((total - without) / divisor)


def _array(data: xr.Dataset, estimand: str, dim: str) -> xr.DataArray | None:
    for name in (f"{estimand}_{dim}", f"tau_{dim}", f"tau_{dim.removesuffix('_time')}"):
        if name in data and set(data[name].dims) == {"chain", "draw", dim}:
            return data[name]
    return None


def _at(array: xr.DataArray | None, dim: str, label: Any) -> np.ndarray | None:
    if array is None:
        return None
    where = np.flatnonzero([str(v) == str(label) for v in array[dim].values.tolist()])
    return array.isel({dim: int(where[0])}).values.astype(float) if where.size else None


def _same(draws: np.ndarray, row: Mapping[str, Any]) -> bool:
    if row["value"] is None or not row["std_error"]:
        return False
    near = abs(np.nanmean(draws) - row["value"]) <= 0.05 * row["std_error"]
    return bool(near and abs(np.nanstd(draws) / row["std_error"] - 1) <= 0.05)
