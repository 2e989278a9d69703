"""econml's learners on rows of a time series: nuisances from folds of time, standard errors that know rows are correlated.

Double machine learning: Chernozhukov et al. (2018), doi:10.1111/ectj.12097; causal forest: Athey, Tibshirani and Wager (2019),
doi:10.1214/18-AOS1709; doubly robust: Kennedy (2023), doi:10.1214/23-EJS2157. econml itself takes rows for independent: its own
errors stand beside ours, in ``extra["econml"]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayes_causal.baselines.lagged_rows import LaggedRows
from bayes_causal.baselines.series_effects import Effect
from bayes_causal.baselines.time_folds import ForwardFolds, Split
from bayes_causal.errors import EstimandError, closest, needs_extra
from bayes_causal.numerics.newey_west import automatic_lags, ratio_of_means

NUISANCES = ("lasso", "ridge", "linear", "forest")
LEAST = 8  # rows on either side of a threshold in each training fold
CLIPPED = 0.05  # propensities are kept as far from 0 and 1


@dataclass(frozen=True)
class Settings:
    """How nuisances are learnt.

    Parameters
    ----------
    splits : sequence of (training, test) positions
    nuisance : {"lasso", "ridge", "linear", "forest"}
    hac_lags : int, optional
        Of the Newey-West kernel; left out, the automatic choice.
    seed : int
    trees : int
        Of forests; a multiple of four.
    """

    splits: Sequence[Split]
    nuisance: str = "lasso"
    hac_lags: int | None = None
    seed: int = 0
    trees: int = 200

    def __post_init__(self) -> None:
        if self.nuisance not in NUISANCES:
            raise EstimandError(f"nuisance '{self.nuisance}' does not exist{closest(self.nuisance, NUISANCES)}")

    def lags(self, rows: LaggedRows) -> int:
        """Lags of the kernel for the rows that are tested."""
        tested = sum(test.size for _, test in self.splits)
        return automatic_lags(tested, rows.horizon) if self.hac_lags is None else self.hac_lags


def require_econml() -> None:
    """Raise MissingExtraError where econml is not installed."""
    try:
        import econml  # noqa: F401
    except ImportError:
        raise needs_extra("baselines", "econml") from None


def regressor(settings: Settings, purge: int) -> Any:
    """A fresh scikit-learn regressor; its own tuning looks forward only, too, and inside the training rows."""
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.linear_model import LassoCV, LinearRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if settings.nuisance == "linear":
        return LinearRegression()
    if settings.nuisance == "forest":
        return RandomForestRegressor(settings.trees, min_samples_leaf=5, random_state=settings.seed, n_jobs=1)
    if settings.nuisance == "ridge":
        return make_pipeline(StandardScaler(), Ridge(alpha=1.0))
    lasso = make_pipeline(StandardScaler(), LassoCV(cv=ForwardFolds(3, purge), alphas=30, max_iter=5000))
    # econml takes a LassoCV out of a pipeline and tunes it on all rows, those to be tested included; not out of this.
    return TransformedTargetRegressor(lasso)


def classifier(settings: Settings) -> Any:
    """A fresh scikit-learn classifier of which side of the threshold the shock is on."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if settings.nuisance == "forest":
        return RandomForestClassifier(settings.trees, min_samples_leaf=10, random_state=settings.seed, n_jobs=1)
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def linear_effect(rows: LaggedRows, settings: Settings) -> Effect:
    """LinearDML of econml with one effect: residuals of the outcome on residuals of the shock, Newey-West errors."""
    require_econml()
    from econml.dml import LinearDML

    purge = rows.reach
    learner = LinearDML(
        model_y=regressor(settings, purge),
        model_t=regressor(settings, purge),
        cv=list(settings.splits),
        random_state=settings.seed,
    )
    learner.fit(rows.outcome, rows.shock, X=None, W=_known(rows), inference="statsmodels", cache_values=True)
    y, t = (np.ravel(v) for v in learner.residuals_[:2])
    lags = settings.lags(rows)
    value, error = ratio_of_means(y * t, t * t, lags)
    theirs = learner.effect_inference(T0=0, T1=1)
    extra = {"econml": {"value": _one(theirs.point_estimate), "std_error": _one(theirs.stderr)}}
    return Effect(value, error, extra=_facts(rows, settings, lags, y, t) | extra)


def forest_effect(rows: LaggedRows, settings: Settings) -> Effect:
    """CausalForestDML of econml: effects that vary with what was known, averaged by the orthogonal score.

    The score of row i is τ(x_i) + t̃_i (ỹ_i − τ(x_i) t̃_i) / mean t̃², with τ out of the bag.
    """
    require_econml()
    from econml.dml import CausalForestDML

    if not rows.known.shape[1]:
        raise EstimandError("a causal forest needs something that effects may vary with: lags or controls")
    purge = rows.reach
    learner = CausalForestDML(
        model_y=regressor(settings, purge),
        model_t=regressor(settings, purge),
        cv=list(settings.splits),
        n_estimators=settings.trees,
        min_samples_leaf=10,
        random_state=settings.seed,
        n_jobs=1,
    )
    learner.fit(rows.outcome, rows.shock, X=rows.known, cache_values=True)
    y, t, x = (np.squeeze(v) for v in learner.residuals_[:3])
    x = x.reshape(y.size, -1)
    own = learner.model_cate.oob_predict(x).ravel()
    if np.isnan(own).any():
        raise EstimandError(f"{np.isnan(own).sum()} rows are in every tree's sample: more trees than {settings.trees} are needed")
    score = own + t * (y - own * t) / (t @ t / t.size)
    lags = settings.lags(rows)
    value, error = ratio_of_means(score, np.ones_like(score), lags)
    theirs = learner.ate_inference(x, T0=0, T1=1)
    weight = learner.feature_importances_
    extra = {
        "econml": {"value": _one(theirs.mean_point), "std_error": _one(theirs.stderr_mean)},
        "effect_sd": float(own.std(ddof=1)),
        "varies_with": [
            {"column": rows.names[k], "importance": float(weight[k])} for k in np.argsort(-weight, kind="stable")[:10]
        ],
    }
    return Effect(value, error, extra=_facts(rows, settings, lags, y, t) | extra)


def doubly_robust_effect(rows: LaggedRows, settings: Settings, threshold: float) -> Effect:
    """DRLearner of econml on the shock above a threshold or not, as an effect per unit of the shock.

    The same learner says by how much crossing the threshold moves the outcome, and by how much the shock itself; the effect is
    the ratio. Where the effect of the shock is linear it is that of the partially linear model.
    """
    require_econml()
    above = sides(rows, settings, threshold)
    moved, learner = _pseudo_outcomes(rows, settings, rows.outcome, above)
    dose, _ = _pseudo_outcomes(rows, settings, rows.shock, above)
    lags = settings.lags(rows)
    value, error = ratio_of_means(moved, dose, lags)
    contrast, contrast_error = ratio_of_means(moved, np.ones_like(moved), lags)
    theirs = learner.effect_inference(T0=0, T1=1)
    extra = {
        "econml": {"contrast": _one(theirs.point_estimate), "contrast_std_error": _one(theirs.stderr)},
        "threshold": threshold,
        "above": int(above.sum()),
        "contrast": contrast,
        "contrast_std_error": contrast_error,
        "dose": float(dose.mean()),
    }
    return Effect(value, error, extra=_facts(rows, settings, lags) | extra)


def sides(rows: LaggedRows, settings: Settings, threshold: float) -> np.ndarray:
    """(N,) int, 1 where the shock is above the threshold; EstimandError where a training fold has too few on a side."""
    above = (rows.shock > threshold).astype(int)
    fewest = min(min(int(above[train].sum()), int((1 - above[train]).sum())) for train, _ in settings.splits)
    if fewest < LEAST:
        raise EstimandError(
            f"{int(above.sum())} of {above.size} shocks are above the threshold of {threshold:g}, and a training fold holds only "
            f"{fewest} on one side (at least {LEAST} are needed): another threshold or fewer folds"
        )
    return above


def _pseudo_outcomes(rows: LaggedRows, settings: Settings, y: np.ndarray, above: np.ndarray) -> tuple[np.ndarray, Any]:
    """(rows tested,) doubly robust scores of `y` above less below, and the learner; the final stage keeps what it is given."""
    from econml.dr import DRLearner
    from econml.sklearn_extensions.linear_model import StatsModelsLinearRegression

    class Kept(StatsModelsLinearRegression):
        def fit(self, X: Any, y: np.ndarray, **options: Any) -> Any:
            self.given = np.ravel(y)
            return super().fit(X, y, **options)

    learner = DRLearner(
        model_propensity=classifier(settings),
        model_regression=regressor(settings, rows.reach),
        model_final=Kept(),
        min_propensity=CLIPPED,
        cv=list(settings.splits),
        random_state=settings.seed,
    )
    learner.fit(y, above, X=None, W=_known(rows))
    return learner.model_cate(T=1).given, learner


def _known(rows: LaggedRows) -> np.ndarray:
    """What nuisances are learnt from: a column of ones, a mean, where nothing is known."""
    return rows.known if rows.known.shape[1] else np.ones((rows.outcome.size, 1))


def _facts(
    rows: LaggedRows, settings: Settings, lags: int, y: np.ndarray | None = None, t: np.ndarray | None = None
) -> dict[str, Any]:
    tested = np.sort(np.concatenate([test for _, test in settings.splits]))
    facts: dict[str, Any] = {
        "nobs": int(tested.size),
        "hac_lags": lags,
        "nuisance": settings.nuisance,
        "columns": len(rows.names),
    }
    if y is not None and t is not None:
        # Shares of variance that what was known explains out of the fold; below zero where it predicts worse than a mean.
        facts["r_squared_outcome"] = 1 - float(np.mean(y**2) / rows.outcome[tested].var())
        facts["r_squared_shock"] = 1 - float(np.mean(t**2) / rows.shock[tested].var())
    return facts


def _one(value: Any) -> float:
    return float(np.ravel(value)[0])
