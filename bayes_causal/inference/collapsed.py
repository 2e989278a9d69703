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

from bayes_causal.inference.engine import Draws, refuse_settings
from bayes_causal.models.base import Collapsible, Model
from bayes_causal.numerics.linear_gaussian import LinearGaussian, draw_sites, log_density
from bayes_causal.numerics.panel_sums import PanelSums
from bayes_causal.numerics.t_mixture import TMixture, at_modes, refitted

CHUNK = 256
PILOT = 4 * CHUNK
GOOD = 0.6
MOST_STEPS = 4
STEP = 1e-3
NEGLIGIBLE = 25.0


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
        if not isinstance(model, Collapsible):
            raise TypeError(f"{model.name} has no collapsed form; use engine 'nuts'")
        with jax.enable_x64(True):
            collapsed = model.collapsed()
            sums = jax.tree.map(jnp.asarray, collapsed.sums)
            t, stats, path, numbers = self._hyperparameters(collapsed, sums, seed)
            keys = jax.random.split(jax.random.PRNGKey(seed + 2), t.shape[0] * t.shape[1])
            draw = jax.jit(jax.vmap(partial(draw_sites, collapsed, sums)))
            drawn = in_chunks(draw, t.reshape(-1, t.shape[-1]), keys)
            sites = {k: v.reshape(*t.shape[:2], *v.shape[1:]) for k, v in drawn.items()}
        return Draws(sites, stats, path, numbers)

    def _hyperparameters(
        self, collapsed: LinearGaussian, sums: PanelSums, seed: int
    ) -> tuple[np.ndarray, dict[str, np.ndarray], str, dict[str, float]]:
        """(chain, draw, n) probits of θ, statistics, the path in words, and its numbers."""
        rng = np.random.default_rng(seed)
        density = partial(in_chunks, jax.jit(jax.vmap(partial(log_density, collapsed, sums))))
        modes, hessians, heights = find_modes(collapsed, sums, self.starts, rng)
        proposal, fraction, refits = self._proposal(density, at_modes(modes, hessians, heights), rng)
        # Where proposals are poor, a chain takes several Metropolis steps a kept draw.
        steps = next(k for k, least in ((1, 0.6), (2, 0.35), (MOST_STEPS, -1.0)) if fraction > least)
        size = _padded(self.chains * self.draws * steps)
        x = proposal.draw(size, rng)
        lp = density(x)
        weights, k_hat, fraction = importance(lp - proposal.log_density(x))
        numbers = {
            "pareto_k": k_hat,
            "efficiency": fraction,
            "importance_ess": fraction * size,
            "refits": refits,
            "modes": len(modes),
        }
        what = f"{collapsed.columns} columns integrated out, {len(collapsed.hypers)} hyperparameters, {len(modes)} mode(s)"
        proof = f"Pareto k {k_hat:.2f}, {fraction:.0%} of {size:,} proposals effective, {refits} refit(s)"
        if k_hat < min(1 - 1 / np.log10(size), 0.7) and fraction > self.min_efficiency:
            log_weight = lp - proposal.log_density(x)
            states, accepted = independence_chains(log_weight, weights, self.chains, self.draws, steps, rng)
            stats = {"lp": lp[states], "acceptance_rate": accepted}
            return x[states], stats, f"importance sampling: {what}; {proof}; {accepted.mean():.0%} accepted", numbers
        t, stats = nuts(lambda z: -log_density(collapsed, sums, z), modes, self, seed)
        return t, stats, f"NUTS on the marginal density: {what}; importance sampling was refused ({proof})", numbers

    def _proposal(
        self, density: Callable[[np.ndarray], np.ndarray], proposal: TMixture, rng: np.random.Generator
    ) -> tuple[TMixture, float, int]:
        """The mixture, re-fitted to weighted draws at most twice where it is not good, its effective fraction, and the refits."""
        best: tuple[TMixture, float, int] = (proposal, 0.0, 0)
        for refits in range(3):
            x = proposal.draw(PILOT, rng)
            weights, _, fraction = importance(density(x) - proposal.log_density(x))
            best = max(best, (proposal, fraction, refits), key=lambda b: b[1])
            if fraction > GOOD:
                break
            proposal = refitted(x, weights, rng)
        return best


def in_chunks(f: Callable[..., Any], *x: Any) -> Any:
    """A vectorised `f` over the rows of x, in chunks of one size, so that any number of rows is the same program."""
    rows = x[0].shape[0]
    padded = [np.concatenate([v, np.repeat(v[:1], -rows % CHUNK, 0)]) for v in map(np.asarray, x)]
    blocks = [jax.device_get(f(*(v[i : i + CHUNK] for v in padded))) for i in range(0, padded[0].shape[0], CHUNK)]
    return jax.tree.map(lambda *b: np.concatenate(b)[:rows], *blocks)


def find_modes(
    collapsed: LinearGaussian, sums: PanelSums, starts: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(m, n) distinct modes, (m, n, n) negative Hessians there, and (m,) log densities, the highest first."""
    n = len(collapsed.hypers)
    # Central differences: the reverse pass of a Cholesky factor costs twenty times as much as 2 n densities side by side.
    moves = STEP * np.vstack([np.zeros((1, n)), np.eye(n), -np.eye(n)])
    negative = jax.jit(jax.vmap(lambda t: -log_density(collapsed, sums, t)))

    def objective(t: np.ndarray) -> tuple[float, np.ndarray]:
        values = np.asarray(negative(t + moves))
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

    shifted = np.where(np.isfinite(log_weight), log_weight - np.max(log_weight), -1e3)
    smoothed, k_hat = array_stats.psislw(-shifted)
    weights = np.exp(smoothed - np.max(smoothed))
    weights /= weights.sum()
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
