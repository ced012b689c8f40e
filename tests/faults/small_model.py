"""A network that compiles in a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SHAPE = (1, 3, 16, 24)


def save_model(path: Path, factor: float = 2.0, metadata: str | None = None) -> Path:
    """Save a network that multiplies a picture by `factor` with a 3×3 convolution."""
    kernel = np.zeros((3, 3, 3, 3), np.float32)
    kernel[range(3), range(3), 1, 1] = factor
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "kernel"], ["product"], name="conv", pads=[1, 1, 1, 1])],
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("product", TensorProto.FLOAT, SHAPE)],
        [numpy_helper.from_array(kernel, "kernel")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if metadata is not None:
        helper.set_model_props(model, {"vdeploy": metadata})
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path
