"""What an effect structure is, and the active pairs every structure is built on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from bayes_causal.data.panel import Panel

if TYPE_CHECKING:
    from bayes_causal.models.did_priors import Priors
    from bayes_causal.numerics.linear_gaussian import Block, Hyper

Sites = Mapping[str, np.ndarray]
UNBOUNDED = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class Pairs:
    """Every active (observed cell, group) pair of a panel: row of the cell, position of the group, periods since onset, and the
    number of units that the pair stands for.
    """

    row: np.ndarray
    group: np.ndarray
    event: np.ndarray
    n_rows: int
    copies: np.ndarray


def active_pairs(panel: Panel) -> Pairs:
    """The pairs of a panel, rows counted over observed cells in unit-major order."""
    unit, time = np.nonzero(panel.observed)
    active = panel.dataset["treatment"].values[unit, time]
    row, group = np.nonzero(active)
    event = panel.event_time[unit[row], time[row], group].astype(int)
    return Pairs(row, group, event, unit.size, panel.copies[unit[row]])


@dataclass(frozen=True, eq=False)
class Leads:
    """Event times before −1 (L,), the (L, K) weights on coefficients whose sum is each one's effect, and its (L,) cells."""

    event: np.ndarray
    weights: np.ndarray
    cells: np.ndarray


def no_leads(k: int) -> Leads:
    """A structure of k coefficients, none of them before onset."""
    return Leads(np.zeros(0, int), np.zeros((0, k)), np.zeros(0))


def group_columns(panel: Panel) -> np.ndarray:
    """(N, G) active treatments over observed cells."""
    return panel.dataset["treatment"].values[panel.observed].astype(float)


def row_copies(panel: Panel) -> np.ndarray:
    """(N,) units that each observed cell stands for."""
    return panel.copies[np.nonzero(panel.observed)[0]]


class EffectStructure(Protocol):
    """What `HierarchicalDiD` asks of a structure. K columns, G groups."""

    @property
    def pairs(self) -> Pairs:
        """Active pairs of the panel."""
        ...

    @property
    def column_names(self) -> tuple[str, ...]:
        """K names."""
        ...

    @property
    def columns(self) -> np.ndarray:
        """(N, K) columns over observed cells."""
        ...

    @property
    def pair_columns(self) -> np.ndarray:
        """(P, K) the same for each active pair alone, leads left out: what counts as an effect."""
        ...

    def leads(self) -> Leads:
        """Effects before onset that have coefficients; none where the structure has none."""
        ...

    @property
    def last(self) -> int:
        """The last event time with a label of its own; later ones share it."""
        ...

    def coords(self) -> dict[str, Any]:
        """Labels of the dims the structure adds."""
        ...

    def dims(self) -> dict[str, tuple[str, ...]]:
        """Dims of the sites and quantities the structure adds."""
        ...

    def numpyro(self, p: Priors) -> Any:
        """(K,) coefficients, sampled in NumPyro."""
        ...

    def pymc(self, p: Priors) -> Any:
        """(K,) coefficients, sampled in PyMC."""
        ...

    def hypers(self, p: Priors) -> tuple[Hyper, ...]:
        """Scales of the coefficients that the collapsed form keeps."""
        ...

    def blocks(self, p: Priors, start: int) -> tuple[Block, ...]:
        """The coefficients as linear in standard normal sites, their columns counted from `start`."""
        ...

    def coefficients(self, sites: Sites) -> np.ndarray:
        """(..., K) coefficients from sites (...), standardised scale."""
        ...

    def natural(self, sites: Sites, scale: float) -> dict[str, np.ndarray]:
        """Named effects and their scales in units of the outcome."""
        ...
