"""Regime switching: effective draws a second of the worst reported parameter, cold and warm; how often intervals hold truths.

Speed is that of 780 months, five series, three shocks and three regimes, simulated; cold is the first fit of the process, the
multi-start EM and compilation included, warm another fit of other data. Reported parameters are effects, intercepts, sds,
transitions, and what effects are pooled on. Coverage draws every truth from the model's prior, as a calibration must.

    python benchmarks/regimes.py --speed
    python benchmarks/regimes.py --coverage --sets 100 --json
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from telling import tell

TRANSITION = np.array([[0.95, 0.04, 0.01], [0.05, 0.90, 0.05], [0.02, 0.08, 0.90]])
SIGMA, LEVEL = np.array([0.5, 1.0, 2.2]), np.array([0.3, 0.0, -0.6])
REPORTED = ("shock_effect", "intercept", "sigma", "transition", "shock_mean", "shock_spread")


def main() -> None:
    """Measure what was asked for, print lines or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--peer", type=int, default=0, help="draws of the PyMC twin by nutpie, after as many to tune")
    parser.add_argument("--coverage", action="store_true")
    parser.add_argument("--dates", type=int, default=780)
    parser.add_argument("--series", type=int, default=5)
    parser.add_argument("--shocks", type=int, default=3)
    parser.add_argument("--regimes", type=int, default=3, choices=(2, 3))
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--warmup", type=int, default=500)
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--sets", type=int, default=50, help="data sets of the coverage")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    tell(measured(asked), asked.json)


def measured(asked: Any) -> Iterator[dict[str, Any]]:
    """Rows, as they are found."""
    if asked.speed:
        yield speed(asked)
    if asked.peer:
        yield peer(asked)
    if asked.coverage:
        yield coverage(asked)


def speed(asked: Any) -> dict[str, Any]:
    """One fit cold, one warm."""
    from arviz_stats.base import array_stats

    from bayes_causal.inference.blocked_gibbs import BlockedGibbs
    from bayes_causal.models.regime_switching import RegimeSwitching

    engine = BlockedGibbs(draws=asked.draws, warmup=asked.warmup, chains=asked.chains, progress=False)
    models = [RegimeSwitching(simulated(asked, asked.seed + k), regimes=asked.regimes) for k in range(2)]
    cold_mode, _ = _timed(lambda: models[0].mode)
    cold, _ = _timed(lambda: engine.sample(models[0], seed=1))
    warm_mode, _ = _timed(lambda: models[1].mode)
    warm, draws = _timed(lambda: engine.sample(models[1], seed=2))
    told = {k: v for k, v in models[1].natural(draws.sites).items() if k in REPORTED}
    ess = {k: float(np.min(array_stats.ess(v, chain_axis=0, draw_axis=1))) for k, v in told.items()}
    rhat = max(float(np.max(array_stats.rhat(v, chain_axis=0, draw_axis=1))) for v in told.values())
    worst = min(ess, key=lambda k: ess[k])
    row = {"dates": asked.dates, "cold_s": cold_mode + cold, "warm_s": warm_mode + warm, "warm_starts_s": warm_mode}
    row |= {"worst": worst, "ess": ess[worst], "ess_per_s": ess[worst] / (warm_mode + warm)}
    row |= {"ess_per_s_cold": ess[worst] / (cold_mode + cold), "ess_per_s_sampling": ess[worst] / warm}
    return row | {"rhat": rhat, "label_switched": float(draws.stats["label_switched"].mean())}


def peer(asked: Any) -> dict[str, Any]:
    """The PyMC twin by nutpie on the JAX backend, one chain from the mode; the same data as the warm fit of ours.

    On nutpie's default backend the gradient of a scan over 780 dates had not compiled after seven minutes.
    """
    import nutpie
    from arviz_stats.base import array_stats

    from bayes_causal.models.regime_switching import RegimeSwitching

    model = RegimeSwitching(simulated(asked, asked.seed + 1), regimes=asked.regimes)
    start = {k: np.asarray(v) for k, v in model.start().items()}
    twin = model.pymc_model()
    how: dict[str, Any] = {"backend": "jax", "gradient_backend": "jax", "initial_points": start}
    compiling, program = _timed(lambda: nutpie.compile_pymc_model(twin, **how))
    settings = {"draws": asked.peer, "tune": asked.peer, "chains": 1, "seed": 1, "progress_bar": False}
    sampling, found = _timed(lambda: nutpie.sample(program, **settings))
    posterior = {v.name: found.posterior[v.name].values for v in twin.free_RVs}
    told = {k: v for k, v in model.natural(posterior).items() if k in REPORTED}
    ess = {k: float(np.min(array_stats.ess(v, chain_axis=0, draw_axis=1))) for k, v in told.items()}
    worst = min(ess, key=lambda k: ess[k])
    row = {"peer": "nutpie", "draws": asked.peer, "compile_s": compiling, "sampling_s": sampling, "worst": worst}
    return row | {"ess": ess[worst], "ess_per_s": ess[worst] / sampling}


def coverage(asked: Any) -> dict[str, Any]:
    """Share of all effects of all data sets that their 90 % interval holds, with its error by data set."""
    from bayes_causal.inference.blocked_gibbs import BlockedGibbs
    from bayes_causal.inference.generate import prior_sites
    from bayes_causal.models.regime_switching import RegimeSwitching

    engine = BlockedGibbs(draws=asked.draws, warmup=asked.warmup, chains=asked.chains, progress=False)
    base = RegimeSwitching(simulated(asked, asked.seed), regimes=asked.regimes)
    truths = prior_sites(base, asked.sets, asked.seed)
    held, switched = [], []
    rng = np.random.default_rng(asked.seed)
    for i in range(asked.sets):
        truth = {k: v[i : i + 1] for k, v in truths.items()}
        outcomes = base.standardised(base.simulate(truth, rng))[0]
        # On the standardised scale, as given: a scale that the data set would choose for itself is another prior.
        model = standardised(base, outcomes)
        draws = engine.sample(model, seed=i)
        effects = model.layout.canonical(draws.sites, np.concatenate)["shock"]
        low, high = np.quantile(effects, [0.05, 0.95], (0, 1))
        true = base.layout.canonical(truth, np.concatenate)["shock"][0]
        held.append(((low <= true) & (true <= high)).mean())
        switched.append(draws.stats["label_switched"].mean())
    error = np.std(held, ddof=1) / np.sqrt(len(held))
    row = {"sets": asked.sets, "dates": asked.dates, "effects": int(true.size), "coverage": float(np.mean(held))}
    return row | {"error": float(error), "label_switched": float(np.mean(switched))}


def standardised(base: Any, outcomes: np.ndarray) -> Any:
    """The model on (T, A) outcomes that are on its scale already: centre 0 and scale 1 stand."""
    from dataclasses import replace

    made = base.variant(data=base.data.replace_outcomes(outcomes))
    rows = base.design.rows._replace(y=outcomes)
    ones, zeros = np.ones_like(base.design.scale), np.zeros_like(base.design.center)
    vars(made)["design"] = replace(base.design, rows=rows, center=zeros, scale=ones)
    return made


def simulated(asked: Any, seed: int) -> Any:
    """Months of series that share regimes, whose effects of shocks differ a little between them."""
    import pandas as pd

    import bayes_causal as bc

    rng, k, a, s = np.random.default_rng(seed), asked.regimes, asked.series, asked.shocks
    p = TRANSITION[:k, :k] / TRANSITION[:k, :k].sum(1, keepdims=True)
    z = np.zeros(asked.dates + 1, int)
    for t in range(1, asked.dates + 1):
        z[t] = rng.choice(k, p=p[z[t - 1]])
    sigma, level = SIGMA[:k] * np.exp(0.1 * rng.normal(size=(a, 1))), LEVEL[:k] + 0.1 * rng.normal(size=(a, k))
    beta = 0.4 * rng.normal(size=(s, k)) + 0.2 * rng.normal(size=(a, s, k))
    x = rng.normal(size=(asked.dates, s))
    mean = level[:, z[1:]].T + np.einsum("ast,ts->ta", beta[:, :, z[:-1]], x)
    y = mean + sigma[:, z[1:]].T * rng.normal(size=mean.shape)
    names, shocks = [f"series{i}" for i in range(a)], [f"shock{i}" for i in range(s)]
    table = pd.DataFrame(np.column_stack([y, x]), columns=[*names, *shocks])
    table["month"] = pd.date_range("1960-01-01", periods=asked.dates, freq="MS")
    return bc.MultiSeries.from_frame(table, time="month", outcomes=names, shocks=shocks)


def _timed(f: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    found = f()
    return time.perf_counter() - start, found


if __name__ == "__main__":
    main()
