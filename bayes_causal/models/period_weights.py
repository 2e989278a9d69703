"""The donors' time after from their time before: one weighted average of the periods before, for all donors alike.

    ȳ_j = b + Σ_t λ_t y_jt + u_j,   ȳ_j mean of donor j over the treated dates,   u_j ~ N(0, σ_λ)
    λ ~ Dirichlet(α_λ, …, α_λ),  log α_λ ~ U;   b ~ N(0, 10);  σ_λ ~ HalfNormal(1)

It is the regression of a synthetic control turned over: donors are the rows, periods the columns. All is on the scale of the
donors' means after, as the other is on that of the treated unit's outcomes before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.models.donor_design import DonorDesign
from bayes_causal.models.donor_weights.simplex import average_numpyro, average_pymc, exchange, log_range

if TYPE_CHECKING:
    from bayes_causal.numerics.simplex import Exchange, ExchangeSums

PREFIX = "time_"
NAMES = ("time_log_concentration", "time_intercept", "time_sigma")


@dataclass(frozen=True, eq=False)
class PeriodDesign:
    """J donors, N periods before the treatment in which the treated unit has an outcome.

    Parameters
    ----------
    y : (J,) mean outcome over the treated dates, minus `center`, over `scale`
    x : (J, N) outcomes before, on the same scale
    center, scale : natural units of the outcome
    """

    y: np.ndarray
    x: np.ndarray
    center: float
    scale: float


def period_design(d: DonorDesign) -> PeriodDesign:
    """The donors of a design, each a row."""
    x = d.center + d.scale * d.x
    after = x[d.treated].mean(0)
    center, scale = float(after.mean()), float(after.std(ddof=1))
    return PeriodDesign((after - center) / scale, (x[d.fitted].T - center) / scale, center, scale)


def period_problems(d: DonorDesign, fewest: int) -> list[str]:
    """What keeps donors from telling which periods count."""
    after = d.x[d.treated].mean(0)
    if after.size < fewest:
        return [f"{after.size} donors are left, and weights of periods need {fewest} at least: name more, or exclude fewer"]
    same = (
        "all donors have the same mean outcome while the unit is treated: nothing tells which periods before resemble that time"
    )
    return [same] if np.ptp(after) == 0 else []


def numpyro_sites(d: PeriodDesign, priors: Any) -> None:
    """The regression in NumPyro."""
    from numpyro import sample
    from numpyro.distributions import HalfNormal, Normal

    mean = average_numpyro(d.x, log_range(priors), PREFIX)
    mean = mean + sample("time_intercept", Normal(0.0, priors.intercept))
    sigma = sample("time_sigma", HalfNormal(priors.sigma))
    sample("time_y", Normal(mean, sigma).to_event(1), obs=d.y)


def pymc_sites(d: PeriodDesign, priors: Any) -> None:
    """The regression in PyMC."""
    import pymc as pm

    mean = average_pymc(d.x, log_range(priors), "period", PREFIX)
    mean = mean + pm.Normal("time_intercept", np.float64(0.0), np.float64(priors.intercept))
    sigma = pm.HalfNormal("time_sigma", np.float64(priors.sigma))
    pm.Normal("time_y", mean, sigma, observed=d.y, dims="donor")


def period_sums(d: PeriodDesign, priors: Any, periods: int) -> ExchangeSums:
    """Products of the periods and the means after, filled up with blanks to so many periods, so that shapes are alike."""
    from bayes_causal.numerics.simplex import exchange_sums
    from bayes_causal.numerics.weighted_rows import row_sums

    (donors, count), blank = d.x.shape, periods - d.x.shape[1]
    x = np.column_stack([d.x, np.zeros((donors, blank))])
    gap = np.minimum(np.arange(donors), 1)
    rows = row_sums(x, d.y, gap, gaps=(1,), intercept_sd=priors.intercept, sigma_scale=priors.sigma)
    return exchange_sums(rows, log_range(priors), count if blank else None)


def period_form(sums: ExchangeSums) -> Exchange:
    """Exchanges between pairs of periods, then the concentration and σ_λ; the intercept integrated out."""
    return exchange(sums, ar=False, intercept=True, named="periods")


def period_named(d: PeriodDesign, sites: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What is reported of it in natural units; the weights add to one, so that the intercept is the scaled one."""
    named = {"time_weight": sites["time_weight"], "time_concentration": np.exp(sites["time_log_concentration"])}
    return named | {k: d.scale * sites[k] for k in ("time_intercept", "time_sigma")}


def period_log_likelihood(d: PeriodDesign, sites: Mapping[str, np.ndarray]) -> np.ndarray:
    """(S, J) log density of each donor's mean after."""
    sd = sites["time_sigma"][:, None]
    z = (d.y - sites["time_intercept"][:, None] - sites["time_weight"] @ d.x.T) / sd
    return np.asarray(-0.5 * (z**2 + np.log(2 * np.pi)) - np.log(sd))
