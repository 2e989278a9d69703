"""Vectorised programs over many rows: blocks of one size and bounded memory, shared out over the cores.

A compiled program holds no lock, so that threads do. The precision of jax is each thread's own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

CHUNK = 256
HELD = 2**25


def on_cores(f: Callable[[Any], Any], tasks: Iterable[Any], *, compiled: bool = False) -> list[Any]:
    """`f` of each task, in double precision, side by side on the cores.

    Parameters
    ----------
    compiled : whether the programs of `f` are compiled; else the first task goes ahead, so that one thread compiles them
    """

    def precisely(task: Any) -> Any:
        with jax.enable_x64(True):
            return f(task)

    listed = list(tasks)
    ahead = len(listed) if len(listed) == 1 else int(not compiled)
    done = [precisely(task) for task in listed[:ahead]]
    if len(listed) == ahead:
        return done
    with ThreadPoolExecutor(os.cpu_count()) as cores:
        return [*done, *cores.map(precisely, listed[ahead:])]


def in_chunks(f: Callable[..., Any], *x: Any) -> Any:
    """A vectorised `f` over the rows of x, in chunks of one size, so that any number of rows is the same program."""
    rows = x[0].shape[0]
    padded = [np.concatenate([v, np.repeat(v[:1], -rows % CHUNK, 0)]) for v in map(np.asarray, x)]

    def block(start: int) -> Any:
        return jax.device_get(f(*(v[start : start + CHUNK] for v in padded)))

    blocks = on_cores(block, range(0, padded[0].shape[0], CHUNK))
    return jax.tree.map(lambda *b: np.concatenate(b)[:rows], *blocks)


def in_blocks(f: Callable[..., Any], numbers: int, sums: Any, *x: Any, held: int = HELD) -> Any:
    """`f(sums, *x)` over the leading problem axis in blocks of bounded memory, the last one padded.

    Parameters
    ----------
    numbers : what one problem holds at a time
    held : what a block may hold
    """
    problems = jax.tree.leaves(x)[0].shape[0]
    size = max(1, min(problems, held // numbers))

    def block(low: int) -> Any:
        rows = np.minimum(np.arange(low, low + size), problems - 1)
        return jax.device_get(f(*jax.tree.map(lambda v: v[rows], (sums, *x))))

    blocks = on_cores(block, range(0, problems, size))
    return jax.tree.map(lambda *b: np.concatenate(b)[:problems], *blocks)
