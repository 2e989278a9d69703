"""Modes of a density of a few coordinates of about unit scale, from densities alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import optimize

STEP = 1e-3
NEGLIGIBLE = 25.0

Density = Callable[[np.ndarray], np.ndarray]
"""(S, n) points to (S,) log densities."""


def find_modes(density: Density, n: int, starts: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(m, n) distinct modes, (m, n, n) negative Hessians there, and (m,) log densities, the highest first.

    Raises
    ------
    FloatingPointError
        The density is finite at none of the starts.
    """
    # Central differences: the reverse pass of a Cholesky factor costs twenty times as much as 2 n densities side by side.
    moves = STEP * np.vstack([np.zeros((1, n)), np.eye(n), -np.eye(n)])

    def objective(t: np.ndarray) -> tuple[float, np.ndarray]:
        values = -np.asarray(density(t + moves))
        finite = np.isfinite(values).all()
        return (float(values[0]), (values[1 : n + 1] - values[n + 1 :]) / (2 * STEP)) if finite else (1e300, np.zeros(n))

    def curvature(t: np.ndarray) -> np.ndarray:
        gradients = np.array([objective(t + 10 * m)[1] for m in moves[1:]])
        return (gradients[:n] - gradients[n:]) / (20 * STEP)

    first = np.vstack([np.zeros((1, n)), rng.standard_normal((starts - 1, n))])
    found = [optimize.minimize(objective, t, jac=True, method="BFGS", options={"gtol": 1e-2}) for t in first]
    found = sorted((r for r in found if r.fun < 1e299), key=lambda r: r.fun)
    if not found:
        raise FloatingPointError("the marginal density is nowhere finite: the data and the priors exclude each other")
    modes: list[tuple[np.ndarray, np.ndarray, float]] = []
    for r in found:
        known = any((r.x - m) @ h @ (r.x - m) < 0.25 * n for m, h, _ in modes)
        if not known and r.fun < found[0].fun + NEGLIGIBLE:
            modes.append((r.x, curvature(r.x), -r.fun))
    centers, hessians, heights = zip(*modes, strict=True)
    return np.array(centers), np.array(hessians), np.array(heights)
