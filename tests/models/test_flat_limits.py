"""With flat priors, saturated effects are the estimators of the literature: published numbers, that share no error with us."""

from __future__ import annotations

import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from jax.scipy.linalg import solve_triangular

from bayes_causal.data.panel import Panel
from bayes_causal.models.did_estimands import contraction
from bayes_causal.models.hierarchical_did import HierarchicalDiD, Priors
from bayes_causal.numerics import linear_gaussian

FLAT = Priors(tau=1e3, intercept=1e3, time=1e3, slope=1e3)
DATA = Path(os.environ.get("BAYES_CAUSAL_REFERENCE_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.fixture(scope="module")
def mpdta() -> Panel:
    source = DATA / "did_mpdta" / "data.csv"
    if not source.exists():
        pytest.skip(f"the reference data are not at {DATA}")
    return Panel.from_frame(pd.read_csv(source), unit="countyreal", time="year", outcome="lemp", cohort="first.treat")


def flat_att(model: HierarchicalDiD) -> float:
    """Mean of the att given iid errors and scales between effects that leave them free."""
    with jax.enable_x64(True):
        form = model.collapsed()
        theta = {h.name: jnp.asarray({"sigma": 0.1, "sigma_unit": 1.0}.get(h.name, 1e3)) for h in form.hypers}
        chol, w, _, _ = linear_gaussian._condition(form, form.sums, theta)
        z = np.asarray(solve_triangular(chol, w, lower=True, trans="T"))
        sites, start = {k: np.asarray(v) for k, v in theta.items()}, 0
        for block in form.blocks:
            sites[block.site] = block.prior_sd * z[start : start + block.size].reshape(block.shape)
            start += block.size
    weights, _, _ = contraction(model.panel, model.structure, None)
    return float(weights[0] @ model.structure.coefficients(sites) * model.design.scale)


def test_without_leads_it_is_extended_two_way_fixed_effects(mpdta: Panel) -> None:
    """−0.04771: Wooldridge 2021 (doi:10.2139/ssrn.3906345), R package etwfe on mpdta, unconditional simple average."""
    model = HierarchicalDiD(mpdta, effect="cohort_time", errors="iid", priors=FLAT)
    assert flat_att(model) == pytest.approx(-0.04771, abs=1e-5)


def test_with_every_lead_but_the_last_it_is_callaway_and_santanna(mpdta: Panel) -> None:
    """−0.03995127515: simple average with never-treated controls (R package did 2.5.1 prints −0.0400)."""
    model = HierarchicalDiD(mpdta, effect="cohort_time", errors="iid", priors=FLAT, window=(9, 9))
    assert flat_att(model) == pytest.approx(-0.03995127515517701, abs=1e-8)


def test_a_missing_lead_is_not_callaway_and_santanna(mpdta: Panel) -> None:
    """The comparison can fail: with leads beyond the window in one bin, the number is another."""
    model = HierarchicalDiD(mpdta, effect="cohort_time", errors="iid", priors=FLAT, window=(1, 9))
    assert abs(flat_att(model) + 0.03995127515517701) > 1e-5


def test_overlapping_treatments_have_no_cohort() -> None:
    rows = [(u, t, float(u + t * t % 3), u > 1 and t > 2, u > 1 and t > 3) for u in range(4) for t in range(6)]
    frame = pd.DataFrame(rows, columns=["unit", "time", "y", "a", "b"])
    exposures = pd.DataFrame({"unit": [2, 3, 2, 3], "group": ["a", "a", "b", "b"], "start": [3, 3, 4, 4], "end": [5, 5, 5, 5]})
    panel = Panel.from_frame(frame, unit="unit", time="time", outcome="y", exposures=exposures)
    with pytest.raises(ValueError, match="overlap"):
        HierarchicalDiD(panel, effect="cohort_time")
