"""Which components a structural time series has, and their priors under the set of priors chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayes_causal.models.series_parts import Dynamic, LocalLevel, LocalLinearTrend, Seasonal, SemilocalTrend, SeriesPart
from bayes_causal.models.series_scales import Persistence, Scale

if TYPE_CHECKING:
    from bayes_causal.models.structural_time_series import StructuralTimeSeries

NO_LIMIT = 1e6  # times the guess of an sd worth one observation: a probability of 1e-6 lies above


def parts(model: StructuralTimeSeries) -> tuple[SeriesPart, ...]:
    """The components, the level first."""
    found = [_level(model)]
    for period, duration in model.seasonal:
        name = f"seasonal_{period}" + (f"x{duration}" if duration > 1 else "")
        scale = _scale(model, name, model.priors.seasonal_ratio, 0.01)
        found.append(Seasonal(scale, period, duration, _first(model, model.priors.first_season)))
    return (*found, _dynamic(model)) if model.dynamic else tuple(found)


def _level(model: StructuralTimeSeries) -> SeriesPart:
    p = model.priors
    first, slope_first = _first(model, p.first_level), _first(model, p.first_slope)
    if model.level == "semilocal":
        scales = _scale(model, "level", p.level_ratio, 0.01), _scale(model, "trend", p.trend_ratio, 0.01)
        phi = Persistence("slope_ar", _first(model, p.slope_ar))
        return SemilocalTrend(*scales, phi, first, slope_first, _first(model, p.slope_mean))
    scale = _scale(model, "level", p.level_ratio, 32.0)
    if model.level == "local_level":
        return LocalLevel(scale, first)
    return LocalLinearTrend(scale, _scale(model, "trend", p.trend_ratio, 0.01), first, slope_first)


def _dynamic(model: StructuralTimeSeries) -> Dynamic:
    """Coefficients that wander beside constant ones; or as in R, its sds without upper limit cut off at `NO_LIMIT`.

    R's CausalImpact leaves the constant regression out, starts each coefficient at N(0, 1) and guesses its sd at
    .01 sd(y)/sd(x), worth one observation (`ConstructModel`, and bsts's `DynamicRegressionRandomWalkOptions`).
    """
    from bayes_causal.numerics.sd_prior import SdPrior

    d = model.design
    if model.prior_set == "calibrated":
        scale = Scale("dynamic_ratio", float(model.priors.dynamic_ratio))
        return Dynamic((scale,), d.controls, d.control_scale, np.zeros(d.controls.shape[1]))
    # Over the sd of its control, a coefficient's prior is the same for all, and one program serves all series.
    sd = d.controls[model.series.pre | model.series.post].std(0, ddof=1)
    scales = (Scale(f"sigma_dynamic_{k}", SdPrior(0.01, 1.0, 0.01 * NO_LIMIT)) for k in range(1, sd.size + 1))
    return Dynamic(tuple(scales), d.controls / sd, d.control_scale * sd, sd)


def _scale(model: StructuralTimeSeries, name: str, ratio: float, df: float) -> Scale:
    """The sd of a component's innovations."""
    from bayes_causal.numerics.sd_prior import SdPrior

    if model.prior_set == "calibrated":
        return Scale(f"{name}_ratio", float(ratio))
    guess = model.priors.level_sd if name == "level" else 0.01
    return Scale(f"sigma_{name}", SdPrior(float(guess), df, 1.0))


def _first(model: StructuralTimeSeries, sd: float) -> float:
    """The sd of an initial state, and of other normals: R's is that of the outcome."""
    return 1.0 if model.prior_set == "causalimpact" else float(sd)
