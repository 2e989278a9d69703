"""What is learnt of shocks from rows with lags and from folds of time that only look back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bayes_causal.baselines.lagged_rows import LaggedRows, lagged_rows
from bayes_causal.baselines.series_effects import Asked, Effect, Pair, over_pairs
from bayes_causal.baselines.time_folds import ForwardFolds, Split

if TYPE_CHECKING:
    from bayes_causal.data.multi_series import MultiSeries
    from bayes_causal.estimates import Estimate

Learn = Callable[[LaggedRows, Sequence[Split]], Effect]


def cross_fitted(data: MultiSeries, method: str, learn: Learn, asked: Asked, *, lags: int, folds: int) -> Estimate:
    """The answer for every series and shock, each fold purged by as many rows as two rows share.

    ``extra["each"]`` gains folds, purge and lags.

    Raises
    ------
    EstimandError
        No shock, names that do not exist, too few dates.
    """

    def effect(pair: Pair) -> Effect:
        """Of one shock on one series."""
        rows = lagged_rows(
            pair.outcome,
            pair.shock,
            pair.others,
            pair.controls,
            lags=lags,
            horizon=asked.horizon,
            cumulative=asked.cumulative,
        )
        found = learn(rows, list(ForwardFolds(folds, rows.reach).split(rows.outcome.size)))
        return replace(found, extra={**found.extra, "folds": folds, "purge": rows.reach, "lags": lags})

    return over_pairs(data, method, effect, asked)
