"""Every engine on a user's model of ten lines, whose posterior is known; every check on its tree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import xarray as xr

from bayes_causal.checks.catalogue import CHECKS, check
from bayes_causal.data.simulate import simulate_panel
from bayes_causal.errors import StudyError
from bayes_causal.estimates import Estimand
from bayes_causal.inference.blocked_gibbs import BlockedGibbs
from bayes_causal.inference.catalogue import ENGINES, engine_from
from bayes_causal.inference.collapsed import Collapsed
from bayes_causal.inference.estimate import estimate
from bayes_causal.inference.fit import Auto, fit
from bayes_causal.inference.numpyro_nuts import NumpyroNuts
from bayes_causal.inference.pymc_nuts import PymcNuts
from bayes_causal.inference.tree import dataset, info, load, save
from bayes_causal.models.base import Model
from bayes_causal.models.hierarchical_did import HierarchicalDiD

SAMPLERS = ("pymc", "nutpie", "numpyro")
QUIET: dict[str, Any] = {"warmup": 300, "progress": False}


def closed_form(model: Any) -> tuple[float, float]:
    """Posterior mean and sd of μ."""
    precision = model.y.size + 1 / 4
    return model.y.sum() / precision, 1 / np.sqrt(precision)


def assert_closed_form(model: Any, mu: np.ndarray) -> None:
    """Mean within five Monte Carlo errors; sd within 15 %, some five of its standard errors; once in a million runs not."""
    from arviz_stats.base import array_stats

    mean, sd = closed_form(model)
    assert abs(mu.mean() - mean) < 5 * float(array_stats.mcse(mu, method="mean"))
    assert mu.std() == pytest.approx(sd, rel=0.15)
    assert float(array_stats.rhat(mu, method="rank")) < 1.02


@pytest.fixture(scope="module")
def tree(normal_mean: Model) -> xr.DataTree:
    return fit(normal_mean, NumpyroNuts(draws=700, chains=2, **QUIET), seed=5)


def test_the_least_a_model_must_offer_is_enough(normal_mean: Any, tree: xr.DataTree, tmp_path: Path) -> None:
    assert isinstance(normal_mean, Model)
    assert_closed_form(normal_mean, tree["posterior"]["mu"].values)
    assert tree["prior"]["mu"].values.std() == pytest.approx(2.0, rel=0.1)
    assert tree["posterior_predictive"]["y"].sizes["draw"] == 200
    assert (info(tree)["model"], info(tree)["engine"]["name"]) == ("normal_mean", "nuts")
    answer = estimate(normal_mean, tree)
    assert (answer.method, answer.value.item()) == ("normal_mean", tree["posterior"]["mu"].values.mean())
    xr.testing.assert_identical(load(save(tree, tmp_path / "tree.nc")), tree)


def test_log_likelihood_of_a_users_model_is_that_of_its_twin(normal_mean: Any, tree: xr.DataTree) -> None:
    from scipy import stats

    values = tree["log_likelihood"]["y"]
    mu = tree["posterior"]["mu"].values[0, np.unique(np.linspace(699, 0, values.sizes["draw"]).round().astype(int))]
    expected = stats.norm.logpdf(normal_mean.y, mu[:, None], 1).sum(1)
    assert values.values[0].reshape(mu.size, -1).sum(1) == pytest.approx(expected)
    assert tree["log_prior"]["mu"].values[0] == pytest.approx(stats.norm.logpdf(mu, 0, 2))


@pytest.mark.parametrize("name", CHECKS)
def test_every_check_answers_on_a_users_model(name: str, normal_mean: Any, tree: xr.DataTree) -> None:
    first, *rest = check(normal_mean, tree, [name])
    assert first.name == "convergence" and first.passed
    for found in rest:
        assert found.name == name and found.text
        assert found.passed is not False


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_pymc_twin_by_every_sampler(sampler: Any, normal_mean: Any, needs: Any) -> None:
    needs("pymc")
    before = jax.config.jax_enable_x64
    result = fit(normal_mean, PymcNuts(draws=700, chains=2, sampler=sampler, **QUIET), seed=6)
    assert jax.config.jax_enable_x64 == before, "the process-wide float64 flag was left changed"
    assert result["posterior"]["mu"].dtype == np.float64
    assert_closed_form(normal_mean, result["posterior"]["mu"].values)
    assert {"diverging", "energy", "n_steps", "lp"} <= set(result["sample_stats"])
    assert check(normal_mean, result, "none")[0].passed


def test_the_float64_flag_is_kept_where_it_was_on(normal_mean: Any, needs: Any, x64_process: None) -> None:
    needs("pymc")
    PymcNuts(draws=20, chains=1, sampler="numpyro", warmup=20, progress=False).sample(normal_mean, seed=1)
    assert jax.config.jax_enable_x64


@pytest.mark.parametrize("sampler", [pytest.param(s, marks=() if s == "nutpie" else pytest.mark.slow) for s in SAMPLERS])
def test_pymc_twin_of_difference_in_differences(sampler: Any, needs: Any, disagreements: Any) -> None:
    """Against the collapsed engine: means and sds within Monte Carlo error."""
    needs("pymc")
    model = HierarchicalDiD(simulate_panel(units=8, periods=5, seed=3)[0], errors="iid")
    draws = [
        e.sample(model, seed=8)
        for e in (Collapsed(draws=1000), PymcNuts(draws=700, chains=2, sampler=sampler, warmup=600, progress=False))
    ]
    a, b = (dataset(model, model.natural(d.sites), ("chain", "draw")) for d in draws)
    assert "alpha" in b and b["gamma"].sizes == {"chain": 2, "draw": 700, "time": 5}
    assert disagreements(a, b) == []


def test_the_same_seed_gives_the_same_draws_by_nuts(normal_mean: Any, tree: xr.DataTree) -> None:
    again = NumpyroNuts(draws=700, chains=2, **QUIET).sample(normal_mean, seed=5).sites["mu"]
    assert (again == tree["posterior"]["mu"].values).all()
    assert (again[0] != again[1]).any(), "chains of one run differ"


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_same_seed_gives_the_same_draws_by_pymc(sampler: Any, normal_mean: Any, needs: Any) -> None:
    needs("pymc")
    engine = PymcNuts(draws=30, chains=1, sampler=sampler, warmup=30, progress=False)
    first, again = (engine.sample(normal_mean, seed=s).sites["mu"] for s in (1, 1))
    assert (first == again).all()
    assert first.dtype == again.dtype == np.float64, "a second run in one process must be as precise as the first"
    if sampler == "pymc":
        assert (first != engine.sample(normal_mean, seed=2).sites["mu"]).any()


def test_engines_by_name() -> None:
    counts = {"draws": 10, "warmup": 20, "chains": 2}
    expected = {
        "auto": Auto(**counts),
        "collapsed": Collapsed(**counts),
        "gibbs": BlockedGibbs(**counts),
        "nuts": NumpyroNuts(**counts),
        "pymc": PymcNuts(sampler="pymc", **counts),
        "nutpie": PymcNuts(sampler="nutpie", **counts),
        "pymc_numpyro": PymcNuts(sampler="numpyro", **counts),
    }
    assert {n: engine_from(n, **counts) for n in ENGINES} == expected
    assert all(e.name == n for n, e in expected.items() if not isinstance(e, Auto))
    assert expected["nuts"].settings()["draws"] == 10  # type: ignore[union-attr]
    with pytest.raises(StudyError, match="did you mean 'collapsed'"):
        engine_from("colapsed")


@pytest.mark.parametrize("engine", [NumpyroNuts, PymcNuts])
def test_bad_counts_are_refused(engine: Any) -> None:
    with pytest.raises(ValueError, match=r"draws must be .*; warmup must be .*; chains must be"):
        engine(draws=0, warmup=-3, chains=2.0)


def test_a_sampler_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="did you mean 'nutpie'"):
        PymcNuts(sampler="nutpy")  # type: ignore[arg-type]


def test_an_estimand_is_passed_on_as_asked(normal_mean: Any, tree: xr.DataTree) -> None:
    asked = Estimand("ate", "mean")
    assert estimate(normal_mean, tree, asked).estimand == asked
    assert estimate(normal_mean, tree, "ate").estimand == asked
