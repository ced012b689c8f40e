"""Small networks with the inputs and outputs of those that the scripts expect, as ONNX files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from cases import Classifier, Detector, PictureNetwork, RawHeads
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

StandIn = PictureNetwork | Classifier | Detector | RawHeads


def name_of(network: StandIn) -> str:
    """A name that says what the network is."""
    kind = type(network).__name__.lower()
    sides = "x".join(map(str, network.shape))
    extra = {
        "picturenetwork": lambda n: f"_x{n.scale}",
        "classifier": lambda n: f"_{n.classes}",
        "detector": lambda n: "",
        "rawheads": lambda n: f"_{len(n.outputs)}_{n.outputs[0][1]}",
    }[kind](network)
    return f"{kind}_{sides}{extra}"


def write_stand_in(network: StandIn, path: Path) -> None:
    """Write the network as ONNX."""
    builders = {
        PictureNetwork: _picture_network, Classifier: _classifier, Detector: _detector, RawHeads: _raw_heads,
    }  # fmt: skip
    nodes, weights, outputs = builders[type(network)](network)  # type: ignore[operator]
    source = _value("image", (1, *network.shape))
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "stand_in", [source], outputs, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


Parts = tuple[list[NodeProto], dict[str, np.ndarray], list[ValueInfoProto]]


def _value(name: str, shape: Sequence[int]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


def _picture_network(network: PictureNetwork) -> Parts:
    channels, height, width = network.shape
    kernel = np.zeros((channels, channels, 3, 3), np.float32)
    kernel[range(channels), range(channels), 1, 1] = 1
    weights = {"kernel": kernel}
    last = "picture" if network.scale == 1 else "copy"
    nodes = [helper.make_node("Conv", ["image", "kernel"], [last], name="copy", pads=[1, 1, 1, 1])]
    if network.scale > 1:
        weights["scales"] = np.array([1, 1, network.scale, network.scale], np.float32)
        nodes.append(
            helper.make_node(
                "Resize", ["copy", "", "scales"], ["picture"], name="enlarge", mode="nearest",
                coordinate_transformation_mode="asymmetric", nearest_mode="floor",
            )
        )  # fmt: skip
    return nodes, weights, [_value("picture", (1, channels, height * network.scale, width * network.scale))]


def _classifier(network: Classifier) -> Parts:
    kernel = np.random.default_rng(0).normal(size=(network.classes, network.shape[0], 3, 3))
    nodes = [
        helper.make_node(
            "Conv", ["image", "kernel"], ["map"], name="conv", pads=[1, 1, 1, 1], strides=[4, 4]
        ),
        helper.make_node("GlobalAveragePool", ["map"], ["mean"], name="pool"),
        helper.make_node("Flatten", ["mean"], ["logits"], name="flatten"),
        helper.make_node("Softmax", ["logits"], ["probabilities"], name="softmax", axis=1),
    ]
    return nodes, {"kernel": kernel.astype(np.float32)}, [_value("probabilities", (1, network.classes))]


def _constants_of_image(values: dict[str, np.ndarray]) -> Parts:
    """Outputs that are constants, tied to the image by adding zero times its mean."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["means"], name="pool"),
        helper.make_node("ReduceMax", ["means"], ["mean"], name="mean", keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"], name="nothing"),
    ]
    weights = {"zero": np.float32(0) * np.ones((), np.float32)}
    outputs = []
    for name, array in values.items():
        weights[f"{name}_value"] = array.astype(np.float32)
        nodes.append(helper.make_node("Add", [f"{name}_value", "nothing"], [name], name=name))
        outputs.append(_value(name, array.shape))
    return nodes, weights, outputs


def _detector(network: Detector) -> Parts:
    ids = np.full((1, network.slots), -1.0)
    ids[0, :2] = 0, 3
    scores = np.zeros((1, network.slots))
    scores[0, :2] = 0.9, 0.6
    boxes = np.zeros((1, network.slots, 4))
    boxes[0, :2] = (40, 60, 200, 180), (100, 120, 160, 260)
    return _constants_of_image({"ids": ids, "scores": scores, "boxes": boxes})


def _raw_heads(network: RawHeads) -> Parts:
    return _constants_of_image(
        {f"head_{index}": np.full(shape, network.value) for index, shape in enumerate(network.outputs)}
    )
