"""Paths: units with the same treatment over time and the same missing cells share every column of a panel model but their numbers.

What a linear panel model with independent units needs of them is how many they are, the sum of their (T·V) vectors of numbers and
the products of these vectors. The sums are additive over units, and their size depends on paths and periods, never on rows.

A path is a row of status codes: 0 where the unit has no row, else 1, plus 1 where the outcome is there, plus twice the position
(from 1) of the active group; where first treated times are declared, one more entry holds the position (from 1) of the unit's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bayes_causal.errors import DataError

MOST_BYTES = 2**28
ABSENT, PRESENT, SEEN = 0, 1, 2


@dataclass(frozen=True, eq=False)
class PathSums:
    """Sums over the units of each path. P paths, T periods, V numbers a cell (covariates, then the outcome).

    Parameters
    ----------
    status : (P, T) or (P, T+1) integers
        The codes above, in the order of the rows.
    units : (P,) int64
    total : (P, T, V) float64
        Sums of the numbers minus `pivot`; 0 in cells without an outcome.
    products : (P, T·V, T·V) float64
        Sums of the products of two such numbers of one unit.
    pivot : (V,) float64
        About the mean, so that nothing cancels.
    """

    status: np.ndarray
    units: np.ndarray
    total: np.ndarray
    products: np.ndarray
    pivot: np.ndarray

    def sorted(self) -> PathSums:
        """The same with paths in the order of their codes, in which ever order they were found."""
        order = np.lexsort(self.status.T[::-1])
        return PathSums(self.status[order], self.units[order], self.total[order], self.products[order], self.pivot)


class PathTable:
    """Sums by path, added to block by block."""

    def __init__(self, width: int, cells: int, values: int):
        """`width` status codes and `cells` periods a unit, `values` numbers a cell."""
        self.status = np.zeros((0, width), np.int16)
        self._bytes = -(-2 * width // 8) * 8
        self._multipliers = np.random.default_rng(0).integers(1, 2**63, self._bytes // 8, dtype=np.uint64) | np.uint64(1)
        self._hash, self._place = np.zeros(0, np.uint64), np.zeros(0, int)
        self._units: list[int] = []
        self._total: list[np.ndarray] = []
        self._products: list[np.ndarray] = []
        self._shape = (cells, values)

    def add(self, status: np.ndarray, numbers: np.ndarray) -> None:
        """Add units with (U, width) int16 codes and (U, T·V) numbers minus the pivot, 0 where there are none."""
        path = self._paths(status)
        order = np.argsort(path, kind="stable")
        numbers, path = numbers[order], path[order]
        starts = np.flatnonzero(np.r_[True, path[1:] != path[:-1]])
        for a, b in zip(starts, np.r_[starts[1:], path.size], strict=True):
            own, k = numbers[a:b], int(path[a])
            self._units[k] += int(b - a)
            self._total[k] += np.ones(b - a) @ own
            self._products[k] += own.T @ own

    def sums(self, pivot: np.ndarray) -> PathSums:
        """Everything added so far."""
        cells, values = self._shape
        total = np.array(self._total).reshape(-1, cells, values)
        products = np.array(self._products).reshape(-1, cells * values, cells * values)
        return PathSums(self.status, np.array(self._units, np.int64), total, products, pivot).sorted()

    def _paths(self, status: np.ndarray) -> np.ndarray:
        """(U,) position of each unit's path; paths not seen before are appended."""
        words = _words(status, self._bytes)
        key = _mixed(words, self._multipliers)
        distinct, first = np.unique(key, return_index=True)
        new = ~np.isin(distinct, self._hash)
        if new.any():
            self._append(status[first[new]], distinct[new])
        path = self._place[np.searchsorted(self._hash, key)]
        if not (_words(self.status, self._bytes)[path] == words).all():
            raise RuntimeError("two paths share a 64-bit hash: change the seed of PathTable's multipliers")
        return path

    def _append(self, status: np.ndarray, key: np.ndarray) -> None:
        cells, values = self._shape
        count = len(self._units) + len(status)
        refuse_many(count, cells, values, sum(self._units))
        self.status = np.concatenate([self.status, status])
        place = np.r_[self._place, np.arange(len(self._units), count)]
        self._hash = np.r_[self._hash, key]
        order = np.argsort(self._hash)
        self._hash, self._place = self._hash[order], place[order]
        self._units += [0] * len(status)
        self._total += [np.zeros(cells * values) for _ in status]
        self._products += [np.zeros((cells * values, cells * values)) for _ in status]


def refuse_many(paths: int, cells: int, values: int, units: int) -> None:
    """Raise DataError where the sums of so many paths would not be small."""
    most = most_paths(cells, values)
    if paths <= most:
        return
    raise DataError(
        f"more than {most:,} distinct paths of treatment and missing cells among the first {max(units, 1):,} units: nearly every unit "
        "is its own, so that sums over units are no smaller than the rows. Likely cause: cells that are missing at random, or treatments that start "
        "and stop at any time. What helps: keep periods in which units are observed alike (`pre`, `post`, `where`), or read the "
        "rows into memory (in_memory: true, or Panel.from_frame)"
    )


def most_paths(cells: int, values: int) -> int:
    """How many paths of so many periods and numbers fit."""
    return max(16, MOST_BYTES // (8 * (cells * values) ** 2))


def coded(present: np.ndarray, seen: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Status codes of cells from whether they have a row and an outcome, and the position (from 1, 0 for none) of the active group."""
    return np.where(present, PRESENT + seen + 2 * group, ABSENT).astype(np.int16)


def decoded(status: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The counterpart of `coded`: present, seen, group."""
    present = status > ABSENT
    return present, present & ((status - PRESENT) % 2 == 1), np.where(present, (status - PRESENT) // 2, 0)


def added(parts: Sequence[PathSums]) -> PathSums:
    """The sums of several parts over the same periods with the same pivot, whole units each."""
    keys = np.concatenate([p.status for p in parts])
    status, place = np.unique(keys, axis=0, return_inverse=True)
    n = len(status)
    place = place.reshape(-1)
    units = np.bincount(place, np.concatenate([p.units for p in parts]), n).astype(np.int64)
    total, products = np.zeros((n, *parts[0].total.shape[1:])), np.zeros((n, *parts[0].products.shape[1:]))
    np.add.at(total, place, np.concatenate([p.total for p in parts]))
    np.add.at(products, place, np.concatenate([p.products for p in parts]))
    return PathSums(status, units, total, products, parts[0].pivot).sorted()


def _words(status: np.ndarray, width: int) -> np.ndarray:
    """(U, W) 64-bit words of (U, k) int16 codes."""
    padded = np.zeros((len(status), width // 2), np.int16)
    padded[:, : status.shape[1]] = status
    return padded.view(np.uint64)


def _mixed(words: np.ndarray, multipliers: np.ndarray) -> np.ndarray:
    """(U,) hashes of (U, W) words."""
    mixed = words * multipliers
    mixed ^= mixed >> np.uint64(29)
    mixed *= multipliers[::-1]
    return np.bitwise_xor.reduce(mixed ^ (mixed >> np.uint64(32)), axis=1)
