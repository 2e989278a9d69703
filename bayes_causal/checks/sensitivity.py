"""Does the answer hang on the prior? Power-scaling sensitivity of the headline estimand (Kallioinen et al. 2024)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr

from bayes_causal.checks.base import Check, answers, said
from bayes_causal.estimates import Estimand
from bayes_causal.models.base import Describes, Model

ALPHAS = (0.99, 1.01)
THRESHOLD = 0.05


def prior_sensitivity(model: Model, tree: xr.DataTree) -> Check:
    """How far the headline moves when the top-level priors, or the likelihood, are raised to a power near one.

    The cumulative Jensen-Shannon distance per unit of log2 power, by Pareto-smoothed importance sampling
    (doi:10.1007/s11222-023-10366-5). Above 0.05 in the prior: the prior matters. Above in both: prior and data disagree.
    Above in the prior only: the data say little.
    """
    if "log_likelihood" not in tree.children:
        return Check("prior_sensitivity", None, "warning", "Does not apply: the model has no pointwise likelihood.")
    headline = model.headline if isinstance(model, Describes) else Estimand()
    prior = sum(v.values for v in tree["log_prior"].data_vars.values())
    likelihood = tree["log_likelihood"].to_dataset()["y"].values
    likelihood = likelihood.reshape(*likelihood.shape[:2], -1).sum(-1)
    posterior = tree["posterior"].to_dataset()
    table = []
    for labels, draws in answers(model.effect(posterior, replace(headline, by=None))):
        few = draws.values[:, _kept(draws.shape[1], likelihood.shape[1])]
        table.append(labels | {"prior": _scaled(few, np.asarray(prior)), "likelihood": _scaled(few, likelihood)})
    worst = max(table, key=lambda r: r["prior"])
    numbers = {k: worst[k] for k in ("prior", "likelihood")}
    labels = {k: v for k, v in worst.items() if k not in numbers}
    what = f"{headline.name} of {said(labels)}" if labels else headline.name
    moved = numbers["prior"] >= THRESHOLD
    told = f"Sensitivity to the prior {numbers['prior']:.3f}, to the likelihood {numbers['likelihood']:.3f} (limit {THRESHOLD})."
    rows = table if labels else ()
    if not moved:
        most = ", and for all others less" if labels else ""
        text = f"The prior hardly matters for the {what}{most}. {told}"
        return Check("prior_sensitivity", True, "warning", text, numbers, rows)
    why = "the prior and the data disagree" if numbers["likelihood"] >= THRESHOLD else "the data say little, the prior fills in"
    text = f"The prior matters for the {what}: {why}. {told} Look at `priors` in the study and state why they are right."
    return Check("prior_sensitivity", False, "warning", text, numbers, rows)


def _kept(have: int, left: int) -> np.ndarray:
    """Positions of the draws that the thinned likelihood was computed for."""
    return np.unique(np.linspace(have - 1, 0, left).round().astype(int))


def _scaled(draws: np.ndarray, log_density: np.ndarray) -> float:
    """Sensitivity of (chain, draw) draws to powers of a density with (chain, draw) logs."""
    from arviz_stats.base import array_stats

    log_density = log_density - log_density.max()
    weights = []
    for alpha in ALPHAS:
        log_weights = array_stats.power_scale_lw(log_density.ravel(), alpha=alpha)
        weight = np.exp(log_weights - log_weights.max())
        weights.append((weight / weight.sum()).reshape(log_density.shape))
    return float(array_stats.power_scale_sense(draws, weights[0], weights[1], *ALPHAS))
