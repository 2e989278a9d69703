"""Synthetic control on trial: units and dates without treatment, donors left out, and what the weights lean on."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from bayes_causal.checks.base import Check, needs_donors
from bayes_causal.checks.donor_refit import Refit, refit
from bayes_causal.checks.placebo_dates import DATES, EARLIEST, FEWEST, most_by_chance
from bayes_causal.checks.unit_by_unit import unit_by_unit
from bayes_causal.data.columns import show
from bayes_causal.estimates import Estimand, Estimate, from_draws
from bayes_causal.models.base import Model
from bayes_causal.models.kinds import DonorModel

ATT = Estimand("att", "realised")
FEWEST_ROWS = 5  # before a placebo date


@unit_by_unit
def placebo_space(model: Model, tree: xr.DataTree, *, level: float = 0.9) -> Check:
    """The same model for each donor as if it had been treated, with the other donors: none should have an effect.

    Donors that lack outcomes which the treated unit has take no turn.

    The treated unit's effect is ranked among theirs, each in its own standard errors; the rank p-value is (1 + number as large) /
    (1 + donors) (Abadie, Diamond and Hainmueller 2010, doi:10.1198/jasa.2009.ap08746). Beside it stands the rank of the ratio of
    the gaps after and before. Fails where more placebos have an interval without zero than chance brings, or where the effect is
    found and placebos as large are common.
    """
    if not isinstance(model, DonorModel):
        return needs_donors("placebo_space")
    d = model.design
    whole = d.whole
    if not whole.size:
        return Check("placebo_space", None, "warning", "Does not apply: every donor lacks outcomes that the treated unit has.")
    labels = [str(u) for u in model.panel.dataset["unit"].values[d.donors[whole]]]
    runs = refit(model, [d.instead(k) for k in whole])
    real = _real(model, tree, level)
    size = abs(float(real.value) / float(real.std_error))
    rows: list[dict[str, Any]] = [
        {"unit": u, **r.row(level), "gap_before": r.before, "gap_after": r.during} for u, r in zip(labels, runs, strict=True)
    ]
    table = sorted(rows, key=lambda r: -abs(r["value"]) / r["std_error"])
    larger = sum(abs(r["value"]) / r["std_error"] >= size for r in rows)
    own = _own_gap(model, tree)
    ratio = own.during / own.before
    wider = sum(r.during / r.before >= ratio for r in runs)
    alarms, most = sum(_away(r) for r in rows), most_by_chance(len(rows), 1 - level)
    p = (1 + larger) / (1 + len(rows))
    numbers = {
        "p_value": p,
        "p_value_of_ratio": (1 + wider) / (1 + len(rows)),
        "placebos": len(rows),
        "as_large_as_the_effect": larger,
        "away_from_zero": alarms,
        "by_chance_at_most": most,
        "gap_before": own.before,
        "gap_before_rank": 1 + sum(r.before <= own.before for r in runs),
    }
    paths = {u: [float(v) for v in r.gap] for u, r in zip(labels, runs, strict=True)}
    paths |= {show(model.panel.dataset["unit"].values[d.unit]).strip("'"): [float(v) for v in own.gap]}
    all_of_them = f"{len(rows)} donors" if whole.size == d.donors.size else f"the {len(rows)} donors without gaps"
    said = (
        f"Of {all_of_them} taken for treated, {larger} have an effect as large as the real one in their own standard errors "
        f"(rank p-value {p:.3f}), and {alarms} a {level:.0%} interval without zero (by chance up to {most})."
    )
    if alarms > most:
        text = f"{said} The model finds effects where nothing was done: its intervals are too narrow for these units."
        return Check("placebo_space", False, "warning", text, numbers, table, paths)
    if not _away(real.rows()[0]):
        return Check("placebo_space", None, "warning", said, numbers, table, paths)
    if 1 / (1 + len(rows)) > 1 - level:
        text = f"{said} With so few donors no rank could be small enough to tell."
        return Check("placebo_space", None, "warning", text, numbers, table, paths)
    if p > 1 - level:
        text = f"{said} Effects of this size are common where nothing was done, though the interval leaves out zero."
        return Check("placebo_space", False, "warning", text, numbers, table, paths)
    return Check("placebo_space", True, "warning", said, numbers, table, paths)


@unit_by_unit
def placebo_time(model: Model, tree: xr.DataTree, *, dates: int = DATES, periods: int | None = None, level: float = 0.9) -> Check:
    """The same model with a treatment at each of several dates before the real one: none should have an effect.

    Each placebo sees what lies before its date alone, and is asked for the average over the `periods` that follow, by default as
    many as are treated, fewer where the dates would overlap too much.
    """
    if not isinstance(model, DonorModel):
        return needs_donors("placebo_time")
    d = model.design
    rows = d.fitted_rows
    length = periods or max(1, min(int(d.treated.sum()), rows.size // 6))
    first = max(FEWEST_ROWS, int(np.ceil(EARLIEST * rows.size)))
    at = [int(rows[k]) for k in np.unique(np.linspace(first, rows.size - length, dates).round().astype(int)) if k >= first]
    at = [k for k in at if np.ptp(d.y[rows[rows < k]]) > 0]
    if len(at) < FEWEST:
        why = f"{rows.size} dates before the treatment leave {len(at)} with enough on both sides ({FEWEST} are needed)"
        return Check("placebo_time", None, "warning", f"Does not apply: {why}.")
    runs = refit(model, [d.earlier(k, length) for k in at])
    time = model.panel.dataset["time"].values[d.position]
    table: list[dict[str, Any]] = [{"date": show(time[k]), **r.row(level)} for k, r in zip(at, runs, strict=True)]
    real = _real(model, tree, level)
    size = abs(float(real.value) / float(real.std_error))
    larger = sum(abs(r["value"]) / r["std_error"] >= size for r in table)
    alarms, most = sum(_away(r) for r in table), most_by_chance(len(table), 1 - level)
    numbers = {
        "placebos": len(table),
        "periods": length,
        "away_from_zero": alarms,
        "by_chance_at_most": most,
        "largest_placebo": max((r["value"] for r in table), key=abs),
        "as_large_as_the_effect": larger,
    }
    said = (
        f"Of {len(table)} treatments that never were, {alarms} have a {level:.0%} interval without zero (by chance up to "
        f"{most}), and {larger} are as large as the real effect, in their own standard errors."
    )
    if alarms > most:
        text = (
            f"{said} The model finds effects where nothing was done: its intervals are too narrow, or something happened early."
        )
        return Check("placebo_time", False, "warning", text, numbers, table)
    return Check("placebo_time", True, "warning", said, numbers, table)


@unit_by_unit
def leave_one_out(model: Model, tree: xr.DataTree, *, level: float = 0.9) -> Check:
    """The effect without each donor in turn, all of them fitted anew.

    Fails where one donor takes the estimate out of the interval of the whole, or decides whether the interval holds zero.
    """
    if not isinstance(model, DonorModel):
        return needs_donors("leave_one_out")
    d = model.design
    if d.donors.size < 3:
        return Check("leave_one_out", None, "warning", f"Does not apply: there are only {d.donors.size} donors.")
    labels = [str(u) for u in model.panel.dataset["unit"].values[d.donors]]
    share = tree["posterior"].to_dataset()["weight"].mean(("chain", "draw")).values
    runs = refit(model, [d.without(k) for k in range(d.donors.size)])
    table: list[dict[str, Any]] = [
        {"without": u, "weight": float(w), **r.row(level)} for u, w, r in zip(labels, share, runs, strict=True)
    ]
    table.sort(key=lambda r: -abs(r["weight"]))
    paths = {u: [float(v) for v in r.gap] for u, r in zip(labels, runs, strict=True)}
    real = _real(model, tree, level).rows()[0]
    outside = [r["without"] for r in table if not real["lower"] <= r["value"] <= real["upper"]]
    turned = [r["without"] for r in table if _away(r) != _away(real)]
    low, high = min(r["value"] for r in table), max(r["value"] for r in table)
    numbers = {"lowest": low, "highest": high, "estimate": real["value"], "outside": len(outside), "turned": len(turned)}
    said = f"Without one donor at a time the estimate lies between {low:.3g} and {high:.3g}; with all it is {real['value']:.3g}"
    if outside:
        text = f"{said}. Without {_few(outside)} it leaves the interval of the whole: the answer hangs on that donor."
        return Check("leave_one_out", False, "warning", text, numbers, table, paths)
    if turned:
        way = "no longer leaves" if _away(real) else "leaves"
        text = f"{said}. Without {_few(turned)} the {level:.0%} interval {way} out zero: whether there is an effect hangs on it."
        return Check("leave_one_out", False, "warning", text, numbers, table, paths)
    return Check("leave_one_out", True, "warning", f"{said}, inside its interval throughout.", numbers, table, paths)


def _real(model: DonorModel, tree: xr.DataTree, level: float) -> Estimate:
    """The real effect."""
    return from_draws(model.effect(tree["posterior"].to_dataset(), ATT), ATT, "real", level=level)


def _own_gap(model: DonorModel, tree: xr.DataTree) -> Refit:
    """The treated unit's gap from what the donors expect of it, on average over the posterior."""
    return Refit(model.design, np.empty(0), model.followed(tree["posterior"].to_dataset()).mean(0))


def _away(row: Any) -> bool:
    return bool(row["lower"] > 0 or row["upper"] < 0)


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} others" if len(names) > 3 else "")
