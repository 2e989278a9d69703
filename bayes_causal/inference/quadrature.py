"""One hyperparameter: its density at nodes, and independent draws from it; many problems side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

NODES = 96
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


def quadrature(density: Callable[[np.ndarray], np.ndarray], problems: int, size: int, rng: np.random.Generator) -> Lines:
    """Independent draws from densities on a line.

    The nodes close in on where a density is not negligible (30 log units below its height, some 8 standard deviations); between
    nodes the log density is a cubic spline, and draws are continuous.

    Parameters
    ----------
    density : (P, N) points to (P, N) log densities
    size : draws a problem

    Raises
    ------
    FloatingPointError
        A density is nowhere finite, or does not fall off.
    """
    from scipy.interpolate import CubicSpline

    low, high = np.full(problems, -START), np.full(problems, START)
    rows, unit = np.arange(problems), np.linspace(0, 1, NODES)
    evaluated = 0
    while evaluated < NODES * ROUNDS:
        evaluated += NODES
        t = low[:, None] + (high - low)[:, None] * unit
        lp = density(t)
        if not np.isfinite(lp).any(1).all():
            raise FloatingPointError("the marginal density is nowhere finite: the data and the prior exclude each other")
        inside = lp > np.nanmax(lp, 1, keepdims=True) - NEGLIGIBLE
        first, last = inside.argmax(1), NODES - 1 - inside[:, ::-1].argmax(1)
        wide, edge = high - low, (first == 0) | (last == NODES - 1)
        if not (edge | (last - first <= NODES // 2)).any():
            break
        after = np.where(last == NODES - 1, high + wide, t[rows, np.minimum(last + 1, NODES - 1)])
        before = np.where(first == 0, low - wide, t[rows, np.maximum(first - 1, 0)])
        low, high = before, after
    else:
        raise FloatingPointError("the marginal density of the one hyperparameter does not fall off: no quadrature holds it")
    height = np.nanmax(lp, 1)
    spline = CubicSpline(unit, np.maximum(lp - height[:, None], -10 * NEGLIGIBLE), axis=1)
    fine = np.linspace(0, 1, FINE * (NODES - 1) + 1)
    f = np.exp(spline(fine))
    mass = np.concatenate([np.zeros((problems, 1)), np.cumsum((f[:, 1:] + f[:, :-1]) / 2 / (fine.size - 1), 1)], 1)
    uniform = rng.random((problems, size))
    x = np.stack([_inverse(fine, g, m, u * m[-1]) for g, m, u in zip(f, mass, uniform, strict=True)])
    drawn_lp = np.stack([np.interp(v, fine, np.log(np.maximum(g, 1e-300))) for v, g in zip(x, f, strict=True)])
    log_mass = height + np.log(mass[:, -1] * (high - low))
    return Lines(low[:, None] + (high - low)[:, None] * x, drawn_lp + height[:, None], t, log_mass, evaluated)


def _inverse(x: np.ndarray, f: np.ndarray, mass: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Where the integral of the piecewise linear density f over evenly spaced x reaches u."""
    cell = np.clip(np.searchsorted(mass, u, side="right") - 1, 0, x.size - 2)
    step = x[1] - x[0]
    f0, slope, rest = f[cell], (f[cell + 1] - f[cell]) / step, u - mass[cell]
    root = np.sqrt(np.maximum(f0**2 + 2 * slope * rest, 0.0))
    return np.asarray(x[cell] + np.clip(2 * rest / np.maximum(f0 + root, 1e-300), 0.0, step))
