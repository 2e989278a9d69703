"""Were treated and untreated units alike before the treatment? Trends, a placebo treatment, selection on the recent past."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from bayes_causal.checks.base import Check, needs_panel, needs_rows
from bayes_causal.data.panel import Panel
from bayes_causal.data.panel_source import PanelSource
from bayes_causal.errors import DataError, IdentificationError
from bayes_causal.estimates import Estimand, from_draws
from bayes_causal.inference.engine import Draws
from bayes_causal.inference.fit import Auto
from bayes_causal.inference.tree import dataset
from bayes_causal.models.base import Describes, Model
from bayes_causal.models.kinds import PanelModel

REFIT = Auto(draws=500, warmup=500, chains=4, progress=False)
EQUIVALENT, SURE = 0.5, 0.8
FEWEST_CONTROLS = 5
DIP, EARLIER = 3, 9
SEED = 20_211_105


def pretrend(model: Model, tree: xr.DataTree, *, bound: float | None = None, level: float = 0.9) -> Check:
    """Posterior of the leads: effects before the treatment, which parallel trends say are zero.

    A model without leads is fitted again with them. The equivalence statement is the posterior probability that every lead
    lies within `bound` units of the outcome, by default half the att: trends that could make up that much of it.
    """
    if not isinstance(model, PanelModel):
        return needs_panel("pretrend")
    if not (model.panel.paths.event_time[model.panel.observed] < -1).any():
        return Check("pretrend", None, "warning", "Does not apply: no treated unit is observed two periods before its treatment.")
    with_leads, posterior = _with_leads(model, tree)
    leads = with_leads.effect(posterior, Estimand("att", "mean", "event_time"))
    leads = leads.sel(event_time=leads["event_time"] < 0)
    if not leads.sizes["event_time"]:
        return Check("pretrend", None, "warning", "Does not apply: the model's window of event times leaves no lead.")
    half = ", half the effect," if bound is None else ""
    if bound is None:
        bound = EQUIVALENT * abs(float(model.effect(tree["posterior"].to_dataset(), Estimand()).mean()))
    answer = from_draws(leads, Estimand("att", "mean", "event_time"), "leads", level=level)
    outside = ((answer.lower > 0) | (answer.upper < 0)).values
    within = float((abs(leads) < bound).all("event_time").mean())
    largest = abs(answer.value).argmax("event_time").item()
    numbers: dict[str, Any] = {
        "leads": int(outside.size),
        "leads_away_from_zero": int(outside.sum()),
        "largest_lead": float(answer.value[largest]),
        "largest_lead_at": int(leads["event_time"][largest]),
        "bound": float(bound),
        "prob_all_within_bound": within,
    }
    table = [r["by"] | {k: r[k] for k in ("value", "std_error", "lower", "upper")} for r in answer.rows()]
    if not with_leads.leads_identified():
        text = (
            "Not identified: without never-treated units, a trend before the treatment cannot be told from time effects; the "
            "leads below come from the prior. Parallel trends rest on argument alone here."
        )
        return Check("pretrend", None, "warning", text, numbers, table)
    unit = model.unit if isinstance(model, Describes) else ""
    said = (
        f"{int(outside.sum())} of {outside.size} leads have a {level:.0%} interval without zero; the largest is "
        f"{numbers['largest_lead']:.3g} {unit} at event time {numbers['largest_lead_at']}. The probability that all lie within "
        f"±{bound:.3g}{half} is {within:.2f}."
    )
    # Of K intervals a share of 1 − level misses zero by chance; two sds above that is more than chance.
    expected = (1 - level) * outside.size
    if outside.sum() > expected + 2 * np.sqrt(expected * level):
        text = f"Treated units moved differently before the treatment. {said}"
        return Check("pretrend", False, "warning", text, numbers, table)
    if within >= SURE:
        text = f"No sign of different trends before the treatment, and ones beyond the bound are unlikely. {said}"
        return Check("pretrend", True, "warning", text, numbers, table)
    text = f"No lead stands out, but trends larger than the bound cannot be ruled out. {said}"
    return Check("pretrend", None, "warning", text, numbers, table)


def placebo_time(model: Model, tree: xr.DataTree, *, periods: int | None = None, level: float = 0.9) -> Check:
    """The same model on the time before any treatment, with a treatment that did not happen some periods ahead of the real one.

    Every cell from a unit's first treatment on is set aside. The placebo effect should be zero.
    """
    if not isinstance(model, PanelModel):
        return needs_panel("placebo_time")
    placebo = placebo_panel(model.panel, periods)
    if isinstance(placebo, str):
        return Check("placebo_time", None, "warning", f"Does not apply: {placebo}.")
    panel, length = placebo
    try:
        again = model.variant(panel=panel, effect="constant")
    except (DataError, IdentificationError) as reason:
        return Check("placebo_time", None, "warning", f"Does not apply: {reason}")
    answer = from_draws(again.effect(_refit(again), Estimand()), Estimand(), "placebo", level=level)
    numbers = {
        "placebo_effect": float(answer.value),
        "std_error": float(answer.std_error),
        "lower": float(answer.lower),
        "upper": float(answer.upper),
        "prob_positive": float(answer.table["prob_positive"]),
        "periods": length,
        "treated_units": panel.counts["treated_units"],
    }
    passed = numbers["lower"] <= 0 <= numbers["upper"]
    said = (
        f"A treatment {length} period{'s' if length > 1 else ''} too early has an effect of {numbers['placebo_effect']:.3g} "
        f"[{numbers['lower']:.3g}, {numbers['upper']:.3g}] ({panel.counts['treated_units']:,} units)"
    )
    text = f"{said}, as it should." if passed else f"{said}: something else than the treatment sets these units apart."
    return Check("placebo_time", passed, "warning", text.replace(", as it should", ": none that the data can see"), numbers)


def placebo_panel(panel: Panel | PanelSource, periods: int | None = None) -> tuple[Panel | PanelSource, int] | str:
    """The panel before any treatment, treated in the last `periods` before the real onset, and that number.

    Or why there is none.
    """
    period = panel.dataset["period"].values
    onset = np.where(panel.ever_treated, panel.first_period, np.iinfo(np.int64).max)
    before = (period[None, :] < onset[:, None]) & panel.observed
    reach = np.where(panel.ever_treated & before.any(1), panel.first_period - period[before.argmax(1)], 0)
    useful = np.repeat(reach, panel.copies)[np.repeat(reach >= 2, panel.copies)]
    if not useful.size:
        return "no treated unit is observed for two periods before its first treatment"
    length = periods or int(max(1, min(4, np.median(useful) // 2)))
    event = period[None, :] - onset[:, None]
    treatment = panel.ever_treated[:, None] & (event >= -length) & (event < 0) & (reach > length)[:, None]
    if not (treatment & before).any():
        return f"no treated unit is observed for more than {length} periods before its first treatment"
    placebo = panel.replace_treatment(treatment[..., None], ["placebo"]).mask(panel.observed & ~before)
    seen = placebo.observed
    return placebo.select(units=np.asarray(seen.any(1)), times=np.asarray(seen.any(0))), length


def selection(model: Model, tree: xr.DataTree) -> Check:
    """Were units chosen on their past? Levels before treatment, and a dip or peak just before it (Ashenfelter 1978)."""
    if not isinstance(model, PanelModel):
        return needs_panel("selection")
    panel = model.panel
    if isinstance(panel, PanelSource):
        return needs_rows("selection", model) or needs_panel("selection")
    period = panel.dataset["period"].values
    onset = np.where(panel.ever_treated, panel.first_period, np.iinfo(np.int64).max)
    clean = panel.observed & (period[None, :] < onset[:, None])
    y = np.where(clean, panel.dataset["outcome"].values, np.nan)
    never = ~panel.ever_treated
    if never.sum() < FEWEST_CONTROLS:
        text = f"Does not apply: only {never.sum()} units are never treated, too few to compare the past of treated units with."
        return Check("selection", None, "warning", text)
    count = np.isfinite(y[never]).sum(0)
    off = y - np.divide(np.nansum(y[never], 0), count, out=np.full(count.size, np.nan), where=count > 1)
    event = period[None, :] - onset[:, None]
    treated = panel.ever_treated
    recent = _unit_mean(off, (event >= -DIP) & (event < 0))[treated]
    past = _unit_mean(off, (event >= -DIP - EARLIER) & (event < -DIP))[treated]
    levels = _unit_mean(off, clean)
    gap, gap_se = _mean_and_error(levels[treated])
    numbers: dict[str, float] = {"level_gap": gap, "level_gap_se": gap_se, "level_gap_in_sd": gap / panel.scale}
    said = f"Before treatment, treated units differ from untreated ones in level by {gap:.3g} ({gap / panel.scale:.2f} sds)"
    dip = recent - past
    if np.isfinite(dip).sum() < 3:
        text = f"{said}; unit effects take levels out. Too few treated units have a past long enough to look for a dip."
        return Check("selection", None, "warning", text, numbers)
    change, se = _mean_and_error(dip)
    numbers |= {"change_before_onset": change, "change_se": se, "change_in_se": change / se if se > 0 else 0.0}
    passed = bool(abs(change) <= 2 * se)
    word = "peak" if change > 0 else "dip"
    told = f"in the {DIP} periods before onset they move by {change:.3g} (standard error {se:.2g}) against the periods before"
    if passed:
        text = f"{said}, which unit effects take out; {told}: no sign that units were chosen on their recent past."
    else:
        text = f"{said}; {told}: a {word} just before the treatment, so part of the effect may be a return to normal."
    return Check("selection", passed, "warning", text, numbers)


def _with_leads(model: PanelModel, tree: xr.DataTree) -> tuple[PanelModel, xr.Dataset]:
    """The model itself where it has leads, else its event-time variant fitted anew; and the posterior."""
    if getattr(model, "effects", None) == "event_time":
        return model, tree["posterior"].to_dataset()
    again = model.variant(effect="event_time")
    return again, _refit(again)


def _refit(model: PanelModel) -> xr.Dataset:
    """Posterior of a variant, in natural units, by the engine that it takes by default."""
    engine, _ = REFIT.choose(model)
    draws: Draws = engine.sample(model, seed=SEED)
    return dataset(model, model.natural(draws.sites), ("chain", "draw"))


def _unit_mean(values: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """(U,) mean of finite (U, T) values over the given cells, NaN where there are none."""
    use = cells & np.isfinite(values)
    count = use.sum(1)
    return np.divide(np.where(use, values, 0.0).sum(1), count, out=np.full(count.size, np.nan), where=count > 0)


def _mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """Mean and standard error over units, NaN left out."""
    values = values[np.isfinite(values)]
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(values.size)) if values.size > 1 else float("nan")
