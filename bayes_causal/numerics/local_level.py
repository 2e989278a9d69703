"""A random walk seen with noise: its spectrum, and draws of it by filtering forward and sampling backward, one normal a row.

y_t = μ_t + ε_t,  ε_t ~ N(0, 1)        μ_{t+1} = μ_t + η_t,  η_t ~ N(0, q),  μ_1 = 0        variances in units of σ²

Seen at every row, y has covariance I + q K, K_st = min(s, t) − 1. With N = 2 rows − 1, the eigenvectors of K are

    u_k(t) = 2/√N sin((2k − 1)(t − 1) π / N),   κ_k = ¼ sin((2k − 1) π / 2N)^−2,   k < rows,   and e_1 with κ = 0

whatever q is: columns in these coordinates are whitened for any q by a division (the inverse of K is the second difference).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bayes_causal.numerics.kalman import UNROLL

TOGETHER = 8


class Waves(NamedTuple):
    """Columns seen at every row, in the eigenvectors of a random walk. R rows, padded with zeros; none where a row is missing.

    Parameters
    ----------
    columns : (R, c) U'x
    powers : (R,) κ
    last : (R,) what each eigenvector adds to the last row
    """

    columns: Any
    powers: Any
    last: Any


def waves(columns: np.ndarray, rows: int) -> Waves:
    """(n, c) columns in the eigenvectors of n rows, padded to `rows`."""
    n, c = columns.shape
    size = 2 * n - 1
    k = np.arange(1, n)
    later = np.concatenate([np.zeros((1, c)), columns[1:]])
    # Sines of odd multiples of π/N are every other coefficient of a transform of twice the length.
    turned = -2 / np.sqrt(size) * np.fft.rfft(later, 2 * size, axis=0)[1 : 2 * n - 1 : 2].imag
    own, powers, last = np.zeros((rows, c)), np.zeros(rows), np.zeros(rows)
    own[0], own[1:n] = columns[0], turned
    powers[1:n] = 0.25 / np.sin((2 * k - 1) * np.pi / (2 * size)) ** 2
    last[1:n] = 2 / np.sqrt(size) * np.sin((2 * k - 1) * (n - 1) * np.pi / size)
    return Waves(own, powers, last)


def whitened(waves: Waves, q: Array) -> tuple[Array, Array, Array, Array]:
    """(c, c) V'V of the whitened columns, Σ log F_t, (c,) last filtered mean of each column, and its variance."""
    c = waves.columns.shape[1]
    f = 1 + q * waves.powers
    upper = np.triu_indices(c)
    place = np.zeros((c, c), int)
    place[upper] = place.T[upper] = np.arange(upper[0].size)
    pairs = waves.columns[:, upper[0]] * waves.columns[:, upper[1]]
    pull = q * waves.powers * waves.last / f
    log_f = jnp.sum(jnp.log(jnp.prod(f.reshape(-1, TOGETHER), 1)))  # a logarithm costs as much as ten products
    return ((1 / f) @ pairs)[place], log_f, pull @ waves.columns, pull @ waves.last


def draw_level(y: Array, observed: Array, q: Array, noise: Array) -> Array:
    """(rows,) one draw of μ given the observed rows of y (T,) and (rows,) standard normals; rows after T are drawn ahead."""
    span = y.shape[0]

    def forward(carry: tuple[Array, ...], row: tuple[Array, Array]) -> tuple[tuple[Array, ...], tuple[Array, Array]]:
        mean, variance = carry
        x, seen = row
        gain = seen * variance / (variance + 1)
        mean, variance = mean + gain * (x - mean), variance * (1 - gain)
        return (mean, variance + q), (mean, variance)

    first: tuple[Array, ...] = jnp.zeros(()), jnp.zeros(())
    _, (means, variances) = jax.lax.scan(forward, first, (y, observed.astype(y.dtype)), unroll=UNROLL)
    # Given the row after it, a row is normal with these weights: μ_t = own + share μ_{t+1}.
    share = variances / (variances + q)
    own = (1 - share) * means + jnp.sqrt(variances * (1 - share)) * noise[:span]
    last = means[-1] + jnp.sqrt(variances[-1]) * noise[span - 1]

    def backward(after: Array, row: tuple[Array, Array]) -> tuple[Array, Array]:
        here = row[0] + row[1] * after
        return here, here

    _, path = jax.lax.scan(backward, last, (own[:-1], share[:-1]), reverse=True, unroll=UNROLL)
    ahead = last + jnp.sqrt(q) * jnp.cumsum(noise[span:])
    return jnp.concatenate([path, last[None], ahead])
