"""Conformal intervals of one treated unit (Chernozhukov, Wüthrich and Zhu 2021, doi:10.1080/01621459.2021.1920957).

Under a supposed effect the treated outcomes less that effect are outcomes without treatment: weights are fitted to all periods,
and the size of the residuals after the treatment is ranked among its values over all cyclic shifts of the residuals. The interval
reaches from the first to the last constant effect that is not rejected. Answers by time take the periods before and one after.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bayes_causal.baselines.donors import Case
from bayes_causal.baselines.synthetic import Question, Reference, Weigh, effects

GRID = 64  # supposed effects on each side, between which a crossing is halved
HALVINGS = 30
LARGEST = 2.0**24  # distance from the estimate, in sizes of the effect and the residuals, that counts as infinite


def conformal(case: Case, weigh: Weigh, asked: Question, found: np.ndarray, level: float) -> Reference | str:
    """Intervals and p-values of K answers `found`; or why there are none."""
    if asked.by in ("time", "event_time"):
        after = np.flatnonzero(~case.before)
        parts = [_periods(case, np.r_[np.flatnonzero(case.before), t]) for t in after]
    else:
        parts = [case]
    n = min(len(part.rows) for part in parts)
    if 1 / n > 1 - level + 1e-12:
        return f"conformal p-values from {n} periods are at least 1/{n}, too coarse for an interval at {level:.0%}"
    scale = max(float(np.abs(effects(case, weigh(case))).max()), np.finfo(float).tiny)
    ends, p_value = [], []
    for part, middle in zip(parts, found, strict=True):
        accepted = _test(part, weigh, level)
        ends.append([_end(accepted, float(middle), side * scale) for side in (-1, 1)])
        p_value.append(_p_value(part, weigh, 0.0))
    lower, upper = np.array(ends).T
    none = np.full(found.shape, np.nan)
    return Reference("conformal", none, lower, upper, np.array(p_value), {"conformal_periods": n})


def _periods(case: Case, at: np.ndarray) -> Case:
    kept = {"rows": case.rows[at], "before": case.before[at], "fit": case.fit[at]}
    return replace(case, outcome=case.outcome[:, at], pool=case.pool[:, at], **kept)


def _p_value(case: Case, weigh: Weigh, effect: float) -> float:
    """Share of cyclic shifts of the residuals whose sum over the treated periods is as large."""
    after = ~case.before
    everywhere = np.ones(len(after), bool)
    supposed = replace(case, outcome=case.outcome - effect * after, before=everywhere, fit=everywhere)
    residual = effects(supposed, weigh(supposed))[0]
    n = len(residual)
    shifted = residual[(np.arange(n)[:, None] + np.arange(n)) % n]
    size = np.abs(shifted[:, after].sum(1))
    return float((size >= size[0] * (1 - 1e-9)).mean())


def _test(case: Case, weigh: Weigh, level: float) -> Callable[[float], bool]:
    return lambda effect: _p_value(case, weigh, effect) > 1 - level + 1e-12


def _end(accepted: Callable[[float], bool], middle: float, step: float) -> float:
    """The farthest accepted effect in the direction of `step`, NaN where every one is accepted."""
    reach = step
    while accepted(middle + reach):
        reach *= 2
        if abs(reach) > LARGEST * abs(step):
            return np.nan
    grid = middle + reach * np.linspace(1, 0, GRID + 1)
    outside = middle + reach
    for inside in grid[1:]:
        if accepted(inside):
            break
        outside = inside
    else:
        return middle
    for _ in range(HALVINGS):
        half = (inside + outside) / 2
        inside, outside = (half, outside) if accepted(half) else (inside, half)
    return float(inside)
