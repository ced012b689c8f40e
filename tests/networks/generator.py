"""Seeded random networks of a few operators, quantised by the product's own quantiser.

The same seed gives the same network on every machine. Half of the networks mix int8 and float layers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from tests.networks.builder import NetworkBuilder
from tests.networks.operators import CHANNELS, OPERATORS, head, pick
from vacc_deploy.quantize.calibrate import calibrate
from vacc_deploy.quantize.layers import find_layers
from vacc_deploy.quantize.qdq import quantize
from vacc_deploy.quantize.settings import CalibrationSettings, LayerChoice

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Network:
    """A random network.

    Attributes:
        seed: What it was made from.
        quantized: The QDQ form.
        inputs: Two items per input, (2, C, H, W) float32.
        summary: Its operators and quantisation in one line.
    """

    seed: int
    quantized: ir.Model
    inputs: dict[str, Array]
    summary: str


def random_network(seed: int, operators: int | None = None) -> Network:
    """The network of `seed`, with a random number of operators unless it is given."""
    b = NetworkBuilder(seed)
    model, names = _float_model(b, operators)
    inputs = {name: _pictures(b, 2, b.shapes[name]) for name in b.inputs}
    mixed = b.random.random() < 0.5
    layers = [layer.name for layer in find_layers(model)]
    floats = {
        name: LayerChoice("fp16", "chosen by the generator")
        for name in layers
        if mixed and b.random.random() < 0.3
    }
    exactly = CalibrationSettings.recipe_exact(
        mode=str(pick(b, "max", "max", "percentile")),
        scheme=pick(b, "symmetric", "asymmetric"),
        per_channel=bool(b.random.random() < 0.8),
        weight_scale=pick(b, "max", "max", "power2"),
        choices=floats,
        threads=1,
    )
    coded_outputs, unsigned_relu = bool(b.random.random() < 0.7), bool(b.random.random() < 0.5)
    settings = replace(exactly, coded_outputs=coded_outputs, unsigned_relu=unsigned_relu)
    dataset = [{name: array[index : index + 1] for name, array in inputs.items()} for index in range(2)]
    quantized = quantize(model, calibrate(model, dataset, settings))
    shape = "x".join(str(n) for n in b.shapes[b.inputs[0]][1:])
    summary = f"{shape} {settings.scheme} {len(floats)} float: {' '.join(names)}"
    return Network(seed, quantized, inputs, summary)


def _float_model(b: NetworkBuilder, operators: int | None) -> tuple[ir.Model, list[str]]:
    size = (int(b.random.integers(5, 22)), int(b.random.integers(5, 22)))
    for _ in range(1 + int(b.random.random() < 0.2)):
        b.add_input((1, int(pick(b, 1, 3, 3, 4, 16, 65)), *size))
    names: list[str] = []
    count = operators or int(b.random.integers(3, 9))
    current = b.inputs[0]
    weights = np.array([weight for weight, _ in OPERATORS.values()], float)
    while len(names) < count:
        # Mostly go on from the last result, sometimes from an earlier one: that gives branches.
        pictures = [name for name, shape in b.shapes.items() if len(shape) == 4 and min(shape) > 0]
        source = current if b.random.random() < 0.7 else str(pick(b, *pictures))
        name = str(b.random.choice(list(OPERATORS), p=weights / weights.sum()))
        result = OPERATORS[name][1](b, source)
        if result is not None and min(b.shapes[result]) > 0 and np.prod(b.shapes[result]) < 120_000:
            current = result
            names.append(name)
    if b.random.random() < 0.15:
        head(b, current)
        names.append("head")
    unused = [name for name, readers in b.readers.items() if readers == 0 and name not in b.inputs]
    used_inputs = [name for name in b.inputs if b.readers[name]]
    if len(used_inputs) < len(b.inputs):  # an input that nothing read yet
        extra = next(name for name in b.inputs if not b.readers[name])
        weight = b.random.normal(size=(int(pick(b, *CHANNELS)), b.shapes[extra][1], 1, 1)).astype(np.float32)
        unused.append(b.node("Conv", [extra, b.constant(weight)], kernel_shape=[1, 1]))
    inner = [name for name, readers in b.readers.items() if readers and name not in b.inputs]
    if inner and b.random.random() < 0.3:  # an output that is also read inside
        unused.append(str(pick(b, *inner)))
    return b.model(list(dict.fromkeys(unused))), names


def _pictures(b: NetworkBuilder, count: int, shape: tuple[int, ...]) -> Array:
    """Noise on a gradient, some of it negative, with saturated corners; float16 values."""
    ramp = np.linspace(-0.5, 1, int(np.prod(shape[1:]))).reshape(1, *shape[1:])
    values = ramp + b.random.normal(0, 0.4, (count, *shape[1:]))
    values[:, :, :2, :2] = 2.0
    return values.astype(np.float16).astype(np.float32)
