"""Synthetic control: effective draws a second of the worst weight, placebos beside one fit, how often intervals hold the truth.

Speed is measured on cigarette sales (California and 36 states, 19 years before), 4,000 kept draws; cold is the first fit of the
process, compilation included. Coverage is that of the 90 % interval of the realised average effect over ten periods, 20 donors of
which three are true, no effect; errors of the treated unit are independent, autocorrelated, or an unshared factor besides.

    python benchmarks/synthetic_control.py --speed
    python benchmarks/synthetic_control.py --coverage --panels 300 --json
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from telling import tell

OUT = "Arizona,District of Columbia,Florida,Maryland,Massachusetts,Michigan,New Jersey,New York,Washington".split(",")
DONORS, POST = 20, 10
# autocorrelation of the error, and of a factor that the donors do not share (None: there is none)
TRUTHS: dict[str, tuple[float, float | None]] = {
    "iid": (0.0, None),
    "ar .6": (0.6, None),
    "factor .8": (0.0, 0.8),
    "factor .98": (0.0, 0.98),
}


def main() -> None:
    """Measure what was asked for, print lines or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--chains", type=int, default=16)
    parser.add_argument("--warmup", type=int, default=150, help="sweeps a chain that are not kept")
    parser.add_argument("--coverage", action="store_true")
    parser.add_argument("--panels", type=int, default=200)
    parser.add_argument("--truths", nargs="+", choices=TRUTHS, default=list(TRUTHS))
    parser.add_argument("--pre", nargs="+", type=int, default=[20, 60])
    parser.add_argument("--errors", nargs="+", choices=("ar1", "iid"), default=["ar1", "iid"])
    parser.add_argument(
        "--weights", nargs="+", default=["simplex"], help="kinds of weights, by name; did: synthetic difference-in-differences"
    )
    parser.add_argument("--factors", type=int, help="of weights factor; left out, the first panel of each truth chooses")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    tell(measured(asked), asked.json)


def measured(asked: Any) -> Iterator[dict[str, Any]]:
    """Rows, as they are found."""
    if asked.speed:
        yield from speed(asked)
    if asked.coverage:
        cells = itertools.product(asked.truths, asked.pre, asked.errors, asked.weights)
        yield from (covered(*cell, asked) for cell in cells)


def speed(asked: Any) -> Iterator[dict[str, Any]]:
    """One fit and all placebos, each cold and warm."""
    from arviz_stats.base import array_stats

    import bayes_causal as bc
    from bayes_causal.checks import donor_refit
    from bayes_causal.inference.blocked_gibbs import BlockedGibbs

    panel = bc.load_example("cigarettes")
    panel = panel.select(times=panel.dataset["time"].values >= 1970)
    for errors, weights in itertools.product(asked.errors, asked.weights):
        model = _model(panel, errors, weights, asked, exclude=OUT)
        engine = BlockedGibbs(draws=4000 // asked.chains, warmup=asked.warmup, chains=asked.chains, progress=False)
        cold, _ = _timed(lambda engine=engine, model=model: engine.sample(model, seed=1))
        warm, draws = _timed(lambda engine=engine, model=model: engine.sample(model, seed=2))
        told = model.natural(draws.sites)
        worst = {k: float(np.min(array_stats.ess(v, chain_axis=0, draw_axis=1))) for k, v in told.items()}
        designs = [model.design.instead(k) for k in range(model.design.donors.size)]
        first, _ = _timed(lambda model=model, designs=designs: donor_refit.refit(model, designs))
        again, _ = _timed(lambda model=model, designs=designs: donor_refit.refit(model, designs))
        row = {"errors": errors, "weights": weights, "cold_s": cold, "warm_s": warm, "ess_weight": worst["weight"]}
        row |= {"ess_weight_per_s": worst["weight"] / warm, "ess_weight_per_s_cold": worst["weight"] / cold}
        least = min(worst, key=lambda k: worst[k])
        row |= {"worst": least, "ess_worst_per_s": worst[least] / warm, "acceptance": draws.numbers["acceptance_rate"]}
        yield row | {"placebos": len(designs), "placebos_cold_s": first, "placebos_warm_s": again}


def covered(truth: str, pre: int, errors: str, weights: str, asked: Any) -> dict[str, Any]:
    """Coverage of one truth under one error structure and kind of weights, a hundred panels of it in one program."""
    from bayes_causal.checks.donor_refit import refit

    rng = np.random.default_rng([asked.seed, pre, list(TRUTHS).index(truth)])
    outcomes = simulated(truth, asked.panels, pre + POST, rng)
    model = _model(_panel(outcomes[0], pre), errors, weights, asked)
    designs = [_design(model, o) for o in outcomes]
    started = time.perf_counter()
    inside, width, value = [], [], []
    for low in range(0, len(designs), 100):
        for one in refit(model, designs[low : low + 100]):
            row = one.row(0.9)
            inside.append(row["lower"] <= 0 <= row["upper"])
            width.append(row["upper"] - row["lower"])
            value.append(row["value"])
    rate = float(np.mean(inside))
    told = {
        "truth": truth,
        "pre": pre,
        "errors": errors,
        "weights": weights,
        "coverage": rate,
        "error": float(np.sqrt(rate * (1 - rate) / len(inside))),
    }
    told |= {"width": float(np.mean(width)), "rmse": float(np.sqrt(np.mean(np.square(value)))), "panels": len(inside)}
    return told | {"seconds": time.perf_counter() - started}


def _model(panel: Any, errors: str, weights: str, asked: Any, **options: Any) -> Any:
    """The model of a kind of weights."""
    import bayes_causal as bc

    if weights == "did":
        return bc.SyntheticDiD(panel, errors=errors, **options)
    more = {"factors": asked.factors} if weights == "factor" else {}
    return bc.SyntheticControl(panel, errors=errors, weights=weights, **more, **options)


def simulated(truth: str, panels: int, rows: int, rng: np.random.Generator) -> np.ndarray:
    """(panels, rows, 1 + donors) outcomes without effect; donors follow two factors with unit roots and noise of sd 1."""
    rho, factor = TRUTHS[truth]
    common = rng.standard_normal((panels, rows, 2)).cumsum(1)
    x = np.einsum("ptf,pfj->ptj", common, rng.standard_normal((panels, 2, DONORS))) + rng.standard_normal((panels, rows, DONORS))
    y = x[:, :, :3] @ np.array([0.5, 0.3, 0.2]) + 2 + 0.5 * _ar(rho, (panels, rows), rng)
    if factor is not None:
        y += 0.5 * _ar(factor, (panels, rows), rng)
    return np.concatenate([y[..., None], x], 2)


def _ar(rho: float, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Stationary errors with innovation sd 1."""
    e = rng.standard_normal(shape)
    e[:, 0] /= np.sqrt(1 - rho**2)
    for t in range(1, shape[1]):
        e[:, t] += rho * e[:, t - 1]
    return e


def _panel(outcome: np.ndarray, pre: int) -> Any:
    """The panel of (rows, 1 + donors) outcomes."""
    import pandas as pd

    import bayes_causal as bc

    unit, time_ = np.indices(outcome.T.shape).reshape(2, -1)
    treated = ((unit == 0) & (time_ >= pre)).astype(int)
    frame = pd.DataFrame({"unit": unit, "t": time_, "y": outcome.T.ravel(), "d": treated})
    return bc.Panel.from_frame(frame, unit="unit", time="t", outcome="y", treatment="d")


def _design(model: Any, outcome: np.ndarray) -> Any:
    """The design of a panel in the shape of the model's."""
    from dataclasses import replace

    return replace(model.design, y=outcome[:, 0], x=outcome[:, 1:], center=0.0, scale=1.0).rescaled()


def _timed(run: Any) -> tuple[float, Any]:
    started = time.perf_counter()
    found = run()
    return time.perf_counter() - started, found


if __name__ == "__main__":
    main()
