"""Effects that move with the time since onset, and leads that show trends before it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.data.panel import Panel
from bayes_causal.models.did_effects.structure import Leads, Pairs, Sites, active_pairs, group_columns, row_copies

if TYPE_CHECKING:
    from bayes_causal.models.did_priors import Priors
    from bayes_causal.numerics.linear_gaussian import Block, Hyper


DEFAULT_LEADS, DEFAULT_LAGS = 8, 24


@dataclass(frozen=True, eq=False)
class EventTimeEffect:
    """An effect that moves with time since onset, and leads that show trends before it.

    Lags: τ_0 ~ N(0, p.tau), τ_e = τ_{e−1} + s z_e. Leads: their own walk backwards from −1, with their own scale, where
    τ_{−1} = 0: the jump at onset is not penalised. Groups deviate by ω z_g from onset on. Event times beyond the window share
    one bin on each side.
    """

    panel: Panel
    window: tuple[int, int] | None = None

    @cached_property
    def pairs(self) -> Pairs:
        """Active pairs of the panel."""
        return active_pairs(self.panel)

    @cached_property
    def bins(self) -> np.ndarray:
        """(E,) event times with a coefficient, ascending, −1 left out; the outermost are the bins beyond the window."""
        event = self.panel.event_time[self.panel.observed]
        low, high = int(min(np.nanmin(event), -1)), int(max(np.nanmax(event), 0))
        lead, lag = self.window or (DEFAULT_LEADS, DEFAULT_LAGS)
        low, high = max(low, -lead - 1), min(high, lag + 1)
        return np.r_[low:-1, 0 : high + 1].astype(int)

    @property
    def n_leads(self) -> int:
        """Number of bins before −1."""
        return int((self.bins < 0).sum())

    @property
    def grouped(self) -> bool:
        """Whether groups deviate from the common path."""
        return self.panel.dataset.sizes["group"] > 1

    @property
    def column_names(self) -> tuple[str, ...]:
        """Event times, then groups."""
        groups = self.panel.dataset["group"].values if self.grouped else ()
        return (*(f"event time {e}" for e in self.bins), *(f"group {g}" for g in groups))

    @cached_property
    def columns(self) -> np.ndarray:
        """(N, E[+G]) counts of treatments at each event time, then active groups."""
        event = self.panel.event_time[self.panel.observed]
        # In a window without leads every period before onset is the reference.
        row, group = np.nonzero((event >= 0) | ((event < -1) & (self.n_leads > 0)))
        clipped = np.clip(event[row, group].astype(int), self.bins[0], self.bins[-1])
        columns = np.zeros((event.shape[0], self.bins.size))
        np.add.at(columns, (row, np.searchsorted(self.bins, clipped)), 1.0)
        return np.hstack([columns, group_columns(self.panel)]) if self.grouped else columns

    @cached_property
    def pair_columns(self) -> np.ndarray:
        """(P, E[+G]) indicators of the pair's event time and group."""
        k = np.searchsorted(self.bins, np.clip(self.pairs.event, 0, self.bins[-1]))
        time = np.eye(self.bins.size)[k]
        return np.hstack([time, np.eye(self.panel.dataset.sizes["group"])[self.pairs.group]]) if self.grouped else time

    def leads(self) -> Leads:
        """The walk before onset, where it was seen."""
        weights = np.eye(self.n_leads, len(self.column_names))
        cells = row_copies(self.panel) @ self.columns[:, : self.n_leads]
        seen = cells > 0
        return Leads(self.bins[: self.n_leads][seen], weights[seen], cells[seen])

    @property
    def last(self) -> int:
        """The bin of everything beyond the window."""
        return int(self.bins[-1])

    def coords(self) -> dict[str, Any]:
        """`event_time`, the walks' steps, and `group` where groups deviate."""
        lags = self.bins[self.bins >= 0]
        coords: dict[str, Any] = {"event_time": self.bins, "lag_step": lags[1:], "lead_step": self.bins[self.bins < 0]}
        return coords | ({"group": self.panel.dataset["group"].values} if self.grouped else {})

    def dims(self) -> dict[str, tuple[str, ...]]:
        """Dims of the walks and of the named effects."""
        dims: dict[str, tuple[str, ...]] = {
            "lag_offset": ("lag_step",),
            "lead_offset": ("lead_step",),
            "tau_event": ("event_time",),
        }
        return dims | ({"group_offset": ("group",), "tau_group": ("group",)} if self.grouped else {})

    def numpyro(self, p: Priors) -> Any:
        """Leads, lags and group deviations, in that order."""
        import jax.numpy as jnp
        from numpyro import sample
        from numpyro.distributions import HalfNormal, Normal

        n_leads, n_steps = self.n_leads, self.bins.size - self.n_leads - 1
        parts = []
        if n_leads:
            step_lead = sample("step_lead", HalfNormal(p.step))
            z_lead = sample("lead_offset", Normal(0.0, 1.0).expand([n_leads]).to_event(1))
            parts.append(step_lead * jnp.cumsum(z_lead[::-1])[::-1])
        lag = jnp.reshape(sample("lag_first", Normal(0.0, p.tau)), (1,))
        if n_steps:
            step_lag = sample("step_lag", HalfNormal(p.step))
            z_lag = sample("lag_offset", Normal(0.0, 1.0).expand([n_steps]).to_event(1))
            lag = jnp.concatenate([lag, lag + step_lag * jnp.cumsum(z_lag)])
        parts.append(lag)
        if self.grouped:
            omega = sample("omega", HalfNormal(p.omega))
            parts.append(omega * sample("group_offset", Normal(0.0, 1.0).expand([self.panel.dataset.sizes["group"]]).to_event(1)))
        return jnp.concatenate(parts)

    def pymc(self, p: Priors) -> Any:
        """Leads, lags and group deviations, in that order."""
        import pymc as pm
        import pytensor.tensor as pt

        n_leads, n_steps = self.n_leads, self.bins.size - self.n_leads - 1
        parts = []
        if n_leads:
            step_lead = pm.HalfNormal("step_lead", p.step)
            z_lead = pm.Normal("lead_offset", 0.0, 1.0, dims="lead_step")
            parts.append(step_lead * pt.cumsum(z_lead[::-1])[::-1])
        lag = pm.Normal("lag_first", 0.0, p.tau).reshape((1,))
        if n_steps:
            step_lag = pm.HalfNormal("step_lag", p.step)
            z_lag = pm.Normal("lag_offset", 0.0, 1.0, dims="lag_step")
            lag = pt.concatenate([lag, lag + step_lag * pt.cumsum(z_lag)])
        parts.append(lag)
        if self.grouped:
            omega = pm.HalfNormal("omega", p.omega)
            parts.append(omega * pm.Normal("group_offset", 0.0, 1.0, dims="group"))
        return pt.concatenate(parts)

    def hypers(self, p: Priors) -> tuple[Hyper, ...]:
        """Step sds of the walks, and ω where groups deviate."""
        from bayes_causal.numerics.linear_gaussian import Hyper

        used = {"step_lead": self.n_leads > 0, "step_lag": self.bins.size - self.n_leads > 1}
        steps = tuple(Hyper(k, "half_normal", p.step) for k, there in used.items() if there)
        return steps + ((Hyper("omega", "half_normal", p.omega),) if self.grouped else ())

    def blocks(self, p: Priors, start: int) -> tuple[Block, ...]:
        """The walks as cumulative sums of their steps, and the deviations."""
        from bayes_causal.numerics.linear_gaussian import Block

        first, last = start + self.n_leads, start + self.bins.size
        backwards = np.triu(np.ones((self.n_leads, self.n_leads)))
        n_lags = last - first
        onwards = np.tril(np.ones((n_lags, n_lags)))[:, 1:]
        ones, n_groups = np.ones((n_lags, 1)), self.panel.dataset.sizes["group"]
        blocks = [Block("lag_first", (), p.tau, first, last, ones)]
        if self.n_leads:
            blocks.append(Block("lead_offset", (self.n_leads,), 1.0, start, first, backwards, "step_lead"))
        if n_lags > 1:
            blocks.append(Block("lag_offset", (n_lags - 1,), 1.0, first, last, onwards, "step_lag"))
        if self.grouped:
            blocks.append(Block("group_offset", (n_groups,), 1.0, last, last + n_groups, scale="omega"))
        return tuple(blocks)

    def coefficients(self, sites: Sites) -> np.ndarray:
        """(..., E[+G]) the walks and the deviations."""
        parts = []
        if self.n_leads:
            walk = np.cumsum(sites["lead_offset"][..., ::-1], -1)[..., ::-1]
            parts.append(sites["step_lead"][..., None] * walk)
        lag = sites["lag_first"][..., None]
        parts.append(lag)
        if "lag_offset" in sites:
            parts.append(lag + sites["step_lag"][..., None] * np.cumsum(sites["lag_offset"], -1))
        if self.grouped:
            parts.append(sites["omega"][..., None] * sites["group_offset"])
        return np.concatenate(parts, -1)

    def natural(self, sites: Sites, scale: float) -> dict[str, np.ndarray]:
        """`tau_event`, its pair-weighted mean `tau`, the walks' scales, and `tau_group`, `omega` where groups deviate."""
        b = self.coefficients(sites) * scale
        share = self.pairs.copies @ self.pair_columns / self.pairs.copies.sum()
        n = self.bins.size
        named = {"tau_event": b[..., :n], "tau": b[..., :n] @ share[:n]}
        named |= {k: sites[k] * scale for k in ("step_lag", "step_lead", "omega") if k in sites}
        if self.grouped:
            g = np.eye(self.panel.dataset.sizes["group"])[self.pairs.group] * self.pairs.copies[:, None]
            mean = g.T @ self.pair_columns / np.maximum(g.sum(0), 1.0)[:, None]
            named["tau_group"] = b @ mean.T
        return named
