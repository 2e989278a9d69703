"""Synthetic control: what the treated unit would have been, from an average of units without treatment that moved as it did.

Abadie, Diamond and Hainmueller (2010), doi:10.1198/jasa.2009.ap08746; with an intercept, Doudchenko and Imbens (2016),
doi:10.3386/w22791, and Ferman and Pinto (2021), doi:10.3982/QE1596; augmented, Ben-Michael, Feller and Rothstein (2021),
doi:10.1080/01621459.2021.1929245. Each treated unit has its own weights; effects are averaged over treated cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bayes_causal.baselines.assessed import Ask, By, Inference, Method, assess
from bayes_causal.baselines.donors import Case, Choice
from bayes_causal.baselines.simplex import determined, ridge_weights, simplex_weights
from bayes_causal.baselines.synthetic import Weights
from bayes_causal.baselines.traits import nested_weights, read_traits
from bayes_causal.errors import EstimandError

if TYPE_CHECKING:
    from bayes_causal.data.panel import Panel
    from bayes_causal.estimates import Estimate

PENALTIES = 20  # steps of the grid from the largest squared singular value to 1e-8 of it
SMALLEST = 1e-8


def sc_classic(
    panel: Panel,
    *,
    by: By = None,
    level: float = 0.9,
    donors: Sequence[Any] | None = None,
    exclude: Sequence[Any] = (),
    missing: Literal["drop_donors", "drop_periods"] = "drop_donors",
    predictors: Sequence[str] | None = None,
    predictor_periods: Any = None,
    special_predictors: Sequence[Sequence[Any]] | None = None,
    predictor_weights: Any = "nested",
    fit_periods: Any = None,
    inference: Inference = "auto",
    placebos: int = 200,
    seed: int = 0,
) -> Estimate:
    """Classic synthetic control: positive weights that add up to one, no intercept.

    Parameters
    ----------
    by : {"time", "event_time", "unit"}, optional
    donors, exclude : labels of units, optional
        Donors are the units without treatment, unless named; `exclude` leaves some out.
    missing : {"drop_donors", "drop_periods"}
        Donors with a missing cell in a period needed are left out, or the periods in which any has one. Cells of a unit treated
        later are missing from its own start on.
    predictors : columns of the panel, averaged over `predictor_periods` (default: all before the first treatment)
        Left out, with no special ones either, every outcome before the treatment is matched.
    special_predictors : (column, periods[, operation]) each
        Operation: mean, median, sum, min, max. Periods, here and elsewhere: one, a list, ``"1961:1969"`` or ``"1961:1969:2"``.
    predictor_weights : {"nested", "regression", "equal"} or numbers
        Nested: those with which outcomes are matched best (Abadie, Diamond and Hainmueller 2010). Regression: squared
        coefficients of outcomes on predictors, the default of Stata's ``synth``. Or one number a predictor.
    fit_periods : periods, optional
        Whose outcomes are matched; by default all before the treatment. Treated ones may be named, as published studies did.
    inference : {"auto", "placebo", "jackknife", "conformal", "none"}
        Auto: placebos in space where donors outnumber treated units, else the jackknife over units.
    placebos, seed : int
        Random placebo draws, with several treated units; with one, every donor is a placebo once.

    Returns
    -------
    Estimate
        The p-value is the rank of the effect's size among placebos; ``extra`` also has that of the ratio of root mean squared
        errors after and before. ``extra``: weights, donors, donors_dropped, pre_rmspe, rmspe_ratio, p_value_att,
        p_value_rmspe_ratio, placebo_units, effects (all periods), predictors, unique (whether other weights fit as well).

    Raises
    ------
    EstimandError
        A question or option that does not exist, or no treated unit with a donor.
    """
    traits = read_traits(panel, predictors, predictor_periods, special_predictors)

    def weigh(case: Case) -> Weights:
        """Weights of the donors of one case."""
        a, b = case.pool[:, case.fit].T, case.outcome[0, case.fit]
        level_kept = np.zeros(case.before.sum())
        if not traits.names:
            w = simplex_weights(a, b)
            return Weights(w, level_kept, {} if case.stands_for else {"unique": determined(a, b, w)})
        w, v = nested_weights(case.traits[0], case.pool_traits, b, a.T, predictor_weights)
        table = [
            {"predictor": n, "weight": float(k), "treated": float(x), "synthetic": float(s), "donors": float(m)}
            for n, k, x, s, m in zip(traits.names, v, case.traits[0], w @ case.pool_traits, case.pool_traits.mean(0), strict=True)
        ]
        best = float(np.sqrt(np.mean((b - a @ simplex_weights(a, b)) ** 2)))
        return Weights(w, level_kept, {"predictors": table, "smallest_rmspe": best})

    what = "predictors are" if traits.names else "fit_periods are" if fit_periods is not None else ""
    reason = f"conformal intervals match every outcome, and {what} named" if what else ""
    method = Method("sc_classic", weigh, False, conformal=True, no_conformal=reason)
    choice = Choice(donors, exclude, missing, fit_periods, traits)
    ask = Ask(by, level, inference, placebos, seed)
    return assess(panel, method, choice, ask, predictors, predictor_periods, special_predictors, predictor_weights)


def sc_demeaned(
    panel: Panel,
    *,
    by: By = None,
    level: float = 0.9,
    donors: Sequence[Any] | None = None,
    exclude: Sequence[Any] = (),
    missing: Literal["drop_donors", "drop_periods"] = "drop_donors",
    inference: Inference = "auto",
    placebos: int = 200,
    seed: int = 0,
) -> Estimate:
    """Synthetic control of deviations from each unit's own mean before the treatment: donors may lie above or below.

    Parameters, returns and errors are those of `sc_classic`, without predictors.
    """

    def weigh(case: Case) -> Weights:
        """Weights of the donors of one case."""
        a, b = case.pool[:, case.before].T, case.outcome[0, case.before]
        a, b = a - a.mean(0), b - b.mean()
        w = simplex_weights(a, b)
        facts = {} if case.stands_for else {"unique": determined(a, b, w)}
        return Weights(w, np.full(len(b), 1 / len(b)), facts)

    choice = Choice(donors, exclude, missing)
    method = Method("sc_demeaned", weigh, False, conformal=True, least=2)
    return assess(panel, method, choice, Ask(by, level, inference, placebos, seed))


def sc_ridge(
    panel: Panel,
    *,
    by: By = None,
    level: float = 0.9,
    donors: Sequence[Any] | None = None,
    exclude: Sequence[Any] = (),
    missing: Literal["drop_donors", "drop_periods"] = "drop_donors",
    penalty: float | None = None,
    inference: Inference = "auto",
    placebos: int = 200,
    seed: int = 0,
) -> Estimate:
    """Ridge-augmented synthetic control: weights bent to remove what imbalance is left; they may turn negative.

    Parameters
    ----------
    penalty : float, optional
        In squared units of the outcome. Left out, the largest whose error on periods left out one by one is within one standard
        error of the smallest (Ben-Michael, Feller and Rothstein 2021, section 5.3). It is chosen anew for every placebo where one
        unit is treated; where several are, placebos take that of the unit they stand for.

    The others, returns and errors are those of `sc_classic`, without predictors and conformal intervals. ``extra``: penalty, and
    negative_weight (the sum of negative weights).
    """
    if penalty is not None and not penalty > 0:
        raise EstimandError(f"sc_ridge: penalty is {penalty!r}: it must be above 0")
    several = int((panel.treated & panel.observed).any(1).sum()) > 1
    chosen_for: dict[int, float] = {}

    def weigh(case: Case) -> Weights:
        """Weights of the donors of one case."""
        a, b = case.pool[:, case.before].T, case.outcome[0, case.before]
        held = chosen_for.get(case.stands_for[0]) if several and case.stands_for else penalty
        chosen = _penalty(a, b) if held is None else held
        chosen_for[int(case.units[0])] = chosen
        w = ridge_weights(a, b, simplex_weights(a, b), chosen)
        return Weights(w, np.zeros(len(b)), {"penalty": chosen, "negative_weight": float(w[w < 0].sum())})

    choice = Choice(donors, exclude, missing)
    method = Method("sc_ridge", weigh, False, least=1 if penalty else 3)
    return assess(panel, method, choice, Ask(by, level, inference, placebos, seed), penalty)


def _penalty(a: np.ndarray, b: np.ndarray) -> float:
    """The penalty of the one-standard-error rule, over periods (rows) left out one by one."""
    centred = a - a.mean(1, keepdims=True)
    largest = float(np.linalg.norm(centred, 2) ** 2)
    if largest == 0:
        return 1.0
    grid = largest * SMALLEST ** (np.arange(PENALTIES + 1) / PENALTIES)
    errors = np.array([_left_out(a, b, t, grid) for t in range(len(b))])
    mean = errors.mean(0)
    at = int(mean.argmin())
    near = mean <= mean[at] + errors[:, at].std(ddof=1) / np.sqrt(len(b))
    return float(grid[near].max())


def _left_out(a: np.ndarray, b: np.ndarray, t: int, grid: np.ndarray) -> np.ndarray:
    """(penalties,) squared errors of period t by weights from the other periods."""
    rest = np.arange(len(b)) != t
    w = simplex_weights(a[rest], b[rest])
    centred = a[rest] - a[rest].mean(1, keepdims=True)
    values, vectors = np.linalg.eigh(centred @ centred.T)
    left = vectors.T @ (b[rest] - a[rest] @ w)
    bent = (left / (np.maximum(values, 0.0) + grid[:, None])) @ (vectors.T @ centred)
    return np.asarray((b[t] - a[t] @ w - bent @ a[t]) ** 2)
