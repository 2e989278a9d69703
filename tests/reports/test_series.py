"""The report of a series: numbers that agree with the draws, three panels on dates, and words that claim no more than they "
"may."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

from bayes_causal.checks.base import Check
from bayes_causal.reports import draws, expected, style, tables, text
from bayes_causal.reports.content import RunContent
from bayes_causal.reports.figures import drawn, power
from bayes_causal.reports.html import render
from bayes_causal.reports.page import page

CHAINS, DRAWS, ROWS, START = 4, 500, 60, 42  # of the made-up run
Make = Callable[..., RunContent]


def test_bands_are_those_of_the_draws(series_content: RunContent) -> None:
    found = expected.expected(series_content)
    assert found is not None
    posterior, facts = series_content.dataset("posterior"), series_content.dataset("constant_data")
    values = posterior["counterfactual"].values.reshape(-1, ROWS)
    np.testing.assert_allclose(found.expected[0], values.mean(0))
    np.testing.assert_allclose(found.expected[1], np.quantile(values, 0.05, axis=0))
    np.testing.assert_allclose(found.effect[0], facts["outcome"].values - values.mean(0))
    assert np.isnan(found.effect[0][50]) and np.isnan(found.total[0][START - 1]) and np.isnan(found.total[0][ROWS - 1])
    last = found.stop
    total = next(r for r in series_content.rows if r["estimand"] == "cumulative")
    assert found.total[0][last] == pytest.approx(total["value"]) and found.total[1][last] == pytest.approx(
        total["lower"], rel=1e-6
    )
    assert (found.start, found.stop) == (START, ROWS - 3)


def test_draws_of_the_headline_come_from_the_counterfactual(series_content: RunContent) -> None:
    values = draws.headline(series_content)
    assert values is not None and values.shape == (CHAINS, DRAWS)
    assert values.mean() == pytest.approx(series_content.headline["value"])
    assert draws.headline(series_content, "prior") is not None
    tampered = RunContent(
        **{**vars(series_content), "rows": [dict(r) | {"std_error": 2 * r["std_error"]} for r in series_content.rows]}
    )
    assert draws.headline(tampered) is None, "draws that do not agree with the row are not drawn"


def test_every_figure_of_a_series_is_drawn_and_none_of_a_panel(series_content: RunContent, make_series: Make) -> None:
    names = [d.name for d, _ in drawn(series_content)]
    assert names == ["effect", "counterfactual", "controls", "components", "methods", "chains"]
    assert [d.name for d, _ in drawn(make_series(controls=0))] == ["effect", "counterfactual", "methods", "chains"]
    for drawing, figure in drawn(series_content):
        assert len(style.png(figure)) > 5_000 and len(drawing.alt(series_content)) > 40
        assert "nan" not in drawing.alt(series_content)


@pytest.mark.parametrize(
    "options", [{"dates": False}, {"missing": None}, {"controls": 1}, {"effect": 0.0}, {"unit": "$a_b$ <x>"}]
)
def test_awkward_runs_are_drawn_all_the_same(options: dict[str, Any], make_series: Make) -> None:
    html, figures = render(make_series(**options))
    assert "counterfactual" in figures and "<x>" not in html.replace("&lt;x&gt;", "")


def test_three_panels_share_an_axis_of_dates(series_content: RunContent) -> None:
    figure = next(f for d, f in drawn(series_content) if d.name == "counterfactual")
    style.png(figure)
    assert len(figure.axes) == 3
    top, middle, bottom = (axes.get_xlim() for axes in figure.axes)
    assert top == middle == bottom
    shown = [t.get_text() for t in figure.axes[2].get_xticklabels()]
    assert any("20" in label for label in shown), shown


def test_a_model_that_leaves_nothing_out_has_no_bars(make_series: Make) -> None:
    full = make_series()
    posterior = full.dataset("posterior").assign(inclusion=lambda d: xr.ones_like(d["inclusion"]))
    always = RunContent(**{**vars(full), "tree": xr.DataTree.from_dict({"posterior": posterior})})
    always.tree["constant_data"] = xr.DataTree(full.dataset("constant_data"))
    figure = next(f for d, f in drawn(always) if d.name == "controls")
    assert len(figure.axes) == 1


def test_the_table_says_what_was_observed_expected_and_the_difference(series_content: RunContent, make_series: Make) -> None:
    table = expected.summary(series_content)
    assert table is not None
    average, total, share = table["body"]
    assert average[0] == "On average" and total[0] == "In total" and share[0] == "In per cent"
    facts, head = series_content.dataset("constant_data"), series_content.headline
    used = facts["post"].values & np.isfinite(facts["outcome"].values)
    observed = float(facts["outcome"].values[used].mean())
    assert float(average[1]) == pytest.approx(observed, abs=0.01)
    assert average[2].startswith(f"{observed - head['value']:.2f}"[:5])
    assert share[3].startswith("−4") or share[3].startswith("−5")
    logged = expected.summary(make_series(unit="log_sales", effect=-0.2))
    assert logged is not None and logged["body"][2][0] == "In per cent, about"


def test_the_words_agree_with_the_numbers_and_say_what_they_leave_out(series_content: RunContent) -> None:
    first, second, third = expected.words(series_content)
    assert first.startswith("From 2022-07-01 to 2023-10-01 (15 dates), sales was")
    assert "The difference is −" in first
    assert "of 15 lie outside their own 90% band" in second and "of 42 before it" in second
    assert "only under the assumptions" in third
    assert series_content.verdict["sentence"].startswith("The intervention lowered sales by")
    doubted = text.verdict(series_content.headline, [Check("control_drift", False, "warning", "x")], kind=series_content.kind)
    assert doubted["sentence"].startswith("By this estimate, the intervention lowered")
    assert doubted["sentence"].endswith("under which this is the intervention's doing.")


def test_a_series_is_asked_for_its_post_period_and_not_for_the_treated(series_content: RunContent) -> None:
    """The question of the page, the heading in a terminal, a refusal: by the kind's own words."""
    v, kind = series_content.verdict, series_content.kind
    assert page(series_content, [])["question"].startswith("Average effect over the post-period: sales")
    heading = tables.verdict_table("shop", v, series_content.select(), series_content.headline, kind=kind)
    assert heading.startswith("shop: average effect over the post-period, sales (realised scale)")
    empty = dict(series_content.headline) | {"value": None, "extra": {"reason": "no dates"}}
    refused = text.verdict(empty, [], kind=kind)["sentence"]
    assert "no value for the average effect over the post-period (no dates)" in refused
    html, _ = render(series_content)
    assert "on the treated" not in html and "treatment's" not in html


def test_the_page_has_the_sections_of_a_series(series_content: RunContent) -> None:
    sections = page(series_content, ["series", "controls", "components", "effect"])["sections"]
    assert list(sections)[:5] == ["verdict", "data", "series", "controls", "components"]
    assert not {"raw-means", "event-time", "groups"} & set(sections)
    html, _ = render(series_content)
    assert "CausalImpact" in html and "deviation from expected trend" in html and 'aria-current="true"' in html
    assert "Expected without it" in html and "dates before" in html


def test_power_is_drawn_from_the_table_of_its_check(series_content: RunContent) -> None:
    """The lines go through what the check's table says and start at half of the false alarms; without a table there are none."""
    rows = [
        {"duration": h, "windows": 20, "side_by_side": 5, "false_alarms": 0.1, "mde": 2.0 + k, "error": 0.2 if k else None}
        | {"found_20%": 0.5, "found_60%": 1.5, "found_90%": 3.5 + k}
        for k, h in enumerate((4, 8, 16))
    ]
    check = Check("mde", None, "info", "x", {"power": 0.8}, rows)
    content = RunContent(**{**vars(series_content), "checks": [*series_content.checks, check]})
    found = power.of_check(content)
    assert found is not None and list(found.durations) == [4, 8, 16] and np.isnan(found.error[0])
    sizes, shares = found.curves[1]
    assert list(sizes) == [0, 0.5, 1.5, 3.0, 4.5] and list(shares) == [0.05, 0.2, 0.6, 0.8, 0.9]
    assert "power" in [d.name for d, _ in drawn(content)] and "3 over 8 dates" in power.alt(content)
    figure = power.draw(content)
    assert figure is not None and [t.get_text() for t in figure.axes[0].get_legend().get_texts()] == ["4", "8", "16"]
    assert power.draw(series_content) is None and power.alt(series_content) == ""
