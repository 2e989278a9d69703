"""From a way to weigh donors to an estimate: the steps that all methods with donors share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bayes_causal.baselines.conformal import conformal
from bayes_causal.baselines.donors import Choice, comparisons
from bayes_causal.baselines.placebos import jackknife, placebo
from bayes_causal.baselines.synthetic import Question, Reference, Weigh, Weights, answer, cells, effects, question
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
class Ask:
    """What is asked of a method: breakdown, level of intervals, kind of inference, random placebo draws and their seed."""

    by: str | None = None
    level: float = 0.9
    inference: str = "auto"
    placebos: int = 200
    seed: int = 0


def assess(panel: Panel, method: Method, choice: Choice, ask: Ask, extra: Mapping[str, Any]) -> Estimate:
    """The estimate of a method.

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
    found = comparisons(panel, choice, together=method.together, least=method.least)
    weights = [method.weigh(case) for case in found.cases]
    asked = question(panel, found.cases, ask.by, method.name)
    value = asked.average @ cells(found.cases, [effects(c, w) for c, w in zip(found.cases, weights, strict=True)])
    reference = _reference(panel, method, found, weights, asked, value, ask)
    unused = {} if (panel.dataset["weight"].values == 1).all() else {"panel_weights": "not used: every cell counts equally"}
    return answer(panel, method.name, found, asked, weights, reference, ask.level, unused | dict(extra))


def _reference(
    panel: Panel, method: Method, found: Comparisons, weights: list[Weights], asked: Question, value: np.ndarray, ask: Ask
) -> Reference:
    """What was asked for; under auto placebos, and the jackknife where there are none. Reasons stand in ``extra``."""
    reasons: list[str] = []
    for how in ("placebo", "jackknife") if ask.inference == "auto" else (ask.inference,):
        made = _one(how, panel, method, found, weights, asked, value, ask)
        if isinstance(made, Reference):
            made = replace(made, extra=dict(made.extra) | {"inference_reason": "; ".join(reasons)}) if reasons else made
            return replace(made, lower=None, upper=None, p_value=None) if method.normal else made
        reasons.append(made)
    none = np.full(value.shape, np.nan)
    return Reference("none", none, extra={"inference_reason": "; ".join(reasons)})


def _one(
    how: str,
    panel: Panel,
    method: Method,
    found: Comparisons,
    weights: list[Weights],
    asked: Question,
    value: np.ndarray,
    ask: Ask,
) -> Reference | str:
    if how == "placebo":
        return placebo(panel, found.cases, method.weigh, asked, value, ask.level, ask.placebos, ask.seed)
    if how == "jackknife":
        return jackknife(found.cases, weights, asked)
    if how == "none":
        return "none was asked for"
    if len(found.cases) > 1 or len(found.cases[0].units) > 1:
        return f"conformal intervals are for one treated unit, and there are {sum(len(c.units) for c in found.cases)}"
    if method.no_conformal:
        return method.no_conformal
    return conformal(found.cases[0], method.weigh, asked, value, ask.level)
