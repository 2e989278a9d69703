"""Noise that is nearly normal, drawn from the target's own slices: one axis at a time, the others at zero."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

NODES = np.r_[-16.0, -12.0, -9.0, -7.0, -5.5, np.arange(-4.5, 5.0, 0.75), 5.5, 7.0, 9.0, 12.0, 16.0]
FINE = 1025
NEGLIGIBLE = 1e-5
# One over the effective fraction of draws from a standard normal: below it, its slice says nothing that is worth its own noise.
SERVED = 1.5


@dataclass(frozen=True, eq=False)
class Axes:
    """q independent coordinates, standard normal but for some, whose densities are linear between evenly spaced points.

    Parameters
    ----------
    other : (k,) positions of those that are not normal
    x : (F,) points; density : (k, F); mass : (k, F) its integral up to each
    """

    size: int
    other: np.ndarray
    x: np.ndarray
    density: np.ndarray
    mass: np.ndarray

    def draw(self, size: int, rng: np.random.Generator) -> np.ndarray:
        """(size, q) draws, by inversion where they are not normal."""
        drawn = rng.standard_normal((size, self.size))
        for k, f, m in zip(self.other, self.density, self.mass, strict=True):
            drawn[:, k] = _inverse(self.x, f, m, rng.random(size))
        return drawn

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """(S,) log density of (S, q) points, over that of standard normals."""
        value = np.zeros(len(x))
        for k, f in zip(self.other, self.density, strict=True):
            value += np.log(np.interp(x[:, k], self.x, f)) + 0.5 * (x[:, k] ** 2 + np.log(2 * np.pi))
        return value


def along(log_target: Callable[[np.ndarray], np.ndarray], q: int) -> Axes:
    """Slices of a log density of (S, q) points through zero where they are far from normal: cubic in logs between few nodes."""
    from scipy.interpolate import PchipInterpolator

    points = (NODES[None, :, None] * np.eye(q)[:, None, :]).reshape(-1, q)
    # What is left when the normal's own exponent is taken off is smooth enough for so few nodes.
    left = log_target(points).reshape(q, NODES.size) + 0.5 * NODES**2
    left = np.where(np.isfinite(left), left, np.min(left, 1, keepdims=True, where=np.isfinite(left), initial=0.0))
    x = np.linspace(NODES[0], NODES[-1], FINE)
    log_f = PchipInterpolator(NODES, left, axis=1)(x) - 0.5 * x**2
    f = np.exp(log_f - log_f.max(1, keepdims=True))
    step = x[1] - x[0]
    mass = np.concatenate([np.zeros((q, 1)), np.cumsum((f[:, 1:] + f[:, :-1]) * step / 2, 1)], 1)
    f, mass = f / mass[:, -1:], mass / mass[:, -1:]
    bulk = f > NEGLIGIBLE * f.max(1, keepdims=True)
    served = np.sum(np.where(bulk, f**2 * np.exp(0.5 * x**2), 0.0), 1) * np.sqrt(2 * np.pi) * step < SERVED
    return Axes(q, np.flatnonzero(~served), x, f[~served], mass[~served])


def _inverse(x: np.ndarray, f: np.ndarray, mass: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Where the integral of the piecewise linear density f over evenly spaced x reaches u."""
    cell = np.clip(np.searchsorted(mass, u, side="right") - 1, 0, x.size - 2)
    step = x[1] - x[0]
    f0, slope, rest = f[cell], (f[cell + 1] - f[cell]) / step, u - mass[cell]
    root = np.sqrt(np.maximum(f0**2 + 2 * slope * rest, 0.0))
    return np.asarray(x[cell] + np.clip(2 * rest / np.maximum(f0 + root, 1e-300), 0.0, step))
