"""From a `Panel` to one treated unit beside its donors, on the scale of the treated unit's pre-period."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from bayes_causal.data.columns import show
from bayes_causal.data.panel import Panel
from bayes_causal.errors import closest
from bayes_causal.models.donor_traits import Traits, donor_traits, trait_problems

FEWEST_PERIODS = 3
FEWEST_DONORS = 2
SEVERAL = "weights='simplex'"


@dataclass(frozen=True, eq=False)
class DonorDesign:
    """One treated unit. T rows, one a period of the panel's frequency from its first outcome to its last; J donors.

    Parameters
    ----------
    y : (T,) outcome of the treated unit minus `center`, over `scale`; NaN where missing
    x : (T, J) outcomes of the donors on the same scale; NaN where the treated unit's is missing or, with gaps, where theirs is
        missing or comes after a treatment of their own
    fitted : (T,) rows before the treatment with an outcome: those the likelihood holds
    treated : (T,) rows of treated cells with an outcome: those an average effect counts
    seen : (T,) rows with an outcome
    position : (T,) position of each row in the panel's time, -1 where it has none
    onset : row of the first treated cell, counted from the first
    unit : position of the treated unit in the panel; donors : (J,) those of the donors
    left_out : reason why each of the other units is no donor
    in_part : what of a donor is left out, by donor, where donors may have gaps
    center, scale : natural units of the outcome
    traits : predictors of the unit and its donors, if any
    """

    y: np.ndarray
    x: np.ndarray
    fitted: np.ndarray
    treated: np.ndarray
    seen: np.ndarray
    position: np.ndarray
    onset: int
    unit: int
    donors: np.ndarray
    left_out: Mapping[Any, str]
    in_part: Mapping[Any, str]
    center: float
    scale: float
    traits: Traits | None = None

    @property
    def rows(self) -> int:
        """T."""
        return self.y.size

    @property
    def fitted_rows(self) -> np.ndarray:
        """(N,) positions of the rows the likelihood holds."""
        return np.flatnonzero(self.fitted)

    @property
    def seen_rows(self) -> np.ndarray:
        """(O,) positions of the rows with an outcome, fitted ones first."""
        return np.flatnonzero(self.seen)

    @property
    def span(self) -> int:
        """Rows up to the last that the likelihood holds."""
        return int(self.fitted_rows[-1]) + 1

    @property
    def gap(self) -> np.ndarray:
        """(N,) rows since the previous fitted one, 0 for the first."""
        return np.diff(self.fitted_rows, prepend=self.fitted_rows[0])

    @property
    def whole(self) -> np.ndarray:
        """Numbers of the donors with an outcome wherever the treated unit has one: those that can be put in its place."""
        return np.flatnonzero(~np.isnan(self.x[self.seen]).any(0))

    def instead(self, donor: int) -> DonorDesign:
        """Donor number `donor` in the treated unit's place and the other donors beside it."""
        others = np.delete(np.arange(self.donors.size), donor)
        y = np.where(self.seen, self.x[:, donor], np.nan)
        changed = replace(self, y=y, x=self.x[:, others], unit=int(self.donors[donor]), donors=self.donors[others])
        traits = self.traits.of([donor + 1, *(others + 1)]) if self.traits else None
        return replace(changed, traits=traits).rescaled()

    def without(self, donor: int) -> DonorDesign:
        """The same without donor number `donor`."""
        others = np.delete(np.arange(self.donors.size), donor)
        traits = self.traits.of([0, *(others + 1)]) if self.traits else None
        return replace(self, x=self.x[:, others], donors=self.donors[others], traits=traits)

    def earlier(self, onset: int, periods: int) -> DonorDesign:
        """A treatment that never was, from row `onset` on for so many rows, seen by what lies before it; predictors stay."""
        at = np.arange(self.rows)
        during = self.fitted & (at >= onset) & (at < onset + periods)
        return replace(self, fitted=self.fitted & (at < onset), treated=during, onset=onset).rescaled()

    def without_last(self, periods: int) -> DonorDesign:
        """The same treatment, seen by what lies before the last so many fitted rows."""
        fitted = self.fitted.copy()
        fitted[self.fitted_rows[-periods:]] = False
        return replace(self, fitted=fitted).rescaled()

    def rescaled(self) -> DonorDesign:
        """The same on the scale of its own fitted rows."""
        mean, sd = float(self.y[self.fitted].mean()), float(self.y[self.fitted].std(ddof=1))
        natural = self.center + self.scale * mean, self.scale * sd
        return replace(self, y=(self.y - mean) / sd, x=(self.x - mean) / sd, center=natural[0], scale=natural[1])


def donor_problems(
    panel: Panel,
    donors: Sequence[Any] | None,
    exclude: Sequence[Any],
    *,
    gaps: bool = False,
    several: str = SEVERAL,
    predictors: Sequence[str] = (),
) -> list[str]:
    """Everything that keeps the treated unit of a panel from being set beside donors; `donor_design` takes what has none.

    Donors with gaps are taken as they are where they may have them: what is missing, or treated, is left out cell by cell.
    `several` says what takes more than one treated unit.
    """
    treated, units = _first_treated(panel, gaps), panel.dataset["unit"].values
    problems = []
    if treated.size != 1:
        named = ", ".join(show(u) for u in units[treated][:5]) + (", …" if treated.size > 5 else "")
        problems.append(
            f"{treated.size} units are treated ({named}), and several at once take {several}: ask for that, or keep one of the "
            "units and those never treated, as panel.select(units=[…]), or where in a study"
        )
    labels = [str(u) for u in units]
    for option, asked in (("donors", donors or ()), ("exclude", exclude)):
        for unknown in (u for u in asked if str(u) not in labels):
            problems.append(f"{option} names '{unknown}', which the panel does not have{closest(str(unknown), labels)}")
        for own in (u for u in asked if str(u) in {str(units[t]) for t in treated}):
            problems.append(f"{option} names '{own}', which is treated itself")
    if both := sorted({str(d) for d in donors or ()} & {str(e) for e in exclude}):
        problems.append(f"{', '.join(both)} stand in donors and in exclude")
    if not (panel.dataset["weight"].values == 1).all():
        problems.append("the panel has weights, which synthetic control does not use: leave them out")
    if problems:
        return problems
    unit = int(treated[0])
    pool = _pool(panel, unit, donors, exclude, gaps).donors
    return _unit_problems(panel, unit, donors, exclude, gaps) + trait_problems(panel, predictors, unit, pool)


def donor_design(
    panel: Panel,
    donors: Sequence[Any] | None,
    exclude: Sequence[Any],
    *,
    gaps: bool = False,
    predictors: Sequence[str] = (),
) -> DonorDesign:
    """The arrays of a panel in which `donor_problems` found none."""
    unit = int(_first_treated(panel, gaps)[0])
    seen, pool = np.flatnonzero(panel.observed[unit]), _pool(panel, unit, donors, exclude, gaps)
    outcome, period = panel.dataset["outcome"].values, panel.dataset["period"].values
    row = period - period[seen[0]]
    before = seen[seen < panel.treated[unit].argmax()]
    center, scale = float(outcome[unit, before].mean()), float(outcome[unit, before].std(ddof=1))
    rows = int(row[seen[-1]]) + 1

    def spread(values: np.ndarray, empty: Any, at: np.ndarray = seen) -> np.ndarray:
        grid = np.full((rows, *values.shape[1:]), empty)
        grid[row[at]] = values
        return grid

    cells = np.ix_(pool.donors, pool.columns)
    x = np.where(pool.usable, (outcome[cells] - center) / scale, np.nan)
    return DonorDesign(
        spread((outcome[unit, seen] - center) / scale, np.nan),
        spread(x.T, np.nan, pool.columns),
        spread(np.isin(seen, before), False),
        spread(panel.treated[unit, seen], False),
        spread(np.ones(seen.size, bool), False),
        spread(seen, -1),
        int(panel.first_period[unit] - period[seen[0]]),
        unit,
        pool.donors,
        pool.left_out,
        pool.in_part,
        center,
        scale,
        donor_traits(panel, predictors, unit, pool.donors),
    )


class Pool(NamedTuple):
    """The donors of a unit.

    Parameters
    ----------
    donors : (J,) positions
    columns : (C,) positions of the dates at which they are used
    usable : (J, C) cells of those that are
    left_out, in_part : why each other unit is no donor, and what of a donor is not used
    """

    donors: np.ndarray
    columns: np.ndarray
    usable: np.ndarray
    left_out: dict[Any, str]
    in_part: dict[Any, str]


def _first_treated(panel: Panel, gaps: bool) -> np.ndarray:
    """Positions of the treated units; where others may be donors until their own treatment, of those treated first alone."""
    treated = np.flatnonzero(panel.ever_treated)
    first = panel.first_period[treated]
    return treated[first == first.min()] if gaps and treated.size else treated


def _pool(panel: Panel, unit: int, donors: Sequence[Any] | None, exclude: Collection[Any], gaps: bool) -> Pool:
    """Who is a donor, and where."""
    asked, barred = {str(d) for d in donors or ()}, {str(e) for e in exclude}
    seen, pool = np.flatnonzero(panel.observed[unit]), []
    left_out: dict[Any, str] = {}
    in_part: dict[Any, str] = {}
    columns = np.arange(seen[0], seen[-1] + 1) if gaps else seen
    untreated = ~np.logical_or.accumulate(panel.treated, 1) if gaps else ~panel.treated
    usable = (panel.observed & untreated)[:, columns]
    for k, label in enumerate(panel.dataset["unit"].values):
        if k == unit:
            continue
        lacks = _lacks(panel, k, columns, usable[k])
        before = int(usable[k, columns < panel.treated[unit].argmax()].sum())
        if str(label) in barred:
            left_out[label] = "excluded by name"
        elif asked and str(label) not in asked:
            left_out[label] = "not among the donors named"
        elif gaps and before < FEWEST_PERIODS:
            left_out[label] = f"{before} outcomes before the treatment, where a donor needs {FEWEST_PERIODS}"
        elif lacks and not gaps:
            left_out[label] = lacks
        else:
            pool.append(k)
            in_part |= {label: lacks} if lacks else {}
    return Pool(np.array(pool, int), columns, usable[pool], left_out, in_part)


def _lacks(panel: Panel, k: int, columns: np.ndarray, usable: np.ndarray) -> str:
    """What unit k lacks of the dates in `columns`, empty where nothing."""
    time = panel.dataset["time"].values
    treated, missing = columns[panel.treated[k, columns]], columns[~panel.observed[k, columns]]
    if treated.size:
        return f"treated itself from {show(time[treated[0]])} on, when it is needed"
    if not usable.all():
        more = f" and {missing.size - 1} more" if missing.size > 1 else ""
        return f"no outcome in {show(time[missing[0]])}{more}"
    return ""


def _unit_problems(panel: Panel, unit: int, donors: Sequence[Any] | None, exclude: Sequence[Any], gaps: bool) -> list[str]:
    """What one treated unit lacks."""
    seen, pool = np.flatnonzero(panel.observed[unit]), _pool(panel, unit, donors, exclude, gaps)
    onset, label = panel.treated[unit].argmax(), show(panel.dataset["unit"].values[unit])
    before, outcome = seen[seen < onset], panel.dataset["outcome"].values[unit]
    problems = []
    if before.size < FEWEST_PERIODS:
        problems.append(f"{label} has {before.size} outcomes before its treatment, and weights need {FEWEST_PERIODS} at least")
    elif outcome[before].std() == 0:
        problems.append(f"the outcome of {label} never moves before its treatment: there is nothing that weights could follow")
    if not panel.treated[unit, seen].any():
        problems.append(f"{label} has no outcome while treated")
    if pool.donors.size < FEWEST_DONORS:
        reasons = sorted({f"{show(u)}: {why}" for u, why in pool.left_out.items()})
        shown = "; ".join(reasons[:5]) + ("; …" if len(reasons) > 5 else "")
        problems.append(f"{pool.donors.size} donors are left for {label}, and {FEWEST_DONORS} are needed at least ({shown})")
    return problems
