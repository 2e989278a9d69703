"""Do units that a model takes for independent move together?"""

from __future__ import annotations

import numpy as np
import xarray as xr

from bayes_causal.checks.base import Check
from bayes_causal.models.base import Model
from bayes_causal.models.kinds import OwnCourses

SMALL = 0.01


def common_shocks(model: Model, tree: xr.DataTree) -> Check:
    """Whether the one-step errors of units average out within periods, as those of independent units do.

    The sum over periods of n_t times the squared mean error of its n_t units is χ² with as many degrees of freedom as there are
    periods of two units or more, against the alternative of Pesaran 2015 (doi:10.1080/07474938.2014.956623): shocks that units
    have in common. They make the interval of an average too narrow, and at a common date pass for an effect.
    """
    from scipy.stats import chi2

    if not isinstance(model, OwnCourses):
        return Check("common_shocks", None, "info", "Does not apply: units are not taken to move independently here.")
    errors = model.innovations(tree["posterior"].to_dataset()).values
    count = np.isfinite(errors).sum(0)
    used = count > 1
    if not used.any():
        return Check("common_shocks", None, "warning", "Does not apply: no period has the outcomes of two units.")
    total = np.where(np.isfinite(errors), errors, 0.0).sum(0)[used]
    squares = total**2 / count[used]
    ratio, p_value = float(squares.mean()), float(chi2.sf(squares.sum(), used.sum()))
    numbers = {"variance_ratio": ratio, "p_value": p_value, "periods": int(used.sum()), "units": len(errors)}
    said = f"The variance of a period's mean error is {ratio:.2f} times that of independent units (p {p_value:.2g})"
    if p_value >= SMALL:
        return Check("common_shocks", True, "warning", f"{said}: no sign of shocks that units have in common.", numbers)
    text = (
        f"{said}: units move together, so intervals of averages are too narrow, and a shock at a common date would pass for an "
        "effect. Put a series that carries the shocks among the covariates, or use model 'hierarchical_did', which has period "
        "effects."
    )
    return Check("common_shocks", False, "warning", text, numbers)
