"""The predictive distribution of difference-in-differences: outcomes with and without the treatment, row by row.

Functions of a `PanelDesign` (N rows, U units) and of named posterior quantities (S, ...) in natural units: intercept, delta,
gamma, coefficient, beta, sigma, sigma_unit, rho, as `HierarchicalDiD.natural` gives them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import xarray as xr

from bayes_causal.models.panel_design import PanelDesign
from bayes_causal.numerics import ar1

Named = Mapping[str, np.ndarray]
USED = ("intercept", "delta", "gamma", "coefficient", "beta", "rho", "sigma", "sigma_unit")
VALUES = 4_000_000


def simulate(d: PanelDesign, named: Named, rng: np.random.Generator) -> np.ndarray:
    """(S, N) outcomes: the units' own intercepts, drawn where they are not given, and new errors."""
    alpha = named["alpha"] if "alpha" in named else draw_alpha(d, named, rng)
    return untreated_mean(d, named, alpha) + named["coefficient"] @ d.effect.T + errors(d, named, rng)


def untreated(d: PanelDesign, named: Named, rng: np.random.Generator) -> np.ndarray:
    """(S, N) draws of Y(0): the units' own intercepts given their outcomes, and errors drawn anew."""
    return untreated_mean(d, named, draw_alpha(d, named, rng)) + errors(d, named, rng)


def unit_log_likelihood(d: PanelDesign, named: Named) -> np.ndarray:
    """(S, U) log density of each unit's standardised rows, u_i integrated out."""
    sigma, sigma_unit = named["sigma"] / d.scale, named["sigma_unit"] / d.scale
    return ar1.unit_log_likelihood(residual(d, named) / d.scale, d.sqrt_weight, _rho(named), sigma, sigma_unit, d.gap)


def untreated_mean(d: PanelDesign, named: Named, alpha: np.ndarray) -> np.ndarray:
    """(S, N) mean without effects for (S, U) unit intercepts."""
    mean = alpha[:, d.unit] + named["gamma"][:, d.time]
    return mean + (named["beta"] * d.covariate_scale) @ d.covariates.T if "beta" in named else mean


def expected_alpha(d: PanelDesign, named: Named) -> np.ndarray:
    """(S, U) a + m_i'δ."""
    expected = np.broadcast_to(named["intercept"][:, None], (len(named["sigma"]), d.n_units))
    return expected + named["delta"] @ d.unit_terms.T if "delta" in named else expected


def residual(d: PanelDesign, named: Named) -> np.ndarray:
    """(S, N) √w (y − mean without u_i)."""
    mean = untreated_mean(d, named, expected_alpha(d, named)) + named["coefficient"] @ d.effect.T
    return d.sqrt_weight * (d.center + d.scale * d.y - mean)


def draw_alpha(d: PanelDesign, named: Named, rng: np.random.Generator) -> np.ndarray:
    """(S, U) unit intercepts from their exact distribution given everything else, or their means over the units kept as one."""
    mean, sd = ar1.unit_effect(residual(d, named), d.sqrt_weight, _rho(named), named["sigma"], named["sigma_unit"], d.gap)
    noise = rng.standard_normal(mean.shape) if d.copies is None else rng.standard_normal(mean.shape) / np.sqrt(d.copies)
    return expected_alpha(d, named) + mean + sd * noise


def errors(d: PanelDesign, named: Named, rng: np.random.Generator) -> np.ndarray:
    """(S, N) errors of the rows, or of their means over units."""
    return ar1.simulate(_rho(named), named["sigma"], d.gap, rng) / np.sqrt(d.mass)


def blocks(posterior: xr.Dataset, n_rows: int) -> Iterator[dict[str, np.ndarray]]:
    """Named quantities flattened to (S, ...), in blocks of S so that S × rows stays bounded."""
    names = [v for v in USED if v in posterior]
    flat = {v: posterior[v].transpose("chain", "draw", ...).values.reshape(-1, *posterior[v].shape[2:]) for v in names}
    step = max(1, VALUES // max(n_rows, 1))
    for low in range(0, flat["sigma"].shape[0], step):
        yield {v: x[low : low + step] for v, x in flat.items()}


def _rho(named: Named) -> np.ndarray:
    return named["rho"] if "rho" in named else np.zeros_like(named["sigma"])
