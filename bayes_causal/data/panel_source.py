"""PanelSource: a panel larger than memory, read once and kept as sums over units that share a path.

`Panel`'s sibling: the same columns and the same checks, and the same model takes both. Its size depends on periods and on
distinct paths of treatment and missing cells, never on rows or units. The sums come from a stream of Parquet rows, or from the
user's own engine (DuckDB, Polars, Spark, and what Ibis reaches), which gets one query that every engine can run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from bayes_causal.data.declare import Declaration
from bayes_causal.data.panel import Panel

WITHOUT_ROWS = "rows are not in memory, only their sums over units of one path (data.in_memory)"


@dataclass(frozen=True, eq=False)
class PanelSource:
    """Units by periods as sums over paths. Build one with `from_files` or `from_table`, which check everything.

    Parameters
    ----------
    paths : Panel
        One unit a path: treatment and missing cells as they are, outcome and covariates the mean over the path's units. Its
        ``copies`` (unit) says how many units these are.
    spread : (P, T, V, T, V) float64
        For each path, sums over its units of products of two deviations from that mean; V numbers a cell: the covariates, then
        the outcome. 0 in cells without an outcome.
    how : str
        How the sums were formed, in a few words.
    """

    paths: Panel
    spread: np.ndarray
    how: str

    @classmethod
    def from_files(
        cls,
        source: str | Path | Sequence[str | Path],
        *,
        base: str | Path | None = None,
        where: str | None = None,
        **declared: Any,
    ) -> PanelSource:
        """A panel from Parquet files, streamed.

        Rows in the order of unit and time are read once, in bounded memory. Others are sorted by DuckDB first, on disk where
        they do not fit.

        Parameters
        ----------
        source : str, path, or list of them
            A file, a folder, a glob.
        base : path, optional
            Folder that relative paths start from.
        where : str, optional
            Rows to keep, as a DuckDB SQL expression.
        **declared
            unit, time, outcome, treatment, group, cohort, covariates, pre, post, as `Panel.from_frame` takes them.

        Raises
        ------
        DataError
            Lists every problem found.
        """
        from bayes_causal.data.source_build import from_files

        return from_files(source, base, where, _declaration(declared))

    @classmethod
    def from_table(cls, table: Any, **declared: Any) -> PanelSource:
        """A panel from a table of an engine that computes the sums itself: two aggregations, without windows or sorting.

        Parameters
        ----------
        table : lazy table
            DuckDB relation, Polars lazy frame, PySpark frame, Ibis table, or anything else lazy that narwhals reads.
        **declared
            unit, time, outcome, treatment, group, cohort, covariates, pre, post, as `Panel.from_frame` takes them.

        Raises
        ------
        DataError
            Lists every problem found.
        """
        from bayes_causal.data.source_build import from_table

        return from_table(table, _declaration(declared))

    @property
    def dataset(self) -> xr.Dataset:
        """The paths' dataset."""
        return self.paths.dataset

    @property
    def copies(self) -> np.ndarray:
        """(P,) units of each path."""
        return self.paths.copies

    @property
    def observed(self) -> np.ndarray:
        """(P, T) bool: cells with an outcome."""
        return self.paths.observed

    @property
    def treated(self) -> np.ndarray:
        """(P, T) bool: cells in which any group is active."""
        return self.paths.treated

    @property
    def ever_treated(self) -> np.ndarray:
        """(P,) bool: paths with a treated cell."""
        return self.paths.ever_treated

    @property
    def first_period(self) -> np.ndarray:
        """(P,) int64: `period` of the first treated cell, -1 for paths never treated."""
        return self.paths.first_period

    @property
    def balanced(self) -> bool:
        """True where no cell is missing."""
        return self.paths.balanced

    @property
    def grouping(self) -> Literal["group", "arm"]:
        """What the groups are called in results."""
        return self.paths.grouping

    @property
    def has_groups(self) -> bool:
        """True where a group column was given."""
        return self.paths.has_groups

    @property
    def outcome_name(self) -> str:
        """Name of the outcome column."""
        return self.paths.outcome_name

    @property
    def n_clusters(self) -> int:
        """Number of units, each its own cluster."""
        return int(self.copies.sum())

    @property
    def center(self) -> float:
        """Mean outcome of the observed untreated cells, in units of the outcome."""
        return float(self._untreated[0])

    @property
    def scale(self) -> float:
        """Standard deviation (ddof 1) of the outcome of the observed untreated cells, in units of the outcome."""
        return float(self._untreated[1])

    @cached_property
    def _untreated(self) -> tuple[float, float]:
        cells = self.observed & ~self.treated
        mass = np.broadcast_to(self.copies[:, None], cells.shape)[cells]
        mean = self.dataset["outcome"].values[cells]
        center = mass @ mean / mass.sum()
        within = np.einsum("ptt->pt", self.spread[:, :, -1, :, -1])[cells].sum()
        return center, float(np.sqrt((mass @ (mean - center) ** 2 + within) / (mass.sum() - 1)))

    @property
    def counts(self) -> dict[str, Any]:
        """Rows read, kept and dropped (by reason), and numbers of units, periods, cells and paths."""
        attrs, copies, dropped = self.dataset.attrs, self.copies, dict(self.dataset.attrs["dropped"])
        cells = int(copies.sum()) * self.dataset.sizes["time"]
        return {
            "rows_read": attrs["rows_read"],
            "rows_kept": attrs["rows_read"] - sum(dropped.values()),
            "dropped": dropped,
            "units": int(copies.sum()),
            "periods": self.dataset.sizes["time"],
            "cells": cells,
            "missing_cells": cells - int(copies @ self.observed.sum(1)),
            "treated_cells": int(copies @ (self.treated & self.observed).sum(1)),
            "treated_units": int(copies[self.ever_treated].sum()),
            "never_treated_units": int(copies[~self.ever_treated].sum()),
            "paths": copies.size,
        }

    def replace_treatment(self, treatment: np.ndarray, groups: Sequence[Any] | None = None) -> PanelSource:
        """The same cells under another treatment of the paths, as `Panel.replace_treatment`."""
        return replace(self, paths=self.paths.replace_treatment(treatment, groups))

    def mask(self, cells: np.ndarray) -> PanelSource:
        """The source with the given (P, T) bool cells missing."""
        keep = ~np.asarray(cells, bool)
        spread = np.where(keep[:, :, None, None, None] & keep[:, None, None, :, None], self.spread, 0.0)
        return replace(self, paths=self.paths.mask(cells), spread=spread)

    def select(self, units: np.ndarray, times: np.ndarray) -> PanelSource:
        """The source of some paths and times, given as bool masks; groups never active there are left out."""
        spread = self.spread[units][:, times][:, :, :, times]
        return replace(self, paths=self.paths.select(units, times), spread=spread)

    def __repr__(self) -> str:
        c, names = self.counts, self.dataset.attrs
        return (
            f"<PanelSource '{names['outcome']}': {c['units']:,} units ({names['unit']}) x {c['periods']:,} periods "
            f"({names['time']}) on {c['paths']:,} paths, {c['treated_units']:,} units treated; {self.how}>"
        )


def _declaration(declared: Mapping[str, Any]) -> Declaration:
    covariates = declared.get("covariates") or ()
    covariates = (covariates,) if isinstance(covariates, str) else tuple(covariates)
    return Declaration(**{**declared, "covariates": covariates})
