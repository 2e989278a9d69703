"""Regressions with unit and period effects, run by pyfixest; what `twfe` and `event_study` share.

Column names are ours (x0, x1, …; z0, …), so that no label of a user's data reaches a formula.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.baselines.few_clusters import jackknife
from bayes_causal.baselines.within import Cells, cells
from bayes_causal.errors import EstimandError, closest, needs_extra

if TYPE_CHECKING:
    from bayes_causal.data.panel import Panel

FEW = 50
COLLINEAR = "the treatment does not vary beside the unit and period effects and the covariates"
VCOV = ("CR1", "CR3", "HC1")


class RegressionFailed(EstimandError):
    """The library that runs the regression gave up; the message is its own."""


@dataclass(frozen=True, eq=False)
class Regression:
    """Coefficients of the treatment columns, with their covariance.

    Attributes
    ----------
    labels : (K,) what each coefficient is called
    beta : (K,) coefficients, NaN where not identified
    vcov : (K, K) covariance of the kind `kind`
    kind : {"CR1", "CR3", "HC1"}
    se_cr1, se_hc1 : (K,) standard errors of two kinds, whatever `kind` is
    df : float
        Degrees of freedom of the t reference: clusters − 1 (HC1: rows − regressors).
    terms : covariates' names, with their coefficients and CR1 standard errors (C,)
    extra : mapping for the estimate's `extra`
    """

    labels: tuple[Any, ...]
    beta: np.ndarray
    vcov: np.ndarray
    kind: str
    se_cr1: np.ndarray
    se_hc1: np.ndarray
    df: float
    terms: tuple[tuple[str, ...], np.ndarray, np.ndarray]
    extra: dict[str, Any]

    @property
    def std_error(self) -> np.ndarray:
        """(K,) standard errors; NaN rather than a variance below zero."""
        return _root(self.vcov)

    def coefficients(self, level: float) -> list[dict[str, Any]]:
        """Every coefficient that is not a fixed effect: term, value, std_error, t, p_value, lower, upper."""
        from scipy.special import stdtr, stdtrit

        names, beta, se = self.terms
        rows = [*zip(map(str, self.labels), self.beta, self.std_error, strict=True), *zip(names, beta, se, strict=True)]
        q = float(stdtrit(self.df, (1 + level) / 2))
        out = []
        for term, b, s in rows:
            t = b / s if s > 0 else np.nan
            numbers = {"value": b, "std_error": s, "t": t, "p_value": 2 * stdtr(self.df, -abs(t))}
            numbers |= {"lower": b - q * s, "upper": b + q * s}
            out.append({"term": term} | {k: float(v) if np.isfinite(v) else None for k, v in numbers.items()})
        return out

    def combination(self, weights: np.ndarray) -> tuple[float, float]:
        """Value and standard error of weights (K,) · coefficients."""
        used = weights != 0
        value = float(weights[used] @ self.beta[used])
        return value, float(_root(np.array([[weights[used] @ self.vcov[np.ix_(used, used)] @ weights[used]]]))[0])


def regress(
    panel: Panel,
    columns: np.ndarray,
    labels: Sequence[Any],
    *,
    cluster: str | None = None,
    vcov: str | None = None,
    k_fixef: str = "nonnested",
) -> Regression:
    """Regress the outcome on treatment columns, covariates, unit and period effects.

    Parameters
    ----------
    columns : (K, U, T) array
        Treatment columns over the panel's (unit, time) cells.
    cluster : {"unit", "cluster"}, optional
    vcov : {"CR1", "CR3", "HC1"}, optional
        CR1 by default, CR3 below 50 clusters.
    k_fixef : {"nonnested", "full", "none"}
        Which fixed effects count as regressors in CR1's small-sample factor: those not nested in clusters (as reghdfe
        and fixest), all (as least squares with dummies), none.

    Raises
    ------
    RegressionFailed
        pyfixest gave up.
    MissingExtraError
        pyfixest is not installed.
    """
    if vcov is not None and vcov not in VCOV:
        raise EstimandError(f"vcov '{vcov}' does not exist{closest(vcov, VCOV)}")
    c = cells(panel, cluster)
    names = tuple(str(v) for v in panel.dataset["covariate"].values) if len(c.z) else ()
    fitted = _feols(columns, c, k_fixef)
    k, n = len(labels), c.n_clusters
    beta = fitted["beta"][:k]
    kind, full, note = _choose(vcov, columns, c, fitted, n)
    extra = _facts(panel, c, fitted, k) | {"vcov": kind, "k_fixef": k_fixef}
    extra["notes"] = [m for m in (note, *_notes(extra, labels, beta)) if m]
    terms = (names, fitted["beta"][k:], _root(fitted["cr1"][k:, k:]))
    df = fitted["nobs"] - extra["regressors"] - extra["units"] if kind == "HC1" else n - 1
    return Regression(
        tuple(labels), beta, full, kind, _root(fitted["cr1"][:k, :k]), _root(fitted["hc1"][:k, :k]), float(df), terms, extra
    )


def _feols(columns: np.ndarray, c: Cells, k_fixef: str) -> dict[str, Any]:
    """Coefficients of pyfixest, CR1 and HC1 covariances over [columns, covariates]; NaN where it dropped a column."""
    try:
        import pyfixest
        from pyfixest.errors import EmptyDesignMatrixError, NonConvergenceError
    except ImportError as error:
        raise needs_extra("baselines", "pyfixest") from error
    import pandas as pd

    rows = c.w > 0
    unit, period = np.nonzero(rows)
    x = [f"x{j}" for j in range(len(columns))] + [f"z{j}" for j in range(len(c.z))]
    frame = pd.DataFrame(np.concatenate([columns, c.z])[:, rows].T, columns=x)
    frame = frame.assign(y=c.y[rows], w=c.w[rows], unit=unit, period=period, cluster=c.cluster[unit])
    weights = None if (frame["w"] == 1).all() else "w"
    formula, small_sample = f"y ~ {' + '.join(x)} | unit + period", pyfixest.ssc(k_fixef=k_fixef)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # columns it drops are reported in `notes`; pandas deprecations are its own
        try:
            fit = pyfixest.feols(formula, frame, vcov={"CRV1": "cluster"}, weights=weights, ssc=small_sample, copy_data=False)
        except (ValueError, np.linalg.LinAlgError, NonConvergenceError, EmptyDesignMatrixError) as error:
            if "collinear" in str(error):
                raise RegressionFailed(COLLINEAR) from error
            raise RegressionFailed(f"pyfixest failed: {type(error).__name__}: {error}") from error
        kept = [x.index(name) for name in fit.coef().index]
        out = {"beta": _spread(np.asarray(fit.coef()), kept, len(x)), "cr1": _spread(np.array(fit._vcov), kept, len(x))}
        out["hc1"] = _spread(np.array(fit.vcov("hetero")._vcov), kept, len(x))
    return out | {"nobs": int(fit._N), "rank": len(kept)}


def _spread(a: np.ndarray, kept: list[int], n: int) -> np.ndarray:
    """A vector or matrix over the kept columns, put back among all n."""
    out = np.full((n,) * a.ndim, np.nan)
    out[np.ix_(*[kept] * a.ndim)] = a
    return out


def _choose(vcov: str | None, columns: np.ndarray, c: Cells, fitted: dict[str, Any], n: int) -> tuple[str, np.ndarray, str]:
    """The covariance to report: kind, (K, K) matrix, and a note where it is not the one wanted."""
    k = len(columns)
    wanted = vcov or ("CR3" if n < FEW else "CR1")
    if wanted != "CR3":
        return wanted, fitted[wanted.lower()][:k, :k], ""
    matrix = jackknife(columns, c) if n > 1 else np.full((k, k), np.nan)
    lost = np.isnan(matrix.diagonal()) & ~np.isnan(fitted["beta"][:k])
    if not lost.all():
        note = f"{lost.sum()} coefficients rest on one cluster and have no CR3 standard error"
        return "CR3", matrix, note if lost.any() else ""
    note = "CR3 does not exist: the effect rests on one cluster; CR1 is reported and is far too small with one treated cluster"
    return "CR1", fitted["cr1"][:k, :k], note


def _facts(panel: Panel, c: Cells, fitted: dict[str, Any], k: int) -> dict[str, Any]:
    observed = c.w > 0
    treated = np.unique(c.cluster[(panel.treated & observed).any(1)])
    periods = int(observed.any(0).sum())
    return {
        "clusters": c.n_clusters,
        "cluster_by": c.cluster_name,
        "treated_clusters": int(treated.size),
        "df": c.n_clusters - 1,
        "nobs": fitted["nobs"],
        "units": int(observed.any(1).sum()),
        "singletons": c.singletons,
        "regressors": fitted["rank"] + periods - 1,
        "covariance_rank": min(c.n_clusters, fitted["rank"]),
        "library": "pyfixest",
    }


def _notes(extra: dict[str, Any], labels: Sequence[Any], beta: np.ndarray) -> list[str]:
    notes = []
    if extra["clusters"] < extra["regressors"]:
        notes.append(
            f"{extra['clusters']} clusters and {extra['regressors']} regressors beside the unit effects: their clustered "
            f"covariance has rank {extra['clusters']} at most; only treatment and covariates get standard errors"
        )
    if extra["clusters"] < FEW:
        notes.append(f"{extra['clusters']} clusters are few (below {FEW}): clustered standard errors of kind CR1 are too small")
    lost = [str(label) for label, b in zip(labels, beta, strict=True) if np.isnan(b)]
    if lost:
        shown = ", ".join(lost[:10]) + (" …" if len(lost) > 10 else "")
        notes.append(f"not identified beside the fixed effects and the other columns: {shown}")
    return notes


def _root(vcov: np.ndarray) -> np.ndarray:
    diagonal = vcov.diagonal()
    return np.sqrt(np.where(diagonal >= 0, diagonal, np.nan))
