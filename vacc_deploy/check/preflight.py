"""Will this model compile?  Looks at an ONNX or TorchScript file without running or converting it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from vacc_deploy.check.finding import Finding
from vacc_deploy.check.operators import SUPPORTED_OPERATORS, TORCH_REFUSALS, and_more, refusal
from vacc_deploy.onnx_declarations import (
    declared_shape,
    node_label,
    operator_name,
    opset_version,
    real_inputs,
    with_batch_of_one,
)
from vacc_deploy.safe_io import check_torchscript, open_archive, read_onnx

_OLDEST_OPSET = 7
_MAX_CODE_BYTES = 16 << 20
_FOREIGN_FLOATS = {11: "float64", 16: "bfloat16"}  # by TensorProto.DataType
_TORCH_CALL = re.compile(r"\b(?:torch|ops\.\w+)\.(\w+)\(")


def preflight(path: Path, finding: Finding) -> None:
    """Record what would stop `path` from compiling.

    Args:
        path: An ONNX or TorchScript file.
        finding: Gets one error per unsupported operator: node, reason, rewrite.

    Raises:
        FileError: The file cannot be read, or is neither.
    """
    if path.suffix.lower() == ".onnx":
        _preflight_onnx(path, finding)
    else:
        _preflight_torchscript(path, finding)


def _preflight_onnx(path: Path, finding: Finding) -> None:
    model = read_onnx(path)
    opset = opset_version(model)
    if opset < _OLDEST_OPSET:
        finding.errors.append(f"{path}: operator set {opset} is too old; export again with opset 17")
    for value in real_inputs(model):
        _check_input(path, value, finding)
    local = {function.name for function in model.functions}
    refused: dict[str, list[str]] = {}
    for node in model.graph.node:  # those inside If and Loop do not matter: these are refused themselves
        name = operator_name(node)
        if name not in SUPPORTED_OPERATORS and node.op_type not in local:
            refused.setdefault(name, []).append(node_label(node))
    _report(path, refused, finding)
    finding.facts = {"operators": _counts(model.graph), "opset": opset}


def _counts(graph: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for node in graph.node:
        counts[node.op_type] = counts.get(node.op_type, 0) + 1
    return dict(sorted(counts.items()))


def _check_input(path: Path, value: Any, finding: Finding) -> None:
    shape = declared_shape(value)
    if not all(isinstance(size, int) and size > 0 for size in with_batch_of_one(shape)):
        finding.warnings.append(
            f"{path}: input '{value.name}' has the open shape {shape}; "
            "compile --shape, or frontend.shape of a build YAML, must fix it"
        )
    kind = _FOREIGN_FLOATS.get(value.type.tensor_type.elem_type)
    if kind is not None:
        finding.warnings.append(f"{path}: input '{value.name}' is {kind}; the card takes float32 or float16")


def _report(path: Path, refused: dict[str, list[str]], finding: Finding) -> None:
    for operator, nodes in sorted(refused.items()):
        why, hint = refusal(operator)
        label = f"'{nodes[0]}'{and_more(nodes)}"
        finding.errors.append(f"{path}: {operator} is not supported: node {label} ({why}); {hint}")


def _preflight_torchscript(path: Path, finding: Finding) -> None:
    """Read the operator calls out of the archive's code, which is text; nothing is loaded by torch."""
    check_torchscript(path)
    places: dict[str, str] = {}
    calls: set[str] = set()
    with open_archive(path) as archive:
        for name in archive.names:
            if "/code/" not in name or not name.endswith(".py"):
                continue
            text = archive.read(name, _MAX_CODE_BYTES).decode("utf-8", "replace")
            for number, line in enumerate(text.splitlines(), 1):
                for call in _TORCH_CALL.findall(line):
                    calls.add(call)
                    places.setdefault(call.rstrip("_"), f"{name.split('/code/')[1]}:{number}")
    for call in sorted(places.keys() & TORCH_REFUSALS.keys()):
        why, hint = TORCH_REFUSALS[call]
        finding.errors.append(f"{path}: {call} is not supported: {places[call]} ({why}); {hint}")
    finding.facts = {"operators": sorted(calls)}
