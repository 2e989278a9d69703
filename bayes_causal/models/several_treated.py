"""Several synthetic controls at once: weights of their own, effects that resemble each other, errors that move together.

    y_it = a_i + Σ_j w_ij y_jt + e_it,   t before the treatment of unit i, in units of c_i, the sd of its pre-period
    e_it − ρ_i e_i,t−1 = σ_i z_it,   z_it = √c u_t + √(1−c) η_it,   u_t, η_it ~ N(0, 1),   c ~ U(0, 1)
    ȳ_i = a_i + Σ_j w_ij ȳ_j + (S/c_i) τ_i + ē_i   over its treated dates,   τ_i ~ N(τ, ω),  τ ~ N(0, 1),  ω ~ HalfNormal(0.5)

Each unit's weights, intercept, σ_i and ρ_i have the priors of `SyntheticControl`. Of treated dates only their mean is fitted: how
an effect runs over time is free, and τ_i is its average over the unit's treated dates, whatever that course. So the time after a
treatment tells about weights only through how alike average effects are; with effects nothing like each other it tells nothing.
Effects are alike in units of the outcome, S being the sd of the pre-periods, pooled. Units share what hits them all at a date and
donors do not see: the correlation c of their innovations, one for all pairs, is learned. Without it the error of an average over
units would shrink as if they erred independently.

`realised` effects set each unit beside its own donors, noise and all; `mean` effects are the τ_i, drawn towards each other.

Ben-Michael, Feller & Rothstein 2022, doi:10.1111/rssb.12448, on staggered synthetic controls and partial pooling; Gelman & Hill
2007 on pooling. Weights: see `SyntheticControl`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import xarray as xr

from bayes_causal.data.columns import show
from bayes_causal.data.panel import Panel
from bayes_causal.errors import DataError
from bayes_causal.estimates import Estimand
from bayes_causal.models import several_effects, several_predictive, several_twins, synthetic_assumptions
from bayes_causal.models.base import Assumption
from bayes_causal.models.kinds import DonorModel
from bayes_causal.models.treated_design import TreatedDesign, naming_problems, own_panels, treated_design

if TYPE_CHECKING:
    from bayes_causal.models.synthetic_control import Priors, SyntheticControl
    from bayes_causal.numerics.treated_units import TreatedUnits

NOISE_SEED = 20_220_401
FEWEST_MOVES = 6
OPTIONS = ("weights", "intercept", "errors", "priors")


@dataclass(frozen=True, eq=False, init=False)
class SeveralTreated:
    """Synthetic control of a panel with several treated units; `SyntheticControl` makes it of such a panel.

    Parameters
    ----------
    panel : Panel
        Two or more treated units. The donors of each are the units that have an outcome wherever it has one up to its last
        treated date, and are untreated until then; others are left out, and said.
    weights : {"simplex"}
    intercept, errors, donors, exclude, priors
        As for one treated unit; `donors` and `exclude` hold for all of them.

    Raises
    ------
    DataError, ValueError
        Everything that any of the units lacks and every option that does not exist, in one message.
    """

    panel: Panel
    weights: str
    intercept: bool
    errors: str
    donors: tuple[Any, ...]
    exclude: tuple[Any, ...]
    priors: Priors

    name: ClassVar[str] = "synthetic_control"
    headline: ClassVar[Estimand] = Estimand("att", "realised")
    prefers_gibbs: ClassVar[str] = "weights move between pairs of donors, whose conditional is known, unit beside unit"

    def __init__(self, panel: Panel, *, donors: Any = None, exclude: Any = (), **options: Any):
        from bayes_causal.models.synthetic_control import listed

        named = {"donors": listed(donors), "exclude": listed(exclude)}
        ones = alone(panel, named, options)
        settled = {"panel": panel} | named | {key: getattr(ones[0], key) for key in OPTIONS}
        for key, value in settled.items():
            object.__setattr__(self, key, value)
        self.__dict__["alone"] = ones

    def variant(self, *, panel: Panel | None = None, **options: Any) -> Any:
        """The same model on other data, or with some options changed; of one treated unit, where the panel has one."""
        from bayes_causal.models.synthetic_control import SyntheticControl

        kept = {k: getattr(self, k) for k in (*OPTIONS, "exclude")} | {"donors": self.donors or None}
        return SyntheticControl(panel or self.panel, **(kept | options))

    @cached_property
    def alone(self) -> tuple[SyntheticControl, ...]:
        """(V,) the model of each treated unit alone, in the order of the panel."""
        options = {k: getattr(self, k) for k in OPTIONS}
        return alone(self.panel, {"donors": self.donors, "exclude": self.exclude}, options)

    @cached_property
    def design(self) -> TreatedDesign:
        """All units on one axis of dates, those with as many donors together."""
        start = [int(one.panel.dataset["period"].values[one.design.position[0]]) for one in self.alone]
        return treated_design([one.design for one in self.alone], start)

    @cached_property
    def order(self) -> np.ndarray:
        """(V,) which of `alone` each unit of the design is."""
        return np.argsort([one.design.donors.size for one in self.alone], kind="stable")

    @cached_property
    def units(self) -> np.ndarray:
        """(V,) labels."""
        labels = [one.panel.dataset["unit"].values[one.design.unit] for one in self.alone]
        return np.array(labels, self.panel.dataset["unit"].dtype)[self.order]

    @cached_property
    def donor_labels(self) -> tuple[np.ndarray, ...]:
        """(V,) labels of each unit's donors."""
        return tuple(one.panel.dataset["unit"].values[one.design.donors] for one in (self.alone[k] for k in self.order))

    @cached_property
    def left_out(self) -> list[tuple[Any, Any, str]]:
        """(unit, unit that is none of its donors, why)."""
        own = own_panels(self.panel)
        found = [(own[k].label, dict(own[k].left_out) | dict(self.alone[k].design.left_out)) for k in self.order]
        return [(unit, other, why) for unit, reasons in found for other, why in reasons.items()]

    @cached_property
    def weight_sites(self) -> tuple[str, ...]:
        """Site of the weights of each group."""
        sizes = [x.shape[-1] for x in self.design.x]
        return ("weight",) if len(sizes) == 1 else tuple(f"weight_{size}" for size in sizes)

    def coords(self) -> dict[str, Any]:
        """Labels of every dim; `donor` are the donors of any unit, `cell` its dates with an outcome, unit after unit."""
        d = self.design
        pool = np.unique(np.concatenate(self.donor_labels))
        counts = {"cell": int(d.seen.sum()), "row": int(d.fitted.sum()), "date": d.y.shape[1]}
        return {"unit": self.units, "donor": pool} | {k: np.arange(n) for k, n in counts.items()}

    def dims(self) -> dict[str, tuple[str, ...]]:
        """Dims of sites and reported quantities."""
        by_unit = ("concentration", "log_concentration", "intercept", "sigma", "rho", "tau_unit", "tau_offset", "average")
        own = {"weight": ("unit", "donor"), "counterfactual": ("cell",), "shock": ("date",), "y": ("row",)}
        return own | dict.fromkeys(by_unit, ("unit",))

    def numpyro_model(self) -> None:
        """The model in NumPyro."""
        several_twins.numpyro_model(self)

    def pymc_model(self) -> Any:
        """The model in PyMC."""
        return several_twins.pymc_model(self)

    def gibbs(self, outcome: np.ndarray | None = None) -> TreatedUnits:
        """Weights by exchanges between pairs of donors, unit beside unit; effects and shocks in one Gaussian block.

        `outcome` (N + V,) stands in for the standardised outcomes of the fitted rows and the means over treated ones.
        """
        from bayes_causal.numerics.treated_units import PASSES, TRADES, TreatedUnits

        sums = several_predictive.sums(self, outcome)
        moves = tuple(max(FEWEST_MOVES, -(-6 * x.shape[-1] // (PASSES * TRADES))) for x in self.design.x)
        return TreatedUnits(self.errors == "ar1", self.intercept, self.weight_sites, moves, sums)

    def natural(self, sites: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Reported quantities in units of the outcome; the weight of a unit that is none of a unit's donors is 0."""
        d, s = self.design, self.design.effect_scale
        named = {"weight": several_predictive.weights(self, sites), "concentration": np.exp(sites["log_concentration"])}
        named |= {k: d.scale * sites[k] for k in ("sigma", "intercept") if k in sites}
        named |= {k: sites[k] for k in ("rho", "correlation") if k in sites}
        named |= {k: s * sites[k] for k in ("tau", "omega")}
        named["tau_unit"] = named["tau"][..., None] + named["omega"][..., None] * sites["tau_offset"]
        without = several_predictive.counterfactual(self, sites, np.random.default_rng(NOISE_SEED))
        counted = self.cells.counted
        return named | {"counterfactual": without, "att": (self.cells.outcome - without)[..., counted].mean(-1)}

    @cached_property
    def cells(self) -> several_effects.Cells:
        """The rows with an outcome, unit after unit."""
        return several_effects.cells(self)

    def top_level(self) -> tuple[str, ...]:
        """Sites with top-level priors: what a prior sensitivity analysis scales."""
        own = ("log_concentration", *(["intercept"] if self.intercept else []), "sigma")
        return (*own, *(["rho"] if self.errors == "ar1" else []), "correlation", "tau", "omega")

    def effect(self, posterior: xr.Dataset, estimand: Estimand) -> xr.DataArray:
        """Draws of an estimand.

        `realised`, `att`: mean over treated cells of outcome minus counterfactual; by `time`, `event_time`, `unit` or `cohort`,
        the mean over their treated cells. `cumulative`: the sum; by time and event time, the running sum. `relative`: the sum
        over the sum of the counterfactual, overall, by unit and by cohort. `mean`: the same of the pooled τ_i, which has no
        course over time.

        Raises
        ------
        EstimandError
            An estimand this model does not have.
        """
        return several_effects.effect(self, posterior, estimand)

    def one_by_one(self, posterior: xr.Dataset) -> list[tuple[Any, DonorModel, xr.Dataset]]:
        """Each unit's label, the model of it alone, and its share of a posterior under the names of that model."""
        found: list[tuple[Any, DonorModel, xr.Dataset]] = []
        by_unit = [k for k in ("concentration", "sigma", "rho", "intercept", "weight") if k in posterior]
        for v, k in enumerate(self.order):
            here = self.cells.position == v
            own = posterior[by_unit].isel(unit=v, drop=True).sel(donor=self.donor_labels[v])
            without = posterior["counterfactual"].isel(cell=here).rename(cell="time").assign_coords(time=self.cells.time[here])
            found.append((self.units[v], self.alone[k], own.assign(counterfactual=without)))
        return found

    def innovations(self, posterior: xr.Dataset) -> xr.DataArray:
        """(unit, date) one-step errors before the treatment over their sds, at posterior means; NaN where there is no outcome."""
        return xr.DataArray(several_predictive.innovations(self, posterior), {"unit": self.units}, ("unit", "date"))

    def simulate(self, sites: Mapping[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """(S, N) outcomes of the fitted rows in natural units, unit after unit: donors as they were, errors drawn anew."""
        return several_predictive.simulate(self, sites, rng)

    def observed(self) -> xr.DataArray:
        """(row,) outcomes that the model is fitted to, in natural units, unit after unit."""
        d = self.design
        unit = np.nonzero(d.fitted)[0]
        where = {"unit_of_row": ("row", self.units[unit])}
        return xr.DataArray((d.center + d.scale * d.y.T).T[d.fitted], dims=("row",), coords=where, name="y")

    def standardised(self, outcomes: np.ndarray) -> np.ndarray:
        """(..., N) outcomes minus the centre, over the scale, of their unit's pre-period."""
        unit = np.nonzero(self.design.fitted)[0]
        return (outcomes - self.design.center[unit]) / self.design.scale[unit]

    def log_likelihood(self, sites: Mapping[str, np.ndarray]) -> xr.DataArray:
        """(sample, piece) log density given the shocks: of each fitted outcome given those before it, then of each mean."""
        return xr.DataArray(several_predictive.log_likelihood(self, sites), dims=("sample", "piece"), name="y")

    @property
    def unit(self) -> str:
        """Unit of the effects: the outcome's."""
        return self.panel.outcome_name

    def estimands(self) -> tuple[Estimand, ...]:
        """Averages, sums and fractions on the outcomes that happened, overall and broken down; pooled effects, overall and by
        unit.
        """
        names = ("att", "cumulative", "relative")
        realised = [Estimand(n, "realised", by) for by in (None, "unit") for n in names]
        realised += [Estimand("att", "realised", by) for by in ("cohort", "event_time", "time")]
        realised.append(Estimand("cumulative", "realised", "event_time"))
        return (*realised, *(Estimand("att", "mean", by) for by in (None, "unit")))

    def assumptions(self) -> tuple[Assumption, ...]:
        """What must be true for the att to be causal."""
        return synthetic_assumptions.OF_SEVERAL

    def constant_data(self) -> xr.Dataset:
        """Every treated unit's outcomes, which are fitted and which count, who its donors are, and why others are none."""
        c, coords = self.cells, self.coords()
        pool = np.array([np.isin(coords["donor"], own) for own in self.donor_labels])
        facts = xr.Dataset(
            {
                "outcome": ("cell", c.outcome),
                "pre": ("cell", c.fitted),
                "post": ("cell", c.counted),
                "event_time": ("cell", c.event_time),
                "is_donor": (("unit", "donor"), pool),
            },
            {k: coords[k] for k in ("cell", "unit", "donor")},
        ).assign_coords(unit_of_cell=("cell", c.unit), time_of_cell=("cell", c.time), cohort=("unit", c.cohort))
        if not self.left_out:
            return facts
        rows = [[str(row[k]) for row in self.left_out] for k in range(3)]
        return facts.assign(left_out=("left_out_row", rows[2])).assign_coords(
            left_out_for=("left_out_row", rows[0]), unit_left_out=("left_out_row", rows[1])
        )


def alone(panel: Panel, named: Mapping[str, Sequence[Any]], options: Mapping[str, Any]) -> tuple[SyntheticControl, ...]:
    """The model of each treated unit on its own panel, or all that is wrong with any of them."""
    from bayes_causal.models.synthetic_control import SyntheticControl

    problems, wrong, found = naming_problems(panel, **named), [], []
    if options.get("priors") and options["priors"].correlation != 1:
        wrong.append("the prior of ρ has a shape with one treated unit only: leave correlation at 1")
    if options.get("predictors"):
        wrong.append("predictors go with one treated unit only: leave them out, or keep one of the treated units")
    for own in own_panels(panel):
        here = {str(u) for u in own.panel.dataset["unit"].values} - {str(own.label)}
        kept = {k: [u for u in units if str(u) in here] for k, units in named.items()}
        if named["donors"] and not kept["donors"]:
            problems.append(f"none of the donors named is untreated while {show(own.label)} counts")
            continue
        try:
            found.append(SyntheticControl(own.panel, donors=kept["donors"] or None, exclude=kept["exclude"], **options))
        except DataError as error:
            problems += error.problems
        except ValueError as error:
            wrong.append(str(error))
    if problems:
        raise DataError(list(dict.fromkeys([*problems, *wrong])))
    if wrong:
        raise ValueError("; ".join(dict.fromkeys(wrong)))
    return tuple(found)
