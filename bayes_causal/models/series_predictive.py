"""What a structural time series implies: paths, effects, likelihood of each outcome. NumPy throughout.

Leading dims of sites are whatever they are; the last is time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayes_causal.errors import EstimandError, closest
from bayes_causal.estimates import Estimand
from bayes_causal.models.series_design import SeriesDesign, padded
from bayes_causal.models.series_parts import SeriesPart

if TYPE_CHECKING:
    from bayes_causal.models.structural_time_series import StructuralTimeSeries


def paths(
    parts: Sequence[SeriesPart], sites: Mapping[str, np.ndarray], d: SeriesDesign, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """(..., T) what each part adds, on the standardised scale: drawn already, or built from the sites of a twin."""
    if parts[0].name in sites:
        return {p.name: sites[p.name][..., : d.rows] for p in parts}
    built = {p.name: p.path(sites, d.rows, rng) for p in parts}
    return built | {parts[0].name: built[parts[0].name] + d.first}


def expected(paths: Mapping[str, np.ndarray], beta: np.ndarray | None, d: SeriesDesign) -> np.ndarray:
    """(..., T) the outcome without its error."""
    total = np.sum(list(paths.values()), 0) if len(paths) > 1 else next(iter(paths.values()))
    return np.asarray(total if beta is None else total + beta @ d.candidates.T)


def log_likelihood(model: StructuralTimeSeries, sites: Mapping[str, np.ndarray]) -> np.ndarray:
    """(S, N) log density of each fitted outcome given the states and the outcomes before it."""
    d = model.design
    mean = expected(paths(model.parts, sites, d, np.random.default_rng(0)), model.regression_prior.coefficients(sites, d), d)[
        :, d.fitted_rows
    ]
    return model.error_structure.log_likelihood(d.y[d.fitted_rows] - mean, sites, d)


def effect(model: StructuralTimeSeries, posterior: xr.Dataset, estimand: Estimand) -> xr.DataArray:
    """Draws of an estimand; see `StructuralTimeSeries.effect`."""
    known = ("att", "cumulative", "relative")
    if estimand.name not in known:
        raise EstimandError(f"{model.name} has no '{estimand.name}'{closest(estimand.name, known)}")
    if estimand.scale == "mean":
        raise EstimandError(
            f"{model.name} has no effect parameter: fitted to the pre-period alone, its effect is the outcome minus the "
            "counterfactual, noise and all. Ask for scale='realised'"
        )
    if estimand.by not in (None, "time") or (estimand.by == "time" and estimand.name == "relative"):
        raise EstimandError(f"{model.name} breaks att and cumulative down by time, not {estimand.name} by '{estimand.by}'")
    outcome = xr.DataArray(model.series.dataset["outcome"].values, {"time": posterior["time"]}, ("time",))
    counterfactual = posterior["counterfactual"].transpose("chain", "draw", "time")
    if estimand.by == "time":
        after = np.arange(outcome.size) >= np.flatnonzero(model.series.post)[0]
        shown = after & np.isfinite(outcome.values)
        gap = (outcome - counterfactual).transpose("chain", "draw", "time").isel(time=np.flatnonzero(shown))
        if estimand.name == "att":
            return gap.rename("att")
        counted = xr.DataArray(model.series.post[shown], dims="time")
        return gap.where(counted, 0.0).cumsum("time").assign_coords(time=gap["time"]).rename("cumulative")
    used = np.flatnonzero(model.series.post & np.isfinite(outcome.values))
    total, without = outcome.isel(time=used).sum("time"), counterfactual.isel(time=used).sum("time")
    draws = total - without
    if estimand.name == "att":
        draws = draws / used.size
    elif estimand.name == "relative":
        draws = draws / without
    return draws.rename(estimand.name)


def sums(model: StructuralTimeSeries, outcome: np.ndarray | None) -> tuple[int, Any]:
    """Rows that hold all fitted ones, padded to few sizes, and the data as the collapsed forms take them."""
    from bayes_causal.numerics.state_space import SeriesSums

    d, p = model.design, model.design.candidates.shape[1]
    span = padded(d.span)
    rows = max(span, padded(d.rows))
    y = np.zeros(d.rows)
    y[d.fitted] = (d.y[d.fitted] if outcome is None else outcome) - d.first
    columns = np.zeros((rows, p + 1))
    columns[: d.rows] = np.column_stack([d.candidates, y])
    observed = np.zeros(rows, bool)
    observed[: d.rows] = d.fitted
    slab, log_prior, _ = model.regression_prior.sums(d)
    parts = model.parts
    loading = np.concatenate([part.loading(rows) for part in parts], 1)
    advance = np.concatenate([np.tile(part.advance(rows)[:, None], (1, part.first_sd.size)) for part in parts], 1)
    first_sd = np.concatenate([part.first_sd for part in parts])
    return span, SeriesSums(columns, observed, loading, advance, first_sd, slab, log_prior, np.asarray(d.first))
