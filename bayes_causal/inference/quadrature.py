"""One hyperparameter: its density at nodes, and independent draws from it; many problems side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

NODES = 96
COARSE = 48
NEGLIGIBLE = 30.0
FINE = 32
START = 12.0
ROUNDS = 14


@dataclass(frozen=True, eq=False)
class Lines:
    """Draws of one coordinate in each of P problems.

    Parameters
    ----------
    t, lp : (P, S) draws and their log densities
    nodes : (P, N) the last nodes, evenly spaced
    log_mass : (P,) log of the integral of the density
    evaluated : density evaluations a problem
    """

    t: np.ndarray
    lp: np.ndarray
    nodes: np.ndarray
    log_mass: np.ndarray
    evaluated: int


def quadrature(density: Callable[[np.ndarray], np.ndarray], uniform: np.ndarray) -> Lines:
    """Independent draws from densities on a line.

    The nodes close in on where a density is not negligible (30 log units below its height, some 8 standard deviations); between
    nodes the log density is a cubic spline, and draws are continuous. A problem's numbers do not hang on those beside it.

    Parameters
    ----------
    density : (P, N) points to (P, N) log densities
    uniform : (P, S) random numbers in [0, 1), one a draw

    Raises
    ------
    FloatingPointError
        A density is nowhere finite, or does not fall off.
    """
    from scipy.interpolate import CubicSpline

    problems = len(uniform)
    low, high = np.full(problems, -START), np.full(problems, START)
    rows, size, evaluated = np.arange(problems), COARSE, 0
    while evaluated < NODES * ROUNDS:
        evaluated += size
        wide = high - low
        t = low[:, None] + wide[:, None] * np.linspace(0, 1, size)
        lp = density(t)
        if not np.isfinite(lp).any(1).all():
            raise FloatingPointError("the marginal density is nowhere finite: the data and the prior exclude each other")
        inside = lp > np.nanmax(lp, 1, keepdims=True) - NEGLIGIBLE
        first, last = inside.argmax(1), size - 1 - inside[:, ::-1].argmax(1)
        edge = (first == 0) | (last == size - 1)
        again = edge | (last - first <= (NODES // 2 if size == NODES else 2))
        if size == NODES and not again.any():
            break
        # Coarse nodes say where the density is; the nodes that follow are spread over it and one step beyond.
        moved = again | (size == COARSE) & ~again.any()
        after = np.where(last == size - 1, high + wide, t[rows, np.minimum(last + 1, size - 1)])
        before = np.where(first == 0, low - wide, t[rows, np.maximum(first - 1, 0)])
        low, high = np.where(moved, before, low), np.where(moved, after, high)
        size = size if again.any() else NODES
    else:
        raise FloatingPointError("the marginal density of the one hyperparameter does not fall off: no quadrature holds it")
    unit = np.linspace(0, 1, NODES)
    height = np.nanmax(lp, 1)
    spline = CubicSpline(unit, np.maximum(lp - height[:, None], -10 * NEGLIGIBLE), axis=1)
    fine = np.linspace(0, 1, FINE * (NODES - 1) + 1)
    f = np.exp(spline(fine))
    mass = np.concatenate([np.zeros((problems, 1)), np.cumsum((f[:, 1:] + f[:, :-1]) / 2 / (fine.size - 1), 1)], 1)
    x, value = _inverse(fine, f, mass, uniform)
    drawn_lp = np.log(np.maximum(value, 1e-300)) + height[:, None]
    log_mass = height + np.log(mass[:, -1] * wide)
    return Lines(low[:, None] + wide[:, None] * x, drawn_lp, t, log_mass, evaluated)


def _inverse(x: np.ndarray, f: np.ndarray, mass: np.ndarray, uniform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the integrals (P, M) of piecewise linear densities (P, M) over evenly spaced x reach (P, S) shares, and f there."""
    # All problems in one search: the shares of problem k lie between k and k + 1.
    place, share = np.arange(len(f))[:, None], mass / mass[:, -1:]
    found = np.searchsorted((share + place).ravel(), (uniform + place).ravel(), side="right").reshape(uniform.shape)
    cell = np.clip(found - 1 - place * x.size, 0, x.size - 2)
    step = x[1] - x[0]
    f0, f1, below = (np.take_along_axis(v, k, 1) for v, k in ((f, cell), (f, cell + 1), (mass, cell)))
    slope, rest = (f1 - f0) / step, uniform * mass[:, -1:] - below
    root = np.sqrt(np.maximum(f0**2 + 2 * slope * rest, 0.0))
    inside = np.clip(2 * rest / np.maximum(f0 + root, 1e-300), 0.0, step)
    return x[cell] + inside, f0 + slope * inside
