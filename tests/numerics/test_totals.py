"""The sum of the counterfactual drawn without its path: against the dense normal, and against the path."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy import linalg, signal, stats

import bayes_causal as bc
from bayes_causal.inference.lines import on_lines
from bayes_causal.inference.many import sample_many, stacked
from bayes_causal.numerics.autoregression import coefficients, names
from bayes_causal.numerics.kalman import Space, filtered, gram
from bayes_causal.numerics.local_level import waves, whitened

ROWS = 30
R = {"prior_set": "causalimpact", "expected_model_size": 1.2}
CASES: dict[str, dict[str, Any]] = {
    "calibrated": {"expected_model_size": 1.2},
    "no controls": {"regression": "none"},
    "trend, seasons, wandering": {
        "level": "local_linear_trend",
        "seasonal": [{"period": 3, "duration": 2}],
        "dynamic": True,
        "regression": "ridge",
    },
    "R": R | {"seasonal": [{"period": 4}]},
    "semilocal, two lags": {"level": "semilocal", "ar": 2, "expected_model_size": 1.2},
    "R, wandering": {"prior_set": "causalimpact", "dynamic": True},
}


def model(rng: np.random.Generator, *, missing: bool = True, **options: Any) -> bc.StructuralTimeSeries:
    """Missing outcomes before and after, a gap between the periods, and dates after the end."""
    x = rng.standard_normal((ROWS, 2)).cumsum(0)
    y = 10 + x[:, 0] + 0.3 * rng.standard_normal(ROWS).cumsum() + rng.standard_normal(ROWS)
    if missing:
        y[[4, 16]] = np.nan
    y[24] = np.nan
    table = pd.DataFrame({"t": np.arange(ROWS), "y": y, "a": x[:, 0], "b": x[:, 1]})
    controls = [] if options.get("regression") == "none" else ["a", "b"]
    series = bc.TimeSeries.from_frame(table, time="t", outcome="y", controls=controls, pre=[0, 16], post=[20, 27])
    return bc.StructuralTimeSeries(series, **options)


def states(form: Any, sums: Any, theta: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """(T, n) what each initial state and each innovation adds to each row, and (n,) their sds: no variance is filtered."""
    rows, columns, sds, start = sums.observed.size, [], [], 0
    for part in form.parts:
        m, own = part.size, slice(start, start + part.size)
        transition, load, flags = np.array(part.transition), sums.loading[:, own], sums.advance[:, own]
        for row, column, name, factor in part.entries:
            transition[row, column] += factor * theta[name]
        moves = [np.where(flags[t][:, None] > 0, transition, np.eye(m)) for t in range(rows)]
        noises = [(k, theta[name] * (theta["sigma"] if relative else 1.0)) for k, name, relative in part.noises]
        sources = [(0, np.eye(m)[k], sums.first_sd[own][k]) for k in range(m)]
        sources += [(t + 1, np.eye(m)[k], sd * flags[t][k]) for t in range(rows - 1) for k, sd in noises]
        for when, state, sd in sources:
            path = np.zeros(rows)
            for t in range(when, rows):
                path[t] = load[t] @ state
                state = moves[t] @ state
            columns.append(path)
            sds.append(sd)
        start += m
    return np.stack(columns, 1), np.array(sds)


def conditional(cov: np.ndarray, mean: np.ndarray, sums: Any, y: np.ndarray) -> tuple[float, float]:
    """Mean and sd of the sum ahead given the observed rows of y, by the dense normal."""
    seen, w = np.asarray(sums.observed), np.asarray(sums.ahead)
    weight = np.linalg.solve(cov[np.ix_(seen, seen)], cov[seen] @ w)
    return float(w @ mean + weight @ (y - mean)[seen]), float(np.sqrt(w @ cov @ w - weight @ cov[seen] @ w))


@pytest.mark.parametrize("case", CASES)
def test_the_sum_ahead_has_the_moments_of_the_dense_normal(case: str, rng: np.random.Generator) -> None:
    """Given scales and coefficients, to 1e-9; without the last innovation of the level the sd is off by far more."""
    with jax.enable_x64(True):
        form = model(rng, **CASES[case]).all_scales()
        sums = form.sums
        theta = {k: float(v) for k, v in form.theta(jnp.asarray(rng.standard_normal(len(form.hypers)) / 2)).items()}
        beta = rng.standard_normal(form.candidates)
        at = {k: jnp.asarray(v) for k, v in theta.items()}
        last = filtered(*form.seen(jax.tree.map(jnp.asarray, sums), at))[2:]
        found = [float(v) for v in form.total(jax.tree.map(jnp.asarray, sums), at, jnp.asarray(beta), *last)]
    maps, sds = states(form, sums, theta)
    phi = coefficients([theta[k] for k in names(form.order)])
    weights = signal.lfilter([1.0], np.r_[1.0, -np.array(phi)], np.eye(1, 2000)[0])
    noise = theta["sigma"] ** 2 * linalg.toeplitz([weights[k:] @ weights[: 2000 - k] for k in range(len(maps))])
    mean = sums.first + sums.columns[:, :-1] @ beta
    y = sums.first + sums.columns[:, -1]
    assert found == pytest.approx(conditional((maps * sds**2) @ maps.T + noise, mean, sums, y), rel=1e-9)
    after = np.flatnonzero(np.asarray(sums.ahead))
    moving = [k for k in np.flatnonzero(sds) if (maps[: after[-1], k] == 0).all() and maps[after[-1], k] != 0]
    sds[moving] = 0.0
    assert moving and conditional((maps * sds**2) @ maps.T + noise, mean, sums, y)[1] < found[1] * (1 - 1e-6)


@pytest.mark.parametrize("missing", [True, False])
def test_one_ratio_leaves_the_sum_ahead_of_the_dense_normal(missing: bool, rng: np.random.Generator) -> None:
    """Given q, γ and λ, level and coefficients integrated out, to 1e-9, by the filter and by waves."""
    with jax.enable_x64(True):
        form = model(rng, missing=missing, **R).collapsed()
        sums: Any = form.sums
        assert (sums.waves is None) == missing
        log_q, precision = float(np.log(0.2)), 3.0
        rest = np.asarray(form.sub_models(jax.tree.map(jnp.asarray, sums), jnp.asarray(log_q))[1])  # type: ignore[attr-defined]
        left = [tuple(jnp.asarray(r[i, j]) for i, j in ((0, 0), (0, 1), (1, 1), (0, 2), (1, 2), (2, 2))) for r in rest]
        found = [[float(v) for v in form.total(sums, own, jnp.asarray(precision))] for own in left]  # type: ignore[attr-defined]
    rows, p = sums.observed.size, form.candidates  # type: ignore[attr-defined]
    t = np.arange(rows)
    level = sums.first_sd[0] ** 2 + np.exp(log_q) / precision * np.minimum.outer(t, t)
    for g, own in enumerate(found):
        kept = np.flatnonzero((g >> np.arange(p)) & 1)
        x = sums.columns[:, kept]
        cov = level + np.eye(rows) / precision + x @ np.linalg.inv(precision * sums.slab[np.ix_(kept, kept)]) @ x.T
        y = sums.first + sums.columns[:, -1]
        assert own == pytest.approx(conditional(cov, np.full(rows, sums.first), sums, y), rel=1e-9)


def test_waves_whiten_as_the_filter_does(rng: np.random.Generator) -> None:
    """Products, log determinants and the last level of every column, padded rows included, to 1e-9, from still to restless."""
    n, rows = 37, 48
    columns = rng.standard_normal((n, 3)).cumsum(0)
    with jax.enable_x64(True):
        one, own = jnp.ones((1, 1)), jax.tree.map(jnp.asarray, waves(columns, rows))
        for q in (1e-8, 0.03, 40.0):
            space = Space(one, one * np.sqrt(q), jnp.ones((n, 1)), 0 * one, jnp.ones(()), None)
            products, log_f, mean, cov = filtered(space, jnp.asarray(columns), jnp.ones(n, bool))
            found = whitened(own, jnp.asarray(q))
            for a, b in zip(found, (products, log_f, mean[0], cov[0, 0]), strict=True):
                assert np.asarray(a) == pytest.approx(np.asarray(b), rel=1e-9, abs=1e-11)
            assert np.asarray(gram(space, jnp.asarray(columns), jnp.ones(n, bool))[0]) == pytest.approx(np.asarray(products))


@pytest.mark.parametrize("options", [R, {"expected_model_size": 1.2}], ids=["R", "calibrated"])
def test_sums_are_drawn_from_the_law_of_the_paths(options: dict[str, Any], rng: np.random.Generator) -> None:
    """All of it: scales, sub-models, coefficients, levels, errors carried on.

    Two-sample Kolmogorov-Smirnov over 2,000 draws each, autocorrelated ones thinned: one in a thousand names fails. Draws
    a fifth too narrow are caught.
    """
    own = model(rng, missing="prior_set" not in options, **options)
    table = bc.estimate_many([own], ["att", "relative"], seed=1, draws=8000, keep_draws=True)
    paths = bc.fit_many([own], seed=2, draws=8000).isel(problem=0)
    for k, name in enumerate(("att", "relative")):
        short = table["draws"].values[0, k, ::4]
        longer = own.effect(paths, bc.Estimand(name, "realised")).values.ravel()[::4]
        assert stats.ks_2samp(short, longer).pvalue > 1e-3
        if name == "att":
            assert stats.ks_2samp(short.mean() + 0.8 * (short - short.mean()), longer).pvalue < 1e-3


def test_random_numbers_belong_to_their_problem(rng: np.random.Generator) -> None:
    """Alone, in other company or in blocks of another size, a problem draws the same, paths and sums alike."""
    forms = [model(rng, missing=False, **R).collapsed() for _ in range(5)]
    sums = stacked([f.sums for f in forms])
    with jax.enable_x64(True):
        whole = on_lines(forms[0], sums, 300, 1, total=True)[1]["total"]
        sites = on_lines(forms[0], sums, 300, 1)[1]
        for some in ([3], [4, 3, 0]):
            part = jax.tree.map(lambda v, k=some: v[k], sums)
            assert on_lines(forms[0], part, 300, 1, total=True, numbers=some)[1]["total"] == pytest.approx(whole[some], rel=1e-9)
            again = sample_many(forms[0], part, seed=1, draws=300, numbers=some).sites
            assert again["level"] == pytest.approx(sites["level"][some], rel=1e-9)
        assert np.abs(on_lines(forms[0], sums, 300, 2, total=True)[1]["total"] - whole).min() > 0
    assert np.unique(whole).size == whole.size and np.unique(sites["level"][:, :, -1]).size == whole.size
