"""Simulated geo tests: how often the 95 % interval holds the effect, and how wide it is beside that of an oracle.

Each test is a panel of days: one treated market and 20 donors, 30 to 90 days before and 15 after. Markets share a trend with
common shocks and a weekly profile, both in proportion to their size; noise is multiplicative and AR(1), its size differs by
market. The treated market is the one of median size, or (outlying) one three times as large as the largest donor. The model is
asked in levels, and in logarithms, where what markets share is added and sizes are levels.

The oracle knows sizes, trend, profile, autocorrelation and the noise up to the last day before: its interval holds the noise of
the treated market's 15 days and nothing else. No estimate can be as narrow: a second oracle knows the same but the size of the
treated market, which it estimates from the days before, at a cost of about √(1 + 15/days). The effect is 0, and any other would
do: fitted to the time before, the interval moves with the effect, so that false positives are one less the coverage. `found` is
how often a lift of 5 % would have been found. Widths are means over that of the oracle, over all tests and by days before.

What it says to a user. Take logarithms: in levels an intercept takes up a difference in level, not swings three times as large;
an outlying market is then covered four times in five only (and the check `hull` warns). Bring 60 days: with 30 to 44 the level
and the autocorrelation are known so badly that even the right weights do not help. Where errors are known to die away within
days, and only there, the prior `correlation: 2` (here --correlation 2) takes most of that cost away.

    python benchmarks/geo_tests.py --tests 500
    python benchmarks/geo_tests.py --tests 5000 --cases median --scales log
    python benchmarks/geo_tests.py --tests 40 --baselines sc_demeaned sdid --peer peer/bin/python --json
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from telling import tell

DONORS, POST, BLOCK = 20, 15, 100
PRE = (30, 45, 60, 75, 91)  # days before, from the first to below the last, and how they are split in the table
LEVEL, LIFT, KNOWN = 0.95, 0.05, 4000
CASES = ("median", "outlying")
SCALES = ("log", "levels")
PEER_NAME = "CausalPy"
PEER = """
import json, logging, sys, time, warnings
import numpy as np, pandas as pd
warnings.filterwarnings("ignore"); logging.disable(logging.CRITICAL)
import causalpy as cp
path, level, found, start = sys.argv[1], float(sys.argv[2]), [], time.perf_counter()
tests = np.load(path, allow_pickle=True)
sampler = {"draws": 500, "tune": 500, "chains": 2, "cores": 2, "progressbar": False, "random_seed": 1}
for y in tests:
    names = [f"d{k}" for k in range(y.shape[1] - 1)]
    frame = pd.DataFrame(y, columns=["treated", *names])
    model = cp.pymc_models.WeightedSumFitter(sample_kwargs=sampler)
    run = cp.SyntheticControl(frame, len(y) - 15, control_units=names, treated_units=["treated"], model=model)
    effect = run.post_impact.mean("obs_ind").values.ravel()
    found.append(np.quantile(effect, [(1 - level) / 2, (1 + level) / 2]).tolist() + [float(effect.mean())])
print(json.dumps({"seconds": time.perf_counter() - start, "rows": found}))
"""


class Beside(NamedTuple):
    """What intervals are set beside: (N, 2) ends of the oracle's, (N,) sizes of the lift, and (N,) days before."""

    oracle: np.ndarray
    lift: np.ndarray
    days: np.ndarray


class Tests(NamedTuple):
    """N simulated tests.

    Parameters
    ----------
    outcomes : N arrays (days, 1 + donors), the treated market first
    oracles : (scale, oracle, N, 2) ends of the intervals of the average effect: of the oracle, and of the one that does not know
        the level; in logarithms and in levels
    """

    outcomes: list[np.ndarray]
    oracles: np.ndarray


def main() -> None:
    """Simulate, run everything asked for, print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", type=int, default=200)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--scales", nargs="+", choices=SCALES, default=list(SCALES))
    parser.add_argument("--errors", choices=("ar1", "iid"), default="ar1")
    parser.add_argument("--correlation", type=float, default=1.0, help="shape of the prior of the errors' autocorrelation")
    parser.add_argument("--sweeps", type=int, default=500, help="kept draws a test, after as many that are not kept")
    parser.add_argument(
        "--baselines", nargs="*", default=[], help="of this package, at their own intervals: sc_demeaned, sdid, …"
    )
    parser.add_argument("--peer", help="a Python that has CausalPy")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    tell(measured(asked), asked.json)


def measured(asked: Any) -> Iterator[dict[str, Any]]:
    """Rows, as they are found."""
    for case in asked.cases:
        tests = simulated(asked.tests, case, np.random.default_rng([asked.seed, CASES.index(case)]))
        for scale in asked.scales:
            y = [np.log(o) for o in tests.outcomes] if scale == "log" else tests.outcomes
            known, level_unknown = tests.oracles[SCALES.index(scale)]
            days = np.array([len(o) - POST for o in tests.outcomes])
            lift = np.array([np.log1p(LIFT) if scale == "log" else LIFT * o[-POST:, 0].mean() for o in tests.outcomes])
            beside, about = Beside(known, lift, days), {"market": case, "scale": scale}
            yield about | {"method": "oracle"} | told(known, beside)
            yield about | {"method": "oracle, level unknown"} | told(level_unknown, beside)
            start = time.perf_counter()
            found = ours(y, asked)
            yield (
                about
                | {"method": f"bayes_causal {asked.errors} {asked.correlation:g}"}
                | told(found, beside)
                | {"seconds": time.perf_counter() - start}
            )
            for name in asked.baselines:
                yield about | {"method": name} | baseline(name, y, beside)
            if asked.peer:
                yield about | {"method": PEER_NAME} | peer(y, beside, asked.peer)


def told(ends: np.ndarray, beside: Beside) -> dict[str, Any]:
    """Coverage of no effect, false positives, width against the oracle's, and how often the lift is found; with errors."""
    inside = (ends[:, 0] <= 0) & (ends[:, 1] >= 0)
    n, width, best = len(ends), np.diff(ends)[:, 0], np.diff(beside.oracle)[:, 0]
    rate = float(inside.mean())
    row = {"tests": n, "coverage": rate, "error": float(np.sqrt(rate * (1 - rate) / n)), "false_positives": 1 - rate}
    row |= {"found": float((ends[:, 0] + beside.lift > 0).mean()), "width": float(width.mean() / best.mean())}
    for low, high in pairwise(PRE):
        of = (beside.days >= low) & (beside.days < high)
        row |= {f"{low}-{high - 1}": float(width[of].mean() / best[of].mean())} if of.any() else {}
    return row


def simulated(tests: int, case: str, rng: np.random.Generator) -> Tests:
    """Tests of one kind of treated market."""
    made = [_simulated(case, rng) for _ in range(tests)]
    return Tests([y for y, _ in made], np.stack([ends for _, ends in made], 2))


def _simulated(case: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One test: its outcomes, and the (scale, oracle, 2) ends of the oracles' intervals."""
    pre = int(rng.integers(PRE[0], PRE[-1]))
    days = np.arange(pre + POST)
    size = np.sort(1000 * np.exp(0.7 * rng.standard_normal(DONORS + 1)))
    at = DONORS // 2
    size = size[np.r_[at, np.delete(np.arange(DONORS + 1), at)]]
    if case == "outlying":
        size[0] = 3 * size[1:].max()
    weekly, drift = 0.15 * rng.standard_normal(7), 0.1 * rng.standard_normal()
    shared = drift * days / 60 + 0.01 * rng.standard_normal(days.size).cumsum() + weekly[days % 7]
    rho, sd = float(rng.uniform(0.2, 0.7)), rng.uniform(0.03, 0.10, DONORS + 1)
    e = _ar1(rho, (days.size, DONORS + 1), rng) * sd
    y = size * np.exp(shared[:, None] + e)
    off, error = _level(e[:pre, 0], rho, sd[0])
    ends = np.empty((2, 2, 2))
    for k, level in enumerate((np.zeros(KNOWN), off + error * rng.standard_normal(KNOWN))):
        draws = level[:, None] + _continued(e[pre - 1, 0] - level, rho, sd[0], rng)
        in_levels = y[pre:, 0].mean() - (size[0] * np.exp(shared[pre:] + draws)).mean(1)
        tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
        ends[:, k] = np.quantile(e[pre:, 0].mean() - draws.mean(1), tails), np.quantile(in_levels, tails)
    return y, ends


def _level(e: np.ndarray, rho: float, sd: float) -> tuple[float, float]:
    """Mean and sd of the level of (n,) errors, all else known: generalised least squares."""
    root = np.sqrt(1 - rho**2)
    value, one = np.r_[root * e[0], e[1:] - rho * e[:-1]], np.r_[root, np.full(e.size - 1, 1 - rho)]
    return float(value @ one / (one @ one)), float(sd * root / np.sqrt(one @ one))


def _ar1(rho: float, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Stationary errors of sd 1 down the rows."""
    e = rng.standard_normal(shape)
    for t in range(1, shape[0]):
        e[t] = rho * e[t - 1] + np.sqrt(1 - rho**2) * e[t]
    return e


def _continued(last: np.ndarray, rho: float, sd: float, rng: np.random.Generator) -> np.ndarray:
    """(draws, days) errors after the (draws,) last ones before."""
    e = sd * np.sqrt(1 - rho**2) * rng.standard_normal((last.size, POST))
    e[:, 0] += rho * last
    for t in range(1, POST):
        e[:, t] += rho * e[:, t - 1]
    return e


def ours(outcomes: list[np.ndarray], asked: Any) -> np.ndarray:
    """(N, 2) ends of the model's intervals, many tests in lockstep."""
    from bayes_causal.checks import donor_refit

    donor_refit.DRAWS = donor_refit.WARMUP = asked.sweeps
    models = [_model(y, asked.errors, asked.correlation) for y in outcomes]
    found = []
    for low in range(0, len(models), BLOCK):
        designs = [m.design for m in models[low : low + BLOCK]]
        whole = designs + designs[:1] * (min(BLOCK, len(models)) - len(designs))  # one shape, one program
        runs = donor_refit.refit(models[0], whole, seed=asked.seed + low)[: len(designs)]
        found += [[run.row(LEVEL)["lower"], run.row(LEVEL)["upper"]] for run in runs]
    return np.array(found)


def panel(y: np.ndarray) -> Any:
    """The panel of (days, 1 + donors) outcomes."""
    import pandas as pd

    import bayes_causal as bc

    unit, day = np.indices(y.T.shape).reshape(2, -1)
    treated = ((unit == 0) & (day >= len(y) - POST)).astype(int)
    frame = pd.DataFrame({"unit": unit, "day": day, "y": y.T.ravel(), "treated": treated})
    return bc.Panel.from_frame(frame, unit="unit", time="day", outcome="y", treatment="treated")


def _model(y: np.ndarray, errors: Any, correlation: float) -> Any:
    import bayes_causal as bc
    from bayes_causal.models.synthetic_control import Priors

    return bc.SyntheticControl(panel(y), errors=errors, priors=Priors(correlation=correlation))


def baseline(name: str, outcomes: list[np.ndarray], beside: Beside) -> dict[str, Any]:
    """A frequentist method of this package with the interval it gives itself; tests without one are counted and left out."""
    import bayes_causal as bc

    start = time.perf_counter()
    answers = [getattr(bc.baselines, name)(panel(y), level=LEVEL) for y in outcomes]
    ends = np.array([[float(a.lower), float(a.upper)] for a in answers])
    has = np.isfinite(ends).all(1)
    if not has.any():
        return {"absent": "no interval at this level"}
    seconds = time.perf_counter() - start
    return told(ends[has], Beside(*(v[has] for v in beside))) | {"without_interval": int((~has).sum()), "seconds": seconds}


def peer(outcomes: list[np.ndarray], beside: Beside, interpreter: str) -> dict[str, Any]:
    """The same of CausalPy at its defaults, in an interpreter of its own, which may not have it."""
    if subprocess.run([interpreter, "-c", "import causalpy"], capture_output=True, check=False).returncode:
        return {"absent": f"not installed for {interpreter}: give one that has it with --peer"}
    with tempfile.TemporaryDirectory() as folder:
        path, script = Path(folder) / "tests.npy", Path(folder) / "peer.py"
        held = np.empty(len(outcomes), object)
        held[:] = outcomes
        np.save(path, held, allow_pickle=True)
        script.write_text(PEER, encoding="utf-8")
        done = subprocess.run([interpreter, str(script), str(path), str(LEVEL)], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stderr[-2000:])
        return {"absent": f"failed: {done.stderr.strip().splitlines()[-1]}"}
    said = json.loads(done.stdout.splitlines()[-1])
    return told(np.array(said["rows"])[:, :2], beside) | {"seconds": said["seconds"]}


if __name__ == "__main__":
    main()
