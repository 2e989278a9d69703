"""How good a forecast was: proper scores of distributions and probabilities, and their calibration. NumPy alone.

Gneiting and Raftery (2007), doi:10.1198/016214506000001437; fair scores of draws: Ferro (2014), doi:10.1002/qj.2270. Densities
are logarithms, the larger the better; every other score is a loss. Scores are per date, so that differences can be averaged with
errors that know dates are correlated.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def log_density_gaussian(y: Array, mean: Array, sd: Array) -> Array:
    """(N,) log densities of outcomes (N,) under normal forecasts, in nats per unit of the outcome."""
    z = (y - mean) / sd
    return np.asarray(-0.5 * z**2 - np.log(sd) - 0.5 * np.log(2 * np.pi))


def log_density_mixture(log_densities: Array) -> Array:
    """(N,) log predictive densities from those of each of S draws, (S, N): the log of their mean."""
    from scipy.special import logsumexp

    return np.asarray(logsumexp(log_densities, axis=0) - np.log(log_densities.shape[0]))


def crps_gaussian(y: Array, mean: Array, sd: Array) -> Array:
    """(N,) continuous ranked probability scores of normal forecasts, in units of the outcome."""
    from scipy.special import ndtr

    z = (y - mean) / sd
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return np.asarray(sd * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi)))


def crps_samples(y: Array, draws: Array, *, fair: bool = True) -> Array:
    """(N,) continuous ranked probability scores of forecasts given as draws (S, N), in units of the outcome.

    E|X − y| − E|X − X′| / 2. Fair estimates it for the distribution the draws are from; otherwise it is that of the draws, as if
    they were all there is.
    """
    s = draws.shape[0]
    x = np.sort(draws, axis=0)
    # the sum over pairs of |x_i − x_j| is a weighted sum of the sorted draws
    pairs = 2 * ((2 * np.arange(1, s + 1) - s - 1) @ x)
    return np.asarray(np.abs(draws - y).mean(0) - 0.5 * pairs / (s * (s - 1 if fair else s)))


def log_loss(probability: Array, target: Array) -> Array:
    """(N,) cross-entropies in nats of forecasts (N, K) of classes: targets are labels (N,) or probabilities of classes (N, K)."""
    from scipy.special import xlogy

    return np.asarray(-xlogy(_probabilities(target, probability.shape[1]), probability).sum(1))


def brier(probability: Array, target: Array) -> Array:
    """(N,) Brier scores, squared distances summed over classes, from 0 to 2; expected ones where targets are probabilities."""
    q = _probabilities(target, probability.shape[1])
    return np.asarray((probability**2 - 2 * probability * q + q).sum(1))


def covered(y: Array, lower: Array, upper: Array) -> Array:
    """(N,) 1 where the outcome lies in its interval, 0 elsewhere."""
    return np.asarray((lower <= y) & (y <= upper), float)


def pit_gaussian(y: Array, mean: Array, sd: Array) -> Array:
    """(N,) probability integral transforms of outcomes under normal forecasts: uniform where forecasts are calibrated."""
    from scipy.special import ndtr

    return np.asarray(ndtr((y - mean) / sd))


def pit_samples(y: Array, draws: Array, rng: np.random.Generator) -> Array:
    """(N,) ranks of outcomes among draws (S, N) as fractions, uniform where calibrated; placed at random within a rank."""
    below, ties = (draws < y).sum(0), (draws == y).sum(0)
    return np.asarray((below + rng.random(y.size) * (ties + 1)) / (draws.shape[0] + 1))


def reliability(probability: Array, target: Array, bins: int = 10) -> dict[str, Array]:
    """Forecast probabilities of one class (N,) against how often it came true, (N,) 0 to 1, in bins of equal width.

    Returns
    -------
    mapping
        forecast, observed, count, one entry a bin that is not empty; error, the expected calibration error: the mean distance of
        the two, weighted by count.
    """
    place = np.minimum((probability * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins).astype(float)
    full = count > 0
    forecast, observed = (np.bincount(place, v, bins)[full] / count[full] for v in (probability, target))
    error = np.asarray((count[full] * np.abs(forecast - observed)).sum() / count.sum())
    return {"forecast": forecast, "observed": observed, "count": count[full], "error": error}


def _probabilities(target: Array, classes: int) -> Array:
    return np.asarray(np.eye(classes)[np.asarray(target, int)] if np.ndim(target) == 1 else target, float)
