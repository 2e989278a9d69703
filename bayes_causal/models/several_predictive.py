"""What several synthetic controls imply: their sums, outcomes without treatment, replicated ones, likelihood. NumPy throughout.

S draws, V units, T dates. Sites lead with whatever they lead with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayes_causal.models.treated_design import TreatedDesign

if TYPE_CHECKING:
    from bayes_causal.models.several_treated import SeveralTreated
    from bayes_causal.numerics.treated_rows import TreatedSums

Sites = Mapping[str, np.ndarray]
VALUES = 4_000_000


def sums(model: SeveralTreated, outcome: np.ndarray | None) -> TreatedSums:
    """What the Gibbs form takes."""
    from bayes_causal.numerics.simplex import dirichlet_constants
    from bayes_causal.numerics.treated_rows import TreatedSums, UnitRows

    d, p, y = model.design, model.priors, model.design.y.copy()
    if outcome is not None:
        y[d.fitted], means = np.split(outcome, [int(d.fitted.sum())])
        y += (d.counted > 0) * (means - (d.counted * y).sum(1))[:, None]
    lengths = np.unique(d.gap[d.gap > 0])
    code = np.where(d.gap > 0, 1 + np.searchsorted(lengths, d.gap), 0)
    used, ends = d.seen, np.log([p.concentration_low, p.concentration_high])
    groups, constants = [], []
    for own, x in zip(d.groups, d.x, strict=True):
        z = np.concatenate([x, y[own, :, None], used[own, :, None]], 2)
        rows = (d.fitted, d.before, code, d.counted, d.ahead, d.last, d.ratio)
        fitted, before, code_of, counted, ahead, last, ratio = (v[own] for v in rows)
        groups.append(UnitRows(z, fitted.astype(float), before, code_of, counted, ahead.astype(float), last, ratio))
        constants.append(dirichlet_constants(x.shape[-1], (float(ends[0]), float(ends[1]))))
    intercept, sigma, tau, omega = (
        np.asarray(float(s)) for s in (p.intercept if model.intercept else 0.0, p.sigma, p.tau, p.omega)
    )
    return TreatedSums(tuple(groups), tuple(constants), lengths, intercept, sigma, tau, omega, ends)


def weights(model: SeveralTreated, sites: Sites) -> np.ndarray:
    """(..., V, J) weights of all donors of any unit, 0 where one is none of a unit's."""
    pool = model.coords()["donor"]
    found = np.zeros((*sites["sigma"].shape, pool.size))
    for name, own in zip(model.weight_sites, model.design.groups, strict=True):
        for k, v in enumerate(range(own.start, own.stop)):
            found[..., v, np.searchsorted(pool, model.donor_labels[v])] = sites[name][..., k, :]
    return found


def expected(model: SeveralTreated, sites: Sites) -> np.ndarray:
    """(S, V, T) outcomes without treatment and error, standardised, from flat sites; any number on dates that are not used."""
    pairs = zip(model.weight_sites, model.design.x, strict=True)
    total = np.concatenate([np.einsum("vtj,svj->svt", x, sites[name]) for name, x in pairs], 1)
    return total + sites["intercept"][..., None] if "intercept" in sites else total


def counterfactual(model: SeveralTreated, sites: Sites, rng: np.random.Generator) -> np.ndarray:
    """(..., C) outcomes without treatment in rows with one, natural units, unit after unit, error and all.

    From the treatment on errors continue that of the last row fitted and share the shocks of their dates; before it each row is
    seen from the one before.
    """
    d, lead = model.design, sites["omega"].shape
    flat = {k: v.reshape(-1, *v.shape[len(lead) :]) for k, v in sites.items()}
    step = max(1, VALUES // d.y.size)
    blocks = [
        _counterfactual(model, {k: v[i : i + step] for k, v in flat.items()}, rng) for i in range(0, flat["omega"].size, step)
    ]
    return np.concatenate(blocks).reshape(*lead, -1)


def _counterfactual(model: SeveralTreated, sites: Sites, rng: np.random.Generator) -> np.ndarray:
    """`counterfactual` of flat sites."""
    d, mean = model.design, expected(model, sites)
    rho, sigma, c = _rho(sites), sites["sigma"], sites["correlation"][:, None, None]
    carry, sd = _over_gaps(d, rho, sigma)
    left = d.y - mean
    error = carry * np.take_along_axis(left, np.broadcast_to(d.before, left.shape), 2) + sd * rng.standard_normal(left.shape)
    innovation = np.sqrt(c) * sites["shock"][:, None] + np.sqrt(1 - c) * rng.standard_normal(left.shape)
    current = np.take_along_axis(left, np.broadcast_to(d.last[:, None], (*left.shape[:2], 1)), 2)[..., 0]
    for t in range(d.y.shape[1]):
        now = d.ahead[:, t]
        current = np.where(now, rho * current + sigma * innovation[..., t], current)
        error[..., t] = np.where(now, current, error[..., t])
    natural = d.center[:, None] + d.scale[:, None] * (mean + error)
    return np.asarray(natural[:, d.seen])


def simulate(model: SeveralTreated, sites: Sites, rng: np.random.Generator) -> np.ndarray:
    """(S, N) outcomes of the fitted rows, errors drawn anew; see `SeveralTreated.simulate`."""
    d, mean, c = model.design, expected(model, sites), sites["correlation"][:, None, None]
    carry, sd = _over_gaps(d, _rho(sites), sites["sigma"])
    dates = (len(mean), 1, d.y.shape[1])
    error = sd * (np.sqrt(c) * rng.standard_normal(dates) + np.sqrt(1 - c) * rng.standard_normal(mean.shape))
    units = np.arange(len(d.y))
    for t in range(d.y.shape[1]):
        error[..., t] += carry[..., t] * np.where(d.gap[:, t] > 0, error[:, units, d.before[:, t]], 0.0)
    return np.asarray((d.center[:, None] + d.scale[:, None] * (mean + error))[:, d.fitted])


def innovations(model: SeveralTreated, posterior: xr.Dataset) -> np.ndarray:
    """(V, T) innovations of fitted rows at posterior means; see `SeveralTreated.innovations`."""
    d, mean = model.design, posterior.mean(("chain", "draw"))
    own = [w.sel(donor=labels).values for w, labels in zip(mean["weight"], model.donor_labels, strict=True)]
    sites = {name: np.stack(own[group])[None] for name, group in zip(model.weight_sites, d.groups, strict=True)}
    sites |= {k: mean[k].values[None] / d.scale for k in ("sigma", "intercept") if k in mean}
    sites |= {"rho": mean["rho"].values[None]} if "rho" in mean else {}
    left = d.y - expected(model, sites)
    carry, sd = _over_gaps(d, _rho(sites), sites["sigma"])
    news = (left - carry * np.take_along_axis(left, np.broadcast_to(d.before, left.shape), 2)) / sd
    return np.where(d.fitted, news[0], np.nan)


def log_likelihood(model: SeveralTreated, sites: Sites) -> np.ndarray:
    """(S, N + V) log density of each fitted outcome, then of each unit's mean over treated rows, given shocks and effects."""
    d, mean = model.design, expected(model, sites)
    rho, sigma, c = _rho(sites), sites["sigma"], sites["correlation"]
    carry, sd = _over_gaps(d, rho, sigma)
    left = d.y - mean
    news = left - carry * np.take_along_axis(left, np.broadcast_to(d.before, left.shape), 2)
    shared, own = np.sqrt(c)[:, None, None], np.sqrt(1 - c)[:, None]
    rows = _log_normal((news - shared * sd * sites["shock"][:, None])[:, d.fitted], own * sd[:, d.fitted])
    q, share = forecast(d, rho)
    effect = d.ratio * (sites["tau"] + (sites["omega"] * sites["tau_offset"].T)).T.reshape(len(mean), -1)
    gap = (d.counted * left).sum(-1) - share * left[:, np.arange(len(d.last)), d.last] - effect
    gap -= sigma * np.sqrt(c)[:, None] * np.einsum("svt,st->sv", q, sites["shock"])
    return np.concatenate([rows, _log_normal(gap, sigma * own * np.sqrt((q**2).sum(-1)))], 1)


def forecast(d: TreatedDesign, rho: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(S, V, T) weights of innovations in the mean error of treated rows, over σ, and (S, V) of the last fitted row's error."""
    q = np.zeros((*rho.shape, d.y.shape[1]))
    current = np.zeros(rho.shape)
    for t in reversed(range(d.y.shape[1])):
        current = d.counted[:, t] + rho * current
        q[..., t] = current
    share = np.take_along_axis(q, np.broadcast_to(d.last[:, None], (*rho.shape, 1)), 2)[..., 0]
    return q * d.ahead, share


def _rho(sites: Sites) -> np.ndarray:
    return sites["rho"] if "rho" in sites else np.zeros(sites["sigma"].shape)


def _over_gaps(d: TreatedDesign, rho: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(S, V, T) share of the error that is left after the gap before each row, and sd of its innovation."""
    carry = np.where(d.gap > 0, rho[..., None] ** np.maximum(d.gap, 1), 0.0)
    return carry, sigma[..., None] * np.sqrt((1 - carry**2) / (1 - rho[..., None] ** 2))


def _log_normal(x: np.ndarray, sd: np.ndarray) -> np.ndarray:
    return np.asarray(-0.5 * ((x / sd) ** 2 + np.log(2 * np.pi)) - np.log(sd))
