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
POSITIVE = ("sigma", "sigma_unit", "omega", "omega_cell", "omega_lead", "step_lag", "step_lead", "step_time")
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
# Scales all different, so that no two priors can be swapped unseen.
PRIORS = Priors(1.1, 0.6, 0.35, 0.45, 0.9, 1.2, 9.0, 8.0, 2.2, 0.55)


def points(shapes: dict[str, tuple[int, ...]], rng: np.random.Generator, count: int = 4) -> list[dict[str, np.ndarray]]:
    """Values of every site, anywhere in its support."""
    drawn = []
    for _ in range(count):
        x = {k: rng.standard_normal(shape) for k, shape in shapes.items()}
        drawn.append({k: 0.5 + np.abs(v) if k in POSITIVE else np.tanh(v) if k == "rho" else v for k, v in x.items()})
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
