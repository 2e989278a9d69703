"""Answers of many models in bounded memory: posteriors in vectorised blocks, only the estimates kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import xarray as xr

from bayes_causal.errors import TreeError
from bayes_causal.estimates import Estimand
from bayes_causal.inference.many import ManyDraws, draws_total, sample_many, stacked
from bayes_causal.inference.programs import signature
from bayes_causal.inference.tree import dataset
from bayes_causal.models.base import Collapsible, Describes, FromTotal, Model, Natural

HELD = 2**25


def estimate_many(
    models: Sequence[Model],
    estimands: Sequence[Estimand | str] | None = None,
    *,
    seed: int,
    draws: int = 1000,
    level: float = 0.9,
    keep_draws: bool = False,
) -> xr.Dataset:
    """Overall effects of many models, each on its own data.

    Models need not be of one shape: those that are share a program. Posteriors are drawn in blocks of bounded memory and only
    what is asked for is kept. Where the answers of a model hang on one number a draw, as those of a series on the sum of its
    counterfactual, that number is drawn alone: exactly of the law it has with paths, which are never drawn.

    Parameters
    ----------
    models : sequence of models with a collapsed form
    estimands : sequence of Estimand or str, optional
        Overall ones (no `by`); a name is taken on the scale of the headline. The headlines if left out.
    seed : int
        A model with one hyperparameter has random numbers of its own: its answers hang on its place among the models, and not on
        how they are cut into blocks. Other models share those of their block.
    draws : int
        Draws a model.
    level : float
        Probability of the equal-tailed intervals.
    keep_draws : bool
        Whether to return `draws` (problem, estimand, draw) too.

    Returns
    -------
    xarray.Dataset
        `value`, `std_error`, `lower`, `upper`, `prob_positive` (problem, estimand), in units of each outcome, and what proves
        each posterior: `pareto_k`, `efficiency`, `trusted` (problem). ``.to_dataframe()`` is the table.

    Raises
    ------
    TreeError
        No models, or models without a collapsed form.
    """
    if not models or not all(isinstance(m, Collapsible) for m in models):
        raise TreeError("estimate_many needs at least one model, and each with a collapsed form")
    forms = [m.collapsed() for m in models if isinstance(m, Collapsible)]
    groups: dict[Any, list[int]] = {}
    for k, form in enumerate(forms):
        groups.setdefault((signature(form), *(np.shape(v) for v in jax.tree.leaves(form.sums))), []).append(k)
    found: dict[int, tuple[np.ndarray, float, float, bool]] = {}
    for number, members in enumerate(groups.values()):
        form = forms[members[0]]
        total = draws_total(form) and all(isinstance(models[k], FromTotal) for k in members)
        total &= all(e.by is None for e in _asked(models[members[0]], estimands))
        size = max(1, HELD // (draws * (1 if total else form.width)))
        for low in range(0, len(members), size):
            block = members[low : low + size]
            sums = stacked([forms[k].sums for k in block])
            by_number = len(form.hypers) == 1
            own = seed if by_number else seed + 7919 * number + low
            drawn = sample_many(form, sums, seed=own, draws=draws, total=total, numbers=block)
            found |= {k: _answers(models[k], drawn, j, estimands) for j, k in enumerate(block)}
    x = np.stack([found[k][0] for k in range(len(models))])
    lower, upper = np.quantile(x, [(1 - level) / 2, (1 + level) / 2], axis=-1)
    both = ("problem", "estimand")
    columns = {
        "value": x.mean(-1),
        "std_error": x.std(-1, ddof=1),
        "lower": lower,
        "upper": upper,
        "prob_positive": (x > 0).mean(-1),
    }
    proof = {k: ("problem", np.array([found[j][i] for j in range(len(models))])) for i, k in enumerate(PROOF, 1)}
    table = xr.Dataset(
        {k: (both, v) for k, v in columns.items()} | proof, {"estimand": [e.name for e in _asked(models[0], estimands)]}
    )
    return table.assign(draws=((*both, "draw"), x)) if keep_draws else table


PROOF = ("pareto_k", "efficiency", "trusted")


def _asked(model: Model, estimands: Sequence[Estimand | str] | None) -> list[Estimand]:
    headline = model.headline if isinstance(model, Describes) else Estimand()
    return [e if isinstance(e, Estimand) else Estimand(e, headline.scale) for e in (estimands or [headline])]


def _answers(
    model: Model, drawn: ManyDraws, place: int, estimands: Sequence[Estimand | str] | None
) -> tuple[np.ndarray, float, float, bool]:
    """(estimand, draw) draws of one model's answers, and what proves them."""
    asked = _asked(model, estimands)
    if "total" in drawn.sites and isinstance(model, FromTotal):
        answers = np.stack([model.answers(drawn.sites["total"][place], e) for e in asked])
    else:
        sites = {name: v[place][None] for name, v in drawn.sites.items()}
        posterior = dataset(model, model.natural(sites) if isinstance(model, Natural) else sites, ("chain", "draw"))
        answers = np.stack([model.effect(posterior, e).values.ravel() for e in asked])
    return answers, float(drawn.k_hat[place]), float(drawn.fraction[place]), bool(drawn.trusted[place])
