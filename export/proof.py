"""Proves that the written files compute what PyTorch computes, on a real picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from vacc_deploy.errors import ModelError
from vacc_deploy.onnx_session import open_session

Format = Literal["onnx", "torchscript"]
Outputs = Sequence[NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Difference:
    """How far one written form is from PyTorch.

    Args:
        form: ``onnx`` or ``torchscript``.
        max_abs: Largest absolute difference over all outputs.
        limit: What `max_abs` must not exceed.
        output_range: max − min of PyTorch's outputs, to judge the difference by.
    """

    form: Format
    max_abs: float
    limit: float
    output_range: float


def run_torchscript(data: bytes, example: torch.Tensor) -> Outputs:
    """Outputs of a serialised TorchScript module, loaded afresh."""
    module = torch.jit.load(io.BytesIO(data), map_location="cpu").eval()  # type: ignore[no-untyped-call]
    with torch.inference_mode():
        return as_arrays(module(example))


def run_onnx(data: bytes, input_name: str, example: torch.Tensor) -> Outputs:
    """Outputs of a serialised ONNX model in ONNX Runtime on one thread."""
    session = open_session(data, threads=1, spare_memory=True)
    outputs: Outputs = session.run(None, {input_name: example.numpy()})
    return outputs


def as_arrays(outputs: torch.Tensor | Sequence[torch.Tensor]) -> list[NDArray[np.float32]]:
    """A network's output or outputs as float32 arrays."""
    listed = [outputs] if isinstance(outputs, torch.Tensor) else list(outputs)
    return [output.detach().numpy().astype(np.float32) for output in listed]


def compare(form: Format, expected: Outputs, got: Outputs, tolerance: float) -> Difference:
    """Measure the difference and refuse a file that is not the same network.

    Args:
        form: Name for messages.
        expected: PyTorch's outputs.
        got: The file's outputs.
        tolerance: Allowed difference relative to the largest absolute output.

    Raises:
        ModelError: Number, shape or values of the outputs differ.
    """
    shapes = [[value.shape for value in outputs] for outputs in (expected, got)]
    if shapes[0] != shapes[1]:
        raise ModelError(f"the {form} file returns {shapes[1]}, PyTorch returns {shapes[0]}")
    largest = max(float(np.abs(value).max()) for value in expected)
    difference = Difference(
        form=form,
        max_abs=max(float(np.abs(a - b).max()) for a, b in zip(expected, got, strict=True)),
        limit=tolerance * max(1.0, largest),
        output_range=max(float(value.max() - value.min()) for value in expected),
    )
    if not difference.max_abs <= difference.limit:  # NaN fails too
        raise ModelError(
            f"the {form} file differs from PyTorch by {difference.max_abs:.2e}",
            why=f"the limit is {difference.limit:.2e}",
            hint="the network may do something that depends on its input values; tracing cannot follow that",
        )
    return difference
