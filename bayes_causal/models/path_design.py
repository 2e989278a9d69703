"""The design of a `PanelSource`: one unit a path, as many rows as paths have observed periods, and what units differ by within.

Treatment, period and missing cells are those of the path; outcome, covariates and the unit-level terms made of covariates are
means over its units. Centres, scales, ranks and terms are those of all units, exactly.
"""

from __future__ import annotations

import numpy as np

from bayes_causal.data.panel_source import PanelSource
from bayes_causal.models.panel_design import Deviations, PanelDesign, full_rank_terms, sum_to_zero, unit_means


def path_design(source: PanelSource, effect: np.ndarray, effect_names: tuple[str, ...], *, two_terms: bool) -> PanelDesign:
    """The design of a source for given effect columns; arguments as those of `panel_design`, rows those of the paths."""
    data, copies = source.dataset, source.copies
    unit, time = np.nonzero(source.observed)
    period = data["period"].values
    first = np.r_[True, unit[1:] != unit[:-1]]
    raw = data["covariates"].values[unit, time] if "covariates" in data else np.zeros((unit.size, 0))
    center, x_scale = _row_moments(source, raw, copies[unit])
    names = [*effect_names, *(str(c) for c in data["covariate"].values)] if raw.shape[1] else list(effect_names)
    columns = [effect, (raw - center) / x_scale]
    if not source.balanced:
        columns.append((time[:, None] == np.arange(1, period.size)).astype(float))
        names += [f"time {t}" for t in data["time"].values[1:]]
    starts = np.flatnonzero(first)
    means, labels = unit_means(np.hstack(columns), np.ones(unit.size), starts, two_terms, names)
    means = means - copies @ means / copies.sum()
    terms, kept, deviations = _terms(source, means, effect.shape[1], columns, two_terms, np.r_[x_scale, source.scale])
    return PanelDesign(
        y=(data["outcome"].values[unit, time] - source.center) / source.scale,
        sqrt_weight=np.ones(unit.size),
        unit=unit,
        time=time,
        gap=np.where(first, 0, np.r_[0, np.diff(period[time])]),
        effect=effect,
        active=data["treatment"].values[unit, time].sum(1).astype(float),
        covariates=columns[1],
        covariate_scale=x_scale,
        unit_terms=terms,
        unit_term_names=tuple(labels[k] for k in kept),
        contrasts=sum_to_zero(period.size),
        center=source.center,
        scale=source.scale,
        copies=copies,
        within=deviations,
    )


def _row_moments(source: PanelSource, raw: np.ndarray, mass: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(C,) mean and sd of the covariates over all rows, from the (N, C) means of paths and the spread within."""
    if not raw.shape[1]:
        return np.zeros(0), np.ones(0)
    total = mass.sum()
    center = mass @ raw / total
    within = np.einsum("ptctc->c", source.spread)[:-1]
    scale = np.sqrt((mass @ (raw - center) ** 2 + within) / total)
    return center, np.where(scale > 0, scale, 1.0)


def _terms(
    source: PanelSource, means: np.ndarray, n_effects: int, columns: list[np.ndarray], two_terms: bool, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray, Deviations]:
    """Unit-level terms of the paths, the positions of those kept, and the deviations of terms, covariates and outcome."""
    copies, width = source.copies, sum(c.shape[1] for c in columns)
    own = source.spread / (scale[:, None, None] * scale)
    n_covariates = columns[1].shape[1]
    differ = n_effects + np.arange(n_covariates)
    differ = np.r_[differ, differ + width] if two_terms else differ
    crossed, squares = _of_terms(own, source.observed, n_covariates, two_terms)
    total = squares.sum(0)
    variance = copies @ means**2
    variance[differ] += np.diag(total)
    factor = np.zeros((differ.size, means.shape[1]))
    value, vectors = np.linalg.eigh(total)
    factor[:, differ] = np.sqrt(np.maximum(value, 0.0))[:, None] * vectors.T
    sd = np.sqrt(variance / copies.sum())
    terms, kept = full_rank_terms(means, sd, np.vstack([np.sqrt(copies)[:, None] * means, factor]))
    place = np.flatnonzero(np.isin(kept, differ))
    among = np.searchsorted(differ, kept[place])
    crossed = crossed[:, among] / sd[kept[place], None, None]
    squares = squares[:, among[:, None], among] / np.outer(sd[kept[place]], sd[kept[place]])
    return terms, kept, Deviations(place, _joined(own, crossed, squares, source.observed))


def _of_terms(own: np.ndarray, observed: np.ndarray, n_covariates: int, two_terms: bool) -> tuple[np.ndarray, np.ndarray]:
    """(P, j, T, V) products of deviations of unit-level terms with those of numbers, and (P, j, j) of terms with terms.

    The terms are the mean of each covariate over the path's periods, and with `two_terms` the mean of its first and last.
    """
    weights = [observed / observed.sum(1, keepdims=True)]
    if two_terms:
        ends = np.zeros(observed.shape)
        at = np.arange(len(observed))
        for edge in (observed.argmax(1), observed.shape[1] - 1 - observed[:, ::-1].argmax(1)):
            ends[at, edge] += 0.5
        weights.append(ends)
    c = np.arange(n_covariates)
    crossed = np.concatenate([np.einsum("pt,ptcsv->pcsv", w, own[:, :, c]) for w in weights], 1)
    squares = np.concatenate([np.einsum("pjsc,ps->pjc", crossed[..., c], w) for w in weights], 2)
    return crossed, squares


def _joined(own: np.ndarray, crossed: np.ndarray, squares: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """(P, T, k, T, k) products of deviations of terms, which are the same in every observed period, and numbers."""
    j = crossed.shape[1]
    if not j:
        return own
    p, t, v = own.shape[:3]
    seen = observed.astype(float)
    spread = np.zeros((p, t, j + v, t, j + v))
    spread[:, :, j:, :, j:] = own
    spread[:, :, :j, :, j:] = np.einsum("pt,pjsv->ptjsv", seen, crossed)
    spread[:, :, j:, :, :j] = spread[:, :, :j, :, j:].transpose(0, 3, 4, 1, 2)
    spread[:, :, :j, :, :j] = np.einsum("pt,pjk,ps->ptjsk", seen, squares, seen)
    return spread
