"""What the design can carry.

Identification, power, clusters, overlap, weights of two-way fixed effects, the shift of a logarithm.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from bayes_causal.checks.base import Check, answers, needs_panel, needs_rows, said
from bayes_causal.data.panel import Panel
from bayes_causal.data.panel_source import PanelSource
from bayes_causal.errors import EstimandError
from bayes_causal.estimates import Estimand, from_draws
from bayes_causal.models.base import Describes, Model
from bayes_causal.models.kinds import PanelModel

POWER_Z = 0.8416212335729143
FEW = 50
NEGLIGIBLE = -0.05
SHIFTS = (0.1, 1.0, 10.0)


def identification(model: Model, tree: xr.DataTree) -> Check:
    """Which effects the data alone identify: the rank of the double-demeaned effect columns, leads left out."""
    if not isinstance(model, PanelModel):
        return needs_panel("identification")
    _, overall = model.identified()
    what = model.panel.grouping
    labels, by_group = model.identified(what)
    lost = [str(g) for g, seen in zip(labels, by_group, strict=True) if not seen]
    numbers = {"overall": float(overall[0]), "groups": len(labels), "groups_not_identified": len(lost)}
    if overall[0] and not lost:
        return Check("identification", True, "warning", f"The data identify the average effect and every {what}'s own.", numbers)
    which = (
        ""
        if not lost
        else f"{what}s {', '.join(lost[:8])}{', …' if len(lost) > 8 else ''} have no effect of their own in the data"
    )
    whole = "" if overall[0] else f"the average effect leans on the prior through {what}s that the data do not identify"
    text = "; ".join(w for w in (whole, which) if w)
    text = f"{text[0].upper()}{text[1:]}: their cells coincide with unit, time or other {what}s' effects. The prior pools them."
    return Check("identification", False, "warning", text, numbers)


def mde(model: Model, tree: xr.DataTree, *, level: float = 0.9) -> Check:
    """The smallest effect this study would have found four times in five: (z of the level + 0.84) × the posterior sd."""
    from scipy.special import ndtri

    headline = model.headline if isinstance(model, Describes) else Estimand()
    unit = model.unit if isinstance(model, Describes) else ""
    times, table = ndtri((1 + level) / 2) + POWER_Z, []
    for labels, draws in answers(model.effect(tree["posterior"].to_dataset(), headline)):
        answer = from_draws(draws, headline, "posterior", level=level)
        table.append(labels | {"mde": float(times * answer.std_error), "estimate": float(answer.value)})
    smallest, of = table[0]["mde"], {k: v for k, v in table[0].items() if k not in ("mde", "estimate")}
    numbers = {"mde": smallest, "level": level, "power": 0.8, "estimate": table[0]["estimate"]}
    what = f"An effect of {said(of)} of" if of else "An effect of"
    text = f"{what} ±{smallest:.3g} {unit} would be found with 80% probability at the {level:.0%} level"
    if isinstance(model, PanelModel):
        numbers["mde_in_sd"] = smallest / model.panel.scale
        treated, cells = model.panel.counts["treated_cells"], model.panel.counts["cells"] - model.panel.counts["missing_cells"]
        numbers |= {"treated_share": treated / cells}
        text += (
            f" ({numbers['mde_in_sd']:.2f} sds of the outcome; {treated:,} of {cells:,} cells are treated, {treated / cells:.1%})"
        )
    return Check("mde", None, "info", f"{text}. Smaller effects can be there and not show.", numbers, table if of else ())


def few_clusters(model: Model, tree: xr.DataTree) -> Check:
    """Whether there are enough clusters, and treated ones, for cluster-robust standard errors beside the posterior."""
    if not isinstance(model, PanelModel):
        return needs_panel("few_clusters")
    panel = model.panel
    clusters = panel.n_clusters
    clustered = "cluster" in panel.dataset
    treated = len(np.unique(panel.dataset["cluster"].values[panel.ever_treated])) if clustered else panel.counts["treated_units"]
    columns = panel.dataset.sizes["time"] + panel.dataset.sizes["group"]
    numbers = {"clusters": clusters, "treated_clusters": treated, "regressors_beside_units": columns}
    if clusters >= FEW and treated >= 10:
        text = f"{clusters:,} clusters, {treated:,} of them treated: enough for cluster-robust standard errors."
        return Check("few_clusters", True, "warning", text, numbers)
    text = (
        f"{clusters} clusters, {treated} of them treated: too few for the usual clustered errors. Read the frequentist rows by "
        "CR3, wild cluster bootstrap and randomisation inference; the posterior's error model carries more of the weight."
    )
    if clusters < columns:
        text += f" The clustered covariance matrix has rank at most {clusters}, below its {columns} regressors."
    return Check("few_clusters", False, "warning", text, numbers)


def overlap(model: Model, tree: xr.DataTree) -> Check:
    """How far treatments overlap, which the model takes to add up."""
    if not isinstance(model, PanelModel):
        return needs_panel("overlap")
    panel = model.panel
    active = (panel.dataset["treatment"].values & panel.observed[..., None]).sum(2)
    treated = panel.copies @ (active > 0).sum(1)
    share = float(panel.copies @ (active > 1).sum(1) / treated)
    mean = float(panel.copies @ active.sum(1) / treated)
    numbers = {"overlapping_share": share, "most_at_once": int(active.max()), "mean_active": mean}
    if share == 0:
        return Check("overlap", True, "info", "No cell is under two treatments at once.", numbers)
    text = (
        f"{share:.0%} of treated cells are under two treatments or more (at most {active.max()}). The model takes effects to add "
        "up; the att is of all active treatments together."
    )
    return Check("overlap", None, "info", text, numbers)


def twfe_weights(model: Model, tree: xr.DataTree) -> Check:
    """The weights with which a two-way fixed effects regression averages effects.

    Some can be negative under staggered treatment.
    """
    from bayes_causal.baselines.decomposition import twfe_weights as weights_of

    if not isinstance(model, PanelModel):
        return needs_panel("twfe_weights")
    if isinstance(model.panel, PanelSource):
        return needs_rows("twfe_weights", model, "info") or needs_panel("twfe_weights")
    try:
        weights = weights_of(model.panel)
    except EstimandError as reason:
        return Check("twfe_weights", None, "info", f"Does not apply: {reason}")
    kept = ("coefficient", "negative_cells", "negative_share", "negative_weight", "breakdown")
    numbers = {k: float(weights.attrs[k]) for k in kept}
    table = [{"event_time": e, "sum_of_weights": float(w)} for e, w in weights.attrs["by_event_time"].items()]
    if numbers["negative_share"] == 0:
        text = "A two-way fixed effects regression gives every treated cell a positive weight: a fair average to compare with."
        return Check("twfe_weights", True, "info", text, numbers, table)
    text = (
        f"A two-way fixed effects regression gives {numbers['negative_share']:.0%} of treated cells a negative weight (together "
        f"{numbers['negative_weight']:.2f} of 1)"
    )
    small = numbers["negative_weight"] > NEGLIGIBLE
    text += ": too little to matter much." if small else ": where effects differ, its coefficient is no average of them."
    return Check("twfe_weights", small, "warning", text, numbers, table)


def log_shift(model: Model, tree: xr.DataTree) -> Check:
    """Whether the effect on log(1 + x) hangs on the one. With zeros in x, the size of that shift decides between margins.

    Chen & Roth 2024, doi:10.1093/qje/qjad054: such effects are not percentages. Shown is the two-way fixed effects
    coefficient under log(c + x) for c = 0.1, 1, 10, a fast stand-in for refitting.
    """
    if not isinstance(model, PanelModel):
        return needs_panel("log_shift")
    panel = model.panel
    if isinstance(panel, PanelSource):
        return needs_rows("log_shift", model) or needs_panel("log_shift")
    if not panel.outcome_name.lower().startswith(("log", "ln")):
        return Check("log_shift", None, "info", "Does not apply: the outcome is not called a logarithm.")
    x = np.expm1(panel.dataset["outcome"].values)
    zeros = float((np.abs(x[panel.observed]) < 1e-9).mean())
    if zeros == 0:
        text = "The outcome has no cell at log(1 + 0): no shift is at work, and effects read as relative changes."
        return Check("log_shift", True, "info", text, {"share_of_zeros": 0.0})
    effects = {c: _twfe(panel.replace_outcome(np.log(c + np.maximum(x, 0)))) for c in SHIFTS}
    numbers = {"share_of_zeros": zeros} | {f"effect_with_shift_{c:g}": v for c, v in effects.items()}
    spread = max(effects.values()) - min(effects.values())
    numbers["spread"] = spread
    base = abs(effects[1.0])
    passed = bool(spread <= 0.5 * base)
    listed = ", ".join(f"{v:.3g} with log({c:g} + x)" for c, v in effects.items())
    text = f"{zeros:.0%} of cells are zero. The effect is {listed}"
    text += (
        ": it hardly depends on the shift."
        if passed
        else ": it depends on the shift, so it is no percentage. Look at the outcome itself too."
    )
    return Check("log_shift", passed, "warning", text, numbers)


def _twfe(panel: Panel) -> float:
    """The two-way fixed effects coefficient on the number of active treatments."""
    from bayes_causal.baselines.decomposition import twfe_weights as weights_of

    return float(weights_of(panel).attrs["coefficient"])
