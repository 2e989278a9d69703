"""Compiled programs of a collapsed form, shared between fits: a second fit of the same form compiles nothing.

The data enter as arguments. Two forms share programs where everything but their sums is equal.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax

from bayes_causal.models.forms import ApproximateForm, CollapsedForm, DrawsTotal, OnLine, TotalOnLine
from bayes_causal.numerics.grouped import grouped
from bayes_causal.numerics.jitted import jitted

KEPT = 64
_programs: OrderedDict[tuple[Any, ...], Any] = OrderedDict()


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
    many_total : (sums, (P, S, n), (P, S, key)) -> (P, S) totals, for forms that draw them
    many_table : (sums, (P, N, 1)) -> (P, N) log densities and tables of N nodes, for forms on a line
    between : (sums, (N,), tables, (S, 1), (S, n)) -> sites (S, ...) of one problem, for forms on a line
    many_total_between : (sums, (P, N), tables, (P, S), (P, 3, S)) -> (P, S) totals, for forms on a line that draw them
    ready : shapes for which a program is compiled already
    """

    density: Callable[..., Any]
    draw: Callable[..., Any]
    many_density: Callable[..., Any]
    many_draw: Callable[..., Any]
    corrections: Callable[..., Any] = _none
    many_total: Callable[..., Any] | None = None
    many_table: Callable[..., Any] | None = None
    between: Callable[..., Any] | None = None
    many_total_between: Callable[..., Any] | None = None
    ready: set[tuple[int, ...]] = field(default_factory=set)


def programs(form: CollapsedForm) -> Programs:
    """The programs of a form, compiled at their first call."""
    found: Programs = kept("collapsed", form, _made)
    return found


def kept(kind: str, form: Any, make: Callable[[Any], Any]) -> Any:
    """What `make` makes of a bare form, once for all forms that differ in their sums alone; the oldest of many are dropped."""
    key = kind, *signature(form)
    if key not in _programs:
        _programs[key] = make(form.bare())
        if len(_programs) > KEPT:
            _programs.popitem(last=False)
    return _programs[key]


def _made(bare: CollapsedForm) -> Programs:
    both = bare.log_density, bare.draw_sites
    density, draw, many_density, many_draw = (
        jitted(partial(way, f, bare.matrices)) for way in (_points, _problems) for f in both
    )
    more: dict[str, Any] = {}
    if isinstance(bare, ApproximateForm):
        more["corrections"] = jitted(partial(_points, bare.correction, bare.matrices))
    if isinstance(bare, DrawsTotal):
        more["many_total"] = jitted(partial(_problems, bare.draw_total, bare.matrices))
    if isinstance(bare, OnLine):
        more["many_table"] = jitted(jax.vmap(jax.vmap(bare.table, (None, 0))))
        more["between"] = jitted(jax.vmap(bare.draw_between, (None, None, None, 0, 0)))
    if isinstance(bare, TotalOnLine):
        more["many_total_between"] = jitted(partial(_totals_between, bare))
    return Programs(density, draw, many_density, many_draw, **more)


def _points(f: Callable[..., Any], matrices: Callable[[Any], int], sums: Any, *x: Any) -> Any:
    """`f(sums, point)` over the leading axis of x."""
    return grouped(partial(f, sums), matrices(sums), *x)


def _problems(f: Callable[..., Any], matrices: Callable[[Any], int], sums: Any, *x: Any) -> Any:
    """`f(sums, points)` over the leading problem axis of both."""
    one = jax.tree.map(lambda v: v[0], sums)
    return grouped(lambda *problem: _points(f, matrices, *problem), matrices(one) * x[0].shape[1], sums, *x)


def _totals_between(form: TotalOnLine, sums: Any, nodes: Any, tables: Any, t: Any, uniform: Any) -> Any:
    """Totals problem after problem: the tables of one stay in the cache."""
    return jax.lax.map(lambda problem: form.total_between(*problem), (sums, nodes, tables, t, uniform))


def signature(form: CollapsedForm) -> tuple[Any, ...]:
    """What two forms must share to be one program."""
    return type(form), *form.signature()


def forget() -> None:
    """Drop every program, for tests that change the arithmetic underneath."""
    _programs.clear()
