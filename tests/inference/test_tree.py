"""One schema for every model and engine: checked, saved and loaded without loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from bayes_causal.errors import TreeError
from bayes_causal.inference.collapsed import Collapsed
from bayes_causal.inference.estimate import estimate
from bayes_causal.inference.fit import Auto, fit
from bayes_causal.inference.numpyro_nuts import NumpyroNuts
from bayes_causal.inference.tree import GROUPS, KEYS, dataset, info, load, save, validate
from bayes_causal.models.hierarchical_did import HierarchicalDiD


def test_fit_fills_every_group(did: HierarchicalDiD, tree: xr.DataTree) -> None:
    assert set(tree.children) == set(GROUPS)
    posterior = tree["posterior"]
    assert dict(posterior.sizes) | {"chain": 4, "draw": 1000, "group": 2, "time": 6} == dict(posterior.sizes)
    assert posterior["tau_group"].dims == ("chain", "draw", "group")
    assert tree["prior"]["att"].dims == ("chain", "draw")
    assert tree["log_likelihood"]["y"].sizes == {"chain": 4, "draw": 250, "unit": 14}
    assert tree["posterior_predictive"]["y"].sizes["row"] == tree["observed_data"]["y"].size == did.panel.observed.sum()


def test_observed_data_are_the_panels_outcomes(did: HierarchicalDiD, tree: xr.DataTree) -> None:
    expected = did.panel.dataset["outcome"].values[did.panel.observed]
    assert tree["observed_data"]["y"].values == pytest.approx(expected, rel=1e-12)


def test_att_is_the_weighted_mean_of_group_effects(did: HierarchicalDiD, tree: xr.DataTree) -> None:
    cells = tree["constant_data"]["group_cells"].values
    expected = tree["posterior"]["tau_group"].values @ cells / cells.sum()
    assert tree["posterior"]["att"].values == pytest.approx(expected)


def test_log_likelihood_and_log_prior_belong_to_the_kept_draws(did: HierarchicalDiD, tree: xr.DataTree) -> None:
    """By hand at one kept draw: N(0, 1) for τ, and the unit's dense normal density."""
    from scipy import stats

    kept = np.unique(np.linspace(999, 0, 250).round().astype(int))[17]
    at = {k: v.values[2, kept] for k, v in tree["posterior"].items()}
    assert tree["log_prior"]["tau"].values[2, 17] == pytest.approx(stats.norm.logpdf(at["tau"] / did.panel.scale))
    d, u = did.design, 3
    rows = d.unit == u
    mean = at["intercept"] + d.unit_terms[u] @ at["delta"] + at["gamma"][d.time[rows]] + d.effect[rows] @ at["coefficient"]
    covariance = at["sigma"] ** 2 * np.eye(rows.sum()) + at["sigma_unit"] ** 2
    y = did.panel.dataset["outcome"].values[did.panel.observed][rows]
    expected = stats.multivariate_normal.logpdf(y, mean, covariance) + rows.sum() * np.log(did.panel.scale)
    assert tree["log_likelihood"]["y"].values[2, 17, u] == pytest.approx(expected)


def test_info_says_what_was_run(tree: xr.DataTree) -> None:
    known = info(tree)
    assert set(KEYS) <= set(known)
    assert (known["model"], known["seed"], known["options"]["effects"]) == ("hierarchical_did", 7, "group")
    assert known["engine"]["name"] == "collapsed" and "collapsed form" in known["engine"]["reason"]
    assert known["engine"]["numbers"]["pareto_k"] < 0.7
    assert {"jax", "numpyro", "xarray"} <= set(known["versions"])
    assert known["seconds"]["sampling"] > 0


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_saved_and_loaded_without_loss(suffix: str, tree: xr.DataTree, tmp_path: Path) -> None:
    again = load(save(tree, tmp_path / f"tree{suffix}"))
    xr.testing.assert_identical(again, tree)
    assert info(again) == info(tree)
    assert all(
        again[g][v].dtype == tree[g][v].dtype for g in tree.children for v in tree[g].data_vars if tree[g][v].dtype.kind in "fib"
    )


def test_paths_that_are_no_trees(tree: xr.DataTree, tmp_path: Path) -> None:
    with pytest.raises(TreeError, match=r"ends in \.nc or \.zarr"):
        save(tree, tmp_path / "tree.pkl")
    with pytest.raises(TreeError, match="no tree at"):
        load(tmp_path / "nothing.nc")


def test_validate_lists_every_problem(tree: xr.DataTree) -> None:
    broken = tree.copy(deep=True)
    broken["posterior"]["att"].values[0, 3] = np.nan
    del broken["prior"]
    broken["extras"] = xr.DataTree(xr.Dataset())
    broken["sample_stats"] = xr.DataTree(xr.Dataset({"lp": (("draw", "chain"), np.zeros((3, 2)))}))
    broken.attrs = {"bayes_causal": '{"model": "m"}'}
    with pytest.raises(TreeError) as caught:
        validate(broken)
    said = str(caught.value)
    for part in (
        "group 'prior' is missing",
        "'extras' is not part",
        "sample_stats['lp']",
        "posterior['att'] holds",
        "lacks 'seed'",
    ):
        assert part in said


def test_shapes_that_do_not_fit_the_models_dims_are_all_named(did: HierarchicalDiD) -> None:
    with pytest.raises(TreeError, match=r"'gamma'.*'tau_group'"):
        dataset(did, {"gamma": np.zeros((2, 3)), "tau_group": np.zeros((2, 3, 2, 2))}, ("chain", "draw"))


def test_a_tree_of_another_origin_is_refused() -> None:
    with pytest.raises(TreeError, match="not made by bayes_causal"):
        info(xr.DataTree())


def test_auto_picks_by_ability_and_says_why(did: HierarchicalDiD, normal_mean: Any) -> None:
    counts = {"draws": 11, "warmup": 12, "chains": 3}
    engine, why = Auto(**counts).choose(did)
    assert (engine, "collapsed form" in why) == (Collapsed(**counts), True)
    engine, why = Auto(**counts).choose(normal_mean)
    assert (engine, "without a collapsed form" in why) == (NumpyroNuts(**counts), True)


def test_estimate_summarises_the_draws(did: HierarchicalDiD, tree: xr.DataTree) -> None:
    draws = tree["posterior"]["att"].values.ravel()
    answer = estimate(did, tree, level=0.8, rope=(-0.1, 0.1))
    row = answer.rows()[0]
    assert (row["value"], row["std_error"]) == pytest.approx((draws.mean(), draws.std(ddof=1)))
    assert (row["lower"], row["upper"]) == pytest.approx(tuple(np.quantile(draws, [0.1, 0.9])))
    assert row["prob_positive"] == pytest.approx((draws > 0).mean())
    assert row["prob_rope"] == pytest.approx((np.abs(draws) <= 0.1).mean())
    assert estimate(did, tree, "relative").unit == "fraction"
    by_group = estimate(did, tree, by="group")
    assert by_group.value.values == pytest.approx(tree["posterior"]["tau_group"].values.mean((0, 1)))


def test_the_same_seed_gives_the_same_tree_and_another_seed_another(did: HierarchicalDiD, tree: xr.DataTree) -> None:
    again = fit(did, seed=7)
    for group in set(tree.children) - {"observed_data", "constant_data"}:
        xr.testing.assert_identical(tree[group].to_dataset(), again[group].to_dataset())
    other = did.natural(Collapsed().sample(did, seed=8).sites)["att"]
    assert other.shape == tree["posterior"]["att"].shape and (other != tree["posterior"]["att"].values).mean() > 0.99
