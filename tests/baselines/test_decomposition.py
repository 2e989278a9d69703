"""The decomposition adds up to the coefficient it takes apart."""

from __future__ import annotations

import numpy as np
import pytest

from bayes_causal.baselines import bacon, bacon_summary, twfe, twfe_weights
from bayes_causal.errors import EstimandError


def test_comparisons_add_up_to_twfe(make_frame, to_panel):
    panel = to_panel(make_frame(units=40, starts=(2, 4, 6), growth=0.5))
    table = bacon(panel)
    assert set(table["kind"]) == {"treated_vs_never", "earlier_vs_later", "later_vs_earlier"}
    assert set(table["control"]) == {"never", 2, 4, 6}
    np.testing.assert_allclose(table["weight"].sum(), 1.0)
    np.testing.assert_allclose(np.sum(table["weight"] * table["estimate"]), twfe(panel).extra["coefficient"])
    summary = bacon_summary(panel)
    total = sum(v["weight"] * v["estimate"] for k, v in summary.items() if k != "largest")
    np.testing.assert_allclose(total, twfe(panel).extra["coefficient"])


def test_growing_effects_of_early_cohorts_get_negative_weights(make_frame, to_panel):
    frame = make_frame(units=60, starts=(1, 6), never=0.0, periods=8)
    panel = to_panel(frame[frame["start"] > 0])
    table = twfe_weights(panel)
    assert table.attrs["negative_cells"] == (table["weight"].values < 0).sum() > 0
    assert table.attrs["negative_weight"] == pytest.approx(table["weight"].where(table["weight"] < 0).sum().item())
    assert sum(table.attrs["by_event_time"].values()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("options", "missing", "word"),
    [({}, 0.2, "missing"), ({"covariates": ["x"]}, 0.0, "covariates"), ({"weights": "w"}, 0.0, "weights")],
)
def test_panels_it_does_not_exist_for(make_frame, to_panel, options, missing, word):
    with pytest.raises(EstimandError, match=word):
        bacon(to_panel(make_frame(missing=missing), **options))


def test_reversible_treatments_have_weights_but_no_decomposition(campaigns, to_panel):
    frame, exposures = campaigns
    panel = to_panel(frame, exposures=exposures, group="group")
    with pytest.raises(EstimandError, match="switches off"):
        bacon(panel)
    assert twfe_weights(panel)["weight"].sum() == pytest.approx(1.0)


def test_a_treatment_that_does_not_vary_has_no_weights(make_frame, to_panel):
    frame = make_frame()
    with pytest.raises(EstimandError, match="does not vary"):
        twfe_weights(to_panel(frame.assign(d=(frame["time"] > 3).astype(int))))
