"""Effect structures of difference-in-differences: how the effect of an active treatment may vary, one a file.

Each structure is the same parts: its columns over rows and over active (row, group) pairs, its coordinates, its prior said in
NumPyro, in PyMC and as blocks of a linear Gaussian model, and its coefficients named in natural units. Adding a structure is
adding a file and its line in `STRUCTURES`.
"""

from __future__ import annotations

from collections.abc import Callable

from bayes_causal.data.panel import Panel
from bayes_causal.models.did_effects.cohort_time import CohortTimeEffect
from bayes_causal.models.did_effects.constant import ConstantEffect
from bayes_causal.models.did_effects.event_time import EventTimeEffect
from bayes_causal.models.did_effects.group import GroupEffect
from bayes_causal.models.did_effects.structure import EffectStructure, Pairs, active_pairs

STRUCTURES: dict[str, Callable[[Panel, tuple[int, int] | None], EffectStructure]] = {
    "constant": ConstantEffect,
    "group": GroupEffect,
    "event_time": EventTimeEffect,
    "cohort_time": CohortTimeEffect,
}

__all__ = [
    "STRUCTURES",
    "CohortTimeEffect",
    "ConstantEffect",
    "EffectStructure",
    "EventTimeEffect",
    "GroupEffect",
    "Pairs",
    "active_pairs",
]
