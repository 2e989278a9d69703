"""Networks for other programs: ONNX, `torch.export` and TorchScript, each compared with the network it came from."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bayes_causal.errors import needs_extra


def export_onnx(module: torch.nn.Module, inputs: Sequence[np.ndarray], path: str | Path) -> float:
    """Write ONNX with a free number of rows; the largest difference to onnxruntime's answer on the inputs.

    Parameters
    ----------
    inputs : sequence of (N, ...) arrays
        Example rows, N of at least two.

    Raises
    ------
    MissingExtraError
        onnx, onnxscript or onnxruntime is not installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise needs_extra("torch", error.name) from None
    tensors = _tensors(inputs)
    rows = torch.export.Dim("rows", min=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own deprecations
        program = torch.onnx.export(
            module.eval(), tensors, dynamo=True, dynamic_shapes=tuple({0: rows} for _ in tensors), verbose=False
        )
        assert program is not None
        program.save(str(path), external_data=False)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    fed = {node.name: t.numpy() for node, t in zip(session.get_inputs(), tensors, strict=True)}
    return _apart(_answers(module, tensors), session.run(None, fed))


def export_program(module: torch.nn.Module, inputs: Sequence[np.ndarray], path: str | Path) -> float:
    """Write a `torch.export` program (.pt2) with a free number of rows, read it back; the largest difference of their answers."""
    tensors = _tensors(inputs)
    rows = torch.export.Dim("rows", min=1)
    program = torch.export.export(module.eval(), tensors, dynamic_shapes=tuple({0: rows} for _ in tensors))
    torch.export.save(program, str(path))
    again = torch.export.load(str(path)).module()
    return _apart(_answers(module, tensors), _answers(again, tensors))


def export_script(module: torch.nn.Module, inputs: Sequence[np.ndarray], path: str | Path) -> float | None:
    """Write TorchScript, read it back; the largest difference of their answers. None where this torch has no TorchScript."""
    script = getattr(getattr(torch, "jit", None), "script", None)
    if script is None:
        return None
    tensors = _tensors(inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated by torch, asked for by users of older runtimes
        script(module.eval()).save(str(path))
        again = torch.jit.load(str(path))
    return _apart(_answers(module, tensors), _answers(again, tensors))


def _tensors(inputs: Sequence[np.ndarray]) -> tuple[torch.Tensor, ...]:
    return tuple(torch.as_tensor(np.array(v, np.float32)) for v in inputs)


def _answers(module: Any, tensors: Sequence[torch.Tensor]) -> list[np.ndarray]:
    with torch.no_grad():
        answer = module(*tensors)
    return [v.numpy() for v in (answer if isinstance(answer, (tuple, list)) else (answer,))]


def _apart(one: Sequence[np.ndarray], other: Sequence[Any]) -> float:
    """Largest difference, relative where numbers are above one."""
    return max(float((np.abs(a - b) / np.maximum(1, np.abs(a))).max()) for a, b in zip(one, other, strict=True))
