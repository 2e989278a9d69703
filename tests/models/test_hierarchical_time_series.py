"""The hierarchical time series: its twins, its density, its answers, what it refuses and what must not matter to it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpyro.infer.util import log_density
from scipy import stats

import bayes_causal as bc
from bayes_causal.errors import DataError, EstimandError, IdentificationError
from bayes_causal.estimates import Estimand
from bayes_causal.inference.generate import latent_sites
from bayes_causal.inference.programs import programs
from bayes_causal.inference.tree import dataset
from bayes_causal.models.hierarchical_time_series import HierarchicalTimeSeries, Priors

UNITS, PERIODS = 6, 14
# Scales all different, so that no two priors can be swapped unseen.
PRIORS = Priors(0.9, 0.6, 0.4, 0.55, 1.2, 0.35, 1.1, 0.8, 0.45)
CASES: dict[str, dict[str, Any]] = {
    "constant": {"effect": "constant"},
    "event time": {"window": (0, 3)},
    "leads, covariates, missing": {"window": (2, 3), "covariates": 2, "missing": True},
    "groups, treatments that end": {"effect": "group", "groups": 2, "ends": True, "missing": True},
    "event time, ends, groups, covariate": {"window": (0, 4), "groups": 2, "ends": True, "covariates": 1},
}


def panel(
    rng: np.random.Generator,
    *,
    groups: int = 1,
    ends: bool = False,
    covariates: int = 0,
    missing: bool = False,
    lift: float = 1.0,
) -> bc.Panel:
    """Six units of different levels and scales, two never treated, the others from period 5, 7, 7 and 9 on."""
    unit, time = (v.ravel() for v in np.indices((UNITS, PERIODS)))
    start = np.array([5, 7, 7, 9, 99, 99])[unit]
    on = (time >= start) & ((time < start + 4) | (not ends) | (unit > 1))
    x = rng.standard_normal((unit.size, covariates)) + unit[:, None]
    scale = np.array([1.0, 2.0, 0.5, 1.0, 3.0, 1.0])[unit]
    walk = np.cumsum(0.2 * rng.standard_normal((UNITS, PERIODS)), 1).ravel()
    y = 10.0 * unit + scale * (walk + rng.standard_normal(unit.size)) + lift * on + x.sum(1)
    names = [f"x{k}" for k in range(covariates)]
    table = pd.DataFrame({"unit": unit, "time": time, "y": y, "on": on.astype(int), "g": np.where(unit % 2, "a", "b")})
    table = table.assign(**dict(zip(names, x.T, strict=True)))
    if missing:
        # A unit that enters late, one that leaves early, and holes before and after onset.
        gone = ((unit == 4) & (time < 3)) | ((unit == 1) & (time > 11)) | ((unit * 5 + time * 3) % 11 == 4)
        table = table[~gone]
    group = "g" if groups > 1 else None
    return bc.Panel.from_frame(table, unit="unit", time="time", outcome="y", treatment="on", group=group, covariates=names)


def model(rng: np.random.Generator, case: str = "event time", **more: Any) -> HierarchicalTimeSeries:
    options = dict(CASES[case])
    data = {k: options.pop(k) for k in ("groups", "ends", "covariates", "missing") if k in options}
    return HierarchicalTimeSeries(panel(rng, **data), **({"priors": PRIORS} | options | more))


def posterior(built: HierarchicalTimeSeries, seed: int = 1, draws: int = 250) -> xr.Dataset:
    return dataset(built, built.natural(bc.Collapsed(draws=draws, chains=4).sample(built, seed=seed).sites), ("chain", "draw"))


def inside(shapes: dict[str, tuple[int, ...]], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A value of every site, anywhere in its support."""
    x = {k: rng.standard_normal(shape) for k, shape in shapes.items()}
    scales = [k for k in x if k in ("sigma", "sigma_slope", "sigma_beta", "omega", "level_ratio") or k.startswith("step_l")]
    return x | {k: 0.1 + 0.3 * np.abs(x[k]) for k in scales} | {"rho": np.tanh(x["rho"])}


@pytest.mark.parametrize("case", CASES)
def test_twins_have_one_density(case: str, rng: np.random.Generator, needs: Any) -> None:
    needs("pymc")
    from pymc.model.transform.conditioning import remove_value_transforms

    built = model(rng, case)
    twin = remove_value_transforms(built.pymc_model())
    logp = twin.compile_logp(mode="FAST_COMPILE")
    shapes = {k: np.shape(v) for k, v in twin.initial_point().items()}
    assert set(shapes) == set(latent_sites(built.numpyro_model))
    for _ in range(2):
        x = inside(shapes, rng)
        with jax.enable_x64(True):
            assert float(log_density(built.numpyro_model, (), {}, x)[0]) == pytest.approx(float(logp(x)), rel=1e-11)


def covariance(built: HierarchicalTimeSeries, theta: dict[str, float]) -> np.ndarray:
    """(N, N) of the standardised outcomes given θ, from the equations: levels, errors, effects, coefficients."""
    d, p = built.design, built.priors
    same = d.unit[:, None] == d.unit
    at, q = d.position, theta["level_ratio"] ** 2
    level = p.first_level**2 + q * theta["sigma"] ** 2 * np.minimum(at[:, None], at)
    error = theta["sigma"] ** 2 * theta["rho"] ** np.abs(at[:, None] - at) / (1 - theta["rho"] ** 2)
    x, ratio = d.covariates, (built.design.effect_scale / d.scale)[d.unit]
    between = theta.get("sigma_beta", 0.0) ** 2 * x @ x.T
    dose = ratio * d.active
    own = level + error + between + theta["sigma_slope"] ** 2 * np.outer(dose, dose)
    shared = p.beta**2 * x @ x.T + np.outer(ratio, ratio) * (d.effect @ shape(built, theta) @ d.effect.T)
    return np.where(same, own, 0.0) + shared


def shape(built: HierarchicalTimeSeries, theta: dict[str, float]) -> np.ndarray:
    """(K, K) prior covariance of the effect columns' coefficients given θ."""
    p, k = built.priors, built.design.effect.shape[1]
    if built.effects == "constant":
        return np.array([[p.tau**2]])
    if built.effects == "group":
        return p.tau**2 + theta["omega"] ** 2 * np.eye(k)
    bins = np.array([int(n.split()[-1]) for n in built.structure.column_names if n.startswith("event")])
    steps, both = np.abs(bins + (bins < 0)), np.sign(bins[:, None] + 0.5) == np.sign(bins + 0.5)
    sd = np.where(bins < 0, theta.get("step_lead", 0.0), theta.get("step_lag", 0.0))
    walk = np.where(both, np.outer(sd, sd) * np.minimum(steps[:, None], steps), 0.0)
    walk += np.outer(bins >= 0, bins >= 0) * p.tau**2
    found = np.zeros((k, k))
    found[: bins.size, : bins.size] = walk
    found[bins.size :, bins.size :] = theta.get("omega", 0.0) ** 2 * np.eye(k - bins.size)
    return found


@pytest.mark.parametrize("case", CASES)
def test_collapsed_density_is_that_of_the_dense_normal(case: str, rng: np.random.Generator) -> None:
    """At random scales, to 1e-8: staggered dates, missing cells, treatments that end, late entries, leads and covariates."""
    built = model(rng, case)
    form = built.collapsed()
    t = rng.standard_normal((3, len(form.hypers))) / 2
    with jax.enable_x64(True):
        found = np.asarray(programs(form).density(jax.tree.map(jnp.asarray, form.sums), t))
        values = [{k: float(v) for k, v in form.theta(jnp.asarray(x)).items()} for x in t]
    assert {h.name for h in form.hypers} <= set(latent_sites(built.numpyro_model))
    for x, theta, value in zip(t, values, found, strict=True):
        expected = stats.multivariate_normal(np.zeros(built.design.y.size), covariance(built, theta)).logpdf(built.design.y)
        assert value == pytest.approx(expected + stats.norm.logpdf(x).sum(), abs=1e-8)
