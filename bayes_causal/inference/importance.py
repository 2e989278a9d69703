"""Importance sampling that proves itself, and Markov chains over its proposals.

Pareto-smoothed weights and their k̂: Vehtari et al. 2024, arXiv:1507.02646.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bayes_causal.inference.axes import Axes
from bayes_causal.numerics.modes import Density
from bayes_causal.numerics.t_mixture import TMixture

DISTANCES = np.array([0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0])


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


@dataclass(frozen=True, eq=False)
class Corrected:
    """An approximate density of θ, and how far its draws of the coefficients are off.

    Parameters
    ----------
    density : (S, n) to (S,); correction : (S, n) and (S, noise) to (S,); noise : from what it is drawn
    """

    density: Density
    correction: Callable[[np.ndarray, np.ndarray], np.ndarray]
    noise: Axes


def weigh(target: Density | Corrected, proposal: TMixture, size: int, rng: np.random.Generator) -> Weighted:
    """Proposals from a mixture, weighted to the target; θ and noise side by side where it is corrected."""
    x = proposal.draw(size, rng)
    if not isinstance(target, Corrected):
        lp = target(x)
        log_weight = lp - proposal.log_density(x)
        return Weighted(x, lp, log_weight, *importance(log_weight))
    noise = target.noise.draw(size, rng)
    lp = target.density(x) + target.correction(x, noise)
    log_weight = np.where(np.isfinite(lp), lp - proposal.log_density(x) - target.noise.log_density(noise), -np.inf)
    return Weighted(np.hstack([x, noise]), lp - 0.5 * (noise**2).sum(1), log_weight, *importance(log_weight))


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
