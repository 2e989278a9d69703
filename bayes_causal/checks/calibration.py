"""Simulation-based calibration: is the posterior the posterior of this model?

Parameters are drawn from the prior, data from the model given them, and the model is fitted to the data with the centre and
scale of the original: a posterior that is right ranks the true value uniformly among its draws (Talts et al. 2018,
arXiv:1804.06788; Modrák et al. 2023, doi:10.1214/23-BA1404). Everything is simulated and fitted on the standardised scale, in
one vectorised program.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from bayes_causal.checks.base import Check
from bayes_causal.inference import generate
from bayes_causal.inference.many import sample_many, stacked
from bayes_causal.models.base import Natural, Simulates, collapses

DRAWS = 199


def simulate_and_refit(model: Any, *, replicates: int, seed: int, draws: int = DRAWS, thin: int = 5) -> xr.Dataset:
    """Truths, ranks and intervals over replicates.

    Parameters
    ----------
    model : a model with a collapsed form that simulates
        Its design (units, times, treatments, columns) is kept; its outcomes are replaced.
    replicates : int
    draws : int
        Posterior draws a replicate, thinned from a chain `thin` times as long.

    Returns
    -------
    xarray.Dataset
        Dims (quantity, replicate): `truth`, `rank` in 0 … draws (ties broken at random), `mean`, `sd`; `quantile`
        (quantity, replicate, level) at 5, 25, 75, 95 %; `pareto_k`, `trusted` (replicate). Quantities are the scalars the
        model reports.

    Raises
    ------
    TypeError
        The model cannot simulate, or has no collapsed form.
    """
    if not (collapses(model) and isinstance(model, Simulates) and isinstance(model, Natural)):
        raise TypeError("calibration needs a model that simulates and has a collapsed form")
    rng = np.random.default_rng(seed)
    truth = generate.prior_sites(model, replicates, seed)
    outcomes = model.standardised(model.simulate(truth, rng))
    forms = [model.collapsed(y) for y in outcomes]
    drawn = sample_many(forms[0], stacked([f.sums for f in forms]), seed=seed + 1, draws=draws * thin)
    sites = {k: v[:, thin - 1 :: thin] for k, v in drawn.sites.items()}
    posterior, true = model.natural(sites), model.natural(truth)
    names = [k for k, v in posterior.items() if v.ndim == 2 and k != "intercept"]
    x, t = np.stack([posterior[k] for k in names]), np.stack([true[k] for k in names])
    low, ties = (x < t[..., None]).sum(-1), (x == t[..., None]).sum(-1)
    levels = [0.05, 0.25, 0.75, 0.95]
    both = ("quantity", "replicate")
    return xr.Dataset(
        {
            "truth": (both, t),
            "rank": (both, low + rng.integers(0, ties + 1)),
            "mean": (both, x.mean(-1)),
            "sd": (both, x.std(-1, ddof=1)),
            "quantile": ((*both, "level"), np.moveaxis(np.quantile(x, levels, axis=-1), 0, -1)),
            "pareto_k": ("replicate", drawn.k_hat),
            "trusted": ("replicate", drawn.trusted),
        },
        {"quantity": names, "level": levels},
        {"draws": draws},
    )


def calibration(refits: xr.Dataset, *, error_rate: float = 0.01) -> Check:
    """Whether the ranks of every quantity are uniform: Kolmogorov-Smirnov distances, Holm-adjusted over quantities."""
    from scipy.stats import kstest

    kept = refits.isel(replicate=np.flatnonzero(refits["trusted"].values))
    size = refits.attrs["draws"] + 1
    jitter = np.random.default_rng(0).random(kept["rank"].shape)
    uniform = (kept["rank"].values + jitter) / size
    p_values = np.array([kstest(u, "uniform").pvalue for u in uniform])
    adjusted = _holm(p_values)
    covered = (kept["truth"] >= kept["quantile"].sel(level=0.05)) & (kept["truth"] <= kept["quantile"].sel(level=0.95))
    table: list[dict[str, Any]] = [
        {"quantity": str(q), "p_value": float(p), "p_holm": float(a), "coverage_90": float(covered.sel(quantity=q).mean())}
        for q, p, a in zip(kept["quantity"].values, p_values, adjusted, strict=True)
    ]
    numbers = {
        "replicates": kept.sizes["replicate"],
        "left_out": int((~refits["trusted"]).sum()),
        "smallest_p_holm": float(adjusted.min()),
    }
    off = [r["quantity"] for r in table if r["p_holm"] < error_rate]
    if off:
        count = numbers["replicates"]
        text = f"Ranks of {', '.join(off)} are not uniform over {count} replicates: this is not the model's posterior."
        return Check("calibration", False, "blocking", text, numbers, table)
    text = f"Ranks of all {len(table)} quantities are uniform over {numbers['replicates']} replicates."
    return Check("calibration", True, "blocking", text, numbers, table)


def _holm(p: np.ndarray) -> np.ndarray:
    """Holm's adjusted p values."""
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * (p.size - np.arange(p.size)))
    return np.minimum(stepped, 1.0)[np.argsort(order)]
