"""The structural time series through the engines: two collapsed forms, NUTS on the twin, calibration, many at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

import bayes_causal as bc
from bayes_causal.checks.calibration import calibration, simulate_and_refit
from bayes_causal.errors import TreeError
from bayes_causal.inference import generate
from bayes_causal.inference.many import sample_many, stacked
from bayes_causal.inference.quadrature import quadrature
from bayes_causal.inference.tree import dataset
from bayes_causal.models.series_predictive import expected, paths
from bayes_causal.numerics import autoregression
from bayes_causal.numerics.kalman import Space, draw_states
from bayes_causal.numerics.local_level import draw_level


def model(rng: np.random.Generator, rows: int = 40, **options: Any) -> bc.StructuralTimeSeries:
    """Two controls, one idle; missing outcomes in the middle."""
    x = rng.standard_normal((rows, 2)).cumsum(0)
    y = 10 + x[:, 0] + 0.2 * rng.standard_normal(rows).cumsum() + rng.standard_normal(rows)
    y[[5, 6, rows // 2]] = np.nan
    table = pd.DataFrame({"t": np.arange(rows), "y": y, "a": x[:, 0], "b": x[:, 1]})
    series = bc.TimeSeries.from_frame(table, time="t", outcome="y", controls=["a", "b"], intervention=rows - 10)
    return bc.StructuralTimeSeries(series, **options)


def posterior(built: Any, engine: Any, seed: int) -> xr.Dataset:
    return dataset(built, built.natural(engine.sample(built, seed=seed).sites), ("chain", "draw"))


class AllScales:
    """The same model, its collapsed form the general one."""

    def __init__(self, built: bc.StructuralTimeSeries):
        self.built, self.name = built, built.name

    def collapsed(self) -> Any:
        return self.built.all_scales()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.built, name)


def test_one_ratio_and_all_scales_draw_from_one_posterior(rng: np.random.Generator, disagreements: Callable[..., Any]) -> None:
    """R's local level with sub-models: σ and q drawn by quadrature, and both sds by importance sampling.

    Means and sds of every level, coefficient, inclusion and counterfactual are within Monte Carlo error.
    """
    built = model(rng, prior_set="causalimpact", expected_model_size=1.5)
    names = ["sigma", "sigma_level", "beta", "inclusion"]
    engine = bc.Collapsed(draws=2000, chains=4)
    one, two = posterior(built, engine, 1), posterior(AllScales(built), engine, 2)
    thin = {"time": slice(0, None, 9)}
    a, b = (d[[*names, "level", "counterfactual"]].isel(thin) for d in (one, two))
    assert disagreements(a, b) == []
    assert disagreements(a * 1.1 + 0.02, b), "draws shifted and stretched would go unseen"


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{}, {"prior_set": "causalimpact"}, {"level": "local_linear_trend", "regression": "ridge"}], ids=str
)
def test_collapsed_agrees_with_nuts_on_the_full_twin(
    options: dict[str, Any], rng: np.random.Generator, disagreements: Callable[..., Any]
) -> None:
    """Every control in: means and sds within Monte Carlo error, states and counterfactuals thinned."""
    built = model(rng, **options)
    nuts = bc.NumpyroNuts(draws=600, warmup=500, target_accept=0.95, chain_method="vectorized", progress=False)
    thin = {"time": slice(0, None, 9)}
    a, b = (posterior(built, e, s).isel(thin) for e, s in ((bc.Collapsed(draws=1000), 1), (nuts, 2)))
    assert disagreements(a, b) == []
    assert disagreements(a * 1.2 + 0.05, b), "draws shifted and stretched would go unseen"


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [{"expected_model_size": 1.0}, {"prior_set": "causalimpact", "expected_model_size": 1.5}, {"level": "local_linear_trend"}],
    ids=str,
)
def test_ranks_are_uniform(options: dict[str, Any], rng: np.random.Generator, seed: int) -> None:
    """Simulation-based calibration of every scale: fails once in a hundred names."""
    check = calibration(simulate_and_refit(model(rng, **options), replicates=200, seed=seed))
    assert check.passed, check.text


@pytest.mark.slow
def test_ranks_of_forecasts_are_uniform(rng: np.random.Generator, seed: int) -> None:
    """A semilocal trend and two lags: every scale, and the mean of the post-period, ranked among draws that never saw it.

    The row before the last of the pre-period is missing. 120 replicates: fails once in a hundred names.
    """
    built = model(rng, level="semilocal", ar=2)
    outcome = built.series.dataset["outcome"].values.copy()
    outcome[built.design.span - 2] = np.nan
    built = built.variant(series=built.series.replace_outcome(outcome))
    d, errors, coefficients = built.design, built.error_structure, built.regression_prior.coefficients
    truth = generate.prior_sites(built, 120, seed)
    mean = expected(paths(built.parts, truth, d, rng), coefficients(truth, d), d)
    partial = np.stack([truth[k] for k in errors.names], -1)
    y = mean + autoregression.simulate(partial, truth["sigma"], d.rows, rng)
    forms = [built.collapsed(v) for v in y[:, d.fitted_rows]]
    drawn = sample_many(forms[0], stacked([f.sums for f in forms]), seed=seed + 1, draws=495)
    sites = {k: v[:, 4::5] for k, v in drawn.sites.items()}
    ranks: dict[str, list[int]] = {k: [] for k in ("forecast", *(h.name for h in forms[0].hypers))}
    for r in np.flatnonzero(drawn.trusted):
        own, data = {k: v[r] for k, v in sites.items()}, replace(d, y=np.where(d.fitted, y[r], np.nan))
        level = expected(paths(built.parts, own, data, rng), coefficients(own, data), data)
        ahead = (level + errors.ahead(level, own, data, rng))[:, d.post].mean(-1)
        ranks["forecast"].append(int((ahead < y[r, d.post].mean()).sum()))
        for k in (h.name for h in forms[0].hypers):
            ranks[k].append(int((own[k] < truth[k][r]).sum()))
    assert len(ranks["forecast"]) > 100
    p = [stats.kstest((np.array(v) + rng.random(len(v))) / 100, "uniform").pvalue for v in ranks.values()]
    assert min(p) * len(p) > 0.01, dict(zip(ranks, p, strict=True))


def test_discrete_sites_are_refused_by_nuts_with_a_way_out(rng: np.random.Generator) -> None:
    with pytest.raises(TypeError, match=r"discrete sites \(include\).*'collapsed'"):
        bc.NumpyroNuts(draws=1, warmup=1, chains=1).sample(model(rng, expected_model_size=1.0), seed=1)


@pytest.mark.parametrize("width", [1.0, 1e-3, 30.0])
def test_quadrature_closes_in_on_any_width(width: float, rng: np.random.Generator) -> None:
    """A skewed density wherever it lies: its mass to 1e-5, its draws by Kolmogorov-Smirnov (once in a thousand names).

    At least 48 nodes over 16 standard deviations leave the spline an error of a few millionths; one with half of them does not.
    """
    target = stats.skewnorm(3, loc=4.0, scale=width)
    lines = quadrature(lambda t: target.logpdf(t) + 5.0, rng.random((2, 4000)))
    assert lines.log_mass == pytest.approx([5.0, 5.0], abs=1e-5)
    for drawn in lines.t:
        assert stats.kstest(drawn, target.cdf).pvalue > 1e-3
        assert np.unique(drawn).size == drawn.size
    with pytest.raises(FloatingPointError, match="nowhere finite"):
        quadrature(lambda t: np.full(t.shape, -np.inf), rng.random((1, 10)))
    with pytest.raises(FloatingPointError, match="does not fall off"):
        quadrature(lambda t: 0.0 * t, rng.random((1, 10)))


def test_the_short_way_to_a_level_is_the_general_one(rng: np.random.Generator) -> None:
    """Filtering forward and sampling backward against the simulation smoother, rows ahead included.

    40,000 draws on each side: means within 5 errors of the difference, covariances of neighbours within 4 % of the variances.
    """
    rows, span, q, draws = 24, 16, 0.3, 40_000
    y, seen = rng.standard_normal(span), rng.random(span) > 0.25
    with jax.enable_x64(True):
        one = jnp.ones((1, 1))
        space = Space(one, one * np.sqrt(q), jnp.ones((rows, 1)), 0 * one, jnp.ones(()), None)
        padded = [jnp.asarray(np.concatenate([v, np.zeros(rows - span, v.dtype)])) for v in (y, seen)]
        keys = jax.random.split(jax.random.PRNGKey(int(rng.integers(2**31))), draws)
        general = np.asarray(jax.jit(jax.vmap(lambda k: draw_states(space, *padded, k)[:, 0]))(keys))
        noise = jnp.asarray(rng.standard_normal((draws, rows)))
        short = np.asarray(jax.jit(jax.vmap(lambda n: draw_level(jnp.asarray(y), jnp.asarray(seen), jnp.asarray(q), n)))(noise))
    z = (general - short).mean(0)[1:] / np.sqrt((general.var(0) + short.var(0))[1:] / draws)
    assert np.abs(z).max() < 5 and (short[:, 0] == 0).all()
    a, b = (np.cov(v[:, 1:].T) for v in (general, short))
    scale = np.sqrt(np.outer(np.diag(a), np.diag(a)))
    assert np.abs((a - b) / scale).max() < 0.04


@pytest.mark.slow
def test_many_series_get_the_answers_they_get_alone(rng: np.random.Generator) -> None:
    """Of three shapes, under both priors: means within 5 Monte Carlo errors, sds within 20 %."""
    models = [model(rng), model(rng)] + [model(rng, rows, prior_set="causalimpact") for rows in (40, 90, 40)]
    table = bc.estimate_many(models, ["att", "relative"], seed=1, draws=1000, keep_draws=True)
    assert table["trusted"].all() and table["draws"].shape == (5, 2, 1000)
    for k, built in enumerate(models):
        alone = built.effect(posterior(built, bc.Collapsed(draws=500), 2), built.headline).values
        answer = table.isel(problem=k).sel(estimand="att")
        assert abs(float(answer["value"]) - alone.mean()) < 5 * alone.std() * np.sqrt(1 / 1000 + 1 / 250)
        assert 0.8 < float(answer["std_error"]) / alone.std() < 1.25
        assert float(answer["lower"]) < float(answer["value"]) < float(answer["upper"])
    with pytest.raises(TreeError, match="at least one model"):
        bc.estimate_many([], seed=1)
