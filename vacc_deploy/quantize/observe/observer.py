"""A float network that reports on its own tensors while ONNX Runtime runs it.

For every observed tensor the graph gets a few small outputs: minimum, maximum and an evenly spaced
sample of its values. The big tensors themselves never leave ONNX Runtime, which frees them as it goes;
so observing needs no more memory than inference, however many tensors and pictures there are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.freed_memory import return_freed_memory
from vacc_deploy.onnx_constants import constant_value
from vacc_deploy.quantize.layers import static_shape
from vacc_deploy.quantize.sessions import open_session, without_sizes

Array = npt.NDArray[Any]

SAMPLE = 1 << 17  # values of a tensor that each picture contributes to its histogram


@dataclass(frozen=True, slots=True)
class Observation:
    """One tensor in one picture: exact extremes and a flat sample."""

    minimum: float
    maximum: float
    sample: Array


def sample_step(shape: Sequence[int]) -> int:
    """The stride that takes about `SAMPLE` values from a tensor.

    It shares no factor with a row or a plane, so that the sample wanders over all columns and rows.
    """
    size = math.prod(shape)
    step = max(1, math.ceil(size / SAMPLE))
    plane = math.prod(shape[-2:])
    while step > 1 and math.gcd(step, plane) != 1:
        step += 1
    return step


class Observer:
    """An ONNX Runtime session that yields observations of chosen tensors.

    Args:
        model: The float model; it is left as it is.
        tensors: Names of the tensors to observe.
        threads: Threads of the session.
        whole: Names of further tensors to hand out in full.
        any_size: Take pictures of any size, for a network that gives a crop for a crop.
    """

    def __init__(
        self,
        model: ir.Model,
        tensors: Sequence[str],
        *,
        threads: int,
        whole: Sequence[str] = (),
        any_size: bool = False,
    ) -> None:
        self.tensors = list(tensors)
        self.whole = list(whole)
        instrumented = model.clone()
        self._instrument(instrumented.graph)
        self._session = open_session(without_sizes(instrumented) if any_size else instrumented, threads)
        del instrumented
        return_freed_memory()

    def _instrument(self, graph: ir.Graph) -> None:
        values = {v.name: v for v in graph.inputs} | {v.name: v for node in graph for v in node.outputs}
        flat = _constant(graph, "observe/flat", np.array([-1], np.int64))
        zero = _constant(graph, "observe/zero", np.array([0], np.int64))
        end = _constant(graph, "observe/end", np.array([np.iinfo(np.int64).max], np.int64))
        outputs: list[ir.Value] = []
        # ONNX Runtime walks back from the last node first: with the last tensor's reports standing first,
        # each tensor is reported on and freed as soon as it is made. The other way round it keeps them all.
        for index, name in reversed(list(enumerate(self.tensors))):
            value = values[name]
            step = _constant(
                graph, f"observe/step{index}", np.array([sample_step(static_shape(value))], np.int64)
            )
            minimum = ir.node("ReduceMin", [value], {"keepdims": 0})
            maximum = ir.node("ReduceMax", [value], {"keepdims": 0})
            vector = ir.node("Reshape", [value, flat])
            sample = ir.node("Slice", [vector.outputs[0], zero, end, zero, step])
            graph.extend([minimum, maximum, vector, sample])
            reports: list[ir.Value] = []
            for node, role in ((minimum, "min"), (maximum, "max"), (sample, "sample")):
                result = node.outputs[0]
                result.name, result.dtype = f"observe/{role}{index}", ir.DataType.FLOAT
                reports.append(result)
            outputs[:0] = reports
        graph.outputs[:] = [*outputs, *(values[name] for name in self.whole)]

    def __call__(self, feed: dict[str, Array]) -> tuple[dict[str, Observation], dict[str, Array]]:
        """Run one picture, a `checked_feed`; returns the observations and the tensors asked for in full."""
        results = self._session.run(None, feed)
        observed = {
            name: Observation(float(low), float(high), sample)
            for name, low, high, sample in zip(
                self.tensors, results[0::3], results[1::3], results[2::3], strict=False
            )
        }
        return observed, dict(zip(self.whole, results[3 * len(self.tensors) :], strict=True))


def _constant(graph: ir.Graph, name: str, array: Array) -> ir.Value:
    value = constant_value(name, array)
    graph.register_initializer(value)
    return value
