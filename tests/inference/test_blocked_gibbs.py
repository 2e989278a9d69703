"""The Gibbs engine, and the sweeps of structural series: against enumeration, NUTS, the prior itself, and a known truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

import bayes_causal as bc
from bayes_causal.checks.series_refit import refit, refit_many
from bayes_causal.inference import blocked_gibbs, generate
from bayes_causal.inference.blocked_gibbs import BlockedGibbs
from bayes_causal.inference.tree import dataset, info
from bayes_causal.models import series_predictive
from bayes_causal.numerics import coefficient_priors
from bayes_causal.numerics.random_walk import walker

REPLICATES, SWEEPS = 4000, 8


def model(rng: np.random.Generator, rows: int = 60, controls: int = 3, far: float = 0.0, **options: Any) -> Any:
    """Controls of which the first two matter; missing outcomes in the middle; one outcome far off, if asked for."""
    x = 0.5 * rng.standard_normal((rows, controls)).cumsum(0)
    y = 10 + 2 * x[:, 0] - 2 * x[:, 1] if controls > 1 else 10 + np.zeros(rows)
    y = y + 0.1 * rng.standard_normal(rows).cumsum() + rng.standard_normal(rows)
    y[[5, 6, rows // 2]] = np.nan
    y[rows // 2 + 3] += far
    names = [f"x{k}" for k in range(controls)]
    table = pd.DataFrame(x, columns=names).assign(t=np.arange(rows), y=y)
    series = bc.TimeSeries.from_frame(table, time="t", outcome="y", controls=names, intervention=rows - 15)
    return bc.StructuralTimeSeries(series, **options)


def posterior(built: Any, engine: Any, seed: int) -> xr.Dataset:
    return dataset(built, built.natural(engine.sample(built, seed=seed).sites), ("chain", "draw"))


@pytest.fixture(scope="module")
def wide() -> Any:
    """Twenty controls, two of which matter."""
    return model(np.random.default_rng(20), controls=20)


@pytest.mark.slow
def test_column_after_column_agrees_with_the_sum_over_all_sub_models(
    rng: np.random.Generator, disagreements: Callable[..., Any]
) -> None:
    """Eight controls, 256 sub-models: means and sds within Monte Carlo error; faults are seen."""
    built = model(rng, controls=8)
    thin = {"time": slice(0, None, 12)}
    exact = posterior(built, bc.Collapsed(draws=2000), 1).isel(thin)
    swept = posterior(built, BlockedGibbs(draws=2500, warmup=500, thin=2), 2).isel(thin)
    assert disagreements(exact, swept) == []
    assert disagreements(exact * 1.15 + 0.03, swept)


def test_two_controls_of_twenty_are_found(wide: Any) -> None:
    """The engine is chosen and says why; controls at 2 and −2 are in, the others mostly out; the null effect is covered."""
    tree = bc.fit(wide, bc.Auto(draws=500, warmup=500), seed=1)
    engine = info(tree)["engine"]
    assert engine["name"] == "gibbs" and "2^20 sub-models" in engine["reason"]
    assert {"acceptance_rate", "lp"} <= set(tree["sample_stats"])
    found = tree["posterior"].to_dataset().mean(("chain", "draw"))
    assert (found["inclusion"][:2] > 0.95).all() and (found["inclusion"][2:] < 0.5).all()
    assert found["beta"].values[:2] == pytest.approx([2, -2], abs=0.7)
    low, high = np.quantile(wide.effect(tree["posterior"].to_dataset(), wide.headline), [0.005, 0.995])
    assert low < 0 < high
    assert tree["log_likelihood"]["y"].sizes["row"] == wide.design.fitted_rows.size
    with pytest.raises(TypeError, match=r"no collapsed form: 2\^20.*use engine 'gibbs'"):
        bc.Collapsed().sample(wide, seed=1)
    with pytest.raises(TypeError, match=r"discrete sites.*'gibbs'"):
        bc.NumpyroNuts().sample(wide, seed=1)
    with pytest.raises(ValueError, match="no collapsed form"):
        wide.collapsed()


def test_seeds_reproduce_and_an_interrupt_leaves_nothing(wide: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = BlockedGibbs(draws=60, warmup=70)
    one, again, other = (engine.sample(wide, seed=s).sites["beta"] for s in (3, 3, 4))
    assert (one == again).all() and (one != other).any() and (one[0] != one[1]).any()
    thinned = BlockedGibbs(draws=20, warmup=70, thin=3).sample(wide, seed=3)
    assert (thinned.sites["include"] == engine.sample(wide, seed=3).sites["include"][:, 2::3]).all()
    assert "1 of 3 sweeps kept" in thinned.path
    monkeypatch.setattr(blocked_gibbs.jax, "device_get", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        engine.sample(wide, seed=3)
    monkeypatch.undo()
    assert not jax.config.jax_enable_x64
    assert (engine.sample(wide, seed=3).sites["beta"] == one).all()


def test_a_model_without_blocks_is_refused(normal_mean: Any) -> None:
    with pytest.raises(TypeError, match="normal_mean has no Gibbs form; use engine 'auto'"):
        BlockedGibbs().sample(normal_mean, seed=1)
    with pytest.raises(ValueError, match=r"draws must be.*thin must be"):
        BlockedGibbs(draws=0, thin=0)


def test_refits_of_checks_go_by_sweeps_too(wide: Any) -> None:
    """Without a control that matters the counterfactual moves; the column left out is never in."""
    _, without = refit(wide, without=["x0"])
    assert float(np.abs(without["beta"].sel(control="x0")).max()) == 0 == float(without["inclusion"].sel(control="x0").max())
    assert float(without["inclusion"].sel(control="x1").mean()) > 0.9
    ((_, again, agreed),) = refit_many(wide, [(wide.series, ["x0"])], draws=200)
    assert agreed and (again["beta"] == without["beta"]).all()


@dataclass(frozen=True)
class WrongHorseshoe(coefficient_priors.Horseshoe):
    """λ drawn as if coefficients were half as large."""

    def sweep(self, sums: Any, state: Any, products: Any, theta: Any, key: Any) -> Any:
        return super().sweep(sums, state, products, theta | {self.name: 2 * theta[self.name]}, key)


def simulated(built: Any, prior: dict[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """(R, N) standardised outcomes given draws of the prior, the precisions of the errors among them."""
    d = built.design
    paths = series_predictive.paths(built.parts, prior, d, rng)
    mean = series_predictive.expected(paths, built.regression_prior.coefficients(prior, d), d)[:, : d.span]
    rho = prior.get("rho", np.zeros(REPLICATES))
    error = prior["sigma"][:, None] * rng.standard_normal(mean.shape) / np.sqrt(prior.get("mixing", 1.0))
    error[:, 0] /= np.sqrt(1 - rho**2)
    for t in range(1, d.span):
        error[:, t] += rho * error[:, t - 1]
    return np.asarray((mean + error)[:, d.fitted_rows])


def after_sweeps(built: Any, form: Any, seed: int) -> dict[str, np.ndarray]:
    """States that some sweeps make of draws of the prior, given outcomes simulated from each."""
    d = built.design
    prior = generate.prior_sites(built, REPLICATES, seed)
    outcomes = simulated(built, prior, np.random.default_rng(seed))
    with jax.enable_x64(True):
        own: dict[str, Any] = {k: prior[k].astype(float) for k in ("include", "local") if k in prior}
        if form.tails:
            # Rows that only fill up the span to a size are informed by nothing.
            mixing = np.ones((REPLICATES, form.space.span))
            mixing[:, : d.span] = prior["mixing"]
            own |= {"mixing": mixing, "log_nu": np.log(prior["nu"])[:, None]}
        own["t"] = np.stack([h.probit(prior[h.name]) for h in form.space.hypers], 1)
        sums = jax.tree.map(jnp.asarray, form.sums)

        def one(own: Any, y: Any, key: Any) -> Any:
            columns = sums.series.columns.at[d.fitted_rows, -1].set(y - d.first)
            mine = sums._replace(series=sums.series._replace(columns=columns))
            lp, products = form.density(mine, own, own["t"])
            walkers = {"walker": walker(jnp.zeros(own["t"].shape)), "tail_walker": walker(jnp.full(1, 2.0))}
            state = own | walkers | {"lp": lp, "products": products, "acceptance_rate": jnp.zeros(())}

            def step(state: Any, key: Any) -> tuple[Any, None]:
                return form.sweep(mine, state, key, jnp.asarray(False)), None

            last = jax.lax.scan(step, state, jax.random.split(key, SWEEPS))[0]
            return {k: last[k] for k in own}

        keys = jax.random.split(jax.random.PRNGKey(seed + 1), REPLICATES)
        found = jax.jit(jax.vmap(one))(own, outcomes, keys)
    return {k: np.asarray(v) for k, v in found.items()}


def p_values(built: Any, form: Any, seed: int) -> dict[str, float]:
    """Of Kolmogorov-Smirnov tests against the prior, from independent replicates; of a chi-squared test for indicators."""
    after = after_sweeps(built, form, seed)
    found = {h.name: float(stats.kstest(after["t"][:, k], "norm").pvalue) for k, h in enumerate(form.space.hypers)}
    if "include" in after:
        taken = after["include"].sum(1).astype(int)
        p, exact = after["include"].shape[1], stats.binom(after["include"].shape[1], built.inclusion)
        counts = np.bincount(taken, minlength=p + 1)
        found["include"] = float(stats.chisquare(counts, exact.pmf(np.arange(p + 1)) * REPLICATES).pvalue)
    if "local" in after:
        found["local"] = float(stats.kstest(after["local"][:, 0], stats.halfcauchy.cdf).pvalue)
    if "log_nu" in after:
        nu = np.exp(after["log_nu"][:, 0])
        found["nu"] = float(stats.kstest(nu, stats.gamma(2, scale=1 / built.error_structure.tails).cdf).pvalue)
        row = built.design.fitted_rows[3]
        found["mixing"] = float(stats.kstest(stats.gamma.cdf(after["mixing"][:, row], nu / 2, scale=2 / nu), "uniform").pvalue)
    return found


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"errors": "student_t", "expected_model_size": 1.0}, {"sigma", "rho", "level_ratio", "include", "nu", "mixing"}),
        ({"regression": "horseshoe", "ar": 0}, {"sigma", "level_ratio", "horseshoe", "local"}),
    ],
    ids=["Student-t, selection", "horseshoe"],
)
def test_sweeps_keep_the_prior(options: Any, names: set[str], rng: np.random.Generator, seed: int) -> None:
    """Parameters from the prior, outcomes given them, eight sweeps: the prior again (Geweke 2004).

    doi:10.1198/016214504000001132. Ten comparisons at 1e-4: fails once in a thousand names.
    """
    built = model(rng, rows=36, **options)
    found = p_values(built, built.gibbs(), seed % 2**30)
    assert set(found) == names
    assert min(found.values()) > 1e-4, found


@pytest.mark.slow
def test_wrong_conditionals_are_seen(rng: np.random.Generator, seed: int) -> None:
    """λ as if coefficients were smaller; precisions of errors that forget their tails."""
    built = model(rng, rows=36, regression="horseshoe", ar=0)
    form = replace(built.gibbs(), prior=WrongHorseshoe("horseshoe"))
    assert min(p_values(built, form, seed % 2**30).values()) < 1e-8
    built = model(rng, rows=36, errors="student_t", expected_model_size=1.0)
    assert min(p_values(built, replace(built.gibbs(), tails=0.2), seed % 2**30).values()) < 1e-8


@pytest.mark.slow
def test_horseshoe_and_student_t_agree_with_nuts_on_the_twin(rng: np.random.Generator, disagreements: Callable[..., Any]) -> None:
    """Means and sds within Monte Carlo error. λ and τ themselves have no variance; what they shrink by has."""
    built = model(rng, rows=40, regression="horseshoe", errors="student_t", far=8.0)
    names = ["sigma", "rho", "level_ratio", "nu", "beta", "shrinkage", "level"]
    thin = {"time": slice(0, 25, 8)}
    nuts = bc.NumpyroNuts(draws=600, warmup=500, max_tree_depth=7, chain_method="vectorized", progress=False)
    a = posterior(built, BlockedGibbs(draws=1500, warmup=500, thin=2), 1)[names].isel(thin)
    b = posterior(built, nuts, 2)[names].isel(thin)
    assert disagreements(a, b) == []
    assert disagreements(a * 1.25 + 0.05, b)


def test_likelihood_and_forecast_of_student_t_errors(rng: np.random.Generator) -> None:
    """Rows without a gap by the t density itself; a row after a gap by simulating what leads to it; innovations ahead are t.

    Of 200,000 simulated outcomes after the gap, the share within a quarter of a sd, to the error that 64 draws of the precisions
    leave.
    """
    built = model(rng, rows=40, controls=0, errors="student_t")
    d, nu, sigma, rho = built.design, 3.0, 0.8, 0.6
    sites = {"nu": np.full(1, nu), "sigma": np.full(1, sigma), "rho": np.full(1, rho), "level": np.zeros((1, d.rows))}
    found = built.log_likelihood(sites).values[0]
    y, gap = d.y[d.fitted_rows], d.gap
    plain = np.flatnonzero(gap == 1)
    expected = stats.t.logpdf((y[plain] - rho * y[plain - 1]) / sigma, nu) - np.log(sigma)
    assert found[plain] == pytest.approx(expected, abs=1e-12)
    assert found[0] == pytest.approx(stats.t.logpdf(y[0], nu, scale=sigma / np.sqrt(1 - rho**2)), abs=1e-12)
    k = int(np.flatnonzero(gap == 3)[0])
    error = np.full(200_000, y[k - 1])
    for _ in range(3):
        error = rho * error + sigma * rng.standard_t(nu, error.size)
    share = float((np.abs(error - y[k]) < 0.25).mean())
    assert np.log(share / 0.5) == pytest.approx(found[k], abs=0.35)
    many = {k: np.repeat(v, 20_000, 0) for k, v in sites.items()}
    ahead = built.error_structure.ahead(many["level"], many, d, rng)
    news = (ahead[:, d.span] - rho * d.y[d.span - 1]) / sigma
    assert stats.kstest(news, stats.t(nu).cdf).pvalue > 1e-3
    assert np.corrcoef(ahead[:, -1], ahead[:, -2])[0, 1] > 0.4


def test_one_gross_outlier_moves_student_t_errors_less(rng: np.random.Generator, seed: int) -> None:
    """An outcome 15 sds off: the average counterfactual moves less than a third as far as under normal errors."""
    moved = {}
    for errors, engine in (("gaussian", bc.Collapsed(draws=500)), ("student_t", BlockedGibbs(draws=500, warmup=500))):
        means = []
        for far in (0.0, 15.0):
            built = model(np.random.default_rng(seed), controls=0, far=far, errors=errors)
            means.append(float(posterior(built, engine, 1)["counterfactual"].isel(time=slice(45, None)).median()))
        moved[errors] = abs(means[1] - means[0])
    assert moved["student_t"] < moved["gaussian"] / 3, moved
