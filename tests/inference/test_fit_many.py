from __future__ import annotations

import numpy as np
import pytest

import bayes_causal as bc
from bayes_causal.errors import TreeError


def panels(count: int, seed: int, **options: object) -> list[bc.Panel]:
    shape = {"units": 20, "periods": 8, "groups": 2, "effect": 0.5, "rho": 0.3} | options
    return [bc.simulate_panel(**shape, seed=seed + k)[0] for k in range(count)]


def test_each_problem_gets_the_posterior_it_gets_alone(seed: int) -> None:
    """Means within 5 Monte Carlo standard errors of the difference: 12 comparisons, an error rate below 1e-5."""
    models = [bc.HierarchicalDiD(p, effect="group") for p in panels(3, seed % 1000)]
    together = bc.fit_many(models, seed=1, draws=1000)
    assert together["trusted"].all()
    for k, model in enumerate(models):
        alone = model.natural(bc.Collapsed(draws=1000, chains=4).sample(model, seed=2).sites)
        for name in ("att", "rho", "sigma", "omega"):
            draws = together[name].isel(problem=k).values.ravel()
            error = np.sqrt(alone[name].var() / 2000 + draws.var() / 400)
            assert abs(draws.mean() - alone[name].mean()) < 5 * error, (k, name)
            assert 0.8 < draws.std() / alone[name].std() < 1.25, (k, name)


def test_the_same_seed_gives_the_same_draws(seed: int) -> None:
    models = [bc.HierarchicalDiD(p, effect="constant", errors="iid") for p in panels(2, seed % 1000)]
    first, second = (bc.fit_many(models, seed=3, draws=50) for _ in range(2))
    assert first.identical(second)
    assert not np.array_equal(first["att"], bc.fit_many(models, seed=4, draws=50)["att"])


def test_models_of_different_shapes_are_refused(seed: int) -> None:
    same, longer = panels(1, seed % 1000)[0], panels(1, seed % 1000, periods=9)[0]
    with pytest.raises(TreeError, match="one shape"):
        bc.fit_many([bc.HierarchicalDiD(same), bc.HierarchicalDiD(longer)], seed=1)
    with pytest.raises(TreeError, match="one shape"):
        bc.fit_many([bc.HierarchicalDiD(same, effect="group"), bc.HierarchicalDiD(same, effect="event_time")], seed=1)
    with pytest.raises(TreeError, match="at least one"):
        bc.fit_many([], seed=1)
