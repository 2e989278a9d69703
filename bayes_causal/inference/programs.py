"""Compiled programs of a collapsed form, shared between fits: a second fit of the same form compiles nothing.

The data enter as arguments. Two forms share programs where everything but their sums is equal, loadings included.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import numpy as np

from bayes_causal.numerics.linear_gaussian import LinearGaussian, draw_sites, log_density

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


def programs(form: LinearGaussian) -> Programs:
    """The programs of a form, compiled at their first call."""
    key = signature(form)
    if key not in _programs:
        bare = replace(form, sums=None)
        density, draw = partial(log_density, bare), partial(draw_sites, bare)
        one, one_draw = jax.vmap(density, (None, 0)), jax.vmap(draw, (None, 0, 0))
        _programs[key] = Programs(jax.jit(one), jax.jit(one_draw), jax.jit(jax.vmap(one)), jax.jit(jax.vmap(one_draw)))
        if len(_programs) > KEPT:
            _programs.popitem(last=False)
    return _programs[key]


def signature(form: LinearGaussian) -> tuple[Any, ...]:
    """What two forms must share to be one program: hyperparameters, gaps, and blocks with their loadings."""
    # At values all different, a loading shows by its numbers which hyperparameters it is made of.
    apart = {h.name: np.asarray(np.sqrt(k + 2.0)) for k, h in enumerate(form.hypers)}
    loadings = tuple(b"" if b.factor is None else np.asarray(b.factor(apart)).tobytes() for b in form.blocks)  # type: ignore[arg-type]
    blocks = tuple((b.site, b.shape, b.prior_sd, b.start, b.stop) for b in form.blocks)
    return form.gaps, form.unit_scales, form.hypers, blocks, loadings


def forget() -> None:
    """Drop every program, for tests that change the arithmetic underneath."""
    _programs.clear()
