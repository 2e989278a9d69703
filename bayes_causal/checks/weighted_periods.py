"""Which periods before the treatment does the answer rest on?"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from bayes_causal.checks.base import Check
from bayes_causal.data.columns import show
from bayes_causal.models.base import Model

MOST_SHOWN = 15


def period_concentration(model: Model, tree: xr.DataTree) -> Check:
    """How many periods carry the weight, 1/Σλ², which they are, and how closely they tell the donors' time after.

    The last is one less the mean variance of what they leave over between donors, over that of the donors' changes from the mean
    of all periods before: 0 where all periods alike would do as well.
    """
    posterior = tree["posterior"].to_dataset()
    if "time_weight" not in posterior:
        return Check("period_concentration", None, "info", "Does not apply: the model weights no periods.")
    weight = posterior["time_weight"].transpose("chain", "draw", "period").values.reshape(-1, posterior.sizes["period"])
    low, middle, high = np.quantile(1 / (weight**2).sum(1), [0.05, 0.5, 0.95])
    labels, mean = posterior["period"].values, weight.mean(0)
    ends = np.quantile(weight, [0.05, 0.95], axis=0)
    order = np.argsort(-mean)[:MOST_SHOWN]
    table: list[dict[str, Any]] = [
        {"period": show(labels[k]), "weight": float(mean[k]), "lower": float(ends[0, k]), "upper": float(ends[1, k])}
        for k in order
    ]
    facts = tree["constant_data"].to_dataset()
    y, before, after = facts["donor_outcome"].transpose("donor", "time").values, facts["pre"].values, facts["post"].values
    change = y[:, after].mean(1) - y[:, before].mean(1)
    told = 1 - float((posterior["time_sigma"] ** 2).mean()) / float(change.var(ddof=1))
    numbers = {
        "effective_periods": float(middle),
        "effective_lower": float(low),
        "effective_upper": float(high),
        "periods": int(mean.size),
        "largest_weight": table[0]["weight"],
        "told": told,
    }
    text = (
        f"The weight of about {middle:.1f} of {mean.size} periods before ({low:.1f} to {high:.1f}), {table[0]['period']} the "
        f"heaviest with {table[0]['weight']:.0%}. "
    )
    if told > 0:
        text += f"They tell {told:.0%} of what differs between donors in their change from the mean of all periods before."
    else:
        text += "They tell no more of the donors' time after than the mean of all periods before does."
    return Check("period_concentration", None, "info", text, numbers, table)
