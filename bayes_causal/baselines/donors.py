"""Who is compared with whom, when: treated units, the donors that have what the comparison needs, and why others have not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bayes_causal.baselines.traits import Traits, positions
from bayes_causal.errors import EstimandError, closest

if TYPE_CHECKING:
    from bayes_causal.data.panel import Panel

MISSING = ("drop_donors", "drop_periods")


@dataclass(frozen=True, eq=False)
class Case:
    """Treated units that share their periods, and their donors. n units, J donors, T periods, K traits; no cell is missing.

    Attributes
    ----------
    units, donors, rows : (n,), (J,), (T,) positions in the panel
    before : (T,) bool
        Periods before the treatment; the others are treated.
    fit : (T,) bool
        Periods whose outcomes weights are fitted to.
    outcome, pool : (n, T) and (J, T) outcomes, in units of the outcome
    traits, pool_traits : (n, K) and (J, K) predictors, in their own units
    stands_for : positions of the treated units, where `units` are donors in their place
    """

    units: np.ndarray
    donors: np.ndarray
    rows: np.ndarray
    before: np.ndarray
    fit: np.ndarray
    outcome: np.ndarray
    pool: np.ndarray
    traits: np.ndarray
    pool_traits: np.ndarray
    stands_for: tuple[int, ...] = ()

    def reassigned(self, units: np.ndarray, rest: np.ndarray) -> Case:
        """Donors number `units` in place of the treated, donors number `rest` as their donors."""
        return replace(
            self,
            units=self.donors[units],
            donors=self.donors[rest],
            outcome=self.pool[units],
            pool=self.pool[rest],
            traits=self.pool_traits[units],
            pool_traits=self.pool_traits[rest],
            stands_for=tuple(self.units.tolist()),
        )


@dataclass(frozen=True, eq=False)
class Choice:
    """Which donors may be used, and how.

    Parameters
    ----------
    donors, exclude : labels of units
    missing : {"drop_donors", "drop_periods"}
        Leave out donors with a missing cell in a period that is needed, or periods in which any donor's is missing.
    fit_periods : periods, optional
        Those whose outcomes weights are fitted to; all before the treatment by default.
    traits : Traits
        Predictors of every unit.
    """

    donors: Sequence[Any] | None = None
    exclude: Sequence[Any] = ()
    missing: Literal["drop_donors", "drop_periods"] = "drop_donors"
    fit_periods: Any = None
    traits: Traits = field(default_factory=Traits)


@dataclass(frozen=True, eq=False)
class Comparisons:
    """Every case of a panel, and what was left out: donors with how often and the first reason, treated units with theirs."""

    cases: list[Case]
    dropped: list[dict[str, Any]]
    left_out: list[dict[str, Any]]


def comparisons(panel: Panel, choice: Choice, *, together: bool, least: int = 1) -> Comparisons:
    """The cases of a panel.

    Parameters
    ----------
    choice : Choice
    together : bool
        Treated units with the same periods before and after make one case; else each unit is one.
    least : int
        Periods before the treatment that are needed.

    Raises
    ------
    EstimandError
        Nobody is treated, options name units or periods that do not exist, or no treated unit can be compared.
    """
    if choice.missing not in MISSING:
        raise EstimandError(f"missing '{choice.missing}' does not exist{closest(str(choice.missing), MISSING)}")
    treated = panel.treated & panel.observed
    if not treated.any():
        raise EstimandError("no observed cell is treated")
    allowed, barred = _allowed(panel, choice)
    fit = _fit_rows(panel, choice.fit_periods)
    cases: list[Case] = []
    left_out: list[dict[str, Any]] = []
    times: Counter[int] = Counter()
    reasons: dict[int, str] = {}
    for units in _targets(panel, treated, together):
        case, found = _case(panel, choice, units, allowed, fit, least)
        found = {d: r for d, r in (barred | found).items() if d not in units}
        times.update(found.keys())
        reasons = found | reasons
        if isinstance(case, Case):
            cases.append(case)
        else:
            left_out += [{"unit": unit, "reason": case} for unit in names(panel, "unit", units)]
    if not cases:
        raise EstimandError(_nobody(left_out))
    labels = panel.dataset["unit"].values
    dropped = [{"unit": label(labels[d]), "reason": reasons[d], "comparisons": times[d]} for d in sorted(times)]
    return Comparisons(cases, dropped, left_out)


def _nobody(left_out: list[dict[str, Any]]) -> str:
    first = left_out[0]
    others = f" (and {len(left_out) - 1} further treated units)" if len(left_out) > 1 else ""
    return f"{first['unit']}{others} cannot be compared: {first['reason']}"


def _targets(panel: Panel, treated: np.ndarray, together: bool) -> Iterator[np.ndarray]:
    """Positions of treated units, those of a case together."""
    units = np.flatnonzero(treated.any(1))
    if not together:
        yield from units[:, None]
        return
    first = panel.treated.argmax(1)[:, None]
    pattern = treated[units] + 2 * (panel.observed & (np.arange(treated.shape[1]) < first))[units]
    codes = np.unique(pattern, axis=0, return_inverse=True)[1].ravel()
    for code in np.unique(codes):
        yield units[codes == code]


def _case(
    panel: Panel, choice: Choice, units: np.ndarray, allowed: np.ndarray, fit: np.ndarray | None, least: int
) -> tuple[Case | str, dict[int, str]]:
    """The case of these units, or why there is none; and why donors were dropped."""
    start, treated = panel.treated[units[0]].argmax(), panel.treated[units[0]]
    early = np.arange(len(treated)) < start
    traits = choice.traits.of(panel)
    if not np.isfinite(traits[units]).all():
        return f"it has no value of {choice.traits.missing(panel, int(units[0]))}", {}
    candidates = allowed & ~np.isin(np.arange(len(allowed)), units)
    known = np.isfinite(traits).all(1)
    found = {int(d): f"no value of {choice.traits.missing(panel, int(d))}" for d in np.flatnonzero(candidates & ~known)}
    donors, used, unusable = _usable(panel, choice, candidates & known, panel.observed[units[0]] & (early | treated), start)
    found |= unusable
    rows = np.flatnonzero(used)
    before = early[rows]
    if not donors.size:
        return _no_donors(found), found
    if before.all() or before.sum() < least:
        return f"{before.sum()} periods before and {(~before).sum()} after are left; {least} and 1 are needed", found
    fitted = (early if fit is None else fit)[rows]
    if not fitted.any():
        return "it has no outcome in the periods to be fitted", found
    y = panel.dataset["outcome"].values
    outcome, pool = y[np.ix_(units, rows)], y[np.ix_(donors, rows)]
    return Case(units, donors, rows, before, fitted, outcome, pool, traits[units], traits[donors]), found


def _no_donors(found: dict[int, str]) -> str:
    if not found:
        return "there are no donors: no other unit is without treatment"
    why = Counter(found.values()).most_common(2)
    return "no donor is left: " + "; ".join(f"{n} {reason}" for reason, n in why)


def _usable(
    panel: Panel, choice: Choice, candidates: np.ndarray, used: np.ndarray, start: int
) -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
    """Donors, the periods used, and why candidates are no donors. A donor's cells are missing from its own treatment on."""
    labels = panel.dataset["time"].values
    untreated = panel.observed & (np.cumsum(panel.treated, 1) == 0)
    found: dict[int, str] = {}
    if choice.missing == "drop_periods":
        too_late = candidates & panel.ever_treated & (panel.treated.argmax(1) <= start)
        found = {int(d): "treated itself by then" for d in np.flatnonzero(too_late)}
        donors = np.flatnonzero(candidates & ~too_late)
        return donors, used & untreated[donors].all(0), found
    lacking = used & ~untreated
    for d in np.flatnonzero(candidates & lacking.any(1)):
        first = panel.treated[d].argmax()
        gone = int((lacking[d] & ~panel.observed[d]).sum())
        if panel.ever_treated[d] and lacking[d][first:].any() and not (lacking[d][:first]).any():
            found[int(d)] = f"treated itself from {label(labels[first])} on"
        else:
            found[int(d)] = f"no outcome in {gone} of the {int(used.sum())} periods needed"
    return np.flatnonzero(candidates & ~lacking.any(1)), used, found


def _allowed(panel: Panel, choice: Choice) -> tuple[np.ndarray, dict[int, str]]:
    """(U,) which units may be donors at all, and why others may not."""
    wanted = _named(panel, "donors", choice.donors) if choice.donors is not None else np.ones(panel.observed.shape[0], bool)
    out = _named(panel, "exclude", choice.exclude)
    barred = {int(d): "excluded" for d in np.flatnonzero(out)}
    return wanted & ~out, {int(d): "not among `donors`" for d in np.flatnonzero(~wanted & ~panel.ever_treated)} | barred


def _named(panel: Panel, option: str, given: Iterable[Any]) -> np.ndarray:
    names = [str(v) for v in panel.dataset["unit"].values]
    asked = [str(v) for v in ([given] if isinstance(given, str) else given)]
    unknown = [v for v in asked if v not in names]
    if unknown:
        shown = ", ".join(f"'{v}'" for v in unknown)
        raise EstimandError(f"{option} names units that the panel does not have: {shown}{closest(unknown[0], names)}")
    return np.isin(names, asked)


def _fit_rows(panel: Panel, given: Any) -> np.ndarray | None:
    if given is None:
        return None
    out = np.zeros(panel.observed.shape[1], bool)
    out[positions(panel, given, "fit_periods")] = True
    return out


def label(value: Any) -> str:
    """A unit or time as a key of JSON: a date without its midnight, a whole number without its point."""
    if isinstance(value, np.datetime64):
        return str(value)[:10]
    return str(int(value)) if isinstance(value, float) and value == int(value) else str(value)


def names(panel: Panel, dim: str, at: Sequence[int] | np.ndarray) -> list[str]:
    """Labels at positions of a dim."""
    return [label(v) for v in panel.dataset[dim].values[np.asarray(at, int)]]
