"""What the compiler's options bring: seconds of the processor for a first and a second fit, with XLA's own and with ours.

python benchmarks/compiling.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import bayes_causal as bc
from bayes_causal.inference import programs
from bayes_causal.inference.blocked_gibbs import BlockedGibbs
from bayes_causal.numerics import jitted

LATER = [
    "Arizona",
    "District of Columbia",
    "Florida",
    "Maryland",
    "Massachusetts",
    "Michigan",
    "New Jersey",
    "New York",
    "Washington",
]


def main() -> None:
    """Print a table."""
    ours = jitted._options
    for name, fit in fits().items():
        for options, how in ((lambda level: None, "XLA's options"), (ours, "ours")):
            jitted._options = options
            programs.forget()
            first, second = seconds(lambda fit=fit: fit(1)), seconds(lambda fit=fit: fit(2))
            print(f"{name:<28}{how:<16}first {first:6.2f} s   second {second:6.2f} s", flush=True)


def fits() -> dict[str, Callable[[int], Any]]:
    """One fit of each kind of engine, by seed."""
    did = bc.HierarchicalDiD(bc.load_example("campaigns"), effect="group", errors="ar1")
    series = bc.StructuralTimeSeries(bc.load_example("seat-belts"))
    control = bc.SyntheticControl(bc.load_example("cigarettes"), errors="ar1", exclude=LATER)
    did.collapsed()
    return {
        "difference in differences": lambda seed: bc.Collapsed().sample(did, seed=seed),
        "structural time series": lambda seed: bc.Collapsed().sample(series, seed=seed),
        "synthetic control": lambda seed: BlockedGibbs(progress=False).sample(control, seed=seed),
    }


def seconds(run: Callable[[], Any]) -> float:
    """Of all cores together."""
    before = time.process_time()
    run()
    return time.process_time() - before


if __name__ == "__main__":
    main()
