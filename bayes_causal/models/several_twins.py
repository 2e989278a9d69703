"""The twins of several synthetic controls, side by side. V units, T dates; units with as many donors have one site of weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bayes_causal.models.several_treated import SeveralTreated
    from bayes_causal.models.treated_design import TreatedDesign


def numpyro_model(model: SeveralTreated) -> None:
    """The model in NumPyro."""
    import jax.numpy as jnp
    from numpyro import sample
    from numpyro.distributions import Dirichlet, HalfNormal, Normal, Uniform

    d, p, (n, dates) = model.design, model.priors, model.design.y.shape
    ends = np.log([p.concentration_low, p.concentration_high])
    concentration = jnp.exp(sample("log_concentration", Uniform(*ends).expand([n]).to_event(1)))
    means = []
    for name, own, x in zip(model.weight_sites, d.groups, d.x, strict=True):
        weight = sample(name, Dirichlet(concentration[own, None] * jnp.ones(x.shape[-1])).to_event(1))
        means.append(jnp.einsum("vtj,vj->vt", x, weight))
    mean = jnp.concatenate(means)
    if model.intercept:
        mean = mean + sample("intercept", Normal(0.0, p.intercept).expand([n]).to_event(1))[:, None]
    sigma = sample("sigma", HalfNormal(p.sigma).expand([n]).to_event(1))
    rho = sample("rho", Uniform(-1.0, 1.0).expand([n]).to_event(1)) if model.errors == "ar1" else jnp.zeros(n)
    c, shock = sample("correlation", Uniform(0.0, 1.0)), sample("shock", Normal(0.0, 1.0).expand([dates]).to_event(1))
    tau, omega = sample("tau", Normal(0.0, p.tau)), sample("omega", HalfNormal(p.omega))
    effect = d.ratio * (tau + omega * sample("tau_offset", Normal(0.0, 1.0).expand([n]).to_event(1)))

    error, (unit, row) = d.y - mean, np.nonzero(d.fitted)
    carry = jnp.where(d.gap > 0, rho[:, None] ** np.maximum(d.gap, 1), 0.0)[unit, row]
    sd = sigma[unit] * jnp.sqrt((1 - carry**2) / (1 - rho[unit] ** 2))
    expected = mean[unit, row] + carry * error[unit, d.before[unit, row]] + jnp.sqrt(c) * sd * shock[row]
    sample("y", Normal(expected, jnp.sqrt(1 - c) * sd).to_event(1), obs=d.y[unit, row])

    lag, reached = _reach(d)
    q = jnp.sum(rho[:, None, None] ** lag * reached, -1)
    share = jnp.sum(rho[:, None] ** lag[np.arange(n), d.last] * d.counted, -1)
    average = jnp.sum(d.counted * mean, 1) + effect + share * error[np.arange(n), d.last] + sigma * jnp.sqrt(c) * (q @ shock)
    spread = sigma * jnp.sqrt(1 - c) * jnp.sqrt(jnp.sum(q**2, 1))
    sample("average", Normal(average, spread).to_event(1), obs=np.sum(d.counted * d.y, 1))


def pymc_model(model: SeveralTreated) -> Any:
    """The model in PyMC."""
    import pymc as pm
    import pytensor.tensor as pt

    d, p, n = model.design, _doubles(model.priors), len(model.design.y)
    ends, zero, one = np.log([p["concentration_low"], p["concentration_high"]]), np.float64(0.0), np.float64(1.0)
    with pm.Model(coords=model.coords()) as built:
        concentration = pt.exp(pm.Uniform("log_concentration", *ends, dims="unit"))
        means = []
        for name, own, x in zip(model.weight_sites, d.groups, d.x, strict=True):
            weight = pm.Dirichlet(name, concentration[own, None] * np.ones(x.shape[-1]))
            means.append(pt.sum(x * weight[:, None, :], axis=-1))
        mean = pt.concatenate(means)
        if model.intercept:
            mean = mean + pm.Normal("intercept", zero, p["intercept"], dims="unit")[:, None]
        sigma = pm.HalfNormal("sigma", p["sigma"], dims="unit")
        rho = pm.Uniform("rho", -one, one, dims="unit") if model.errors == "ar1" else np.zeros(n)
        c, shock = pm.Uniform("correlation", zero, one), pm.Normal("shock", zero, one, dims="date")
        tau, omega = pm.Normal("tau", zero, p["tau"]), pm.HalfNormal("omega", p["omega"])
        effect = d.ratio * (tau + omega * pm.Normal("tau_offset", zero, one, dims="unit"))

        error, (unit, row) = d.y - mean, np.nonzero(d.fitted)
        carry = pt.where(d.gap > 0, rho[:, None] ** np.maximum(d.gap, 1), 0.0)[unit, row]
        sd = sigma[unit] * pt.sqrt((1 - carry**2) / (1 - rho[unit] ** 2))
        expected = mean[unit, row] + carry * error[unit, d.before[unit, row]] + pt.sqrt(c) * sd * shock[row]
        pm.Normal("y", expected, pt.sqrt(1 - c) * sd, observed=d.y[unit, row], dims="row")

        lag, reached = _reach(d)
        q = pt.sum(rho[:, None, None] ** lag * reached, axis=-1)
        share = pt.sum(rho[:, None] ** lag[np.arange(n), d.last] * d.counted, axis=-1)
        average = pt.sum(d.counted * mean, axis=1) + effect + share * error[np.arange(n), d.last]
        average = average + sigma * pt.sqrt(c) * pt.dot(q, shock)
        spread = sigma * pt.sqrt(1 - c) * pt.sqrt(pt.sum(q**2, axis=1))
        pm.Normal("average", average, spread, observed=np.sum(d.counted * d.y, 1), dims="unit")
    return built


def _reach(d: TreatedDesign) -> tuple[np.ndarray, np.ndarray]:
    """(V, T, T) periods from each date to each later one, 0 to earlier ones; and what an innovation of the one counts for in the
    mean over treated rows through the other, per carried share.
    """
    n, dates = d.y.shape
    lag = np.tile(np.arange(dates) - np.arange(dates)[:, None], (n, 1, 1))
    return np.maximum(lag, 0), np.where((lag >= 0) & d.ahead[..., None], d.counted[:, None, :], 0.0)


def _doubles(priors: Any) -> dict[str, np.float64]:
    return {k: np.float64(v) for k, v in vars(priors).items()}
