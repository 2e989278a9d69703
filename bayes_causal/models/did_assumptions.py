"""What must be true for the att of difference-in-differences to be causal, and the checks that bear on it."""

from __future__ import annotations

from bayes_causal.models.base import Assumption
from bayes_causal.models.did_families import Family


def assumptions(response: Family) -> tuple[Assumption, ...]:
    """Those of a family of outcomes: trends are parallel on the scale of its link."""
    scale = "" if response.linear else f" on the scale of the {response.link}"
    trends = f"Without the treatment, treated and untreated units would have moved in parallel{scale}, given covariates."
    ahead = "Units do not react to a treatment before it starts."
    alone = "The treatment of one unit does not change another unit's outcome (no spillovers)."
    chosen = "Units are not selected into treatment because of a temporary high or low just before it."
    shape = "Effects add up where treatments overlap, stop when a treatment stops, and vary only as the structure lets them."
    return (
        Assumption("parallel trends", trends, ("pretrend", "placebo_time")),
        Assumption("no anticipation", ahead, ("pretrend",)),
        Assumption("no interference", alone, ()),
        Assumption("selection on levels only", chosen, ("selection", "placebo_time")),
        Assumption("effect structure", shape, ("twfe_weights", "leave_one_out", "posterior_predictive")),
        Assumption("error model", response.assumption, ("posterior_predictive", "few_clusters", "log_shift")),
    )
