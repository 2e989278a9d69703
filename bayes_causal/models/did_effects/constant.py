"""One effect for every active treatment."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.data.panel import Panel
from bayes_causal.models.did_effects.structure import UNBOUNDED, Leads, Pairs, Sites, active_pairs, no_leads

if TYPE_CHECKING:
    from bayes_causal.models.did_priors import Priors
    from bayes_causal.numerics.linear_gaussian import Block, Hyper


@dataclass(frozen=True, eq=False)
class ConstantEffect:
    """One effect for every active treatment: τ Σ_g D_itg."""

    panel: Panel
    window: tuple[int, int] | None = None

    @cached_property
    def pairs(self) -> Pairs:
        """Active pairs of the panel."""
        return active_pairs(self.panel)

    @property
    def column_names(self) -> tuple[str, ...]:
        """The one column."""
        return ("treatment",)

    @cached_property
    def columns(self) -> np.ndarray:
        """(N, 1) number of active treatments."""
        return np.bincount(self.pairs.row, minlength=self.pairs.n_rows)[:, None].astype(float)

    @cached_property
    def pair_columns(self) -> np.ndarray:
        """(P, 1) ones."""
        return np.ones((self.pairs.row.size, 1))

    def leads(self) -> Leads:
        """None."""
        return no_leads(len(self.column_names))

    @property
    def last(self) -> int:
        """Every event time has its own label."""
        return UNBOUNDED

    def coords(self) -> dict[str, Any]:
        """None added."""
        return {}

    def dims(self) -> dict[str, tuple[str, ...]]:
        """None added."""
        return {}

    def numpyro(self, p: Priors) -> Any:
        """τ ~ N(0, p.tau)."""
        import jax.numpy as jnp
        from numpyro import sample
        from numpyro.distributions import Normal

        return jnp.reshape(sample("tau", Normal(0.0, p.tau)), (1,))

    def pymc(self, p: Priors) -> Any:
        """τ ~ N(0, p.tau)."""
        import pymc as pm

        return pm.Normal("tau", 0.0, p.tau).reshape((1,))

    def hypers(self, p: Priors) -> tuple[Hyper, ...]:
        """None."""
        return ()

    def blocks(self, p: Priors, start: int) -> tuple[Block, ...]:
        """τ on its column."""
        from bayes_causal.numerics.linear_gaussian import Block

        return (Block("tau", (), p.tau, start, start + 1),)

    def coefficients(self, sites: Sites) -> np.ndarray:
        """(..., 1) τ."""
        return sites["tau"][..., None]

    def natural(self, sites: Sites, scale: float) -> dict[str, np.ndarray]:
        """`tau`."""
        return {"tau": sites["tau"] * scale}
