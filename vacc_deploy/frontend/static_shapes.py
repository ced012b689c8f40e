"""Fixes the input shapes of an ONNX model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx
import onnx_ir as ir

from vacc_deploy.errors import ModelError, VdeployError, raise_together
from vacc_deploy.onnx_declarations import declared_shape, real_inputs, with_batch_of_one

Shape = Sequence[int]


def _text(shape: Sequence[int | str]) -> str:
    return "[" + ", ".join(str(size) for size in shape) + "]"


def set_input_shapes(model: onnx.ModelProto, shapes: Mapping[str, Shape] | None, where: str) -> None:
    """Write static shapes into the model's inputs, in place.

    Args:
        model: The model; its inner shape annotations are dropped, to be inferred anew.
        shapes: Input name → shape.  None or an input left out keeps a declared static shape.  A single
            shape for a single input counts whatever it is called: configs and exporters often disagree.
            A batch dimension left open, and nothing else, is 1, as in every artifact.
        where: The file, for messages.

    Raises:
        ModelError: An input of that name does not exist, a fixed dimension differs, or a shape is unknown.
    """
    inputs = real_inputs(model)
    wanted = {name: list(shape) for name, shape in (shapes or {}).items()}
    if len(inputs) == len(wanted) == 1:
        wanted = {inputs[0].name: next(iter(wanted.values()))}
    names = [value.name for value in inputs]
    problems: list[VdeployError] = [
        ModelError(
            f"the model has no input '{name}'",
            where=where,
            why=f"its inputs are {', '.join(names)}",
            hint="correct the names under frontend.shape in the build YAML",
        )
        for name in wanted
        if name not in names
    ]
    for value in inputs:
        declared = declared_shape(value)
        shape = wanted.get(value.name, with_batch_of_one(declared))
        error = _check(value.name, declared, shape, where)
        if error is not None:
            problems.append(error)
            continue
        del value.type.tensor_type.shape.dim[:]
        for size in shape:
            value.type.tensor_type.shape.dim.add().dim_value = int(size)
    raise_together(problems)
    del model.graph.value_info[:]


def _check(
    name: str, declared: Sequence[int | str], shape: Sequence[int | str], where: str
) -> ModelError | None:
    unknown = [size for size in shape if not isinstance(size, int) or size < 1]
    if unknown or not shape:
        return ModelError(
            f"input '{name}' has no static shape: {_text(shape)}",
            where=where,
            hint="give it: vdeploy compile --shape 1,3,512,512 or the like (NAME:1,3,512,512 for several "
            "inputs), or frontend.shape in a build YAML; or export at a fixed size",
        )
    clash = len(declared) != len(shape) or any(
        isinstance(own, int) and own > 0 and own != size for own, size in zip(declared, shape, strict=False)
    )
    if declared and clash:
        return ModelError(
            f"input '{name}' is {_text(declared)} in the model, but {_text(shape)} is asked for",
            where=where,
            hint="export the model at that size, or correct --shape, or frontend.shape in the build YAML",
        )
    return None


def require_batch_of_one(model: ir.Model, where: str) -> None:
    """Refuse a model whose inputs hold several pictures: artifacts take them one by one.

    Raises:
        ModelError: The first dimension of an input is not 1.
    """
    for value in model.graph.inputs:
        shape = list(value.shape.numpy()) if value.shape is not None else []
        if not shape or shape[0] != 1:
            raise ModelError(
                f"input '{value.name}' is {_text(shape)}, but an artifact is compiled for batch size 1",
                where=where,
                why="larger batches run picture by picture: results do not depend on the batch",
                hint="export it with 1 or an open size as the first dimension; run and bench take any batch",
            )
