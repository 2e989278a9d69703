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
    loadings, scales = [d.sqrt_weight], [named["sigma_unit"] / d.scale]
    if "sigma_slope" in named:
        loadings.append(d.sqrt_weight * d.active)
        scales.append(named["sigma_slope"] / d.scale)
    off = residual(d, {k: v for k, v in named.items() if k != "slope_of_unit"}) / d.scale
    return unit_effects.unit_log_likelihood(off, np.array(loadings), _rho(named), named["sigma"] / d.scale, scales, d.gap)


def predictor(d: PanelDesign, named: Named, alpha: np.ndarray) -> np.ndarray:
    """(S, N) mean under the treatments there are, for (S, U) unit intercepts."""
    mean = untreated_mean(d, named, alpha) + named["coefficient"] @ d.effect.T
    return mean + named["slope_of_unit"][:, d.unit] * d.active if "slope_of_unit" in named else mean


def untreated_mean(d: PanelDesign, named: Named, alpha: np.ndarray) -> np.ndarray:
    """(S, N) mean without effects for (S, U) unit intercepts."""
    mean = alpha[:, d.unit] + named["gamma"][:, d.time]
    return mean + (named["beta"] * d.covariate_scale) @ d.covariates.T if "beta" in named else mean


def expected_alpha(d: PanelDesign, named: Named) -> np.ndarray:
    """(S, U) a + m_i'δ."""
    expected = np.broadcast_to(named["intercept"][:, None], (len(named["intercept"]), d.n_units))
    return expected + named["delta"] @ d.unit_terms.T if "delta" in named else expected


def residual(d: PanelDesign, named: Named) -> np.ndarray:
    """(S, N) √w (y − mean without u_i)."""
    return d.sqrt_weight * (d.center + d.scale * d.y - predictor(d, named, expected_alpha(d, named)))


def draw_alpha(d: PanelDesign, named: Named, rng: np.random.Generator) -> np.ndarray:
    """(S, U) unit intercepts from their exact distribution given everything else, slopes of units included."""
    mean, sd = ar1.unit_effect(residual(d, named), d.sqrt_weight, _rho(named), named["sigma"], named["sigma_unit"], d.gap)
    return expected_alpha(d, named) + mean + sd * rng.standard_normal(mean.shape)


def errors(d: PanelDesign, named: Named, rng: np.random.Generator) -> np.ndarray:
    """(S, N) errors of the rows."""
    return ar1.simulate(_rho(named), named["sigma"], d.gap, rng) / d.sqrt_weight


def blocks(posterior: xr.Dataset, n_rows: int, used: Collection[str] = USED) -> Iterator[dict[str, np.ndarray]]:
    """Named quantities flattened to (S, ...), in blocks of S so that S × rows stays bounded."""
    named = flat(posterior, used)
    size = posterior.sizes["chain"] * posterior.sizes["draw"]
    step = max(1, VALUES // max(n_rows, 1))
    for low in range(0, size, step):
        yield {v: x[low : low + step] for v, x in named.items()}


def flat(posterior: xr.Dataset, used: Collection[str]) -> dict[str, np.ndarray]:
    """Those named quantities that there are, chain and draw merged: (S, ...)."""
    names = [str(v) for v in posterior.data_vars if v in used]
    return {v: posterior[v].transpose("chain", "draw", ...).values.reshape(-1, *posterior[v].shape[2:]) for v in names}


def _rho(named: Named) -> np.ndarray:
    return named["rho"] if "rho" in named else np.zeros_like(named["sigma"])
