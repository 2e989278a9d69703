"""The collapsed engine: sample the few hyperparameters of a model, draw everything else exactly.

Modes of the marginal density of θ; a mixture of multivariate t at the modes; Pareto-smoothed importance sampling to prove the
mixture (Vehtari et al. 2024, arXiv:1507.02646); chains by independence Metropolis over the same proposals, so that R-hat and
effective draws mean what they always mean; given θ, the coefficients in one Gaussian draw. Where the proof fails the mixture
is re-fitted to the weighted draws, at most twice; then NUTS on the marginal density. The path taken is recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy import optimize

from bayes_causal.inference.blocks import CHUNK, in_chunks
from bayes_causal.inference.engine import Draws, refuse_settings
from bayes_causal.inference.lines import on_lines
from bayes_causal.inference.programs import programs
from bayes_causal.models.base import CollapsedForm, Model, collapses, sweeps
from bayes_causal.numerics.t_mixture import TMixture, at_modes, refitted

PILOT = 4 * CHUNK
GOOD = 0.6
MOST_STEPS = 4
DISTANCES = np.array([0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0])
STEP = 1e-3
NEGLIGIBLE = 25.0

Density = Callable[[np.ndarray], np.ndarray]
"""(S, n) probits to (S,) log densities."""


@dataclass(frozen=True)
class Collapsed:
    """Exact posteriors of models with a collapsed form.

    Parameters
    ----------
    draws, chains : int
        Kept draws a chain, and chains.
    warmup : int
        Steps of the NUTS fallback only; the chains over importance proposals start in the posterior.
    starts : int
        Starting points of the search for modes.
    min_efficiency : float
        Smallest 1/(S Σw²) with which importance sampling is accepted.
    """

    draws: int = 1000
    chains: int = 4
    warmup: int = 1000
    starts: int = 6
    min_efficiency: float = 0.2

    name: ClassVar[str] = "collapsed"

    def __post_init__(self) -> None:
        refuse_settings(draws=self.draws, chains=self.chains, warmup=self.warmup, starts=self.starts)

    def settings(self) -> dict[str, Any]:
        """The settings, as JSON can write them."""
        return asdict(self)

    def sample(self, model: Model, *, seed: int) -> Draws:
        """Draws of θ and of every coefficient site; unit effects are drawn on demand.

        Raises
        ------
        TypeError
            The model has no collapsed form.
        """
        if not collapses(model):
            why = getattr(model, "no_collapsed_form", None)
            other = "gibbs" if sweeps(model) else "nuts"
            raise TypeError(f"{model.name} has no collapsed form{f': {why}' if why else ''}; use engine '{other}'")
        with jax.enable_x64(True):
            collapsed = model.collapsed()
            if len(collapsed.hypers) == 1:
                return self._on_line(collapsed, seed)
            sums = jax.tree.map(jnp.asarray, collapsed.sums)
            t, stats, path, numbers = self._hyperparameters(collapsed, sums, seed)
            keys = jax.random.split(jax.random.PRNGKey(seed + 2), t.shape[0] * t.shape[1])
            drawn = in_chunks(partial(programs(collapsed).draw, sums), t.reshape(-1, t.shape[-1]), keys)
            sites = {k: v.reshape(*t.shape[:2], *v.shape[1:]) for k, v in drawn.items()}
        return Draws(sites, stats, path, numbers)

    def _on_line(self, collapsed: CollapsedForm, seed: int) -> Draws:
        """Independent draws where one hyperparameter is left."""
        sums = jax.tree.map(lambda v: np.asarray(v)[None], collapsed.sums)
        lines, sites = on_lines(collapsed, sums, self.chains * self.draws, seed)
        shape = (self.chains, self.draws)
        size = f"{collapsed.said(sums)}, 1 hyperparameter"
        path = f"quadrature: {size}, {lines.evaluated} nodes; independent draws"
        numbers = {"log_mass": float(lines.log_mass[0]), "nodes": lines.evaluated, "efficiency": 1.0}
        own = {k: v[0].reshape(*shape, *v.shape[2:]) for k, v in sites.items()}
        return Draws(own, {"lp": lines.lp.reshape(shape)}, path, numbers)

    def _hyperparameters(
        self, collapsed: CollapsedForm, sums: Any, seed: int
    ) -> tuple[np.ndarray, dict[str, np.ndarray], str, dict[str, float]]:
        """(chain, draw, n) probits of θ, statistics, the path in words, and its numbers."""
        rng = np.random.default_rng(seed)
        one_call: Density = partial(programs(collapsed).density, sums)
        density: Density = partial(in_chunks, one_call)
        size = f"{collapsed.said(sums)}, {_count(len(collapsed.hypers), 'hyperparameter')}"
        modes, hessians, heights = find_modes(one_call, len(collapsed.hypers), self.starts, rng)
        proposal = at_modes(modes, shapes(density, modes, hessians, heights), heights)
        pilot = weigh(density, proposal, PILOT, rng)
        refits = 0
        if pilot.fraction < GOOD or pilot.k_hat > 0.5:
            proposal, refits = refitted(pilot.x, pilot.weights, rng), 1
        while True:
            # Where proposals are poor, a chain takes several Metropolis steps a kept draw.
            steps = next(k for k, least in ((1, 0.6), (2, 0.35), (MOST_STEPS, -1.0)) if pilot.fraction > least or refits == 1)
            final = weigh(density, proposal, _padded(self.chains * self.draws * steps), rng)
            trusted = final.k_hat < min(1 - 1 / np.log10(final.x.shape[0]), 0.7) and final.fraction > self.min_efficiency
            if trusted or refits == 2:
                break
            proposal, refits, pilot = refitted(final.x, final.weights, rng), refits + 1, final
        what = f"{size}, {_count(len(modes), 'mode')}"
        proof = (
            f"Pareto k {final.k_hat:.2f}, {final.fraction:.0%} of {len(final.x):,} proposals effective, {_count(refits, 'refit')}"
        )
        numbers = final.numbers() | {"refits": refits, "modes": len(modes)}
        if trusted:
            states, accepted = independence_chains(final.log_weight, final.weights, self.chains, self.draws, steps, rng)
            stats = {"lp": final.lp[states], "acceptance_rate": accepted}
            return final.x[states], stats, f"importance sampling: {what}; {proof}; {accepted.mean():.0%} accepted", numbers
        t, stats = nuts(lambda z: -collapsed.log_density(sums, z), modes, self, seed)
        return t, stats, f"NUTS on the marginal density: {what}; importance sampling was refused ({proof})", numbers


@dataclass(frozen=True, eq=False)
class Weighted:
    """S proposals (S, n), their log densities and log weights (S,), smoothed normalised weights (S,), and what proves them."""

    x: np.ndarray
    lp: np.ndarray
    log_weight: np.ndarray
    weights: np.ndarray
    k_hat: float
    fraction: float

    def numbers(self) -> dict[str, float]:
        """The proof, for the record."""
        return {"pareto_k": self.k_hat, "efficiency": self.fraction, "importance_ess": self.fraction * len(self.x)}


def weigh(density: Density, proposal: TMixture, size: int, rng: np.random.Generator) -> Weighted:
    """Proposals from a mixture, weighted to the target."""
    x = proposal.draw(size, rng)
    lp = density(x)
    log_weight = lp - proposal.log_density(x)
    return Weighted(x, lp, log_weight, *importance(log_weight))


def shapes(density: Density, modes: np.ndarray, hessians: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """(m, n, n) scale matrices: along each axis of curvature, half the farther distance at which the log density drops by 2.

    Curvature alone makes a proposal too narrow where the target is skewed, as it is for scales near zero.
    """
    scales = []
    for mode, hessian, height in zip(modes, hessians, heights, strict=True):
        value, axes = np.linalg.eigh((hessian + hessian.T) / 2)
        sd = 1 / np.sqrt(np.maximum(value, 1.0))
        rays = np.concatenate([axes.T * sd[:, None], -axes.T * sd[:, None]])
        points = mode + DISTANCES[:, None, None] * rays
        drop = height - density(points.reshape(-1, mode.size)).reshape(DISTANCES.size, -1)
        reached = drop >= 2.0
        first = np.where(reached.any(0), reached.argmax(0), DISTANCES.size - 1)
        farther = DISTANCES[first].reshape(2, -1).max(0) / 2
        stretched = sd * np.clip(farther, 1.0, None)
        scales.append((axes * stretched**2) @ axes.T)
    return np.array(scales)


def find_modes(density: Density, n: int, starts: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(m, n) distinct modes, (m, n, n) negative Hessians there, and (m,) log densities, the highest first."""
    # Central differences: the reverse pass of a Cholesky factor costs twenty times as much as 2 n densities side by side.
    moves = STEP * np.vstack([np.zeros((1, n)), np.eye(n), -np.eye(n)])

    def objective(t: np.ndarray) -> tuple[float, np.ndarray]:
        values = -np.asarray(density(t + moves))
        finite = np.isfinite(values).all()
        return (float(values[0]), (values[1 : n + 1] - values[n + 1 :]) / (2 * STEP)) if finite else (1e300, np.zeros(n))

    def curvature(t: np.ndarray) -> np.ndarray:
        gradients = np.array([objective(t + 10 * m)[1] for m in moves[1:]])
        return (gradients[:n] - gradients[n:]) / (20 * STEP)

    first = np.vstack([np.zeros((1, n)), rng.standard_normal((starts - 1, n))])
    found = [optimize.minimize(objective, t, jac=True, method="BFGS", options={"gtol": 1e-2}) for t in first]
    found = sorted((r for r in found if r.fun < 1e299), key=lambda r: r.fun)
    modes: list[tuple[np.ndarray, np.ndarray, float]] = []
    for r in found:
        known = any((r.x - m) @ h @ (r.x - m) < 0.25 * n for m, h, _ in modes)
        if not known and r.fun < found[0].fun + NEGLIGIBLE:
            modes.append((r.x, curvature(r.x), -r.fun))
    centers, hessians, heights = zip(*modes, strict=True)
    return np.array(centers), np.array(hessians), np.array(heights)


def importance(log_weight: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Pareto-smoothed normalised weights (S,), the shape k̂, and the effective fraction 1/(S Σw²)."""
    from arviz_stats.base import array_stats

    nothing = np.full(log_weight.size, 1 / log_weight.size), np.inf, 0.0
    if not np.isfinite(log_weight).any():
        return nothing
    shifted = np.where(np.isfinite(log_weight), log_weight - np.max(log_weight), -1e3)
    smoothed, k_hat = array_stats.psislw(-shifted)
    weights = np.exp(smoothed - np.max(smoothed))
    weights /= weights.sum()
    if not np.isfinite(weights).all():
        return nothing
    return weights, float(k_hat), float(1 / (weights.size * np.sum(weights**2)))


def independence_chains(
    log_weight: np.ndarray, weights: np.ndarray, chains: int, draws: int, steps: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(chain, draw) positions of the proposals that independence Metropolis visits, and (chain, draw) share of accepted steps.

    Each chain walks through its own share of the proposals, `steps` of them a kept draw; it starts at one picked by
    importance weight.
    """
    order = rng.permutation(log_weight.size)[: chains * draws * steps].reshape(draws, steps, chains)
    start = rng.choice(log_weight.size, size=chains, p=weights)
    log_u = np.log(rng.random(order.shape))
    w = jnp.asarray(log_weight)

    def step(state: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        candidate, threshold = inputs
        accept = threshold < w[candidate] - w[state]
        return jnp.where(accept, candidate, state), accept

    def keep(state: Array, inputs: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
        state, accepted = jax.lax.scan(step, state, inputs)
        return state, (state, accepted.mean(0))

    _, (visited, accepted) = jax.lax.scan(keep, jnp.asarray(start), (jnp.asarray(order), jnp.asarray(log_u)))
    return np.asarray(visited).T, np.asarray(accepted, float).T


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _padded(size: int) -> int:
    """The next multiple of a chunk."""
    return size + -size % CHUNK


def nuts(
    potential: Callable[[Array], Array], modes: np.ndarray, engine: Collapsed, seed: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """NUTS on a density of probits from the modes, chains spread over them."""
    from numpyro.infer import MCMC, NUTS

    from bayes_causal.inference.numpyro_nuts import STATS, tidy

    mcmc = MCMC(
        NUTS(potential_fn=potential, target_accept_prob=0.95, dense_mass=True),
        num_warmup=engine.warmup,
        num_samples=engine.draws,
        num_chains=engine.chains,
        chain_method="vectorized",
        progress_bar=False,
    )
    start = jnp.asarray(modes[np.arange(engine.chains) % len(modes)])
    mcmc.run(jax.random.PRNGKey(seed), init_params=start if engine.chains > 1 else start[0], extra_fields=tuple(STATS))
    return np.asarray(mcmc.get_samples(group_by_chain=True)), tidy(mcmc)
