"""Priors of regression coefficients that are normal given something more, and how a sweep draws that.

Of every prior: the precision of β given its own part of the state, in units of 1/σ², and which columns are in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import jax
import jax.numpy as jnp
from jax import Array

from bayes_causal.numerics.indicators import draw_indicators
from bayes_causal.numerics.state_space import draw_coefficients

REPEATS = 6


class CoefficientPrior(Protocol):
    """A prior of (p,) β; equal priors share programs."""

    @property
    def said(self) -> str:
        """What it adds to a sweep, in a few words."""
        ...

    def first(self, sums: Any, key: Array) -> dict[str, Array]:
        """Its own part of a first state."""
        ...

    def slab(self, sums: Any, state: Mapping[str, Any], theta: Mapping[str, Array]) -> tuple[Array, Array]:
        """(p, p) precision of β in units of 1/σ², and (p,) 1 where a column is in."""
        ...

    def sweep(
        self, sums: Any, state: Mapping[str, Any], products: Array, theta: Mapping[str, Array], key: Array
    ) -> dict[str, Array]:
        """Its own part of the state, drawn anew given the (p + 1, p + 1) products of the whitened columns."""
        ...

    def sites(self, state: Mapping[str, Any]) -> dict[str, Array]:
        """Its own part of the state as sites of the twins."""
        ...


@dataclass(frozen=True)
class SpikeAndSlab:
    """β_γ ~ N(0, σ² (Ω⁻¹_γγ)⁻¹), γ_j ~ Bernoulli; every column in where there is no selection."""

    selection: bool

    @property
    def said(self) -> str:
        """One column after another."""
        return (
            "every column in or out by its exact conditional, and exchanged for one like it"
            if self.selection
            else "every column in"
        )

    def first(self, sums: Any, key: Array) -> dict[str, Array]:
        """γ from its prior."""
        if not self.selection:
            return {}
        chance = jax.nn.sigmoid(sums.log_odds)
        return {"include": (jax.random.uniform(key, chance.shape, chance.dtype) < chance).astype(chance.dtype)}

    def slab(self, sums: Any, state: Mapping[str, Any], theta: Mapping[str, Array]) -> tuple[Array, Array]:
        """Ω⁻¹ and γ."""
        return sums.series.slab, state["include"] if self.selection else jnp.ones(sums.log_odds.shape)

    def sweep(
        self, sums: Any, state: Mapping[str, Any], products: Array, theta: Mapping[str, Array], key: Array
    ) -> dict[str, Array]:
        """γ."""
        if not self.selection:
            return {}
        return {"include": draw_indicators(products, sums.series.slab, state["include"], sums.log_odds, theta["sigma"] ** 2, key)}

    def sites(self, state: Mapping[str, Any]) -> dict[str, Array]:
        """γ."""
        return {"include": state["include"]} if self.selection else {}


@dataclass(frozen=True)
class Ridge:
    """β_j ~ N(0, s), s among the scales."""

    name: str
    said: ClassVar[str] = "every column in"

    def first(self, sums: Any, key: Array) -> dict[str, Array]:
        """Nothing."""
        return {}

    def slab(self, sums: Any, state: Mapping[str, Any], theta: Mapping[str, Array]) -> tuple[Array, Array]:
        """(σ/s)² on the diagonal."""
        taken = jnp.ones(sums.log_odds.shape)
        return (theta["sigma"] / theta[self.name]) ** 2 * jnp.diag(taken), taken

    def sweep(
        self, sums: Any, state: Mapping[str, Any], products: Array, theta: Mapping[str, Array], key: Array
    ) -> dict[str, Array]:
        """Nothing."""
        return {}

    def sites(self, state: Mapping[str, Any]) -> dict[str, Array]:
        """Nothing."""
        return {}


@dataclass(frozen=True)
class Horseshoe:
    """β_j ~ N(0, σ τ λ_j/√N), N rows, τ among the scales, λ_j half-Cauchy: λ_j² and ν_j inverse gammas given each other and β.

    Makalic & Schmidt 2016, doi:10.1109/LSP.2015.2503725. τ is slow to move given β, so it moves with the scales, which do
    without β (Johndrow, Orenstein & Bhattacharya 2020, jmlr.org/papers/v21/19-536.html).
    """

    name: str
    said: ClassVar[str] = "coefficients and the scale of each by its exact conditional"

    def first(self, sums: Any, key: Array) -> dict[str, Array]:
        """Every λ_j at its prior median."""
        return {"local": jnp.ones(sums.log_odds.shape)}

    def slab(self, sums: Any, state: Mapping[str, Any], theta: Mapping[str, Array]) -> tuple[Array, Array]:
        """N/(τ λ_j)² on the diagonal."""
        precision = jnp.sum(sums.series.observed) / (theta[self.name] * state["local"]) ** 2
        return jnp.diag(precision), jnp.ones(sums.log_odds.shape)

    def sweep(
        self, sums: Any, state: Mapping[str, Any], products: Array, theta: Mapping[str, Array], key: Array
    ) -> dict[str, Array]:
        """β, and given it λ_j² ~ IG(1, 1/ν_j + N β_j²/(2 σ²τ²)) after ν_j ~ IG(1, 1 + 1/λ_j²), a few times: scales cost more."""
        p, n = state["local"].shape[0], jnp.sum(sums.series.observed)

        def once(local: Array, key: Array) -> tuple[Array, None]:
            """Local scales given the rest, and back."""
            keys = jax.random.split(key)
            slab, taken = self.slab(sums, {"local": local}, theta)
            beta = draw_coefficients(products.at[:p, :p].add(slab), taken, theta["sigma"], keys[0])
            exponential = jax.random.exponential(keys[1], (2, p), products.dtype)
            nu = (1 + local**-2.0) / exponential[0]
            rate = 1 / nu + 0.5 * n * (beta / (theta["sigma"] * theta[self.name])) ** 2
            return jnp.sqrt(rate / exponential[1]), None

        return {"local": jax.lax.scan(once, state["local"], jax.random.split(key, REPEATS))[0]}

    def sites(self, state: Mapping[str, Any]) -> dict[str, Array]:
        """λ."""
        return {"local": state["local"]}
