"""The blocks of the regime model: against the prior itself, NUTS on the twin, and a known truth."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bayes_causal.data.multi_series import MultiSeries
from bayes_causal.inference import generate
from bayes_causal.models.regime_switching import RegimeSwitching
from bayes_causal.numerics.diagonal_walk import stroller
from bayes_causal.numerics.random_walk import walker
from bayes_causal.numerics.regime_sweeps import RegimeSweeps

REPLICATES, SWEEPS, DATES = 4000, 6, 16


def small(rng: np.random.Generator, controls: int = 0, dates: int = DATES + 1) -> MultiSeries:
    names = {"a": 2, "s": 1, "c": controls}
    table = pd.DataFrame({f"{n}{k}": rng.normal(size=dates) for n, size in names.items() for k in range(size)})
    return MultiSeries.from_frame(table, outcomes=["a0", "a1"], shocks=["s0"], controls=["c0"] * controls)


def after_sweeps(model: RegimeSwitching, form: RegimeSweeps, seed: int) -> dict[str, np.ndarray]:
    """Sites that some sweeps make of draws of the prior, given outcomes simulated from each."""
    prior = generate.prior_sites(model, REPLICATES, seed)
    outcomes = model.standardised(model.simulate(prior, np.random.default_rng(seed)))
    opening, lay = model.design.opening, form.layout
    with jax.enable_x64(True):
        canonical = lay.canonical(prior, np.concatenate)
        own = {k: v for k, v in canonical.items() if k != "nu"}
        if lay.pooled:
            own |= {"t": form.hyper.probit(prior["shock_spread"]), "shock_mean": prior["shock_mean"]}
        if lay.tails:
            own |= {"log_nu": np.log(prior["nu"])[:, None], "mixing": np.ones((REPLICATES, outcomes[0].size))}
        sums = jax.tree.map(jnp.asarray, form.sums)
        t0, n0 = stroller(jnp.full(lay.shocks, -0.2)), walker(jnp.full(1, 2.5))

        def one(own: Any, y: Any, key: Any) -> Any:
            whole = jnp.concatenate([jnp.asarray(opening), y])
            lags = [whole[lay.order - lag : lay.order - lag + y.shape[0]] for lag in range(1, lay.order + 1)]
            mine = sums._replace(y=y, lags=jnp.stack(lags, 1) if lags else sums.lags)
            zero = jnp.zeros(())
            state = own | {"z": jnp.zeros(y.shape[0] + 1, int), "taken": zero, "acceptance_rate": zero, "label_switched": zero}
            state |= {"walker": t0} if lay.pooled else {}
            state |= {"tail_walker": n0} if lay.tails else {}

            def step(state: Any, key: Any) -> tuple[Any, None]:
                return form.sweep(mine, state, key, jnp.asarray(False)), None

            last = jax.lax.scan(step, state, jax.random.split(key, SWEEPS))[0]
            return form.sites(mine, last, key)

        keys = jax.random.split(jax.random.PRNGKey(seed + 1), REPLICATES)
        found = jax.jit(jax.vmap(one))(own, outcomes, keys)
    return {k: np.asarray(v) for k, v in found.items()}


def p_values(model: RegimeSwitching, form: RegimeSweeps, seed: int) -> dict[str, float]:
    """The least of each site's Kolmogorov-Smirnov tests against fresh draws of the prior, times their number."""
    after, prior = after_sweeps(model, form, seed), generate.prior_sites(model, 4 * REPLICATES, seed + 7)
    found = {}
    for name, values in after.items():
        x, y = values.reshape(REPLICATES, -1), prior[name].reshape(4 * REPLICATES, -1)
        found[name] = min(float(stats.ks_2samp(x[:, k], y[:, k]).pvalue) for k in range(x.shape[1])) * x.shape[1]
    return found


CASES: dict[str, tuple[int, dict[str, Any]]] = {
    "headline": (0, {}),
    "lags, tails, a control": (1, {"order": 1, "switching": ["intercept", "shock", "variance", "ar"], "errors": "student_t"}),
    "three, by intercept": (0, {"regimes": 3, "switching": ["intercept", "shock"], "pooling": False, "shock_state": "current"}),
}


@pytest.mark.parametrize("case", [pytest.param(c, marks=[] if c == "headline" else [pytest.mark.slow]) for c in CASES])
def test_sweeps_keep_the_prior(case: str, rng: np.random.Generator, seed: int) -> None:
    """Parameters from the prior, outcomes given them, six sweeps: the prior again (Geweke 2004).

    doi:10.1198/016214504000001132. At most nine names, each at 1e-4: fails less than once in a thousand.
    """
    controls, options = CASES[case]
    model = RegimeSwitching(small(rng, controls, 30 if "three" in case else DATES + options.get("order", 0) + 8), **options)
    vars(model)["mode"] = {}  # a chain's start, which no replicate takes
    found = p_values(model, model.gibbs(), seed % 2**30)
    assert min(found.values()) > 1e-4, found


class Unnamed(RegimeSweeps):
    """Regimes that keep whatever number they have."""

    def _ordered(self, state: Any) -> dict[str, Any]:
        return dict(state) | {"label_switched": jnp.zeros(())}


class SameDate(RegimeSweeps):
    """Coefficients as if effects loaded on the regime of the date."""

    def _columns(self, sums: Any, state: Any) -> Any:
        return RegimeSweeps._columns(replace(self, lagged=False), sums, state)


@pytest.mark.slow
@pytest.mark.parametrize("fault", [Unnamed, SameDate])
def test_wrong_conditionals_are_seen(fault: Any, rng: np.random.Generator, seed: int) -> None:
    model = RegimeSwitching(small(rng, dates=DATES + 8))
    vars(model)["mode"] = {}
    right = model.gibbs()
    found = p_values(model, fault(right.layout, right.lagged, right.scales, right.sums), seed % 2**30)
    assert min(found.values()) < 1e-6, found


def test_transitions_know_that_the_first_regime_is_drawn_from_their_law(rng: np.random.Generator, seed: int) -> None:
    """Given z = 0 0 1: means of the posterior p(P) π_0(P) P_00 P_01 by quadrature, at four Monte Carlo errors.

    Proposals that are all taken miss it.
    """
    model = RegimeSwitching(small(rng))
    vars(model)["mode"] = {}
    sweeps, grid = model.gibbs(), (np.arange(800) + 0.5) / 800
    a, b = np.meshgrid(grid, grid, indexing="ij")  # P_00, P_11
    prior = model.priors.rows(2)
    density = stats.beta.pdf(a, *prior[0]) * stats.beta.pdf(b, *prior[1, ::-1]) * (1 - b) / (2 - a - b) * a * (1 - a)
    exact = np.array([(density * v).sum() for v in (a, b)]) / density.sum()
    with jax.enable_x64(True):
        sums = jax.tree.map(jnp.asarray, sweeps.sums)
        state = {"z": jnp.array([0, 0, 1]), "transition": jnp.full((2, 2), 0.5), "sigma": jnp.ones((2, 2)), "taken": 0.0, "t": 0}

        def one(key: Any) -> Any:
            def step(p: Any, key: Any) -> tuple[Any, Any]:
                keys = jax.random.split(key)
                gamma = sweeps._gammas(sums, state, keys[0])[2]
                new = sweeps._transitions(state | {"transition": p}, gamma, keys[1])["transition"]
                return new, gamma / gamma.sum(1, keepdims=True)

            last, tried = jax.lax.scan(step, state["transition"], jax.random.split(key, 12))
            return last, tried[-1]

        drawn = jax.device_get(jax.jit(jax.vmap(one))(jax.random.split(jax.random.PRNGKey(seed % 2**30), 10_000)))
    found, faulty = (np.stack([p[:, 0, 0], p[:, 1, 1]], 1) for p in drawn)
    away, missed = (np.abs(v.mean(0) - exact) / (v.std(0) / np.sqrt(len(v))) for v in (found, faulty))
    assert away.max() < 4 and missed.max() > 8, (away, missed)
