"""Weights on a simplex: the density against a dense normal, one exchange against its target, whole sweeps against the prior."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from bayes_causal.numerics import exchanges, simplex
from bayes_causal.numerics.exchanges import exchange, pair
from bayes_causal.numerics.simplex import Exchange, exchange_sums
from bayes_causal.numerics.weighted_rows import row_sums

GAP = np.array([0, 1, 1, 3, 1, 2, 1, 1])
RANGE = (float(np.log(0.1)), float(np.log(3.0)))
SHAPE = 1.7  # of the prior of ρ


def covariance(gap: np.ndarray, rho: float, sigma: float, intercept_sd: float) -> np.ndarray:
    at = np.cumsum(gap)
    return sigma**2 / (1 - rho**2) * rho ** np.abs(at[:, None] - at) + intercept_sd**2


def sums(x: np.ndarray, y: np.ndarray, intercept_sd: float = 1.5) -> simplex.ExchangeSums:
    rows = row_sums(x, y, GAP, gaps=(1, 2, 3), intercept_sd=intercept_sd, sigma_scale=0.7, rho_shape=SHAPE)
    return exchange_sums(rows, RANGE)


@pytest.mark.parametrize(("rho", "intercept_sd"), [(0.6, 1.5), (-0.6, 1.5), (0.3, 0.0), (0.0, 10.0)])
def test_the_density_is_that_of_the_dense_normal(rho: float, intercept_sd: float, rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((8, 4)), rng.standard_normal(8)
    w, alpha, sigma = rng.dirichlet(np.ones(4)), 0.8, 0.4
    state = {"log_w": np.log(w), "log_alpha": np.log(alpha), "log_sigma": np.log(sigma), "rho": rho}
    with jax.enable_x64(True):
        ours = float(Exchange(True, True, 2, None).density(sums(x, y, intercept_sd), jax.tree.map(jnp.asarray, state)))
    dense = stats.multivariate_normal(x @ w, covariance(GAP, rho, sigma, intercept_sd)).logpdf(y)
    priors = stats.dirichlet(alpha * np.ones(4)).logpdf(w) + stats.halfnorm(scale=0.7).logpdf(sigma)
    priors += stats.beta(SHAPE, SHAPE, -1, 2).logpdf(rho)
    assert ours == pytest.approx(dense + priors - np.log(RANGE[1] - RANGE[0]), abs=1e-9)


@pytest.mark.parametrize("even", [1.0, 0.5, 1 / 37], ids=["joint weight", "product of three", "product of 38"])
@pytest.mark.parametrize(
    ("mean", "sd", "alpha"),
    [(0.3, 0.1, 1.0), (0.9, 0.3, 0.3), (-0.4, 0.15, 1.0), (1.3, 0.2, 0.5), (0.5, 3.0, 0.1), (0.4, 0.2, 2.5)],
)
def test_one_exchange_leaves_its_target_as_it_is(
    mean: float, sd: float, alpha: float, even: float, rng: np.random.Generator
) -> None:
    """20,000 shares drawn from the target by inversion, one move each; right moves fail once in 10,000 runs (KS).

    At α = 1 and even = 1 the target is a truncated normal.
    """
    t = np.linspace(-60, 60, 400_001)  # logits
    log_v, log_rest = -np.logaddexp(0, -t), -np.logaddexp(0, t)
    drawn = 2 * np.exp(log_v + log_rest) + even * (np.exp(2 * log_v) + np.exp(2 * log_rest))
    log_f = alpha * (log_v + log_rest) - 0.5 * ((np.exp(log_v) - mean) / sd) ** 2 + np.log(drawn)
    f = np.exp(log_f - log_f.max())
    cdf = np.concatenate([[0.0], np.cumsum((f[1:] + f[:-1]) / 2)])
    start = np.interp(rng.random(20_000), cdf / cdf[-1], t)
    u = rng.random((20_000, 3))

    def moved(exponent: float, even: float = even) -> np.ndarray:
        with jax.enable_x64(True), np.errstate(divide="ignore"):
            v, rest = -np.logaddexp(0, -start), -np.logaddexp(0, start)
            slope = (mean - np.exp(v)) / sd**2
            low, high, _ = jax.vmap(exchange, (0, 0, 0, None, None, None, 0))(v, rest, slope, 1 / sd**2, exponent, even, u)
            return np.asarray(low - high)

    def p_value(logit: np.ndarray) -> float:
        return float(stats.kstest(np.interp(logit, t, cdf / cdf[-1]), "uniform").pvalue)

    assert p_value(moved(alpha)) > 1e-4
    assert p_value(moved(alpha + 1)) < 1e-4, "a wrong exponent would go unseen"
    if even < 0.1 and alpha < 1:
        assert p_value(moved(alpha, 1.0)) < 1e-4, "a wrong chance of the pair would go unseen"


@pytest.mark.parametrize("heavy", [True, False])
def test_pairs_are_drawn_with_the_chance_that_exchanges_allow_for(heavy: bool, rng: np.random.Generator) -> None:
    """20,000 pairs of four donors: the chi-square of the six kinds fails once in 10,000 runs; no donor trades with itself."""
    n, w = 20_000, np.array([0.6, 0.25, 0.15, 1e-20])
    with jax.enable_x64(True):
        i, j = (np.asarray(v) for v in jax.vmap(pair, (None, None, 0))(jnp.cumsum(jnp.asarray(w)), heavy, rng.random((n, 2))))
    assert (i != j).all()
    kinds = [(a, b) for a in range(4) for b in range(a)]
    joint = [w[a] + w[b] for a, b in kinds]
    chance = np.array([2 * w[a] * w[b] + (w[a] ** 2 + w[b] ** 2) / 3 for a, b in kinds]) if heavy else np.array(joint) / 3
    seen = [((np.maximum(i, j) == a) & (np.minimum(i, j) == b)).sum() for a, b in kinds]
    assert chance.sum() == pytest.approx(1.0)
    assert stats.chisquare(seen, n * chance).pvalue > 1e-4


def prior(n: int, donors: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """n draws of a state from the prior, intercepts too."""
    alpha = np.exp(rng.uniform(*RANGE, n))
    # log Gamma(α) = log Gamma(α + 1) + log(U)/α, which does not underflow.
    log_g = np.log(rng.gamma(alpha[:, None] + 1, 1, (n, donors))) + np.log(rng.random((n, donors))) / alpha[:, None]
    log_w = log_g - np.logaddexp.reduce(log_g, 1)[:, None]
    sigma = np.abs(0.7 * rng.standard_normal(n))
    rest = {"rho": 2 * rng.beta(SHAPE, SHAPE, n) - 1, "intercept": 1.5 * rng.standard_normal(n)}
    return {"log_w": log_w, "log_alpha": np.log(alpha), "log_sigma": np.log(sigma)} | rest


def rank_tests(rng: np.random.Generator, seed: int) -> dict[str, float]:
    """p-values of what sweeps make of draws from the prior, each with outcomes of its own: they should be draws from the prior.

    The blocks under test are those of the module as it stands when this is called.
    """
    n, donors = 4000, 4
    x = rng.standard_normal((8, donors))
    drawn = prior(n, donors, rng)
    error = np.stack([np.linalg.cholesky(covariance(GAP, r, 1.0, 0.0)) for r in drawn["rho"]]) @ rng.standard_normal((n, 8, 1))
    y = drawn["intercept"][:, None] + np.exp(drawn["log_w"]) @ x.T + np.exp(drawn["log_sigma"])[:, None] * error[..., 0]
    form, one = Exchange(True, True, 2, None), sums(x, y[0])
    z = np.concatenate([np.broadcast_to(x, (n, 8, donors)), y[..., None], np.ones((n, 8, 1))], 2)
    here, before = z[:, 1:], z[:, :-1]
    masks = np.stack([GAP[1:] == d for d in (1, 2, 3)]).astype(float)
    own, cross, last = (np.einsum("dt,nti,ntj->ndij", masks, a, b) for a, b in ((here, here), (here, before), (before, before)))
    products = np.stack([own, cross + cross.swapaxes(2, 3), last], 2)
    state = {k: v for k, v in drawn.items() if k != "intercept"} | {"acceptance_rate": np.zeros(n), "lp": np.zeros(n)}

    def after(first: Any, products: Any, state: Any, key: Any) -> Any:
        data = one._replace(rows=one.rows._replace(first=first, products=products))
        swept = jax.lax.fori_loop(0, 3, lambda k, s: form.sweep(data, s, jax.random.fold_in(key, k), False), state)
        return swept | {"intercept": form.sites(data, swept, key)["intercept"]}

    with jax.enable_x64(True):
        first = z[:, 0, :, None] * z[:, 0, None, :]
        after_all = jax.jit(jax.vmap(after))(first, products, state, jax.random.split(jax.random.PRNGKey(seed), n))
        new = {k: np.asarray(v) for k, v in after_all.items()}
    fresh = prior(n, donors, rng)
    sorted_w = {f"log weight {k}": (np.sort(new["log_w"])[:, k], np.sort(fresh["log_w"])[:, k]) for k in (0, 2, 3)}
    pairs = sorted_w | {"log weight of donor 0": (new["log_w"][:, 0], fresh["log_w"][:, 0])}
    pairs |= {k: (new[k], fresh[k]) for k in ("log_alpha", "log_sigma", "rho", "intercept")}
    return {k: float(stats.ks_2samp(*pair).pvalue) for k, pair in pairs.items()}


FAULTS: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "exponent": (exchanges, "exchange", lambda f: lambda v, r, s, c, alpha, *rest: f(v, r, s, c, alpha + 1, *rest)),
    "spread": (simplex, "spread", lambda f: lambda w, x, d, z, n: (f(w, x, d, z, n)[0], f(w, x, d, z, n)[1] + d)),
}


@pytest.mark.parametrize("fault", [None, *(pytest.param(f, marks=pytest.mark.slow) for f in FAULTS)])
def test_sweeps_leave_the_prior_as_it_is_over_outcomes_drawn_from_it(
    fault: str | None, rng: np.random.Generator, seed: int, held_to_the_prior: Callable[..., None]
) -> None:
    """Geweke's test with 4,000 independent replicates (KS, 8 quantities); right sweeps fail once in 10,000 runs."""
    held_to_the_prior(lambda: rank_tests(rng, seed), FAULTS[fault] if fault else None, caught=1e-6)


def test_blank_donors_change_no_density(rng: np.random.Generator) -> None:
    """Four donors, and the same with three blanks after them; a start gives blanks no weight."""
    x, y = rng.standard_normal((8, 4)), rng.standard_normal(8)
    filled = exchange_sums(sums(np.column_stack([x, np.zeros((8, 3))]), y).rows, RANGE, count=4)
    form, log_w = Exchange(True, True, 2, None), np.log(rng.dirichlet(np.ones(4)))
    state = {"log_alpha": 0.1, "log_sigma": -0.5, "rho": 0.2}
    with jax.enable_x64(True):
        both = (sums(x, y), log_w), (filled, np.r_[log_w, np.full(3, -np.inf)])
        one, two = (float(form.density(d, jax.tree.map(jnp.asarray, state | {"log_w": w}))) for d, w in both)
        first = np.asarray(form.first(jax.tree.map(jnp.asarray, filled), jax.random.PRNGKey(0))["log_w"])
    assert two == pytest.approx(one, abs=1e-12)
    np.testing.assert_array_equal(filled.constants, sums(x, y).constants)
    assert np.exp(first[:4]).sum() == pytest.approx(1.0) and (first[4:] == -np.inf).all()
