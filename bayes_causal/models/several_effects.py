"""Effects of several synthetic controls: cell by cell on the outcomes that happened, or the pooled averages of units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayes_causal.errors import EstimandError, closest
from bayes_causal.estimates import Estimand

if TYPE_CHECKING:
    from bayes_causal.models.several_treated import SeveralTreated

KNOWN = ("att", "cumulative", "relative")
BY = {"realised": ("time", "event_time", "unit", "cohort"), "mean": ("unit", "cohort")}
ALONG = ("time", "event_time")


@dataclass(frozen=True, eq=False)
class Cells:
    """C rows with an outcome, unit after unit.

    Parameters
    ----------
    outcome : (C,) natural units
    fitted, counted : (C,) rows before the treatment, and treated rows
    position : (C,) position of each row's unit; unit : (C,) its label
    time : (C,) label of the date; event_time : (C,) periods since the unit's treatment
    cohort : (V,) date of each unit's treatment
    """

    outcome: np.ndarray
    fitted: np.ndarray
    counted: np.ndarray
    position: np.ndarray
    unit: np.ndarray
    time: np.ndarray
    event_time: np.ndarray
    cohort: np.ndarray

    def labels(self, by: str) -> np.ndarray:
        """(C,) labels of a breakdown."""
        return self.cohort[self.position] if by == "cohort" else np.asarray(getattr(self, by))


def cells(model: SeveralTreated) -> Cells:
    """The rows of a model's units."""
    d, times = model.design, model.panel.dataset["time"].values
    position, date = np.nonzero(d.seen)
    row = date - d.first[position]
    of_row = [own.position[own.seen] for own in d.designs]
    onset = np.array([own.onset for own in d.designs])
    first = [times[own.position[own.seen & (np.arange(own.rows) >= own.onset)][0]] for own in d.designs]
    outcome = (d.center[:, None] + d.scale[:, None] * d.y)[d.seen]
    return Cells(
        outcome,
        d.fitted[d.seen],
        d.counted[d.seen] > 0,
        position,
        model.units[position],
        times[np.concatenate(of_row)],
        row - onset[position],
        np.array(first, times.dtype),
    )


def effect(model: SeveralTreated, posterior: xr.Dataset, estimand: Estimand) -> xr.DataArray:
    """Draws of an estimand; see `SeveralTreated.effect`."""
    _refuse(model, estimand)
    c, by = model.cells, estimand.by
    used = np.flatnonzero(c.counted)
    values, key = np.unique(c.labels(by)[used] if by else np.zeros(used.size), return_inverse=True)
    which = np.eye(values.size)[key]  # (cells, labels)
    without = posterior["counterfactual"].transpose("chain", "draw", "cell").values[..., used]
    if estimand.scale == "mean":
        each = posterior["tau_unit"].transpose("chain", "draw", "unit").values[..., c.position[used]]
    else:
        each = c.outcome[used] - without
    total, size = each @ which, which.sum(0)
    if estimand.name == "att":
        total = total / size
    elif estimand.name == "relative":
        total = total / (without @ which if estimand.scale == "realised" else c.outcome[used] @ which - total)
    elif by in ALONG:
        total = total.cumsum(-1)
    sample: dict[str, Any] = {k: posterior[k] for k in ("chain", "draw")}
    if by is None:
        return xr.DataArray(total[..., 0], sample, ("chain", "draw"), name=estimand.name)
    return xr.DataArray(total, sample | {by: values}, ("chain", "draw", by), name=estimand.name)


def _refuse(model: SeveralTreated, estimand: Estimand) -> None:
    """Raise EstimandError for what the model does not have."""
    if estimand.name not in KNOWN:
        raise EstimandError(f"{model.name} has no '{estimand.name}'{closest(estimand.name, KNOWN)}")
    by = BY[estimand.scale]
    if estimand.by in (None, *by) and not (estimand.name == "relative" and estimand.by in ALONG):
        return
    why = ": only the average of each unit is an effect parameter; ask for scale='realised'" if estimand.scale == "mean" else ""
    of = [b for b in by if estimand.name != "relative" or b not in ALONG]
    raise EstimandError(f"{model.name} breaks {estimand} down by {', '.join(of)}, not by '{estimand.by}'{why}")
