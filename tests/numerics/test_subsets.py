from __future__ import annotations

import jax
import numpy as np
import pytest

from bayes_causal.numerics.subsets import eliminate, members


@pytest.mark.parametrize("p", [0, 1, 5])
def test_every_sub_model_is_the_one_factorised_alone(p: int, rng: np.random.Generator) -> None:
    """Schur complements and determinants of all 2^p principal blocks, 1e-12 relative."""
    x = rng.standard_normal((20, p + 2))
    m = x.T @ x
    with jax.enable_x64(True):
        rest, log_det = eliminate(jax.numpy.asarray(m), p)
        forced, log_forced = eliminate(jax.numpy.asarray(m), p, forced=True)
    assert rest.shape == (2**p, 2, 2)
    for g, taken in enumerate(members(p)):
        kept = np.flatnonzero(taken)
        block, cross = m[np.ix_(kept, kept)], m[np.ix_(kept, [p, p + 1])]
        assert np.allclose(rest[g], m[p:, p:] - cross.T @ np.linalg.solve(block, cross) if kept.size else m[p:, p:], rtol=1e-12)
        assert float(log_det[g]) == pytest.approx(np.linalg.slogdet(block)[1] if kept.size else 0.0, abs=1e-11)
    assert np.allclose(forced[0], rest[-1]) and float(log_forced[0]) == pytest.approx(float(log_det[-1]), abs=1e-12)
