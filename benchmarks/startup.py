"""How long the package takes to import and the command line to answer: each in a fresh process, the best of several.

Run as ``python benchmarks/startup.py [repetitions]``. The aim is 0.3 s; importing numpy alone is shown as a yardstick.
"""

from __future__ import annotations

import subprocess
import sys
import time

AIM = 0.3
COMMANDS = {
    "python alone": ["-c", "pass"],
    "import numpy": ["-c", "import numpy"],
    "import bayes_causal": ["-c", "import bayes_causal"],
    "bayes-causal --help": ["-m", "bayes_causal", "--help"],
    "bayes-causal --version": ["-m", "bayes_causal", "--version"],
    "bayes-causal examples": ["-m", "bayes_causal", "examples"],
}


def seconds(arguments: list[str], repetitions: int) -> float:
    """Best wall time of a Python process, in seconds."""
    best = float("inf")
    for _ in range(repetitions):
        begun = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        best = min(best, time.perf_counter() - begun)
    return best


def main() -> None:
    """Print one line a command."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    for name, arguments in COMMANDS.items():
        taken = seconds(arguments, repetitions)
        ours = "bayes" in name and name != "bayes-causal examples"
        print(f"{name:<24}{taken:7.3f} s{'   over the aim of 0.3 s' if ours and taken > AIM else ''}")


if __name__ == "__main__":
    main()
