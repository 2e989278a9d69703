"""What a structural time series implies: paths, effects, likelihood of each outcome. NumPy throughout.

Leading dims of sites are whatever they are; the last is time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayes_causal.errors import EstimandError, closest
from bayes_causal.estimates import Estimand
from bayes_causal.models.series_design import SeriesDesign, padded
from bayes_causal.models.series_parts import SeriesPart

if TYPE_CHECKING:
    from bayes_causal.models.structural_time_series import StructuralTimeSeries

HELD = 2**16

Sites = Mapping[str, np.ndarray]


def paths(
    parts: Sequence[SeriesPart], sites: Mapping[str, np.ndarray], d: SeriesDesign, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """(..., T) what each part adds, on the standardised scale: drawn already, or built from the sites of a twin."""
    if parts[0].name in sites:
        return {p.name: sites[p.name][..., : d.rows] for p in parts}
    built = {p.name: p.path(sites, d.rows, rng) for p in parts}
    return built | {parts[0].name: built[parts[0].name] + d.first}


def in_blocks(
    f: Callable[[Sites, np.random.Generator], dict[str, np.ndarray]], sites: Sites, rows: int, seed: int
) -> dict[str, np.ndarray]:
    """`f` of (S, ...) sites, so many draws at a time that their (draw, row) arrays stay in the cache, on all cores.

    Every block has random numbers of its own: the same numbers of draws and rows give the same answer.
    """
    draws = len(sites["sigma"])
    starts = range(0, draws, max(1, HELD // rows))
    streams = np.random.default_rng(seed).spawn(len(starts))

    def block(k: int) -> dict[str, np.ndarray]:
        return f({name: v[starts[k] : starts[k] + starts.step] for name, v in sites.items()}, streams[k])

    first = block(0)
    if len(starts) == 1:
        return first
    found = {name: np.empty((draws, *v.shape[1:])) for name, v in first.items()}

    def fill(k: int) -> None:
        for name, v in (block(k) if k else first).items():
            found[name][starts[k] : starts[k] + starts.step] = v

    with ThreadPoolExecutor(os.cpu_count()) as cores:
        list(cores.map(fill, range(len(starts))))
    return found


def expected(paths: Mapping[str, np.ndarray], beta: np.ndarray | None, d: SeriesDesign) -> np.ndarray:
    """(..., T) the outcome without its error."""
    first, *others = paths.values()
    total = np.array(first) if beta is None else beta @ d.candidates.T
    for part in paths.values() if beta is not None else others:
        total += part
    return np.asarray(total)


def log_likelihood(model: StructuralTimeSeries, sites: Mapping[str, np.ndarray]) -> np.ndarray:
    """(S, N) log density of each fitted outcome given the states and the outcomes before it."""
    d = model.design
    mean = expected(paths(model.parts, sites, d, np.random.default_rng(0)), model.regression_prior.coefficients(sites, d), d)[
        :, d.fitted_rows
    ]
    return model.error_structure.log_likelihood(d.y[d.fitted_rows] - mean, sites, d)


def effect(model: StructuralTimeSeries, posterior: xr.Dataset, estimand: Estimand) -> xr.DataArray:
    """Draws of an estimand; see `StructuralTimeSeries.effect`."""
    refuse(model, estimand)
    outcome = xr.DataArray(model.series.dataset["outcome"].values, {"time": posterior["time"]}, ("time",))
    counterfactual = posterior["counterfactual"].transpose("chain", "draw", "time")
    if estimand.by == "time":
        after = np.arange(outcome.size) >= np.flatnonzero(model.series.post)[0]
        shown = after & np.isfinite(outcome.values)
        gap = (outcome - counterfactual).transpose("chain", "draw", "time").isel(time=np.flatnonzero(shown))
        if estimand.name == "att":
            return gap.rename("att")
        inside = xr.DataArray(model.series.post[shown], dims="time")
        return gap.where(inside, 0.0).cumsum("time").assign_coords(time=gap["time"]).rename("cumulative")
    without = counterfactual.values[..., counted(model)].sum(-1)
    labels = {d: posterior[d] for d in ("chain", "draw")}
    return xr.DataArray(answer(model, without, estimand), labels, ("chain", "draw"), name=estimand.name)


def refuse(model: StructuralTimeSeries, estimand: Estimand) -> None:
    """Raise EstimandError for what the model does not answer."""
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


def counted(model: StructuralTimeSeries) -> np.ndarray:
    """Positions of the dates overall answers are about: those of the post-period with an outcome."""
    d = model.design
    return np.flatnonzero(d.post & np.isfinite(d.y))


def answer(model: StructuralTimeSeries, without: np.ndarray, estimand: Estimand) -> np.ndarray:
    """(...) overall answers from (...) sums of the counterfactual over the dates counted, in units of the outcome."""
    used = counted(model)
    draws = model.series.dataset["outcome"].values[used].sum() - without
    scale = {"att": used.size, "cumulative": 1.0, "relative": without}
    return np.asarray(draws / scale[estimand.name])


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
    ahead = np.zeros(rows)
    ahead[counted(model)] = 1.0
    return span, SeriesSums(columns, observed, loading, advance, first_sd, slab, log_prior, np.asarray(d.first), ahead)
