"""TimeSeries: one outcome followed over regular dates, changed from some date on, with controls that are not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayes_causal.data.build_series import build_series
from bayes_causal.data.columns import Labels, show, some
from bayes_causal.data.declare_series import SeriesDeclaration
from bayes_causal.data.series_windows import in_units_of, lengths, moving_controls
from bayes_causal.errors import DataError, closest

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class TimeSeries:
    """An outcome over time with an intervention, and controls that the intervention leaves alone.

    Build one with `from_frame`, which checks everything; whoever holds a series checks nothing again.

    Parameters
    ----------
    dataset : xarray.Dataset
        Dims time, and control where there are controls; dates regular, sorted, none left out.

        - ``outcome`` (time) float64, in its own unit; NaN is a missing outcome.
        - ``controls`` (time, control) float64, complete; absent where none were given.
        - ``placebo_outcomes`` (time, placebo) float64, NaN where missing; absent where none were given.
        - ``period`` (time) int64, time in steps of the series' own frequency, from 0.
        - ``pre``, ``post`` (time) bool: before the intervention, and from it on until its end; dates in a gap between the two,
          and after the end, are in neither.

        Attributes outcome, time and frequency hold the names of the columns and of one step.
    """

    dataset: xr.Dataset

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        outcome: str,
        time: str | None = None,
        controls: Sequence[str] = (),
        intervention: Any = None,
        end: Any = None,
        pre: Sequence[Any] | None = None,
        post: Sequence[Any] | None = None,
        placebo_outcomes: Sequence[str] = (),
    ) -> TimeSeries:
        """A series from a table with one row a date, in any order.

        Parameters
        ----------
        frame : table
            pandas, Polars or Arrow table, lazy frame, or DuckDB relation.
        outcome : str
            Column of numbers; a missing one is a missing outcome.
        time : str, optional
            Column of numbers or dates at regular steps. Left out, rows are taken in their order and counted from 0. A date
            without a row becomes a missing outcome where there are no controls, is counted, and refused where there are.
        controls : sequence of str
            Columns of numbers, complete, that move in the pre-period.
        intervention : date or number
            The first date on which the outcome may be changed; the first of `post` where left out. "last" is the last date with
            an outcome: a test that is being planned, for `bayes_causal.power`.
        end : date or number, optional
            The last date of the treatment; what follows is shown and belongs to neither period.
        pre, post : pair of dates or numbers, optional
            First and last of the pre- and post-period. Rows before the one and after the other are dropped and counted; rows
            between the two stay and belong to neither.
        placebo_outcomes : sequence of str
            Columns of numbers that the intervention cannot have moved, and that are no controls: the check `placebo_outcome`
            asks for its effect on them.

        Raises
        ------
        DataError
            Lists every problem found, with columns, counts and first offending rows.
        """
        named = (controls,) if isinstance(controls, str) else tuple(controls)
        placebos = (placebo_outcomes,) if isinstance(placebo_outcomes, str) else tuple(placebo_outcomes)
        return cls(build_series(frame, SeriesDeclaration(outcome, time, named, intervention, end, pre, post, placebos)))

    @property
    def pre(self) -> np.ndarray:
        """(time,) bool: dates of the pre-period."""
        return np.asarray(self.dataset["pre"].values)

    @property
    def post(self) -> np.ndarray:
        """(time,) bool: dates of the post-period."""
        return np.asarray(self.dataset["post"].values)

    @cached_property
    def observed(self) -> np.ndarray:
        """(time,) bool: dates with an outcome."""
        return np.isfinite(self.dataset["outcome"].values)

    @property
    def intervention(self) -> Any:
        """Label of the first date from the intervention on."""
        return self.dataset["time"].values[self.dataset.attrs["onset"]]

    @property
    def end(self) -> Any:
        """Label of the last date of the treatment; None where it lasts until the data end."""
        return self.dataset["time"].values[np.flatnonzero(self.post)[-1]] if self.dataset.attrs["ends"] else None

    @property
    def n_pre(self) -> int:
        """Number of dates of the pre-period, missing outcomes included."""
        return int(self.pre.sum())

    @property
    def n_post(self) -> int:
        """Number of dates of the post-period, missing outcomes included."""
        return int(self.post.sum())

    @property
    def outcome_name(self) -> str:
        """Name of the outcome column."""
        return str(self.dataset.attrs["outcome"])

    @cached_property
    def control_names(self) -> tuple[str, ...]:
        """Names of the controls."""
        return tuple(str(c) for c in self.dataset["control"].values) if "controls" in self.dataset else ()

    @property
    def placebo_names(self) -> tuple[str, ...]:
        """Names of the placebo outcomes."""
        return tuple(str(c) for c in self.dataset["placebo"].values) if "placebo_outcomes" in self.dataset else ()

    @cached_property
    def center(self) -> float:
        """Mean outcome of the pre-period, in units of the outcome."""
        return float(self.dataset["outcome"].values[self.pre & self.observed].mean())

    @cached_property
    def scale(self) -> float:
        """Standard deviation (ddof 1) of the outcome of the pre-period, in units of the outcome."""
        return float(self.dataset["outcome"].values[self.pre & self.observed].std(ddof=1))

    @property
    def counts(self) -> dict[str, Any]:
        """Rows read, kept and dropped (by reason), and numbers of dates and controls."""
        attrs = self.dataset.attrs
        dropped = dict(attrs["dropped"])
        return {
            "rows_read": attrs["rows_read"],
            "rows_kept": attrs["rows_read"] - sum(dropped.values()),
            "dropped": dropped,
            "dates": self.dataset.sizes["time"],
            "missing_outcomes": int((~self.observed).sum()),
            "inserted_dates": attrs["inserted"],
            "pre_dates": self.n_pre,
            "post_dates": self.n_post,
            "controls": len(self.control_names),
        }

    def to_frame(self) -> pd.DataFrame:
        """One row a date: time, period, outcome (NaN where missing), pre, post, and the controls.

        A control of one of these names gets a trailing underscore.
        """
        import pandas as pd

        data = self.dataset
        columns = {"time": data["time"].values} | {k: data[k].values for k in ("period", "outcome", "pre", "post")}
        for k, name in enumerate(self.control_names):
            columns[f"{name}_" if name in columns else name] = data["controls"].values[:, k]
        return pd.DataFrame(columns)

    def replace_outcome(self, outcome: np.ndarray) -> TimeSeries:
        """The same dates with other outcomes, (time,); outcomes that are missing stay so."""
        return TimeSeries(self.dataset.assign(outcome=("time", np.where(self.observed, np.asarray(outcome, float), np.nan))))

    def select_controls(self, names: Iterable[str]) -> TimeSeries:
        """The series with some of its controls; with none of them where `names` is empty.

        Raises
        ------
        DataError
            Names that are no controls of the series.
        """
        wanted = [names] if isinstance(names, str) else list(names)
        unknown = [
            f"the series has no control '{n}'{closest(n, self.control_names)}" for n in wanted if n not in self.control_names
        ]
        if unknown:
            raise DataError(unknown)
        if not wanted:
            return TimeSeries(self.dataset.drop_vars(["controls", "control"], errors="ignore"))
        return TimeSeries(self.dataset.sel(control=wanted))

    def shift(self, *, intervention: Any, periods: int | None = None) -> TimeSeries:
        """A placebo in time: the pre-period alone, with an intervention that never was at an earlier date.

        Parameters
        ----------
        intervention : date or number
            Inside the pre-period; from it on is the placebo's post-period. Later dates than the pre-period's are left out.
        periods : int, optional
            The longest post-period, in steps of the series; until the end of the pre-period if left out.

        Raises
        ------
        DataError
            A date outside the pre-period, or one that leaves too few dates before it.
        """
        data = self.dataset.isel(time=slice(0, int(np.flatnonzero(self.pre)[-1]) + 1))
        dates, was_pre = data["time"].values, data["pre"].values
        time = Labels(str(data.attrs["time"]), dates, np.arange(len(dates)))
        try:
            start = in_units_of([intervention], time)[0]
        except (ValueError, TypeError):
            raise DataError(f"`intervention` {intervention!r} is not a date of this series, which holds {some(dates)}") from None
        if not dates[0] < start <= dates[-1]:
            raise DataError(
                f"a placebo at {intervention!r} is not inside the pre-period, which runs from {show(dates[was_pre][0])} to "
                f"{show(dates[-1])}"
            )
        onset = int((dates < start).sum())
        last = len(dates) if periods is None else min(len(dates), onset + periods)
        data = data.isel(time=slice(0, last))
        position = np.arange(last)
        pre, post = was_pre[:last] & (position < onset), was_pre[:last] & (position >= onset)
        problems = lengths(data["outcome"].values, pre, post, dates[:last], self.outcome_name)
        controls = {n: data["controls"].values[:, k] for k, n in enumerate(self.control_names)}
        problems += moving_controls(controls, pre)
        if problems:
            raise DataError(problems)
        return TimeSeries(data.assign(pre=("time", pre), post=("time", post)).assign_attrs(onset=onset, ends=False))

    def __repr__(self) -> str:
        c, attrs = self.counts, self.dataset.attrs
        n = c["missing_outcomes"]
        missing = f", {n:,} outcome{'s' if n > 1 else ''} missing" if n else ""
        controls = f", {c['controls']} control{'s' if c['controls'] != 1 else ''}" if c["controls"] else ""
        return (
            f"<TimeSeries '{attrs['outcome']}': {c['dates']:,} dates ({attrs['time']}, one a {attrs['frequency']}), "
            f"{c['pre_dates']:,} "
            f"before {show(self.intervention)} and {c['post_dates']:,} after{controls}{missing}>"
        )
