"""ONNX or TorchScript in, one clean static ONNX model out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import onnx_ir as ir

from vacc_deploy.errors import FileError, ModelError
from vacc_deploy.freed_memory import return_freed_memory
from vacc_deploy.frontend.constant_index import constant_index
from vacc_deploy.frontend.constant_scale import constant_scale
from vacc_deploy.frontend.depthwise_filter import depthwise_filter
from vacc_deploy.frontend.early_resize import FIRST_WITH_MODES, early_resize
from vacc_deploy.frontend.finite_weights import require_finite
from vacc_deploy.frontend.fold_batchnorm import fold_batchnorm
from vacc_deploy.frontend.inline_functions import inline_functions
from vacc_deploy.frontend.known_operators import require_known_operators
from vacc_deploy.frontend.linear_bias import linear_bias
from vacc_deploy.frontend.settled_sizes import require_settled_sizes
from vacc_deploy.frontend.simplify import normalise, simplify
from vacc_deploy.frontend.single_precision import to_single_precision
from vacc_deploy.frontend.split_slices import split_slices
from vacc_deploy.frontend.static_modulation import static_modulation
from vacc_deploy.frontend.static_shapes import set_input_shapes
from vacc_deploy.onnx_declarations import opset_version
from vacc_deploy.safe_io import check_torchscript, open_source, read_onnx
from vacc_deploy.safe_io.limits import MAX_MODEL_BYTES

MIN_OPSET = 17


def clean(
    model: onnx.ModelProto, inputs: Mapping[str, Sequence[int]] | None, where: str, *, fold: bool = True
) -> ir.Model:
    """Bring an ONNX model into the form that calibration and lowering read.

    Args:
        model: Any ONNX model; changed in place.
        inputs: Input name → shape; None keeps the model's own static shapes.
        where: The file, for messages.
        fold: Fold BatchNormalization and constant factors into convolutions as well.

    Returns:
        Static shapes, float32, constants folded, opset ≥ 17, all nodes named, metadata kept.

    Raises:
        ModelError: An operator is unknown, shapes are missing, wrong or ambiguous, weights are not finite, an
            output depends on no input, or the model is not valid.
    """
    model = inline_functions(model, where)
    require_known_operators(model, where)
    to_single_precision(model)
    set_input_shapes(model, inputs, where)
    opset = opset_version(model)
    model = _raise_opset(model, where)
    model = simplify(model, where)
    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    graph_model = normalise(model)
    if opset < FIRST_WITH_MODES:
        early_resize(graph_model, where)
    changes = static_modulation(graph_model) + depthwise_filter(graph_model)
    changes += constant_index(graph_model, where) + split_slices(graph_model)
    if changes:
        model = simplify(ir.serde.serialize_model(graph_model), where)
        graph_model = normalise(onnx.shape_inference.infer_shapes(model, data_prop=True))
    if linear_bias(graph_model) + (fold_batchnorm(graph_model) + constant_scale(graph_model) if fold else 0):
        graph_model = normalise(ir.serde.serialize_model(graph_model))
    _require_computed(graph_model, where)
    _require_static(graph_model, where)
    require_settled_sizes(graph_model, where)
    require_finite(graph_model, where)
    return graph_model


def _raise_opset(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    version = opset_version(model)
    if version >= MIN_OPSET:
        return model
    try:
        return onnx.version_converter.convert_version(model, MIN_OPSET)
    except Exception as error:
        raise ModelError(
            f"the model uses opset {version} and cannot be converted to {MIN_OPSET}",
            where=where,
            why=str(error),
            hint=f"export it again with opset_version={MIN_OPSET} or newer",
        ) from error


def _require_computed(model: ir.Model, where: str) -> None:
    fixed = [
        str(value.name)
        for value in model.graph.outputs
        if value.const_value is not None or ((node := value.producer()) and node.op_type == "Constant")
    ]
    if fixed:
        raise ModelError(
            f"output {', '.join(fixed)} is the same whatever the input: there is nothing to compute",
            where=where,
            hint="export the network without it",
        )


def _require_static(model: ir.Model, where: str) -> None:
    loose = [
        f"{node.name} ({node.op_type})"
        for node in model.graph
        for value in node.outputs
        if value.shape is None or value.shape.is_dynamic()
    ]
    if loose:
        raise ModelError(
            f"the shape of {len(loose)} values cannot be known before running",
            where=where,
            why="first: " + ", ".join(loose[:5]),
            hint="export the model at a fixed size",
        )


def is_archive(path: Path) -> bool:
    """Whether the file is a zip archive, as all that torch writes is and no ONNX file can be."""
    with open_source(path, MAX_MODEL_BYTES) as (file, _):
        return bytes(file.read(2)) == b"PK"


def load_model(path: Path | str, inputs: Mapping[str, Sequence[int]] | None = None) -> ir.Model:
    """Read a network from an ONNX or TorchScript file.

    Args:
        path: The file.
        inputs: Input name → static shape; TorchScript needs it, unless the file was written by
            ``vdeploy export``.

    Returns:
        The network as `clean` describes.  ``metadata_props["vdeploy"]`` is what the export wrote.

    Raises:
        FileError: The file cannot be read.
        ModelError: It is not a network that can be compiled.
    """
    path = Path(path)
    if not path.is_file():
        raise FileError("there is no such model file", where=str(path), hint="vdeploy export writes one")
    if is_archive(path):  # told by its contents: people call TorchScript .pt, .pth and .onnx
        check_torchscript(path)
        from vacc_deploy.frontend.convert_torchscript import convert

        model = clean(convert(path, inputs), inputs, str(path))
    else:
        model = clean(read_onnx(path), inputs, str(path))
    return_freed_memory()
    return model
