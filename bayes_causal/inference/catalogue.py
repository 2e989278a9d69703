"""Every engine by the name study files use: the one place where a name becomes an engine."""

from __future__ import annotations

from collections.abc import Callable

from bayes_causal.errors import StudyError, closest
from bayes_causal.inference.collapsed import Collapsed
from bayes_causal.inference.engine import Engine
from bayes_causal.inference.fit import Auto
from bayes_causal.inference.numpyro_nuts import NumpyroNuts
from bayes_causal.inference.pymc_nuts import PymcNuts

ENGINES: dict[str, Callable[..., Engine | Auto]] = {
    "auto": Auto,
    "collapsed": Collapsed,
    "nuts": NumpyroNuts,
    "pymc": lambda **k: PymcNuts(sampler="pymc", **k),
    "nutpie": lambda **k: PymcNuts(sampler="nutpie", **k),
    "pymc_numpyro": lambda **k: PymcNuts(sampler="numpyro", **k),
}


def engine_from(name: str, *, draws: int = 1000, warmup: int = 1000, chains: int = 4) -> Engine | Auto:
    """The engine of that name with these counts; "auto" leaves the choice to `fit`.

    Raises
    ------
    StudyError
        No such engine.
    """
    if name not in ENGINES:
        raise StudyError(f"engine '{name}' does not exist{closest(name, ENGINES)}")
    return ENGINES[name](draws=draws, warmup=warmup, chains=chains)
