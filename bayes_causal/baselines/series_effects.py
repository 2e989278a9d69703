"""From effects of single shocks on single series to an answer: what the baselines of several series share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.errors import EstimandError, closest
from bayes_causal.estimates import Estimand, Estimate, from_normal

if TYPE_CHECKING:
    from bayes_causal.data.multi_series import MultiSeries


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
    outcome, shock : (T,) arrays
    others : (T, S - 1) array of the other shocks
    controls : (T, C) array
    """

    outcome: np.ndarray
    shock: np.ndarray
    others: np.ndarray
    controls: np.ndarray


@dataclass(frozen=True)
class Asked:
    """The question: overall, by series or by shock; names (the first where None); horizon, and whether summed until then."""

    by: str | None = None
    level: float = 0.9
    series: str | None = None
    shock: str | None = None
    horizon: int = 0
    cumulative: bool = False


def over_pairs(
    data: MultiSeries, method: str, effect: Callable[[Pair], Effect], asked: Asked, own: Sequence[str] = ()
) -> Estimate:
    """The answer overall, for all series, or for all shocks; of several pairs ``extra["each"]`` holds the facts.

    `own` are further dimensions that the method breaks an effect down by, with labels of its own.

    Raises
    ------
    EstimandError
        Names that do not exist, or no shock.
    """
    by = asked.by
    if by not in (None, "series", "shock", *own):
        raise EstimandError(f"{method} answers overall and by {', '.join(('series', 'shock', *own))}, not by '{by}'")
    one_series = picked(data.series_names, asked.series, "series", method)
    one_shock = picked(data.shock_names, asked.shock, "shock", method)
    names = {"series": data.series_names, "shock": data.shock_names}.get(str(by), (one_series,))
    found = [effect(pair_of(data, one_series if by == "shock" else n, n if by == "shock" else one_shock)) for n in names]
    several = by in ("series", "shock")
    each = [{str(by): name} | dict(e.extra) for name, e in zip(names, found, strict=True)]
    answer = from_normal(
        [e.value for e in found] if several else found[0].value,
        [e.std_error for e in found] if several else found[0].std_error,
        Estimand("regime_effect", "mean", by),
        method,
        coords={by: list(names) if several else list(found[0].labels)} if by else {},
        level=asked.level,
        df=min(e.df for e in found),
        unit=unit_of("" if by == "series" else one_series, asked.horizon if asked.cumulative else 0),
        extra={"each": each} if several else found[0].extra,
    )
    labels: dict[str, Any] = {"series": one_series, "shock": one_shock} | ({"horizon": asked.horizon} if asked.horizon else {})
    return answer.labelled(**{k: v for k, v in labels.items() if k != by})


def pair_of(data: MultiSeries, series: str, shock: str) -> Pair:
    """One series and one shock, with the other shocks and the controls."""
    k, j = data.series_names.index(series), data.shock_names.index(shock)
    return Pair(data.outcomes[:, k], data.shocks[:, j], np.delete(data.shocks, j, axis=1), data.controls)


def picked(names: Sequence[str], asked: str | None, what: str, method: str) -> str:
    """The one asked for, the first by default; EstimandError where it does not exist."""
    if not names:
        raise EstimandError(f"{method} needs a {what}, and the data have none: name one under `{what}s`")
    if asked is not None and asked not in names:
        raise EstimandError(f"there is no {what} '{asked}'{closest(asked, names)}")
    return names[0] if asked is None else asked


def unit_of(series: str, horizon: int = 0) -> str:
    """Unit of an effect on a series: its own; a sum over dates says so. No unit where several series have each their own."""
    summed = f"summed over {horizon + 1} dates" if horizon else ""
    return ", ".join(part for part in (series, summed) if part)
