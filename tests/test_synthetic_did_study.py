"""A study of synthetic difference-in-differences from its file to its report, and what its checks and figures say of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayes_causal as bc
from bayes_causal.checks import donor_refit
from bayes_causal.checks.catalogue import CHECKS
from bayes_causal.checks.weighted_periods import period_concentration
from bayes_causal.inference.tree import dataset
from bayes_causal.models.synthetic_did import SyntheticDiD
from bayes_causal.study.read import read_study
from bayes_causal.study.template import template

DONORS, PERIODS, ONSET = 6, 22, 18


def frame(rng: np.random.Generator) -> pd.DataFrame:
    """A unit like two donors, four above them from period 9 on, and five more: only the later periods tell the level."""
    x = 0.7 * rng.standard_normal((PERIODS, DONORS)).cumsum(0) + rng.standard_normal(PERIODS).cumsum()[:, None]
    time = np.arange(PERIODS)
    y = x @ np.array([0.6, 0.4, 0, 0, 0, 0]) + 0.15 * rng.standard_normal(PERIODS) + 4.0 * (time >= 9) + 5.0 * (time >= ONSET)
    values = np.column_stack([y, x]).T
    unit, at = np.indices(values.shape).reshape(2, -1)
    treated = ((unit == 0) & (at >= ONSET)).astype(int)
    return pd.DataFrame({"unit": [f"u{k}" for k in unit], "t": at, "y": values.ravel(), "d": treated})


def test_the_checks_are_those_of_models_with_donors_and_one_of_periods() -> None:
    own, of_control = ({e.name for e in CHECKS.values() if name in e.modules} for name in ("synthetic_did", "synthetic_control"))
    assert own == (of_control - {"shared_errors"}) | {"period_concentration"}
    assert CHECKS["placebo_space"].suits("panel", "synthetic_did") and not CHECKS["pretrend"].suits("panel", "synthetic_did")


@pytest.mark.slow
def test_a_study_finds_the_effect_runs_its_checks_and_draws_its_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The effect lies within 3.5 of its standard errors, after a shift that no weights follow."""
    table = frame(np.random.default_rng(20_210_101))
    table.to_csv(tmp_path / "data.csv", index=False)
    columns = {"kind": "panel", "unit": "unit", "time": "t", "outcome": "y", "treatment": "d"}
    study = {
        "name": "periods",
        "data": {"source": str(tmp_path / "data.csv")} | columns,
        "model": {"name": "synthetic_did"},
        "engine": {"name": "auto", "draws": 200, "warmup": 100, "chains": 4, "seed": 1},
        "baselines": "none",
        "checks": ["placebo_time", "period_concentration", "posterior_predictive"],
        "output": str(tmp_path / "run"),
    }
    monkeypatch.setattr(donor_refit, "DRAWS", 100)
    folder = bc.run_study(study, quiet=True)
    told = json.loads((folder / "estimates.json").read_text())
    row = next(r for r in told["estimates"] if r["method"] == "synthetic_did" and r["estimand"] == "att" and not r["by"])
    assert row["value"] == pytest.approx(5, abs=3.5 * row["std_error"]) and row["std_error"] < 2
    checks = {c["name"]: c for c in json.loads((folder / "checks.json").read_text())}
    assert checks["placebo_time"]["numbers"]["placebos"] >= 3
    assert all(len(c["text"]) > 20 and "nan" not in c["text"] for c in checks.values())
    page = (folder / "report.html").read_text()
    assert "Donors and placebos" in page and "Bayesian synthetic DiD" in page and "in the weighted periods before" in page
    assert {"counterfactual", "weights", "period_weights"} <= {p.stem for p in (folder / "figures").iterdir()}


def tree(model: SyntheticDiD, rng: np.random.Generator) -> xr.DataTree:
    """Draws with most of the weight on the last period."""
    d, n = model.design, 40
    periods = d.fitted_rows.size
    sites: dict[str, Any] = {
        "weight": rng.dirichlet(np.ones(d.donors.size), n),
        "time_weight": rng.dirichlet(np.r_[np.full(periods - 1, 0.05), 20.0], n),
    }
    names = ("log_concentration", "intercept", "sigma", "rho", "time_log_concentration", "time_intercept", "time_sigma")
    sites |= {k: 0.1 + 0.05 * rng.random(n) for k in names}
    posterior = dataset(model, {k: v[None] for k, v in model.natural(sites).items()}, ("chain", "draw"))
    return xr.DataTree.from_dict({"posterior": posterior, "constant_data": model.constant_data()})


def test_the_check_of_periods_counts_them(rng: np.random.Generator) -> None:
    panel = bc.Panel.from_frame(frame(rng), unit="unit", time="t", outcome="y", treatment="d")
    model = SyntheticDiD(panel)
    drawn = tree(model, rng)
    found = period_concentration(model, drawn)
    weight = drawn["posterior"]["time_weight"].values[0]
    assert found.passed is None and found.numbers["effective_periods"] == pytest.approx(np.median(1 / (weight**2).sum(1)))
    assert found.table[0]["period"] == "17" and "17 the heaviest" in found.text
    y = panel.dataset["outcome"].values[1:]
    change = y[:, ONSET:].mean(1) - y[:, :ONSET].mean(1)
    sigma = drawn["posterior"]["time_sigma"].values
    assert found.numbers["told"] == pytest.approx(1 - (sigma**2).mean() / change.var(ddof=1))
    control = bc.SyntheticControl(panel)
    without = xr.DataTree.from_dict({"posterior": drawn["posterior"].to_dataset().drop_vars("time_weight")})
    assert "weights no periods" in period_concentration(control, without).text


def test_the_template_is_a_study(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(template("synthetic_did"))
    assert read_study(tmp_path / "study.yaml").model.name == "synthetic_did"
