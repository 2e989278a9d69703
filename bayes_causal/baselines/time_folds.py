"""Splits of time in which training rows know nothing of the rows they are tested on.

Rows are dates in order. Around a test block, training rows are purged whose outcome or lags reach into it; after it there is an
embargo, since later rows carry its outcomes as lags (López de Prado 2018, Advances in Financial Machine Learning, chapter 7;
Burman, Chow and Nolan 1994, doi:10.1093/biomet/81.2.351). Splitters follow scikit-learn's protocol, so that its tuning and econml
take them as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from bayes_causal.errors import EstimandError

Split = tuple[np.ndarray, np.ndarray]
"""Positions of training rows and of test rows, each ascending."""


@dataclass(frozen=True)
class ForwardFolds:
    """Cross-fitting that only looks back: rows are cut into blocks, each but the first is predicted from those before it.

    Parameters
    ----------
    folds : int
        Test blocks; the first of ``folds + 1`` blocks is never tested.
    purge : int
        Rows left out between training and test.
    """

    folds: int = 5
    purge: int = 0

    def __post_init__(self) -> None:
        _at_least(1, folds=self.folds)
        _at_least(0, purge=self.purge)

    def split(self, rows: Any, y: Any = None, groups: Any = None) -> Iterator[Split]:
        """Pairs of training and test positions of `rows`, a number of rows or anything that has a length.

        Raises
        ------
        EstimandError
            Too few rows for the blocks and the purge.
        """
        n = _number(rows)
        edges = _edges(n, self.folds + 1)
        if edges[1] - self.purge < 1:
            raise EstimandError(
                f"{n} rows in {self.folds + 1} blocks leave no training row before the first test block and the purge of "
                f"{self.purge}: fewer folds, fewer lags or a longer series"
            )
        for start, stop in pairwise(edges[1:]):
            yield np.arange(start - self.purge), np.arange(start, stop)

    def get_n_splits(self, rows: Any = None, y: Any = None, groups: Any = None) -> int:
        """Number of splits."""
        return self.folds


@dataclass(frozen=True)
class BlockedFolds:
    """K-fold over blocks of consecutive rows, trained on both sides of the test block: for tuning, where the future may be used.

    Parameters
    ----------
    folds : int
    purge : int
        Rows left out on either side of the test block.
    embargo : int
        Further rows left out after it; the longest lag.
    """

    folds: int = 5
    purge: int = 0
    embargo: int = 0

    def __post_init__(self) -> None:
        _at_least(2, folds=self.folds)
        _at_least(0, purge=self.purge, embargo=self.embargo)

    def split(self, rows: Any, y: Any = None, groups: Any = None) -> Iterator[Split]:
        """Pairs of training and test positions; raises EstimandError where a block would have no training rows."""
        n = _number(rows)
        edges = _edges(n, self.folds)
        every = np.arange(n)
        for start, stop in pairwise(edges):
            known = every[(every < start - self.purge) | (every >= stop + self.purge + self.embargo)]
            if not known.size:
                raise EstimandError(
                    f"{n} rows in {self.folds} blocks leave no training row beside a purge of {self.purge} and an embargo of "
                    f"{self.embargo}: fewer lags or a longer series"
                )
            yield known, np.arange(start, stop)

    def get_n_splits(self, rows: Any = None, y: Any = None, groups: Any = None) -> int:
        """Number of splits."""
        return self.folds


@dataclass(frozen=True)
class WalkForward:
    """Rolling origins: fit on what is known, score the next rows, move on.

    Parameters
    ----------
    first : int
        Training rows of the first split, purge not counted.
    step : int
        Test rows of a split, and how far the origin moves; the last split may have fewer.
    purge : int
        Rows left out between training and test.
    window : int, optional
        Longest training window; left out, it grows.
    """

    first: int
    step: int = 1
    purge: int = 0
    window: int | None = None

    def __post_init__(self) -> None:
        _at_least(1, first=self.first, step=self.step, window=1 if self.window is None else self.window)
        _at_least(0, purge=self.purge)

    def split(self, rows: Any, y: Any = None, groups: Any = None) -> Iterator[Split]:
        """Pairs of training and test positions; raises EstimandError where not one row is left to test."""
        n = _number(rows)
        if self.first + self.purge >= n:
            raise EstimandError(f"{n} rows leave none to test after {self.first} training rows and a purge of {self.purge}")
        for start in range(self.first + self.purge, n, self.step):
            known = start - self.purge
            oldest = 0 if self.window is None else max(0, known - self.window)
            yield np.arange(oldest, known), np.arange(start, min(start + self.step, n))

    def get_n_splits(self, rows: Any = None, y: Any = None, groups: Any = None) -> int:
        """Number of splits of `rows`."""
        return len(range(self.first + self.purge, _number(rows), self.step))


def time_split(rows: Any, share: float = 0.8, purge: int = 0) -> Split:
    """The first `share` of rows to train, the rest to test; of the training rows the last `purge` are left out.

    Raises
    ------
    EstimandError
        A share outside (0, 1), or no row left on a side.
    """
    n = _number(rows)
    start = round(share * n) if 0 < share < 1 else -1
    if not 0 <= purge < start < n:
        raise EstimandError(f"a time split of {n} rows at {share:g} with a purge of {purge} leaves a side without rows")
    return np.arange(start - purge), np.arange(start, n)


def _edges(n: int, blocks: int) -> np.ndarray:
    """(blocks + 1,) borders of blocks of n rows whose lengths differ by one at most."""
    if blocks > n:
        raise EstimandError(f"{n} rows cannot be cut into {blocks} blocks")
    return np.linspace(0, n, blocks + 1).round().astype(int)


def _number(rows: Any) -> int:
    return int(rows) if isinstance(rows, (int, np.integer)) else len(rows)


def _at_least(smallest: int, **numbers: int) -> None:
    wrong = [f"{k} is {v!r}" for k, v in numbers.items() if not isinstance(v, (int, np.integer)) or v < smallest]
    if wrong:
        raise EstimandError(f"{', '.join(wrong)}: whole numbers from {smallest} up are needed")
