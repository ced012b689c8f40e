"""Which pixel is the nearest: where a position is whole but for rounding, ONNX Runtime's opinion counts."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from vacc_deploy.runtime.reference.resize import Coordinates, NearestMode, nearest_indices

CASES: dict[str, tuple[Coordinates, NearestMode, float]] = {
    "as PyTorch enlarges": ("asymmetric", "floor", 1.7),
    "as PyTorch reduces": ("asymmetric", "floor", 0.6),
    "half pixels": ("half_pixel", "round_prefer_floor", 1.1),
    "half pixels, upwards": ("half_pixel", "ceil", 0.37),
    "corners": ("align_corners", "floor", 1.9),
    "twice": ("half_pixel", "round_prefer_floor", 2.0),
}


@pytest.mark.parametrize("size", [10, 32, 51])
@pytest.mark.parametrize(("coordinates", "nearest", "scale"), CASES.values(), ids=CASES)
def test_the_nearest_pixel(coordinates: Coordinates, nearest: NearestMode, scale: float, size: int) -> None:
    node = helper.make_node(
        "Resize", ["x", "", "scales"], ["y"], mode="nearest",
        coordinate_transformation_mode=coordinates, nearest_mode=nearest,
    )  # fmt: skip
    scales = numpy_helper.from_array(np.float32([1, 1, 1, scale]), "scales")
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 1, size])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 1, "width"])
    graph = helper.make_graph([node], "g", [x], [y], [scales])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (copied,) = session.run(None, {"x": np.arange(size, dtype=np.float32).reshape(1, 1, 1, size)})
    found = nearest_indices(size, copied.size, float(np.float32(scale)), coordinates, nearest)
    assert found.tolist() == copied.ravel().astype(int).tolist()
