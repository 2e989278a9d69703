"""Few-cluster inference against refits and textbook loops, and its error rates under the null."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayes_causal.baselines.few_clusters import jackknife, randomisation, wild_bootstrap
from bayes_causal.baselines.within import TwoWay, cells


def parts(frame, to_panel, **options):
    panel = to_panel(frame, **options)
    return panel.dataset["treatment"].values.sum(-1).astype(float), cells(panel)


@pytest.mark.parametrize("missing", [0.0, 0.25], ids=["balanced", "unbalanced"])
def test_cr3_equals_refits_without_each_cluster(make_frame, to_panel, dummies, missing):
    frame = make_frame(missing=missing, clusters=9)
    x, c = parts(frame, to_panel, cluster="c", covariates=["x"], weights="w")
    beta = dummies(frame, ["d", "x"], "c")[0][0]
    refits = np.array([dummies(frame[frame["c"] != g], ["d", "x"], "c")[0][0] for g in range(9)])
    np.testing.assert_allclose(jackknife(x[None], c)[0, 0], 8 / 9 * np.sum((refits - beta) ** 2), rtol=1e-8)


def test_cr3_of_several_coefficients_marks_those_of_one_cluster(make_frame, to_panel):
    x, c = parts(make_frame(clusters=9), to_panel, cluster="c")
    only = np.zeros_like(x)
    only[c.cluster == 0, 4:] = 1.0
    vcov = jackknife(np.stack([x, only]), c)
    assert np.isfinite(vcov[0, 0]) and np.isnan(vcov[1]).all()


def test_projection_is_the_residual_of_a_regression(make_frame, to_panel, dummies):
    frame = make_frame(missing=0.2)
    x, c = parts(frame, to_panel, covariates=["x"], weights="w")
    xt, yt = TwoWay.of(c.w, c.z).residualise(np.stack([x, c.y]))
    beta = dummies(frame, ["d", "x"], "unit")[0][0]
    np.testing.assert_allclose(np.sum(c.w * xt * yt) / np.sum(c.w * xt**2), beta, rtol=1e-9)
    np.testing.assert_allclose(TwoWay.of(c.w, c.z).residualise(xt[None])[0], xt, atol=1e-10)


def textbook_wild(frame: pd.DataFrame, null: float, v: np.ndarray) -> float:
    """P-value of the restricted wild cluster bootstrap, every draw a regression with dummies."""
    y, d = frame["y"].to_numpy(), frame["d"].to_numpy(float)
    fixed = np.concatenate(
        [
            frame[["x"]].to_numpy(),
            np.equal.outer(frame["unit"].to_numpy(), np.unique(frame["unit"])),
            np.equal.outer(frame["time"].to_numpy(), np.unique(frame["time"])[1:]),
        ],
        axis=1,
    ).astype(float)
    codes = frame["c"].to_numpy()

    def t(outcome: np.ndarray) -> float:
        full = np.column_stack([d, fixed])
        beta = np.linalg.lstsq(full, outcome, rcond=None)[0]
        u = outcome - full @ beta
        dt = d - fixed @ np.linalg.lstsq(fixed, d, rcond=None)[0]
        meat = sum(np.sum((dt * u)[codes == g]) ** 2 for g in np.unique(codes))
        return (beta[0] - null) / (np.sqrt(meat) / np.sum(dt**2))

    restricted = np.linalg.lstsq(fixed, y - null * d, rcond=None)[0]
    fitted, u = null * d + fixed @ restricted, y - null * d - fixed @ restricted
    draws = np.array([t(fitted + row[codes] * u) for row in v])
    return (1 + np.sum(np.abs(draws) >= abs(t(y)) * (1 - 1e-9))) / (1 + len(v))


def test_wild_bootstrap_equals_regressions_draw_by_draw(make_frame, to_panel, seed):
    frame = make_frame(clusters=14, effect=0.3, missing=0.1)
    x, c = parts(frame, to_panel, cluster="c", covariates=["x"])
    v = np.random.default_rng(seed).choice(np.array([-1.0, 1.0]), size=(150, 14))
    ours = wild_bootstrap(x, c, draws=150, seed=seed)
    assert ours["weights"] == "rademacher"
    assert ours["p_value"] == pytest.approx(textbook_wild(frame, 0.0, v))
    for end in ("lower", "upper"):
        side = -1 if end == "lower" else 1
        assert textbook_wild(frame, ours[end] + side * 1e-6, v) <= 0.1 + 1e-9
        assert textbook_wild(frame, ours[end] - side * 1e-6, v) > 0.1


def test_very_few_clusters_use_webb_weights(make_frame, to_panel):
    x, c = parts(make_frame(clusters=6), to_panel, cluster="c")
    assert wild_bootstrap(x, c, draws=99)["weights"] == "webb"


def null_panels(rng: np.random.Generator, to_panel, n: int):
    """Panels without an effect: 12 clusters with common AR(1) shocks, the last six treated in the second half."""
    unit, time = np.indices((36, 10)).reshape(2, -1)
    region = unit % 12
    for _ in range(n):
        shock = rng.normal(size=(12, 10))
        for t in range(1, 10):
            shock[:, t] += 0.8 * shock[:, t - 1]
        y = rng.normal(size=36)[unit] + shock[region, time] + 0.5 * rng.normal(size=unit.size)
        d = ((region >= 6) & (time >= 5)).astype(int)
        yield parts(pd.DataFrame({"unit": unit, "time": time, "y": y, "d": d, "c": region}), to_panel, cluster="c")


def test_rejection_rates_under_the_null(rng, to_panel):
    """At nominal 10 % over 400 panels a correct test rejects 5.5 % to 14.5 % but for one seed in 370 (three sd of 1.5 %)."""
    wild, permuted = [], []
    for k, (x, c) in enumerate(null_panels(rng, to_panel, 400)):
        wild.append(wild_bootstrap(x, c, draws=199, seed=k)["p_value"] <= 0.1)
        permuted.append(randomisation(x, c, permutations=99, seed=k)["p_value"] <= 0.1)
    assert 0.055 <= np.mean(wild) <= 0.145
    assert 0.055 <= np.mean(permuted) <= 0.145


def test_randomisation_moves_clusters_where_they_share_a_path(make_frame, to_panel, rng):
    x, c = next(iter(null_panels(rng, to_panel, 1)))
    assert randomisation(x, c, permutations=9)["permuted"] == "cluster"
    x, c = parts(make_frame(clusters=6), to_panel, cluster="c")
    assert randomisation(x, c, permutations=9)["permuted"] == "unit"


def test_chunks_do_not_change_the_answer(make_frame, to_panel, monkeypatch):
    x, c = parts(make_frame(clusters=8), to_panel, cluster="c")
    whole = (jackknife(x[None], c), wild_bootstrap(x, c, draws=99), randomisation(x, c, permutations=50))
    monkeypatch.setattr("bayes_causal.baselines.few_clusters.CHUNK", 600)
    monkeypatch.setattr("bayes_causal.baselines.within.CHUNK", 600)
    np.testing.assert_allclose(jackknife(x[None], c), whole[0])
    assert wild_bootstrap(x, c, draws=99)["p_value"] == whole[1]["p_value"]
    assert randomisation(x, c, permutations=50)["permutations"] == 50
