"""The collapsed engine: sample the few hyperparameters of a model, draw everything else exactly.

Modes of the marginal density of θ; a mixture of multivariate t at the modes; Pareto-smoothed importance sampling to prove the
mixture (Vehtari et al. 2024, arXiv:1507.02646); chains by independence Metropolis over the same proposals, so that R-hat and
effective draws mean what they always mean; given θ, the coefficients in one Gaussian draw. Where the proof fails the mixture
is re-fitted to the weighted draws, at most twice; then NUTS on the marginal density. The path taken is recorded.

A form may be approximate: then a proposal is θ and the coefficients together, its weight carries what the approximation is off by
at both, and the same proof speaks for the whole posterior. Where it fails, NUTS on the full twin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bayes_causal.inference.axes import Axes, along
from bayes_causal.inference.blocks import CHUNK, in_chunks
from bayes_causal.inference.engine import Draws, refuse_settings
from bayes_causal.inference.importance import Corrected, independence_chains, shapes, weigh
from bayes_causal.inference.lines import on_lines
from bayes_causal.inference.programs import programs
from bayes_causal.models.base import Approximated, Model, collapses, sweeps
from bayes_causal.models.forms import ApproximateForm, CollapsedForm, Parts
from bayes_causal.numerics.modes import Density, find_modes
from bayes_causal.numerics.t_mixture import at_modes, refitted

PILOT = 4 * CHUNK
GOOD = 0.6
# No other proposal of θ repairs an approximation of the coefficients that is off by this much.
HOPELESS = 0.1
MOST_STEPS = 4


@dataclass(frozen=True)
class Collapsed:
    """Posteriors of models with a collapsed form, exact or corrected to be.

    Parameters
    ----------
    draws, chains : int
        Kept draws a chain, and chains.
    warmup : int
        Steps of NUTS only, where it takes over; the chains over importance proposals start in the posterior.
    starts : int
        Starting points of the search for modes.
    min_efficiency : float
        Smallest 1/(S Σw²) with which importance sampling is accepted.
    """

    draws: int = 1000
    chains: int = 4
    warmup: int = 1000
    starts: int = 6
    min_efficiency: float = 0.2

    name: ClassVar[str] = "collapsed"

    def __post_init__(self) -> None:
        refuse_settings(draws=self.draws, chains=self.chains, warmup=self.warmup, starts=self.starts)

    def settings(self) -> dict[str, Any]:
        """The settings, as JSON can write them."""
        return asdict(self)

    def sample(self, model: Model, *, seed: int) -> Draws:
        """Draws of θ and of every coefficient site; unit effects are drawn on demand where the form is exact.

        Raises
        ------
        TypeError
            The model has no collapsed form, exact or approximate.
        """
        with jax.enable_x64(True):
            if collapses(model):
                parts: Mapping[str, CollapsedForm] = {"": model.collapsed()}
            elif isinstance(model, Approximated):
                form = model.approximated()
                parts = form.parts if isinstance(form, Parts) else {"": form}
            else:
                why, other = getattr(model, "no_collapsed_form", None), "gibbs" if sweeps(model) else "nuts"
                raise TypeError(f"{model.name} has no collapsed form{f': {why}' if why else ''}; use engine '{other}'")
            found = [self._form(f, seed + 101 * k) for k, f in enumerate(parts.values())]
        drawn = [d for d in found if isinstance(d, Draws)]
        if len(drawn) < len(found):
            return self._everything(model, seed, together(parts, [d if isinstance(d, str) else d.path for d in found]))
        return side_by_side(dict(zip(parts, drawn, strict=True)))

    def _form(self, form: CollapsedForm, seed: int) -> Draws | str:
        """Draws of one form; or why its approximation was refused."""
        if len(form.hypers) == 1 and not isinstance(form, ApproximateForm):
            return self._on_line(form, seed)
        sums = jax.tree.map(jnp.asarray, form.sums)
        found = self._hyperparameters(form, sums, seed)
        if isinstance(found, str):
            return found
        x, stats, path, numbers = found
        keys = jax.random.split(jax.random.PRNGKey(seed + 2), x.shape[0] * x.shape[1])
        drawn = in_chunks(partial(programs(form).draw, sums), x.reshape(-1, x.shape[-1]), keys)
        return Draws({k: v.reshape(*x.shape[:2], *v.shape[1:]) for k, v in drawn.items()}, stats, path, numbers)

    def _everything(self, model: Model, seed: int, refused: str) -> Draws:
        """NUTS on the full twin, where an approximation was refused."""
        from bayes_causal.inference.numpyro_nuts import CAREFUL, NumpyroNuts

        full = NumpyroNuts(draws=self.draws, warmup=self.warmup, chains=self.chains, target_accept=CAREFUL)
        draws = full.sample(model, seed=seed)
        return replace(draws, path=f"{draws.path}: {refused}")

    def _on_line(self, collapsed: CollapsedForm, seed: int) -> Draws:
        """Independent draws where one hyperparameter is left."""
        sums = jax.tree.map(lambda v: np.asarray(v)[None], collapsed.sums)
        lines, sites = on_lines(collapsed, sums, self.chains * self.draws, seed)
        shape = (self.chains, self.draws)
        size = f"{collapsed.said(sums)}, 1 hyperparameter"
        path = f"quadrature: {size}, {lines.evaluated} nodes; independent draws"
        numbers = {"log_mass": float(lines.log_mass[0]), "nodes": lines.evaluated, "efficiency": 1.0}
        own = {k: v[0].reshape(*shape, *v.shape[2:]) for k, v in sites.items()}
        return Draws(own, {"lp": lines.lp.reshape(shape)}, path, numbers)

    def _hyperparameters(
        self, form: CollapsedForm, sums: Any, seed: int
    ) -> tuple[np.ndarray, dict[str, np.ndarray], str, dict[str, float]] | str:
        """(chain, draw, n) coordinates of θ, any noise after them, statistics, the path in words, and its numbers.

        In place of all that, why an approximate form was refused.
        """
        rng = np.random.default_rng(seed)
        compiled, n = programs(form), len(form.hypers)
        one_call: Density = partial(compiled.density, sums)
        density: Density = partial(in_chunks, one_call)
        approximate = isinstance(form, ApproximateForm)
        size = f"{form.said(sums)}, {_count(n, 'hyperparameter')}"
        modes, hessians, heights = find_modes(one_call, n, self.starts, rng)
        proposal = at_modes(modes, shapes(density, modes, hessians, heights), heights)
        target: Density | Corrected = density
        if isinstance(form, ApproximateForm):
            correction = partial(in_chunks, partial(compiled.corrections, sums))
            target = Corrected(density, correction, noise_at(correction, modes[0], form.noise))
        pilot = weigh(target, proposal, PILOT, rng)
        what = f"{size}, {_count(len(modes), 'mode')}"
        if approximate and pilot.fraction < HOPELESS:
            proof = f"Pareto k {pilot.k_hat:.2f}, {pilot.fraction:.1%} of {PILOT:,} pilot proposals effective"
            return f"the embedded Laplace approximation was refused ({what}; {proof})"
        refits = 0
        if pilot.fraction < GOOD or pilot.k_hat > 0.5:
            proposal, refits = refitted(pilot.x[:, :n], pilot.weights, rng), 1
        while True:
            # Where proposals are poor, a chain takes several Metropolis steps a kept draw.
            steps = next(k for k, least in ((1, 0.6), (2, 0.35), (MOST_STEPS, -1.0)) if pilot.fraction > least or refits == 1)
            final = weigh(target, proposal, _padded(self.chains * self.draws * steps), rng)
            trusted = final.k_hat < min(1 - 1 / np.log10(final.x.shape[0]), 0.7) and final.fraction > self.min_efficiency
            if trusted or refits == 2:
                break
            proposal, refits, pilot = refitted(final.x[:, :n], final.weights, rng), refits + 1, final
        proof = (
            f"Pareto k {final.k_hat:.2f}, {final.fraction:.0%} of {len(final.x):,} proposals effective, {_count(refits, 'refit')}"
        )
        numbers = final.numbers() | {"refits": refits, "modes": len(modes)}
        if trusted:
            states, accepted = independence_chains(final.log_weight, final.weights, self.chains, self.draws, steps, rng)
            stats = {"lp": final.lp[states], "acceptance_rate": accepted}
            means = "embedded Laplace approximation, importance weights on every draw" if approximate else "importance sampling"
            return final.x[states], stats, f"{means}: {what}; {proof}; {accepted.mean():.0%} accepted", numbers
        if approximate:
            return f"the embedded Laplace approximation was refused ({what}; {proof})"
        t, stats = nuts(lambda z: -form.log_density(sums, z), modes, self, seed)
        return t, stats, f"NUTS on the marginal density: {what}; importance sampling was refused ({proof})", numbers


def noise_at(correction: Callable[..., np.ndarray], t: np.ndarray, size: int) -> Axes:
    """From what the noise of an approximate form is drawn: its slices at t, where they are far from normal."""
    return along(lambda x: correction(np.repeat(t[None], len(x), 0), x) - 0.5 * (x**2).sum(1), size)


def together(parts: Iterable[str], paths: Sequence[str]) -> str:
    """What was done in each of several forms, in words; of one alone, just that."""
    return "; ".join(f"{k or 'main part'}: {p}" for k, p in zip(parts, paths, strict=True)) if len(paths) > 1 else paths[0]


def side_by_side(parts: Mapping[str, Draws]) -> Draws:
    """Draws of the product of independent posteriors: sites under their prefixes, densities added up."""
    if list(parts) == [""]:
        return parts[""]
    sites = {f"{part}::{k}" if part else k: v for part, d in parts.items() for k, v in d.sites.items()}
    stats = {f"{part}_{k}" if part else k: v for part, d in parts.items() for k, v in d.stats.items() if k != "lp"}
    stats["lp"] = np.sum([d.stats["lp"] for d in parts.values()], axis=0)
    numbers = {f"{part}_{k}" if part else k: v for part, d in parts.items() for k, v in d.numbers.items()}
    return Draws(sites, stats, together(parts, [d.path for d in parts.values()]), numbers)


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _padded(size: int) -> int:
    """The next multiple of a chunk."""
    return size + -size % CHUNK


def nuts(
    potential: Callable[[Array], Array], modes: np.ndarray, engine: Collapsed, seed: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """NUTS on a density of probits from the modes, chains spread over them."""
    from numpyro.infer import MCMC, NUTS

    from bayes_causal.inference.numpyro_nuts import STATS, tidy

    mcmc = MCMC(
        NUTS(potential_fn=potential, target_accept_prob=0.95, dense_mass=True),
        num_warmup=engine.warmup,
        num_samples=engine.draws,
        num_chains=engine.chains,
        chain_method="vectorized",
        progress_bar=False,
    )
    start = jnp.asarray(modes[np.arange(engine.chains) % len(modes)])
    mcmc.run(jax.random.PRNGKey(seed), init_params=start if engine.chains > 1 else start[0], extra_fields=tuple(STATS))
    return np.asarray(mcmc.get_samples(group_by_chain=True)), tidy(mcmc)
