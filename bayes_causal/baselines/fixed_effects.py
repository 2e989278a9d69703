"""Two-way fixed effects: one coefficient on the number of active treatments, or one a group without pooling.

    y_it = α_i + γ_t + x_it'β + τ Σ_g D_itg + ε_it

The att is τ times the mean number of active treatments over treated cells. With staggered starts and effects that differ
over cohorts or time, τ is a weighted sum of effects in which weights can be negative (Goodman-Bacon 2021,
doi:10.1016/j.jeconom.2021.03.014): see `decomposition`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bayes_causal.baselines.few_clusters import jackknife, randomisation, wild_bootstrap
from bayes_causal.baselines.from_sums import twfe_of_sums
from bayes_causal.baselines.regression import COLLINEAR, FEW, Regression, RegressionFailed, regress
from bayes_causal.baselines.within import cells
from bayes_causal.data.panel_source import PanelSource
from bayes_causal.errors import EstimandError, closest
from bayes_causal.estimates import Estimand, Estimate, from_normal, not_applicable

if TYPE_CHECKING:
    from bayes_causal.data.panel import Panel


def twfe(
    panel: Panel | PanelSource,
    *,
    by: Literal["group", "arm"] | None = None,
    estimand: Literal["att", "cumulative"] = "att",
    level: float = 0.9,
    cluster: Literal["unit", "cluster"] | None = None,
    vcov: Literal["CR1", "CR3", "HC1"] | None = None,
    k_fixef: Literal["nonnested", "full", "none"] = "nonnested",
    few_clusters: bool | None = None,
    draws: int = 9999,
    permutations: int = 999,
    seed: int = 0,
) -> Estimate:
    """Two-way fixed effects estimate.

    Parameters
    ----------
    panel : Panel or PanelSource
        From a source, errors are clustered by unit, and the arguments from `cluster` on are not read.
    by : {"group", "arm"}, optional
        What the panel calls its groups. One coefficient a group, all in one regression, nothing pooled: the effect of one
        more active cell of that group.
    estimand : {"att", "cumulative"}
        Mean over treated cells, or its sum over them.
    cluster : {"unit", "cluster"}, optional
        Default: the panel's cluster column where it has one, else the unit.
    vcov : {"CR1", "CR3", "HC1"}, optional
        Standard error of the row: CR1, or CR3 below 50 clusters. The others stand beside it in ``extra``.
    k_fixef : {"nonnested", "full", "none"}
        Fixed effects counted in CR1's small-sample factor.
    few_clusters : bool, optional
        CR3, wild cluster bootstrap and randomisation inference in ``extra``; default: below 50 clusters.
    draws, permutations, seed : int
        Of the wild cluster bootstrap and of randomisation inference.

    Returns
    -------
    Estimate
        Units of the outcome (times cells for the sum); intervals from t with clusters − 1 degrees of freedom.
        ``extra``: coefficient, mean_active, vcov, std_error_cr1, std_error_hc1, clusters, df, nobs, notes, …

    Raises
    ------
    EstimandError
        A `by`, `estimand`, `cluster` or `vcov` that does not exist.
    MissingExtraError
        pyfixest is not installed.
    """
    _refuse(panel, by, estimand)
    if isinstance(panel, PanelSource):
        return twfe_of_sums(panel, by=by, estimand=estimand, level=level)
    asked, treated = Estimand(estimand, by=by), panel.treated & panel.observed
    if not treated.any():
        return not_applicable(asked, "twfe", "no observed cell is treated", level=level, unit=panel.outcome_name)
    active = np.moveaxis(panel.dataset["treatment"].values, -1, 0).astype(float)
    groups = [str(g) for g in panel.dataset["group"].values]
    columns, labels = (active, groups) if by else (active.sum(0, keepdims=True), ["treatment"])
    try:
        fit = regress(panel, columns, labels, cluster=cluster, vcov=vcov, k_fixef=k_fixef)
    except RegressionFailed as failed:
        return not_applicable(asked, "twfe", str(failed), level=level, unit=panel.outcome_name)
    fit.extra["coefficients"] = fit.coefficients(level)
    shared: dict[str, Any] = {"level": level, "df": fit.df, "unit": panel.outcome_name, "extra": fit.extra}
    if by:
        scale = (active * panel.observed).sum((1, 2)) if estimand == "cumulative" else np.ones(len(groups))
        shared["coords"] = {by: panel.dataset["group"].values}
        return from_normal(fit.beta * scale, fit.std_error * scale, asked, "twfe", **shared)
    if np.isnan(fit.beta[0]):
        return not_applicable(asked, "twfe", COLLINEAR, level=level, unit=panel.outcome_name)
    per_cell, cells_treated = float(active.sum(0)[treated].mean()), int(treated.sum())
    scale_all = per_cell * (cells_treated if estimand == "cumulative" else 1)
    fit.extra.update(_beside(fit, per_cell, scale_all, cells_treated))
    if few_clusters or (few_clusters is None and fit.extra["clusters"] < FEW):
        fit.extra.update(_few(panel, active.sum(0), scale_all, cluster, level, draws, permutations, seed))
    return from_normal(fit.beta[0] * scale_all, fit.std_error[0] * scale_all, asked, "twfe", **shared)


def _beside(fit: Regression, per_cell: float, scale: float, treated_cells: int) -> dict[str, Any]:
    return {
        "coefficient": float(fit.beta[0]),
        "coefficient_std_error": float(fit.std_error[0]),
        "mean_active": per_cell,
        "treated_cells": treated_cells,
        "std_error_cr1": float(fit.se_cr1[0] * scale),
        "std_error_hc1": float(fit.se_hc1[0] * scale),
    }


def _few(
    panel: Panel, x: np.ndarray, scale: float, cluster: str | None, level: float, draws: int, permutations: int, seed: int
) -> dict[str, Any]:
    """CR3, wild cluster bootstrap and randomisation inference, on the scale of the answer."""
    c = cells(panel, cluster)
    cr3 = float(np.sqrt(jackknife(x[None], c)[0, 0]) * scale)
    wild = wild_bootstrap(x, c, level=level, draws=draws, seed=seed)
    wild |= {end: None if wild[end] is None else float(wild[end] * scale) for end in ("lower", "upper")}
    return {
        "std_error_cr3": cr3 if np.isfinite(cr3) else None,
        "wild_bootstrap": wild | {"level": level},
        "randomisation_inference": randomisation(x, c, permutations=permutations, seed=seed),
    }


def _refuse(panel: Panel | PanelSource, by: str | None, estimand: str) -> None:
    if by not in (None, panel.grouping):
        raise EstimandError(f"twfe answers overall and by {panel.grouping}, not by '{by}'{closest(str(by), [panel.grouping])}")
    if estimand not in ("att", "cumulative"):
        raise EstimandError(f"twfe answers 'att' and 'cumulative', not '{estimand}'{closest(estimand, ['att', 'cumulative'])}")
