"""Regressions of a series on its controls, one prior a file.

Each is the same parts: its scale among the hyperparameters, what it adds to the outcome in NumPyro and in PyMC, what the
collapsed form and the sweeps take of it, and β with what is reported beside it. Adding a prior is adding a file, its part in a
sweep (`numerics.coefficient_priors`), and its line in `StructuralTimeSeries.regression_prior`.
"""

from __future__ import annotations

from bayes_causal.models.series_regression.horseshoe import Horseshoe
from bayes_causal.models.series_regression.no_regression import NoRegression
from bayes_causal.models.series_regression.regression import SeriesRegression
from bayes_causal.models.series_regression.ridge import Ridge
from bayes_causal.models.series_regression.spike_slab import SpikeSlab

__all__ = ["Horseshoe", "NoRegression", "Ridge", "SeriesRegression", "SpikeSlab"]
