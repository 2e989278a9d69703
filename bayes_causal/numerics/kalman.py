"""Kalman filter over several columns at once, and draws of the states given the data.

    y_t = z_t'α_t + ε_t,  ε_t ~ N(0, h)        α_{t+1} = T_t α_t + R_t η_t,  η_t ~ N(0, I)        α_1 ~ N(0, P_1)

All variances are in units of one σ². The innovations of a column are linear in it and their variances F_t do not depend on it, so
that one pass whitens outcome and regressors alike: V'V of the whitened columns V and Σ log F_t are all a regression with these
errors needs (Durbin & Koopman 2012, section 6.2, doi:10.1093/acprof:oso/9780199641178.001.0001). A missing row is not updated on.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

UNROLL = 1
FLATTEN = 6


class Space(NamedTuple):
    """A linear Gaussian state space: m states, r state noises, T rows.

    Parameters
    ----------
    transition : (m, m) T_t where the row advances
    noise : (m, r) R_t where the row advances
    loading : (T, m) z_t
    first : (m, k) factor of P_1
    observation : () h
    advance : (T, m) 0 where a state stays after the row; where it moves on, what its noise is multiplied by, 1 unless it
        varies; None where all always move, by the same noise
    """

    transition: Array
    noise: Array
    loading: Array
    first: Array
    observation: Array
    advance: Array | None


def gram(space: Space, columns: Array, observed: Array, method: Literal["scan", "associative"] = "scan") -> tuple[Array, Array]:
    """(c, c) V'V of the whitened (T, c) columns over the observed (T,) rows, and Σ log F_t.

    "scan" goes row by row, best on a CPU; "associative" combines rows in a tree of depth log T, best on an accelerator. The
    numbers are the same.
    """
    return _gram_associative(space, columns, observed) if method == "associative" else filtered(space, columns, observed)[:2]


def filtered(space: Space, columns: Array, observed: Array) -> tuple[Array, Array, Array, Array]:
    """`gram` row by row; then (m, c) means and (m, m) covariance of the states at the last observed row, given all observed."""
    m, c = space.transition.shape[0], columns.shape[1]

    def step(carry: tuple[Array, ...], row: tuple[Array, ...]) -> tuple[tuple[Array, ...], None]:
        mean, cov, total, log_f, *last = carry
        x, seen, z, *advance = row
        cov_z, f = _innovation_variance(space, cov, z)
        v = x - z @ mean
        gain = cov_z * (seen / f)
        known = mean + gain[:, None] * v, cov - gain[:, None] * cov_z
        moved = _move(space, advance, known[0]), _move_cov(space, advance, known[1])
        kept = (jnp.where(seen > 0, new, old) for new, old in zip(known, last, strict=True))
        return (*moved, total + (seen / f) * v[:, None] * v, log_f + seen * jnp.log(f), *kept), None

    states = jnp.zeros((m, c)), space.first @ space.first.T
    first: tuple[Array, ...] = *states, jnp.zeros((c, c)), jnp.zeros(()), *states
    (_, _, total, log_f, *last), _ = jax.lax.scan(step, first, _rows(space, columns, observed), unroll=UNROLL)
    return total, log_f, last[0], last[1]


def onward(space: Space, observed: Array, ahead: Array) -> tuple[Array, Array]:
    """How a weighted sum of outcomes after the last observed row hangs on the states there, and the variance of the rest.

    Parameters
    ----------
    ahead : (T,) weights w, 0 up to the last observed row

    Returns
    -------
    pull : (m,) g, so that Σ w_t y_t has mean g'α given the states α at the last observed row
    variance : () of Σ w_t y_t given them: innovations and observation noise
    """
    rows = observed.shape[0]
    last = rows - 1 - jnp.argmax(observed[::-1])

    def step(carry: tuple[Array, ...], row: tuple[Array, ...]) -> tuple[tuple[Array, ...], None]:
        pull, variance = carry
        w, begun, z, *advance = row
        shock = space.noise.T @ _own(advance, pull)
        now = w * z + _move_back(space, advance, pull), variance + jnp.sum(shock**2) + w**2 * space.observation
        return (jnp.where(begun, now[0], pull), jnp.where(begun, now[1], variance)), None

    flags = () if space.advance is None else (space.advance,)
    first: tuple[Array, ...] = jnp.zeros(space.transition.shape[0]), jnp.zeros(())
    inputs = ahead, jnp.arange(rows) >= last, space.loading, *flags
    (pull, variance), _ = jax.lax.scan(step, first, inputs, reverse=True, unroll=UNROLL)
    return pull, variance


def gains(space: Space, observed: Array) -> tuple[Array, Array]:
    """(T, m) what an innovation moves the states by before they move on, 0 on rows not observed, and (T,) F_t.

    They hang on no data: series observed on the same rows share them, and `whiten` then costs a few numbers a row.
    """

    def step(cov: Array, row: tuple[Array, ...]) -> tuple[Array, tuple[Array, Array]]:
        seen, z, *advance = row
        cov_z, f = _innovation_variance(space, cov, z)
        gain = cov_z * (seen / f)
        return _move_cov(space, advance, cov - gain[:, None] * cov_z), (gain, f)

    rows = _rows(space, observed.astype(space.first.dtype), observed)[1:]
    return jax.lax.scan(step, space.first @ space.first.T, rows, unroll=UNROLL)[1]


def whiten(space: Space, gain: Array, f: Array, observed: Array, columns: Array) -> Array:
    """(T, c) innovations of (T, c) columns over their sds √F_t, 0 on rows not observed."""

    def step(mean: Array, row: tuple[Array, ...]) -> tuple[Array, Array]:
        x, gain, share, z, *advance = row
        v = x - sum(z[j] * mean[j] for j in range(mean.shape[0]))
        return _move(space, advance, mean + gain[:, None] * v), share * v

    share = observed / jnp.sqrt(f)
    flags = () if space.advance is None else (space.advance,)
    rows = (columns, gain, share, space.loading, *flags)
    first = jnp.zeros((space.transition.shape[0], columns.shape[1]), columns.dtype)
    return jax.lax.scan(step, first, rows, unroll=UNROLL)[1]


def draw_states(space: Space, y: Array, observed: Array, key: Array) -> Array:
    """(T, m) one draw of the states given the observed rows of y (T,), rows after the last observed one included.

    States and data are simulated, and moved by what smoothing says of the difference (Durbin & Koopman 2002,
    doi:10.1093/biomet/89.3.603): no variance is inverted, so that states without noise are drawn too.
    """
    (m, r), rows = space.noise.shape, y.shape[0]
    # One call: every call of the generator is seconds of compilation.
    noise = jax.random.normal(key, (rows * (r + 1) + space.first.shape[1],), y.dtype)
    eta, eps = noise[: rows * r].reshape(rows, r), jnp.sqrt(space.observation) * noise[rows * r : rows * (r + 1)]
    start = space.first @ noise[rows * (r + 1) :]
    first_cov = space.first @ space.first.T

    def forward(carry: tuple[Array, ...], row: tuple[Array, ...]) -> tuple[tuple[Array, ...], tuple[Array, Array]]:
        mean, cov, state = carry
        x, seen, z, *advance, shock, error = row
        cov_z, f = _innovation_variance(space, cov, z)
        gain = cov_z * (seen / f)
        v = x - z @ (state + mean) - error
        state = _move(space, advance, state) + _shock(space, advance, shock)
        return (_move(space, advance, mean + gain * v), _move_cov(space, advance, cov - gain[:, None] * cov_z), state), (
            v * (seen / f),
            gain,
        )

    rows_in = (*_rows(space, y, observed), eta, eps)
    begin: tuple[Array, ...] = jnp.zeros(m), first_cov, start
    _, (u, gain) = jax.lax.scan(forward, begin, rows_in, unroll=UNROLL)

    def backward(after: Array, row: tuple[Array, ...]) -> tuple[Array, Array]:
        z, u, gain, *advance = row
        back = _move_back(space, advance, after)
        return z * (u - gain @ back) + back, after

    flags = () if space.advance is None else (space.advance,)
    before, after = jax.lax.scan(backward, jnp.zeros(m), (space.loading, u, gain, *flags), reverse=True, unroll=UNROLL)

    def path(state: Array, row: tuple[Array, ...]) -> tuple[Array, Array]:
        shock, pull, *advance = row
        return _move(space, advance, state) + _shock(space, advance, shock + space.noise.T @ _own(advance, pull)), state

    _, states = jax.lax.scan(path, start + first_cov @ before, (eta, after, *flags), unroll=UNROLL)
    return states


def _rows(space: Space, columns: Array, observed: Array) -> tuple[Array, ...]:
    flags = () if space.advance is None else (space.advance,)
    return columns, observed.astype(columns.dtype), space.loading, *flags


def _innovation_variance(space: Space, cov: Array, z: Array) -> tuple[Array, Array]:
    cov_z = _product(cov, z)
    return cov_z, z @ cov_z + space.observation


def _product(a: Array, b: Array) -> Array:
    """A b; small ones as sums of columns, which the compiler fuses where it would call a routine for each."""
    if a.shape[1] > FLATTEN:
        return a @ b
    return sum((a[:, j, None] * b[j] if b.ndim == 2 else a[:, j] * b[j]) for j in range(a.shape[1]))  # type: ignore[return-value]


def _move(space: Space, advance: list[Array], x: Array) -> Array:
    moved = _product(space.transition, x)
    if not advance:
        return moved
    own = advance[0] if x.ndim == 1 else advance[0][:, None]
    return jnp.where(own > 0, moved, x)


def _move_back(space: Space, advance: list[Array], x: Array) -> Array:
    """T_t'x."""
    if not advance:
        return _product(space.transition.T, x)
    moves = advance[0] > 0
    return _product(space.transition.T, jnp.where(moves, x, 0.0)) + jnp.where(moves, 0.0, x)


def _move_cov(space: Space, advance: list[Array], cov: Array) -> Array:
    moved = _move(space, advance, _move(space, advance, cov).T)
    own = space.noise if not advance else space.noise * advance[0][:, None]
    return moved + _product(own, own.T)


def _shock(space: Space, advance: list[Array], shock: Array) -> Array:
    return _own(advance, _product(space.noise, shock))


def _own(advance: list[Array], x: Array) -> Array:
    return x * advance[0] if advance else x


class _Element(NamedTuple):
    """Rows combined: α_t given α_s and the data between is N(A α_s + b, C), and the data say exp(η'α_s − ½ α_s'J α_s) of α_s."""

    a: Array
    b: Array
    c: Array
    eta: Array
    j: Array


def _combine(one: _Element, two: _Element) -> _Element:
    """Two stretches of rows as one (Särkkä & García-Fernández 2021, doi:10.1109/TAC.2020.2976316)."""
    eye = jnp.eye(one.a.shape[-1])
    swap = jnp.swapaxes
    m = jnp.linalg.inv(eye + one.c @ two.j)
    forward, back = two.a @ m, swap(one.a, -1, -2) @ swap(m, -1, -2)
    return _Element(
        forward @ one.a,
        forward @ (one.b + one.c @ two.eta) + two.b,
        forward @ one.c @ swap(two.a, -1, -2) + two.c,
        back @ (two.eta - two.j @ one.b) + one.eta,
        back @ two.j @ one.a + one.j,
    )


def _gram_associative(space: Space, columns: Array, observed: Array) -> tuple[Array, Array]:
    m, rows = space.transition.shape[0], columns.shape[0]
    advance = jnp.ones((rows, m)) if space.advance is None else space.advance
    seen = observed.astype(columns.dtype)
    # Before row t the states move by the previous row's flags; before the first row they have not moved.
    flags = jnp.concatenate([jnp.zeros((1, m)), advance[:-1]])[..., None]
    transition = jnp.where(flags > 0, space.transition, jnp.eye(m))
    noise = flags * space.noise
    q = noise @ jnp.swapaxes(noise, -1, -2)
    q = q.at[0].set(space.first @ space.first.T)
    transition = transition.at[0].set(0.0)

    def element(t: Array, q: Array, z: Array, x: Array, seen: Array) -> _Element:
        s = z @ q @ z + space.observation
        weight = jnp.where(seen > 0, 1 / jnp.where(s > 0, s, 1.0), 0.0)
        gain = q @ z * weight
        shrink = jnp.eye(m) - jnp.outer(gain, z)
        tz = t.T @ z
        return _Element(shrink @ t, gain[:, None] * x, shrink @ q, tz[:, None] * x * weight, jnp.outer(tz, tz) * weight)

    elements = jax.vmap(element)(transition, q, space.loading, columns, seen)
    filtered = jax.lax.associative_scan(jax.vmap(_combine), elements)
    mean = jnp.concatenate([jnp.zeros_like(filtered.b[:1]), filtered.b[:-1]])
    cov = jnp.concatenate([jnp.zeros_like(filtered.c[:1]), filtered.c[:-1]])
    predicted = transition @ cov @ jnp.swapaxes(transition, -1, -2) + q
    f = jnp.einsum("ti,tij,tj->t", space.loading, predicted, space.loading) + space.observation
    v = columns - jnp.einsum("ti,tij,tjc->tc", space.loading, transition, mean)
    return jnp.einsum("tc,td->cd", v * (seen / f)[:, None], v), jnp.sum(seen * jnp.log(f))
