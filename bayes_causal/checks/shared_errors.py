"""Do treated units err together, and all pairs alike?"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import xarray as xr
from scipy import stats

from bayes_causal.checks.base import Check
from bayes_causal.models.base import Model
from bayes_causal.models.kinds import UnitByUnit

FEWEST = 6  # dates that a pair shares
ALARM = 0.01  # chance that any pair looks unlike the others where all are alike


def shared_errors(model: Model, tree: xr.DataTree) -> Check:
    """The correlation of what weights leave over in two treated units at a date: as learned, and measured pair by pair.

    Measured are correlations of one-step errors before the treatment, at posterior means. The model has one correlation for all
    pairs; fails where some pair's lies further from the mean of all than chance brings (Fisher's z, Bonferroni).
    """
    if not isinstance(model, UnitByUnit):
        return Check("shared_errors", None, "info", "Does not apply: one unit is treated, it has none to err with.")
    posterior = tree["posterior"].to_dataset()
    draws = posterior["correlation"].values.ravel()
    low, high = np.quantile(draws, [0.05, 0.95])
    learned = f"The errors of two treated units at a date have correlation {draws.mean():.2f} ({low:.2f} to {high:.2f})"
    numbers: dict[str, Any] = {"correlation": float(draws.mean()), "lower": float(low), "upper": float(high)}
    table = _pairs(model.innovations(posterior))
    if not table:
        text = (
            f"{learned}; no two of them share {FEWEST} dates before their treatment, on which it could be measured pair by pair."
        )
        return Check("shared_errors", None, "warning", text, numbers)
    z, weight = (np.array([r[k] for r in table]) for k in ("z", "weight"))
    middle = float((weight * z).sum() / weight.sum())
    numbers |= {"pairs": len(table), "measured": float(np.tanh(middle))}
    for row, away in zip(table, np.sqrt(weight) * (z - middle), strict=True):
        row["away"] = float(away)
        del row["z"], row["weight"]
    limit = float(stats.norm.ppf(1 - ALARM / 2 / len(table)))
    odd = [f"{r['unit']} and {r['with']} ({r['correlation']:.2f})" for r in table if abs(r["away"]) > limit]
    said = f"{learned}; measured over {len(table)} pairs it is {numbers['measured']:.2f} on average"
    table.sort(key=lambda r: -abs(r["away"]))
    if odd:
        text = (
            f"{said}. Not all pairs are alike: {'; '.join(odd[:3])}. One correlation for all is too simple, and the interval "
            "of the average over units is off by what the pairs differ."
        )
        return Check("shared_errors", False, "warning", text, numbers, table)
    return Check("shared_errors", True, "warning", f"{said}, and no pair stands out.", numbers, table)


def _pairs(innovations: xr.DataArray) -> list[dict[str, Any]]:
    """Pairs of units that share dates, with Fisher's z of their correlation and its precision."""
    found, labels = [], [str(u) for u in innovations["unit"].values]
    for a, b in combinations(range(len(labels)), 2):
        x, y = innovations.values[[a, b]]
        both = np.isfinite(x) & np.isfinite(y)
        if both.sum() < FEWEST:
            continue
        # Innovations have mean zero, so that none is taken off.
        r = float((x[both] * y[both]).sum() / np.sqrt((x[both] ** 2).sum() * (y[both] ** 2).sum()))
        row = {"unit": labels[a], "with": labels[b], "dates": int(both.sum()), "correlation": r}
        found.append(row | {"z": float(np.arctanh(np.clip(r, -0.999999, 0.999999))), "weight": float(both.sum() - 2)})
    return found
