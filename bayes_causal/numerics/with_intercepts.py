"""A linear Gaussian form whose units' intercepts are drawn too."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bayes_causal.numerics.linear_gaussian import LinearGaussian, loads
from bayes_causal.numerics.panel_sums import PanelSums


class UnitSums(NamedTuple):
    """What the whole says, and what each of U units does: (U, M) of its own columns, (U, q + 1) weighted sums of all columns
    over its rows, y last, and the (U,) sums of its weights.
    """

    whole: PanelSums
    of_units: Any
    sums: Any
    weight: Any


@dataclass(frozen=True, eq=False)
class WithIntercepts:
    """`form` with one more site, alpha: u_i ~ N(0, σ_unit) and what is expected of it, for errors that are independent."""

    form: LinearGaussian
    sums: Any

    @property
    def hypers(self) -> tuple[Any, ...]:
        """θ."""
        return self.form.hypers

    @property
    def columns(self) -> int:
        """Number of coefficients."""
        return self.form.columns

    @property
    def width(self) -> int:
        """Numbers held for each point."""
        return self.form.width

    def matrices(self, sums: UnitSums) -> int:
        """Numbers in the matrices of one density."""
        return self.form.matrices(sums.whole)

    def said(self, sums: UnitSums) -> str:
        """What is integrated out, in words."""
        return self.form.said(sums.whole)

    def bare(self) -> WithIntercepts:
        """The form without its data."""
        return WithIntercepts(self.form.bare(), None)

    def signature(self) -> tuple[Any, ...]:
        """What two forms must share to be one program."""
        return self.form.signature()

    def log_density(self, sums: UnitSums, t: Array) -> Array:
        """Log p(y, t)."""
        return self.form.log_density(sums.whole, t)

    def draw_sites(self, sums: UnitSums, t: Array, key: Array) -> dict[str, Array]:
        """θ, the coefficients, and the intercepts given them."""
        first, second = jax.random.split(key)
        sites = self.form.draw_sites(sums.whole, t, first)
        z = jnp.concatenate([jnp.reshape(sites[b.site], (b.size,)) / b.prior_sd for b in self.form.blocks])
        b = self.form.scales(sites) * z
        precision = sums.weight / sites["sigma"] ** 2 + 1 / sites["sigma_unit"] ** 2
        mean = sums.sums @ jnp.append(-b, 1.0) / sites["sigma"] ** 2 / precision
        noise = jax.random.normal(second, mean.shape, mean.dtype)
        return sites | {"alpha": sums.of_units @ b[: sums.of_units.shape[1]] + mean + noise / jnp.sqrt(precision)}


def with_intercepts(form: LinearGaussian, of_units: np.ndarray, sums: np.ndarray, weight: np.ndarray) -> WithIntercepts:
    """A form with intercepts, from the (U, M) columns of units, (U, q + 1) weighted sums over their rows and (U,) weights."""
    loading, m = loads(form.blocks)[:-1, :-1], of_units.shape[1]
    whole = UnitSums(form.sums, of_units @ loading[:m, :m], sums @ np.pad(loading, ((0, 1), (0, 1)), constant_values=0), weight)
    whole.sums[:, -1] = sums[:, -1]
    return WithIntercepts(replace(form, sums=None), whole)
