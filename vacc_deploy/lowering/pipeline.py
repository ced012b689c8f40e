"""From a clean ONNX graph to code: the list of lowering's stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass, ShapeInferencePass

from vacc_deploy.artifact import Layer, TensorSpec
from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.build import build_library
from vacc_deploy.lowering.emit import Emitted, emit
from vacc_deploy.lowering.graph import Form, GenericStep, Step, StepGraph, Value
from vacc_deploy.lowering.layout import Layout, assign_layouts
from vacc_deploy.lowering.select import select
from vacc_deploy.lowering.target import Target


@dataclass(frozen=True, slots=True)
class Lowered:
    """A compiled network before it becomes an artifact."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    run_stream: tuple[Layer, ...]
    params: Mapping[str, npt.NDArray[Any]]


def lower(
    model: ir.Model,
    target: Target,
    library: Path,
    *,
    storage: str = "float16",
    why: Mapping[str, str] | None = None,
) -> Lowered:
    """Compile `model` for `target` and write its code to `library`.

    Layers between QuantizeLinear and DequantizeLinear become integer kernels, all others compute in
    float32 and store `storage`. A pure function of its arguments: no float pass, no clock.

    Args:
        model: Static shapes, unique node names; QDQ where it is quantised. Not modified.
        target: The CPU level to emit code for.
        library: Path of the shared object to write.
        storage: ``float16``, or ``float32`` to compare with ONNX Runtime in float.
        why: Reason of each layer's precision by ONNX node name, for the run stream.

    Raises:
        ModelError: An operator or shape cannot be compiled, or there is no linker.
    """
    prepared = _prepare(model)
    graph = select(prepared, storage)
    layout = assign_layouts(graph)
    emitted = emit(graph, layout, target)
    build_library(emitted.module, target, library)
    return Lowered(
        inputs=tuple(_spec(value) for value in graph.inputs),
        outputs=tuple(_spec(value) for value in graph.outputs),
        run_stream=_run_stream(layout, emitted, why or {}),
        params=emitted.params,
    )


def _prepare(model: ir.Model) -> ir.Model:
    for value in model.graph.outputs:
        if value.producer() is None:
            raise ModelError(
                f"output '{value.name}' is not computed from the input",
                why="it is a constant, or an input itself",
                hint="leave it out of the network's outputs",
            )
    prepared = model.clone()  # a copy that may be edited
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(prepared)
    if any(value.shape is None or value.dtype is None for node in prepared.graph for value in node.outputs):
        ShapeInferencePass()(prepared)
    for index, node in enumerate(prepared.graph):
        if not node.name:
            node.name = f"{node.op_type}_{index}"
    return prepared


def _spec(value: Value) -> TensorSpec:
    return TensorSpec(value.name, value.shape, value.dtype)


def _run_stream(layout: Layout, emitted: Emitted, why: Mapping[str, str]) -> tuple[Layer, ...]:
    rows = zip(layout.steps, emitted.kernels, emitted.macs, strict=True)
    return tuple(_layer(step, kernel, macs, why) for step, kernel, macs in rows)


def _layer(step: Step | GenericStep, kernel: str, macs: int, why: Mapping[str, str]) -> Layer:
    made = step.outputs[0] if isinstance(step, GenericStep) else step.output.value
    quantization = made.quantization
    name = step.nodes[0] if step.nodes else f"{step.op}:{made.name}"
    return Layer(
        name=name,
        op=step.op,
        engine=_engine(step),
        kernel=kernel,
        nodes=tuple(step.nodes),
        inputs=tuple(operand.value.name for operand in step.inputs),
        output=made.name,
        shape=made.shape,
        scale=None if quantization is None else float(quantization.scale),
        zero_point=None if quantization is None else quantization.onnx_zero_point,
        macs=macs,
        why=next((why[node] for node in step.nodes if node in why), ""),
    )


def _engine(step: Step | GenericStep) -> str:
    if isinstance(step, GenericStep):
        return "relax"
    if step.op in ("quantize", "dequantize", "pack", "unpack"):
        return "convert"
    return "int8" if any(operand.form is Form.QUANTIZED for operand in step.inputs) else "fp16"


__all__ = ["Lowered", "StepGraph", "lower"]
