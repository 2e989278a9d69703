"""Does the model produce data like these (posterior), and effects a person would hold possible (prior)?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from bayes_causal.checks.base import Check, answers, needs_rows, said
from bayes_causal.estimates import Estimand, Estimate, from_draws
from bayes_causal.models.base import Describes, Model

TAIL = 0.005
SPIKE = 0.01


def posterior_predictive(model: Model, tree: xr.DataTree) -> Check:
    """Statistics of replicated data against the observed ones: spread, tails, skew, mass at the lowest value, autocorrelation.

    A statistic outside all but 1 % of the replicates is a feature of the data that the model does not have. Whether it
    matters for the effect depends on the feature: autocorrelation does, for its interval; a spike at zero does where effects
    work through it.
    """
    if unable := needs_rows("posterior_predictive", model):
        return unable
    if "posterior_predictive" not in tree.children or "y" not in tree["observed_data"]:
        return Check("posterior_predictive", None, "warning", "Does not apply: the model draws no replicated data.")
    blocks = list(_blocks(tree))
    table: list[dict[str, Any]] = []
    for labels, observed, replicated, starts in blocks:
        lowest = observed.min()
        spike = bool((observed == lowest).sum() > max(1, SPIKE * observed.size))
        seen, drawn = (_statistics(y, starts, lowest, spike) for y in (observed[None], replicated))
        for name, values in drawn.items():
            below = float((values <= seen[name][0]).mean())
            p = 2 * min(below, 1 - below) if below < 1 else 0.0
            low, high = np.quantile(values, [0.05, 0.95])
            row = {"statistic": name, "observed": float(seen[name][0])} | {"replicated_low": float(low)}
            table.append(labels | row | {"replicated_high": float(high), "p_value": p})
    off = [r for r in table if r["p_value"] < 2 * TAIL]
    numbers = {f"p_{_name(r).replace(' ', '_')}": r["p_value"] for r in table}
    if not off:
        statistics = ", ".join(dict.fromkeys(r["statistic"] for r in table))
        text = f"Replicated data look like the observed ones in all {len(table)} statistics ({statistics})."
        return Check("posterior_predictive", True, "warning", text, numbers, table)
    shown = "; ".join(
        f"{_name(r)} {r['observed']:.3g} (in replicated data {r['replicated_low']:.3g} to {r['replicated_high']:.3g})"
        for r in off
    )
    noise = "autocorrelation within units" in [r["statistic"] for r in off]
    matters = (
        "the interval of the effect may be too narrow or too wide" if noise else "ask whether effects could work through that"
    )
    text = f"The observed data have what the model's own do not: {shown}. An average effect can be right all the same; {matters}."
    return Check("posterior_predictive", False, "warning", text, numbers, table)


def _name(row: Mapping[str, Any]) -> str:
    return f"{row['series']} {row['statistic']}" if "series" in row else str(row["statistic"])


def _blocks(tree: xr.DataTree) -> Iterator[tuple[dict[str, Any], np.ndarray, np.ndarray, np.ndarray | None]]:
    """Labels, (N,) observed and (S, N) replicated data, and which rows begin a unit; several series one by one."""
    held = tree["observed_data"].to_dataset()["y"]
    drawn = tree["posterior_predictive"].to_dataset()["y"]
    if "series" in held.dims:
        for k, name in enumerate(held["series"].values):
            replicated = drawn.isel(series=k).transpose("chain", "draw", "time").values
            observed = held.isel(series=k).values
            yield {"series": str(name)}, observed, replicated.reshape(-1, observed.size), np.arange(observed.size) == 0
        return
    observed = held.values.ravel()
    units = tree["observed_data"].coords.get("unit_of_row")
    starts = None if units is None else np.r_[True, units.values[1:] != units.values[:-1]]
    if "time_of_row" in tree["observed_data"].coords:
        starts = np.arange(observed.size) == 0  # one series: rows follow each other from the first on
    yield {}, observed, drawn.values.reshape(-1, observed.size), starts


def _statistics(y: np.ndarray, starts: np.ndarray | None, lowest: float, spike: bool) -> dict[str, np.ndarray]:
    """(S,) a statistic of (S, N) data; rows of one unit are adjacent, `starts` marks the first."""
    mean, sd = y.mean(1), y.std(1)
    z = (y - mean[:, None]) / np.where(sd > 0, sd, 1.0)[:, None]
    found = {"sd": sd, "skewness": (z**3).mean(1), "minimum": y.min(1), "maximum": y.max(1)}
    if spike:
        found["share at the lowest value"] = (y <= lowest + 1e-12 * abs(lowest)).mean(1)
    if starts is None or starts.all():
        return found
    first = np.flatnonzero(starts)
    size = np.diff(np.r_[first, y.shape[1]])
    within = y - np.repeat(np.add.reduceat(y, first, axis=1) / size, size, axis=1)
    follows = np.flatnonzero(~starts)
    found["autocorrelation within units"] = (within[:, follows] * within[:, follows - 1]).sum(1) / (within**2).sum(1)
    return found


def prior_predictive(model: Model, tree: xr.DataTree) -> Check:
    """The prior on the scale of the estimand: which effects it held possible before the data."""
    headline = model.headline if isinstance(model, Describes) else Estimand()
    unit = model.unit if isinstance(model, Describes) else ""
    asked = replace(headline, by=None)
    before, after = (
        [(labels, from_draws(draws, asked, group, level=0.9)) for labels, draws in answers(model.effect(held, asked))]
        for group, held in (("prior", tree["prior"].to_dataset()), ("posterior", tree["posterior"].to_dataset()))
    )
    table = [labels | _moved(prior, posterior) for (labels, prior), (_, posterior) in zip(before, after, strict=True)]
    worst = max(table, key=lambda r: float(r["distance_in_prior_sd"]))
    labels = before[0][0]
    numbers = {k: v for k, v in worst.items() if k not in labels}
    of = f" of {said({k: worst[k] for k in labels})}" if labels else ""
    distance, low, high = numbers["distance_in_prior_sd"], numbers["prior_lower"], numbers["prior_upper"]
    span = f"Before the data, the model put 90% on effects{of} between {low:.3g} and {high:.3g} {unit}"
    if distance > 3:
        text = f"{span}; the posterior mean lies {distance:.1f} prior sds away: the prior and the data disagree."
        return Check("prior_predictive", False, "warning", text, numbers, table if labels else ())
    text = f"{span}. The data reduced the sd by {numbers['shrinkage_of_sd']:.0%}."
    return Check("prior_predictive", True, "info", text, numbers, table if labels else ())


def _moved(prior: Estimate, posterior: Estimate) -> dict[str, float]:
    """What one effect was before the data, and how far they moved it."""
    numbers = {
        "prior_mean": float(prior.value),
        "prior_sd": float(prior.std_error),
        "prior_lower": float(prior.lower),
        "prior_upper": float(prior.upper),
        "posterior_sd": float(posterior.std_error),
        "shrinkage_of_sd": 1 - float(posterior.std_error / prior.std_error),
    }
    return numbers | {"distance_in_prior_sd": abs(float(posterior.value - prior.value)) / float(prior.std_error)}
