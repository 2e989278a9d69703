"""A network of a shock, its effect and the outcome, each with its own spread, trained by the Gaussian likelihood of both.

    x = m(w) + s(w) η,    y = g(w) + τ(w) x + σ(w) ε

with w what was known. Spreads are outputs of the likelihood, and are scored; they are no unanchored positive numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from bayes_causal.baselines.networks.training import History, Training, fit

SMALLEST = 1e-3  # spread, in sds


class EffectNetwork(nn.Module):
    """Five functions of what was known, linear ones and a network's on top.

    Parameters
    ----------
    center, scale : (P + 2,) arrays
        Means and sds over the training rows of the P columns known, the shock and the outcome.
    hidden : int
    dropout : float
    """

    def __init__(self, center: np.ndarray, scale: np.ndarray, hidden: int, dropout: float):
        super().__init__()
        known, self.smallest = center.size - 2, SMALLEST  # TorchScript sees attributes, not names of the module
        self.center = nn.Buffer(torch.as_tensor(center, dtype=torch.float32))
        self.scale = nn.Buffer(torch.as_tensor(scale, dtype=torch.float32))
        self.line = nn.Linear(known, 5)
        last = nn.Linear(hidden, 5)
        first = (nn.Linear(known, hidden), nn.SiLU(), nn.Dropout(dropout))
        self.bend = nn.Sequential(*first, nn.Linear(hidden, hidden), nn.SiLU(), last)
        with torch.no_grad():  # starts at noise of one sd and no effect; lines and bends grow from there
            for layer in (self.line, last):
                layer.weight.mul_(0.1)
                layer.bias.zero_()
            self.line.bias[3:] = 0.54  # softplus⁻¹(1)

    def standardised(self, known: torch.Tensor) -> torch.Tensor:
        """(5, N) g, τ, m, σ and s on the standardised scale."""
        w = (known - self.center[:-2]) / self.scale[:-2]
        found = self.line(w) + self.bend(w)
        spread = functional.softplus(found[:, 3:]) + self.smallest
        return torch.cat([found[:, :3], spread], dim=1).T

    def forward(self, known: torch.Tensor, shock: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Mean and sd of the outcome given the shock, effect of a unit of it, mean of the shock; (N,) each, natural units."""
        z = self.standardised(known)
        g, tau, m, sigma = z[0], z[1], z[2], z[3]
        x = (shock - self.center[-2]) / self.scale[-2]
        mean = self.center[-1] + self.scale[-1] * (g + tau * x)
        effect = tau * self.scale[-1] / self.scale[-2]
        return mean, self.scale[-1] * sigma, effect, self.center[-2] + self.scale[-2] * m

    def loss(self, known: torch.Tensor, shock: torch.Tensor, outcome: torch.Tensor) -> torch.Tensor:
        """Mean negative log-likelihood of shock and outcome, standardised."""
        g, tau, m, sigma, s = self.standardised(known)
        x = (shock - self.center[-2]) / self.scale[-2]
        y = (outcome - self.center[-1]) / self.scale[-1]
        own = 0.5 * ((x - m) / s) ** 2 + torch.log(s)
        return (own + 0.5 * ((y - g - tau * x) / sigma) ** 2 + torch.log(sigma)).mean()


@dataclass(frozen=True, eq=False)
class Predicted:
    """Mean and sd of the outcome, effect of the shock, and mean of the shock; (N,) each, natural units."""

    mean: np.ndarray
    sd: np.ndarray
    effect: np.ndarray
    shock: np.ndarray


def fitted(
    known: np.ndarray, shock: np.ndarray, outcome: np.ndarray, settings: Training, *, purge: int, hidden: int, dropout: float
) -> tuple[EffectNetwork, History]:
    """The network on training rows (N, P), (N,), (N,)."""
    table = np.column_stack([known, shock, outcome])
    scale = table.std(0)
    scale = np.where(scale > 0, scale, 1.0)

    def loss(module: EffectNetwork, rows: Sequence[torch.Tensor]) -> torch.Tensor:
        return module.loss(*rows)

    module, history = fit(
        lambda: EffectNetwork(table.mean(0), scale, hidden, dropout), loss, (known, shock, outcome), settings, purge
    )
    assert isinstance(module, EffectNetwork)
    return module, history


def predicted(module: EffectNetwork, known: np.ndarray, shock: np.ndarray) -> Predicted:
    """What the network says of rows."""
    with torch.no_grad():
        found = module(*(torch.as_tensor(np.array(v, np.float32)) for v in (known, shock)))
    return Predicted(*(np.asarray(v, float) for v in found))
