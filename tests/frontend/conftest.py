"""Running a model in ONNX Runtime, the referee of what the frontend may not change."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest


@pytest.fixture
def run() -> Callable[[ir.Model, np.ndarray], list[np.ndarray]]:
    """Feeds an array to the single input and returns all outputs."""

    def feed(model: ir.Model, array: np.ndarray) -> list[np.ndarray]:
        data = ir.serde.serialize_model(model).SerializeToString()
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        return session.run(None, {session.get_inputs()[0].name: array})

    return feed
