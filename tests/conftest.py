from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("repeatable")


MAPS = Path("/proc/self/maps")
MOST_MAPS = 20_000


@pytest.fixture(autouse=True, scope="module")
def few_programs() -> Iterator[None]:
    """Drop compiled programs after a module where they have become many.

    Every one maps memory of its own, and Linux lets a process have 65,530 maps: beyond that the next call of the compiler dies of
    a segmentation fault. Workers of the whole suite come that far.
    """
    yield
    if "jax" in sys.modules and MAPS.is_file() and MAPS.read_bytes().count(b"\n") > MOST_MAPS:
        from bayes_causal.inference.programs import forget

        forget()
        sys.modules["jax"].clear_caches()


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
