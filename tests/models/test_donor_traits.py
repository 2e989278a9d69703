"""Predictors of a synthetic control: twins, what they are, what is refused, and what placebos have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayes_causal.data.panel import Panel
from bayes_causal.errors import DataError
from bayes_causal.inference.tree import dataset
from bayes_causal.models.synthetic_control import Priors, SyntheticControl

# Scales all different, so that no two priors can be swapped unseen.
PRIORS = Priors(intercept=4.0, sigma=0.8, concentration_low=0.1, concentration_high=2.0, predictor=0.3)
NAMES = ("wage", "age")


@pytest.fixture
def panel(several: Callable[..., Any], rng: np.random.Generator) -> Panel:
    """One treated unit from 8 on; wages every date, ages on two dates before and one after."""
    return with_predictors(several((8,), donors=5)[0], rng)


def with_predictors(whole: Panel, rng: np.random.Generator) -> Panel:
    values = rng.normal(30, 5, (*whole.observed.shape, 2))
    values[:, [t for t in range(12) if t not in (2, 5, 9)], 1] = np.nan
    held = whole.dataset.assign(predictors=(("unit", "time", "predictor"), values)).assign_coords(predictor=list(NAMES))
    return Panel(held)


def inside(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """n values of every site."""
    scales = {k: 0.1 + np.abs(rng.standard_normal(n)) for k in ("sigma", "sigma_predictor")}
    sites = {"log_concentration": rng.uniform(np.log(0.1), np.log(2.0), n), "weight": rng.dirichlet(np.ones(5), n)}
    return sites | scales | {"intercept": rng.standard_normal(n), "rho": rng.uniform(-0.9, 0.9, n)}


def test_twins_have_one_density(panel: Panel, rng: np.random.Generator, one_density: Any) -> None:
    """At three points; and the likelihood of each piece adds up to that of the twin."""
    model = SyntheticControl(panel, predictors=NAMES, priors=PRIORS)
    points = inside(3, rng)
    pieces = model.log_likelihood(points)
    assert pieces.shape == (3, 8 + 2)
    one_density(model, points, pieces.values)


def test_predictors_are_means_of_what_was_measured_before(panel: Panel, rng: np.random.Generator) -> None:
    """Over the treated unit and its donors they have mean 0 and sd 1; weights tell them in their own units."""
    model = SyntheticControl(panel, predictors=NAMES)
    values, traits = panel.dataset["predictors"].values, model.design.traits
    assert traits is not None and model.coords()["predictor"] == list(NAMES)
    np.testing.assert_allclose(traits.values[0], values[[5, 0, 1, 2, 3, 4], :8, 0].mean(1))
    np.testing.assert_allclose(traits.values[1], values[[5, 0, 1, 2, 3, 4]][:, [2, 5], 1].mean(1))
    np.testing.assert_allclose(traits.standardised.mean(1), 0, atol=1e-12)
    np.testing.assert_allclose(traits.standardised.std(1), 1)
    sites = inside(4, rng)
    told = dataset(model, {k: v[None] for k, v in model.natural(sites).items()}, ("chain", "draw"))
    np.testing.assert_allclose(told["predictor_mean"].sel(predictor="age")[0], sites["weight"] @ traits.values[1, 1:])
    np.testing.assert_allclose(model.constant_data()["own_predictor"], traits.values[:, 0])
    assert "sigma_predictor" in model.top_level() and model.variant().predictors == NAMES


def test_placebos_have_predictors_of_their_own_and_an_earlier_date_keeps_them(panel: Panel) -> None:
    model = SyntheticControl(panel, predictors=NAMES)
    d, raw = model.design, model.design.traits
    assert raw is not None
    for changed, units in ((d.instead(1), [2, 1, 3, 4, 5]), (d.without(1), [0, 1, 3, 4, 5]), (d.earlier(6, 2), range(6))):
        assert changed.traits is not None
        np.testing.assert_array_equal(changed.traits.values, raw.values[:, list(units)])
        assert model.sums(changed).traits.products.shape == (len(units), len(units))
    alike = replace(raw, values=np.array([[1.0, 2.0, 2.0], [1.0, 2.0, 3.0]])).of([1, 2])
    np.testing.assert_array_equal(alike.standardised, [[0.0, 0.0], [-1.0, 1.0]])


def test_what_cannot_be_used_is_refused_in_one_message(panel: Panel) -> None:
    held = panel.dataset["predictors"].values.copy()
    held[1, :8, 1] = np.nan
    held[:, :, 0] = 3.0
    broken = Panel(panel.dataset.assign(predictors=(("unit", "time", "predictor"), held)))
    with pytest.raises(DataError) as caught:
        SyntheticControl(broken, predictors=["wage", "age", "wagf", "y"])
    assert len(caught.value.problems) == 4
    for words in (
        r"'wage' is the same",
        "'age' was never measured before the treatment for 1 units ('d01')",
        "'wagf' is no column",
    ):
        assert words in str(caught.value)
    assert "did you mean 'wage'" in str(caught.value) and "matched date by date" in str(caught.value)
    assert SyntheticControl(broken, predictors="age", exclude=["d01"]).design.donors.size == 4
    with pytest.raises(ValueError, match="predictors go with weights='simplex', not with weights='softmax'"):
        SyntheticControl(panel, weights="softmax", predictors=NAMES)


def test_several_treated_units_take_no_predictors(several: Callable[..., Any], rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="predictors go with one treated unit only"):
        SyntheticControl(with_predictors(several((8, 9))[0], rng), predictors=NAMES)


def test_a_model_without_predictors_has_none_of_their_sites(panel: Panel, rng: np.random.Generator) -> None:
    model = SyntheticControl(panel)
    sites = {k: v for k, v in inside(3, rng).items() if k != "sigma_predictor"}
    assert model.sums(model.design).traits is None and "predictor_mean" not in model.natural(sites)
    assert model.log_likelihood(sites).dims == ("sample", "row") and isinstance(model.constant_data(), xr.Dataset)
    assert not any("predictor" in str(k) for k in (*model.coords(), *model.top_level(), *model.constant_data()))


def test_a_table_s_covariates_may_be_predictors(rng: np.random.Generator) -> None:
    unit, t = np.indices((4, 6)).reshape(2, -1)
    table = pd.DataFrame({"u": unit, "t": t, "y": rng.normal(size=24), "x": rng.normal(size=24), "d": (unit == 0) & (t > 3)})
    whole = Panel.from_frame(table.astype({"d": int}), unit="u", time="t", outcome="y", treatment="d", covariates=["x"])
    traits = SyntheticControl(whole, predictors=["x"]).design.traits
    assert traits is not None
    np.testing.assert_allclose(traits.values[0], table[table.t < 4].groupby("u")["x"].mean())
