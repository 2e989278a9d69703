"""Hidden Markov regimes: likelihood, filter, smoother and draws of the path, where an outcome may hang on past regimes too.

An outcome at t has log density b_t(z_t, z_{t−1}, …, z_{t−m}), m ≥ 1. Carried from date to date is the law of (z_t, …, z_{t−m+1}):
m axes of K regimes, so that composite states pass on by adding an axis and summing out another, never by a K^m × K^m matrix
(Hamilton 1989, doi:10.2307/1912559; Kim 1994, doi:10.1016/0304-4076(94)90036-1 for the smoother). All in logarithms.

Axes: `log_b` (T, K, …, K) and `joint` lead with t, then z_t, z_{t−1}, …, z_{t−m}. `log_p` (K, K), or (T, K, K) where transitions
into each date differ, has rows = from.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import logsumexp

Method = Literal["scan", "associative"]
LEAST = 1e-280


class Forward(NamedTuple):
    """What a pass over the dates leaves.

    Parameters
    ----------
    joint : (T, K, …, K) log p(z_t, …, z_{t−m} | y_1 … y_t)
    increments : (T,) log p(y_t | y_1 … y_{t−1})
    """

    joint: Array
    increments: Array


def stationary(p: Array) -> Array:
    """(..., K) the law that a (..., K, K) transition matrix keeps, K = 2 or 3, as sums of products of off-diagonal entries.

    By the Markov chain tree theorem: nothing cancels, however sticky the chain.
    """
    weight = jnp.stack(trees(p), -1)
    return weight / weight.sum(-1, keepdims=True)


def trees(p: Any) -> list[Any]:
    """What the stationary probability of each regime is proportional to; works on any array library's matrix."""
    if p.shape[-1] == 2:
        return [p[..., 1, 0], p[..., 0, 1]]
    others = ((0, 1, 2), (1, 0, 2), (2, 0, 1))
    return [p[..., i, k] * p[..., j, k] + p[..., i, k] * p[..., j, i] + p[..., j, k] * p[..., i, j] for k, i, j in others]


def opening(log_first: Array, log_p: Array, m: int) -> Array:
    """(K, …, K) log law of (z_m, …, z_1) for z_1 with (K,) log law: π(z_1) Π P."""
    law = log_first
    for _ in range(m - 1):
        law = law[None] + log_p.T.reshape(*log_p.shape, *[1] * (law.ndim - 1))
    return law


def forward(log_b: Array, log_p: Array, first: Array, method: Method = "scan") -> Forward:
    """The filter, from the log law (K, …, K) of (z_m, …, z_1) before the first outcome.

    "scan" goes date by date; "associative", for m = 1, combines dates in a tree of depth log T, best on an accelerator. The
    numbers are the same.
    """
    if method == "associative":
        return _forward_associative(log_b, log_p, first)

    def step(carry: Array, row: tuple[Array, Array]) -> tuple[Array, Forward]:
        """One date."""
        b, p = row
        joint = carry[None] + p.T.reshape(*p.shape, *[1] * (carry.ndim - 1)) + b
        total = logsumexp(joint)
        joint = joint - total
        return logsumexp(joint, -1), Forward(joint, total)

    return jax.lax.scan(step, first, (log_b, _each(log_p, log_b)))[1]


def filtered(joint: Array) -> Array:
    """(T, K) p(z_t | y_1 … y_t)."""
    return jnp.exp(logsumexp(joint, tuple(range(2, joint.ndim))))


def smoothed(joint: Array) -> Array:
    """(T, K, …, K) p(z_t, …, z_{t−m} | y_1 … y_T), by passing back."""
    back = joint - logsumexp(joint, -1, keepdims=True)
    back = jnp.where(jnp.isfinite(back), back, -jnp.inf)

    def step(later: Array, row: Array) -> tuple[Array, Array]:
        both = later[..., None] + row
        return logsumexp(both, 0), both

    return jnp.exp(jax.lax.scan(step, logsumexp(joint[-1], -1), back, reverse=True)[1])


def draw_path(joint: Array, key: Array, method: Method = "scan") -> Array:
    """(T + m,) int z_{1−m}, …, z_T drawn given all outcomes, backwards (Carter & Kohn 1994, doi:10.1093/biomet/81.3.541)."""
    dates, k, m = joint.shape[0], joint.shape[1], joint.ndim - 2
    keys = jax.random.split(key)
    uniform = jax.random.uniform(keys[0], (dates,), joint.dtype)
    last = jax.random.categorical(keys[1], logsumexp(joint[-1], -1).ravel())
    if method == "associative":
        return _path_associative(joint, uniform, last)

    def step(state: Array, row: tuple[Array, Array]) -> tuple[Array, Array]:
        # A composite state counts z_t as its leading digit: the newest goes, the oldest comes.
        """One date."""
        log_joint, u = row
        oldest = _pick(log_joint.reshape(-1, k)[state], u)
        return (state * k + oldest) % k**m, oldest

    _, oldest = jax.lax.scan(step, last, (joint, uniform), reverse=True)
    newest = (last // k ** jnp.arange(m)) % k
    return jnp.concatenate([oldest, newest])


def _pick(log_weight: Array, u: Array) -> Array:
    """The category that a uniform falls on, of (..., K) log weights that need not sum to one."""
    return _share(jnp.exp(log_weight - jnp.max(log_weight, -1, keepdims=True)), u)


def _each(log_p: Array, log_b: Array) -> Array:
    """(T, K, K) transitions into each date."""
    return jnp.broadcast_to(log_p, (log_b.shape[0], *log_p.shape)) if log_p.ndim == 2 else log_p


def _log_product(a: Array, b: Array) -> Array:
    """(..., K, K) logarithm of the product of matrices given by their logarithms."""
    return logsumexp(a[..., :, :, None] + b[..., None, :, :], -2)


def _forward_associative(log_b: Array, log_p: Array, first: Array) -> Forward:
    step = log_p + jnp.swapaxes(log_b, 1, 2)
    product = jax.lax.associative_scan(_log_product, step)
    law = logsumexp(first[:, None] + product, 1)
    level = logsumexp(law, 1)
    before = jnp.concatenate([first[None], law[:-1]])
    joint = jnp.swapaxes(before[:, :, None] + step, 1, 2) - level[:, None, None]
    return Forward(joint, jnp.diff(level, prepend=logsumexp(first)))


def _path_associative(joint: Array, uniform: Array, last: Array) -> Array:
    """Each date maps z_t to z_{t−1}: composed maps give every regime from the last."""
    back = _pick(joint, uniform[:, None])
    whole = jax.lax.associative_scan(lambda later, now: jnp.take_along_axis(now, later, -1), back, reverse=True)
    return jnp.append(whole[:, last], last)


def quick_path(log_b: Array, p: Array, first: Array, key: Array) -> Array:
    """(T + 1,) int path drawn as `draw_path` does for m = 1, from (K, K) probabilities p and (K,) first.

    In probabilities scaled at each date, without a logarithm in the loop. One below 1e-280 of its date is taken as that, so that
    an outcome that only such a regime explains still finds it.
    """
    b = jnp.exp(log_b - log_b.max((1, 2), keepdims=True))

    def step(law: Array, b: Array) -> tuple[Array, Array]:
        """One date."""
        joint = law[None] * p.T * b
        law = joint.sum(1)
        return jnp.maximum(law / law.sum(), LEAST), joint

    end, joint = jax.lax.scan(step, first, b)
    keys = jax.random.split(key)
    uniform = jax.random.uniform(keys[0], (log_b.shape[0], 1), p.dtype)
    back = _share(joint, uniform)
    last = _share(end, jax.random.uniform(keys[1], (), p.dtype))
    earlier = jax.lax.scan(lambda z, row: 2 * (row[z],), last, back, reverse=True)[1]
    return jnp.append(earlier, last)


def _share(weight: Array, u: Array) -> Array:
    """The category that a uniform falls on, of (..., K) weights that need not sum to one."""
    share = jnp.cumsum(weight, -1)
    return jnp.sum(share < (u * share[..., -1])[..., None], -1)
