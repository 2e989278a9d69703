"""Outcomes that cannot have moved: fitted as the model would be without the control, and told where one did move."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayes_causal as bc
from bayes_causal.checks.placebo_outcomes import in_place_of_the_outcome, placebo_outcome
from bayes_causal.checks.series_refit import ATT, Refit, refit_many
from bayes_causal.errors import StudyError
from bayes_causal.inference.tree import dataset

N, START = 90, 70


def series(rng: np.random.Generator, *, moved: str = "", missing: bool = False) -> bc.TimeSeries:
    """Three related series and one beside them; one of them moves at the intervention on request."""
    x = 1.5 * rng.standard_normal((N, 2))
    frame = pd.DataFrame({"t": np.arange(N), "rivals": x[:, 0], "rain": x @ [1.0, 1.0] + rng.standard_normal(N)})
    frame["y"] = 10 + x[:, 0] + 0.5 * x[:, 1] + rng.standard_normal(N) + 5 * (frame["t"] >= START)
    frame["elsewhere"] = 3 + x[:, 1] + rng.standard_normal(N)
    if moved:
        frame.loc[frame["t"] >= START, moved] += 8.0
    if missing:
        frame.loc[[4, 40, START + 2], "elsewhere"] = np.nan
    controls, placebos = ["rivals", "rain"], ["elsewhere"]
    return bc.TimeSeries.from_frame(
        frame, time="t", outcome="y", controls=controls, placebo_outcomes=placebos, intervention=START
    )


def model(s: bc.TimeSeries, **options: object) -> bc.StructuralTimeSeries:
    return bc.StructuralTimeSeries(s, prior_set="causalimpact", **options)  # type: ignore[arg-type]


EMPTY = xr.DataTree()


def test_a_control_in_place_of_the_outcome_is_the_model_without_it(rng: np.random.Generator) -> None:
    """Columns of zeros in one program, against the model fitted on its own to the control and the other one."""
    own = model(series(rng), expected_model_size=1)
    placed = in_place_of_the_outcome(own.series, "rivals")
    assert placed.outcome_name == "rivals"
    ((again, posterior, sure),) = refit_many(own, [(placed, ["rivals"])], draws=2000)
    assert sure and (posterior["beta"].sel(control="rivals") == 0).all()
    # One of three columns, the intercept counted, is one of two with the same probability at two thirds of the size.
    alone = model(placed.select_controls(["rain"]), expected_model_size=2 / 3)
    other = dataset(alone, alone.natural(bc.Collapsed(draws=2000).sample(alone, seed=2).sites), ("chain", "draw"))
    one, two = again.effect(posterior, ATT).values.ravel(), alone.effect(other, ATT).values.ravel()
    assert abs(one.mean() - two.mean()) < 5 * two.std() / np.sqrt(1000)
    assert one.std() == pytest.approx(two.std(), rel=0.1)


def test_wandering_coefficients_of_a_control_left_out_are_gone_too(rng: np.random.Generator) -> None:
    """Or a control would explain itself: leaving it out leaves no trace of it in the form."""
    wandering = bc.StructuralTimeSeries(series(rng), dynamic=True)
    full = wandering.collapsed()
    form = Refit(wandering, full.span, (1,)).collapsed()
    changed = np.flatnonzero((np.asarray(form.sums.loading) != np.asarray(full.sums.loading)).any(0))
    sizes = [p.size for p in full.parts]
    assert [p.name for p in full.parts][-1] == "dynamic" and list(changed) == [sum(sizes[:-1]) + 1]
    assert (np.asarray(form.sums.loading)[:, changed] == 0).all()


def test_nothing_moved_passes_and_what_moved_is_named(rng: np.random.Generator) -> None:
    """At 99 % over three outcomes a right model fails once in 100 seeds, and the seed is the name's; a jump of 8 is not hidden."""
    state = rng.bit_generator.state
    calm = placebo_outcome(model(series(rng, missing=True)), EMPTY, level=0.99, draws=2000)
    assert calm.passed and [r["outcome"] for r in calm.table] == ["elsewhere", "rivals", "rain"]
    assert calm.table[0]["explained_by"] == "all controls" and calm.numbers["not_proved"] == 0
    rng.bit_generator.state = state
    caught = placebo_outcome(model(series(rng, moved="elsewhere")), EMPTY, level=0.99, draws=2000)
    assert caught.passed is False and "elsewhere has an effect away from zero" in caught.text
    assert {r["outcome"] for r in caught.table if r["lower"] > 0 or r["upper"] < 0} == {"elsewhere"}
    assert caught.table[0]["value"] == pytest.approx(8, abs=3)


def test_what_it_does_not_know_is_refused_and_what_it_lacks_is_said(rng: np.random.Generator) -> None:
    own = model(series(rng))
    with pytest.raises(StudyError, match=r"no outcome 'rivales'.*did you mean 'rivals'"):
        placebo_outcome(own, EMPTY, outcomes=["rivales"])
    bare = own.series.select_controls([])
    bare = bc.TimeSeries(bare.dataset.drop_dims("placebo"))
    assert "no controls, and no data.placebo_outcomes" in placebo_outcome(model(bare), EMPTY).text
    gone = own.series.dataset.assign(placebo_outcomes=own.series.dataset["placebo_outcomes"] * np.nan)
    assert "Does not apply" in placebo_outcome(model(bc.TimeSeries(gone)), EMPTY, outcomes="elsewhere").text
