"""Every kind of data, one entry each: what a study file may say of it, what reads it, and what a report shows of it.

Models, baselines and checks name the kinds they are for in their own catalogues; everything else that depends on the kind of the
data is looked up here. A further kind is a further entry. Importing this loads no container; an entry does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from bayes_causal.estimates import ESTIMANDS

SHARED_KEYS = ("source", "sources", "where", "kind")
_ROWS = {"rows_read": "rows read", "rows_kept": "rows kept"}

PANEL_TEMPLATE = """\
  unit: unit                   # column that names the unit
  time: time                   # column of the period
  outcome: outcome             # column of the outcome; for several, the headline first: outcomes: [sales, units]
  treatment: treated           # 0/1 column, on while the unit is treated
  # group: campaign            # which treatment it is: effects are pooled over groups
  # arms: arm                  # instead of treatment: column of several treatments; 0, none, control or empty = untreated
  # exposures: exposures.csv   # instead of treatment and group: rows (unit, group, start, end), both ends included
  # exposures: last            # plan a test with synthetic control: bayes-causal power
  # cohort: first_treated      # instead of treatment: first treated period, 0 or empty = never
  # covariates: [income]
  # predictors: [schooling]    # what synthetic control matches beside the outcome; may have gaps
  # weights: weight            # precision weights
  # cluster: region            # what standard errors of the baselines are clustered by; the unit if left out
  # where: time < 100          # a row filter, as SQL
  # in_memory: false           # stream Parquet that is larger than memory; left out, its size decides
"""
SERIES_TEMPLATE = """\
  time: date                   # column of the date or period, at regular steps; left out, rows count from 0
  outcome: outcome             # column of the outcome; for several, the headline first: outcomes: [sales, units]
  controls: [control]          # columns that move with the outcome and that the intervention leaves alone; [] for none
  # placebo_outcomes: [other]  # columns that the intervention cannot have moved, for the check placebo_outcome
  intervention: 2020-03-02     # first date on which the outcome may be changed; last = plan a test: bayes-causal power
  # end: 2020-06-30            # last date of the treatment; what follows is shown and not counted
  # pre: [2019-01-01, 2020-02-29]     # first and last date of the time before; earlier rows are dropped
  # post: [2020-03-02, 2020-12-31]    # first and last date of the time after; later rows are dropped, a gap is allowed
  # where: region = 'north'    # a row filter, as SQL
"""

MULTI_TEMPLATE = """\
  time: month                  # column of the date or period, at regular steps without gaps
  outcomes: [stocks, bonds]    # columns of the series: returns, growth rates
  shocks: [shock]              # columns whose effects on every series are asked for
  controls: [control]          # columns held constant beside them, known at the date they stand at; [] for none
  # where: month >= '1990-01-01'      # a row filter, as SQL
"""


@dataclass(frozen=True)
class Kind:
    """One kind of data.

    Parameters
    ----------
    name : str
        As study files write it.
    keys : tuple of str
        Keys of a study's `data` that say which column plays which part.
    required : tuple of str
        Those that cannot be left out, beside the outcome, where the source is no example.
    container, reader, problems : str
        ``module:name`` inside `bayes_causal.data` of the container, of what reads a study's `data` into it, and of what is wrong
        with such keys before anything is read; empty where this version has none.
    attribute : str
        Where a model holds its data.
    subject : str
        What is said to have an effect, at the beginning of a sentence.
    estimands : mapping
        What estimands are called here, where `ESTIMANDS` has the words of another kind.
    counts : mapping
        Counts of the container that a report shows, in words.
    sections : tuple of str
        Sections of the report between the data and the comparison, in order.
    template : str
        The commented keys of a new study file.
    lazy : str
        ``module:name`` of the container's sibling for data larger than memory, where there is one.
    together : bool
        Whether outcomes are modelled together, and a study names under `question` which shock and outcome it is about; else every
        outcome is a study of its own.
    """

    name: str
    keys: tuple[str, ...]
    required: tuple[str, ...] = ()
    container: str = ""
    reader: str = ""
    problems: str = ""
    attribute: str = ""
    subject: str = "Treatment"
    estimands: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, str] = field(default_factory=dict)
    sections: tuple[str, ...] = ()
    template: str = ""
    lazy: str = ""
    together: bool = False

    def asked(self, estimand: str) -> str:
        """An estimand in words; its own name where it has none."""
        return self.estimands.get(estimand, ESTIMANDS.get(estimand, estimand))

    def load_container(self) -> Any:
        """The container's class."""
        return _load(self.container)

    def load_reader(self) -> Callable[..., Any]:
        """The function: (keys, base, outcome) -> container, provenance."""
        return _load(self.reader)

    def load_problems(self) -> Callable[[Mapping[str, Any], bool], list[str]]:
        """The function: (keys, from an example) -> problems."""
        return _load(self.problems)


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "panel",
            tuple(
                "in_memory unit time outcome outcomes treatment arms group exposures cohort covariates predictors weights "
                "cluster layout pre post terms".split()
            ),
            ("unit", "time"),
            "panel:Panel",
            "load:load_units",
            "declare:declared_problems",
            "panel",
            counts=_ROWS
            | {
                "units": "units",
                "periods": "periods",
                "cells": "cells observed",
                "missing_cells": "cells missing",
                "treated_cells": "cells treated",
                "treated_units": "units ever treated",
                "never_treated_units": "units never treated",
            },
            lazy="panel_source:PanelSource",
            sections=("raw-means", "event-time", "groups"),
            template=PANEL_TEMPLATE,
        ),
        Kind(
            "time_series",
            ("time", "outcome", "outcomes", "controls", "placebo_outcomes", "intervention", "end", "pre", "post"),
            (),
            "time_series:TimeSeries",
            "load:load_series",
            "declare_series:declared_problems",
            "series",
            "The intervention",
            {"att": "average effect over the post-period", "cumulative": "sum of the effect over the post-period"},
            counts=_ROWS
            | {
                "dates": "dates",
                "pre_dates": "dates before",
                "post_dates": "dates after",
                "missing_outcomes": "outcomes missing",
                "inserted_dates": "dates without a row",
                "controls": "controls",
            },
            sections=("series", "controls", "components"),
            template=SERIES_TEMPLATE,
        ),
        Kind(
            "multi_series",
            ("time", "outcomes", "shocks", "controls"),
            (),
            "multi_series:MultiSeries",
            "load_multi_series:load_multi_series",
            "declare_multi_series:declared_problems",
            "data",
            "A shock",
            {"regime_effect": "response to a unit of a shock, averaged over regimes with today's probabilities"},
            counts=_ROWS | {"dates": "dates", "series": "series", "shocks": "shocks", "controls": "controls"},
            sections=("regimes", "regime-effects", "responses", "transitions"),
            template=MULTI_TEMPLATE,
            together=True,
        ),
        Kind(
            "cross_section",
            tuple("outcome treatment covariates weights cluster arms terms group instrument running cutoff".split()),
        ),
    )
}


def kind_of(data: Any) -> str:
    """The kind of data a container holds, as study files call it."""
    name = type(data).__name__
    return next(kind.name for kind in KINDS.values() if name in (kind.container.partition(":")[2], kind.lazy.partition(":")[2]))


def model_kind(model: Any) -> str | None:
    """The kind of data a model holds; None for a model that holds none of ours."""
    held = (kind.name for kind in KINDS.values() if kind.attribute and getattr(model, kind.attribute, None) is not None)
    return next(held, None)


def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(f"bayes_causal.data.{module}"), name)
