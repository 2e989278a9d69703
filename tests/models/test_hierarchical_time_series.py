"""The hierarchical time series: its twins, its density, its answers, what it refuses and what must not matter to it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpyro.infer.util import log_density
from scipy import stats

import bayes_causal as bc
from bayes_causal.errors import DataError, EstimandError, IdentificationError
from bayes_causal.estimates import Estimand
from bayes_causal.inference.generate import latent_sites
from bayes_causal.inference.programs import programs
from bayes_causal.inference.tree import dataset
from bayes_causal.models.hierarchical_time_series import HierarchicalTimeSeries, Priors

UNITS, PERIODS = 6, 14
# Scales all different, so that no two priors can be swapped unseen.
PRIORS = Priors(0.9, 0.6, 0.4, 0.55, 1.2, 0.35, 1.1, 0.8, 0.45)
CASES: dict[str, dict[str, Any]] = {
    "constant": {"effect": "constant"},
    "event time": {"window": (0, 3)},
    "leads, covariates, missing": {"window": (2, 3), "covariates": 2, "missing": True},
    "groups, treatments that end": {"effect": "group", "groups": 2, "ends": True, "missing": True},
    "event time, ends, groups, covariate": {"window": (0, 4), "groups": 2, "ends": True, "covariates": 1},
}


def panel(
    rng: np.random.Generator,
    *,
    groups: int = 1,
    ends: bool = False,
    covariates: int = 0,
    missing: bool = False,
    lift: float = 1.0,
) -> bc.Panel:
    """Six units of different levels and scales, two never treated, the others from period 5, 7, 7 and 9 on."""
    unit, time = (v.ravel() for v in np.indices((UNITS, PERIODS)))
    start = np.array([5, 7, 7, 9, 99, 99])[unit]
    on = (time >= start) & ((time < start + 4) | (not ends) | (unit > 1))
    x = rng.standard_normal((unit.size, covariates)) + unit[:, None]
    scale = np.array([1.0, 2.0, 0.5, 1.0, 3.0, 1.0])[unit]
    walk = np.cumsum(0.2 * rng.standard_normal((UNITS, PERIODS)), 1).ravel()
    y = 10.0 * unit + scale * (walk + rng.standard_normal(unit.size)) + on + x.sum(1)
    names = [f"x{k}" for k in range(covariates)]
    table = pd.DataFrame({"unit": unit, "time": time, "y": y, "on": on.astype(int), "g": np.where(unit % 2, "a", "b")})
    table = table.assign(**dict(zip(names, x.T, strict=True)))
    if missing:
        # A unit that enters late, one that leaves early, and holes before and after onset.
        gone = ((unit == 4) & (time < 3)) | ((unit == 1) & (time > 11)) | ((unit * 5 + time * 3) % 11 == 4)
        table = table[~gone]
    group = "g" if groups > 1 else None
    return bc.Panel.from_frame(table, unit="unit", time="time", outcome="y", treatment="on", group=group, covariates=names)


def model(rng: np.random.Generator, case: str = "event time", **more: Any) -> HierarchicalTimeSeries:
    options = dict(CASES[case])
    data = {k: options.pop(k) for k in ("groups", "ends", "covariates", "missing") if k in options}
    return HierarchicalTimeSeries(panel(rng, **data), **({"priors": PRIORS} | options | more))


def posterior(built: HierarchicalTimeSeries, seed: int = 1, draws: int = 250) -> xr.Dataset:
    return dataset(built, built.natural(bc.Collapsed(draws=draws, chains=4).sample(built, seed=seed).sites), ("chain", "draw"))


def inside(shapes: dict[str, tuple[int, ...]], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A value of every site, anywhere in its support."""
    x = {k: rng.standard_normal(shape) for k, shape in shapes.items()}
    scales = [k for k in x if k in ("sigma", "sigma_slope", "sigma_beta", "omega", "level_ratio") or k.startswith("step_l")]
    return x | {k: 0.1 + 0.3 * np.abs(x[k]) for k in scales} | {"rho": np.tanh(x["rho"])}


@pytest.mark.parametrize("case", CASES)
def test_twins_have_one_density(case: str, rng: np.random.Generator, needs: Any) -> None:
    needs("pymc")
    from pymc.model.transform.conditioning import remove_value_transforms

    built = model(rng, case)
    twin = remove_value_transforms(built.pymc_model())
    logp = twin.compile_logp(mode="FAST_COMPILE")
    shapes = {k: np.shape(v) for k, v in twin.initial_point().items()}
    assert set(shapes) == set(latent_sites(built.numpyro_model))
    for _ in range(2):
        x = inside(shapes, rng)
        with jax.enable_x64(True):
            assert float(log_density(built.numpyro_model, (), {}, x)[0]) == pytest.approx(float(logp(x)), rel=1e-11)


def covariance(built: HierarchicalTimeSeries, theta: dict[str, float]) -> np.ndarray:
    """(N, N) of the standardised outcomes given θ, from the equations: levels, errors, effects, coefficients."""
    d, p = built.design, built.priors
    same = d.unit[:, None] == d.unit
    at, q = d.position, theta["level_ratio"] ** 2
    level = p.first_level**2 + q * theta["sigma"] ** 2 * np.minimum(at[:, None], at)
    error = theta["sigma"] ** 2 * theta["rho"] ** np.abs(at[:, None] - at) / (1 - theta["rho"] ** 2)
    x, ratio = d.covariates, (built.design.effect_scale / d.scale)[d.unit]
    between = theta.get("sigma_beta", 0.0) ** 2 * x @ x.T
    dose = ratio * d.active
    own = level + error + between + theta["sigma_slope"] ** 2 * np.outer(dose, dose)
    shared = p.beta**2 * x @ x.T + np.outer(ratio, ratio) * (d.effect @ shape(built, theta) @ d.effect.T)
    return np.where(same, own, 0.0) + shared


def shape(built: HierarchicalTimeSeries, theta: dict[str, float]) -> np.ndarray:
    """(K, K) prior covariance of the effect columns' coefficients given θ."""
    p, k = built.priors, built.design.effect.shape[1]
    if built.effects == "constant":
        return np.array([[p.tau**2]])
    if built.effects == "group":
        return p.tau**2 + theta["omega"] ** 2 * np.eye(k)
    bins = np.array([int(n.split()[-1]) for n in built.structure.column_names if n.startswith("event")])
    steps, both = np.abs(bins + (bins < 0)), np.sign(bins[:, None] + 0.5) == np.sign(bins + 0.5)
    sd = np.where(bins < 0, theta.get("step_lead", 0.0), theta.get("step_lag", 0.0))
    walk = np.where(both, np.outer(sd, sd) * np.minimum(steps[:, None], steps), 0.0)
    walk += np.outer(bins >= 0, bins >= 0) * p.tau**2
    found = np.zeros((k, k))
    found[: bins.size, : bins.size] = walk
    found[bins.size :, bins.size :] = theta.get("omega", 0.0) ** 2 * np.eye(k - bins.size)
    return found


@pytest.mark.parametrize("case", CASES)
def test_collapsed_density_is_that_of_the_dense_normal(case: str, rng: np.random.Generator) -> None:
    """At random scales, to 1e-8: staggered dates, missing cells, treatments that end, late entries, leads and covariates."""
    built = model(rng, case)
    form = built.collapsed()
    t = rng.standard_normal((3, len(form.hypers))) / 2
    with jax.enable_x64(True):
        found = np.asarray(programs(form).density(jax.tree.map(jnp.asarray, form.sums), t))
        values = [{k: float(v) for k, v in form.theta(jnp.asarray(x)).items()} for x in t]
    assert {h.name for h in form.hypers} <= set(latent_sites(built.numpyro_model))
    for x, theta, value in zip(t, values, found, strict=True):
        expected = stats.multivariate_normal(np.zeros(built.design.y.size), covariance(built, theta)).logpdf(built.design.y)
        assert value == pytest.approx(expected + stats.norm.logpdf(x).sum(), abs=1e-8)


def coefficients(built: HierarchicalTimeSeries, theta: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """(N, m) columns of [τ, b, v, β_i − b], all units' one after the other, and their (m, m) prior covariance."""
    d, p = built.design, built.priors
    own = np.eye(d.n_units)[d.unit]
    ratio, c = d.ratio[d.unit][:, None], d.covariates.shape[1]
    x = [own * d.covariates[:, [j]] for j in range(c)]
    columns = np.hstack([ratio * d.effect, d.covariates, (own * ratio * d.active[:, None])[:, built.treated], *x])
    sds = [np.full(c, p.beta), np.full(built.treated.size, theta["sigma_slope"])]
    sds += [np.full(d.n_units * c, theta.get("sigma_beta", 0.0))]
    prior = np.diag(np.concatenate([np.zeros(d.effect.shape[1]), *sds]) ** 2)
    prior[: d.effect.shape[1], : d.effect.shape[1]] = shape(built, theta)
    return columns, prior


def test_draws_given_the_scales_are_those_of_the_dense_normal(rng: np.random.Generator) -> None:
    """20,000 draws of τ, b, v and β: means within 5 errors, sds within 4 % (a right one fails once in 10,000 names)."""
    built, size = model(rng, "leads, covariates, missing"), 20_000
    form = built.collapsed()
    t = rng.standard_normal(len(form.hypers)) / 2
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.PRNGKey(int(rng.integers(2**31))), size)
        sums = jax.tree.map(jnp.asarray, form.sums)
        drawn = programs(form).draw(sums, np.broadcast_to(t, (size, t.size)), keys)
        sites = {k: np.asarray(v) for k, v in drawn.items()}
    theta = {k: float(v[0]) for k, v in sites.items() if v.ndim == 1}
    beta = theta["sigma_beta"] * np.swapaxes(sites["beta_offset"], 1, 2).reshape(size, -1)
    slope = theta["sigma_slope"] * sites["slope_offset"]
    found = np.hstack([built.structure.coefficients(sites), sites["beta_mean"], slope, beta])
    columns, prior = coefficients(built, theta)
    gain = np.linalg.solve(covariance(built, theta), columns @ prior).T
    mean, sd = gain @ built.design.y, np.sqrt(np.diag(prior - gain @ columns @ prior))
    assert np.abs((found.mean(0) - mean) / sd).max() * np.sqrt(size) < 5
    assert np.abs(found.std(0) / sd - 1).max() < 0.04


def test_likelihood_of_a_unit_is_that_of_the_dense_normal(rng: np.random.Generator) -> None:
    """Given θ, τ and b, unit by unit, to 1e-8."""
    built = model(rng, "leads, covariates, missing")
    sites = inside({k: s for k, s in shapes_of(built).items() if not k.startswith("level_s")}, rng)
    found = built.log_likelihood({k: v[None] for k, v in sites.items()})
    theta = {k: float(v) for k, v in sites.items() if np.ndim(v) == 0}
    d = built.design
    given = d.ratio[d.unit] * (d.effect @ built.structure.coefficients(sites)) + d.covariates @ sites["beta_mean"]
    whole, (columns, prior) = covariance(built, theta), coefficients(built, theta)
    shared = columns[:, : d.effect.shape[1] + 2]
    rest = whole - shared @ prior[: shared.shape[1], : shared.shape[1]] @ shared.T
    for u in range(UNITS):
        rows = d.unit == u
        expected = stats.multivariate_normal(given[rows], rest[np.ix_(rows, rows)]).logpdf(d.y[rows])
        assert found.values[0, u] == pytest.approx(expected, abs=1e-8)


def shapes_of(built: HierarchicalTimeSeries) -> dict[str, tuple[int, ...]]:
    from numpyro.handlers import seed, trace

    shapes: dict[str, tuple[int, ...]] = {}

    def collect() -> None:
        sites = trace(seed(built.numpyro_model, 0)).get_trace()
        shapes.update({k: np.shape(s["value"]) for k, s in sites.items() if s["type"] == "sample" and not s["is_observed"]})

    jax.eval_shape(collect)
    return shapes


def anywhere(built: HierarchicalTimeSeries, rng: np.random.Generator, draws: int) -> xr.Dataset:
    """Reported quantities of sites anywhere in their support."""
    shapes = {k: (1, draws, *shape) for k, shape in shapes_of(built).items()}
    return dataset(built, built.natural(inside(shapes, rng)), ("chain", "draw"))


def test_what_is_drawn_of_rows_is_the_dense_normal_too(rng: np.random.Generator) -> None:
    """500 draws at one set of parameters: the realised att, from untreated cells alone, and every level, given all cells.

    Means within 5 errors, the sd of the att within 16 %, or 5 errors.
    """
    built, size = model(rng, "groups, treatments that end"), 500
    d = built.design
    one = inside(shapes_of(built), rng)
    sites = {k: np.broadcast_to(v, (1, size, *np.shape(v))) for k, v in one.items()}
    draws = dataset(built, built.natural(sites), ("chain", "draw"))
    theta = {k: float(v) for k, v in one.items() if np.ndim(v) == 0}
    slope = np.zeros(UNITS)
    slope[built.treated] = one["sigma_slope"] * one["slope_offset"]
    effects = d.ratio[d.unit] * (d.effect @ built.structure.coefficients(one) + d.active * slope[d.unit])
    same = d.unit[:, None] == d.unit
    apart = np.abs(d.position[:, None] - d.position)
    q = theta["level_ratio"] ** 2 * theta["sigma"] ** 2
    level = np.where(same, built.priors.first_level**2 + q * np.minimum(d.position[:, None], d.position), 0.0)
    whole = level + np.where(same, theta["sigma"] ** 2 * theta["rho"] ** apart / (1 - theta["rho"] ** 2), 0.0)
    on, off = d.active > 0, d.active == 0
    gain = np.linalg.solve(whole[np.ix_(off, off)], whole[np.ix_(off, on)]).T
    weights = d.scale[d.unit][on] / on.sum()
    center = weights @ (d.y[on] - gain @ d.y[off])
    sd = np.sqrt(weights @ (whole[np.ix_(on, on)] - gain @ whole[np.ix_(off, on)]) @ weights)
    found = built.effect(draws, Estimand("att", "realised")).values.ravel()
    assert abs(found.mean() - center) < 5 * sd / np.sqrt(size) and abs(found.std() / sd - 1) < 0.16
    paths = built.levels(draws, draws=size)
    unit, time = np.nonzero(built.panel.observed)
    expected = d.first[d.unit] + d.scale[d.unit] * (level @ np.linalg.solve(whole, d.y - effects))
    spread = np.diag(level - level @ np.linalg.solve(whole, level))
    off_by = (paths.values[:, unit, time].mean(0) - expected) / (d.scale[d.unit] * np.sqrt(spread / size))
    assert np.abs(off_by).max() < 5


@pytest.mark.parametrize("case", ["event time", "groups, treatments that end"])
def test_without_some_units_the_density_is_that_of_the_rest(case: str, rng: np.random.Generator) -> None:
    """Scales are those of the whole panel; the rest is the dense normal of the rows that are left, to 1e-8."""
    built = model(rng, case)
    without = np.eye(UNITS, dtype=bool)[[1, 4]]
    form = built.collapsed(without=without)
    t = rng.standard_normal(len(form.hypers)) / 2
    with jax.enable_x64(True):
        sums = jax.tree.map(jnp.asarray, form.sums)
        found = np.asarray(programs(form).many_density(sums, np.broadcast_to(t, (3, 1, t.size))))[:, 0]
        theta = {k: float(v) for k, v in form.theta(jnp.asarray(t)).items()}
    whole, d = covariance(built, theta), built.design
    for value, gone in zip(found, [np.zeros(UNITS, bool), *without], strict=True):
        rows = ~gone[d.unit]
        expected = stats.multivariate_normal(np.zeros(rows.sum()), whole[np.ix_(rows, rows)]).logpdf(d.y[rows])
        assert value == pytest.approx(expected + stats.norm.logpdf(t).sum(), abs=1e-8)


def test_a_unit_alone_with_free_effects_is_a_structural_time_series(rng: np.random.Generator) -> None:
    """Flat priors on every period's effect leave of the treated rows nothing: σ, ρ and q have the series' own posterior.

    The difference of the two log densities is the same at every point: to 1e-4, where a degree of freedom moves it by a hundred
    times that. Effects with the usual priors do tell of σ, and are seen to.
    """
    rows, onset = 30, 24
    y = 3.0 + np.cumsum(0.3 * rng.standard_normal(rows)) + rng.standard_normal(rows)
    y[[5, 26]] = np.nan
    table = pd.DataFrame({"unit": "a", "t": np.arange(rows), "y": y, "on": (np.arange(rows) >= onset).astype(int)})
    series = bc.TimeSeries.from_frame(table, time="t", outcome="y", intervention=onset)
    both = bc.Panel.from_frame(
        pd.concat([table, table.assign(unit="b", y=table["t"] % 3)]), unit="unit", time="t", outcome="y", treatment="on"
    )
    alone = both.select(units=["a"])
    flat = Priors(tau=1e4, step=1e4)
    one = bc.StructuralTimeSeries(series).collapsed()
    differences = []
    for priors in (flat, Priors()):
        many = HierarchicalTimeSeries(alone, window=(0, rows), priors=priors).collapsed()
        x = rng.standard_normal((6, 5))
        x[:, 3:] = 0.3  # σ_v and the step of the walk, which the series has not
        assert [h.name for h in many.hypers] == ["sigma", "rho", "level_ratio", "sigma_slope", "step_lag"]
        assert [h.name for h in one.hypers] == ["sigma", "rho", "level_ratio"]
        with jax.enable_x64(True):
            a = np.asarray(programs(many).density(jax.tree.map(jnp.asarray, many.sums), x))
            b = np.asarray(programs(one).density(jax.tree.map(jnp.asarray, one.sums), x[:, :3]))
        differences.append(a - b)
    assert np.ptp(differences[0]) < 1e-4 and np.ptp(differences[1]) > 1e-2


def test_answers_are_averages_of_one_effect(rng: np.random.Generator) -> None:
    """The att is the mean over treated cells of its breakdowns, and the parameter and the sum agree with it."""
    built = model(rng, "event time, ends, groups, covariate")
    draws, cells = anywhere(built, rng, 20), (built.panel.treated & built.panel.observed).sum()
    att = built.effect(draws, Estimand()).values
    assert np.allclose(att, draws["att"].values)
    assert np.allclose(built.effect(draws, Estimand("cumulative")).values, att * cells)
    panel, treated = built.panel, built.panel.treated & built.panel.observed
    by_unit = built.effect(draws, Estimand("att", "mean", "unit"))
    assert by_unit["unit"].values.tolist() == [0, 1, 2, 3]
    assert np.allclose(by_unit.values @ treated.sum(1)[:4] / cells, att)
    by_time = built.effect(draws, Estimand("att", "mean", "time"))
    assert np.allclose(by_time.values @ treated.sum(0)[treated.any(0)] / cells, att)
    since = built.effect(draws, Estimand("att", "mean", "event_time"))
    active = panel.dataset["treatment"].values & panel.observed[..., None]
    counts = np.bincount(panel.event_time[active].astype(int).clip(max=5))
    assert np.allclose(since.values @ counts / cells, att)
    observed = panel.dataset["outcome"].values[treated].mean()
    assert np.allclose(built.effect(draws, Estimand("relative")).values, att / (observed - att))
    for estimand in built.estimands():
        assert np.isfinite(built.effect(draws, estimand)).all()
    with pytest.raises(EstimandError, match="did you mean 'relative'"):
        built.effect(draws, Estimand("relativ"))


def test_scaling_by_a_power_of_two_is_exact_to_the_bit(rng: np.random.Generator) -> None:
    base = panel(rng, missing=True, covariates=1)
    pair = [HierarchicalTimeSeries(base.replace_outcome(c * base.dataset["outcome"].values), window=(0, 3)) for c in (1, 8)]
    one, eight = (posterior(m, draws=20) for m in pair)
    for estimand in (Estimand(), Estimand("att", "realised"), Estimand("att", "mean", "unit")):
        a, b = (m.effect(d, estimand).values for m, d in zip(pair, (one, eight), strict=True))
        assert (b == 8 * a).all()
    assert (eight["sigma"].values == 8 * one["sigma"].values).all() and (eight["rho"].values == one["rho"].values).all()


def test_names_of_units_and_the_origin_of_outcomes_do_not_matter(rng: np.random.Generator) -> None:
    """The density of θ, to 1e-9: units in another order, each moved to another level, covariates in other units."""
    base = panel(rng, missing=True, covariates=1)
    order = rng.permutation(UNITS)
    data = base.dataset.isel(unit=order).assign_coords(unit=base.dataset["unit"].values)
    data = data.assign(outcome=data["outcome"] + 100.0 * order[:, None], covariates=7.0 * data["covariates"] - 3.0)
    found = []
    for p in (base, bc.Panel(data)):
        form = HierarchicalTimeSeries(p, window=(0, 3)).collapsed()
        with jax.enable_x64(True):
            sums = jax.tree.map(jnp.asarray, form.sums)
            found.append(np.asarray(programs(form).density(sums, np.linspace(-1, 1, 4)[:, None] * np.ones(len(form.hypers)))))
    assert found[0] == pytest.approx(found[1], abs=1e-9)


def test_what_cannot_be_taken_is_refused_all_at_once(rng: np.random.Generator) -> None:
    base = panel(rng)
    with pytest.raises(ValueError, match=r"did you mean 'event_time'.*two counts of periods"):
        HierarchicalTimeSeries(base, effect="eventtime", window=(1,))  # type: ignore[arg-type]
    early = base.dataset["treatment"].values.copy()
    early[0, 2:] = True
    still = np.where(np.arange(UNITS)[:, None] == 5, 4.0, base.dataset["outcome"].values)
    weight = xr.DataArray(rng.uniform(1, 2, (UNITS, PERIODS)), dims=("unit", "time"))
    bad = bc.Panel(base.replace_treatment(early).replace_outcome(still).dataset.assign(weight=weight))
    with pytest.raises(DataError) as caught:
        HierarchicalTimeSeries(bad)
    assert len(caught.value.problems) == 3
    assert all(
        w in str(caught.value) for w in ("1 of 6 units have fewer than 3 untreated", "never move", "leave data.weights out")
    )
    with pytest.raises(IdentificationError, match="no treated cell"):
        HierarchicalTimeSeries(base.mask(base.treated))


def test_identification_is_computed(rng: np.random.Generator) -> None:
    """From the columns beside a constant a unit; a model without leads has none to identify."""
    built = model(rng, "event time, ends, groups, covariate")
    assert built.identified()[1].all() and built.identified("group")[1].all() and not built.leads_identified()
    assert model(rng, "leads, covariates, missing").leads_identified()
    assert built.variant(effect="constant").effects == "constant"
