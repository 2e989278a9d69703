"""Softmax weights: the density against a dense normal, whole sweeps against the prior, planted faults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from bayes_causal.numerics import softmax
from bayes_causal.numerics.softmax import Softmax, SoftmaxSums
from bayes_causal.numerics.weighted_rows import row_sums

GAP = np.array([0, 1, 1, 3, 1, 2, 1, 1])
AT, J = np.cumsum(GAP), 4
FORM = Softmax(True, True, None)


def sums(x: np.ndarray, y: np.ndarray) -> SoftmaxSums:
    rows = row_sums(x, y, GAP, gaps=(1, 2, 3), intercept_sd=1.5, sigma_scale=0.7)
    return SoftmaxSums(rows, np.asarray(1.3))


def prior(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """n draws of a state from the prior, intercepts too."""
    sigma, spread = np.abs(0.7 * rng.standard_normal(n)), np.abs(1.3 * rng.standard_normal(n))
    state = {"z": spread[:, None] * rng.standard_normal((n, J)), "log_spread": np.log(spread), "log_sigma": np.log(sigma)}
    return state | {"rho": rng.uniform(-1, 1, n), "intercept": 1.5 * rng.standard_normal(n), "sigma": sigma, "spread": spread}


STATE = ("z", "log_spread", "log_sigma", "rho")


def test_the_density_is_that_of_the_dense_normal(rng: np.random.Generator) -> None:
    x, y, s = rng.standard_normal((8, J)), rng.standard_normal(8), {k: v[0] for k, v in prior(1, rng).items()}
    with jax.enable_x64(True):
        ours = float(FORM.density(sums(x, y), {k: jnp.asarray(s[k]) for k in STATE}))
    errors = s["sigma"] ** 2 / (1 - s["rho"] ** 2) * s["rho"] ** np.abs(AT[:, None] - AT)
    dense = stats.multivariate_normal(x @ special.softmax(s["z"]), errors + 1.5**2).logpdf(y)
    dense += stats.halfnorm(scale=0.7).logpdf(s["sigma"]) + stats.halfnorm(scale=1.3).logpdf(s["spread"])
    assert ours == pytest.approx(dense + stats.norm(0, s["spread"]).logpdf(s["z"]).sum() - np.log(2), abs=1e-8)


def rank_tests(rng: np.random.Generator, seed: int, swept: Callable[..., Any]) -> dict[str, float]:
    """p-values of what sweeps make of draws from the prior with outcomes of their own: they should be draws from the prior."""
    n = 2000
    s, x = prior(n, rng), rng.standard_normal((8, J))
    root = np.stack([np.linalg.cholesky(r ** np.abs(AT[:, None] - AT) / (1 - r**2)) for r in s["rho"]])
    error = s["sigma"][:, None] * (root @ rng.standard_normal((n, 8, 1)))[..., 0]
    each = [sums(x, v) for v in s["intercept"][:, None] + special.softmax(s["z"], 1) @ x.T + error]
    stacked = jax.tree.map(lambda *v: np.stack(v), *each)
    new = swept(FORM, stacked, {k: s[k] for k in STATE}, seed)
    fresh = prior(n, rng)
    pairs = {k: (new[k], fresh[k]) for k in ("sigma", "rho", "intercept", "spread")}
    pairs |= {f"z {j}": (new["z"][:, j], fresh["z"][:, j]) for j in (0, 3)}
    pairs |= {"mean of z": (new["z"].mean(1), fresh["z"].mean(1))}
    largest = tuple(special.softmax(v["z"], 1).max(1) for v in (new, fresh))
    return {k: float(stats.ks_2samp(*pair).pvalue) for k, pair in (pairs | {"largest weight": largest}).items()}


FAULTS: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "trades": (softmax, "traded", lambda f: lambda m, z, spread, key: f(m, z, 1.8 * spread, key)),
}


@pytest.mark.parametrize("fault", [None, *(pytest.param(f, marks=pytest.mark.slow) for f in FAULTS)])
def test_sweeps_leave_the_prior_as_it_is_over_outcomes_drawn_from_it(
    fault: str | None, rng: np.random.Generator, seed: int, held_to_the_prior: Callable[..., None], swept: Callable[..., Any]
) -> None:
    """Geweke's test with 2,000 independent replicates (KS, 8 quantities); right sweeps fail once in 10,000 runs."""
    held_to_the_prior(lambda: rank_tests(rng, seed, swept), FAULTS[fault] if fault else None)
