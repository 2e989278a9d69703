"""Structural time series that no integral reaches, by blocked Gibbs sampling: effective draws a second of the worst parameter.

python benchmarks/gibbs.py                        # spike and slab of 20 controls, horseshoe of 20, Student-t errors with 3
python benchmarks/gibbs.py --rows 1000 --json
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np

PRE = 0.7
CASES: dict[str, tuple[int, dict[str, Any]]] = {
    "spike and slab, 20 controls": (20, {}),
    "horseshoe, 20 controls": (20, {"regression": "horseshoe"}),
    "Student-t, 3 controls": (3, {"errors": "student_t"}),
}


def main() -> None:
    """Simulate, sample cold and warm, print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--warmup", type=int, default=500)
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--only", default="", help="part of the name of a case")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rows = [timed(name, *CASES[name], asked) for name in CASES if asked.only in name]
    if asked.json:
        print(json.dumps(rows, indent=1))
        return
    # Seconds of the processor too, of all its cores: what a busy machine shares out is no wait of theirs.
    print(f"{'case':<28} {'cold s':>7} {'warm s':>7} {'CPU s':>7} {'worst ESS':>10} {'ESS/s':>7}  worst parameter, largest R-hat")
    for r in rows:
        seconds = f"{r['cold_s']:7.1f} {r['warm_s']:7.2f} {r['cpu_s']:7.2f}"
        print(f"{r['case']:<28} {seconds} {r['ess']:10.0f} {r['ess'] / r['warm_s']:7.0f}  {r['worst']}, {r['rhat']:.3f}")


def timed(name: str, controls: int, options: dict[str, Any], asked: argparse.Namespace) -> dict[str, Any]:
    """Seconds from model to draws of all that is reported, cold and warm; the worst parameter of the second run."""
    from bayes_causal.inference.blocked_gibbs import BlockedGibbs
    from bayes_causal.inference.tree import dataset

    engine = BlockedGibbs(draws=asked.draws, warmup=asked.warmup, chains=asked.chains, progress=False)
    seconds, cpu = [], []
    for seed in range(3):
        model = built(asked.rows, controls, options, asked.seed)
        start, busy = time.perf_counter(), time.process_time()
        posterior = dataset(model, model.natural(engine.sample(model, seed=seed).sites), ("chain", "draw"))
        seconds.append(time.perf_counter() - start)
        cpu.append(time.process_time() - busy)
    ess, worst, rhat = diagnosed(posterior)
    return {
        "case": name,
        "cold_s": seconds[0],
        "warm_s": min(seconds[1:]),
        "cpu_s": min(cpu[1:]),
        "ess": ess,
        "worst": worst,
        "rhat": rhat,
    }


def built(rows: int, controls: int, options: dict[str, Any], seed: int) -> Any:
    """A local level of ratio 0.1 and random walks as controls, every fifth of which matters."""
    import pandas as pd

    import bayes_causal as bc

    rng = np.random.default_rng(seed)
    x = 0.3 * rng.standard_normal((rows, controls)).cumsum(0)
    y = 10 + x @ np.where(np.arange(controls) % 5 == 0, 1.0, 0.0) + 0.1 * rng.standard_normal(rows).cumsum()
    y += rng.standard_t(4, rows) if options.get("errors") == "student_t" else rng.standard_normal(rows)
    names = [f"x{k}" for k in range(controls)]
    table = pd.DataFrame(x, columns=names).assign(t=np.arange(rows), y=y)
    series = bc.TimeSeries.from_frame(table, time="t", outcome="y", controls=names, intervention=int(PRE * rows))
    return bc.StructuralTimeSeries(series, **options)


def diagnosed(posterior: Any) -> tuple[float, str, float]:
    """Smallest bulk ESS of all that is reported and varies, whose it is, and the largest R-hat."""
    from arviz_stats.base import array_stats

    found = []
    for name, values in posterior.data_vars.items():
        flat = values.transpose("chain", "draw", ...).values.reshape(values.sizes["chain"], values.sizes["draw"], -1)
        for k in np.flatnonzero(np.ptp(flat, (0, 1)) > 0):
            x = flat[..., k]
            found.append((float(array_stats.ess(x, method="bulk")), f"{name}[{k}]", float(array_stats.rhat(x, method="rank"))))
    ess, worst, _ = min(found)
    return ess, worst, max(r for *_, r in found)


if __name__ == "__main__":
    main()
