"""Errors of a series that depend on several earlier ones, and what a refit without a control leaves of wandering coefficients."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import linalg, signal, stats

import bayes_causal as bc
from bayes_causal.checks.series_refit import Refit
from bayes_causal.inference import generate
from bayes_causal.inference.tree import dataset
from bayes_causal.numerics.autoregression import coefficients
from bayes_causal.numerics.sd_prior import SdPrior

ROWS, ONSET = 40, 30
PARTIAL, SIGMA = (0.6, -0.5), 0.8


def model(rng: np.random.Generator, **options: Any) -> bc.StructuralTimeSeries:
    """Two controls; outcomes missing in the middle and right before the last of the pre-period."""
    x = rng.standard_normal((ROWS, 2)).cumsum(0)
    y = 10 + x[:, 0] + rng.standard_normal(ROWS)
    y[[5, 6, 17, ONSET - 2]] = np.nan
    table = pd.DataFrame({"t": np.arange(ROWS), "y": y, "a": x[:, 0], "b": x[:, 1]})
    series = bc.TimeSeries.from_frame(table, time="t", outcome="y", controls=["a", "b"], intervention=ONSET)
    return bc.StructuralTimeSeries(series, **options)


def covariance() -> np.ndarray:
    """(T, T) of the errors, from the weights of innovations."""
    w = signal.lfilter([1.0], np.r_[1.0, -np.array(coefficients(PARTIAL))], np.eye(1, 2000)[0])
    return np.asarray(SIGMA**2 * linalg.toeplitz([w[k:] @ w[: w.size - k] for k in range(ROWS)]))


def test_a_forecast_continues_the_errors_given_all_fitted_ones(rng: np.random.Generator) -> None:
    """30,000 draws of four rows ahead, the row before the last missing: means within 5 errors, covariances within 5 %.

    The faults that suggest themselves, a missing error taken for zero and errors that begin anew, lie far outside.
    """
    draws, built = 30_000, model(rng, ar=2)
    d = built.design
    sites = {"sigma": np.full(draws, SIGMA)} | {f"partial_{k}": np.full(draws, r) for k, r in enumerate(PARTIAL, 1)}
    expected = np.tile(np.linspace(-1, 1, d.rows), (draws, 1))
    found = built.error_structure.ahead(expected, sites, d, rng)[:, ONSET : ONSET + 4]
    cov, at, ahead = covariance(), d.fitted_rows, np.arange(ONSET, ONSET + 4)
    e = d.y[at] - expected[0, at]
    gain = cov[np.ix_(ahead, at)] @ np.linalg.inv(cov[np.ix_(at, at)])
    mean, rest = gain @ e, cov[np.ix_(ahead, ahead)] - gain @ cov[np.ix_(at, ahead)]
    error = np.sqrt(np.diag(rest) / draws)
    assert np.abs((found.mean(0) - mean) / error).max() < 5
    scale = np.sqrt(np.outer(np.diag(rest), np.diag(rest)))
    assert np.abs((np.cov(found.T) - rest) / scale).max() < 0.05
    phi = coefficients(PARTIAL)
    assert abs(phi[0] * e[-1] - mean[0]) > 10 * error[0], "a missing error taken for zero would go unseen"
    assert abs(mean[0]) > 10 * error[0], "errors that begin anew would go unseen"


def test_conditional_densities_multiply_to_the_joint_one(rng: np.random.Generator) -> None:
    built = model(rng, ar=2)
    d = built.design
    sites = {"sigma": np.array([SIGMA])} | {f"partial_{k}": np.array([r]) for k, r in enumerate(PARTIAL, 1)}
    residual = rng.standard_normal((1, d.fitted_rows.size))
    at = np.ix_(d.fitted_rows, d.fitted_rows)
    expected = stats.multivariate_normal(np.zeros(residual.size), covariance()[at]).logpdf(residual[0])
    assert built.error_structure.log_likelihood(residual, sites, d).sum() == pytest.approx(expected, abs=1e-9)
    assert built.error_structure.named(sites)["ar"] == pytest.approx(np.array([coefficients(PARTIAL)]))


@pytest.mark.parametrize("options", [{"regression": "ridge"}, {"prior_set": "causalimpact"}], ids=str)
def test_a_refit_leaves_nothing_of_a_control_that_wandered(options: dict[str, Any], rng: np.random.Generator) -> None:
    """The collapsed density without a control is that of the model that never had it, to 1e-9, but for the prior of its sd."""
    built = model(rng, dynamic=True, **options)
    other = built.variant(series=built.series.select_controls(["b"]))
    form, alone = Refit(built, built.design.span, (0,)).collapsed(), other.collapsed()
    assert form.signature() == built.collapsed().signature(), "a refit compiles anew"
    own = [k for k, h in enumerate(form.hypers) if h.name == "sigma_dynamic_1" and options.get("prior_set")]
    t = rng.standard_normal(len(form.hypers)) / 2
    with jax.enable_x64(True):
        sums = [jax.tree.map(jnp.asarray, f.sums) for f in (form, alone)]
        found = float(form.log_density(sums[0], jnp.asarray(t)))
        found -= sum(float(form.hypers[k].log_prior(jnp.asarray(t[k]))) for k in own)
        assert found == pytest.approx(float(alone.log_density(sums[1], jnp.asarray(np.delete(t, own)))), abs=1e-9)
        full = built.collapsed()
        kept = float(full.log_density(jax.tree.map(jnp.asarray, full.sums), jnp.asarray(t)))
    assert abs(kept - found) > 1e-3, "the control had no bearing to begin with"


def drawn(built: bc.StructuralTimeSeries, seed: int) -> xr.Dataset:
    """Four draws from the prior, as they are reported."""
    sites = {k: v[None] for k, v in generate.prior_sites(built, 4, seed).items()}
    assert {h.name for h in built.all_scales().hypers} <= set(built.top_level()) & set(sites)
    return dataset(built, built.natural(sites), ("chain", "draw"))


def test_what_is_reported_has_its_dims(rng: np.random.Generator, seed: int) -> None:
    """Coefficients over lags, sds of wandering coefficients over controls, the long-run slope; and every scale has a prior."""
    posterior = drawn(model(rng, ar=2, level="semilocal"), seed)
    assert posterior["ar"].dims == ("chain", "draw", "lag") and {"slope_mean", "slope_ar", "trend_ratio"} <= set(posterior)
    assert (np.abs(posterior["slope_ar"].values) < 1).all()
    wandering = model(rng, prior_set="causalimpact", dynamic=True)
    posterior = drawn(wandering, seed)
    assert posterior["sigma_dynamic"].dims == ("chain", "draw", "control") and "beta" not in posterior
    assert set(wandering.components(posterior)) == {"level", "dynamic"}
    assert (posterior["sigma"].values <= 0.1 * wandering.design.scale).all()


def test_wandering_coefficients_have_the_priors_of_r(rng: np.random.Generator) -> None:
    """On the standardised scale: d_j1 ~ N(0, 1); in natural units, sds guessed at .01 sd(y)/sd(x)."""
    built = model(rng, prior_set="causalimpact", dynamic=True)
    d, part, data = built.design, built.parts[-1], built.series.dataset
    assert part.loading(ROWS) * part.first_sd == pytest.approx(d.controls, abs=1e-12)
    guess = part.named({f"sigma_dynamic_{k}": np.array(0.01) for k in (1, 2)}, d.scale)["sigma_dynamic"]
    sd_y = data["outcome"].values[d.fitted_rows].std(ddof=1)
    assert guess == pytest.approx(0.01 * sd_y / data["controls"].values.std(0, ddof=1), rel=1e-12)
    assert all(s.prior == SdPrior(0.01, 1.0, 1e4) for s in part.scales) and built.sigma == SdPrior(0.01, 32.0, 0.1)
