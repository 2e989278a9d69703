"""Many problems of one shape in one vectorised program: the collapsed engine with a leading problem axis.

The steps are those of `collapsed`: mode, proposal, importance weights with their proof, independence chains, exact draws.
Every density call evaluates a batch of points of every problem, in chunks of bounded memory. Proposals whose proof fails are
re-fitted; problems where it still fails are reported, not hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayes_causal.errors import TreeError
from bayes_causal.inference.blocks import in_blocks
from bayes_causal.inference.importance import importance
from bayes_causal.inference.lines import on_lines
from bayes_causal.inference.programs import programs, signature
from bayes_causal.inference.tree import dataset
from bayes_causal.models.base import Model, Natural, collapses
from bayes_causal.models.forms import CollapsedForm, DrawsTotal, TotalOnLine
from bayes_causal.numerics.t_mixture import DEGREES, refitted

POINTS = 8192
STEP = 1e-3
NEWTON_STEPS = 25
STEP_LENGTHS = np.array([1.0, 0.5, 0.2, 0.05, 0.01])
RAYS = np.array([1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0])
PROPOSALS = 1000
REFITS = 2

Densities = Callable[[np.ndarray], np.ndarray]
"""(P, S, n) probits, S points for each of P problems, to (P, S) log densities."""


@dataclass(frozen=True, eq=False)
class ManyDraws:
    """Draws of P problems.

    Parameters
    ----------
    sites : mapping of name to (P, S, ...) array
    k_hat : (P,) Pareto shape of the importance weights
    fraction : (P,) effective fraction of the proposals
    """

    sites: dict[str, np.ndarray]
    k_hat: np.ndarray
    fraction: np.ndarray

    @property
    def trusted(self) -> np.ndarray:
        """(P,) whether importance sampling is proved."""
        return _trusted(self.k_hat, self.fraction)


def fit_many(models: Sequence[Model], *, seed: int, draws: int = 1000) -> xr.Dataset:
    """Posteriors of same-shaped models in one vectorised program.

    Parameters
    ----------
    models : sequence of models with a collapsed form
        All of one class, options and sizes; only their data differ.
    seed : int
    draws : int
        Draws a problem. They are one chain; `pareto_k` and `efficiency` prove them, problem by problem.

    Returns
    -------
    xarray.Dataset
        The reported quantities of each model, dims (problem, chain, draw, ...), in units of its outcome, and `pareto_k`,
        `efficiency`, `trusted` (problem).

    Raises
    ------
    TreeError
        The models differ in more than their data.
    """
    if not models:
        raise TreeError("fit_many needs at least one model")
    forms = [m.collapsed() for m in models if collapses(m)]
    shapes = {(signature(f), *(np.shape(v) for v in jax.tree.leaves(f.sums))) for f in forms}
    if len(forms) < len(models) or len(shapes) > 1:
        raise TreeError(
            "fit_many needs models of one shape: the same class and options, the same numbers of periods, groups and covariates, "
            f"the same gaps and lengths of units. Found {len(shapes)} shapes among {len(forms)} models with a collapsed form, of "
            f"{len(models)}."
        )
    drawn = sample_many(forms[0], stacked([f.sums for f in forms]), seed=seed, draws=draws)
    posteriors = []
    for k, model in enumerate(models):
        sites = {name: v[k][None] for name, v in drawn.sites.items()}
        posteriors.append(dataset(model, model.natural(sites) if isinstance(model, Natural) else sites, ("chain", "draw")))
    proof = {"pareto_k": drawn.k_hat, "efficiency": drawn.fraction, "trusted": drawn.trusted}
    return xr.concat(posteriors, "problem").assign({k: ("problem", v) for k, v in proof.items()})


def stacked(sums: Sequence[Any]) -> Any:
    """The sums of P problems with a leading axis of P on every array."""
    return jax.tree.map(lambda *parts: np.stack([np.asarray(v) for v in parts]), *sums)


def draws_total(form: CollapsedForm) -> bool:
    """Whether a form draws the one number that overall answers hang on."""
    return isinstance(form, TotalOnLine if len(form.hypers) == 1 else DrawsTotal)


def sample_many(
    form: CollapsedForm, sums: Any, *, seed: int, draws: int, total: bool = False, numbers: Sequence[int] | None = None
) -> ManyDraws:
    """Draws of P problems that share a form.

    Parameters
    ----------
    sums : arrays with a leading axis of P
    total : whether to draw only the number that overall answers hang on, as the one site `total`
    numbers : P numbers of the problems, by which forms on a line draw their random numbers
    """
    rng = np.random.default_rng(seed)
    with jax.enable_x64(True):
        if len(form.hypers) == 1:
            lines, drawn = on_lines(form, sums, draws, seed, total=total, numbers=numbers)
            exact = np.zeros(len(lines.t))
            return ManyDraws(drawn, exact, exact + 1.0)
        sums = jax.tree.map(np.asarray, sums)  # cut into blocks by NumPy: jax takes a program for each
        compiled = programs(form)
        density = partial(_in_chunks, compiled.many_density, sums)
        modes, heights, hessians = newton(density, int(jax.tree.leaves(sums)[0].shape[0]), len(form.hypers))
        factors = stretched(density, modes, heights, hessians)
        x, log_q = t_draws(modes, factors, max(PROPOSALS, draws), rng)
        log_weight = density(x) - log_q
        weights, k_hat, fraction = proofs(log_weight)
        for _ in range(REFITS):
            again = np.flatnonzero(~_trusted(k_hat, fraction))
            if not again.size:
                break
            mixtures = [refitted(x[k], weights[k], rng) for k in again]
            x[again] = np.stack([m.draw(x.shape[1], rng) for m in mixtures])
            log_q = np.stack([m.log_density(x[k]) for m, k in zip(mixtures, again, strict=True)])
            part = jax.tree.map(lambda v, rows=again: v[rows], sums)
            log_weight[again] = _in_chunks(compiled.many_density, part, x[again]) - log_q
            weights[again], k_hat[again], fraction[again] = proofs(log_weight[again])
        t = np.take_along_axis(x, metropolis(log_weight, weights, draws, rng)[..., None], 1)
        keys = np.asarray(jax.random.split(jax.random.PRNGKey(seed), t.shape[0] * draws)).reshape(t.shape[0], draws, -1)
        if total:
            assert compiled.many_total is not None
            sites = {"total": _in_chunks(compiled.many_total, sums, t, keys)}
        else:
            sites = in_blocks(compiled.many_draw, draws * form.width, sums, t, keys)
    return ManyDraws(sites, k_hat, fraction)


def draw_many(form: CollapsedForm, t: np.ndarray, *, seed: int) -> dict[str, np.ndarray]:
    """Sites (P, S, ...) of P problems that share blocks, at the same hyperparameters: exact given these.

    Parameters
    ----------
    form : CollapsedForm
        Its sums have a leading axis of P on every array.
    t : (S, n) probits of the hyperparameters
    seed : int
        The problems share their random numbers too, so that differences between them are precise.
    """
    problems = form.sums.rows.size
    with jax.enable_x64(True):
        keys = np.asarray(jax.random.split(jax.random.PRNGKey(seed), t.shape[0]))
        shared = (np.broadcast_to(v, (problems, *v.shape)) for v in (t, keys))
        sites: dict[str, np.ndarray] = _in_chunks(programs(form).many_draw, jax.tree.map(np.asarray, form.sums), *shared)
    return sites


def proofs(log_weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(P, S) smoothed weights, (P,) Pareto shapes and (P,) effective fractions of (P, S) log weights."""
    weights, k_hat, fraction = zip(*map(importance, log_weight), strict=True)
    return np.stack(weights), np.array(k_hat), np.array(fraction)


def _trusted(k_hat: np.ndarray, fraction: np.ndarray) -> np.ndarray:
    return (k_hat < min(1 - 1 / np.log10(PROPOSALS), 0.7)) & (fraction > 0.05)


def newton(density: Densities, problems: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(P, n) modes, (P,) log densities there and (P, n, n) negative Hessians, by damped Newton steps in lockstep from zero."""
    t = np.zeros((problems, n))
    offsets = _stencil(n)
    value = np.full(problems, -np.inf)
    for _ in range(NEWTON_STEPS):
        value, gradient, hessian = _derivatives(density(t[:, None] + STEP * offsets), n)
        eigen, axes = np.linalg.eigh(hessian)
        direction = np.einsum("pij,pj->pi", axes, np.einsum("pji,pj->pi", axes, gradient) / np.maximum(np.abs(eigen), 0.5))
        direction *= np.minimum(1.0, 2.0 / np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-300))
        tried = t[:, None] + STEP_LENGTHS[:, None] * direction[:, None]
        gains = density(tried) - value[:, None]
        best = gains.argmax(1)
        better = gains[np.arange(problems), best] > 0
        t = np.where(better[:, None], tried[np.arange(problems), best], t)
        if gains.max() < 1e-4:
            break
    value, _, hessian = _derivatives(density(t[:, None] + 10 * STEP * offsets), n, step=10 * STEP)
    return t, value, hessian


def stretched(density: Densities, modes: np.ndarray, heights: np.ndarray, hessians: np.ndarray) -> np.ndarray:
    """(P, n, n) factors of the proposals: axes of curvature, each as long as the farther side on which the density falls."""
    eigen, axes = np.linalg.eigh(hessians)
    sd = 1 / np.sqrt(np.maximum(eigen, 1.0))
    rays = np.swapaxes(axes * sd[:, None], 1, 2)
    rays = np.concatenate([rays, -rays], 1)
    points = modes[:, None, None] + RAYS[:, None, None] * rays[:, None]
    p, r, m, n = points.shape
    # A problem whose density is nowhere finite has no height to drop from; its weights will prove nothing.
    reached = density(points.reshape(p, r * m, n)).reshape(p, r, m) <= heights[:, None, None] - 2.0
    first = np.where(reached.any(1), reached.argmax(1), r - 1)
    farther = RAYS[first].reshape(p, 2, n).max(1) / 2
    return 1.1 * axes * (sd * np.maximum(farther, 1.0))[:, None]


def t_draws(centers: np.ndarray, factors: np.ndarray, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(P, S, n) draws of multivariate t with (P, n, n) factors, and their (P, S) log densities up to a constant a problem."""
    p, n = centers.shape
    normal = rng.standard_normal((p, size, n))
    scale = np.sqrt(DEGREES / rng.chisquare(DEGREES, (p, size)))
    x = centers[:, None] + np.einsum("pij,psj->psi", factors, normal * scale[..., None])
    distance = ((normal * scale[..., None]) ** 2).sum(-1)
    return x, -(DEGREES + n) / 2 * np.log1p(distance / DEGREES)


def metropolis(log_weight: np.ndarray, weights: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """(P, draws) positions visited by one independence chain a problem over its (P, S) proposals, started by weight."""
    p, size = log_weight.shape
    uniform = rng.random((p, 1))
    start = (np.cumsum(weights, 1) < uniform).sum(1).clip(max=size - 1)
    log_u = np.log(rng.random((draws, p)))
    w, rows = jnp.asarray(log_weight), jnp.arange(p)

    def step(state: Any, inputs: Any) -> tuple[Any, Any]:
        candidate, threshold = inputs
        accept = threshold < w[:, candidate] - w[rows, state]
        state = jnp.where(accept, candidate, state)
        return state, state

    order = jnp.asarray(rng.permutation(size)[:draws])
    _, visited = jax.lax.scan(step, jnp.asarray(start), (order, jnp.asarray(log_u)))
    return np.asarray(visited).T


def _stencil(n: int) -> np.ndarray:
    """(1 + 2n + 2n(n−1), n) points of central first and second differences."""
    eye = np.eye(n)
    i, j = np.triu_indices(n, 1)
    cross = [a * eye[i] + b * eye[j] for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1))]
    return np.concatenate([np.zeros((1, n)), eye, -eye, *cross])


def _derivatives(values: np.ndarray, n: int, step: float = STEP) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Value, gradient and negative Hessian of each problem from (P, stencil) values; where not finite, a plain bowl."""
    i, j = np.triu_indices(n, 1)
    value, up, down = values[:, 0], values[:, 1 : n + 1], values[:, n + 1 : 2 * n + 1]
    pp, pm, mp, mm = np.split(values[:, 2 * n + 1 :], 4, axis=1)
    with np.errstate(invalid="ignore"):
        gradient = (up - down) / (2 * step)
        hessian = np.zeros((len(values), n, n))
        hessian[:, np.arange(n), np.arange(n)] = -(up - 2 * value[:, None] + down) / step**2
        hessian[:, i, j] = hessian[:, j, i] = -(pp - pm - mp + mm) / (4 * step**2)
    sound = np.isfinite(values).all(1)
    gradient[~sound], hessian[~sound] = 0.0, np.eye(n)
    return np.where(sound, value, -np.inf), gradient, hessian


def _in_chunks(f: Callable[..., Any], sums: Any, *x: np.ndarray) -> Any:
    """`f(sums, x)` over the leading problem axis in chunks of about `POINTS` points, the last one padded."""
    return in_blocks(f, x[0].shape[1], sums, *x, held=POINTS)
