"""Every engine by the name study files use: the one place where a name becomes an engine. Importing this loads no engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bayes_causal.errors import StudyError, closest

if TYPE_CHECKING:
    from bayes_causal.inference.engine import Engine
    from bayes_causal.inference.fit import Auto


@dataclass(frozen=True)
class EngineEntry:
    """One engine: where it lives, the settings its name implies, and what it does in a line."""

    name: str
    module: str
    attribute: str
    line: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Any:
        """The engine's class."""
        return getattr(import_module(f"bayes_causal.inference.{self.module}"), self.attribute)


ENGINES: dict[str, EngineEntry] = {
    entry.name: entry
    for entry in (
        EngineEntry("auto", "fit", "Auto", "chosen from the model; the reason is recorded"),
        EngineEntry("collapsed", "collapsed", "Collapsed", "integrate out what is Gaussian, sample the rest"),
        EngineEntry("gibbs", "blocked_gibbs", "BlockedGibbs", "exact conditional draws, block by block"),
        EngineEntry("nuts", "numpyro_nuts", "NumpyroNuts", "NUTS on the NumPyro twin"),
        EngineEntry("pymc", "pymc_nuts", "PymcNuts", "NUTS on the PyMC twin, by PyMC", {"sampler": "pymc"}),
        EngineEntry("nutpie", "pymc_nuts", "PymcNuts", "NUTS on the PyMC twin, by nutpie", {"sampler": "nutpie"}),
        EngineEntry("pymc_numpyro", "pymc_nuts", "PymcNuts", "NUTS on the PyMC twin, by NumPyro", {"sampler": "numpyro"}),
    )
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
    entry = ENGINES[name]
    return entry.load()(draws=draws, warmup=warmup, chains=chains, **entry.settings)
