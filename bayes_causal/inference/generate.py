"""What a model and its draws imply: prior draws, log prior, pointwise likelihood, replicated data.

Works for any model with twins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from bayes_causal.models.base import Model, PointwiseLikelihood, Simulates, TopLevel, rows_missing

VALUES = 4_000_000
REPLICATES = 200
KEPT_VALUES = 1_500_000


def thin(sites: Mapping[str, np.ndarray], draws: int) -> dict[str, np.ndarray]:
    """The last of every k-th draw, so that at most `draws` a chain are left, evenly spaced."""
    have = next(iter(sites.values())).shape[1]
    keep = np.unique(np.linspace(have - 1, 0, min(draws, have)).round().astype(int))
    return {k: v[:, keep] for k, v in sites.items()}


def flat(sites: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Sites with chain and draw merged into one leading axis."""
    return {k: v.reshape(-1, *v.shape[2:]) for k, v in sites.items()}


def prior_sites(model: Model, n: int, seed: int) -> dict[str, np.ndarray]:
    """(n, ...) draws of every latent site from the prior of the NumPyro twin."""
    import jax
    from numpyro.handlers import seed as seeded
    from numpyro.handlers import trace

    from bayes_causal.numerics.jitted import jitted_once

    def draw(key: jax.Array) -> dict[str, jax.Array]:
        sites = trace(seeded(model.numpyro_model, key)).get_trace()
        return {k: s["value"] for k, s in sites.items() if s["type"] == "sample" and not s["is_observed"]}

    with jax.enable_x64(True):
        drawn = jitted_once(jax.vmap(draw))(jax.random.split(jax.random.PRNGKey(seed), n))
        return {k: np.asarray(v) for k, v in drawn.items()}


def replicates(model: Model, sites: Mapping[str, np.ndarray], n: int, seed: int) -> np.ndarray | None:
    """(at most n, *observed dims) outcomes in natural units drawn from flat sites.

    None for a model without a single outcome `y`, and where rows are not in memory.
    """
    if rows_missing(model):
        return None
    have = next(iter(sites.values())).shape[0]
    pick = np.unique(np.linspace(0, have - 1, min(n, have)).round().astype(int))
    chosen = {k: v[pick] for k, v in sites.items()}
    if isinstance(model, Simulates):
        most = max(20, KEPT_VALUES // max(model.observed().size, 1))
        return model.simulate({k: v[:most] for k, v in chosen.items()}, np.random.default_rng(seed))
    import jax
    from numpyro.handlers import uncondition
    from numpyro.infer import Predictive

    with jax.enable_x64(True):
        drawn = Predictive(uncondition(model.numpyro_model), posterior_samples=chosen)(jax.random.PRNGKey(seed))
    return np.asarray(drawn["y"]) if "y" in drawn else None


def log_likelihood(model: Model, sites: Mapping[str, np.ndarray]) -> xr.DataArray | None:
    """(sample, piece) log likelihood from flat sites; None for a model without a single outcome `y`."""
    n = next(iter(sites.values())).shape[0]
    if isinstance(model, PointwiseLikelihood):
        rows = model.observed().size if isinstance(model, Simulates) and not rows_missing(model) else 1
        step = max(1, VALUES // rows)
        blocks = [model.log_likelihood({k: v[i : i + step] for k, v in sites.items()}) for i in range(0, n, step)]
        return xr.concat(blocks, "sample")
    import jax
    from numpyro.infer import log_likelihood as pointwise

    with jax.enable_x64(True):
        values = pointwise(model.numpyro_model, dict(sites))
    if "y" not in values:
        return None
    y = np.asarray(values["y"])
    return xr.DataArray(y.reshape(n, -1), dims=("sample", "piece"), name="y")


def log_prior(model: Model, sites: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """(sample,) log prior density of each top-level site, constrained values, no Jacobian."""
    import jax
    import jax.numpy as jnp
    from numpyro.handlers import seed, substitute, trace

    from bayes_causal.numerics.jitted import jitted_once

    wanted = model.top_level() if isinstance(model, TopLevel) else tuple(sites)
    names = [k for k in wanted if k in sites]

    def densities(values: dict[str, jax.Array]) -> dict[str, jax.Array]:
        run = trace(substitute(seed(model.numpyro_model, 0), data=values)).get_trace()
        return {k: jnp.sum(run[k]["fn"].log_prob(run[k]["value"])) for k in names}

    with jax.enable_x64(True):
        values = {k: jnp.asarray(v) for k, v in sites.items()}
        result = jitted_once(lambda x: jax.lax.map(densities, x, batch_size=64))(values)
        return {k: np.asarray(v) for k, v in result.items()}


def latent_sites(program: Callable[[], Any]) -> dict[str, int]:
    """Names and sizes of the sites that are not observed, found by tracing the program without running it."""
    import jax
    from numpyro.handlers import seed, trace

    found: dict[str, int] = {}

    def collect() -> None:
        sites = trace(seed(program, 0)).get_trace()
        found.update({k: s["value"].size for k, s in sites.items() if s["type"] == "sample" and not s["is_observed"]})

    jax.eval_shape(collect)
    return found
