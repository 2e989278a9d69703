"""Effective draws per second of outcomes that are not normal: the embedded Laplace approximation against NUTS on the full twin.

Every method runs in a process of its own: cold is a fresh process, compilation and all; warm is a second fit in the same
process. Reported is the worst reported parameter's effective draws (bulk) over seconds, the units' own intercepts aside, and the
peak memory of the process. The path says whether the approximation was accepted, and on what grounds.

    python benchmarks/families.py                                        # 300 units over 20 periods, poisson and bernoulli
    python benchmarks/families.py --families lognormal_hurdle --households 100 --methods laplace --json
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import Any

METHODS = ("laplace", "nuts")
WIDTHS = (8, 8, 10, 11, 11, 7)
FAMILIES = ("poisson", "negative_binomial", "bernoulli", "student_t", "lognormal_hurdle")


def main() -> None:
    """Run the chosen methods on the chosen families, one process each, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=("poisson", "bernoulli"))
    parser.add_argument("--units", type=int, default=300)
    parser.add_argument("--periods", type=int, default=20)
    parser.add_argument("--groups", type=int, default=3)
    parser.add_argument("--households", type=int, help="that many of the campaign panel in place of simulated units")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--draws", type=int, default=1000, help="kept draws a chain of the weighted draws; 4 chains")
    parser.add_argument("--nuts-draws", type=int, default=200, help="kept draws and warm-up steps a chain of NUTS; 2 chains")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds after which a process is stopped and said to be")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(*asked.one, asked)))
        return
    rows = [in_own_process(family, method, asked.limit) for family in asked.families for method in asked.methods]
    if asked.json:
        print(json.dumps(rows, indent=1))
        return
    titles = ("cold s", "warm s", "worst ESS", "ESS/s cold", "ESS/s warm", "MiB")
    print(f"{'family':<18} {'method':<8} " + " ".join(f"{t:>{w}}" for t, w in zip(titles, WIDTHS, strict=True)))
    for r in rows:
        keys = ("cold_s", "warm_s", "ess", "ess_per_s_cold", "ess_per_s_warm", "peak_mib")
        cells = (f"{'–' if r.get(k) is None else f'{r[k]:,.2f}':>{w}}" for k, w in zip(keys, WIDTHS, strict=True))
        print(f"{r['family']:<18} {r['method']:<8} " + " ".join(cells))
        print(f"    {r['path']}")


def in_own_process(family: str, method: str, limit: float) -> dict[str, Any]:
    """The measurement of one method on one family, from a fresh process with the same arguments."""
    command = [sys.executable, __file__, *sys.argv[1:], "--one", family, method]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit)
    except subprocess.TimeoutExpired:
        return {"family": family, "method": method, "path": f"stopped after {limit:g} s"}
    if done.returncode:
        raise SystemExit(f"{method} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(family: str, method: str, asked: argparse.Namespace) -> dict[str, Any]:
    """Seconds cold and warm, effective draws and peak memory of one method, in this process."""
    import bayes_causal as bc
    from bayes_causal.inference.numpyro_nuts import CAREFUL

    panel, seconds = panel_of(family, asked), []
    counts = {"draws": asked.nuts_draws, "warmup": asked.nuts_draws, "chains": 2}
    engines = {
        "laplace": bc.Collapsed(draws=asked.draws),
        "nuts": bc.NumpyroNuts(**counts, target_accept=CAREFUL, progress=False),
    }
    for seed in (1, 2):
        start = time.perf_counter()
        model = bc.HierarchicalDiD(panel, effect="group", family=family)
        draws = engines[method].sample(model, seed=seed)
        seconds.append(time.perf_counter() - start)
    ess = worst(model.natural(draws.sites))
    cold, warm = seconds
    return {
        "family": family,
        "method": method,
        "rows": panel.counts["rows_kept"],
        "cold_s": cold,
        "warm_s": warm,
        "ess": ess,
        "ess_per_s_cold": ess / cold,
        "ess_per_s_warm": ess / warm,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "path": draws.path,
    }


def panel_of(family: str, asked: argparse.Namespace) -> Any:
    """The campaign panel's households, spending itself; or simulated units with outcomes of the family."""
    import numpy as np
    from scipy import special

    import bayes_causal as bc
    from bayes_causal.data.simulate import simulate_panel

    if asked.households:
        panel = bc.load_example("campaigns", households=asked.households, seed=1)
        return panel.replace_outcome(np.expm1(panel.dataset["outcome"].values))
    size = {"units": asked.units, "periods": asked.periods, "groups": asked.groups}
    panel, _ = simulate_panel(**size, effect=0.3, sigma=1e-6, rho=0.0, unit_sd=0.6, time_sd=0.3, seed=1)
    eta, rng = panel.dataset["outcome"].values, np.random.default_rng(1)
    any_y, level = rng.random(eta.shape) < special.expit(eta), rng.gamma(4.0, 0.25, eta.shape)
    outcomes = {
        "poisson": rng.poisson(np.exp(0.5 + eta)),
        "negative_binomial": rng.poisson(np.exp(0.5 + eta) * level),
        "bernoulli": any_y,
        "student_t": eta + 0.4 * rng.standard_t(3, eta.shape),
        "lognormal_hurdle": np.where(any_y, np.exp(eta + 0.5 * rng.standard_normal(eta.shape)), 0.0),
    }
    return panel.replace_outcome(outcomes[family].astype(float))


def worst(named: dict[str, Any]) -> float:
    """Smallest bulk effective sample size over the scalars of reported quantities (chain, draw, ...), unit intercepts aside."""
    import numpy as np
    from arviz_stats.base import array_stats

    found = []
    for name, x in named.items():
        if not name.endswith("alpha"):
            flat = np.moveaxis(x.reshape(*x.shape[:2], -1), 2, 0)
            found.append(np.nanmin(array_stats.ess(flat[np.ptp(flat, axis=(1, 2)) > 0], method="bulk")))
    return float(min(found))


if __name__ == "__main__":
    main()
