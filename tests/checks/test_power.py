"""Power of a design by effects placed in the time before: the arithmetic by hand, a closed form, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayes_causal as bc
from bayes_causal.checks.catalogue import CHECKS
from bayes_causal.checks.series_refit import ATT, masked, refit_many
from bayes_causal.checks.windows import average_effects, dates_needed, detectable, longest, placed, share
from bayes_causal.errors import DataError

N = 160


def planned(y: np.ndarray, **more: Any) -> bc.TimeSeries:
    frame = pd.DataFrame({"t": np.arange(len(y)), "y": y})
    return bc.TimeSeries.from_frame(frame, time="t", outcome="y", **({"intervention": "last"} | more))


def ar1(rho: float, rng: np.random.Generator, n: int = N) -> np.ndarray:
    noise = rng.standard_normal(n)
    for t in range(1, n):
        noise[t] += rho * noise[t - 1]
    return 20 + noise


@pytest.fixture(scope="module")
def model() -> bc.StructuralTimeSeries:
    return bc.StructuralTimeSeries(planned(ar1(0.5, np.random.default_rng(11))), prior_set="causalimpact")


@pytest.fixture(scope="module")
def found(model: bc.StructuralTimeSeries) -> xr.Dataset:
    return bc.power(model, durations=[3, 8], effects=[0, 0.4, 1, 2, 4])


def test_a_constant_in_the_window_moves_every_draw_by_it(model: bc.StructuralTimeSeries) -> None:
    """What lets one fit serve all sizes: the fit does not see the window, and the effect is linear in it."""
    window = masked(model.series, 100, 8)
    lifted = window.replace_outcome(window.dataset["outcome"].values + np.where(window.post, 2.5, 0.0))
    draws = [
        model.variant(series=s).effect(next(refit_many(model, [(s, ())], draws=200))[1], ATT).values for s in (window, lifted)
    ]
    np.testing.assert_allclose(draws[1], draws[0] + 2.5, atol=1e-12)


def test_one_fit_answers_for_every_duration(model: bc.StructuralTimeSeries) -> None:
    """The average over the first dates of a longer window is the model's own effect of a shorter one."""
    ((again, posterior, _),) = refit_many(model, [(masked(model.series, 90, 20), ())], draws=100)
    draws = average_effects(again.series, posterior, 90, [5, 20, 21])
    for k, h in enumerate((5, 20)):
        asked = model.variant(series=masked(model.series, 90, h)).effect(posterior, ATT)
        np.testing.assert_allclose(draws[k], asked.values.ravel(), atol=1e-12)
    assert np.isnan(draws[2]).all()


def test_the_shares_are_those_of_intervals_moved_by_the_effect(model: bc.StructuralTimeSeries, found: xr.Dataset) -> None:
    windows = placed(model, (3, 8), 40, 0.9, 500, 20_150_101)
    for k in range(2):
        low, high = windows.lower[k], windows.upper[k]
        low, high = low[np.isfinite(low)], high[np.isfinite(high)]
        for j, c in enumerate(found["effect"].values):
            risen, fallen = (low + c > 0).mean(), (high - c < 0).mean()
            expected = risen + fallen if c == 0 else (risen + fallen) / 2
            assert found["power"].values[k, j] == pytest.approx(expected)
        assert found["false_alarms"].values[k] == found["power"].values[k, 0]
        m = float(found["mde"].values[k])
        either = np.concatenate([low + m >= -1e-12, high - m <= 1e-12])
        assert either.mean() >= 0.8 > np.concatenate([low + 0.999 * m > 0, high - 0.999 * m < 0]).mean()
    assert found["windows"].values[0] == 40 > found["windows"].values[1] > 30
    assert found.attrs["unit"] == "y" and found.attrs["step"] == "step" and found.attrs["dates"] == N - 1


def test_the_shortest_duration_that_finds_an_effect(found: xr.Dataset) -> None:
    for j, c in enumerate(found["effect"].values):
        enough = [h for h, p in zip((3, 8), found["power"].values[:, j], strict=True) if p >= 0.8]
        needed = found["duration_needed"].values[j]
        assert (needed == enough[0]) if enough else np.isnan(needed), c


def test_independent_errors_give_the_textbook_size(seed: int) -> None:
    """Noise without memory, R's priors: half the interval plus 0.84 sds of what is estimated, within 4 of the stated errors."""
    h = 3
    plain = bc.StructuralTimeSeries(planned(5 + np.random.default_rng(seed).standard_normal(N)), prior_set="causalimpact")
    table = bc.power(plain, durations=h)
    windows = placed(plain, (h,), 40, 0.9, 500, 20_150_101)
    half = float(np.mean(windows.upper[0] - windows.lower[0]) / 2)
    theory = half + 0.8416 * np.sqrt(1 / h + 0.02)
    assert abs(float(table["mde"][0]) - theory) < 4 * float(table["mde_error"][0])
    assert 0 < float(table["mde_error"][0]) < 0.25 * theory
    assert int(table["side_by_side"][0]) >= 30


def test_autocorrelation_of_the_series_itself_counts(seed: int) -> None:
    """The planted fault: a model that takes errors for independent. Persistent ones raise alarms, the same shuffled do not.

    R's priors cover a null series under AR(0.6) some 62 % of the time; two series of 11 windows side by side each.
    """
    rng = np.random.default_rng(seed)
    rates = np.zeros(2)
    for y in (ar1(0.6, rng), ar1(0.6, rng)):
        for k, outcome in enumerate((y, rng.permutation(y))):
            found = bc.power(bc.StructuralTimeSeries(planned(outcome), prior_set="causalimpact"), 8, 1.0)
            rates[k] += float(found["false_alarms"][0]) / 2
    assert rates[0] > rates[1] + 0.1 and rates[1] < 0.2


def test_errors_are_those_of_blocks() -> None:
    hits = np.array([1.0, 0, 0, 1, 1, 0, 1, 1])
    mean, error = share(hits, np.arange(8))
    assert mean == 0.625 and error == pytest.approx(hits.std(ddof=1) / np.sqrt(8))
    doubled = share(np.repeat(hits, 2), np.repeat(np.arange(8), 2))
    assert doubled == pytest.approx((mean, error)), "windows that say the same twice do not count twice"
    assert np.isnan(share(hits, np.zeros(8))[1])
    needed = np.stack([np.linspace(0.1, 1, 10)] * 2, 1)
    assert detectable(needed, np.arange(10), 0.8)[0] == pytest.approx(0.8)
    assert detectable(needed - 5, np.arange(10), 0.8)[0] == 0.0


@pytest.mark.parametrize("gap", [0, 3])
def test_the_length_it_asks_for_is_enough_and_one_less_is_not(gap: int) -> None:
    for h in (1, 4, 9):
        n = dates_needed(h, gap)
        for size, can in ((n, True), (n - 1, False)):
            y = np.random.default_rng(size).standard_normal(size + gap + 1)
            series = planned(y, intervention=size, post=[size + gap, size + gap], pre=[0, size - 1])
            assert (longest(series) >= h) == can, (h, gap, size)


def test_what_cannot_be_is_refused_with_what_could(model: bc.StructuralTimeSeries) -> None:
    with pytest.raises(
        DataError, match=r"a test of 60 dates needs a pre-period of at least 400 dates, and there are 159.*runs 23"
    ):
        bc.power(model, durations=[5, 60])
    with pytest.raises(ValueError, match=r"durations are whole.*effects are sizes.*power lies between"):
        bc.power(model, durations=[0], effects=[-1], power=80)
    short = bc.StructuralTimeSeries(planned(np.random.default_rng(0).standard_normal(7)))
    with pytest.raises(DataError, match="can tell about no test"):
        bc.power(short)
    gone = np.where(np.arange(N) < 110, np.nan, ar1(0.2, np.random.default_rng(1)))
    gone[:6] = np.arange(6)
    with pytest.raises(DataError, match="of 40 stretches of the pre-period only"):
        bc.power(
            bc.StructuralTimeSeries(planned(np.where(np.arange(N) < N - 1, np.where(np.arange(N) < 8, gone, np.nan), 1.0))), 3
        )


def test_the_check_tells_the_design_and_other_durations(model: bc.StructuralTimeSeries) -> None:
    run = model.variant(series=planned(model.series.dataset["outcome"].values, intervention=N - 10))
    posterior = next(refit_many(run, [(run.series, ())], draws=200))[1]
    tree = xr.DataTree.from_dict({"posterior": posterior})
    check = CHECKS["mde"].load("time_series")(run, tree, windows=20)
    assert check.passed is None and check.numbers["mde"] > 0 and 15 <= check.numbers["windows"] <= 20
    rows = {r["duration"]: r for r in check.table}
    assert 10 in rows and rows[10]["mde"] == check.numbers["mde"]
    assert all(r["found_20%"] <= r["found_60%"] <= r["mde"] <= r["found_90%"] for r in check.table)
    plain = CHECKS["mde"].load("time_series")(run, tree)
    assert "asks the time before" in plain.text and plain.numbers["mde"] == check.numbers["mde_by_posterior"] and not plain.table
    late = planned(model.series.dataset["outcome"].values, intervention=60)
    said = CHECKS["mde"].load("time_series")(model.variant(series=late), tree, windows=20)
    assert "needs a pre-period of at least" in said.text and said.numbers["mde"] == said.numbers["mde_by_posterior"]
