"""Differences-in-differences with donors weighed: all alike, or so that units and periods resemble the treated ones.

Arkhangelsky, Athey, Hirshberg, Imbens and Wager (2021), doi:10.1257/aer.20190159. Treated units with the same periods are
averaged and share weights; with staggered dates each date is a comparison of its own, averaged over treated cells (Clarke et al.
2023, doi:10.1177/1536867X241297914).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bayes_causal.baselines.assessed import Ask, By, Inference, Method, assess
from bayes_causal.baselines.donors import Case, Choice
from bayes_causal.baselines.simplex import simplex_weights
from bayes_causal.baselines.synthetic import Weights

if TYPE_CHECKING:
    from bayes_causal.data.panel import Panel
    from bayes_causal.estimates import Estimate

TIME_PENALTY = 1e-6  # on time weights, in standard deviations of the outcome's changes: makes them unique, no more


def sdid(
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
    """Synthetic differences-in-differences: unit weights, with an intercept and a ridge, and time weights.

    Parameters
    ----------
    by : {"time", "event_time", "unit"}, optional
    donors, exclude, missing, placebos, seed
        As in `sc_classic`.
    inference : {"auto", "placebo", "jackknife", "none"}
        Auto: placebos where donors outnumber treated units, else the jackknife, which one treated unit does not have.

    Returns
    -------
    Estimate
        Intervals and p-value are the normal ones of the standard error, as in the paper; ``extra["p_value_att"]`` is the rank
        among placebos. ``extra``: weights, time_weights, unit_penalty, noise, and as in `sc_classic`.

    Raises
    ------
    EstimandError
        A question or option that does not exist, or no treated unit with a donor and two periods before.
    """
    method = Method("sdid", _synthetic_did, True, least=2, normal=True)
    return assess(panel, method, Choice(donors, exclude, missing), Ask(by, level, inference, placebos, seed))


def did_simple(
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
    """Two-by-two difference of means: the change of treated units less the change of all donors, every period alike.

    Parameters, returns and errors are those of `sdid`; the weights are equal.
    """

    def weigh(case: Case) -> Weights:
        n, before = len(case.donors), int(case.before.sum())
        return Weights(np.full(n, 1 / n), np.full(before, 1 / before))

    method = Method("did_simple", weigh, True, normal=True)
    return assess(panel, method, Choice(donors, exclude, missing), Ask(by, level, inference, placebos, seed))


def _synthetic_did(case: Case) -> Weights:
    """Unit weights against the treated mean before, time weights against the donors' mean after; both with an intercept.

    The penalty on unit weights is (n_treated · n_after)^¼ sd of the donors' first differences, squared, times periods before.
    """
    before, after = case.pool[:, case.before], case.pool[:, ~case.before].mean(1)
    y = case.outcome[:, case.before].mean(0)
    changes = np.diff(before, axis=1)
    noise = float(changes.std(ddof=1)) if changes.size > 1 else 0.0
    penalty = (len(case.units) * (~case.before).sum()) ** 0.25 * noise
    unit = simplex_weights((before - before.mean(1, keepdims=True)).T, y - y.mean(), penalty**2 * len(y))
    time = simplex_weights(before - before.mean(0), after - after.mean(), (TIME_PENALTY * noise) ** 2 * len(after))
    return Weights(unit, time, {"unit_penalty": float(penalty), "noise": noise})
