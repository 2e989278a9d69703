"""Models of one kind of data: what the checks and engines of that kind ask beyond `Model`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import xarray as xr

from bayes_causal.models.base import Collapsible, Model, Natural

if TYPE_CHECKING:
    from bayes_causal.data.multi_series import MultiSeries
    from bayes_causal.data.panel import Panel
    from bayes_causal.data.panel_source import PanelSource
    from bayes_causal.data.time_series import TimeSeries
    from bayes_causal.models.donor_design import DonorDesign
    from bayes_causal.models.forms import CollapsedForm, GibbsForm


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

    @property
    def panel(self) -> Panel:
        """The data."""
        ...

    @property
    def averages(self) -> bool:
        """Whether none of the weights is negative and together they are one."""
        ...

    @property
    def warmup(self) -> int:
        """Sweeps after which a chain of refits by the hundred is kept."""
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


@runtime_checkable
class ShockModel(Model, Protocol):
    """A model of several series that shocks hit, in hidden regimes."""

    data: MultiSeries

    def responses(self, posterior: xr.Dataset, horizons: int = 12) -> xr.DataArray:
        """(chain, draw, series, shock, regime, horizon) responses to a unit of each shock."""
        ...

    def today(self, posterior: xr.Dataset) -> xr.DataArray:
        """(chain, draw, regime) law of the regime that the next shock's effect loads on."""
        ...
