"""From effects of single shocks on single series to an answer: what the baselines of several series share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.errors import EstimandError, closest
from bayes_causal.estimates import Estimand, Estimate, from_normal

if TYPE_CHECKING:
    from bayes_causal.data.multi_series import MultiSeries


Names = str | Sequence[str] | None


@dataclass(frozen=True, eq=False)
class Effect:
    """What a unit more of the shock does to the outcome.

    Parameters
    ----------
    value, std_error : float or (K,) array
        Units of the outcome per unit of the shock.
    df : float
        Degrees of freedom of the t reference distribution; infinite is the normal.
    labels : sequence
        K labels, where the method itself breaks an effect down (by horizon, by regime).
    extra : mapping
        What the method says beside the numbers.
    """

    value: Any
    std_error: Any
    df: float = np.inf
    labels: Sequence[Any] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Pair:
    """One series, one shock, and what stands beside them.

    Parameters
    ----------
    series, shock_name : str
    outcome, shock : (T,) arrays
    others : (T, S - 1) array of the other shocks
    controls : (T, C) array
    """

    series: str
    shock_name: str
    outcome: np.ndarray
    shock: np.ndarray
    others: np.ndarray
    controls: np.ndarray


@dataclass(frozen=True)
class Asked:
    """The question: broken down by what; which series and shocks (all where None); horizon, and whether summed until then."""

    by: str | None = None
    level: float = 0.9
    series: Names = None
    shock: Names = None
    horizon: int = 0
    cumulative: bool = False


def over_pairs(
    data: MultiSeries, method: str, effect: Callable[[Pair], Effect], asked: Asked, own: Sequence[str] = ()
) -> Estimate:
    """The answer for every series and every shock, dims (series, shock[, by]); ``extra["each"]`` holds the facts of each pair.

    A pair that has no answer is missing, and ``extra["without_value"]`` says why; where none has one, that is raised. `own` are
    the dimensions that the method breaks an effect down by, with labels of its own.

    Raises
    ------
    EstimandError
        A breakdown or names that do not exist, no shock, no answer for any pair.
    """
    by = asked.by
    if by is not None and by not in own:
        listed = f" and by {', '.join(own)}" if own else ""
        raise EstimandError(f"{method} answers for every series and shock{listed}, not by '{by}'")
    names = {
        "series": picked(data.series_names, asked.series, "series", method),
        "shock": picked(data.shock_names, asked.shock, "shock", method),
    }
    found, each = _each(data, effect, list(product(names["series"], names["shock"])))
    answered = [e for e in found if e is not None]
    coords: dict[str, Any] = {k: list(v) for k, v in names.items()} | ({by: list(answered[0].labels)} if by else {})
    shape = tuple(len(v) for v in coords.values())
    blank = np.full(shape[2:], np.nan)
    missing = [f"{e['series']} on {e['shock']}: {e['reason']}" for e in each if "reason" in e]
    answer = from_normal(
        np.reshape([blank if e is None else e.value for e in found], shape),
        np.reshape([blank if e is None else e.std_error for e in found], shape),
        Estimand("regime_effect", "mean", by),
        method,
        coords=coords,
        level=asked.level,
        df=min(e.df for e in answered),
        unit=f"summed over {asked.horizon + 1} dates" if asked.cumulative and asked.horizon else "",
        extra={"each": each} | ({"without_value": "; ".join(missing)} if missing else {}),
    )
    if not asked.horizon or by == "horizon":
        return answer
    return replace(answer, table=answer.table.assign_coords(horizon=asked.horizon))


def _each(
    data: MultiSeries, effect: Callable[[Pair], Effect], pairs: Sequence[tuple[str, str]]
) -> tuple[list[Effect | None], list[dict[str, Any]]]:
    """Effects and facts by pair; EstimandError where no pair has an effect."""
    found: list[Effect | None] = []
    each: list[dict[str, Any]] = []
    for series, shock in pairs:
        place = {"series": series, "shock": shock}
        try:
            one = effect(pair_of(data, series, shock))
            found.append(one)
            each.append(place | dict(one.extra))
        except EstimandError as error:
            found.append(None)
            each.append(place | {"reason": str(error)})
    if all(e is None for e in found):
        raise EstimandError("; ".join(dict.fromkeys(e["reason"] for e in each)))
    return found, each


def pair_of(data: MultiSeries, series: str, shock: str) -> Pair:
    """One series and one shock, with the other shocks and the controls."""
    k, j = data.series_names.index(series), data.shock_names.index(shock)
    return Pair(series, shock, data.outcomes[:, k], data.shocks[:, j], np.delete(data.shocks, j, axis=1), data.controls)


def picked(names: Sequence[str], asked: Names, what: str, method: str) -> tuple[str, ...]:
    """Those asked for, all by default; EstimandError where one does not exist, or there are none."""
    if not names:
        raise EstimandError(f"{method} needs a {what}, and the data have none: name one under `{what}s`")
    wanted = tuple(names) if asked is None else (asked,) if isinstance(asked, str) else tuple(asked)
    unknown = [f"there is no {what} '{n}'{closest(n, names)}" for n in wanted if n not in names]
    if unknown or not wanted:
        raise EstimandError("; ".join(unknown) or f"no {what} was asked for: leave `{what}` out for all")
    return wanted
