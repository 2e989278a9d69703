"""Exchanges between pairs of weights on a simplex: who trades, and how the joint weight of two is shared anew.

Given the rest, the share v of one of two has a normal likelihood and the prior [v(1−v)]^(α−1). It is proposed from a mixture: a
logistic close to the normal, truncated to (0, 1), and at each end a power law which follows the prior where a weight is as good
as zero. Their shares follow what the target holds there, roughly; acceptance makes the move exact.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array

LOG_2 = float(np.log(2))
FLAT = 5.0  # sd of the widest normal that the logistic follows
STEEP = 1.7  # rate of the logistic like a normal of sd 1
FLOOR = 0.05  # least share of each part of the mixture
TINY = 1e-300

Walk = tuple[Array, Array, Array]


def exchanged(
    gram: Array, alpha: Array, carry: Walk, each: tuple[Array, Array], count: Array | None = None
) -> tuple[Walk, Array]:
    """Log weights, their sums up to each, and the slope of the fit, after an exchange; and whether there was one.

    `each` is (5,) uniform numbers, and whether both donors are drawn by weight. Only the first `count` trade, if given.
    """
    (log_w, total, slope), (u, heavy) = carry, each
    donors, at = log_w.shape[0] if count is None else count, jnp.arange(log_w.shape[0])
    i, j = pair(total, heavy, u, count)
    log_i, log_j, apart = log_w[i], log_w[j], gram[i] - gram[j]
    s = jnp.exp(log_i) + jnp.exp(log_j)
    log_s = jnp.log(s)
    fit = s * (slope[i] - slope[j]), s**2 * jnp.maximum(apart[i] - apart[j], 0.0)
    even = jnp.where(heavy, 1 / (donors - 1), 1.0)
    log_v, log_rest, taken = exchange(log_i - log_s, log_j - log_s, *fit, alpha, even, u[2:])
    taken &= i != j
    d = jnp.where(taken, s * jnp.exp(log_v) - jnp.exp(log_i), 0.0)
    log_w = jnp.where((at == i) & taken, log_s + log_v, jnp.where((at == j) & taken, log_s + log_rest, log_w))
    total = total + d * ((at >= i).astype(float) - (at >= j).astype(float))
    return (log_w, total, slope - d * apart), taken


def pair(total: Array, heavy: Array, u: Array, count: Array | None = None) -> tuple[Array, Array]:
    """Two donors, from (J,) sums of weights up to each: one by its weight, the other by its weight too, or any.

    Where weights would draw the first again the other is any, so that two of shares v and r of their joint weight are drawn with
    probability proportional to 2vr + (v² + r²)/(J − 1), or to their joint weight alone.
    """
    donors, at = total.shape[0] if count is None else count, jnp.arange(total.shape[0])
    x = u[:2] * total[-1]
    i = jnp.minimum((total < x[0]).sum(dtype=jnp.int32), donors - 1)
    low, high = jnp.where(i > 0, total[i - 1], 0.0), total[i]
    again = heavy & (low < x[1]) & (x[1] <= high)
    # Inside the first's own stretch the number is uniform again.
    any_other = jnp.where(again, (x[1] - low) / (high - low), u[1]) * (donors - 1)
    other = jnp.minimum(any_other.astype(jnp.int32), donors - 2)
    other += other >= i
    j = jnp.where(heavy & ~again, total < x[1], at < other).sum(dtype=jnp.int32)
    return i, jnp.minimum(j, donors - 1)


def exchange(
    log_v: Array, log_rest: Array, slope: Array, curvature: Array, alpha: Array, even: Array, u: Array
) -> tuple[Array, Array, Array]:
    """Log v, log(1 − v) after one move, and whether it was accepted.

    The target is [v(1−v)]^(α−1) exp(slope·(v − v₀) − ½ curvature·(v − v₀)²) times the chance 2v(1−v) + even·(v² + (1−v)²) that
    the pair is drawn, which is the same for all v where `even` is 1; v₀ is the share now, `u` (3,) are uniform.
    """
    now = jnp.exp(log_v)
    precision = jnp.maximum(curvature, 1 / FLAT**2)
    root, mean = jnp.sqrt(precision), now + slope / precision
    mode = jnp.clip(mean, 0.0, 1.0)
    rate = (STEEP + jnp.abs(mean - mode) * root) * root
    low, high = jnp.tanh(-0.5 * rate * mode), jnp.tanh(0.5 * rate * (1 - mode))

    def fit(v: Array | float) -> Array:
        return slope * (v - now) - 0.5 * curvature * (v - now) ** 2

    def at_end(v: float) -> Array:
        """What the target holds near an end."""
        return jnp.exp(fit(v) - fit(mode) - LOG_2 * alpha) / alpha

    inner = jnp.maximum(mode * (1 - mode), jnp.minimum(0.25, 1 / rate))
    held = at_end(0.0), at_end(1.0), 2 * (high - low) / rate * jnp.exp((alpha - 1) * jnp.log(inner))
    first, last, bell = (FLOOR + (1 - 3 * FLOOR) * part / (held[0] + held[1] + held[2]) for part in held)

    near = jnp.log(u[1]) / alpha - LOG_2
    inside = jnp.clip(mode + 2 * jnp.arctanh(low + u[1] * (high - low)) / rate, TINY, 1 - 1e-16)
    of_bell, of_last = u[0] < bell, u[0] >= bell + first
    log_part = jnp.where(of_bell, jnp.log(inside), near)
    log_other = jnp.log1p(-jnp.where(of_bell, inside, jnp.exp(near)))
    new, new_rest = jnp.where(of_last, log_other, log_part), jnp.where(of_last, log_part, log_other)

    def over(log_v: Array, log_rest: Array, v: Array) -> Array:
        """Proposal over target, the fit left out; the power laws' α − 1 is taken from the prior's, so that nothing overflows."""
        height = bell * rate / (2 * (high - low)) * (1 - jnp.tanh(0.5 * rate * (v - mode)) ** 2)
        ends = jnp.where(log_v < log_rest, first, last) * alpha * jnp.exp(alpha * LOG_2)
        larger = jnp.exp((1 - alpha) * jnp.maximum(log_v, log_rest))
        proposed = height * jnp.exp((1 - alpha) * (log_v + log_rest)) + ends * larger
        return proposed / (even + 2 * (1 - even) * v * (1 - v))

    v = jnp.exp(new)
    taken = jnp.log(u[2] * over(new, new_rest, v) / over(log_v, log_rest, now)) < fit(v)
    return jnp.where(taken, new, log_v), jnp.where(taken, new_rest, log_rest), taken
