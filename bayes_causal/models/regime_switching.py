"""Regime switching: what shocks do to several series, in each of a few regimes that all of them are in together.

    regression   r_at = α_{a,z_t} + Σ_s β_{a,s,z'} x_st + γ_a'c_t + Σ_l φ_{a,l} r_{a,t−l} + σ_{a,z_t} ε_at
    hamilton     (r_at − μ_{a,z_t}) = Σ_l φ_{a,l} (r_{a,t−l} − μ_{a,z_{t−l}}) + Σ_s β_{a,s,z'} x_st + γ_a'c_t + σ_{a,z_t} ε_at
    z_t Markov, K = 2 or 3;  rows of P ~ Dirichlet(1, +8 on the diagonal);  the first regime is drawn from the law that P keeps
    β_{a,s,k} = b_{s,k} + ω_s ζ_{a,s,k},  b ~ N(0, 1), ω ~ HalfNormal(0.5);  α, μ ~ N(0, 1);  φ ~ N(0, 0.5);  γ ~ N(0, 1)
    σ ~ half-t(4, 0, 1);  ε normal, or t_ν with ν ~ Gamma(2, 0.1), independent over series given the regime

Effects load on the regime before the shock, z' = z_{t−1}, by default: the regime of the date itself is moved by the outcomes that
the shock moves. Of several series the regimes are the same, and their effects resemble each other. Regimes are numbered upwards,
0 the calmest, by the variance in the reference series, or by the mean or intercept where variances do not switch. Each outcome is
standardised, shocks and controls are scaled by their own sd; what is reported is in units of the outcome per unit of the shock.

A change of a policy rate, or of any series that reacts to the outcomes or to what moves them, is no exogenous shock: an effect
here is causal only if the shock is as good as random given controls, lags and regime.

Hamilton 1989, doi:10.2307/1912559; Kim & Nelson 1999, ISBN 9780262112383; Frühwirth-Schnatter 2006 on labels,
doi:10.1007/978-0-387-35768-3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import xarray as xr

from bayes_causal.data.multi_series import MultiSeries
from bayes_causal.estimates import Estimand
from bayes_causal.models import regime_answers, regime_twins
from bayes_causal.models.base import Assumption
from bayes_causal.models.forms import GibbsForm
from bayes_causal.models.regime_design import Layout, RegimeDesign, regime_design
from bayes_causal.models.regime_options import LEVELS, default_switching, listed, refuse_options
from bayes_causal.models.regime_priors import Priors

if TYPE_CHECKING:
    from bayes_causal.numerics.regime_em import Free

__all__ = ["Priors", "RegimeSwitching"]

INNER = {"variance": "sigma", "mean": "level", "intercept": "level", "shock": "shock", "ar": "ar"}


@dataclass(frozen=True, eq=False, init=False)
class RegimeSwitching:
    """Regime switching.

    Parameters
    ----------
    data : MultiSeries
    regimes : {2, 3}
    order : int
        Lags of each series in its own equation; the likelihood is that of the dates after the first `order`.
    switching : subset of {"mean", "intercept", "ar", "shock", "variance"}, optional
        What differs by regime: intercept (mean in the Hamilton form), shock and variance unless given. "mean" belongs to
        form="hamilton", "intercept" to form="regression".
    form : {"regression", "hamilton"}
        Lags of outcomes, or of their deviations from the mean of the regime that was.
    shock_state : {"lagged", "current"}
        Whether effects load on the regime before the date of the shock, or on that of the date.
    transitions : {"constant"}
        "time_varying", and `transition_covariates`, are not built yet.
    errors : {"gaussian", "student_t"}
        "correlated" is not built yet.
    pooling : bool
        Whether effects of a shock resemble each other over series; of one series nothing is pooled.
    reference : str, optional
        The series that orders the regimes; the first if left out.
    priors : Priors

    Raises
    ------
    DataError, ValueError
        Everything that the data lack and every option that does not exist, in one message.
    """

    data: MultiSeries
    regimes: int
    order: int
    switching: tuple[str, ...]
    form: Literal["regression", "hamilton"]
    shock_state: str
    errors: str
    pooling: bool
    reference: str
    priors: Priors

    name: ClassVar[str] = "regime_switching"
    headline: ClassVar[Estimand] = Estimand("regime_effect", "mean")

    def __init__(
        self,
        data: MultiSeries,
        *,
        regimes: Literal[2, 3] = 2,
        order: int = 0,
        switching: Sequence[str] | None = None,
        form: Literal["regression", "hamilton"] = "regression",
        shock_state: Literal["lagged", "current"] = "lagged",
        transitions: Literal["constant", "time_varying"] = "constant",
        transition_covariates: Sequence[str] = (),
        errors: Literal["gaussian", "student_t", "correlated"] = "gaussian",
        pooling: bool = True,
        reference: str | None = None,
        priors: Priors | None = None,
    ):
        shocks = len(data.shock_names) if isinstance(data, MultiSeries) else 0
        named = default_switching(form, shocks) if switching is None else listed(switching)
        options: dict[str, Any] = {"regimes": regimes, "order": order, "switching": named, "form": form, "errors": errors}
        options |= {"shock_state": shock_state, "pooling": pooling, "reference": reference}
        refuse_options(data, options | {"transitions": transitions, "transition_covariates": listed(transition_covariates)})
        settled = options | {"data": data, "priors": priors or Priors(), "reference": reference or data.series_names[0]}
        for key, value in settled.items():
            object.__setattr__(self, key, value)

    def variant(self, *, data: MultiSeries | None = None, **options: Any) -> RegimeSwitching:
        """The same model on other data, or with some options changed."""
        names = ("regimes", "order", "switching", "form", "shock_state", "errors", "pooling", "reference", "priors")
        return RegimeSwitching(data or self.data, **({k: getattr(self, k) for k in names} | options))

    @cached_property
    def design(self) -> RegimeDesign:
        """Rows on the standardised scale."""
        return regime_design(self.data, self.order)

    @cached_property
    def layout(self) -> Layout:
        """How parameters are cut into sites."""
        d, inner = self.data, tuple(dict.fromkeys(INNER[s] for s in self.switching))
        return Layout(
            series=len(d.series_names),
            regimes=self.regimes,
            shocks=len(d.shock_names),
            controls=len(d.control_names),
            order=self.order,
            switching=inner,
            level=LEVELS[self.form],
            key="sigma" if "sigma" in inner else "level",
            reference=d.series_names.index(self.reference),
            pooled=self.pooling and len(d.series_names) > 1,
            tails=self.errors == "student_t",
        )

    @cached_property
    def free(self) -> Free:
        """What the numerics take: how errors hang on regimes, and which parameters switch."""
        from bayes_causal.numerics.regime_em import Free
        from bayes_causal.numerics.regime_errors import Shape

        shape = Shape(self.regimes, self.order, self.form, self.shock_state == "lagged")
        return Free(shape, self.layout.switching)

    def coords(self) -> dict[str, Any]:
        """Labels of every dim."""
        d, k = self.data, np.arange(self.regimes)
        others = [n for n in d.series_names if n != self.reference]
        found = {"time": d.time[self.order :], "series": list(d.series_names), "series_other": others, "regime": k}
        found |= {"regime_to": k, "lag": np.arange(1, self.order + 1)}
        return found | {"shock": list(d.shock_names), "control": list(d.control_names)}

    def dims(self) -> dict[str, tuple[str, ...]]:
        """Dims of sites and reported quantities."""
        return self.layout.dims() | {
            self.layout.level: ("series", "regime"),
            "sigma": ("series", "regime"),
            "shock_effect": ("series", "shock", "regime"),
            "filtered": ("time", "regime"),
            "smoothed": ("time", "regime"),
            "y": ("time", "series"),
        }

    def numpyro_model(self) -> None:
        """The model in NumPyro."""
        regime_twins.numpyro_twin(self)

    def pymc_model(self) -> Any:
        """The model in PyMC."""
        return regime_twins.pymc_twin(self)

    @cached_property
    def mode(self) -> dict[str, np.ndarray]:
        """The best of many starts of EM, standardised, regimes in order: near the bulk of the posterior."""
        return regime_answers.mode(self)

    def start(self) -> dict[str, np.ndarray]:
        """Where NUTS starts: the sites at `mode`."""
        return self.layout.sites(self.mode, np.concatenate)

    def centring(self) -> dict[str, Any]:
        """Every site as it is."""
        return {}

    @property
    def prefers_gibbs(self) -> str:
        """Why it is sampled block by block."""
        return "regimes are drawn as whole paths, and given them all coefficients at once"

    def gibbs(self, outcome: np.ndarray | None = None) -> GibbsForm:
        """The blocks; for other standardised (N, A) outcomes, those that lags hang on included, if given."""
        return regime_answers.form(self, outcome)

    def natural(self, sites: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Reported quantities in units of the outcomes, per unit of each shock and control; probabilities of regimes.

        `shock_mean` and `shock_spread` are in sds of outcomes per sd of the shock, on which effects are pooled. `filtered` knows
        the outcomes up to each date, `smoothed` all of them.
        """
        return regime_answers.natural(self, sites)

    def top_level(self) -> tuple[str, ...]:
        """Sites with top-level priors."""
        lay = self.layout
        own = ("shock_mean", "shock_spread") if lay.pooled else ("shock",)
        levels = [lay.outside(n) for n in ("level", "sigma")]
        parts = (f"{n}_{part}" for n in levels for part in ("reference", "others"))
        return ("transition", *levels, *parts, *own, "ar", "control_effect", "nu")

    def effect(self, posterior: xr.Dataset, estimand: Estimand) -> xr.DataArray:
        """Draws of the response of each series to one unit of each shock, dims (chain, draw, series, shock[, by]).

        By `regime`: where that regime is the one the effect loads on. By `horizon`: that many dates later, averaged over the
        regimes with today's filtered probabilities. Else at horizon 0, averaged so.

        Raises
        ------
        EstimandError
            An estimand this model does not have; no shocks.
        """
        return regime_answers.effect(self, posterior, estimand)

    def responses(self, posterior: xr.Dataset, horizons: int = 12) -> xr.DataArray:
        """(chain, draw, series, shock, regime, horizon) E[r_{t+h} | regime, x_s + 1] − E[r_{t+h} | regime], h = 0 … horizons.

        Later regimes follow the transition matrix.
        """
        return regime_answers.responses(self, posterior, horizons)

    def today(self, posterior: xr.Dataset) -> xr.DataArray:
        """(chain, draw, regime) law of the regime that the effect of a shock on the next date loads on, given all outcomes."""
        return regime_answers.today(self, posterior)

    def simulate(self, sites: Mapping[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """(S, T, A) outcomes in natural units: regimes and errors drawn anew; shocks, controls and first lags as they were."""
        return regime_answers.simulate(self, sites, rng)

    def observed(self) -> xr.DataArray:
        """(time, series) outcomes of the dates that the likelihood counts, natural units."""
        d = self.data
        coords = {"time": d.time[self.order :], "series": list(d.series_names)}
        return xr.DataArray(d.outcomes[self.order :], coords, ("time", "series"), name="y")

    def standardised(self, outcomes: np.ndarray) -> np.ndarray:
        """Outcomes (..., A) with the centres and scales of this data."""
        return np.asarray((outcomes - self.design.center) / self.design.scale)

    def log_likelihood(self, parameters: Mapping[str, Any]) -> Any:
        """The likelihood of one series at given parameters, regimes summed out; or of many draws of sites, date by date.

        Parameters
        ----------
        parameters : mapping
            In units of the data: `transition` (K, K), rows = from; `mean` (hamilton) or `intercept` (K,); `ar` (K, L) or (L,);
            `shock` (K, S) or (S,); `control` (C,); `sigma` (K,) or a scalar; `nu` for Student-t errors; `initial` (K,), the law
            of the first regime that the likelihood speaks of, that which `transition` keeps if left out. What else is left out is
            zero.
            Or flat sites (sample, ...) on the standardised scale, as engines draw them.

        Returns
        -------
        float, or DataArray (sample, time)
            Log p(y_{L+1}, … | y_1 … y_L); or the log density of each date's outcomes given all earlier ones, standardised.

        Raises
        ------
        ValueError
            Parameters of several series, unknown names or wrong shapes.
        """
        return regime_answers.log_likelihood(self, parameters)

    def maximum(self, *, starts: int = 24, seed: int = 0) -> tuple[dict[str, np.ndarray], float]:
        """The most likely parameters of one series under flat priors, as `log_likelihood` takes them, and its value there.

        EM from many starts in one program, the best of them taken up the exact likelihood. Errors are taken as normal, and scales
        are kept above a fiftieth of the sd of the outcome: the likelihood of a regime of one date has no bound.

        Raises
        ------
        ValueError
            A model of several series, or of Student-t errors.
        """
        return regime_answers.maximum(self, starts, seed)

    @property
    def unit(self) -> str:
        """Unit of the effects: the outcome's, where there is one."""
        names = self.data.series_names
        return names[0] if len(names) == 1 else "unit of each outcome"

    def estimands(self) -> tuple[Estimand, ...]:
        """Averaged with today's probabilities, by regime, and over the horizon."""
        return (self.headline, *(Estimand("regime_effect", "mean", by) for by in ("regime", "horizon")))

    def assumptions(self) -> tuple[Assumption, ...]:
        """What must be true for an effect to be causal."""
        return ASSUMPTIONS

    def constant_data(self) -> xr.Dataset:
        """Outcomes, shocks and controls over time."""
        return self.data.dataset.drop_attrs()


ASSUMPTIONS = (
    Assumption(
        "exogenous shock",
        "Given controls, lags and the regime, the shock is as good as random: it does not react to the outcomes, nor to news "
        "that moves them. A change in a policy rate does react, and is no such shock unless it is purged of what was expected.",
        ("shock_foretold", "look_ahead", "prior_sensitivity"),
    ),
    Assumption(
        "predetermined regime",
        "Effects hang on the regime before the shock, which the shock cannot have moved.",
        ("label_switching",),
    ),
    Assumption(
        "few lasting regimes",
        "All series are in one of a few regimes together, and where they go next hangs on where they are alone.",
        ("posterior_predictive", "label_switching", "regime_classifier"),
    ),
    Assumption("stable effects", "Within a regime effects stay what they are over the whole sample.", ("walk_forward",)),
    Assumption(
        "model of the errors",
        "Given the regime errors are independent over dates and over series, and normal or Student-t.",
        ("posterior_predictive", "walk_forward"),
    ),
)
