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
    from jax import Array

    from bayes_causal.data.panel import Panel
    from bayes_causal.data.panel_source import PanelSource
    from bayes_causal.data.time_series import TimeSeries
    from bayes_causal.models.donor_design import DonorDesign


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


class CollapsedForm(Protocol):
    """What is left of a model when all but a few hyperparameters θ is integrated out: a density of θ, and draws of the rest.

    θ is carried as t, one unbounded coordinate a hyperparameter, of about unit scale under the prior.
    """

    @property
    def hypers(self) -> tuple[Any, ...]:
        """θ."""
        ...

    @property
    def sums(self) -> Any:
        """What the data say, a pytree of arrays; the functions below take it beside the form, so that programs are shared."""
        ...

    @property
    def columns(self) -> int:
        """Numbers integrated out."""
        ...

    @property
    def width(self) -> int:
        """Numbers a program holds for each point: what bounds the points of one call."""
        ...

    def matrices(self, sums: Any) -> int:
        """Numbers in the matrices of one density, as many of which go together as fit a cache; 0 where all do."""
        ...

    def said(self, sums: Any) -> str:
        """What is integrated out, in a few words."""
        ...

    def bare(self) -> CollapsedForm:
        """The form without its data."""
        ...

    def signature(self) -> tuple[Any, ...]:
        """What two forms must share to be one program, the shapes of their sums aside."""
        ...

    def log_density(self, sums: Any, t: Array) -> Array:
        """Log p(y, t) up to a constant, for (n_hyper,) t."""
        ...

    def draw_sites(self, sums: Any, t: Array, key: Array) -> dict[str, Array]:
        """θ and one exact draw of everything else given it, by the names of the sites."""
        ...


@runtime_checkable
class ApproximateForm(CollapsedForm, Protocol):
    """A form whose density of θ and draws of the coefficients are approximate, and which knows by how much they are off.

    Its `log_density` is that of the approximation; `draw_sites` takes t and the noise side by side, as one vector.
    """

    @property
    def noise(self) -> int:
        """Standard normals that one draw of the coefficients is made of."""
        ...

    def correction(self, sums: Any, t: Array, noise: Array) -> Array:
        """Log of the exact joint density over the approximate one, at the coefficients that (noise,) standard normals give."""
        ...


@runtime_checkable
class DrawsTotal(Protocol):
    """A collapsed form that draws the one number overall answers hang on, and nothing else."""

    def draw_total(self, sums: Any, t: Array, key: Array) -> Array:
        """() exactly of the law it has under `draw_sites` and all noise that comes after."""
        ...


@runtime_checkable
class OnLine(Protocol):
    """A collapsed form of one hyperparameter whose draws need not start from the data again at every point."""

    def table(self, sums: Any, t: Array) -> tuple[Array, Any]:
        """`log_density`, and what a draw needs of one node, a pytree of arrays that change smoothly with it."""
        ...

    def normals(self, sums: Any) -> int:
        """Standard normals a draw takes."""
        ...

    def draw_between(self, sums: Any, nodes: Array, tables: Any, t: Array, normal: Array) -> dict[str, Array]:
        """`draw_sites` at a point between evenly spaced (N,) nodes, from their tables and (n,) standard normals."""
        ...


@runtime_checkable
class TotalOnLine(OnLine, Protocol):
    """A form on a line that draws the one number overall answers hang on, and nothing else."""

    def total_between(self, sums: Any, nodes: Array, tables: Any, t: Array, uniform: Array) -> Array:
        """(S,) at (S,) points, of the law it has under `draw_between` and all noise that comes after, from (3, S) uniforms."""
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


@runtime_checkable
class Parts(Protocol):
    """Forms that share nothing, so that the posterior is their product."""

    @property
    def parts(self) -> Mapping[str, CollapsedForm]:
        """The forms by the prefix of their sites, "" for none."""
        ...


def collapses(model: Model) -> TypeGuard[CollapsibleModel]:
    """Whether part of a model, with the options it has, can be integrated out exactly."""
    return isinstance(model, Collapsible) and getattr(model, "no_collapsed_form", None) is None


class GibbsForm(Protocol):
    """A posterior cut into blocks, each of which can be drawn given the others: one step of a chain is a sweep over them.

    A state is a pytree of arrays, all a chain carries from sweep to sweep. What no later sweep needs is drawn for kept sweeps
    alone. The functions take the sums beside the form, so that programs are shared.
    """

    @property
    def sums(self) -> Any:
        """What the data say, a pytree of arrays."""
        ...

    @property
    def width(self) -> int:
        """Numbers a program holds for each kept sweep while it draws the sites: what bounds the sweeps of one call."""
        ...

    def said(self, sums: Any) -> str:
        """What the blocks are, in a few words."""
        ...

    def bare(self) -> GibbsForm:
        """The form without its data."""
        ...

    def signature(self) -> tuple[Any, ...]:
        """What two forms must share to be one program, the shapes of their sums aside."""
        ...

    def first(self, sums: Any, key: Array) -> Any:
        """Where a chain starts: a state, more spread out than the posterior."""
        ...

    def sweep(self, sums: Any, state: Any, key: Array, adapting: Array) -> Any:
        """The state after a step that leaves the posterior as it is; proposals may learn from it only while `adapting`."""
        ...

    def sites(self, sums: Any, state: Any, key: Array) -> dict[str, Array]:
        """The state by the names of the sites, with everything that it leaves out drawn given it."""
        ...

    def stats(self, state: Any) -> dict[str, Array]:
        """Statistics of the last sweep under ArviZ's names, each ()."""
        ...


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


@runtime_checkable
class PanelModel(Model, Natural, Protocol):
    """A model of a panel that can be fitted again on changed data."""

    panel: Panel | PanelSource

    def variant(self, *, panel: Panel | PanelSource | None = None, effect: str | None = None) -> PanelModel:
        """The same model with another effect structure, or on other data."""
        ...

    def identified(self, by: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Labels, and whether the data alone identify the att of each."""
        ...

    def leads_identified(self) -> bool:
        """Whether the data alone identify the trend before onset."""
        ...


@runtime_checkable
class DonorModel(Model, Natural, Protocol):
    """A model that sets one treated unit of a panel beside weighted donors, and can be asked the same of other designs."""

    panel: Panel

    @property
    def averages(self) -> bool:
        """Whether none of the weights is negative and together they are one."""
        ...

    @property
    def design(self) -> DonorDesign:
        """The treated unit and its donors."""
        ...

    def sums(self, d: DonorDesign, outcome: np.ndarray | None = None, gaps: Sequence[int] | None = None) -> Any:
        """What a design says, as the Gibbs form takes it, for rows between which such gaps may lie."""
        ...

    def form(self, sums: Any) -> GibbsForm:
        """The blocks, for the sums of one problem or, stacked, of many with as many donors."""
        ...

    def average(self, d: DonorDesign, sites: Mapping[str, np.ndarray], seed: int = ...) -> np.ndarray:
        """(...,) draws of the average effect on the unit of a design, from sites of its own posterior."""
        ...

    def expected(self, d: DonorDesign, sites: Mapping[str, np.ndarray]) -> np.ndarray:
        """(..., O) the weighted donors at every date with an outcome, without error, natural units."""
        ...

    def followed(self, posterior: xr.Dataset) -> np.ndarray:
        """(S, O) the same on the model's own design, from a posterior in natural units."""
        ...


@runtime_checkable
class UnitByUnit(Model, Protocol):
    """A model of several treated units, each of which a `DonorModel` can be asked about alone."""

    def one_by_one(self, posterior: xr.Dataset) -> Sequence[tuple[Any, DonorModel, xr.Dataset]]:
        """Each unit's label, the model of it alone, and its share of a posterior under the names of that model."""
        ...

    def innovations(self, posterior: xr.Dataset) -> xr.DataArray:
        """(unit, date) one-step errors before the treatment over their sds, at posterior means; NaN where there is no outcome."""
        ...


@runtime_checkable
class LeavesOut(PanelModel, Protocol):
    """A model of a panel that can leave units out cheaply: the rest of the posterior is exact given the hyperparameters."""

    @property
    def cannot_leave_out(self) -> str:
        """Why it cannot with the data and options it has; empty where it can."""
        ...

    def collapsed(self, outcome: np.ndarray | None = None, without: np.ndarray | None = None) -> CollapsedForm:
        """The collapsed form; with (P, U) bool sets of units, the sums of the whole and without each set, stacked."""
        ...

    def probits(self, form: CollapsedForm, posterior: xr.Dataset) -> np.ndarray:
        """(S, n) probits of the form's hyperparameters from their posterior draws."""
        ...

    def att_without(self, sites: Mapping[str, np.ndarray], units: np.ndarray) -> np.ndarray:
        """(P, S) draws of the att over all but (P, U) bool sets of units, from sites (P, S, ...)."""
        ...


@runtime_checkable
class OwnCourses(PanelModel, Protocol):
    """A model of a panel in which every unit has a course of its own, and nothing moves units together."""

    def innovations(self, posterior: xr.Dataset) -> xr.DataArray:
        """(unit, time) one-step errors over their sds at posterior means, NaN where there is no outcome."""
        ...


@runtime_checkable
class SeriesModel(Model, Collapsible, Natural, Protocol):
    """A model of a `TimeSeries` that can be fitted again on changed data."""

    series: TimeSeries

    def variant(self, *, series: TimeSeries | None = None) -> SeriesModel:
        """The same model on other data."""
        ...
