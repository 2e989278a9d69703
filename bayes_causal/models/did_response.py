"""Effects on the scale of the outcome where the mean is not linear in the coefficients: g-computation over treated cells.

Functions of a `HierarchicalDiD` and of named posterior quantities (S, ...), unit intercepts among them, as its `natural` gives
them. Robins 1986, doi:10.1016/0270-0255(86)90088-6; for difference-in-differences Wooldridge 2023, doi:10.1093/ectj/utad016.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from bayes_causal.models.did_estimands import pair_labels
from bayes_causal.models.did_predictive import VALUES, expected_alpha, predictor, untreated_mean
from bayes_causal.models.panel_design import PanelDesign

if TYPE_CHECKING:
    from bayes_causal.models.hierarchical_did import HierarchicalDiD

Named = Mapping[str, np.ndarray]


def prefixed(name: str, part: str) -> str:
    """The name of a reported quantity of one of several linear predictors; "" is the main one."""
    return f"{part}_{name}" if part else name


def own(named: Named, part: str, divider: str = "_") -> dict[str, np.ndarray]:
    """The quantities of one linear predictor under their plain names; of the main one, everything."""
    start = f"{part}{divider}"
    return {k.removeprefix(start): v for k, v in named.items() if k.startswith(start)} if part else dict(named)


def predictors(
    model: HierarchicalDiD, named: Named, d: PanelDesign, *, units: np.ndarray | None = None, treated: bool = True
) -> dict[str, np.ndarray]:
    """(S, N) η of every part over the rows of a design that holds the given (U,) units, all by default."""
    eta = {}
    for part in model.response.parts:
        q = own(named, part)
        alpha = q["alpha"] if units is None else q["alpha"][:, units]
        eta[part] = predictor(d, q, alpha) if treated else untreated_mean(d, q, alpha)
    return eta


def mean_effect(model: HierarchicalDiD, named: Named, by: str | None, *, leads: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """(S, B) mean over the cells of each label of E[y | D] − E[y | D without ...], and of E[y | D without ...].

    Without any active treatment; by group and event time, without the one of that label (leave one out), so that effects of
    treatments that overlap are told apart. Leads come first, as in `contraction`.
    """
    structure, pairs = model.structure, model.structure.pairs
    key, labels = pair_labels(model.panel.paths, structure, by)
    if by in ("group", "arm", "event_time"):
        rows, off = pairs.row, structure.pair_columns
    else:
        rows, first = np.unique(pairs.row, return_index=True)
        together = sparse.csr_array((np.ones(pairs.row.size), (np.searchsorted(rows, pairs.row), np.arange(pairs.row.size))))
        key, off = key[first], np.asarray(together @ structure.pair_columns)
    cells = np.bincount(key, minlength=labels.size).astype(float)
    effect, without = _contrast(model, named, rows, off, key, cells)
    if leads and by == "event_time" and (before := structure.leads()).event.size:
        rows, off, key = _lead_rows(model, before.weights)
        lead, base = _contrast(model, named, rows, off, key, before.cells)
        return np.hstack([lead, effect]), np.hstack([base, without])
    return effect, without


def _contrast(
    model: HierarchicalDiD, named: Named, rows: np.ndarray, off: np.ndarray, key: np.ndarray, cells: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sums over (R,) rows of each label, over its cells, of the mean less the mean with (R, K) columns taken off; and of that."""
    d, bins = model.design, sparse.csr_array((1 / cells[key], (key, np.arange(key.size))), shape=(cells.size, key.size))
    size, step = len(named["sigma_unit"]), max(1, VALUES // max(rows.size, 1))
    found = []
    for low in range(0, size, step):
        block = {k: v[low : low + step] for k, v in named.items()}
        full, less = {}, {}
        for part in model.response.parts:
            q = own(block, part)
            eta = q["alpha"][:, d.unit[rows]] + q["gamma"][:, d.time[rows]] + q["coefficient"] @ d.effect[rows].T
            if "beta" in q:
                eta = eta + (q["beta"] * d.covariate_scale) @ d.covariates[rows].T
            full[part], less[part] = eta, eta - q["coefficient"] @ off.T
        base = model.response.mean(less, block)
        found.append(np.stack([bins @ (model.response.mean(full, block) - base).T, bins @ base.T]))
    effect, without = np.concatenate(found, -1)
    return effect.T, without.T


def _lead_rows(model: HierarchicalDiD, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows before onset, the (R, K) columns of the lead of their label, and (R,) labels, one entry a row and label."""
    columns = model.design.effect
    parts = []
    for k, used in enumerate(weights != 0):
        rows = np.flatnonzero(columns[:, used].any(1))
        parts.append((rows, columns[rows] * used, np.full(rows.size, k)))
    found, off, key = zip(*parts, strict=True)
    return np.concatenate(found), np.vstack(off), np.concatenate(key)


def unit_log_likelihood(model: HierarchicalDiD, named: Named) -> np.ndarray:
    """(S, U) log density of each unit's rows, its own intercepts integrated out; they are where the search for modes begins."""
    eta, parts = {}, {}
    for part, d in model.designs.items():
        q = own(named, part)
        expected = expected_alpha(d, q)
        if not model.response.normal:
            eta[part] = predictor(d, q, expected)
            q["deviation"] = q["alpha"] - expected
        parts[part] = q
    return model.response.unit_log_likelihood(model.designs, eta, parts)
