"""How programs are compiled: most run for a few seconds, and compiling them must not take longer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jaxlib

HAS_EMITTERS = jaxlib.version.__version_info__ < (0, 10)
"""Whether loops of CPU programs can be emitted without MLIR: later versions know no other way, and refuse the option."""


def jitted(f: Callable[..., Any]) -> Any:
    """`jax.jit` of a function that is called again and again."""
    return jax.jit(f, compiler_options=_options(1) if jax.default_backend() == "cpu" else None)


def jitted_once(f: Callable[..., Any]) -> Any:
    """`jax.jit` of a function that is called once: compiling it takes longer than running it."""
    return jax.jit(f, compiler_options=_options(0))


def _options(level: int) -> dict[str, bool | int]:
    """Of the compiler on CPUs: less polish, and loops without MLIR.

    Gibbs sweeps compile in two thirds of the time and run as fast, collapsed densities and smoothers run up to a third faster:
    `benchmarks/compiling.py`.
    """
    emitters: dict[str, bool | int] = {"xla_cpu_use_fusion_emitters": False} if HAS_EMITTERS else {}
    return emitters | {"xla_backend_optimization_level": level}
