"""Did the chains agree? The check that gates the verdict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

from bayes_causal.checks.base import Check
from bayes_causal.models.base import Model

RHAT, ESS, DIVERGENT, EBFMI = 1.01, 400.0, 0.001, 0.3
SHOWN = 12


def convergence(model: Model, tree: xr.DataTree, *, rhat: float = RHAT, ess: float = ESS) -> Check:
    """R-hat, bulk and tail effective draws of every reported parameter, divergences, energy.

    Thresholds are those of Vehtari et al. 2021 (doi:10.1214/20-BA1221): R-hat below 1.01, 400 effective draws in bulk and tails.
    More than 1 divergent draw in 1,000, or an E-BFMI below 0.3 (Betancourt 2016, arXiv:1604.00695), fails too.
    """
    table = parameter_table(tree)
    worst_rhat, worst_bulk, worst_tail = (
        float(extreme([r[k] for r in table])) if table else np.nan
        for k, extreme in (("rhat", np.max), ("ess_bulk", np.min), ("ess_tail", np.min))
    )
    numbers: dict[str, Any] = {"max_rhat": worst_rhat, "min_ess_bulk": worst_bulk, "min_ess_tail": worst_tail, **_energy(tree)}
    failures = list(_undefined(table, tree["posterior"].sizes["chain"]))
    if worst_rhat >= rhat:
        failures.append(f"R-hat reaches {worst_rhat:.3f} (limit {rhat}): the chains have not mixed")
    if np.isfinite([worst_bulk, worst_tail]).all() and not min(worst_bulk, worst_tail) > ess:
        failures.append(
            f"only {min(worst_bulk, worst_tail):.0f} effective draws for the worst parameter (at least {ess:.0f} needed)"
        )
    if numbers.get("divergent_share", 0.0) > DIVERGENT:
        failures.append(f"{numbers['divergences']:.0f} divergent draws: part of the posterior was not reached")
    if numbers.get("min_ebfmi", 1.0) < EBFMI:
        failures.append(f"E-BFMI is {numbers['min_ebfmi']:.2f} (limit {EBFMI}): the energy does not mix")
    order = sorted(table, key=lambda r: (-np.nan_to_num(r["rhat"], nan=np.inf), r["ess_bulk"]))[:SHOWN]
    if failures:
        text = "; ".join(failures) + "."
        if np.isfinite(worst_rhat):
            worst = order[0]["parameter"]
            text += f" Worst parameter: {worst}. Try more draws (and warm-up, under NUTS), or a simpler effect structure."
        return Check("convergence", False, "blocking", text[0].upper() + text[1:], numbers, order)
    text = (
        f"The chains agree: R-hat at most {worst_rhat:.4f}, at least {worst_bulk:,.0f} effective draws in the bulk and "
        f"{worst_tail:,.0f} in the tails, for all {len(table)} reported parameters"
        + (f"; {numbers['divergences']:.0f} divergent draws" if "divergences" in numbers else "")
        + "."
    )
    return Check("convergence", True, "blocking", text, numbers, order)


def _undefined(table: list[dict[str, Any]], chains: int) -> Iterator[str]:
    """Why R-hat says nothing: there is one chain, nothing moved, or draws are no numbers."""
    if not table:
        yield "every draw is the same: no parameter was sampled"
    elif chains < 2:
        yield "there is one chain, and R-hat compares chains: nothing shows that another would agree; set engine.chains to 4"
    elif lost := [r["parameter"] for r in table if np.isnan(r["rhat"])]:
        yield f"draws of {', '.join(lost[:3])}{', …' if len(lost) > 3 else ''} are not numbers: the sampler broke off"


def parameter_table(tree: xr.DataTree) -> list[dict[str, Any]]:
    """One row a scalar of the posterior: mean, sd, rhat, ess_bulk, ess_tail, mcse of the mean. Constants are left out."""
    from arviz_stats.base import array_stats

    rows = []
    for name, variable in tree["posterior"].data_vars.items():
        x = variable.transpose("chain", "draw", ...)
        dims = x.dims[2:]
        flat = x.values.reshape(*x.shape[:2], -1).transpose(2, 0, 1)
        moving = np.flatnonzero(np.ptp(flat.reshape(flat.shape[0], -1), axis=1) != 0)
        if not moving.size:
            continue
        flat = flat[moving]
        columns = {
            "mean": flat.mean((1, 2)),
            "sd": flat.std((1, 2), ddof=1),
            "rhat": array_stats.rhat(flat, method="rank"),
            "ess_bulk": array_stats.ess(flat, method="bulk"),
            "ess_tail": array_stats.ess(flat, method="tail", prob=(0.05, 0.95)),
            "mcse_mean": array_stats.mcse(flat, method="mean"),
        }
        labels = [_label(str(name), x, dims, int(k)) for k in moving]
        values = np.column_stack([np.atleast_1d(v) for v in columns.values()])
        rows += [{"parameter": p, **dict(zip(columns, map(float, v), strict=True))} for p, v in zip(labels, values, strict=True)]
    return rows


def _label(name: str, x: xr.DataArray, dims: tuple[Any, ...], k: int) -> str:
    if not dims:
        return name
    index = np.unravel_index(k, x.shape[2:])
    return f"{name}[{', '.join(_word(x[d].values[i]) for d, i in zip(dims, index, strict=True))}]"


def _word(value: Any) -> str:
    """A label as text; dates without a midnight."""
    return np.datetime_as_string(value).removesuffix("T00:00:00.000000000") if isinstance(value, np.datetime64) else str(value)


def _energy(tree: xr.DataTree) -> dict[str, float]:
    from arviz_stats.base import array_stats

    stats = tree["sample_stats"]
    numbers: dict[str, float] = {}
    if "diverging" in stats:
        numbers |= {"divergences": float(stats["diverging"].sum()), "divergent_share": float(stats["diverging"].mean())}
    if "energy" in stats:
        numbers["min_ebfmi"] = float(np.min(array_stats.bfmi(stats["energy"].values)))
    return numbers
