"""A classifier of regimes from features alone, in torch: what could have been known of the regime without the outcomes.

Plain arrays in: baselines do not touch the posterior. Whoever has one (a check) passes the filtered probabilities of a training
window, and scores what the classifier says of later dates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bayes_causal.errors import EstimandError, needs_extra


@dataclass(frozen=True, eq=False)
class RegimeClassifier:
    """A fitted classifier.

    Parameters
    ----------
    module : torch.nn.Module
        Windows (N, L, F) to probabilities (N, K).
    window, regimes : int
    facts : mapping
        epochs, best_epoch, stopped, training_loss, validation_loss, device, profile.
    """

    module: Any
    window: int
    regimes: int
    facts: Mapping[str, Any] = field(default_factory=dict)

    def predict(self, features: np.ndarray) -> np.ndarray:
        """(T, K) probabilities from (T, F) features of consecutive dates, each from those up to it; NaN before a whole window."""
        import torch

        from bayes_causal.baselines.networks.attention import windows

        found = np.full((features.shape[0], self.regimes), np.nan)
        if features.shape[0] >= self.window:
            x = np.array(windows(np.asarray(features, np.float32), self.window))
            with torch.no_grad():
                found[self.window - 1 :] = self.module(torch.as_tensor(x)).double().numpy()
        return found

    def export(self, folder: str | Path, features: np.ndarray) -> dict[str, float | None]:
        """Write classifier.onnx, .pt2 and .torchscript; the largest difference of each to the network on these features.

        None for TorchScript where the installed torch has none.
        """
        from bayes_causal.baselines.networks import exported
        from bayes_causal.baselines.networks.attention import windows

        x, base = [windows(np.asarray(features, np.float32), self.window)], Path(folder)
        return {
            "onnx": exported.export_onnx(self.module, x, base / "classifier.onnx"),
            "export": exported.export_program(self.module, x, base / "classifier.pt2"),
            "torchscript": exported.export_script(self.module, x, base / "classifier.torchscript"),
        }


def require_torch() -> None:
    """Raise MissingExtraError where torch is not installed."""
    try:
        import torch  # noqa: F401
    except ImportError:
        raise needs_extra("torch") from None


def regime_classifier(
    features: np.ndarray,
    probabilities: np.ndarray,
    *,
    window: int = 12,
    hidden: int = 32,
    heads: int = 4,
    dropout: float = 0.3,
    **training: Any,
) -> RegimeClassifier:
    """Attention over the last dates' features, fitted to probabilities of regimes by cross-entropy.

    Parameters
    ----------
    features : (T, F) array
        Of consecutive dates: the training window alone.
    probabilities : (T, K) array
        Filtered probabilities of regimes on those dates: what was known of them then.
    window : int
        Dates attended to, the date's own included.
    hidden, heads : int
        Width, and how many ways it is attended in.
    dropout : float
    training
        Fields of `networks.training.Training`: epochs, patience, rate, decay, batch, validation, seed, device, profile.

    Raises
    ------
    EstimandError
        Arrays that do not fit each other, rows that are no probabilities, too few dates, options that do not exist.
    MissingExtraError
        torch is not installed.
    """
    require_torch()
    from bayes_causal.baselines.networks.attention import fitted
    from bayes_causal.baselines.networks.training import Training

    _refuse(features, probabilities, window, hidden, heads)
    settings = settings_from(Training, training)
    sizes: dict[str, Any] = {"window": window, "hidden": hidden, "heads": heads, "dropout": dropout}
    module, history = fitted(np.asarray(features, float), np.asarray(probabilities, float), settings, **sizes)
    return RegimeClassifier(module, window, probabilities.shape[1], told(history))


def settings_from(kind: Any, options: Mapping[str, Any]) -> Any:
    """Settings of a training; EstimandError where an option does not exist."""
    try:
        return kind(**options)
    except TypeError as error:
        raise EstimandError(f"training: {error}") from None


def told(history: Any) -> dict[str, Any]:
    """A history as JSON can write it."""
    return {
        "epochs": len(history.training),
        "best_epoch": history.best,
        "stopped": history.stopped,
        "training_loss": history.training[history.best],
        "validation_loss": history.validation[history.best],
        "device": history.device,
    } | ({"profile": list(history.profile)} if history.profile else {})


def _refuse(features: np.ndarray, probabilities: np.ndarray, window: int, hidden: int, heads: int) -> None:
    wrong: list[str] = []
    shapes: Sequence[tuple[int, ...]] = (np.shape(features), np.shape(probabilities))
    if [len(s) for s in shapes] != [2, 2] or shapes[0][0] != shapes[1][0]:
        wrong.append(f"features (T, F) and probabilities (T, K) have shapes {shapes[0]} and {shapes[1]}")
    elif not np.isfinite(features).all() or not np.allclose(np.sum(probabilities, 1), 1, atol=1e-6) or np.min(probabilities) < 0:
        wrong.append("features must be finite, and probabilities of a date add up to one")
    elif shapes[0][0] < 5 * window:
        wrong.append(f"{shapes[0][0]} dates are too few for windows of {window}: at least {5 * window} are needed")
    if hidden % heads:
        wrong.append(f"hidden ({hidden}) must be a multiple of heads ({heads})")
    if wrong:
        raise EstimandError("; ".join(wrong))
