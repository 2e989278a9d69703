"""Mixtures of multivariate t distributions: proposals with tails heavy enough to be corrected by weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, logsumexp

DEGREES = 5.0
WIDEN = 1.1
COMPONENTS, EM_STEPS, PRIOR_MASS, WIDE_SHARE = 4, 30, 0.02, 0.1


@dataclass(frozen=True, eq=False)
class TMixture:
    """m components in n dimensions, each with `DEGREES` degrees of freedom.

    Parameters
    ----------
    weights : (m,), centers : (m, n), factors : (m, n, n) lower Cholesky factors of the scale matrices
    """

    weights: np.ndarray
    centers: np.ndarray
    factors: np.ndarray

    def draw(self, size: int, rng: np.random.Generator) -> np.ndarray:
        """(size, n) draws."""
        n = self.centers.shape[1]
        which = rng.choice(self.weights.size, size=size, p=self.weights)
        normal = rng.standard_normal((size, n))
        stretch = np.sqrt(DEGREES / rng.chisquare(DEGREES, size))
        return self.centers[which] + stretch[:, None] * np.einsum("snk,sk->sn", self.factors[which], normal)

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """(S,) log density of (S, n) points."""
        return logsumexp(self.components(x)[0], axis=1)

    def components(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(S, m) log of weight times density of each component, and (S, m) squared Mahalanobis distances."""
        n = self.centers.shape[1]
        inverse = np.linalg.inv(self.factors)
        z = np.einsum("mkn,smn->smk", inverse, x[:, None] - self.centers)
        distance = (z**2).sum(2)
        log_scale = np.log(np.diagonal(self.factors, axis1=1, axis2=2)).sum(1)
        constant = gammaln((DEGREES + n) / 2) - gammaln(DEGREES / 2) - n / 2 * np.log(DEGREES * np.pi)
        return constant + np.log(self.weights) - log_scale - (DEGREES + n) / 2 * np.log1p(distance / DEGREES), distance


def at_modes(modes: np.ndarray, scales: np.ndarray, heights: np.ndarray) -> TMixture:
    """One component a (m, n) mode with its (m, n, n) scale matrix, weighted by log density there and volume."""
    factors = WIDEN * np.linalg.cholesky(scales)
    log_mass = heights + np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(1)
    weights = np.maximum(np.exp(log_mass - logsumexp(log_mass)), 0.01)
    return TMixture(weights / weights.sum(), modes, factors)


def refitted(x: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> TMixture:
    """A mixture of `COMPONENTS` t distributions fitted to (S, n) points with (S,) normalised weights by EM (Peel & McLachlan
    2000).

    A last, wide component at the points' mean keeps the tails covered. doi:10.1023/A:1008981510081.
    """
    n = x.shape[1]
    mean = weights @ x
    spread = ((x - mean) * weights[:, None]).T @ (x - mean) + 1e-10 * np.eye(n)
    centers = x[rng.choice(weights.size, COMPONENTS, p=weights)]
    factors = np.repeat(np.linalg.cholesky(spread)[None], COMPONENTS, 0)
    mixture = TMixture(np.full(COMPONENTS, 1 / COMPONENTS), centers, factors)
    for _ in range(EM_STEPS):
        log_terms, distance = mixture.components(x)
        share = np.exp(log_terms - logsumexp(log_terms, axis=1, keepdims=True)) * weights[:, None]
        mass = share.sum(0) + 1e-12
        scaled = share * (DEGREES + n) / (DEGREES + distance)
        centers = (scaled.T @ x) / scaled.sum(0)[:, None]
        off = x[:, None] - centers
        scatter = np.einsum("sm,smi,smj->mij", scaled, off, off) / mass[:, None, None]
        # A little of the overall spread keeps a component from collapsing onto a few points.
        pooled = (mass[:, None, None] * scatter + PRIOR_MASS * spread) / (mass[:, None, None] + PRIOR_MASS)
        mixture = TMixture(mass / mass.sum(), centers, np.linalg.cholesky(pooled))
    return TMixture(
        np.r_[(1 - WIDE_SHARE) * mixture.weights, WIDE_SHARE],
        np.vstack([mixture.centers, mean]),
        np.concatenate([WIDEN * mixture.factors, 1.5 * np.linalg.cholesky(spread)[None]]),
    )
