"""Panel: units followed over time, some of them treated, by one treatment or by many that overlap and switch off."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from bayes_causal.data import treatments
from bayes_causal.data.build import build
from bayes_causal.data.columns import some
from bayes_causal.data.declare import Declaration
from bayes_causal.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

FRAME_COLUMNS = ("unit", "time", "period", "outcome", "treated", "n_active", "cohort_period", "weight", "cluster")


@dataclass(frozen=True, eq=False)
class Panel:
    """Units by periods, with who is treated when.

    Build one with `from_frame`, which checks everything; whoever holds a panel checks nothing again.

    Parameters
    ----------
    dataset : xarray.Dataset
        Dims unit, time, group, and covariate where there are covariates; labels sorted.

        - ``outcome`` (unit, time) float64, in its own unit; NaN is a missing cell.
        - ``treatment`` (unit, time, group) bool; a cell without a row carries the unit's last known status.
        - ``weight`` (unit, time) float64, precision weights, 1 where none were given.
        - ``covariates`` (unit, time, covariate) float64, NaN in cells without a row; absent where none were given.
        - ``predictors`` (unit, time, predictor) float64, NaN wherever not measured; absent where none were given.
        - ``cluster`` (unit), absent where none was given.
        - ``copies`` (unit) int64, absent in a panel of units: how many units each one stands for, in `PanelSource.paths`.
        - ``period`` (time) int64, time in steps of its own frequency, from 0.

        Attributes unit, time, outcome, treatment, arms and group hold the names of the columns.
    """

    dataset: xr.Dataset

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        unit: str,
        time: str,
        outcome: str,
        treatment: str | None = None,
        group: str | None = None,
        exposures: Any = None,
        cohort: str | None = None,
        covariates: Sequence[str] = (),
        weights: str | None = None,
        cluster: str | None = None,
        layout: str | None = None,
        pre: Sequence[Any] | None = None,
        post: Sequence[Any] | None = None,
        terms: str | None = None,
        arms: str | None = None,
        predictors: Sequence[str] = (),
    ) -> Panel:
        """A panel from a table with one row per unit and time.

        Parameters
        ----------
        frame : table
            pandas, Polars or Arrow table, lazy frame, or DuckDB relation.
        unit, time, outcome : str
            Columns. Times are numbers or dates. A missing outcome is a missing cell.
        treatment : str, optional
            Column of 0 and 1, 1 while the unit is treated. One of `treatment`, `arms`, `cohort` and `exposures` is needed.
        group : str, optional
            Column saying which treatment it is, read on treated rows only; or the group column of `exposures`.
        exposures : table, optional
            Rows (unit, group, start, end), both ends inclusive and in the units of time; spells may overlap; a missing end
            lasts until the end of the data. Or ``"last"``: every unit is treated in the last period, for a test that is being
            planned (`bayes_causal.market_power`).
        cohort : str, optional
            Column of first treated times; 0, infinite or missing is never.
        covariates : sequence of str
            Columns of numbers, complete wherever there is an outcome.
        weights : str, optional
            Column of precision weights, above 0.
        cluster : str, optional
            Column of clusters, constant within a unit.
        layout : {"campaign_rows"}, optional
            One row per unit, time and group, with 0/1 columns for "targeted by this group" (`treatment`, by default
            ``treated``) and ``post``; the outcome of the unit and time is repeated on each of its rows. A group is active where
            both are 1.
        pre, post : pair of times, optional
            First and last; rows outside are dropped and counted. A gap between them is allowed.
        terms : str, optional
            Right-hand side of a formula (formulaic) whose columns become covariates, as ``"income + log(size)"``.
        arms : str, optional
            Column saying which of several treatments the unit is under, one of them at a time. Exactly one of its values is
            untreated: missing (or empty text), 0, or one of the words none, control and untreated, in any case. Every other
            value is an arm, and arms are the groups of the panel.
        predictors : sequence of str
            Columns of numbers that synthetic control may match beside the outcome. Unlike covariates they may have gaps: a
            census, say, measured in a few periods.

        Raises
        ------
        DataError
            Lists every problem found, with columns, counts and first offending rows.
        """
        declared = Declaration(
            unit,
            time,
            outcome,
            treatment,
            group,
            exposures,
            cohort,
            (covariates,) if isinstance(covariates, str) else tuple(covariates),
            weights,
            cluster,
            layout,
            pre,
            post,
            terms,
            arms,
            (predictors,) if isinstance(predictors, str) else tuple(predictors),
        )
        return cls(build(frame, declared))

    @property
    def paths(self) -> Panel:
        """The panel itself: every unit stands for itself alone. `PanelSource.paths` has one unit for all that share a path."""
        return self

    @cached_property
    def copies(self) -> np.ndarray:
        """(unit,) int64: how many units each one stands for, 1 in a panel of units."""
        if "copies" in self.dataset:
            return np.asarray(self.dataset["copies"].values)
        return np.ones(self.dataset.sizes["unit"], np.int64)

    @cached_property
    def observed(self) -> np.ndarray:
        """(unit, time) bool: cells with an outcome."""
        return np.isfinite(self.dataset["outcome"].values)

    @cached_property
    def treated(self) -> np.ndarray:
        """(unit, time) bool: cells in which any group is active."""
        return np.asarray(self.dataset["treatment"].values.any(axis=2))

    @cached_property
    def ever_treated(self) -> np.ndarray:
        """(unit,) bool: units with a treated cell."""
        return np.asarray(self.treated.any(axis=1))

    @cached_property
    def first_period(self) -> np.ndarray:
        """(unit,) int64: `period` of the first treated cell, -1 for units never treated."""
        return np.where(self.ever_treated, self.dataset["period"].values[self.treated.argmax(axis=1)], -1)

    @cached_property
    def cohort(self) -> np.ndarray:
        """(unit,) object: time label of the first treated cell, None for units never treated."""
        labels = self.dataset["time"].values
        named = np.array([*(labels if labels.dtype.kind == "M" else labels.tolist()), None], dtype=object)
        return named[np.where(self.ever_treated, self.treated.argmax(axis=1), -1)]

    @cached_property
    def event_time(self) -> np.ndarray:
        """(unit, time, group) float32: periods since the onset of the running spell, or until the coming one (negative), else
        NaN.
        """
        return treatments.event_time(self.dataset["treatment"].values, self.dataset["period"].values)

    @cached_property
    def absorbing(self) -> bool:
        """True where no group ever switches off."""
        treatment = self.dataset["treatment"].values
        return bool((treatment[:, 1:] >= treatment[:, :-1]).all())

    @property
    def balanced(self) -> bool:
        """True where no cell is missing."""
        return bool(self.observed.all())

    @property
    def has_groups(self) -> bool:
        """True where a group column, or exposures with groups, were given."""
        return bool(self.dataset.attrs["has_groups"])

    @property
    def grouping(self) -> Literal["group", "arm"]:
        """What the groups are called in results: arm where one column named several treatments."""
        return "arm" if self.dataset.attrs.get("arms") else "group"

    @cached_property
    def center(self) -> float:
        """Mean outcome of the observed untreated cells, in units of the outcome."""
        return float(self.dataset["outcome"].values[self.observed & ~self.treated].mean())

    @cached_property
    def scale(self) -> float:
        """Standard deviation (ddof 1) of the outcome of the observed untreated cells, in units of the outcome."""
        return float(self.dataset["outcome"].values[self.observed & ~self.treated].std(ddof=1))

    @property
    def outcome_name(self) -> str:
        """Name of the outcome column."""
        return str(self.dataset.attrs["outcome"])

    @cached_property
    def n_clusters(self) -> int:
        """Number of clusters; of units where no cluster was given."""
        if "cluster" not in self.dataset:
            return self.dataset.sizes["unit"]
        return len(np.unique(self.dataset["cluster"].values))

    @property
    def counts(self) -> dict[str, Any]:
        """Rows read, kept and dropped (by reason), and numbers of units, periods and cells."""
        attrs, cells = self.dataset.attrs, self.observed.size
        dropped = dict(attrs["dropped"])
        return {
            "rows_read": attrs["rows_read"],
            "rows_kept": attrs["rows_read"] - sum(dropped.values()),
            "dropped": dropped,
            "units": self.dataset.sizes["unit"],
            "periods": self.dataset.sizes["time"],
            "cells": cells,
            "missing_cells": cells - int(self.observed.sum()),
            "treated_cells": int((self.treated & self.observed).sum()),
            "treated_units": int(self.ever_treated.sum()),
            "never_treated_units": int((~self.ever_treated).sum()),
        }

    def to_frame(self) -> pd.DataFrame:
        """Observed cells, one row each, sorted by unit and time.

        Returns
        -------
        pandas.DataFrame
            Columns unit, time, period, outcome, treated (0/1), n_active (groups active), cohort_period (first treated period,
            NaN for never), weight, cluster (the unit where none was given), then the covariates; a covariate of one of these
            names gets a trailing underscore.
        """
        import pandas as pd

        data = self.dataset
        u, t = np.nonzero(self.observed)
        cluster = data["cluster"].values if "cluster" in data else data["unit"].values
        columns = {
            "unit": data["unit"].values[u],
            "time": data["time"].values[t],
            "period": data["period"].values[t],
            "outcome": data["outcome"].values[u, t],
            "treated": self.treated[u, t].astype(np.int64),
            "n_active": data["treatment"].values[u, t].sum(axis=1, dtype=np.int64),
            "cohort_period": np.where(self.ever_treated, self.first_period, np.nan)[u],
            "weight": data["weight"].values[u, t],
            "cluster": cluster[u],
        }
        if "covariates" in data:
            for k, name in enumerate(data["covariate"].values):
                columns[f"{name}_" if name in FRAME_COLUMNS else str(name)] = data["covariates"].values[u, t, k]
        return pd.DataFrame(columns)

    def replace_outcome(self, outcome: np.ndarray) -> Panel:
        """The same cells with other outcomes, (unit, time); cells that are missing stay so."""
        values = np.where(self.observed, np.asarray(outcome, float), np.nan)
        return Panel(self.dataset.assign(outcome=(("unit", "time"), values)))

    def replace_treatment(self, treatment: np.ndarray, groups: Sequence[Any] | None = None) -> Panel:
        """The same cells under another treatment, (unit, time, group) bool; `groups` are its labels, the panel's own by
        default.
        """
        labels = self.dataset["group"].values if groups is None else np.asarray(groups)
        rest = self.dataset.drop_vars(["treatment", "group"])
        return Panel(rest.assign(treatment=(("unit", "time", "group"), np.asarray(treatment, bool))).assign_coords(group=labels))

    def mask(self, cells: np.ndarray) -> Panel:
        """The panel with the given (unit, time) bool cells missing."""
        return Panel(self.dataset.assign(outcome=self.dataset["outcome"].where(~np.asarray(cells, bool))))

    def select(self, units: Iterable[Any] | np.ndarray | None = None, times: Iterable[Any] | np.ndarray | None = None) -> Panel:
        """The panel of some units and times, given as labels or as a bool mask; groups never active there are left out.

        Raises
        ------
        DataError
            Labels that the panel does not have.
        """
        picked = {
            dim: _positions(self.dataset[dim].values, given, dim)
            for dim, given in (("unit", units), ("time", times))
            if given is not None
        }
        dataset = self.dataset.isel(picked)
        active = dataset["treatment"].values.any(axis=(0, 1))
        return Panel(dataset.isel(group=active) if active.any() else dataset)

    def __repr__(self) -> str:
        c, names = self.counts, self.dataset.attrs
        groups = f" in {self.dataset.sizes['group']} {self.grouping}s" if self.has_groups else ""
        missing = f", {c['missing_cells']:,} cells missing" if c["missing_cells"] else ""
        return (
            f"<Panel '{names['outcome']}': {c['units']:,} units ({names['unit']}) x {c['periods']:,} periods ({names['time']}), "
            f"{c['treated_units']:,} units treated{groups}, {c['treated_cells']:,} treated cells{missing}>"
        )


def _positions(values: np.ndarray, given: Iterable[Any] | np.ndarray, dim: str) -> np.ndarray:
    wanted = np.asarray(given if isinstance(given, np.ndarray) else list(given))
    if wanted.dtype == bool and wanted.shape == values.shape:
        return np.flatnonzero(wanted)
    unknown = wanted[~np.isin(wanted, values)]
    if unknown.size:
        raise DataError(f"the panel has no {dim} {some(unknown)}; it has {some(values)}")
    return np.flatnonzero(np.isin(values, wanted))
