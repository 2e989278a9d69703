"""The prior on the scale of the estimand is the one that the model's equations state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bayes_causal.data.panel import Panel
from bayes_causal.inference.generate import prior_sites
from bayes_causal.models.did_estimands import contraction
from bayes_causal.models.hierarchical_did import HierarchicalDiD, Priors

DRAWS = 20_000
P = Priors(tau=0.8, omega=0.6, step=0.4, cell=0.3)


def prior_variance(model: HierarchicalDiD) -> float:
    """Variance of the att under the prior on the standardised scale; E ω² = scale² for a half-normal scale ω."""
    weights = contraction(model.panel, model.structure, None)[0][0]
    names = model.structure.column_names
    if model.effects == "constant":
        return float(P.tau**2 * weights.sum() ** 2)
    if model.effects == "group":
        return float(P.tau**2 * weights.sum() ** 2 + P.omega**2 * (weights**2).sum())
    own = np.array([name.startswith("group") for name in names])
    lag = np.array([int(n.split()[-1]) if "event time" in n else -1 for n in names])
    walk = sum(weights[lag >= k].sum() ** 2 for k in range(1, lag.max() + 1))
    return float(P.tau**2 * weights[lag >= 0].sum() ** 2 + P.step**2 * walk + P.omega**2 * (weights[own] ** 2).sum())


@pytest.mark.parametrize(("effect", "kind"), [("group", "everything"), ("event_time", "overlapping")])
def test_prior_sd_of_the_att_is_the_closed_form(effect: Any, kind: str, make_panel: Callable[..., Panel], seed: int) -> None:
    """20,000 draws: mean and variance within five standard errors, estimated from the draws' fourth moment; once in a million."""
    model = HierarchicalDiD(make_panel(kind), effect=effect, errors="iid", priors=P)
    draws = model.natural(prior_sites(model, DRAWS, seed))["att"]
    variance = prior_variance(model) * model.panel.scale**2
    error = np.std((draws - draws.mean()) ** 2) / np.sqrt(DRAWS)
    assert abs(draws.mean()) < 5 * np.sqrt(variance / DRAWS)
    assert abs(draws.var() - variance) < 5 * error
    assert 5 * error < 0.15 * variance, "a variance off by 15 % would go unseen"


def test_natural_units_undo_the_standardisation(make_panel: Callable[..., Panel], rng: np.random.Generator) -> None:
    """E y computed from reported quantities is the twin's mean, in units of the outcome, row by row."""
    model = HierarchicalDiD(make_panel("everything"), effect="event_time", errors="iid")
    sites = {k: v[0] for k, v in prior_sites(model, 1, 1).items()}
    d, named = model.design, model.natural({k: np.asarray(v) for k, v in sites.items()})
    standardised = sites["alpha"][d.unit] + d.contrasts[d.time] @ sites["time_contrast"] + d.covariates @ sites["beta"]
    standardised = standardised + d.effect @ model.structure.coefficients(sites)
    unit, time = np.nonzero(model.panel.observed)
    x = model.panel.dataset["covariates"].values
    raw = x[unit, time] - x[unit, time].mean(0)
    natural = named["alpha"][unit] + named["gamma"][time] + raw @ named["beta"] + d.effect @ named["coefficient"]
    assert natural == pytest.approx(d.center + d.scale * standardised)
