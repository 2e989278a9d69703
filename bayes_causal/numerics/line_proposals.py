"""Draws on a line: cut into cells of equal mass under a logistic, of which one is taken by the density over the logistic's.

`draw_on_line` accepts or stays, which makes it exact. `propose` and `weight` are its halves for a point that moves beside
something else: the log of density over proposal is nearly the log of the density's integral, so that what moves with the point
moves as if the point were integrated out.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.nn import sigmoid
from jax.scipy.special import logsumexp

CELLS = 64
MIDDLES = (np.arange(CELLS) + 0.5) / CELLS
LOGITS = np.log(MIDDLES) - np.log1p(-MIDDLES)

Density = Callable[[Array], Array]


def draw_on_line(density: Density, middle: Array, scale: Array, x: Array, u: Array) -> Array:
    """A point that leaves exp(density) as it is, from the point x and two uniform numbers, around `middle`."""
    cells = _cells(density, middle, scale)
    new, heavy = _proposed(density, middle, scale, cells, u[0])
    return jnp.where(jnp.log(u[1]) < heavy - _weight(density, middle, scale, cells, x), new, x)


def propose(density: Density, middle: Array, scale: Array, u: Array) -> tuple[Array, Array]:
    """A point from one uniform number, and the log of density over proposal there, up to a constant of `scale`."""
    cells = _cells(density, middle, scale)
    x, heavy = _proposed(density, middle, scale, cells, u)
    return x, heavy + logsumexp(cells)


def weight(density: Density, middle: Array, scale: Array, x: Array) -> Array:
    """The log of density over proposal at a point that is there already."""
    cells = _cells(density, middle, scale)
    return _weight(density, middle, scale, cells, x) + logsumexp(cells)


def pick(cells: Array, u: Array) -> tuple[Array, Array]:
    """A cell by its log weight, and a place in it that is uniform on (0, 1), both from one uniform number."""
    weight = jnp.exp(cells - cells.max())
    total = weight @ jnp.triu(jnp.ones((CELLS, CELLS)))
    at = u * total[-1]
    cell = jnp.minimum((total < at).sum(), CELLS - 1)
    return cell, jnp.clip(1 - (total[cell] - at) / weight[cell], 1e-9, 1 - 1e-9)


def log_sech2(x: Array) -> Array:
    """Log(1 − tanh²x), exact in both tails."""
    return 2 * (jnp.log(2.0) - jnp.logaddexp(x, -x))


def _cells(density: Density, middle: Array, scale: Array) -> Array:
    """(CELLS,) log density over the logistic's in the middle of each."""
    return jax.vmap(lambda x: _over(density, middle, scale, x))(middle + scale * LOGITS)


def _proposed(density: Density, middle: Array, scale: Array, cells: Array, u: Array) -> tuple[Array, Array]:
    """A point, and the log of density over proposal there but for the sum of the cells."""
    cell, inside = pick(cells, u)
    at = (cell + inside) / CELLS
    x = middle + scale * (jnp.log(at) - jnp.log1p(-at))
    return x, _over(density, middle, scale, x) - cells[cell]


def _weight(density: Density, middle: Array, scale: Array, cells: Array, x: Array) -> Array:
    """The same at a point that is there already."""
    here = jnp.clip((CELLS * sigmoid((x - middle) / scale)).astype(int), 0, CELLS - 1)
    return _over(density, middle, scale, x) - cells[here]


def _over(density: Density, middle: Array, scale: Array, x: Array) -> Array:
    """Log density over the logistic's."""
    return density(x) - log_sech2((x - middle) / (2 * scale))
