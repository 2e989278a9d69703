"""Weights on a simplex by exchanges between pairs of donors, with the intercept integrated out.

    y = a + Xw + e,   a ~ N(0, s_a),   e ~ AR(1) with innovation sd σ and correlation ρ,   w ~ Dirichlet(α, …, α)
    (1 + ρ)/2 ~ Beta(b, b), at b = 1 uniform

With R the precision of the errors at σ = 1 and q = 1'R1, a integrated out leaves exp(−e'Me/2σ²), M = R − g R11'R with
g = s_a²/(σ² + s_a² q). For rows apart by gaps d, R is a sum of a few matrices with weights in ρ, so that X'MX and X'My for any
ρ and σ come from products that are formed once. Weights move by exchanges between pairs (`numerics.exchanges`): a pair is drawn
by its joint weight, which the move leaves alone, or, every other time, about by the product of its weights, so that those who
carry the weight trade more often. Concentration and weights depend on each other closely, so that α also moves with all weights
at once (`spread`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import gammaln, logsumexp, ndtri
from scipy import special

from bayes_causal.numerics.exchanges import LOG_2, TINY, Walk, exchanged

LOG_2PI = float(np.log(2 * np.pi))
CELLS = 64
MIDDLES = (np.arange(CELLS) + 0.5) / CELLS
STEP = 1.5  # sd of the moves of log α with all weights
PASSES = 3  # over all blocks in a sweep: σ and the weights hang on each other as closely
ROUNDS = 2  # of exchanges in a pass, each followed by such a move
LOW = -30.0  # where log(1 − e^(−y)) is log y


class ExchangeSums(NamedTuple):
    """The data of one problem: n rows, J donors, K = J + 2 columns [X, y, 1], D lengths of gaps.

    Parameters
    ----------
    first : (K, K) products of the first row
    products : (D, 3, K, K) sums over rows that follow a gap: of their own products, crossed with the row before (both ways), and
        of the row before
    gaps, counts : (D,) periods, and rows that follow such a gap
    intercept_sd, sigma_scale : () scales of the priors, the first 0 without an intercept
    log_range : (2,) ends of the uniform prior of log α
    constants : (CELLS,) log constants of the Dirichlet in the middles of even cells between them
    rho_shape : () shape b of the prior of ρ
    """

    first: Any
    products: Any
    gaps: Any
    counts: Any
    intercept_sd: Any
    sigma_scale: Any
    log_range: Any
    constants: Any
    rho_shape: Any


def exchange_sums(
    x: np.ndarray,
    y: np.ndarray,
    gap: np.ndarray,
    *,
    gaps: tuple[int, ...],
    intercept_sd: float,
    sigma_scale: float,
    log_range: tuple[float, float],
    rho_shape: float = 1.0,
) -> ExchangeSums:
    """Sums of (n, J) donors and (n,) outcomes whose rows follow the one before by (n,) `gap` periods, 0 on the first."""
    z = np.column_stack([x, y, np.ones(y.size)])
    here, before = z[1:], z[:-1]
    products = np.zeros((len(gaps), 3, z.shape[1], z.shape[1]))
    for k, d in enumerate(gaps):
        own, last = here[gap[1:] == d], before[gap[1:] == d]
        cross = own.T @ last
        products[k] = own.T @ own, cross + cross.T, last.T @ last
    counts = np.array([(gap[1:] == d).sum() for d in gaps], float)
    alpha = np.exp(log_range[0] + (log_range[1] - log_range[0]) * MIDDLES)
    constants = special.gammaln(x.shape[1] * alpha) - x.shape[1] * special.gammaln(alpha)
    scales = np.asarray(float(intercept_sd)), np.asarray(float(sigma_scale))
    ends = np.array(log_range, float)
    shape = np.asarray(float(rho_shape))
    return ExchangeSums(np.outer(z[0], z[0]), products, np.array(gaps, float), counts, *scales, ends, constants, shape)


@dataclass(frozen=True, eq=False)
class Exchange:
    """Blocks of a synthetic control on the simplex: weights pair by pair, their concentration, σ, and ρ.

    Parameters
    ----------
    ar : whether errors are autoregressive; ρ is 0 else
    intercept : whether there is one
    moves : exchanges a round
    sums : what the data say
    """

    ar: bool
    intercept: bool
    moves: int
    sums: ExchangeSums | None

    @property
    def width(self) -> int:
        """Numbers a draw of the sites holds."""
        return 1024

    @property
    def settled(self) -> int:
        """Sweeps after which chains from their start agree: 16 chains of 250 draws with 38 donors, R-hat 1.005 with ar1."""
        return 100

    def said(self, sums: Any) -> str:
        """What the blocks are, in words."""
        errors = "their autocorrelation" if self.ar else "no autocorrelation"
        return (
            f"{PASSES * ROUNDS * self.moves} exchanges a sweep between pairs of {sums.first.shape[-1] - 2} donors, intercept "
            f"integrated out; concentration and size of the errors, {errors}"
        )

    def bare(self) -> Exchange:
        """The form without its data."""
        return replace(self, sums=None)

    def signature(self) -> tuple[Any, ...]:
        """All that is compiled in."""
        return self.ar, self.intercept, self.moves

    def first(self, sums: ExchangeSums, key: Array) -> dict[str, Array]:
        """Weights uniform on the simplex, the rest from its prior or around its middle."""
        keys, donors = jax.random.split(key, 4), sums.first.shape[-1] - 2
        log_w = jnp.log(-jnp.log(jax.random.uniform(keys[0], (donors,), float, TINY)))
        low, high = sums.log_range
        rho = 0.8 * jax.random.uniform(keys[3], (), float, -1.0, 1.0) if self.ar else jnp.zeros(())
        state = {
            "log_w": log_w - logsumexp(log_w),
            "log_alpha": low + (high - low) * jax.random.uniform(keys[1], (), float),
            "log_sigma": -1.0 + 0.5 * jax.random.normal(keys[2], (), float),
            "rho": rho,
        }
        return state | dict.fromkeys(("acceptance_rate", "lp"), jnp.zeros(()))

    def sweep(self, sums: ExchangeSums, state: Mapping[str, Array], key: Array, adapting: Array) -> dict[str, Array]:
        """Passes of exchanges given the rest, then concentration, σ and ρ, each given the others."""
        # One call for all numbers of a sweep: calls, not numbers, cost time.
        sizes = ROUNDS * (5 * self.moves + 3), 2, 2, 2
        uniform = jax.random.uniform(key, (PASSES, sum(sizes)), float, TINY)

        def a_pass(state: dict[str, Array], uniform: Array) -> tuple[dict[str, Array], Array]:
            u = jnp.split(uniform, np.cumsum(sizes)[:-1])
            state = state | traded(self.precision(sums, state), sums.log_range, self.moves, state, u[0].reshape(ROUNDS, -1))
            x = draw_concentration(sums.log_range, sums.constants, state["log_alpha"], state["log_w"], u[1])
            state["log_alpha"] = x
            forms = residual_forms(sums, jnp.exp(state["log_w"]))
            state["log_sigma"] = self.draw_sigma(sums, state, forms, u[2])
            if self.ar:
                state["rho"] = self.draw_rho(sums, state, forms, u[3])
            return state, state["acceptance_rate"]

        found, accepted = jax.lax.scan(a_pass, dict(state), uniform)
        return found | {"acceptance_rate": accepted.mean(), "lp": self.density(sums, found)}

    def sites(self, sums: ExchangeSums, state: Mapping[str, Array], key: Array) -> dict[str, Array]:
        """The sites of the twins, the intercept drawn given the rest."""
        forms, sigma = residual_forms(sums, jnp.exp(state["log_w"])), jnp.exp(state["log_sigma"])
        _, e1, q = combine(sums, forms, state["rho"])
        s2 = sums.intercept_sd**2
        variance = s2 * sigma**2 / (sigma**2 + s2 * q)
        intercept = s2 * e1 / (sigma**2 + s2 * q) + jnp.sqrt(variance) * jax.random.normal(key, (), float)
        sites = {"weight": jnp.exp(state["log_w"]), "log_concentration": state["log_alpha"], "sigma": sigma}
        sites |= {"intercept": intercept} if self.intercept else {}
        return sites | ({"rho": state["rho"]} if self.ar else {})

    def stats(self, state: Mapping[str, Array]) -> dict[str, Array]:
        """Share of accepted exchanges; log p(y, w, θ) without the intercept."""
        return {k: state[k] for k in ("acceptance_rate", "lp")}

    def density(self, sums: ExchangeSums, state: Mapping[str, Array]) -> Array:
        """Log p(y, w, log α, σ, ρ), the intercept integrated out; σ and ρ on their own scale."""
        return self._lp(sums, state, residual_forms(sums, jnp.exp(state["log_w"])))

    def _lp(self, sums: ExchangeSums, state: Mapping[str, Array], forms: Array) -> Array:
        sigma = jnp.exp(state["log_sigma"])
        priors = 0.5 * jnp.log(2 / jnp.pi) - jnp.log(sums.sigma_scale) - 0.5 * (sigma / sums.sigma_scale) ** 2
        priors -= jnp.log(sums.log_range[1] - sums.log_range[0])
        priors += log_rho_prior(state["rho"], sums.rho_shape) if self.ar else 0.0
        return log_likelihood(sums, forms, sigma, state["rho"]) + log_dirichlet(state["log_w"], state["log_alpha"]) + priors

    def precision(self, sums: ExchangeSums, state: Mapping[str, Array]) -> Array:
        """(J + 1, J + 1) products of donors and outcome at the current σ and ρ, the intercept integrated out."""
        m, sigma2 = combined(sums, state["rho"]), jnp.exp(2 * state["log_sigma"])
        g = sums.intercept_sd**2 / (sigma2 + sums.intercept_sd**2 * m[-1, -1])
        return (m[:-1, :-1] - g * jnp.outer(m[:-1, -1], m[:-1, -1])) / sigma2

    def draw_sigma(self, sums: ExchangeSums, state: Mapping[str, Array], forms: Array, u: Array) -> Array:
        """Log σ given the rest."""
        n, (ee, e1, q) = 1 + sums.counts.sum(), combine(sums, forms, state["rho"])
        middle = 0.5 * jnp.log(jnp.maximum(ee - e1**2 / q, TINY) / jnp.maximum(n - 1, 1.0))

        def density(x: Array) -> Array:
            sigma = jnp.exp(x)
            return gaussian(n, ee, e1, q, sums.intercept_sd, sigma) - 0.5 * (sigma / sums.sigma_scale) ** 2 + x

        return draw_on_line(density, state["log_sigma"], middle, 1.2 / jnp.sqrt(2 * n), u)

    def draw_rho(self, sums: ExchangeSums, state: Mapping[str, Array], forms: Array, u: Array) -> Array:
        """ρ given the rest, as its Fisher transform."""
        n, sigma = 1 + sums.counts.sum(), jnp.exp(state["log_sigma"])
        own, cross, before = (forms[1 + k :: 3].sum(0) for k in range(3))
        mean = (forms[0] + own)[1] / n
        around = jnp.array([1.0, -2 * mean, mean**2])
        rho = jnp.clip(0.5 * (cross @ around) / jnp.maximum(before @ around, TINY), -0.95, 0.95)

        def density(x: Array) -> Array:
            return log_likelihood(sums, forms, sigma, jnp.tanh(x)) + sums.rho_shape * log_sech2(x)

        x = draw_on_line(density, jnp.arctanh(state["rho"]), jnp.arctanh(rho), jnp.maximum(0.75 / jnp.sqrt(n), 0.5), u)
        return jnp.clip(jnp.tanh(x), -1 + 1e-15, 1 - 1e-15)


def traded(m: Array, log_range: Array, moves: int, state: Mapping[str, Array], uniform: Array) -> dict[str, Array]:
    """Weights and log α after rounds of exchanges, each followed by a move of α with all weights; the share of exchanges made.

    `m` (J + 1, J + 1) are products of donors and outcome in units of their errors' variance, the intercept integrated out;
    `uniform` (rounds, 3 + 5 moves).
    """
    donors = m.shape[0] - 1
    gram, along, upto = m[:donors, :donors], m[:donors, donors], jnp.triu(jnp.ones((donors, donors)))
    low, width = log_range[0], log_range[1] - log_range[0]

    def a_round(carry: Walk, u: Array) -> tuple[Walk, Array]:
        log_w, slope, x = carry
        start, heavy = (log_w, jnp.exp(log_w) @ upto, slope), jnp.arange(moves) % 2 == 0
        (log_w, _, slope), taken = jax.lax.scan(partial(exchanged, gram, jnp.exp(x)), start, (u[3:].reshape(-1, 5), heavy))
        log_w = log_w - logsumexp(log_w)
        # Steps over an end of the range come back from it.
        step, z = ndtri(u[:2])
        stepped = jnp.abs(x - low + STEP * step) % (2 * width)
        new_x = low + jnp.minimum(stepped, 2 * width - stepped)
        new, change = spread(log_w, x, new_x - x, z)
        new_w = jnp.exp(new)
        new_slope = along - gram @ new_w
        # The fit w'along − ½w'Gram w, by its slope.
        change += 0.5 * (new_w @ (along + new_slope) - jnp.exp(log_w) @ (along + slope))
        better = jnp.log(u[2]) < change
        kept = jax.tree.map(partial(jnp.where, better), (new, new_slope, new_x), (log_w, slope, x))
        return kept, jnp.mean(taken.astype(float))

    first = state["log_w"], along - gram @ jnp.exp(state["log_w"]), state["log_alpha"]
    (log_w, _, x), accepted = jax.lax.scan(a_round, first, uniform)
    return {"log_w": log_w, "log_alpha": x, "acceptance_rate": accepted.mean()}


def spread(log_w: Array, x: Array, delta: Array, z: Array) -> tuple[Array, Array]:
    """Log weights after log α went from x to x + delta, and the log of what the prior and the map make of it.

    Weights become positive variables by a sum whose logarithm lies z sds from its mean, had they been gamma variables of
    concentration α. Each is then mapped to what lies as high among those of the new α, by the distribution (1 − e^(−λg))^α, which
    is close to the gamma's, its lower tail the same (Gupta & Kundu 2003, doi:10.1016/j.jspi.2002.04.003): that is an
    approximation, and the ratio is exact for the map as it is.
    """
    donors, log_alpha = log_w.shape[0], jnp.stack([x, x + delta])
    (alpha, new_alpha), log_gamma, constants = jnp.exp(log_alpha), *log_gammas(donors, log_alpha)
    (middle, new_middle), (width, new_width) = log_gamma_moments(donors * jnp.exp(log_alpha))
    scale, new_scale = -(log_gamma + log_alpha) * jnp.exp(-log_alpha)
    log_y = log_w + middle + jnp.exp(width) * z + scale
    y = jnp.exp(log_y)
    log_f = jnp.where(log_y < LOW, log_y, log_less(y))
    new_log_f = log_f * jnp.exp(-delta)
    new_y = -log_less(-new_log_f)
    new_log_y = jnp.where(new_log_f < LOW, new_log_f, jnp.log(jnp.maximum(new_y, TINY)))
    moved = new_log_y - new_scale
    new_total = logsumexp(moved)
    new, new_z = moved - new_total, (new_total - new_middle) * jnp.exp(-new_width)
    slopes = log_y - y - log_f - delta - (new_log_y - new_y - new_log_f)
    change = constants[1] - constants[0] + slopes.sum()
    change += new_alpha * new.sum() - alpha * log_w.sum()  # α − 1 of the prior, and 1 of each derivative
    return new, change + 0.5 * (z**2 - new_z**2) + width - new_width


def log_less(y: Array) -> Array:
    """Log(1 − e^(−y)) for y > 0, exact at both ends."""
    return jnp.where(y < LOG_2, jnp.log(-jnp.expm1(-y)), jnp.log1p(-jnp.exp(-y)))


def log_gamma_moments(alpha: Array) -> tuple[Array, Array]:
    """Mean and log sd of the logarithm of a gamma variable, to a few per cent: right as α goes to 0 and to infinity."""
    return jnp.log(alpha + 0.56) - 1 / alpha, 0.5 * jnp.log(1 / alpha**2 + 1 / (alpha + 0.61))


def draw_concentration(log_range: Array, constants: Array, x: Array, log_w: Array, u: Array) -> Array:
    """Log α given the weights: a cell of a grid by its density in the middle, a point in it, accepted by its own density."""
    low, width = log_range[0], (log_range[1] - log_range[0]) / CELLS
    total = log_w.sum()
    cells = constants + (jnp.exp(low + width * CELLS * MIDDLES) - 1) * total
    cell, inside = pick(cells, u[0])
    new = low + width * (cell + inside)
    here = jnp.clip(((x - low) / width).astype(int), 0, CELLS - 1)
    densities = log_dirichlet(log_w, jnp.stack([new, x]))
    change = densities[0] - densities[1] - (cells[cell] - cells[here])
    return jnp.where(jnp.log(u[1]) < change, new, x)


def pick(cells: Array, u: Array) -> tuple[Array, Array]:
    """A cell by its log weight, and a place in it that is uniform on (0, 1), both from one uniform number."""
    weight = jnp.exp(cells - cells.max())
    total = weight @ jnp.triu(jnp.ones((CELLS, CELLS)))
    at = u * total[-1]
    cell = jnp.minimum((total < at).sum(), CELLS - 1)
    return cell, jnp.clip(1 - (total[cell] - at) / weight[cell], 1e-9, 1 - 1e-9)


def draw_on_line(density: Any, x: Array, middle: Array, scale: Array, u: Array) -> Array:
    """A point on the line that leaves exp(density) as it is, from cells of equal mass under a logistic around `middle`."""

    def over(x: Array) -> Array:
        """Log density over the logistic's."""
        return density(x) - log_sech2((x - middle) / (2 * scale))

    cells = jax.vmap(over)(middle + scale * (np.log(MIDDLES) - np.log1p(-MIDDLES)))
    cell, inside = pick(cells, u[0])
    at = (cell + inside) / CELLS
    new = middle + scale * (jnp.log(at) - jnp.log1p(-at))
    here = jnp.clip((CELLS * jax.nn.sigmoid((x - middle) / scale)).astype(int), 0, CELLS - 1)
    change = over(new) - over(x) - (cells[cell] - cells[here])
    return jnp.where(jnp.log(u[1]) < change, new, x)


def log_dirichlet(log_w: Array, log_alpha: Array) -> Array:
    """Log density (..., ) of (J,) weights under Dirichlet(α, …, α) for log α (...,)."""
    return log_gammas(log_w.shape[-1], log_alpha)[1] + (jnp.exp(log_alpha) - 1) * log_w.sum()


def log_gammas(donors: int, log_alpha: Array) -> tuple[Array, Array]:
    """(...,) log Γ(α), and the log of the Dirichlet's constant, by one call, because each takes long to compile."""
    alpha = jnp.exp(log_alpha)
    one, all_ = gammaln(jnp.stack([alpha, donors * alpha]))
    return one, all_ - donors * one


def combined(sums: ExchangeSums, rho: Array) -> Array:
    """(K, K) products Z'RZ at σ = 1."""
    parts = jnp.concatenate([sums.first[None], sums.products.reshape(-1, *sums.first.shape)])
    return jnp.tensordot(_loadings(sums, rho), parts, 1)


def residual_forms(sums: ExchangeSums, w: Array) -> Array:
    """(1 + 3D, 3) e'We, e'W1 and 1'W1 of the residual before the intercept, for each matrix W that makes up R."""
    parts = jnp.concatenate([sums.first[None], sums.products.reshape(-1, *sums.first.shape)])
    c = jnp.concatenate([-w, jnp.ones(1), jnp.zeros(1)])
    half = parts @ c
    return jnp.stack([half @ c, half[:, -1], parts[:, -1, -1]], 1)


def combine(sums: ExchangeSums, forms: Array, rho: Array) -> Array:
    """(3,) e'Re, e'R1 and 1'R1."""
    return _loadings(sums, rho) @ forms


def log_likelihood(sums: ExchangeSums, forms: Array, sigma: Array, rho: Array) -> Array:
    """Log density of the outcomes given w, σ and ρ, the intercept integrated out."""
    n, log_det = 1 + sums.counts.sum(), jnp.log1p(-(rho**2))
    log_det = log_det + (sums.counts * (jnp.log1p(-(rho**2)) - jnp.log1p(-_power(rho, 2 * sums.gaps)))).sum()
    ee, e1, q = combine(sums, forms, rho)
    return 0.5 * log_det - 0.5 * n * LOG_2PI + gaussian(n, ee, e1, q, sums.intercept_sd, sigma)


def gaussian(n: Array, ee: Array, e1: Array, q: Array, intercept_sd: Array, sigma: Array) -> Array:
    """What of the log likelihood hangs on σ."""
    total = sigma**2 + intercept_sd**2 * q
    fit = ee / sigma**2 - intercept_sd**2 * e1**2 / (sigma**2 * total)
    return -(n - 1) * jnp.log(sigma) - 0.5 * jnp.log(total) - 0.5 * fit


def log_rho_prior(rho: Array, shape: Array) -> Array:
    """Log density of ρ where (1 + ρ)/2 ~ Beta(b, b)."""
    constant = gammaln(2 * shape) - 2 * gammaln(shape) - (2 * shape - 1) * jnp.log(2.0)
    return constant + (shape - 1) * jnp.log1p(-(rho**2))


def log_sech2(x: Array) -> Array:
    """Log(1 − tanh²x), exact in both tails."""
    return 2 * (jnp.log(2.0) - jnp.logaddexp(x, -x))


def _loadings(sums: ExchangeSums, rho: Array) -> Array:
    """(1 + 3D,) weights of the matrices that make up R."""
    c = _power(rho, sums.gaps)
    each = (1 - rho**2) / (1 - c**2)
    return jnp.concatenate([(1 - rho**2)[None], jnp.stack([each, -c * each, c**2 * each], 1).ravel()])


def _power(rho: Array, gaps: Array) -> Array:
    """ρ^d for whole d held as numbers, ρ of either sign."""
    return jnp.where(gaps % 2 == 1, jnp.sign(rho), 1.0) * jnp.abs(rho) ** gaps
