"""How large effects would look where there is none, and how much they hang on single units.

Placebo in space (Abadie, Diamond and Hainmueller 2010; Arkhangelsky et al. 2021, algorithm 4, doi:10.1257/aer.20190159) gives the
treatment to donors, who are compared with the other donors; the treated themselves stay out. The jackknife (algorithm 3) leaves
out one unit after the other with all weights held.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.baselines.donors import Case, label
from bayes_causal.baselines.synthetic import Question, Reference, Weigh, Weights, cells, effects, ratio

if TYPE_CHECKING:
    from bayes_causal.data.panel import Panel

FEWEST = 2  # placebos that have a spread


@dataclass(frozen=True, eq=False)
class Placebos:
    """Cases in which donors stand for the treated, the effects found in each, its unit where it has one, and how many failed."""

    cases: list[list[Case]]
    paths: list[list[np.ndarray]]
    units: list[int]
    failed: int


def assign(cases: list[Case], weigh: Weigh, draws: int, seed: int) -> Placebos | str:
    """Every donor in place of the one treated unit, or `draws` random sets in place of several; or why there are none."""
    treated = sum(len(c.units) for c in cases)
    pool = sorted({int(d) for c in cases for d in c.donors})
    if len(pool) <= treated:
        return f"placebos need more donors than treated units, and there are {len(pool)} donors and {treated} treated units"
    rng = np.random.default_rng(seed)
    orders = [[d] for d in pool] if treated == 1 else [rng.permutation(pool).tolist() for _ in range(draws)]
    made = [_assigned(cases, order) for order in orders]
    kept = [k for k, fake in enumerate(made) if fake]
    if len(kept) < FEWEST:
        return f"{len(kept)} of {len(made)} placebos have donors of their own: at least {FEWEST} are needed"
    paths = [[effects(c, weigh(c)) for c in made[k]] for k in kept]
    units = [orders[k][0] for k in kept] if treated == 1 else []
    return Placebos([made[k] for k in kept], paths, units, len(made) - len(kept))


def ranked(panel: Panel, placebos: Placebos, asked: Question, found: np.ndarray, own: float | None, level: float) -> Reference:
    """The answers `found` (K,), with their ratio `own`, among those of placebos.

    The p-value is the rank of an answer's size among placebos and itself. The interval holds the constant effects that the same
    rank does not reject (Firpo and Possebom 2018, doi:10.1515/jci-2016-0026); below 1/(1 − level) − 1 placebos there is none.
    """
    pairs = list(zip(placebos.cases, placebos.paths, strict=True))
    value = np.array([asked.average @ cells(cases, paths) for cases, paths in pairs])
    ratios = np.array([np.inf if (r := ratio(cases, paths)) is None else r for cases, paths in pairs])
    n = len(value)
    size = np.sort(np.abs(value), 0)
    slack = 1e-9 * np.maximum(size[-1], np.abs(found))
    p_value = (1 + (size >= np.abs(found) - slack).sum(0)) / (n + 1)
    k = int(np.ceil(level * (n + 1) - 1e-9))
    half = size[k - 1] if k <= n else np.full(found.shape, np.nan)
    as_large = (ratios >= (np.inf if own is None else own * (1 - 1e-9))).sum()
    extra: dict[str, Any] = {"placebos": n, "p_value_rmspe_ratio": float((1 + as_large) / (n + 1))}
    if asked.by is None:
        extra["p_value_att"] = float(p_value[0])
        labels = panel.dataset["unit"].values
        extra["placebo_units"] = [
            {"unit": label(labels[d]), "value": float(v[0]), "rmspe_ratio": float(r) if np.isfinite(r) else None}
            for d, v, r in zip(placebos.units, value, ratios, strict=bool(placebos.units))
        ]
    if placebos.failed:
        extra["placebos_without_donors"] = placebos.failed
    if k > n:
        extra["interval_reason"] = f"{n} placebos bound at most {n / (n + 1):.0%}: too few for an interval at {level:.0%}"
    return Reference("placebo", value.std(0), found - half, found + half, p_value, extra)


def _assigned(cases: list[Case], order: list[int]) -> list[Case]:
    """The cases with donors in place of the treated, taken in `order`; nothing where donors run out."""
    taken: set[int] = set()
    chosen: list[np.ndarray] = []
    for case in cases:
        at = {int(d): j for j, d in enumerate(case.donors)}
        picked = [d for d in order if d in at and d not in taken][: len(case.units)]
        if len(picked) < len(case.units):
            return []
        taken |= set(picked)
        chosen.append(np.array([at[d] for d in picked]))
    rest = [np.flatnonzero(~np.isin(c.donors, list(taken))) for c in cases]
    if not all(r.size for r in rest):
        return []
    return [c.reassigned(u, r) for c, u, r in zip(cases, chosen, rest, strict=True)]


def jackknife(cases: list[Case], weights: list[Weights], asked: Question) -> Reference | str:
    """Standard errors of K answers, each donor and each treated unit left out in turn, weights held; or why there are none."""
    treated = sum(len(c.units) for c in cases)
    if treated < 2:
        return "the jackknife leaves treated units out one by one, and there is one: without it there is no effect"
    alone = [c for c, w in zip(cases, weights, strict=True) if (np.abs(1 - w.unit) < 1e-9).any()]
    if alone:
        return "the jackknife leaves donors out one by one, and one donor has all the weight"
    value = [asked.average @ _without_donor(cases, weights, d) for d in sorted({int(d) for c in cases for d in c.donors})]
    whole = cells(cases, [effects(c, w) for c, w in zip(cases, weights, strict=True)])
    for unit in np.unique(asked.owner):
        kept = asked.average * (asked.owner != unit)
        left = kept.sum(1)
        value.append(np.divide(kept @ whole, left, out=np.full(left.shape, np.nan), where=left > 0))
    left_out = np.array(value)
    n = len(left_out)
    std_error = np.sqrt((n - 1) / n * ((left_out - left_out.mean(0)) ** 2).sum(0))
    extra: dict[str, Any] = {"jackknife_units": n}
    if np.isnan(std_error).any():
        extra["std_error_reason"] = "the jackknife has no error for answers that hang on one treated unit"
    return Reference("jackknife", std_error, extra=extra)


def _without_donor(cases: list[Case], weights: list[Weights], donor: int) -> np.ndarray:
    paths = []
    for case, w in zip(cases, weights, strict=True):
        at = case.donors == donor
        unit = np.where(at, 0.0, w.unit)
        paths.append(effects(case, Weights(unit / unit.sum(), w.time)))
    return cells(cases, paths)
