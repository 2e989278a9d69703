"""What a prior of regression coefficients is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from bayes_causal.models.series_design import SeriesDesign

if TYPE_CHECKING:
    from bayes_causal.numerics.coefficient_priors import CoefficientPrior

Sites = Mapping[str, np.ndarray]


class SeriesRegression(Protocol):
    """A prior of the (p,) coefficients β of the candidate columns."""

    @property
    def names(self) -> tuple[str, ...]:
        """Its scale among the hyperparameters, if there is one: a site with a top-level prior."""
        ...

    @property
    def selection(self) -> bool:
        """Whether columns come and go."""
        ...

    @property
    def no_collapsed_form(self) -> str | None:
        """Why β and what its prior holds cannot be integrated out; None where they can."""
        ...

    def hypers(self) -> tuple[Any, ...]:
        """Its scale as a hyperparameter."""
        ...

    def numpyro(self, sigma: Any, d: SeriesDesign) -> Any:
        """What it adds to the mean of the rows of the span, in NumPyro."""
        ...

    def pymc(self, sigma: Any, d: SeriesDesign) -> Any:
        """What it adds to the mean of the rows of the span, in PyMC."""
        ...

    def sums(self, d: SeriesDesign) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What the forms take of it.

        Returns
        -------
        slab : (p, p) precision of β in units of 1/σ², the unit matrix where its scale is not known
        log_prior : (G,) log p(γ) + ½ log |slab_γγ| of the sub-models that are summed over, or one 0
        log_odds : (p,) of the prior probability that a column is in, 0 without selection
        """
        ...

    def sweeps(self) -> CoefficientPrior:
        """Its part in a sweep."""
        ...

    def coefficients(self, sites: Sites, d: SeriesDesign) -> np.ndarray | None:
        """(..., p) β, 0 where a column is left out; None without controls."""
        ...

    def named(self, sites: Sites) -> dict[str, np.ndarray]:
        """What is reported of it besides β: (..., p) where it is of each column."""
        ...


def one_model(d: SeriesDesign) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`SeriesRegression.sums` where every column is in and the scales of β are hyperparameters, or drawn."""
    p = d.candidates.shape[1]
    return np.eye(p), np.zeros(1), np.zeros(p)
