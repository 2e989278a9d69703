"""Had the treated unit moved before its treatment, and did donors move with it?"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from bayes_causal.checks.base import Check, needs_donors
from bayes_causal.checks.donor_refit import refit
from bayes_causal.checks.placebo_dates import most_by_chance
from bayes_causal.checks.unit_by_unit import unit_by_unit
from bayes_causal.data.columns import show
from bayes_causal.estimates import Estimand, from_draws
from bayes_causal.models.base import Model
from bayes_causal.models.kinds import DonorModel

ATT = Estimand("att", "realised")
EARLY = 3  # periods before the treatment
FEWEST_ROWS = 5  # that are left to fit
HEAVY, MOST = 0.05, 12  # weight of a donor that matters, and how many of these


@unit_by_unit
def anticipation(model: Model, tree: xr.DataTree, *, periods: int = EARLY, level: float = 0.9) -> Check:
    """The last periods before the treatment kept out of the fit, one after the other: had the unit moved already?

    Each is a gap from what the time before it leads one to expect, with an interval at a level that all of them share
    (Bonferroni); fails where one leaves out zero. Beside it stands the effect as fitted without these periods.
    """
    if not isinstance(model, DonorModel):
        return needs_donors("anticipation")
    d, time = model.design, model.panel.dataset["time"].values
    rows, name = d.fitted_rows, model.panel.outcome_name
    out = [k for k in range(1, periods + 1) if rows.size - k >= FEWEST_ROWS and np.ptp(d.y[rows[:-k]]) > 0]
    if not out:
        why = f"{rows.size} dates before the treatment leave fewer than {FEWEST_ROWS} to fit"
        return Check("anticipation", None, "warning", f"Does not apply: {why}.")
    runs = refit(model, [d.earlier(int(rows[-k]), d.rows) for k in out] + [d.without_last(k) for k in out])
    shared = 1 - (1 - level) / len(out)
    table: list[dict[str, Any]] = [
        {"periods": k, "from": show(time[d.position[rows[-k]]]), **early.row(shared), "effect_without": later.row(level)["value"]}
        for k, early, later in zip(out, runs[: len(out)], runs[len(out) :], strict=True)
    ]
    real = float(from_draws(model.effect(tree["posterior"].to_dataset(), ATT), ATT, "real", level=level).value)
    effects = [r["effect_without"] for r in table]
    numbers = {"effect": real, "lowest_without": min(effects), "highest_without": max(effects), "level": shared}
    said = (
        f"Fitted without the last {_up_to(out)} before the treatment the effect lies between {min(effects):.3g} and "
        f"{max(effects):.3g} {name}; with them it is {real:.3g}"
    )
    moved = [r for r in table if r["lower"] > 0 or r["upper"] < 0]
    numbers["moved_early"] = len(moved)
    if not moved:
        return Check("anticipation", True, "warning", f"{said}. None of them is off what came before.", numbers, table)
    first = max(moved, key=lambda r: abs(r["value"]) / r["std_error"])
    text = (
        f"{said}. From {first['from']} on, before the treatment, the unit already lay {first['value']:.3g} off what the time "
        f"before leads one to expect ({shared:.0%}: {first['lower']:.3g} to {first['upper']:.3g}): it may have reacted early, or "
        "something else moved it. Where the treatment was known beforehand, end the time before there (data.pre)."
    )
    return Check("anticipation", False, "warning", text, numbers, table)


@unit_by_unit
def donor_contamination(model: Model, tree: xr.DataTree, *, level: float = 0.9) -> Check:
    """Donors that carry weight, each set beside the other donors: did they move at the treatment too?

    A donor that the treatment reaches takes the share w_j of its own effect out of the estimate: the sum over these donors is
    told. Fails where more of them moved than chance brings. Donors that all move alike show nothing here.
    """
    if not isinstance(model, DonorModel):
        return needs_donors("donor_contamination")
    d = model.design
    share = tree["posterior"].to_dataset()["weight"].mean(("chain", "draw")).values
    heavy = [int(k) for k in np.argsort(-np.abs(share)) if k in d.whole and abs(share[k]) >= HEAVY][:MOST]
    if not heavy or d.donors.size < FEWEST_ROWS:
        why = f"no donor without gaps carries {HEAVY:.0%} of the weight" if d.donors.size >= FEWEST_ROWS else "too few donors"
        return Check("donor_contamination", None, "warning", f"Does not apply: {why}.")
    labels = [str(model.panel.dataset["unit"].values[d.donors[k]]) for k in heavy]
    table: list[dict[str, Any]] = [
        {"donor": u, "weight": float(share[k]), **r.row(level)}
        for u, k, r in zip(labels, heavy, refit(model, [d.instead(k) for k in heavy]), strict=True)
    ]
    moved = [r for r in table if r["lower"] > 0 or r["upper"] < 0]
    most, taken = most_by_chance(len(table), 1 - level), sum(r["weight"] * r["value"] for r in table)
    real = float(from_draws(model.effect(tree["posterior"].to_dataset(), ATT), ATT, "real", level=level).value)
    numbers = {"donors": len(table), "moved": len(moved), "by_chance_at_most": most, "taken_from_the_effect": float(taken)}
    numbers["effect_if_all_of_it_is_the_treatment"] = real + float(taken)
    said = (
        f"Of {len(table)} donors with {HEAVY:.0%} of the weight or more, {len(moved)} moved at the treatment beside the other "
        f"donors (by chance up to {most})"
    )
    if len(moved) > most:
        names = ", ".join(r["donor"] for r in moved[:5]) + (", …" if len(moved) > 5 else "")
        text = (
            f"{said}: {names}. If that is the treatment's doing, the effect is {real + taken:.3g} rather than {real:.3g} "
            f"{model.panel.outcome_name}. Leave donors out that it may reach (exclude)."
        )
        return Check("donor_contamination", False, "warning", text, numbers, table)
    return Check("donor_contamination", True, "warning", f"{said}.", numbers, table)


def _up_to(out: list[int]) -> str:
    return "period" if out[-1] == 1 else f"one to {out[-1]} periods"
