"""Effective draws per second of hierarchical difference-in-differences, ours and the peers', on the campaign panel.

Every method runs in a process of its own: cold is a fresh process, compilation and all; warm is a second fit in the same
process. Reported is the worst reported parameter's effective draws (bulk) over seconds, and the peak memory of the process.
Households' own intercepts are no reported parameters. The plain two-way fixed effects regression has no draws; its time
stands beside them.

    python benchmarks/did.py                          # 300 households, every method
    python benchmarks/did.py --households 2469 --methods collapsed nutpie --json
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import Any

METHODS = ("collapsed", "numpyro", "nutpie", "twfe")


def main() -> None:
    """Run the chosen methods, one process each, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--households", type=int, default=300, help="how many of the 2,469 households")
    parser.add_argument("--errors", choices=("iid", "ar1"), default="iid")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--draws", type=int, default=1000, help="kept draws a chain of the collapsed engine; 4 chains")
    parser.add_argument("--nuts-draws", type=int, default=200, help="kept draws and warm-up steps a chain of NUTS; 2 chains")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", choices=METHODS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(asked.one, asked)))
        return
    rows = [in_own_process(method) for method in asked.methods]
    if asked.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"{'method':<10} {'cold s':>9} {'warm s':>9} {'worst ESS':>10} {'ESS/s cold':>11} {'ESS/s warm':>11} {'peak MiB':>9}")
    for r in rows:
        numbers = (r["cold_s"], r["warm_s"], r["ess"], r["ess_per_s_cold"], r["ess_per_s_warm"], r["peak_mib"])
        print(
            f"{r['method']:<10} "
            + " ".join(f"{'–' if v is None else f'{v:,.2f}':>{w}}" for v, w in zip(numbers, (9, 9, 10, 11, 11, 9), strict=True))
        )


def in_own_process(method: str) -> dict[str, Any]:
    """The measurement of one method, from a fresh process with the same arguments."""
    done = subprocess.run([sys.executable, __file__, *sys.argv[1:], "--one", method], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{method} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(method: str, asked: argparse.Namespace) -> dict[str, Any]:
    """Seconds cold and warm, effective draws and peak memory of one method, in this process."""
    import bayes_causal as bc

    panel = bc.load_example("campaigns", households=asked.households, seed=1)
    run = (lambda seed: bc.baselines.twfe(panel) and None) if method == "twfe" else sampler(method, panel, asked)
    ess, seconds = None, []
    for seed in (1, 2):
        start = time.perf_counter()
        ess = run(seed)
        seconds.append(time.perf_counter() - start)
    cold, warm = seconds
    return {
        "method": method,
        "households": asked.households,
        "rows": panel.counts["rows_kept"],
        "errors": asked.errors,
        "cold_s": cold,
        "warm_s": warm,
        "ess": ess,
        "ess_per_s_cold": None if ess is None else ess / cold,
        "ess_per_s_warm": None if ess is None else ess / warm,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def sampler(method: str, panel: Any, asked: argparse.Namespace) -> Any:
    """A function from a seed to the effective draws of the worst reported parameter."""
    import bayes_causal as bc

    engines = {
        "collapsed": bc.Collapsed(draws=asked.draws),
        "numpyro": bc.NumpyroNuts(draws=asked.nuts_draws, warmup=asked.nuts_draws, chains=2, progress=False),
        "nutpie": bc.PymcNuts(draws=asked.nuts_draws, warmup=asked.nuts_draws, chains=2, sampler="nutpie", progress=False),
    }

    def run(seed: int) -> float:
        model = bc.HierarchicalDiD(panel, effect="group", errors=asked.errors)
        return worst(model.natural(engines[method].sample(model, seed=seed).sites))

    return run


def worst(named: dict[str, Any]) -> float:
    """Smallest bulk effective sample size over the scalars of reported quantities (chain, draw, ...), unit intercepts aside."""
    import numpy as np
    from arviz_stats.base import array_stats

    found = []
    for name, x in named.items():
        if name != "alpha":
            flat = np.moveaxis(x.reshape(*x.shape[:2], -1), 2, 0)
            found.append(np.nanmin(array_stats.ess(flat[np.ptp(flat, axis=(1, 2)) > 0], method="bulk")))
    return float(min(found))


if __name__ == "__main__":
    main()
