"""Two-way fixed effects of a `PanelSource`: from sums over the units of each path, without a row.

The regressors are the same for all units of a path, so that the coefficient needs their mean outcome alone. The score of a unit,
Σ_t x̃_pt ê_it, is linear in its outcomes: the sum of its squares, which clustered errors need, comes from the spread within paths.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from bayes_causal.baselines.regression import COLLINEAR, FEW
from bayes_causal.baselines.within import TwoWay, scaled_pinv
from bayes_causal.data.panel_source import PanelSource
from bayes_causal.estimates import Estimand, Estimate, from_normal, not_applicable


def twfe_of_sums(
    source: PanelSource, *, by: Literal["group", "arm"] | None, estimand: Literal["att", "cumulative"], level: float
) -> Estimate:
    """The estimate of `twfe`, errors clustered by unit (CR1); arguments as there.

    With covariates it does not apply: a unit's score then holds products of its own outcomes and covariates.
    """
    asked, unit = Estimand(estimand, by=by), source.outcome_name
    if "covariates" in source.dataset:
        reason = "with covariates, errors clustered by unit need the rows, and only sums over units of one path are in memory"
        return not_applicable(asked, "twfe", reason, level=level, unit=unit)
    if source.n_clusters < FEW:
        return not_applicable(asked, "twfe", f"fewer than {FEW} units: hold the rows (in_memory: true)", level=level, unit=unit)
    mass = source.copies[:, None] * source.observed
    active = np.moveaxis(source.dataset["treatment"].values, -1, 0).astype(float)
    columns = active if by == "group" else active.sum(0, keepdims=True)
    beta, vcov = _regression(source, columns, mass.astype(float))
    if np.isnan(beta).any():
        return not_applicable(asked, "twfe", COLLINEAR, level=level, unit=unit)
    treated = mass * source.treated
    total = (active.sum(0) * treated).sum()
    extra = {
        "coefficient": float(beta[0]) if by is None else None,
        "mean_active": float(total / treated.sum()),
        "treated_cells": int(treated.sum()),
        "vcov": "CR1",
        "clusters": source.n_clusters,
        "df": source.n_clusters - 1,
        "nobs": int(mass.sum()),
        "library": "sums over paths",
    }
    shared: dict[str, Any] = {"level": level, "df": float(source.n_clusters - 1), "unit": unit, "extra": extra}
    error = np.sqrt(np.diag(vcov))
    if by == "group":
        scale = (active * mass).sum((1, 2)) if estimand == "cumulative" else np.ones(len(beta))
        coords = {"group": source.dataset["group"].values}
        return from_normal(beta * scale, error * scale, asked, "twfe", coords=coords, **shared)
    scale = total if estimand == "cumulative" else total / treated.sum()
    return from_normal(beta[0] * scale, error[0] * scale, asked, "twfe", **shared)


def _regression(source: PanelSource, columns: np.ndarray, mass: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(K,) coefficients of (K, P, T) columns and their (K, K) CR1 covariance; NaN where the fixed effects absorb one."""
    project = TwoWay.of(mass, np.zeros((0, *mass.shape)))
    x = project.residualise(columns)
    gram = np.einsum("kpt,lpt,pt->kl", x, x, mass, optimize=True)
    if (np.diag(gram) <= 1e-10 * np.einsum("kpt,pt->k", columns**2, mass)).any() or np.linalg.cond(gram) > 1e12:
        return np.full(len(columns), np.nan), np.full(gram.shape, np.nan)
    y = project.residualise(np.where(source.observed, source.dataset["outcome"].values, 0.0)[None])[0]
    inverse = scaled_pinv(gram)
    beta = inverse @ np.einsum("kpt,pt,pt->k", x, mass, y)
    score = np.einsum("kpt,pt->kp", x, np.where(source.observed, y - np.tensordot(beta, x, 1), 0.0))
    within = np.einsum("kpt,pts,lps->kl", x, source.spread[:, :, -1, :, -1], x, optimize=True)
    meat = (score * source.copies) @ score.T + within
    return beta, _small_sample(source, len(beta)) * inverse @ meat @ inverse


def _small_sample(source: PanelSource, k: int) -> float:
    """CR1's factor, unit effects being nested in clusters: G/(G − 1) · (N − 1)/(N − k), k with the periods."""
    g, n = source.n_clusters, int(source.copies @ source.observed.sum(1))
    return g / (g - 1) * (n - 1) / (n - k - source.dataset.sizes["time"])
