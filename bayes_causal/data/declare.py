"""Which column plays which part in a panel, checked before any data are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bayes_causal.data import validate
from bayes_causal.errors import closest

LAYOUTS = ("campaign_rows",)
POST = "post"


@dataclass(frozen=True, eq=False)
class Declaration:
    """The parts of a panel, as `Panel.from_frame` takes them.

    Parameters
    ----------
    unit, time, outcome, treatment, arms, group, cohort, weights, cluster : str, optional
        Names of columns.
    exposures : table, optional
        Rows (unit, group, start, end), instead of a treatment column.
    covariates, predictors : tuple of str
        Names of columns.
    layout : {"campaign_rows"}, optional
    pre, post : pair of times, optional
        First and last, inclusive.
    terms : str, optional
        Right-hand side of a formula.
    """

    unit: str
    time: str
    outcome: str
    treatment: str | None = None
    group: str | None = None
    exposures: Any = None
    cohort: str | None = None
    covariates: tuple[str, ...] = ()
    weights: str | None = None
    cluster: str | None = None
    layout: str | None = None
    pre: Sequence[Any] | None = None
    post: Sequence[Any] | None = None
    terms: str | None = None
    arms: str | None = None
    predictors: tuple[str, ...] = ()

    @property
    def campaign_rows(self) -> bool:
        """True where a row is a unit, time and group."""
        return self.layout == "campaign_rows"

    @property
    def roles(self) -> dict[str, str | None]:
        """Role: column, for every column that plays one part."""
        shared: dict[str, str | None] = {"unit": self.unit, "time": self.time, "outcome": self.outcome}
        if self.campaign_rows:
            shared |= {"group": self.group, "treatment": self.treatment or "treated", "post": POST}
        elif self.exposures is None:
            shared |= {"treatment": self.treatment, "arms": self.arms, "cohort": self.cohort, "group": self.group}
        return shared | {"weights": self.weights, "cluster": self.cluster}

    @property
    def single_group(self) -> str:
        """The name of the one group, where no group is declared."""
        return self.treatment or self.arms or self.cohort or "exposure"

    def problems(self) -> list[str]:
        """Everything wrong with the declaration itself."""
        return [
            *self._treatment_problems(),
            *self._layout_problems(),
            *self._window_problems(),
            *validate.distinct_roles(self.roles, self.covariates),
            *self._predictor_problems(),
        ]

    def name_problems(self) -> list[str]:
        """Names that are not text, without which nothing else can be looked at."""
        named = [*self.roles.items(), *(("covariate", c) for c in self.covariates), ("terms", self.terms)]
        named += [("predictor", c) for c in self.predictors]
        needed = ("unit", "time", "outcome")
        return [
            f"{role} must name a column, as text, and is {name!r}"
            for role, name in named
            if not isinstance(name, str) and (name is not None or role in needed)
        ]

    def _treatment_problems(self) -> list[str]:
        given = [name for name in ("treatment", "arms", "exposures", "cohort") if getattr(self, name) is not None]
        if self.campaign_rows:
            extra = [name for name in given if name != "treatment"]
            return [f"layout campaign_rows says who is treated when, so {extra[0]} is not taken beside it"] if extra else []
        if not given:
            return [
                "nothing says who is treated when: give one of treatment (a 0/1 column), arms (a column of several treatments), "
                "cohort (first treated time) or exposures (a table)"
            ]
        both = f"{' and '.join(given)} both say who is treated when: give one of them"
        problems = (
            [f"{both}; what treated rows are treated with is `group`" if "arms" in given else both] if len(given) > 1 else []
        )
        if self.arms is not None and self.group is not None:
            problems.append("arms and group both say which treatment it is: leave one of them out")
        return problems

    def _layout_problems(self) -> list[str]:
        if self.layout is not None and self.layout not in LAYOUTS:
            return [f"layout '{self.layout}' does not exist{closest(str(self.layout), LAYOUTS)}"]
        if self.campaign_rows and self.predictors:
            return ["layout campaign_rows repeats a unit's period on several rows: predictors are not read from it"]
        if self.campaign_rows and self.group is None:
            return ["layout campaign_rows has one row per unit, time and group: name the group column"]
        return []

    def _predictor_problems(self) -> list[str]:
        own = {self.unit: "unit", self.time: "time", self.outcome: "outcome"} | dict.fromkeys(self.covariates, "covariate")
        return [
            f"predictor '{name}' is also a column of the {own[name]}: it can be used as a predictor without being listed"
            if own[name] in ("outcome", "covariate")
            else f"predictor '{name}' is also the {own[name]} column"
            for name in dict.fromkeys(self.predictors)
            if name in own
        ]

    def _window_problems(self) -> list[str]:
        return [
            f"`{name}` must be a pair [first, last] of times, and is {window!r}"
            for name, window in (("pre", self.pre), ("post", self.post))
            if window is not None and (isinstance(window, str) or not isinstance(window, Sequence) or len(window) != 2)
        ]


def declared_problems(keys: Mapping[str, Any], example: bool) -> list[str]:
    """What is wrong with the `data` keys of a study as the declaration of a panel; an example knows its own columns."""
    by_itself = all(keys.get(name) is None for name in ("treatment", "arms", "cohort"))
    names = ("treatment", "arms", "group", "cohort", "weights", "cluster", "layout", "pre", "post", "terms")
    taken = {name: keys.get(name) for name in names}
    return Declaration(
        unit=keys.get("unit") or "(unit)",
        time=keys.get("time") or "(time)",
        outcome=keys.get("outcome") or "(outcome)",
        exposures=keys.get("exposures") or ("example" if example and by_itself else None),
        covariates=tuple(keys.get("covariates") or ()),
        predictors=tuple(keys.get("predictors") or ()),
        **taken,
    ).problems()
