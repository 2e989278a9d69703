"""A point on the line proposed beside other moves: nearly from a density, with the weight that makes the whole move exact.

The line is cut into cells of equal mass under a logistic, of which one is taken by the density over the logistic's in its middle
(as `simplex.draw_on_line` does where nothing else moves). The log of density over proposal is then nearly the log of the
density's integral, so that what moves with the point moves as if the point were integrated out.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.nn import sigmoid
from jax.scipy.special import logsumexp

from bayes_causal.numerics.simplex import CELLS, MIDDLES, log_sech2, pick

Density = Callable[[Array], Array]
LOGITS = np.log(MIDDLES) - np.log1p(-MIDDLES)


def propose(density: Density, middle: Array, scale: Array, u: Array) -> tuple[Array, Array]:
    """A point from one uniform number, and the log of density over proposal there, up to a constant of `scale`."""
    cells = jax.vmap(lambda x: _over(density, middle, scale, x))(middle + scale * LOGITS)
    cell, inside = pick(cells, u)
    at = (cell + inside) / CELLS
    x = middle + scale * (jnp.log(at) - jnp.log1p(-at))
    return x, _over(density, middle, scale, x) - cells[cell] + logsumexp(cells)


def weight(density: Density, middle: Array, scale: Array, x: Array) -> Array:
    """The log of density over proposal at a point that is there already."""
    cells = jax.vmap(lambda x: _over(density, middle, scale, x))(middle + scale * LOGITS)
    here = jnp.clip((CELLS * sigmoid((x - middle) / scale)).astype(int), 0, CELLS - 1)
    return _over(density, middle, scale, x) - cells[here] + logsumexp(cells)


def _over(density: Density, middle: Array, scale: Array, x: Array) -> Array:
    """Log density over the logistic's."""
    return density(x) - log_sech2((x - middle) / (2 * scale))
