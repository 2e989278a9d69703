"""The report of a series: numbers that agree with the draws, three panels on dates, and words that claim no more than they "
"may."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import xarray as xr

from bayes_causal.checks.base import Check
from bayes_causal.data.kinds import KINDS
from bayes_causal.estimates import Estimand, from_draws, from_normal
from bayes_causal.reports import draws, expected, style, tables, text
from bayes_causal.reports.content import RunContent
from bayes_causal.reports.figures import drawn
from bayes_causal.reports.html import render
from bayes_causal.reports.page import page

CHAINS, DRAWS, ROWS, START = 4, 250, 60, 42
PATHS = ("chain", "draw", "time")


def run(
    *, unit: str = "sales", effect: float = -5.0, controls: int = 3, dates: bool = True, missing: int | None = 50
) -> RunContent:
    """A made-up run: random-walk level, controls, an effect from the 43rd of 60 dates on, the last two beyond its end."""
    rng = np.random.default_rng(1)
    months = np.arange("2019-01", "2024-01", dtype="datetime64[M]").astype("datetime64[ns]")
    time = months if dates else np.arange(ROWS)
    level = 100 + rng.normal(size=(CHAINS, DRAWS, ROWS)).cumsum(-1) * 0.1
    x = rng.normal(3, 2, (ROWS, controls))
    beta = np.linspace(1, 0, controls) + 0.05 * rng.normal(size=(CHAINS, DRAWS, controls))
    counterfactual = level + (x - x[:START].mean(0)) @ beta[..., None].mean((0, 1))[:, 0] + rng.normal(size=level.shape)
    position = np.arange(ROWS)
    post = (position >= START) & (position < ROWS - 2)
    outcome = counterfactual.mean((0, 1)) + effect * (position >= START) + 0.5 * rng.normal(size=ROWS)
    if missing is not None:
        outcome[missing] = np.nan
    posterior: dict[str, Any] = {"counterfactual": (PATHS, counterfactual), "level": (PATHS, level)}
    facts: dict[str, Any] = {"outcome": ("time", outcome), "pre": ("time", position < START), "post": ("time", post)}
    coords: dict[str, Any] = {"time": time}
    if controls:
        posterior |= {"beta": (("chain", "draw", "control"), beta)}
        chance = np.linspace(1, 0.1, controls)
        posterior["inclusion"] = (("chain", "draw", "control"), (rng.random(beta.shape) < chance).astype(float))
        facts["controls"] = (("time", "control"), x)
        coords["control"] = [f"$x_{k}$ with a name that is far too long" for k in range(controls)]
    return _content(xr.Dataset(posterior, coords), xr.Dataset(facts, coords), unit)


def _content(posterior: xr.Dataset, facts: xr.Dataset, unit: str) -> RunContent:
    used = facts["post"].values & np.isfinite(facts["outcome"].values)
    gap = (facts["outcome"] - posterior["counterfactual"]).transpose(*PATHS).isel(time=used)
    without = posterior["counterfactual"].isel(time=used)
    answers = {"att": gap.mean("time"), "cumulative": gap.sum("time"), "relative": gap.sum("time") / without.sum("time")}
    own = [from_draws(v, Estimand(k, "realised"), "structural_time_series", unit=unit) for k, v in answers.items()]
    own.append(from_draws(gap, Estimand("att", "realised", "time"), "structural_time_series", unit=unit))
    other = from_normal(float(own[0].value) + 1, 2.0, Estimand("att", "realised"), "ols_pre_period", unit=unit)
    estimates = [*own, other]
    found = [Check("convergence", True, "blocking", "The chains agree."), Check("control_drift", True, "warning", "None moved.")]
    record = {"model": "structural_time_series", "options": {"level": "local_level", "ar": 1}, "priors": {}, "engine": {}}
    record |= {"seed": 1, "versions": {}, "device": "cpu", "precision": "float64", "data_digest": "0", "seconds": {}}
    tree = xr.DataTree.from_dict({"posterior": posterior, "constant_data": facts, "prior": posterior.isel(draw=slice(20))})
    tree.attrs["bayes_causal"] = json.dumps(record)
    kind = KINDS["time_series"]
    study = {
        "name": "shop",
        "data": {"source": "a.csv", "kind": "time_series", "time": "month", "outcome": unit, "intervention": "2022-07-01"},
        "model": {"name": "structural_time_series"},
        "level": 0.9,
    }
    counts = {"rows_read": 60, "rows_kept": 60, "dates": 60, "pre_dates": 42, "post_dates": 16, "controls": 3}
    rows, _ = tables.split_coefficients([row for e in estimates for row in e.rows()])
    return RunContent(
        study=study,
        verdict=text.verdict(own[0].rows()[0], found, subject=kind.subject),
        rows=rows,
        comparison=tables.comparison(estimates, own[0]),
        checks=found,
        manifest={"study": study, "data": counts, "engine": {}, "seconds": {}},
        tree=tree,
    )


@pytest.fixture(scope="module")
def content() -> RunContent:
    return run()


def test_bands_are_those_of_the_draws(content: RunContent) -> None:
    found = expected.expected(content)
    assert found is not None
    posterior, facts = content.dataset("posterior"), content.dataset("constant_data")
    values = posterior["counterfactual"].values.reshape(-1, ROWS)
    np.testing.assert_allclose(found.expected[0], values.mean(0))
    np.testing.assert_allclose(found.expected[1], np.quantile(values, 0.05, axis=0))
    np.testing.assert_allclose(found.effect[0], facts["outcome"].values - values.mean(0))
    assert np.isnan(found.effect[0][50]) and np.isnan(found.total[0][START - 1]) and np.isnan(found.total[0][ROWS - 1])
    last = found.stop
    total = next(r for r in content.rows if r["estimand"] == "cumulative")
    assert found.total[0][last] == pytest.approx(total["value"]) and found.total[1][last] == pytest.approx(
        total["lower"], rel=1e-6
    )
    assert (found.start, found.stop) == (START, ROWS - 3)


def test_draws_of_the_headline_come_from_the_counterfactual(content: RunContent) -> None:
    values = draws.headline(content)
    assert values is not None and values.shape == (CHAINS, DRAWS)
    assert values.mean() == pytest.approx(content.headline["value"])
    assert draws.headline(content, "prior") is not None
    tampered = RunContent(**{**vars(content), "rows": [dict(r) | {"std_error": 2 * r["std_error"]} for r in content.rows]})
    assert draws.headline(tampered) is None, "draws that do not agree with the row are not drawn"


def test_every_figure_of_a_series_is_drawn_and_none_of_a_panel(content: RunContent) -> None:
    names = [d.name for d, _ in drawn(content)]
    assert names == ["effect", "counterfactual", "controls", "components", "methods", "chains"]
    assert [d.name for d, _ in drawn(run(controls=0))] == ["effect", "counterfactual", "methods", "chains"]
    for drawing, figure in drawn(content):
        assert len(style.png(figure)) > 5_000 and len(drawing.alt(content)) > 40
        assert "nan" not in drawing.alt(content)


@pytest.mark.parametrize(
    "options", [{"dates": False}, {"missing": None}, {"controls": 1}, {"effect": 0.0}, {"unit": "$a_b$ <x>"}]
)
def test_awkward_runs_are_drawn_all_the_same(options: dict[str, Any]) -> None:
    html, figures = render(run(**options))
    assert "counterfactual" in figures and "<x>" not in html.replace("&lt;x&gt;", "")


def test_three_panels_share_an_axis_of_dates(content: RunContent) -> None:
    figure = next(f for d, f in drawn(content) if d.name == "counterfactual")
    style.png(figure)
    assert len(figure.axes) == 3
    top, middle, bottom = (axes.get_xlim() for axes in figure.axes)
    assert top == middle == bottom
    shown = [t.get_text() for t in figure.axes[2].get_xticklabels()]
    assert any("20" in label for label in shown), shown


def test_a_model_that_leaves_nothing_out_has_no_bars() -> None:
    full = run()
    posterior = full.dataset("posterior").assign(inclusion=lambda d: xr.ones_like(d["inclusion"]))
    always = RunContent(**{**vars(full), "tree": xr.DataTree.from_dict({"posterior": posterior})})
    always.tree["constant_data"] = xr.DataTree(full.dataset("constant_data"))
    figure = next(f for d, f in drawn(always) if d.name == "controls")
    assert len(figure.axes) == 1


def test_the_table_says_what_was_observed_expected_and_the_difference(content: RunContent) -> None:
    table = expected.summary(content)
    assert table is not None
    average, total, share = table["body"]
    assert average[0] == "On average" and total[0] == "In total" and share[0] == "In per cent"
    facts, head = content.dataset("constant_data"), content.headline
    used = facts["post"].values & np.isfinite(facts["outcome"].values)
    observed = float(facts["outcome"].values[used].mean())
    assert float(average[1]) == pytest.approx(observed, abs=0.01)
    assert average[2].startswith(f"{observed - head['value']:.2f}"[:5])
    assert share[3].startswith("−4") or share[3].startswith("−5")
    logged = expected.summary(run(unit="log_sales", effect=-0.2))
    assert logged is not None and logged["body"][2][0] == "In per cent, about"


def test_the_words_agree_with_the_numbers_and_say_what_they_leave_out(content: RunContent) -> None:
    first, second, third = expected.words(content)
    assert first.startswith("From 2022-07-01 to 2023-10-01 (15 dates), sales was")
    assert "The difference is −" in first
    assert "of 15 lie outside their own 90% band" in second and "of 42 before it" in second
    assert "only under the assumptions" in third
    assert content.verdict["sentence"].startswith("The intervention lowered sales by")
    doubted = text.verdict(content.headline, [Check("control_drift", False, "warning", "x")], subject="The intervention")
    assert doubted["sentence"].startswith("By this estimate, the intervention lowered")


def test_the_page_has_the_sections_of_a_series(content: RunContent) -> None:
    sections = page(content, ["series", "controls", "components", "effect"])["sections"]
    assert list(sections)[:5] == ["verdict", "data", "series", "controls", "components"]
    assert not {"raw-means", "event-time", "groups"} & set(sections)
    html, _ = render(content)
    assert "CausalImpact" in html and "deviation from expected trend" in html and 'aria-current="true"' in html
    assert "Expected without it" in html and "dates before" in html
