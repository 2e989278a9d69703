"""The two twins of the structural time series, and the collapsed form against both."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.infer.util import log_density
from scipy import linalg, signal, stats

from bayes_causal.data.time_series import TimeSeries
from bayes_causal.models.structural_time_series import Priors, StructuralTimeSeries
from bayes_causal.numerics.autoregression import coefficients
from bayes_causal.numerics.sd_prior import SdPrior

# Every option somewhere, under both sets of priors where it goes with both.
CASES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "selection": {"expected_model_size": 1.0},
    "R": {"prior_set": "causalimpact"},
    "R, selection": {"prior_set": "causalimpact", "expected_model_size": 2.0},
    "ridge, wandering, independent errors": {"regression": "ridge", "dynamic": True, "ar": 0},
    "trend and seasons": {"level": "local_linear_trend", "seasonal": [{"period": 4}, {"period": 3, "duration": 2}]},
    "R, trend and seasons, no controls": {
        "prior_set": "causalimpact",
        "regression": "none",
        "level": "local_linear_trend",
        "seasonal": [{"period": 2}],
    },
    "horseshoe": {"regression": "horseshoe"},
    "Student-t": {"errors": "student_t"},
    "Student-t, selection": {"errors": "student_t", "expected_model_size": 1.0, "seasonal": [{"period": 3, "duration": 2}]},
    "horseshoe, Student-t, independent errors": {"regression": "horseshoe", "errors": "student_t", "ar": 0},
    "no controls, Student-t": {"regression": "none", "errors": "student_t"},
    "semilocal, two lags, selection": {"level": "semilocal", "ar": 2, "expected_model_size": 1.0},
    "three lags, wandering, seasons of two rows": {"ar": 3, "dynamic": True, "seasonal": [{"period": 3, "duration": 2}]},
    "R, semilocal": {"prior_set": "causalimpact", "level": "semilocal"},
    "R, wandering": {"prior_set": "causalimpact", "dynamic": True, "seasonal": [{"period": 2}]},
}
COLLAPSING = [k for k, v in CASES.items() if v.get("regression") != "horseshoe" and v.get("errors") != "student_t"]
# Scales all different, so that no two priors can be swapped unseen.
PRIORS = Priors(0.9, 0.35, 0.04, 0.15, 0.12, 1.1, 0.2, 0.8, 0.02, 0.4, 1.3, 0.7, 12.0, 0.015, 0.13, 0.7)


def series(rng: np.random.Generator, rows: int = 40, post: int = 8, controls: int = 2, missing: int = 4) -> TimeSeries:
    """A short series with gaps."""
    import pandas as pd

    x = np.cumsum(rng.standard_normal((rows, controls)), 0) + 5
    y = 10 + 0.8 * x.sum(1) + np.cumsum(0.3 * rng.standard_normal(rows)) + rng.standard_normal(rows)
    y[rng.choice(np.arange(2, rows - post - 1), missing, replace=False)] = np.nan
    names = [f"x{k}" for k in range(controls)]
    frame = pd.DataFrame({"t": np.arange(rows), "y": y, **dict(zip(names, x.T, strict=True))})
    return TimeSeries.from_frame(frame, time="t", outcome="y", controls=names, intervention=rows - post)


def inside(model: StructuralTimeSeries, shapes: dict[str, tuple[int, ...]], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A value of every site, anywhere in its support."""
    x = {k: rng.standard_normal(shape) for k, shape in shapes.items()}
    scales = [
        k
        for k in x
        if k in ("sigma", "ridge", "horseshoe", "local", "nu", "mixing") or k.endswith("_ratio") or k.startswith("sigma_")
    ]
    x |= {k: 0.1 + 0.3 * np.abs(x[k]) for k in scales}
    if model.sigma is not None and model.sigma.upper < 1:
        x["sigma"] = np.asarray(rng.uniform(0.1, 0.9) * model.sigma.upper)
    x |= {k: np.tanh(x[k]) for k in x if k in ("rho", "slope_ar") or k.startswith("partial_")}
    return x | {k: (x[k] > 0).astype(int) for k in x if k == "include"}


@pytest.mark.parametrize("case", CASES)
def test_twins_have_one_density(case: str, rng: np.random.Generator, needs: Any) -> None:
    needs("pymc")
    from pymc.model.transform.conditioning import remove_value_transforms

    model = StructuralTimeSeries(series(rng), priors=PRIORS, **CASES[case])
    twin = remove_value_transforms(model.pymc_model())
    logp = twin.compile_logp(mode="FAST_COMPILE")
    shapes = {k: np.shape(v) for k, v in twin.initial_point().items()}
    # PyMC takes the log 2 of a half-Cauchy in single precision: a constant of 2e-9 for each.
    close = 1e-9 if model.regression == "horseshoe" else 1e-11
    for _ in range(3):
        x = inside(model, shapes, rng)
        with jax.enable_x64(True):
            found = float(log_density(model.numpyro_model, (), {}, x)[0])
        assert np.isfinite(found) and found == pytest.approx(float(logp(x)), rel=close)


def linear_map(
    model: StructuralTimeSeries, theta: dict[str, float], taken: np.ndarray | None, local: Any = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """(N, K) how fitted rows load on the twin's normal sites given θ and γ, and (N,) their mean: from the twin's paths.

    The sites are normals of sd 1 but for the initial states, whose sds are those the twin says, and β, whose covariance is put in
    by its factor.
    """
    d = model.design
    full = {k: np.asarray(v) for k, v in theta.items()}
    shapes: dict[str, tuple[int, ...]] = {}
    priors: dict[str, np.ndarray] = {}

    def collect() -> None:
        from numpyro.handlers import seed, trace

        sites = trace(seed(model.numpyro_model, 0)).get_trace()
        shapes.update({k: np.shape(s["value"]) for k, s in sites.items() if s["type"] == "sample" and k != "y"})
        priors.update(
            {k: np.asarray(_innermost(s["fn"]).scale) for k, s in sites.items() if k.endswith(("_first", "slope_mean"))}
        )

    jax.eval_shape(collect)
    others = ("include", "beta", "beta_unit", "horseshoe", "local", "nu", "mixing")
    names = [k for k in shapes if k not in theta and k not in others]
    columns = []
    for name in names:
        for index in np.ndindex(*shapes[name]):
            sites = full | {k: np.zeros(shapes[k]) for k in names}
            sites[name][index] = np.broadcast_to(priors.get(name, 1.0), shapes[name])[index]
            paths = [p.path(sites, d.rows, np.random.default_rng(0)) for p in model.parts]
            columns.append(np.sum(paths, 0)[d.fitted_rows])
    loads = np.array(columns).T
    q = d.candidates.shape[1]
    if q:
        kept = np.flatnonzero(np.ones(q) if taken is None else taken)
        if model.regression == "ridge":
            cov = float(theta["ridge"]) ** 2 * np.eye(q)
        elif model.regression == "horseshoe":
            cov = np.diag((theta["sigma"] * theta["horseshoe"] * local) ** 2) / d.fitted_rows.size
        else:
            cov = float(theta["sigma"]) ** 2 * np.linalg.inv(model.priors.slab * d.information[np.ix_(kept, kept)])
        loads = np.hstack([loads, d.candidates[d.fitted_rows][:, kept] @ np.linalg.cholesky(cov)]) if kept.size else loads
    return loads, np.full(len(d.fitted_rows), d.first)


def _innermost(distribution: Any) -> Any:
    return _innermost(distribution.base_dist) if hasattr(distribution, "base_dist") else distribution


def dense(
    model: StructuralTimeSeries, theta: dict[str, float], taken: np.ndarray | None, local: Any = 1.0, mixing: Any = 1.0
) -> float:
    """Log p(y | θ, γ, λ) by the multivariate normal density itself: errors are innovations of all rows, carried on."""
    d = model.design
    loads, mean = linear_map(model, theta, taken, local)
    row, at = np.arange(d.span), d.fitted_rows
    partial = [theta[k] for k in theta if k == "rho" or k.startswith("partial_")]
    noise = theta["sigma"] ** 2 * linalg.toeplitz(autocovariances(partial, d.span))[np.ix_(at, at)]
    if model.errors == "student_t":
        rho = theta.get("rho", 0.0)
        carried = np.where(row[:, None] >= row, float(rho) ** np.abs(row[:, None] - row), 0.0)
        carried[:, 0] /= np.sqrt(1 - rho**2)
        noise = (carried * (theta["sigma"] ** 2 / mixing) @ carried.T)[np.ix_(at, at)]
    return float(stats.multivariate_normal(mean, loads @ loads.T + noise).logpdf(d.y[at]))


def autocovariances(partial: list[float], rows: int) -> np.ndarray:
    """(rows,) of an autoregression with innovations of sd 1: sums of squares of 4,000 weights on the past."""
    weights = signal.lfilter([1.0], np.r_[1.0, -np.array(coefficients(partial))], np.eye(1, 4000)[0])
    return np.array([weights[k:] @ weights[: 4000 - k] for k in range(rows)])


@pytest.mark.parametrize("case", CASES)
def test_the_density_of_a_sweep_is_that_of_the_dense_normal(case: str, rng: np.random.Generator) -> None:
    """Given sub-model, scales of coefficients and precisions of errors, all at random, to 1e-9 of it."""
    model = StructuralTimeSeries(series(rng), priors=PRIORS, **CASES[case])
    q, d = model.design.candidates.shape[1], model.design
    taken, local = (rng.random(q) < 0.5).astype(float), np.exp(rng.standard_normal(q))
    with jax.enable_x64(True):
        form = model.gibbs()
        t = jnp.asarray(rng.standard_normal(len(form.space.hypers)) / 2)
        mixing = rng.gamma(2.0, 0.5, form.space.span)
        state = {"include": jnp.asarray(taken), "local": jnp.asarray(local), "mixing": jnp.asarray(mixing)}
        lp, _ = form.density(jax.tree.map(jnp.asarray, form.sums), state, t)
        theta = {k: float(v) for k, v in form.space.theta(t).items()}
        prior = float(sum(h.log_prior(t[k]) for k, h in enumerate(form.space.hypers)))
    chosen = taken if model.selection else np.ones(q)
    tails = mixing[: d.span] if model.errors == "student_t" else 1.0
    assert float(lp) - prior == pytest.approx(dense(model, theta, chosen, local, tails), rel=1e-9)


@pytest.mark.parametrize("case", COLLAPSING)
def test_collapsed_density_is_that_of_the_dense_normal(case: str, rng: np.random.Generator) -> None:
    """Every sub-model at random scales, to 1e-8: filter, slab, determinants and initial states at once."""
    model = StructuralTimeSeries(series(rng), priors=PRIORS, **CASES[case])
    with jax.enable_x64(True):
        form = model.all_scales()
        sums = jax.tree.map(jnp.asarray, form.sums)
        theta = {k: np.asarray(v) for k, v in form.theta(jnp.asarray(rng.standard_normal(len(form.hypers)) / 2)).items()}
        found = np.asarray(form.sub_models(sums, {k: jnp.asarray(v) for k, v in theta.items()})[0])
    q = model.design.candidates.shape[1]
    chosen = [np.ones(q)] if not model.selection else [(g >> np.arange(q)) & 1 for g in range(2**q)]
    at = {k: float(v) for k, v in theta.items()}
    odds = model.inclusion
    prior = [g.sum() * np.log(odds) + (q - g.sum()) * np.log1p(-odds) if model.selection else 0.0 for g in chosen]
    expected = [dense(model, at, g) + p for g, p in zip(chosen, prior, strict=True)]
    assert found == pytest.approx(np.array(expected), abs=1e-8)


@pytest.mark.parametrize("case", ["R", "R, selection"])
def test_two_ways_to_the_marginal_likelihood_agree(case: str, rng: np.random.Generator) -> None:
    """R's local level: σ and the ratio by closed forms and one quadrature, and both sds by a plain grid of the general form.

    The log marginal likelihood to 1e-5. A degree of freedom more in one prior would move it by more than 1e-2.
    """
    from bayes_causal.inference.blocks import in_chunks
    from bayes_causal.inference.programs import programs
    from bayes_causal.inference.quadrature import quadrature

    model = StructuralTimeSeries(series(rng), **CASES[case])
    with jax.enable_x64(True):
        one, two = model.collapsed(), model.all_scales()
        assert len(one.hypers) == 1 and len(two.hypers) == 2
        sums = jax.tree.map(jnp.asarray, one.sums)
        line = quadrature(
            lambda t: in_chunks(lambda x: programs(one).density(sums, x), t.reshape(-1, 1)).reshape(t.shape),
            rng.random((1, 10)),
        )
        grid = np.linspace(-6, 6, 241)
        points = np.stack(np.meshgrid(grid, grid, indexing="ij"), -1).reshape(-1, 2)
        lp = in_chunks(lambda x: programs(two).density(sums, x), points)
    step = grid[1] - grid[0]
    assert line.log_mass[0] == pytest.approx(np.logaddexp.reduce(lp) + 2 * np.log(step), abs=1e-5)


def test_the_prior_of_r_is_a_density(rng: np.random.Generator) -> None:
    """It integrates to one below its limit, and its samples follow it (Kolmogorov-Smirnov, fails once in a thousand names)."""
    for prior in (SdPrior(0.01, 32.0, 1.0), SdPrior(0.45, 50.0, 1.2), SdPrior(1.0, 0.01, 1.2)):
        log_sd = np.linspace(np.log(prior.upper) - 14, np.log(prior.upper), 200_001)
        with jax.enable_x64(True):
            density = np.exp(np.asarray(prior.log_density(jnp.asarray(log_sd))) + log_sd)
        mass = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2 * (log_sd[1] - log_sd[0]))])
        below = 1.0 - mass[-1]
        assert abs(below) < (1e-5 if prior.df > 1 else 0.2)
        drawn = np.log(prior.sample(rng.random(2000)))
        assert stats.kstest(drawn, lambda x, m=mass, g=log_sd: np.interp(x, g, m + 1 - m[-1])).pvalue > 1e-3
