"""econml's X-learner, cross-fitted by us, with errors from a bootstrap of blocks of time.

Künzel et al. (2019), doi:10.1073/pnas.1804597116. econml's own takes no folds, and its bootstrap draws single rows: here each
test block is predicted by learners that saw earlier rows alone, and replicates draw blocks within each fold's rows (moving
blocks, Künsch 1989, doi:10.1214/aos/1176347265).
"""

from __future__ import annotations

import numpy as np

from bayes_causal.baselines.lagged_rows import LaggedRows
from bayes_causal.baselines.orthogonal import Settings, classifier, regressor, require_econml, sides
from bayes_causal.baselines.series_effects import Effect
from bayes_causal.errors import EstimandError


def x_effect(rows: LaggedRows, settings: Settings, threshold: float, *, replicates: int = 40) -> Effect:
    """Effect per unit of the shock: what crossing a threshold does to the outcome over what it does to the shock."""
    require_econml()
    if not rows.known.shape[1]:
        raise EstimandError("an X-learner needs something that effects may vary with: lags or controls")
    if settings.nuisance == "lasso":
        raise EstimandError("an X-learner takes nuisances 'ridge', 'linear' and 'forest': outcome and dose share one regression")
    above = sides(rows, settings, threshold)
    every = np.arange(above.size)
    moved, dose = _contrasts(rows, settings, above, every)
    length = settings.lags(rows) + 1
    rng = np.random.default_rng(settings.seed)
    drawn = [_contrasts(rows, settings, above, _resampled(settings, above.size, length, rng)) for _ in range(replicates)]
    kept = np.array([v for v in drawn if np.isfinite(v).all()])
    if len(kept) < 0.9 * replicates or len(kept) < 2:
        raise EstimandError(f"{replicates - len(kept)} of {replicates} bootstrap samples hold one side of the threshold alone")
    ratios = kept[:, 0] / kept[:, 1]
    extra = {
        "nobs": int(sum(test.size for _, test in settings.splits)),
        "nuisance": settings.nuisance,
        "columns": len(rows.names),
        "threshold": threshold,
        "above": int(above.sum()),
        "contrast": moved,
        "contrast_std_error": float(kept[:, 0].std(ddof=1)),
        "dose": dose,
        "replicates": len(kept),
        "block_length": length,
        "econml": {"reason": "econml's X-learner has neither cross-fitting nor an error for dependent rows"},
    }
    return Effect(moved / dose, float(ratios.std(ddof=1)), extra=extra)


def _contrasts(rows: LaggedRows, settings: Settings, above: np.ndarray, take: np.ndarray) -> tuple[float, float]:
    """Mean effect of crossing the threshold on outcome and on shock over test rows; NaN where a training set has one side.

    `take` (N,) puts a row into each place: itself, or in a replicate another one of the same fold.
    """
    from econml.metalearners import XLearner

    both = np.column_stack([rows.outcome, rows.shock])
    effects = []
    for train, test in settings.splits:
        fit, held = take[train], take[test]
        if np.bincount(above[fit], minlength=2).min() < 2:
            return np.nan, np.nan
        learner = XLearner(models=regressor(settings, rows.reach), propensity_model=classifier(settings))
        learner.fit(both[fit], above[fit], X=rows.known[fit])
        effects.append(learner.effect(rows.known[held]).reshape(-1, 2))
    moved, dose = np.concatenate(effects).mean(0)
    return float(moved), float(dose)


def _resampled(settings: Settings, n: int, length: int, rng: np.random.Generator) -> np.ndarray:
    """(N,) rows drawn in blocks of consecutive ones, within what is never tested and within each test block."""
    take = np.arange(n)
    blocks = [test for _, test in settings.splits]
    seen = np.unique(np.concatenate(blocks))
    for stretch in [np.setdiff1d(take, seen), *blocks]:
        if stretch.size:
            size = min(length, stretch.size)
            starts = rng.integers(0, stretch.size - size + 1, -(-stretch.size // size))
            take[stretch] = stretch[(starts[:, None] + np.arange(size)).ravel()[: stretch.size]]
    return take
