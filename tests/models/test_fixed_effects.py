"""What the unit-level terms are for: with flat priors the posterior is that of fixed effects, whatever the variances."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from bayes_causal.data.panel import Panel
from bayes_causal.models.hierarchical_did import HierarchicalDiD, Priors
from bayes_causal.models.panel_design import panel_design
from bayes_causal.numerics.linear_gaussian import information, log_density

FLAT = Priors(tau=1e3, intercept=1e4, time=1e4, slope=1e3, sigma=2.0, sigma_unit=2.0)
TWFE_TOLERANCE = 1e-3


def conditional(model: HierarchicalDiD, theta: Mapping[str, float]) -> tuple[float, float]:
    """Mean and sd of τ given θ, in units of the outcome, in closed form: (M + P)⁻¹M_y, factored as the engine does."""
    with jax.enable_x64(True):
        collapsed = model.collapsed()
        m = np.asarray(information(collapsed, collapsed.sums, {k: jnp.asarray(v) for k, v in theta.items()})[0])
    inner = np.eye(collapsed.columns) + m[:-1, :-1]
    sites = [b.site for b in collapsed.blocks]
    at = sum(b.size for b in collapsed.blocks[: sites.index("tau")])
    natural = collapsed.blocks[sites.index("tau")].prior_sd * model.panel.scale
    return np.linalg.solve(inner, m[:-1, -1])[at] * natural, np.sqrt(np.linalg.inv(inner)[at, at]) * natural


def mode(model: HierarchicalDiD) -> dict[str, float]:
    """θ where its posterior density is highest."""
    with jax.enable_x64(True):
        collapsed = model.collapsed()
        density = jax.jit(lambda s, t: log_density(collapsed, s, t))
        t = optimize.minimize(lambda t: -float(density(collapsed.sums, t)), np.zeros(2), method="Nelder-Mead").x
        return {k: float(v) for k, v in collapsed.theta(jnp.asarray(t)).items()}


def dummies(panel: Panel) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Columns of Σ_g D_itg, covariates, units and periods, and outcomes, weights and units of the observed cells."""
    unit, time = np.nonzero(panel.observed)
    active = panel.dataset["treatment"].values[unit, time].sum(1, keepdims=True)
    parts = [active.astype(float), unit[:, None] == np.unique(unit), time[:, None] == np.arange(1, panel.observed.shape[1])]
    if "covariates" in panel.dataset:
        parts.insert(1, panel.dataset["covariates"].values[unit, time])
    return (
        np.hstack(parts).astype(float),
        panel.dataset["outcome"].values[unit, time],
        panel.dataset["weight"].values[unit, time],
        unit,
    )


def fixed_effects(panel: Panel, rho: float = 0.0) -> float:
    """Coefficient of Σ_g D_itg by (generalised) least squares on dummies, written out."""
    x, y, w, unit = dummies(panel)
    order = np.arange(y.size)
    v = np.where(unit[:, None] == unit, np.power(rho, np.abs(order[:, None] - order)), 0.0) if rho else np.eye(y.size)
    chol = np.linalg.cholesky(v / np.sqrt(w)[:, None] / np.sqrt(w))
    return float(np.linalg.lstsq(np.linalg.solve(chol, x), np.linalg.solve(chol, y), rcond=None)[0][0])


@pytest.mark.parametrize("kind", ["balanced", "unbalanced", "weighted", "overlapping", "covariates", "everything"])
def test_constant_effect_with_iid_errors_is_twfe(kind: str, make_panel: Callable[..., Panel]) -> None:
    """At the posterior mode and at two other sets of variances, far apart."""
    model = HierarchicalDiD(make_panel(kind, units=30), effect="constant", errors="iid", priors=FLAT)
    expected = fixed_effects(model.panel)
    for theta in (mode(model), {"sigma": 0.4, "sigma_unit": 0.05}, {"sigma": 0.8, "sigma_unit": 3.0}):
        mean, sd = conditional(model, theta)
        assert abs(mean - expected) < TWFE_TOLERANCE * sd


def without_terms(model: HierarchicalDiD, keep: str | None) -> HierarchicalDiD:
    """The model with unit-level terms left out: all of them, or all but the unit means."""
    s = model.structure
    design = panel_design(model.panel, s.columns, s.column_names, two_terms=False)
    if keep is None:
        design = type(design)(**(vars(design) | {"unit_terms": design.unit_terms[:, :0], "unit_term_names": ()}))
    model.__dict__["designs"] = {"": design}
    return model


def test_without_unit_level_terms_it_is_not_twfe(make_panel: Callable[..., Panel]) -> None:
    """The test above can fail: plain random effects differ by many times the tolerance."""
    model = without_terms(HierarchicalDiD(make_panel(units=30), effect="constant", errors="iid", priors=FLAT), None)
    mean, sd = conditional(model, {"sigma": 0.8, "sigma_unit": 0.3})
    assert abs(mean - fixed_effects(model.panel)) > 0.05 * sd


@pytest.mark.parametrize("rho", [-0.5, 0.3, 0.9])
@pytest.mark.parametrize("kind", ["balanced", "overlapping", "covariates"])
def test_constant_effect_with_ar1_errors_is_fixed_effects_gls(kind: str, rho: float, make_panel: Callable[..., Panel]) -> None:
    """Balanced panels, any ρ: unit means and means of first and last rows together make it exact."""
    model = HierarchicalDiD(make_panel(kind, units=30), effect="constant", errors="ar1", priors=FLAT)
    mean, sd = conditional(model, {"sigma": 0.7, "sigma_unit": 0.5, "rho": rho})
    assert abs(mean - fixed_effects(model.panel, rho)) < TWFE_TOLERANCE * sd


def test_unit_means_alone_are_not_enough_under_ar1(make_panel: Callable[..., Panel]) -> None:
    model = without_terms(HierarchicalDiD(make_panel("covariates", units=30), effect="constant", priors=FLAT), "means")
    mean, sd = conditional(model, {"sigma": 0.7, "sigma_unit": 0.5, "rho": 0.6})
    assert abs(mean - fixed_effects(model.panel, 0.6)) > 5 * TWFE_TOLERANCE * sd


def test_unit_terms_are_weighted_unit_means(make_panel: Callable[..., Panel]) -> None:
    """Each term is the weighted mean of its column over the unit's observed rows, centred and scaled over units."""
    model = HierarchicalDiD(make_panel("everything"), effect="group", errors="iid")
    d, names = model.design, model.structure.column_names
    for k, name in enumerate(names):
        if f"mean of {name}" not in d.unit_term_names:
            continue
        means = [np.average(d.effect[d.unit == u, k], weights=d.sqrt_weight[d.unit == u] ** 2) for u in range(d.n_units)]
        expected = (np.array(means) - np.mean(means)) / np.std(means)
        assert d.unit_terms[:, d.unit_term_names.index(f"mean of {name}")] == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["balanced", "everything"])
@pytest.mark.parametrize("effect", ["constant", "group", "event_time"])
def test_unit_terms_have_full_rank_and_lose_no_direction(kind: str, effect: str, make_panel: Callable[..., Panel]) -> None:
    panel: Any = make_panel(kind)
    terms = {e: HierarchicalDiD(panel, effect=effect, errors=e).design.unit_terms for e in ("iid", "ar1")}
    for t in terms.values():
        assert np.linalg.matrix_rank(t) == t.shape[1]
        assert np.linalg.cond(t) < 1e8
    assert np.linalg.matrix_rank(np.hstack([*terms.values()])) == terms["ar1"].shape[1]
