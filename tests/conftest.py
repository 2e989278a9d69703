from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Callable
from importlib import import_module
from types import ModuleType

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("repeatable")


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A seed of the test's own name: every test draws its own numbers, the same in every run."""
    return zlib.crc32(request.node.name.encode())


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    """A generator seeded by the test's name."""
    return np.random.default_rng(seed)


@pytest.fixture
def needs() -> Callable[[str], ModuleType]:
    """Import an optional package.

    Skips where it is missing, fails where BAYES_CAUSAL_FULL=1 says that everything is installed: everything but torch, which is
    installed on Python 3.11 alone.
    """

    def load(package: str) -> ModuleType:
        try:
            return import_module(package)
        except ImportError:
            reason = f"{package} is not installed"
        expected = os.environ.get("BAYES_CAUSAL_FULL") == "1" and (package != "torch" or sys.version_info[:2] == (3, 11))
        return pytest.fail(reason) if expected else pytest.skip(reason)

    return load
