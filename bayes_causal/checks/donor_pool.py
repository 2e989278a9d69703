"""Can the donors stand in for the treated unit, and which of them do?"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from bayes_causal.checks.base import Check, needs_donors
from bayes_causal.checks.unit_by_unit import unit_by_unit
from bayes_causal.models.base import Model
from bayes_causal.models.donor_design import DonorDesign
from bayes_causal.models.kinds import DonorModel

FAR = 0.25  # sds of the pre-period
NEAR_OPTIMAL = 1.1  # times the smallest gap before the treatment
NEAR_DRAWS = 0.05  # of the draws, at least, that count as near
PERSISTENT = 0.9
MOST_SHOWN = 15


@unit_by_unit
def hull(model: Model, tree: xr.DataTree) -> Check:
    """How far the treated unit's pre-period lies from every weighted average of donors, after the shift the intercept may take.

    The distance is the root mean square over dates, in sds of the treated unit's own pre-period; fails above a quarter. Beside it
    the share of dates on which the unit lies above or below all donors, levels and all.
    """
    if not isinstance(model, DonorModel):
        return needs_donors("hull")
    if not model.averages:
        why = "weights may be negative and need not add to one, so that the unit need not lie between its donors"
        return Check("hull", None, "warning", f"Does not apply: {why}.")
    d = model.design
    y, x = d.y[d.fitted], d.x[d.fitted]
    shifts = "intercept" in tree["posterior"]
    level = closest_average(x, y)
    moved = closest_average(x - x.mean(0), y - y.mean()) if shifts else level
    outside = float(((y < x.min(1)) | (y > x.max(1))).mean())
    numbers = {"distance_in_sd": moved, "distance": moved * d.scale, "distance_without_intercept_in_sd": level}
    numbers |= {"dates_outside_all_donors": outside}
    after = " once the intercept has taken up the difference in level" if shifts else ""
    said = (
        f"Before the treatment the closest weighted average of donors lies {moved:.2f} sds away on average{after}; on "
        f"{outside:.0%} of the dates the unit lies above or below every donor"
    )
    if moved > FAR:
        text = f"{said}. No weights reproduce it: what is left is not noise alone, and may go on after the treatment."
        positive = bool((d.center + d.scale * np.column_stack([y, x]) > 0).all())
        if outside > 0.5 and positive and not model.panel.outcome_name.lower().startswith(("log", "ln")):
            text += (
                " A unit much larger or smaller than its donors swings more or less than they do: where swings are in proportion "
                "to size, the logarithm of the outcome makes them alike and leaves a difference in level."
            )
        return Check("hull", False, "warning", text, numbers)
    return Check("hull", True, "warning", f"{said}.", numbers)


@unit_by_unit
def donor_concentration(model: Model, tree: xr.DataTree) -> Check:
    """How many donors carry the weight, (Σ|w|)²/Σw², and how far the effect moves over weights that fit about as well.

    The range is that of effects without noise over draws whose gap before the treatment is at most a tenth above the smallest, or
    among the smallest twentieth.
    """
    if not isinstance(model, DonorModel):
        return needs_donors("donor_concentration")
    d, posterior = model.design, tree["posterior"].to_dataset()
    weight = posterior["weight"].transpose("chain", "draw", "donor").values.reshape(-1, d.donors.size)
    effective = np.abs(weight).sum(1) ** 2 / (weight**2).sum(1)
    low, middle, high = np.quantile(effective, [0.05, 0.5, 0.95])
    effects = near_optimal(model, d, posterior)
    labels = posterior["donor"].values
    order = np.argsort(-np.abs(weight.mean(0)))[:MOST_SHOWN]
    ends = np.quantile(weight, [0.05, 0.95], axis=0)
    table: list[dict[str, Any]] = [
        {"donor": str(labels[k]), "weight": float(weight[:, k].mean()), "lower": float(ends[0, k]), "upper": float(ends[1, k])}
        for k in order
    ]
    numbers = {
        "effective_donors": float(middle),
        "effective_lower": float(low),
        "effective_upper": float(high),
        "donors": int(d.donors.size),
        "largest_weight": table[0]["weight"],
        "near_optimal_lowest": float(effects.min()),
        "near_optimal_highest": float(effects.max()),
    }
    text = (
        f"The weight of about {middle:.1f} of {d.donors.size} donors ({low:.1f} to {high:.1f}), {table[0]['donor']} the heaviest "
        f"with {table[0]['weight']:.0%}. Weights that fit about as well put the effect, noise aside, between "
        f"{effects.min():.3g} and {effects.max():.3g} {model.panel.outcome_name}."
    )
    return Check("donor_concentration", None, "info", text, numbers, table)


@unit_by_unit
def unshared_trend(model: Model, tree: xr.DataTree) -> Check:
    """Does what the weights leave over wander? The probability that its autocorrelation is above 0.9.

    A factor with nearly a unit root that the donors do not share cannot be weighted away; intervals then cover too seldom.
    """
    if not isinstance(model, DonorModel):
        return needs_donors("unshared_trend")
    if "rho" not in tree["posterior"]:
        why = "errors are independent by assumption. Where they are not, intervals are too narrow: errors='ar1' asks the data"
        return Check("unshared_trend", None, "warning", f"Does not apply: {why}.")
    rho = tree["posterior"].to_dataset()["rho"].values
    chance = float((rho > PERSISTENT).mean())
    numbers = {"probability": chance, "bound": PERSISTENT, "rho": float(rho.mean())}
    said = f"More than nine tenths of a gap remain a period later with probability {chance:.0%} (ρ {rho.mean():.2f} on average)"
    if "sigma_trend" in tree["posterior"]:
        numbers["sigma_trend"] = step = float(tree["posterior"]["sigma_trend"].mean())
        text = f"{said}. Beside it the unit has a walk of its own, of steps of {step:.3g} a period, which the intervals hold."
        return Check("unshared_trend", None, "warning", text, numbers)
    if chance > 0.5:
        text = (
            f"{said}: the treated unit wanders off its donors and back. Weights cannot follow a trend that donors do not share, "
            "and intervals cover somewhat less often than they say; look for donors that share it, or try weights: factor of "
            "synthetic_control, which gives the unit a walk of its own and lets its loadings on common factors lie outside those "
            "of its donors."
        )
        return Check("unshared_trend", False, "warning", text, numbers)
    return Check("unshared_trend", True, "warning", f"{said}.", numbers)


def closest_average(x: np.ndarray, y: np.ndarray) -> float:
    """Root mean square distance of (n,) y from the nearest weighted average of the columns of (n, J) x."""
    from scipy.optimize import nnls

    heavy = 1e4 * max(1.0, float(np.abs(x).max()))  # the weights' sum as a row that must hold
    w, _ = nnls(np.vstack([x, np.full(x.shape[1], heavy)]), np.append(y, heavy))
    return float(np.sqrt(((y - x @ (w / w.sum())) ** 2).mean()))


def near_optimal(model: DonorModel, d: DonorDesign, posterior: xr.Dataset) -> np.ndarray:
    """Effects without noise over the draws that fit the pre-period about as well as the best, natural units."""
    gap = d.center + d.scale * d.y[d.seen] - model.followed(posterior)
    before = np.sqrt((gap[:, d.fitted[d.seen]] ** 2).mean(1))
    near = before <= max(NEAR_OPTIMAL * before.min(), np.quantile(before, NEAR_DRAWS))
    return np.asarray(gap[near][:, d.treated[d.seen]].mean(1))
