"""The common language of every method, Bayesian or not: what is asked, and what is answered.

An `Estimand` names the question, an `Estimate` holds one method's answer to it, `compare` sets answers side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from bayes_causal.errors import EstimandError, closest

if TYPE_CHECKING:
    import pandas as pd

ESTIMANDS = {
    "att": "average effect on the treated",
    "cumulative": "sum of the effect over the post period",
    "relative": "effect as a fraction of the mean counterfactual",
    "ate": "average effect",
    "cate": "conditional average effect",
    "late": "complier-average effect",
    "rd": "effect at the cutoff",
    "regime_effect": "response to a unit shock, by regime",
}
DIMS = ("outcome", "arm", "cohort", "group", "event_time", "time", "unit", "regime", "series", "shock", "horizon")
COLUMNS = ("value", "std_error", "lower", "upper")


@dataclass(frozen=True)
class Estimand:
    """What is asked.

    Parameters
    ----------
    name : str
        One of `ESTIMANDS`.
    scale : {"mean", "realised"}
        An effect parameter, or the effect on the outcome that happened (its interval carries all predictive noise).
    by : str, optional
        The dimension the answer is broken down by, one of `DIMS`; None is the overall effect.

    Raises
    ------
    EstimandError
        A name, scale or dimension that does not exist, with the closest one that does.
    """

    name: str = "att"
    scale: Literal["mean", "realised"] = "mean"
    by: str | None = None

    def __post_init__(self) -> None:
        for value, valid, what in (
            (self.name, ESTIMANDS, "estimand"),
            (self.scale, ("mean", "realised"), "scale"),
            (self.by, DIMS, "by"),
        ):
            if value is not None and value not in valid:
                raise EstimandError(f"{what} '{value}' does not exist{closest(str(value), valid)}")

    def __str__(self) -> str:
        return f"{self.name} ({self.scale}{f', by {self.by}' if self.by else ''})"


@dataclass(frozen=True, eq=False)
class Estimate:
    """One method's answer to an estimand.

    Parameters
    ----------
    estimand : Estimand
    method : str
        Name of the model or baseline.
    framework : {"bayesian", "frequentist"}
    table : xarray.Dataset
        `value`, `std_error`, `lower`, `upper` in units of the outcome, and `prob_positive`, `prob_rope` or `p_value` where they
        exist. Dims: the estimand's `by`, none if it has none. Scalar coordinates (an outcome's name, say) label the whole answer.
    level : float
        Nominal probability of the interval, as 0.9.
    interval_kind : {"credible", "confidence"}
    unit : str
        Unit of the values: the outcome's name, unless the data say better.
    draws : xarray.DataArray, optional
        (chain, draw[, by]) draws of the answer.
    extra : mapping
        What the field expects beside the number: clusters, degrees of freedom, and so on. JSON can write it.
        ``extra["reason"]`` says why there is no value.
    """

    estimand: Estimand
    method: str
    framework: Literal["bayesian", "frequentist"]
    table: xr.Dataset
    level: float
    interval_kind: Literal["credible", "confidence"]
    unit: str = ""
    draws: xr.DataArray | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def value(self) -> xr.DataArray:
        """Point estimate (posterior mean, or the estimator), dims of the estimand."""
        return self.table["value"]

    @property
    def std_error(self) -> xr.DataArray:
        """Posterior sd, or standard error, dims of the estimand."""
        return self.table["std_error"]

    @property
    def lower(self) -> xr.DataArray:
        """Lower end of the interval, dims of the estimand."""
        return self.table["lower"]

    @property
    def upper(self) -> xr.DataArray:
        """Upper end of the interval, dims of the estimand."""
        return self.table["upper"]

    def labelled(self, **labels: str) -> Estimate:
        """The same answer with scalar coordinates added, as ``labelled(outcome="units")``."""
        return replace(self, table=self.table.assign_coords(labels))

    def rows(self) -> list[dict[str, Any]]:
        """One dict a value, as `estimates.json` holds them; numbers that do not exist are None.

        `extra` is complete in the first row; later ones repeat its numbers and words, not its tables.
        """
        shared = {
            "method": self.method,
            "framework": self.framework,
            "estimand": self.estimand.name,
            "scale": self.estimand.scale,
        }
        probs = ("prob_positive", "prob_rope") + (("p_value",) if self.framework == "frequentist" else ())
        dims = self.value.dims
        labels = {str(k): self.table[k].broadcast_like(self.value).transpose(*dims).values for k in self.table.coords}
        numbers = {c: self.table[c].transpose(*dims).values for c in (*COLUMNS, *probs) if c in self.table}
        rows: list[dict[str, Any]] = []
        for index in np.ndindex(*self.value.shape):
            by = {k: _plain(v[index]) for k, v in labels.items()}
            row = shared | {"by": by} | {c: _number(numbers[c][index].item()) for c in COLUMNS}
            row |= {"level": self.level, "interval_kind": self.interval_kind}
            row |= {c: _number(numbers[c][index].item()) if c in numbers else None for c in probs}
            # Tables that belong to the whole answer stand in its first row only.
            extra = {k: v for k, v in self.extra.items() if not rows or not isinstance(v, (list, dict, tuple))}
            rows.append(row | {"unit": self.unit, "extra": extra})
        return rows

    def __repr__(self) -> str:
        if self.value.ndim == 0:
            r = self.rows()[0]
            if r["value"] is None:
                return f"<Estimate {self.estimand} by {self.method}: none, {self.extra.get('reason', 'no reason given')}>"
            inside = f"{r['value']:.4g} [{_short(r['lower'])}, {_short(r['upper'])}] {self.level:.0%} {self.interval_kind}"
            return f"<Estimate {self.estimand} by {self.method}: {inside}>"
        return f"<Estimate {self.estimand} by {self.method}: {self.value.size} values>"


def from_draws(
    draws: xr.DataArray,
    estimand: Estimand,
    method: str,
    *,
    level: float = 0.9,
    interval: Literal["eti", "hdi"] = "eti",
    rope: Sequence[float] | None = None,
    unit: str = "",
    extra: Mapping[str, Any] | None = None,
) -> Estimate:
    """A Bayesian estimate from posterior draws (chain, draw[, by]) of the estimand."""
    sample = ("chain", "draw")
    if interval == "eti":
        ends = draws.quantile([(1 - level) / 2, (1 + level) / 2], dim=sample).drop_vars("quantile")
        lower, upper = ends.isel(quantile=0), ends.isel(quantile=1)
    else:
        lower, upper = _hdi(draws, level)
    table = xr.Dataset(
        {
            "value": draws.mean(sample),
            "std_error": draws.std(sample, ddof=1),
            "lower": lower,
            "upper": upper,
            "prob_positive": (draws > 0).mean(sample),
        }
    )
    if rope is not None:
        low, high = rope
        table["prob_rope"] = ((draws >= low) & (draws <= high)).mean(sample)
    return Estimate(
        estimand, method, "bayesian", table, level, "credible", unit, draws, {"interval": interval} | dict(extra or {})
    )


def from_normal(
    value: Any,
    std_error: Any,
    estimand: Estimand,
    method: str,
    *,
    coords: Mapping[str, Any] | None = None,
    level: float = 0.9,
    df: float = np.inf,
    unit: str = "",
    extra: Mapping[str, Any] | None = None,
    **overrides: Any,
) -> Estimate:
    """A frequentist estimate from a point estimate and its standard error.

    Parameters
    ----------
    value, std_error : float or (K,) array, in units of the outcome
    coords : mapping of one dim to its K labels, where the estimand has a `by`
    df : float
        Degrees of freedom of the t reference distribution; infinite is the normal.
    overrides
        `lower`, `upper`, `p_value` computed some other way (a bootstrap, say).
    """
    from scipy.special import stdtr, stdtrit

    dims = tuple(coords or ())
    value, std_error = np.asarray(value, float), np.asarray(std_error, float)
    q = stdtrit(min(df, 1e9), (1 + level) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        p_value = 2 * stdtr(min(df, 1e9), -np.abs(value / std_error))
    columns = {
        "value": value,
        "std_error": std_error,
        "lower": value - q * std_error,
        "upper": value + q * std_error,
        "p_value": p_value,
    } | overrides
    table = xr.Dataset(
        {k: (dims, np.broadcast_to(np.asarray(v, float), value.shape)) for k, v in columns.items()}, coords=dict(coords or {})
    )
    return Estimate(estimand, method, "frequentist", table, level, "confidence", unit, None, dict(extra or {}))


def not_applicable(estimand: Estimand, method: str, reason: str, *, level: float = 0.9, unit: str = "") -> Estimate:
    """A frequentist row without a value that says why: a baseline that does not apply is never silent."""
    nan = xr.Dataset({c: ((), np.nan) for c in (*COLUMNS, "p_value")})
    overall = replace(estimand, by=None)
    return Estimate(overall, method, "frequentist", nan, level, "confidence", unit, None, {"reason": reason})


def compare(estimates: Iterable[Estimate]) -> pd.DataFrame:
    """Every answer to one question, side by side.

    The first estimate is the headline; ``difference_in_se`` is each value's distance from it in the larger of the two
    standard errors.

    Returns
    -------
    pandas.DataFrame
        Columns estimand, scale, by, method, framework, value, std_error, lower, upper, level, difference_in_se.

    Raises
    ------
    EstimandError
        No estimates, or estimates of different estimands or units.
    """
    import pandas as pd

    estimates = list(estimates)
    if not estimates:
        raise EstimandError("nothing to compare: the list of estimates is empty")
    asked = {(e.estimand, e.unit) for e in estimates}
    if len(asked) > 1:
        names = "; ".join(sorted(f"{e.method}: {e.estimand} in '{e.unit}'" for e in estimates))
        raise EstimandError(f"these estimates answer different questions and are not compared: {names}")
    rows = [row for e in estimates for row in e.rows()]
    head = {_key(r["by"]): r for r in estimates[0].rows()}
    for row in rows:
        row["difference_in_se"] = difference_in_se(row, head.get(_key(row["by"])))
    keep = ["estimand", "scale", "by", "method", "framework", *COLUMNS, "level", "difference_in_se"]
    return pd.DataFrame(rows)[keep]


def difference_in_se(row: Mapping[str, Any], head: Mapping[str, Any] | None) -> float | None:
    """Distance of one row's value from the headline's in the larger standard error; None where either has none."""
    if head is None or None in (row["value"], head["value"], row["std_error"], head["std_error"]):
        return None
    se = max(row["std_error"], head["std_error"])
    return (row["value"] - head["value"]) / se if se > 0 else None


def _hdi(draws: xr.DataArray, level: float) -> tuple[xr.DataArray, xr.DataArray]:
    """Shortest interval holding `level` of the draws, one for each value of the other dims."""
    flat = draws.stack(sample=("chain", "draw")).transpose(..., "sample")
    x = np.sort(flat.values, axis=-1)
    n = x.shape[-1]
    k = min(int(np.floor(level * n)), n - 1)
    width = x[..., k:] - x[..., : n - k]
    start = width.argmin(-1)
    low = np.take_along_axis(x, start[..., None], -1)[..., 0]
    high = np.take_along_axis(x, start[..., None] + k, -1)[..., 0]
    like = flat.isel(sample=0, drop=True).drop_vars(["chain", "draw", "sample"], errors="ignore")
    return like.copy(data=low), like.copy(data=high)


def _key(by: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((k, str(v)) for k, v in by.items()))


def _plain(value: Any) -> Any:
    """A label as JSON can write it; a date without its midnight."""
    if isinstance(value, np.datetime64):
        day = value.astype("datetime64[D]")
        return str(day if day == value else value.astype("datetime64[s]"))
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def _number(value: Any) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
