"""Stability across windows: by hand, and as often wrong as it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import binom, chi2, kstest

from bayes_causal.numerics.stability import across_windows


def test_it_is_the_textbook_by_hand() -> None:
    found = across_windows(np.array([1.0, 3.0, 2.5]), np.array([0.5, 1.0, 0.5]))
    pooled = (4 * 1 + 1 * 3 + 4 * 2.5) / 9
    q = 4 * (1 - pooled) ** 2 + (3 - pooled) ** 2 + 4 * (2.5 - pooled) ** 2
    assert found["pooled"] == pytest.approx(pooled) and found["pooled_error"] == pytest.approx(1 / 3)
    assert found["statistic"] == pytest.approx(q) and found["p_value"] == pytest.approx(chi2.sf(q, 2))
    assert found["spread"] == pytest.approx(np.sqrt((q - 2) / (9 - 33 / 9))) and found["share"] == pytest.approx(1 - 2 / q)
    assert found["sign"] == 1 and across_windows(np.array([1.0, 1.0]), np.ones(2))["p_value"] == 1


def test_it_agrees_with_statsmodels(needs: Any, rng: np.random.Generator) -> None:
    meta = needs("statsmodels.stats.meta_analysis")
    values, errors = rng.normal(size=6), rng.uniform(0.2, 1, 6)
    theirs = meta.combine_effects(values, errors**2, method_re="chi2")
    found = across_windows(values, errors)
    assert found["pooled"] == pytest.approx(theirs.mean_effect_fe) and found["statistic"] == pytest.approx(theirs.q)
    assert found["spread"] ** 2 == pytest.approx(max(0, theirs.tau2))


def test_p_values_of_one_effect_are_uniform(rng: np.random.Generator) -> None:
    """2,000 data sets, Kolmogorov-Smirnov at 1e-4; with effects that differ, most are told apart."""
    errors = rng.uniform(0.2, 1, (2_000, 5))
    same = [across_windows(1 + e * rng.normal(size=5), e)["p_value"] for e in errors]
    assert kstest(same, "uniform").pvalue > 1e-4
    assert binom.cdf(sum(p < 0.05 for p in same), 2_000, 0.05) > 1e-4
    apart = [across_windows(rng.normal(size=5) * 2 + e * rng.normal(size=5), e)["p_value"] for e in errors[:200]]
    assert np.mean(np.array(apart) < 0.05) > 0.8


@pytest.mark.parametrize("errors", [[1.0], [1.0, 0.0], [1.0, np.nan]])
def test_what_cannot_be_weighed_is_refused(errors: list[float]) -> None:
    with pytest.raises(ValueError, match="two windows or more"):
        across_windows(np.ones(len(errors)), np.array(errors))
