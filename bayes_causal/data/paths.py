"""Paths: units with the same treatment over time and the same missing cells share every column of a panel model but its numbers.

What a linear panel model with independent units needs of them is how many they are, the sum of their (T·V) vectors of numbers and
the products of these vectors. The sums are additive over units, and their size depends on paths and periods, never on rows.

A path is a row of status codes: 0 where the unit has no row, else 1, plus 1 where the outcome is there, plus twice the position
(from 1) of the active group. Where first treated times are declared, one more entry holds the position (from 1) of the unit's.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayes_causal.errors import DataError

MOST_BYTES = 2**28


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
    """Sums by path, added to part by part in a given order, so that rounding does not depend on who computed what first."""

    def __init__(self, width: int, cells: int, values: int):
        """`width` status codes and `cells` periods a unit, `values` numbers a cell."""
        self._width, self._cells, self._values = width, cells, values
        self._sums: dict[bytes, list[Any]] = {}
        self._units = 0

    def add(self, part: Part) -> None:
        """Add the sums of some units."""
        self._units += int(part.units.sum())
        for key, n, total, products in zip(part.status, part.units, part.total, part.products, strict=True):
            known = self._sums.get(key.tobytes())
            if known is None:
                self._sums[key.tobytes()] = [key, int(n), total.copy(), products.copy()]
            else:
                known[1] += int(n)
                known[2] += total
                known[3] += products
        refuse_many(len(self._sums), self._cells, self._values, self._units)

    def sums(self, pivot: np.ndarray) -> PathSums:
        """Everything added so far."""
        status, units, total, products = ([s[k] for s in self._sums.values()] for k in range(4))
        size = self._cells * self._values
        return PathSums(
            np.array(status, np.int16).reshape(-1, self._width),
            np.array(units, np.int64),
            np.array(total, float).reshape(-1, self._cells, self._values),
            np.array(products, float).reshape(-1, size, size),
            pivot,
        ).sorted()


@dataclass(frozen=True, eq=False)
class Part:
    """Sums over the units of some rows by path: as those of `PathSums`, with (P, T·V) totals."""

    status: np.ndarray
    units: np.ndarray
    total: np.ndarray
    products: np.ndarray


def part_of(status: np.ndarray, numbers: np.ndarray, shift: np.ndarray, values: int) -> Part:
    """The sums of units with (U, width) int16 codes and (U, T·V) numbers, from which a (T·V,) `shift` is taken.

    Numbers are sorted by path into memory that a thread keeps: fresh memory costs more than the sums.
    """
    words = _words(status)
    cells = numbers.shape[1] // values
    order = np.argsort(_mixed(words), kind="stable")
    words = words[order]
    starts = np.flatnonzero(np.r_[True, (words[1:] != words[:-1]).any(1)])
    refuse_many(starts.size, cells, values, len(status))
    numbers = np.take(numbers, order, axis=0, out=_scratch(numbers.shape), mode="clip")
    numbers -= shift
    total, products = np.empty((starts.size, numbers.shape[1])), np.empty((starts.size, *numbers.shape[1:] * 2))
    ends = np.r_[starts[1:], len(status)]
    for k, (a, b) in enumerate(zip(starts, ends, strict=True)):
        own = numbers[a:b]
        np.matmul(np.ones(b - a), own, out=total[k])
        np.matmul(own.T, own, out=products[k])
    return Part(status[order[starts]], ends - starts, total, products)


def refuse_many(paths: int, cells: int, values: int, units: int) -> None:
    """Raise DataError where the sums of so many paths would not be small."""
    most = most_paths(cells, values)
    if paths <= most:
        return
    raise DataError(
        f"more than {most:,} distinct paths of treatment and missing cells among the first {max(units, 1):,} units: nearly every "
        "unit is its own, so sums over units are no smaller than the rows. Likely cause: cells that are missing at random, or "
        "treatments that start and stop at any time. What helps: keep periods in which units are observed alike (`where`), or "
        "read the rows into memory (in_memory: true, or Panel.from_frame)"
    )


def most_paths(cells: int, values: int) -> int:
    """How many paths of so many periods and numbers fit."""
    return max(16, MOST_BYTES // (8 * (cells * values) ** 2))


def decoded(status: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whether cells have a row, whether they have an outcome, and the position (from 1, 0 for none) of their active group."""
    present = status > 0
    return present, present & (status % 2 == 0), np.where(present, (status - 1) // 2, 0)


def _words(status: np.ndarray) -> np.ndarray:
    """(U, W) 64-bit words of (U, k) int16 codes."""
    padded = np.zeros((len(status), -(-status.shape[1] // 4) * 4), np.int16)
    padded[:, : status.shape[1]] = status
    return padded.view(np.uint64)


def _mixed(words: np.ndarray) -> np.ndarray:
    """(U,) hashes of (U, W) words, by which equal paths come to stand together; those that share one are told apart later."""
    multipliers = np.random.default_rng(0).integers(1, 2**63, words.shape[1], dtype=np.uint64) | np.uint64(1)
    return words @ multipliers


_kept = threading.local()


def _scratch(shape: tuple[int, ...]) -> np.ndarray:
    """An array of this shape in the memory of the calling thread, overwritten by its next call."""
    size = int(np.prod(shape))
    if getattr(_kept, "memory", np.zeros(0)).size < size:
        _kept.memory = np.empty(size)
    return _kept.memory[:size].reshape(shape)
