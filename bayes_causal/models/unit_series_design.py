"""From a `Panel` to the arrays a hierarchical time series sees: every unit on the scale of its own untreated cells.

Rows are the observed cells in unit-major order. Positions in a unit's series count periods from its first observed one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayes_causal.data.columns import some
from bayes_causal.data.panel import Panel
from bayes_causal.errors import DataError
from bayes_causal.models.series_design import padded

FEWEST = 3


@dataclass(frozen=True, eq=False)
class UnitSeriesDesign:
    """N rows, U units, S periods in the longest series, K effect columns, C covariates.

    Parameters
    ----------
    y : (N,) outcome minus the unit's first untreated one, over the unit's scale
    unit, position : (N,) unit, and periods since its first observed one
    gap : (N,) periods since the unit's previous row, 0 on its first
    effect : (N, K) effect columns; active : (N,) number of active treatments
    covariates : (N, C) centred on the unit's mean and in units of its sd; zero where it does not move
    covariate_scale : (U, C) those sds, 1 where it does not move
    first, scale : (U,) first untreated outcome, and sd of the untreated ones, in units of the outcome
    effect_scale : sd of untreated cells around their unit's mean, pooled: effects and their priors are in units of it
    """

    y: np.ndarray
    unit: np.ndarray
    position: np.ndarray
    gap: np.ndarray
    effect: np.ndarray
    active: np.ndarray
    covariates: np.ndarray
    covariate_scale: np.ndarray
    first: np.ndarray
    scale: np.ndarray
    effect_scale: float

    @property
    def n_units(self) -> int:
        """U."""
        return self.first.size

    @property
    def span(self) -> int:
        """S."""
        return int(self.position.max()) + 1

    @property
    def ratio(self) -> np.ndarray:
        """(U,) the scale of effects over that of the unit: what a standardised effect is on the unit's scale."""
        return np.asarray(self.effect_scale / self.scale)

    @property
    def grid(self) -> bool:
        """Every unit observed in every period, so that rows reshape to (U, S)."""
        return self.y.size == self.n_units * self.span

    def by_unit(self, values: np.ndarray, rows: int) -> np.ndarray:
        """(U, rows, ...) values (N, ...) at their positions, 0 elsewhere."""
        placed = np.zeros((self.n_units, rows, *values.shape[1:]), values.dtype)
        placed[self.unit, self.position] = values
        return placed


def unit_series_design(panel: Panel, effect: np.ndarray) -> UnitSeriesDesign:
    """The design of a panel for (N, K) effect columns.

    Raises
    ------
    DataError
        Units whose untreated cells give no scale.
    """
    unit, time = np.nonzero(panel.observed)
    data, y = panel.dataset, panel.dataset["outcome"].values
    starts = np.flatnonzero(np.r_[True, unit[1:] != unit[:-1]])
    period = data["period"].values[time]
    clear = panel.observed & ~panel.treated
    count = clear.sum(1)
    mean = np.where(clear, y, 0.0).sum(1) / np.maximum(count, 1)
    squares = (np.where(clear, y - mean[:, None], 0.0) ** 2).sum(1)
    refuse_units(panel, count, squares)
    scale = np.sqrt(squares / (count - 1))
    raw = data["covariates"].values[unit, time] if "covariates" in data else np.zeros((unit.size, 0))
    size = np.diff(np.r_[starts, unit.size])[:, None]
    off = raw - (np.add.reduceat(raw, starts) / size)[unit] if raw.shape[1] else raw
    sd = np.sqrt(np.add.reduceat(off**2, starts) / size) if raw.shape[1] else np.ones((len(count), 0))
    moves = sd > 1e-12 * np.maximum(1.0, np.abs(raw).max(0, initial=0.0))
    covariate_scale = np.where(moves, sd, 1.0)
    first = y[np.arange(len(y)), clear.argmax(1)]
    return UnitSeriesDesign(
        y=(y[unit, time] - first[unit]) / scale[unit],
        unit=unit,
        position=period - period[starts][unit],
        gap=np.where(np.r_[True, unit[1:] != unit[:-1]], 0, np.r_[0, np.diff(period)]),
        effect=effect,
        active=data["treatment"].values[unit, time].sum(1).astype(float),
        covariates=np.where(moves[unit], off / covariate_scale[unit], 0.0),
        covariate_scale=covariate_scale,
        first=first,
        scale=scale,
        effect_scale=float(np.sqrt(squares.sum() / (count - 1).sum())),
    )


def refuse_units(panel: Panel, count: np.ndarray, squares: np.ndarray) -> None:
    """Raise where a unit has fewer than `FEWEST` untreated cells, or they never move; with weights, too."""
    names, problems = panel.dataset["unit"].values, []
    few = count < FEWEST
    if few.any():
        problems.append(
            f"{int(few.sum())} of {few.size} units have fewer than {FEWEST} untreated cells with an outcome, too few for a scale "
            f"and a course of their own: {some(names[few])}. Likely cause: they are treated from the first period on. Leave them "
            "out (`where`), or use model 'hierarchical_did'"
        )
    still = ~few & ~(squares > 0)
    if still.any():
        problems.append(
            f"the untreated outcomes of {int(still.sum())} units never move, which leaves no scale to put them on: "
            f"{some(names[still])}. Leave them out (`where`)"
        )
    if np.ptp(panel.dataset["weight"].values[panel.observed]) > 0:
        problems.append(
            "weights are precisions of independent errors, and here units already have scales of their own and errors persist: "
            "leave data.weights out, or use model 'hierarchical_did'"
        )
    if problems:
        raise DataError(problems)


def paths(design: UnitSeriesDesign, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct courses: (P, rows, K + 1) effect columns and active treatments, (P, rows) rows observed, (U,) each unit's."""
    columns = design.by_unit(np.column_stack([design.effect, design.active]), rows)
    seen = design.by_unit(np.ones(design.y.size), rows)
    flat = np.concatenate([columns.reshape(design.n_units, -1), seen], 1)
    _, first, path = np.unique(flat, axis=0, return_index=True, return_inverse=True)
    return columns[first], seen[first].astype(bool), path.reshape(-1)


__all__ = ["UnitSeriesDesign", "padded", "paths", "unit_series_design"]
