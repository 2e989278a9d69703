"""Outcomes that are not normal, integrated out: against integrals written out, and against faults planted in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from bayes_causal.data.panel import Panel
from bayes_causal.inference import programs
from bayes_causal.models.did_families import FAMILIES
from bayes_causal.models.hierarchical_did import HierarchicalDiD, Priors
from bayes_causal.numerics import embedded_laplace
from bayes_causal.numerics.embedded_laplace import EmbeddedLaplace

OTHERS = tuple(f for f in FAMILIES if f != "gaussian")
NARROW = Priors(tau=0.5, intercept=2.0, time=2.0, slope=0.5)


def form_of(model: HierarchicalDiD) -> EmbeddedLaplace:
    """The form of the part whose rows are not normal."""
    form = model.approximated()
    return form if isinstance(form, EmbeddedLaplace) else form.parts["occurrence"]


def near(form: EmbeddedLaplace, rng: np.random.Generator, size: int) -> np.ndarray:
    """(size, n) θ around the mode, within the nodes."""
    surface = form.sums.surface
    d = rng.standard_normal((size, len(form.hypers)))
    return surface.center + (d / np.maximum(1, np.linalg.norm(d, axis=1, keepdims=True))) @ np.linalg.inv(surface.axes).T


def tensor(count: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """(count^n, n) nodes and (count^n,) weights for the mean over n standard normals."""
    x, w = np.polynomial.hermite_e.hermegauss(count)
    grid = np.array(list(product(range(count), repeat=n)))
    return x[grid], np.prod((w / w.sum())[grid], 1)


@pytest.fixture
def tiny(staggered: Callable[..., Panel], rng: np.random.Generator) -> Callable[[str], HierarchicalDiD]:
    """Four units, one treated, over two periods: four coefficients."""

    def make(family: str) -> HierarchicalDiD:
        panel = staggered([1, 0, 0, 0], rng, periods=2)
        y = {
            "student_t": [[0.1, 2.5], [-0.4, 0.2], [0.9, -0.7], [-1.1, 0.4]],
            "bernoulli": [[0, 1], [1, 0], [0, 0], [1, 1]],
            "lognormal_hurdle": [[0, 2.5], [1.5, 0], [0, 0], [0.7, 3.0]],
        }.get(family, [[1, 5], [0, 2], [3, 2], [1, 0]])
        return HierarchicalDiD(panel.replace_outcome(np.array(y, float)), effect="constant", family=family, priors=NARROW)  # type: ignore[arg-type]

    return make


def by_brute_force(model: HierarchicalDiD, form: EmbeddedLaplace, theta: dict[str, float]) -> float:
    """log p(y | θ): coefficients by Gauss-Hermite nodes under their prior, intercepts by a grid, rows by SciPy."""
    z, weight = tensor(18, form.columns)
    d = model.designs["occurrence" if model.family == "lognormal_hurdle" else ""]
    p = model.priors
    flat = p.intercept * model.response.flat, p.time * model.response.flat
    mean = z[:, :1] * flat[0] + (z[:, 1:2] * p.slope) @ d.unit_terms.T
    rest = (z[:, 2:3] * flat[1]) @ d.contrasts.T
    u = np.linspace(-7, 7, 57)
    log_p = np.zeros(len(z))
    for unit in range(d.n_units):
        total = stats.norm.logpdf(u) + np.log(u[1] - u[0])
        for row in np.flatnonzero(d.unit == unit):
            eta = mean[:, unit] + rest[:, d.time[row]] + z[:, 3] * p.tau * d.effect[row, 0]
            eta = eta[:, None] + theta["sigma_unit"] * u + (0 if model.response.linear else d.center)
            total = total + row_density(model.family, d.y[row], eta, theta)
        log_p += special.logsumexp(total, axis=1)
    return float(special.logsumexp(log_p, b=weight))


def row_density(family: str, y: float, eta: np.ndarray, theta: dict[str, float]) -> np.ndarray:
    if family == "poisson":
        return y * eta - np.exp(eta) - special.gammaln(y + 1)
    if family == "negative_binomial":
        k = theta["dispersion"] ** -2
        share = special.expit(eta - np.log(k))
        return (
            special.gammaln(y + k) - special.gammaln(k) - special.gammaln(y + 1) + special.xlogy(y, share) + k * np.log1p(-share)
        )
    if family == "student_t":
        return stats.t.logpdf(y, theta["nu"], eta, theta["sigma"])
    return special.log_expit((2 * y - 1) * eta)


@pytest.fixture(params=OTHERS)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def corrected(form: EmbeddedLaplace, t: np.ndarray) -> float:
    """log p(y | t) as the approximation has it, its correction averaged over the noise of a draw."""
    noise, weight = tensor(14, form.noise)
    with jax.enable_x64(True):
        sums = jax.tree.map(jnp.asarray, form.sums)
        off = jax.vmap(form.correction, (None, None, 0))(sums, jnp.asarray(t), jnp.asarray(noise))
        said = form.log_density(sums, jnp.asarray(t)) - form.log_prior(jnp.asarray(t))
    return float(said) + float(special.logsumexp(np.asarray(off), b=weight))


def test_the_corrected_marginal_is_the_integral(family: str, tiny: Callable[[str], HierarchicalDiD]) -> None:
    """To 0.002 of log p(y | θ), which both quadratures reach; and faults that bias it are seen."""
    model = tiny(family)
    form = form_of(model)
    t = np.asarray(form.sums.surface.center) + 0.3
    with jax.enable_x64(True):
        theta = {k: float(v) for k, v in form.theta(jnp.asarray(t)).items()}
    expected = by_brute_force(model, form, theta)
    assert corrected(form, t) == pytest.approx(expected, abs=0.002)


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Put a fault in place of arithmetic; programs are compiled anew before and after."""

    def plant(where: Any, name: str, fault: Any) -> None:
        monkeypatch.setattr(where, name, fault)
        programs.forget()

    yield plant
    programs.forget()


@pytest.mark.parametrize("fault", ["no log-determinant", "the correction's sign"])
def test_a_fault_in_the_approximation_or_its_correction_is_seen(
    fault: str, tiny: Callable[[str], HierarchicalDiD], planted: Callable[..., None]
) -> None:
    model = tiny("poisson")
    form = form_of(model)
    t = np.asarray(form.sums.surface.center)
    with jax.enable_x64(True):
        theta = {k: float(v) for k, v in form.theta(jnp.asarray(t)).items()}
    expected = by_brute_force(model, form, theta)
    assert corrected(form, t) == pytest.approx(expected, abs=0.002)
    if fault == "no log-determinant":
        planted(embedded_laplace, "half_log_det", lambda chol: 0.0)
    else:
        right = EmbeddedLaplace.correction
        planted(EmbeddedLaplace, "correction", lambda *a: -right(*a))
    assert abs(corrected(form, t) - expected) > 0.02


@pytest.mark.parametrize("family", [f for f in OTHERS if f != "lognormal_hurdle"])
def test_likelihood_given_coefficients_is_that_of_the_model(family: str, make_outcomes: Callable[..., Panel], seed: int) -> None:
    """At draws of the approximation, units with unequal numbers of rows, weights, a walk: 1e-5 as the NumPy quadrature has it."""
    kind = "everything" if family == "student_t" else "unbalanced"
    options: dict[str, Any] = {"effect": "event_time", "family": family, "priors": NARROW, "time_effects": "random_walk"}
    model = HierarchicalDiD(make_outcomes(family, kind), **options)
    form, sites, z, t = drawn(model, seed, 4)
    expected = model.log_likelihood(sites).values.sum(1)
    with jax.enable_x64(True):
        sums = jax.tree.map(jnp.asarray, form.sums)
        found = np.array([form.log_likelihood(sums, *point) for point in zip(t, z, strict=True)])
    assert found == pytest.approx(expected, abs=1e-5)


def drawn(model: HierarchicalDiD, seed: int, size: int) -> tuple[EmbeddedLaplace, dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """A form, sites drawn from its approximation, and the z and t they are made of."""
    form, rng = form_of(model), np.random.default_rng(seed)
    t, noise = near(form, rng, size), rng.standard_normal((size, form.noise))
    with jax.enable_x64(True):
        sums = jax.tree.map(jnp.asarray, form.sums)
        keys = jax.random.split(jax.random.PRNGKey(seed), size)
        sites = jax.vmap(form.draw_sites, (None, 0, 0))(sums, jnp.asarray(np.hstack([t, noise])), keys)
    sites = {k: np.asarray(v) for k, v in sites.items()}
    z = np.hstack([sites[b.site].reshape(size, -1) / b.prior_sd for b in form.blocks])
    return form, sites, z, t


def test_intercepts_are_drawn_from_their_distribution(make_outcomes: Callable[..., Panel], seed: int) -> None:
    """20,000 draws at one point, by the probability integral transform on a grid: Kolmogorov-Smirnov at 1e-4 for each unit."""
    model = HierarchicalDiD(make_outcomes("bernoulli", "unbalanced"), effect="constant", family="bernoulli")
    form, one, _, t = drawn(model, seed, 1)
    with jax.enable_x64(True):
        sums = jax.tree.map(jnp.asarray, form.sums)
        x = jnp.concatenate([jnp.asarray(t[0]), jnp.asarray(np.random.default_rng(seed).standard_normal(form.noise))])
        keys = jax.random.split(jax.random.PRNGKey(seed), 20_000)
        sites = {k: np.asarray(v) for k, v in jax.jit(jax.vmap(form.draw_sites, (None, None, 0)))(sums, x, keys).items()}
    q = {k: v[0] for k, v in sites.items() if k != "alpha"}
    d, alpha = model.design, sites["alpha"]
    mean = q["intercept"] + d.unit_terms @ q["delta"]
    eta = d.center + d.effect[:, 0] * q["tau"] + (d.contrasts @ q["time_contrast"])[d.time]
    for unit in range(d.n_units):
        grid = mean[unit] + q["sigma_unit"] * np.linspace(-9, 9, 6001)
        rows = d.unit == unit
        log_f = special.log_expit((2 * d.y[rows] - 1)[:, None] * (eta[rows][:, None] + grid)).sum(0)
        mass = np.cumsum(np.exp(log_f + stats.norm.logpdf(grid, mean[unit], q["sigma_unit"])))
        uniform = np.interp(alpha[:, unit], grid, mass / mass[-1])
        assert stats.kstest(uniform, "uniform").pvalue > 1e-4 / d.n_units
    assert one["alpha"].shape == (1, d.n_units)
