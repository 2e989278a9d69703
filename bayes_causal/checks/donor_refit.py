"""A synthetic control fitted again to many designs at once: all placebos, or all donors left out, in one program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayes_causal.models.donor_design import DonorDesign
from bayes_causal.models.kinds import DonorModel

DRAWS = 500
SEED = 20_100_101


@dataclass(frozen=True, eq=False)
class Refit:
    """What one design says.

    Parameters
    ----------
    design : DonorDesign
    effect : (S,) draws of the average effect over its treated rows
    expected : (O,) mean of the weighted donors at every date with an outcome
    """

    design: DonorDesign
    effect: np.ndarray
    expected: np.ndarray

    def row(self, level: float) -> dict[str, float]:
        """The effect as numbers of a table."""
        low, high = np.quantile(self.effect, [(1 - level) / 2, (1 + level) / 2])
        return {
            "value": float(self.effect.mean()),
            "std_error": float(self.effect.std(ddof=1)),
            "lower": float(low),
            "upper": float(high),
        }

    @property
    def gap(self) -> np.ndarray:
        """(O,) outcome less the weighted donors, natural units."""
        d = self.design
        return d.center + d.scale * d.y[d.seen] - self.expected

    @property
    def before(self) -> float:
        """Root mean squared gap of the fitted rows."""
        return float(np.sqrt((self.gap[self.design.fitted[self.design.seen]] ** 2).mean()))

    @property
    def during(self) -> float:
        """Root mean squared gap of the treated rows."""
        return float(np.sqrt((self.gap[self.design.treated[self.design.seen]] ** 2).mean()))


def refit(model: DonorModel, designs: Sequence[DonorDesign], *, seed: int = SEED) -> list[Refit]:
    """Every design by one chain, all of them in lockstep; they have equally many donors."""
    return [_refit(model, d, sites) for d, sites in zip(designs, drawn(model, designs, seed=seed), strict=True)]


def drawn(
    model: DonorModel, designs: Sequence[DonorDesign], *, draws: int | None = None, warmup: int | None = None, seed: int = SEED
) -> list[dict[str, np.ndarray]]:
    """(draws, ...) sites of every design, by one chain each, all of them in lockstep; they have equally many donors."""
    from bayes_causal.inference.gibbs_problems import sample_problems, stacked

    gaps = sorted({int(g) for d in designs for g in np.unique(d.gap[1:])})
    sums = stacked([model.sums(d, gaps=gaps) for d in designs])
    sites = sample_problems(model.form(sums), draws=draws or DRAWS, warmup=warmup or model.warmup, seed=seed)
    return [{k: v[p].reshape(-1, *v.shape[3:]) for k, v in sites.items()} for p in range(len(designs))]


def _refit(model: DonorModel, d: DonorDesign, sites: dict[str, Any]) -> Refit:
    return Refit(d, model.average(d, sites), model.expected(d, sites).mean(0))
