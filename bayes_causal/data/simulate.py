"""Panels whose true effects are known: simulated from the model's equations, or real ones with a lift added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import xarray as xr

from bayes_causal.data.panel import Panel
from bayes_causal.errors import DataError
from bayes_causal.estimates import Estimand, Estimate

By = Literal["group", "event_time"]
COVARIATE_EFFECT = 0.5


def simulate_panel(
    *,
    units: int = 100,
    periods: int = 20,
    groups: int = 1,
    effect: float | Sequence[float] = 1.0,
    seed: int,
    spread: float = 0.0,
    profile: Sequence[float] = (1.0,),
    share: float = 0.5,
    overlapping: bool = False,
    duration: int | None = None,
    rho: float = 0.5,
    sigma: float = 1.0,
    unit_sd: float = 1.0,
    time_sd: float = 0.5,
    selection: float = 0.5,
    covariates: int = 0,
    weighted: bool = False,
    missing: float = 0.0,
    by: By | None = None,
) -> tuple[Panel, Estimate]:
    """A panel from y_it = α_i + γ_t + x_it'β + Σ_g D_itg τ_g p(e_itg) + ε_it, and its truth.

    Parameters
    ----------
    units, periods, groups : int
        Groups start one after the other over the middle half of the periods (staggered); one group starts halfway.
    effect : float, or one per group
        τ_g, in units of the outcome.
    seed : int
    spread : float
        Standard deviation of what is added to each τ_g.
    profile : sequence of float
        p at event times 0, 1, ...; the last value stays.
    share : float
        Share of the units that are treated; with `overlapping`, the chance of each unit to be in each group.
    overlapping : bool
        Units may be in several groups at once.
    duration : int, optional
        Periods after which a treatment switches off; never by default.
    rho, sigma : float
        AR(1) errors: autocorrelation, and standard deviation of the innovations.
    unit_sd, time_sd : float
        Standard deviations of α and γ.
    selection : float
        Correlation between α and a unit's number of treated periods.
    covariates : int
        Number of standard normal covariates, each with coefficient 0.5.
    weighted : bool
        Precisions uniform on (0.5, 2); errors are divided by their square roots.
    missing : float
        Share of the cells that have no row; a unit's first cell always has one.
    by : {"group", "event_time"}, optional
        Breakdown of the truth. The panel is the same for every `by`.

    Returns
    -------
    panel : Panel
        Outcome ``y``, unit ``unit``, time ``time``, groups 0, 1, ..., covariates ``x1``, ...
    truth : Estimate
        Mean effect over the treated cells that are observed, with standard error 0.
    """
    import pandas as pd

    rng = np.random.default_rng(seed)
    exposures = _design(rng, units, periods, groups, share, overlapping, duration)
    exposure = _exposed_periods(exposures, units, periods)
    alpha = unit_sd * (selection * _standardised(exposure) + np.sqrt(1 - selection**2) * rng.standard_normal(units))
    gamma = time_sd * rng.standard_normal(periods)
    x = rng.standard_normal((units, periods, covariates))
    weight = rng.uniform(0.5, 2.0, (units, periods)) if weighted else np.ones((units, periods))
    untreated = (
        alpha[:, None] + gamma + COVARIATE_EFFECT * x.sum(axis=2) + _ar1(rng, (units, periods), rho, sigma) / np.sqrt(weight)
    )
    tau = np.broadcast_to(np.asarray(effect, float), (groups,)) + spread * rng.standard_normal(groups)
    kept = rng.random((units, periods)) >= missing
    kept[:, 0] = True
    u, t = np.nonzero(kept)
    names = [f"x{k + 1}" for k in range(covariates)]
    frame = pd.DataFrame(
        {"unit": u, "time": t, "y": untreated[u, t], "weight": weight[u, t]} | {n: x[u, t, k] for k, n in enumerate(names)}
    )
    panel = Panel.from_frame(
        frame,
        unit="unit",
        time="time",
        outcome="y",
        group="group" if groups > 1 else None,
        exposures=exposures if groups > 1 else exposures.drop(columns="group"),
        covariates=names,
        weights="weight" if weighted else None,
    )
    present = np.unique(exposures["group"]) if groups > 1 else np.array([0])
    return inject_lift(
        panel, dict(zip(panel.dataset["group"].values.tolist(), tau[present], strict=True)), profile=profile, by=by
    )


def inject_lift(
    panel: Panel, lift: float | Mapping[Any, float], *, profile: Sequence[float] = (1.0,), by: By | None = None
) -> tuple[Panel, Estimate]:
    """A panel with a known lift added to its treated cells, and that lift as truth.

    On real data this is a semi-synthetic panel: noise, selection and trends are real. The truth is the lift alone; whatever
    effect the data hold already comes on top of it, so use data, or a re-drawn treatment (`Panel.replace_treatment`), without
    one.

    Parameters
    ----------
    panel : Panel
    lift : float, or mapping of every group to a float
        In units of the outcome.
    profile : sequence of float
        Multiples of the lift at event times 0, 1, ...; the last value stays.
    by : {"group", "event_time"}, optional
        Breakdown of the truth.

    Raises
    ------
    DataError
        Groups that are not the panel's.
    """
    groups = panel.dataset["group"].values.tolist()
    if isinstance(lift, Mapping) and set(lift) != set(groups):
        raise DataError(f"`lift` must name every group of the panel ({groups}) and no other, and names {sorted(lift, key=str)}")
    of_group = np.array([lift[g] if isinstance(lift, Mapping) else lift for g in groups], float)
    active = panel.dataset["treatment"].values
    since = np.where(active, panel.event_time, 0).astype(int)
    shape = np.asarray(profile, float)
    added = np.where(active, of_group * shape[np.minimum(since, len(shape) - 1)], 0.0)
    return panel.replace_outcome(panel.dataset["outcome"].values + added.sum(axis=2)), truth(panel, added, by)


def truth(panel: Panel, effect: np.ndarray, by: By | None = None) -> Estimate:
    """The att that an effect array (unit, time, group) means for a panel: its mean over observed treated cells.

    By group it is the mean of the group's own effect over its cells, by event time the mean over cells and groups at that event
    time.
    """
    cells = panel.dataset["treatment"].values & panel.observed[:, :, None]
    if by is None:
        values, coords = np.array(effect.sum(axis=2)[cells.any(axis=2)].mean()), {}
    else:
        index = np.broadcast_to(np.arange(cells.shape[2]), cells.shape) if by == "group" else panel.event_time
        labels, code = np.unique(index[cells].astype(np.int64), return_inverse=True)
        values = np.bincount(code, effect[cells]) / np.bincount(code)
        coords = {by: panel.dataset["group"].values[labels] if by == "group" else labels}
    table = xr.Dataset(
        {
            c: (tuple(coords), values if c != "std_error" else np.zeros_like(values))
            for c in ("value", "std_error", "lower", "upper")
        },
        coords,
    )
    return Estimate(Estimand("att", by=by), "truth", "frequentist", table, 0.9, "confidence", panel.outcome_name)


def _design(
    rng: np.random.Generator, units: int, periods: int, groups: int, share: float, overlapping: bool, duration: int | None
) -> Any:
    """Exposures (unit, group, start, end): who is in which group, from when to when."""
    import pandas as pd

    starts = np.linspace(periods / 4, 3 * periods / 4, groups + 2)[1:-1].round().astype(int).clip(1, periods - 1)
    if overlapping:
        unit, group = np.nonzero(rng.random((units, groups)) < share)
    else:
        unit = rng.permutation(units)[: max(round(share * units), groups)]
        group = np.arange(len(unit)) % groups
    last = np.full(len(unit), periods - 1) if duration is None else np.minimum(starts[group] + duration - 1, periods - 1)
    return pd.DataFrame({"unit": unit, "group": group, "start": starts[group], "end": last})


def _exposed_periods(exposures: Any, units: int, periods: int) -> np.ndarray:
    length = (exposures["end"] - exposures["start"] + 1).to_numpy(float)
    return np.bincount(exposures["unit"], length, minlength=units) / periods


def _standardised(values: np.ndarray) -> np.ndarray:
    sd = values.std()
    return (values - values.mean()) / sd if sd > 0 else np.zeros_like(values)


def _ar1(rng: np.random.Generator, shape: tuple[int, int], rho: float, sigma: float) -> np.ndarray:
    """Stationary AR(1) errors (unit, time)."""
    errors = sigma * rng.standard_normal(shape)
    errors[:, 0] /= np.sqrt(1 - rho**2)
    for t in range(1, shape[1]):
        errors[:, t] += rho * errors[:, t - 1]
    return errors
