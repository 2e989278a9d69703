"""One hyperparameter: its density at nodes, and independent draws from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

NODES = 256
NEGLIGIBLE = 30.0
FINE = 16
START = 12.0
ROUNDS = 12


@dataclass(frozen=True, eq=False)
class Line:
    """Draws of one coordinate.

    Parameters
    ----------
    t, lp : (S,) draws and their log densities
    log_mass : log of the integral of the density
    nodes : density evaluations
    """

    t: np.ndarray
    lp: np.ndarray
    log_mass: float
    nodes: int

    def numbers(self) -> dict[str, float]:
        """What is recorded."""
        return {"log_mass": self.log_mass, "nodes": self.nodes, "efficiency": 1.0}


def quadrature(density: Callable[[np.ndarray], np.ndarray], size: int, rng: np.random.Generator) -> Line:
    """Independent draws from a density on a line.

    The nodes close in on where the density is not negligible (30 log units below its height, some 8 standard deviations); between
    nodes the log density is a cubic spline, and draws are continuous.

    Parameters
    ----------
    density : (S,) points to (S,) log densities
    size : draws

    Raises
    ------
    FloatingPointError
        The density is nowhere finite, or does not fall off.
    """
    from scipy.interpolate import CubicSpline

    low, high, evaluated = -START, START, 0
    for _ in range(ROUNDS):
        t = np.linspace(low, high, NODES)
        lp = density(t)
        evaluated += NODES
        if not np.isfinite(lp).any():
            raise FloatingPointError("the marginal density is nowhere finite: the data and the prior exclude each other")
        inside = np.flatnonzero(lp > np.nanmax(lp) - NEGLIGIBLE)
        first, last = inside[0], inside[-1]
        if first == 0 or last == NODES - 1:
            low, high = (low - (high - low) if first == 0 else low), (high + (high - low) if last == NODES - 1 else high)
        elif last - first > NODES // 2:
            break
        else:
            low, high = t[first - 1], t[last + 1]
    else:
        raise FloatingPointError("the marginal density of the one hyperparameter does not fall off: no quadrature holds it")
    spline = CubicSpline(t, np.maximum(lp, np.nanmax(lp) - 10 * NEGLIGIBLE))
    fine = np.linspace(low, high, FINE * (NODES - 1) + 1)
    height = np.nanmax(lp)
    f = np.exp(spline(fine) - height)
    step = fine[1] - fine[0]
    mass = np.concatenate([[0.0], np.cumsum((f[1:] + f[:-1]) * step / 2)])
    drawn = _inverse(fine, f, mass, rng.random(size) * mass[-1])
    return Line(drawn, spline(drawn), float(height + np.log(mass[-1])), evaluated)


def _inverse(x: np.ndarray, f: np.ndarray, mass: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Where the integral of the piecewise linear density f reaches u."""
    cell = np.clip(np.searchsorted(mass, u, side="right") - 1, 0, x.size - 2)
    step = x[1] - x[0]
    f0, slope, rest = f[cell], (f[cell + 1] - f[cell]) / step, u - mass[cell]
    root = np.sqrt(np.maximum(f0**2 + 2 * slope * rest, 0.0))
    return np.asarray(x[cell] + np.clip(2 * rest / np.maximum(f0 + root, 1e-300), 0.0, step))
