"""The predictive distribution of difference-in-differences: outcomes with and without the treatment, row by row.

Functions of a `PanelDesign` (N rows, U units) and of named posterior quantities (S, ...) in natural units: intercept, delta,
gamma, coefficient, beta, sigma, sigma_unit, rho, as `HierarchicalDiD.natural` gives them, and `slope_of_unit` (S, U) where
slopes vary.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import numpy as np
import xarray as xr

from bayes_causal.models.panel_design import PanelDesign
from bayes_causal.numerics import ar1, unit_effects

Named = Mapping[str, np.ndarray]
USED = ("intercept", "delta", "gamma", "coefficient", "beta", "rho", "sigma", "sigma_unit", "sigma_slope")
VALUES = 4_000_000


def simulate(d: PanelDesign, named: Named, rng: np.random.Generator) -> np.ndarray:
    """(S, N) outcomes: the units' own intercepts, drawn where they are not given, and new errors."""
    alpha = named["alpha"] if "alpha" in named else draw_alpha(d, named, rng)
    return predictor(d, named, alpha) + errors(d, named, rng)


def untreated(d: PanelDesign, named: Named, rng: np.random.Generator) -> np.ndarray:
    """(S, N) draws of Y(0): the units' own intercepts given their outcomes, and errors drawn anew."""
    return untreated_mean(d, named, draw_alpha(d, named, rng)) + errors(d, named, rng)


def unit_log_likelihood(d: PanelDesign, named: Named) -> np.ndarray:
    """(S, U) log density of each unit's standardised rows, its own effects integrated out."""
    off = residual(d, {k: v for k, v in named.items() if k != "slope_of_unit"}) / d.scale
    sigma, sigma_unit = named["sigma"] / d.scale, named["sigma_unit"] / d.scale
    if "sigma_slope" not in named:
        return ar1.unit_log_likelihood(off, d.sqrt_weight, _rho(named), sigma, sigma_unit, d.gap)
    loadings, scales = np.stack([d.sqrt_weight, d.sqrt_weight * d.active]), [sigma_unit, named["sigma_slope"] / d.scale]
    return unit_effects.unit_log_likelihood(off, loadings, _rho(named), sigma, scales, d.gap)


def predictor(d: PanelDesign, named: Named, alpha: np.ndarray) -> np.ndarray:
    """(S, N) mean under the treatments there are, for (S, U) unit intercepts."""
    mean = named["coefficient"] @ d.effect.T
    mean += untreated_mean(d, named, alpha)
    return mean + named["slope_of_unit"][:, d.unit] * d.active if "slope_of_unit" in named else mean


def untreated_mean(d: PanelDesign, named: Named, alpha: np.ndarray) -> np.ndarray:
    """(S, N) mean without effects for (S, U) unit intercepts."""
    if d.grid:
        mean = (alpha[:, :, None] + named["gamma"][:, None, :]).reshape(len(alpha), -1)
    else:
        mean = alpha[:, d.unit] + named["gamma"][:, d.time]
    return mean + (named["beta"] * d.covariate_scale) @ d.covariates.T if "beta" in named else mean


def expected_alpha(d: PanelDesign, named: Named) -> np.ndarray:
    """(S, U) a + m_i'δ."""
    expected = np.broadcast_to(named["intercept"][:, None], (len(named["intercept"]), d.n_units))
    return expected + named["delta"] @ d.unit_terms.T if "delta" in named else expected


def residual(d: PanelDesign, named: Named) -> np.ndarray:
    """(S, N) √w (y − mean without u_i)."""
    r = predictor(d, named, expected_alpha(d, named))
    np.subtract(d.center + d.scale * d.y, r, out=r)
    r *= d.sqrt_weight
    return r


def draw_alpha(d: PanelDesign, named: Named, rng: np.random.Generator) -> np.ndarray:
    """(S, U) unit intercepts from their exact distribution given everything else, slopes of units included.

    Of the means over units, where units are kept as such.
    """
    mean, sd = ar1.unit_effect(residual(d, named), d.sqrt_weight, _rho(named), named["sigma"], named["sigma_unit"], d.gap)
    noise = rng.standard_normal(mean.shape) if d.copies is None else rng.standard_normal(mean.shape) / np.sqrt(d.copies)
    return expected_alpha(d, named) + mean + sd * noise


def errors(d: PanelDesign, named: Named, rng: np.random.Generator) -> np.ndarray:
    """(S, N) errors of the rows, or of their means over units."""
    return ar1.simulate(_rho(named), named["sigma"], d.gap, rng) / np.sqrt(d.mass)


def blocks(posterior: xr.Dataset, n_rows: int, used: Collection[str] = USED) -> Iterator[dict[str, np.ndarray]]:
    """Named quantities flattened to (S, ...), in blocks of S so that S × rows stays bounded."""
    named = flat(posterior, used)
    size = posterior.sizes["chain"] * posterior.sizes["draw"]
    step = max(1, VALUES // max(n_rows, 1))
    for low in range(0, size, step):
        yield {v: x[low : low + step] for v, x in named.items()}


def flat(posterior: xr.Dataset, used: Collection[str] = USED) -> dict[str, np.ndarray]:
    """Those named quantities that there are, chain and draw merged: (S, ...)."""
    names = [str(v) for v in posterior.data_vars if v in used]
    return {v: posterior[v].transpose("chain", "draw", ...).values.reshape(-1, *posterior[v].shape[2:]) for v in names}


def _rho(named: Named) -> np.ndarray:
    return named["rho"] if "rho" in named else np.zeros_like(named["sigma"])
