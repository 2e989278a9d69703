"""Bias of double machine learning by how rows are split: at random, or in blocks of time that look forward only.

A shock with effect 1 on an outcome summed over `--months`; a persistent recession state confounds, and is known. Also known, and
of no effect, are dummies of years (or slow states for forests): with random folds they tell the learner which rows are
neighbours, whose sums hold the row's own outcome, and the effect shrinks towards zero. Reported are mean error, its Monte Carlo
error, spread, and how often nominal 90 % intervals hold the truth, Newey-West and econml's own.

    python benchmarks/regimes_confounding.py
    python benchmarks/regimes_confounding.py --series 100 --nuisances ridge lasso forest --json
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np

SCHEMES = ("random", "blocked", "forward")
WITHIN = 1.6449  # of a 90 % interval


def main() -> None:
    """Simulate, estimate by every scheme, print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=60, help="simulated series")
    parser.add_argument("--dates", type=int, default=300)
    parser.add_argument("--months", type=int, default=6, help="over which the outcome is summed")
    parser.add_argument("--nuisances", nargs="+", default=["ridge"], choices=["ridge", "lasso", "linear", "forest"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rows = [row for nuisance in asked.nuisances for row in measured(nuisance, asked)]
    if asked.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"{'nuisance':<9}{'folds':<9}{'bias':>8}{'± MC':>8}{'spread':>8}{'cover':>8}{'econml':>8}")
    for r in rows:
        numbers = (r["bias"], r["bias_error"], r["spread"], r["coverage"], r["coverage_econml"])
        print(f"{r['nuisance']:<9}{r['folds']:<9}" + "".join(f"{v:>8.3f}" for v in numbers))


def measured(nuisance: str, asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Bias, spread and coverage of each scheme over the same series."""
    from bayes_causal.baselines.orthogonal import Settings, linear_effect

    found: dict[str, list[tuple[float, float, float]]] = {scheme: [] for scheme in SCHEMES}
    for k in range(asked.series):
        made = simulated(np.random.default_rng([asked.seed, k]), asked.dates, asked.months - 1, nuisance == "forest")
        for scheme in SCHEMES:
            effect = linear_effect(made, Settings(folds(scheme, made, k), nuisance, trees=60))
            found[scheme].append((effect.value - 1, effect.std_error, effect.extra["econml"]["std_error"]))
    rows = []
    for scheme, values in found.items():
        error, ours, theirs = np.array(values).T
        rows.append(
            {
                "nuisance": nuisance,
                "folds": scheme,
                "bias": float(error.mean()),
                "bias_error": float(error.std(ddof=1) / np.sqrt(error.size)),
                "spread": float(error.std(ddof=1)),
                "coverage": float((np.abs(error) < WITHIN * ours).mean()),
                "coverage_econml": float((np.abs(error) < WITHIN * theirs).mean()),
            }
        )
    return rows


def folds(scheme: str, made: Any, seed: int) -> list[Any]:
    """Five folds of rows, by scheme."""
    from sklearn.model_selection import KFold

    from bayes_causal.baselines.time_folds import BlockedFolds, ForwardFolds

    splitters = {
        "random": KFold(5, shuffle=True, random_state=seed),
        "blocked": BlockedFolds(5, made.reach, made.lags),
        "forward": ForwardFolds(5, made.reach),
    }
    return list(splitters[scheme].split(made.known))


def simulated(rng: np.random.Generator, dates: int, horizon: int, slow: bool) -> Any:
    """Rows of one series: outcome summed from the shock's date to the horizon, the state, and years (or two slow states)."""
    from scipy.signal import lfilter

    from bayes_causal.baselines.lagged_rows import lagged_rows

    n = dates + horizon
    state = np.cumsum(rng.random(n) < 0.1) % 2
    x = state + rng.normal(size=n)
    y = x - state + rng.normal(size=n)
    years = np.repeat(np.eye(-(-n // 12)), 12, axis=0)[:n]
    paths = lfilter([np.sqrt(1 - 0.98**2)], [1, -0.98], rng.normal(size=(n + 100, 2)), axis=0)[100:]
    known = np.column_stack([state, paths if slow else years])
    return lagged_rows(y, x, None, known, lags=0, horizon=horizon, cumulative=True)


if __name__ == "__main__":
    main()
