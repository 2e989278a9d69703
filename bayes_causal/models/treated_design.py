"""From a `Panel` with several treated units to one panel a unit, and to all of them on one axis of dates.

A unit's own panel ends with its last treated cell: donors have to be there, and untreated, up to then and no longer. A unit that
is treated later is a donor of it, one that is treated meanwhile is not, from its first date on: weights that add to one have no
place for a donor who leaves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from bayes_causal.data.columns import show
from bayes_causal.data.panel import Panel
from bayes_causal.errors import closest
from bayes_causal.models.donor_design import DonorDesign


@dataclass(frozen=True, eq=False)
class OwnPanel:
    """One treated unit beside the units that stay untreated while it counts, and why the others are no donors."""

    label: Any
    panel: Panel
    left_out: Mapping[Any, str]


@dataclass(frozen=True, eq=False)
class TreatedDesign:
    """V treated units on T dates, one a period; each on the scale of its own pre-period. Units with as many donors are a group.

    Parameters
    ----------
    designs : V designs, those of a group together
    groups : positions of the units of each group
    first : (V,) date of each design's first row
    x : a group's (V, T, J) donors, zero on dates that are not used
    y : (V, T) outcome, zero on dates that are not used
    fitted : (V, T) rows before the treatment with an outcome
    before, gap : (V, T) the fitted row before, and periods since then; itself and 0 on the first, and off the fitted rows
    counted : (V, T) 1/H on the H treated rows with an outcome
    last : (V,) the last fitted row
    scale : (V,) sds of the pre-periods, natural units
    effect_scale : the same, pooled: effects and their priors are in units of it
    """

    designs: tuple[DonorDesign, ...]
    groups: tuple[slice, ...]
    first: np.ndarray
    x: tuple[np.ndarray, ...]
    y: np.ndarray
    fitted: np.ndarray
    before: np.ndarray
    gap: np.ndarray
    counted: np.ndarray
    last: np.ndarray
    scale: np.ndarray
    effect_scale: float

    @property
    def center(self) -> np.ndarray:
        """(V,) means of the pre-periods, natural units."""
        return np.array([d.center for d in self.designs])

    @property
    def ratio(self) -> np.ndarray:
        """(V,) scale of effects over that of the unit."""
        return self.effect_scale / self.scale

    @property
    def ahead(self) -> np.ndarray:
        """(V, T) dates after the last fitted row."""
        return np.asarray(np.arange(self.y.shape[1]) > self.last[:, None])

    @property
    def seen(self) -> np.ndarray:
        """(V, T) rows with an outcome."""
        seen = np.zeros(self.y.shape, bool)
        for v, d in enumerate(self.designs):
            seen[v, self.first[v] + d.seen_rows] = True
        return seen


def own_panels(panel: Panel) -> list[OwnPanel]:
    """Every treated unit's own panel."""
    labels, times = panel.dataset["unit"].values, panel.dataset["time"].values
    found = []
    for unit in np.flatnonzero(panel.ever_treated):
        counts = panel.treated[unit] & panel.observed[unit]
        until = np.arange(times.size) <= np.flatnonzero(counts if counts.any() else panel.treated[unit])[-1]
        meanwhile = (panel.treated & until).any(1)
        meanwhile[unit] = False
        since = {u: show(times[panel.treated[u].argmax()]) for u in np.flatnonzero(meanwhile)}
        left_out = {labels[u]: f"treated itself from {when} on, when it is needed" for u, when in since.items()}
        found.append(OwnPanel(labels[unit], panel.select(units=~meanwhile, times=until), left_out))
    return found


def naming_problems(panel: Panel, donors: Sequence[Any], exclude: Sequence[Any]) -> list[str]:
    """Names among the donors that the panel does not have, and those that are said twice."""
    labels = [str(u) for u in panel.dataset["unit"].values]
    problems = [
        f"{option} names '{unknown}', which the panel does not have{closest(str(unknown), labels)}"
        for option, asked in (("donors", donors), ("exclude", exclude))
        for unknown in asked
        if str(unknown) not in labels
    ]
    both = sorted({str(d) for d in donors} & {str(e) for e in exclude})
    return [*problems, f"{', '.join(both)} stand in donors and in exclude"] if both else problems


def treated_design(designs: Sequence[DonorDesign], start: Sequence[int]) -> TreatedDesign:
    """All designs on one axis of dates, from the (V,) periods of their first rows."""
    order = np.argsort([d.donors.size for d in designs], kind="stable")
    designs = [designs[k] for k in order]
    first = np.asarray(start)[order] - min(start)
    sizes = [d.donors.size for d in designs]
    edges = np.flatnonzero(np.diff(sizes, prepend=-1, append=-1))
    groups = tuple(slice(int(a), int(b)) for a, b in pairwise(edges))
    dates = max(int(f) + d.rows for f, d in zip(first, designs, strict=True))

    def spread(values: Sequence[np.ndarray], used: Sequence[np.ndarray], at: np.ndarray) -> np.ndarray:
        grid = np.zeros((len(values), dates, *values[0].shape[1:]), values[0].dtype)
        for v, (value, rows, low) in enumerate(zip(values, used, at, strict=True)):
            grid[v, low + rows] = value[rows]
        return grid

    seen, fitted = [d.seen_rows for d in designs], [d.fitted_rows for d in designs]
    ones = [np.ones(d.rows) for d in designs]
    counted = spread(ones, [np.flatnonzero(d.treated) for d in designs], first)
    here = np.tile(np.arange(dates), (len(designs), 1))
    is_fitted = spread(ones, fitted, first) > 0
    gap = spread([_scattered(d.gap, d) for d in designs], fitted, first)
    last = first + np.array([rows[-1] for rows in fitted])
    scale = np.array([d.scale for d in designs])
    freedom = np.array([rows.size - 1 for rows in fitted])
    return TreatedDesign(
        tuple(designs),
        groups,
        first,
        tuple(spread([d.x for d in designs[g]], seen[g], first[g]) for g in groups),
        spread([d.y for d in designs], seen, first),
        is_fitted,
        here - gap,
        gap,
        counted / counted.sum(1, keepdims=True),
        last,
        scale,
        float(np.sqrt((freedom * scale**2).sum() / freedom.sum())),
    )


def _scattered(gap: np.ndarray, d: DonorDesign) -> np.ndarray:
    """(T,) gaps of the fitted rows in their place."""
    grid = np.zeros(d.rows, gap.dtype)
    grid[d.fitted_rows] = gap
    return grid
