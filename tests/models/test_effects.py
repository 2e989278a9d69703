"""Estimands against slow, obvious loops over cells and groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from bayes_causal.data.panel import Panel
from bayes_causal.errors import EstimandError
from bayes_causal.estimates import Estimand
from bayes_causal.models import did_predictive
from bayes_causal.models.hierarchical_did import HierarchicalDiD

CASES = [("constant", "everything"), ("group", "overlapping"), ("event_time", "everything"), ("event_time", "one group")]
CASES += [("cohort_time", "unbalanced")]
WINDOW = (1, 1)


def since_onset(panel: Panel, u: int, t: int, g: int) -> int:
    """Periods since the running spell began, by walking back."""
    active, period = panel.dataset["treatment"].values[u, :, g], panel.dataset["period"].values
    start = t
    while start > 0 and active[start - 1]:
        start -= 1
    return int(period[t] - period[start])


def pair_effects(model: HierarchicalDiD, b: np.ndarray) -> dict[tuple[int, int, int], tuple[int, float]]:
    """(unit, time, group) of every active observed pair to its event time and its effect under coefficients b."""
    panel, names = model.panel, list(model.structure.column_names)
    labels, found = panel.dataset["group"].values, {}
    for u, t, g in zip(*np.nonzero(panel.dataset["treatment"].values & panel.observed[..., None]), strict=True):
        e = since_onset(panel, u, t, g)
        capped = min(e, WINDOW[1] + 1)
        parts = {
            "constant": ["treatment"],
            "group": [f"group {labels[g]}"],
            "event_time": [f"event time {capped}"] + ([f"group {labels[g]}"] if labels.size > 1 else []),
            "cohort_time": [f"cohort {panel.cohort[u]}, event time {capped}"],
        }[model.effects]
        found[u, t, g] = (e if model.effects in ("constant", "group") else capped, sum(b[names.index(p)] for p in parts))
    return found


def by_loops(model: HierarchicalDiD, b: np.ndarray, by: str | None) -> dict[Any, tuple[float, int]]:
    """Label to the mean effect over its treated cells (pairs, for group and event time), and their number."""
    panel, cells, members = model.panel, defaultdict(float), defaultdict(list)
    pairs = pair_effects(model, b)
    for (u, t, _), (_, effect) in pairs.items():
        cells[u, t] += effect
    if by in ("group", "event_time"):
        for (_, _, g), (e, effect) in pairs.items():
            members[panel.dataset["group"].values[g] if by == "group" else e].append(effect)
    else:
        for (u, t), effect in cells.items():
            unit, time = panel.dataset["unit"].values[u], panel.dataset["time"].values[t]
            members[{None: 0, "time": time, "unit": unit, "cohort": panel.cohort[u]}[by]].append(effect)
    return {k: (float(np.mean(v)), len(v)) for k, v in members.items()}


def posterior_of(model: HierarchicalDiD, rng: np.random.Generator) -> xr.Dataset:
    b = rng.standard_normal((2, 3, len(model.structure.column_names)))
    return xr.Dataset({"coefficient": (("chain", "draw", "column"), b)}, {"chain": range(2), "draw": range(3)})


@pytest.fixture
def built(make_panel: Callable[..., Panel]) -> Callable[[str, str], HierarchicalDiD]:
    def build(effect: str, kind: str) -> HierarchicalDiD:
        window = WINDOW if effect.endswith("time") else None
        return HierarchicalDiD(make_panel(kind), effect=effect, window=window, errors="iid")  # type: ignore[arg-type]

    return build


@pytest.mark.parametrize("by", [None, "group", "event_time", "cohort", "time", "unit"])
@pytest.mark.parametrize(("effect", "kind"), CASES)
def test_att_is_the_mean_over_treated_cells(
    effect: str, kind: str, by: str | None, built: Callable[..., HierarchicalDiD], rng: np.random.Generator
) -> None:
    model = built(effect, kind)
    posterior = posterior_of(model, rng)
    draws = model.effect(posterior, Estimand("att", "mean", by))
    assert draws.dims == ("chain", "draw", *(() if by is None else (by,)))
    for c, d in np.ndindex(2, 3):
        expected = by_loops(model, posterior["coefficient"].values[c, d], by)
        found = draws.values[c, d]
        if by is None:
            assert found == pytest.approx(expected[0][0])
            continue
        labelled = dict(zip(draws[by].values.tolist(), found.tolist(), strict=True))
        if by == "event_time":
            labelled = {k: v for k, v in labelled.items() if k >= 0}
        assert labelled == pytest.approx({k: v for k, (v, _) in expected.items()})


@pytest.mark.parametrize("by", [None, "group", "time", "cohort"])
def test_cumulative_is_the_sum_over_treated_cells(
    by: str | None, built: Callable[..., HierarchicalDiD], rng: np.random.Generator
) -> None:
    model = built("group", "everything")
    posterior = posterior_of(model, rng)
    found = model.effect(posterior, Estimand("cumulative", "mean", by)).values[1, 2]
    expected = by_loops(model, posterior["coefficient"].values[1, 2], by)
    order = expected if by is None else sorted(expected)
    assert np.atleast_1d(found) == pytest.approx([expected[k][0] * expected[k][1] for k in order])


@pytest.mark.parametrize("by", [None, "time", "unit", "cohort"])
def test_relative_is_the_att_over_the_mean_counterfactual(
    by: str | None, built: Callable[..., HierarchicalDiD], rng: np.random.Generator
) -> None:
    model = built("group", "everything")
    posterior, panel = posterior_of(model, rng), model.panel
    expected, outcomes = by_loops(model, posterior["coefficient"].values[0, 1], by), defaultdict(list)
    for u, t in zip(*np.nonzero(panel.observed & panel.treated), strict=True):
        unit, time = panel.dataset["unit"].values[u], panel.dataset["time"].values[t]
        key = {None: 0, "time": time, "unit": unit, "cohort": panel.cohort[u]}[by]
        outcomes[key].append(panel.dataset["outcome"].values[u, t])
    found = np.atleast_1d(model.effect(posterior, Estimand("relative", "mean", by)).values[0, 1])
    order = list(expected) if by is None else sorted(expected)
    assert found == pytest.approx([expected[k][0] / (np.mean(outcomes[k]) - expected[k][0]) for k in order])


def test_leads_are_shown_by_event_time_and_count_nowhere_else(
    built: Callable[..., HierarchicalDiD], rng: np.random.Generator
) -> None:
    """Moving the lead coefficients moves the leads, and nothing else."""
    model = built("event_time", "everything")
    before, after = posterior_of(model, rng), None
    leads = [k for k, name in enumerate(model.structure.column_names) if name.startswith("event time -")]
    assert leads
    after = before.copy(deep=True)
    after["coefficient"].values[..., leads] += 100.0
    for by in (None, "group", "cohort", "time", "unit"):
        asked = Estimand("att", "mean", by)
        assert (model.effect(before, asked).values == model.effect(after, asked).values).all()
    moved = model.effect(after, Estimand("att", "mean", "event_time")) - model.effect(
        before, Estimand("att", "mean", "event_time")
    )
    assert moved.sel(event_time=moved["event_time"] < 0).values == pytest.approx(100.0)
    assert moved.sel(event_time=moved["event_time"] >= 0).values == pytest.approx(0.0)
    assert (model.effect(after, Estimand("cumulative", "mean", "event_time"))["event_time"] >= 0).all()


def design_columns(model: HierarchicalDiD) -> np.ndarray:
    """(N, K) by loops: what each coefficient adds to each observed cell, leads included."""
    panel, names = model.panel, list(model.structure.column_names)
    treatment, period = panel.dataset["treatment"].values, panel.dataset["period"].values
    low = min(int(n.split("event time ")[1]) for n in names if n.startswith("event time "))
    rows = []
    for u, t in zip(*np.nonzero(panel.observed), strict=True):
        row = np.zeros(len(names))
        for g, label in enumerate(panel.dataset["group"].values):
            if treatment[u, t, g]:
                row[names.index(f"event time {min(since_onset(panel, u, t, g), WINDOW[1] + 1)}")] += 1
                row[names.index(f"group {label}")] += 1
                continue
            later = [k for k in range(t + 1, period.size) if treatment[u, k, g]]
            until = int(period[t] - period[later[0]]) if later else -1
            if until < -1:
                row[names.index(f"event time {max(until, low)}")] += 1
        rows.append(row)
    return np.array(rows)


def test_event_time_columns_by_loops(built: Callable[..., HierarchicalDiD]) -> None:
    model = built("event_time", "everything")
    assert (model.design.effect == design_columns(model)).all()


def fixed_posterior(model: HierarchicalDiD, rng: np.random.Generator, draws: int) -> xr.Dataset:
    """One set of parameters, repeated: what varies over draws of the realised effect is noise."""
    d, own = model.design, {"intercept": 0.3, "sigma": 0.8, "sigma_unit": 0.6, "rho": 0.5}
    own |= {"delta": rng.standard_normal(d.unit_terms.shape[1]), "gamma": rng.standard_normal(d.n_times)}
    own |= {"coefficient": rng.standard_normal(d.effect.shape[1]), "beta": rng.standard_normal(d.covariates.shape[1])}
    dims = {"delta": "unit_term", "gamma": "time", "coefficient": "column", "beta": "covariate"}
    repeat = {
        k: (("chain", "draw", *((dims[k],) if k in dims else ())), np.broadcast_to(v, (1, draws, *np.shape(v))))
        for k, v in own.items()
    }
    return xr.Dataset(repeat, {"chain": [0], "draw": range(draws)})


def test_realised_effect_is_observed_minus_drawn_untreated_outcomes(
    built: Callable[..., HierarchicalDiD], make_panel: Callable[..., Panel], rng: np.random.Generator
) -> None:
    """Given parameters the realised att is normal: its mean and its sd, noise of Y(0) and of u_i in them, by dense algebra.

    1,000 draws; mean and variance are each wrong once in 100,000 names.
    """
    model = HierarchicalDiD(make_panel("everything"), effect="group")
    posterior = fixed_posterior(model, rng, 1000)
    at = {k: v.values[0, 0] for k, v in posterior.items()}
    d, panel = model.design, model.panel
    period = panel.dataset["period"].values[d.time]
    mean = (
        at["intercept"]
        + d.unit_terms[d.unit] @ at["delta"]
        + at["gamma"][d.time]
        + d.covariates @ (at["beta"] * d.covariate_scale)
    )
    y = panel.dataset["outcome"].values[panel.observed]
    share = (panel.treated[panel.observed]) / panel.treated[panel.observed].sum()
    expected, variance = share @ (y - mean), 0.0
    for u in range(d.n_units):
        r = np.flatnonzero(d.unit == u)
        lag = np.abs(period[r][:, None] - period[r])
        errors = at["sigma"] ** 2 / (1 - at["rho"] ** 2) * at["rho"] ** lag / d.sqrt_weight[r] / d.sqrt_weight[r][:, None]
        gain = np.linalg.solve(errors + at["sigma_unit"] ** 2, np.full(r.size, at["sigma_unit"] ** 2))
        u_mean, u_variance = gain @ (y - mean - d.effect @ at["coefficient"])[r], at["sigma_unit"] ** 2 * (1 - gain.sum())
        expected -= share[r].sum() * u_mean
        variance += share[r].sum() ** 2 * u_variance + share[r] @ errors @ share[r]
    draws = model.effect(posterior, Estimand("att", "realised")).values.ravel()
    assert abs(draws.mean() - expected) < stats.norm.isf(5e-6) * np.sqrt(variance / draws.size)
    ratio = draws.size * np.mean((draws - expected) ** 2) / variance
    assert stats.chi2(draws.size).ppf(5e-6) < ratio < stats.chi2(draws.size).isf(5e-6)
    assert (model.effect(posterior, Estimand("att", "realised")).values.ravel() == draws).all(), "one tree, one answer"


def test_unit_intercepts_are_drawn_from_their_conditional(make_panel: Callable[..., Panel], rng: np.random.Generator) -> None:
    """4,000 draws of every unit's intercept, standardised by dense algebra: squares add up to a chi-square, twice 5e-6."""
    model = HierarchicalDiD(make_panel("everything"), effect="group")
    named = did_predictive.flat(fixed_posterior(model, rng, 4000))
    d, rho, sigma2, variance = model.design, 0.5, 0.8**2, 0.6**2
    period = model.panel.dataset["period"].values[d.time]
    alpha, residual = did_predictive.draw_alpha(d, named, rng), did_predictive.residual(d, named)[0] / d.sqrt_weight
    expected = did_predictive.expected_alpha(d, named)[0]
    total = 0.0
    for u in range(d.n_units):
        r = np.flatnonzero(d.unit == u)
        errors = (
            sigma2 / (1 - rho**2) * rho ** np.abs(period[r][:, None] - period[r]) / d.sqrt_weight[r] / d.sqrt_weight[r][:, None]
        )
        gain = np.linalg.solve(errors + variance, np.full(r.size, variance))
        z = (alpha[:, u] - expected[u] - gain @ residual[r]) / np.sqrt(variance * (1 - gain.sum()))
        total += z @ z
    reference = stats.chi2(4000 * d.n_units)
    assert reference.ppf(5e-6) < total < reference.isf(5e-6)


@pytest.mark.parametrize("by", ["time", "unit", "cohort", "group", "event_time"])
def test_realised_breakdowns_average_to_the_whole(by: str, make_panel: Callable[..., Panel], rng: np.random.Generator) -> None:
    """Weighted by their treated cells, realised effects of every breakdown have the mean and variance of the realised att.

    The noise of two labels is correlated where they share units: leaving that out would show in the variance. Given parameters
    both are normal; 4,000 draws; each test is wrong once in 100,000 names.
    """
    model = HierarchicalDiD(make_panel("unbalanced"), effect="group")
    posterior = fixed_posterior(model, rng, 4000).drop_vars("beta")
    whole = model.effect(posterior, Estimand("att", "realised")).values.ravel()
    part = model.effect(posterior, Estimand("att", "realised", by)).values
    cells = np.median(model.effect(posterior, Estimand("cumulative", "realised", by)).values / part, axis=(0, 1))
    total = ((part * cells).sum(-1) / cells.sum()).ravel()
    assert abs(total.mean() - whole.mean()) < stats.norm.isf(5e-6) * np.sqrt((total.var() + whole.var()) / whole.size)
    ratio, reference = total.var() / whole.var(), stats.f(whole.size - 1, whole.size - 1)
    assert reference.ppf(5e-6) < ratio < reference.isf(5e-6)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Estimand("late"), "has no 'late'"),
        (Estimand("att", "mean", "regime"), "no effect by 'regime'"),
        (Estimand("relative", "mean", "group"), "does not exist by group"),
        (Estimand("att", "realised", "group"), "treatments overlap"),
    ],
)
def test_estimands_that_do_not_exist_are_refused(
    asked: Estimand, message: str, built: Callable[..., HierarchicalDiD], rng: np.random.Generator
) -> None:
    model = built("group", "overlapping")
    with pytest.raises(EstimandError, match=message):
        model.effect(posterior_of(model, rng), asked)


def test_every_estimand_a_model_offers_exists(make_panel: Callable[..., Panel], rng: np.random.Generator) -> None:
    for effect in ("constant", "group", "event_time", "cohort_time"):
        model = HierarchicalDiD(make_panel("unbalanced"), effect=effect)  # type: ignore[arg-type]
        posterior = fixed_posterior(model, rng, 3).drop_vars("beta")
        for asked in model.estimands():
            assert np.isfinite(model.effect(posterior, asked).values).all()


def test_constant_data_by_loops(make_panel: Callable[..., Panel]) -> None:
    model = HierarchicalDiD(make_panel("everything"))
    table, panel = model.constant_data(), model.panel
    y, treatment = panel.dataset["outcome"].values, panel.dataset["treatment"].values
    for k, who in (("treated", panel.ever_treated), ("untreated", ~panel.ever_treated)):
        for t in range(y.shape[1]):
            seen = y[who, t][np.isfinite(y[who, t])]
            assert table["raw_count"].sel(status=k).values[t] == seen.size
            assert table["raw_mean"].sel(status=k).values[t] == pytest.approx(seen.mean() if seen.size else np.nan, nan_ok=True)
    for g in range(treatment.shape[2]):
        cells = [(u, t) for u, t in np.argwhere(treatment[..., g]) if np.isfinite(y[u, t])]
        assert table["group_cells"].values[g] == len(cells)
        assert table["group_units"].values[g] == len({u for u, _ in cells})
        assert table["group_start"].values[g] == panel.dataset["time"].values[min(t for _, t in cells)]
        assert table["group_end"].values[g] == panel.dataset["time"].values[max(t for _, t in cells)]


@pytest.mark.parametrize("effect", ["event_time", "cohort_time"])
def test_a_window_without_leads_leaves_the_time_before_onset_alone(effect: Any, make_panel: Callable[..., Panel]) -> None:
    """Every period before onset is the reference: event-time columns count active treatments and nothing else."""
    panel = make_panel("unbalanced", share=0.6)
    model = HierarchicalDiD(panel, effect=effect, window=(0, 1), errors="iid")
    times = [k for k, name in enumerate(model.structure.column_names) if "event time" in name]
    assert (model.design.effect[:, times].sum(1) == model.design.active).all()
    assert model.structure.leads().event.size == 0 and (model.design.active == 0).any()
