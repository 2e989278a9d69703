"""Fitting a network: seeded, stopped early on a later block of time, on whatever device there is."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from bayes_causal.baselines.time_folds import time_split
from bayes_causal.errors import EstimandError, closest

Loss = Callable[[Any, Sequence[torch.Tensor]], torch.Tensor]


@dataclass(frozen=True)
class Training:
    """How a network is fitted.

    Parameters
    ----------
    epochs, patience : int
        Most passes over the training rows, and how many without a better validation loss end it.
    rate, decay : float
        Of AdamW.
    batch : int
        Rows a step.
    validation : float
        Last share of the training rows that early stopping looks at.
    seed : int
    device : {"cpu", "cuda"}, optional
        The GPU where there is one, if left out.
    profile : bool
        Keep what torch.profiler says of the first epoch.
    """

    epochs: int = 200
    patience: int = 20
    rate: float = 0.01
    decay: float = 1e-3
    batch: int = 64
    validation: float = 0.2
    seed: int = 0
    device: str | None = None
    profile: bool = False

    def place(self) -> torch.device:
        """The device.

        Raises
        ------
        EstimandError
            A device that does not exist, or is not here.
        """
        name = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
        if name.partition(":")[0] not in ("cpu", "cuda"):
            raise EstimandError(f"device '{name}' does not exist{closest(name, ('cpu', 'cuda'))}")
        if name.startswith("cuda") and not torch.cuda.is_available():
            raise EstimandError("device 'cuda' is not here: torch sees no GPU; leave `device` out")
        return torch.device(name)


@dataclass(frozen=True, eq=False)
class History:
    """Mean losses by epoch, the epoch kept, whether patience ended it, the device, and the profile of the first epoch."""

    training: tuple[float, ...]
    validation: tuple[float, ...]
    best: int
    stopped: bool
    device: str
    profile: tuple[dict[str, Any], ...] = ()


def fit(
    build: Callable[[], torch.nn.Module], loss: Loss, arrays: Sequence[np.ndarray], settings: Training, purge: int
) -> tuple[torch.nn.Module, History]:
    """A network on training rows in order of time; the last of them, after a purge, decide when to stop.

    Parameters
    ----------
    build : function
        A fresh network; called under the seed.
    loss : function
        Of network and tensors: the mean loss of these rows.
    arrays : sequence of (N, ...) arrays
        Of training rows alone.
    purge : int
        Rows that two rows must be apart to share nothing.

    Returns
    -------
    module, History
        The weights of the epoch with the smallest validation loss, in evaluation mode, on the CPU.
    """
    device = settings.place()
    kept, held = time_split(arrays[0].shape[0], 1 - settings.validation, purge)
    with _seeded(settings.seed, device):
        module = build().to(device)
        tensors = [torch.as_tensor(np.array(a, np.float32), device=device) for a in arrays]
        rows, later = ([t[torch.as_tensor(k, device=device)] for t in tensors] for k in (kept, held))
        shuffle = torch.Generator().manual_seed(settings.seed)
        optimiser = torch.optim.AdamW(module.parameters(), lr=settings.rate, weight_decay=settings.decay)
        losses: list[tuple[float, float]] = []
        best, weights = 0, copy.deepcopy(module.state_dict())
        profile: tuple[dict[str, Any], ...] = ()
        for epoch in range(settings.epochs):
            with _profiled(settings.profile and epoch == 0, device) as seen:
                mean = _epoch(module, loss, rows, settings.batch, optimiser, shuffle)
            profile = seen() if epoch == 0 else profile
            losses.append((mean, _mean_loss(module, loss, later)))
            if epoch == 0 or losses[-1][1] < losses[best][1]:
                best, weights = epoch, copy.deepcopy(module.state_dict())
            if epoch - best >= settings.patience:
                break
        module.load_state_dict(weights)
    training, validation = (tuple(column) for column in zip(*losses, strict=True))
    stopped = len(losses) < settings.epochs
    return module.eval().cpu(), History(training, validation, best, stopped, str(device), profile)


def _epoch(module: Any, loss: Loss, rows: Sequence[torch.Tensor], batch: int, optimiser: Any, shuffle: torch.Generator) -> float:
    module.train()
    n, total = rows[0].shape[0], 0.0
    order = torch.randperm(n, generator=shuffle).to(rows[0].device)
    for first in range(0, n, batch):
        part = order[first : first + batch]
        optimiser.zero_grad()
        value = loss(module, [r[part] for r in rows])
        value.backward()
        optimiser.step()
        total += value.item() * part.numel()
    return total / n


def _mean_loss(module: Any, loss: Loss, rows: Sequence[torch.Tensor]) -> float:
    module.eval()
    with torch.no_grad():
        return float(loss(module, rows))


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Random numbers by the seed, and one thread on the CPU (rows are few); the process gets back what it had."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        try:
            torch.set_num_threads(1)
            yield
        finally:
            torch.set_num_threads(threads)


@contextmanager
def _profiled(wanted: bool, device: torch.device) -> Iterator[Callable[[], tuple[dict[str, Any], ...]]]:
    """A function that says, afterwards, where time went: operators by their own milliseconds."""
    if not wanted:
        yield tuple
        return
    from torch.profiler import ProfilerActivity, profile

    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device.type == "cuda")
    with profile(activities=activities) as profiler:
        yield lambda: tuple(
            {"operator": e.key, "calls": e.count, "self_ms": e.self_cpu_time_total / 1000}
            for e in sorted(profiler.key_averages(), key=lambda e: -e.self_cpu_time_total)[:20]
        )
