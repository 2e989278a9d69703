"""What synthetic controls and their kin share: weights on donors and on earlier periods, effects from these, and the answer.

With unit weights w and time weights λ every one of them says effect_t = gap_t − Σ_s λ_s gap_s, gap = y − Σ_j w_j y_j: synthetic
control has λ = 0, differences have λ = 1/T0, synthetic differences-in-differences fits both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.baselines.donors import Case, Comparisons, names
from bayes_causal.errors import EstimandError, closest
from bayes_causal.estimates import Estimand, Estimate, from_normal

if TYPE_CHECKING:
    from bayes_causal.data.panel import Panel

BY = ("time", "event_time", "unit")
NONE = 1e-10  # of a weight that is none


@dataclass(frozen=True, eq=False)
class Weights:
    """Unit weights (J,), time weights (periods before,) of a case, and what the method says beside them."""

    unit: np.ndarray
    time: np.ndarray
    facts: Mapping[str, Any] = field(default_factory=dict)


Weigh = Callable[[Case], Weights]


@dataclass(frozen=True, eq=False)
class Reference:
    """What an answer is judged by. K answers.

    Parameters
    ----------
    how : str
        placebo | jackknife | conformal | none
    std_error, lower, upper, p_value : (K,) arrays, NaN where there is none; no lower and upper where the normal gives them
    extra : mapping
    """

    how: str
    std_error: np.ndarray
    lower: np.ndarray | None = None
    upper: np.ndarray | None = None
    p_value: np.ndarray | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Question:
    """Effects of treated cells, as one vector over all cases, averaged into K answers.

    Attributes
    ----------
    labels : (K,) labels, empty for the overall answer
    average : (K, cells) weights of treated cells, rows adding up to one
    owner : (cells,) position of the unit of each cell
    """

    by: str | None
    labels: np.ndarray
    average: np.ndarray
    owner: np.ndarray


def effects(case: Case, weights: Weights) -> np.ndarray:
    """(n, T) outcome less what the donors and the level before lead one to expect, in units of the outcome."""
    gap = case.outcome - weights.unit @ case.pool
    return np.asarray(gap - (gap[:, case.before] @ weights.time)[:, None])


def cells(cases: list[Case], found: list[np.ndarray]) -> np.ndarray:
    """Effects (n, T) a case, at treated cells only, as one vector."""
    return np.concatenate([e[:, ~c.before].ravel() for c, e in zip(cases, found, strict=True)])


def question(panel: Panel, cases: list[Case], by: str | None, method: str) -> Question:
    """Which cells each answer averages.

    Raises
    ------
    EstimandError
        A `by` that does not exist.
    """
    if by not in (None, *BY):
        raise EstimandError(f"{method} answers overall and by {', '.join(BY)}, not by '{by}'{closest(str(by), BY)}")
    owner = np.concatenate([np.repeat(c.units, (~c.before).sum()) for c in cases])
    at = np.concatenate([np.tile(c.rows[~c.before], len(c.units)) for c in cases])
    if by is None:
        return Question(None, np.empty(0), np.full((1, owner.size), 1 / owner.size), owner)
    data = panel.dataset
    period = data["period"].values
    of_cell = {"time": at, "unit": owner, "event_time": period[at] - panel.first_period[owner]}[by]
    keys, codes = np.unique(of_cell, return_inverse=True)
    average = np.equal.outer(np.arange(len(keys)), codes).astype(float)
    labels = keys if by == "event_time" else data[by].values[keys]
    return Question(by, labels, average / average.sum(1, keepdims=True), owner)


def answer(
    panel: Panel,
    method: str,
    found: Comparisons,
    asked: Question,
    weights: list[Weights],
    reference: Reference,
    level: float,
    extra: Mapping[str, Any],
) -> Estimate:
    """The estimate, with everything the field expects in `extra`."""
    paths = [effects(c, w) for c, w in zip(found.cases, weights, strict=True)]
    value = asked.average @ cells(found.cases, paths)
    coords = {asked.by: asked.labels} if asked.by else {}
    columns = {k: getattr(reference, k) for k in ("lower", "upper", "p_value") if getattr(reference, k) is not None}
    shape = (lambda v: v) if asked.by else (lambda v: v[0])
    told = described(panel, found, weights, paths) | {"inference": reference.how} | dict(reference.extra) | dict(extra)
    return from_normal(
        shape(value),
        shape(reference.std_error),
        Estimand("att", "realised", asked.by),
        method,
        coords=coords,
        level=level,
        unit=panel.outcome_name,
        extra=told,
        **{k: shape(v) for k, v in columns.items()},
    )


def described(panel: Panel, found: Comparisons, weights: list[Weights], paths: list[np.ndarray]) -> dict[str, Any]:
    """Donors, periods, weights and fit, in words and numbers that JSON can write."""
    cases = found.cases
    share = np.array([len(c.units) * (~c.before).sum() for c in cases], float)
    told: dict[str, Any] = {
        "donors": len({int(d) for c in cases for d in c.donors}),
        "treated_units": sum(len(c.units) for c in cases),
        "treated_cells": int(share.sum()),
        "pre_periods": min(int(c.before.sum()) for c in cases),
        "post_periods": max(int((~c.before).sum()) for c in cases),
    }
    told |= fit(cases, paths)
    share /= share.sum()
    pairs = list(zip(cases, weights, strict=True))
    told["weights"] = _averaged(panel, "unit", [(c.donors, w.unit) for c, w in pairs], share)
    told["time_weights"] = _averaged(panel, "time", [(c.rows[c.before], w.time) for c, w in pairs], share)
    told["effective_donors"] = float(1 / sum(v**2 for v in told["weights"].values()))
    if len(cases) == 1:
        told |= dict(weights[0].facts)
        told["effects"] = {n: float(e) for n, e in zip(names(panel, "time", cases[0].rows), paths[0].mean(0), strict=True)}
    else:
        told["weights_by_unit"] = [
            {"unit": unit, "weights": _averaged(panel, "unit", [(c.donors, w.unit)], np.ones(1))} | _numbers(w.facts)
            for c, w in pairs
            for unit in names(panel, "unit", c.units)
        ]
    return told | {"donors_dropped": found.dropped, "left_out": found.left_out}


def fit(cases: list[Case], paths: list[np.ndarray]) -> dict[str, Any]:
    """How closely outcomes are met before the treatment and in the periods fitted, and how far they are off after."""
    before = np.concatenate([e[:, c.before].ravel() for c, e in zip(cases, paths, strict=True)])
    fitted = np.concatenate([e[:, c.fit].ravel() for c, e in zip(cases, paths, strict=True)])
    after = cells(cases, paths)
    rms = {"pre_rmspe": before, "post_rmspe": after, "fit_rmspe": fitted}
    told: dict[str, Any] = {k: float(np.sqrt(np.mean(v**2))) for k, v in rms.items()}
    told["fit_mae"] = float(np.abs(fitted).mean())
    told["rmspe_ratio"] = ratio(cases, paths)
    if len(cases) == 1 and (~cases[0].before).sum() > 1:
        over_time = paths[0][:, ~cases[0].before].mean(0)
        told["std_error_over_time"] = float(over_time.std(ddof=1) / np.sqrt(over_time.size))
    return told


def ratio(cases: list[Case], paths: list[np.ndarray]) -> float | None:
    """Root mean squared effect after the treatment over that before, None where the fit before is exact."""
    before = np.concatenate([e[:, c.before].ravel() for c, e in zip(cases, paths, strict=True)])
    below = float(np.sqrt(np.mean(before**2)))
    return float(np.sqrt(np.mean(cells(cases, paths) ** 2))) / below if below > 0 else None


def _averaged(panel: Panel, dim: str, parts: list[tuple[np.ndarray, np.ndarray]], share: np.ndarray) -> dict[str, float]:
    """Weights by label, averaged over cases, the largest first and none that is zero; periods in their order."""
    total = np.zeros(panel.dataset.sizes[dim])
    for (at, w), s in zip(parts, share, strict=True):
        total[at] += s * w
    held = np.flatnonzero(np.abs(total) > NONE)
    held = held[np.argsort(-total[held], kind="stable")] if dim == "unit" else held
    return dict(zip(names(panel, dim, held), total[held].tolist(), strict=True))


def _numbers(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in facts.items() if not isinstance(v, (list, dict))}
