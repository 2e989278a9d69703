"""Slopes of units: how much more, or less, a treatment does to one unit than the effect structure says.

Given θ and the coefficients, the slopes of a collapsed fit are independent normals between units; they are drawn from sums
over each unit's rows, in blocks of bounded memory, and never kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from bayes_causal.models.did_predictive import expected_alpha
from bayes_causal.models.panel_design import PanelDesign
from bayes_causal.numerics.panel_sums import loading_sums, product_weights
from bayes_causal.numerics.unit_effects import last_effect, loading_pairs

Named = Mapping[str, np.ndarray]
VALUES = 4_000_000
USED = ("intercept", "delta", "gamma", "coefficient", "beta", "rho", "sigma", "sigma_unit", "sigma_slope")


def loadings(d: PanelDesign) -> np.ndarray:
    """(N, 2) what a unit's intercept and its slope add to the weighted rows."""
    return d.sqrt_weight[:, None] * np.column_stack([np.ones(d.active.size), d.active])


class SlopeSums:
    """Sums over each unit's rows, from which slopes are drawn; U units, M products, q columns.

    Parameters
    ----------
    d : design of units ever treated
    gaps : distinct gaps under AR(1) errors, None for iid
    """

    def __init__(self, d: PanelDesign, gaps: tuple[int, ...] | None):
        times = (d.time[:, None] == np.arange(d.n_times)).astype(float)
        y = (d.center + d.scale * d.y)[:, None]
        z = np.hstack([times, d.effect, d.covariates * d.covariate_scale, y, np.ones_like(y)]) * d.sqrt_weight[:, None]
        x, k = loading_sums(z, loadings(d), d.gap, gaps)
        self.design, self.gaps = d, gaps
        self.crossed = x.reshape(len(x), 2, -1, z.shape[1])
        self.products = k.reshape(len(k), len(loading_pairs(2)), -1)

    def draw(self, named: Named, rng: np.random.Generator) -> np.ndarray:
        """(S, U) slopes from their exact distribution given named quantities (S, ...), unit intercepts integrated out."""
        d, s = self.design, named["sigma"]
        rho = named["rho"] if "rho" in named else np.zeros_like(s)
        phi = np.stack(product_weights(rho, self.gaps), 1) / s[:, None] ** 2
        covariates = [-named["beta"]] if "beta" in named else []
        weight = np.hstack([-named["gamma"], -named["coefficient"], *covariates, np.ones((len(s), 1))])
        crossed = np.einsum("sq,ujmq->sujm", weight, self.crossed[..., :-1], optimize=True)
        crossed -= expected_alpha(d, named)[:, :, None, None] * self.crossed[..., -1]
        products = np.einsum("sm,upm->psu", phi, self.products, optimize=True)
        scales = [named[k][:, None] for k in ("sigma_unit", "sigma_slope")]
        mean, sd = last_effect(list(products), list(np.einsum("sm,sujm->jsu", phi, crossed, optimize=True)), scales)
        return mean + sd * rng.standard_normal(mean.shape)

    def blocks(self, named: Named, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """The same in blocks of S."""
        used = {k: named[k] for k in USED if k in named}
        step = max(1, VALUES // max(self.crossed[..., 0].size, 1))
        for low in range(0, len(used["sigma"]), step):
            yield self.draw({k: v[low : low + step] for k, v in used.items()}, rng)
