"""Compiled programs of a collapsed form, shared between fits: a second fit of the same form compiles nothing.

The data enter as arguments. Two forms share programs where everything but their sums is equal.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax

from bayes_causal.models.base import CollapsedForm

KEPT = 32
_programs: OrderedDict[tuple[Any, ...], Programs] = OrderedDict()


@dataclass(frozen=True, eq=False)
class Programs:
    """Vectorised and compiled. S points, n hyperparameters, P problems.

    Parameters
    ----------
    density : (sums, (S, n)) -> (S,) log densities
    draw : (sums, (S, n), (S, key)) -> sites (S, ...)
    many_density, many_draw : the same with P in front of everything, sums included
    """

    density: Callable[..., Any]
    draw: Callable[..., Any]
    many_density: Callable[..., Any]
    many_draw: Callable[..., Any]


def programs(form: CollapsedForm) -> Programs:
    """The programs of a form, compiled at their first call."""
    key = signature(form)
    if key not in _programs:
        bare = form.bare()
        density, draw = bare.log_density, bare.draw_sites
        one, one_draw = jax.vmap(density, (None, 0)), jax.vmap(draw, (None, 0, 0))
        _programs[key] = Programs(jax.jit(one), jax.jit(one_draw), jax.jit(jax.vmap(one)), jax.jit(jax.vmap(one_draw)))
        if len(_programs) > KEPT:
            _programs.popitem(last=False)
    return _programs[key]


def signature(form: CollapsedForm) -> tuple[Any, ...]:
    """What two forms must share to be one program."""
    return type(form), *form.signature()


def forget() -> None:
    """Drop every program, for tests that change the arithmetic underneath."""
    _programs.clear()
