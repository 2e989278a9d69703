"""The effect of a shock by a network with a likelihood (torch): heteroscedastic, cross-fitted forward, its calibration scored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.baselines.cross_fitted import cross_fitted
from bayes_causal.baselines.lagged_rows import LaggedRows
from bayes_causal.baselines.regime_classifier import require_torch, settings_from, told
from bayes_causal.baselines.series_effects import Asked, Effect, Names
from bayes_causal.baselines.time_folds import Split
from bayes_causal.numerics import scores
from bayes_causal.numerics.newey_west import automatic_lags, ratio_of_means

if TYPE_CHECKING:
    from bayes_causal.data.multi_series import MultiSeries
    from bayes_causal.estimates import Estimate


def torch_effect(
    data: MultiSeries,
    *,
    by: None = None,
    level: float = 0.9,
    series: Names = None,
    shock: Names = None,
    lags: int = 3,
    horizon: int = 0,
    cumulative: bool = False,
    folds: int = 4,
    hidden: int = 32,
    dropout: float = 0.1,
    hac_lags: int | None = None,
    epochs: int = 200,
    patience: int = 20,
    rate: float = 0.01,
    seed: int = 0,
    device: str | None = None,
    profile: bool = False,
) -> Estimate:
    """A network of shock, effect and outcome, all functions of what was known, averaged by the orthogonal score.

    Each test block is predicted by a network that saw earlier blocks alone, stopped early on the last of them. The score of a row
    is τ + (x − m)(y − g − τ x) / mean (x − m)²; `networks.effects` has the letters.

    Parameters
    ----------
    series, shock, lags, horizon, cumulative, hac_lags
        As in `linear_dml`.
    folds : int
        Test blocks; with four, the last is the last fifth of the rows, on which the network's distribution is scored.
    hidden : int
        Width of its two layers.
    dropout, rate : float
    epochs, patience, seed, device, profile
        Of `networks.training.Training`.

    Returns
    -------
    Estimate
        Dims (series, shock): units of the outcome per unit of the shock, Newey-West errors. ``extra["each"]``, by pair: nobs,
        hac_lags, effect_sd, training (of the last block), and held_out: rows, level, coverage of the outcome's intervals, crps
        and log_density, and those of a normal with the training rows' mean and sd.

    Raises
    ------
    EstimandError
        No shock, names, options or a device that do not exist, too few dates.
    MissingExtraError
        torch is not installed.
    """
    require_torch()
    from bayes_causal.baselines.networks.training import Training

    options = {"epochs": epochs, "patience": patience, "rate": rate, "seed": seed, "device": device, "profile": profile}
    settings = settings_from(Training, options)

    def learn(rows: LaggedRows, splits: Sequence[Split]) -> Effect:
        return network_effect(rows, splits, settings, level=level, hac_lags=hac_lags, hidden=hidden, dropout=dropout)

    asked = Asked(by, level, series, shock, horizon, cumulative)
    return cross_fitted(data, "torch_effect", learn, asked, lags=lags, folds=folds)


def network_effect(
    rows: LaggedRows,
    splits: Sequence[Split],
    settings: Any,
    *,
    level: float = 0.9,
    hac_lags: int | None = None,
    hidden: int = 32,
    dropout: float = 0.1,
) -> Effect:
    """The average effect over test rows; the distribution for the last block is scored on it."""
    from bayes_causal.baselines.networks.effects import Predicted, fitted, predicted

    known = rows.known if rows.known.shape[1] else np.zeros((rows.outcome.size, 1))
    blocks, history = [], None
    for train, test in splits:
        module, history = fitted(
            known[train], rows.shock[train], rows.outcome[train], settings, purge=rows.reach, hidden=hidden, dropout=dropout
        )
        blocks.append(predicted(module, known[test], rows.shock[test]))
    train, test = splits[-1]
    held = _scored(rows.outcome[test], blocks[-1].mean, blocks[-1].sd, rows.outcome[train], level)
    every = np.concatenate([test for _, test in splits])
    joined = Predicted(*(np.concatenate([getattr(b, k) for b in blocks]) for k in ("mean", "sd", "effect", "shock")))
    left, moved = rows.outcome[every] - joined.mean, rows.shock[every] - joined.shock
    score = joined.effect + moved * left / np.mean(moved**2)
    lags = automatic_lags(every.size, rows.horizon) if hac_lags is None else hac_lags
    value, error = ratio_of_means(score, np.ones_like(score), lags)
    facts = {"nobs": int(every.size), "hac_lags": lags, "effect_sd": float(joined.effect.std(ddof=1))}
    return Effect(value, error, extra=facts | {"purge": rows.reach, "training": told(history), "held_out": held})


def _scored(y: np.ndarray, mean: np.ndarray, sd: np.ndarray, known: np.ndarray, level: float) -> dict[str, Any]:
    """Coverage, scores and reference of a forecast; outcomes in their unit."""
    from scipy.special import ndtri

    q = ndtri((1 + level) / 2)
    flat = np.full_like(y, known.mean()), np.full_like(y, known.std(ddof=1))
    return {
        "rows": int(y.size),
        "level": level,
        "coverage": float(scores.covered(y, mean - q * sd, mean + q * sd).mean()),
        "crps": float(scores.crps_gaussian(y, mean, sd).mean()),
        "log_density": float(scores.log_density_gaussian(y, mean, sd).mean()),
        "crps_reference": float(scores.crps_gaussian(y, *flat).mean()),
        "log_density_reference": float(scores.log_density_gaussian(y, *flat).mean()),
    }
