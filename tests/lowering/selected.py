"""Small graphs for tests of lowering's stages: built, quantised, selected."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from tests.networks.builder import NetworkBuilder
from vacc_deploy.lowering.graph import GenericStep, StepGraph
from vacc_deploy.lowering.pipeline import _prepare
from vacc_deploy.lowering.select import select
from vacc_deploy.quantize.calibrate import calibrate
from vacc_deploy.quantize.qdq import quantize
from vacc_deploy.quantize.settings import CalibrationSettings, LayerChoice


def conv(
    b: NetworkBuilder, x: str, outputs: int = 8, kernel: int = 3, *, biased: bool = True, **attributes
) -> str:
    """A convolution that keeps the size."""
    channels = b.shapes[x][1] // attributes.get("group", 1)
    weight = b.random.normal(size=(outputs, channels, kernel, kernel)) / np.sqrt(channels * kernel**2)
    operands = [x, b.constant(weight.astype(np.float32))]
    if biased:
        operands.append(b.constant(np.zeros(outputs, np.float32)))
    attributes.setdefault("pads", [kernel // 2] * 4)
    return b.node("Conv", operands, kernel_shape=[kernel, kernel], **attributes)


def small(write, *, int8: bool, shape=(1, 8, 9, 10), floats=()) -> ir.Model:
    """The network that `write(builder, input)` appends, int8 but for `floats`, or all float."""
    b = NetworkBuilder(0)
    outputs = write(b, b.add_input(shape))
    model = b.model([outputs] if isinstance(outputs, str) else list(outputs))
    if not int8:
        return model
    data = [{"input0": np.random.default_rng(0).normal(size=shape).astype(np.float32)}]
    choices = {name: LayerChoice("fp16", "test") for name in floats}
    settings = CalibrationSettings.recipe_exact(choices=choices, threads=1)
    return quantize(model, calibrate(model, data, settings))


def selected(model: ir.Model, storage: str = "float16") -> StepGraph:
    """The steps of `model`."""
    return select(_prepare(model), storage)


def described(graph: StepGraph) -> list[str]:
    """One word per step: ``int8 conv2d``, ``float add``, ``relax Softmax``."""
    words = []
    for step in graph.steps:
        if isinstance(step, GenericStep):
            words.append(f"relax {step.op}")
        elif step.op == "quantize":
            words.append("quantize")
        else:
            coded = any(operand.form.name == "QUANTIZED" for operand in step.inputs)
            words.append(f"{'int8' if coded else 'float'} {step.op}")
    return words
