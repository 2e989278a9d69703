"""Which column plays which part in a series, and where its intervention lies, checked before any data are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

ROWS = "row"
LAST = "last"  # an intervention at the last date with an outcome: a test being planned, all dates before are its pre-period


@dataclass(frozen=True, eq=False)
class SeriesDeclaration:
    """The parts of a series, as `TimeSeries.from_frame` takes them.

    Parameters
    ----------
    outcome : str
        Name of a column.
    time : str, optional
        Name of a column; left out, rows are taken in their order.
    controls : tuple of str
        Names of columns.
    placebo_outcomes : tuple of str
        Names of columns.
    intervention, end : time labels, optional
    pre, post : pair of time labels, optional
        First and last, inclusive.
    """

    outcome: str
    time: str | None = None
    controls: tuple[str, ...] = ()
    intervention: Any = None
    end: Any = None
    pre: Sequence[Any] | None = None
    post: Sequence[Any] | None = None
    placebo_outcomes: tuple[str, ...] = ()

    @property
    def roles(self) -> dict[str, str | None]:
        """Role: column, for every column that plays one part."""
        return {"time": self.time, "outcome": self.outcome}

    def problems(self) -> list[str]:
        """Everything wrong with the declaration itself."""
        return [*self._intervention_problems(), *self._window_problems(), *self._column_problems()]

    def name_problems(self) -> list[str]:
        """Names that are not text, without which nothing else can be looked at."""
        named = [*self.roles.items(), *(("control", c) for c in self.controls)]
        named += [("placebo outcome", c) for c in self.placebo_outcomes]
        return [
            f"{role} must name a column, as text, and is {name!r}"
            for role, name in named
            if not isinstance(name, str) and (name is not None or role == "outcome")
        ]

    def _intervention_problems(self) -> list[str]:
        if self.intervention is None and self.post is None:
            return [
                "nothing says when the intervention was: give `intervention`, its first date, or `post`, [first, last]; or "
                f"`intervention: {LAST}` for a test that is being planned"
            ]
        return []

    def _window_problems(self) -> list[str]:
        return [
            f"`{name}` must be a pair [first, last] of times, and is {window!r}"
            for name, window in (("pre", self.pre), ("post", self.post))
            if window is not None
            and (isinstance(window, str) or not isinstance(window, (Sequence, np.ndarray)) or len(window) != 2)
        ]

    def _column_problems(self) -> list[str]:
        problems = []
        if self.time is not None and self.time == self.outcome:
            problems.append(f"column '{self.time}' is declared both as time and as outcome")
        for name in dict.fromkeys(self.controls):
            taken = [role for role, other in self.roles.items() if other == name]
            if taken:
                problems.append(f"control '{name}' is also the {taken[0]} column: leave it out of `controls`")
            if self.controls.count(name) > 1:
                problems.append(f"control '{name}' is listed {self.controls.count(name)} times")
        for name in dict.fromkeys(self.placebo_outcomes):
            taken = [role for role, other in self.roles.items() if other == name]
            if taken:
                problems.append(f"placebo outcome '{name}' is also the {taken[0]} column: leave it out of `placebo_outcomes`")
            if name in self.controls:
                problems.append(f"placebo outcome '{name}' is also a control, and those are asked anyway: leave it out")
            if self.placebo_outcomes.count(name) > 1:
                problems.append(f"placebo outcome '{name}' is listed {self.placebo_outcomes.count(name)} times")
        return problems


def declared_problems(keys: Mapping[str, Any], example: bool) -> list[str]:
    """What is wrong with the `data` keys of a study as the declaration of a series; an example knows its own intervention."""
    intervention = keys.get("intervention")
    if intervention is None and example and keys.get("post") is None:
        intervention = "example"
    return SeriesDeclaration(
        outcome=keys.get("outcome") or "(outcome)",
        time=keys.get("time"),
        controls=tuple(keys.get("controls") or ()),
        intervention=intervention,
        end=keys.get("end"),
        pre=keys.get("pre"),
        post=keys.get("post"),
        placebo_outcomes=tuple(keys.get("placebo_outcomes") or ()),
    ).problems()
