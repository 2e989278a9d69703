"""Saturated effects of cohorts at times, shrunk to event-time means and cohort deviations.

With flat priors and no leads the average equals extended two-way fixed effects and imputation (Wooldridge 2021,
doi:10.2139/ssrn.3906345; Borusyak, Jaravel & Spiess 2024, doi:10.1093/restud/rdae007); with every lead but −1 it equals Sun &
Abraham 2021 (doi:10.1016/j.jeconom.2020.09.006) and, with never-treated controls, Callaway & Sant'Anna 2021
(doi:10.1016/j.jeconom.2020.12.001).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.data.panel import Panel
from bayes_causal.models.did_effects.structure import Leads, Pairs, Sites, active_pairs, row_copies

if TYPE_CHECKING:
    from bayes_causal.models.did_priors import Priors
    from bayes_causal.numerics.linear_gaussian import Block, Hyper


@dataclass(frozen=True, eq=False)
class Cells:
    """Coefficients of one side of onset.

    (M,) cohort and event time of each, the (N,) cell of each row or −1, and the walk's (E,) times.
    """

    cohort: np.ndarray
    event: np.ndarray
    of_row: np.ndarray
    times: np.ndarray

    @property
    def on_times(self) -> np.ndarray:
        """(M, E) indicator of the cell's event time."""
        return (self.event[:, None] == self.times).astype(float)

    def columns(self) -> np.ndarray:
        """(N, M) indicators."""
        return (self.of_row[:, None] == np.arange(self.event.size)).astype(float)


@dataclass(frozen=True, eq=False)
class CohortTimeEffect:
    """τ_{c,t} = τ_e + ω z_c + ω_cell z_{c,t}, e = t − c; τ_e a walk from τ_0 ~ N(0, p.tau). M lag cells, L lead cells, C cohorts.

    A cohort is the units first treated in one period. Leads only where `window` asks for them: a walk backwards from −1 of
    its own scale, and deviations of cohorts at times of their own; those beyond the window share one bin a cohort.

    Raises
    ------
    ValueError
        Treatments overlap: a cell under two of them has no cohort of its own.
    """

    panel: Panel
    window: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if np.unique(self.pairs.row).size < self.pairs.row.size:
            raise ValueError(
                "effect 'cohort_time' needs one treatment at a time, and here treatments overlap: use 'group' or 'event_time'"
            )

    @cached_property
    def pairs(self) -> Pairs:
        """Active pairs of the panel, event times counted from each unit's first treatment."""
        pairs, event = active_pairs(self.panel), self._rows[1]
        return replace(pairs, event=event[pairs.row])

    @cached_property
    def _rows(self) -> tuple[np.ndarray, np.ndarray]:
        """(N,) first treated period of each row's unit, −1 for never, and periods since then."""
        unit, time = np.nonzero(self.panel.observed)
        first = np.where(self.panel.ever_treated, self.panel.first_period, -1)[unit]
        return first, np.where(first >= 0, self.panel.dataset["period"].values[time] - first, -1)

    @cached_property
    def cohorts(self) -> np.ndarray:
        """(C,) first treated periods."""
        return np.unique(self.panel.first_period[self.panel.ever_treated])

    @cached_property
    def lags(self) -> Cells:
        """Treated cells; event times beyond the window share its last."""
        _, event = self._rows
        treated = self.panel.treated[self.panel.observed]
        high = self.window[1] + 1 if self.window else event.max()
        return self._cells(treated, np.minimum(event, high), first=0)

    @cached_property
    def lead_cells(self) -> Cells:
        """Cells two periods and more before onset, where the window has leads."""
        cohort, event = self._rows
        lead = self.window[0] if self.window else 0
        before = (cohort >= 0) & (event < -1) & (lead > 0)
        return self._cells(before, np.maximum(event, -lead - 1), first=-2)

    def _cells(self, rows: np.ndarray, event: np.ndarray, *, first: int) -> Cells:
        """The (cohort, event time) cells of the chosen rows; the walk runs from `first` to the farthest."""
        keys = np.column_stack([self._rows[0][rows], event[rows]])
        cells, member = np.unique(keys, axis=0, return_inverse=True)
        of_row = np.full(event.size, -1)
        of_row[rows] = member.reshape(-1)
        ends = (first, int(cells[:, 1].max(initial=first) if first >= 0 else cells[:, 1].min(initial=first)))
        times = np.arange(min(ends), max(ends) + 1) if len(cells) else np.zeros(0, int)
        return Cells(cells[:, 0], cells[:, 1], of_row, times)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Lead cells, then lag cells."""
        both = (self.lead_cells, self.lags)
        label = dict(zip(self.panel.dataset["period"].values, self.panel.dataset["time"].values, strict=True))
        return tuple(f"cohort {label[c]}, event time {e}" for k in both for c, e in zip(k.cohort, k.event, strict=True))

    @cached_property
    def columns(self) -> np.ndarray:
        """(N, L+M) indicators."""
        return np.hstack([self.lead_cells.columns(), self.lags.columns()])

    @cached_property
    def pair_columns(self) -> np.ndarray:
        """(P, L+M) indicators of the pair's lag cell."""
        lags = self.lags.columns()[self.pairs.row]
        return np.hstack([np.zeros((len(lags), self.lead_cells.event.size)), lags])

    def leads(self) -> Leads:
        """Lead cells averaged over cohorts, each weighted by its rows."""
        cells = self.lead_cells
        on = cells.of_row >= 0
        rows = np.bincount(cells.of_row[on], row_copies(self.panel)[on], cells.event.size)
        weights = cells.on_times.T * rows
        total = weights.sum(1)
        seen = total > 0
        wide = np.zeros((int(seen.sum()), len(self.column_names)))
        wide[:, : cells.event.size] = weights[seen] / total[seen, None]
        return Leads(cells.times[seen], wide, total[seen])

    @property
    def last(self) -> int:
        """The last event time of a lag cell."""
        return int(self.lags.times[-1])

    def coords(self) -> dict[str, Any]:
        """`event_time`, the walks' steps, cohorts and cells."""
        lead, lag = self.lead_cells, self.lags
        label = dict(zip(self.panel.dataset["period"].values, self.panel.dataset["time"].values, strict=True))
        names = list(self.column_names)
        return {
            "event_time": np.r_[lead.times, lag.times],
            "lag_step": lag.times[1:],
            "lead_step": lead.times,
            "cohort": [label[c] for c in self.cohorts],
            "lag_cell": names[lead.event.size :],
            "lead_cell": names[: lead.event.size],
        }

    def dims(self) -> dict[str, tuple[str, ...]]:
        """Dims of the walks, the deviations and the named effects."""
        return {
            "lag_offset": ("lag_step",),
            "lead_offset": ("lead_step",),
            "cohort_offset": ("cohort",),
            "cell_offset": ("lag_cell",),
            "lead_cell_offset": ("lead_cell",),
            "tau_event": ("event_time",),
        }

    def numpyro(self, p: Priors) -> Any:
        """Lead cells, then lag cells."""
        import jax.numpy as jnp
        from numpyro import sample
        from numpyro.distributions import HalfNormal, Normal

        def normal(name: str, n: int) -> Any:
            return sample(name, Normal(0.0, 1.0).expand([n]).to_event(1))

        lead, lag = self.lead_cells, self.lags
        parts = []
        if lead.event.size:
            step_lead = sample("step_lead", HalfNormal(p.step))
            walk = step_lead * jnp.cumsum(normal("lead_offset", lead.times.size)[::-1])[::-1]
            omega_lead = sample("omega_lead", HalfNormal(p.cell))
            parts.append(lead.on_times @ walk + omega_lead * normal("lead_cell_offset", lead.event.size))
        walk = jnp.reshape(sample("lag_first", Normal(0.0, p.tau)), (1,))
        if lag.times.size > 1:
            step_lag = sample("step_lag", HalfNormal(p.step))
            walk = jnp.concatenate([walk, walk + step_lag * jnp.cumsum(normal("lag_offset", lag.times.size - 1))])
        omega = sample("omega", HalfNormal(p.omega))
        omega_cell = sample("omega_cell", HalfNormal(p.cell))
        cohort = self._on_cohorts @ (omega * normal("cohort_offset", self.cohorts.size))
        parts.append(lag.on_times @ walk + cohort + omega_cell * normal("cell_offset", lag.event.size))
        return jnp.concatenate(parts)

    def pymc(self, p: Priors) -> Any:
        """Lead cells, then lag cells."""
        import pymc as pm
        import pytensor.tensor as pt

        lead, lag = self.lead_cells, self.lags
        parts = []
        if lead.event.size:
            step_lead = pm.HalfNormal("step_lead", p.step)
            walk = step_lead * pt.cumsum(pm.Normal("lead_offset", 0.0, 1.0, dims="lead_step")[::-1])[::-1]
            omega_lead = pm.HalfNormal("omega_lead", p.cell)
            parts.append(lead.on_times @ walk + omega_lead * pm.Normal("lead_cell_offset", 0.0, 1.0, dims="lead_cell"))
        walk = pm.Normal("lag_first", 0.0, p.tau).reshape((1,))
        if lag.times.size > 1:
            step_lag = pm.HalfNormal("step_lag", p.step)
            walk = pt.concatenate([walk, walk + step_lag * pt.cumsum(pm.Normal("lag_offset", 0.0, 1.0, dims="lag_step"))])
        omega = pm.HalfNormal("omega", p.omega)
        omega_cell = pm.HalfNormal("omega_cell", p.cell)
        cohort = self._on_cohorts @ (omega * pm.Normal("cohort_offset", 0.0, 1.0, dims="cohort"))
        parts.append(lag.on_times @ walk + cohort + omega_cell * pm.Normal("cell_offset", 0.0, 1.0, dims="lag_cell"))
        return pt.concatenate(parts)

    def hypers(self, p: Priors) -> tuple[Hyper, ...]:
        """Step sds of the walks, and sds of cohorts and of cells."""
        from bayes_causal.numerics.linear_gaussian import Hyper

        scales = {"omega": p.omega, "omega_cell": p.cell}
        scales |= {"step_lag": p.step} if self.lags.times.size > 1 else {}
        scales |= {"step_lead": p.step, "omega_lead": p.cell} if self.lead_cells.event.size else {}
        return tuple(Hyper(k, "half_normal", s) for k, s in scales.items())

    def blocks(self, p: Priors, start: int) -> tuple[Block, ...]:
        """Walks read at each cell's event time, and deviations."""
        from bayes_causal.numerics.linear_gaussian import Block

        lead, lag = self.lead_cells, self.lags
        first, last = start + lead.event.size, start + lead.event.size + lag.event.size
        onwards = lag.on_times @ np.tril(np.ones((lag.times.size, lag.times.size)))[:, 1:]
        backwards = lead.on_times @ np.triu(np.ones((lead.times.size, lead.times.size)))
        ones, cohorts = np.ones((lag.event.size, 1)), self._on_cohorts
        blocks = [Block("lag_first", (), p.tau, first, last, ones)]
        if lag.times.size > 1:
            steps = (lag.times.size - 1,)
            blocks.append(Block("lag_offset", steps, 1.0, first, last, onwards, "step_lag"))
        blocks.append(Block("cohort_offset", self.cohorts.shape, 1.0, first, last, cohorts, "omega"))
        blocks.append(Block("cell_offset", lag.event.shape, 1.0, first, last, scale="omega_cell"))
        if lead.event.size:
            blocks.append(Block("lead_offset", lead.times.shape, 1.0, start, first, backwards, "step_lead"))
            blocks.append(Block("lead_cell_offset", lead.event.shape, 1.0, start, first, scale="omega_lead"))
        return tuple(blocks)

    def coefficients(self, sites: Sites) -> np.ndarray:
        """(..., L+M) cells."""
        parts = []
        if self.lead_cells.event.size:
            deviations = sites["omega_lead"][..., None] * sites["lead_cell_offset"]
            parts.append(self._lead_walk(sites) @ self.lead_cells.on_times.T + deviations)
        cohort = (sites["omega"][..., None] * sites["cohort_offset"]) @ self._on_cohorts.T
        cell = sites["omega_cell"][..., None] * sites["cell_offset"]
        parts.append(self._lag_walk(sites) @ self.lags.on_times.T + cohort + cell)
        return np.concatenate(parts, -1)

    def natural(self, sites: Sites, scale: float) -> dict[str, np.ndarray]:
        """`tau_event` (the walks), `tau` (their mean over treated cells) and the scales."""
        lag = self._lag_walk(sites) * scale
        walks = [self._lead_walk(sites) * scale, lag] if self.lead_cells.event.size else [lag]
        copies = self.pairs.copies
        share = copies @ self.pair_columns[:, self.lead_cells.event.size :] / copies.sum() @ self.lags.on_times
        scales = ("omega", "omega_cell", "omega_lead", "step_lag", "step_lead")
        named = {k: sites[k] * scale for k in scales if k in sites}
        return named | {"tau_event": np.concatenate(walks, -1), "tau": lag @ share}

    @cached_property
    def _on_cohorts(self) -> np.ndarray:
        """(M, C) indicator of the lag cell's cohort."""
        return (self.lags.cohort[:, None] == self.cohorts).astype(float)

    def _lag_walk(self, sites: Sites) -> np.ndarray:
        first = sites["lag_first"][..., None]
        if "lag_offset" not in sites:
            return first
        return np.concatenate([first, first + sites["step_lag"][..., None] * np.cumsum(sites["lag_offset"], -1)], -1)

    def _lead_walk(self, sites: Sites) -> np.ndarray:
        return sites["step_lead"][..., None] * np.cumsum(sites["lead_offset"][..., ::-1], -1)[..., ::-1]
