"""Units treated on the same dates as one: their average."""

from __future__ import annotations

import xarray as xr

from bayes_causal.data.panel import Panel

AVERAGED = ("outcome", "covariates", "predictors")


def can_be_averaged(panel: Panel) -> bool:
    """Whether all treated units are treated, and have outcomes, on the same dates."""
    on = panel.ever_treated
    same = (panel.treated[on] == panel.treated[on][:1]).all() and (panel.observed[on] == panel.observed[on][:1]).all()
    return bool(on.sum() > 1 and same)


def treated_average(panel: Panel) -> Panel:
    """The panel with the treated units' average in their place, for units that can be averaged; labels are text."""
    on, data = panel.ever_treated, panel.dataset
    data = data.assign_coords(unit=data["unit"].values.astype(str))
    own = data.isel(unit=on)
    mean = {k: own[k].mean("unit", skipna=False) for k in AVERAGED if k in own}
    one = own.isel(unit=[0]).assign_coords(unit=[f"mean of {on.sum()} treated"])
    one = one.assign({k: v.expand_dims(unit=one["unit"]).transpose(*own[k].dims) for k, v in mean.items()})
    one = one.assign(treatment=own["treatment"].any("unit").expand_dims(unit=one["unit"]).transpose(*own["treatment"].dims))
    whole = xr.concat(
        [data.isel(unit=~on), one], "unit", data_vars="minimal", coords="minimal", compat="override", join="override"
    )
    return Panel(whole.sortby("unit"))
