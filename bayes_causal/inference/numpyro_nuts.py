"""NUTS on the NumPyro twin, in float64."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np

from bayes_causal.inference.engine import Draws, refuse_settings, refuse_without_rows
from bayes_causal.inference.generate import latent_sites
from bayes_causal.models.base import Guides, Model, prefers_gibbs

CAREFUL = 0.99
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
        from numpyro.infer import MCMC, NUTS

        from bayes_causal.inference.centring import PartlyCentred, dense_sites

        refuse_without_rows(model, self.name)
        if discrete := discrete_sites(model):
            way = "'gibbs', which draws them" if prefers_gibbs(model) else "'collapsed', which sums over their values"
            raise TypeError(
                f"{model.name} has discrete sites ({', '.join(discrete)}), which NUTS cannot move: use engine {way}, or engine "
                "'pymc', which samples them by steps of their own"
            )

        progress = sys.stderr.isatty() if self.progress is None else self.progress
        centring, start = (model.centring(), model.start()) if isinstance(model, Guides) else ({}, {})
        with jax.enable_x64(True):
            program = PartlyCentred(model.numpyro_model, centring) if centring else model.numpyro_model
            kernel = NUTS(
                program,
                target_accept_prob=self.target_accept,
                max_tree_depth=self.max_tree_depth,
                init_strategy=start_at(start),
                dense_mass=[dense_sites(program)] if centring else False,
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
            drawn, latent = mcmc.get_samples(group_by_chain=True), set(latent_sites(model.numpyro_model))
            sites = {k: np.asarray(v) for k, v in drawn.items() if k in latent}
            stats = tidy(mcmc)
        return Draws(sites, stats, f"NUTS on the full NumPyro twin, {self.chains} chains {self.chain_method}")


def start_at(values: Mapping[str, np.ndarray]) -> partial[Any]:
    """A NumPyro initialisation: the given sites at their values, the others at the median of ten prior draws."""
    return partial(_at_value_or_median, values=values)


def _at_value_or_median(site: dict[str, Any], values: Mapping[str, np.ndarray]) -> Any:
    from numpyro.infer import init_to_median

    latent = site["type"] == "sample" and not site["is_observed"]
    return np.asarray(values[site["name"]]) if latent and site["name"] in values else init_to_median(site, num_samples=10)


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
