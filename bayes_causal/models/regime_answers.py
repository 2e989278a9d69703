"""What a posterior of `RegimeSwitching` says: quantities in natural units, responses to shocks, likelihoods, new outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayes_causal.errors import EstimandError, closest
from bayes_causal.estimates import Estimand
from bayes_causal.models.regime_design import Named
from bayes_causal.numerics.regime_rows import lags_of, rows_of

if TYPE_CHECKING:
    from bayes_causal.models.forms import GibbsForm
    from bayes_causal.models.regime_switching import RegimeSwitching

STARTS, STEPS, SEED = 12, 30, 19_890_357
HORIZONS = 12
SPREAD = 0.3
PARAMETERS = ("transition", "mean", "intercept", "ar", "shock", "control", "sigma", "nu", "initial")


def mode(model: RegimeSwitching) -> dict[str, np.ndarray]:
    """Parameters by inner names at the best of many starts of EM, pulled away from regimes of a few dates, in order."""
    from bayes_causal.numerics.regime_em import Pull, maximise

    lay = model.layout
    pull = Pull(model.priors.stay, 2.0 + lay.shocks + lay.order, 1.0)
    p = maximise(model.free, model.design.rows, count=STARTS, steps=STEPS, climb=0, pull=pull, seed=SEED).parameters
    order = np.argsort(p[lay.key][lay.reference])
    p = {n: v[..., order] if lay.regime(n) else v for n, v in p.items()}
    p["transition"] = p["transition"][np.ix_(order, order)]
    if lay.shocks and lay.pooled:
        p |= {"shock_mean": p["shock"].mean(0), "shock_spread": np.full(lay.shocks, SPREAD)}
    return p | ({"nu": np.array(2 / model.priors.tails)} if lay.tails else {})


def form(model: RegimeSwitching, outcome: np.ndarray | None) -> GibbsForm:
    """The blocks of the model."""
    from bayes_causal.numerics.regime_sweeps import RegimeSums, RegimeSweeps, Scales

    d, p = model.design, model.priors
    rows = d.rows
    if outcome is not None:
        rows = rows._replace(y=outcome[model.order :], lags=lags_of(outcome, model.order))
    scales = Scales(p.level, p.shock, p.spread, p.control, p.ar, p.sigma, p.sigma_df, p.tails)
    sums = RegimeSums(*rows, p.rows(model.regimes), model.mode)
    return RegimeSweeps(model.layout, model.free.shape.form, model.shock_state == "lagged", scales, sums)


def with_regimes(model: RegimeSwitching, sites: Named) -> dict[str, np.ndarray]:
    """Standardised parameters by inner names from sites (..., …): level, sigma, shock and ar all with a regime axis last."""
    lay = model.layout
    p = lay.canonical(sites, lambda parts, axis: np.concatenate(parts, axis))
    for name in ("level", "sigma", "shock", "ar"):
        if name in p and not lay.regime(name):
            p[name] = np.repeat(p[name][..., None], lay.regimes, -1)
    return p


def natural(model: RegimeSwitching, sites: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Reported quantities, as `RegimeSwitching.natural` says."""
    d, lay = model.design, model.layout
    p = with_regimes(model, sites)
    scale = d.scale[:, None]
    named = {"transition": p["transition"], "sigma": scale * p["sigma"]}
    level = scale * p["level"] + d.center[:, None]
    if lay.level == "intercept" and lay.order:
        level = level - d.center[:, None] * p["ar"].sum(-2)
    if lay.controls:
        named["control_effect"] = scale * p["control"] / d.control_scale
        if lay.level == "intercept":
            level = level - (named["control_effect"] @ d.control_center)[..., None]
    named[lay.level] = level
    if lay.shocks:
        named["shock_effect"] = scale[..., None] * p["shock"] / d.shock_scale[:, None]
    named |= {k: sites[k] for k in ("ar", "nu", "shock_mean", "shock_spread") if k in sites}
    found = _probabilities(model, sites)
    return named | {"filtered": found.filtered, "smoothed": found.smoothed}


def _probabilities(model: RegimeSwitching, sites: Named) -> Any:
    """`numerics.regime_filter.Probabilities` with the leading axes of the sites."""
    import jax

    from bayes_causal.numerics.regime_filter import probabilities

    lead = np.shape(sites["transition"])[:-2]
    flat = {k: np.reshape(v, (-1, *np.shape(v)[len(lead) :])) for k, v in sites.items()}
    p = model.layout.canonical(flat, lambda parts, axis: np.concatenate(parts, axis))
    with jax.enable_x64(True):
        found = jax.device_get(probabilities(model.free, model.design.rows, p))
    return type(found)(*(v.reshape(*lead, *v.shape[1:]) for v in found))


def today(model: RegimeSwitching, posterior: xr.Dataset) -> xr.DataArray:
    """Law of the regime that the effect of the next date's shock loads on."""
    now = posterior["filtered"].isel(time=-1, drop=True).astype(float)
    now = now / now.sum("regime")
    if model.shock_state == "lagged":
        return now
    moved = (now * posterior["transition"]).sum("regime")
    return moved.rename(regime_to="regime")


def responses(model: RegimeSwitching, posterior: xr.Dataset, horizons: int) -> xr.DataArray:
    """Impulse responses by the regime that the effect loads on; lags carry them on, later regimes follow P."""
    if "shock_effect" not in posterior:
        raise EstimandError("this model has no shocks, so that nothing has an effect: name some as `shocks` of the MultiSeries")
    beta, p = posterior["shock_effect"], posterior["transition"].values
    lay, k = model.layout, model.regimes
    values = beta.transpose("chain", "draw", "series", "shock", "regime").values
    found = np.zeros((*values.shape, horizons + 1))
    found[..., 0] = values
    if lay.order:
        ar = posterior["ar"].transpose("chain", "draw", "series", "lag", ...).values
        ar = ar if lay.regime("ar") else np.repeat(ar[..., None], k, -1)
        start = p if model.shock_state == "lagged" else np.broadcast_to(np.eye(k), p.shape)
        # v[i, j]: response of the i-th last outcome where the regime is j, times the probability of j.
        v = np.zeros((*values.shape, lay.order, k))
        v[..., 0, :] = values[..., None] * start[:, :, None, None]
        for h in range(1, horizons + 1):
            passed = v @ p[:, :, None, None, None]
            new = np.einsum("cdaskij,cdaij->cdaskj", passed, ar)
            v = np.concatenate([new[..., None, :], passed[..., :-1, :]], -2)
            found[..., h] = new.sum(-1)
    dims = ("chain", "draw", "series", "shock", "regime", "horizon")
    coords = {d: beta[d].values for d in dims[:-1]} | {"horizon": np.arange(horizons + 1)}
    return xr.DataArray(found, coords, dims)


def effect(model: RegimeSwitching, posterior: xr.Dataset, estimand: Estimand) -> xr.DataArray:
    """Draws of an estimand, as `RegimeSwitching.effect` says."""
    if estimand.name != "regime_effect":
        raise EstimandError(f"{model.name} answers 'regime_effect', the response to a shock, not '{estimand.name}'")
    if estimand.scale != "mean":
        raise EstimandError("an effect of a shock is a parameter here: ask for scale 'mean', not 'realised'")
    if estimand.by not in (None, "regime", "series", "shock", "horizon"):
        raise EstimandError(
            f"regime_effect is not broken down by '{estimand.by}'{closest(str(estimand.by), ['regime', 'horizon'])}"
        )
    found = responses(model, posterior, HORIZONS if estimand.by == "horizon" else 0)
    if estimand.by == "regime":
        return found.isel(horizon=0, drop=True)
    found = (found * today(model, posterior)).sum("regime")
    return found if estimand.by == "horizon" else found.isel(horizon=0, drop=True)


def simulate(model: RegimeSwitching, sites: Mapping[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """(S, T, A) outcomes in natural units, date after date."""
    d, lay, p = model.design, model.layout, with_regimes(model, sites)
    rows, shape = d.rows, model.free.shape
    samples, (dates, a) = p["transition"].shape[0], rows.y.shape
    regimes = draw_regimes(p["transition"], dates + shape.memory, rng)
    noise = rng.standard_normal((samples, dates, a))
    if lay.tails:
        noise /= np.sqrt(rng.gamma(p["nu"][:, None, None] / 2, 2 / p["nu"][:, None, None], noise.shape))
    each, series = np.arange(samples)[:, None], np.arange(a)
    y = np.empty((samples, lay.order + dates, a))
    y[:, : lay.order] = d.opening
    for t in range(dates):
        z = [regimes[:, shape.memory + t - lag, None] for lag in range(shape.memory + 1)]
        mean = p["level"][each, series, z[0]]
        if lay.controls:
            mean = mean + p["control"] @ rows.c[t]
        if lay.shocks:
            loads = p["shock"][each, series, :, z[1 if shape.lagged else 0]]
            mean = mean + loads @ rows.x[t]
        for lag in range(lay.order):
            before = y[:, lay.order + t - 1 - lag]
            if shape.form == "hamilton":
                before = before - p["level"][each, series, z[lag + 1]]
            mean = mean + p["ar"][each, series, lag, z[0]] * before
        y[:, lay.order + t] = mean + p["sigma"][each, series, z[0]] * noise[:, t]
    return np.asarray(d.center + d.scale * y[:, lay.order :])


def draw_regimes(transition: np.ndarray, dates: int, rng: np.random.Generator) -> np.ndarray:
    """(S, dates) paths of chains with (S, K, K) transitions, begun in the law that each keeps."""
    from bayes_causal.numerics.regimes import trees

    weight = np.stack(trees(transition), -1)
    edges, uniform = np.cumsum(transition, -1), rng.random((dates, len(transition)))
    path = np.empty((len(transition), dates), int)
    path[:, 0] = (np.cumsum(weight / weight.sum(-1, keepdims=True), -1)[:, :-1] < uniform[0][:, None]).sum(1)
    for t in range(1, dates):
        rows = edges[np.arange(len(path)), path[:, t - 1], :-1]
        path[:, t] = (rows < uniform[t][:, None]).sum(1)
    return path


def log_likelihood(model: RegimeSwitching, parameters: Mapping[str, Any]) -> Any:
    """Of one series at natural parameters, or of flat sites, date by date."""
    if np.ndim(parameters.get("transition", 0)) == 3:
        return _by_date(model, parameters)
    import jax

    from bayes_causal.numerics.jitted import jitted_once
    from bayes_causal.numerics.regime_em import Free
    from bayes_causal.numerics.regime_em import log_likelihood as value

    p = _one_series(model, parameters)
    data = model.data
    rows = rows_of(data.outcomes, data.shocks, data.controls, model.order)
    with jax.enable_x64(True):
        return float(jitted_once(partial(value, Free(model.free.shape, ())))(rows, p))


def maximum(model: RegimeSwitching, count: int, seed: int) -> tuple[dict[str, np.ndarray], float]:
    """The most likely parameters of one series, in its own units, and the log likelihood there."""
    from bayes_causal.numerics.regime_em import maximise

    data, lay = model.data, model.layout
    if len(data.series_names) > 1:
        raise ValueError(f"the likelihood is maximised for one series, and the model has {lay.series}: data.select(series=[…])")
    if lay.tails:
        raise ValueError("the likelihood is maximised for normal errors alone: use errors='gaussian'")
    rows = rows_of(data.outcomes, data.shocks, data.controls, model.order)
    found = maximise(model.free, rows, count=count, seed=seed)
    order = np.argsort(found.parameters[lay.key][0])
    p = {n: (v[0][..., order] if lay.regime(n) else v[0]) for n, v in found.parameters.items() if n != "transition"}
    p = {n: v.T if n in ("ar", "shock") else v for n, v in p.items()}
    p["transition"] = found.parameters["transition"][np.ix_(order, order)]
    if not lay.regime("level"):
        p["level"] = np.repeat(p["level"], lay.regimes)
    return {model.layout.level if n == "level" else n: v for n, v in p.items()}, found.log_likelihood


def _by_date(model: RegimeSwitching, sites: Named) -> xr.DataArray:
    import jax

    from bayes_causal.numerics.regime_filter import increments

    p = model.layout.canonical(sites, lambda parts, axis: np.concatenate(parts, axis))
    with jax.enable_x64(True):
        found = np.asarray(increments(model.free, model.design.rows, p))
    return xr.DataArray(found, dims=("sample", "time"), name="y")


def _one_series(model: RegimeSwitching, given: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Parameters by inner names with their series axis, or everything that is wrong with them."""
    k, data = model.regimes, model.data
    sizes = {"ar": model.order, "shock": len(data.shock_names)}
    own = {"mean", "intercept"} - {model.layout.level}
    problems = [f"'{n}' is no parameter{closest(n, PARAMETERS)}" for n in given if n not in PARAMETERS]
    problems += [f"form '{model.form}' has no '{n}' but '{model.layout.level}'" for n in given if n in own]
    problems += [f"'{n}' is missing" for n in ("transition", "sigma") if n not in given]
    if len(data.series_names) > 1:
        problems.append(
            f"these are parameters of one series, and the model has {len(data.series_names)}: data.select(series=[…])"
        )
    shapes: dict[str, tuple[tuple[int, ...], ...]] = {n: ((k, size), (size,)) for n, size in sizes.items()}
    shapes |= {n: ((k,),) for n in ("mean", "intercept", "initial")} | {"transition": ((k, k),), "sigma": ((k,), ())}
    shapes |= {"control": ((len(data.control_names),),), "nu": ((),)}
    found = {n: np.asarray(v, float) for n, v in given.items() if n in PARAMETERS}
    problems += [
        f"'{n}' has shape {v.shape}, and must have {' or '.join(map(str, shapes[n]))}"
        for n, v in found.items()
        if v.shape not in shapes[n]
    ]
    if not problems and (np.abs(found["transition"].sum(1) - 1) > 1e-6).any():
        problems.append("rows of 'transition' must sum to one: they are where a regime goes from")
    if problems:
        raise ValueError("; ".join(problems))
    by_regime = {n: found[n].T if found[n].ndim == 2 else found[n] for n in sizes if n in found}
    inner = {("level" if n in ("mean", "intercept") else n): v for n, v in (found | by_regime).items()}
    return {n: v if n in ("transition", "initial", "nu") else v[None] for n, v in inner.items()}
