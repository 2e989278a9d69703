"""Splits of time: forward only, nothing within the purge, every row where it belongs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayes_causal.baselines.time_folds import BlockedFolds, ForwardFolds, WalkForward, time_split
from bayes_causal.errors import EstimandError

counts = st.integers(30, 400)
few = st.integers(0, 4)


@given(n=counts, folds=st.integers(1, 6), purge=few)
def test_forward_folds_look_back_only_and_keep_the_purge(n: int, folds: int, purge: int) -> None:
    splits = list(ForwardFolds(folds, purge).split(n))
    assert len(splits) == folds == ForwardFolds(folds, purge).get_n_splits()
    for train, test in splits:
        assert train.max() + purge < test.min() and train.min() == 0
        assert train.max() + purge + 1 == test.min()  # and nothing more is left out
    tested = np.concatenate([test for _, test in splits])
    np.testing.assert_array_equal(tested, np.arange(splits[0][1][0], n))
    sizes = [splits[0][1][0], *(test.size for _, test in splits)]
    assert max(sizes) - min(sizes) <= 1


@given(n=counts, folds=st.integers(2, 6), purge=few, embargo=few)
def test_blocked_folds_keep_purge_and_embargo(n: int, folds: int, purge: int, embargo: int) -> None:
    splits = list(BlockedFolds(folds, purge, embargo).split(n))
    np.testing.assert_array_equal(np.concatenate([test for _, test in splits]), np.arange(n))
    for train, test in splits:
        gap = train[:, None] - test
        assert np.abs(gap).min() > purge
        assert gap[gap > 0].size == 0 or gap[gap > 0].min() > purge + embargo
        left_out = min(purge, test[0]) + min(purge + embargo, n - 1 - test[-1])
        assert train.size + test.size + left_out == n


@given(n=counts, first=st.integers(1, 20), step=st.integers(1, 9), purge=few, window=st.none() | st.integers(1, 25))
def test_walking_forward_tests_each_later_row_once(n: int, first: int, step: int, purge: int, window: int | None) -> None:
    walk = WalkForward(first, step, purge, window)
    splits = list(walk.split(n))
    assert len(splits) == walk.get_n_splits(n)
    np.testing.assert_array_equal(np.concatenate([test for _, test in splits]), np.arange(first + purge, n))
    for train, test in splits:
        assert train.max() + purge + 1 == test.min()
        assert train.size == min(test.min() - purge, window or n) and (np.diff(train) == 1).all()


@given(n=counts, share=st.floats(0.3, 0.9), purge=few)
def test_a_time_split_is_one_cut(n: int, share: float, purge: int) -> None:
    train, test = time_split(n, share, purge)
    assert train[-1] + purge + 1 == test[0] and train[0] == 0 and test[-1] == n - 1
    assert abs(test[0] - share * n) <= 0.5


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: list(ForwardFolds(5, 30).split(60)), "no training row"),
        (lambda: list(ForwardFolds(70).split(60)), "cannot be cut"),
        (lambda: ForwardFolds(0, -1), "folds is 0"),
        (lambda: list(BlockedFolds(2, 40).split(60)), "no training row"),
        (lambda: BlockedFolds(1), "from 2 up"),
        (lambda: list(WalkForward(60).split(60)), "none to test"),
        (lambda: time_split(60, 1.2), "without rows"),
        (lambda: time_split(60, 0.2, 12), "without rows"),
    ],
)
def test_splits_that_leave_nothing_are_refused(call: Any, words: str) -> None:
    with pytest.raises(EstimandError, match=words):
        call()


def test_scikit_learn_tunes_with_them(needs: Any, rng: np.random.Generator) -> None:
    linear = needs("sklearn.linear_model")
    x = rng.normal(size=(120, 3))
    y = x @ [1.0, 0.0, 0.0] + 0.1 * rng.normal(size=120)
    for folds in (ForwardFolds(4, 2), BlockedFolds(4, 2, 1), WalkForward(60, 12, 2)):
        chosen = linear.LassoCV(cv=folds).fit(x, y)
        assert chosen.coef_[0] == pytest.approx(1, abs=0.1) and chosen.mse_path_.shape[1] == folds.get_n_splits(x)
