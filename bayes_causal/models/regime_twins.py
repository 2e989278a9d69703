"""The two twins of a regime model, side by side: the same sites, regimes summed out by the forward algorithm in each."""

from __future__ import annotations

from math import log, pi
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.models.regime_priors import numpyro_distributions, pymc_half_t, pymc_ordered

if TYPE_CHECKING:
    from bayes_causal.models.regime_switching import RegimeSwitching


def numpyro_twin(model: RegimeSwitching) -> None:
    """The model in NumPyro."""
    import jax.numpy as jnp
    from numpyro import factor, sample
    from numpyro.distributions import Dirichlet, Gamma, HalfNormal, Normal

    from bayes_causal.numerics.regime_em import log_likelihood

    lay, p, rows = model.layout, model.priors, model.design.rows
    ordered, half_t = numpyro_distributions()
    k, a, s = lay.regimes, lay.series, lay.shocks
    sites = {"transition": sample("transition", Dirichlet(jnp.asarray(p.rows(k))).to_event(1))}

    def normal(name: str, scale: float, shape: tuple[int, ...]) -> None:
        sites[name] = sample(name, Normal(0.0, scale).expand(shape).to_event(len(shape)))

    for name, scale in (("level", p.level), ("sigma", p.sigma)):
        outside, one = lay.outside(name), (lay.key == name)
        shape = (a - one, *lay.regime(name))
        if one:
            sites[f"{outside}_reference"] = sample(f"{outside}_reference", ordered(name, k, scale, p.sigma_df))
        outside += "_others" if one else ""
        if shape[0] and name == "sigma":
            sites[outside] = sample(outside, half_t(scale, p.sigma_df, shape).to_event(len(shape)))
        elif shape[0]:
            normal(outside, scale, shape)
    if s and lay.pooled:
        normal("shock_mean", p.shock, (s, *lay.regime("shock")))
        sites["shock_spread"] = sample("shock_spread", HalfNormal(p.spread).expand([s]).to_event(1))
        normal("shock_offset", 1.0, (a, s, *lay.regime("shock")))
    elif s:
        normal("effect", p.shock, (a, s, *lay.regime("shock")))
    if lay.controls:
        normal("control_effect", p.control, (a, lay.controls))
    if lay.order:
        normal("ar", p.ar, (a, lay.order, *lay.regime("ar")))
    if lay.tails:
        sites["nu"] = sample("nu", Gamma(2.0, p.tails))
    factor("y", log_likelihood(model.free, rows, lay.canonical(sites, jnp.concatenate)))


def pymc_twin(model: RegimeSwitching) -> Any:
    """The model in PyMC."""
    import pymc as pm

    lay, p, dims = model.layout, model.priors.doubles(), model.layout.dims()
    k, a, s = lay.regimes, lay.series, lay.shocks
    zero = np.float64(0.0)
    with pm.Model(coords=model.coords()) as twin:
        sites = {"transition": pm.Dirichlet("transition", p.rows(k), dims=dims["transition"])}

        def normal(name: str, scale: float) -> None:
            sites[name] = pm.Normal(name, zero, scale, dims=dims[name])

        for name, scale in (("level", p.level), ("sigma", p.sigma)):
            outside, one = lay.outside(name), (lay.key == name)
            if one:
                sites[f"{outside}_reference"] = pymc_ordered(f"{outside}_reference", name, k, scale, p.sigma_df)
            outside += "_others" if one else ""
            if a - one and name == "sigma":
                sites[outside] = pymc_half_t(outside, scale, p.sigma_df, dims[outside])
            elif a - one:
                normal(outside, scale)
        if s and lay.pooled:
            normal("shock_mean", p.shock)
            sites["shock_spread"] = pm.HalfNormal("shock_spread", p.spread, dims="shock")
            normal("shock_offset", np.float64(1.0))
        elif s:
            normal("effect", p.shock)
        if lay.controls:
            normal("control_effect", p.control)
        if lay.order:
            normal("ar", p.ar)
        if lay.tails:
            sites["nu"] = pm.Gamma("nu", np.float64(2.0), p.tails)
        pm.Potential("y", _log_likelihood(model, sites))
    return twin


def _log_likelihood(model: RegimeSwitching, sites: dict[str, Any]) -> Any:
    """Log p(y) in PyTensor, by the axes z_t, z_{t−1}, …, z_{t−m}."""
    import pytensor
    import pytensor.tensor as pt

    lay, shape, rows = model.layout, model.free.shape, model.design.rows
    k, m = lay.regimes, shape.memory
    p = lay.canonical(sites, lambda parts, axis: pt.concatenate(parts, axis=axis))

    def along(value: Any, axis: int) -> Any:
        """(T or 1, A, K) along the axis of z_{t−axis}."""
        return value.dimshuffle(0, 1, *[2 if i == axis else "x" for i in range(m + 1)])

    def by_regime(name: str, value: Any) -> Any:
        return value if lay.regime(name) else value[..., None] * np.ones(k)

    level, sigma = (by_regime(n, p[n]) for n in ("level", "sigma"))
    y = pt.as_tensor(rows.y) - (pt.dot(rows.c, p["control"].T) if lay.controls else np.float64(0.0))
    e = along(y[:, :, None] - level[None], 0)
    if lay.shocks:
        effect = pt.tensordot(rows.x, by_regime("shock", p["shock"]), axes=[[1], [1]])
        e = e - along(effect, 1 if shape.lagged else 0)
    for lag in range(lay.order):
        phi, before = by_regime("ar", p["ar"])[:, lag][None], pt.as_tensor(rows.lags[:, lag])[:, :, None]
        if shape.form == "regression":
            e = e - along(phi * before, 0)
        else:
            e = e - along(phi, 0) * along(before - level[None], lag + 1)
    scale = along(sigma[None], 0)
    if lay.tails:
        nu = p["nu"]
        constant = pt.gammaln((nu + 1) / 2) - pt.gammaln(nu / 2) - 0.5 * pt.log(nu * pi)
        each = constant - (nu + 1) / 2 * pt.log1p((e / scale) ** 2 / nu) - pt.log(scale)
    else:
        each = -0.5 * (e / scale) ** 2 - np.float64(0.5 * log(2 * pi)) - pt.log(scale)
    log_b = each.sum(1) + np.zeros([k] * (m + 1))
    log_p = pt.log(p["transition"])
    passing = log_p.T.dimshuffle(0, 1, *["x"] * (m - 1))
    law = pt.log(_stationary(p["transition"], k))
    for i in range(m - 1):
        law = law[None] + log_p.T.dimshuffle(0, 1, *["x"] * i)
    last = pytensor.scan(
        lambda b, carry, passed: _log_sum_exp(carry[None] + passed + b),
        sequences=[log_b],
        outputs_info=[law],
        non_sequences=[passing],
        return_updates=False,
    )[-1]
    return _log_sum_exp(last.ravel())


def _log_sum_exp(x: Any) -> Any:
    """Over the last axis; PyTensor's own underflows where its compiler does not rewrite it."""
    import pytensor.tensor as pt

    top = x.max(axis=-1, keepdims=True)
    return top[..., 0] + pt.log(pt.exp(x - top).sum(-1))


def _stationary(p: Any, k: int) -> Any:
    import pytensor.tensor as pt

    if k == 2:
        weight = pt.stack([p[1, 0], p[0, 1]])
    else:
        ways = [p[i, j] * p[n, j] + p[i, j] * p[n, i] + p[n, j] * p[i, n] for j, i, n in ((0, 1, 2), (1, 0, 2), (2, 0, 1))]
        weight = pt.stack(ways)
    return weight / weight.sum()
