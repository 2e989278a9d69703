"""A series model fitted again on changed data, by the program that fitted it first.

Compiling a program takes longer than running it a hundred times. So a refit keeps the number of rows and of columns: dates that
it must not see are masked, controls that it must not use are columns of zeros, which no outcome informs.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from bayes_causal.data.time_series import TimeSeries
from bayes_causal.estimates import Estimand
from bayes_causal.inference.blocked_gibbs import BlockedGibbs
from bayes_causal.inference.collapsed import Collapsed
from bayes_causal.inference.tree import dataset
from bayes_causal.models.base import SeriesModel, prefers_gibbs
from bayes_causal.numerics.state_space import SeriesSums, StateSpace
from bayes_causal.numerics.subsets import members

ENGINE = Collapsed(draws=250, chains=4, starts=2, min_efficiency=0.05)
SWEEPS = BlockedGibbs(draws=500, warmup=500, chains=4, progress=False)
SEED = 20_150_101
NEVER = -1e9  # log prior of a sub-model that is left out
ATT = Estimand("att", "realised")


@dataclass(frozen=True, eq=False)
class Refit:
    """A model on changed data, in the shape of another.

    Parameters
    ----------
    model : on the changed data
    span : rows that the program runs over, those of the first fit
    without : positions of controls left out
    """

    model: SeriesModel
    span: int
    without: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.model.name

    def collapsed(self, outcome: np.ndarray | None = None) -> Any:
        """The form over the rows of the first fit, the controls left out without any bearing."""
        form: Any = self.model.collapsed(outcome)
        if not isinstance(form.sums, SeriesSums):
            return form
        sums, out = self.masked(form, form.sums), self.columns(form)
        if out.size and form.selection:
            left = members(form.candidates)[:, out].any(1)
            sums = sums._replace(log_prior=np.where(left, NEVER, sums.log_prior))
        return form.on(sums, max(self.span, form.span))

    def gibbs(self, outcome: np.ndarray | None = None) -> Any:
        """The blocks over the rows of the first fit, the controls left out without any bearing."""
        form: Any = self.model.gibbs(outcome)  # type: ignore[attr-defined]
        log_odds = np.array(form.sums.log_odds)
        log_odds[self.columns(form.space)] = NEVER
        sums = form.sums._replace(series=self.masked(form.space, form.sums.series), log_odds=log_odds)
        return replace(form, space=replace(form.space, span=max(self.span, form.space.span)), sums=sums)

    def masked(self, form: Any, sums: SeriesSums) -> SeriesSums:
        """The data with columns of zeros for the controls left out, and a prior of their own for their coefficients."""
        out, loading = self.columns(form), np.array(sums.loading)
        loading[:, self.wandering(form)] = 0.0
        columns, slab = np.array(sums.columns), np.array(sums.slab)
        columns[:, out] = 0.0
        slab[out], slab[:, out], slab[out, out] = 0.0, 0.0, 1.0
        return sums._replace(loading=loading, columns=columns, slab=slab)

    def columns(self, form: Any) -> np.ndarray:
        """Positions among the candidate columns of the controls left out; an intercept comes before the controls."""
        if not form.candidates:
            return np.empty(0, int)
        first = form.candidates - len(self.model.series.control_names)
        return first + np.array(self.without, int)

    def wandering(self, form: Any) -> np.ndarray:
        """Positions among the states of what the coefficients of the controls left out wander by."""
        parts = form.parts if isinstance(form, StateSpace) else ()
        starts = {p.name: sum(q.size for q in parts[:k]) for k, p in enumerate(parts)}
        return starts["dynamic"] + np.array(self.without, int) if "dynamic" in starts else np.empty(0, int)

    def posterior(self, seed: int = SEED) -> xr.Dataset:
        """Draws in units of the outcome."""
        swept = prefers_gibbs(self.model) is not None
        form: Any = self.gibbs().space if swept else self.collapsed()
        sites = dict((SWEEPS if swept else ENGINE).sample(self, seed=seed).sites)  # type: ignore[arg-type]
        out = self.columns(form) if self.without else np.empty(0, int)
        for name in ("beta", "include") if out.size else ():
            if name in sites:
                sites[name] = np.array(sites[name])
                sites[name][..., out] = 0
        return dataset(self.model, self.model.natural(sites), ("chain", "draw"))


def refit(
    model: SeriesModel, series: TimeSeries | None = None, *, without: Collection[str] = ()
) -> tuple[SeriesModel, xr.Dataset]:
    """The model on another series of the same rows, or without some controls, and its posterior."""
    again = model.variant(series=series) if series is not None else model
    names = model.series.control_names
    form: Any = model.gibbs().space if prefers_gibbs(model) else model.collapsed()  # type: ignore[attr-defined]
    span = int(getattr(form, "span", 0))
    return again, Refit(again, span, tuple(names.index(n) for n in without)).posterior()


def masked(series: TimeSeries, onset: int, periods: int) -> TimeSeries:
    """The same rows with an intervention that never was at position `onset`, and a post-period of so many steps.

    The pre-period ends before it; whatever lies after the post-period belongs to neither.
    """
    position = np.arange(series.dataset.sizes["time"])
    pre = series.pre & (position < onset)
    post = series.pre & (position >= onset) & (position < onset + periods)
    masks = {"pre": ("time", pre), "post": ("time", post)}
    return TimeSeries(series.dataset.assign(masks).assign_attrs(onset=onset, ends=True))
