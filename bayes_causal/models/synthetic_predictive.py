"""What a synthetic control implies: the outcome without treatment, effects, likelihood of each outcome. NumPy throughout.

Leading dims of sites are whatever they are; the last is time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayes_causal.errors import EstimandError, closest
from bayes_causal.estimates import Estimand
from bayes_causal.models.donor_design import DonorDesign
from bayes_causal.numerics import ar1

if TYPE_CHECKING:
    from bayes_causal.models.kinds import DonorModel
    from bayes_causal.models.synthetic_control import SyntheticControl

Sites = Mapping[str, np.ndarray]
KNOWN = ("att", "cumulative", "relative")


def expected(model: SyntheticControl, d: DonorDesign, sites: Sites) -> np.ndarray:
    """(..., T) the outcome without treatment and error, standardised; NaN in rows without an outcome."""
    total = model.kind.expected(d, sites)
    return np.asarray(total + sites["intercept"][..., None] if "intercept" in sites else total)


def counterfactual(model: SyntheticControl, d: DonorDesign, sites: Sites, rng: np.random.Generator) -> np.ndarray:
    """(..., O) the outcome without treatment in rows with an outcome, natural units, error and all.

    From the treatment on errors continue that of the last row fitted; before it each row is seen from the one before.
    """
    mean = expected(model, d, sites)
    outcome = mean + model.error_structure.ahead(mean, sites, d, rng)
    outcome[..., d.fitted_rows] = _one_ahead(d, sites, mean[..., d.fitted_rows], rng)
    return d.center + d.scale * outcome[..., d.seen]


def _one_ahead(d: DonorDesign, sites: Sites, mean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(..., N) draws of each fitted row given the outcome of the one before, from (..., N) means."""
    sigma, lead = sites["sigma"].ravel(), mean.shape[:-1]
    rho = sites["rho"].ravel() if "rho" in sites else np.zeros(sigma.size)
    flat = mean.reshape(sigma.size, -1)
    left = np.concatenate([np.zeros((sigma.size, 1)), (d.y[d.fitted_rows] - flat)[:, :-1]], 1)
    noise = ar1.innovation_sd(rho, sigma, d.gap) * rng.standard_normal(flat.shape)
    return np.asarray(flat + ar1.carry(rho, d.gap) * left + noise).reshape(*lead, -1)


def average(model: SyntheticControl, d: DonorDesign, sites: Sites, rng: np.random.Generator) -> np.ndarray:
    """(...,) draws of the average effect over treated rows, natural units."""
    gap = d.center + d.scale * d.y[d.seen] - counterfactual(model, d, sites, rng)
    return np.asarray(gap[..., d.treated[d.seen]].mean(-1))


def log_likelihood(model: SyntheticControl, sites: Sites) -> np.ndarray:
    """(S, N) log density of each fitted outcome given those before it, standardised scale."""
    d, rows = model.design, model.design.fitted_rows
    return model.error_structure.log_likelihood(d.y[rows] - expected(model, d, sites)[:, rows], sites, d)


def effect(model: DonorModel, posterior: xr.Dataset, estimand: Estimand) -> xr.DataArray:
    """Draws of an estimand from those of the counterfactual; see `SyntheticControl.effect`."""
    _refuse(model, estimand)
    d = model.design
    seen = d.seen_rows
    without = posterior["counterfactual"].transpose("chain", "draw", "time")
    outcome = xr.DataArray(d.center + d.scale * d.y[seen], {"time": without["time"]}, ("time",))
    gap, counted = outcome - without, d.treated[seen]
    if estimand.by:
        shown = np.flatnonzero(seen >= d.onset)
        path = gap.isel(time=shown)
        if estimand.name == "cumulative":
            path = path.where(xr.DataArray(counted[shown], dims="time"), 0.0).cumsum("time").assign_coords(time=path["time"])
        if estimand.by == "event_time":
            path = path.assign_coords(event_time=("time", seen[shown] - d.onset)).swap_dims(time="event_time").drop_vars("time")
        return path.transpose("chain", "draw", estimand.by).rename(estimand.name)
    used = np.flatnonzero(counted)
    draws = gap.isel(time=used).sum("time")
    if estimand.name == "att":
        draws = draws / used.size
    elif estimand.name == "relative":
        draws = draws / without.isel(time=used).sum("time")
    return draws.rename(estimand.name)


def _refuse(model: DonorModel, estimand: Estimand) -> None:
    """Raise EstimandError for what the model does not have."""
    if estimand.name not in KNOWN:
        raise EstimandError(f"{model.name} has no '{estimand.name}'{closest(estimand.name, KNOWN)}")
    if estimand.scale == "mean":
        raise EstimandError(
            f"{model.name} of one treated unit has no effect parameter: fitted to the time before alone, its effect is the "
            "outcome minus the counterfactual, noise and all. Ask for scale='realised'"
        )
    if estimand.by not in (None, "time", "event_time") or (estimand.by and estimand.name == "relative"):
        raise EstimandError(
            f"{model.name} breaks att and cumulative down by time or event_time, not {estimand.name} by '{estimand.by}'"
        )
