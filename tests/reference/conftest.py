"""Where the reference data lie, and the table that a run of these tests ends with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("BAYES_CAUSAL_REFERENCE_DATA") or Path(__file__).parents[3] / "shared" / "data")
HEAD = ("case", "quantity", "published", "ours", "in tolerances", "")


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """The folder with one sub-folder a case; the data are not ours to ship."""
    if not FOLDER.is_dir():
        pytest.skip("no reference data: set BAYES_CAUSAL_REFERENCE_DATA to the folder that holds them")
    return FOLDER


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print case, quantity, published, ours, difference in tolerances, verdict."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    rows = sorted(tuple(v) for r in reports if r.when == "call" for k, v in r.user_properties if k == "reference")
    if not rows:
        return
    lines = [HEAD, *rows]
    width = [max(len(line[k]) for line in lines) for k in range(len(HEAD))]
    terminalreporter.section("published numbers")
    for line in lines:
        terminalreporter.write_line("  ".join(cell.ljust(w) for cell, w in zip(line, width, strict=True)).rstrip())
