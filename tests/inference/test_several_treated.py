"""Several synthetic controls through their engines: exact blocks, NUTS on the twin, coverage, scale, one program for many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import bayes_causal as bc
from bayes_causal.inference import generate
from bayes_causal.inference.blocked_gibbs import BlockedGibbs
from bayes_causal.inference.gibbs_problems import stacked
from bayes_causal.inference.tree import dataset
from bayes_causal.models import several_predictive
from bayes_causal.models.several_treated import SeveralTreated
from bayes_causal.models.synthetic_control import Priors

PRIORS = Priors(intercept=2.0, sigma=0.8, concentration_low=0.3, concentration_high=2.0, tau=0.7, omega=0.4)
PROBLEMS, SWEEPS, SETTLED = 500, 24, 2


def outcomes(model: SeveralTreated, sites: dict[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """(P, N + V) standardised outcomes of fitted rows, and means over treated ones, drawn given sites and their shocks."""
    d = model.design
    mean, rho, sigma = several_predictive.expected(model, sites), sites["rho"], sites["sigma"]
    c, units = sites["correlation"][:, None, None], np.arange(len(d.y))
    news = np.sqrt(c) * sites["shock"][:, None] + np.sqrt(1 - c) * rng.standard_normal(mean.shape)
    error = np.zeros(mean.shape)
    for t in range(d.y.shape[1]):
        gap, ahead = d.gap[:, t], d.ahead[:, t]
        carry = np.where(d.fitted[:, t] & (gap > 0), rho ** np.maximum(gap, 1), np.where(ahead, rho, 0.0))
        before = np.where(ahead, t - 1, d.before[:, t])
        error[..., t] = carry * error[:, units, before] + sigma * np.sqrt((1 - carry**2) / (1 - rho**2)) * news[..., t]
    effects = d.ratio * (sites["tau"][:, None] + sites["omega"][:, None] * sites["tau_offset"])
    y = mean + error
    return np.concatenate([y[:, d.fitted], (d.counted * y).sum(-1) + effects], 1)


def start(model: SeveralTreated, sites: dict[str, np.ndarray]) -> dict[str, Any]:
    """States of the chain at given sites."""
    own = {
        "log_w": np.log(sites["weight"]),
        "log_alpha": sites["log_concentration"],
        "log_sigma": np.log(sites["sigma"]),
        "rho": sites["rho"],
        "intercept": sites["intercept"],
        "acceptance_rate": np.zeros_like(sites["sigma"]),
    }
    odds = np.log(sites["correlation"]) - np.log1p(-sites["correlation"])
    shared = {"tau": sites["tau"], "offset": sites["tau_offset"], "shock": sites["shock"], "lp": np.zeros_like(odds)}
    return {"units": (own,), "log_omega": np.log(sites["omega"]), "logit_c": odds} | shared


@pytest.mark.slow
def test_sweeps_leave_the_posterior_as_it_is_and_its_intervals_cover(several: Callable[..., Any], seed: int) -> None:
    """Chains that start at the truth, drawn from the prior with its data, still have the prior's law after two sweeps.

    Kolmogorov-Smirnov for every scalar against fresh draws of the prior (Bonferroni, fails once in 1,000 runs). Of n later draws
    of an effect the second lowest and second highest hold the truth with chance (n − 3)/(n + 1), within four errors.
    """
    whole, _ = several((8, 9), without={("t00", 3)})
    model = bc.SyntheticControl(whole, priors=PRIORS)
    form, truth = model.gibbs(), generate.prior_sites(model, PROBLEMS, seed)
    drawn = outcomes(model, truth, np.random.default_rng(seed))

    def chain(sums: Any, state: Any, key: jax.Array) -> Any:
        def step(state: Any, key: jax.Array) -> tuple[Any, Any]:
            state = form.bare().sweep(sums, state, key, jnp.zeros((), bool))
            return state, form.bare().sites(sums, state, key)

        return jax.lax.scan(step, state, jax.random.split(key, SWEEPS))[1]

    with jax.enable_x64(True):
        sums = jax.tree.map(jnp.asarray, stacked([model.gibbs(y).sums for y in drawn]))
        keys = jax.random.split(jax.random.PRNGKey(seed), PROBLEMS)
        found = jax.device_get(jax.jit(jax.vmap(chain))(sums, jax.tree.map(jnp.asarray, start(model, truth)), keys))
    prior = {k: v.reshape(5000, -1) for k, v in generate.prior_sites(model, 5000, seed + 1).items()}
    p = [
        stats.ks_2samp(one, other).pvalue
        for name, values in found.items()
        for one, other in zip(values[:, SETTLED - 1].reshape(PROBLEMS, -1).T, prior[name].T, strict=True)
    ]
    assert len(p) > 20 and min(p) > 1e-3 / len(p)
    assert np.abs(found["weight"][:, 1] - truth["weight"]).max() > 0.1, "chains that stand still would pass"

    def effects(sites: Any) -> np.ndarray:
        return np.asarray(sites["tau"][..., None] + sites["omega"][..., None] * sites["tau_offset"])

    later = np.sort(effects(found)[:, SETTLED:], 1)
    inside = ((later[:, 1] < effects(truth)) & (effects(truth) < later[:, -2])).mean()
    n = later.shape[1]
    assert abs(inside - (n - 3) / (n + 1)) < 0.07


@pytest.mark.slow
def test_blocks_agree_with_nuts_on_the_twin(several: Callable[..., Any], disagreements: Callable[..., Any]) -> None:
    """Two donors, nine periods: means and sds within four of their Monte Carlo errors."""
    whole, _ = several((6, 7), donors=2, periods=9, rho=0.0)
    model = bc.SyntheticControl(whole, errors="iid", priors=Priors(intercept=1.0, concentration_low=0.5, concentration_high=2.0))
    nuts = bc.NumpyroNuts(draws=1500, warmup=600, chains=2, target_accept=0.95, chain_method="sequential", progress=False)
    a, b = (
        dataset(model, model.natural(engine.sample(model, seed=k).sites), ("chain", "draw"))
        for k, engine in enumerate((BlockedGibbs(draws=2000, warmup=100, progress=False), nuts))
    )
    assert disagreements(a, b) == []
    assert disagreements(a * 1.2 + 0.05, b), "draws shifted and stretched would go unseen"
