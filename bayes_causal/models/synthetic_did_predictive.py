"""What synthetic difference-in-differences expects without the treatment, and the noise of the contrast. NumPy throughout.

Leading dims of sites are whatever they are; the last is time.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bayes_causal.models.donor_design import DonorDesign
from bayes_causal.models.series_errors import carried

Sites = Mapping[str, np.ndarray]


def expected(d: DonorDesign, sites: Sites) -> np.ndarray:
    """(..., T) the weighted donors, moved by their gap in the weighted periods, standardised; NaN in rows without an outcome."""
    donors = sites["weight"] @ d.x.T
    return np.asarray(donors + in_weighted_periods(d, sites, d.y - donors))


def counterfactual(d: DonorDesign, sites: Sites, rng: np.random.Generator) -> np.ndarray:
    """(..., O) the outcome without treatment in rows with an outcome, natural units, noise of the contrast and all.

    At each date the noise is that of the gap there less the gap in the weighted periods, errors drawn anew throughout; so are
    dates before, which are set against the weighted ones in the same way.
    """
    mean = expected(d, sites)
    rho = sites["rho"] if "rho" in sites else np.zeros_like(sites["sigma"])
    error = carried(sites["sigma"][..., None] * rng.standard_normal(mean.shape), None, rho, d)
    outcome = mean + error - in_weighted_periods(d, sites, error)
    return np.asarray(d.center + d.scale * outcome[..., d.seen])


def in_weighted_periods(d: DonorDesign, sites: Sites, x: np.ndarray) -> np.ndarray:
    """(..., 1) average of (..., T) numbers over the periods before, weighted; weights may be followed by blanks."""
    weight, rows = sites["time_weight"], d.fitted_rows
    return np.asarray((weight[..., : rows.size] * x[..., rows]).sum(-1, keepdims=True))
