"""What the controls do to the answer: whether they moved themselves at the intervention, and what is left without each."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from bayes_causal.checks.base import Check, needs_series
from bayes_causal.checks.series_refit import ATT, refit
from bayes_causal.data.time_series import TimeSeries
from bayes_causal.estimates import from_draws
from bayes_causal.models.base import Model
from bayes_causal.models.kinds import SeriesModel

NONE = "Does not apply: the series has no controls."
FEWEST = 4  # independent changes that an odd one can be told by
MOST = 12  # controls that are looked at, those with the largest part in the answer
COLUMNS = ("value", "std_error", "lower", "upper", "prob_positive")
MOVED = 1.0  # standard errors of the effect


def control_drift(model: Model, tree: xr.DataTree, *, periods: int | None = None, level: float = 0.9) -> Check:
    """Did the controls move at the intervention? A control that it moved takes part of the effect into the counterfactual.

    Each control's change at the intervention (mean of the `periods` that follow, minus the mean of as many before) is set among
    its changes at every date of the pre-period, so that trends and persistence count as usual. Changes a window apart are taken
    as independent: a t statistic with as many degrees of freedom. The level is shared over the controls (Bonferroni).
    """
    if not isinstance(model, SeriesModel):
        return needs_series("control_drift")
    names = _watched(model, tree)
    if not names:
        return Check("control_drift", None, "info", NONE)
    length = periods or max(1, min(model.series.n_post, model.series.n_pre // 12))
    table = [{"control": name, **_change(model.series, name, length)} for name in names]
    limit = (1 - level) / len(names)
    if table[0]["independent"] < FEWEST:
        text = f"Does not apply: there are {table[0]['placebos']} changes before the intervention, too few to tell an odd one by."
        return Check("control_drift", None, "info", text, table=table)
    moved = [r["control"] for r in table if r["p_value"] < limit]
    numbers = {
        "controls": len(names),
        "moved": len(moved),
        "periods": length,
        "smallest_p_value": min(r["p_value"] for r in table),
    }
    if moved:
        text = (
            f"At the intervention, {', '.join(moved)} moved as never before (over {length} dates). If the intervention did it, "
            "the counterfactual moved too and the effect is biased; if something else did, the outcome may carry it as well. "
            "leave_one_out has the answer without."
        )
        return Check("control_drift", False, "warning", text, numbers, table)
    text = f"No control of {len(names)} moved at the intervention as it had not moved before (changes over {length} dates)."
    return Check("control_drift", True, "warning", text, numbers, table)


def _change(series: TimeSeries, name: str, length: int) -> dict[str, Any]:
    """A control's change at the intervention, those before it, and how odd the first is among the others."""
    from scipy.special import stdtr

    values = series.dataset["controls"].sel(control=name).values
    after, before = values[series.post][:length], values[series.pre]
    real = after.mean() - before[-length:].mean()
    means = np.convolve(before, np.ones(length) / length, mode="valid")
    changes = means[length:] - means[:-length]
    usual, spread = (float(changes.mean()), float(changes.std())) if changes.size else (float("nan"), float("nan"))
    independent = (changes.size - 1) / length + 1
    odd = float("nan")
    if independent > 1:
        odd = (real - usual) / (spread * np.sqrt((independent + 1) / (independent - 1)))
    facts = {"change": float(real), "usual_change": usual, "sd_of_changes": spread, "placebos": int(changes.size)}
    return facts | {"independent": float(independent), "p_value": float(2 * stdtr(independent - 1, -abs(odd)))}


def leave_one_out(model: Model, tree: xr.DataTree, *, level: float = 0.9) -> Check:
    """The effect without each control in turn: does the answer hang on one of them?"""
    if not isinstance(model, SeriesModel):
        return needs_series("leave_one_out")
    names = _watched(model, tree)
    if not names:
        return Check("leave_one_out", None, "info", NONE)
    full = from_draws(model.effect(tree["posterior"].to_dataset(), ATT), ATT, "full", level=level)
    error = float(full.std_error)
    table: list[dict[str, Any]] = []
    for name in names:
        again, posterior = refit(model, without=[name])
        answer = from_draws(again.effect(posterior, ATT), ATT, "without", level=level)
        row: dict[str, Any] = {"without": name, **{k: float(answer.table[k]) for k in COLUMNS}}
        table.append(row | {"moved_in_se": (row["value"] - float(full.value)) / max(error, row["std_error"])})
    farthest = max(table, key=lambda r: abs(r["moved_in_se"]))
    turned = [r["without"] for r in table if _verdict(r["lower"], r["upper"]) != _verdict(float(full.lower), float(full.upper))]
    numbers = {"controls": len(names), "largest_move_in_se": farthest["moved_in_se"], "verdicts_changed": len(turned)}
    said = (
        f"Without one of {len(names)} controls the effect lies between {min(r['value'] for r in table):.3g} and "
        f"{max(r['value'] for r in table):.3g} (with all {float(full.value):.3g}); it moves most without {farthest['without']}"
    )
    if abs(farthest["moved_in_se"]) > MOVED or turned:
        changed = f", and the interval tells another story without {', '.join(turned)}" if turned else ""
        text = f"{said}, by {abs(farthest['moved_in_se']):.1f} standard errors{changed}: the answer hangs on that control."
        return Check("leave_one_out", False, "warning", text, numbers, table)
    return Check(
        "leave_one_out", True, "warning", f"{said}, by {abs(farthest['moved_in_se']):.1f} standard errors.", numbers, table
    )


def _verdict(low: float, high: float) -> int:
    return int(low > 0) - int(high < 0)


def _watched(model: SeriesModel, tree: xr.DataTree) -> list[str]:
    """Names of the controls, at most `MOST`: those whose coefficient times sd is largest."""
    names = list(model.series.control_names)
    if len(names) <= MOST or "beta" not in tree["posterior"]:
        return names[:MOST]
    sd = np.array([_scale_of(model.series, n) for n in names])
    beta = tree["posterior"].to_dataset()["beta"].mean(("chain", "draw")).values
    size = np.abs(beta) * sd
    return [names[k] for k in np.argsort(-size)[:MOST]]


def _scale_of(series: TimeSeries, name: str) -> float:
    values = series.dataset["controls"].sel(control=name).values
    return float(values[series.pre].std(ddof=1))
