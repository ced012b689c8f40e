"""Which step stands for which pattern, and what falls back to Relax or is refused."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from tests.lowering.selected import conv, described, selected, small
from vacc_deploy.errors import ModelError
from vacc_deploy.frontend.load import clean


def relu(b, x):
    return b.node("Relu", [x])


def then_conv(write):
    """`write`, and a convolution that reads its codes."""
    return lambda b, x: conv(b, write(b, x), 4)


def skip(b, x):
    y = conv(b, x)
    return conv(b, relu(b, b.node("Add", [conv(b, relu(b, y)), y])), 4)


def resize(mode):
    def write(b, x):
        factors = b.constant(np.array([1, 1, 2, 2], np.float32))
        return b.node("Resize", [x, "", factors], mode=mode, coordinate_transformation_mode="half_pixel")

    return write


def one_constant(op, first):
    def write(b, x):
        value = b.constant(np.float32(0.5))
        return b.node(op, [value, x] if first else [x, value])

    return write


INT8 = {
    "relu-is-a-clamp": (lambda b, x: conv(b, relu(b, conv(b, x)), 4), ["int8 conv2d"] * 2),
    "leaky-is-the-conv's-table": (
        then_conv(lambda b, x: b.node("LeakyRelu", [conv(b, x)], alpha=0.1)),
        ["int8 conv2d"] * 2,
    ),
    "residual-in-the-conv": (skip, ["int8 conv2d", "int8 table", "int8 conv2d", "int8 conv2d"]),
    "depthwise": (then_conv(lambda b, x: conv(b, x, 8, group=8)), ["int8 conv2d"] * 2),
    "table": (then_conv(lambda b, x: b.node("Sigmoid", [x])), ["int8 table", "int8 conv2d"]),
    "nearest": (then_conv(resize("nearest")), ["int8 resize", "int8 conv2d"]),
    "bilinear": (then_conv(resize("linear")), ["int8 resize", "int8 conv2d"]),
    "constant-minus-x": (then_conv(one_constant("Sub", first=True)), ["int8 sub", "int8 conv2d"]),
    "x-times-constant": (then_conv(one_constant("Mul", first=False)), ["int8 mul", "int8 conv2d"]),
    "concat": (then_conv(lambda b, x: b.node("Concat", [x, x], axis=1)), ["int8 concat", "int8 conv2d"]),
    "shuffle": (
        then_conv(lambda b, x: b.node("DepthToSpace", [x], blocksize=2, mode="CRD")),
        ["int8 pixel_shuffle", "int8 conv2d"],
    ),
    "max-pool": (
        then_conv(lambda b, x: b.node("MaxPool", [x], kernel_shape=[2, 2])),
        ["int8 pool", "int8 conv2d"],
    ),
    "global-average": (
        then_conv(lambda b, x: b.node("GlobalAveragePool", [x])),
        ["int8 global_pool", "int8 conv2d"],
    ),
}


RESULTS_IN_FP16 = {
    "relu": (relu, ["int8 conv2d", "float conv2d"]),
    "clip": (
        lambda b, x: b.node("Clip", [x, b.constant(np.float32(0)), b.constant(np.float32(1))]),
        ["int8 conv2d", "float clip", "float conv2d"],
    ),
    "two-readers": (
        lambda b, x: b.node("Add", [relu(b, x), x]),
        ["int8 conv2d", "float relu", "float add", "float conv2d"],
    ),
}


@pytest.mark.parametrize(("write", "steps"), RESULTS_IN_FP16.values(), ids=RESULTS_IN_FP16)
def test_an_int8_conv_read_in_fp16(write, steps):
    """Only a Relu that alone reads the sums is the convolution's own."""
    model = small(lambda b, x: conv(b, write(b, conv(b, x)), 4), int8=True, floats=["conv2", "conv3"])
    assert described(selected(model)) == ["quantize", *steps]


@pytest.mark.parametrize(("write", "steps"), INT8.values(), ids=INT8)
def test_int8_steps(write, steps):
    assert described(selected(small(write, int8=True))) == ["quantize", *steps]


def normalised(b, x):
    ones = b.constant(np.ones(8, np.float32))
    return b.node("InstanceNormalization", [x, ones, ones])


def modulated(b, x):
    factors = b.node("GlobalAveragePool", [x])
    return conv(b, b.node("Mul", [factors, x]))


def read_twice(b, x):
    y = b.node("Mul", [x, b.node("GlobalAveragePool", [x])])
    return b.node("Add", [conv(b, y), y])


def styled(biased):
    """A convolution times a factor per channel that the network makes, then a bias and an activation."""

    def write(b, x):
        y = b.node("Mul", [conv(b, x, biased=biased), b.node("GlobalAveragePool", [x])])
        return b.node("LeakyRelu", [b.node("Add", [y, b.constant(np.ones((1, 8, 1, 1), np.float32))])])

    return write


FLOAT = {
    "norm-and-relu": (lambda b, x: relu(b, normalised(b, x)), ["float instance_norm"]),
    "norm-and-leaky": (
        lambda b, x: b.node("LeakyRelu", [normalised(b, x)], alpha=0.2),
        ["float instance_norm"],
    ),
    "conv-and-relu": (lambda b, x: relu(b, conv(b, x)), ["float conv2d"]),
    "conv-add-relu": (lambda b, x: relu(b, b.node("Add", [conv(b, x), x])), ["float conv2d"]),
    "conv-gain-bias-leaky": (styled(biased=False), ["float global_pool", "float conv2d"]),
    "modulated-conv": (modulated, ["float global_pool", "float conv2d"]),
    "modulation-read-twice": (read_twice, ["float global_pool", "float mul", "float conv2d"]),
    "gain-behind-a-bias": (
        styled(biased=True),
        ["float conv2d", "float global_pool", "float mul", "float add", "float leakyrelu"],
    ),
    "add-and-relu": (lambda b, x: relu(b, b.node("Add", [x, x])), ["float add"]),
    "softmax": (lambda b, x: b.node("Softmax", [x], axis=1), ["relax Softmax"]),
    "rank-three": (
        lambda b, x: relu(b, b.node("Reshape", [x, b.constant(np.array([1, 8, 90]))])),
        ["relax Reshape", "relax Relu"],
    ),
    "cubic": (resize("cubic"), ["relax Resize"]),
}


@pytest.mark.parametrize(("write", "steps"), FLOAT.values(), ids=FLOAT)
def test_float_steps(write, steps):
    assert described(selected(small(write, int8=False))) == steps


def pair(op):
    return lambda b, x: b.node(op, [conv(b, x), conv(b, x)])


# What is kept in float and then read as codes.
READ_AS_CODES = {
    "sum": (lambda b, x: relu(b, pair("Add")(b, x)), "add2", ["float add"]),
    "difference": (pair("Sub"), "sub2", ["float sub"]),
    "product": (pair("Mul"), "mul2", ["float mul", "quantize"]),
    "sum-with-a-constant": (
        lambda b, x: b.node("Add", [b.node("Concat", [conv(b, x), x], axis=1), b.constant(np.float32(0.5))]),
        "add2",
        ["float add", "quantize"],
    ),
}


@pytest.mark.parametrize(("write", "kept", "steps"), READ_AS_CODES.values(), ids=READ_AS_CODES)
def test_codes_follow_a_sum_of_floats(write, kept, steps):
    model = small(then_conv(write), int8=True, floats=[kept])
    words = described(selected(model))
    assert words[-1 - len(steps) :] == [*steps, "int8 conv2d"]


def test_a_sum_that_floats_read_too_is_quantised_apart():
    def write(b, x):
        y = relu(b, pair("Add")(b, x))
        return conv(b, y, 4), y

    model = small(write, int8=True, floats=["add2"])
    assert described(selected(model))[-3:] == ["float add", "quantize", "int8 conv2d"]


def test_a_value_read_twice_is_not_fused_away():
    def write(b, x):
        y = conv(b, x)
        return relu(b, y), b.node("Neg", [y])

    assert described(selected(small(write, int8=False))) == ["float conv2d", "float relu", "float neg"]


def test_an_output_inside_is_not_fused_away():
    def write(b, x):
        y = conv(b, x)
        return y, relu(b, y)

    graph = selected(small(write, int8=False))
    assert described(graph) == ["float conv2d", "float relu"]
    assert [value.name for value in graph.outputs] == [step.output.value.name for step in graph.steps]


def test_every_node_is_computed_once():
    model = small(skip, int8=True)
    graph = selected(model)
    nodes = [name for step in graph.steps for name in step.nodes]
    assert len(nodes) == len(set(nodes))
    computing = {node.name for node in model.graph if node.op_type != "DequantizeLinear"}
    assert computing == set(nodes)


def test_a_layer_in_float_between_integers():
    def write(b, x):
        return conv(b, relu(b, conv(b, conv(b, x))), 4)

    steps = described(selected(small(write, int8=True, floats=["conv1"])))
    assert steps == ["quantize", "int8 conv2d", "float conv2d", "quantize", "int8 conv2d"]


REFUSED = {
    "antialias": lambda b, x: b.node(
        "Resize", [x, "", "", b.constant(np.array([1, 8, 4, 5]))], mode="linear", antialias=1
    ),
    "broken-scales": lambda b, x: b.node(
        "Resize", [x, "", b.constant(np.array([1, 1, 0.77, 1], np.float32))], mode="cubic"
    ),
}


@pytest.mark.parametrize("write", REFUSED.values(), ids=REFUSED)
def test_what_relax_would_get_wrong_is_refused(write, monkeypatch):
    monkeypatch.setattr("tests.networks.builder.OPSET", 18)
    with pytest.raises(ModelError, match="this form of Resize is not supported"):
        selected(small(write, int8=False))


def test_looking_for_one_infinity_is_refused():
    text = """<ir_version: 9, opset_import: ["": 17]>
    net (float[1,3] x) => (bool[1,3] y) { y = IsInf <detect_negative = 0> (x) }"""
    with pytest.raises(ModelError, match="this form of IsInf is not supported"):
        selected(clean(onnx.parser.parse_model(text), None, "net"))


def test_an_output_that_nothing_computes_is_refused():
    from vacc_deploy.lowering.pipeline import _prepare

    model = small(lambda b, x: relu(b, x), int8=False)
    model.graph.outputs[0] = model.graph.inputs[0]
    with pytest.raises(ModelError, match="is not computed from the input"):
        _prepare(model)
