"""Draws of effects from a posterior of `HierarchicalDiD`, as parameters and on the outcomes that happened, in any family."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayes_causal.models import did_predictive, did_realised, did_response
from bayes_causal.models.did_estimands import contraction
from bayes_causal.models.did_slopes import SlopeSums

if TYPE_CHECKING:
    from bayes_causal.models.hierarchical_did import HierarchicalDiD

Named = Mapping[str, np.ndarray]
NOISE_SEED = 20_040_101
REALISED = 500


def used(model: HierarchicalDiD, *, realised: bool = False) -> set[str]:
    """Reported quantities from which effects are computed."""
    if model.response.linear and not model.unit_slopes and not realised:
        return {"coefficient"}
    own = {*did_predictive.USED, "slope"} | (set() if model.response.normal else {"alpha"})
    return {did_response.prefixed(k, part) for k in own for part in model.response.parts} | {"nu", "dispersion"}


def mean_effect(
    model: HierarchicalDiD, named: Named, by: str | None, *, leads: bool = False
) -> tuple[np.ndarray, np.ndarray | None]:
    """(S, B) mean effects from flat named quantities, and (S, B) mean outcomes without them where the model has them."""
    if not model.response.linear:
        return did_response.mean_effect(model, named, by, leads=leads)
    weights, _, _ = contraction(model.panel.paths, model.structure, by, leads=leads)
    draws = named["coefficient"] @ weights.T
    if model.unit_slopes:
        on = contraction(model.panel.paths, model.structure, by, over="units")[0][:, model.panel.ever_treated]
        # The noise stream is fixed, so that one tree gives one answer.
        drawn = slopes(model, named, np.random.default_rng(NOISE_SEED + 1))
        draws[:, len(weights) - len(on) :] += np.concatenate([v @ on.T for v in drawn])
    return draws, None


def realised(model: HierarchicalDiD, posterior: xr.Dataset, by: str | None) -> tuple[xr.Dataset, np.ndarray]:
    """The draws used, and (chain, draw, by) mean over treated cells of y − Y(0).

    Only units ever treated enter. Where Y(0) is not normal given the parameters, or slopes vary, cells are drawn, for at most
    `REALISED` draws, evenly spaced. The noise stream is fixed, so that one tree gives one answer.
    """
    weights, _, _ = contraction(model.panel.paths, model.structure, by, over="rows")
    treated = model.panel.ever_treated
    d, rows = model.design.of_units(treated), treated[model.design.unit]
    weights, y = weights[:, rows], model.outcome()[rows]
    rng, own_rng = np.random.default_rng(NOISE_SEED), np.random.default_rng(NOISE_SEED + 1)
    if model.response.normal and not model.unit_slopes:
        period, named = model.panel.dataset["period"].values[d.time], did_predictive.flat(posterior)
        whole = did_realised.realised(d, period, weights, named, rng)
        return posterior, whole.reshape(posterior.sizes["chain"], posterior.sizes["draw"], -1)
    size = posterior.sizes["chain"] * posterior.sizes["draw"]
    kept = posterior.isel(draw=slice(None, None, max(1, size // REALISED)))
    draws = []
    for named in did_predictive.blocks(kept, y.size, used(model, realised=True)):
        if model.response.normal:
            untreated = did_predictive.untreated(d, with_slopes(model, named, treated, own_rng), rng)
        else:
            eta = did_response.predictors(model, named, d, units=treated, treated=False)
            untreated = model.response.simulate(d, eta, named, rng)
        draws.append((weights @ (y - untreated).T).T)
    return kept, np.concatenate(draws).reshape(kept.sizes["chain"], kept.sizes["draw"], -1)


def slopes(model: HierarchicalDiD, named: Named, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """(S, treated units) slopes in blocks of S: those that were sampled, else drawn given everything else."""
    if "slope" in named:
        return iter((named["slope"],))
    return SlopeSums(model.design.of_units(model.panel.ever_treated), model.gaps).blocks(named, rng)


def with_slopes(model: HierarchicalDiD, named: Named, units: np.ndarray, rng: np.random.Generator) -> Named:
    """Named quantities with `slope_of_unit` for the given (U,) units, zero for those never treated."""
    if not model.unit_slopes:
        return named
    drawn = np.concatenate(list(slopes(model, named, rng)))
    own = np.zeros((len(drawn), units.size))
    own[:, model.panel.ever_treated] = drawn
    return dict(named) | {"slope_of_unit": own[:, units]}
