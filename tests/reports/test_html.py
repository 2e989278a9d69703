"""The page is whole, escaped, sends nothing, and holds its sections and figures."""

import json
import re
from html.parser import HTMLParser

import pytest

from bayes_causal.checks.base import Check
from bayes_causal.reports.html import render, subscripts, write

VOID = {"meta", "link", "img", "br", "input", "hr"}
NASTY = "<script>alert(\"x\")</script> & 'quotes'"


class Page(HTMLParser):
    """Tags with attributes, ids, and whether every tag is closed in order."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.wrong = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append((tag, self.getpos()))


@pytest.fixture(scope="module")
def rendered(content):
    return render(content)


def test_well_formed(rendered):
    page = Page(rendered[0])
    assert not page.wrong and not page.open
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    links = [a["href"][1:] for t, a in page.tags if t == "a"]
    assert set(links) <= set(ids) and len(links) > 11
    assert all(a.get("alt") for t, a in page.tags if t == "img")


def test_nothing_comes_from_outside(rendered):
    page = Page(rendered[0])
    assert not {"script", "iframe", "object", "embed", "base", "form"} & {t for t, _ in page.tags}
    loaded = [a[k] for _, a in page.tags for k in ("src", "href", "srcset", "action") if k in a]
    assert all(v.startswith(("data:", "#")) for v in loaded)
    assert not re.search(r"@import|url\(|@font-face", rendered[0])
    assert not any(k.startswith("on") for _, a in page.tags for k in a)


def test_names_are_escaped_wherever_they_appear(make):
    run = make(name=NASTY, groups=[f"{NASTY} {k}" for k in range(60)])
    html, _ = render(run)
    page = Page(html)
    assert "script" not in {t for t, _ in page.tags} and not page.wrong
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize(
    ("options", "absent"),
    [
        ({}, []),
        ({"groups": 0}, ["groups"]),
        ({"times": []}, ["event-time"]),
        ({"groups": 1, "times": [], "predictive": False, "rope": None}, ["event-time"]),
        ({"reliable": False, "dates": False}, []),
        ({"groups": 60, "times": list(range(-20, 31))}, []),
    ],
)
def test_sections(make, options, absent):
    html, _ = render(make(**options))
    ids = {a["id"] for t, a in Page(html).tags if t == "h2"}
    every = {
        "verdict",
        "data",
        "raw-means",
        "event-time",
        "groups",
        "comparison",
        "diagnostics",
        "assumptions",
        "tested",
        "model",
        "reproduce",
    }
    assert ids == every - set(absent)


def test_the_page_says_what_the_run_says(rendered, content):
    html = rendered[0]
    for words in (content.verdict["sentence"], "0.021 to 0.063", "&gt;99.9%", "130,857", "outcome missing", "9f2c" * 16):
        assert words in html.replace("&#39;", "'"), words
    assert "Not applicable: treatment starts at 27 different dates" in html
    assert 'class="mine" aria-current="true"><th scope="row" class="l">difference-in-differences' in html
    assert "bayes-causal run campaigns.yaml --seed 1" in html
    assert "placebo_time: not run" in html and "pretrend: passed" in html
    assert "the model is linear and Gaussian given five numbers" in html and "2 min 10 s" in html


def test_an_unreliable_run_leads_with_that(make):
    html, _ = render(make(reliable=False))
    hero = html[html.index('class="hero') : html.index('<dl class="three">')]
    assert hero.startswith('class="hero fail"') and "Not reliable: convergence" in hero and "chains disagree" in hero
    assert "raised" not in hero


def test_other_estimands_and_outcomes_have_their_own_table(make):
    run = make(groups=0, times=[])
    assert "Other questions" not in render(run)[0]
    first = [dict(r) | {"by": {"outcome": "log_sales"}} for r in run.rows]
    cumulative = first[0] | {"estimand": "cumulative", "value": 41.5}
    units = [r | {"by": {"outcome": "units"}, "unit": "units"} for r in first]
    html, _ = render(type(run)(**{**vars(run), "rows": [*first, cumulative, *units]}))
    table = html[html.index("Other questions") :].split("</table>")[0]
    assert table.count("<tr>") == 1 + 1 + 4 and "sum of the effect over the post period (mean)" in table and "41.500" in table


def test_no_checks_and_no_comparison(make):
    run = make(groups=0, times=[])
    bare = type(run)(**{**vars(run), "checks": [], "comparison": [], "rows": run.rows[:1], "assumptions": []})
    html, figures = render(bare)
    assert "No checks were run" in html and "No frequentist estimate" in html and "methods" not in figures
    assert 'id="assumptions"' not in html


def test_a_model_without_a_value(make):
    run = make(groups=0, times=[])
    nothing = dict.fromkeys(("value", "std_error", "lower", "upper", "prob_positive", "prob_rope"))
    rows = [dict(run.rows[0]) | nothing, *run.rows[1:]]
    verdict = dict(run.verdict) | {k: None for k in nothing if k in run.verdict} | {"reliable": False, "sentence": "No verdict."}
    html, figures = render(type(run)(**{**vars(run), "rows": rows, "verdict": verdict}))
    assert "No verdict." in html and "effect" not in figures


def test_writing_replaces_old_figures(content, tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "old.png").write_bytes(b"")
    path = write(content, tmp_path)
    assert path == tmp_path / "report.html" and path.stat().st_size < 4e6
    found = sorted(p.name for p in (tmp_path / "figures").iterdir())
    assert "old.png" not in found and len(found) == 7


def test_the_same_run_gives_the_same_page(content, rendered):
    assert render(content)[0] == rendered[0]


def test_formulas_have_indices_below_the_line(rendered):
    assert str(subscripts("ε_it = ρ ε_i,t−1 + v_it, τ_g <b>")) == (
        "ε<sub>it</sub> = ρ ε<sub>i,t−1</sub> + v<sub>it</sub>, τ<sub>g</sub> &lt;b&gt;"
    )
    assert str(subscripts("event_time")) == "event_time"
    assert "<dt>α<sub>i</sub></dt>" in rendered[0]


def test_every_option_and_engine_is_in_words(make):
    window = make()
    record = json.loads(window.tree.attrs["bayes_causal"])
    record["options"] = {"effects": "event_time", "errors": "iid", "time_effects": "random_walk", "window": [2, 3]}
    window.tree.attrs["bayes_causal"] = json.dumps(record)
    html, _ = render(window)
    for words in ("periods since onset", "errors are independent", "follow a random walk", "event times from −2 to 3 have"):
        assert words in html, words
    assert "Pareto k below 0.7" in html
    assert '<th scope="row" class="l">≤ −3</th>' in html and '<th scope="row" class="l">≥ 4</th>' in html


def test_per_cent_figures_give_way_to_the_check_of_the_shift(make):
    run = make()
    assert "Per cent figures" in render(run)[0]
    shifted = type(run)(**{**vars(run), "checks": [*run.checks, Check("log_shift", False, "warning", "from -0.2 to -0.1")]})
    html, _ = render(shifted)
    assert "Per cent figures" not in html and "No per cent figure is given" in html and "from −0.2 to −0.1" in html
