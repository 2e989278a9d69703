"""estimate: a model and its tree to an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import xarray as xr

from bayes_causal.estimates import Estimand, Estimate, from_draws
from bayes_causal.models.base import Describes, Model


def estimate(
    model: Model,
    tree: xr.DataTree,
    name: str | Estimand | None = None,
    *,
    by: str | None = None,
    scale: Literal["mean", "realised"] | None = None,
    level: float = 0.9,
    interval: Literal["eti", "hdi"] = "eti",
    rope: Sequence[float] | None = None,
) -> Estimate:
    """The posterior's answer to an estimand.

    Parameters
    ----------
    name : str or Estimand, optional
        "att", "cumulative", "relative", ...; the model's headline if left out.
    by : str, optional
        "group" ("arm" where the panel has arms), "event_time", "cohort", "time", "unit", ...
    scale : {"mean", "realised"}, optional
        The model's headline scale if left out.
    level : float
        Probability of the interval.
    interval : {"eti", "hdi"}
        Equal tails, or the shortest.
    rope : (low, high), optional
        Region of practical equivalence, in units of the outcome: adds `prob_rope`.

    Raises
    ------
    EstimandError
        The model has no such estimand.
    """
    headline = model.headline if isinstance(model, Describes) else Estimand()
    if isinstance(name, Estimand):
        asked = name
    else:
        asked = Estimand(name or headline.name, scale or headline.scale, by)
    draws = model.effect(tree["posterior"].to_dataset(), asked)
    unit = model.unit if isinstance(model, Describes) else ""
    unit = "fraction" if asked.name == "relative" else unit
    return from_draws(draws, asked, model.name, level=level, interval=interval, rope=rope, unit=unit)
