"""Estimands of difference-in-differences as linear combinations of coefficients, and aggregates of a panel for a report."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from scipy import sparse

from bayes_causal.data.panel import Panel
from bayes_causal.errors import EstimandError
from bayes_causal.estimates import Estimand
from bayes_causal.models.did_effects import EffectStructure

BREAKDOWNS = ("group", "arm", "event_time", "cohort", "time", "unit")


def contraction(
    panel: Panel, structure: EffectStructure, by: str | None, *, over: str = "columns", leads: bool = True
) -> tuple[Any, np.ndarray, np.ndarray]:
    """What averages the effect over the treated cells of each label.

    Parameters
    ----------
    by : {"group", "arm", "event_time", "cohort", "time", "unit"}, optional
        Arms are the groups of a panel that has arms.
    over : {"columns", "rows", "units"}
        Weights on the K coefficients, on the N rows (for realised effects), or on the slopes of the U units.
    leads : bool
        By event time, add a label for each lead that has a coefficient.

    Returns
    -------
    weights : (B, K), (B, N) sparse, or (B, U)
    labels : (B,) labels of `by`
    cells : (B,) number of treated cells (pairs, for group and event time)

    Raises
    ------
    EstimandError
        No such breakdown, one by unit where units are kept as sums, or realised effects by group where treatments overlap: the
        outcome does not tell them apart.
    """
    here = [b for b in BREAKDOWNS if b not in ("group", "arm") or b == panel.grouping]
    if by is not None and by not in here:
        raise EstimandError(f"difference-in-differences has no effect by '{by}' here; it has {', '.join(here)}")
    if by == "unit" and "copies" in panel.dataset:
        raise EstimandError(
            "the effect by unit does not exist here: units that share a path are summed, and rows are not in memory"
        )
    pairs = structure.pairs
    key, labels = pair_labels(panel, structure, by)
    by_pair = by in ("group", "arm", "event_time")
    if over == "rows" and by_pair and pairs.row.size > np.unique(pairs.row).size:
        raise EstimandError(
            f"the realised effect by {by} does not exist here: treatments overlap, and one outcome holds their sum"
        )
    one_row_each = np.ones(pairs.row.size, bool) if by_pair else np.r_[True, pairs.row[1:] != pairs.row[:-1]]
    cells = np.bincount(key[one_row_each], pairs.copies[one_row_each], labels.size)
    bins = sparse.csr_array((pairs.copies.astype(float), (key, np.arange(key.size))), shape=(labels.size, key.size))
    if over == "rows":
        first = np.flatnonzero(one_row_each)
        rows = sparse.csr_array(
            (pairs.copies[first].astype(float), (key[first], pairs.row[first])), shape=(labels.size, pairs.n_rows)
        )
        return sparse.csr_array(rows.multiply(1 / cells[:, None])), labels, cells
    if over == "units":
        unit = np.nonzero(panel.observed)[0][pairs.row]
        each = sparse.csr_array((np.ones(unit.size), (np.arange(unit.size), unit)), shape=(unit.size, panel.observed.shape[0]))
        return np.asarray((bins @ each).toarray()) / cells[:, None], labels, cells
    weights = np.asarray(bins @ structure.pair_columns) / cells[:, None]
    if leads and by == "event_time":
        before = structure.leads()
        return np.vstack([before.weights, weights]), np.r_[before.event, labels], np.r_[before.cells, cells]
    return weights, labels, cells


def pair_labels(panel: Panel, structure: EffectStructure, by: str | None) -> tuple[np.ndarray, np.ndarray]:
    """(P,) position of each pair's label, and the (B,) labels that occur."""
    pairs, data = structure.pairs, panel.dataset
    unit, time = np.nonzero(panel.observed)
    if by is None:
        return np.zeros(pairs.row.size, int), np.zeros(1)
    if by in ("group", "arm"):
        key, values = pairs.group, data["group"].values
    elif by == "time":
        key, values = time[pairs.row], data["time"].values
    elif by == "unit":
        key, values = unit[pairs.row], data["unit"].values
    elif by == "cohort":
        key, values = np.searchsorted(data["period"].values, panel.first_period[unit[pairs.row]]), data["time"].values
    else:
        values, key = np.unique(np.minimum(pairs.event, structure.last), return_inverse=True)
    used, key = np.unique(key, return_inverse=True)
    return key, values[used]


def weights_without(panel: Panel, structure: EffectStructure, units: np.ndarray) -> np.ndarray:
    """(P, K) weights that average the effect over the treated cells of all but (P, U) bool sets of units."""
    pairs, unit = structure.pairs, np.nonzero(panel.observed)[0]
    of_pair = sparse.csr_array(
        (np.ones(pairs.row.size), (unit[pairs.row], np.arange(pairs.row.size))), (units.shape[1], pairs.row.size)
    )
    cells = (panel.observed & panel.treated).sum(1)
    kept = (~units).astype(float)
    return np.asarray(kept @ (of_pair @ structure.pair_columns) / (kept @ cells)[:, None])


def told(
    draws: np.ndarray,
    posterior: xr.Dataset,
    estimand: Estimand,
    panel: Panel,
    labels: np.ndarray,
    cells: np.ndarray,
    untreated: np.ndarray | None = None,
) -> xr.DataArray:
    """Mean effects (S, B), or (chain, draw, B), as the estimand asks for them: summed, or relative to the counterfactual.

    `untreated`, of the same shape, is the mean counterfactual outcome; left out, it is the observed mean less the effect.
    """
    draws = draws.reshape(posterior.sizes["chain"], posterior.sizes["draw"], -1)
    if estimand.name == "cumulative":
        draws = draws * cells
    elif estimand.name == "relative":
        without = treated_mean(panel, estimand.by, labels) - draws if untreated is None else untreated.reshape(draws.shape)
        draws = draws / without
    sample = {d: posterior[d] for d in ("chain", "draw")}
    if estimand.by is None:
        return xr.DataArray(draws[..., 0], sample, ("chain", "draw"), name=estimand.name)
    return xr.DataArray(draws, sample | {estimand.by: labels}, ("chain", "draw", estimand.by), name=estimand.name)


def treated_mean(panel: Panel, by: str | None, labels: np.ndarray) -> np.ndarray:
    """(B,) mean observed outcome of the treated cells, overall, by time, cohort or unit."""
    y = panel.dataset["outcome"].values
    unit, time = np.nonzero(panel.observed & panel.treated)
    data = panel.dataset
    onset = np.searchsorted(data["period"].values, panel.first_period[unit])
    keys: dict[str | None, np.ndarray] = {
        None: np.zeros(unit.size),
        "time": data["time"].values[time],
        "unit": data["unit"].values[unit],
        "cohort": data["time"].values[np.minimum(onset, data.sizes["time"] - 1)],
    }
    if by not in keys:
        raise EstimandError(f"the relative effect does not exist by {by}; it does overall, by time, cohort and unit")
    position = np.searchsorted(labels, keys[by])
    copies = panel.copies[unit]
    return np.bincount(position, copies * y[unit, time], labels.size) / np.bincount(position, copies, labels.size)


def panel_summary(panel: Panel) -> xr.Dataset:
    """Aggregates of a panel for the report.

    Returns
    -------
    xarray.Dataset
        `raw_mean`, `raw_count` (status, time) of units ever treated and never treated; `active_cells` (time); `group_start`,
        `group_end` (first and last active time), `group_units`, `group_cells` (group).
    """
    data, y, seen = panel.dataset, panel.dataset["outcome"].values, panel.observed
    copies = panel.copies
    status = np.stack([panel.ever_treated, ~panel.ever_treated]) * copies.astype(float)
    count = status @ seen
    total = status @ np.where(seen, y, 0.0)
    active = data["treatment"].values & seen[..., None]
    by_time = active.any(0)
    last = by_time.shape[0] - 1 - by_time[::-1].argmax(0)
    mean = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    variables: dict[str, Any] = {
        "raw_mean": (("status", "time"), mean),
        "raw_count": (("status", "time"), count.astype(np.int64)),
        "active_cells": ("time", copies @ active.any(2)),
        "group_start": ("group", data["time"].values[by_time.argmax(0)]),
        "group_end": ("group", data["time"].values[last]),
        "group_units": ("group", copies @ active.any(1)),
        "group_cells": ("group", copies @ active.sum(1)),
    }
    coords = {"status": ["treated", "untreated"], "time": data["time"].values, "group": data["group"].values}
    return xr.Dataset(variables, coords)
