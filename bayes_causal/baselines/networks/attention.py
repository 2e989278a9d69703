"""A regime classifier that attends to the last dates: their features in, probabilities of regimes out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from bayes_causal.baselines.networks.training import History, Training, fit


class RegimeAttention(nn.Module):
    """One layer of attention from the last date to all dates of its window (Vaswani et al. 2017, arXiv:1706.03762).

    Parameters
    ----------
    center, scale : (F,) arrays
        Of the features of the training rows.
    window, regimes, hidden, heads : int
    dropout : float
    """

    def __init__(self, center: np.ndarray, scale: np.ndarray, window: int, regimes: int, hidden: int, heads: int, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.center = nn.Buffer(torch.as_tensor(center, dtype=torch.float32))
        self.scale = nn.Buffer(torch.as_tensor(scale, dtype=torch.float32))
        self.embed = nn.Linear(center.size, hidden)
        self.position = nn.Parameter(0.02 * torch.randn(window, hidden))
        self.query, self.key, self.value = (nn.Linear(hidden, hidden) for _ in range(3))
        self.norm = nn.LayerNorm(hidden)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, regimes))

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """(N, K) logits from windows (N, L, F) that end with the date in question."""
        z = self.embed((x - self.center) / self.scale) + self.position
        n, hidden = z.shape[0], z.shape[2]
        split = (n, -1, self.heads, hidden // self.heads)
        q = self.query(z[:, -1:]).reshape(split).transpose(1, 2)
        k = self.key(z).reshape(split).transpose(1, 2)
        v = self.value(z).reshape(split).transpose(1, 2)
        seen = functional.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout if self.training else 0.0)
        found = self.norm(z[:, -1] + seen.transpose(1, 2).reshape(n, hidden))
        return self.head(found)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, K) probabilities from windows (N, L, F)."""
        return torch.softmax(self.logits(x), dim=-1)


def windows(features: np.ndarray, length: int) -> np.ndarray:
    """(T - L + 1, L, F) windows of (T, F) features, each ending with its date."""
    return np.lib.stride_tricks.sliding_window_view(features, length, axis=0).transpose(0, 2, 1)


def fitted(
    features: np.ndarray,
    probabilities: np.ndarray,
    settings: Training,
    *,
    window: int,
    hidden: int,
    heads: int,
    dropout: float,
) -> tuple[RegimeAttention, History]:
    """The classifier of windows whose targets are probabilities of regimes, by cross-entropy."""
    center, scale = features.mean(0), features.std(0)

    def build() -> RegimeAttention:
        return RegimeAttention(center, np.where(scale > 0, scale, 1.0), window, probabilities.shape[1], hidden, heads, dropout)

    def loss(module: RegimeAttention, rows: Sequence[torch.Tensor]) -> torch.Tensor:
        return functional.cross_entropy(module.logits(rows[0]), rows[1])

    module, history = fit(build, loss, (windows(features, window), probabilities[window - 1 :]), settings, window - 1)
    assert isinstance(module, RegimeAttention)
    return module, history
