"""NUTS on the NumPyro twin, in float64."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from bayes_causal.inference.engine import Draws, refuse_settings
from bayes_causal.models.base import Model

STATS = {
    "diverging": "diverging",
    "energy": "energy",
    "num_steps": "n_steps",
    "accept_prob": "acceptance_rate",
    "adapt_state.step_size": "step_size",
    "potential_energy": "lp",
}


@dataclass(frozen=True)
class NumpyroNuts:
    """NUTS (Hoffman & Gelman 2014) by NumPyro.

    Parameters
    ----------
    draws, warmup, chains : int
        Kept draws and warm-up steps a chain, and chains.
    target_accept : float
    max_tree_depth : int
    chain_method : {"sequential", "vectorized"}
        Vectorised chains wait for the deepest tree of all: sequential is faster on a CPU.
    progress : bool, optional
        A progress bar on stderr; None shows it on a terminal.
    """

    draws: int = 1000
    warmup: int = 1000
    chains: int = 4
    target_accept: float = 0.9
    max_tree_depth: int = 10
    chain_method: Literal["sequential", "vectorized"] = "sequential"
    progress: bool | None = None

    name: ClassVar[str] = "nuts"

    def __post_init__(self) -> None:
        refuse_settings(draws=self.draws, warmup=self.warmup, chains=self.chains, max_tree_depth=self.max_tree_depth)

    def settings(self) -> dict[str, Any]:
        """The settings, as JSON can write them."""
        return asdict(self)

    def sample(self, model: Model, *, seed: int) -> Draws:
        """Draws of every latent site of the NumPyro twin.

        Raises
        ------
        TypeError
            The twin has discrete sites.
        """
        import jax
        from numpyro.infer import MCMC, NUTS, init_to_median

        if discrete := discrete_sites(model):
            raise TypeError(
                f"{model.name} has discrete sites ({', '.join(discrete)}), which NUTS cannot move: use engine 'collapsed', which "
                "sums over their values, or engine 'pymc', which samples them by steps of their own"
            )

        progress = sys.stderr.isatty() if self.progress is None else self.progress
        with jax.enable_x64(True):
            kernel = NUTS(
                model.numpyro_model,
                target_accept_prob=self.target_accept,
                max_tree_depth=self.max_tree_depth,
                init_strategy=init_to_median(num_samples=10),
            )
            mcmc = MCMC(
                kernel,
                num_warmup=self.warmup,
                num_samples=self.draws,
                num_chains=self.chains,
                chain_method=self.chain_method,
                progress_bar=progress,
            )
            mcmc.run(jax.random.PRNGKey(seed), extra_fields=tuple(STATS))
            sites = {k: np.asarray(v) for k, v in mcmc.get_samples(group_by_chain=True).items()}
            stats = tidy(mcmc)
        return Draws(sites, stats, f"NUTS on the full NumPyro twin, {self.chains} chains {self.chain_method}")


def discrete_sites(model: Model) -> list[str]:
    """Latent sites of the NumPyro twin with discrete values, found without running it."""
    import jax
    from numpyro.handlers import seed, trace

    found: list[str] = []

    def collect() -> None:
        sites = trace(seed(model.numpyro_model, 0)).get_trace()
        found.extend(k for k, s in sites.items() if s["type"] == "sample" and not s["is_observed"] and s["fn"].is_discrete)

    with jax.enable_x64(True):
        jax.eval_shape(collect)
    return found


def tidy(mcmc: Any) -> dict[str, np.ndarray]:
    """(chain, draw) sampler statistics of a finished NumPyro run, under ArviZ's names."""
    stats = {STATS[k]: np.asarray(v) for k, v in mcmc.get_extra_fields(group_by_chain=True).items()}
    stats["lp"] = -stats["lp"]
    return stats | {"tree_depth": np.ceil(np.log2(stats["n_steps"] + 1)).astype(int)}
