"""Interactive fixed effects: densities against dense normals, whole sweeps against the prior, planted faults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from bayes_causal.numerics import interactive
from bayes_causal.numerics.interactive import Factors, FactorSums
from bayes_causal.numerics.jitted import jitted_once

T, J, R = 7, 3, 1
FITTED = np.array([1, 1, 0, 1, 1, 0, 0.0])
SEEN = np.ones((T, J))
SEEN[3:5, 1] = SEEN[5:, 2] = 0
FORM = Factors(True, R, T, "", None)
SCALES = {"intercept_sd": 1.5, "loading_sd": 0.8, "sigma_scale": 0.7, "trend_scale": 0.4}
AT = np.arange(T)


def sums(y: np.ndarray, x: np.ndarray) -> FactorSums:
    return FactorSums(FITTED * y, FITTED, SEEN * x, SEEN, **{k: np.asarray(v) for k, v in SCALES.items()})


def prior(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """n draws of a state from the prior, and of what it leaves out."""
    z = rng.standard_normal((n, 2))
    drawn = {
        "factor": rng.standard_normal((n, T, R)),
        "loading": 0.8 * rng.standard_normal((n, R)),
        "donor": np.concatenate([1.5 * rng.standard_normal((n, J, 1)), 0.8 * rng.standard_normal((n, J, R))], 2),
        "log_donor_sigma": np.log(np.abs(0.7 * rng.standard_normal((n, J)))),
        "log_sigma": np.log(np.abs(0.7 * rng.standard_normal(n))),
        "z": z,
        "intercept": 1.5 * rng.standard_normal(n),
    }
    sigma, u = np.exp(drawn["log_sigma"]), stats.norm.cdf(z)
    rho, ratio = 2 * u[:, 0] - 1, 0.4 * stats.halfnorm.ppf(u[:, 1])
    news = rng.standard_normal((n, T))
    news[:, 0] = 0
    error = sigma[:, None] * rng.standard_normal((n, T))
    error[:, 0] /= np.sqrt(1 - rho**2)
    for t in range(1, T):
        error[:, t] += rho * error[:, t - 1]
    walk = (ratio * sigma)[:, None] * news.cumsum(1)
    return drawn | {"sigma": sigma, "rho": rho, "trend": ratio, "walk": walk, "error": error}


def outcomes(s: dict[str, np.ndarray], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    y = s["intercept"][:, None] + s["walk"] + s["error"] + np.einsum("ntr,nr->nt", s["factor"], s["loading"])
    mean = s["donor"][:, None, :, 0] + np.einsum("ntr,njr->ntj", s["factor"], s["donor"][..., 1:])
    return y, mean + np.exp(s["log_donor_sigma"])[:, None] * rng.standard_normal(mean.shape)


STATE = ("factor", "loading", "donor", "log_donor_sigma", "log_sigma", "z")


def test_the_density_is_that_of_dense_normals(rng: np.random.Generator) -> None:
    s = prior(3, rng)
    y, x = outcomes(s, rng)
    at = np.flatnonzero(FITTED)
    for k in range(3):
        with jax.enable_x64(True):
            ours = float(FORM.density(sums(y[k], x[k]), {n: jnp.asarray(s[n][k]) for n in STATE}))
        one = {n: v[k] for n, v in s.items()}
        lag = np.abs(at[:, None] - at)
        own = one["sigma"] ** 2 * (one["rho"] ** lag / (1 - one["rho"] ** 2) + one["trend"] ** 2 * np.minimum(at[:, None], at))
        own += 1.5**2 + 0.8**2 * one["factor"][at] @ one["factor"][at].T
        dense = stats.multivariate_normal(np.zeros(at.size), own).logpdf(y[k][at])
        mean, sigma_j = one["donor"][:, 0] + one["factor"] @ one["donor"][:, 1:].T, np.exp(one["log_donor_sigma"])
        dense += (SEEN * stats.norm(mean, sigma_j).logpdf(x[k])).sum()
        dense += stats.norm.logpdf(one["factor"]).sum() + stats.norm.logpdf(one["z"]).sum()
        dense += stats.norm(0, 1.5).logpdf(one["donor"][:, 0]).sum() + stats.norm(0, 0.8).logpdf(one["donor"][:, 1:]).sum()
        dense += stats.halfnorm(scale=0.7).logpdf(np.append(sigma_j, one["sigma"])).sum()
        assert ours == pytest.approx(dense, abs=1e-8)


def rank_tests(rng: np.random.Generator, seed: int) -> dict[str, float]:
    """p-values of what sweeps make of draws from the prior, each with outcomes of its own: they should be draws from the prior.

    Factors turn and mirror with loadings, so that they are seen through what that leaves alone, and by themselves too.
    """
    n = 2000
    s = prior(n, rng)
    y, x = outcomes(s, rng)

    def after(y: Any, x: Any, state: Any, key: Any) -> Any:
        data = sums(y, x)
        start = state | {"acceptance_rate": jnp.zeros(()), "lp": jnp.zeros(())}
        swept = jax.lax.fori_loop(0, 4, lambda k, v: FORM.sweep(data, v, jax.random.fold_in(key, k), False), start)
        return swept | FORM.sites(data, swept, key)

    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.PRNGKey(seed), n)
        new = jitted_once(jax.vmap(after))(y, x, {k: jnp.asarray(s[k]) for k in STATE}, keys)
        new = {k: np.asarray(v) for k, v in new.items()}
    fresh = prior(n, rng)
    pairs = {k: (new[k], fresh[k]) for k in ("sigma", "rho", "trend", "intercept")}
    pairs |= {f"walk at {t}": (new["walk"][:, t], fresh["walk"][:, t]) for t in (2, 6)}
    pairs |= {f"factor at {t}": (new["factor"][:, t, 0], fresh["factor"][:, t, 0]) for t in (1, 3, 6)}
    pairs["loading"] = new["loading"][:, 0], fresh["loading"][:, 0]
    pairs["factor times loading"] = tuple(v["factor"][:, 4, 0] * v["loading"][:, 0] for v in (new, fresh))
    pairs |= {f"donor {k}": (new["donor"][:, 1, k], fresh["donor"][:, 1, k]) for k in (0, 1)}
    pairs |= {f"σ of {j}": (new["log_donor_sigma"][:, j], fresh["log_donor_sigma"][:, j]) for j in (0, 2)}
    return {k: float(stats.ks_2samp(*pair).pvalue) for k, pair in pairs.items()}


FAULTS: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "donors": (interactive, "draw_donors", lambda f: lambda sums, factor, log_sigma, key: f(sums, factor, log_sigma + 0.6, key)),
}


@pytest.mark.parametrize("fault", [None, *(pytest.param(f, marks=pytest.mark.slow) for f in FAULTS)])
def test_sweeps_leave_the_prior_as_it_is_over_outcomes_drawn_from_it(
    fault: str | None, rng: np.random.Generator, seed: int, held_to_the_prior: Callable[..., None]
) -> None:
    """Geweke's test with 2,000 independent replicates (KS, 15 quantities); right sweeps fail once in 10,000 runs."""
    held_to_the_prior(lambda: rank_tests(rng, seed), FAULTS[fault] if fault else None)
