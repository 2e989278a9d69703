"""The collapsed form of difference-in-differences against the dense normal distribution, written out row by row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from bayes_causal.data.panel import Panel
from bayes_causal.data.simulate import simulate_panel
from bayes_causal.models.hierarchical_did import HierarchicalDiD
from bayes_causal.numerics.linear_gaussian import Hyper, LinearGaussian, draw_sites, log_density, log_marginal
from bayes_causal.numerics.unit_effects import BLOCK

TOLERANCE = 1e-8
# Programs that run a few times: compiling fast matters, running fast does not.
COMPILE = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
EFFECTS, ERRORS = ("constant", "group", "event_time", "cohort_time"), ("iid", "ar1")
PANELS: dict[str, dict[str, Any]] = {
    "plain": {},
    "covariate": {"covariates": 2},
    "weights": {"units": 60, "periods": 5, "weighted": True},
    "gaps": {"missing": 0.2},
    "gaps+weights": {"units": 60, "periods": 5, "missing": 0.2, "weighted": True},
    "overlapping": {"overlapping": True, "duration": 2},
    "everything": {"overlapping": True, "duration": 2, "covariates": 1, "missing": 0.2, "weighted": True},
}
# Effects enter through blocks and data through sums, so pairs of (panel, errors) and (effect, errors) cover the code; the
# rest is slow.
CORE = {
    ("plain", "event_time", "ar1"),
    ("plain", "cohort_time", "iid"),
    ("covariate", "constant", "ar1"),
    ("weights", "event_time", "iid"),
    ("weights", "group", "ar1"),
    ("gaps", "constant", "iid"),
    ("gaps", "group", "ar1"),
    ("gaps+weights", "event_time", "ar1"),
    ("gaps+weights", "cohort_time", "ar1"),
    ("overlapping", "event_time", "iid"),
    ("overlapping", "group", "ar1"),
    ("everything", "group", "iid"),
    ("everything", "event_time", "ar1"),
}


def built(kind: str, seed: int, **options: Any) -> HierarchicalDiD:
    units = {"units": options.pop("units")} if "units" in options else {}
    panel, _ = simulate_panel(**({"units": 16, "periods": 7, "groups": 3, "seed": seed} | PANELS[kind] | units))
    return HierarchicalDiD(panel, window=(2, 2) if options["effect"] == "cohort_time" else None, **options)


def loadings(model: HierarchicalDiD, theta: Mapping[str, float]) -> dict[str, tuple[float, np.ndarray]]:
    """Prior sd of each site, and what one unit of each of its entries adds to the (N,) rows: the model's equations in loops."""
    d, p, after = model.design, model.priors, np.arange(1, model.design.n_times)
    parts: dict[str, tuple[float, np.ndarray]] = {"intercept": (p.intercept, np.ones((d.y.size, 1)))}
    parts["delta"] = p.slope, d.unit_terms[d.unit]
    if model.time_effects == "fixed":
        parts["time_contrast"] = p.time, d.contrasts[d.time]
    else:
        parts["time_offset"] = 1.0, theta["step_time"] * (d.time[:, None] >= after)
    parts |= effect_loadings(model, theta)
    if d.covariates.size:
        parts["beta"] = p.slope, d.covariates
    return parts


def effect_loadings(model: HierarchicalDiD, theta: Mapping[str, float]) -> dict[str, tuple[float, np.ndarray]]:
    """The same for the sites of the effect: walks step by step, deviations one by one."""
    x, p = model.design.effect, model.priors
    if model.effects in ("constant", "group"):
        parts = {"tau": (p.tau, x.sum(1, keepdims=True))}
        return parts | ({"group_offset": (1.0, theta["omega"] * x)} if model.effects == "group" else {})
    event = [int(c.split("event time ")[1]) if "event time" in c else None for c in model.structure.column_names]
    lags = sorted({e for e in event if e is not None and e >= 0})
    leads = sorted({e for e in event if e is not None and e < 0})

    def total(which: list[bool]) -> np.ndarray:
        return x[:, which].sum(1)

    parts = {"lag_first": (p.tau, total([e is not None and e >= 0 for e in event])[:, None])}
    steps = [theta["step_lag"] * total([e is not None and e >= first for e in event]) for first in lags[1:]]
    parts["lag_offset"] = 1.0, np.array(steps).T
    if leads:
        steps = [theta["step_lead"] * total([e is not None and e <= last for e in event]) for last in leads]
        parts["lead_offset"] = 1.0, np.array(steps).T
    if model.effects == "event_time":
        own = [e is None for e in event]
        return parts | ({"group_offset": (1.0, theta["omega"] * x[:, own])} if any(own) else {})
    before = np.array([e < 0 for e in event])
    cohort = np.array([c.split(",")[0] for c in model.structure.column_names])
    parts["lead_cell_offset"] = 1.0, theta["omega_lead"] * x[:, before]
    parts["cell_offset"] = 1.0, theta["omega_cell"] * x[:, ~before]
    each = [theta["omega"] * x[:, ~before & (cohort == f"cohort {c}")].sum(1) for c in model.structure.coords()["cohort"]]
    return parts | {"cohort_offset": (1.0, np.array(each).T)}


def noise(model: HierarchicalDiD, theta: Mapping[str, float]) -> np.ndarray:
    """(N, N) covariance of u_i + v_i D_it + ε_it."""
    d, rho = model.design, theta.get("rho", 0.0)
    period = model.panel.dataset["period"].values[d.time]
    apart = np.abs(period[:, None] - period)
    same = (d.unit[:, None] == d.unit).astype(float)
    correlation = np.where(apart == 0, 1.0, np.power(rho, np.maximum(apart, 1)))
    errors = theta["sigma"] ** 2 / (1 - rho**2) * correlation / d.sqrt_weight[:, None] / d.sqrt_weight
    active = model.panel.dataset["treatment"].values[model.panel.observed].sum(1)
    slopes = theta.get("sigma_slope", 0.0) ** 2 * active[:, None] * active
    return same * (errors + theta["sigma_unit"] ** 2 + slopes)


def dense(model: HierarchicalDiD, theta: Mapping[str, float]) -> float:
    """log p(y | θ) by one Cholesky factor of the (N, N) covariance."""
    covariance = noise(model, theta) + sum(sd**2 * x @ x.T for sd, x in loadings(model, theta).values())
    chol = np.linalg.cholesky(covariance)
    w = np.linalg.solve(chol, model.design.y)
    return float(-np.log(np.diag(chol)).sum() - 0.5 * w @ w - 0.5 * w.size * np.log(2 * np.pi))


def conditional(model: HierarchicalDiD, theta: Mapping[str, float]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Sites in order, and mean and covariance of their entries given y and θ, by textbook conditioning."""
    parts = loadings(model, theta)
    x = np.hstack([part for _, part in parts.values()])
    sd = np.concatenate([np.full(part.shape[1], s) for s, part in parts.values()])
    cross = (x * sd**2).T
    gain = np.linalg.solve(noise(model, theta) + x @ cross, cross.T).T
    return list(parts), gain @ model.design.y, np.diag(sd**2) - gain @ cross.T


def marginal(collapsed: LinearGaussian) -> Callable[[np.ndarray], tuple[float, dict[str, float]]]:
    """t to log p(y | θ(t)) and θ(t)."""
    f = jax.jit(lambda s, t: (log_marginal(collapsed, s, collapsed.theta(t)), collapsed.theta(t)), compiler_options=COMPILE)

    def at(t: np.ndarray) -> tuple[float, dict[str, float]]:
        value, theta = f(collapsed.sums, t)
        return float(value), {k: float(v) for k, v in theta.items()}

    return at


def assert_dense(model: HierarchicalDiD, rng: np.random.Generator, points: int = 4, spread: float = 1.0) -> None:
    """Equal to the dense density at draws of the prior, and far closer than a step of 0.01 in any hyperparameter.

    A `spread` below one keeps σ from a thousandth of an sd, where the dense covariance itself has no eight digits.
    """
    with jax.enable_x64(True):
        collapsed = model.collapsed()
        f = marginal(collapsed)
        n = len(collapsed.hypers)
        for t in spread * rng.standard_normal((points, n)):
            value, theta = f(t)
            assert value == pytest.approx(dense(model, theta), rel=TOLERANCE)
        moved = [abs(f(1 + 0.01 * e)[0] / f(np.ones(n))[0] - 1) for e in np.eye(n)]
    assert min(moved) > 10 * TOLERANCE, "the density hardly feels a hyperparameter: this case proves nothing about it"


@pytest.mark.parametrize(
    ("kind", "effect", "errors"),
    [
        pytest.param(*c, marks=() if c in CORE else pytest.mark.slow)
        for c in product(PANELS, EFFECTS, ERRORS)
        if not (c[1] == "cohort_time" and PANELS[c[0]].get("overlapping"))
    ],
)
def test_marginal_density_is_the_dense_normal(kind: str, effect: str, errors: str, seed: int, rng: np.random.Generator) -> None:
    assert_dense(built(kind, seed, effect=effect, errors=errors), rng)


@pytest.mark.parametrize("errors", ERRORS)
def test_marginal_density_with_random_walk_time_effects(errors: str, seed: int, rng: np.random.Generator) -> None:
    assert_dense(built("gaps", seed, effect="constant", errors=errors, time_effects="random_walk"), rng)


@pytest.mark.parametrize(
    ("kind", "effect", "errors", "layout"),
    [
        ("plain", "constant", "iid", "classes"),
        ("plain", "event_time", "ar1", "classes"),
        ("gaps", "group", "ar1", "classes"),
        ("gaps+weights", "group", "ar1", "unit"),
        ("everything", "group", "iid", "unit"),
        ("everything", "event_time", "ar1", "unit"),
    ],
)
def test_marginal_density_with_slopes_of_units(
    kind: str, effect: str, errors: str, layout: str, seed: int, rng: np.random.Generator
) -> None:
    """An intercept and a slope a unit, in classes of units treated alike and unit by unit, with gaps, weights and overlaps."""
    model = built(kind, seed, effect=effect, errors=errors, unit_slopes=True, units=120 if layout == "unit" else 16)
    assert model.collapsed().sums.by_unit == (layout == "unit")
    assert_dense(model, rng, spread=0.7)


def test_slopes_unit_by_unit_over_several_blocks(seed: int, rng: np.random.Generator) -> None:
    model = built("everything", seed, effect="constant", errors="ar1", unit_slopes=True, units=150)
    assert model.design.n_units > BLOCK
    assert_dense(model, rng, points=2, spread=0.7)


def test_no_slopes_are_slopes_without_spread(seed: int) -> None:
    """At σ_v = 0 the density is that of the model without slopes."""
    with jax.enable_x64(True):
        t = np.full(4, 0.3)
        one, other = (built("gaps", seed, effect="group", errors="ar1", unit_slopes=s).collapsed() for s in (False, True))
        at = [h.name for h in other.hypers].index("sigma_slope")
        value = marginal(other)(np.insert(t, at, -9.0))[0]
        assert value == pytest.approx(marginal(one)(t)[0], rel=1e-10)


def ragged(seed: int, rng: np.random.Generator) -> Panel:
    """Gap-free units of 30 different lengths."""
    panel, _ = simulate_panel(units=45, periods=33, groups=1, seed=seed)
    length = rng.permutation(np.r_[np.arange(4, 34), rng.integers(20, 34, 15)])
    return panel.mask(np.arange(33) >= length[:, None])


@pytest.mark.parametrize("errors", ERRORS)
def test_more_lengths_than_chebyshev_nodes(errors: str, seed: int, rng: np.random.Generator) -> None:
    model = HierarchicalDiD(ragged(seed, rng), effect="constant", errors=errors)
    sums = model.collapsed().sums
    assert not sums.by_unit and sums.units.size == 24 < np.unique(np.bincount(model.design.unit)).size
    assert_dense(model, rng)


def test_every_layout_of_the_sums_is_tested(seed: int) -> None:
    """Classes, interpolated classes and one class a unit: the cases above reach each."""
    layouts = {}
    for kind, errors in product(PANELS, ERRORS):
        sums = built(kind, seed, effect="constant", errors=errors).collapsed().sums
        layouts[kind, errors] = "unit" if sums.by_unit else "nodes" if np.ptp(sums.units % 1) else "classes"
    assert set(layouts.values()) == {"unit", "nodes", "classes"}
    assert layouts["gaps+weights", "ar1"] == "unit" and layouts["weights", "iid"] == "nodes"


def test_scales_at_zero_and_correlation_at_one(seed: int, rng: np.random.Generator) -> None:
    """Where ω, σ_α → 0 and ρ → ±1 the density stays that of the dense normal: no 1/ω² anywhere."""
    model = built("plain", seed, effect="group", errors="ar1")
    with jax.enable_x64(True):
        collapsed = model.collapsed()
        f, at = marginal(collapsed), {h.name: k for k, h in enumerate(collapsed.hypers)}
        for low in product((-6.0, 0.0), (-6.0, 0.0), (-3.0, 3.0)):
            t = np.zeros(len(at))
            t[[at["omega"], at["sigma_unit"], at["rho"]]] = low
            value, theta = f(t)
            assert value == pytest.approx(dense(model, theta), rel=1e-7)


@pytest.mark.parametrize(("kind", "effect", "errors"), [("plain", "constant", "iid"), ("weights", "group", "ar1")])
def test_gradient_is_the_central_difference(kind: str, effect: str, errors: str, seed: int, rng: np.random.Generator) -> None:
    with jax.enable_x64(True):
        collapsed = built(kind, seed, effect=effect, errors=errors).collapsed()
        f = jax.jit(jax.value_and_grad(lambda t, s: log_density(collapsed, s, t)), compiler_options=COMPILE)
        for t in rng.standard_normal((3, len(collapsed.hypers))):
            gradient = np.asarray(f(t, collapsed.sums)[1])
            steps = 1e-4 * np.eye(t.size)
            numeric = np.array([(f(t + e, collapsed.sums)[0] - f(t - e, collapsed.sums)[0]) / 2e-4 for e in steps], float)
            assert gradient == pytest.approx(numeric, rel=1e-5, abs=1e-5 * np.abs(gradient).max())


@pytest.mark.parametrize(("kind", "effect", "errors"), [("plain", "group", "iid"), ("everything", "event_time", "ar1")])
def test_draws_are_those_of_the_dense_conditional(
    kind: str, effect: str, errors: str, seed: int, rng: np.random.Generator, p_values: Any
) -> None:
    """Mean and covariance of 4,000 draws of every coefficient: two tests, each wrong once in 100,000 names."""
    model = built(kind, seed, effect=effect, errors=errors)
    with jax.enable_x64(True):
        collapsed = model.collapsed()
        t = 0.5 * rng.standard_normal(len(collapsed.hypers))
        draw = jax.jit(jax.vmap(partial(draw_sites, collapsed, collapsed.sums, t)))
        drawn = {k: np.asarray(v) for k, v in draw(jax.random.split(jax.random.PRNGKey(seed), 4000)).items()}
    names, mean, covariance = conditional(
        model, {k: float(v[0]) for k, v in drawn.items() if k in {h.name for h in collapsed.hypers}}
    )
    x = np.hstack([drawn[k].reshape(4000, -1) for k in names])
    white = np.linalg.solve(np.linalg.cholesky(covariance), (x - mean).T).T
    assert min(p_values(white)) > 1e-5
    assert min(p_values(white * 1.05)) < 1e-5, "the test would miss draws 5 % too wide"


@pytest.mark.parametrize("scale", [0.3, 1.0, 7.0])
def test_hyper_is_the_quantile_of_its_prior(scale: float) -> None:
    """F_prior(value(t)) = Φ(t), in whichever tail is the small one, for |t| up to 6."""
    t = np.linspace(-6, 6, 49)
    with jax.enable_x64(True):
        half = np.asarray(Hyper("sigma", "half_normal", scale).value(jnp.asarray(t)))
        uniform = np.asarray(Hyper("rho", "uniform").value(jnp.asarray(t)))
    prior = stats.halfnorm(scale=scale)
    assert prior.logcdf(half[t <= 0]) == pytest.approx(stats.norm.logcdf(t[t <= 0]), rel=1e-8)
    assert prior.logsf(half[t >= 0]) == pytest.approx(stats.norm.logsf(t[t >= 0]), rel=1e-9)
    assert stats.uniform(-1, 2).cdf(uniform) == pytest.approx(stats.norm.cdf(t), abs=1e-15)
    assert (np.abs(uniform) < 1).all()
