"""Are regimes told apart, does anything know the future, and are shocks news?"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from bayes_causal.checks.base import Check
from bayes_causal.models.kinds import ShockModel

SWITCHED = 0.01
SURE = 0.9
CUTS, DRAWS, MOVED = 5, 8, 1e-6  # probabilities are held in single precision
FORETOLD = 0.01
NONE = "Does not apply: the model has no hidden regimes."


def _hit(model: Any) -> bool:
    """Whether shocks hit several series here, in hidden regimes."""
    return isinstance(model, ShockModel)


def label_switching(model: Any, tree: xr.DataTree, *, limit: float = SWITCHED) -> Check:
    """How often a sweep gave regimes each other's numbers, and how surely dates belong to one of them.

    Regimes are numbered by what orders them, sweep by sweep; where they are alike, a number changes hands, and effects by regime
    are mixtures (Frühwirth-Schnatter 2001, doi:10.1198/016214501750333063). A rate below `limit` passes.
    """
    if not _hit(model):
        return Check("label_switching", None, "info", NONE)
    posterior, stats = tree["posterior"].to_dataset(), tree["sample_stats"].to_dataset()
    smoothed = posterior["smoothed"].mean(("chain", "draw"))
    stays = np.einsum("cdkk->cdk", posterior["transition"].transpose("chain", "draw", "regime", "regime_to").values)
    sure = float((smoothed.max("regime") >= SURE).mean())
    with np.errstate(divide="ignore"):
        lasting = np.median(1 / (1 - stays), axis=(0, 1))
    table = [
        {"regime": int(k), "share_of_dates": float(smoothed.sel(regime=k).mean()), "median_duration": float(lasting[i])}
        for i, k in enumerate(posterior["regime"].values)
    ]
    numbers = {"share_of_dates_sure": sure}
    told = f"{sure:.0%} of dates belong to one regime with a probability of at least {SURE:.0%}."
    if "label_switched" not in stats:
        text = f"This engine keeps regimes in order and does not say how often they change places. {told}"
        return Check("label_switching", None, "info", text, numbers, table)
    rate = float(stats["label_switched"].mean())
    numbers["rate"] = rate
    if rate < limit:
        text = f"Regimes are separated: {rate:.2%} of sweeps gave them other numbers (limit {limit:.0%}). {told}"
        return Check("label_switching", True, "warning", text, numbers, table)
    text = (
        f"Regimes are not separated: {rate:.1%} of sweeps gave them other numbers (limit {limit:.0%}), so that effects by regime "
        f"mix regimes; the average over regimes can be used all the same. {told} Try fewer regimes, or let the variance switch."
    )
    return Check("label_switching", False, "warning", text, numbers, table)


def look_ahead(model: Any, tree: xr.DataTree) -> Check:
    """Whether filtered probabilities know later dates: they are computed again with later rows replaced by others.

    Of a few draws of the parameters and a few dates. Smoothed probabilities, which do look ahead, are the proof that the replaced
    rows would show. The parameters themselves were estimated from all dates.
    """
    if not _hit(model):
        return Check("look_ahead", None, "info", NONE)
    data = model.data
    parameters = _parameters(model, tree["posterior"].to_dataset())
    before = _probabilities(model, parameters, (data.outcomes, data.shocks, data.controls))
    rng, filtered, smoothed, later = np.random.default_rng(1), 0.0, 0.0, 0.0
    for cut in np.linspace(0.2, 0.9, CUTS):
        last = int(cut * data.n_dates)
        after = _probabilities(
            model, parameters, tuple(_replaced(v, last, rng) for v in (data.outcomes, data.shocks, data.controls))
        )
        kept = last - model.order
        filtered = max(filtered, float(np.abs(after[0] - before[0])[:, :kept].max()))
        later = max(later, float(np.abs(after[0] - before[0])[:, kept:].max()))
        smoothed = max(smoothed, float(np.abs(after[1] - before[1])[:, :kept].max()))
    held = tree["posterior"].to_dataset()["filtered"].transpose("chain", "draw", "time", "regime").values
    held = held.reshape(-1, *held.shape[2:])[_few(held.shape[0] * held.shape[1])]
    numbers = {"filtered_moved": filtered, "smoothed_moved": smoothed, "later_moved": later}
    numbers["differs_from_the_posterior"] = float(np.abs(held - before[0]).max())
    passed = filtered <= MOVED and numbers["differs_from_the_posterior"] < 1e-4 and later > MOVED
    found = (
        f"With later rows replaced, filtered probabilities of {CUTS} dates and all before them moved by at most {filtered:.1g}, "
        f"smoothed ones by up to {smoothed:.2f}: today's regime knows nothing of what came after."
        if passed
        else f"With later rows replaced, filtered probabilities moved by up to {filtered:.2g}: they know what came after, or are "
        "not those of the posterior."
    )
    text = f"{found} The parameters were estimated from all dates. {_known(data.dataset.attrs.get('known'))}"
    return Check("look_ahead", bool(passed), "blocking", text, numbers)


def _known(source: str | None) -> str:
    """Whether values stand at the date on which they were known."""
    if source:
        return f"Values stand at the date on which they were published: {source}."
    return (
        "That a value was known at the date it stands at is taken from the data as they are: `bayes-causal macro build` makes a "
        "table that is aligned on release dates."
    )


def _few(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, DRAWS).astype(int))


def _parameters(model: Any, posterior: xr.Dataset) -> dict[str, Any]:
    """A few draws of the parameters by inner names, in natural units."""
    names = {model.layout.level: "level", "shock_effect": "shock"} | {n: n for n in ("transition", "sigma", "ar", "nu")}
    names |= {"control_effect": "control"}
    found = {}
    for name, inner in names.items():
        if name in posterior:
            own = ("regime", "regime_to") if name == "transition" else ("series", "shock", "control", "lag", "regime")
            values = posterior[name].transpose("chain", "draw", *(d for d in own if d in posterior[name].dims)).values
            flat = values.reshape(-1, *values.shape[2:])
            found[inner] = flat[_few(len(flat))].astype(float)
    return found


def _probabilities(model: Any, p: dict[str, Any], parts: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
    """(S, T, K) filtered and smoothed probabilities of data in natural units."""
    import jax

    from bayes_causal.numerics.regime_em import Free
    from bayes_causal.numerics.regime_filter import probabilities
    from bayes_causal.numerics.regime_rows import rows_of

    outcomes, shocks, controls = parts
    with jax.enable_x64(True):
        found = jax.device_get(probabilities(Free(model.free.shape, ()), rows_of(outcomes, shocks, controls, model.order), p))
    return np.asarray(found.filtered), np.asarray(found.smoothed)


def _replaced(values: np.ndarray, last: int, rng: np.random.Generator) -> np.ndarray:
    """(T, C) the same until position `last`, and rows drawn from all dates, three times as far from their mean, from there on."""
    drawn = values[rng.integers(0, len(values), len(values))]
    return np.where(np.arange(len(values))[:, None] < last, values, 3 * drawn - 2 * values.mean(0))


def shock_foretold(model: Any, tree: xr.DataTree, *, limit: float = FORETOLD) -> Check:
    """Whether shocks are news: their regression on controls and on outcomes and shocks of the date before.

    A F test against a constant, at `limit` shared out over the shocks. What controls and the model's own lags foretell is held
    constant by the model; the rest is not.
    """
    from scipy.special import fdtrc

    if not _hit(model) or not model.data.shock_names:
        return Check("shock_foretold", None, "info", "Does not apply: there are no shocks.")
    data = model.data
    known = np.column_stack([data.controls[1:], data.outcomes[:-1], data.shocks[:-1]])
    design = np.column_stack([np.ones(len(known)), (known - known.mean(0)) / known.std(0)])
    rank = int(np.linalg.matrix_rank(design))
    left = len(design) - rank
    table: list[dict[str, Any]] = []
    for name, x in zip(data.shock_names, data.shocks[1:].T, strict=True):
        rest = float(((x - design @ np.linalg.lstsq(design, x, rcond=None)[0]) ** 2).sum())
        total = float(((x - x.mean()) ** 2).sum())
        f = (total - rest) / (rank - 1) / (rest / left)
        adjusted = 1 - (rest / left) / (total / (len(x) - 1))
        row = {"shock": name, "r2": 1 - rest / total, "r2_adjusted": adjusted, "f": f, "p_value": float(fdtrc(rank - 1, left, f))}
        table.append(row | {"limit": limit / len(data.shock_names)})
    told = [f"{r['shock']} ({max(0.0, r['r2_adjusted']):.0%})" for r in table if r["p_value"] < r["limit"]]
    numbers = {f"r2_adjusted_{r['shock']}": r["r2_adjusted"] for r in table}
    if not told:
        text = (
            "No shock can be foretold from controls and from outcomes and shocks of the date before. That none reacts to what "
            "happens at its own date, this does not show."
        )
        return Check("shock_foretold", True, "warning", text, numbers, table)
    text = (
        f"Not all news: from controls, and outcomes and shocks of the date before, this share of the variance can be foretold: "
        f"{', '.join(told)}. What is foretold may have had its effect before the date, and what foretells may move the outcomes "
        "too: take surprises instead (what was announced less what was expected), or name what foretells among the controls."
    )
    return Check("shock_foretold", False, "warning", text, numbers, table)
