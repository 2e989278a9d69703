"""Predictors of synthetic control: one number a unit from a column over periods, and how much each of them counts.

Abadie, Diamond and Hainmueller (2010), doi:10.1198/jasa.2009.ap08746: donor weights W(V) match the predictors, weighed by V;
V is chosen so that the outcomes before the treatment are matched best.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.baselines.simplex import simplex_weights
from bayes_causal.errors import EstimandError, closest

if TYPE_CHECKING:
    from bayes_causal.data.panel import Panel

OPERATIONS: dict[str, Callable[..., Any]] = {
    "mean": np.nanmean,
    "median": np.nanmedian,
    "sum": np.nansum,
    "min": np.nanmin,
    "max": np.nanmax,
}
WEIGHTED = ("nested", "regression", "equal")
STEPS = 1000  # of Nelder and Mead's simplex, a start


@dataclass(frozen=True, eq=False)
class Traits:
    """Predictors of every unit: (U, K) values, NaN where a unit has none; nothing where K = 0."""

    names: tuple[str, ...] = ()
    values: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))

    def of(self, panel: Panel) -> np.ndarray:
        """(U, K) values, (U, 0) without predictors."""
        return self.values if self.names else np.empty((panel.observed.shape[0], 0))

    def missing(self, panel: Panel, unit: int) -> str:
        """Names of the predictors a unit lacks."""
        return ", ".join(n for n, v in zip(self.names, self.of(panel)[unit], strict=True) if not np.isfinite(v))


def read_traits(panel: Panel, predictors: Sequence[str] | None, periods: Any, special: Sequence[Sequence[Any]] | None) -> Traits:
    """The predictors that a study names.

    Parameters
    ----------
    predictors : names of columns, each averaged over `periods`
    periods : periods of `predictors`; by default all before the first treatment of the panel
    special : (column, periods[, operation]) each

    Raises
    ------
    EstimandError
        Columns, periods or operations that do not exist, all in one message.
    """
    named = [predictors] if isinstance(predictors, str) else list(predictors or ())
    if periods is None:
        periods = panel.dataset["time"].values[: int(panel.treated.any(0).argmax())]
        said = "before"
    else:
        said = _said(periods)
    entries: list[tuple[str, Any, str, str]] = [(name, periods, "mean", f"{name} ({said})") for name in named]
    problems: list[str] = []
    for entry in special or ():
        if isinstance(entry, str) or not isinstance(entry, Sequence) or len(entry) not in (2, 3):
            problems.append(f"special predictor {entry!r} is not [column, periods] or [column, periods, operation]")
            continue
        operation = str(entry[2]) if len(entry) == 3 else "mean"
        mark = "" if operation == "mean" else f"{operation} "
        entries.append((str(entry[0]), entry[1], operation, f"{entry[0]} ({mark}{_said(entry[1])})"))
    values = []
    for name, when, operation, _ in entries:
        try:
            values.append(_trait(panel, name, when, operation))
        except EstimandError as error:
            problems.append(str(error))
    if problems:
        raise EstimandError("; ".join(problems))
    return Traits(tuple(e[3] for e in entries), np.stack(values, 1) if values else np.empty((0, 0)))


def positions(panel: Panel, given: Any, what: str) -> np.ndarray:
    """Positions of periods: one, a list of them, or ``"first:last"`` and ``"first:last:step"``.

    Raises
    ------
    EstimandError
        Periods that the panel does not have.
    """
    labels = panel.dataset["time"].values
    if isinstance(given, str) and ":" in given:
        first, last, *step = given.split(":")
        ends = [_as_time(v, labels, what) for v in (first, last)]
        inside = np.flatnonzero((labels >= ends[0]) & (labels <= ends[1]))
        found = inside[:: int(step[0]) if step else 1]
        unknown: list[Any] = [] if found.size else [given]
    else:
        several = [given] if isinstance(given, (str, int, float)) or np.ndim(given) == 0 else list(given)
        asked = [_as_time(v, labels, what) for v in several]
        unknown = [v for v, t in zip(several, asked, strict=True) if t not in labels]
        found = np.array([int(np.flatnonzero(labels == t)[0]) for t in asked if t in labels], int)
    if unknown:
        raise EstimandError(f"{what}: the panel has no period {', '.join(map(str, unknown))}; it has {labels[0]} to {labels[-1]}")
    return found


def nested_weights(
    traits: np.ndarray, pool: np.ndarray, y: np.ndarray, outcomes: np.ndarray, how: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Donor weights and predictor weights.

    Parameters
    ----------
    traits, pool : (K,) and (J, K) predictors
    y, outcomes : (T,) and (J, T) outcomes to be matched
    how : "nested", "regression", "equal", or K numbers
        Nested: V of the smallest mean squared error of the outcomes that Nelder and Mead's search finds, from equal weights and
        from those of the regression. It is a local optimum: the surface has flat parts and many of them.

    Returns
    -------
    w : (J,) donor weights
    v : (K,) predictor weights, adding up to one
    """
    spread = np.vstack([pool, traits]).std(0, ddof=1)
    spread = np.where(spread > 0, spread, 1.0)
    x1, x0 = traits / spread, (pool / spread).T

    def donors(v: np.ndarray) -> np.ndarray:
        root = np.sqrt(np.abs(v) / np.abs(v).sum())
        return simplex_weights(root[:, None] * x0, root * x1)

    def loss(v: np.ndarray) -> float:
        return float(np.mean((y - donors(v) @ outcomes) ** 2)) if np.abs(v).sum() > 0 else np.inf

    equal = np.full(len(traits), 1 / len(traits))
    if how == "equal":
        v = equal
    elif how == "regression":
        v = _regression(x1, x0, y, outcomes)
    elif how == "nested":
        v = _best(loss, [equal, _regression(x1, x0, y, outcomes)])
    else:
        v = _given(how, len(traits))
    v = np.abs(v) / np.abs(v).sum()
    return donors(v), v


def _best(loss: Callable[[np.ndarray], float], starts: list[np.ndarray]) -> np.ndarray:
    from scipy.optimize import minimize

    found = [minimize(loss, v, method="Nelder-Mead", options={"maxiter": STEPS}) for v in starts]
    return np.asarray(min(found, key=lambda r: float(r.fun)).x)


def _regression(x1: np.ndarray, x0: np.ndarray, y: np.ndarray, outcomes: np.ndarray) -> np.ndarray:
    """(K,) sums over periods of squared coefficients of the outcomes on the scaled predictors, over all units."""
    x = np.column_stack([np.ones(x0.shape[1] + 1), np.vstack([x0.T, x1])])
    beta = np.linalg.lstsq(x, np.vstack([outcomes, y]), rcond=None)[0][1:]
    size = (beta**2).sum(1)
    return np.asarray(size / size.sum()) if size.sum() > 0 else np.full(len(x1), 1 / len(x1))


def _given(how: Any, k: int) -> np.ndarray:
    if isinstance(how, str):
        raise EstimandError(f"predictor_weights '{how}' do not exist{closest(how, WEIGHTED)}; or give one number a predictor")
    v = np.asarray(how, float)
    if v.shape != (k,) or not np.isfinite(v).all() or (v < 0).any() or v.sum() == 0:
        raise EstimandError(f"predictor_weights must be {WEIGHTED} or {k} numbers from 0 up, one a predictor, and are {how!r}")
    return v


def _trait(panel: Panel, name: str, periods: Any, operation: str) -> np.ndarray:
    if operation not in OPERATIONS:
        raise EstimandError(f"operation '{operation}' of predictor '{name}' does not exist{closest(operation, OPERATIONS)}")
    values = _column(panel, name)[:, positions(panel, periods, f"predictor '{name}'")]
    out = np.full(len(values), np.nan)
    some = np.isfinite(values).any(1)
    out[some] = OPERATIONS[operation](values[some], axis=1)
    return out


def _column(panel: Panel, name: str) -> np.ndarray:
    """(U, T) values of the outcome, a predictor or a covariate, NaN where missing."""
    data = panel.dataset
    if name == panel.outcome_name:
        return np.asarray(data["outcome"].values)
    known: list[str] = [panel.outcome_name]
    for dim in ("predictor", "covariate"):
        held = [str(v) for v in data[dim].values] if f"{dim}s" in data else []
        if name in held:
            return np.asarray(data[f"{dim}s"].values[:, :, held.index(name)])
        known += held
    raise EstimandError(f"predictor '{name}' is no column of the panel{closest(name, known)}: list it under data.predictors")


def _as_time(value: Any, labels: np.ndarray, what: str) -> Any:
    try:
        if labels.dtype.kind == "M":
            return np.datetime64(value.isoformat() if hasattr(value, "isoformat") else str(value), "ns")
        return float(value) if labels.dtype.kind in "if" else value
    except (TypeError, ValueError) as error:
        raise EstimandError(
            f"{what}: {value!r} is no period of the panel, which runs from {labels[0]} to {labels[-1]}"
        ) from error


def _said(periods: Any) -> str:
    if isinstance(periods, (list, tuple, range, np.ndarray)):
        several = [str(p) for p in periods]
        return several[0] if len(several) == 1 else f"{several[0]} to {several[-1]}, {len(several)} periods"
    return str(periods)
