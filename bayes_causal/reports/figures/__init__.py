"""One figure a file, each with the same four parts: a caption, `draw`, `alt`, and what they need.

`draw` takes a `RunContent` and returns a Figure, or None where the figure does not apply; `alt` says it in words. `FIGURES` is
the one list, in the order of the report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bayes_causal.reports import style
from bayes_causal.reports.content import RunContent, every_section
from bayes_causal.reports.figures import (
    chains,
    components,
    controls,
    counterfactual,
    effect,
    event_study,
    groups,
    methods,
    period_weights,
    placebo_gaps,
    power,
    predictive,
    raw_means,
    regime_bands,
    regime_effects,
    responses,
    transitions,
    unit_gaps,
    weights,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Drawing:
    """A figure of the report: its name (and file name), the section it stands in, and how to draw and say it."""

    name: str
    section: str
    draw: Callable[[RunContent], Figure | None]
    alt: Callable[[RunContent], str]
    caption: str


DISTRUSTED = ("verdict", "event-time", "groups", "series", "donors", "comparison", "regimes", "regime-effects", "responses")

FIGURES = (
    Drawing("effect", "verdict", effect.draw, effect.alt, effect.CAPTION),
    Drawing("counterfactual", "series", counterfactual.draw, counterfactual.alt, counterfactual.CAPTION),
    Drawing("unit_gaps", "series", unit_gaps.draw, unit_gaps.alt, unit_gaps.CAPTION),
    Drawing("placebo_gaps", "donors", placebo_gaps.draw, placebo_gaps.alt, placebo_gaps.CAPTION),
    Drawing("weights", "donors", weights.draw, weights.alt, weights.CAPTION),
    Drawing("period_weights", "donors", period_weights.draw, period_weights.alt, period_weights.CAPTION),
    Drawing("controls", "controls", controls.draw, controls.alt, controls.CAPTION),
    Drawing("components", "components", components.draw, components.alt, components.CAPTION),
    Drawing("regime_bands", "regimes", regime_bands.draw, regime_bands.alt, regime_bands.CAPTION),
    Drawing("regime_effects", "regime-effects", regime_effects.draw, regime_effects.alt, regime_effects.CAPTION),
    Drawing("responses", "responses", responses.draw, responses.alt, responses.CAPTION),
    Drawing("transitions", "transitions", transitions.draw, transitions.alt, transitions.CAPTION),
    Drawing("raw_means", "raw-means", raw_means.draw, raw_means.alt, raw_means.CAPTION),
    Drawing("event_study", "event-time", event_study.draw, event_study.alt, event_study.CAPTION),
    Drawing("groups", "groups", groups.draw, groups.alt, groups.CAPTION),
    Drawing("methods", "comparison", methods.draw, methods.alt, methods.CAPTION),
    Drawing("posterior_predictive", "diagnostics", predictive.draw, predictive.alt, predictive.CAPTION),
    Drawing("power", "diagnostics", power.draw, power.alt, power.CAPTION),
    Drawing("chains", "diagnostics", chains.draw, chains.alt, chains.CAPTION),
)


def drawn(content: RunContent) -> Iterator[tuple[Drawing, Figure]]:
    """The figures that apply, in order; those that show effects say so where the result is not reliable."""
    of_others = every_section() - set(content.sections)
    for drawing in (d for d in FIGURES if d.section not in of_others):
        figure = drawing.draw(content)
        if figure is None:
            continue
        if not content.verdict["reliable"] and drawing.section in DISTRUSTED:
            style.distrust(figure, content.verdict["reasons"])
        yield drawing, figure
