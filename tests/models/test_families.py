"""Families against distributions written out: likelihoods, effects on the scale of the outcome, data they refuse."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import special, stats

from bayes_causal.data.panel import Panel
from bayes_causal.errors import DataError
from bayes_causal.estimates import Estimand
from bayes_causal.inference.fit import Auto
from bayes_causal.inference.generate import prior_sites
from bayes_causal.inference.tree import dataset
from bayes_causal.models.did_families import FAMILIES
from bayes_causal.models.hierarchical_did import HierarchicalDiD, Priors

OTHERS = tuple(f for f in FAMILIES if f != "gaussian")
NONLINEAR = tuple(f for f in FAMILIES if not FAMILIES[f].linear)
NARROW = Priors(intercept=1.0, time=1.0, slope=0.3)


def sites_of(model: HierarchicalDiD, size: int, seed: int) -> dict[str, np.ndarray]:
    return prior_sites(model, size, seed)


def predictor(model: HierarchicalDiD, q: dict[str, np.ndarray], prefix: str = "") -> np.ndarray:
    """(N,) η of every observed cell without the unit's intercept, from reported quantities, with γ and x in loops' terms."""
    d = model.design
    eta = q[f"{prefix}gamma"][d.time] + d.effect @ q[f"{prefix}coefficient"]
    return eta + (d.covariates @ (q[f"{prefix}beta"] * d.covariate_scale) if "beta" in q else 0.0)


def row_density(model: HierarchicalDiD, q: dict[str, np.ndarray], y: np.ndarray, eta: np.ndarray) -> np.ndarray:
    """Log density of y at η by SciPy."""
    if model.family == "poisson":
        return stats.poisson.logpmf(y, np.exp(eta))
    if model.family == "negative_binomial":
        n = q["dispersion"] ** -2
        return stats.nbinom.logpmf(y, n, n / (n + np.exp(eta)))
    if model.family == "student_t":
        return stats.t.logpdf(y, q["nu"], eta, q["sigma"] / 1.0)
    return stats.bernoulli.logpmf(y, special.expit(eta))


def by_grid(log_rows: Callable[[np.ndarray], np.ndarray], mean: float, sd: float) -> float:
    """log ∫ exp(Σ log_rows(α)) N(α | mean, sd) dα by 4,001 points over ± 12 sds."""
    alpha = mean + sd * np.linspace(-12, 12, 4001)
    values = log_rows(alpha) + stats.norm.logpdf(alpha, mean, sd)
    return float(special.logsumexp(values) + np.log(alpha[1] - alpha[0]))


@pytest.mark.parametrize("family", OTHERS)
def test_likelihood_of_a_unit_is_the_integral_over_its_intercept(
    family: str, make_outcomes: Callable[..., Panel], seed: int
) -> None:
    model = HierarchicalDiD(make_outcomes(family, "unbalanced"), effect="group", family=family, priors=NARROW)  # type: ignore[arg-type]
    sites = sites_of(model, 3, seed)
    named, found = model.natural(sites), model.log_likelihood(sites).values
    assert found.shape == (3, model.design.n_units)
    y, d = model.observed().values, model.design
    for s in range(3):
        q = {k: v[s] for k, v in named.items()}
        for u in range(0, d.n_units, 3):
            rows = d.unit == u
            if family == "lognormal_hurdle":
                expected = hurdle(model, q, u)
            else:
                eta, mean = predictor(model, q)[rows], q["intercept"] + d.unit_terms[u] @ q["delta"]
                of_rows = y[rows][:, None], eta[:, None]
                expected = by_grid(lambda a, r=of_rows, q=q: row_density(model, q, r[0], r[1] + a).sum(0), mean, q["sigma_unit"])
                expected += rows.sum() * np.log(d.scale)
            assert found[s, u] == pytest.approx(expected, rel=1e-6, abs=1e-6)


def hurdle(model: HierarchicalDiD, q: dict[str, np.ndarray], u: int) -> float:
    """The same for zeros and amounts, whose intercepts are independent."""
    d, y = model.design, model.observed().values
    rows, amount = d.unit == u, model.designs[""]
    eta, mean = predictor(model, q, "occurrence_")[rows], q["occurrence_intercept"] + d.unit_terms[u] @ q["occurrence_delta"]
    some = (y[rows] > 0)[:, None]
    value = by_grid(
        lambda a: special.log_expit(np.where(some, 1, -1) * (eta[:, None] + a)).sum(0), mean, q["occurrence_sigma_unit"]
    )
    if not some.any():
        return value
    eta, mean = predictor(model, q)[rows & (y > 0)], q["intercept"] + amount.unit_terms[u] @ q["delta"]
    log_y = np.log(y[rows & (y > 0)])
    covariance = q["sigma"] ** 2 * np.eye(log_y.size) + q["sigma_unit"] ** 2
    return value - log_y.sum() + stats.multivariate_normal.logpdf(log_y, eta + mean, covariance)


def means(model: HierarchicalDiD, q: dict[str, np.ndarray], off: np.ndarray) -> np.ndarray:
    """(N,) E y with the coefficients of (N, K) columns taken off."""

    def eta(prefix: str = "") -> np.ndarray:
        return q[f"{prefix}alpha"][model.design.unit] + predictor(model, q, prefix) - off @ q[f"{prefix}coefficient"]

    if model.family == "bernoulli":
        return special.expit(eta())
    if model.family == "lognormal_hurdle":
        return special.expit(eta("occurrence_")) * np.exp(eta() + q["sigma"] ** 2 / 2)
    return np.exp(eta())


@pytest.mark.parametrize("family", NONLINEAR)
@pytest.mark.parametrize("by", [None, "group", "event_time", "cohort", "time", "unit"])
def test_effects_are_differences_of_means_over_treated_cells(
    family: str, by: str | None, make_outcomes: Callable[..., Panel], seed: int
) -> None:
    """Against loops over active pairs; by group and event time one treatment at a time is taken away."""
    model = HierarchicalDiD(make_outcomes(family, "overlapping"), effect="group", family=family, priors=NARROW)  # type: ignore[arg-type]
    posterior = dataset(model, model.natural({k: v[None] for k, v in sites_of(model, 2, seed).items()}), ("chain", "draw"))
    q = {k: v.values[0, 1] for k, v in posterior.data_vars.items()}
    d, data, zero = model.design, model.panel.dataset, np.zeros_like(model.design.effect)
    total, base = means(model, q, zero), means(model, q, d.effect)
    members, without = defaultdict(list), defaultdict(list)
    event = model.panel.event_time[model.panel.observed]
    for row, g in np.argwhere(d.effect > 0):
        off = zero.copy()
        off[row, g] = 1.0
        if by in ("group", "event_time"):
            label = data["group"].values[g] if by == "group" else int(event[row, g])
            without[label].append(means(model, q, off)[row])
            members[label].append(total[row] - without[label][-1])
    if by not in ("group", "event_time"):
        for row in np.flatnonzero(d.effect.any(1)):
            u, t = data["unit"].values[d.unit[row]], data["time"].values[d.time[row]]
            label = {None: 0, "cohort": model.panel.cohort[d.unit[row]], "time": t, "unit": u}[by]
            members[label].append(total[row] - base[row])
            without[label].append(base[row])
    for name, expected in (
        ("att", {k: np.mean(v) for k, v in members.items()}),
        ("cumulative", {k: np.sum(v) for k, v in members.items()}),
        ("relative", {k: np.sum(v) / np.sum(without[k]) for k, v in members.items()}),
    ):
        draws = model.effect(posterior, Estimand(name, "mean", by))
        found = {0: draws.values[0, 1]} if by is None else dict(zip(draws[by].values.tolist(), draws.values[0, 1], strict=True))
        assert found == pytest.approx(expected, rel=1e-9)
    if by is None:
        assert posterior["att"].values[0, 1] == pytest.approx(np.mean(members[0]), rel=1e-9)


def test_leads_are_on_the_scale_of_the_outcome(make_outcomes: Callable[..., Panel], seed: int) -> None:
    """At each lead: the mean of what its coefficient adds to its rows' means."""
    model = HierarchicalDiD(make_outcomes("poisson", "one group"), effect="event_time", family="poisson", priors=NARROW)
    posterior = dataset(model, model.natural({k: v[None] for k, v in sites_of(model, 1, seed).items()}), ("chain", "draw"))
    q = {k: v.values[0, 0] for k, v in posterior.data_vars.items()}
    answer = model.effect(posterior, Estimand("att", "mean", "event_time"))
    leads = [int(e) for e in answer["event_time"].values if e < 0]
    assert len(leads) > 1
    for e in leads:
        column = list(model.structure.column_names).index(f"event time {e}")
        rows = model.design.effect[:, column] > 0
        off = np.zeros_like(model.design.effect)
        off[:, column] = model.design.effect[:, column]
        expected = (means(model, q, np.zeros_like(off)) - means(model, q, off))[rows].mean()
        assert answer.sel(event_time=e).values.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("family", OTHERS)
def test_simulated_outcomes_have_the_mean_and_are_of_the_family(
    family: str, make_outcomes: Callable[..., Panel], seed: int, rng: np.random.Generator
) -> None:
    """4,000 data sets at one draw: row means within five standard errors of E y, one row in 100,000 not."""
    model = HierarchicalDiD(make_outcomes(family), effect="constant", family=family, priors=NARROW)  # type: ignore[arg-type]
    q = {k: np.repeat(v, 4000, 0) for k, v in sites_of(model, 1, seed).items()}
    for known in {"sigma": 0.5, "nu": 8.0, "dispersion": 0.5}.items():
        q |= {known[0]: np.full(4000, known[1])} if known[0] in q else {}
    y, named = model.simulate(q, rng), {k: v[0] for k, v in model.natural(q).items()}
    if FAMILIES[family].linear:
        expected = named["alpha"][model.design.unit] + predictor(model, named)
    else:
        expected = means(model, named, np.zeros_like(model.design.effect))
    off = (y.mean(0) - expected) / (y.std(0) / np.sqrt(4000) + 1e-9)
    assert np.abs(off).max() < 5 and np.abs(off).mean() > 0.5
    refit = model.panel.replace_outcome(y[0].reshape(model.panel.observed.shape))
    assert FAMILIES[family].problems(refit) == [] or family == "bernoulli"
    if family == "student_t":
        assert stats.kurtosis(((y - expected) / y.std(0)).ravel()) > 0.5


REFUSED = [
    ("poisson", {(0, 1): -2.0, (3, 2): 0.5}, ["negative in 1 cell (0 at 1: -2)", "no whole number in 1 cell (3 at 2: 0.5)"]),
    ("negative_binomial", {(k, 2): -1.0 for k in range(5)}, ["negative in 5 cells (0 at 2: -1, 1 at 2: -1, 2 at 2: -1, …)"]),
    ("bernoulli", {(2, 2): 2.0}, ["takes 0 and 1", "in 1 cell (2 at 2: 2)"]),
    ("lognormal_hurdle", {(2, 2): -0.5}, ["amounts from 0 up", "(2 at 2: -0.5)"]),
]


@pytest.mark.parametrize(("family", "cells", "said"), REFUSED)
def test_outcomes_a_family_cannot_have_are_refused_all_at_once(
    family: str, cells: dict[tuple[int, int], float], said: list[str], make_outcomes: Callable[..., Panel]
) -> None:
    panel = make_outcomes(family)
    y = panel.dataset["outcome"].values.copy()
    for where, value in cells.items():
        y[where] = value
    with pytest.raises(DataError) as error:
        HierarchicalDiD(panel.replace_outcome(y), family=family)  # type: ignore[arg-type]
    assert all(s in str(error.value) for s in said)


def test_outcomes_without_a_level_to_compare_with_are_refused(make_outcomes: Callable[..., Panel]) -> None:
    panel = make_outcomes("poisson")
    none = panel.replace_outcome(np.where(panel.treated, 1.0, 0.0))
    for family, said in (("poisson", "zero in every untreated cell"), ("bernoulli", "0 in every untreated cell")):
        with pytest.raises(DataError, match=said):
            HierarchicalDiD(none, family=family)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="take its logarithm"):
        HierarchicalDiD(panel.replace_outcome(np.ones(panel.observed.shape)), family="lognormal_hurdle")
    with pytest.raises(DataError, match="fewer than two"):
        HierarchicalDiD(panel.replace_outcome(np.zeros(panel.observed.shape)), family="lognormal_hurdle")


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"family": "poisson", "errors": "ar1"}, "balanced", "errors 'iid' only, not 'ar1': a count has no additive error"),
        ({"family": "student_t", "errors": "ar1"}, "balanced", "no closed distribution"),
        ({"family": "bernoulli", "unit_slopes": True}, "balanced", "unit_slopes need family 'gaussian'"),
        ({"family": "poisson"}, "weighted", "weights are precisions of additive errors"),
        ({"family": "poison"}, "balanced", "did you mean 'poisson'"),
    ],
)
def test_options_a_family_does_not_have_are_refused_with_the_reason(
    options: dict[str, Any], kind: str, said: str, make_outcomes: Callable[..., Panel]
) -> None:
    family = options["family"] if options["family"] in FAMILIES else "poisson"
    with pytest.raises(ValueError, match=said):
        HierarchicalDiD(make_outcomes(family, kind), **options)


def test_errors_are_ar1_where_they_can_be(make_outcomes: Callable[..., Panel]) -> None:
    assert HierarchicalDiD(make_outcomes("student_t")).errors == "ar1"
    assert HierarchicalDiD(make_outcomes("poisson"), family="poisson").errors == "iid"


def test_only_normal_outcomes_have_an_exact_form(make_outcomes: Callable[..., Panel]) -> None:
    model, normal = HierarchicalDiD(make_outcomes("poisson"), family="poisson"), HierarchicalDiD(make_outcomes("student_t"))
    engine, reason = Auto().choose(model)
    assert engine.name == "collapsed"
    assert reason.startswith("the family is not Gaussian: coefficients are integrated out by a Laplace approximation")
    assert "exactly" in Auto().choose(normal)[1]
    with pytest.raises(ValueError, match="no collapsed form: the family is not Gaussian"):
        model.collapsed()
    with pytest.raises(ValueError, match="has an exact form"):
        normal.approximated()


def test_amounts_in_another_currency_have_effects_in_it(make_outcomes: Callable[..., Panel], seed: int) -> None:
    """Logarithms take the unit of money out: predictors are the same, effects are in the unit."""
    panel = make_outcomes("lognormal_hurdle")
    dear = panel.replace_outcome(8 * panel.dataset["outcome"].values)
    one, other = (HierarchicalDiD(p, effect="group", family="lognormal_hurdle") for p in (panel, dear))
    sites = sites_of(one, 5, seed)
    assert other.natural(sites)["att"] == pytest.approx(8 * one.natural(sites)["att"], rel=1e-9)
    assert other.natural(sites)["tau"] == pytest.approx(one.natural(sites)["tau"], rel=1e-12)


def test_a_tree_from_disk_answers_as_the_one_in_memory(make_outcomes: Callable[..., Panel], tmp_path: Any, seed: int) -> None:
    from bayes_causal.inference import tree
    from bayes_causal.inference.fit import fit
    from bayes_causal.inference.numpyro_nuts import NumpyroNuts

    model = HierarchicalDiD(make_outcomes("lognormal_hurdle"), effect="group", family="lognormal_hurdle")
    fitted = fit(model, NumpyroNuts(draws=20, warmup=20, chains=2, progress=False, max_tree_depth=4), seed=1)
    again = tree.load(tree.save(fitted, tmp_path / "posterior.nc"))
    assert {"occurrence_tau", "occurrence_alpha", "tau_group", "att"} <= set(again["posterior"].data_vars)
    for asked in (Estimand(), Estimand("att", "realised"), Estimand("relative"), Estimand("att", "mean", "group")):
        a, b = (model.effect(t["posterior"].to_dataset(), asked) for t in (fitted, again))
        xr.testing.assert_identical(a, b)
    assert fitted["posterior_predictive"]["y"].sizes["row"] == model.design.unit.size
    assert np.isfinite(fitted["log_likelihood"]["y"].values).all()
