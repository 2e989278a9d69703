"""What eases sampling where nothing is integrated out: where to start, and how far to centre what is random.

How far each effect is known from its own data alone is the expected information in its rows over that of its prior.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from bayes_causal.models.hierarchical_did import HierarchicalDiD

SCALES = {
    "group_offset": "omega",
    "cohort_offset": "omega",
    "cell_offset": "omega_cell",
    "lead_cell_offset": "omega_lead",
    "lag_offset": "step_lag",
    "lead_offset": "step_lead",
}
UNIT_SD, EFFECT_SD = 0.5, 0.25
LEAST = 2.0


def start(model: HierarchicalDiD) -> dict[str, np.ndarray]:
    """Everything at the untreated mean, units a little apart."""
    values: dict[str, np.ndarray] = {}
    for part, linear in model.predictors.items():
        d, sep = linear.design, f"{part}::" if part else ""
        own = {"intercept": np.zeros(()), "sigma_unit": np.array(UNIT_SD)}
        own |= {"delta": np.zeros(d.unit_terms.shape[1])} if d.unit_terms.shape[1] else {}
        own |= {} if linear.walk else {"time_contrast": np.zeros(d.n_times - 1)}
        own |= {"beta": np.zeros(d.covariates.shape[1])} if d.covariates.shape[1] else {}
        values |= {f"{sep}{k}": v for k, v in own.items()}
    return values


def centring(model: HierarchicalDiD) -> dict[str, tuple[str | None, np.ndarray]]:
    """Site to the site of its scale, and the (n,) power of it by which each entry is centred.

    Few groups say little about their own sd, which has mass at zero: their effects are centred by a third at most.
    """
    found: dict[str, tuple[str | None, np.ndarray]] = {}
    for part, linear in model.predictors.items():
        d, sep = linear.design, f"{part}::" if part else ""
        information = model.response.row_information(d, part)
        found[f"{sep}alpha"] = None, share(np.bincount(d.unit, information, d.n_units), UNIT_SD)
        for block in model.structure.blocks(model.priors, 0):
            if block.site not in SCALES:
                continue
            loading = np.eye(block.size) if block.loading is None else block.loading
            columns = d.effect[:, block.start : block.stop] @ loading
            own = share(information @ columns**2, EFFECT_SD) / 3
            found[f"{sep}{block.site}"] = f"{sep}{SCALES[block.site]}", own
    return found


def share(information: np.ndarray, sd: float) -> np.ndarray:
    """(n,) in [0, 1): information over information and prior precision; none where the prior says more than half as much."""
    known = information * sd**2
    return np.where(known < LEAST, 0.0, known / (1 + known))
