"""Predictors of a synthetic control: what the treated unit and its donors were like before the treatment, one number each.

    x_1k = Σ_j w_j x_jk + ν_k,   ν_k ~ N(0, σ_x),   σ_x ~ HalfNormal(0.5)

x_ik is the mean of column k over the dates before the treatment on which unit i was measured, less the mean over the treated unit
and its donors, over their sd. So weights that reproduce the outcomes before are drawn to those that reproduce the predictors too,
as far as the predictors can be reproduced at all: σ_x is learned, from few of them hardly, and then its prior counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.data.columns import show
from bayes_causal.data.panel import Panel
from bayes_causal.errors import closest

if TYPE_CHECKING:
    from bayes_causal.numerics.trait_rows import TraitSums

NAMED = 5  # units that a message names


@dataclass(frozen=True, eq=False)
class Traits:
    """K predictors of one treated unit and J donors.

    Parameters
    ----------
    names : of the columns
    values : (K, 1 + J) means before the treatment, the treated unit first
    """

    names: tuple[str, ...]
    values: np.ndarray

    @property
    def standardised(self) -> np.ndarray:
        """(K, 1 + J) less their mean over units, over their sd; 0 where all are alike, as those of a placebo can be."""
        mean, sd = (f(axis=1, keepdims=True) for f in (self.values.mean, self.values.std))
        return np.asarray((self.values - mean) / np.where(np.ptp(self.values, 1, keepdims=True) > 0, sd, 1.0))

    def of(self, columns: Sequence[int]) -> Traits:
        """Those of some units, the first taken for treated."""
        return Traits(self.names, self.values[:, list(columns)])

    def sums(self, scale: float) -> TraitSums:
        """Products of the donors and the treated unit over predictors, and the scale of the prior of σ_x."""
        from bayes_causal.numerics.trait_rows import TraitSums

        z = self.standardised[:, [*range(1, self.values.shape[1]), 0]]
        return TraitSums(z.T @ z, np.asarray(float(len(z))), np.asarray(float(scale)))

    def log_likelihood(self, weight: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        """(S, K) log density of the treated unit's predictors, from (S, J) weights and (S,) σ_x."""
        z = (self.standardised[:, 0] - weight @ self.standardised[:, 1:].T) / sigma[:, None]
        return np.asarray(-0.5 * (z**2 + np.log(2 * np.pi)) - np.log(sigma)[:, None])


def donor_traits(panel: Panel, names: Sequence[str], unit: int, donors: np.ndarray) -> Traits | None:
    """The predictors that a model names, None where it names none; NaN for units never measured before the treatment."""
    if not names:
        return None
    before, units = slice(int(panel.treated[unit].argmax())), [unit, *donors]
    values = np.stack([_column(panel, name)[units, before] for name in names])
    known = np.isfinite(values)
    count = known.sum(2)
    return Traits(tuple(names), np.where(count > 0, np.where(known, values, 0.0).sum(2) / np.maximum(count, 1), np.nan))


def trait_problems(panel: Panel, names: Sequence[str], unit: int, donors: np.ndarray) -> list[str]:
    """Predictors that the panel does not have, that were never measured for some unit, or that are the same for all."""
    held = [name for dim in ("predictor", "covariate") if f"{dim}s" in panel.dataset for name in _held(panel, dim)]
    problems, known = [], [name for name in dict.fromkeys(names) if name in held]
    for name in dict.fromkeys(names):
        if name == panel.outcome_name:
            problems.append(f"predictor '{name}' is the outcome, which is matched date by date anyway: leave it out")
        elif name not in held:
            problems.append(f"predictor '{name}' is no column of the panel{closest(name, held)}: list it under data.predictors")
    found, labels = donor_traits(panel, known, unit, donors), panel.dataset["unit"].values[[unit, *donors]]
    for name, values in zip(found.names, found.values, strict=True) if found else ():
        lacking = np.flatnonzero(np.isnan(values))
        if lacking.size:
            few = ", ".join(show(labels[k]) for k in lacking[:NAMED]) + (", …" if lacking.size > NAMED else "")
            problems.append(
                f"predictor '{name}' was never measured before the treatment for {lacking.size} units ({few}): exclude them as "
                "donors, fill it in from another source, or leave the predictor out"
            )
        elif np.ptp(values) == 0:
            problems.append(f"predictor '{name}' is the same for the treated unit and all donors: leave it out")
    return problems


def traits_numpyro(mean: Any, traits: Traits, scale: float) -> None:
    """The treated unit's predictors given (K,) those of its weighted donors, in NumPyro."""
    from numpyro import sample
    from numpyro.distributions import HalfNormal, Normal

    sigma = sample("sigma_predictor", HalfNormal(scale))
    sample("predictor_y", Normal(mean, sigma).to_event(1), obs=traits.standardised[:, 0])


def traits_pymc(mean: Any, traits: Traits, scale: float) -> None:
    """The treated unit's predictors given (K,) those of its weighted donors, in PyMC."""
    import pymc as pm

    sigma = pm.HalfNormal("sigma_predictor", np.float64(scale))
    pm.Normal("predictor_y", mean, sigma, observed=traits.standardised[:, 0], dims="predictor")


def _held(panel: Panel, dim: str) -> list[str]:
    return [str(v) for v in panel.dataset[dim].values]


def _column(panel: Panel, name: str) -> np.ndarray:
    """(unit, time) values of a predictor or a covariate."""
    for dim in ("predictor", "covariate"):
        if f"{dim}s" in panel.dataset and name in _held(panel, dim):
            return np.asarray(panel.dataset[f"{dim}s"].values[:, :, _held(panel, dim).index(name)])
    raise KeyError(name)
