"""What must not matter does not: the unit of the outcome, its origin, the names and the order of units, the names of groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from bayes_causal.data.panel import Panel
from bayes_causal.data.simulate import simulate_panel
from bayes_causal.inference.collapsed import Collapsed
from bayes_causal.models.hierarchical_did import HierarchicalDiD
from bayes_causal.numerics.linear_gaussian import log_marginal

ENGINE = Collapsed(draws=250, chains=4)


def att(panel: Panel) -> np.ndarray:
    """(chain, draw) draws of the att in units of the panel's outcome, by the engine from one seed."""
    model = HierarchicalDiD(panel, effect="constant", errors="iid")
    return model.natural(ENGINE.sample(model, seed=20).sites)["att"]


@pytest.fixture(scope="module")
def panel() -> Panel:
    return simulate_panel(units=20, periods=7, groups=3, missing=0.1, seed=5)[0]


@pytest.fixture(scope="module")
def draws(panel: Panel) -> np.ndarray:
    return att(panel)


def test_scaling_by_a_power_of_two_is_exact_to_the_bit(panel: Panel, draws: np.ndarray) -> None:
    assert (att(panel.replace_outcome(8 * panel.dataset["outcome"].values)) == 8 * draws).all()


def test_any_other_scale_and_origin_to_a_millionth(panel: Panel, draws: np.ndarray) -> None:
    found = att(panel.replace_outcome(0.3 * panel.dataset["outcome"].values + 1000.0))
    assert found == pytest.approx(0.3 * draws, rel=1e-6, abs=1e-6 * np.abs(0.3 * draws).max())


def permuted(panel: Panel, order: np.ndarray) -> Panel:
    """The units' data under each other's names."""
    return Panel(panel.dataset.isel(unit=order).assign_coords(unit=panel.dataset["unit"].values))


def test_names_and_order_of_units_do_not_matter(panel: Panel, draws: np.ndarray, rng: np.random.Generator) -> None:
    found = att(permuted(panel, rng.permutation(20)))
    assert found == pytest.approx(draws, rel=1e-6, abs=1e-6 * np.abs(draws).max())


@pytest.mark.parametrize("errors", ["iid", "ar1"])
@pytest.mark.parametrize("effect", ["constant", "group", "event_time"])
@pytest.mark.parametrize("kind", ["balanced", "unbalanced", "everything"])
def test_units_by_another_name_have_the_same_unit_level_terms(
    kind: str, effect: Any, errors: Any, make_panel: Callable[..., Panel], rng: np.random.Generator
) -> None:
    """Which of several dependent columns is kept must not hang on the order of units: priors are on the kept ones."""
    panel = make_panel(kind)
    order = rng.permutation(panel.dataset.sizes["unit"])
    a, b = (HierarchicalDiD(p, effect=effect, errors=errors).design for p in (panel, permuted(panel, order)))
    assert a.unit_term_names == b.unit_term_names
    assert a.unit_terms[order] == pytest.approx(b.unit_terms, abs=1e-9)


def relabelled(panel: Panel, order: list[int]) -> Panel:
    """Groups in another order, as other names would sort them."""
    treatment, labels = panel.dataset["treatment"].values, panel.dataset["group"].values
    return panel.replace_treatment(treatment[..., order], labels[order])


def test_names_of_groups_do_not_matter(panel: Panel, rng: np.random.Generator) -> None:
    """The marginal density of θ is the same in whichever order the groups come."""
    t, found = rng.standard_normal((3, 3)), []
    for p in (panel, relabelled(panel, [2, 0, 1])):
        with jax.enable_x64(True):
            collapsed = HierarchicalDiD(p, effect="group", errors="iid").collapsed()
            density = jax.jit(jax.vmap(lambda x, c=collapsed: log_marginal(c, c.sums, c.theta(x))))
            found.append(np.asarray(density(t)))
    assert found[0] == pytest.approx(found[1], rel=1e-10)


def test_covariates_in_other_units_have_coefficients_in_other_units(make_panel: Callable[..., Panel]) -> None:
    """Columns are standardised: the design does not see the unit, the reported coefficient is in it."""
    panel = make_panel("covariates")
    x = panel.dataset["covariates"]
    other = Panel(panel.dataset.assign(covariates=4.0 * x))
    a, b = HierarchicalDiD(panel, errors="iid"), HierarchicalDiD(other, errors="iid")
    assert (a.design.covariates == b.design.covariates).all() and (a.design.unit_terms == b.design.unit_terms).all()
    assert b.design.covariate_scale == pytest.approx(4 * a.design.covariate_scale)
    sites = {"beta": np.ones((1, 2)), "tau": np.ones(1), "omega": np.ones(1), "group_offset": np.zeros((1, 3))}
    rest = {k: np.ones(1) for k in ("sigma", "sigma_unit", "intercept")} | {"time_contrast": np.zeros((1, 6))}
    assert a.natural(sites | rest)["beta"] == pytest.approx(4 * b.natural(sites | rest)["beta"])


def test_standardised_by_untreated_cells_only(make_panel: Callable[..., Panel]) -> None:
    """A larger effect on the treated must not change the scale on which priors are stated."""
    panel = make_panel("unbalanced")
    lifted = panel.replace_outcome(panel.dataset["outcome"].values + 50.0 * panel.treated)
    a, b = (HierarchicalDiD(p, effect="constant").design for p in (panel, lifted))
    assert (a.center, a.scale) == (b.center, b.scale)
    clear = panel.dataset["outcome"].values[panel.observed & ~panel.treated]
    assert (a.center, a.scale) == pytest.approx((clear.mean(), clear.std(ddof=1)))
