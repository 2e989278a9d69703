"""What a model is: data and priors that can say themselves twice.

Any object with the methods of `Model` runs through every engine and every check. The other protocols are abilities a model may
have beyond that; code asks for them with `isinstance`, never for a model's name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard, runtime_checkable

import numpy as np
import xarray as xr

from bayes_causal.estimates import Estimand

if TYPE_CHECKING:
    from bayes_causal.models.forms import ApproximateForm, CollapsedForm, GibbsForm, Parts


@dataclass(frozen=True)
class Assumption:
    """What must be true for the answer to be causal, in words, and the checks that bear on it."""

    name: str
    sentence: str
    checks: tuple[str, ...] = ()


@runtime_checkable
class Model(Protocol):
    """The least a model must offer."""

    @property
    def name(self) -> str:
        """Name used in study files and result rows."""
        ...

    def coords(self) -> Mapping[str, Sequence[Any]]:
        """Labels of every dimension the twins and the posterior use."""
        ...

    def dims(self) -> Mapping[str, tuple[str, ...]]:
        """Dims, without chain and draw, of every variable that has any: twin sites and reported quantities alike."""
        ...

    def numpyro_model(self) -> None:
        """The model as a NumPyro program, standardised data inside."""
        ...

    def pymc_model(self) -> Any:
        """The same model as a `pymc.Model`, the same site names inside."""
        ...

    def effect(self, posterior: xr.Dataset, estimand: Estimand) -> xr.DataArray:
        """Draws of an estimand, dims (chain, draw[, by]), in units of the outcome; EstimandError where it does not exist."""
        ...


@runtime_checkable
class FromTotal(Protocol):
    """A model whose overall answers hang on one number a draw: where its form draws that alone, no paths are needed."""

    def answers(self, totals: np.ndarray, estimand: Estimand) -> np.ndarray:
        """Draws of an overall estimand from draws of the number, any shape; EstimandError where it does not exist."""
        ...


@runtime_checkable
class Collapsible(Protocol):
    """A model part of which can be integrated out exactly.

    Where that hangs on a model's options it has a property `no_collapsed_form`, the reason why not, or None: see `collapses`.
    """

    def collapsed(self, outcome: np.ndarray | None = None) -> CollapsedForm:
        """What is left to sample, as `numerics` integrates out the rest; for another standardised outcome, if given."""
        ...


@runtime_checkable
class Approximated(Protocol):
    """A model part of which can be integrated out approximately, so that weights can correct it.

    An engine asks `collapses` first: what can be integrated out exactly is.
    """

    def approximated(self) -> ApproximateForm | Parts:
        """What is left to sample, or several such forms that share nothing."""
        ...


def collapses(model: Model) -> TypeGuard[CollapsibleModel]:
    """Whether part of a model, with the options it has, can be integrated out exactly."""
    return isinstance(model, Collapsible) and getattr(model, "no_collapsed_form", None) is None


@runtime_checkable
class Sweepable(Protocol):
    """A model that can be sampled block by block.

    Where that hangs on a model's options it has a property `no_gibbs_form`, the reason why not, or None; where it is the better
    way, `prefers_gibbs` says why, and is None elsewhere.
    """

    def gibbs(self, outcome: np.ndarray | None = None) -> GibbsForm:
        """The blocks; for another standardised outcome, if given."""
        ...


def sweeps(model: Model) -> TypeGuard[SweepableModel]:
    """Whether a model, with the options it has, can be sampled block by block."""
    return isinstance(model, Sweepable) and getattr(model, "no_gibbs_form", None) is None


def prefers_gibbs(model: Model) -> str | None:
    """Why the Gibbs form of a model is the better one, or None where it is not."""
    return getattr(model, "prefers_gibbs", None) if sweeps(model) else None


@runtime_checkable
class Guides(Protocol):
    """A model that knows what eases sampling it: a point near the bulk of its posterior, and coordinates."""

    def start(self) -> Mapping[str, np.ndarray]:
        """Values of some sites, or of none, from which a sampler starts."""
        ...

    def centring(self) -> Mapping[str, tuple[str | None, np.ndarray]]:
        """Sites, or none, to be sampled partly centred: the site of the scale, None for the distribution's own, and a power."""
        ...


@runtime_checkable
class Natural(Protocol):
    """A model that reports other quantities than its sampled sites, or in other units."""

    def natural(self, sites: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Reported quantities (..., *dims) in units of the outcome from sites (..., *dims) on the standardised scale."""
        ...


@runtime_checkable
class Simulates(Protocol):
    """A model that draws outcomes from its full predictive distribution."""

    def simulate(self, sites: Mapping[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """Outcomes (sample, *observed dims) in natural units from flat sites (sample, ...), every error drawn anew."""
        ...

    def observed(self) -> xr.DataArray:
        """The outcome in natural units, in the dims of `simulate`."""
        ...

    def standardised(self, outcomes: np.ndarray) -> np.ndarray:
        """Outcomes in natural units on the scale the twins see, with the centre and scale of the model's own data."""
        ...


@runtime_checkable
class PointwiseLikelihood(Protocol):
    """A model that knows the log likelihood of each independent piece of its data."""

    def log_likelihood(self, sites: Mapping[str, np.ndarray]) -> xr.DataArray:
        """(sample, piece) log likelihood with the piece's own random effects integrated out, standardised scale."""
        ...


@runtime_checkable
class Compressed(Protocol):
    """A model that may hold sums in place of rows."""

    @property
    def without_rows(self) -> str:
        """Why nothing is said of single rows and units; empty where they are in memory."""
        ...


def rows_missing(model: Any) -> str:
    """Why nothing can be said of a model's single rows and units; empty where it can."""
    return model.without_rows if isinstance(model, Compressed) else ""


@runtime_checkable
class TopLevel(Protocol):
    """A model that says which sites carry top-level priors: those a prior sensitivity analysis scales."""

    def top_level(self) -> tuple[str, ...]:
        """Names of sites."""
        ...


@runtime_checkable
class Describes(Protocol):
    """A model with data worth telling: aggregates for the report, assumptions, the estimands to report."""

    @property
    def headline(self) -> Estimand:
        """The estimand the verdict is on."""
        ...

    @property
    def unit(self) -> str:
        """Unit of the effects."""
        ...

    def estimands(self) -> tuple[Estimand, ...]:
        """Every estimand the report shows."""
        ...

    def assumptions(self) -> tuple[Assumption, ...]:
        """What must be true."""
        ...

    def constant_data(self) -> xr.Dataset:
        """Aggregates of the data, so that a report needs no data file."""
        ...


class CollapsibleModel(Model, Collapsible, Protocol):
    """A model with a collapsed form."""


class SweepableModel(Model, Sweepable, Protocol):
    """A model with a Gibbs form."""
