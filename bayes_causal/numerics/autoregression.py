"""Autoregressive errors of any order on rows with gaps: e_t = Σ_k φ_k e_{t−k} + v_t, v_t ~ N(0, σ), stationary.

φ comes from partial autocorrelations r_1 … r_p, any of which between −1 and 1 are stationary (Barndorff-Nielsen & Schou 1973,
doi:10.1016/0047-259X(73)90030-4), by the recursion of Durbin and Levinson (Monahan 1984, doi:10.1093/biomet/71.2.403).

What twins, filter and forecast share takes numbers of any language: `xp` is numpy, jax.numpy or pytensor.tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def names(order: int) -> tuple[str, ...]:
    """Sites of the partial autocorrelations; the first alone is ρ."""
    return ("rho",) if order == 1 else tuple(f"partial_{k}" for k in range(1, order + 1))


def coefficients(partial: Sequence[Any]) -> list[Any]:
    """φ_1 … φ_p."""
    phi: list[Any] = []
    for r in partial:
        phi = [a - r * b for a, b in zip(phi, reversed(phi), strict=True)] + [r]
    return phi


def early_sd(partial: Sequence[Any]) -> list[Any]:
    """Sds of e_t given the t errors before it, over σ, for t = 0 … p − 1."""
    found: list[Any] = []
    sd: Any = 1.0
    for r in reversed(partial):
        sd = sd * (1 - r * r) ** -0.5
        found.insert(0, sd)
    return found


def first_factor(partial: Sequence[Any]) -> list[list[Any]]:
    """(p, p) rows of L, the first p errors being σ L z with z standard normal."""
    rows: list[list[Any]] = []
    for t, sd in enumerate(early_sd(partial)):
        phi = coefficients(partial[:t])
        before = [sum(phi[k] * rows[t - 1 - k][j] for k in range(t)) for j in range(t)]
        rows.append([*before, sd, *[0 * sd] * (len(partial) - t - 1)])
    return rows


def decaying_sum(x: Any, phi: Any, rows: int, xp: Any) -> Any:
    """(..., rows) Σ_k φ^k x_{t−k}, in about log2(rows) shifts: 1/(1 − φL) = Π_j (1 + (φL)^(2^j))."""
    shift = 1
    while shift < rows:
        x = x + phi * xp.concatenate([xp.zeros_like(x[..., :shift]), x[..., :-shift]], axis=-1)
        phi, shift = phi * phi, 2 * shift
    return x


def whitened(x: Any, rows: int, partial: Sequence[Any], xp: Any) -> Any:
    """(rows, c) innovations over σ of the columns of x, each a stretch of the process from its stationary start."""
    first = []
    for t, sd in enumerate(early_sd(partial)):
        phi = coefficients(partial[:t])
        first.append((x[t : t + 1] - sum(phi[k] * x[t - 1 - k : t - k] for k in range(t))) / sd)
    p, phi = len(partial), coefficients(partial)
    rest = x[p:] - sum(phi[k] * x[p - 1 - k : rows - 1 - k] for k in range(p))
    return xp.concatenate([*first, rest], axis=0)


def log_density(error: Any, seen: np.ndarray, partial: Sequence[Any], sigma: Any, xp: Any) -> Any:
    """Log density of (N,) errors at the seen ones of (rows,): nothing runs along the rows.

    Errors not seen are integrated out as coefficients, under a flat prior, of columns that whiten as the errors do: with V the
    whitened columns, theirs first and the errors last, the Cholesky factor of V'V holds their determinant on its diagonal, and in
    its last place the root of the sum of squares they leave.
    """
    rows, missing = seen.size, np.flatnonzero(~seen)
    units = np.zeros((rows, missing.size))
    units[missing, np.arange(missing.size)] = 1.0
    place = np.where(seen, np.cumsum(seen) - 1, seen.sum())
    filled = xp.concatenate([error, np.zeros(1)])[place]
    v = whitened(xp.concatenate([units, filled[:, None]], axis=1), rows, partial, xp)
    root = xp.diagonal(xp.linalg.cholesky(v.T @ v))
    start = sum(xp.log(sd) for sd in early_sd(partial))
    n = rows - missing.size
    return -n * (xp.log(sigma) + 0.5 * np.log(2 * np.pi)) - start - xp.sum(xp.log(root[:-1])) - 0.5 * (root[-1] / sigma) ** 2


def simulate(partial: np.ndarray, sigma: np.ndarray, rows: int, rng: np.random.Generator) -> np.ndarray:
    """(S, rows) errors from the stationary process, for (S, p) partial autocorrelations and (S,) σ."""
    r = list(partial.T)
    p = len(r)
    noise = sigma[:, None] * rng.standard_normal((sigma.size, max(rows, p)))
    first = np.array(first_factor(r))
    noise[:, :p] = np.einsum("ijs,sj->si", first, noise[:, :p])
    return carried_on(noise, p, np.array(coefficients(r)).T)[:, :rows]


def carried_on(noise: np.ndarray, start: int, phi: np.ndarray) -> np.ndarray:
    """(S, rows) errors from row `start` on out of their (S, rows) innovations there and the errors before; in place."""
    p = phi.shape[1]
    for t in range(start, noise.shape[1]):
        noise[:, t] += np.einsum("sk,sk->s", phi, noise[:, t - p : t][:, ::-1])
    return noise


def filtered(
    error: np.ndarray, seen: np.ndarray, partial: np.ndarray, sigma: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(S, N) innovations and their sds at the seen rows, and (S, p), (S, p, p) mean and covariance of the latest p errors, the
    last first, given all of them.

    Parameters
    ----------
    error : (S, rows), anything where not seen; the last row is seen
    seen : (rows,)
    partial : (S, p)
    sigma : (S,)
    """
    r, (rows, p) = list(partial.T), (seen.size, partial.shape[1])
    phi = np.array(coefficients(r)).T
    moves = np.zeros((sigma.size, p, p))
    moves[:, 0] = phi
    moves[:, np.arange(1, p), np.arange(p - 1)] = 1.0
    news = np.zeros((p, p))
    news[0, 0] = 1.0

    def moved(mean: np.ndarray, cov: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.einsum("sij,sj->si", moves, mean), moves @ cov @ np.swapaxes(moves, 1, 2) + news * sigma[:, None, None] ** 2

    # Where the p rows before are seen, the state is known: such rows are whitened at once, and the filter begins anew after them.
    known = np.concatenate([np.zeros(p, bool), np.convolve(seen, np.ones(p), "valid") == p])
    at = np.flatnonzero(known[:rows] & seen)
    v, sd = np.full((sigma.size, rows), np.nan), np.tile(sigma[:, None], (1, rows))
    v[:, at] = error[:, at] - sum(phi[:, k, None] * error[:, at - 1 - k] for k in range(p))
    nothing = np.zeros((sigma.size, p, p))
    first = np.moveaxis(np.array(first_factor(r))[::-1], -1, 0) * sigma[:, None, None]
    mean, cov = np.zeros((sigma.size, p)), first @ np.swapaxes(first, 1, 2)
    for t in np.flatnonzero(~known[:rows]):
        if t and known[t - 1]:
            mean, cov = moved(error[:, t - 1 - p : t - 1][:, ::-1], nothing)
        if t:
            mean, cov = moved(mean, cov)
        if seen[t]:
            v[:, t], sd[:, t] = error[:, t] - mean[:, 0], np.sqrt(cov[:, 0, 0])
            gain = cov[:, :, 0] / cov[:, 0, 0, None]
            mean, cov = mean + gain * v[:, t, None], cov - gain[:, :, None] * cov[:, None, :, 0]
    if known[rows]:
        mean, cov = error[:, rows - p :][:, ::-1], nothing
    return v[:, seen], sd[:, seen], mean, cov


def latest(error: np.ndarray, seen: np.ndarray, partial: np.ndarray, sigma: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(S, p) the latest p errors, the earliest first: one draw given all seen ones; arguments as in `filtered`.

    What stands before the last p rows seen in a row does not matter.
    """
    p = partial.shape[1]
    runs = np.flatnonzero(np.convolve(seen, np.ones(p), "valid") == p)
    start = runs[-1] if runs.size else 0
    *_, mean, cov = filtered(error[:, start:], seen[start:], partial, sigma)
    value, vector = np.linalg.eigh(cov)
    root = vector * np.sqrt(np.maximum(value, 0.0))[:, None, :]
    drawn = mean + np.einsum("sij,sj->si", root, rng.standard_normal(mean.shape))
    return drawn[:, ::-1]
