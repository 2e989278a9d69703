"""The model of a source is the model of its rows: the same sums, draws, effects and likelihood; what needs rows is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import polars as pl
import pytest

from bayes_causal.baselines.catalogue import run as run_baselines
from bayes_causal.baselines.fixed_effects import twfe
from bayes_causal.checks.catalogue import check
from bayes_causal.data.panel import Panel
from bayes_causal.data.panel_source import PanelSource
from bayes_causal.errors import EstimandError
from bayes_causal.estimates import Estimand
from bayes_causal.inference.collapsed import Collapsed
from bayes_causal.inference.estimate import estimate
from bayes_causal.inference.fit import fit
from bayes_causal.inference.numpyro_nuts import NumpyroNuts
from bayes_causal.models.did_estimands import contraction, panel_summary, treated_mean
from bayes_causal.models.hierarchical_did import HierarchicalDiD
from bayes_causal.numerics import linear_gaussian

KEYS: dict[str, Any] = {"unit": "unit", "time": "time", "outcome": "y", "treatment": "treated", "group": "campaign"}
EFFECTS = ("constant", "group", "event_time", "cohort_time")


@cache
def frame(kind: str) -> pd.DataFrame:
    """120 units over 8 periods in three groups, with two covariates and AR(1) errors, some of them late or with a hole."""
    rng = np.random.default_rng(3)
    units, periods = 120, 8
    unit, time = np.divmod(np.arange(units * periods), periods)
    group = rng.integers(0, 4, units)
    treated = (group > 0)[unit] & (time >= 3 + group[unit])
    x = rng.standard_normal((unit.size, 2)) + rng.standard_normal((units, 2))[unit]
    errors = rng.standard_normal((units, periods))
    for t in range(1, periods):
        errors[:, t] += 0.5 * errors[:, t - 1]
    y = 50 + 2 * rng.standard_normal(units)[unit] + 0.1 * time + 0.5 * treated + x @ [0.5, -0.3] + errors.ravel()
    columns = {"unit": unit, "time": time, "y": y, "treated": treated.astype(int), "campaign": group[unit]}
    late, hole = (rng.random(units) < 0.3)[unit] & (time < 2), (rng.random(units) < 0.2)[unit] & (time == 4)
    kept = ~{"late": late, "holes": late | hole}.get(kind, np.zeros(unit.size, bool))
    return pd.DataFrame(columns | {"x1": x[:, 0], "x2": x[:, 1]})[kept]


@cache
def both(kind: str, covariates: tuple[str, ...] = ()) -> tuple[Panel, PanelSource]:
    """The same rows in memory and as sums."""
    declared = KEYS | {"covariates": covariates}
    return Panel.from_frame(frame(kind), **declared), PanelSource.from_table(pl.from_pandas(frame(kind)), **declared)


def models(kind: str, covariates: tuple[str, ...] = (), **options: Any) -> tuple[HierarchicalDiD, HierarchicalDiD]:
    return tuple(HierarchicalDiD(panel, **options) for panel in both(kind, covariates))  # type: ignore[return-value]


def close(left: Any, right: Any, relative: float) -> bool:
    """Equal to a relative error of the largest number."""
    return bool(np.abs(np.asarray(left) - np.asarray(right)).max(initial=0) <= relative * np.abs(right).max(initial=1e-300))


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("errors", ["iid", "ar1"])
@pytest.mark.parametrize("covariates", [(), ("x1", "x2")], ids=["alone", "covariates"])
@pytest.mark.parametrize("kind", ["balanced", "late", "holes"])
def test_sums_and_columns_are_those_of_the_rows(kind: str, covariates: tuple[str, ...], errors: str, effect: str) -> None:
    """What the data say about θ and coefficients, summed over rows and over paths."""
    rows, paths = models(kind, covariates, effect=effect, errors=errors)
    assert rows.design.unit_term_names == paths.design.unit_term_names
    a, b = rows.collapsed(), paths.collapsed()
    assert (a.gaps, a.hypers) == (b.gaps, b.hypers)
    for name, own in a.sums._asdict().items():
        assert np.shape(own) == np.shape(getattr(b.sums, name))
        assert close(getattr(b.sums, name), own, 1e-11), name


@pytest.mark.parametrize(("effect", "errors", "kind"), [("event_time", "ar1", "holes"), ("cohort_time", "iid", "late")])
def test_draws_at_one_theta_are_equal(effect: str, errors: str, kind: str, rng: np.random.Generator) -> None:
    """Effects drawn with the same random numbers, to 1e-8: the engine's own θ hang on second differences, which lose digits."""
    rows, paths = models(kind, ("x1",), effect=effect, errors=errors)
    found = []
    for model in (rows, paths):
        with jax.enable_x64(True):
            form = model.collapsed()
            t = 0.3 * np.random.default_rng(5).standard_normal((3, len(form.hypers)))
            keys = jax.random.split(jax.random.PRNGKey(1), 3)
            drawn = [linear_gaussian.draw_sites(form, form.sums, jnp.asarray(v), k) for v, k in zip(t, keys, strict=True)]
            density = [float(linear_gaussian.log_density(form, form.sums, jnp.asarray(v))) for v in t]
        sites = {k: np.stack([np.asarray(d[k]) for d in drawn]) for k in drawn[0]}
        found.append((model.natural(sites), density))
    (a, lp), (b, lp_paths) = found
    assert a["att"] == pytest.approx(b["att"], rel=1e-8)
    assert close(b["coefficient"], a["coefficient"], 1e-8)
    assert lp == pytest.approx(lp_paths, rel=1e-11)


@pytest.mark.parametrize(("effect", "errors", "kind"), [("group", "ar1", "late"), ("constant", "iid", "balanced")])
def test_a_whole_fit_is_the_same(effect: str, errors: str, kind: str) -> None:
    """Same seed, same engine, rows or sums: the att and its error to 1e-8, the likelihood of all units too."""
    rows, paths = models(kind, effect=effect, errors=errors)
    trees = [fit(model, Collapsed(draws=150, chains=2), seed=4) for model in (rows, paths)]
    answers = [estimate(model, tree) for model, tree in zip((rows, paths), trees, strict=True)]
    assert float(answers[1].value) == pytest.approx(float(answers[0].value), rel=1e-8)
    assert float(answers[1].std_error) == pytest.approx(float(answers[0].std_error), rel=1e-7)
    of_units, of_all = (tree["log_likelihood"]["y"].values for tree in trees)
    assert of_all[..., 0] == pytest.approx(of_units.sum(-1), rel=1e-10)
    assert "posterior_predictive" not in trees[1].children
    need_rows = ["posterior_predictive", "selection", "twfe_weights", "log_shift"]
    reasons = [c.text for c in check(paths, trees[1], need_rows) if c.name in need_rows]
    assert all(r.startswith("Does not apply: rows are not in memory") for r in reasons) and len(reasons) == 4


def test_a_placebo_is_the_same_for_rows_and_sums() -> None:
    """A check that fits again on changed data."""
    found = []
    for model in models("late", effect="constant", errors="iid"):
        tree = fit(model, Collapsed(draws=50, chains=2), seed=4)
        placebo = next(c for c in check(model, tree, ["placebo_time"]) if c.name == "placebo_time")
        found.append([placebo.numbers[k] for k in ("placebo_effect", "std_error", "treated_units", "periods")])
    assert found[0] == pytest.approx(found[1], rel=1e-7)


def test_a_missed_multiplicity_is_caught() -> None:
    """The tests above can fail: one unit too few on one path."""
    _, source = both("balanced")
    copies = source.copies.copy()
    copies[0] -= 1
    wrong = replace(source, paths=Panel(source.dataset.assign(copies=("unit", copies))))
    sums = [HierarchicalDiD(panel, errors="iid").collapsed().sums for panel in (source, wrong)]
    assert not close(sums[1].products, sums[0].products, 1e-4)
    assert not close(sums[1].units, sums[0].units, 1e-4)


def test_a_dropped_spread_is_caught() -> None:
    """What units of one path differ by is part of the sums."""
    _, source = both("balanced")
    wrong = replace(source, spread=source.spread / 2)
    assert wrong.scale < 0.9 * source.scale
    sums = [HierarchicalDiD(panel, errors="ar1").collapsed().sums for panel in (source, wrong)]
    assert not close(sums[1].products, sums[0].products, 1e-3)


@pytest.mark.parametrize("effect", EFFECTS)
def test_averages_over_treated_cells_are_those_of_the_rows(effect: str) -> None:
    rows, paths = models("holes", effect=effect)
    for by in (None, "group", "event_time", "cohort", "time"):
        for mine, theirs in zip(
            contraction(rows.panel.paths, rows.structure, by), contraction(paths.panel.paths, paths.structure, by), strict=True
        ):
            assert mine == pytest.approx(theirs, rel=1e-12)
        for mine, theirs in zip(rows.identified(by), paths.identified(by), strict=True):
            assert (mine == theirs).all()
    assert rows.leads_identified() == paths.leads_identified()
    for by, labels in ((None, np.zeros(1)), ("time", np.arange(4, 8))):
        means = [treated_mean(m.panel.paths, by, labels) for m in (rows, paths)]
        assert means[0] == pytest.approx(means[1], rel=1e-12)
    a, b = (panel_summary(m.panel.paths) for m in (rows, paths))
    for name in a:
        assert np.asarray(a[name].values, float) == pytest.approx(np.asarray(b[name].values, float), rel=1e-12)


def test_realised_effects_have_the_same_distribution() -> None:
    """Drawn path by path with the noise of a mean: mean and sd within 5 Monte Carlo errors (one run in 500,000 by chance)."""
    answers = []
    for model in models("late", effect="constant", errors="ar1"):
        sites = Collapsed(draws=500, chains=4).sample(model, seed=2).sites
        posterior = fit_dataset(model, sites)
        for by in (None, "time"):
            answers.append(model.effect(posterior, Estimand("att", "realised", by)).values.reshape(-1, 1 if by is None else 4))
    for mine, theirs in ((answers[0], answers[2]), (answers[1], answers[3])):
        n = min(len(mine), len(theirs))
        sd = theirs.std(0)
        assert (np.abs(mine.mean(0) - theirs.mean(0)) < 5 * sd * np.sqrt(2 / n) * 2).all()
        assert (np.abs(np.log(mine.std(0) / sd)) < 5 / np.sqrt(n)).all()


def fit_dataset(model: HierarchicalDiD, sites: Any) -> Any:
    from bayes_causal.inference.tree import dataset

    return dataset(model, model.natural(sites), ("chain", "draw"))


def test_what_needs_rows_is_refused_with_the_reason() -> None:
    _, model = models("balanced", effect="constant", errors="iid")
    sites = Collapsed(draws=10, chains=1).sample(model, seed=1).sites
    with pytest.raises(EstimandError, match="units that share a path are summed"):
        model.effect(fit_dataset(model, sites), Estimand("att", by="unit"))
    with pytest.raises(ValueError, match="engine 'nuts' needs the rows"):
        NumpyroNuts().sample(model, seed=1)
    with pytest.raises(ValueError, match="no other outcome can stand in"):
        model.collapsed(np.zeros(3))
    rows = [r for r in run_baselines(model.panel, "default") if r.method != "twfe"]
    assert len(rows) == 5
    assert all("needs the rows" in r.extra["reason"] for r in rows)


@pytest.mark.parametrize("kind", ["balanced", "holes"])
@pytest.mark.parametrize("by", [None, "group"])
def test_two_way_fixed_effects_of_sums_are_those_of_the_rows(kind: str, by: Any, needs: Callable[[str], Any]) -> None:
    """pyfixest on the rows against path means and spread: coefficient, clustered error and degrees of freedom.

    To 1e-7 for the errors: pyfixest removes fixed effects by iteration.
    """
    needs("pyfixest")
    mine, theirs = (twfe(panel, by=by, vcov="CR1") for panel in reversed(both(kind)))
    assert mine.value.values == pytest.approx(theirs.value.values, rel=1e-8)
    assert mine.std_error.values == pytest.approx(theirs.std_error.values, rel=1e-7)
    assert mine.lower.values == pytest.approx(theirs.lower.values, rel=1e-6)


def test_masks_and_selections_are_those_of_the_rows() -> None:
    """What a refitting check does to a panel, done to a source."""
    panel, source = both("late")
    times = np.arange(8) != 6
    cells = lambda p: p.treated & (np.arange(8) == 5)  # noqa: E731
    changed = [p.mask(cells(p)).select(np.ones(p.copies.size, bool), times) for p in (panel, source)]
    assert {k: v for k, v in changed[1].counts.items() if k in ("cells", "missing_cells", "treated_cells")} == {
        k: v for k, v in changed[0].counts.items() if k in ("cells", "missing_cells", "treated_cells")
    }
    sums = [HierarchicalDiD(p, effect="constant", errors="ar1").collapsed().sums for p in changed]
    assert close(sums[1].products, sums[0].products, 1e-11)


def test_a_study_runs_on_a_folder_that_is_not_held(tmp_path: Path, needs: Callable[[str], Any]) -> None:
    """From files to report, with what was held and why in the manifest."""
    import json

    from bayes_causal.study.run import run_study

    (tmp_path / "panel").mkdir()
    for k, part in enumerate(np.array_split(np.unique(frame("late")["unit"]), 3)):
        frame("late")[frame("late")["unit"].isin(part)].to_parquet(tmp_path / "panel" / f"{k}.parquet")
    study = {
        "data": {"source": str(tmp_path / "panel"), "in_memory": False, "kind": "panel"} | KEYS,
        "model": {"name": "hierarchical_did", "options": {"effect": "group", "errors": "ar1"}},
        "engine": {"draws": 150, "chains": 2},
        "checks": ["few_clusters", "overlap"],
        "output": str(tmp_path / "run"),
    }
    folder = run_study(study, quiet=True)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["data"]["held"].startswith("sums over ") and "streamed" in manifest["data"]["held"]
    assert manifest["data"]["rows_read"] == len(frame("late"))
    assert "needs the rows" in (folder / "report.html").read_text()
