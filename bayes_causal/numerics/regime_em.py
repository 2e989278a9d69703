"""Most likely parameters of a regime model from many starts at once: EM, then a climb on the exact likelihood.

Given the probabilities of regimes, errors are linear in (level, shock, control, and ar in the regression form) and, given those,
in ar: each block is one weighted regression, scales one weighted mean square (an ECM, Meng & Rubin 1993,
doi:10.1093/biomet/80.2.267). The likelihood of a scale that switches has no bound where a regime shrinks onto one date: scales
are kept above a floor. EM leaves the law of the first regime out of its step for the transitions; the climb has it in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bayes_causal.numerics.jitted import jitted
from bayes_causal.numerics.regime_errors import Shape, errors, log_densities
from bayes_causal.numerics.regime_rows import Rows
from bayes_causal.numerics.regimes import forward, opening, smoothed, stationary

FLOOR = 0.02
RIDGE = 1e-9
Parameters = Mapping[str, Any]


class Pull(NamedTuple):
    """What keeps EM away from regimes of a few dates, as observations beside those of the data; zeros for none.

    Parameters
    ----------
    stay : () further transitions of each regime to itself
    scale : () further dates of each regime, with errors as large as the outcomes
    coefficient : () precision of every coefficient around zero, on the scale of its column
    """

    stay: Any = 0.0
    scale: Any = 0.0
    coefficient: Any = 0.0


FLAT = Pull()


@dataclass(frozen=True)
class Free:
    """Which parameters are there, and which differ by regime: shapes (A, …, K) where they do, (A, …) where not.

    Parameters
    ----------
    shape : Shape
    switching : subset of level, ar, shock, sigma
    level : whether there is one
    """

    shape: Shape
    switching: tuple[str, ...]
    level: bool = True

    def expand(self, p: Parameters, rows: Rows) -> dict[str, Array]:
        """Every parameter with its regime axis, as `errors` takes them; those left out are zero."""
        a, k = rows.y.shape[1], self.shape.regimes
        empty = {"level": (a,), "ar": (a, self.shape.order), "shock": (a, rows.x.shape[1]), "sigma": (a,)}
        full = {"control": p.get("control", jnp.zeros((a, rows.c.shape[1])))}
        for name, own in empty.items():
            value = jnp.asarray(p[name]) if name in p else jnp.zeros(own)
            full[name] = value if value.ndim > len(own) else jnp.broadcast_to(value[..., None], (*own, k))
        return full

    def blocks(self, rows: Rows) -> tuple[tuple[str, ...], ...]:
        """Parameters in which errors are linear together."""
        first = [n for n in ("level",) if self.level]
        first += [n for n, v in (("shock", rows.x), ("control", rows.c)) if v.shape[1]]
        if not self.shape.order:
            return (tuple(first),)
        return ((*first, "ar"),) if self.shape.form == "regression" else (tuple(first), ("ar",))


def log_likelihood(free: Free, rows: Rows, p: Parameters) -> Array:
    """Log p(y) with the regimes summed out, the first by the law that `p["transition"]` keeps unless `p["initial"]` is given.

    `p["transition"]` is (K, K), or (T, K, K); `p["nu"]` makes errors Student-t.
    """
    return forward(*chain(free, rows, p)).increments.sum()


def chain(free: Free, rows: Rows, p: Parameters) -> tuple[Array, Array, Array]:
    """What `forward` takes."""
    full = free.expand(p, rows)
    log_b = log_densities(free.shape, errors(free.shape, rows, full), full["sigma"], p.get("nu"))
    transition = jnp.asarray(p["transition"])
    base = transition if transition.ndim == 2 else transition[0]
    first = jnp.log(p["initial"] if "initial" in p else stationary(base))
    return log_b, jnp.log(transition), opening(first, jnp.log(base), free.shape.memory)


def step(free: Free, rows: Rows, p: Parameters, pull: Pull) -> tuple[dict[str, Array], Array]:
    """One step of EM, and the log likelihood before it."""
    log_b, log_p, first = chain(free, rows, p)
    ahead = forward(log_b, log_p, first)
    weight = smoothed(ahead.joint)
    counts = weight.sum((0, *range(3, weight.ndim))).T + pull.stay * jnp.eye(free.shape.regimes)
    new = dict(p) | {"transition": counts / counts.sum(1, keepdims=True)}
    for names in free.blocks(rows):
        new |= _regression(free, rows, new, weight, names, pull)
    new["sigma"] = _scales(free, rows, new, weight, pull)
    return new, ahead.increments.sum()


def _regression(free: Free, rows: Rows, p: Parameters, weight: Array, names: tuple[str, ...], pull: Pull) -> dict[str, Array]:
    """A block of coefficients by regressions, one a series, weighted by the probabilities of regimes over variances."""
    full = free.expand(p, rows)
    shape = (rows.y.shape[1], *weight.shape[1:])
    block = {n: p[n] for n in names if p[n].size}

    def left(b: Parameters) -> Array:
        e = errors(free.shape, rows, free.expand(dict(p) | dict(b), rows))
        return jnp.broadcast_to(e, (e.shape[0], *shape))

    scale = jnp.broadcast_to(full["sigma"].reshape(*full["sigma"].shape, *[1] * (weight.ndim - 2)), shape)
    w = weight[:, None] / scale**2
    error = left(block)
    # Series share no coefficient: moving all of them together gives each its own columns.
    sizes = {n: v.size // shape[0] for n, v in block.items()}

    def moved(d: Array) -> Array:
        out, at = {}, 0
        for n, v in block.items():
            out[n] = v + d[at : at + sizes[n]].reshape(1, *v.shape[1:])
            at += sizes[n]
        return left(out)

    columns = -jax.jacfwd(moved)(jnp.zeros(sum(sizes.values())))
    gram = jnp.einsum("ta...q,ta...,ta...r->aqr", columns, w, columns)
    right = jnp.einsum("ta...q,ta...,ta...->aq", columns, w, error)
    now = jnp.concatenate([v.reshape(shape[0], -1) for v in block.values()], 1)
    ridge = (RIDGE * (1 + jnp.trace(gram, axis1=1, axis2=2)) + pull.coefficient)[:, None, None] * jnp.eye(gram.shape[1])
    right = right - pull.coefficient * now
    change, at, new = jnp.linalg.solve(gram + ridge, right[..., None])[..., 0], 0, {}
    for n, v in block.items():
        new[n] = v + change[:, at : at + sizes[n]].reshape(v.shape)
        at += sizes[n]
    return new


def _scales(free: Free, rows: Rows, p: Parameters, weight: Array, pull: Pull) -> Array:
    e = errors(free.shape, rows, free.expand(p, rows))
    square = jnp.broadcast_to(e**2, (e.shape[0], e.shape[1], *weight.shape[1:]))
    total = (weight[:, None] * square).sum((0, *range(3, square.ndim)))
    mass, own = weight.sum((0, *range(2, weight.ndim))), jnp.var(rows.y, axis=0)
    if "sigma" not in free.switching:
        total, mass = total.sum(1), mass.sum()
    else:
        own = own[:, None]
    return jnp.sqrt(jnp.maximum((total + pull.scale * own) / (mass + pull.scale), FLOOR**2 * own))


def starts(free: Free, rows: Rows, count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """(count, …) scattered parameters: levels and scales around those of the data, regimes that last, no effects."""
    k, (_, a) = free.shape.regimes, rows.y.shape
    mean, sd = np.mean(rows.y, 0), np.std(rows.y, 0)

    def own(name: str, inner: tuple[int, ...]) -> tuple[int, ...]:
        return (count, a, *inner, *([k] if name in free.switching else []))

    def widen(v: np.ndarray, like: tuple[int, ...]) -> np.ndarray:
        return v.reshape(1, a, *[1] * (len(like) - 2))

    new: dict[str, np.ndarray] = {}
    if free.level:
        shape = own("level", ())
        spread = 0.7 if "level" in free.switching else 0.0
        new["level"] = widen(mean, shape) + spread * widen(sd, shape) * rng.standard_normal(shape)
    for name, inner in (("ar", free.shape.order), ("shock", rows.x.shape[1]), ("control", rows.c.shape[1])):
        if inner:
            shape = own(name, (inner,)) if name != "control" else (count, a, inner)
            new[name] = 0.1 * rng.standard_normal(shape) * (name == "ar") + np.zeros(shape)
    shape = own("sigma", ())
    new["sigma"] = widen(sd, shape) * np.exp(0.6 * rng.standard_normal(shape) * ("sigma" in free.switching) - 0.2)
    stay = rng.uniform(0.6, 0.98, (count, k))
    new["transition"] = np.where(np.eye(k, dtype=bool), stay[..., None], (1 - stay[..., None]) / (k - 1))
    return new


@cache
def many(free: Free, steps: int) -> Callable[..., tuple[dict[str, Array], Array]]:
    """The program: (rows, (count, …) starts, pull) to as many parameters after some steps of EM, and log likelihoods there."""

    def one(rows: Rows, p: dict[str, Array], pull: Pull) -> tuple[dict[str, Array], Array]:
        last = jax.lax.fori_loop(0, steps, lambda _, q: step(free, rows, q, pull)[0], dict(p))
        return last, log_likelihood(free, rows, last)

    program: Callable[..., tuple[dict[str, Array], Array]] = jitted(jax.vmap(one, (None, 0, None)))
    return program


@dataclass(frozen=True, eq=False)
class Maximum:
    """What the climb found.

    Parameters
    ----------
    parameters : the best, by name
    log_likelihood : there
    starts : (count,) log likelihoods that EM came to from each start, best first
    """

    parameters: dict[str, np.ndarray]
    log_likelihood: float
    starts: np.ndarray


def maximise(
    free: Free, rows: Rows, *, count: int = 24, steps: int = 100, climb: int = 3, pull: Pull = FLAT, seed: int = 0
) -> Maximum:
    """The best of many starts, the `climb` best of them taken up the exact likelihood by quasi-Newton steps.

    With a pull, and climb = 0, what EM comes to stands: the most likely under the pull, of those it reached by likelihood.
    """
    with jax.enable_x64(True):
        begin = jax.tree.map(jnp.asarray, starts(free, rows, count, np.random.default_rng(seed)))
        ends, value = jax.device_get(many(free, steps)(jax.tree.map(jnp.asarray, rows), begin, Pull(*map(float, pull))))
        order = np.argsort(-np.where(np.isfinite(value), value, -np.inf))
        best = [{n: v[i] for n, v in ends.items()} for i in order[: max(1, climb)]]
        found = [_climbed(free, rows, p) for p in best] if climb else [(best[0], float(value[order[0]]))]
    top = max(found, key=lambda f: f[1])
    return Maximum({n: np.asarray(v) for n, v in top[0].items()}, top[1], value[order])


def _climbed(free: Free, rows: Rows, p: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], float]:
    """Quasi-Newton steps in logarithms of scales and log odds of transitions; where they end lower, the start stands."""
    from jax.flatten_util import ravel_pytree
    from scipy.optimize import minimize

    low = np.log(np.maximum(p["transition"], 1e-12))
    begin = dict(p) | {"sigma": np.log(p["sigma"]), "transition": low[:, 1:] - low[:, :1]}
    flat, back = ravel_pytree(jax.tree.map(jnp.asarray, begin))
    inner = jax.tree.map(jnp.asarray, rows)

    def natural(x: Array) -> dict[str, Array]:
        q = back(x)
        logit = jnp.concatenate([jnp.zeros((free.shape.regimes, 1)), q["transition"]], 1)
        return q | {"sigma": jnp.exp(q["sigma"]), "transition": jax.nn.softmax(logit, 1)}

    slope = jitted(jax.value_and_grad(lambda x: -log_likelihood(free, inner, natural(x))))

    def cost(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = slope(jnp.asarray(x))
        return float(value), np.nan_to_num(np.asarray(gradient))

    started = -float(slope(flat)[0])
    ended = minimize(cost, np.asarray(flat), jac=True, method="BFGS", options={"maxiter": 200})
    if -ended.fun > started:
        return {n: np.asarray(v) for n, v in natural(jnp.asarray(ended.x)).items()}, float(-ended.fun)
    return dict(p), started
