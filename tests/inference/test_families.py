"""Families end to end: known lifts come back, with flat priors counts are fixed-effects Poisson, a study of counts runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import special

from bayes_causal.data.panel import Panel
from bayes_causal.data.simulate import simulate_panel
from bayes_causal.estimates import Estimand
from bayes_causal.inference.collapsed import Collapsed
from bayes_causal.inference.numpyro_nuts import NumpyroNuts
from bayes_causal.inference.tree import dataset
from bayes_causal.models.hierarchical_did import HierarchicalDiD, Priors

MOST = 4.0
LIFTS = {"bernoulli": 1.8}
FAMILIES = ("poisson", "negative_binomial", "bernoulli", "student_t", "lognormal_hurdle")
PROVED = "embedded Laplace approximation, importance weights on every draw"


def lifted(family: str, rng: np.random.Generator, seed: int, units: int = 50, periods: int = 10) -> tuple[Panel, float]:
    """Units over periods with selection on levels, a lift in η, and the att on the scale of the outcome."""
    lift = LIFTS.get(family, 0.5)
    panel, _ = simulate_panel(units=units, periods=periods, effect=lift, sigma=1e-6, rho=0.0, unit_sd=0.6, time_sd=0.3, seed=seed)
    eta, on = panel.dataset["outcome"].values, panel.treated
    without = eta - lift * on
    if family == "student_t":
        return panel.replace_outcome(eta + 0.4 * rng.standard_t(3, eta.shape)), 0.5
    if family == "bernoulli":
        att = (special.expit(eta) - special.expit(without))[on].mean()
        return panel.replace_outcome((rng.random(eta.shape) < special.expit(eta)).astype(float)), att
    if family == "lognormal_hurdle":
        any_y = rng.random(eta.shape) < special.expit(0.5 + eta)
        y = np.where(any_y, np.exp(eta + 0.6 * rng.standard_normal(eta.shape)), 0.0)
        mean = (special.expit(0.5 + x) * np.exp(x + 0.18) for x in (eta, without))
        return panel.replace_outcome(y), float(np.subtract(*mean)[on].mean())
    level = rng.gamma(4.0, 0.25, eta.shape) if family == "negative_binomial" else 1.0
    att = (np.exp(1 + eta) - np.exp(1 + without))[on].mean()
    return panel.replace_outcome(rng.poisson(np.exp(1 + eta) * level).astype(float)), att


def posterior(model: HierarchicalDiD, engine: Any, seed: int) -> xr.Dataset:
    draws = engine.sample(model, seed=seed)
    assert np.mean(draws.stats.get("diverging", 0)) < 0.01
    assert PROVED in draws.path or engine.name == "nuts", draws.path
    return dataset(model, model.natural(draws.sites), ("chain", "draw"))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_known_lift_comes_back(family: Any, seed: int, rng: np.random.Generator) -> None:
    """The att, as parameter and on what happened, within four posterior sds of the truth, once in 8,000 seeds not."""
    panel, att = lifted(family, rng, seed)
    model = HierarchicalDiD(panel, effect="constant", family=family)
    found = posterior(model, Collapsed(draws=500), seed)
    for scale in ("mean", "realised"):
        draws = model.effect(found, Estimand("att", scale))
        assert abs(draws.mean() - att) < MOST * draws.std()
    assert abs(found["tau"].mean() - LIFTS.get(family, 0.5)) < MOST * found["tau"].std()
    assert found["att"].std() < 0.5 * att, "an interval so wide proves nothing"


@pytest.mark.parametrize("family", [pytest.param(f, marks=() if f == "poisson" else pytest.mark.slow) for f in FAMILIES])
def test_weighted_draws_agree_with_nuts_on_the_full_twin(
    family: Any, rng: np.random.Generator, disagreements: Callable[..., list[str]]
) -> None:
    """Every reported quantity, intercepts of units included: means and sds within Monte Carlo error."""
    panel, _ = lifted(family, rng, 21, units=12, periods=6)
    model = HierarchicalDiD(panel, effect="constant", family=family)
    weighted = posterior(model, Collapsed(), 1)
    full = posterior(model, NumpyroNuts(draws=600, warmup=400, target_accept=0.95, chain_method="vectorized", progress=False), 2)
    assert disagreements(weighted, full) == []
    assert disagreements(weighted * 1.15 + 0.01, full), "draws shifted and stretched would go unseen"


def test_where_a_laplace_approximation_is_bad_nuts_takes_over_and_says_so(seed: int, rng: np.random.Generator) -> None:
    """Two ones in a hundred cells under wide priors: most coefficients rest on zeros alone, whose likelihood has no peak."""
    panel, _ = simulate_panel(units=20, periods=5, seed=4)
    y = np.zeros(panel.observed.shape)
    y[0, 0] = y[3, 1] = 1.0
    model = HierarchicalDiD(
        panel.replace_outcome(y),
        effect="constant",
        family="bernoulli",
        priors=Priors(sigma_unit=5.0, slope=25.0, intercept=40.0, time=40.0, tau=5.0),
    )
    draws = Collapsed(draws=20, warmup=20, chains=2).sample(model, seed=seed)
    assert draws.path.startswith("NUTS on the full NumPyro twin") and "approximation was refused" in draws.path
    assert "Pareto k" in draws.path and "diverging" in draws.stats and draws.sites["alpha"].shape == (2, 20, 20)


def test_a_hurdle_is_sampled_in_two_parts_and_both_are_told(seed: int, rng: np.random.Generator) -> None:
    """Amounts exactly, zeros and ones approximately, each with its own proof."""
    panel, _ = lifted("lognormal_hurdle", rng, seed, units=12, periods=6)
    model = HierarchicalDiD(panel, effect="constant", family="lognormal_hurdle")
    draws = Collapsed(draws=100).sample(model, seed=seed)
    assert draws.path.startswith("main part: importance sampling") and f"; occurrence: {PROVED}" in draws.path
    assert {"pareto_k", "occurrence_pareto_k"} <= set(draws.numbers)
    assert {"alpha", "occurrence::alpha", "tau", "occurrence::tau", "sigma"} <= set(draws.sites)


@pytest.mark.slow
def test_counts_with_flat_priors_are_fixed_effects_poisson(rng: np.random.Generator, needs: Callable[[str], Any]) -> None:
    """τ within a fifth of a standard error of the maximum likelihood coefficient on unit and period dummies.

    Counts are near 50, so that intercepts are known without their prior; 2,000 effective draws leave a Monte Carlo error of
    0.02 standard errors.
    """
    sm = needs("statsmodels.api")
    panel, _ = simulate_panel(units=24, periods=8, effect=0.1, sigma=1e-6, rho=0.0, unit_sd=0.5, selection=0.8, seed=8)
    panel = panel.replace_outcome(rng.poisson(np.exp(4 + panel.dataset["outcome"].values)).astype(float))
    unit, time = np.nonzero(panel.observed)
    dummies = np.hstack([unit[:, None] == np.arange(24), time[:, None] == np.arange(1, 8)]).astype(float)
    x = np.column_stack([panel.treated[unit, time], dummies])
    classical = sm.GLM(panel.dataset["outcome"].values[unit, time], x, family=sm.families.Poisson()).fit(tol=1e-12)
    flat = Priors(tau=10.0, intercept=40.0, time=40.0, slope=10.0, sigma_unit=3.0)
    model = HierarchicalDiD(panel, effect="constant", family="poisson", priors=flat)
    found = posterior(model, Collapsed(), 1)["tau"]
    assert abs(float(found.mean()) - classical.params[0]) < 0.2 * classical.bse[0]
    assert abs(float(found.std()) / classical.bse[0] - 1) < 0.15
    pooled = sm.GLM(panel.dataset["outcome"].values[unit, time], sm.add_constant(x[:, :1]), family=sm.families.Poisson()).fit()
    assert abs(pooled.params[1] - classical.params[0]) > classical.bse[0], "without fixed effects the same would come out"


@pytest.mark.slow
def test_a_study_of_counts_runs_from_data_to_report(tmp_path: Path, rng: np.random.Generator) -> None:
    """Engine, refits of the checks, answers and report of a Poisson study; the reason for its engine is on record."""
    from bayes_causal.study.run import run_study

    panel, att = lifted("poisson", rng, 5)
    frame = panel.to_frame()
    frame.to_csv(tmp_path / "counts.csv", index=False)
    study = {
        "name": "counts",
        "data": {
            "source": str(tmp_path / "counts.csv"),
            "unit": "unit",
            "time": "time",
            "outcome": "outcome",
            "treatment": "treated",
        },
        "model": {"name": "hierarchical_did", "options": {"family": "poisson"}},
        "engine": {"draws": 400, "warmup": 400},
        "checks": ["pretrend", "placebo_time", "prior_sensitivity", "posterior_predictive", "mde"],
        "output": str(tmp_path / "run"),
    }
    folder = run_study(study, quiet=True)
    estimates = json.loads((folder / "estimates.json").read_text())
    checks = {c["name"]: c for c in json.loads((folder / "checks.json").read_text())}
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["engine"]["reason"].startswith("the family is not Gaussian: coefficients are integrated out by a Laplace")
    assert manifest["engine"]["path"].startswith(PROVED)
    assert estimates["verdict"]["reliable"] and abs(estimates["verdict"]["value"] - att) < 1.5
    assert any(r["estimand"] == "relative" and r["unit"] == "fraction" for r in estimates["estimates"])
    for name in ("pretrend", "placebo_time", "prior_sensitivity", "posterior_predictive", "mde"):
        assert "Does not apply" not in checks[name]["text"], checks[name]
    assert checks["placebo_time"]["passed"]
    assert (folder / "report.html").stat().st_size > 10_000
