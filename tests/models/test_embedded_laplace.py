"""Outcomes that are not normal, integrated out: against integrals written out, and against faults planted in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from bayes_causal.data.panel import Panel
from bayes_causal.inference import programs
from bayes_causal.inference.blocks import in_chunks
from bayes_causal.inference.generate import prior_sites
from bayes_causal.models.did_collapsed import rows_and_columns
from bayes_causal.models.did_families import FAMILIES
from bayes_causal.models.hierarchical_did import HierarchicalDiD, Priors
from bayes_causal.numerics import embedded_laplace
from bayes_causal.numerics.embedded_laplace import EmbeddedLaplace, loaded
from bayes_causal.numerics.laplace_expansion import predictor
from bayes_causal.numerics.unit_quadrature import intercepts

OTHERS = tuple(f for f in FAMILIES if f != "gaussian")
NARROW = Priors(tau=0.5, intercept=2.0, time=2.0, slope=0.5)
OUTCOMES: dict[str, list[list[float]]] = {
    "poisson": [[1, 5], [0, 2], [3, 2], [1, 0]],
    "negative_binomial": [[1, 5], [0, 2], [3, 2], [1, 0]],
    "student_t": [[0.1, 2.5], [-0.4, 0.2], [0.9, -0.7], [-1.1, 0.4]],
    "bernoulli": [[0, 1], [1, 0], [0, 0], [1, 1]],
    "lognormal_hurdle": [[0, 2.5], [1.5, 0], [0, 0], [0.7, 3.0]],
}


@cache
def tiny(family: Any) -> tuple[HierarchicalDiD, EmbeddedLaplace]:
    """Four units, one treated, over two periods: four coefficients; and the form of the part whose rows are not normal."""
    unit, time = np.indices((4, 2)).reshape(2, -1)
    frame = pd.DataFrame({"unit": unit, "time": time, "y": np.ravel(OUTCOMES[family]), "start": np.where(unit == 0, 1, 0)})
    panel = Panel.from_frame(frame, unit="unit", time="time", outcome="y", cohort="start")
    model = HierarchicalDiD(panel, effect="constant", family=family, priors=NARROW)
    form = model.approximated()
    return model, form if isinstance(form, EmbeddedLaplace) else form.parts["occurrence"]


def tensor(count: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """(count^n, n) nodes and (count^n,) weights for the mean over n standard normals."""
    x, w = np.polynomial.hermite_e.hermegauss(count)
    grid = np.array(list(product(range(count), repeat=n)))
    return x[grid], np.prod((w / w.sum())[grid], 1)


def scrambled(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The same by 2^18 scrambled Sobol points in four dimensions: Gauss-Hermite nodes do not settle where tails are heavy."""
    z = stats.norm.ppf(np.clip(stats.qmc.Sobol(4, seed=seed).random_base2(18), 1e-12, 1 - 1e-12))
    return z, np.full(len(z), 1 / len(z))


def by_brute_force(model: HierarchicalDiD, theta: dict[str, float]) -> float:
    """log p(y | θ): coefficients by points under their prior, intercepts by a grid, rows by SciPy."""
    z, weight = scrambled(1) if model.family == "student_t" else tensor(16, 4)
    d, p, share = list(model.designs.values())[-1], model.priors, model.response.flat
    mean = share * p.intercept * z[:, :1] + p.slope * z[:, 1:2] @ d.unit_terms.T
    gamma, u = share * p.time * z[:, 2:3] @ d.contrasts.T, np.linspace(-7, 7, 57)
    log_p = np.zeros(len(z))
    for unit in range(d.n_units):
        total = stats.norm.logpdf(u) + np.log(u[1] - u[0])
        for row in np.flatnonzero(d.unit == unit):
            eta = mean[:, unit] + gamma[:, d.time[row]] + p.tau * z[:, 3] * d.effect[row, 0]
            eta = eta[:, None] + theta["sigma_unit"] * u + (0 if model.response.linear else d.center)
            total = total + row_density(model.family, d.y[row], eta, theta)
        log_p += special.logsumexp(total, axis=1)
    return float(special.logsumexp(log_p, b=weight))


def row_density(family: str, y: float, eta: np.ndarray, theta: dict[str, float]) -> np.ndarray:
    if family == "poisson":
        return y * eta - np.exp(eta) - special.gammaln(y + 1)
    if family == "negative_binomial":
        k = theta["dispersion"] ** -2
        choose = special.gammaln(y + k) - special.gammaln(k) - special.gammaln(y + 1)
        return choose + y * special.log_expit(eta - np.log(k)) + k * special.log_expit(np.log(k) - eta)
    if family == "student_t":
        return stats.t.logpdf(y, theta["nu"], eta, theta["sigma"])
    return special.log_expit((2 * y - 1) * eta)


def corrected(form: EmbeddedLaplace, t: np.ndarray) -> float:
    """log p(y | t) as the approximation has it, its correction averaged over the noise of a draw."""
    noise, weight = tensor(10, form.noise)
    with jax.enable_x64(True):
        sums = jax.tree.map(jnp.asarray, form.sums)
        found = programs.programs(form)
        off = in_chunks(partial(found.corrections, sums), np.repeat(t[None], len(noise), 0), noise)
        said = in_chunks(partial(found.density, sums), t[None])[0] - form.log_prior(jnp.asarray(t))
    return float(said) + float(special.logsumexp(np.asarray(off), b=weight))


def expected(family: str, shift: float) -> tuple[EmbeddedLaplace, np.ndarray, float]:
    """A form, a point near its mode, and log p(y | θ) there."""
    model, form = tiny(family)
    t = np.asarray(form.sums.surface.center) + shift
    with jax.enable_x64(True):
        theta = {k: float(v) for k, v in form.theta(jnp.asarray(t)).items()}
    return form, t, by_brute_force(model, theta)


@pytest.mark.parametrize("family", OTHERS)
def test_the_corrected_marginal_is_the_integral(family: str) -> None:
    """To 0.002 of log p(y | θ), which both quadratures reach."""
    form, t, value = expected(family, 0.3)
    assert corrected(form, t) == pytest.approx(value, abs=0.002)


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Put a fault in place of arithmetic; programs are compiled anew before and after."""

    def plant(where: Any, name: str, fault: Any) -> None:
        monkeypatch.setattr(where, name, fault)
        programs.forget()

    yield plant
    programs.forget()


@pytest.mark.parametrize("fault", ["no log-determinant", "the correction's sign"])
def test_a_fault_in_the_approximation_or_its_correction_is_seen(fault: str, planted: Callable[..., None]) -> None:
    form, t, value = expected("poisson", 0.0)
    right = EmbeddedLaplace.correction
    if fault == "no log-determinant":
        planted(embedded_laplace, "half_log_det", lambda chol: 0.0)
    else:
        planted(EmbeddedLaplace, "correction", lambda *a: -right(*a))
    assert abs(corrected(form, t) - value) > 0.01


@pytest.mark.parametrize(("family", "effect"), [(f, e) for f, e in zip(OTHERS, ("event_time", "group") * 3, strict=False)])
def test_likelihood_given_coefficients_is_that_of_the_model(
    family: Any, effect: Any, make_outcomes: Callable[..., Panel], seed: int
) -> None:
    """At sites from the prior, units with unequal numbers of rows, a walk, weights: to 1e-3, as far as 15 nodes agree with 21."""
    kind = "everything" if family == "student_t" else "unbalanced"
    walk = {"time_effects": "random_walk"} if family != "poisson" else {}
    model = HierarchicalDiD(make_outcomes(family, kind), effect=effect, family=family, priors=NARROW, **walk)
    part = model.response.parts[-1]
    hypers, blocks, density, raw = rows_and_columns(model, part)
    form, sites = EmbeddedLaplace(hypers, blocks, density, None), prior_sites(model, 5, seed)
    own = sites | {k.removeprefix(f"{part}::"): v for k, v in sites.items() if k.startswith(f"{part}::")}
    z = np.hstack([own[b.site].reshape(5, -1) / b.prior_sd for b in blocks])
    theta = {h.name: own[h.name] for h in hypers}

    def one(theta: Any, z: Any) -> Any:
        mean, eta = predictor(data, form.scales(theta) * z)
        return intercepts(density, data.rows, eta, theta["sigma_unit"], theta, 0.0 * mean).log_integral.sum()

    with jax.enable_x64(True):
        data = jax.tree.map(jnp.asarray, loaded(blocks, raw))
        found = np.asarray(jax.jit(jax.vmap(one))(jax.tree.map(jnp.asarray, theta), jnp.asarray(z)))
    if part:
        assert found == pytest.approx(zeros_and_ones(model, sites), abs=1e-3)
    else:
        assert found == pytest.approx(model.log_likelihood(sites).values.sum(1), abs=1e-3)


def zeros_and_ones(model: HierarchicalDiD, sites: dict[str, np.ndarray]) -> np.ndarray:
    """(S,) log likelihood of a hurdle's zeros and ones: of a Bernoulli model of them."""
    ones = model.panel.replace_outcome((np.nan_to_num(model.panel.dataset["outcome"].values) > 0).astype(float))
    other = HierarchicalDiD(ones, effect=model.effects, family="bernoulli", priors=NARROW, time_effects=model.time_effects)  # type: ignore[arg-type]
    own = {k.removeprefix("occurrence::"): v for k, v in sites.items() if k.startswith("occurrence::")}
    return other.log_likelihood(own).values.sum(1)
