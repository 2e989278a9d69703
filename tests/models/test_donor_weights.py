"""Kinds of donor weights: one density in both languages, what is expected and reported, what is refused, who is a donor."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest
from numpyro.infer.util import log_density
from scipy import stats

from bayes_causal.data.panel import Panel
from bayes_causal.errors import DataError
from bayes_causal.inference.generate import prior_sites
from bayes_causal.models.donor_weights import KINDS, Priors
from bayes_causal.models.donor_weights.factor import own_scales
from bayes_causal.models.synthetic_control import SyntheticControl
from bayes_causal.numerics.factor_count import factor_means, later_given_earlier

# Scales all different, so that no two priors can be swapped unseen.
PRIORS = Priors(
    intercept=4.0, sigma=0.8, concentration_low=0.1, concentration_high=2.0, donors=1.5, spread=0.9, loading=0.7, trend=0.4
)
OPTIONS: dict[str, dict[str, Any]] = {"factor": {"factors": 2}}
DONORS, PERIODS, ONSET = 5, 16, 12


def table(rng: np.random.Generator, factors: int = 1) -> pd.DataFrame:
    """Unit a is treated from 12 on; b, c, … are its donors, each on a scale of its own."""
    unit, time = np.indices((DONORS + 1, PERIODS)).reshape(2, -1)
    common = rng.standard_normal((PERIODS, factors)).cumsum(0)
    y = 5 + unit * ((common @ rng.uniform(0.5, 1.5, (factors, DONORS + 1)))[time, unit] + 0.3 * rng.standard_normal(unit.size))
    y += (unit == 0) * common[time, 0]
    columns = {"unit": [chr(97 + k) for k in unit], "t": time, "y": y, "d": ((unit == 0) & (time >= ONSET)).astype(int)}
    return pd.DataFrame(columns)


def panel(frame: pd.DataFrame) -> Panel:
    return Panel.from_frame(frame, unit="unit", time="t", outcome="y", treatment="d")


def gapped(frame: pd.DataFrame, *cells: tuple[str, int]) -> pd.DataFrame:
    return frame[[cell not in cells for cell in zip(frame["unit"], frame["t"], strict=True)]]


def build(rng: np.random.Generator, weights: Any, errors: Any = "ar1") -> SyntheticControl:
    """The treated unit has no outcome in periods 3 and 8; where a kind lets donors have gaps, c has none in 2 and 14."""
    cells = [("a", 3), ("a", 8)] + [("c", 2), ("c", 14)] * KINDS[weights].gaps
    frame = gapped(table(rng), *cells)
    return SyntheticControl(panel(frame), weights=weights, errors=errors, priors=PRIORS, **OPTIONS.get(weights, {}))


@pytest.mark.parametrize("weights", KINDS)
def test_twins_have_one_density(weights: str, rng: np.random.Generator, seed: int, needs: Any) -> None:
    needs("pymc")
    from pymc.model.transform.conditioning import remove_value_transforms

    model = build(rng, weights)
    logp = remove_value_transforms(model.pymc_model()).compile_logp(mode="FAST_COMPILE")
    # PyMC takes the log 2 of a half-Cauchy in single precision: a constant of 2e-9 for each.
    rounded = (DONORS + 1) * (float(np.float32(np.log(2))) - np.log(2)) if weights == "horseshoe" else 0.0
    for values in zip(*(sites := prior_sites(model, 3, seed)).values(), strict=True):
        x = dict(zip(sites, values, strict=True))
        with jax.enable_x64(True):
            ours = float(log_density(model.numpyro_model, (), {}, x)[0])
        assert ours == pytest.approx(float(logp(x)) - rounded, rel=1e-14, abs=1e-9)


@pytest.mark.parametrize("weights", KINDS)
def test_what_is_reported_says_what_is_expected(weights: str, rng: np.random.Generator, seed: int) -> None:
    """From the posterior in natural units as from the sites; and the likelihood is around it."""
    from bayes_causal.inference.tree import dataset

    model = build(rng, weights, "iid")
    sites = prior_sites(model, 4, seed)
    posterior = dataset(model, {k: v[None] for k, v in model.natural(sites).items()}, ("chain", "draw"))
    assert all(np.isfinite(v).all() for v in posterior.values())
    d = model.design
    expected = model.expected(d, sites)
    np.testing.assert_allclose(model.followed(posterior), expected, rtol=1e-9)
    assert dict(posterior.sizes)["donor"] == d.donors.size == DONORS
    outcome, sd = d.center + d.scale * d.y[d.fitted], posterior["sigma"].values[0][:, None]
    ours = model.log_likelihood(sites).values
    np.testing.assert_allclose(ours, stats.norm(expected[:, d.fitted[d.seen]], sd).logpdf(outcome) + np.log(d.scale), rtol=1e-9)


def test_implied_weights_of_factors_are_what_dense_normals_say(rng: np.random.Generator, seed: int) -> None:
    """At a date with all donors and no outcome of the treated unit: its mean given the donors, walk aside, is intercept + w'y."""
    model = build(rng, "factor")
    sites = {k: v[0] for k, v in prior_sites(model, 1, seed).items()}
    d, own, named = model.design, own_scales(model.design), model.kind.named(model.design, sites)
    t = PERIODS - 1
    cross = sites["donor_loading"] @ sites["loading"]
    cov = sites["donor_loading"] @ sites["donor_loading"].T + np.diag(sites["donor_sigma"] ** 2)
    mean = sites["intercept"] + cross @ np.linalg.solve(cov, own.x[t] - sites["donor_intercept"])
    natural = named["intercept"] + named["weight"] @ (d.center + d.scale * d.x[t])
    assert natural == pytest.approx(d.center + d.scale * mean, rel=1e-10)


def test_donors_of_factors_may_have_gaps_and_be_treated_later(rng: np.random.Generator) -> None:
    """Cells missing and cells from a donor's own treatment on are in no likelihood; nothing is filled."""
    frame = gapped(table(rng), ("c", 2), ("c", 5), *(("e", t) for t in range(10)))
    frame = frame.assign(d=frame["d"].where(frame["unit"] != "d", (frame["t"] >= 14).astype(int)))
    model = SyntheticControl(panel(frame), weights="factor", factors=1)
    d = model.design
    assert d.left_out == {"e": "2 outcomes before the treatment, where a donor needs 3"}
    assert d.in_part == {"c": "no outcome in 2 and 1 more", "d": "treated itself from 14 on, when it is needed"}
    labels = list(model.coords()["donor"])
    missing = {(labels[j], t) for t, j in np.argwhere(np.isnan(d.x))}
    assert missing == {("c", 2), ("c", 5), ("d", 14), ("d", 15)}
    sums = model.sums(d)
    assert {(labels[j], t) for t, j in np.argwhere(sums.seen == 0)} == missing
    assert [labels[j] for j in d.whole] == ["b", "f"]
    facts = model.constant_data()
    assert dict(zip(facts["unit_in_part"].values, facts["in_part"].values, strict=True)) == d.in_part
    with pytest.raises(DataError, match=r"2 units are treated.*take weights='simplex'"):
        SyntheticControl(panel(frame), weights="horseshoe")


REFUSED = {
    "factors none": ({"weights": "factor", "factors": 0}, "factors is 0: a whole number from 1 to"),
    "factors many": ({"weights": "factor", "factors": 9}, "factors is 9: a whole number from 1 to 4"),
    "factors elsewhere": ({"weights": "simplex", "factors": 2}, "factors belong to weights='factor'"),
    "no level": ({"weights": "factor", "intercept": False}, "need not add to one"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_options_that_a_kind_cannot_use_are_refused(case: str, rng: np.random.Generator) -> None:
    options, said = REFUSED[case]
    with pytest.raises(ValueError, match=said):
        SyntheticControl(panel(table(rng)), **options)


def test_the_number_of_factors_is_found(rng: np.random.Generator) -> None:
    """Two strong factors of 12 donors over 40 dates: predictive density prefers two, and the path says so; asked for is taken."""
    common = rng.standard_normal((44, 2)).cumsum(0)
    x = common @ rng.standard_normal((2, 12)) + 0.3 * rng.standard_normal((44, 12))
    y = common @ [1.0, -1.0] + 0.3 * rng.standard_normal(44)
    unit, time = np.indices((13, 44)).reshape(2, -1)
    columns = {"unit": unit, "t": time, "y": np.column_stack([y, x]).T.ravel(), "d": ((unit == 0) & (time >= 40)).astype(int)}
    model = SyntheticControl(panel(pd.DataFrame(columns)), weights="factor")
    form = model.gibbs()
    assert model.factors is None and form.factors == 2  # type: ignore[attr-defined]
    assert "2 common factors (of 1 to 5" in form.said(form.sums)
    three = model.variant(factors=3).gibbs()
    assert "3 common factors (as asked for)" in three.said(three.sums)


def test_predictive_density_is_that_of_dense_normals_summed_over_the_grid(rng: np.random.Generator) -> None:
    """With one value of σ, ρ and q each, log p(later | earlier) is the difference of two dense normals."""
    from bayes_causal.numerics import factor_count

    y, f, at = rng.standard_normal(9), rng.standard_normal((9, 2)), np.array([0, 1, 2, 4, 5, 6, 7, 9, 10])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(factor_count, "RHO", np.array([0.6]))
        patch.setattr(factor_count, "SIGMA", np.array([0.5]))
        patch.setattr(factor_count, "CELLS", 1)
        scales = {"intercept_sd": 1.5, "loading_sd": 0.8, "sigma_scale": 0.7, "trend_scale": 0.4}
        ours = later_given_earlier(y, at, f, 5, ar=True, **scales)
    ratio = 0.4 * stats.halfnorm.ppf(0.5)
    lag = np.abs(at[:, None] - at)
    cov = 0.25 * (0.6**lag / 0.64 + ratio**2 * np.minimum(at[:, None], at)) + 2.25 + 0.64 * f @ f.T
    whole, part = (stats.multivariate_normal(np.zeros(n), cov[:n, :n]).logpdf(y[:n]) for n in (9, 5))
    assert ours == pytest.approx(whole - part, abs=1e-9)


def test_factor_means_span_the_factors_over_gaps(rng: np.random.Generator) -> None:
    """Two factors, 15 donors, a fifth of the cells missing and zero: a regression of the true ones on them leaves little."""
    truth = rng.standard_normal((40, 2))
    x = truth @ rng.standard_normal((2, 15)) + 0.2 * rng.standard_normal((40, 15))
    seen = rng.random(x.shape) > 0.2
    found = factor_means(np.where(seen, x, 0.0), seen, 2, 1.0, 10.0)
    design = np.column_stack([np.ones(40), found])
    left = truth - design @ np.linalg.lstsq(design, truth, rcond=None)[0]
    assert (left.std(0) < 0.2).all()
