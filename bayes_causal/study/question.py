"""What a study on several series asks, a shock of some size and an outcome, and the answer in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayes_causal.data.kinds import KINDS
from bayes_causal.errors import StudyError, closest
from bayes_causal.study.schema import QuestionSection, Study

if TYPE_CHECKING:
    from bayes_causal.data.multi_series import MultiSeries
    from bayes_causal.estimates import Estimate

ENDS = ("value", "std_error", "lower", "upper", "prob_positive")


def asked(study: Study, data: Any) -> dict[str, str]:
    """Labels of the rows that the verdict is on: the series and the shock of the question; none for other kinds of data.

    Raises
    ------
    StudyError
        The data have no such series or shock.
    """
    if not KINDS[study.data.kind].together:
        return {}
    series: MultiSeries = data
    question = study.question or QuestionSection()
    named = {"series": (question.outcome, series.series_names), "shock": (question.shock, series.shock_names)}
    problems = [f"question: there is no {k} '{n}'{closest(n, valid)}" for k, (n, valid) in named.items() if n and n not in valid]
    problems += [f"the data have no {k}, and nothing can be asked of them" for k, (_, valid) in named.items() if not valid]
    if problems:
        raise StudyError(problems)
    return {key: name or valid[0] for key, (name, valid) in named.items()}


def answer(study: Study, model: Any, tree: xr.DataTree, labels: Mapping[str, str]) -> dict[str, Any]:
    """What a shock of the size asked for does to the outcome asked for, and in which regime the series are now.

    Parameters
    ----------
    model : a model with `effect`, `today` and `headline`, as RegimeSwitching
    labels : series and shock

    Returns
    -------
    dict
        question; ``effect`` (that of the shock, times its size, averaged over regimes as they are today), ``regime_effects`` (the
        same in each), ``regime_probabilities`` (filtered: from the outcomes up to `as_of`, none later), ``uncertainty``: the
        posterior sd of the effect, that of which regime it is (the sd of the effect over regimes), and an interval that holds
        both.
    """
    posterior = tree["posterior"].to_dataset()
    magnitude = (study.question or QuestionSection()).magnitude
    by_regime = magnitude * _effect(model, posterior, labels, "regime")
    now = model.today(posterior).transpose("chain", "draw", "regime")
    average = _estimate(study, magnitude * _effect(model, posterior, labels), "")
    regimes = _estimate(study, by_regime, "regime")
    probability = _estimate(study, now, "regime")
    return {
        "question": {"shock": labels["shock"], "outcome": labels["series"], "magnitude": magnitude},
        "effect": _numbers(average)[0] | {"level": study.level, "unit": labels["series"]},
        "regime_effects": [
            {"regime": int(k)} | row for k, row in zip(by_regime["regime"].values, _numbers(regimes), strict=True)
        ],
        "regime_probabilities": [
            {"regime": int(k), "probability": row["value"], "lower": row["lower"], "upper": row["upper"]}
            for k, row in zip(now["regime"].values, _numbers(probability), strict=True)
        ],
        "as_of": str(np.asarray(posterior["time"].values)[-1])[:10],
        "uncertainty": _uncertainty(by_regime, now, study.level) | {"std_error": _numbers(average)[0]["std_error"]},
    }


def _effect(model: Any, posterior: xr.Dataset, labels: Mapping[str, str], by: str | None = None) -> xr.DataArray:
    from dataclasses import replace

    found: xr.DataArray = model.effect(posterior, replace(model.headline, by=by)).sel(labels, drop=True)
    return found.transpose("chain", "draw", ...)


def _estimate(study: Study, draws: xr.DataArray, by: str) -> Estimate:
    from bayes_causal.estimates import Estimand, from_draws

    return from_draws(draws, Estimand("regime_effect", by=by or None), "", level=study.level, interval=study.interval)


def _numbers(found: Estimate) -> list[dict[str, Any]]:
    return [{key: row[key] for key in ENDS} for row in found.rows()]


def _uncertainty(by_regime: xr.DataArray, now: xr.DataArray, level: float) -> dict[str, float]:
    """Of (chain, draw, regime) effects under (chain, draw, regime) probabilities: a mixture over regimes, draw by draw."""
    value, weight = by_regime.values.ravel(), now.values.ravel()
    average = (by_regime * now).sum("regime")
    between = float((now * (by_regime - average) ** 2).sum("regime").mean())
    order = np.argsort(value)
    reached = np.cumsum(weight[order]) / weight.sum()
    low, high = (float(value[order][np.searchsorted(reached, q)]) for q in ((1 - level) / 2, (1 + level) / 2))
    return {"over_regimes": between**0.5, "lower_in_an_unknown_regime": low, "upper_in_an_unknown_regime": high}
