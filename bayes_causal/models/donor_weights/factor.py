"""Common factors of donors and treated unit, and a walk that the treated unit has alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import xarray as xr

from bayes_causal.data.panel import Panel
from bayes_causal.models.donor_design import DonorDesign
from bayes_causal.models.donor_weights.weights import Settings, Sites, needs_intercept
from bayes_causal.numerics.factor_count import factor_means, later_given_earlier

if TYPE_CHECKING:
    from bayes_causal.numerics.interactive import Factors, FactorSums

MOST_TRIED = 5


@dataclass(frozen=True, eq=False)
class OwnScales:
    """Donors each on a scale of its own, T rows, J donors.

    Parameters
    ----------
    x : (T, J) outcomes, 0 where not seen; seen : (T, J) cells with an outcome that is no treated one
    mean, sd : (J,) of the seen cells, on the scale of the design
    """

    x: np.ndarray
    seen: np.ndarray
    mean: np.ndarray
    sd: np.ndarray


def own_scales(d: DonorDesign) -> OwnScales:
    """The donors of a design, each on the scale of its own cells."""
    seen = ~np.isnan(d.x)
    mean, sd = np.nanmean(d.x, 0), np.nanstd(d.x, 0)
    sd = np.where(sd > 0, sd, 1.0)
    return OwnScales(np.where(seen, (d.x - mean) / sd, 0.0), seen, mean, sd)


@dataclass(frozen=True)
class Factor:
    """Interactive fixed effects: y_it = a_i + λ_i'f_t + e_it, over donors at all dates and the treated unit before its treatment.

    f_t ~ N(0, I) of `factors` numbers, λ_i ~ N(0, loading); e_it ~ N(0, σ_i) for donors i, each on its own scale, σ_i
    half-normal. The treated unit's errors are those of the model, and it has a walk m_t = m_t−1 + N(0, qσ), q half-normal, that
    no donor shares: what wanders off on its own before the treatment may do so after it. A donor's cells that are missing, or
    come after a treatment of its own, are in no likelihood.

    Bai 2009, doi:10.3982/ECTA6135; Xu 2017, doi:10.1017/pan.2016.2; Pang, Liu & Xu 2022, doi:10.1017/pan.2021.22.

    Factors can be turned and mirrored with their loadings: reported is what that leaves alone. The weight of a donor is what the
    mean of λ'f_t, given the donors of a date at which all are seen, makes of that donor's outcome; weights of either sign that
    need not add to one.
    """

    settings: Settings
    chosen: str = "as asked for"
    averages: ClassVar[bool] = False
    gaps: ClassVar[bool] = True
    why_gibbs: ClassVar[str] = "factors given loadings, and loadings given factors, are normal"
    warmup: ClassVar[int] = 500
    names: ClassVar[tuple[str, ...]] = ("trend",)

    @classmethod
    def problems(cls, options: Mapping[str, Any]) -> list[str]:
        """A number of factors that is none, and a model without intercept."""
        asked, panel = options["factors"], options["panel"]
        units, dates = (panel.dataset.sizes["unit"], panel.dataset.sizes["time"]) if isinstance(panel, Panel) else (99, 99)
        most = min(units - 2, dates - 2)
        if asked is not None and (isinstance(asked, bool) or not isinstance(asked, int) or not 1 <= asked <= most):
            wrong = f"factors is {asked!r}: a whole number from 1 to {most} with these data, or leave it out and the data choose"
            return [wrong, *needs_intercept(options)]
        return needs_intercept(options)

    def settled(self, d: DonorDesign) -> Factor:
        """With a number of factors: the one asked for, or the one whose log predictive density of the later dates is highest."""
        if self.settings.factors is not None:
            return self
        found = self.predictive(d)
        best = max(found, key=lambda r: found[r])
        if len(found) == 1:
            said = "no more can be told from these data"
        else:
            next_best = max(v for r, v in found.items() if r != best)
            said = (
                f"of 1 to {max(found)} the one with the highest leave-future-out log predictive density before the treatment, "
                f"by {found[best] - next_best:.1f}"
            )
        return replace(self, settings=replace(self.settings, factors=best), chosen=said)

    def predictive(self, d: DonorDesign) -> dict[int, float]:
        """Log predictive density of the later half of the fitted dates given the earlier half, by number of factors."""
        own, rows, p = own_scales(d), d.fitted_rows, self.settings.priors
        most = max(1, min(MOST_TRIED, d.donors.size // 2, rows.size // 4))
        found = {}
        for r in range(1, most + 1):
            found[r] = later_given_earlier(
                d.y[rows],
                rows,
                factor_means(own.x, own.seen, r, p.loading, p.intercept)[rows],
                -(-rows.size // 2),
                ar=self.settings.ar,
                intercept_sd=p.intercept,
                loading_sd=p.loading,
                sigma_scale=p.sigma,
                trend_scale=p.trend,
            )
        return found

    @property
    def count(self) -> int:
        """R, once settled."""
        assert self.settings.factors is not None
        return self.settings.factors

    def dims(self) -> dict[str, tuple[str, ...]]:
        """A weight a donor, and the outcome without treatment and error."""
        return {"weight": ("donor",), "synthetic": ("time",)}

    def numpyro(self, d: DonorDesign) -> Any:
        """Factors times loadings and the walk; the donors' outcomes given factors."""
        import jax.numpy as jnp
        from numpyro import sample
        from numpyro.distributions import HalfNormal, Normal

        own, p, (rows, donors), r = own_scales(d), self.settings.priors, d.x.shape, self.count

        def normal(name: str, sd: float, *shape: int) -> Any:
            return sample(name, Normal(0.0, sd).expand(shape).to_event(len(shape)))

        factor, loading = normal("factor", 1.0, rows, r), normal("loading", p.loading, r)
        level, slopes = normal("donor_intercept", p.intercept, donors), normal("donor_loading", p.loading, donors, r)
        sigma_j = sample("donor_sigma", HalfNormal(p.sigma).expand((donors,)).to_event(1))
        t, j = np.nonzero(own.seen)
        sample("donor_y", Normal((level + factor @ slopes.T)[t, j], sigma_j[j]).to_event(1), obs=own.x[t, j])
        ratio, unit = sample("trend", HalfNormal(p.trend)), normal("trend_unit", 1.0, rows - 1)
        walk = ratio * jnp.concatenate([jnp.zeros(1), jnp.cumsum(unit)])
        return lambda sigma: (factor @ loading + sigma * walk)[: d.span]

    def pymc(self, d: DonorDesign) -> Any:
        """Factors times loadings and the walk; the donors' outcomes given factors."""
        import pymc as pm
        import pytensor.tensor as pt

        own, p, (rows, donors), r = own_scales(d), self.settings.priors.as_float64(), d.x.shape, self.count

        def normal(name: str, sd: float, *shape: int) -> Any:
            return pm.Normal(name, np.float64(0.0), np.float64(sd), shape=shape)

        factor, loading = normal("factor", 1.0, rows, r), normal("loading", p.loading, r)
        level, slopes = normal("donor_intercept", p.intercept, donors), normal("donor_loading", p.loading, donors, r)
        sigma_j = pm.HalfNormal("donor_sigma", p.sigma, shape=donors)
        t, j = np.nonzero(own.seen)
        pm.Normal("donor_y", (level + pt.dot(factor, slopes.T))[t, j], sigma_j[j], observed=own.x[t, j])
        ratio, unit = pm.HalfNormal("trend", p.trend), normal("trend_unit", 1.0, rows - 1)
        walk = ratio * pt.concatenate([pt.zeros(1), pt.cumsum(unit)])
        return lambda sigma: (pt.dot(factor, loading) + sigma * walk)[: d.span]

    def sums(self, d: DonorDesign, outcome: np.ndarray | None = None, gaps: Sequence[int] | None = None) -> FactorSums:
        """The cells: no sum over dates says all of factors that differ by date."""
        from bayes_causal.numerics.interactive import FactorSums

        own, p, y = own_scales(d), self.settings.priors, np.zeros(d.rows)
        y[d.fitted_rows] = d.y[d.fitted_rows] if outcome is None else outcome
        scales = (np.asarray(float(v)) for v in (p.intercept, p.loading, p.sigma, p.trend))
        return FactorSums(y, d.fitted.astype(float), own.x, own.seen.astype(float), *scales)

    def form(self, sums: FactorSums) -> Factors:
        """Factors, loadings, donors and scales, each given the others."""
        from bayes_causal.numerics.interactive import Factors

        return Factors(self.settings.ar, self.count, int(np.shape(sums.y)[-1]), self.chosen, sums)

    def expected(self, d: DonorDesign, sites: Sites) -> np.ndarray:
        """Factors times loadings and the walk, drawn or made of the twin's sites."""
        return np.asarray(np.einsum("...tr,...r->...t", sites["factor"], sites["loading"]) + self._walk(sites))

    def named(self, d: DonorDesign, sites: Sites) -> dict[str, np.ndarray]:
        """What no turn of the factors changes: implied weights and intercept, sd of the walk's steps, the outcome expected."""
        own, slopes, precision = own_scales(d), sites["donor_loading"], sites["donor_sigma"] ** -2.0
        total = np.eye(self.count) + np.einsum("...jk,...j,...jl->...kl", slopes, precision, slopes)
        turned = np.linalg.solve(total, sites["loading"][..., None])[..., 0]
        weight = np.einsum("...r,...jr,...j->...j", turned, slopes, precision) / own.sd
        level = (weight * (own.mean + own.sd * sites["donor_intercept"])).sum(-1)
        intercept = d.center * (1 - weight.sum(-1)) + d.scale * (sites["intercept"] - level)
        expected = d.center + d.scale * (self.expected(d, sites) + sites["intercept"][..., None])[..., d.seen]
        trend = d.scale * sites["sigma"] * sites["trend"]
        return {"weight": weight, "intercept": intercept, "sigma_trend": trend, "synthetic": expected}

    def followed(self, d: DonorDesign, posterior: xr.Dataset) -> np.ndarray:
        """As reported."""
        return np.asarray(posterior["synthetic"].stack(sample=("chain", "draw")).transpose("sample", "time").values)

    @staticmethod
    def _walk(sites: Sites) -> np.ndarray:
        if "walk" in sites:
            return np.asarray(sites["walk"])
        unit = np.cumsum(sites["trend_unit"], -1)
        start = np.zeros((*unit.shape[:-1], 1))
        return np.asarray((sites["sigma"] * sites["trend"])[..., None] * np.concatenate([start, unit], -1))
