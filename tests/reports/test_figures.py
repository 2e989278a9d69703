"""Every figure draws what applies, names it for those who cannot see it, and survives awkward runs."""

import struct

import matplotlib
import numpy as np
import pytest

from bayes_causal.checks.base import Check
from bayes_causal.data.kinds import KINDS
from bayes_causal.models.catalogue import MODELS
from bayes_causal.reports import draws, style
from bayes_causal.reports.figures import FIGURES, drawn
from bayes_causal.reports.timeline import timeline

OF_OTHERS = (*KINDS["time_series"].sections, *KINDS["multi_series"].sections, *MODELS["synthetic_control"].sections)
OTHERS = set(OF_OTHERS) - set(KINDS["panel"].sections)
ALL = [f.name for f in FIGURES if f.section not in OTHERS and f.name != "power"]


def names(content):
    return [drawing.name for drawing, _ in drawn(content)]


def test_everything_is_drawn_in_order(content):
    assert names(content) == ALL


def test_figures_that_do_not_apply_are_left_out(make):
    assert names(make(groups=0, times=[], predictive=False)) == ["effect", "raw_means", "methods", "chains"]
    assert names(make(groups=1, times=[0])) == [n for n in ALL if n != "groups"]


@pytest.mark.parametrize("n", [2, 27, 60])
def test_forest_of_any_size(make, n):
    run = make(groups=[f"$group_{k}$ with a name far too long for any axis, number {k}" for k in range(n)], times=[])
    figure = next(f for d, f in drawn(run) if d.name == "groups")
    labels = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert len(labels) == len(set(labels)) == n and max(map(len, labels)) <= 22
    png = style.png(figure)
    assert struct.unpack(">I", png[16:20])[0] == round(style.WIDTH * style.DPI)


@pytest.mark.parametrize(
    "options", [{"dates": False}, {"times": list(range(-20, 31))}, {"times": [0, 1, 2]}, {"times": ["≤−3", -2, 0, 1]}]
)
def test_time_of_any_kind(make, options):
    if "≤−3" in options.get("times", []):
        run = make(times=[-3, -2, 0, 1])
        rows = [dict(r) | {"by": {"event_time": "≤−3"}} if r["by"] == {"event_time": -3} else r for r in run.rows]
        run = type(run)(**{**vars(run), "rows": rows})
    else:
        run = make(**options)
    figures = {d.name: f for d, f in drawn(run)}
    assert style.png(figures["event_study"]) and style.png(figures["raw_means"])


def labels(figure):
    return [t.get_text() for t in figure.axes[0].get_xticklabels()]


def test_bins_at_the_ends_of_the_window_say_so(make):
    figures = {d.name: f for d, f in drawn(make(times=list(range(-9, 26))))}
    assert labels(figures["event_study"])[0] == "≤ −9" and labels(figures["event_study"])[-1] == "≥ 25"
    inside = labels(dict((d.name, f) for d, f in drawn(make(times=list(range(-8, 25)))))["event_study"])
    assert not any("≤" in label or "≥" in label for label in inside)


def test_leads_of_the_pretrend_check_stand_in_where_effects_do_not_vary_over_event_time(make):
    run = make(times=[-3, -2, 0, 1])
    rows = [r for r in run.rows if not (r["method"] == "hierarchical_did" and "event_time" in r["by"])]
    leads = [{"event_time": e, "value": 0.01, "std_error": 0.01, "lower": -0.006, "upper": 0.026} for e in (-3, -2)]
    checks = [Check("pretrend", True, "warning", "", {}, leads)]
    figure = {d.name: (d, f) for d, f in drawn(type(run)(**{**vars(run), "rows": rows, "checks": checks}))}["event_study"]
    assert "Hierarchical Bayesian DiD" in [t.get_text() for t in figure[1].axes[0].get_legend().get_texts()]


def test_words_for_every_figure(content):
    for drawing, _ in drawn(content):
        assert len(drawing.alt(content)) > 40 and len(drawing.caption) > 40
    alts = {d.name: d.alt(content) for d in FIGURES}
    assert "0.042" in alts["effect"] and "2×2 DiD does not apply" in alts["methods"]
    assert "from 2023-01-02 to 2024-01-01" in alts["raw_means"]


def test_an_unreliable_result_is_marked_on_the_figures_that_travel(make):
    marked = {d.name for d, f in drawn(make(reliable=False)) if f._suptitle is not None}
    assert marked == {"effect", "event_study", "groups", "methods"}


def test_drawing_leaves_matplotlib_as_it_was(content):
    before = dict(matplotlib.rcParams)
    list(drawn(content))
    assert dict(matplotlib.rcParams) == before


def test_the_same_run_gives_the_same_bytes(content):
    first, second = ([style.png(f) for _, f in drawn(content)] for _ in range(2))
    assert first == second


def test_missing_values_leave_gaps(make):
    run = make()
    run.tree["constant_data"]["raw_mean"][:, 3:9] = np.nan
    run.tree["constant_data"]["raw_mean"][1] = np.nan
    assert "raw_means" in names(run)
    run.tree["constant_data"]["raw_mean"][:] = np.nan
    assert "raw_means" not in names(run)


def test_draws_are_used_only_where_they_match_the_row(content):
    rows = content.select("group", method="hierarchical_did")
    exact = draws.inner(content, rows, "group")
    quartiles = np.quantile(content.tree["posterior/tau_group"].values, [0.25, 0.75], axis=(0, 1)).T
    assert np.allclose(exact, quartiles)
    other = [dict(r) | {"value": r["value"] + 1} for r in rows]
    normal = draws.inner(content, other, "group")
    assert np.allclose(normal.mean(1), [r["value"] for r in other])
    assert np.allclose(normal[:, 1] - normal[:, 0], [2 * draws.QUARTILE * r["std_error"] for r in rows])


def test_density_integrates_to_one_and_finds_the_normal():
    values = np.random.default_rng(1).standard_normal(100_000)
    grid = np.linspace(-6, 6, 601)
    curve = draws.density(values, grid, 0.1)
    assert curve.sum() * (grid[1] - grid[0]) == pytest.approx(1, abs=1e-6)
    # sd of the estimate at 0 is about 0.001 here; smoothing lowers the peak to 1/sqrt(2 pi 1.01)
    assert curve[300] == pytest.approx(1 / np.sqrt(2 * np.pi * 1.01), abs=0.005)


@pytest.mark.parametrize(
    ("labels", "kind", "x"),
    [
        ([2003, 2004, 2006], "number", [2003, 2004, 2006]),
        (np.array(["1970-01-02", "1970-01-03"], "datetime64[ns]"), "date", [1, 2]),
        (["1970-01-02", "1970-01-05"], "date", [1, 4]),
        (["Q1", "Q2", "Q3"], "word", [0, 1, 2]),
    ],
)
def test_timelines(labels, kind, x):
    axis = timeline(labels)
    assert axis.kind == kind and np.allclose(axis.x, x)
    assert timeline(["a", "b"]).place(["b", "c"]).tolist()[0] == 1.0 and np.isnan(timeline(["a"]).place(["c"]))[0]
