"""Networks stored in half, bfloat16 or double precision, as the same networks in float32.

People export what they have: ``network.half()`` or ``network.double()``. Calibration and lowering read
float32; an fp16 artifact stores halves and computes in float32, so a half-precision network loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

_OTHER_FLOATS = frozenset({TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE})
_TYPE_ATTRIBUTES = ("to", "dtype")  # of Cast, EyeLike and the like: an element type as a number


def to_single_precision(model: onnx.ModelProto) -> None:
    """Make every floating-point value of a model float32, in place.

    These are weights, constants, what casts cast to, inputs and outputs; functions must have been inlined.
    Doubles beyond float32's range become infinities, which are refused later where they are weights.
    """
    for graph in _graphs(model.graph):
        for tensor in graph.initializer:
            _convert(tensor)
        for value in (*graph.input, *graph.output, *graph.value_info):
            if value.type.tensor_type.elem_type in _OTHER_FLOATS:
                value.type.tensor_type.elem_type = TensorProto.FLOAT
        _convert_attributes(graph.node)


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph and those inside its If and Loop nodes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from _graphs(inner)


def _convert_attributes(nodes: Iterable[onnx.NodeProto]) -> None:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.name in _TYPE_ATTRIBUTES and attribute.i in _OTHER_FLOATS:
                attribute.i = TensorProto.FLOAT
            for tensor in (*attribute.tensors, *([attribute.t] if attribute.HasField("t") else [])):
                _convert(tensor)


def _convert(tensor: onnx.TensorProto) -> None:
    if tensor.data_type in _OTHER_FLOATS:
        with np.errstate(over="ignore"):
            array = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
