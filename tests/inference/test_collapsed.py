"""The collapsed engine against NUTS, against known targets, and against its own claims."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from jax.scipy.special import ndtri
from jax.scipy.stats import norm
from scipy import special, stats

from bayes_causal.data.simulate import simulate_panel
from bayes_causal.inference import programs
from bayes_causal.inference.blocks import in_chunks
from bayes_causal.inference.collapsed import Collapsed
from bayes_causal.inference.engine import Draws
from bayes_causal.inference.importance import importance, independence_chains
from bayes_causal.inference.numpyro_nuts import NumpyroNuts
from bayes_causal.inference.tree import dataset, info
from bayes_causal.models.hierarchical_did import HierarchicalDiD
from bayes_causal.numerics import linear_gaussian
from bayes_causal.numerics.linear_gaussian import Block, Hyper, LinearGaussian
from bayes_causal.numerics.panel_sums import panel_sums

TWINS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "small": ({}, {"effect": "constant", "errors": "iid"}),
    "ar1": ({"units": 25, "periods": 12, "groups": 2, "rho": 0.4}, {"effect": "group", "errors": "ar1"}),
    "event time": ({"weighted": True, "missing": 0.15, "covariates": 1}, {"effect": "event_time", "errors": "iid"}),
    "cohort time": ({"groups": 3}, {"effect": "cohort_time", "errors": "iid"}),
}


@pytest.mark.parametrize("case", [pytest.param(c, marks=() if c == "small" else pytest.mark.slow) for c in TWINS])
def test_agrees_with_nuts_on_the_full_twin(case: str, disagreements: Callable[..., list[str]]) -> None:
    """Every reported quantity: means and sds within Monte Carlo error (once in 10,000 comparisons not)."""
    options, how = TWINS[case]
    model = HierarchicalDiD(simulate_panel(**({"units": 20, "periods": 6, "seed": 31} | options))[0], **how)
    collapsed = Collapsed(draws=1500).sample(model, seed=1)
    full = NumpyroNuts(draws=500, warmup=400, target_accept=0.95, chain_method="vectorized", progress=False).sample(model, seed=2)
    assert full.stats["diverging"].mean() < 0.005
    a, b = (dataset(model, model.natural(d.sites), ("chain", "draw")) for d in (collapsed, full))
    assert disagreements(a, b) == []
    assert disagreements(a * 1.2 + 0.05, b), "draws shifted and stretched would go unseen"


@dataclass(frozen=True)
class Target:
    """A collapsed form of n hyperparameters whose density of t is given, whatever the data."""

    n: int
    name: str = "target"

    def collapsed(self) -> LinearGaussian:
        names = ("sigma", "sigma_unit", "c", "d")[: self.n]
        z = np.random.default_rng(0).standard_normal((6, 2))
        sums = panel_sums(z, np.ones(6), np.array([0, 1, 1, 0, 1, 1]), None)
        return LinearGaussian(tuple(Hyper(k, "uniform") for k in names), (Block("b", (), 1.0, 0, 1),), sums, None)


@pytest.fixture
def with_density(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[Any], Any]], None]]:
    """Put a log density of t in place of the model's; programs are compiled anew before and after."""

    def put(log_target: Callable[[Any], Any]) -> None:
        def log_marginal(model: LinearGaussian, sums: Any, theta: dict[str, Any]) -> Any:
            t = ndtri((jnp.stack(list(theta.values())) + 1) / 2)
            return log_target(t) - norm.logpdf(t).sum()

        monkeypatch.setattr(linear_gaussian, "log_marginal", log_marginal)
        programs.forget()

    yield put
    programs.forget()


def probits(draws: Draws, n: int) -> np.ndarray:
    """(chain, draw, n) t."""
    names = ("sigma", "sigma_unit", "c", "d")[:n]
    return special.ndtri((np.stack([draws.sites[k] for k in names], -1) + 1) / 2)


def effective(x: np.ndarray) -> float:
    from arviz_stats.base import array_stats

    return float(array_stats.ess(x, method="mean"))


def test_two_modes_are_both_found_and_weighed(with_density: Callable[..., None]) -> None:
    """0.7 N(−2, ½²) + 0.3 N(2, ½²): the share of draws in the second mode within four standard errors of 0.3."""

    def log_target(t: Any) -> Any:
        modes = jnp.stack([jnp.log(0.7) + norm.logpdf(t[0], -2, 0.5), jnp.log(0.3) + norm.logpdf(t[0], 2, 0.5)])
        return jnp.logaddexp(*modes) + norm.logpdf(t[1:]).sum()

    with_density(log_target)
    draws = Collapsed(draws=1000).sample(Target(2), seed=3)  # type: ignore[arg-type]
    assert draws.numbers["modes"] == 2 and draws.path.startswith("importance sampling")
    upper = (probits(draws, 2)[..., 0] > 0).astype(float)
    assert abs(upper.mean() - 0.3) < 4 * np.sqrt(0.21 / effective(upper))


def test_where_importance_sampling_fails_nuts_takes_over(with_density: Callable[..., None]) -> None:
    """A thin banana in three dimensions: the path says so, and moments are right within four Monte Carlo errors."""

    def log_target(t: Any) -> Any:
        return norm.logpdf(t[0]) + norm.logpdf(t[1], t[0] ** 2 - 1, 0.2) + norm.logpdf(t[2], jnp.sin(3 * t[0]), 0.2)

    with_density(log_target)
    draws = Collapsed(draws=250, warmup=300).sample(Target(3), seed=4)  # type: ignore[arg-type]
    assert draws.path.startswith("NUTS on the marginal density") and "refused" in draws.path
    assert "diverging" in draws.stats
    first = probits(draws, 3)[..., 0]
    for value, expected, sd in ((first, 0.0, 1.0), (first**2, 1.0, np.sqrt(2)), (probits(draws, 3)[..., 1], 0.0, np.sqrt(2))):
        assert abs(value.mean() - expected) < 4 * sd / np.sqrt(effective(value))


def test_an_engine_for_collapsed_forms_refuses_others(normal_mean: Any) -> None:
    with pytest.raises(TypeError, match="no collapsed form; use engine 'nuts'"):
        Collapsed().sample(normal_mean, seed=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"draws": 0, "chains": -1}, "draws.*; chains"), ({"starts": 1.5}, "starts"), ({"warmup": True}, "warmup")],
)
def test_bad_counts_are_refused_all_at_once(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Collapsed(**settings)


def test_pareto_k_tells_heavy_tails_from_light_ones(rng: np.random.Generator) -> None:
    """N(0,1) seen from t(5) has bounded weights; Cauchy seen from N(0,1) has no finite variance."""
    x = stats.t(5).rvs(8192, random_state=rng)
    weights, k_hat, fraction = importance(stats.norm.logpdf(x) - stats.t(5).logpdf(x))
    assert k_hat < 0.3 and fraction > 0.8
    assert weights.sum() == pytest.approx(1.0)
    assert weights @ x**2 == pytest.approx(1.0, abs=4 * np.sqrt(2 / (8192 * fraction)))
    x = rng.standard_normal(8192)
    _, k_hat, _ = importance(stats.cauchy.logpdf(x) - stats.norm.logpdf(x))
    assert k_hat > 0.7


def test_impossible_proposals_get_no_weight(rng: np.random.Generator) -> None:
    log_weight = rng.standard_normal(2000)
    log_weight[::4] = -np.inf
    weights, _, _ = importance(log_weight)
    assert weights[::4].max() < 1e-12 and np.isfinite(weights).all()


def test_chains_report_as_many_effective_draws_as_they_have(rng: np.random.Generator) -> None:
    """60 runs of 4 chains on a known target: squared errors of the mean times ESS over the variance average to one.

    Their mean, over 60 chi-squares, has standard error 0.18: within 1 ± 0.75, once in 30,000 names not. Resampled replicates,
    which look independent, would give several times one. And ESS stays below 1/Σw².
    """
    runs = 60
    x = 2.2 + 1.3 * stats.t(5).rvs(2000 * runs, random_state=rng)
    log_weight = stats.gamma(4).logpdf(np.maximum(x, 1e-9)) - stats.t(5).logpdf((x - 2.2) / 1.3) + np.where(x > 0, 0, -np.inf)
    weights, _, fraction = importance(log_weight)
    states, accepted = independence_chains(log_weight, weights, 4 * runs, 500, 1, rng)
    assert 0.3 < accepted.mean() < 0.9
    draws = x[states].reshape(runs, 4, 500)
    reported = np.array([effective(d) for d in draws])
    ratio = reported * (draws.mean((1, 2)) - 4.0) ** 2 / 4.0
    assert abs(ratio.mean() - 1) < 0.75
    assert np.median(reported) < 2000 * fraction
    replicates = rng.choice(x, (runs, 4, 125), p=weights).repeat(4, axis=2)
    claimed = 2000 * (replicates.mean((1, 2)) - 4.0) ** 2 / 4.0
    assert abs(claimed.mean() - 1) > 0.75, "draws that count four times would go unseen"


def test_a_fits_effective_draws_stay_below_its_importance_bound(tree: xr.DataTree) -> None:
    """ESS of every hyperparameter, 25 % allowed for the noise of its estimate."""
    bound = info(tree)["engine"]["numbers"]["importance_ess"]
    for name in ("sigma", "sigma_unit", "omega"):
        assert effective(tree["posterior"][name].values) < 1.25 * bound


def test_chunks_change_nothing(rng: np.random.Generator) -> None:
    """Any number of rows, in chunks of one shape, padding cut off."""
    shapes = []

    def f(x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
        shapes.append(x.shape)
        return {"sum": x + y, "row": x[:, 0]}

    for rows in (1, 255, 256, 700):
        x, y = rng.standard_normal((2, rows, 3))
        found = in_chunks(f, x, y)
        assert (found["sum"] == x + y).all() and (found["row"] == x[:, 0]).all()
    assert set(shapes) == {(256, 3)}


def test_forms_that_differ_share_no_program(did: HierarchicalDiD) -> None:
    """Which hyperparameter scales a block is part of what is compiled."""
    blocks = [Block("z", (2,), 1.0, 0, 2, scale=k) for k in ("omega", "step")]
    hypers = tuple(Hyper(k, "half_normal") for k in ("sigma", "sigma_unit", "omega", "step"))
    one, other = (programs.signature(LinearGaussian(hypers, (b,), None, None)) for b in blocks)
    assert one != other
    assert programs.signature(did.collapsed()) == programs.signature(did.collapsed())
