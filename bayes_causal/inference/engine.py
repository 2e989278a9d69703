"""What an engine is: settings that can sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from bayes_causal.models.base import Model, rows_missing


@dataclass(frozen=True, eq=False)
class Draws:
    """What an engine returns.

    Parameters
    ----------
    sites : mapping of name to (chain, draw, ...) array
        Every sampled site of the twin, on the scale the twin states it.
    stats : mapping of name to (chain, draw) array
        Sampler statistics under ArviZ's names: diverging, energy, n_steps, acceptance_rate, step_size, lp.
    path : str
        What the engine did, in a few words.
    """

    sites: Mapping[str, np.ndarray]
    stats: Mapping[str, np.ndarray]
    path: str
    numbers: Mapping[str, float] = field(default_factory=dict)


class Engine(Protocol):
    """A frozen settings object that can sample any model."""

    @property
    def name(self) -> str:
        """Name used in study files and manifests."""
        ...

    def settings(self) -> dict[str, Any]:
        """The settings, as JSON can write them."""
        ...

    def sample(self, model: Model, *, seed: int) -> Draws:
        """Draws from the posterior of a model; the same seed gives the same draws."""
        ...


def refuse_settings(**counts: int) -> None:
    """Raise ValueError, all problems at once, where a count is not a positive whole number."""
    wrong = [f"{k} must be a whole number from 1 up, not {v!r}" for k, v in counts.items() if not _positive(v)]
    if wrong:
        raise ValueError("; ".join(wrong))


def refuse_without_rows(model: Model, engine: str) -> None:
    """Raise ValueError where an engine that walks through rows meets a model that has none in memory."""
    if reason := rows_missing(model):
        raise ValueError(f"engine '{engine}' needs the rows, and {reason}: use engine 'collapsed'")


def _positive(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and int(value) >= 1
