"""Simulation-based calibration of the forecast: does the counterfactual, and with it the realised effect, rank uniformly?

Parameters and states are drawn from the prior, a whole series given them, post-period included; the model is fitted to its
pre-period with the centre, scale, initial-level mean and slab of the original, passed explicitly, and forecasts the rest. The
true post-period then ranks uniformly among the draws of the counterfactual, and the effect that was added among those of the
realised effect: a forecast that forgets to carry the last error on, or the level's innovations, does not.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from bayes_causal.checks.calibration import DRAWS
from bayes_causal.data.time_series import TimeSeries
from bayes_causal.estimates import Estimand
from bayes_causal.inference import generate
from bayes_causal.inference.many import sample_many, stacked
from bayes_causal.inference.tree import dataset
from bayes_causal.models import series_predictive
from bayes_causal.models.structural_time_series import StructuralTimeSeries

LEVELS = (0.05, 0.25, 0.75, 0.95)
QUANTITIES = ("att", "cumulative", "counterfactual first", "counterfactual last", "counterfactual first, directed")
ADDED = 0.7  # sds of the outcome: the true effect in every replicate


def simulate_and_forecast(
    model: StructuralTimeSeries, *, replicates: int, seed: int, draws: int = DRAWS, thin: int = 5
) -> xr.Dataset:
    """Truths, ranks and intervals of the realised effect and of the counterfactual; `calibration.calibration` judges them.

    Parameters
    ----------
    model : StructuralTimeSeries
        Its dates, controls and options are kept; its outcomes are replaced.
    replicates : int
    draws : int
        Posterior draws a replicate, thinned from a chain `thin` times as long.

    Returns
    -------
    xarray.Dataset
        As `calibration.simulate_and_refit`: dims (quantity, replicate). Quantities: att and cumulative, on the outcome that
        happened; the counterfactual at the first and the last date of the post-period; and at the first date in the direction in
        which the last outcome lies off the mean and errors persist (a function of the data may choose the sign, Modrák et al.
        2023): where the last error is forgotten, ranks of this one shift, and those of the others only spread.
    """
    rng = np.random.default_rng(seed)
    d, series = model.design, model.series
    natural = d.center + d.scale * simulated(model, generate.prior_sites(model, replicates, seed), rng)
    post = np.flatnonzero(series.post)
    added = ADDED * d.scale
    again = [of_outcome(model, y, added) for y in natural]
    forms = [m.collapsed(m.design.y[m.design.fitted]) for m in again]
    drawn = sample_many(forms[0], stacked([f.sums for f in forms]), seed=seed + 1, draws=draws * thin)
    found, truth = [], []
    for k, one in enumerate(again):
        posterior = dataset(
            one, one.natural({n: v[k][None, thin - 1 :: thin] for n, v in drawn.sites.items()}), ("chain", "draw")
        )
        effects = {n: one.effect(posterior, Estimand(n, "realised")).values.ravel() for n in ("att", "cumulative")}
        ahead = posterior["counterfactual"].transpose("chain", "draw", "time").values[0]
        sign, first, last = direction(natural[k][d.fitted]), post[0], post[-1]
        found.append(np.stack([*effects.values(), ahead[:, first], ahead[:, last], sign * ahead[:, first]]))
        truth.append([added, added * post.size, natural[k][first], natural[k][last], sign * natural[k][first]])
    x, t = np.stack(found, 1), np.array(truth).T
    both = ("quantity", "replicate")
    return xr.Dataset(
        {
            "truth": (both, t),
            "rank": (both, (x < t[..., None]).sum(-1)),
            "mean": (both, x.mean(-1)),
            "sd": (both, x.std(-1, ddof=1)),
            "quantile": ((*both, "level"), np.moveaxis(np.quantile(x, LEVELS, axis=-1), 0, -1)),
            "pareto_k": ("replicate", drawn.k_hat),
            "trusted": ("replicate", drawn.trusted),
        },
        {"quantity": list(QUANTITIES), "level": list(LEVELS)},
        {"draws": draws},
    )


def direction(outcome: np.ndarray) -> float:
    """1 or −1: the side of the mean that the last of (N,) outcomes lies on, turned round where neighbours are opposed."""
    off = outcome - outcome.mean()
    return 1.0 if off[-1] * (off[1:] @ off[:-1]) >= 0 else -1.0


def simulated(model: StructuralTimeSeries, sites: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
    """(R, T) whole series on the standardised scale, post-period included, from the prior's sites: one path of errors each."""
    d = model.design
    paths = series_predictive.paths(model.parts, sites, d, rng)
    expected = series_predictive.expected(paths, model.regression_prior.coefficients(sites, d), d)
    whole = replace(d, fitted=np.ones(d.rows, bool))
    return np.asarray(expected + model.error_structure.anew(sites, whole, rng))


def of_outcome(model: StructuralTimeSeries, outcome: np.ndarray, added: float) -> StructuralTimeSeries:
    """The model on other outcomes (T,), with an effect added to the post-period, standardised as the original is."""
    d, series = model.design, model.series
    again = copy(model)
    # The design is kept as it was but for the outcome: standardising each replicate by its own data would fail a right model.
    y = np.where(series.observed, (outcome - d.center) / d.scale, np.nan)
    changed = series.dataset.assign(outcome=("time", np.where(series.post, outcome + added, outcome)))
    vars(again).update(series=TimeSeries(changed), design=replace(d, y=y))
    return again
