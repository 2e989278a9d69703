"""Several synthetic controls: twins, who is whose donor, densities and predictions against dense normals, effects."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from numpyro.handlers import seed as seeded
from numpyro.handlers import substitute, trace
from numpyro.infer.util import log_density
from scipy import stats

from bayes_causal.data.panel import Panel
from bayes_causal.errors import DataError, EstimandError
from bayes_causal.estimates import Estimand
from bayes_causal.inference.tree import dataset
from bayes_causal.models.several_treated import SeveralTreated
from bayes_causal.models.synthetic_control import Priors, SyntheticControl
from bayes_causal.numerics.jitted import jitted_once

# Scales all different, so that no two priors can be swapped unseen.
PRIORS = Priors(intercept=2.0, sigma=0.8, concentration_low=0.1, concentration_high=2.0, tau=0.7, omega=0.4)
# Gaps of one and two dates, one at the end of a pre-period and one among treated dates; d03 is a donor of t00 alone.
WITHOUT = {("t00", 3), ("t02", 5), ("t02", 6), ("t00", 9), ("t02", 13), ("d03", 14)}


@pytest.fixture
def panel(several: Any) -> Panel:
    """Three treated units: t00 from 10 to 13, t01 from 14 on, t02 from 12 on. t01 is a donor of t00."""
    whole, _ = several((10, 11, 12), donors=4, periods=16, ends=4, without=WITHOUT)
    treatment = whole.dataset["treatment"].values.copy()
    treatment[list(whole.dataset["unit"].values).index("t01")] = (np.arange(16) >= 14)[:, None]
    return whole.replace_treatment(treatment)


def build(panel: Panel, **options: Any) -> SeveralTreated:
    model = SyntheticControl(panel, priors=PRIORS, **options)
    assert isinstance(model, SeveralTreated)
    return model


def inside(model: SeveralTreated, n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """n values of every site."""
    d, units = model.design, len(model.units)
    sites = {
        "log_concentration": rng.uniform(np.log(0.1), np.log(2.0), (n, units)),
        "intercept": rng.standard_normal((n, units)),
        "sigma": 0.1 + np.abs(rng.standard_normal((n, units))),
        "rho": rng.uniform(-0.9, 0.9, (n, units)),
        "correlation": rng.uniform(0.05, 0.95, n),
        "shock": rng.standard_normal((n, d.y.shape[1])),
        "tau": rng.standard_normal(n),
        "omega": 0.1 + np.abs(rng.standard_normal(n)),
        "tau_offset": rng.standard_normal((n, units)),
    }
    weights = zip(model.weight_sites, d.x, strict=True)
    sites |= {name: rng.dirichlet(np.ones(x.shape[-1]), (n, len(x))) for name, x in weights}
    return {k: v for k, v in sites.items() if (k != "rho" or model.errors == "ar1") and (k != "intercept" or model.intercept)}


@pytest.mark.parametrize(("errors", "intercept"), [("ar1", True), ("iid", False)])
def test_twins_have_one_density(errors: Any, intercept: bool, panel: Panel, rng: np.random.Generator, needs: Any) -> None:
    needs("pymc")
    from pymc.model.transform.conditioning import remove_value_transforms

    model = build(panel, errors=errors, intercept=intercept)
    logp = remove_value_transforms(model.pymc_model()).compile_logp(mode="FAST_COMPILE")
    sites = inside(model, 3, rng)
    ours = model.log_likelihood(sites).values
    for k in range(3):
        x = {name: v[k] for name, v in sites.items()}
        with jax.enable_x64(True):
            assert float(log_density(model.numpyro_model, (), {}, x)[0]) == pytest.approx(float(logp(x)), abs=1e-9)
            seen = trace(substitute(seeded(model.numpyro_model, 0), data=x)).get_trace()
            likelihood = [seen[name]["fn"].base_dist.log_prob(seen[name]["value"]) for name in ("y", "average")]
        np.testing.assert_allclose(ours[k], np.concatenate(likelihood), atol=1e-9)


def loadings(model: SeveralTreated, site: dict[str, Any]) -> np.ndarray:
    """(V, T, K) errors as linear maps of standard normals: shocks of dates first, then own parts unit by unit."""
    d = model.design
    units, dates = d.y.shape
    made = np.zeros((units, dates, dates * (1 + units)))
    rho = site.get("rho", np.zeros(units))
    for v in range(units):
        for t in range(dates):
            news = np.zeros(made.shape[2])
            news[t], news[(1 + v) * dates + t] = np.sqrt(site["correlation"]), np.sqrt(1 - site["correlation"])
            before, gap = (d.before[v, t], d.gap[v, t]) if d.fitted[v, t] else (t - 1, 1)
            if d.fitted[v, t] or t > d.last[v]:
                carry = rho[v] ** gap if gap else 0.0
                scale = site["sigma"][v] * np.sqrt((1 - carry**2) / (1 - rho[v] ** 2))
                made[v, t] = carry * made[v, before] + scale * news
    return made


def tied(model: SeveralTreated, site: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Fitted rows and means over treated ones less what weights expect, and their loadings on standard normals.

    The normals are shocks first, then what units err by alone, then that of τ and those of the units' effects.
    """
    d, made = model.design, loadings(model, site)
    rows, means = made[d.fitted], np.einsum("vt,vtk->vk", d.counted, made)
    pooled = np.column_stack([model.priors.tau * d.ratio, np.diag(site["omega"] * d.ratio)])
    load = np.vstack([np.column_stack([rows, np.zeros((len(rows), 1 + len(means)))]), np.column_stack([means, pooled])])
    weights = zip(model.weight_sites, d.x, strict=True)
    left = d.y - np.concatenate([np.einsum("vtj,vj->vt", x, site[name]) for name, x in weights])
    left = left - site.get("intercept", np.zeros(len(left)))[:, None]
    return np.concatenate([left[d.fitted], (d.counted * left).sum(1)]), load


def state(model: SeveralTreated, site: dict[str, Any]) -> dict[str, Any]:
    """What a chain carries, at a value of the sites that shocks and effects are drawn given."""
    d, zero = model.design, np.zeros(len(model.units))
    own = [
        {
            "log_w": np.log(site[name]),
            "log_alpha": site["log_concentration"][g],
            "log_sigma": np.log(site["sigma"][g]),
            "rho": site.get("rho", zero)[g],
            "intercept": site.get("intercept", zero)[g],
        }
        for name, g in zip(model.weight_sites, d.groups, strict=True)
    ]
    odds = np.log(site["correlation"] / (1 - site["correlation"]))
    return {"units": tuple(own), "log_omega": np.log(site["omega"]), "logit_c": odds}


@pytest.mark.parametrize(("errors", "intercept"), [("ar1", True), ("iid", False)])
def test_the_blocks_have_the_density_of_the_dense_normal(errors: Any, intercept: bool, panel: Panel, rng: Any) -> None:
    """Over gaps and two groups of units; a mean that forgets the last error, or shares no shock, would be off by far more."""
    model = build(panel, errors=errors, intercept=intercept)
    form, sites = model.gibbs(), inside(model, 3, rng)
    assert [x.shape[-1] for x in model.design.x] == [3, 5]
    for k in range(3):
        site: dict[str, Any] = {name: v[k] for name, v in sites.items()}
        with jax.enable_x64(True):
            sums, at = jax.tree.map(jnp.asarray, (form.sums, state(model, site)))
            ours = float(jitted_once(form.bare().density)(sums, at))
            seen = trace(substitute(seeded(model.numpyro_model, 0), data=site)).get_trace()
            kept = set(sites) - {"tau", "tau_offset", "shock"}
            priors = sum(float(jnp.sum(seen[n]["fn"].log_prob(seen[n]["value"]))) for n in kept)
        left, load = tied(model, site)
        law = stats.multivariate_normal(np.zeros(len(left)), load @ load.T)
        assert ours == pytest.approx(priors + law.logpdf(left), abs=1e-7, rel=1e-10)


def test_shocks_and_effects_are_drawn_from_their_conditional(panel: Panel, rng: np.random.Generator, seed: int) -> None:
    """Means and covariances of 20,000 draws within 5.5 errors of the dense conditional normal (fails once in 50,000 runs)."""
    model = build(panel)
    form, site = model.gibbs(), {k: v[0] for k, v in inside(model, 1, rng).items()}
    left, load = tied(model, site)
    keys = jax.random.split(jax.random.PRNGKey(seed), 20_000)
    with jax.enable_x64(True):
        sums, at = jax.tree.map(jnp.asarray, (form.sums, state(model, site)))

        def draw(key: Any) -> Any:
            return form.bare().drawn(sums, at, form.bare().told(sums, at["units"]), key)

        found = jax.device_get(jax.jit(jax.vmap(draw))(keys))
    drawn = np.column_stack([found["shock"], found["tau"] / model.priors.tau, found["offset"]])
    gain = np.linalg.solve(load @ load.T, load).T
    ours = np.r_[:16, 64 : 64 + 4]
    mean, covariance = (gain @ left)[ours], (np.eye(len(gain)) - gain @ load)[np.ix_(ours, ours)]
    sd = np.sqrt(np.diag(covariance))
    assert np.abs((drawn.mean(0) - mean) / sd).max() < 5.5 / np.sqrt(len(drawn))
    error = np.sqrt((np.outer(sd, sd) ** 2 + covariance**2) / len(drawn))
    assert np.abs((np.cov(drawn.T) - covariance) / error).max() < 5.5
    assert sd[:16].min() < 0.95 and np.abs(covariance[:16, 16]).max() > 0.01, "draws that know nothing of each other would pass"


def test_donors_are_those_untreated_while_the_unit_counts(panel: Panel) -> None:
    model = build(panel)
    donors = {str(u): list(own) for u, own in zip(model.units, model.donor_labels, strict=True)}
    assert donors["t00"] == ["d00", "d01", "d02", "d03", "t01"], "t00 counts up to 13, t01 is treated from 14 on"
    assert donors["t01"] == donors["t02"] == ["d00", "d01", "d02"]
    why = {(str(u), str(o)): reason for u, o, reason in model.left_out}
    assert why["t00", "t02"] == "treated itself from 12 on, when it is needed"
    assert why["t01", "t00"] == "treated itself from 10 on, when it is needed"
    assert why["t01", "d03"] == "no outcome in 14"
    facts = model.constant_data()
    assert len(facts["left_out"]) == len(why)
    weight = model.natural(inside(model, 2, np.random.default_rng(0)))["weight"]
    np.testing.assert_allclose(weight.sum(-1), 1)
    assert ((weight > 0) == facts["is_donor"].values).all()


def test_one_treated_unit_makes_the_model_it_made(panel: Panel) -> None:
    model = build(panel)
    one = model.variant(panel=panel.select(units=[u for u in panel.dataset["unit"].values if u not in ("t01", "t02")]))
    assert type(one) is SyntheticControl and one.priors == PRIORS


def test_each_unit_s_own_model_is_that_of_its_own_panel(several: Any) -> None:
    whole, _ = several((8, 9))
    model = SyntheticControl(whole)
    alone = SyntheticControl(whole.select(units=[u for u in whole.dataset["unit"].values if u != "t00"]))
    np.testing.assert_array_equal(model.alone[1].design.y, alone.design.y)
    np.testing.assert_array_equal(model.alone[1].design.x, alone.design.x)
    np.testing.assert_allclose(model.design.y[1], alone.design.y)


def fixed(model: SeveralTreated, n: int, rng: np.random.Generator) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """One value of every site n times over, but shocks drawn anew."""
    site = {k: v[0] for k, v in inside(model, 1, rng).items()} | {"rho": np.array([0.7, 0.2, -0.4]), "correlation": 0.6}
    sites = {k: np.broadcast_to(v, (n, *np.shape(v))) for k, v in site.items()}
    return site, sites | {"shock": rng.standard_normal((n, model.design.y.shape[1]))}


def test_the_average_over_units_has_its_predictive_distribution(panel: Panel, rng: np.random.Generator) -> None:
    """20,000 draws at fixed parameters against the normal in closed form (KS; fails once in 10,000 runs).

    Errors that share no shocks, as if units erred independently, are caught.
    """
    model = build(panel)
    site, sites = fixed(model, 20_000, rng)
    d, made = model.design, loadings(model, site)
    posterior = dataset(model, {k: v[None] for k, v in model.natural(sites).items()}, ("chain", "draw"))
    draws = model.effect(posterior, Estimand("att", "realised")).values.ravel()
    np.testing.assert_allclose(draws, posterior["att"].values.ravel())
    weights = zip(model.weight_sites, d.x, strict=True)
    left = d.y - np.concatenate([np.einsum("vtj,vj->vt", x, site[name]) for name, x in weights]) - site["intercept"][:, None]
    units, dates, news = np.arange(3), np.arange(16), made.reshape(3, 16, 4, 16).copy()
    share = (d.counted * site["rho"][:, None] ** np.maximum(dates - d.last[:, None], 0)).sum(1)
    for v in units:  # only what comes after the last fitted row
        news[v, ..., dates <= d.last[v]] = 0.0
    news = news.reshape(made.shape)
    size = (d.counted > 0).sum(1) / (d.counted > 0).sum() * d.scale
    mean = size @ ((d.counted * left).sum(1) - share * left[units, d.last])
    spread = np.einsum("v,vt,vtk->k", size, d.counted, news)
    assert stats.kstest(draws, stats.norm(mean, np.linalg.norm(spread)).cdf).pvalue > 1e-4
    apart = np.sqrt((np.einsum("v,vt,vtk->vk", size, d.counted, news) ** 2).sum())
    assert stats.kstest(draws, stats.norm(mean, apart).cdf).pvalue < 1e-4


def test_replicated_rows_have_the_covariance_of_the_model(panel: Panel, rng: np.random.Generator) -> None:
    """Every variance and covariance of 20,000 replicates within 5.5 of its standard errors (fails once in 30,000 runs)."""
    model = build(panel)
    site, sites = fixed(model, 20_000, rng)
    d = model.design
    y = model.standardised(model.simulate(sites, rng))
    rows = loadings(model, site)[d.fitted]
    covariance = rows @ rows.T
    error = np.sqrt((np.outer(np.diag(covariance), np.diag(covariance)) + covariance**2) / len(y))
    assert np.abs((np.cov(y.T) - covariance) / error).max() < 5.5
    assert model.observed().size == y.shape[1]
    np.testing.assert_allclose(model.standardised(model.observed().values), d.y[d.fitted])


def test_answers_add_up_and_what_is_no_answer_is_refused(panel: Panel, rng: np.random.Generator) -> None:
    model = build(panel)
    posterior = dataset(model, {k: v[None] for k, v in model.natural(inside(model, 20, rng)).items()}, ("chain", "draw"))
    facts = model.constant_data()

    def answer(name: str, scale: Any = "realised", by: str | None = None) -> xr.DataArray:
        return model.effect(posterior, Estimand(name, scale, by))

    cells = facts["post"].groupby(facts["unit_of_cell"]).sum().rename(unit_of_cell="unit")
    for scale in ("realised", "mean"):
        xr.testing.assert_allclose((answer("att", scale, "unit") * cells).sum("unit") / cells.sum(), answer("att", scale))
        xr.testing.assert_allclose(answer("cumulative", scale, "unit"), answer("att", scale, "unit") * cells)
        xr.testing.assert_allclose(answer("cumulative", scale, "cohort").sum("cohort"), answer("cumulative", scale))
    by_unit = posterior["tau_unit"].sortby("unit")
    xr.testing.assert_allclose(answer("att", "mean", "unit"), by_unit.rename("att"), check_dim_order=False)
    for by in ("time", "event_time"):
        np.testing.assert_allclose(answer("cumulative", by=by).isel({by: -1}).values, answer("cumulative").values)
    assert list(answer("att", by="event_time")["event_time"].values) == [0, 1, 2, 3]
    assert list(answer("att", by="cohort")["cohort"].values) == [10, 12, 14]
    gap = facts["outcome"] - posterior["counterfactual"]
    at_13 = (facts["time_of_cell"] == 13) & facts["post"]
    xr.testing.assert_allclose(answer("att", by="time").sel(time=13, drop=True), gap.where(at_13, drop=True).mean("cell"))
    without = (answer("cumulative") / answer("relative")).values
    np.testing.assert_allclose(without, posterior["counterfactual"].where(facts["post"], drop=True).sum("cell").values)
    for estimand, words in (
        (Estimand("att", "mean", "event_time"), "only the average of each unit is an effect parameter"),
        (Estimand("relative", "realised", "time"), "by unit, cohort, not by 'time'"),
        (Estimand("late", "realised"), "has no 'late'"),
    ):
        with pytest.raises(EstimandError, match=words):
            model.effect(posterior, estimand)


def test_what_any_unit_lacks_is_said_in_one_message(several: Any) -> None:
    whole, _ = several((8, 9, 2), effects=(0, 0, 0))
    with pytest.raises(DataError) as caught:
        SyntheticControl(whole, donors=["d00", "zz", "d01"], exclude=["yy"], errors="ar2")  # type: ignore[arg-type]
    said = str(caught.value)
    for words in ("'zz'", "'yy'", "'t02' has 2 outcomes before", "'ar2' does not exist"):
        assert words in said
    assert len(caught.value.problems) == len(set(caught.value.problems))
    with pytest.raises(DataError, match="none of the donors named is untreated while 't00' counts"):
        SyntheticControl(whole.select(units=["t00", "t01", "d00", "d01"]), donors=["t01"])
    with pytest.raises(DataError, match="did you mean 'simplex'") as other:
        SyntheticControl(whole, weights="simplx")  # type: ignore[arg-type]
    assert "3 units are treated ('t00', 't01', 't02'), and several at once take weights='simplex'" in str(other.value)
    with pytest.raises(ValueError, match="did you mean 'ar1'") as plain:
        SyntheticControl(whole.select(units=["t00", "t01", "d00", "d01"]), errors="ar2")  # type: ignore[arg-type]
    assert not isinstance(plain.value, DataError)
