"""Every sub-model of a regression at once, by elimination.

A symmetric matrix M over p candidate columns and r others is reduced one candidate at a time: left out, its row and column are
dropped; taken in, they are swept into the rest (Furnival & Wilson 1974, doi:10.2307/1267601). The 2^p sub-models share their
steps, and no sub-model is factorised alone. Sub-model g takes column j in where bit j of g is set.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


def members(p: int) -> np.ndarray:
    """(2^p, p) 0 and 1: which candidates each sub-model takes in."""
    return (np.arange(2**p)[:, None] >> np.arange(p)) & 1


def eliminate(m: Array, p: int, forced: bool = False) -> tuple[Array, Array]:
    """What is left of (p + r, p + r) M after the first p columns, for every sub-model.

    Parameters
    ----------
    m : symmetric, positive definite in its first p columns
    p : candidates
    forced : only the sub-model with all of them

    Returns
    -------
    rest : (G, r, r) Schur complements
    log_det : (G,) log determinants of the blocks taken in; 0 for the empty one
    """
    rest, log_det = m[None], jnp.zeros(1)
    for _ in range(p):
        # Fused with the steps before it, a step would repeat them for every entry it reads.
        rest, log_det = jax.lax.optimization_barrier((rest, log_det))
        pivot, row = rest[:, 0, 0], rest[:, 0, 1:]
        out = rest[:, 1:, 1:]
        taken = out - row[:, :, None] * (row / pivot[:, None])[:, None, :]
        log_taken = log_det + jnp.log(pivot)
        rest = taken if forced else jnp.concatenate([out, taken])
        log_det = log_taken if forced else jnp.concatenate([log_det, log_taken])
    return rest, log_det
