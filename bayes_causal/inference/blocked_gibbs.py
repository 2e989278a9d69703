"""The Gibbs engine: block by block, each drawn given the others, for models that offer `gibbs()`.

Chains walk in lockstep under one `vmap`, so that an operation is dispatched once for all of them. Sweeps run in blocks of one
length whatever the counts, so that programs are shared; a sweep's random numbers hang on the seed, its chain and its number
alone. Sites are drawn for kept sweeps only, many of them side by side.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from bayes_causal.inference.engine import Draws, refuse_settings
from bayes_causal.inference.programs import kept
from bayes_causal.models.base import Model, sweeps
from bayes_causal.models.forms import GibbsForm
from bayes_causal.numerics.jitted import jitted

BLOCK = 50
HELD = 2**22


@dataclass(frozen=True)
class BlockedGibbs:
    """Blocked Gibbs sampling.

    Parameters
    ----------
    draws, warmup, chains : int
        Kept draws and warm-up sweeps a chain, and chains. Proposals adapt during warm-up only.
    thin : int
        Sweeps a kept draw.
    progress : bool, optional
        A progress bar on stderr; None shows it on a terminal.
    """

    draws: int = 1000
    warmup: int = 1000
    chains: int = 4
    thin: int = 1
    progress: bool | None = None

    name: ClassVar[str] = "gibbs"

    def __post_init__(self) -> None:
        refuse_settings(draws=self.draws, warmup=self.warmup, chains=self.chains, thin=self.thin)

    def settings(self) -> dict[str, Any]:
        """The settings, as JSON can write them."""
        return asdict(self)

    def sample(self, model: Model, *, seed: int) -> Draws:
        """Draws of every site of the twins, or of what they are made into.

        Raises
        ------
        TypeError
            The model has no Gibbs form.
        FloatingPointError
            A chain left the numbers.
        """
        if not sweeps(model):
            why = getattr(model, "no_gibbs_form", None)
            raise TypeError(f"{model.name} has no Gibbs form{f': {why}' if why else ''}; use engine 'auto'")
        with jax.enable_x64(True):
            form = model.gibbs()
            sites, stats = self._walk(form, jax.tree.map(jnp.asarray, form.sums), seed)
        if wrong := sorted(k for k, v in sites.items() if not np.isfinite(v).all()):
            raise FloatingPointError(f"a chain left the numbers: {', '.join(wrong)} of {model.name} not finite")
        often = f", 1 of {self.thin} sweeps kept" if self.thin > 1 else ""
        path = f"Gibbs sampling: {form.said(form.sums)}; {self.chains} chains in lockstep after {self.warmup} sweeps{often}"
        numbers = {k: float(v.mean()) for k, v in stats.items() if k == "acceptance_rate"}
        return Draws(sites, stats, path, numbers)

    def _walk(self, form: GibbsForm, sums: Any, seed: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """(chain, draw, ...) sites and statistics of the kept sweeps."""
        from tqdm import tqdm

        compiled = programs(form)
        start, walk, draw = (jax.random.split(k, self.chains) for k in jax.random.split(jax.random.PRNGKey(seed), 3))
        states = compiled.first(sums, start)
        total = self.warmup + self.thin * self.draws
        blocks: list[tuple[Any, Any]] = []
        silent = not (sys.stderr.isatty() if self.progress is None else self.progress)
        with tqdm(total=total, desc="Gibbs sweeps", disable=silent, file=sys.stderr) as bar:
            for low in range(0, total, BLOCK):
                number = np.arange(low, low + BLOCK)
                states, passed = compiled.sweeps(sums, states, walk, number, number < self.warmup)
                keep = np.flatnonzero((number >= self.warmup) & (number < total) & ((number - self.warmup + 1) % self.thin == 0))
                if keep.size:
                    # One length of call for all blocks: what is too much is drawn and left.
                    rows = np.resize(keep, -(-BLOCK // self.thin))
                    drawn = jax.device_get(compiled.sites(sums, passed, draw, rows, number[rows]))
                    blocks.append(jax.tree.map(lambda v, n=keep.size: v[:, :n], drawn))
                bar.update(min(BLOCK, total - low))
        sites, stats = jax.tree.map(lambda *b: np.concatenate(b, 1), *blocks)
        return sites, stats


@dataclass(frozen=True, eq=False)
class Programs:
    """Compiled. C chains.

    Parameters
    ----------
    first : (sums, (C, key)) -> states (C, ...)
    sweeps : (sums, states, (C, key), (B,) numbers, (B,) whether adapting) -> states after them, and (C, B, ...) after each
    sites : (sums, (C, B, ...) states, (C, key), (K,) positions, (K,) numbers) -> sites and statistics (C, K, ...)
    """

    first: Callable[..., Any]
    sweeps: Callable[..., Any]
    sites: Callable[..., Any]


def programs(form: GibbsForm) -> Programs:
    """The programs of a form, compiled at their first call and shared by all forms that differ in their sums alone."""
    found: Programs = kept("gibbs", form, _made)
    return found


def _made(bare: GibbsForm) -> Programs:
    return Programs(
        jitted(jax.vmap(bare.first, (None, 0))),
        jitted(jax.vmap(sweeps_of(bare), (None, 0, 0, None, None))),
        jitted(sites_of(bare)),
    )


def sweeps_of(form: GibbsForm) -> Callable[..., Any]:
    """The function of (sums, state, key, (B,) numbers, (B,) adapting) that takes one chain through a block."""
    return partial(_sweeps, form)


def sites_of(form: GibbsForm) -> Callable[..., Any]:
    """The function of (sums, (C, B, ...) states, (C, key), (K,) positions, (K,) numbers) that draws sites and statistics."""
    return partial(_sites, form)


def _sweeps(form: GibbsForm, sums: Any, state: Any, key: Any, number: Any, adapting: Any) -> tuple[Any, Any]:
    """A block of sweeps of one chain."""

    def step(state: Any, x: tuple[Any, Any]) -> tuple[Any, Any]:
        state = form.sweep(sums, state, jax.random.fold_in(key, x[0]), x[1])
        return state, state

    return jax.lax.scan(step, state, (number, adapting))


def _sites(form: GibbsForm, sums: Any, states: Any, keys: Any, rows: Any, number: Any) -> Any:
    """Sites and statistics of some sweeps of a block, as many side by side as memory is meant to hold."""
    chains, size = keys.shape[0], rows.shape[0]
    flat = jax.tree.map(lambda v: v[:, rows].reshape(chains * size, *v.shape[2:]), states)
    own = jax.vmap(lambda k: jax.vmap(partial(jax.random.fold_in, k))(number))(keys).reshape(chains * size, -1)

    def one(x: tuple[Any, Any]) -> Any:
        return form.sites(sums, x[0], x[1]), form.stats(x[0])

    n = chains * size
    # A divisor, because a remainder would be a second program to compile.
    side_by_side = next(g for g in range(max(1, min(n, HELD // form.width)), 0, -1) if n % g == 0)
    drawn = jax.vmap(one)((flat, own)) if side_by_side == n else jax.lax.map(one, (flat, own), batch_size=side_by_side)
    return jax.tree.map(lambda v: v.reshape(chains, size, *v.shape[1:]), drawn)
