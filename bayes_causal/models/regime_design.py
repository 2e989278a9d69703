"""The rows of a regime model on their standardised scale, and which sites its parameters are cut into."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayes_causal.data.multi_series import MultiSeries
from bayes_causal.numerics.regime_rows import Rows, rows_of

Named = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class RegimeDesign:
    """Arrays of a regime model: T dates after the lags, A series, S shocks, C controls.

    Outcomes have mean 0 and sd 1, shocks sd 1 with zero where it was (no shock is no shock), controls mean 0 and sd 1.

    Parameters
    ----------
    rows : Rows
    center, scale : (A,) mean and sd of each outcome
    shock_scale : (S,) sd of each shock
    control_center, control_scale : (C,) mean and sd of each control
    opening : (L, A) outcomes before the first row, standardised, oldest first
    """

    rows: Rows
    center: np.ndarray
    scale: np.ndarray
    shock_scale: np.ndarray
    control_center: np.ndarray
    control_scale: np.ndarray
    opening: np.ndarray


def regime_design(data: MultiSeries, order: int) -> RegimeDesign:
    """The arrays of a model with that many lags."""
    y = (data.outcomes - data.center) / data.scale
    sx, center, sc = data.shocks.std(0, ddof=1), data.controls.mean(0), data.controls.std(0, ddof=1)
    rows = rows_of(y, data.shocks / sx, (data.controls - center) / sc, order)
    return RegimeDesign(rows, data.center, data.scale, sx, center, sc, y[:order])


@dataclass(frozen=True)
class Layout:
    """How parameters are cut into sites.

    Names inside are those of `numerics.regime_errors`: level, ar, shock, control, sigma; outside, `level` is intercept or mean,
    `shock` effect and `control` control_effect. What orders the regimes has one
    site for the reference series, another for the rest.

    Parameters
    ----------
    series, regimes, shocks, controls, order : counts
    switching : subset of level, shock, ar, sigma
    level : "intercept" or "mean"
    key : "sigma" or "level", what orders the regimes
    reference : position of the series that does
    pooled : whether effects of shocks are alike over series
    tails : whether errors are Student-t
    """

    series: int
    regimes: int
    shocks: int
    controls: int
    order: int
    switching: tuple[str, ...]
    level: str
    key: str
    reference: int
    pooled: bool
    tails: bool

    def regime(self, name: str) -> tuple[int, ...]:
        """(K,) where a parameter switches, else ()."""
        return (self.regimes,) if name in self.switching else ()

    def outside(self, name: str) -> str:
        """A parameter's name outside."""
        return {"level": self.level, "shock": "effect", "control": "control_effect"}.get(name, name)

    def canonical(self, sites: Named, concatenate: Callable[..., Any]) -> dict[str, Any]:
        """Parameters by inner names, (..., A, …[, K]), from sites of any array library."""
        found = {name: self._rows(sites, name, concatenate) for name in ("level", "sigma")}
        if self.shocks and self.pooled:
            mean, spread = sites["shock_mean"], sites["shock_spread"]
            wide = spread[..., None, :, None] if self.regime("shock") else spread[..., None, :]
            center = mean[..., None, :, :] if self.regime("shock") else mean[..., None, :]
            found["shock"] = center + wide * sites["shock_offset"]
        plain = {n: self.outside(n) for n in ("shock", "control", "ar", "nu", "transition")}
        return found | {n: sites[k] for n, k in plain.items() if k in sites}

    def sites(self, p: Named, concatenate: Callable[..., Any]) -> dict[str, Any]:
        """Sites from parameters by inner names, (..., A, …[, K]); pooled effects come with `shock_mean` and `shock_spread`."""
        found = {self.outside(k): p[k] for k in ("control", "ar", "nu", "transition") if k in p}
        for name in ("level", "sigma"):
            outside, value, at = self.outside(name), p[name], self.reference
            if name != self.key:
                found[outside] = value
                continue
            found[f"{outside}_reference"] = value[..., at, :]
            if self.series > 1:
                found[f"{outside}_others"] = concatenate([value[..., :at, :], value[..., at + 1 :, :]], -2)
        if self.shocks and not self.pooled:
            found["effect"] = p["shock"]
        elif self.shocks:
            mean, spread = p["shock_mean"], p["shock_spread"]
            wide = spread[..., None, :, None] if self.regime("shock") else spread[..., None, :]
            center = mean[..., None, :, :] if self.regime("shock") else mean[..., None, :]
            found |= {"shock_mean": mean, "shock_spread": spread, "shock_offset": (p["shock"] - center) / wide}
        return found

    def _rows(self, sites: Named, name: str, concatenate: Callable[..., Any]) -> Any:
        outside, at = self.outside(name), self.reference
        if name != self.key:
            return sites[outside]
        own = sites[f"{outside}_reference"][..., None, :]
        if self.series == 1:
            return own
        others = sites[f"{outside}_others"]
        return concatenate([others[..., :at, :], own, others[..., at:, :]], -2)

    def dims(self) -> dict[str, tuple[str, ...]]:
        """Dims of every site."""
        regime = {n: (("regime",) if self.regime(n) else ()) for n in ("level", "sigma", "shock", "ar")}
        found: dict[str, tuple[str, ...]] = {
            "transition": ("regime", "regime_to"),
            "shock_mean": ("shock", *regime["shock"]),
            "shock_spread": ("shock",),
            "shock_offset": ("series", "shock", *regime["shock"]),
            "effect": ("series", "shock", *regime["shock"]),
            "control_effect": ("series", "control"),
            "ar": ("series", "lag", *regime["ar"]),
        }
        for name in ("level", "sigma"):
            outside = self.outside(name)
            if name == self.key:
                found |= {f"{outside}_reference": ("regime",), f"{outside}_others": ("series_other", "regime")}
            else:
                found[outside] = ("series", *regime[name])
        return found
