"""Forms with one hyperparameter: quadrature and independent draws, for one problem or many.

Every problem has random numbers of its own, and so has every chunk of its paths: how the work is cut into blocks and shared out
over the cores changes nothing but rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Any

import jax
import numpy as np

from bayes_causal.inference.blocks import HELD, in_blocks, on_cores
from bayes_causal.inference.programs import Programs, programs
from bayes_causal.inference.quadrature import COARSE, NODES, Lines, quadrature
from bayes_causal.models.forms import CollapsedForm, OnLine

BLOCK = 16
PATHS = 125


def on_lines(
    form: CollapsedForm, sums: Any, size: int, seed: int, *, total: bool = False, numbers: Sequence[int] | None = None
) -> tuple[Lines, dict[str, np.ndarray]]:
    """Quadrature over the one hyperparameter of P problems, and (P, size, ...) draws of the rest.

    Parameters
    ----------
    sums : NumPy arrays with a leading axis of P
    total : whether to draw only the number that overall answers hang on, as `total`; else the sites
    numbers : P numbers of the problems, which their random numbers are drawn by; 0, 1, ... if left out
    """
    compiled = programs(form)
    many_table, many_total = compiled.many_table, compiled.many_total_between if total else None
    problems = int(jax.tree.leaves(sums)[0].shape[0])
    known = np.arange(problems) if numbers is None else np.asarray(numbers)
    block = max(1, min(problems, BLOCK, HELD // (NODES * form.width)))
    kept = not total and compiled.between is not None

    def solve(low: int) -> tuple[Lines, Any]:
        """Tables of the problems of a block."""
        rows = np.minimum(np.arange(low, low + block), problems - 1)
        own = jax.tree.map(lambda v: v[rows], sums)
        uniform = np.stack([_stream(seed, known[k]).random((4, size)) for k in rows])
        tables: Any = None

        def density(t: np.ndarray) -> np.ndarray:
            """Log densities of all points of the block."""
            nonlocal tables
            if many_table is None:
                return np.asarray(compiled.many_density(own, t[..., None]))
            # Nodes come in one number or in twice as many: one program for both.
            parts = [many_table(own, v[..., None]) for v in np.split(t, t.shape[1] // COARSE, 1)]
            lp, tables = jax.tree.map(lambda *v: np.concatenate(v, 1), *parts)
            return np.asarray(lp)

        lines = quadrature(density, uniform[:, 0])
        if many_total is not None:
            return lines, np.asarray(many_total(own, lines.nodes, tables, lines.t, uniform[:, 1:]))
        return lines, jax.tree.map(np.asarray, tables) if kept else None

    solved = on_cores(solve, range(0, problems, block), compiled=_seen(compiled, (block, size, total)))
    lines = _joined([a for a, _ in solved], problems)
    rest = jax.tree.map(lambda *b: np.concatenate(b)[:problems], *(b for _, b in solved))
    if many_total is not None:
        return lines, {"total": rest}
    if kept:
        return lines, _paths(form, compiled, sums, lines, rest, seed, known)
    keys = np.stack(
        [np.asarray(jax.random.split(jax.random.PRNGKey(_stream(seed, k).integers(2**31)), size)) for k in known.tolist()]
    )
    return lines, in_blocks(compiled.many_draw, size * form.width, sums, lines.t[..., None], keys)


def _paths(
    form: CollapsedForm, compiled: Programs, sums: Any, lines: Lines, tables: Any, seed: int, known: np.ndarray
) -> dict[str, np.ndarray]:
    """(P, S, ...) sites, so many draws at a time: paths that leave the cache cost twice as much."""
    between = compiled.between
    assert isinstance(form, OnLine) and between is not None
    problems, size = lines.t.shape
    width = min(PATHS, size)
    starts = np.minimum(np.arange(0, size, width), size - width)
    normals = form.normals(jax.tree.map(lambda v: v[0], sums))

    sites: dict[str, np.ndarray] = {}
    lock = Lock()

    def draw(task: tuple[int, int]) -> None:
        """Draws of one problem, in their place."""
        k, start = task
        own, table = jax.tree.map(lambda v: v[k], (sums, tables))
        normal = _stream(seed, known[k], 1 + start).standard_normal((width, normals))
        drawn = jax.device_get(between(own, lines.nodes[k], table, lines.t[k, start : start + width, None], normal))
        with lock:
            sites.update({n: np.empty((problems, size, *v.shape[1:])) for n, v in drawn.items() if n not in sites})
        # The last chunk is as wide as the others and begins earlier: what it shares with the one before stays as that drew it.
        new = -(-start // width) * width
        for name, v in drawn.items():
            sites[name][k, new : start + width] = v[new - start :]

    tasks = [(k, int(start)) for k in range(problems) for start in starts]
    on_cores(draw, tasks, compiled=_seen(compiled, (width, normals)))
    return sites


def _stream(seed: int, *where: int) -> np.random.Generator:
    """Random numbers of a place in the work."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed, spawn_key=[int(k) for k in where])))


def _seen(compiled: Programs, shape: tuple[int, ...]) -> bool:
    """Whether programs ran on these shapes before; from now on they did."""
    found = shape in compiled.ready
    compiled.ready.add(shape)
    return found


def _joined(lines: list[Lines], problems: int) -> Lines:
    """Blocks of problems as one, without the padding of the last."""

    def whole(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in lines])[:problems]

    evaluated = max(part.evaluated for part in lines)
    return Lines(whole("t"), whole("lp"), whole("nodes"), whole("log_mass"), evaluated)
