"""Small networks that between them use every operator that int8 covers."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper, numpy_helper


class Builder:
    """Write a network line by line; tensors are named after their nodes."""

    def __init__(self, channels: int, size: tuple[int, int] = (12, 10), seed: int = 0):
        self.rng = np.random.default_rng(seed)
        self.nodes, self.initializers = [], []
        self.shape = [1, channels, *size]

    def constant(self, name, array):
        self.initializers.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, op, inputs, name=None, **attributes):
        name = name or f"/{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [f"{name}.out"], name=name, **attributes))
        return f"{name}.out"

    def conv(self, x, inputs, outputs, kernel=3, *, bias=True, **attributes):
        name = f"/conv{len(self.nodes)}"
        groups = attributes.get("group", 1)
        weight = self.rng.normal(size=(outputs, inputs // groups, kernel, kernel)) / np.sqrt(
            inputs * kernel**2 / groups
        )
        operands = [x, self.constant(f"{name}.w", weight.astype(np.float32))]
        if bias:
            operands.append(
                self.constant(f"{name}.b", self.rng.normal(size=outputs).astype(np.float32) * 0.1)
            )
        attributes.setdefault("pads", [kernel // 2] * 4)
        return self.node("Conv", operands, name, kernel_shape=[kernel, kernel], **attributes)

    def conv_transpose(self, x, inputs, outputs, kernel=4, **attributes):
        name = f"/deconv{len(self.nodes)}"
        weight = self.rng.normal(size=(inputs, outputs, kernel, kernel)).astype(np.float32) / np.sqrt(
            inputs * kernel
        )
        operands = [x, self.constant(f"{name}.w", weight.astype(np.float32))]
        return self.node("ConvTranspose", operands, name, kernel_shape=[kernel, kernel], **attributes)

    def model(self, *outputs) -> ir.Model:
        graph = helper.make_graph(
            self.nodes,
            "small",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            self.initializers,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        onnx.checker.check_model(model, full_check=True)
        return ir.from_proto(model)


def residual(channels=8):
    """VDSR in small: convolutions with ReLU, a skip over all of them."""
    b = Builder(1)
    x = b.node("Relu", [b.conv("input", 1, channels)])
    for _ in range(2):
        x = b.node("Relu", [b.conv(x, channels, channels, bias=False)])
    return b.model(b.node("Add", [b.conv(x, channels, 1), "input"]))


def shuffled():
    """Upsampling by PixelShuffle, a ReLU behind it, and a convolution."""
    b = Builder(3)
    x = b.node("Relu", [b.conv("input", 3, 16)])
    x = b.node("DepthToSpace", [b.conv(x, 16, 32)], blocksize=2, mode="CRD")
    return b.model(b.conv(b.node("Relu", [x]), 8, 3))


def hourglass():
    """Pooling, strides, ConvTranspose, Resize, Concat, LeakyReLU, PReLU, Sigmoid gate, odd sizes."""
    b = Builder(3, (12, 16))
    x = b.node("LeakyRelu", [b.conv("input", 3, 8)], alpha=0.2)
    down = b.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
    slope = b.constant("slope", np.linspace(-0.1, 0.4, 8, dtype=np.float32).reshape(8, 1, 1))
    down = b.node("PRelu", [b.conv(down, 8, 8, strides=[1, 1]), slope])
    up = b.conv_transpose(down, 8, 8, strides=[2, 2], pads=[1, 1, 1, 1])
    scales = b.constant("scales", np.array([1, 1, 2, 2], np.float32))
    nearest = b.node(
        "Resize",
        [down, "", scales],
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    linear = b.node("Resize", [down, "", scales], mode="linear", coordinate_transformation_mode="half_pixel")
    joined = b.node("Concat", [up, nearest, linear], axis=1)
    gate = b.node("Sigmoid", [b.conv(joined, 24, 8, kernel=1)])
    mixed = b.node("Mul", [gate, x])
    pads = b.constant("pads", np.array([0, 0, 1, 1, 0, 0, 1, 1]))
    padded = b.node("Pad", [mixed, pads], mode="reflect")
    return b.model(b.conv(padded, 8, 3, pads=[0, 0, 0, 0]))


def arithmetic():
    """Sub, constant operands, Clip, average pooling, grouped convolution, Tanh."""
    b = Builder(4, (10, 10))
    mean = b.constant("mean", np.array([0.1, 0.2, 0.3, 0.4], np.float32).reshape(1, 4, 1, 1))
    x = b.node("Sub", ["input", mean])
    low, high = b.constant("low", np.float32(0)), b.constant("high", np.float32(0.5))
    x = b.node("Clip", [b.conv(x, 4, 8, group=2), low, high])
    pooled = b.node("AveragePool", [x], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    squeezed = b.node("GlobalAveragePool", [x])
    x = b.node("Mul", [pooled, squeezed])
    x = b.node("Add", [x, b.constant("half", np.float32(0.5))])
    x = b.node("Tanh", [b.conv(x, 8, 8)])
    return b.model(b.conv(x, 8, 4, kernel=1))


def classifier():
    """A convolution, flattening, Gemm and MatMul."""
    b = Builder(2, (6, 6))
    x = b.node("Relu", [b.conv("input", 2, 4, strides=[2, 2])])
    x = b.node("Flatten", [x])
    weight = b.constant("w1", b.rng.normal(size=(10, 36)).astype(np.float32) * 0.2)
    bias = b.constant("b1", b.rng.normal(size=10).astype(np.float32))
    x = b.node("Relu", [b.node("Gemm", [x, weight, bias], transB=1)])
    return b.model(b.node("MatMul", [x, b.constant("w2", b.rng.normal(size=(10, 5)).astype(np.float32))]))


MODELS = {
    "residual": residual,
    "shuffled": shuffled,
    "hourglass": hourglass,
    "arithmetic": arithmetic,
    "classifier": classifier,
}


def pictures(model: ir.Model, count: int = 3, seed: int = 0):
    """Smooth pictures in [0, 1] for the model's input."""
    rng = np.random.default_rng(seed)
    shape = tuple(model.graph.inputs[0].shape.numpy())
    for _ in range(count):
        rows, columns = np.meshgrid(np.linspace(0, 3, shape[2]), np.linspace(0, 3, shape[3]), indexing="ij")
        phase = rng.uniform(0, 6, (shape[1], 1, 1))
        picture = (
            0.5 + 0.4 * np.sin(rows + phase) * np.cos(columns * 2 + phase) + rng.normal(0, 0.03, shape[1:])
        )
        yield {"input": np.clip(picture, 0, 1)[None].astype(np.float32)}


FEEDS = {name: list(pictures(make(), 6)) for name, make in MODELS.items()}
