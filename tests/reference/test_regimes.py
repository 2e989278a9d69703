"""Published likelihoods of regime models: at the published parameters, and at the maximum of many starts; regimes smoothed there.

One YAML file a case: `data` and `model` as a study has them, the published `parameters` and `log_likelihood`, the `maximum`,
which must be that or better with parameters as near as it says, and a column of `smoothed` probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest
import yaml

from bayes_causal.data.multi_series import MultiSeries
from bayes_causal.models.regime_answers import _one_series
from bayes_causal.models.regime_switching import RegimeSwitching
from bayes_causal.numerics.regime_em import Free, maximise
from bayes_causal.numerics.regime_filter import probabilities
from bayes_causal.numerics.regime_rows import rows_of

FILES = sorted((Path(__file__).parent / "regimes").glob("*.yaml"))
CASES = {case["case"]: case for case in (yaml.safe_load(f.read_text(encoding="utf-8")) for f in FILES)}


def built(case: Mapping[str, Any], folder: Path, **changes: Any) -> RegimeSwitching:
    table = pd.read_csv(folder / case["data"]["source"])
    return RegimeSwitching(MultiSeries.from_frame(table, outcomes=case["data"]["outcomes"]), **(case["model"] | changes))


@pytest.mark.parametrize("name", CASES)
def test_published_likelihood(name: str, reference_data: Path, record_property: Any) -> None:
    case = CASES[name]
    published, tolerance = case["log_likelihood"]["value"], case["log_likelihood"]["tolerance"]
    ours = built(case, reference_data).log_likelihood(case["parameters"])
    distance = abs(ours - published) / tolerance
    verdict = "pass" if distance <= 1 else "FAIL"
    record_property("reference", (name, "log likelihood", f"{published:.8g}", f"{ours:.8g}", f"{distance:.2f}", verdict))
    assert distance <= 1, f"{ours} is not {published} ± {tolerance} ({case['source']})"


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if "maximum" in c])
def test_many_starts_find_the_published_maximum(name: str, reference_data: Path, record_property: Any) -> None:
    case = CASES[name]
    asked, published, model = case["maximum"], case["log_likelihood"]["value"], built(case, reference_data)
    if asked.get("level", True):
        found, value = model.maximum(starts=8)
    else:
        free = Free(model.free.shape, model.free.switching, level=False)
        rows = rows_of(model.data.outcomes, model.data.shocks, model.data.controls, model.order)
        best = maximise(free, rows, count=8)
        found = {n: v if n == "transition" else np.squeeze(v[0]).T for n, v in best.parameters.items()}
        value = best.log_likelihood
    below = (published - value) / asked["tolerance"]
    row = (name, "maximum", f"{published:.8g}", f"{value:.8g}", f"{below:.2f}", "pass" if below <= 1 else "FAIL")
    record_property("reference", row)
    assert value >= published - asked["tolerance"]
    for key, near in asked["parameters"].items():
        np.testing.assert_allclose(found[key], np.squeeze(case["parameters"][key]), atol=near, err_msg=key)
    again = model.log_likelihood({k: np.reshape(v, np.shape(case["parameters"][k])) for k, v in found.items()})
    assert again == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if "smoothed" in c])
def test_published_smoothed_probabilities(name: str, reference_data: Path) -> None:
    case = CASES[name]
    asked, model = case["smoothed"], built(case, reference_data)
    published = pd.read_csv(reference_data / asked["file"])[asked["column"]].to_numpy()
    rows = rows_of(model.data.outcomes, model.data.shocks, model.data.controls, model.order)
    with jax.enable_x64(True):
        p = {k: np.asarray(v)[None] for k, v in _one_series(model, case["parameters"]).items()}
        ours = np.asarray(probabilities(Free(model.free.shape, ()), rows, p).smoothed)[0, :, asked["regime"]]
    known = np.isfinite(published[-len(ours) :])
    assert known.sum() > 100
    np.testing.assert_allclose(ours[known], published[-len(ours) :][known], atol=asked["tolerance"])


def test_wrong_beginnings_and_wrong_forms_miss_the_published_likelihood(reference_data: Path) -> None:
    """At Hamilton's parameters: regimes begun at evens, and lags of outcomes in place of deviations from the regime that was."""
    case = CASES["rs_hamilton_gnp"]
    even = built(case, reference_data).log_likelihood(case["parameters"] | {"initial": [0.5, 0.5]})
    assert even == pytest.approx(-181.26815, abs=1e-5)
    plain = {k: v for k, v in case["parameters"].items() if k != "mean"}
    mean, ar = np.array(case["parameters"]["mean"]), np.array(case["parameters"]["ar"])
    regression = built(case, reference_data, form="regression", switching=["intercept"])
    assert regression.log_likelihood(plain | {"intercept": mean * (1 - ar.sum())}) == pytest.approx(-190.99, abs=0.005)
