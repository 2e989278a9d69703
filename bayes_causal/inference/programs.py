"""Compiled programs of a collapsed form, shared between fits: a second fit of the same form compiles nothing.

The data enter as arguments. Two forms share programs where everything but their sums is equal.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax

from bayes_causal.models.base import ApproximateForm, CollapsedForm, OnLine
from bayes_causal.numerics.grouped import grouped

KEPT = 32
PATHS = 250
_programs: OrderedDict[tuple[Any, ...], Programs] = OrderedDict()


def _none(*_: Any) -> Any:
    raise TypeError("an exact form has no corrections")


@dataclass(frozen=True, eq=False)
class Programs:
    """Vectorised and compiled. S points, n hyperparameters, P problems.

    Parameters
    ----------
    density : (sums, (S, n)) -> (S,) log densities
    draw : (sums, (S, n), (S, key)) -> sites (S, ...)
    many_density, many_draw : the same with P in front of everything, sums included
    corrections : (sums, (S, n), (S, noise)) -> (S,) log corrections, for forms that are approximate
    many_table : (sums, (P, N, 1)) -> tables of N nodes, for forms on a line
    many_between : (sums, (P, N), tables, (P, S, 1), (P, S, key)) -> sites (P, S, ...), for forms on a line
    """

    density: Callable[..., Any]
    draw: Callable[..., Any]
    many_density: Callable[..., Any]
    many_draw: Callable[..., Any]
    corrections: Callable[..., Any] = _none
    many_table: Callable[..., Any] | None = None
    many_between: Callable[..., Any] | None = None


def programs(form: CollapsedForm) -> Programs:
    """The programs of a form, compiled at their first call."""
    key = signature(form)
    if key not in _programs:
        bare = form.bare()
        both = bare.log_density, bare.draw_sites
        over = [jax.jit(partial(way, f, bare.matrices)) for way in (_points, _problems) for f in both]
        more = {}
        if isinstance(bare, ApproximateForm):
            more["corrections"] = jax.jit(partial(_points, bare.correction, bare.matrices))
        if isinstance(bare, OnLine):
            more |= {
                "many_table": jax.jit(jax.vmap(jax.vmap(bare.table, (None, 0)))),
                "many_between": jax.jit(partial(_between, bare)),
            }
        _programs[key] = Programs(*over, **more)
        if len(_programs) > KEPT:
            _programs.popitem(last=False)
    return _programs[key]


def _points(f: Callable[..., Any], matrices: Callable[[Any], int], sums: Any, *x: Any) -> Any:
    """`f(sums, point)` over the leading axis of x."""
    return grouped(partial(f, sums), matrices(sums), *x)


def _problems(f: Callable[..., Any], matrices: Callable[[Any], int], sums: Any, *x: Any) -> Any:
    """`f(sums, points)` over the leading problem axis of both."""
    one = jax.tree.map(lambda v: v[0], sums)
    return grouped(lambda *problem: _points(f, matrices, *problem), matrices(one) * x[0].shape[1], sums, *x)


def _between(form: OnLine, sums: Any, nodes: Any, tables: Any, t: Any, keys: Any) -> Any:
    """Draws problem after problem, and `PATHS` draws at a time: paths that leave the cache cost twice as much."""

    def problem(one: tuple[Any, ...]) -> Any:
        own, nodes, tables, t, keys = one
        return jax.lax.map(lambda x: form.draw_between(own, nodes, tables, *x), (t, keys), batch_size=PATHS)

    return jax.lax.map(problem, (sums, nodes, tables, t, keys))


def signature(form: CollapsedForm) -> tuple[Any, ...]:
    """What two forms must share to be one program."""
    return type(form), *form.signature()


def forget() -> None:
    """Drop every program, for tests that change the arithmetic underneath."""
    _programs.clear()
