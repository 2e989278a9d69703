"""The hierarchical time series: how fast it is, and how often its 90 % interval of the att holds the truth.

Truths are fixed: sizes of effects ~ N(1, .5) in sds of a typical unit's errors, rising over three periods, AR(1) errors around
wandering levels. Noise may differ between units, and so may what the model takes to be common: persistence and drift. At a fixed
truth no prior covers at exactly its nominal rate; what counts is not to fall far below.

    python benchmarks/units.py --speed
    python benchmarks/units.py --replicates 100
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd

import bayes_causal as bc

# Spread of the log sds of units' noise, of their ρ around .4, and of the log of their level's sd around .1
TRUTHS = {
    "alike": (0.0, 0.0, 0.0),
    "noise differs": (0.7, 0.0, 0.0),
    "noise, persistence and drift differ": (0.7, 0.25, 0.7),
}


def main() -> None:
    """Time one fit, or simulate and fit all panels of a truth in one vectorised program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--units", type=int, default=0, help="30 for speed, 12 for coverage")
    parser.add_argument("--periods", type=int, default=0, help="120 for speed, 40 for coverage")
    parser.add_argument("--replicates", type=int, default=100)
    parser.add_argument("--truths", nargs="+", choices=TRUTHS, default=list(TRUTHS))
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    if asked.speed:
        speed(asked.units or 30, asked.periods or 120, asked.seed)
        return
    print(f"{'truth':<38}{'covers':>8}{'± error':>9}{'width':>8}{'rmse':>7}{'proved':>8}{'s':>7}")
    for truth in asked.truths:
        coverage(truth, asked.units or 12, asked.periods or 40, asked.replicates, asked.seed)


def simulated(truth: str, units: int, periods: int, rng: np.random.Generator) -> tuple[bc.Panel, float]:
    """A panel, two thirds of its units treated at staggered dates, and its att."""
    noise, persistence, drift = TRUTHS[truth]
    scale = np.exp(noise * rng.standard_normal(units))[:, None]
    rho = np.clip(0.4 + persistence * rng.standard_normal(units), -0.5, 0.95)
    walk = 0.1 * np.exp(drift * rng.standard_normal(units))[:, None]
    errors = rng.standard_normal((units, periods))
    errors[:, 0] /= np.sqrt(1 - rho**2)
    for t in range(1, periods):
        errors[:, t] += rho * errors[:, t - 1]
    y = scale * (errors + np.cumsum(walk * rng.standard_normal((units, periods)), 1)) + 10.0 * rng.standard_normal((units, 1))
    treated = 2 * units // 3
    start = np.linspace(0.4 * periods, 0.8 * periods, treated).astype(int)
    since = np.arange(periods) - np.r_[start, np.full(units - treated, periods)][:, None]
    size = 1.0 + 0.5 * rng.standard_normal(units)
    effect = np.where(since >= 0, size[:, None] * np.minimum(1.0, (since + 1) / 3), 0.0)
    unit, when = (v.ravel() for v in np.indices((units, periods)))
    table = pd.DataFrame({"unit": unit, "time": when, "y": (y + effect).ravel(), "on": (since >= 0).ravel().astype(int)})
    panel = bc.Panel.from_frame(table, unit="unit", time="time", outcome="y", treatment="on")
    return panel, float(effect[since >= 0].mean())


def speed(units: int, periods: int, seed: int) -> None:
    """Seconds of a cold and of a warm fit, and effective draws a second of the worst quantity reported."""
    from bayes_causal.checks.convergence import parameter_table
    from bayes_causal.inference.tree import dataset, info

    panel, truth = simulated("noise differs", units, periods, np.random.default_rng(seed))
    model = bc.HierarchicalTimeSeries(panel)
    for said in ("cold", "warm"):
        start = time.perf_counter()
        draws = bc.Collapsed(draws=1000, chains=4).sample(model, seed=seed)
        seconds = time.perf_counter() - start
        start = time.perf_counter()
        tree = bc.fit(model, bc.Collapsed(draws=1000, chains=4), seed=seed) if said == "warm" else None
        whole = time.perf_counter() - start
        posterior = dataset(model, model.natural(draws.sites), ("chain", "draw"))
        worst = min(parameter_table({"posterior": posterior}), key=lambda r: r["ess_bulk"])  # type: ignore[arg-type]
        print(f"{units} units x {periods} periods, sampling {said}: {seconds:.1f} s, {draws.path}")
        print(f"  att {posterior['att'].values.mean():.3f} (truth {truth:.3f}); worst quantity {worst['parameter']}")
        print(f"  {worst['ess_bulk']:.0f} effective draws, {worst['ess_bulk'] / seconds:.0f} a second")
        if tree is not None:
            print(f"  a whole fit with predictions and likelihoods: {whole:.1f} s, {info(tree)['seconds']}")


def coverage(truth: str, units: int, periods: int, replicates: int, seed: int) -> None:
    """A row of the table."""
    start, rng = time.perf_counter(), np.random.default_rng(seed)
    panels, known = zip(*(simulated(truth, units, periods, rng) for _ in range(replicates)), strict=True)
    fits = bc.fit_many([bc.HierarchicalTimeSeries(p, window=(0, 4)) for p in panels], seed=seed, draws=400)
    att = fits["att"].values.reshape(replicates, -1)
    low, high = np.quantile(att, [0.05, 0.95], axis=1)
    held = (low <= known) & (known <= high)
    error, rmse = np.sqrt(held.mean() * (1 - held.mean()) / replicates), np.sqrt(np.mean((att.mean(1) - known) ** 2))
    row = f"{truth:<38}{held.mean():8.3f}{error:9.3f}{(high - low).mean():8.2f}{rmse:7.2f}"
    print(f"{row}{float(fits['trusted'].mean()):8.3f}{time.perf_counter() - start:7.1f}", flush=True)


if __name__ == "__main__":
    main()
