"""Group-time average effects ATT(g, t) of Callaway and Sant'Anna (2021), with each unit's influence on each of them.

Without covariates a two-by-two difference in means; with covariates the doubly robust estimator of Sant'Anna and Zhao
(2020), doi:10.1016/j.jeconom.2020.06.003. diff-diff has no calendar aggregation and no influence functions for groups of
effects, so this is written here; tests hold it against diff-diff and against the published numbers of the R package did.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from bayes_causal.baselines.cohorts import Cohorts

TRIM = 0.995


@dataclass(frozen=True, eq=False)
class GroupTime:
    """ATT(g, t) over K pairs.

    Attributes
    ----------
    g, t : (K,) positions of the cohort's start and of the period
    event : (K,) steps from g to t
    value : (K,) effects in units of the outcome, NaN where no unit or no control is seen
    influence : (U, K)
        Contribution of each unit: estimate − truth ≈ the sum over units.
    share : (K,)
        Weight share of cohort g among all units; its influence is `share_influence` (U, K).
    """

    g: np.ndarray
    t: np.ndarray
    event: np.ndarray
    value: np.ndarray
    influence: np.ndarray
    share: np.ndarray
    share_influence: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """(K,) pairs with an estimate."""
        return np.isfinite(self.value)


@lru_cache(maxsize=1)
def group_time(s: Cohorts, *, control_group: str, base_period: str, covariates: bool) -> GroupTime:
    """All ATT(g, t) of a panel.

    Parameters
    ----------
    control_group : {"never_treated", "not_yet_treated"}
    base_period : {"varying", "universal"}
        Before treatment compare with the period before (varying) or with the last one before the start (universal).
    covariates : bool
        Doubly robust on the covariates of the base period.
    """
    weight = _unit_weights(s)
    pairs = [(g, t, b) for g in s.starts for t, b in _bases(g, len(s.period), base_period)]
    g, t, _ = (np.array(x, dtype=int) for x in zip(*pairs, strict=True))
    value, influence = np.empty(len(pairs)), np.zeros((len(weight), len(pairs)))
    for k, (start, time, base) in enumerate(pairs):
        value[k], influence[:, k] = _one(s, weight, start, time, base, control_group, covariates)
    member = (s.start[:, None] == g) * (weight / weight.sum())[:, None]
    share = member.sum(0)
    share_influence = member - (weight / weight.sum())[:, None] * share
    return GroupTime(g, t, s.period[t] - s.period[g], value, influence, share, share_influence)


def _unit_weights(s: Cohorts) -> np.ndarray:
    """(U,) mean weight of the unit's cells; 0 for units treated throughout, which say nothing."""
    seen = (s.w > 0).sum(1)
    return np.where((s.start > 0) & (seen > 0), s.w.sum(1) / np.maximum(seen, 1), 0.0)


def _bases(g: int, n: int, base_period: str) -> list[tuple[int, int]]:
    if base_period == "universal":
        return [(t, g - 1) for t in range(n)]
    return [(t, t - 1 if t < g else g - 1) for t in range(1, n)]


def _one(
    s: Cohorts, weight: np.ndarray, g: int, t: int, base: int, control_group: str, covariates: bool
) -> tuple[float, np.ndarray]:
    change = s.y[:, t] - s.y[:, base]
    seen = np.isfinite(change) & (weight > 0)
    control = s.never if control_group == "never_treated" else (s.start > max(t, base)) & (s.start != g)
    use = seen & (control | (s.start == g))
    out = np.zeros(len(weight))
    treated = s.start[use] == g
    if not treated.any() or treated.all():
        return np.nan, out
    if base == t:
        return 0.0, out
    if covariates:
        x = np.concatenate([np.ones((1, int(use.sum()))), s.z[:, use, base]]).T
        value, out[use] = _doubly_robust(change[use], treated, weight[use], x)
    else:
        value, out[use] = _means(change[use], treated, weight[use])
    return value, out


def _means(change: np.ndarray, treated: np.ndarray, w: np.ndarray) -> tuple[float, np.ndarray]:
    """Difference of weighted mean changes, and each unit's influence on it."""
    value, influence = 0.0, np.zeros(len(w))
    for sign, side in ((1, treated), (-1, ~treated)):
        mean = np.average(change[side], weights=w[side])
        value += sign * mean
        influence[side] = sign * w[side] * (change[side] - mean) / w[side].sum()
    return value, influence


def _doubly_robust(change: np.ndarray, treated: np.ndarray, w: np.ndarray, x: np.ndarray) -> tuple[float, np.ndarray]:
    """Doubly robust ATT and influence: logit propensity, linear change of controls, normalised weights."""
    n, d = len(w), treated.astype(float)
    w = w / w.mean()
    propensity, hessian = _logit(d, x, w)
    if propensity is None:
        return np.nan, np.zeros(n)
    trusted = treated | (propensity < TRIM)
    w_ols = w * ~treated
    bread = np.linalg.pinv((x * w_ols[:, None]).T @ x / n)
    residual = change - x @ (bread @ ((x * w_ols[:, None]).T @ change / n))
    w_treat, w_cont = w * d * trusted, w * propensity * (1 - d) / (1 - np.minimum(propensity, 1 - 1e-6)) * trusted
    if w_cont.sum() == 0:
        return np.nan, np.zeros(n)
    m_treat, m_cont = np.average(residual, weights=w_treat), np.average(residual, weights=w_cont)
    ols = (w_ols * residual)[:, None] * x @ bread
    logit = (w * (d - propensity))[:, None] * x @ hessian
    own_treat = w_treat * (residual - m_treat) - ols @ (w_treat @ x / n)
    centred = w_cont * (residual - m_cont)
    own_cont = centred + logit @ (centred @ x / n) - ols @ (w_cont @ x / n)
    influence = own_treat / w_treat.mean() - own_cont / w_cont.mean()
    return float(m_treat - m_cont), influence / n


def _logit(d: np.ndarray, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """Propensity by Newton steps and the inverse mean information; None where it separates."""
    scale = np.maximum(np.abs(x).max(0), 1e-300)
    x = x / scale
    b = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(x @ b, -500, 500)))
        information = (x * (w * p * (1 - p))[:, None]).T @ x
        step = np.linalg.pinv(information, hermitian=True) @ (x.T @ (w * (d - p)))
        b = b + step
        if np.abs(step).max() < 1e-10 * (1 + np.abs(b).max()):
            inverse = np.linalg.pinv(information, hermitian=True) * len(w)
            return p, inverse / scale[:, None] / scale[None, :]
    return None, np.zeros((x.shape[1], x.shape[1]))
