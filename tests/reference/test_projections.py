"""Local projections on Stock and Watson's (2001) quarters, beside the recursive vector autoregression of the reference case.

Its responses are published at horizons of a year and more, where a projection need not equal them (after two years they are two
standard errors apart). At one quarter, and for the size of the shock, both are the same regression.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayes_causal.baselines.lagged_rows import lagged_rows
from bayes_causal.baselines.projections import _projected


@pytest.fixture
def quarters(reference_data: Path) -> pd.DataFrame:
    return pd.read_csv(reference_data / "macro_stock_watson_var" / "data.csv")


def test_projections_are_those_of_the_vector_autoregression(
    quarters: pd.DataFrame, reference_data: Path, needs: Any, record_property: Any
) -> None:
    api = needs("statsmodels.tsa.api")
    case = json.loads((reference_data / "macro_stock_watson_var" / "case.json").read_text(encoding="utf-8"))
    expected = {e["name"]: e for e in case["expected"]}
    infl, unemp, ff = (quarters[c].to_numpy(float) for c in ("infl", "unemp", "ff"))

    # the shock: what the rest of the quarter and four lags leave of the funds rate, n - k degrees of freedom
    made = lagged_rows(ff, ff, None, np.column_stack([infl, unemp]), lags=4)
    keep = [k for k, name in enumerate(made.names) if not name.startswith("outcome")]
    design = np.column_stack([np.ones(made.shock.size), made.known[:, keep]])
    left = ff[made.dates] - design @ np.linalg.lstsq(design, ff[made.dates], rcond=None)[0]
    size = float(np.sqrt(left @ left / (left.size - design.shape[1] + 2)))  # the system counts the lags alone: 13 columns of 15
    published = expected["ff_shock_sd"]
    assert abs(size - published["value"]) <= published["tolerance"]
    record_property("reference", (case["case"], "ff_shock_sd", f"{published['value']}", f"{size:.6g}", "", "pass"))

    # the vector autoregression is the published one, and the projection one quarter ahead is one of its regressions
    var = api.VAR(np.column_stack([infl, unemp, ff])).fit(4)
    stated = expected["irf_unemp_to_1sd_ff_h[4,8,12,16,20,24]"]
    theirs = var.irf(24).orth_irfs[[4, 8, 12, 16, 20, 24], 1, 2]
    np.testing.assert_allclose(theirs, stated["value"], atol=stated["tolerance"])
    ahead = lagged_rows(unemp, ff, None, np.column_stack([infl, unemp]), lags=3, horizon=1)
    assert _projected(ahead, None, None).value == pytest.approx(var.irf(1).orth_irfs[1, 1, 2] / size, rel=1e-8)
