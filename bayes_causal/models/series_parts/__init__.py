"""Components of a structural time series, one a file.

Each component is the same parts: its states and their transition for the filter, what it adds to the outcome in NumPyro and in
PyMC, and its path over more rows than it was fitted to. Adding a component is adding a file and its line in
`StructuralTimeSeries.parts`.
"""

from __future__ import annotations

from bayes_causal.models.series_parts.dynamic import Dynamic
from bayes_causal.models.series_parts.local_level import LocalLevel
from bayes_causal.models.series_parts.local_linear_trend import LocalLinearTrend
from bayes_causal.models.series_parts.part import SeriesPart
from bayes_causal.models.series_parts.seasonal import Seasonal
from bayes_causal.models.series_parts.semilocal import SemilocalTrend

__all__ = ["Dynamic", "LocalLevel", "LocalLinearTrend", "Seasonal", "SemilocalTrend", "SeriesPart"]
