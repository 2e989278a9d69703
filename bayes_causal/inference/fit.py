"""fit: a model, an engine and a seed to a DataTree."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from bayes_causal.inference import generate
from bayes_causal.inference.blocked_gibbs import BlockedGibbs
from bayes_causal.inference.collapsed import Collapsed
from bayes_causal.inference.engine import Engine
from bayes_causal.inference.numpyro_nuts import CAREFUL, NumpyroNuts
from bayes_causal.inference.tree import assemble
from bayes_causal.models.base import Approximated, Model, collapses, prefers_gibbs

PRIOR_DRAWS = 1000
LIKELIHOOD_DRAWS = 1000
PROVED = (
    "coefficients are integrated out by a Laplace approximation, every draw weighted to the exact posterior; NUTS on the full "
    "twin where Pareto k refuses that"
)


@dataclass(frozen=True)
class Auto:
    """Leave the choice of engine to `fit`, with these counts.

    Parameters
    ----------
    draws, warmup, chains : int
    progress : bool, optional
        A progress bar where the engine has one; None shows it on a terminal.
    """

    draws: int = 1000
    warmup: int = 1000
    chains: int = 4
    progress: bool | None = None

    def choose(self, model: Model) -> tuple[Engine, str]:
        """The engine for a model, and why."""
        counts: dict[str, Any] = {"draws": self.draws, "warmup": self.warmup, "chains": self.chains}
        if why := prefers_gibbs(model):
            return BlockedGibbs(**counts, progress=self.progress), f"exact conditional draws, block by block: {why}"
        if collapses(model):
            return Collapsed(**counts), "the model has a collapsed form: all but its few scales is integrated out exactly"
        if isinstance(model, Approximated):
            why = getattr(model, "no_collapsed_form", None)
            return Collapsed(**counts), f"{why}: {PROVED}" if why else PROVED
        nuts = NumpyroNuts(**counts, progress=self.progress)
        if why := getattr(model, "no_collapsed_form", None):
            nuts = replace(nuts, target_accept=CAREFUL)
            return nuts, f"NUTS on the full twin: {why}"
        return nuts, "NUTS on the NumPyro twin: the default for a model without a collapsed form"


def fit(model: Model, engine: Engine | Auto | None = None, *, seed: int) -> xr.DataTree:
    """The posterior of a model, with everything the checks and the report need.

    Parameters
    ----------
    model : Model
        Any object with the model protocol.
    engine : Engine or Auto, optional
        What samples; left out, the choice is made from the model, and its reason is written into the tree.
    seed : int
        The same seed gives the same draws.

    Returns
    -------
    xarray.DataTree
        Groups posterior (units of the outcome), sample_stats, posterior_predictive, log_likelihood, log_prior, prior,
        prior_predictive, observed_data, constant_data. `bayes_causal.inference.tree.info` reads its root attributes.
    """
    engine = engine or Auto()
    engine, reason = engine.choose(model) if isinstance(engine, Auto) else (engine, "asked for")
    seconds: dict[str, float] = {}
    with _timed(seconds, "sampling"):
        draws = engine.sample(model, seed=seed)
    with _timed(seconds, "generating"):
        prior = generate.prior_sites(model, PRIOR_DRAWS, seed)
        kept = generate.thin(draws.sites, max(1, LIKELIHOOD_DRAWS // shape_of(draws.sites)[0]))
        pointwise = generate.log_likelihood(model, generate.flat(kept))
        log_prior = generate.log_prior(model, generate.flat(kept))
        predicted = generate.replicates(model, generate.flat(draws.sites), generate.REPLICATES, seed)
        prior_predicted = generate.replicates(model, prior, generate.REPLICATES // 2, seed + 1)
    path = {
        "name": engine.name,
        "reason": reason,
        "path": draws.path,
        "numbers": dict(draws.numbers),
        "settings": engine.settings(),
    }
    return assemble(
        model,
        draws.sites,
        draws.stats,
        prior=prior,
        pointwise=pointwise,
        log_prior=log_prior,
        kept=shape_of(kept),
        predicted=predicted,
        prior_predicted=prior_predicted,
        record={"engine": path, "seed": seed, "seconds": seconds},
    )


def shape_of(sites: Mapping[str, np.ndarray]) -> tuple[int, int]:
    """(chains, draws a chain) of sites (chain, draw, ...)."""
    chains, draws = next(iter(sites.values())).shape[:2]
    return chains, draws


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[stage] = round(time.perf_counter() - start, 3)
