"""A series without controls, or that does not look at them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bayes_causal.models.series_design import SeriesDesign
from bayes_causal.models.series_regression.regression import Sites, one_model

if TYPE_CHECKING:
    from bayes_causal.numerics.coefficient_priors import CoefficientPrior


@dataclass(frozen=True)
class NoRegression:
    """No controls."""

    names: ClassVar[tuple[str, ...]] = ()
    selection: ClassVar[bool] = False
    no_collapsed_form: ClassVar[None] = None

    def hypers(self) -> tuple[Any, ...]:
        """None."""
        return ()

    def numpyro(self, sigma: Any, d: SeriesDesign) -> Any:
        """Nothing."""
        return 0.0

    def pymc(self, sigma: Any, d: SeriesDesign) -> Any:
        """Nothing."""
        return 0.0

    def sums(self, d: SeriesDesign) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One model."""
        return one_model(d)

    def sweeps(self) -> CoefficientPrior:
        """Nothing to draw."""
        from bayes_causal.numerics.coefficient_priors import SpikeAndSlab

        return SpikeAndSlab(False)

    def coefficients(self, sites: Sites, d: SeriesDesign) -> np.ndarray | None:
        """None."""
        return None

    def named(self, sites: Sites) -> dict[str, np.ndarray]:
        """Nothing."""
        return {}
