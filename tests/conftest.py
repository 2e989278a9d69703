from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from bayes_causal.data.panel import Panel

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


Several = Callable[..., "tuple[Panel, np.ndarray]"]


@pytest.fixture
def several(rng: np.random.Generator) -> Several:
    """Panels of treated units t00, t01, … with donors d00, d01, … on two common factors, and what errs in the treated."""
    from bayes_causal.data.panel import Panel

    def make(
        onsets: Sequence[int] = (8, 9),
        *,
        donors: int = 3,
        periods: int = 12,
        effects: float | Sequence[float] = 0.0,
        correlation: float = 0.5,
        rho: float = 0.4,
        sigma: float = 0.3,
        ends: int | None = None,
        without: Collection[tuple[str, int]] = (),
    ) -> tuple[Panel, np.ndarray]:
        units, time = len(onsets), np.arange(periods)
        common = rng.standard_normal((periods, 2)).cumsum(0)
        x = common @ rng.standard_normal((2, donors)) + 0.5 * rng.standard_normal((periods, donors)).cumsum(0)
        shared, own = rng.standard_normal((periods, 1)), rng.standard_normal((periods, units))
        error = sigma * (np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own)
        error[0] /= np.sqrt(1 - rho**2)
        for t in time[1:]:
            error[t] += rho * error[t - 1]
        on = (time[:, None] >= np.array(onsets)) & (time[:, None] < (np.array(onsets) + ends if ends else periods))
        y = np.column_stack([3 + x @ rng.dirichlet(np.ones(donors), units).T + error + on * effects, x])
        names = [f"t{k:02d}" for k in range(units)] + [f"d{k:02d}" for k in range(donors)]
        treated = np.column_stack([on, np.zeros_like(x, bool)])
        frame = pd.DataFrame(
            {"unit": np.tile(names, periods), "t": np.repeat(time, len(names)), "y": y.ravel(), "d": treated.ravel()}
        )
        kept = [cell not in without for cell in zip(frame["unit"], frame["t"], strict=True)]
        return Panel.from_frame(frame[kept].astype({"d": int}), unit="unit", time="t", outcome="y", treatment="d"), error

    return make
