"""Identical priors are a claim; equal log densities are evidence."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from bayes_causal.models.base import Model
from bayes_causal.models.hierarchical_did import HierarchicalDiD, Priors

TOLERANCE = 1e-9
POSITIVE = ("sigma", "sigma_unit", "sigma_slope", "omega", "omega_cell", "omega_lead", "step_lag", "step_lead", "step_time")
POSITIVE += ("nu", "dispersion")
# Every effect under both errors and both time effects, every kind of panel somewhere.
CASES = [
    ("constant", "iid", "fixed", "covariates"),
    ("constant", "ar1", "fixed", "everything"),
    ("constant", "iid", "random_walk", "unbalanced"),
    ("constant", "ar1", "random_walk", "one group"),
    ("group", "iid", "fixed", "weighted"),
    ("group", "ar1", "fixed", "overlapping"),
    ("group", "iid", "random_walk", "everything"),
    ("group", "ar1", "random_walk", "covariates"),
    ("group", "ar1", "fixed", "one group"),
    ("event_time", "iid", "fixed", "everything"),
    ("event_time", "ar1", "fixed", "unbalanced"),
    ("event_time", "iid", "random_walk", "overlapping"),
    ("event_time", "ar1", "random_walk", "weighted"),
    ("event_time", "ar1", "fixed", "one group"),
    ("cohort_time", "iid", "fixed", "weighted"),
    ("cohort_time", "ar1", "fixed", "covariates"),
    ("cohort_time", "iid", "random_walk", "one group"),
    ("cohort_time", "ar1", "random_walk", "unbalanced"),
]
FAMILIES = [
    ("student_t", "constant", "fixed", "everything"),
    ("student_t", "group", "random_walk", "weighted"),
    ("poisson", "constant", "random_walk", "unbalanced"),
    ("poisson", "group", "fixed", "overlapping"),
    ("poisson", "event_time", "fixed", "covariates"),
    ("negative_binomial", "group", "fixed", "covariates"),
    ("negative_binomial", "cohort_time", "fixed", "unbalanced"),
    ("bernoulli", "event_time", "random_walk", "overlapping"),
    ("bernoulli", "constant", "fixed", "one group"),
    ("lognormal_hurdle", "group", "fixed", "covariates"),
    ("lognormal_hurdle", "event_time", "random_walk", "unbalanced"),
    ("lognormal_hurdle", "cohort_time", "fixed", "one group"),
]
SLOPES = [("constant", "iid", "overlapping"), ("group", "ar1", "everything"), ("event_time", "ar1", "unbalanced")]
# Scales all different, so that no two priors can be swapped unseen.
PRIORS = Priors(1.1, 0.6, 0.35, 0.45, 0.9, 1.2, 9.0, 8.0, 2.2, 0.55, 0.65, 15.0, 0.8)


def points(shapes: dict[str, tuple[int, ...]], rng: np.random.Generator, count: int = 4) -> list[dict[str, np.ndarray]]:
    """Values of every site, anywhere in its support."""
    drawn = []
    for _ in range(count):
        x = {k: rng.standard_normal(shape) for k, shape in shapes.items()}
        positive = {k for k in x if k.split("::")[-1] in POSITIVE}
        drawn.append({k: 0.5 + np.abs(v) if k in positive else np.tanh(v) if k == "rho" else v for k, v in x.items()})
    return drawn


def log_densities(model: Model, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Log densities of the NumPyro and of the PyMC twin at the same points, constrained values, no Jacobian."""
    from numpyro.infer.util import log_density
    from pymc.model.transform.conditioning import remove_value_transforms

    twin = remove_value_transforms(model.pymc_model())
    logp = twin.compile_logp(mode="FAST_COMPILE")
    x = points({k: np.shape(v) for k, v in twin.initial_point().items()}, rng)
    with jax.enable_x64(True):
        f = jax.jit(lambda v: log_density(model.numpyro_model, (), {}, v)[0])
        return np.array([float(f(v)) for v in x]), np.array([float(logp(v)) for v in x])


@pytest.mark.parametrize(("effect", "errors", "time_effects", "kind"), CASES)
def test_twins_have_one_density(
    effect: str, errors: str, time_effects: str, kind: str, make_panel: Callable[..., Any], rng: np.random.Generator, needs: Any
) -> None:
    needs("pymc")
    options: dict[str, Any] = {"effect": effect, "errors": errors, "time_effects": time_effects, "priors": PRIORS}
    model = HierarchicalDiD(make_panel(kind), window=(2, 2) if effect == "cohort_time" else None, **options)
    a, b = log_densities(model, rng)
    assert np.isfinite(a).all()
    assert a == pytest.approx(b, rel=TOLERANCE)


@pytest.mark.parametrize(("family", "effect", "time_effects", "kind"), FAMILIES)
def test_twins_of_every_family_have_one_density(
    family: str,
    effect: str,
    time_effects: str,
    kind: str,
    make_outcomes: Callable[..., Any],
    rng: np.random.Generator,
    needs: Any,
) -> None:
    needs("pymc")
    options: dict[str, Any] = {"family": family, "effect": effect, "time_effects": time_effects, "priors": PRIORS}
    leads = effect == "cohort_time" and family != "lognormal_hurdle"  # PyTensor cannot add the densities of so many sites
    model = HierarchicalDiD(make_outcomes(family, kind), window=(2, 2) if leads else None, **options)
    a, b = log_densities(model, rng)
    assert np.isfinite(a).all()
    assert a == pytest.approx(b, rel=TOLERANCE)


@pytest.mark.parametrize(("effect", "errors", "kind"), SLOPES)
def test_twins_with_slopes_of_units_have_one_density(
    effect: Any, errors: Any, kind: str, make_panel: Callable[..., Any], rng: np.random.Generator, needs: Any
) -> None:
    needs("pymc")
    a, b = log_densities(HierarchicalDiD(make_panel(kind), effect=effect, errors=errors, unit_slopes=True, priors=PRIORS), rng)
    assert a == pytest.approx(b, rel=TOLERANCE)


def test_every_family_is_paired_with_several_effects() -> None:
    from bayes_causal.models.did_effects import STRUCTURES
    from bayes_causal.models.did_families import FAMILIES as ALL

    assert {c[0] for c in FAMILIES} | {"gaussian"} == set(ALL) and {c[1] for c in FAMILIES} == set(STRUCTURES)


@pytest.mark.parametrize("family", ["bernoulli", "lognormal_hurdle"])
def test_a_wrong_link_or_a_missing_jacobian_is_seen(
    family: str, make_outcomes: Callable[..., Any], rng: np.random.Generator, needs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A probit in place of the logit in one twin; a normal density of log y that forgets 1/y."""
    pm = needs("pymc")

    def probit(name: str, logit_p: Any, **rest: Any) -> Any:
        return real(name, p=pm.math.invprobit(logit_p), **rest)

    def without_jacobian(name: str, mu: Any, sigma: Any, observed: np.ndarray) -> Any:
        return pm.Normal(name, mu, sigma, observed=np.log(observed))

    real = pm.Bernoulli
    wrong = {"bernoulli": ("Bernoulli", probit), "lognormal_hurdle": ("LogNormal", without_jacobian)}
    monkeypatch.setattr(pm, *wrong[family])
    a, b = log_densities(HierarchicalDiD(make_outcomes(family), effect="constant", family=family), rng)
    assert a != pytest.approx(b, rel=1e-3)


def test_twins_agree_to_the_last_digits_at_the_default_priors(
    make_panel: Callable[..., Any], rng: np.random.Generator, needs: Any
) -> None:
    """Scales such as 10.0, exact in float32, are those whose logarithms PyTensor would round to float32."""
    needs("pymc")
    a, b = log_densities(HierarchicalDiD(make_panel("everything"), effect="group"), rng)
    assert a == pytest.approx(b, rel=1e-12)


def test_every_effect_is_paired_with_every_error_and_time_effect() -> None:
    from bayes_causal.models.did_effects import STRUCTURES

    assert {c[:3] for c in CASES} == {(e, r, t) for e in STRUCTURES for r in ("iid", "ar1") for t in ("fixed", "random_walk")}


@pytest.mark.parametrize("prior", ["tau", "omega", "sigma", "sigma_unit", "time"])
def test_a_prior_stated_differently_in_one_twin_is_seen(
    prior: str, make_panel: Callable[..., Any], rng: np.random.Generator, needs: Any
) -> None:
    """A scale off by a hundred-thousandth in the PyMC twin breaks parity."""
    needs("pymc")
    panel = make_panel("everything")
    model = HierarchicalDiD(panel, effect="group", priors=PRIORS)
    changed = {f: getattr(PRIORS, f) * (1 + 1e-5 * (f == prior)) for f in PRIORS.__dataclass_fields__}
    other = HierarchicalDiD(panel, effect="group", priors=Priors(**changed))
    object.__setattr__(model, "pymc_model", other.pymc_model)
    a, b = log_densities(model, rng)
    assert a != pytest.approx(b, rel=TOLERANCE)
    assert math.isclose(a[0], b[0], rel_tol=1e-4)
