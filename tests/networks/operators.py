"""Random nodes: each function appends one operator (or a small idiom) to a network, or says that it cannot.

An entry of `OPERATORS` takes the builder and an activation of four dimensions and returns the name of the
result, or None where the activation does not suit it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.networks.builder import NetworkBuilder

CHANNELS = (1, 2, 3, 4, 5, 7, 8, 12, 16, 17, 24, 32, 33, 48, 64, 65)
_LARGEST = 2600  # pixels of a picture after an enlarging operator

Operator = Callable[[NetworkBuilder, str], str | None]
OPERATORS: dict[str, tuple[int, Operator]] = {}


def operator(name: str, weight: int) -> Callable[[Operator], Operator]:
    """Register an operator with its relative frequency."""

    def register(function: Operator) -> Operator:
        OPERATORS[name] = (weight, function)
        return function

    return register


def pick(b: NetworkBuilder, *choices: Any) -> Any:
    """One of `choices`, as the object it is."""
    return choices[int(b.random.integers(len(choices)))]


def _weight(b: NetworkBuilder, shape: tuple[int, ...], fan_in: int) -> str:
    array = b.random.normal(size=shape) * np.sqrt(1.5 / fan_in)
    if b.random.random() < 0.2:  # channels of very different size, one of them dead
        array *= np.exp2(b.random.integers(-6, 3, size=(shape[0], *[1] * (len(shape) - 1))))
        array[int(b.random.integers(shape[0]))] = 0
    return b.constant(array.astype(np.float32))


def _bias(b: NetworkBuilder, channels: int) -> list[str]:
    if b.random.random() < 0.3:
        return []
    return [b.constant((b.random.normal(size=channels) * 0.3).astype(np.float32))]


def activation(b: NetworkBuilder, x: str) -> str:
    """One of the activations that follow a convolution, or none."""
    kind = pick(b, "", "", "Relu", "Relu", "Clip", "LeakyRelu", "PRelu", "PRelu1", "Sigmoid", "Tanh", "Relu6")
    channels = b.shapes[x][1]
    if kind == "":
        return x
    if kind == "Relu6":
        return b.node("Clip", [x, b.constant(np.float32(0)), b.constant(np.float32(0.8))])
    if kind == "Clip":
        low, high = sorted(b.random.normal(size=2))
        bounds = pick(b, (low, high), (low, None), (None, high))
        names = ["" if bound is None else b.constant(np.float32(bound)) for bound in bounds]
        return b.node("Clip", [x, *names] if names[1] else [x, names[0]])
    if kind == "LeakyRelu":
        return b.node("LeakyRelu", [x], alpha=float(pick(b, 0.01, 0.1, 0.2)))
    if kind == "PRelu":
        slopes = b.random.uniform(-0.2, 0.5, (channels, 1, 1)).astype(np.float32)
        return b.node("PRelu", [x, b.constant(slopes)])
    if kind == "PRelu1":
        return b.node("PRelu", [x, b.constant(np.full(1, 0.25, np.float32))])
    return b.node(kind, [x])


def _groups(b: NetworkBuilder, channels: int) -> tuple[int, int]:
    """Groups, and output channels that they divide."""
    outputs = int(pick(b, *CHANNELS))
    kind = b.random.random()
    if kind < 0.2:
        return channels, channels * (2 if channels <= 16 and b.random.random() < 0.3 else 1)
    if kind < 0.35:
        divisors = [g for g in (2, 3, 4, 8) if channels % g == 0]
        if divisors:
            groups = pick(b, *divisors)
            return groups, groups * int(b.random.integers(1, 9))
    return 1, outputs


@operator("conv", 10)
def conv(b: NetworkBuilder, x: str) -> str | None:
    """A convolution of any kernel, stride, dilation, padding and group count, and an activation."""
    _, channels, height, width = b.shapes[x]
    groups, outputs = _groups(b, channels)
    kernel = pick(b, (3, 3), (3, 3), (3, 3), (1, 1), (5, 5), (2, 2), (1, 3), (4, 3), (7, 1))
    dilations = pick(b, (1, 1), (1, 1), (1, 1), (2, 2), (1, 2))
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    half = [s // 2 for s in spans]
    pads = pick(b, half * 2, half * 2, half * 2, [0] * 4, [int(p) for p in b.random.integers(0, 3, 4)])
    strides = pick(b, (1, 1), (1, 1), (1, 1), (2, 2), (2, 1), (3, 2))
    if height + pads[0] + pads[2] < spans[0] or width + pads[1] + pads[3] < spans[1]:
        return None
    weight = _weight(b, (outputs, channels // groups, *kernel), channels // groups * kernel[0] * kernel[1])
    geometry = {"kernel_shape": kernel, "strides": strides, "dilations": dilations, "pads": pads}
    return activation(b, b.node("Conv", [x, weight, *_bias(b, outputs)], group=groups, **geometry))


@operator("conv_transpose", 3)
def conv_transpose(b: NetworkBuilder, x: str) -> str | None:
    """A transposed convolution and an activation."""
    _, channels, height, width = b.shapes[x]
    if height * width > _LARGEST // 4:
        return None
    groups = pick(b, 1, 1, 1, channels, 2 if channels % 2 == 0 else 1)
    per_group = 1 if groups == channels and groups > 1 else int(pick(b, 1, 3, 4, 8, 17))
    kernel = pick(b, (4, 4), (4, 4), (3, 3), (2, 2), (3, 2))
    strides = pick(b, (2, 2), (2, 2), (1, 1), (1, 2), (3, 3))
    pads = pick(b, [0] * 4, [1, 1, 1, 1] if min(kernel) > 2 else [0] * 4, [0, 1, 0, 0])
    extra = [int(b.random.integers(0, s)) if b.random.random() < 0.3 else 0 for s in strides]
    geometry = {"kernel_shape": kernel, "strides": strides, "pads": pads, "output_padding": extra}
    fan_in = max(1, channels // groups * kernel[0] * kernel[1] // (strides[0] * strides[1]))
    weight = _weight(b, (channels, per_group, *kernel), fan_in)
    operands = [x, weight, *_bias(b, per_group * groups)]
    result = b.node("ConvTranspose", operands, group=groups, **geometry)
    return activation(b, result) if min(b.shapes[result]) > 0 else None


@operator("residual", 3)
def residual(b: NetworkBuilder, x: str) -> str:
    """Convolution, activation, convolution, and the addition of what went in."""
    channels = b.shapes[x][1]
    y = x
    for last in (False, True):
        weight = _weight(b, (channels, channels, 3, 3), channels * 9)
        y = b.node("Conv", [y, weight, *_bias(b, channels)], pads=[1] * 4, kernel_shape=[3, 3])
        y = y if last else activation(b, y)
    return activation(b, b.node("Add", pick(b, [x, y], [y, x])))


@operator("binary", 4)
def binary(b: NetworkBuilder, x: str) -> str | None:
    """Add, Sub or Mul of two activations of one shape."""
    others = [name for name, shape in b.shapes.items() if shape == b.shapes[x]]
    op = pick(b, "Add", "Sub", "Mul")
    sides = [x, pick(b, *others)]
    if b.random.random() < 0.5:
        sides.reverse()
    result = b.node(op, sides)
    return b.node("Relu", [result]) if b.random.random() < 0.3 else result


@operator("binary_constant", 3)
def binary_constant(b: NetworkBuilder, x: str) -> str:
    """Add, Sub or Mul with a constant on either side: a number, one per channel or pixel, or a picture."""
    _, channels, height, width = b.shapes[x]
    shapes = [(), (1,), (channels, 1, 1), (1, channels, 1, 1), (channels, 1, 1)]
    if b.random.random() < 0.2:
        shapes = [(1, height, width), (1, channels, height, width)]
    values = b.random.normal(size=pick(b, *shapes)).astype(np.float32)
    sides = pick(b, [x, b.constant(values)], [b.constant(values), x])
    result = b.node(pick(b, "Add", "Sub", "Mul"), sides)
    return b.node("Relu", [result]) if b.random.random() < 0.3 else result


@operator("gate", 2)
def gate(b: NetworkBuilder, x: str) -> str:
    """Squeeze and excite: the pooled channels, weighed, multiply the picture."""
    channels = b.shapes[x][1]
    pooled = b.node("GlobalAveragePool", [x])
    weight = _weight(b, (channels, channels, 1, 1), channels)
    factor = b.node("Sigmoid", [b.node("Conv", [pooled, weight], kernel_shape=[1, 1])])
    return b.node(pick(b, "Mul", "Add"), pick(b, [x, factor], [factor, x]))


@operator("concat", 3)
def concat(b: NetworkBuilder, x: str) -> str | None:
    """Two to four pictures of one size along the channels; one may come twice."""
    size = b.shapes[x][2:]
    others = [name for name, shape in b.shapes.items() if len(shape) == 4 and shape[2:] == size]
    chosen = [x] + [pick(b, *others) for _ in range(int(b.random.integers(1, 4)))]
    if sum(b.shapes[name][1] for name in chosen) > 130:
        return None
    order = b.random.permutation(len(chosen))
    return b.node("Concat", [chosen[i] for i in order], axis=int(pick(b, 1, 1, -3)))


@operator("resize", 4)
def resize(b: NetworkBuilder, x: str) -> str | None:
    """Nearest or bilinear, by scales or by sizes, up or down, by whole factors or others."""
    shape = b.shapes[x]
    factors = pick(b, (2.0, 2.0), (2.0, 2.0), (3.0, 1.0), (0.5, 0.5), (1.5, 2.0), (1.3, 0.7), (0.6, 2.5))
    size = [int(np.floor(s * f)) for s, f in zip(shape[2:], factors, strict=True)]
    if min(size) < 1 or size[0] * size[1] > _LARGEST:
        return None
    mode = pick(b, "nearest", "linear")
    transforms = ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"]
    attributes = {"mode": mode, "coordinate_transformation_mode": str(pick(b, *transforms))}
    if mode == "nearest":
        rules = ["round_prefer_floor", "floor", "ceil", "round_prefer_ceil"]
        attributes["nearest_mode"] = str(pick(b, *rules))
    # ONNX rounds down the exact product with the float32 scale, ONNX Runtime the product in float32.
    exact = [int(np.floor(s * float(np.float32(f)))) for s, f in zip(shape[2:], factors, strict=True)]
    if b.random.random() < 0.5 or exact != size:
        target = b.constant(np.array([*shape[:2], *size], np.int64))
        return b.node("Resize", [x, "", "", target], **attributes)
    return b.node("Resize", [x, "", b.constant(np.array([1, 1, *factors], np.float32))], **attributes)


@operator("pool", 3)
def pool(b: NetworkBuilder, x: str) -> str | None:
    """Largest or mean of windows."""
    kernel = pick(b, (2, 2), (3, 3), (2, 3), (1, 4))
    if x.startswith("pad"):
        return None  # ONNX Runtime, which calibrates, merges the two and then finds the padding too large
    if any(s < k for s, k in zip(b.shapes[x][2:], kernel, strict=True)):
        return None
    pads = pick(b, [0] * 4, [0] * 4, [k // 2 for k in kernel] * 2, [0, 0, kernel[0] // 2, kernel[1] // 2])
    attributes: dict[str, Any] = {
        "kernel_shape": kernel,
        "pads": pads,
        "strides": pick(b, (2, 2), (1, 1), (3, 2)),
    }
    attributes["ceil_mode"] = int(b.random.random() < 0.3)
    op = pick(b, "MaxPool", "AveragePool")
    if op == "AveragePool":
        attributes["count_include_pad"] = int(b.random.random() < 0.5)
    elif b.random.random() < 0.2 and min(b.shapes[x][2:]) > 2 * max(kernel):
        attributes["dilations"] = (2, 2)
    for axis in range(2):
        span = kernel[axis] * attributes.get("dilations", (1, 1))[axis]
        last = (b.shapes[x][axis + 2] + pads[axis] + pads[axis + 2] - span) % attributes["strides"][axis]
        if attributes["ceil_mode"] and last and attributes["strides"][axis] - last >= span - pads[axis + 2]:
            return None  # ONNX would count a last window that lies outside of the picture
    return b.node(op, [x], **attributes)


@operator("pad", 2)
def pad(b: NetworkBuilder, x: str) -> str | None:
    """Zeros, the mirrored picture or its edge around it; seldom another constant."""
    amounts = [int(a) for a in b.random.integers(0, 4, 4)]
    if min(b.shapes[x][2:]) <= max(amounts):
        return None
    mode = pick(b, "constant", "reflect", "edge")
    operands = [x, b.constant(np.array([0, 0, *amounts[:2], 0, 0, *amounts[2:]], np.int64))]
    if mode == "constant" and b.random.random() < 0.3:
        operands.append(b.constant(np.float32(pick(b, 0.0, 0.5))))
    return b.node("Pad", operands, mode=mode)


@operator("slice", 2)
def slice_(b: NetworkBuilder, x: str) -> str | None:
    """Some channels, or a cut-out of the picture, with steps and negative bounds."""
    axis = int(pick(b, 1, 2, 3))
    size = b.shapes[x][axis]
    if size < 3:
        return None
    start = int(b.random.integers(0, size // 2))
    end = int(b.random.integers(start + 1, size + 1))
    step = int(pick(b, 1, 1, 2))
    bounds = (start, end, step)
    if b.random.random() < 0.3:
        bounds = (start - size, np.iinfo(np.int64).max, step)
    elif b.random.random() < 0.15:
        bounds = (-1, np.iinfo(np.int64).min, -1)
    names = [b.constant(np.array([v], np.int64)) for v in (bounds[0], bounds[1], axis, bounds[2])]
    return b.node("Slice", [x, *names])


@operator("shuffle", 3)
def shuffle(b: NetworkBuilder, x: str) -> str | None:
    """Depth to space in both channel orders, space to depth; a convolution before it where it needs one."""
    _, channels, height, width = b.shapes[x]
    block = int(pick(b, 2, 2, 3))
    if b.random.random() < 0.25 and height % 2 == 0 and width % 2 == 0 and channels <= 32:
        return b.node("SpaceToDepth", [x], blocksize=2)
    if height * width * block * block > _LARGEST:
        return None
    if channels % (block * block):
        outputs = block * block * int(pick(b, 1, 2, 3, 4, 16))
        weight = _weight(b, (outputs, channels, 3, 3), channels * 9)
        x = b.node("Conv", [x, weight, *_bias(b, outputs)], pads=[1] * 4, kernel_shape=[3, 3])
    return b.node("DepthToSpace", [x], blocksize=block, mode=str(pick(b, "CRD", "DCR")))


@operator("unary", 2)
def unary(b: NetworkBuilder, x: str) -> str:
    """An activation on its own."""
    return activation(b, x)


@operator("instance_norm", 1)
def instance_norm(b: NetworkBuilder, x: str) -> str | None:
    """Always float."""
    _, channels, height, width = b.shapes[x]
    if height * width < 12:
        return None
    gamma = b.constant(b.random.uniform(0.5, 1.5, channels).astype(np.float32))
    beta = b.constant((b.random.normal(size=channels) * 0.2).astype(np.float32))
    return b.node("InstanceNormalization", [x, gamma, beta], epsilon=1e-3)


def head(b: NetworkBuilder, x: str) -> str:
    """Pool, flatten, one or two matrix products."""
    channels = b.shapes[x][1]
    x = b.node("Flatten", [b.node("GlobalAveragePool", [x])])
    hidden, outputs = int(pick(b, 5, 16, 33, 70)), int(pick(b, 1, 4, 10))
    if b.random.random() < 0.5:
        weight = b.constant((b.random.normal(size=(hidden, channels)) / np.sqrt(channels)).astype(np.float32))
        bias = b.constant(b.random.normal(size=hidden).astype(np.float32))
        x = b.node("Gemm", [x, weight, bias], transB=1)
        x = b.node("Relu", [x])
    else:
        hidden = channels
    weight = b.constant((b.random.normal(size=(hidden, outputs)) / np.sqrt(hidden)).astype(np.float32))
    return b.node("MatMul", [x, weight])
