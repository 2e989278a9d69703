"""From a `TimeSeries` to the arrays a series model sees, on the scale of its pre-period."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayes_causal.data.time_series import TimeSeries


@dataclass(frozen=True, eq=False)
class SeriesDesign:
    """One series. T rows from the first of the pre-period on, k controls, p candidate columns.

    Parameters
    ----------
    y : (T,) outcome minus `center`, over `scale`; NaN where missing
    fitted : (T,) rows of the pre-period with an outcome: those the likelihood holds
    post : (T,) rows of the post-period
    controls : (T, k) centred on the pre-period and in units of their sd there
    candidates : (T, p) of them in the regression, all or none; before them ones, where `intercept`
    control_center, control_scale : (k,) in units of each control
    intercept : whether the first candidate is a column of ones
    information : (p, p) (½ X'X + ½ diag X'X)/n over pre- and post-period
    first : standardised first outcome, the prior mean of the initial level
    center, scale : natural units of the outcome
    """

    y: np.ndarray
    fitted: np.ndarray
    post: np.ndarray
    controls: np.ndarray
    candidates: np.ndarray
    control_center: np.ndarray
    control_scale: np.ndarray
    intercept: bool
    information: np.ndarray
    first: float
    center: float
    scale: float

    @property
    def rows(self) -> int:
        """T."""
        return self.y.size

    @property
    def fitted_rows(self) -> np.ndarray:
        """(N,) positions of the rows the likelihood holds."""
        return np.flatnonzero(self.fitted)

    @property
    def span(self) -> int:
        """Rows up to the last that the likelihood holds."""
        return int(self.fitted_rows[-1]) + 1

    @property
    def gap(self) -> np.ndarray:
        """(N,) rows since the previous fitted one, 0 for the first."""
        return np.diff(self.fitted_rows, prepend=self.fitted_rows[0])


def series_design(series: TimeSeries, *, regression: bool, intercept: bool, diagonal: float, standardise: bool) -> SeriesDesign:
    """The arrays of a series.

    Parameters
    ----------
    regression : whether controls are candidates of a regression
    intercept : ones among the candidates
    diagonal : share of the diagonal in the slab's information
    standardise : whether controls are centred and scaled; the outcome always is, by its pre-period
    """
    data, pre = series.dataset, series.pre
    outcome = data["outcome"].values
    y = (outcome - series.center) / series.scale
    fitted = pre & np.isfinite(outcome)
    controls = data["controls"].values if "controls" in data else np.zeros((len(y), 0))
    center, scale = np.zeros(controls.shape[1]), np.ones(controls.shape[1])
    if standardise and controls.shape[1]:
        sd = controls[pre].std(0, ddof=1)
        center, scale = controls[pre].mean(0), np.where(sd > 0, sd, 1.0)
    controls = (controls - center) / scale
    candidates = controls if regression else controls[:, :0]
    if intercept and controls.shape[1]:
        candidates = np.hstack([np.ones((len(y), 1)), controls])
    used = candidates[pre | series.post]
    products = used.T @ used / max(len(used), 1)
    information = (1 - diagonal) * products + diagonal * np.diag(np.diag(products))
    return SeriesDesign(
        y,
        fitted,
        series.post,
        controls,
        candidates,
        center,
        scale,
        bool(intercept and controls.shape[1]),
        information,
        float(y[fitted][0]),
        series.center,
        series.scale,
    )


def padded(rows: int) -> int:
    """The next of few sizes, at most an eighth above: a second study of about the same length compiles nothing."""
    step = max(16, 2 ** (int(np.log2(rows)) - 3))
    return -(-rows // step) * step
