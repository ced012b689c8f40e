"""How loud the channels of a network's tensors are, and the factors that make them more equal.

The factor is the square root of the channel's range, the compromise of Xiao et al., "SmoothQuant", 2022:
the whole range would move all the unevenness into the weights that read the tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.quantize.equalise import find_groups
from vacc_deploy.quantize.observe import open_session
from vacc_deploy.quantize.score import without_sizes
from vacc_deploy.quantize.side_by_side import runs_on_crops

Array = npt.NDArray[Any]

_STRENGTH = 0.5  # exponent on a channel's range
_QUIETEST = 1e-3  # a channel's range counts as at least this part of the loudest one's
_LARGEST = 8.0  # factors stay within 1/8 and 8


def measure_factors(
    model: ir.Model, feeds: Sequence[dict[str, Array]], *, threads: int
) -> dict[str, tuple[float, ...]]:
    """The factors of every group, by the largest values that its channels reach on `feeds`.

    Args:
        model: Float model.
        feeds: Pictures, or crops for a network that `runs_on_crops`.
        threads: Threads of ONNX Runtime.
    """
    groups = find_groups(model)
    if not groups or not feeds:
        return {}
    names = sorted({name for group in groups for name in group.read_tensors})
    largest = _channel_ranges(model, names, feeds, threads)
    factors = {}
    for group in groups:
        ranges = [largest[name] / max(float(largest[name].max()), 1e-30) for name in group.read_tensors]
        shape = np.maximum(np.max(ranges, axis=0), _QUIETEST) ** _STRENGTH
        even = np.clip(shape / np.exp(np.mean(np.log(shape))), 1 / _LARGEST, _LARGEST)
        factors[group.name] = tuple(float(value) for value in even.astype(np.float32))
    return factors


def _channel_ranges(
    model: ir.Model, names: Sequence[str], feeds: Sequence[dict[str, Array]], threads: int
) -> dict[str, Array]:
    """Largest magnitude of every channel, (channels,) by tensor."""
    watched = without_sizes(model) if runs_on_crops(model) else model.clone()
    values = {value.name: value for node in watched.graph for value in node.outputs}
    results = []
    for index, name in enumerate(names):
        size = ir.node("Abs", [values[name]])
        most = ir.node("GlobalMaxPool", [size.outputs[0]])
        watched.graph.extend([size, most])
        most.outputs[0].name, most.outputs[0].dtype = f"equalise/most{index}", ir.DataType.FLOAT
        results.append(most.outputs[0])
    watched.graph.outputs[:] = results
    session = open_session(watched, threads)
    largest: dict[str, Array] = {}
    for feed in feeds:
        for name, most in zip(names, session.run(None, feed), strict=True):
            seen = most.max(axis=(0, 2, 3))
            largest[name] = np.maximum(largest[name], seen) if name in largest else seen
    return largest
