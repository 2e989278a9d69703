"""MultiSeries: several outcomes followed over the same regular dates, the shocks that hit them, and controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayes_causal.data.build_multi_series import DIMS, MultiSeriesDeclaration, build_multi_series, span
from bayes_causal.errors import DataError, closest

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class MultiSeries:
    """Outcomes, shocks and controls over time, complete and regular.

    Build one with `from_frame`, which checks everything; whoever holds one checks nothing again.

    Parameters
    ----------
    dataset : xarray.Dataset
        Dims time, series, and shock and control where there are any; dates regular, sorted, none left out.

        - ``outcomes`` (time, series) float64, each in its own unit.
        - ``shocks`` (time, shock) float64, each in its own unit; absent where none were given.
        - ``controls`` (time, control) float64; absent where none were given.
        - ``period`` (time) int64, time in steps of its own frequency, from 0.

        Attributes time and frequency hold the names of the column and of one step; rows_read the rows of the table.
    """

    dataset: xr.Dataset

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        outcomes: Sequence[str],
        time: str | None = None,
        shocks: Sequence[str] = (),
        controls: Sequence[str] = (),
    ) -> MultiSeries:
        """Several series from a table with one row a date, in any order.

        Parameters
        ----------
        frame : table
            pandas, Polars or Arrow table, lazy frame, or DuckDB relation.
        outcomes : sequence of str
            Columns of numbers: the series.
        time : str, optional
            Column of numbers or dates at regular steps, none left out. Left out, rows are taken in their order.
        shocks : sequence of str
            Columns of numbers whose effects on the outcomes are asked for.
        controls : sequence of str
            Columns of numbers held constant beside them.

        Raises
        ------
        DataError
            Lists every problem found, with columns, counts and first offending rows.
        """
        parts = {"outcomes": outcomes, "shocks": shocks, "controls": controls}
        named = {k: (v,) if isinstance(v, str) else tuple(v) for k, v in parts.items()}
        return cls(build_multi_series(frame, MultiSeriesDeclaration(**named, time=time)))

    @cached_property
    def outcomes(self) -> np.ndarray:
        """(time, series) float64, in units of the outcomes."""
        return np.asarray(self.dataset["outcomes"].values)

    @cached_property
    def shocks(self) -> np.ndarray:
        """(time, shock) float64, in units of the shocks; no columns where there are none."""
        return self._part("shocks")

    @cached_property
    def controls(self) -> np.ndarray:
        """(time, control) float64, in units of the controls; no columns where there are none."""
        return self._part("controls")

    @property
    def time(self) -> np.ndarray:
        """(time,) labels of the dates."""
        return np.asarray(self.dataset["time"].values)

    @property
    def n_dates(self) -> int:
        """Number of dates."""
        return int(self.dataset.sizes["time"])

    @cached_property
    def series_names(self) -> tuple[str, ...]:
        """Names of the outcomes."""
        return self._names("series")

    @cached_property
    def shock_names(self) -> tuple[str, ...]:
        """Names of the shocks."""
        return self._names("shock")

    @cached_property
    def control_names(self) -> tuple[str, ...]:
        """Names of the controls."""
        return self._names("control")

    @cached_property
    def center(self) -> np.ndarray:
        """(series,) mean of each outcome, in its unit."""
        return np.asarray(self.outcomes.mean(0))

    @cached_property
    def scale(self) -> np.ndarray:
        """(series,) standard deviation (ddof 1) of each outcome, in its unit."""
        return np.asarray(self.outcomes.std(0, ddof=1))

    @property
    def counts(self) -> dict[str, Any]:
        """Rows read and kept, and numbers of dates, series, shocks and controls."""
        read = self.dataset.attrs["rows_read"]
        return {
            "rows_read": read,
            "rows_kept": read,
            "dropped": {},
            "dates": self.n_dates,
            "series": len(self.series_names),
            "shocks": len(self.shock_names),
            "controls": len(self.control_names),
        }

    def to_frame(self) -> pd.DataFrame:
        """One row a date: time, then every outcome, shock and control under its own name."""
        import pandas as pd

        columns: dict[str, Any] = {str(self.dataset.attrs["time"]): self.time}
        for part, dim in DIMS.items():
            columns |= {name: self._part(part)[:, k] for k, name in enumerate(self._names(dim))}
        return pd.DataFrame(columns)

    def between(self, first: Any = None, last: Any = None) -> MultiSeries:
        """The dates from `first` to `last`, both included: a training window, or what comes after one.

        Raises
        ------
        DataError
            No date lies there, or one of the columns stands still there.
        """
        data = self.dataset.sel(time=slice(first, last))
        if not data.sizes["time"]:
            raise DataError(f"no date lies from {first!r} to {last!r}: the series run from {span(self.time)}")
        still = [
            f"'{name}' stands still from {span(data['time'].values)}: it has no scale there"
            for part, dim in DIMS.items()
            for k, name in enumerate(self._names(dim))
            if np.ptp(data[part].values[:, k]) == 0
        ]
        if still:
            raise DataError(still)
        return MultiSeries(data.assign(period=("time", data["period"].values - data["period"].values[0])))

    def select(
        self, *, series: Sequence[str] | None = None, shocks: Sequence[str] | None = None, controls: Sequence[str] | None = None
    ) -> MultiSeries:
        """The same dates with some of the series, shocks or controls; all of those not spoken of.

        Raises
        ------
        DataError
            Names that are not there; no series.
        """
        data, problems = self.dataset, []
        for (part, dim), asked in zip(DIMS.items(), (series, shocks, controls), strict=True):
            if asked is None:
                continue
            names = [asked] if isinstance(asked, str) else list(asked)
            unknown = [n for n in names if n not in self._names(dim)]
            problems += [f"there is no {dim} '{n}'{closest(n, self._names(dim))}" for n in unknown]
            if not names and dim == "series":
                problems.append("at least one series must stay")
            elif not names:
                data = data.drop_vars([part, dim], errors="ignore")
            elif not unknown:
                data = data.sel({dim: names})
        if problems:
            raise DataError(problems)
        return MultiSeries(data)

    def replace_outcomes(self, outcomes: np.ndarray) -> MultiSeries:
        """The same dates, shocks and controls with other (time, series) outcomes."""
        return MultiSeries(self.dataset.assign(outcomes=(("time", "series"), np.asarray(outcomes, float))))

    def _part(self, part: str) -> np.ndarray:
        return np.asarray(self.dataset[part].values) if part in self.dataset else np.empty((self.n_dates, 0))

    def _names(self, dim: str) -> tuple[str, ...]:
        return tuple(str(c) for c in self.dataset[dim].values) if dim in self.dataset.coords else ()

    def __repr__(self) -> str:
        c, attrs = self.counts, self.dataset.attrs
        parts = ", ".join(f"{c[k]} {k[:-1] if c[k] == 1 and k != 'series' else k}" for k in ("series", "shocks", "controls"))
        return (
            f"<MultiSeries: {parts} over {c['dates']:,} dates ({attrs['time']}, one a {attrs['frequency']}), {span(self.time)}>"
        )
