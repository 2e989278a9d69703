"""How often the 90 % interval of the realised average effect holds the truth, under both sets of priors.

Series without an effect, 70 dates before and 30 after, at fixed truths and at truths drawn from the calibrated prior. At a fixed
truth no prior covers at exactly its nominal rate; what counts is not to fall far below. The Monte Carlo error of each rate is
printed beside it.

    python benchmarks/series_coverage.py --series 300
    python benchmarks/series_coverage.py --series 1000 --truths iid "ar .6" --priors calibrated --json
    python benchmarks/series_coverage.py --series 300 --priors causalimpact --peer peer/bin/python   # and of bsts-causalimpact
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np

PRE, POST = 70, 30
# ρ of the errors, level sd over error sd, amplitude of a weekly season, idle controls
TRUTHS: dict[str, tuple[float, float, float, int]] = {
    "iid": (0.0, 0.0, 0.0, 0),
    "ar .3": (0.3, 0.0, 0.0, 0),
    "ar .6": (0.6, 0.0, 0.0, 0),
    "ar .9": (0.9, 0.0, 0.0, 0),
    "level .02": (0.0, 0.02, 0.0, 0),
    "level .1": (0.0, 0.1, 0.0, 0),
    "level .3": (0.0, 0.3, 0.0, 0),
    "seasonal": (0.0, 0.0, 1.0, 0),
    "three idle controls": (0.0, 0.0, 0.0, 3),
    "calibrated prior": (np.nan, np.nan, 0.0, 0),
}


def main() -> None:
    """Simulate, fit all series of a truth in vectorised blocks, print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=300)
    parser.add_argument("--truths", nargs="+", choices=TRUTHS, default=list(TRUTHS))
    parser.add_argument("--priors", nargs="+", choices=("calibrated", "causalimpact"), default=["calibrated", "causalimpact"])
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--peer", help="a Python that has bsts-causalimpact, to measure it too")
    parser.add_argument("--peer-series", type=int, default=300, help="so many of the series")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rows = [measure(truth, priors, asked) for truth in asked.truths for priors in asked.priors]
    rows += [measure_peer(truth, asked) for truth in asked.truths if asked.peer]
    if asked.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"{'truth':<22}{'priors':<23}{'covers':>8}{'± error':>9}{'width':>8}{'rmse':>7}{'proved':>8}{'s':>7}")
    for r in rows:
        print(
            f"{r['truth']:<22}{r['priors']:<23}{r['coverage']:8.3f}{r['error']:9.3f}{r['width']:8.2f}{r['rmse']:7.2f}"
            f"{r['proved']:8.3f}{r['seconds']:7.1f}"
        )


def simulated(truth: str, series: int, seed: int) -> np.ndarray:
    """(series, rows, 1 + controls) outcomes without effect, errors of innovation sd 1, and idle controls."""
    rho: Any
    ratio: Any
    rho, ratio, amplitude, controls = TRUTHS[truth]
    rng, rows = np.random.default_rng([seed, list(TRUTHS).index(truth)]), PRE + POST
    if truth == "calibrated prior":
        rho, ratio = rng.uniform(-1, 1, series), 0.3 * np.abs(rng.standard_normal((series, 1)))
    error = rng.standard_normal((series, rows))
    error[:, 0] /= np.sqrt(1 - rho**2)
    for t in range(1, rows):
        error[:, t] += rho * error[:, t - 1]
    season = amplitude * np.tile(rng.standard_normal((series, 7)), (1, -(-rows // 7)))[:, :rows]
    y = 10 + error + season + ratio * rng.standard_normal((series, rows)).cumsum(1)
    return np.concatenate([y[..., None], rng.standard_normal((series, rows, controls))], -1)


def measure(truth: str, priors: str, asked: argparse.Namespace) -> dict[str, Any]:
    """Coverage, its Monte Carlo error, width, root mean squared error of the average effect, whose truth is 0."""
    import pandas as pd

    import bayes_causal as bc

    z = simulated(truth, asked.series, asked.seed)
    names = [f"x{k}" for k in range(z.shape[2] - 1)]
    frames = [pd.DataFrame(v, columns=["y", *names]).assign(t=np.arange(PRE + POST)) for v in z]
    options: dict[str, Any] = {"seasonal": [{"period": 7}]} if TRUTHS[truth][2] else {}
    start = time.perf_counter()
    models = [
        bc.StructuralTimeSeries(
            bc.TimeSeries.from_frame(f, time="t", outcome="y", controls=names, intervention=PRE),
            prior_set=priors,  # type: ignore[arg-type]
            **options,
        )
        for f in frames
    ]
    table = bc.estimate_many(models, seed=asked.seed, draws=asked.draws)
    att = table.isel(estimand=0)
    seconds, proved = time.perf_counter() - start, float(att["trusted"].mean())
    return told(truth, priors, *(att[k].values for k in ("value", "lower", "upper"))) | {"proved": proved, "seconds": seconds}


def measure_peer(truth: str, asked: argparse.Namespace) -> dict[str, Any]:
    """The same of bsts-causalimpact, on the first of the series."""
    from series import PEER_NAME, peer_effects

    z = simulated(truth, asked.series, asked.seed)[: asked.peer_series]
    options = {"nseasons": 7} if TRUTHS[truth][2] else {}
    found = peer_effects(z, asked.draws, asked.peer, **options)
    if found is None:
        raise SystemExit(f"{PEER_NAME} is not installed for {asked.peer}")
    lower, upper = np.quantile(found[0], [0.05, 0.95], axis=1)
    return told(truth, PEER_NAME, found[0].mean(1), lower, upper) | {"proved": np.nan, "seconds": found[1]}


def told(truth: str, priors: str, value: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> dict[str, Any]:
    """Coverage of zero, its Monte Carlo error, width and root mean squared error."""
    covered = float(((lower <= 0) & (upper >= 0)).mean())
    return {
        "truth": truth,
        "priors": priors,
        "series": len(value),
        "coverage": covered,
        "error": float(np.sqrt(covered * (1 - covered) / len(value))),
        "width": float((upper - lower).mean()),
        "rmse": float(np.sqrt((value**2).mean())),
    }


if __name__ == "__main__":
    main()
