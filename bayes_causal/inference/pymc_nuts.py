"""NUTS on the PyMC twin, with the sampler of the user's choice. The one file that reads PyMC's results, as arrays."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from bayes_causal.errors import closest, needs_extra
from bayes_causal.inference.engine import Draws, refuse_settings, refuse_without_rows
from bayes_causal.models.base import Model

SAMPLERS = {"pymc": "pymc", "nutpie": "nutpie", "numpyro": "pymc_numpyro"}
STATS = {
    "diverging": "diverging",
    "energy": "energy",
    "n_steps": "n_steps",
    "tree_depth": "tree_depth",
    "depth": "tree_depth",
    "acceptance_rate": "acceptance_rate",
    "mean_tree_accept": "acceptance_rate",
    "step_size": "step_size",
    "lp": "lp",
    "logp": "lp",
}


@dataclass(frozen=True)
class PymcNuts:
    """NUTS on the PyMC twin.

    Parameters
    ----------
    draws, warmup, chains : int
        Kept draws and tuning steps a chain, and chains.
    sampler : {"pymc", "nutpie", "numpyro"}
    target_accept : float
    progress : bool, optional
        A progress bar; None shows it on a terminal.
    """

    draws: int = 1000
    warmup: int = 1000
    chains: int = 4
    sampler: Literal["pymc", "nutpie", "numpyro"] = "pymc"
    target_accept: float = 0.9
    progress: bool | None = None

    kind: ClassVar[str] = "pymc"

    def __post_init__(self) -> None:
        refuse_settings(draws=self.draws, warmup=self.warmup, chains=self.chains)
        if self.sampler not in SAMPLERS:
            raise ValueError(f"sampler '{self.sampler}' does not exist{closest(self.sampler, SAMPLERS)}")

    @property
    def name(self) -> str:
        """Name used in study files and manifests."""
        return SAMPLERS[self.sampler]

    def settings(self) -> dict[str, Any]:
        """The settings, as JSON can write them."""
        return asdict(self)

    def sample(self, model: Model, *, seed: int) -> Draws:
        """Draws of every free variable of the PyMC twin."""
        refuse_without_rows(model, self.name)
        try:
            import pymc as pm
        except ImportError as e:
            raise needs_extra("pymc") from e
        progress = sys.stderr.isatty() if self.progress is None else self.progress
        with model.pymc_model() as twin, _float64():
            result = pm.sample(
                draws=self.draws,
                tune=self.warmup,
                chains=self.chains,
                cores=1 if self.sampler == "numpyro" else None,
                nuts_sampler=self.sampler,
                target_accept=self.target_accept,
                random_seed=seed,
                progressbar=progress,
                compute_convergence_checks=False,
                **({"nuts_sampler_kwargs": {"chain_method": "vectorized"}} if self.sampler == "numpyro" else {}),
            )
            free = [v.name for v in twin.free_RVs]
        posterior, stats = result["posterior"], result["sample_stats"]
        sites = {k: np.asarray(posterior[k].values) for k in free}
        kept = {STATS[k]: np.asarray(stats[k].values) for k in stats.data_vars if k in STATS}
        return Draws(sites, kept, f"NUTS on the full PyMC twin by {self.sampler}, {self.chains} chains")


@contextmanager
def _float64() -> Iterator[None]:
    """JAX in float64 for the time of PyMC's NumPyro sampler, and the process-wide flag put back after it.

    PyTensor switches the flag on when its JAX backend is first imported, and never again.
    """
    import jax

    before = jax.config.read("jax_enable_x64")
    jax.config.update("jax_enable_x64", True)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)
