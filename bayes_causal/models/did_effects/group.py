"""Effects of groups (campaigns, cohorts), partially pooled."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.data.panel import Panel
from bayes_causal.models.did_effects.structure import UNBOUNDED, Leads, Pairs, Sites, active_pairs, group_columns, no_leads

if TYPE_CHECKING:
    from bayes_causal.models.did_priors import Priors
    from bayes_causal.numerics.linear_gaussian import Block, Hyper


@dataclass(frozen=True, eq=False)
class GroupEffect:
    """Partially pooled effects: Σ_g D_itg τ_g with τ_g = τ + ω z_g."""

    panel: Panel
    window: tuple[int, int] | None = None

    @cached_property
    def pairs(self) -> Pairs:
        """Active pairs of the panel."""
        return active_pairs(self.panel)

    @property
    def column_names(self) -> tuple[str, ...]:
        """One column a group."""
        return tuple(f"group {g}" for g in self.panel.dataset["group"].values)

    @cached_property
    def columns(self) -> np.ndarray:
        """(N, G) active treatments."""
        return group_columns(self.panel)

    @cached_property
    def pair_columns(self) -> np.ndarray:
        """(P, G) indicator of the pair's group."""
        return np.eye(self.panel.dataset.sizes["group"])[self.pairs.group]

    def leads(self) -> Leads:
        """None."""
        return no_leads(len(self.column_names))

    @property
    def last(self) -> int:
        """Every event time has its own label."""
        return UNBOUNDED

    def coords(self) -> dict[str, Any]:
        """`group`."""
        return {"group": self.panel.dataset["group"].values}

    def dims(self) -> dict[str, tuple[str, ...]]:
        """Dims of the group sites and effects."""
        return {"group_offset": ("group",), "tau_group": ("group",)}

    def numpyro(self, p: Priors) -> Any:
        """τ ~ N(0, p.tau), ω ~ HalfNormal(p.omega), z_g ~ N(0, 1)."""
        from numpyro import sample
        from numpyro.distributions import HalfNormal, Normal

        tau = sample("tau", Normal(0.0, p.tau))
        omega = sample("omega", HalfNormal(p.omega))
        z = sample("group_offset", Normal(0.0, 1.0).expand([self.panel.dataset.sizes["group"]]).to_event(1))
        return tau + omega * z

    def pymc(self, p: Priors) -> Any:
        """τ ~ N(0, p.tau), ω ~ HalfNormal(p.omega), z_g ~ N(0, 1)."""
        import pymc as pm

        tau = pm.Normal("tau", 0.0, p.tau)
        omega = pm.HalfNormal("omega", p.omega)
        z = pm.Normal("group_offset", 0.0, 1.0, dims="group")
        return tau + omega * z

    def hypers(self, p: Priors) -> tuple[Hyper, ...]:
        """ω."""
        from bayes_causal.numerics.linear_gaussian import Hyper

        return (Hyper("omega", "half_normal", p.omega),)

    def blocks(self, p: Priors, start: int) -> tuple[Block, ...]:
        """τ on every column, ω z_g on its own."""
        from bayes_causal.numerics.linear_gaussian import Block

        n = self.panel.dataset.sizes["group"]
        return (
            Block("tau", (), p.tau, start, start + n, np.ones((n, 1))),
            Block("group_offset", (n,), 1.0, start, start + n, scale="omega"),
        )

    def coefficients(self, sites: Sites) -> np.ndarray:
        """(..., G) τ_g."""
        return sites["tau"][..., None] + sites["omega"][..., None] * sites["group_offset"]

    def natural(self, sites: Sites, scale: float) -> dict[str, np.ndarray]:
        """`tau`, `omega`, `tau_group`."""
        return {"tau": sites["tau"] * scale, "omega": sites["omega"] * scale, "tau_group": self.coefficients(sites) * scale}
