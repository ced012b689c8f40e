"""ONNX Runtime's quantised operators as an independent referee of ours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from vacc_deploy.runtime.reference import conv2d, conv_transpose2d, fixed_point, matmul, pool

KIND = {
    np.dtype("int8"): TensorProto.INT8,
    np.dtype("uint8"): TensorProto.UINT8,
    np.dtype("int32"): TensorProto.INT32,
    np.dtype("float32"): TensorProto.FLOAT,
}


def run_node(node, arrays, output_dtype=None, domain=""):
    """One ONNX node through ONNX Runtime; the first array is its input, the others are constants."""
    (source, picture), *constants = arrays.items()
    inputs = [helper.make_tensor_value_info(source, KIND[picture.dtype], picture.shape)]
    output = helper.make_tensor_value_info(
        "y", KIND[np.dtype(output_dtype or next(iter(arrays.values())).dtype)], None
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(
        helper.make_graph(
            [node], "g", inputs, [output], [numpy_helper.from_array(np.asarray(a), n) for n, a in constants]
        ),
        opset_imports=opsets,
        ir_version=9,
    )
    options = ort.SessionOptions()
    if (
        picture.dtype == np.uint8
    ):  # exact on CPUs without VNNI, too; it breaks int8 activations, which are so anyway
        options.add_session_config_entry("session.x64quantprecision", "1")
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {source: picture})[0]


@dataclass(frozen=True)
class Case:
    channels: int
    outputs: int
    kernel: tuple[int, int] = (3, 3)
    size: tuple[int, int] = (9, 11)
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (1, 1, 1, 1)
    dilations: tuple[int, int] = (1, 1)
    groups: int = 1
    dtype: str = "uint8"
    zero_point: int = 7


CONVS = {
    "1to64": Case(1, 64),
    "64to64": Case(64, 64, size=(17, 13)),
    "64to1-int8": Case(64, 1, dtype="int8", zero_point=0),
    "stride2": Case(5, 3, strides=(2, 2)),
    "dilated": Case(3, 5, dilations=(2, 3), pads=(2, 3, 2, 3)),
    "grouped": Case(6, 4, groups=2),
    "depthwise": Case(8, 8, groups=8),
    "1x1": Case(65, 7, kernel=(1, 1), pads=(0, 0, 0, 0)),
    "uneven-pads": Case(3, 3, kernel=(2, 4), pads=(0, 2, 1, 1)),
    "many-terms": Case(512, 3, size=(5, 5), zero_point=128),
    "extreme-zero-point": Case(4, 4, zero_point=255),
}


@pytest.mark.parametrize("case", CONVS.values(), ids=CONVS)
def test_conv2d_equals_qlinearconv(case):
    rng = np.random.default_rng(0)
    info = np.iinfo(case.dtype)
    x = rng.integers(info.min, info.max + 1, (2, case.channels, *case.size)).astype(case.dtype)
    w = rng.integers(-128, 128, (case.outputs, case.channels // case.groups, *case.kernel)).astype(np.int8)
    b = rng.integers(-5000, 5000, case.outputs).astype(np.int32)
    x_scale, y_scale = np.float32(0.013), np.float32(0.1 * np.sqrt(w[0].size))
    w_scale = rng.uniform(0.001, 0.02, case.outputs).astype(np.float32)
    m = fixed_point.multiplier(x_scale, w_scale, y_scale)
    geometry = {"strides": case.strides, "pads": case.pads, "dilations": case.dilations}
    acc = conv2d.accumulate(x, w, b, zero_point=case.zero_point, groups=case.groups, **geometry)
    ours = fixed_point.requantize(
        acc, fixed_point.per_channel(m, 4), case.zero_point, info.min, info.max, dtype=case.dtype
    )
    zero = np.array(case.zero_point, case.dtype)
    arrays = {
        "x": x,
        "xs": x_scale.reshape(()),
        "xz": zero,
        "w": w,
        "ws": w_scale,
        "wz": np.zeros(case.outputs, np.int8),
        "ys": y_scale.reshape(()),
        "yz": zero,
        "b": b,
    }
    node = helper.make_node(
        "QLinearConv", list(arrays), ["y"], kernel_shape=case.kernel, group=case.groups, **geometry
    )
    theirs = run_node(node, arrays, case.dtype)
    np.testing.assert_array_equal(ours, theirs)
    assert len(np.unique(ours)) > 5  # not all saturated


def test_conv2d_is_exact_with_saturated_inputs():
    x = np.full((1, 700, 3, 3), 255, np.uint8)
    w = np.full((1, 700, 3, 3), -128, np.int8)
    acc = conv2d.accumulate(x, w, zero_point=0)
    assert acc.item() == -255 * 128 * 700 * 9


def test_accumulator_overflow_is_an_error():
    from vacc_deploy.errors import ModelError

    x = np.full((1, 66_000, 1, 1), 255, np.uint8)
    w = np.full((1, 66_000, 1, 1), -128, np.int8)
    with pytest.raises(ModelError, match="overflows"):
        conv2d.accumulate(x, w)


TRANSPOSED = {
    "4x4-stride2": {"kernel": (4, 4), "strides": (2, 2), "pads": (1, 1, 1, 1)},
    "3x3-output-padding": {
        "kernel": (3, 3),
        "strides": (2, 2),
        "pads": (1, 1, 1, 1),
        "output_padding": (1, 1),
    },
    "grouped": {"kernel": (3, 2), "strides": (1, 2), "pads": (0, 1, 1, 0), "groups": 2},
    "dilated": {"kernel": (2, 2), "strides": (3, 1), "pads": (0, 0, 0, 0), "dilations": (2, 2)},
}


@pytest.mark.parametrize("case", TRANSPOSED.values(), ids=TRANSPOSED)
def test_conv_transpose2d_equals_float_convtranspose_on_integers(case):
    rng = np.random.default_rng(1)
    options = dict(case)
    kernel, groups = options.pop("kernel"), options.pop("groups", 1)
    x = rng.integers(0, 256, (2, 4, 5, 6)).astype(np.uint8)
    w = rng.integers(-128, 128, (4, 6 // groups, *kernel)).astype(np.int8)
    acc = conv_transpose2d.accumulate(x, w, zero_point=3, groups=groups, **options)
    arrays = {"x": x.astype(np.float32) - 3, "w": w.astype(np.float32)}
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], kernel_shape=kernel, group=groups, **options)
    np.testing.assert_array_equal(acc, run_node(node, arrays))


def test_matmul_equals_qlinearmatmul():
    rng = np.random.default_rng(2)
    a = rng.integers(0, 256, (3, 5, 300)).astype(np.uint8)
    b = rng.integers(-128, 128, (300, 7)).astype(np.int8)
    scales = np.float32(0.02), rng.uniform(0.001, 0.02, 7).astype(np.float32), np.float32(4.0)
    acc = matmul.accumulate(a, b, zero_point=9)
    ours = fixed_point.requantize(acc, fixed_point.multiplier(*scales), 100, 0, 255)
    arrays = {
        "a": a,
        "as": scales[0].reshape(()),
        "az": np.uint8(9).reshape(()),
        "b": b,
        "bs": scales[1],
        "bz": np.zeros(7, np.int8),
        "ys": scales[2].reshape(()),
        "yz": np.uint8(100).reshape(()),
    }
    theirs = run_node(helper.make_node("QLinearMatMul", list(arrays), ["y"]), arrays, np.uint8)
    np.testing.assert_array_equal(ours, theirs)


POOLS = {
    "2x2": {"kernel": (2, 2), "strides": (2, 2)},
    "3x3-padded": {"kernel": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)},
    "ceil": {"kernel": (3, 3), "strides": (2, 2), "ceil_mode": True},
    "ceil-padded": {"kernel": (2, 3), "strides": (3, 2), "pads": (1, 1, 0, 1), "ceil_mode": True},
}


@pytest.mark.parametrize("case", POOLS.values(), ids=POOLS)
def test_max_pool2d_equals_onnxruntime(case):
    options = dict(case)
    kernel = options.pop("kernel")
    x = np.random.default_rng(3).integers(-128, 128, (1, 3, 10, 11)).astype(np.int8)
    ours = pool.max_pool2d(x, kernel, **options)
    options["ceil_mode"] = int(options.get("ceil_mode", False))
    node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=kernel, **options)
    np.testing.assert_array_equal(ours, run_node(node, {"x": x}))


@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize("case", POOLS.values(), ids=POOLS)
def test_average_pool2d_is_the_rounded_mean(case, include):
    options = dict(case)
    kernel = options.pop("kernel")
    x = np.random.default_rng(4).integers(0, 256, (1, 3, 10, 11)).astype(np.uint8)
    ours = pool.average_pool2d(
        x,
        kernel,
        scale=0.5,
        output_scale=0.25,
        zero_point=10,
        output_zero_point=4,
        lo=0,
        hi=255,
        count_include_pad=include,
        **options,
    )
    options["ceil_mode"] = int(options.get("ceil_mode", False))
    node = helper.make_node(
        "AveragePool", ["x"], ["y"], kernel_shape=kernel, count_include_pad=int(include), **options
    )
    mean = run_node(node, {"x": (x.astype(np.float32) - 10) * 0.5})
    expected = fixed_point.quantize(mean, 0.25, 4, np.uint8)
    assert np.abs(ours.astype(int) - expected).max() <= 1
    assert (ours != expected).mean() < 0.02


def test_quantize_equals_quantizelinear():
    x = np.concatenate([np.linspace(-3, 3, 4001), np.arange(-300, 300) / 2 * 0.02]).astype(np.float32)
    for dtype, zero in (("int8", 0), ("uint8", 128), ("uint8", 3)):
        arrays = {"x": x, "s": np.float32(0.02).reshape(()), "z": np.array(zero, dtype)}
        theirs = run_node(helper.make_node("QuantizeLinear", list(arrays), ["y"]), arrays, dtype)
        np.testing.assert_array_equal(fixed_point.quantize(x, 0.02, zero, dtype), theirs)
