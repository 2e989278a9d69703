"""The blocks of the regime model: against the prior itself, NUTS on the twin, and a known truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

import bayes_causal as bc
from bayes_causal.data.multi_series import MultiSeries
from bayes_causal.inference import generate
from bayes_causal.inference.blocked_gibbs import BlockedGibbs
from bayes_causal.inference.tree import dataset, info
from bayes_causal.models.regime_switching import RegimeSwitching
from bayes_causal.numerics.diagonal_walk import stroller
from bayes_causal.numerics.jitted import jitted_once
from bayes_causal.numerics.random_walk import walker
from bayes_causal.numerics.regime_sweeps import RegimeSweeps

REPLICATES, SWEEPS, DATES = 2000, 5, 16


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
            path = jnp.zeros(y.shape[0] + form.free.shape.memory, int)
            state = own | {"z": path, "taken": zero, "acceptance_rate": zero, "label_switched": zero}
            state |= {"walker": t0} if lay.pooled else {}
            state |= {"tail_walker": n0} if lay.tails else {}

            def step(state: Any, key: Any) -> tuple[Any, None]:
                return form.sweep(mine, state, key, jnp.asarray(False)), None

            last = jax.lax.scan(step, state, jax.random.split(key, SWEEPS))[0]
            return form.sites(mine, last, key)

        keys = jax.random.split(jax.random.PRNGKey(seed + 1), REPLICATES)
        found = jitted_once(jax.vmap(one))(own, outcomes, keys)
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
    "lags": (0, {"order": 1}),
    "hamilton": (0, {"form": "hamilton", "order": 2, "switching": ["mean", "shock", "ar", "variance"]}),
    "three, by intercept": (0, {"regimes": 3, "switching": ["intercept", "shock"], "pooling": False, "shock_state": "current"}),
}


@pytest.mark.parametrize("case", [pytest.param(c, marks=[] if c == "headline" else [pytest.mark.slow]) for c in CASES])
def test_sweeps_keep_the_prior(case: str, rng: np.random.Generator, seed: int) -> None:
    """Parameters from the prior, outcomes given them, five sweeps: the prior again (Geweke 2004).

    doi:10.1198/016214504000001132. At most nine names, each at 1e-4: fails less than once in a thousand.
    """
    controls, options = CASES[case]
    model = RegimeSwitching(small(rng, controls, 30 if "three" in case else DATES + options.get("order", 0) + 8), **options)
    vars(model)["mode"] = {}  # a chain's start, which no replicate takes
    found = p_values(model, model.gibbs(), seed % 2**30)
    assert min(found.values()) > 1e-4, found


class SameDate(RegimeSweeps):
    """Coefficients as if effects loaded on the regime of the date."""

    def _columns(self, sums: Any, state: Any) -> Any:
        return RegimeSweeps._columns(replace(self, lagged=False), sums, state)


@pytest.mark.slow
def test_a_wrong_conditional_is_seen(rng: np.random.Generator, seed: int) -> None:
    model = RegimeSwitching(small(rng, dates=DATES + 8))
    vars(model)["mode"] = {}
    right = model.gibbs()
    found = p_values(model, SameDate(right.layout, right.form, right.lagged, right.scales, right.sums), seed % 2**30)
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

        drawn = jax.device_get(jitted_once(jax.vmap(one))(jax.random.split(jax.random.PRNGKey(seed % 2**30), 10_000)))
    found, faulty = (np.stack([p[:, 0, 0], p[:, 1, 1]], 1) for p in drawn)
    away, missed = (np.abs(v.mean(0) - exact) / (v.std(0) / np.sqrt(len(v))) for v in (found, faulty))
    assert away.max() < 4 and missed.max() > 8, (away, missed)


def world(
    rng: np.random.Generator, dates: int = 150, series: int = 2, apart: float = 4.0, turns: int | None = None
) -> tuple[MultiSeries, np.ndarray, np.ndarray]:
    """Two regimes whose sds differ by a factor, one shock: the series, its effects (series, 1, regime), and the regimes.

    With `turns`, regimes take turns of so many dates.
    """
    p = np.array([[0.95, 0.05], [0.1, 0.9]])
    z = np.zeros(dates + 1, int)
    for t in range(1, dates + 1):
        z[t] = rng.choice(2, p=p[z[t - 1]]) if turns is None else t // turns % 2
    beta = rng.normal(0.5, 0.3, (series, 1, 2))
    x, noise = rng.normal(size=dates), rng.normal(size=(dates, series))
    y = 1 + beta[:, 0, z[:-1]].T * x[:, None] + np.array([0.5, 0.5 * apart])[z[1:], None] * noise
    names = [f"a{k}" for k in range(series)]
    table = pd.DataFrame(y, columns=names).assign(s=x)
    return MultiSeries.from_frame(table, outcomes=names, shocks=["s"]), beta, z


ENGINE = BlockedGibbs(draws=300, warmup=200, progress=False)


def test_fit_draws_regimes_by_blocks_and_finds_the_truth(rng: np.random.Generator, seed: int) -> None:
    """Auto chooses the blocks; effects of four in their 99.9 % intervals, regimes mostly known, labels never switched."""
    data, beta, z = world(rng)
    model = RegimeSwitching(data)
    tree = bc.fit(model, bc.Auto(draws=300, warmup=200, progress=False), seed=seed % 1000)
    assert info(tree)["engine"]["name"] == "gibbs" and "whole paths" in info(tree)["engine"]["reason"]
    posterior = tree["posterior"].to_dataset()
    assert posterior["shock_effect"].dims == ("chain", "draw", "series", "shock", "regime")
    low, high = posterior["shock_effect"].quantile([0.0005, 0.9995], ("chain", "draw")).values
    assert ((low <= beta) & (beta <= high)).all() and (high - low).max() < 2
    known = posterior["smoothed"].mean(("chain", "draw")).values[:, 1] > 0.5
    assert (known == z[1:]).mean() > 0.85
    assert float(tree["sample_stats"]["label_switched"].mean()) < 0.01
    assert {"transition", "sigma", "intercept", "filtered"} <= set(posterior)
    sigma = posterior["sigma"].mean(("chain", "draw", "series")).values
    assert sigma[0] < sigma[1]
    answer = bc.estimate(model, tree)
    assert answer.estimand == bc.Estimand("regime_effect") and answer.table["value"].dims == ("series", "shock")
    assert [r["by"] for r in answer.rows()] == [{"series": "a0", "shock": "s"}, {"series": "a1", "shock": "s"}]
    assert tree["log_likelihood"]["y"].sizes["time"] == 150
    assert tree["posterior_predictive"]["y"].dims == ("chain", "draw", "time", "series")


def test_a_scale_of_a_power_of_two_changes_not_a_bit(rng: np.random.Generator) -> None:
    data, _, _ = world(rng)
    found = []
    for scaled in (data, data.replace_outcomes(8.0 * data.outcomes)):
        model = RegimeSwitching(scaled)
        found.append(model.natural(ENGINE.sample(model, seed=3).sites))
    for name, factor in (("sigma", 8.0), ("intercept", 8.0), ("shock_effect", 8.0), ("transition", 1.0), ("filtered", 1.0)):
        np.testing.assert_array_equal(found[1][name], factor * found[0][name])


def test_nuts_starts_at_the_mode_in_order(rng: np.random.Generator) -> None:
    start = RegimeSwitching(small(rng, dates=40), form="hamilton", order=1).start()
    assert set(start) >= {"mean", "sigma_reference", "ar"} and (np.diff(start["sigma_reference"]) > 0).all()


@pytest.mark.slow
def test_blocks_agree_with_nuts_on_the_twin(rng: np.random.Generator, disagreements: Callable[..., Any]) -> None:
    """Sixty dates, a lag, NUTS from the mode: means and sds within Monte Carlo errors; faults are seen.

    Regimes are far apart and both often seen: else regimes that change names are modes that NUTS does not pass between. Five
    series tell how alike effects are: of two the spread may be next to nothing, a funnel into which NUTS comes too seldom.
    """
    data, _, _ = world(rng, 60, series=5, apart=6.0, turns=12)
    model = RegimeSwitching(data, order=1)
    names = ["transition", "sigma", "intercept", "shock_effect", "ar", "shock_mean"]

    def posterior(engine: Any) -> xr.Dataset:
        return dataset(model, model.natural(engine.sample(model, seed=1).sites), ("chain", "draw"))[names]

    a = posterior(BlockedGibbs(draws=2000, warmup=300, progress=False))
    b = posterior(bc.NumpyroNuts(draws=400, warmup=300, target_accept=0.95, chain_method="vectorized", progress=False))
    assert disagreements(a, b) == []
    assert disagreements(a * 1.2 + 0.05, b), "draws shifted and stretched would go unseen"
