"""What a state space, both twins and a forecast need of a component.

Twins write states as cumulative sums of scaled innovations, never as a recursion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from bayes_causal.models.series_scales import Persistence, Scale

if TYPE_CHECKING:
    from bayes_causal.numerics.state_space import Part


class SeriesPart(Protocol):
    """One component over n rows."""

    @property
    def name(self) -> str:
        """Its site in the posterior: what it adds to the outcome."""
        ...

    @property
    def scales(self) -> tuple[Scale | Persistence, ...]:
        """Sds of its innovations, and how fast what they move returns."""
        ...

    @property
    def first_sd(self) -> np.ndarray:
        """(m,) prior sds of its initial states, of mean 0."""
        ...

    def part(self) -> Part:
        """Its transition, for the filter."""
        ...

    def loading(self, rows: int) -> np.ndarray:
        """(rows, m) of its states."""
        ...

    def advance(self, rows: int) -> np.ndarray:
        """(rows,) whether its states move on after the row."""
        ...

    def numpyro(self, rows: int, sigma: Any) -> Any:
        """(rows,) what it adds, in NumPyro."""
        ...

    def pymc(self, rows: int, sigma: Any) -> Any:
        """(rows,) what it adds, in PyMC."""
        ...

    def named(self, sites: Mapping[str, np.ndarray], unit: float) -> dict[str, np.ndarray]:
        """What is reported beside the path, one unit of the standardised outcome being `unit`."""
        ...

    def path(self, sites: Mapping[str, np.ndarray], rows: int, rng: np.random.Generator) -> np.ndarray:
        """(..., rows) what it adds, from the sites of a twin with fewer rows; later innovations are drawn."""
        ...


def in_units(scales: Sequence[Scale | Persistence], sites: Mapping[str, np.ndarray], unit: float) -> dict[str, np.ndarray]:
    """Sds in units of the outcome; ratios and persistence have none."""
    return {s.name: sites[s.name] * (1.0 if s.relative else unit) for s in scales}


def extended(step: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """(..., size) innovations: those given, and fresh ones after them."""
    fresh = rng.standard_normal((*step.shape[:-1], max(0, size - step.shape[-1])))
    return np.concatenate([step[..., :size], fresh], -1)


def from_zero(x: np.ndarray) -> np.ndarray:
    """(..., n + 1) with a zero ahead."""
    return np.concatenate([np.zeros_like(x[..., :1]), x], -1)


def padded_rows(x: np.ndarray, rows: int) -> np.ndarray:
    """(rows, k) the first rows, and zeros where there are no more."""
    return np.concatenate([x, np.zeros((max(0, rows - len(x)), x.shape[1]))])[:rows]
