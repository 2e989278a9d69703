"""Structural time series beside the Rust sampler of bsts-causalimpact 1.7, on the same data and the same priors (R's).

One series: seconds warm, effective draws of the average effect, effective draws a second, with the paths that a tree holds and
without. Many series: seconds for all of them, ours in vectorised blocks, the peer's in a loop over both cores. Agreement with a
peer is not proof: the last column shows the posterior of the average effect beside the exact one (two independent computations
of ours agree to 1e-5; see the tests).

The peer is no dependency: give an interpreter that has it, or it is reported as absent.

    python benchmarks/series.py                                        # one series, T = 1,000
    python benchmarks/series.py --series 200 --rows 365 --peer peer/bin/python --json
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from typing import Any

import numpy as np

PRE = 0.7
PEER_NAME = "bsts-causalimpact 1.7"
PEER = """
import json, sys, time
from concurrent.futures import ProcessPoolExecutor
import numpy as np, pandas as pd
from causal_impact import CausalImpact
def effect(job):
    z, pre, draws, seed, options = job
    frame = pd.DataFrame(z, columns=["y"] + [f"x{k}" for k in range(z.shape[1] - 1)])
    # 1.7 defaults to an expected model size of 2, R to 3; it counts controls only
    args = {"niter": draws, "seed": seed, "expected_model_size": 3} | options
    ci = CausalImpact(frame, [0, pre - 1], [pre, len(z) - 1], model_args=args)
    # kept on the scale on which it samples, that of the standardised pre-period
    predicted = np.asarray(ci._samples.predictions).reshape(-1, len(z) - pre) * ci._prepared.y_sd + ci._prepared.y_mean
    effects = z[pre:, 0].mean() - predicted.mean(1)
    assert abs(effects.mean() - ci.summary_stats["point_effect_mean"]) < 1e-6 * (1 + abs(predicted.mean())), "misread"
    return effects
if __name__ == "__main__":
    path, pre, draws, options = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])
    z = np.load(path)
    if len(z) == 1:
        seconds = []
        for seed in range(5):
            start = time.perf_counter(); found = effect((z[0], pre, draws, seed, options))
            seconds.append(time.perf_counter() - start)
        seconds = min(seconds)
    else:
        with ProcessPoolExecutor(2) as pool:
            list(pool.map(effect, [(z[0], pre, 10, 0, options)] * 2))
            start = time.perf_counter()
            found = np.stack(list(pool.map(effect, [(v, pre, draws, k, options) for k, v in enumerate(z)], chunksize=8)))
            seconds = time.perf_counter() - start
    np.save(path + ".effects.npy", found)
    print(json.dumps({"seconds": seconds}))
"""


def main() -> None:
    """Simulate, run both, print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=1)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--controls", type=int, default=5)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--priors", choices=("causalimpact", "calibrated"), default="causalimpact")
    parser.add_argument("--peer", default=sys.executable, help="a Python that has bsts-causalimpact")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    z = simulated(asked.series, asked.rows, asked.controls, asked.seed)
    rows = [ours(z, asked), *([ours(z, asked, paths=True)] if len(z) == 1 else []), peer(z, asked)]
    if asked.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"{'method':<38} {'cold s':>8} {'warm s':>8} {'ESS':>8} {'ESS/s':>10}  average effect of the first series")
    for r in rows:
        if "absent" in r:
            print(f"{r['method']:<38} {r['absent']}")
            continue
        cold = f"{r['cold_s']:8.2f}" if r.get("cold_s") else f"{'–':>8}"
        rate, effect = r["ess"] * asked.series / r["warm_s"], f"{r['mean']:.3f} (sd {r['sd']:.3f})"
        print(f"{r['method']:<38} {cold} {r['warm_s']:8.3f} {r['ess']:8.0f} {rate:10,.0f}  {effect}")


def simulated(series: int, rows: int, controls: int, seed: int) -> np.ndarray:
    """(series, rows, 1 + controls): a local level of ratio 0.1, and random walks as controls, every other one idle."""
    rng = np.random.default_rng(seed)
    x = 0.3 * rng.standard_normal((series, rows, controls)).cumsum(1)
    beta = np.where(np.arange(controls) % 2 == 0, 1.0, 0.0)
    y = 10 + x @ beta + 0.1 * rng.standard_normal((series, rows)).cumsum(1) + rng.standard_normal((series, rows))
    return np.concatenate([y[..., None], x], -1)


def models(z: np.ndarray, priors: str) -> list[Any]:
    """A model for each series."""
    import pandas as pd

    import bayes_causal as bc

    rows, names = z.shape[1], [f"x{k}" for k in range(z.shape[2] - 1)]
    frames = [pd.DataFrame(v, columns=["y", *names]).assign(t=np.arange(rows)) for v in z]
    how: dict[str, Any] = {"time": "t", "outcome": "y", "controls": names, "intervention": int(PRE * rows)}
    return [bc.StructuralTimeSeries(bc.TimeSeries.from_frame(f, **how), prior_set=priors) for f in frames]  # type: ignore[arg-type]


def ours(z: np.ndarray, asked: argparse.Namespace, *, paths: bool = False) -> dict[str, Any]:
    """Seconds from data to draws of the average effect, cold and warm; by paths of level and counterfactual, or without."""
    seconds, draws = [], np.zeros(0)
    for seed in range(4 if len(z) == 1 else 2):
        start = time.perf_counter()
        draws = effects(models(z, asked.priors), asked.draws, seed, paths)
        seconds.append(time.perf_counter() - start)
    how = f"bayes_causal {asked.priors}{', with paths' if paths else ''}"
    return {"method": how, "cold_s": seconds[0], "warm_s": min(seconds[1:])} | told(draws)


def effects(built: list[Any], draws: int, seed: int, paths: bool) -> np.ndarray:
    """(series, draws) of the average effect; with paths as `fit` draws them for its tree."""
    import bayes_causal as bc
    from bayes_causal.inference.tree import dataset

    if not paths:
        return np.asarray(bc.estimate_many(built, seed=seed, draws=draws, keep_draws=True)["draws"].sel(estimand="att").values)
    model = built[0]
    sites = bc.Collapsed(draws=draws // 4, chains=4).sample(model, seed=seed).sites
    posterior = dataset(model, model.natural(sites), ("chain", "draw"))
    return model.effect(posterior, model.headline).values.reshape(1, -1)


def peer(z: np.ndarray, asked: argparse.Namespace) -> dict[str, Any]:
    """The same of the peer."""
    found = peer_effects(z, asked.draws, asked.peer)
    if found is None:
        return {"method": PEER_NAME, "absent": f"not installed for {asked.peer}: give one that has it with --peer"}
    return {"method": PEER_NAME, "warm_s": found[1]} | told(found[0])


def peer_effects(z: np.ndarray, draws: int, interpreter: str, **options: Any) -> tuple[np.ndarray, float] | None:
    """(series, draws) of the average effect and seconds of the peer in an interpreter of its own, which may not have it."""
    import tempfile
    from pathlib import Path

    if subprocess.run([interpreter, "-c", "import causal_impact._core"], capture_output=True, check=False).returncode:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path, script = Path(folder) / "z.npy", Path(folder) / "peer.py"
        np.save(path, z)
        script.write_text(PEER, encoding="utf-8")
        command = [interpreter, str(script), str(path), str(int(PRE * z.shape[1])), str(draws), json.dumps(options)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        effects = np.load(f"{path}.effects.npy").reshape(len(z), -1)
    return effects, float(json.loads(done.stdout.splitlines()[-1])["seconds"])


def told(draws: np.ndarray) -> dict[str, Any]:
    """Effective draws (median over series), mean and sd of the first series."""
    from arviz_stats.base import array_stats

    ess = [float(array_stats.ess(d[None], method="bulk")) for d in draws]
    return {"ess": float(np.median(ess)), "mean": float(draws[0].mean()), "sd": float(draws[0].std())}


if __name__ == "__main__":
    main()
