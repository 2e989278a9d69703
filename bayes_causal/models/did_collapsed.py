"""What is left of difference-in-differences to sample, family by family: forms for the engine that integrates out the rest.

Rows that are normal make a `LinearGaussian`, which is exact; others an `EmbeddedLaplace`, whose draws carry their own correction;
a family with two predictors, two forms side by side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.models.did_predictor import Predictor
from bayes_causal.models.did_slopes import loadings
from bayes_causal.models.panel_design import PanelDesign

if TYPE_CHECKING:
    from bayes_causal.models.did_priors import Priors
    from bayes_causal.models.hierarchical_did import HierarchicalDiD
    from bayes_causal.numerics.embedded_laplace import EmbeddedLaplace
    from bayes_causal.numerics.laplace_expansion import Data
    from bayes_causal.numerics.linear_gaussian import Block, LinearGaussian
    from bayes_causal.numerics.side_by_side import SideBySide
    from bayes_causal.numerics.unit_quadrature import RowDensity, UnitRows
    from bayes_causal.numerics.with_intercepts import WithIntercepts


def approximated(model: HierarchicalDiD) -> EmbeddedLaplace | SideBySide:
    """The form, or forms, of a model whose family is not normal."""
    from bayes_causal.numerics.side_by_side import SideBySide

    densities = model.response.densities
    near = {k: laplace(model, k) for k in model.predictors if k in densities}
    return near[""] if "" in near else SideBySide({"": with_intercepts(model, "")} | near)


def exact(
    model: HierarchicalDiD, part: str, outcome: np.ndarray | None = None, without: np.ndarray | None = None
) -> LinearGaussian:
    """Normal rows: columns times √w in the order of the blocks, y last."""
    from bayes_causal.numerics.linear_gaussian import Hyper, linear_gaussian
    from bayes_causal.numerics.panel_sums import Within, panel_sums, path_sums, sums_without

    linear, p = model.predictors[part], model.priors
    d, slopes = linear.design, model.unit_slopes
    y = model.response.normal_outcome(d) if outcome is None else outcome
    z = np.hstack([*columns(linear), y[:, None]]) * d.sqrt_weight[:, None]
    loading = loadings(d) if slopes else d.sqrt_weight
    if d.copies is None or d.within is None:
        sums = panel_sums(z, loading, d.gap, model.gaps)
    else:
        covariates = z.shape[1] - 1 - d.covariates.shape[1]
        differ = np.r_[1 + d.within.terms, np.arange(covariates, z.shape[1])]
        sums = path_sums(z, d.gap, model.gaps, d.copies, Within(differ, d.within.spread, d.time))
    if without is not None:
        sums = sums_without(sums, z, loading, d.gap, model.gaps, without)
    sigma, *others = model.response.hypers(p, model.errors)
    unit, *steps = _scales(model, linear)
    hypers = [sigma, unit, *others, *steps]
    hypers += [Hyper("sigma_slope", "half_normal", p.sigma_slope)] if slopes else []
    scales = ("sigma_unit", "sigma_slope") if slopes else ("sigma_unit",)
    return linear_gaussian((*hypers, *model.structure.hypers(p)), blocks(linear, p), sums, model.gaps, scales)


def blocks(linear: Predictor, p: Priors) -> tuple[Block, ...]:
    """The coefficients of a predictor and their columns: those the same in every row of a unit first."""
    from bayes_causal.numerics.linear_gaussian import Block

    d = linear.design
    sizes = [1, d.unit_terms.shape[1], d.n_times - 1, d.effect.shape[1], d.covariates.shape[1]]
    ends = [int(e) for e in np.cumsum(sizes)]
    found = [Block("intercept", (), linear.flat * p.intercept, 0, 1)]
    found += [Block("delta", (sizes[1],), p.slope, ends[0], ends[1])] if sizes[1] else []
    if linear.walk:
        found.append(Block("time_offset", (sizes[2],), 1.0, ends[1], ends[2], scale="step_time"))
    else:
        found.append(Block("time_contrast", (sizes[2],), linear.flat * p.time, ends[1], ends[2]))
    found += linear.structure.blocks(p, ends[2])
    found += [Block("beta", (sizes[4],), p.slope, ends[3], ends[4])] if sizes[4] else []
    return tuple(found)


def columns(linear: Predictor) -> list[np.ndarray]:
    """(N, ·) columns in the order of the blocks."""
    d = linear.design
    return [np.ones((d.y.size, 1)), d.unit_terms[d.unit], times(linear)[d.time], d.effect, d.covariates]


def times(linear: Predictor) -> np.ndarray:
    """(T, T − 1) what the time sites add up to in each period."""
    t = linear.design.n_times
    return np.vstack([np.zeros(t - 1), np.tril(np.ones((t - 1, t - 1)))]) if linear.walk else linear.design.contrasts


def laplace(model: HierarchicalDiD, part: str) -> EmbeddedLaplace:
    """Rows that are not normal, by a Laplace approximation."""
    from bayes_causal.numerics.embedded_laplace import embedded_laplace

    return embedded_laplace(*rows_and_columns(model, part))


def rows_and_columns(model: HierarchicalDiD, part: str) -> tuple[tuple[Any, ...], tuple[Block, ...], RowDensity, Data]:
    """Hyperparameters, coefficients, the density of a row, and rows and columns unit by unit."""
    from bayes_causal.numerics.laplace_expansion import Data

    linear, p = model.predictors[part], model.priors
    d, own = linear.design, () if part else model.response.hypers(p, model.errors)
    offset = np.array(0.0 if model.response.linear else d.center)
    data = Data(by_unit(d, d.y, d.sqrt_weight), offset, unit_columns(d), padded(d, np.hstack(columns(linear)[2:])))
    hypers = (*own, *_scales(model, linear), *model.structure.hypers(p))
    return hypers, blocks(linear, p), model.response.densities[part], data


def with_intercepts(model: HierarchicalDiD, part: str) -> WithIntercepts:
    """Normal rows whose units' intercepts are drawn with everything else: the effects of other rows hang on them."""
    from bayes_causal.numerics.with_intercepts import with_intercepts

    linear = model.predictors[part]
    d, y = linear.design, model.response.normal_outcome(linear.design)
    z = np.hstack([*columns(linear), y[:, None]]) * d.sqrt_weight[:, None] ** 2
    own = np.stack([np.bincount(d.unit, c, d.n_units) for c in z.T], 1)
    weight = np.bincount(d.unit, d.sqrt_weight**2, d.n_units)
    return with_intercepts(exact(model, part), unit_columns(d), own, weight)


def unit_columns(d: PanelDesign) -> np.ndarray:
    """(U, 1 + M) columns that are the same in every row of a unit."""
    return np.hstack([np.ones((d.n_units, 1)), d.unit_terms])


def by_unit(d: PanelDesign, y: np.ndarray, weight: np.ndarray) -> UnitRows:
    """Outcomes and square roots of weights as (U, T) arrays, T the most rows of a unit."""
    from bayes_causal.numerics.unit_quadrature import UnitRows

    there = padded(d, np.ones(y.size)) > 0
    return UnitRows(padded(d, y), np.where(there, padded(d, weight), 1.0), there)


def padded(d: PanelDesign, rows: np.ndarray) -> np.ndarray:
    """(U, T, ...) rows by unit from (N, ...), zeros where a unit has fewer."""
    place = np.arange(d.unit.size) - d.starts[np.cumsum(d.gap == 0) - 1]
    whole = np.zeros((d.n_units, int(place.max()) + 1, *rows.shape[1:]))
    whole[d.unit, place] = rows
    return whole


def _scales(model: HierarchicalDiD, linear: Predictor) -> list[Any]:
    """Sds of the units' intercepts, and of the steps of time effects that are a random walk."""
    from bayes_causal.numerics.linear_gaussian import Hyper

    p = model.priors
    return [Hyper("sigma_unit", "half_normal", p.sigma_unit)] + (
        [Hyper("step_time", "half_normal", p.step_time)] if linear.walk else []
    )
