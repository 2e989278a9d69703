"""Many problems of one shape by one Gibbs program: all placebo units, all donors left out, all placebo dates in lockstep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayes_causal.inference.blocked_gibbs import BLOCK, Programs, sites_of, sweeps_of
from bayes_causal.inference.programs import kept
from bayes_causal.models.forms import GibbsForm
from bayes_causal.numerics.jitted import jitted

LANES = 12
"""Problems side by side on a CPU: with more a sweep is little cheaper, and every other number is another program to compile."""


def stacked(sums: Sequence[Any]) -> Any:
    """The sums of problems of one shape with a leading problem axis."""
    return jax.tree.map(lambda *v: np.stack(v), *sums)


def sample_problems(form: GibbsForm, *, draws: int, warmup: int, chains: int = 1, seed: int) -> dict[str, np.ndarray]:
    """Draws of every site of P problems, whose sums lead with the problem.

    Returns
    -------
    dict of name to (P, chains, draws, ...) array

    Raises
    ------
    FloatingPointError
        A chain left the numbers.
    """
    with jax.enable_x64(True):
        problems = jax.tree.leaves(form.sums)[0].shape[0]
        compiled = programs(form)
        keys = [jax.random.split(k, (problems, chains)) for k in jax.random.split(jax.random.PRNGKey(seed), 3)]
        lanes = LANES if jax.default_backend() == "cpu" else problems
        parts = []
        for low in range(0, problems, lanes):
            # Lanes beyond the last problem repeat it.
            lane = np.minimum(np.arange(low, low + lanes), problems - 1)
            sums, own = jax.tree.map(lambda v, lane=lane: jnp.asarray(v[lane]), (form.sums, keys))
            parts.append({k: v[: problems - low] for k, v in _walk(compiled, sums, own, draws, warmup).items()})
    sites = {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}
    if wrong := sorted(k for k, v in sites.items() if not np.isfinite(v).all()):
        raise FloatingPointError(f"a chain left the numbers: {', '.join(wrong)} not finite")
    return sites


def _walk(compiled: Programs, sums: Any, keys: Sequence[Any], draws: int, warmup: int) -> dict[str, np.ndarray]:
    """(L, chains, draws, ...) sites of problems side by side."""
    states, blocks = compiled.first(sums, keys[0]), []
    for low in range(0, warmup + draws, BLOCK):
        number = np.arange(low, low + BLOCK)
        states, passed = compiled.sweeps(sums, states, keys[1], number, number < warmup)
        rows = np.flatnonzero((number >= warmup) & (number < warmup + draws))
        if rows.size:
            rows_padded = np.resize(rows, BLOCK)
            drawn, _ = jax.device_get(compiled.sites(sums, passed, keys[2], rows_padded, number[rows_padded]))
            blocks.append({k: v[:, :, : rows.size] for k, v in drawn.items()})
    return {k: np.concatenate([block[k] for block in blocks], 2) for k in blocks[0]}


def programs(form: GibbsForm) -> Programs:
    """The programs of a form over a leading problem axis, compiled at their first call."""
    found: Programs = kept("gibbs of problems", form, _made)
    return found


def _made(bare: GibbsForm) -> Programs:
    return Programs(
        jitted(jax.vmap(jax.vmap(bare.first, (None, 0)))),
        jitted(jax.vmap(jax.vmap(sweeps_of(bare), (None, 0, 0, None, None)), (0, 0, 0, None, None))),
        jitted(jax.vmap(sites_of(bare), (0, 0, 0, None, None))),
    )
