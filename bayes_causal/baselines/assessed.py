"""From a way to weigh donors to an estimate: the steps that all methods with donors share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bayes_causal.baselines.conformal import conformal
from bayes_causal.baselines.donors import Choice, comparisons
from bayes_causal.baselines.placebos import Placebos, assign, jackknife, ranked
from bayes_causal.baselines.synthetic import Question, Reference, Weigh, Weights, answer, cells, effects, question, ratio
from bayes_causal.errors import EstimandError, closest

if TYPE_CHECKING:
    from bayes_causal.baselines.donors import Comparisons
    from bayes_causal.data.panel import Panel
    from bayes_causal.estimates import Estimate

By = Literal["time", "event_time", "unit"] | None
Inference = Literal["auto", "placebo", "jackknife", "conformal", "none"]


@dataclass(frozen=True, eq=False)
class Method:
    """What tells one method from another.

    Parameters
    ----------
    name : str
    weigh : callable
        Case -> Weights.
    together : bool
        Whether treated units with the same periods share weights.
    conformal : bool
        Whether it has conformal intervals at all; `no_conformal` says why there are none this time.
    least : int
        Periods before the treatment that it needs.
    normal : bool
        Whether intervals under placebo and p-values are the normal ones of the standard error, not ranks.
    """

    name: str
    weigh: Weigh
    together: bool
    conformal: bool = False
    no_conformal: str = ""
    least: int = 1
    normal: bool = False

    @property
    def inferences(self) -> tuple[str, ...]:
        """Kinds of inference it has."""
        return ("auto", "placebo", "jackknife", *(["conformal"] if self.conformal else []), "none")


@dataclass(frozen=True)
class Problem:
    """A method on a panel, known by its name and options: what is fitted once serves every breakdown that is asked for."""

    panel: Panel
    method: Method = field(compare=False)
    choice: Choice = field(compare=False)
    options: tuple[Any, ...]


@dataclass(frozen=True)
class Ask:
    """What is asked of a method: breakdown, level of intervals, kind of inference, random placebo draws and their seed."""

    by: str | None = None
    level: float = 0.9
    inference: str = "auto"
    placebos: int = 200
    seed: int = 0


def assess(panel: Panel, method: Method, choice: Choice, ask: Ask, *options: Any) -> Estimate:
    """The estimate of a method; `options` are those its weights depend on beside the choice of donors.

    Raises
    ------
    EstimandError
        A question or option that does not exist, or a panel that the method does not apply to.
    """
    if ask.inference not in method.inferences:
        raise EstimandError(
            f"{method.name}: inference '{ask.inference}' does not exist{closest(str(ask.inference), method.inferences)}"
        )
    if not isinstance(ask.placebos, int) or ask.placebos < 2:
        raise EstimandError(f"{method.name}: placebos is {ask.placebos!r}: at least 2 random draws are needed")
    key = (method.name, *map(_hashable, (choice.donors, choice.exclude, choice.missing, choice.fit_periods, *options)))
    problem = Problem(panel, method, choice, key)
    found, weights, _ = _fitted(problem)
    asked = question(panel, found.cases, ask.by, method.name)
    reference = _reference(problem, asked, ask)
    unused = {} if (panel.dataset["weight"].values == 1).all() else {"panel_weights": "not used: every cell counts equally"}
    return answer(panel, method.name, found, asked, weights, reference, ask.level, unused)


@lru_cache(maxsize=8)
def _fitted(problem: Problem) -> tuple[Comparisons, list[Weights], Weigh]:
    """Cases, their weights, and what weighed them: it may hold settings that it chose for placebos."""
    method = problem.method
    found = comparisons(problem.panel, problem.choice, together=method.together, least=method.least)
    return found, [method.weigh(case) for case in found.cases], method.weigh


@lru_cache(maxsize=8)
def _placebos(problem: Problem, draws: int, seed: int) -> Placebos | str:
    found, _, weigh = _fitted(problem)
    return assign(found.cases, weigh, draws, seed)


def _hashable(value: Any) -> Any:
    if isinstance(value, str) or not isinstance(value, Iterable):
        return value
    return tuple(_hashable(v) for v in value)


def _reference(problem: Problem, asked: Question, ask: Ask) -> Reference:
    """What was asked for; under auto placebos, and the jackknife where there are none. Reasons stand in ``extra``."""
    reasons: list[str] = []
    for how in ("placebo", "jackknife") if ask.inference == "auto" else (ask.inference,):
        made = _one(how, problem, asked, ask)
        if isinstance(made, Reference):
            made = replace(made, extra=dict(made.extra) | {"inference_reason": "; ".join(reasons)}) if reasons else made
            return _normal(made) if problem.method.normal else made
        reasons.append(made)
    none = np.full(len(asked.average), np.nan)
    return Reference("none", none, extra={"inference_reason": "; ".join(reasons)})


def _normal(reference: Reference) -> Reference:
    """The same standard errors, judged by the normal distribution."""
    extra = {k: v for k, v in reference.extra.items() if k != "interval_reason"}
    return replace(reference, lower=None, upper=None, p_value=None, extra=extra)


def _one(how: str, problem: Problem, asked: Question, ask: Ask) -> Reference | str:
    """One kind of inference, or why it does not apply."""
    found, weights, weigh = _fitted(problem)
    cases = found.cases
    if how == "none":
        return "none was asked for"
    if how == "jackknife":
        return jackknife(cases, weights, asked)
    paths = [effects(c, w) for c, w in zip(cases, weights, strict=True)]
    value = asked.average @ cells(cases, paths)
    if how == "placebo":
        placebos = _placebos(problem, ask.placebos, ask.seed)
        if isinstance(placebos, str):
            return placebos
        return ranked(problem.panel, placebos, asked, value, ratio(cases, paths), ask.level)
    if len(cases) > 1 or len(cases[0].units) > 1:
        return f"conformal intervals are for one treated unit, and there are {sum(len(c.units) for c in cases)}"
    return problem.method.no_conformal or conformal(cases[0], weigh, asked, value, ask.level)
