"""The package is light to import, and its public names are those of one list."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import bayes_causal

HEAVY = ("jax", "pymc", "torch", "econml", "matplotlib")
STUB = Path(bayes_causal.__file__).with_suffix(".pyi")


def loaded_by(code: str) -> set[str]:
    """Heavy modules a fresh process has loaded after some code."""
    code += f"\nimport sys\nprint('LOADED', *[m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("LOADED")[2].split())


@pytest.mark.parametrize(
    "code",
    [
        "import bayes_causal",
        "import bayes_causal.cli",
        "from bayes_causal.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass",
        "from bayes_causal.cli import main\nmain(['examples'])",
        "import bayes_causal as bc; bc.Panel, bc.Estimate, bc.Check, bc.compare, bc.errors",
    ],
    ids=["package", "cli", "help", "examples", "names"],
)
def test_heavy_packages_are_not_loaded(code: str) -> None:
    assert loaded_by(code) == set()


def test_package_itself_loads_not_even_numpy() -> None:
    code = "import bayes_causal, sys; print('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"


def test_every_public_name_exists() -> None:
    names = [
        alias.name for node in ast.walk(ast.parse(STUB.read_text())) if isinstance(node, ast.ImportFrom) for alias in node.names
    ]
    assert sorted(names) == sorted(bayes_causal.__all__)
    assert len(set(names)) == len(names)
    for name in names:
        assert getattr(bayes_causal, name) is not None


def test_check_is_the_function_and_checks_the_package() -> None:
    import bayes_causal.checks.catalogue

    assert callable(bayes_causal.check)
    assert bayes_causal.checks.catalogue.check is bayes_causal.check
