"""A network that needs no compiler, and a vdsp JSON for it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vacc_deploy import vsx
from vacc_deploy.errors import RunError

HEIGHT, WIDTH = 4, 6


@dataclass(frozen=True)
class Spec:
    name: str
    shape: tuple[int, ...]
    dtype: str = "float16"


@dataclass
class FakeNetwork:
    """Two outputs: the input plus one, and its mean. The pixel value 13 is an error."""

    delay_s: float = 0.0
    inputs: Sequence[Spec] = (Spec("image", (1, 3, HEIGHT, WIDTH)),)
    outputs: Sequence[Spec] = (Spec("plus_one", (1, 3, HEIGHT, WIDTH)), Spec("mean", (1, 1)))
    seen: list[float] = field(default_factory=list)

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        array = arrays[0].astype(np.float32)
        self.seen.append(float(array.flat[0]))
        if self.delay_s:
            time.sleep(self.delay_s)
        if array.flat[0] == 13:
            raise RunError("picture 13 is broken")
        return [array + 1, array.mean(keepdims=True).reshape(1, 1)]


@dataclass
class Bench:
    """A built stream and what it consists of."""

    stream: vsx.Stream
    model_op: vsx.ModelOperator
    fusion_op: vsx.Operator
    network: FakeNetwork


@pytest.fixture
def vdsp_json(tmp_path: Path) -> Path:
    path = tmp_path / "vdsp.json"
    config = {
        "IimageFormat": "RGB_PLANAR",
        "IimageWidth": 99,
        "OimageWidth": WIDTH,
        "OimageHeight": HEIGHT,
        "NormaType": "EQUAL",
        "ColorCvtCode": "NO_CHANGE",
        "ResizeType": "BILINEAR_CV",
    }
    path.write_text(json.dumps({"OpType": "FUSION_OP_RGB_RESIZE_CVTCOLOR_NORM_TENSOR", "OpConfig": config}))
    return path


@pytest.fixture
def use_network(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Make `vsx.Model` load this network, whatever its prefix."""

    def use(network: Any) -> None:
        monkeypatch.setattr("vacc_deploy.vsx.model.CompiledModel", lambda prefix: network)

    return use


@pytest.fixture
def build_stream(vdsp_json: Path, use_network: Callable[[Any], None]) -> Callable[..., Bench]:
    """Build the stream that all super-resolution scripts build."""

    def build(op_name: str = "", delay_s: float = 0.0) -> Bench:
        network = FakeNetwork(delay_s)
        use_network(network)
        model = vsx.Model("deploy_weights/fake/mod", 1)
        fusion_op = vsx.Operator.load_ops_from_json_file(str(vdsp_json))[0]
        graph = vsx.Graph()
        model_op = vsx.ModelOperator(model)
        graph.add_operators(fusion_op, model_op)
        stream = vsx.Stream(graph, vsx.StreamBalanceMode.ONCE)
        if op_name:
            stream.register_operator_output(op_name, model_op)
        else:
            stream.register_operator_output(model_op)
        _, c, h, w = model.input_shape[0]
        stream.register_operator_output("preprocess_res", fusion_op, [[(c, h, w), vsx.TypeFlag.FLOAT16]])
        stream.build()
        return Bench(stream, model_op, fusion_op, network)

    return build


def picture(value: int) -> vsx.Image:
    """A picture whose pixels all have one value."""
    pixels = np.full((3, HEIGHT, WIDTH), value, np.uint8)
    return vsx.create_image(pixels, vsx.ImageFormat.RGB_PLANAR, WIDTH, HEIGHT, 0)


@pytest.fixture
def make_picture() -> Callable[[int], vsx.Image]:
    return picture
