"""Machine learning of the effect of a shock: double machine learning, causal forests, doubly robust and X-learners.

Each asks what a unit more of a shock does to an outcome `horizon` dates later, given other shocks, controls, and lags of all of
them, averaged over the dates tested. Nuisances come from earlier blocks of time, purged (`time_folds`); random folds would let a
row be predicted from its neighbours. None of this makes a shock exogenous: what lags and controls do not hold still confounds.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from bayes_causal.baselines.cross_fitted import Learn, cross_fitted
from bayes_causal.baselines.crossed_x import x_effect
from bayes_causal.baselines.lagged_rows import LaggedRows
from bayes_causal.baselines.orthogonal import Settings, doubly_robust_effect, forest_effect, linear_effect, require_econml
from bayes_causal.baselines.series_effects import Asked, Effect, Names
from bayes_causal.baselines.time_folds import Split

if TYPE_CHECKING:
    from bayes_causal.data.multi_series import MultiSeries
    from bayes_causal.estimates import Estimate


def linear_dml(
    data: MultiSeries,
    *,
    by: None = None,
    level: float = 0.9,
    series: Names = None,
    shock: Names = None,
    lags: int = 3,
    horizon: int = 0,
    cumulative: bool = False,
    folds: int = 5,
    nuisance: Literal["lasso", "ridge", "linear", "forest"] = "lasso",
    hac_lags: int | None = None,
    seed: int = 0,
) -> Estimate:
    """Double machine learning of one effect for all dates: residuals of the outcome on residuals of the shock (econml).

    Parameters
    ----------
    series, shock : str or sequence of str, optional
        Which ones the answer is about; all if left out.
    lags : int
        Of outcome, shocks and controls.
    horizon : int
        Dates from shock to outcome.
    cumulative : bool
        The outcome summed from the shock's date to the horizon.
    folds : int
        Test blocks of the forward-only folds; rows within the longest lag (or the horizon) before one are purged.
    nuisance : {"lasso", "ridge", "linear", "forest"}
        The lasso is tuned forward-only, inside the training rows.
    hac_lags : int, optional
        Of the Newey-West kernel; left out, the automatic choice.
    seed : int
        Of forests.

    Returns
    -------
    Estimate
        Dims (series, shock): units of the outcome per unit of the shock, Newey-West errors. ``extra["each"]``, by pair: nobs,
        hac_lags, folds, purge, r_squared_outcome and r_squared_shock (out of fold), econml (its own value and error, which takes
        rows for independent), or the reason why there is no value.

    Raises
    ------
    EstimandError
        No shock, names or options that do not exist, too few dates.
    MissingExtraError
        econml is not installed.
    """

    def learn(rows: LaggedRows, splits: Sequence[Split]) -> Effect:
        return linear_effect(rows, Settings(splits, nuisance, hac_lags, seed))

    asked = Asked(by, level, series, shock, horizon, cumulative)
    return cross_fitted(data, "linear_dml", _counted(learn), asked, lags=lags, folds=folds)


def causal_forest_dml(
    data: MultiSeries,
    *,
    by: None = None,
    level: float = 0.9,
    series: Names = None,
    shock: Names = None,
    lags: int = 3,
    horizon: int = 0,
    cumulative: bool = False,
    folds: int = 5,
    nuisance: Literal["lasso", "ridge", "linear", "forest"] = "lasso",
    hac_lags: int | None = None,
    trees: int = 200,
    seed: int = 0,
) -> Estimate:
    """A causal forest on the same residuals: effects that vary with lags and controls, averaged over the dates tested (econml).

    Parameters, returns and errors are those of `linear_dml`; ``extra["each"]`` also has effect_sd, the spread of the effects, and
    varies_with, the columns they vary with. The forest's own trees are grown on all tested rows.
    """

    def learn(rows: LaggedRows, splits: Sequence[Split]) -> Effect:
        return forest_effect(rows, Settings(splits, nuisance, hac_lags, seed, trees))

    asked = Asked(by, level, series, shock, horizon, cumulative)
    return cross_fitted(data, "causal_forest_dml", _counted(learn), asked, lags=lags, folds=folds)


def dr_learner(
    data: MultiSeries,
    *,
    by: None = None,
    level: float = 0.9,
    series: Names = None,
    shock: Names = None,
    threshold: float = 0.0,
    lags: int = 3,
    horizon: int = 0,
    cumulative: bool = False,
    folds: int = 5,
    nuisance: Literal["lasso", "ridge", "linear", "forest"] = "lasso",
    hac_lags: int | None = None,
    seed: int = 0,
) -> Estimate:
    """Doubly robust learner on a shock made binary, above a threshold or not, as an effect per unit of the shock (econml).

    What crossing the threshold does to the outcome over what it does to the shock itself, both by the same learner; where the
    effect is linear in the shock it is the effect of a unit. ``threshold`` is in units of the shock. Other parameters, returns
    and errors are those of `linear_dml`; ``extra["each"]`` also has contrast (the effect of crossing), dose and the number above.
    """

    def learn(rows: LaggedRows, splits: Sequence[Split]) -> Effect:
        return doubly_robust_effect(rows, Settings(splits, nuisance, hac_lags, seed), threshold)

    asked = Asked(by, level, series, shock, horizon, cumulative)
    return cross_fitted(data, "dr_learner", _counted(learn), asked, lags=lags, folds=folds)


def x_learner(
    data: MultiSeries,
    *,
    by: None = None,
    level: float = 0.9,
    series: Names = None,
    shock: Names = None,
    threshold: float = 0.0,
    lags: int = 3,
    horizon: int = 0,
    cumulative: bool = False,
    folds: int = 3,
    nuisance: Literal["ridge", "linear", "forest"] = "ridge",
    replicates: int = 40,
    seed: int = 0,
) -> Estimate:
    """X-learner on a shock made binary, above a threshold or not, as an effect per unit of the shock (econml's, cross-fitted).

    Parameters, returns and errors are those of `dr_learner`, but for the errors of the answer: they are from a bootstrap of
    blocks of time, `replicates` of them (econml's X-learner has none for dependent rows).
    """

    def learn(rows: LaggedRows, splits: Sequence[Split]) -> Effect:
        return x_effect(rows, Settings(splits, nuisance, None, seed), threshold, replicates=replicates)

    asked = Asked(by, level, series, shock, horizon, cumulative)
    return cross_fitted(data, "x_learner", _counted(learn), asked, lags=lags, folds=folds)


def _counted(learn: Learn) -> Learn:
    """The same, which also says how many fits inside stopped early, by scikit-learn's warnings; other warnings are passed on."""

    def learnt(rows: LaggedRows, splits: Sequence[Split]) -> Effect:
        """The effect, with the number of such fits."""
        require_econml()
        from sklearn.exceptions import ConvergenceWarning

        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", ConvergenceWarning)
            found = learn(rows, splits)
        for other in said:
            if not issubclass(other.category, ConvergenceWarning):
                warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
        stopped = sum(issubclass(w.category, ConvergenceWarning) for w in said)
        return replace(found, extra={**found.extra, "fits_not_converged": stopped})

    return learnt
