"""What a hierarchical time series implies: its collapsed form, effects, levels, replicated outcomes, likelihood of each unit.

S draws, N rows, U units, V of them ever treated, T rows of the padded grid, K effect columns, C covariates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayes_causal.errors import EstimandError, closest
from bayes_causal.estimates import Estimand
from bayes_causal.models.did_estimands import contraction, told
from bayes_causal.models.unit_series_design import padded, paths
from bayes_causal.numerics import ar1

if TYPE_CHECKING:
    from bayes_causal.models.hierarchical_time_series import HierarchicalTimeSeries
    from bayes_causal.numerics.unit_series import UnitSeries

Named = Mapping[str, np.ndarray]
USED = ("coefficient", "slope", "beta", "sigma", "rho", "level_ratio")
NOISE_SEED = 20_150_102
REALISED = 500
VALUES = 4_000_000


def form(model: HierarchicalTimeSeries, outcome: np.ndarray | None, without: np.ndarray | None) -> UnitSeries:
    """The collapsed form; see `HierarchicalTimeSeries.collapsed`."""
    from bayes_causal.numerics.linear_gaussian import Block, Hyper, loads
    from bayes_causal.numerics.unit_series import UnitSeries, UnitSums

    d, p = model.design, model.priors
    n_effects, n_covariates, rows = d.effect.shape[1], d.covariates.shape[1], padded(d.span)
    columns, observed, path = paths(d, rows)
    own = d.by_unit(np.column_stack([d.covariates, d.y if outcome is None else outcome]), rows)
    blocks = model.structure.blocks(p.effects, 0)
    hypers = [Hyper("sigma", "half_normal", p.sigma), Hyper("rho", "uniform")]
    hypers += [Hyper(k, "half_normal", getattr(p, k)) for k in ("level_ratio", "sigma_slope")]
    if n_covariates:
        blocks = (*blocks, Block("beta_mean", (n_covariates,), p.beta, n_effects, n_effects + n_covariates))
        hypers.append(Hyper("sigma_beta", "half_normal", p.sigma_beta))
    kept, count = np.ones((1, d.n_units)), np.bincount(d.unit, minlength=d.n_units)
    kept = kept if without is None else np.vstack([kept, ~without])
    sums = UnitSums(columns, observed, path, own, d.ratio, kept[0], kept[0] @ count, model.treated, loads(blocks))
    if without is not None:
        stacked = {k: np.broadcast_to(v, (len(kept), *np.shape(v))) for k, v in sums._asdict().items()}
        sums = UnitSums(**(stacked | {"kept": kept, "rows": kept @ count}))
    return UnitSeries((*hypers, *model.structure.hypers(p.effects)), blocks, n_covariates, float(p.first_level), sums)


def effect(model: HierarchicalTimeSeries, posterior: xr.Dataset, estimand: Estimand) -> xr.DataArray:
    """Draws of an estimand; see `HierarchicalTimeSeries.effect`."""
    known = ("att", "cumulative", "relative")
    if estimand.name not in known:
        raise EstimandError(f"{model.name} has no '{estimand.name}'{closest(estimand.name, known)}")
    plain = estimand.name == "att" and estimand.scale == "mean"
    weights, labels, cells = contraction(model.panel, model.structure, estimand.by, leads=plain)
    if estimand.scale == "realised":
        posterior, draws = realised(model, posterior, estimand.by)
    else:
        on = contraction(model.panel, model.structure, estimand.by, over="units")[0][:, model.treated]
        named = flat(posterior)
        draws = named["coefficient"] @ weights.T
        draws[:, len(weights) - len(on) :] += named["slope"] @ on.T
    return told(draws, posterior, estimand, model.panel, labels, cells)


def realised(model: HierarchicalTimeSeries, posterior: xr.Dataset, by: str | None) -> tuple[xr.Dataset, np.ndarray]:
    """The draws used, and (S, B) mean over treated cells of y − Y(0), for at most `REALISED` draws, evenly spaced.

    The noise stream is fixed, so that one tree gives one answer.
    """
    weights, _, _ = contraction(model.panel, model.structure, by, over="rows")
    d, units = model.design, model.treated
    rows = np.isin(d.unit, units)
    place, at = np.searchsorted(units, d.unit[rows]), d.position[rows]
    weights, y = weights[:, rows], model.observed().values[rows]
    kept = thinned(posterior, REALISED)
    seen = d.by_unit((d.active == 0), padded(d.span))[units]
    draws = []
    for part, states in drawn_states(model, flat(kept), units, seen, np.random.default_rng(NOISE_SEED)):
        own = states.sum(-1)[:, place, at] + regression(model, part)[:, rows]
        draws.append((weights @ (y - d.first[d.unit[rows]] - d.scale[d.unit[rows]] * own).T).T)
    return kept, np.concatenate(draws)


def levels(model: HierarchicalTimeSeries, posterior: xr.Dataset, draws: int) -> xr.DataArray:
    """Levels on demand; see `HierarchicalTimeSeries.levels`."""
    d, data, units = model.design, model.panel.dataset, np.arange(model.design.n_units)
    seen = d.by_unit(np.ones(d.y.size, bool), padded(d.span))
    named = flat(thinned(posterior, draws))
    found = np.concatenate([s[..., 0] for _, s in drawn_states(model, named, units, seen, np.random.default_rng(NOISE_SEED))])
    period = data["period"].values
    position = period - period[model.panel.observed.argmax(1)][:, None]
    inside = (position >= 0) & (position < d.span)
    by_time = np.take_along_axis(found, np.clip(position, 0, d.span - 1)[None], 2)
    value = np.where(inside, d.first[:, None] + d.scale[:, None] * by_time, np.nan)
    coords = {"unit": data["unit"].values, "time": data["time"].values}
    return xr.DataArray(value, coords, ("sample", "unit", "time"), name="level")


def simulate(model: HierarchicalTimeSeries, sites: Named, rng: np.random.Generator) -> np.ndarray:
    """Outcomes; see `HierarchicalTimeSeries.simulate`."""
    d, named = model.design, model.natural(sites)
    standard = on_own_scale(model, named)
    if "level_step" in sites:
        step = (standard["sigma"] * standard["level_ratio"])[:, None, None] * np.cumsum(sites["level_step"], -1)
        level = sites["level_first"][..., None] + np.concatenate([np.zeros_like(step[..., :1]), step], -1)
        found = level[:, d.unit, d.position]
    else:
        seen = d.by_unit(np.ones(d.y.size, bool), padded(d.span))
        blocks = drawn_states(model, named, np.arange(d.n_units), seen, rng)
        found = np.concatenate([states[:, d.unit, d.position, 0] for _, states in blocks])
    slope = np.zeros((len(found), d.n_units))
    slope[:, model.treated] = standard["slope"]
    effects = d.ratio[d.unit] * (standard["coefficient"] @ d.effect.T + d.active * slope[:, d.unit])
    errors = ar1.simulate(standard["rho"], standard["sigma"], d.gap, rng)
    return d.first[d.unit] + d.scale[d.unit] * (found + effects + regression(model, named) + errors)


def innovations(model: HierarchicalTimeSeries, posterior: xr.Dataset) -> xr.DataArray:
    """One-step errors at posterior means; see `HierarchicalTimeSeries.innovations`."""
    import jax

    from bayes_causal.numerics import unit_series

    d, form = model.design, model.collapsed()
    means = {k: v.mean(0, keepdims=True) for k, v in flat(posterior).items()}
    named = {k: v[0] for k, v in on_own_scale(model, means).items()}
    slope = np.zeros(d.n_units)
    slope[model.treated] = named["slope"]
    own = np.column_stack([named["beta"], slope])
    with jax.enable_x64(True):
        theta = {k: named[k] for k in ("sigma", "rho", "level_ratio")}
        found = np.asarray(unit_series.innovations(form.first_sd, form.sums, theta, named["coefficient"], own))
    value = np.full(model.panel.observed.shape, np.nan)
    value[model.panel.observed] = found[d.unit, d.position]
    coords = {k: model.panel.dataset[k].values for k in ("unit", "time")}
    return xr.DataArray(value, coords, ("unit", "time"), name="innovation")


def log_likelihood(model: HierarchicalTimeSeries, sites: Named) -> np.ndarray:
    """(S, U) log density of each unit's standardised rows given θ, τ and b."""
    import jax
    import jax.numpy as jnp

    from bayes_causal.numerics.jitted import jitted
    from bayes_causal.numerics.unit_series import AT_ONCE

    form = model.collapsed()
    shared = model.structure.coefficients(sites)
    shared = np.concatenate([shared, sites["beta_mean"]], -1) if "beta_mean" in sites else shared
    with jax.enable_x64(True):
        sums, bare = jax.tree.map(jnp.asarray, form.sums), form.bare()
        theta = {h.name: jnp.asarray(sites[h.name]) for h in form.hypers}
        each = jitted(lambda sums, *x: jax.lax.map(lambda one: bare.log_likelihood(sums, *one), x, batch_size=AT_ONCE))
        return np.asarray(each(sums, theta, jnp.asarray(shared)))


def drawn_states(
    model: HierarchicalTimeSeries, named: Named, units: np.ndarray, seen: np.ndarray, rng: np.random.Generator
) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
    """Flat named quantities in blocks of s, and (s, n, T, 2) level and error of n units on their own scales.

    Parameters
    ----------
    named : quantities (S, ...) in natural units
    units : (n,) positions
    seen : (n, T) rows on which the outcome is known
    """
    import jax
    import jax.numpy as jnp

    from bayes_causal.numerics.unit_series import AT_ONCE, draw_levels_and_errors

    form = model.collapsed()
    sums = form.sums._replace(path=form.sums.path[units], own=form.sums.own[units], ratio=form.sums.ratio[units])
    step, size = max(AT_ONCE, VALUES // (2 * seen.size)), len(named["sigma"])
    with jax.enable_x64(True):
        sums, rows = jax.tree.map(jnp.asarray, sums), jnp.asarray(seen)
        keys = np.asarray(jax.random.split(jax.random.PRNGKey(int(rng.integers(2**31))), size))
        for low in range(0, size, step):
            part = {k: v[low : low + step] for k, v in named.items()}
            own = on_own_scale(model, part)
            slope = np.zeros((len(own["sigma"]), model.design.n_units))
            slope[:, model.treated] = own["slope"]
            theta = {k: own[k] for k in ("sigma", "rho", "level_ratio")}
            known = jax.tree.map(jnp.asarray, (theta, own["coefficient"], slope[:, units], own["beta"][:, units]))
            yield part, np.asarray(draw_levels_and_errors(form.first_sd, sums, rows, known, keys[low : low + step]))


def regression(model: HierarchicalTimeSeries, named: Named) -> np.ndarray:
    """(S, N) what covariates add, on the units' own scales."""
    d = model.design
    if not d.covariates.shape[1]:
        return np.zeros((len(named["sigma"]), d.y.size))
    return np.einsum("snc,nc->sn", on_own_scale(model, named)["beta"][:, d.unit], d.covariates)


def on_own_scale(model: HierarchicalTimeSeries, named: Named) -> dict[str, np.ndarray]:
    """Effects and σ in units of S, `beta` (S, U, C) on the units' own scales; the rest of what is used as it is."""
    d = model.design
    own = {k: named[k] / d.effect_scale for k in ("coefficient", "slope", "sigma")}
    beta = named["beta"] * (d.covariate_scale / d.scale[:, None]) if "beta" in named else None
    own["beta"] = np.zeros((len(own["sigma"]), d.n_units, 0)) if beta is None else beta
    return own | {k: named[k] for k in ("rho", "level_ratio")}


def thinned(posterior: xr.Dataset, most: int) -> xr.Dataset:
    """At most about `most` draws, evenly spaced."""
    size = posterior.sizes["chain"] * posterior.sizes["draw"]
    return posterior.isel(draw=slice(None, None, max(1, -(-size // most))))


def flat(posterior: xr.Dataset) -> dict[str, np.ndarray]:
    """What effects and levels are computed from, chain and draw merged: (S, ...)."""
    kept = {k: posterior[k].transpose("chain", "draw", ...).values for k in USED if k in posterior}
    return {k: v.reshape(-1, *v.shape[2:]) for k, v in kept.items()}
