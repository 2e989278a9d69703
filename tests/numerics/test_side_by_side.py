"""Forms beside each other: sweeps against the prior of both, as weights of donors and of periods are swept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from scipy import stats

from bayes_causal.models.period_weights import PREFIX, PeriodDesign, period_form, period_sums
from bayes_causal.models.synthetic_did import Priors
from bayes_causal.numerics.side_by_side import SweptSideBySide

N = 2000
PRIORS = Priors(intercept=1.5, sigma=0.7, concentration_low=0.1, concentration_high=2.0)


def prior(n: int, columns: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """n draws of the sites of either kind of weights from the prior."""
    alpha = np.exp(rng.uniform(np.log(PRIORS.concentration_low), np.log(PRIORS.concentration_high), n))
    # log Gamma(α) = log Gamma(α + 1) + log(U)/α, which does not underflow.
    log_g = np.log(rng.gamma(alpha[:, None] + 1, 1, (n, columns))) + np.log(rng.random((n, columns))) / alpha[:, None]
    log_w = log_g - np.logaddexp.reduce(log_g, 1)[:, None]
    sigma = np.abs(PRIORS.sigma * rng.standard_normal(n))
    return {"log_w": log_w, "log_alpha": np.log(alpha), "sigma": sigma, "intercept": PRIORS.intercept * rng.standard_normal(n)}


def test_sweeps_of_two_forms_leave_both_priors_as_they_are(
    rng: np.random.Generator, seed: int, swept: Callable[..., Any], held_to_the_prior: Callable[..., None]
) -> None:
    """Geweke's test with 2,000 replicates of two problems beside each other, each with data drawn from its prior.

    The second has two blanks after its four columns. Right sweeps fail once in 10,000 runs (KS of 10 quantities, and whether
    draws of one form tell of the other's); blanks stay at nothing. Data of which the intercept was left out are caught.
    """
    shapes = {"": (5, 3), PREFIX: (7, 4)}
    x = {k: rng.standard_normal(shape) for k, shape in shapes.items()}
    blanks = {"": 0, PREFIX: 2}
    form = SweptSideBySide({k: replace(period_form(_sums(x[k], np.zeros(len(x[k])), 0)), moves=2).bare() for k in shapes})

    def p_values(with_intercept: bool = True) -> dict[str, float]:
        old = {k: prior(N, shape[1], rng) for k, shape in shapes.items()}
        states = {
            k: {"log_w": np.column_stack([s["log_w"], np.full((N, blanks[k]), -np.inf)]), "log_alpha": s["log_alpha"]}
            | {"log_sigma": np.log(s["sigma"]), "rho": np.zeros(N)}
            for k, s in old.items()
        }
        sums = {k: _replicated(x[k], old[k], rng, blanks[k], with_intercept) for k in shapes}
        new = swept(form, sums, states, seed)
        assert (new[f"{PREFIX}weight"][:, 4:] == 0).all() and new[f"{PREFIX}weight"].shape == (N, 6)
        found = {}
        for k, shape in shapes.items():
            fresh = prior(N, shape[1], rng)
            with np.errstate(divide="ignore"):
                log_w = np.log(new[f"{k}weight"])
            pairs = {"sigma": (new[f"{k}sigma"], fresh["sigma"]), "intercept": (new[f"{k}intercept"], fresh["intercept"])}
            pairs |= {"log α": (new[f"{k}log_concentration"], fresh["log_alpha"])}
            pairs |= {f"log weight {j}": (log_w[:, j], fresh["log_w"][:, j]) for j in (0, shape[1] - 1)}
            found |= {f"{k} {name}": float(stats.ks_2samp(*pair).pvalue) for name, pair in pairs.items()}
        for name in ("sigma", "intercept"):
            found[f"both {name}"] = float(stats.spearmanr(new[name], new[f"{PREFIX}{name}"]).pvalue)
        return found

    held_to_the_prior(p_values, None)
    assert min(p_values(with_intercept=False).values()) < 1e-6


def _sums(x: np.ndarray, y: np.ndarray, blanks: int) -> Any:
    return period_sums(PeriodDesign(y, x, 0.0, 1.0), PRIORS, x.shape[1] + blanks)


def _replicated(x: np.ndarray, s: dict[str, np.ndarray], rng: np.random.Generator, blanks: int, with_intercept: bool) -> Any:
    """Sums of outcomes drawn for every replicate."""
    y = np.exp(s["log_w"]) @ x.T + s["sigma"][:, None] * rng.standard_normal((N, len(x)))
    y += s["intercept"][:, None] if with_intercept else 0.0
    return jax.tree.map(lambda *v: np.stack(v), *[_sums(x, one, blanks) for one in y])
