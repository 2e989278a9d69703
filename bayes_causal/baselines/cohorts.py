"""A panel seen as cohorts of units that start treatment once and stay treated: what staggered estimators assume."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.baselines.within import cluster_codes
from bayes_causal.errors import EstimandError, closest

if TYPE_CHECKING:
    from bayes_causal.data.panel import Panel

ABSORB = ("first_exposure",)


@dataclass(frozen=True, eq=False)
class Cohorts:
    """Units, their start, and nothing after their first exposure has changed.

    Attributes
    ----------
    y : (U, T) outcome, NaN where missing or cut off
    w : (U, T) precision weights
    z : (C, U, T) covariates
    start : (U,) position of the first treated period; T for never
    period : (T,) steps of the panel; labels : (T,) its time labels
    cluster : (U,) codes
    extra : facts for the estimate's `extra`
    """

    y: np.ndarray
    w: np.ndarray
    z: np.ndarray
    start: np.ndarray
    period: np.ndarray
    labels: np.ndarray
    cluster: np.ndarray
    extra: dict[str, Any]

    @property
    def never(self) -> np.ndarray:
        """(U,) units without treatment."""
        return self.start == len(self.period)

    @property
    def starts(self) -> np.ndarray:
        """Positions at which some unit starts, first period excluded: nothing is known of those units before."""
        return np.setdiff1d(self.start, [0, len(self.period)])

    @property
    def event(self) -> np.ndarray:
        """(U, T) periods since the start, NaN for never-treated units."""
        known = np.append(self.period.astype(float), np.nan)
        return self.period[None, :] - known[self.start][:, None]

    @property
    def treated(self) -> np.ndarray:
        """(U, T) treated cells that are observed."""
        return (np.arange(len(self.period)) >= self.start[:, None]) & ~np.isnan(self.y)


def why_not(panel: Panel, absorb: str | None) -> str:
    """Why the panel is not one of staggered adoption; empty where it is."""
    if absorb is not None and absorb not in ABSORB:
        raise EstimandError(f"absorb '{absorb}' does not exist{closest(absorb, ABSORB)}")
    treated = panel.treated & panel.observed
    if not treated.any():
        return "no observed cell is treated"
    start = _start(panel)
    if not ((start > 0) & (start < panel.dataset.sizes["time"])).any():
        return "every treated unit is treated from the first period on: nothing is known of it before"
    if absorb:
        return ""
    off, other = _changes(panel)
    remedy = "; absorb='first_exposure' keeps each unit up to the first change of its treatment"
    if off.any():
        return f"the treatment switches off in {int(off.any(1).sum())} units, and the method assumes that it stays on{remedy}"
    if other.any():
        units = int(other.any(1).sum())
        return f"treatments overlap or follow each other in {units} units, and the method knows one start a unit{remedy}"
    return ""


@lru_cache(maxsize=2)
def cohorts(panel: Panel, absorb: str | None, cluster: str | None) -> Cohorts:
    """The panel as cohorts; call `why_not` first. Kept, as every breakdown of every method on them asks again."""
    data, observed = panel.dataset, panel.observed
    off, other = _changes(panel)
    cut = np.logical_or.accumulate(off | other, axis=1)
    keep = observed & ~cut
    name, codes = cluster_codes(panel, cluster)
    y = np.where(keep, data["outcome"].values, np.nan)
    z = np.zeros((0, *y.shape))
    if "covariates" in data:
        z = np.moveaxis(data["covariates"].values, -1, 0)
    start = _start(panel)
    extra = {
        "cluster_by": name,
        "clusters": int(np.unique(codes[keep.any(1) & (start > 0)]).size),
        "cohorts": int(np.setdiff1d(start, [0, y.shape[1]]).size),
        "never_treated_units": int((start == y.shape[1]).sum()),
        "always_treated_units": int((start == 0).sum()),
    }
    if absorb:
        extra |= {"absorb": absorb, "cells_cut": int((observed & cut).sum())}
        extra["note"] = "effect of the first exposure, over the cells of that exposure only"
    w = np.where(keep, data["weight"].values, 0.0)
    return Cohorts(y, w, z, start, data["period"].values, data["time"].values, codes, extra)


def _start(panel: Panel) -> np.ndarray:
    """(U,) position of the first treated cell, observed or not; T for never."""
    return np.where(panel.ever_treated, panel.treated.argmax(1), panel.treated.shape[1])


def _changes(panel: Panel) -> tuple[np.ndarray, np.ndarray]:
    """(U, T) observed cells after the start that are untreated; that are treated by other groups than at the start."""
    active = panel.dataset["treatment"].values
    start, observed = _start(panel), panel.observed
    after = (np.arange(observed.shape[1]) > start[:, None]) & observed
    first = active[np.arange(len(start)), np.minimum(start, observed.shape[1] - 1)]
    treated = active.any(-1)
    return after & ~treated, after & treated & (active != first[:, None, :]).any(-1)
