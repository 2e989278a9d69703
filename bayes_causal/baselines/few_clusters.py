"""Inference for few clusters: leave-one-cluster-out (CR3), the restricted wild cluster bootstrap, randomisation inference.

pyfixest's bootstrap refuses weights and gives no interval, and its permutation test fails on staggered paths, so they are
written here on partialled-out arrays: one coefficient, whole clusters, all draws at once in chunks of bounded memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bayes_causal.baselines.within import CHUNK, Cells, TwoWay, cluster_grams, identified, scaled_pinv

WEBB = np.array([-np.sqrt(1.5), -1.0, -np.sqrt(0.5), np.sqrt(0.5), 1.0, np.sqrt(1.5)])


def jackknife(x: np.ndarray, c: Cells) -> np.ndarray:
    """CR3 covariance of the coefficients on x (K, U, T): (G−1)/G Σ_g (β₍g₎ − β)(β₍g₎ − β)'.

    NaN rows and columns mark coefficients that rest on a single cluster. MacKinnon, Nielsen and Webb (2023),
    doi:10.1016/j.jeconom.2022.04.001.

    Returns
    -------
    (K, K) array, in squared units of the outcome
    """
    k = x.shape[0]
    grams = cluster_grams(np.concatenate([x, c.y[None], c.z]), c)
    present = np.einsum("gii->g", grams) > 0
    grams = grams[present]
    total = grams.sum(0)
    reference = total.diagonal()[:k]
    beta = _solve(total[None], k, reference)[0]
    step = max(1, CHUNK // total.size)
    left_out = [_solve(total - grams[s : s + step], k, reference) for s in range(0, len(grams), step)]
    gap = np.concatenate(left_out) - beta
    n = len(grams)
    return (n - 1) / n * gap.T @ gap


def _solve(a: np.ndarray, k: int, reference: np.ndarray) -> np.ndarray:
    """Coefficients (B, K) of the first k columns; column k is the outcome; NaN where not identified."""
    rest = np.r_[k + 1 : a.shape[1]]
    across = a[:, : k + 1, k + 1 :] @ scaled_pinv(a[:, rest][:, :, rest])
    own = a[:, : k + 1, : k + 1] - across @ np.swapaxes(a[:, : k + 1, k + 1 :], 1, 2)
    gram = own[:, :k, :k]
    beta = np.einsum("bij,bj->bi", scaled_pinv(gram), own[:, :k, k])
    return np.where(identified(gram, reference), beta, np.nan)


def wild_bootstrap(x: np.ndarray, c: Cells, *, level: float = 0.9, draws: int = 9999, seed: int = 0) -> dict[str, Any]:
    """Restricted wild cluster bootstrap-t of the one coefficient on x (U, T), with its interval by inversion.

    Rademacher weights, or Webb's six points where 2^G is below 2 × `draws`. Cameron, Gelbach and Miller (2008),
    doi:10.1162/rest.90.3.414; Webb (2023), doi:10.1111/caje.12661.

    Returns
    -------
    dict
        p_value of a zero effect, lower, upper (None where unbounded), weights, draws, seed, clusters.
    """
    parts = _score_parts(x, c)
    n = parts["d"].size
    rng = np.random.default_rng(seed)
    kind = "rademacher" if n >= 63 or 2**n >= 2 * draws else "webb"
    v = rng.choice(np.array([-1.0, 1.0]) if kind == "rademacher" else WEBB, size=(draws, n))
    bounds = _invert(v, parts, 1 - level)
    shared = {"weights": kind, "draws": draws, "seed": seed, "clusters": n}
    return {"p_value": _p_value(v, parts, 0.0), "lower": bounds[0], "upper": bounds[1]} | shared


def _score_parts(x: np.ndarray, c: Cells) -> dict[str, Any]:
    """Everything a bootstrap draw needs, by cluster.

    With x̃, ỹ partialled out and restricted residuals u(β₀) = ỹ − β₀ x̃: a_g = Σ_g w x̃ ỹ, d_g = Σ_g w x̃²,
    K_y[g, h] = Σ_h w M(x̃ 1_g) ỹ and K_x[g, h] likewise with x̃, where M partials out.
    """
    project = TwoWay.of(c.w, c.z)
    xt, yt = project.residualise(np.stack([x, c.y]))
    codes, cluster = np.unique(c.cluster, return_inverse=True)
    n = codes.size
    member = np.equal.outer(np.arange(n), cluster).astype(float)

    def by_cluster(a: np.ndarray) -> np.ndarray:
        return a.sum(-1) @ member.T

    k_y, k_x = np.empty((n, n)), np.empty((n, n))
    step = max(1, CHUNK // xt.size)
    for s in range(0, n, step):
        own = project.residualise(member[s : s + step, :, None] * xt) * c.w
        k_y[s : s + step], k_x[s : s + step] = by_cluster(own * yt), by_cluster(own * xt)
    a, d = by_cluster(c.w * xt * yt), by_cluster(c.w * xt**2)
    return {"a": a, "d": d, "k_y": k_y, "k_x": k_x, "beta": a.sum() / d.sum()}


def _p_value(v: np.ndarray, parts: dict[str, Any], null: float) -> float:
    """Share of |t*| at least as large as |t| when the coefficient is `null`; symmetric, never zero."""
    a, d, k = parts["a"] - null * parts["d"], parts["d"], parts["k_y"] - null * parts["k_x"]
    observed = abs(parts["beta"] - null) / np.sqrt(np.sum((parts["a"] - parts["beta"] * d) ** 2)) * d.sum()
    step_size = v @ a / d.sum()
    scores = v @ k.T - step_size[:, None] * d
    t = np.abs(step_size) * d.sum() / np.sqrt(np.sum(scores**2, 1))
    return float((1 + np.sum(t >= observed * (1 - 1e-9))) / (1 + len(t)))


def _invert(v: np.ndarray, parts: dict[str, Any], alpha: float) -> tuple[float | None, float | None]:
    """Ends of the set of nulls that are not rejected at `alpha`, by bisection from the estimate outwards."""
    beta, d = parts["beta"], parts["d"]
    se = np.sqrt(np.sum((parts["a"] - beta * d) ** 2)) / d.sum()
    ends: list[float | None] = []
    for sign in (-1, 1):
        tried = (beta + sign * m * se for m in (2, 4, 8, 16, 32, 64))
        outside = next((null for null in tried if _p_value(v, parts, null) <= alpha), None)
        ends.append(None if outside is None or se == 0 else _bisect(v, parts, beta, outside, alpha))
    return ends[0], ends[1]


def _bisect(v: np.ndarray, parts: dict[str, Any], inside: float, outside: float, alpha: float) -> float:
    for _ in range(30):
        middle = (inside + outside) / 2
        if _p_value(v, parts, middle) <= alpha:
            outside = middle
        else:
            inside = middle
    return float((inside + outside) / 2)


def randomisation(x: np.ndarray, c: Cells, *, permutations: int = 999, seed: int = 0) -> dict[str, Any]:
    """Randomisation inference: whole treatment paths x (U, T) are permuted, the coefficient is the statistic.

    Paths move across clusters where all units of a cluster share one, else across units. The p-value tests that no unit
    was affected at all, and is exact if the paths were assigned at random. Hess (2017), doi:10.1177/1536867X1701700306.

    Returns
    -------
    dict
        p_value, permutations, permuted ("cluster" or "unit"), seed.
    """
    project = TwoWay.of(c.w, c.z)
    yt = project.residualise(c.y[None])[0] * c.w
    codes, first, cluster = np.unique(c.cluster, return_index=True, return_inverse=True)
    shared = bool((x == x[first][cluster]).all())
    source, to_unit = (x[first], cluster) if shared else (x, np.arange(len(x)))
    rng = np.random.default_rng(seed)

    def statistic(paths: np.ndarray) -> np.ndarray:
        residual = project.residualise(paths)
        below = np.einsum("but,ut->b", residual**2, c.w)
        return np.divide(np.einsum("but,ut->b", paths, yt), below, out=np.zeros_like(below), where=below > 1e-12 * x.size)

    observed = abs(statistic(x[None])[0])
    hits, step = 0, max(1, CHUNK // x.size)
    for s in range(0, permutations, step):
        orders = rng.permuted(np.tile(np.arange(len(source)), (min(step, permutations - s), 1)), axis=1)
        hits += int(np.sum(np.abs(statistic(source[orders[:, to_unit]])) >= observed * (1 - 1e-9)))
    moved = "cluster" if shared and codes.size < len(x) else "unit"
    return {"p_value": (1 + hits) / (1 + permutations), "permutations": permutations, "permuted": moved, "seed": seed}
