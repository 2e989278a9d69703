"""A series model fitted again on changed data, by the program that fitted it first; many of them in one program.

Compiling a program takes longer than running it a hundred times. So a refit keeps the number of rows and of columns: dates that
it must not see are masked, controls that it must not use are columns of zeros, which no outcome informs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
import xarray as xr

from bayes_causal.data.time_series import TimeSeries
from bayes_causal.estimates import Estimand
from bayes_causal.inference.blocked_gibbs import BlockedGibbs
from bayes_causal.inference.collapsed import Collapsed
from bayes_causal.inference.many import sample_many, stacked
from bayes_causal.inference.programs import signature
from bayes_causal.inference.tree import dataset
from bayes_causal.models.base import prefers_gibbs
from bayes_causal.models.kinds import SeriesModel
from bayes_causal.numerics.state_space import SeriesSums, StateSpace
from bayes_causal.numerics.subsets import members

ENGINE = Collapsed(draws=250, chains=4, starts=2, min_efficiency=0.05)
SWEEPS = BlockedGibbs(draws=500, warmup=500, chains=4, progress=False)
SEED = 20_150_101
MOST_RHAT = 1.1
NEVER = -1e9  # log prior of a sub-model that is left out
HELD = 2**25  # numbers in the paths of one block of refits
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
        engine = SWEEPS if prefers_gibbs(self.model) else ENGINE
        return self.reported(engine.sample(self, seed=seed).sites)  # type: ignore[arg-type]

    def reported(self, drawn: Mapping[str, np.ndarray]) -> xr.Dataset:
        """Sites (chain, draw, ...) in units of the outcome, coefficients of controls left out at 0."""
        sites = dict(drawn)
        form: Any = self.gibbs().space if prefers_gibbs(self.model) else self.collapsed()
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


def refit_many(
    model: SeriesModel, changed: Sequence[tuple[TimeSeries, Collection[str]]], *, draws: int, seed: int = SEED
) -> Iterator[tuple[SeriesModel, xr.Dataset, bool]]:
    """The model on each of many series of the same rows, without some controls each, in one vectorised program.

    Yields the model on the series, its posterior (one chain), and whether importance sampling proves it, in the order given. A
    model without a collapsed form is swept, one series after another, and its chains have to agree.
    """
    if prefers_gibbs(model):
        for series, out in changed:
            swept, posterior = refit(model, series, without=out)
            yield swept, posterior, _agree(posterior)
        return
    names = model.series.control_names
    span = int(getattr(model.collapsed(), "span", 0))
    refits = [Refit(model.variant(series=s), span, tuple(names.index(n) for n in out)) for s, out in changed]
    rows = model.series.dataset.sizes["time"]
    size = max(1, HELD // (4 * draws * rows))
    for low in range(0, len(refits), size):
        block = refits[low : low + size]
        forms = [r.collapsed() for r in block]
        # Outcomes with gaps and without may be summed in other shapes: each shape is a program.
        leaves = [jax.tree.flatten(f.sums) for f in forms]
        shapes = [(signature(f), tree, *map(np.shape, own)) for f, (own, tree) in zip(forms, leaves, strict=True)]
        drawn = {}
        for shape in dict.fromkeys(shapes):
            members_of = [k for k, other in enumerate(shapes) if other == shape]
            many = sample_many(forms[members_of[0]], stacked([forms[k].sums for k in members_of]), seed=seed + low, draws=draws)
            for j, k in enumerate(members_of):
                drawn[k] = {n: v[j][None] for n, v in many.sites.items()}, bool(many.trusted[j])
        for k, again in enumerate(block):
            yield again.model, again.reported(drawn[k][0]), drawn[k][1]


def _agree(posterior: xr.Dataset) -> bool:
    """Whether chains say the same of σ and of the last counterfactual."""
    from arviz_stats.base import array_stats

    last = posterior["counterfactual"].transpose("chain", "draw", "time").values[..., -1]
    return all(float(array_stats.rhat(x, method="rank")) < MOST_RHAT for x in (posterior["sigma"].values, last))


def masked(series: TimeSeries, onset: int, periods: int) -> TimeSeries:
    """The same rows with an intervention that never was at position `onset`, and a post-period of so many steps.

    The pre-period ends before it; whatever lies after the post-period belongs to neither.
    """
    position = np.arange(series.dataset.sizes["time"])
    pre = series.pre & (position < onset)
    post = series.pre & (position >= onset) & (position < onset + periods)
    masks = {"pre": ("time", pre), "post": ("time", post)}
    return TimeSeries(series.dataset.assign(masks).assign_attrs(onset=onset, ends=True))
